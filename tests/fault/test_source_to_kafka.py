# SPDX-License-Identifier: Apache-2.0
"""The fault tests of the producer's rules (O and A): each would have caught the flaw that its rule prevents. The name is the rule.

FT-A7's checks of one server are in tests/integration/test_modes.py. Rule O1 with injected time, and A3 to A6 without a server, are in tests/unit.
"""
import json
import random

import pytest

from lib import kafka, oracle
from lib.databases import READER, READER_PASSWORD, MySQL
from lib.load import Load, make_tables, wait_rows
from lib.processes import free_ports, wait_for
from lib.proxy import END_TXN, INIT_PRODUCER_ID, Cutter

FAILED = 1


@pytest.fixture(scope="module")
def proxied(session_folder):
    """A broker with a second door through a proxy."""
    broker = kafka.Broker(session_folder / "kafka-proxied", proxied=True).start()
    yield broker
    broker.close()


@pytest.fixture
def tables(mariadb_path):
    make_tables(mariadb_path)
    return mariadb_path


def _through_proxy(broker):
    return {"producer__kafka__bootstrap.servers": broker.through_proxy}


def _transactional_id(path):
    return f"{path.prefix}|test"


def test_A2_another_sources_open_transaction_hides_no_position(tables):
    """K7: an open transaction of another source on `positions` holds the last stable offset back. The new owner must wait for it, not read an older position."""
    path = tables
    producer = path.producer()
    path.worker()
    other = path.broker.producer(**{"transactional.id": f"{path.prefix}|other", "transaction.timeout.ms": 60000})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(f"{path.prefix}.positions", key="other", value="{}", partition=0)
    assert other.flush(30) == 0
    load = Load(path, seed=31, rate=200).start()
    wait_rows(load, 200)
    before = producer.status()["kafka_transactions"]
    wait_for(lambda: producer.status()["kafka_transactions"] > before + 2, "positions behind the open transaction")
    producer.kill()
    again = path.start_producer("producer-again")
    again.wait_logged("position_waits")
    wait_rows(load, load.transactions + 200)
    assert not again.logged("streaming")
    other.abort_transaction(30)
    again.wait_logged("streaming")
    load.finish()
    path.wait_and_judge()


def test_A2b_owner_paused_between_assignment_and_init_transactions(make_path, mariadb, proxied):
    """It wakes up long after another one took over, fences it, and must then read what that one committed."""
    path = make_path(mariadb, proxied)
    make_tables(path)
    path.worker()
    proxied.proxy.hold(INIT_PRODUCER_ID)
    late = path.start_producer("late", **_through_proxy(proxied))
    wait_for(proxied.proxy.holding, lambda: f"init_transactions of the first owner:\n{late.text()}")
    late.stop()
    other = path.producer("other")
    load = Load(path, seed=32, rate=200).start()
    wait_rows(load, 300)
    proxied.proxy.release()
    late.resume()
    wait_rows(load, load.transactions + 600)
    load.finish()
    path.wait_and_judge(90)
    assert late.running() and other.running()
    states = {late.status()["state"], other.status()["state"]}
    assert "STREAM" in states and len(states) == 2, states


def test_A2b_paused_owner_comes_back_as_a_zombie(tables):
    """SIGSTOP under load, the standby takes over, the zombie goes on with what it had in its hands: Kafka refuses it."""
    path = tables
    path.worker()
    zombie = path.producer("zombie")
    load = Load(path, seed=33, rate=200).start()
    wait_rows(load, 200)
    standby = path.start_producer("standby")
    zombie.stop()
    standby.wait_logged("streaming", 90)
    wait_rows(load, load.transactions + 200)
    zombie.resume()
    wait_rows(load, load.transactions + 300)
    load.finish()
    path.wait_and_judge()
    assert zombie.running(), zombie.text()[-3000:]
    wait_for(lambda: sorted([zombie.status()["state"], standby.status()["state"]]) == ["STANDBY", "STREAM"], "one to stream and one to stand by")


@pytest.mark.parametrize("cut", [True, False], ids=["with its connection", "connection stays"])
def test_A4_the_answer_to_EndTxn_is_lost(make_path, mariadb, proxied, cut):
    """The transaction is in, the producer can't know: the same call again, or FENCE; never the rows again from memory."""
    path = make_path(mariadb, proxied)
    make_tables(path)
    path.worker()
    # Without a cut the client waits socket.timeout.ms for the answer; shorter than that of the transaction.
    path.producer(**_through_proxy(proxied), **{"producer__kafka__socket.timeout.ms": 4000})
    load = Load(path, seed=34, rate=200).start()
    for turn in range(3 if cut else 1):
        wait_rows(load, 150 * (turn + 1))
        swallowed = proxied.proxy.swallowed
        proxied.proxy.swallow(END_TXN, 2 if cut else 1, cut=cut)
        wait_for(lambda: proxied.proxy.swallowed > swallowed, "an answer to be swallowed")
    wait_rows(load, load.transactions + 150)
    load.finish()
    path.wait_and_judge(120)


def test_A4_the_broker_is_killed_under_commits(make_path, mariadb, session_folder):
    """Every outcome of a commit but a clear success goes by FENCE."""
    broker = kafka.Broker(session_folder / "kafka-killed").start()
    path = make_path(mariadb, broker)
    make_tables(path)
    path.worker()
    producer = path.producer()
    load = Load(path, seed=35, rate=200).start()
    for turn in range(2):
        wait_rows(load, 200 * (turn + 1))
        broker.kill_and_restart([producer], f"{path.prefix}.positions")
        broker.wait()
    load.finish()
    path.wait_and_judge(120)
    broker.close()


@pytest.mark.thorough
def test_A4_of_three_brokers_one_dies(make_path, mariadb, session_folder):
    """With three copies and two that must have a record, the death of whichever leads the rows holds nothing up for long, and loses nothing.
    `check` finds such topics right, and not one that a single broker may acknowledge."""
    cluster = kafka.Cluster(session_folder / "cluster").start()
    path = make_path(mariadb, cluster)
    make_tables(path)
    path.worker()
    producer = path.producer()
    load = Load(path, seed=38, rate=100).start()
    topics = [f"{path.prefix}.positions", path.topic("customers")]
    for topic in topics:
        wait_rows(load, load.transactions + 100)
        wait_for(lambda name=topic: name in cluster.topics(path.prefix) and cluster.in_sync(name) == 3, f"three copies of {topic}", 90, 0.2)
        dying = cluster.leader(topic)
        dying.kill()
        arrived = oracle.history_count(path.sqlite_file, "customers")
        wait_rows(load, load.transactions + 100)
        wait_for(lambda at=arrived: oracle.history_count(path.sqlite_file, "customers") > at + 20, lambda: f"rows by the other two:\n{producer.text()[-2000:]}", 120)
        dying.start()
    cluster.alter_topic(path.topic("orders"), **{"min.insync.replicas": "1"})
    said = path.run_producer("check").text()
    assert f"warning  topic {path.topic('orders')}: min.insync.replicas is 1" in said and f"ok       topic {path.topic('customers')}: " in said, said
    load.finish()
    path.wait_and_judge(120)
    cluster.close()


def _split_position(path):
    """The newest position that stands inside a source transaction, if there is one."""
    records = [json.loads(m.value()) for m in path.broker.messages(f"{path.prefix}.positions") if m.key() == b"test"]
    return records[-1] if records and (records[-1].get("transaction") or {}).get("rows") else None


@pytest.mark.parametrize("rows", [120_000, pytest.param(1_000_000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("filters", ["one more", "one less"])
def test_A5_killed_inside_a_transaction_and_restarted_with_another_filter(make_path, mariadb, proxied, filters, rows):
    """Rows that are in are skipped by count of row images before filters: a roll-out with another filter loses and doubles nothing."""
    path = make_path(mariadb, proxied)
    path.sql("CREATE TABLE kept (id INT PRIMARY KEY, v VARCHAR(40))", "CREATE TABLE filtered (id INT PRIMARY KEY, v VARCHAR(40))")
    more, less = {"source__exclude": [f"{path.database}.filtered"]}, {}
    small = {"producer__transaction__bytes": "64KiB"}
    first, second = (less, more) if filters == "one more" else (more, less)
    producer = path.producer("before", **first, **small, **_through_proxy(proxied))
    proxied.proxy.hold(END_TXN, after=20)  # some twenty parts of the transaction are in, the next one stays open
    connection = path.connect()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        for start in range(0, rows // 2, 500):  # in turns, so that at any place rows of both tables lie before and behind
            for table in ("kept", "filtered"):
                cursor.execute(f"INSERT INTO {table} SELECT seq, MD5(seq) FROM seq_{start}_to_{start + 499}")
        cursor.execute("COMMIT")
    wait_for(proxied.proxy.holding, "the twenty-first part of the transaction")
    producer.kill()
    proxied.proxy.cut()
    proxied.proxy.release()
    at = _split_position(path)
    assert at, "no position inside the transaction"
    path.producer("after", **second, **small)
    path.worker()
    path.sql("INSERT INTO kept VALUES (1000000, 'behind')")
    path.wait_and_judge(120 + rows // 1000, tables=["kept"])
    found = oracle.history_rows(path.sqlite_file, "filtered")
    assert len({(row.txid, row.idx) for row in found}) == len(found)
    # Image i belongs to `filtered` in every second run of 500; those in the history lie on one side of the border.
    images = [image for image in path.truth()["filtered"] if (image.index < at["transaction"]["rows"]) == (filters == "one more")]
    assert images and sorted(row.idx for row in found) == [2 * image.index for image in images]


def test_A5_the_connection_is_cut_inside_packets(make_path, server, broker):
    """In the handshake, in answers, in events, of MySQL also in records of TLS: what was yielded stays, the rest comes by the next connection, once."""
    path = make_path(server, broker)
    make_tables(path)
    path.worker()
    draw = random.Random(36)
    cutter = Cutter(free_ports(), server.port, [50, draw.randrange(300, 3000)] + [draw.randrange(10_000, 60_000) for _ in range(5)])
    path.producer(source__port=cutter.port)
    load = Load(path, seed=36, rate=400).start()
    wait_for(lambda: not cutter.cuts or load.error, lambda: f"connections to be cut: {cutter.cuts} are left", 90)
    wait_rows(load, load.transactions + 100)
    load.finish()
    path.wait_and_judge(90)
    cutter.close()


@pytest.fixture
def pair(session_folder):
    """A primary and its replica; who follows is told by follow()."""
    servers = [MySQL(session_folder / f"mysql-{name}", [f"--server-id={number}"]).start() for number, name in enumerate(("primary", "replica"), 1)]
    yield servers
    for one in servers:
        one.kill()


def _follow(replica, primary):
    replica.sql("RESET BINARY LOGS AND GTIDS", f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={primary.port}, SOURCE_USER='{READER}', "
                f"SOURCE_PASSWORD='{READER_PASSWORD}', GET_SOURCE_PUBLIC_KEY=1, SOURCE_AUTO_POSITION=1", "START REPLICA")


def _caught_up(replica, primary):
    wait_for(lambda: replica.sql(f"SELECT GTID_SUBSET('{primary.gtid_position()}', @@global.gtid_executed)")[0][0] == 1,
             lambda: f"the replica: {replica.sql('SHOW REPLICA STATUS')}", 90)


def test_A7_fail_over_to_another_server_and_back_to_one_that_lost_transactions(make_path, broker, pair):
    """A replica is the same source, whatever its server_uuid; a server that lacks what was delivered must not be followed."""
    primary, replica = pair
    _follow(replica, primary)
    path = make_path(primary, broker)
    make_tables(path)
    path.worker()
    producer = path.producer("of-primary")
    load = Load(path, seed=37, rate=200).start()
    wait_rows(load, 200)
    load.finish()
    _caught_up(replica, primary)
    producer.kill()
    replica.sql("STOP REPLICA", "RESET REPLICA ALL")
    behind = path.producer("of-replica", source__port=replica.port, source__tls_ca=str(replica.data / "ca.pem"))
    replica.sql("INSERT INTO events VALUES ('after', 1)", "UPDATE customers SET vip = 1 - vip", database=path.database)
    path.server, path.first_log_file = replica, replica.log_files()[0].name
    path.wait_and_judge(90)
    behind.must_stop(30)
    lost = path.start_producer("of-old-primary")
    assert lost.wait(60) == FAILED, lost.text()
    assert "lost transactions" in lost.errors(), lost.text()


def test_A8_positions_deleted_stops(tables):
    """A deleted or newly made `positions` must not look like a first start."""
    path = tables
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO events VALUES ('x', 1)")
    path.wait_arrived()
    producer.must_stop()
    path.broker.delete_topic(f"{path.prefix}.positions")
    for _ in range(2):  # nor may the first attempt make the second one succeed
        again = path.start_producer("producer-again")
        assert again.wait(60) == FAILED, again.text()
        assert "position" in again.errors()
    assert len(path.broker.messages(path.topic("events"))) == 1


def test_A8_a_crash_in_the_first_rows_is_no_lost_position(tables):
    """The first transaction of a source holds the position alone, and nobody is told that it streams before that is committed."""
    path = tables
    path.sql("INSERT INTO events VALUES ('before', 0)")
    path.first_log_file = path.server.new_log_file()
    for turn in range(3):
        producer = path.start_producer(f"producer{turn}")
        producer.wait_logged("streaming")
        path.sql(f"INSERT INTO events VALUES ('x', {turn})")
        producer.kill()
    path.producer("producer-last")
    path.worker()
    path.wait_and_judge()


@pytest.mark.parametrize("end", ["killed", "fenced off"])
def test_A9_abort_of_the_transaction_whose_rows_brought_a_new_schema(make_path, mariadb, proxied, end):
    """Schemas are published outside the transaction: an abort takes the rows back, never their schema."""
    path = make_path(mariadb, proxied)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.worker()
    producer = path.producer("behind-proxy", **_through_proxy(proxied))
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    proxied.proxy.hold(END_TXN)
    path.sql("ALTER TABLE t ADD COLUMN brought VARCHAR(20)", "INSERT INTO t VALUES (2, 'new schema')")
    wait_for(lambda: proxied.proxy.holding() and len(_all(path)) > 1, "the rows of the new schema in an open transaction")
    if end == "killed":
        producer.kill()
        path.producer("after")
    else:
        stranger = proxied.producer(**{"transactional.id": _transactional_id(path)})
        stranger.init_transactions(30)  # aborts the open transaction and takes the epoch; the process and its memory live on
    proxied.proxy.cut()
    proxied.proxy.release()
    path.wait_and_judge()
    assert len(_all(path)) > 2, "the aborted rows stand in the log, unseen"


def _all(path):
    return path.broker.messages(path.topic("t"), "read_uncommitted")


def test_O1_many_updates_of_one_row_within_a_second(mariadb_path):
    """MariaDB's log has whole seconds: `__seq` still grows with every transaction, and the newest state wins."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 0)")
    path.first_log_file = path.server.new_log_file()
    path.producer()
    path.worker()
    connection = path.connect()
    with connection.cursor() as cursor:
        for value in range(1, 1001):
            cursor.execute(f"UPDATE t SET v = {value} WHERE id = 1")
    path.wait_arrived()
    path.judge(whole=False)
    rows = oracle.history_rows(path.sqlite_file, "t")
    assert [row.columns["v"] for row in sorted(rows, key=lambda row: row.seq)] == list(range(1, 1001))
    assert oracle.view_rows(path.sqlite_file, "t")[0]["v"] == 1000
    assert len({row.columns["__ts"] for row in rows}) < 20, "many commits shared a second"


def test_O1_the_servers_clock_steps_back_and_forth(mariadb_path):
    """Five seconds, then a day back between commits: the last commit wins, and it is told."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    producer = path.producer()
    path.worker()
    connection = path.connect()
    with connection.cursor() as cursor:
        for value, stepped_s in enumerate([0, -5, -86400, 3600, -3600, 0]):
            cursor.execute(f"SET timestamp = UNIX_TIMESTAMP(SYSDATE()) + {stepped_s}")
            cursor.execute(f"INSERT INTO t VALUES (1, {value}) ON DUPLICATE KEY UPDATE v = {value}")
    path.wait_and_judge()
    rows = oracle.history_rows(path.sqlite_file, "t")
    assert [row.columns["v"] for row in sorted(rows, key=lambda row: row.seq)] == list(range(6))
    times = [row.columns["__ts"] for row in sorted(rows, key=lambda row: row.seq)]
    assert times != sorted(times), "the times are as the server reported them"
    assert producer.logged("clock_step")


@pytest.mark.parametrize("partitions", [1, 3])
def test_O3_a_key_moves_onto_its_neighbours_place(make_path, server, broker, partitions):
    """`UPDATE t SET id = id + 1`: both halves of each change have an identity of their own, and the order of a key survives."""
    path = make_path(server, broker, topics__partitions=partitions)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, {i})" for i in range(100)))
    for _ in range(5):
        path.sql("UPDATE t SET id = id + 1 ORDER BY id DESC", "UPDATE t SET v = v + 1, id = id - 1 WHERE id % 7 = 0 AND id - 1 NOT IN (SELECT id FROM (SELECT id FROM t) s)")
    path.wait_and_judge()

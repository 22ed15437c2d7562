# SPDX-License-Identifier: Apache-2.0
"""What a transaction did is what arrives: several tables, what was rolled back, savepoints, changed keys, no key at all, and a very large one."""
import json

import pytest

from lib import oracle
from lib.processes import wait_for

MIB = 1 << 20


def _positions(path):
    return [json.loads(message.value()) for message in path.broker.messages(f"{path.prefix}.positions") if message.key() == b"test"]


@pytest.fixture
def running(path):
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE other (id INT PRIMARY KEY, v INT)", "CREATE TABLE keyless (v INT, w TEXT)")
    path.producer()
    path.worker()
    return path


def test_several_tables_in_one_transaction(running):
    """`__idx` numbers the images of the whole transaction; the tables share its `__seq`."""
    running.sql("BEGIN", "INSERT INTO t VALUES (1, 1), (2, 2)", "INSERT INTO other VALUES (1, 1)", "UPDATE t SET v = 3", "UPDATE other SET v = 4",
                "DELETE FROM t WHERE id = 2", "INSERT INTO keyless VALUES (1, 'x')", "COMMIT")
    running.wait_and_judge()


def test_rolled_back_work_does_not_arrive(running):
    running.sql("BEGIN", "INSERT INTO t VALUES (1, 1)", "ROLLBACK", "BEGIN", "INSERT INTO t VALUES (2, 2)", "SAVEPOINT s", "INSERT INTO t VALUES (3, 3)",
                "UPDATE t SET v = 9", "ROLLBACK TO SAVEPOINT s", "INSERT INTO t VALUES (4, 4)", "COMMIT")
    running.wait_and_judge()
    assert [row["id"] for row in oracle.view_rows(running.sqlite_file, "t")] == [2, 4]


def test_changes_without_a_transactional_engine(running):
    """MyISAM's rows stay although the transaction rolls back. (MySQL with GTID refuses such a transaction; its rows come by themselves.)"""
    mixed = ["BEGIN", "INSERT INTO t VALUES (1, 1)", "INSERT INTO m VALUES (3)", "ROLLBACK"]
    alone = ["INSERT INTO m VALUES (3)", "UPDATE m SET id = 4 WHERE id = 1", "DELETE FROM m WHERE id = 4", "INSERT INTO m VALUES (1)"]
    running.sql("CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO m VALUES (1), (2)", *(mixed if running.server.flavor == "mariadb" else alone))
    running.wait_and_judge(tables=["m"])
    assert sorted(row["id"] for row in oracle.view_rows(running.sqlite_file, "m")) == [1, 2, 3]


def test_rows_of_unselected_tables_still_count(make_path, server, broker):
    """`__idx` numbers what the source has, before any filter (rule O3): a table more or less in the settings moves no identity."""
    path = make_path(server, broker)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE hidden (id INT PRIMARY KEY)")
    path.producer(source__exclude=[f"{path.database}.hidden"])
    path.worker()
    path.sql("BEGIN", "INSERT INTO hidden VALUES (1), (2), (3)", "INSERT INTO t VALUES (1, 1)", "DELETE FROM hidden", "UPDATE t SET v = 2", "COMMIT")
    path.wait_and_judge(tables=["t"])
    assert path.topics() == [path.topic("t")]


def test_no_key_no_view(running):
    """A table without a primary key has a history and no latest view; an update is a delete and an insert."""
    running.sql("INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (2, NULL)", "UPDATE keyless SET v = v + 1", "DELETE FROM keyless LIMIT 1")
    running.wait_and_judge()
    assert [row.op for row in oracle.history_rows(running.sqlite_file, "keyless")] == list("ccc" + "dc" * 3 + "d")
    with pytest.raises(Exception, match="no such table"):
        oracle.view_rows(running.sqlite_file, "keyless")


def test_a_transaction_of_200_mb_within_the_ceiling(make_path, mariadb, broker):
    """P6: it is split into Kafka transactions; the producer's memory stays under its ceiling (48 MiB of rows on their way, plus the program)."""
    path = make_path(mariadb, broker)
    rows = 200_000
    path.sql("CREATE TABLE big (id INT PRIMARY KEY, text VARCHAR(1100) CHARACTER SET latin1)")
    producer = path.producer()
    path.worker(worker__batch__age="1s")
    path.sql(f"INSERT INTO big SELECT seq, REPEAT(MD5(seq), 32) FROM seq_1_to_{rows}")
    wait_for(lambda: oracle.history_count(path.sqlite_file, "big") >= rows, lambda: f"{oracle.history_count(path.sqlite_file, 'big')} of {rows} rows", 240)
    connection = oracle.sqlite_connect(path.sqlite_file)
    counts = connection.execute("SELECT count(*), count(DISTINCT __idx), count(DISTINCT __seq), min(__idx), max(__idx), count(DISTINCT __txid), "
                                "sum(length(text)) FROM big_history").fetchone()
    connection.close()
    assert tuple(counts) == (rows, rows, 1, 0, 2 * (rows - 1), 1, rows * 1024)
    assert producer.status()["kafka_transactions"] > 5
    assert producer.rss_peak_bytes() < 48 * MIB + 32 * MIB, f"{producer.rss_peak_bytes() / MIB:.0f} MiB"


def test_one_large_row(running):
    """A row above every budget passes alone."""
    running.sql("CREATE TABLE wide (id INT PRIMARY KEY, data LONGBLOB)")
    running.sql("INSERT INTO wide VALUES (1, REPEAT(x'00ff', 300000)), (2, 'small')")
    running.wait_and_judge()


def test_a_compressed_transaction_of_100_mb_within_the_ceiling(make_path, mysql, broker):
    """P6: one event of the log, read twice and then committed in pieces (seals.h); and after a kill in its middle every row is there once (A5)."""
    path = make_path(mysql, broker)
    rows = 100_000
    mysql.since(8, 0, 20)
    path.sql("CREATE TABLE big (id INT PRIMARY KEY, text VARCHAR(1100) CHARACTER SET latin1)")
    producer = path.producer()
    path.worker(worker__batch__age="1s")
    path.sql("SET SESSION binlog_transaction_compression = ON, cte_max_recursion_depth = 1000000",
             f"INSERT INTO big WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) SELECT n, REPEAT(SHA2(n, 256), 16) FROM s",
             "SET SESSION binlog_transaction_compression = OFF", "INSERT INTO big VALUES (0, 'behind')")
    wait_for(lambda: any("transaction" in record for record in _positions(path)), "a commit in its middle", 120)
    peak = producer.rss_peak_bytes()
    producer.kill()
    producer = path.producer("again")
    wait_for(lambda: oracle.history_count(path.sqlite_file, "big") >= rows + 1, lambda: f"{oracle.history_count(path.sqlite_file, 'big')} rows", 240)
    connection = oracle.sqlite_connect(path.sqlite_file)
    counts = connection.execute("SELECT count(*), count(DISTINCT __txid || __idx), count(DISTINCT __seq), count(DISTINCT id), sum(length(text)) FROM big_history").fetchone()
    connection.close()
    assert tuple(counts) == (rows + 1, rows + 1, 2, rows + 1, rows * 1024 + 6)
    assert len({record["transaction"]["rows"] for record in _positions(path) if "transaction" in record}) > 3
    assert max(peak, producer.rss_peak_bytes()) < 48 * MIB + 32 * MIB, f"{producer.rss_peak_bytes() / MIB:.0f} MiB"


@pytest.mark.thorough
def test_a_row_of_64_mib(make_path, mariadb, broker):
    """P6: a single row above every budget needs its own size on top, as it was read and as it is sent; both limits of Kafka are raised, as the
    producer's error says."""
    path = make_path(mariadb, broker)
    size = 64 * MIB
    before = mariadb.sql("SELECT @@global.max_allowed_packet")[0][0]
    mariadb.sql(f"SET GLOBAL max_allowed_packet = {512 * MIB}")
    try:
        path.sql("CREATE TABLE wide (id INT PRIMARY KEY, data LONGBLOB)")
        broker.create_topic(path.topic("wide"), max_message_bytes=str(80 * MIB))
        producer = path.producer(producer__kafka={"message.max.bytes": 80 * MIB})
        path.sql("INSERT INTO wide VALUES (0, 'in front')", f"INSERT INTO wide VALUES (1, REPEAT(x'00ff', {size // 2}))", "INSERT INTO wide VALUES (2, 'behind')")
        wait_for(lambda: producer.status()["tables"].get(f"{path.database}.wide", {}).get("read") == 3, lambda: f"the rows:\n{producer.text()[-2000:]}", 120)
    finally:
        mariadb.sql(f"SET GLOBAL max_allowed_packet = {before}")
    assert [len(message.value()) > size for message in path.broker.messages(path.topic("wide"))] == [False, True, False]
    assert producer.rss_peak_bytes() < 64 * MIB + 2 * size, f"{producer.rss_peak_bytes() / MIB:.0f} MiB"


@pytest.mark.thorough
@pytest.mark.parametrize("compressed", ["OFF", "ON"])
def test_a_transaction_of_1_gib_within_the_ceiling(make_path, mysql, broker, compressed):
    path = make_path(mysql, broker)
    rows = 1 << 20
    mysql.since(8, 0, 20)
    path.sql("CREATE TABLE big (id INT PRIMARY KEY, text VARCHAR(1100) CHARACTER SET latin1)")
    producer = path.producer()
    path.sql(f"SET SESSION binlog_transaction_compression = {compressed}, cte_max_recursion_depth = 2000000",
             f"INSERT INTO big WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) SELECT n, REPEAT(SHA2(n, 256), 16) FROM s")
    wait_for(lambda: producer.status()["tables"].get(f"{path.database}.big", {}).get("read") == rows, lambda: f"the rows:\n{producer.text()[-2000:]}", 900)
    assert producer.status()["kafka_transactions"] > 50
    assert not producer.logged("trouble"), producer.text()[-3000:]
    assert producer.rss_peak_bytes() < 64 * MIB, f"{producer.rss_peak_bytes() / MIB:.0f} MiB"

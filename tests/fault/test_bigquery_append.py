# SPDX-License-Identifier: Apache-2.0
"""The fault tests of rule C, Kafka to BigQuery by appends. The name is the rule. What goes wrong is said to the fake; what is true its ledger knows.

The judge at the end of each: rows = distinct identities = committed changes, in order by key, and the latest view = the source.
"""
import pytest

from lib import oracle
from lib.bigquery_judge import BigQueryWarehouse
from lib.http2_door import Http2Door
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for

STRATEGIES = ["range", "cooperative-sticky"]
# A resend after a second, not after two minutes.
IMPATIENT = {"answer_timeout": "1s", "retry": "20s", "method": {"*.*": "append"}}

# A killed worker is missed after three seconds.
QUICK = {"kafka": {"session.timeout.ms": 3000}}


def _group(path):
    return f"{path.prefix}|default|bigquery"


@pytest.fixture
def appending(make_path, mariadb, broker, fake):
    """appending(broker=..., settings): a path with a producer, no worker yet."""
    def make(on=broker, partitions=2, **settings):
        path = make_path(mariadb, on, BigQueryWarehouse(fake, **{**IMPATIENT, **settings}), topics__partitions=partitions, **QUICK)
        path.fake = fake
        return path
    return make


@pytest.fixture
def loaded(appending):
    """Two partitions a table, a producer, and a load."""
    path = appending()
    make_tables(path)
    path.producer()
    path.load = Load(path, seed=51, rate=150).start()
    return path


def _one_table(path):
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
    path.producer()
    return f"{path.warehouse.dataset(path)}.t_history"


def _more(path, transactions=50, deadline_s=90):
    """Transactions at the source, and rows that arrived."""
    stored = lambda: sum(path.fake.get("tables", dataset=path.warehouse.dataset(path)).values())
    before = stored()
    wait_rows(path.load, path.load.transactions + transactions)
    wait_for(lambda: stored() > before, "rows to arrive", deadline_s)


def _end(path):
    path.load.finish()
    path.wait_and_judge(90)


@pytest.mark.thorough
def test_C1_killed_at_each_step(loaded):
    """kill -9 while a call stands there, sent or carried out; the held call is let go only when the next owner is at work."""
    worker = loaded.worker("worker0")
    for call in ("AppendRows", "FinalizeWriteStream", "CreateWriteStream"):
        for when in ("before", "after"):
            _more(loaded)
            door = f"{call} {when}"
            loaded.fake.fault(call, {"hold": door}, when=when)
            if call != "AppendRows":  # these stand at the begin of an ownership
                worker.kill()
                worker = loaded.worker(f"{door.replace(' ', '-')}-held")
            loaded.fake.wait_at(door)
            worker.kill()
            worker = loaded.worker(f"{door.replace(' ', '-')}-next")
            _more(loaded)
            loaded.fake.open(door)
    _end(loaded)


@pytest.mark.thorough
def test_C1_killed_before_the_next_commit(loaded):
    """The answer was there; the commit that would have said so was not. At moments that the fake's count gives."""
    worker = loaded.worker("worker0")
    for turn in range(1, 4):
        seen = loaded.fake.get("counters")["appends"]
        wait_for(lambda at=seen: loaded.fake.get("counters")["appends"] > at + 3, "appends", 60, 0.002)
        worker.kill()
        worker = loaded.worker(f"worker{turn}")
    _end(loaded)


@pytest.mark.parametrize("strategy", [pytest.param("range", marks=pytest.mark.thorough), "cooperative-sticky"])
def test_C2_answer_held_until_the_partition_moved(loaded, strategy):
    """The answer comes when another worker owns the partition, and the old one has joined again: it must say nothing to Kafka."""
    settings = {"worker__kafka__partition.assignment.strategy": strategy, "bigquery__answer_timeout": "2m"}
    first = loaded.worker("worker1", **settings)
    _more(loaded)
    for turn in range(2):
        table = loaded.warehouse.history(loaded, "customers")
        fault = loaded.fake.fault("AppendRows", {"hold": f"answer{turn}"}, table=table, when="after", times=-1, once_per="stream")
        loaded.fake.wait_at(f"answer{turn}")
        other = loaded.worker(f"worker{turn + 2}", **settings)
        wait_for(lambda w=other: len(w.status()["partitions"]) > 0, "partitions at the other worker", 60)
        loaded.fake.clear(fault)
        _more(loaded)
        loaded.fake.open(f"answer{turn}")
        _more(loaded)
        assert first.running() and other.running()
        other.must_stop(20)
    _end(loaded)


@pytest.mark.parametrize("strategy", [pytest.param("range", marks=pytest.mark.thorough), "cooperative-sticky"])
def test_C2_paused_until_its_partitions_moved(loaded, strategy):
    """SIGSTOP with requests under way; the other worker takes over, finalizes, goes on; the paused one wakes up."""
    settings = {"worker__kafka__partition.assignment.strategy": strategy}
    first, second = loaded.worker("worker1", **settings), loaded.worker("worker2", **settings)
    for program in (first, second):
        program.wait_logged("assigned")
    partitions = sum(len(loaded.broker.ends(topic)) for topic in loaded.topics())
    for paused, other in ((first, second), (second, first)):
        _more(loaded)
        paused.stop()
        wait_for(lambda p=other: len(p.status()["partitions"]) >= partitions, lambda p=other: f"all partitions at the other worker: {p.status()['partitions']}", 60)
        _more(loaded)
        paused.resume()
        wait_for(lambda p=paused: len(p.status()["partitions"]) > 0, "the paused worker to work again", 60)
    _end(loaded)


@pytest.mark.thorough
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_C2_commits_behind_a_join(loaded, strategy):
    """A rebalance waits for a paused member: what the others commit meanwhile, of partitions that a cooperative member keeps, stands behind their JoinGroup and
    is refused by the next generation. What was refused is not committed again, and nothing stays behind."""
    settings = {"worker__kafka__partition.assignment.strategy": strategy}
    first, paused = loaded.worker("worker1", **settings), loaded.worker("worker2", **settings)
    for program in (first, paused):
        program.wait_logged("assigned")
    for turn in range(3):
        _more(loaded)
        paused.stop()
        other = loaded.worker(f"worker{turn + 3}", **settings)
        wait_for(lambda w=other: len(w.status()["partitions"]) > 0, "partitions at the worker that has come", 60)
        paused.resume()
        _more(loaded)
        other.must_stop(20)
    _end(loaded)


def test_C3_answer_lost_while_more_rows_wait(loaded):
    """The request is in, its answer is not; more rows have come meanwhile. The same bytes go again at the same offset."""
    loaded.worker()
    for do in ({"swallow": True}, {"cut": True}, {"status": "INTERNAL"}, {"error": "ABORTED"}):
        fault = loaded.fake.fault("AppendRows", do, when="after", times=5)
        loaded.fake.wait_hit(fault, 5)
        _more(loaded)
    _end(loaded)


@pytest.mark.thorough
def test_C4_rolling_restart_with_another_window_and_batch(loaded):
    """Nothing that depends on configuration is needed for recovery."""
    worker = loaded.worker("worker0")
    for turn, settings in enumerate([{"worker__dedupe__window": 0}, {"worker__dedupe__window": 5, "worker__batch__rows": 1}, {"bigquery__request": "64KiB", "worker__batch__bytes": "256KiB"},
                                     {"worker__dedupe__memory": "64KiB", "bigquery__calls": 1}], 1):
        _more(loaded)
        following = loaded.worker(f"worker{turn}", **settings)
        if turn % 2:
            worker.kill()
        else:
            worker.must_stop()
        worker = following
    _end(loaded)


def test_C4_retention_inside_the_window(appending):
    """DeleteRecords takes messages that the window still covers: the dedupe state is less, the history is the same."""
    path = appending(partitions=1)
    table = _one_table(path)
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'x')" for i in range(200)))
    path.wait_arrived()
    worker.kill()
    path.broker.delete_records(path.topic("t"), 0, 150)
    path.worker("worker2")
    path.sql("UPDATE t SET v = 'y'")
    wait_for(lambda: path.fake.count(table) >= 400, "the updates")
    oracle.judge_warehouse(path)


def test_C4_bad_rows_go_to_the_dead_letters(appending):
    """200 bad rows of one request: these are dead letters, the others are in, and the mark stays small."""
    path = appending(partitions=1)
    table = _one_table(path)
    fault = path.fake.fault("rows", {"refuse": {"column": "v", "value": "bad"}}, table=table)
    path.worker(worker__batch__age="1s")
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, '{'bad' if i % 3 == 0 else 'good'}')" for i in range(600)), "INSERT INTO t VALUES (1000, 'good')")
    wait_for(lambda: path.fake.count(table) >= 401, lambda: f"the good rows: {path.fake.count(table)}")
    assert sorted(row["id"] for row in path.fake.rows(table)) == [i for i in range(600) if i % 3] + [1000]
    dead = path.broker.messages(f"{path.prefix}.dead")
    assert len({message.key() for message in dead}) == 200
    path.fake.clear(fault)


def test_C5_first_copy_arrives_after_the_second_was_refused(appending):
    """The first copy is under way for long; the second is refused for a row; then the row would be good again, and the first copy arrives."""
    path = appending(partitions=1)
    table = _one_table(path)
    path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1, 'good')")
    path.wait_arrived()
    path.fake.fault("AppendRows", {"hold": "first"}, table=table)
    path.sql("INSERT INTO t VALUES (2, 'odd'), (3, 'good')")
    path.fake.wait_at("first")
    refused = path.fake.fault("rows", {"refuse": {"column": "v", "value": "odd"}}, table=table)
    path.fake.wait_hit(refused)
    path.fake.clear(refused)
    path.fake.open("first")
    path.sql("INSERT INTO t VALUES (4, 'good')")
    wait_for(lambda: {3, 4} <= {row["id"] for row in path.fake.rows(table)}, lambda: f"the rows behind: {path.fake.rows(table)}")
    found = [row["id"] for row in path.fake.rows(table)]
    dead = path.broker.messages(f"{path.prefix}.dead")
    assert len(found) == len(set(found)), found
    assert 2 in found or dead, "the row that was refused for a moment is nowhere"


@pytest.mark.parametrize("trick, said", [("deleted", "into a new history"), ("set by a tool", "into a new history"), ("of a later release", "newer release")])
def test_C6_offsets_gone_or_set_by_a_tool_stop(appending, trick, said):
    """Rows in the history and no commit, or a commit that says nothing of BigQuery, or in a layout to come: stop, and say what can be done."""
    path = appending(partitions=1)
    table = _one_table(path)
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1, 'x'), (2, 'x')")
    path.wait_arrived()
    worker.must_stop()
    if trick == "deleted":
        path.broker.delete_group(_group(path))
    else:
        path.broker.commit_by_hand(_group(path), path.topic("t"), 0, 1, "" if trick == "set by a tool" else "v2 append 0123abcd - 0 -")
    path.sql("INSERT INTO t VALUES (3, 'x')")
    again = path.worker("worker2")
    wait_for(lambda: said in again.errors(), lambda: f"a stop that says what to do:\n{again.text()[-3000:]}")
    assert path.fake.count(table) == 2


def test_C6_first_start_of_two_workers(appending):
    """Both meet partitions without a commit and an empty history: neither stops the other."""
    path = appending(partitions=6)
    _one_table(path)
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'x')" for i in range(300)))
    for number in range(2):
        path.worker(f"worker{number}")
    path.sql("UPDATE t SET v = 'y'")
    path.wait_and_judge()


@pytest.mark.parametrize("written", [True, False], ids=["written", "not written"])
@pytest.mark.parametrize("trick", ["stream expired", "no count"])
def test_C7_the_table_is_asked(appending, trick, written):
    """A request without an answer, and no count to be had from its stream: the table says whether its rows are there."""
    path = appending(partitions=1)
    table = _one_table(path)
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1, 'x'), (2, 'x')")
    path.wait_arrived()
    path.fake.fault("AppendRows", {"hold": "answer"}, table=table, when="after" if written else "before")
    path.sql("INSERT INTO t VALUES (3, 'x'), (4, 'x'), (5, 'x')")
    path.fake.wait_at("answer")
    worker.kill()
    if trick == "stream expired":
        assert path.fake.post("expire", table=table)["expired"]
    else:
        path.fake.fault("FinalizeWriteStream", {"no_count": True}, table=table, times=-1)
    path.worker("worker2")
    path.sql("UPDATE t SET v = 'y' WHERE id = 1")
    wait_for(lambda: path.fake.count(table) >= 6, lambda: f"all rows: {path.fake.rows(table)}")
    path.fake.open("answer")
    path.wait_and_judge()


@pytest.mark.thorough
def test_C7_streams_expire_while_idle(appending):
    """Four days without traffic: an empty plan, so nothing is open."""
    path = appending(partitions=1, call_idle="1s")
    table = _one_table(path)
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'x')")
    path.wait_arrived()
    path.fake.post("expire", table=table)
    path.sql("UPDATE t SET v = 'y'")
    path.wait_and_judge()


@pytest.mark.parametrize("live", [True, False], ids=["live", "while stopped"])
def test_C7_table_made_anew_stops(appending, live):
    """Dropped, or dropped and made again under the group: never a new one in its place, and how to undelete is said."""
    path = appending(partitions=1)
    table = _one_table(path)
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1, 'x')")
    path.wait_arrived()
    if not live:
        worker.must_stop()
    dataset, name = table.split(".")
    where = f"datasets/{dataset}/tables/{name}"
    resource = path.fake.rest("GET", where)[1]
    assert path.fake.rest("DELETE", where)[0] == 204
    made = {field: resource[field] for field in ("schema", "timePartitioning", "clustering", "labels", "tableConstraints") if field in resource}
    assert path.fake.rest("POST", f"datasets/{dataset}/tables", {**made, "tableReference": {"tableId": name}})[0] == 200
    if not live:
        worker = path.worker("worker2")
    path.sql("INSERT INTO t VALUES (2, 'x')")
    wait_for(lambda: "undelete" in worker.errors(), lambda: f"a stop that says how to undelete:\n{worker.text()[-3000:]}")
    assert path.fake.count(table) == 0


def test_C8_dead_letter_then_crash_then_mended(appending):
    """A row was refused and is a dead letter; a crash before the plan without it; then it would be good. It may be in both places, never in none."""
    path = appending(partitions=1)
    table = _one_table(path)
    refused = path.fake.fault("rows", {"refuse": {"column": "v", "value": "odd"}}, table=table)
    path.fake.fault("AppendRows", {"hold": "second"}, table=table, skip=1, when="before")
    worker = path.worker("worker1", worker__batch__age="500ms")
    path.sql("INSERT INTO t VALUES (1, 'good'), (2, 'odd'), (3, 'good')")
    path.fake.wait_hit(refused)
    path.fake.wait_at("second")
    worker.kill()
    path.fake.clear(refused)
    path.worker("worker2")
    path.sql("INSERT INTO t VALUES (4, 'good')")
    wait_for(lambda: {1, 3, 4} <= {row["id"] for row in path.fake.rows(table)}, lambda: f"the good rows: {path.fake.rows(table)}")
    path.fake.open("second")
    found = [row["id"] for row in path.fake.rows(table)]
    assert len(found) == len(set(found)), found
    assert len({message.key() for message in path.broker.messages(f"{path.prefix}.dead")}) == 1


# ---- what the service does on its own


def test_refused_for_now(loaded):
    """Storms of refusals, then quiet: the same bytes again after a back-off."""
    loaded.worker()
    for do in ({"error": "RESOURCE_EXHAUSTED"}, {"status": "RESOURCE_EXHAUSTED"}, {"status": "UNAVAILABLE"}, {"error": "INTERNAL"},
               {"error": "DEADLINE_EXCEEDED"}, {"status": "CANCELLED"}, {"status": "UNKNOWN"}):
        fault = loaded.fake.fault("AppendRows", do, times=4)
        loaded.fake.wait_hit(fault, 4)
        _more(loaded)
    _end(loaded)


@pytest.mark.thorough
@pytest.mark.parametrize("code, why", [("PERMISSION_DENIED", "a permission is missing"), ("INVALID_ARGUMENT", "the request is refused as a whole")])
def test_what_a_person_must_mend(appending, code, why):
    """/healthz says why; no stream is made for each try; when it is mended, the rows go in."""
    path = appending(partitions=1)
    _one_table(path)
    fault = path.fake.fault("AppendRows", {"error": code}, times=1000)
    worker = path.worker(worker__stall="2s")
    path.sql("INSERT INTO t VALUES (1, 'x')")
    path.fake.wait_hit(fault, 4)
    _, said = wait_for(lambda: (lambda answer: answer[0] == 503 and answer)(worker.get("/healthz")), "the stall in /healthz", 60)
    assert why in said, said
    assert worker.status()["warehouse"]["append"]["streams_made"] <= 3
    path.fake.clear(fault)
    path.wait_and_judge(120)
    wait_for(lambda: worker.get("/healthz")[0] == 200, lambda: worker.get("/healthz"), 60)


@pytest.mark.thorough
def test_storm_of_429_and_5xx_in_rest(loaded):
    """REST answers 429, 403 with quota reasons, 500, 503, and cut connections, while tables are made and columns added."""
    troubles = [{"http": 429, "reason": "rateLimitExceeded"}, {"http": 403, "reason": "quotaExceeded"}, {"http": 503}, {"http": 500}, {"cut": True}]
    for number, call in enumerate(("datasets.get", "tables.get", "tables.insert", "datasets.insert", "tables.patch")):
        for when in ("before", "after"):
            loaded.fake.fault(call, troubles[number], when=when)
            loaded.fake.fault(call, troubles[number - 1], when=when)
    loaded.worker()
    _more(loaded)
    loaded.sql("ALTER TABLE customers ADD COLUMN extra INT")
    _more(loaded)
    _end(loaded)


@pytest.mark.thorough
def test_calls_are_ended_by_the_server(loaded):
    """After ten minutes of silence, at GOAWAY, at a restart of the service: the call ends, the stream lives."""
    loaded.worker()
    for status in ("ABORTED", "UNAVAILABLE", "INTERNAL", "CANCELLED"):
        _more(loaded)
        loaded.fake.post("end-calls", status=status)
    _end(loaded)


@pytest.mark.parametrize("spoils", [("goaway", "truncated", "garbage", "payload"), pytest.param(("stalled",), marks=pytest.mark.thorough)], ids=["spoiled", "stalled"])
def test_frames_of_the_server(loaded, spoils):
    """GOAWAY, frames cut short, garbage, an answer of other bytes; or a connection on which nothing comes any more, which takes a PING's time to see. What was
    under way is unclear, and asked for again."""
    door = Http2Door(loaded.fake.grpc_port, seed=5)
    loaded.worker(bigquery__storage_endpoint=f"http://127.0.0.1:{door.port}")
    for how in spoils:
        _more(loaded)
        door.spoil(how)
    _more(loaded, deadline_s=180)
    wait_for(lambda: door.connections > 1, "another connection", 180)
    _end(loaded)
    door.close()


def test_idle_close_by_the_server(appending):
    """ABORTED for silence is nothing to talk about: the next row opens a call."""
    path = appending(partitions=1)
    path.fake.set(idle_s=0.3)
    _one_table(path)
    path.worker()
    for number in range(3):
        path.sql(f"INSERT INTO t VALUES ({number}, 'x')")
        path.wait_arrived()
        wait_for(lambda: path.fake.get("counters")["calls"] == 0, "the call to be closed")
    path.judge()


@pytest.mark.thorough
def test_streams_gone_under_load(loaded):
    """Streams vanish while requests are under way: NOT_FOUND is a surprise, and the table says what is in."""
    loaded.worker()
    for table in ("customers", "items"):
        _more(loaded)
        loaded.fake.post("expire", table=loaded.warehouse.history(loaded, table))
    _more(loaded)
    _end(loaded)


def test_updated_schema_comes_late(loaded):
    """The table has the column, the write side does not know it yet: rows wait, and nothing but these rows."""
    loaded.fake.set(schema_lag_s=5)
    loaded.worker()
    _more(loaded)
    loaded.sql("ALTER TABLE customers ADD COLUMN extra INT")
    _more(loaded)
    _end(loaded)


def test_tokens_expire(loaded, monkeypatch):
    """Tokens of two seconds from the metadata server, and revoked ones: nobody notices but the log."""
    monkeypatch.setenv("GCE_METADATA_HOST", loaded.fake.endpoint.removeprefix("http://"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    loaded.fake.set(tokens=[], token_life_s=2)
    loaded.worker(bigquery__credentials=None)
    for _ in range(3):
        _more(loaded)
        loaded.fake.post("revoke-tokens")
        loaded.fake.post("end-calls", status="UNAUTHENTICATED")
    loaded.load.finish()
    loaded.wait_arrived(90)
    loaded.fake.set(tokens=None)
    loaded.judge()

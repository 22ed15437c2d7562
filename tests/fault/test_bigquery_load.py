# SPDX-License-Identifier: Apache-2.0
"""The fault tests of rule D, Kafka to BigQuery by load jobs. The name is the rule. What goes wrong is said to the fake; what is true its ledger knows.

The judge at the end of each: rows = distinct identities = committed changes, in order by key, and the latest view = the source.
"""
import pytest

from lib import oracle
from lib.avro import Schemas
from lib.bigquery_judge import BigQueryWarehouse
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for

# Load jobs follow each other within seconds, not minutes.
LOADS = {"method": {"*.*": "load"}, "table_jobs": 86400, "project_jobs": 1000000, "retry": "20s"}


# 5,000 rows of 1 KiB that no compression makes smaller: two pieces of 4 MiB.
_TWO_PIECES = ["ALTER TABLE t ADD COLUMN blob1 VARBINARY(1024)", "INSERT INTO t SELECT seq, 'x', RANDOM_BYTES(1024) FROM seq_1_to_5000"]


@pytest.fixture
def loading(make_path, mariadb, broker, fake):
    """loading(partitions, freshness=..., settings of bigquery): a path, nothing started. A killed worker is missed after three seconds."""
    def make(partitions=2, freshness="1s", **settings):
        path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(fake, **{**LOADS, **settings}), topics__partitions=partitions,
                         kafka={"session.timeout.ms": 3000}, freshness={"*.*": freshness})
        path.fake = fake
        return path
    return make


@pytest.fixture
def loaded(loading):
    """Two partitions a table, a producer, and a load."""
    path = loading()
    make_tables(path)
    path.producer()
    path.load = Load(path, seed=61, rate=80).start()
    return path


def _one_table(path):
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
    path.producer()
    return f"{path.warehouse.dataset(path)}.t_history"


def _jobs(path):
    """Of this path, in the order of their making."""
    dataset = path.warehouse.dataset(path)
    return [job for job in path.fake.get("jobs")["jobs"] if job["configuration"].get("load", {}).get("destinationTable", {}).get("datasetId") == dataset]


def _wait_jobs(path, more):
    """So many jobs more are done."""
    done = lambda: sum(job["status"]["state"] == "DONE" for job in _jobs(path))
    wanted = done() + more
    wait_for(lambda: done() >= wanted, lambda: f"{wanted} load jobs: {done()}", 90, 0.1)


def _file_state(worker):
    """The states of the worker's lanes' files."""
    lanes = worker.status()["warehouse"]["append"]["lanes"]
    return {name: lane["load"]["state"] for name, lane in lanes.items() if "load" in lane}


def _end(path):
    path.load.finish()
    path.wait_and_judge(120)


def test_D1_topic_deleted_and_made_again(loading):
    """The same offsets of the same topic once more: the job ids are others, nothing is taken for loaded."""
    path = loading(partitions=1)
    table = _one_table(path)
    path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1, 'x'), (2, 'x')", "DELETE FROM t")
    path.wait_and_judge()
    for program in path.programs:
        program.kill()
    path.broker.delete_topic(path.topic("t"))
    dataset, name = table.split(".")
    assert path.fake.rest("DELETE", f"datasets/{dataset}/tables/{name}")[0] == 204
    path.first_log_file = path.server.new_log_file()  # from here on is what the judge asks for
    path.producer("producer2")
    path.worker("worker2")
    path.sql("INSERT INTO t VALUES (3, 'x'), (4, 'x')", "UPDATE t SET v = 'y' WHERE id = 4")
    path.wait_and_judge(90)
    jobs = [job["jobReference"]["jobId"] for job in _jobs(path)]
    assert len(jobs) == len(set(jobs)) >= 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("zombie", ["first", "last"])
def test_D2_paused_before_its_job_is_made(loading, when, zombie):
    """The owner's last piece stands at the door; another worker takes over the intent. Whoever makes the job first: one job, its rows once."""
    path = loading(partitions=1)
    table = _one_table(path)
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'x')" for i in range(100)))
    path.fake.fault("upload.multipart", {"hold": "door"}, table=table, when=when)
    first = path.worker("worker1")
    path.fake.wait_at("door", deadline_s=30)
    first.stop()
    if zombie == "first":
        path.fake.open("door")
    path.worker("worker2")
    wait_for(lambda: path.fake.count(table) >= 100, "the rows", 60)
    path.fake.open("door")
    first.resume()
    path.sql("UPDATE t SET v = 'y' WHERE id < 10")
    path.wait_and_judge(90)
    assert [job["statistics"]["load"]["outputRows"] for job in _jobs(path)][0] == "100"


@pytest.mark.thorough
def test_D2_paused_before_the_last_piece_of_a_large_file(loading):
    """The upload has no end yet, and its intent is committed: another worker builds the whole file again under the id; then the last piece goes."""
    path = loading(1, freshness="4s")
    table = _one_table(path)
    path.sql(*_TWO_PIECES)
    path.fake.fault("upload.put", {"hold": "door"}, table=table, skip=1)
    first = path.worker("worker1")
    path.fake.wait_at("door", deadline_s=60)
    first.stop()
    path.worker("worker2")
    wait_for(lambda: path.fake.count(table) >= 5000, "the rows", 60)
    path.fake.open("door")
    first.resume()
    path.sql("UPDATE t SET v = 'y' WHERE id < 10")
    path.wait_and_judge(90)


@pytest.mark.thorough
def test_D2_two_owners_send_the_same_intent_at_once(loading):
    """Both last pieces stand at the door, the zombie's and the new owner's, and go in together: one of them is answered 409."""
    path = loading(partitions=1)
    table = _one_table(path)
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'x')" for i in range(100)))
    path.fake.fault("upload.multipart", {"hold": "door"}, table=table, times=2)
    first = path.worker("worker1")
    path.fake.wait_at("door", deadline_s=30)
    first.stop()
    path.worker("worker2")
    path.fake.wait_at("door", 2, 90)
    path.fake.open("door")
    first.resume()
    path.sql("UPDATE t SET v = 'y' WHERE id < 10")
    path.wait_and_judge(90)
    assert len(_jobs(path)) == len({job["jobReference"]["jobId"] for job in _jobs(path)})


@pytest.mark.thorough
def test_D2_killed_at_each_step(loaded):
    """kill -9 with a file under way; with the intent committed and its last piece held; with the job made, running, done and unheard of."""
    worker = loaded.worker("worker0")
    _wait_jobs(loaded, 1)
    wait_for(lambda: "FILLING" in _file_state(worker).values(), lambda: f"a file under way: {worker.status()}", 60)
    worker.kill()
    worker = loaded.worker("worker-next")
    for turn, (call, when) in enumerate([("upload.multipart", "before"), ("upload.multipart", "after"), ("job.run", "before"), ("jobs.get", "after")], 1):
        fault = loaded.fake.fault(call, {"hold": f"door{turn}"}, when=when)
        loaded.fake.wait_at(f"door{turn}", deadline_s=30)
        worker.kill()
        worker = loaded.worker(f"worker{turn}")
        wait_rows(loaded.load, loaded.load.transactions + 50)
        loaded.fake.open(f"door{turn}")
        loaded.fake.clear(fault)
    _end(loaded)


def test_D3_rebalance_between_intent_and_insert(loaded):
    """All partitions stand between their committed intent and their job when a second worker comes: each job has the rows of its one partition."""
    first = loaded.worker("worker1")
    _wait_jobs(loaded, 1)
    fault = loaded.fake.fault("upload.multipart", {"hold": "all"}, times=-1)
    loaded.fake.wait_at("all", 2, 90)
    second = loaded.worker("worker2")
    wait_for(lambda: len(second.status()["partitions"]) > 0, "partitions at the second worker")
    loaded.fake.clear(fault)
    loaded.fake.open("all")
    wait_rows(loaded.load, loaded.load.transactions + 80)
    assert first.running() and second.running()
    _end(loaded)


def test_D4_one_bad_row_in_a_job(loading):
    """A job of 100,000 rows fails by one: nothing of it is in; the range goes by appends, which name the row. It is a dead letter, and all others are in once."""
    path = loading(partitions=1)
    table = _one_table(path)
    path.fake.fault("rows", {"refuse": {"column": "v", "value": "bad"}}, table=table)
    path.sql("INSERT INTO t SELECT seq, IF(seq = 69907, 'bad', 'good') FROM seq_1_to_100000")
    path.worker(worker__batch__rows=5000)
    wait_for(lambda: path.fake.count(table) >= 99999, lambda: f"the good rows: {path.fake.count(table)}", 120, 0.3)
    path.sql("INSERT INTO t VALUES (200000, 'good')")
    wait_for(lambda: path.fake.count(table) >= 100000 and path.lag() == 0, "the row behind", 90)
    assert any(job["status"].get("errorResult") for job in _jobs(path))
    judgement, source, schemas = oracle.Judgement("history and dead letters"), path.source_table("t"), Schemas(path.broker, path.prefix)
    letters = {message.key(): message.value() for message in path.broker.messages(f"{path.prefix}.dead")}
    dead = [schemas.read_named(value) for value in letters.values()]
    assert [row["id"] for row in dead] == [69907]
    rows = path.warehouse.history_rows(path, "t", source) + [oracle.Row(row["__op"], row["__seq"], row["__idx"], row["__source"], row["__txid"], row) for row in dead]
    oracle.judge_rows(judgement, "t", rows, path.truth()["t"], source)
    judgement.must_be_clean()


def test_D5_method_changes_back_and_forth(loaded):
    """append -> load -> append, killed at the change or not: what the mark names is resolved first."""
    worker = loaded.worker("worker0")
    for turn, method in enumerate(["append", "load", "append", "load"], 1):
        wait_rows(loaded.load, loaded.load.transactions + 150)
        following = {"bigquery": {"method": {"*.*": method}}}
        if turn % 2:
            worker.kill()
        else:
            worker.must_stop(20)
        worker = loaded.worker(f"worker{turn}", **following)
    wait_rows(loaded.load, loaded.load.transactions + 150)
    _end(loaded)


@pytest.mark.thorough
def test_D5_backlog_goes_by_load_jobs(loading):
    """auto: seconds by append; a backlog by load jobs; then by append again. Each row once, whichever way it went."""
    path = loading(1, method={"*.*": "auto"}, backlog=2000)
    table = _one_table(path)
    worker = path.worker("worker1", worker__batch__rows=500)
    path.sql("INSERT INTO t VALUES (0, 'x')")
    path.wait_arrived()
    worker.must_stop()
    path.sql("INSERT INTO t SELECT seq, 'x' FROM seq_1_to_6000")
    wait_for(lambda: path.broker.ends(path.topic("t"))[0][1] >= 6001, "the backlog in Kafka")
    path.worker("worker2", worker__batch__rows=500)
    wait_for(lambda: path.fake.count(table) >= 6001, lambda: f"the backlog: {path.fake.count(table)}", 60)
    path.sql("UPDATE t SET v = 'y' WHERE id < 3")
    path.wait_and_judge()
    jobs = {job["jobReference"]["jobId"] for job in _jobs(path)}
    ways = [row["origin"] in jobs for row in path.fake.ledger(table)]
    assert not ways[0] and any(ways) and not ways[-1], "append, load, append"


# ---- what the service does on its own


@pytest.mark.thorough
def test_answer_lost_after_the_job_was_made(loaded):
    """5xx and cut connections where jobs.insert has made the job: the same id is asked for, not made anew."""
    for do in ({"http": 503}, {"http": 500}, {"cut": True}):
        loaded.fake.fault("upload.multipart", do, when="after", times=2)
    loaded.worker()
    _wait_jobs(loaded, 6)
    _end(loaded)


def test_storm_of_429_and_5xx(loaded):
    for do in ({"http": 429, "reason": "rateLimitExceeded"}, {"http": 403, "reason": "rateLimitExceeded"}, {"http": 500}, {"http": 502}, {"http": 503}):
        for call in ("upload.multipart", "jobs.get"):
            loaded.fake.fault(call, do)
    loaded.worker()
    _wait_jobs(loaded, 6)
    _end(loaded)


def test_308_with_a_shorter_range(loading):
    """The server kept less than was sent: the rest goes again, byte by byte the same file."""
    path = loading(1, freshness="4s")
    table = _one_table(path)
    for kept in (0, 1, 1000, 262144, 262145):
        path.fake.fault("upload.put", {"short_range": kept}, table=table)
    path.sql(*_TWO_PIECES)
    path.worker()
    path.wait_and_judge(90)


@pytest.mark.thorough
def test_session_gone_before_the_seal(loading):
    """A week's sleep, or the service forgot the upload: nothing of it was committed, its rows are read again."""
    path = loading(1, freshness="4s")
    table = _one_table(path)
    path.sql(*_TWO_PIECES)
    gone = path.fake.fault("upload.put", {"http": 410, "reason": "notFound"}, table=table)
    worker = path.worker()
    path.fake.wait_hit(gone)
    assert not worker.logged("load_sealed")
    path.wait_and_judge(90)


def test_job_stays_running(loading):
    """Only this partition waits; other tables go on; /healthz says why after worker.stall; when the job is done, all is well."""
    path = loading(partitions=1)
    table = _one_table(path)
    path.sql("CREATE TABLE other (id INT PRIMARY KEY)")
    path.fake.fault("job.run", {"hold": "job"}, table=table)
    worker = path.worker(worker__stall="2s")
    path.sql("INSERT INTO t VALUES (1, 'x')", "INSERT INTO other VALUES (1)")
    path.fake.wait_at("job", deadline_s=30)
    job, = [job["jobReference"]["jobId"] for job in _jobs(path) if job["status"]["state"] == "RUNNING"]
    path.sql("INSERT INTO t VALUES (2, 'x')", "INSERT INTO other VALUES (2)")
    wait_for(lambda: path.fake.count(f"{path.warehouse.dataset(path)}.other_history") >= 2, "the other table", 30)
    assert path.fake.count(table) == 0 and worker.get("/livez")[0] == 200
    code, said = wait_for(lambda: (lambda answer: answer[0] != 200 and answer)(worker.get("/healthz")), "the stall in /healthz", 30, 0.1)
    assert code == 503 and path.topic("t") in said and job in said, said
    path.fake.open("job")
    path.wait_and_judge(90)
    wait_for(lambda: worker.get("/healthz")[0] == 200, lambda: worker.get("/healthz"), 30, 0.1)


@pytest.mark.thorough
def test_quota_is_used_up(loading):
    """Before the job is made: its partition waits, /healthz says why, and the file goes when there is quota again. Of a job that was made: by appends."""
    path = loading(partitions=1, retry="1s")
    table = _one_table(path)
    refused = path.fake.fault("upload.multipart", {"http": 403, "reason": "quotaExceeded"}, table=table, times=-1)
    worker = path.worker(worker__stall="2s")
    path.sql("INSERT INTO t VALUES (1, 'x')")
    said = wait_for(lambda: (lambda code, said: code == 503 and said)(*worker.get("/healthz")), "the stall in /healthz", 60, 0.1)
    assert "quotaExceeded" in said and path.topic("t") in said, said
    assert path.fake.count(table) == 0 and worker.running()
    path.fake.clear(refused)
    wait_for(lambda: path.fake.count(table) == 1, lambda: f"the row by its file: {_jobs(path)}", 90)
    failed = path.fake.fault("job.run", {"job_error": "quotaExceeded"}, table=table)
    path.sql("INSERT INTO t VALUES (2, 'x')")
    path.fake.wait_hit(failed)
    path.wait_and_judge(90)
    jobs = {job["jobReference"]["jobId"] for job in _jobs(path)}
    assert [row["origin"] in jobs for row in path.fake.ledger(table)] == [True, False]
    wait_for(lambda: worker.get("/healthz")[0] == 200, lambda: worker.get("/healthz"), 60, 0.1)


@pytest.mark.thorough
def test_job_fails_for_now(loaded):
    """A failed job has loaded nothing: another id, the same rows."""
    faults = [loaded.fake.fault("job.run", {"job_error": reason}, times=2) for reason in ("backendError", "rateLimitExceeded")]
    loaded.worker()
    for fault in faults:
        loaded.fake.wait_hit(fault, 2)
    _wait_jobs(loaded, 4)
    _end(loaded)

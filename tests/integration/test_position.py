# SPDX-License-Identifier: Apache-2.0
"""`kakehi-producer position`: show, and set or reset with a typed confirmation."""
import json

from lib import oracle
from lib.processes import wait_for

FAILED = 1


def _streamed(path):
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    return producer


def _record(path):
    return [json.loads(m.value()) for m in path.broker.messages(f"{path.prefix}.positions") if m.key() == b"test"][-1]


def test_show(mariadb_path):
    """Touches nothing: the producer goes on streaming."""
    path = mariadb_path
    producer = _streamed(path)
    before = producer.status()["kafka_transactions"]
    shown = path.run_producer("position")
    assert shown.popen.returncode == 0 and path.server.gtid_position() in shown.text()
    as_json = path.run_producer("position", "--json")
    assert json.loads(as_json.text())["gtid"] == path.server.gtid_position()
    path.sql("INSERT INTO t VALUES (2)")
    path.wait_and_judge()
    assert producer.status()["kafka_transactions"] > before and len(producer.logged("streaming")) == 1


def test_without_the_name_nothing_is_set(mariadb_path):
    path = mariadb_path
    _streamed(path)
    record = _record(path)
    for words in (["--set", "0-1-1"], ["--reset"], ["--set", "0-1-1", "--yes-i-mean", "other"]):
        assert path.run_producer("position", *words).popen.returncode != 0
    assert path.run_producer("position", "--set", "no position at all", "--yes-i-mean", "test").popen.returncode != 0
    assert _record(path)["gtid"] == record["gtid"]


def test_set_back_brings_rows_twice_into_the_topic_and_once_into_the_history(path):
    """The identity of a change does not depend on when it was read (rule O2); the running producer is fenced by its next change, and goes on from there."""
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    producer = path.producer()
    path.worker()
    start = path.server.gtid_position()
    path.sql("INSERT INTO t VALUES (1, 1), (2, 2)", "UPDATE t SET v = 3", "DELETE FROM t WHERE id = 2")
    path.wait_arrived()
    before = len(path.broker.messages(path.topic("t")))
    done = path.run_producer("position", "--set", start, "--yes-i-mean", "test")
    assert done.popen.returncode == 0, done.text()
    path.sql("INSERT INTO t VALUES (3, 3)")
    wait_for(lambda: len(path.broker.messages(path.topic("t"))) == 2 * before + 1, "every row once more in the topic", 60, 0.2)
    wait_for(lambda: oracle.history_count(path.sqlite_file, "t") == before + 1, "the new row")
    wait_for(lambda: path.lag() == 0, "the end")
    rows = [(row.txid, row.idx) for row in oracle.history_rows(path.sqlite_file, "t")]
    assert len(set(rows)) == len(rows) == before + 1
    assert producer.running()


def test_reset_needs_empty_topics(mariadb_path):
    """Rule A8 holds for a person too: a first start is only where nothing is."""
    path = mariadb_path
    producer = _streamed(path)
    producer.must_stop()
    done = path.run_producer("position", "--reset", "--yes-i-mean", "test")
    if done.popen.returncode == 0:
        again = path.start_producer("producer-again")
        assert again.wait(60) == FAILED and "position" in again.errors()
    assert len(path.broker.messages(path.topic("t"))) == 1

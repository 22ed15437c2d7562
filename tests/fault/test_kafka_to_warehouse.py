# SPDX-License-Identifier: Apache-2.0
"""The fault tests of the worker's rules (C), as far as SQLite goes. The name is the rule.

SQLite keeps rows and offsets in one transaction with an epoch, so what C1 to C4 prevent with BigQuery must be impossible here by construction; these tests
try. C2's table of owned partitions and its late answers, step by step with an injected warehouse, are in tests/unit (the partition machine's test).
"""
import random

import pytest
from confluent_kafka import Consumer, TopicPartition

from lib import kafka, oracle
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for
from lib.proxy import OFFSET_COMMIT

STRATEGIES = ["range", "cooperative-sticky"]


@pytest.fixture
def loaded(make_path, mariadb, broker):
    """Four partitions, a producer, and a load."""
    path = make_path(mariadb, broker, topics__partitions=4)
    make_tables(path)
    path.producer()
    path.load = Load(path, seed=41, rate=250).start()
    return path


def _group(path):
    return f"{path.prefix}|default|sqlite"


def test_C1_killed_at_random_moments(loaded):
    """kill -9, again and again, at moments drawn by a seed: every row once."""
    draw = random.Random(7)
    worker = loaded.worker("worker0", worker__batch__age="20ms", worker__batch__rows=50)
    for turn in range(1, 7):
        seen = oracle.history_count(loaded.sqlite_file, "customers")
        wait_for(lambda at=seen + draw.randrange(30): oracle.history_count(loaded.sqlite_file, "customers") >= at, lambda: f"more rows\n{worker.text()[-2000:]}", 60, 0.002)
        worker.kill()
        worker = loaded.worker(f"worker{turn}", worker__batch__age="20ms", worker__batch__rows=50)
    loaded.load.finish()
    loaded.wait_and_judge()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_C2_paused_until_its_partitions_moved(loaded, strategy):
    """The paused owner wakes up with batches, requests and commits in its hands; whatever it still says about its old partitions counts nothing."""
    settings = {"worker__kafka__partition.assignment.strategy": strategy}
    first, second = loaded.worker("worker1", **settings), loaded.worker("worker2", **settings)
    for program in (first, second):
        program.wait_logged("assigned")
    for paused, other in ((first, second), (second, first)):
        wait_rows(loaded.load, loaded.load.transactions + 200)
        paused.stop()
        wait_for(lambda p=other: _owned(p) >= _partitions(loaded), lambda p=other: f"all partitions at the other worker: {p.status()['partitions']}", 60)
        wait_rows(loaded.load, loaded.load.transactions + 100)
        paused.resume()
        wait_for(lambda p=paused: _owned(p) > 0, lambda p=paused: f"the paused worker to work again: {p.status()['partitions']}", 60)
    loaded.load.finish()
    loaded.wait_and_judge()


@pytest.mark.thorough
def test_C2_the_coordinator_starts_anew_with_a_commit_under_way(make_path, mariadb, session_folder):
    """The commit never arrives, and the group's members find a coordinator that knows them no more: the file is the record."""
    broker = kafka.Broker(session_folder / "kafka-c2", proxied=True).start()
    path = make_path(mariadb, broker, topics__partitions=2)
    make_tables(path)
    producer = path.producer()
    path.worker(**{"worker__kafka__bootstrap.servers": broker.through_proxy})
    load = Load(path, seed=45, rate=200).start()
    wait_rows(load, 150)
    broker.proxy.hold(OFFSET_COMMIT)
    wait_for(broker.proxy.holding, "a commit under way")
    broker.kill_and_restart([producer], f"{path.prefix}.positions")
    broker.wait()
    broker.proxy.release()
    wait_rows(load, load.transactions + 150)
    load.finish()
    path.wait_and_judge(120)
    broker.close()


def _owned(worker):
    return len(worker.status()["partitions"])


def _partitions(path):
    return sum(len(path.broker.ends(topic)) for topic in path.topics())


def test_C3_the_answer_to_a_commit_is_lost_while_more_rows_wait(make_path, mariadb, session_folder):
    """The Kafka commit's answer never comes: it serves lag tools only, and holds nothing up; the next owner starts by the file."""
    broker = kafka.Broker(session_folder / "kafka-c3", proxied=True).start()
    path = make_path(mariadb, broker, topics__partitions=2)
    make_tables(path)
    path.producer()
    worker = path.worker("worker1", **{"worker__kafka__bootstrap.servers": broker.through_proxy})
    load = Load(path, seed=43, rate=250).start()
    wait_rows(load, 200)
    for cut in (True, False):
        swallowed = broker.proxy.swallowed
        broker.proxy.swallow(OFFSET_COMMIT, 5, cut=cut)
        wait_for(lambda at=swallowed: broker.proxy.swallowed > at, "the answer to a commit to be swallowed")
        wait_rows(load, load.transactions + 200)
    worker.kill()
    path.worker("worker2")
    load.finish()
    path.wait_and_judge()
    broker.close()


def test_C4_rolling_restart_with_another_window_and_batch(loaded):
    """Nothing that depends on configuration is needed for recovery."""
    worker = loaded.worker("worker0")
    for turn, settings in enumerate([{"worker__dedupe__window": 0}, {"worker__dedupe__window": 5, "worker__batch__rows": 1},
                                     {"worker__dedupe__window": 100000, "worker__batch__bytes": "4KiB"}, {"worker__dedupe__memory": "64KiB"}], 1):
        wait_rows(loaded.load, loaded.load.transactions + 150)
        following = loaded.worker(f"worker{turn}", **settings)
        if turn % 2:
            worker.kill()
        else:
            worker.must_stop()
        worker = following
    loaded.load.finish()
    loaded.wait_and_judge()


def test_C4_retention_inside_the_window(mariadb_path):
    """DeleteRecords takes messages that the window still covers: the dedupe state is less, the history is the same."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    path.producer()
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 0)" for i in range(200)))
    path.wait_arrived()
    worker.kill()
    path.broker.delete_records(path.topic("t"), 0, 150)
    assert path.broker.ends(path.topic("t"))[0][0] == 150
    path.worker("worker2")
    path.sql("UPDATE t SET v = v + 1")
    wait_for(lambda: oracle.history_count(path.sqlite_file, "t") >= 400, "the updates")
    oracle.judge_sqlite(path)


def test_C4_retention_passed_what_was_not_in_stops(mariadb_path):
    """Rows were deleted in Kafka before they were in the warehouse: that is a loss, and must be said, not skipped (P1)."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)")
    path.producer()
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1)", "INSERT INTO other VALUES (1)")
    path.wait_arrived()
    worker.kill()
    path.sql("INSERT INTO t VALUES (2), (3)", "INSERT INTO t VALUES (4)")
    end = wait_for(lambda: (lambda high: high >= 6 and high)(path.broker.ends(path.topic("t"))[0][1]), "the rows in Kafka")
    path.broker.delete_records(path.topic("t"), 0, end - 1)
    again = path.worker("worker2")
    path.sql("INSERT INTO t VALUES (5)", "INSERT INTO other VALUES (2)")
    wait_for(lambda: path.topic("t") in again.errors(),
             lambda: f"a loud word about the lost rows:\n{again.text()[-3000:]}")
    assert oracle.history_count(path.sqlite_file, "t") == 1


@pytest.mark.parametrize("moved_to", ["beginning", "end"])
def test_C6_offsets_moved_by_a_tool_change_nothing(mariadb_path, moved_to):
    """The file is the record: whatever stands in the group, each row is in once."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.producer()
    worker = path.worker("worker1")
    path.sql("INSERT INTO t VALUES (1), (2), (3)")
    path.wait_arrived()
    worker.must_stop()
    path.sql("INSERT INTO t VALUES (4), (5)")
    end = wait_for(lambda: (lambda high: high >= 7 and high)(path.broker.ends(path.topic("t"))[0][1]), "the rows in Kafka")
    tool = Consumer({"bootstrap.servers": path.broker.address, "group.id": _group(path), "enable.auto.commit": False})
    tool.commit(offsets=[TopicPartition(path.topic("t"), 0, 0 if moved_to == "beginning" else end)], asynchronous=False)
    tool.close()
    path.worker("worker2")
    path.sql("DELETE FROM t WHERE id = 1")
    path.wait_and_judge()

# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT under load: both programs end within 10 s with exit code 0, and what is done is committed."""
import signal

import pytest

from lib import oracle
from lib.kafka import Broker
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_graceful_stop_under_load(mariadb_path, number):
    path = mariadb_path
    make_tables(path)
    producer, worker = path.producer(), path.worker()
    load = Load(path, seed=3, rate=300).start()
    wait_rows(load, 200)
    wait_for(lambda: oracle.history_count(path.sqlite_file, "customers") > 50, "rows in the history")
    for program in (worker, producer):
        program.signal(number)
        assert program.wait(10) == 0, program.text()[-2000:]
    load.finish()
    # What the first ones did is not done again: the next ones find nothing that is already in.
    path.producer("producer2")
    worker = path.worker("worker2")
    path.wait_and_judge()
    for name, figures in worker.status()["tables"].items():
        assert figures["already_in"] == 0 and figures["deduplicated"] == 0, (name, figures)


def test_a_stopped_worker_leaves_its_partitions_at_once(mariadb_path):
    """It leaves the group; the other one goes on well before a session time-out (here 45 s) would have passed."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.producer()
    settings = {"worker__kafka__session.timeout.ms": 45000}
    first = path.worker("worker1", **settings)
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    second = path.worker("worker2", **settings)
    first.must_stop()
    path.sql("INSERT INTO t VALUES (2)")
    path.wait_and_judge(20)
    assert second.running()


def test_stop_while_the_broker_is_away(make_path, mariadb, session_folder):
    """Nothing can be said to Kafka; the end comes all the same, and in time."""
    broker = Broker(session_folder / "kafka-goes-away").start()
    path = make_path(mariadb, broker)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    producer, worker = path.producer(), path.worker()
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    broker.kill()
    path.sql("INSERT INTO t VALUES (2)")
    for program in (producer, worker):
        program.signal(signal.SIGTERM)
    for program in (producer, worker):
        program.wait(10)
    broker.start()
    path.producer("producer2")
    path.worker("worker2")
    path.wait_and_judge()
    broker.kill()

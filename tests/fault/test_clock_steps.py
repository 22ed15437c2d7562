# SPDX-License-Identifier: Apache-2.0
"""The wall clock of our own programs steps by hours, forth and back, while rows flow: nothing may be lost or doubled, and nothing may stand still.

tests/programs/step_clock.c is the clock. More than an hour: brokers refuse messages whose time is so far ahead of their own.
"""
import itertools
import mmap
import struct
import subprocess

import pytest

from lib.bigquery_judge import BigQueryWarehouse
from lib.load import Load, make_tables
from lib.path import ROOT, build_folder
from lib.processes import wait_for

HOURS_US = 2 * 3600 * 10**6


class Clock:
    """Of the programs that are started while it is in the environment."""

    def __init__(self, file, library):
        file.write_bytes(bytes(8))
        with open(file, "r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "STEP_CLOCK": str(file)}

    def set_ahead(self, us):
        self._memory[:8] = struct.pack("=q", us)


@pytest.fixture(scope="module")
def library():
    made = build_folder() / "test" / "step_clock.so"
    subprocess.run(["make", "--no-print-directory", "-s", made.relative_to(ROOT)], cwd=ROOT, check=True, timeout=600, stdout=subprocess.DEVNULL)
    return made


@pytest.fixture
def make_clock(library, tmp_path, monkeypatch):
    def make(name):
        clock = Clock(tmp_path / name, library)
        for word, value in clock.environment.items():
            monkeypatch.setenv(word, value)
        return clock
    yield make
    monkeypatch.undo()


def _step_while_rows_flow(path, clocks):
    """Each clock in turn: ahead, right, behind, right. What is committed behind a step has to arrive."""
    load = Load(path, seed=51, rate=100).start()
    for number, (clock, ahead_us) in enumerate(itertools.product(clocks, (HOURS_US, 0, -HOURS_US, 0)), 1):
        clock.set_ahead(ahead_us)
        path.sql("INSERT INTO steps VALUES ()")
        wait_for(lambda at=number: load.error or path.warehouse.history_count(path, "steps") == at,
                 lambda: "the row behind the step\n" + "\n".join(program.text()[-2000:] for program in path.programs), 90)
    load.finish()
    path.wait_and_judge(90)


def test_clock_steps_while_rows_flow(make_path, mariadb, broker, make_clock, monkeypatch):
    """What is committed after each step arrives, and in the end every row once."""
    path = make_path(mariadb, broker, topics__partitions=2)
    make_tables(path)
    path.sql("CREATE TABLE steps (id INT AUTO_INCREMENT PRIMARY KEY)")
    clocks = [make_clock("producer.clock")]
    path.producer()
    clocks.append(make_clock("worker.clock"))
    path.worker()
    monkeypatch.undo()
    _step_while_rows_flow(path, clocks)


def test_clock_steps_of_a_worker_into_bigquery(make_path, mariadb, broker, fake, make_clock, monkeypatch):
    """By appends and by load files; days of ingest follow the clock, and no row waits for it."""
    warehouse = BigQueryWarehouse(fake, table_jobs=86400, project_jobs=1000000, method={"*.orders": "load", "*.events": "load", "*.*": "append"})
    path = make_path(mariadb, broker, warehouse, topics__partitions=1)
    make_tables(path)
    path.sql("CREATE TABLE steps (id INT AUTO_INCREMENT PRIMARY KEY)")
    path.producer()
    clock = make_clock("worker.clock")
    path.worker()
    monkeypatch.undo()
    _step_while_rows_flow(path, [clock])


def test_who_has_nothing_to_do_takes_over_after_its_clock_stepped_back(make_path, mariadb, broker, make_clock, monkeypatch):
    """A standby and a worker whose tables rest: librdkafka, which waits by the wall clock, would miss its heartbeats and its turn for hours."""
    path = make_path(mariadb, broker, topics__partitions=1, **{"worker__kafka__partition.assignment.strategy": "cooperative-sticky"})  # one topic each
    path.sql(*(f"CREATE TABLE {name} (id INT PRIMARY KEY)" for name in ("one", "two")))
    first = [path.producer(), path.worker()]
    path.sql("INSERT INTO one VALUES (1)", "INSERT INTO two VALUES (1)")
    path.wait_arrived()
    clock = make_clock("second.clock")
    path.start_producer("standby").wait_logged("standby")
    second = path.worker("second").wait_logged("assigned")
    monkeypatch.undo()
    theirs = [name for name in ("one", "two") if f"topic={path.topic(name)} " not in second.text()]  # a row of its own would wake it
    clock.set_ahead(-HOURS_US)
    for program in first:
        program.kill()
    path.sql(*(f"INSERT INTO {name} VALUES (2)" for name in theirs))
    path.wait_and_judge(90)

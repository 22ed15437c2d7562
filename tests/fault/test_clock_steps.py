# SPDX-License-Identifier: Apache-2.0
"""The wall clock of our own programs steps by hours, forth and back, while rows flow: nothing may be lost or doubled, and nothing may stand still.

tests/programs/step_clock.c is the clock. More than an hour: brokers refuse messages whose time is so far ahead of their own.
"""
import itertools
import mmap
import struct
import subprocess

import pytest

from lib import oracle
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
    load = Load(path, seed=51, rate=100).start()
    for number, (clock, ahead_us) in enumerate(itertools.product(clocks, (HOURS_US, 0, -HOURS_US, 0)), 1):
        clock.set_ahead(ahead_us)
        path.sql("INSERT INTO steps VALUES ()")
        wait_for(lambda at=number: load.error or oracle.history_count(path.sqlite_file, "steps") == at,
                 lambda: "the row behind the step\n" + "\n".join(program.text()[-2000:] for program in path.programs), 90)
    load.finish()
    path.wait_and_judge()

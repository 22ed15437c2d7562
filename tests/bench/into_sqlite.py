#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a worker carries a backlog from Kafka into SQLite, beside librdkafka consuming it and SQLite inserting the same rows.

    tests/bench/run into_sqlite [--rows N] [--partitions N] [--rounds N]

A worker is measured between two looks into the file: the first that finds rows, and the first that finds all of them.
"""
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.processes import wait_for  # noqa: E402
import figures  # noqa: E402
from backlog import Backlog  # noqa: E402

HISTORY = "rows_history"


def count(file):
    """Rows of the history, by its row numbers: no look at the rows."""
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", timeout=60, uri=True)
    except sqlite3.OperationalError:
        return 0
    try:
        return connection.execute(f"SELECT max(rowid) FROM {HISTORY}").fetchone()[0] or 0
    except sqlite3.OperationalError:  # no such file, no such table
        return 0
    finally:
        connection.close()


class IntoSqlite(Backlog):
    file = None  # the last worker's

    def worker(self):
        self.forget()
        self.file = self.folder("warehouse") / "warehouse.db"
        program = self.start_worker(sqlite__file=str(self.file), worker__batch__age="1s")
        first = wait_for(lambda: count(self.file), lambda: f"the first rows in SQLite:\n{program.text()[-3000:]}", 90, 0.005)
        watch = figures.Watch(program)
        wait_for(lambda: count(self.file) >= self.rows, lambda: f"{self.rows} rows in SQLite:\n{program.text()[-3000:]}", 600, 0.02)
        run = watch.run(self.rows - first)
        program.must_stop(30)
        return run

    def insert(self):
        other = self.path.folder / "inserted.db"
        run = figures.run_tool(self.rows, "insert_rows", self.file, HISTORY, other)
        remove(other)
        return run

    def forget(self):
        if self.file:
            remove(self.file)


def remove(file):
    """With what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def measure(folder, server, broker, rows, partitions, rounds):
    work = IntoSqlite(folder, server, broker, rows, partitions)
    print(f"{rows} rows from {partitions} partitions into SQLite, {rounds} rounds; {figures.machine()}", flush=True)
    found = figures.in_turn(rounds, {"consume": work.consume, "worker": work.worker, "insert": work.insert})
    figures.show("librdkafka consuming", found["consume"])
    figures.show("SQLite, prepared rows", found["insert"])
    figures.show("kakehi-worker", found["worker"], f"{figures.share(found['worker'], found['consume']):.0%} of consuming, "
                                                   f"{figures.share(found['worker'], found['insert']):.0%} of inserting (goal: 96 MiB)")
    work.forget()


if __name__ == "__main__":
    figures.from_command_line(measure, rows=1000000, partitions=24, rounds=3)

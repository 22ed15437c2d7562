# SPDX-License-Identifier: Apache-2.0
"""The embedded warehouse in trouble: the file locked for seconds, the disk full. Wait or stop, never lose."""
import os
import shutil
import subprocess

import pytest

from lib import oracle
from lib.load import Load, make_tables, wait_rows
from lib.processes import Process, wait_for


def test_locked_for_seconds(mariadb_path):
    """Another process holds the write lock: the worker waits, its loop turns, and nothing is lost."""
    path = mariadb_path
    make_tables(path)
    path.producer()
    worker = path.worker()
    load = Load(path, seed=21, rate=200).start()
    wait_for(lambda: oracle.history_count(path.sqlite_file, "customers") > 20, "rows in the history")
    locker = oracle.sqlite_connect(path.sqlite_file)
    locker.isolation_level = None
    locker.execute("BEGIN IMMEDIATE")
    wait_rows(load, load.transactions + 1200)  # about six seconds of load: longer than a usual busy time-out
    assert worker.get("/livez")[0] == 200 and worker.running()
    locker.execute("ROLLBACK")
    wait_rows(load, load.transactions + 100)
    locker.close()
    load.finish()
    path.wait_and_judge()


def test_several_workers_on_one_file(make_path, server, broker):
    """Three processes write rows and offsets into one file; one leaves, one is killed."""
    path = make_path(server, broker, topics__partitions=4)
    make_tables(path)
    path.producer()
    workers = [path.worker(f"worker{i}") for i in range(3)]
    load = Load(path, seed=22, rate=300).start()
    wait_rows(load, 300)
    workers[0].kill()
    wait_rows(load, 600)
    workers[1].must_stop()
    load.finish()
    path.wait_and_judge()


class SmallDisk:
    """A few megabytes of tmpfs, seen by the processes that enter its mount namespace. Works as root, and as a user where user namespaces are allowed."""

    def __init__(self, folder, size):
        self.folder = folder / "small"
        self.folder.mkdir()
        mine = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        self.holder = Process("small disk", ["unshare", "--mount", *mine, "sh", "-c", f"mount -t tmpfs -o size={size} tmpfs {self.folder} && echo ready && exec sleep 3600"],
                              folder / "small.log")
        wait_for(lambda: "ready" in self.holder.text() or not self.holder.running(), "a small disk")
        if not self.holder.running():
            pytest.skip("SKIPPED: no mount namespace here for a full disk: " + self.holder.text().strip())
        self.enter = ["nsenter", "--target", self.holder.proc().name, "--mount", "--root", *(["--user", "--preserve-credentials"] if mine else [])]

    def inside(self, name):
        """The file as everybody sees it."""
        return f"{self.holder.proc()}/root{self.folder}/{name}"

    def fill(self):
        subprocess.run(["sh", "-c", f"cat /dev/zero > {self.inside('ballast')}"], check=False, capture_output=True)

    def free(self):
        os.unlink(self.inside("ballast"))

    def copy_out(self, name, folder):
        for suffix in ("", "-wal"):
            if os.path.exists(self.inside(name + suffix)):
                shutil.copyfile(self.inside(name + suffix), folder / (name + suffix))


def test_disk_full(mariadb_path, tmp_path):
    """The disk fills under load: the worker waits (or ends with an error, and is started again); with room again everything arrives."""
    path = mariadb_path
    disk = SmallDisk(tmp_path, "24m")
    make_tables(path)
    path.producer()
    settings = {"sqlite__file": str(disk.folder / "warehouse.db")}
    worker = path.start_worker("worker", enter=disk.enter, **settings)
    load = Load(path, seed=23, rate=200).start()
    table = f"{path.database}.customers"
    appended = lambda: worker.status()["tables"].get(table, {}).get("appended", 0)
    wait_for(lambda: appended() > 20, "rows in the history")
    disk.fill()
    wait_rows(load, load.transactions + 600)
    if worker.running():
        assert worker.get("/livez")[0] == 200
    disk.free()
    load.finish()
    if not worker.running():
        worker = path.start_worker("worker-again", enter=disk.enter, **settings)

    def arrived():
        next_ones = {(p["topic"], p["partition"]): p["next"] for p in worker.status()["partitions"]}
        return all(next_ones.get(where, 0) >= end - 1 for where, end in path.ends().items())  # a transaction's marker may be the last

    wait_for(arrived, lambda: f"the rows behind the full disk: {path.ends()} {worker.status()}", 60, 0.2)
    worker.must_stop()
    disk.copy_out("warehouse.db", path.folder)
    path.judge()
    disk.holder.kill()

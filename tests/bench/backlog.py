# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of a worker share: a topic with a long backlog, what a process has used, and librdkafka's own rate on the same topic."""
import os
import re

from lib.path import build_folder
from lib.processes import Process, wait_for
from figures import cpu_seconds, peak_mib  # pylint: disable=unused-import  # for those who take all from here
from rows import fill_bulk

def fill(path, rows, partitions):
    """The topic holds all rows when this returns."""
    fill_bulk(path, "rows", rows)
    producer = path.start_producer(source__start=path.start_at, topics__partitions=partitions).wait_logged("streaming", 60)
    key = f"{path.database}.rows"
    wait_for(lambda: producer.status()["tables"].get(key, {}).get("read", 0) >= rows, f"{rows} rows in Kafka", 900, 0.2)
    producer.must_stop()


def loop_thread(worker):
    """Seconds that the worker's loop ran, and that it was ready but had no CPU."""
    folder = worker.proc()
    ran, waited, _ = (folder / "task" / folder.name / "schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def report(what, rows, wall, cpu, note=""):
    print(f"  {what:34} {rows / wall:12,.0f} rows/s {cpu / rows * 1e6:8.2f} CPU s/million rows  {note}", flush=True)


def consume(path, rows):
    """librdkafka alone; its rate."""
    started = os.times()
    tool = Process("consume", [build_folder() / "bench" / "consume", path.broker.address, path.topic("rows"), rows], path.folder / "consume.log")
    tool.wait(900)
    ended = os.times()
    found = re.search(r"consumed in ([\d.]+) s", tool.text())
    assert found, tool.text()
    wall = float(found[1])
    report("librdkafka alone", rows, wall, ended.children_user + ended.children_system - started.children_user - started.children_system, tool.text().strip())
    return rows / wall

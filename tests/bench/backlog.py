# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of a worker share: a topic with a long backlog, librdkafka's own rate on the same topic, and what a worker does with it."""
import figures
from figures import cpu_seconds
from lib.path import PathUnderTest
from lib.processes import wait_for
from rows import fill_bulk


def fill(path, rows, partitions):
    """The topic holds all rows when this returns."""
    fill_bulk(path, "rows", rows)
    producer = path.start_producer(source__start=path.start_at, topics__partitions=partitions).wait_logged("streaming", 60)
    key = f"{path.database}.rows"
    wait_for(lambda: producer.status()["tables"].get(key, {}).get("read", 0) >= rows, f"{rows} rows in Kafka", 900, 0.2)
    producer.must_stop()


class Backlog:
    """`rows` of a topic's backlog; workers take it one after the other, each as a group of its own."""

    def __init__(self, folder, server, broker, rows, partitions):
        self.path = PathUnderTest(folder / "path", "backlog", server, broker)
        self.path.start_at = server.gtid_position()
        self.rows, self.count = rows, 0
        fill(self.path, rows, partitions)

    def consume(self):
        return figures.run_tool(self.rows, "consume", self.path.broker.address, self.path.topic("rows"), self.rows)

    def start_worker(self, **changes):
        self.count += 1
        return self.path.start_worker(f"worker{self.count}", worker__group=f"group{self.count}", **changes)

    def folder(self, name):
        """A new one, for one run."""
        made = self.path.folder / f"{name}{self.count + 1}"
        made.mkdir()
        return made


def loop_thread(worker):
    """Seconds that the worker's loop ran, and that it was ready but had no CPU."""
    folder = worker.proc()
    ran, waited, _ = (folder / "task" / folder.name / "schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


class Used:
    """What worker and sink have used up to now; the difference of two is what a stretch of work took."""

    def __init__(self, worker, sink):
        self.cpu, self.sink_cpu = cpu_seconds(worker), cpu_seconds(sink)
        self.ran, self.waited = loop_thread(worker)

    def note(self, before, run):
        return (f"loop ran {self.ran - before.ran:.1f} s of {run.wall:.1f}, without a CPU {self.waited - before.waited:.1f} s, "
                f"sink {(self.sink_cpu - before.sink_cpu) / run.rows * 1e6:.2f} CPU s/million rows")

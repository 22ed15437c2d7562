#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a worker carries a backlog from Kafka into the files of load jobs, beside librdkafka's own consume rate on the same topic.

    make bench-programs && tests/bench/load.py [ROWS] [PARTITIONS]      (4000000 and 24 when not given)

The rows come from a private MariaDB through the producer, one topic. The other end is tests/bench/load_sink.py: TLS, counts rows, throws
them away. Nothing is appended. Measured is from three tenths of the
rows to eight: pieces come in bursts, before the first they fill unseen, and a file's last piece waits for the file's age. Twice, by
worker.batch.age: a batch that is not full waits for it. Prints rates, CPU seconds per million rows, peak memory of the worker, and
its rate as a share of the consume rate. All of it shares the machine, the sink too (its CPU seconds are printed): read the ratios.
"""
import json
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import databases, kafka, processes  # noqa: E402
from lib.path import PathUnderTest  # noqa: E402
from lib.processes import Process, wait_for  # noqa: E402
from backlog import consume, cpu_seconds, fill, loop_thread, peak_mib, report  # noqa: E402


def load(path, rows, age, consumed_rate):
    folder = path.folder / f"sink-{age}"
    folder.mkdir()
    sink = Process("sink", [sys.executable, "-B", Path(__file__).resolve().parent / "load_sink.py", folder, rows * 3 // 10, rows * 8 // 10], folder / "log")
    port = wait_for(lambda: re.search(r"ready (\d+)", sink.text()), "the sink", 30)[1]
    bigquery = {"project": "p", "endpoint": f"https://localhost:{port}", "credentials": "none", "ca_file": str(folder / "ca.pem"),
                "method": {"*.*": "load"}, "refresh": "command"}
    worker = path.start_worker(f"worker-{age}", warehouse="bigquery", bigquery=bigquery, freshness={"*.*": "1h"}, worker__group=age, worker__batch__age=age)

    def seen(count):
        assert worker.running() and sink.running(), worker.text()[-3000:] + sink.text()
        lines = re.findall(r"^\{.*\}$", sink.text(), re.M)
        if len(lines) >= count:
            return json.loads(lines[count - 1]), (cpu_seconds(worker), *loop_thread(worker), cpu_seconds(sink))
        return None
    first, used_first = wait_for(lambda: seen(1), lambda: f"three tenths of the rows at the sink:\n{worker.status()}\n{sink.text()}", 40, 0.01)
    last, used_last = wait_for(lambda: seen(2), lambda: f"eight tenths of the rows at the sink:\n{worker.status()}\n{sink.text()}", 40, 0.01)
    cpu, ran, waited, sink_cpu = (new - old for old, new in zip(used_first, used_last))
    wall, done = last["seconds"] - first["seconds"], last["rows"] - first["rows"]
    note = (f"peak RSS {peak_mib(worker):.0f} MiB, {last['puts']} puts, {last['bytes'] / last['rows']:.0f} bytes a row, "
            f"loop ran {ran:.1f} s of {wall:.1f}, without a CPU {waited:.1f} s, sink {sink_cpu / done * 1e6:.2f} CPU s/million rows")
    report(f"kakehi-worker, batches of {age}", done, wall, cpu, note)
    print(f"  {'':34} {100 * done / wall / consumed_rate:12.0f} % of the consume rate (goal: 70); peak RSS goal: 128 MiB", flush=True)
    for process in (worker, sink):
        process.kill()


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4000000
    partitions = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    with tempfile.TemporaryDirectory(prefix="kakehi-bench.") as name:
        try:
            folder = Path(name)
            server = databases.MariaDB(folder / "mariadb").start()
            broker = kafka.Broker(folder / "kafka").start()
            path = PathUnderTest(folder / "path", "load", server, broker)
            path.start_at = server.gtid_position()
            fill(path, rows, partitions)
            print(f"{rows} rows in {partitions} partitions; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
            rate = consume(path, rows)
            load(path, rows, "1s", rate)
            load(path, rows, "100ms", rate)
        finally:
            processes.kill_all()


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a worker carries a backlog from Kafka into the Storage Write API, beside librdkafka's own consume rate on the same topic.

    make bench-programs && tests/bench/append.py [ROWS] [PARTITIONS]      (1000000 and 24 when not given)

The rows come from a private MariaDB through the producer, one topic. The other end is tests/bench/append_sink: TLS, counts rows, throws
them away; REST is the fake of tests/servers. Measured is the time of the first nine tenths: the last batches are not full, and wait for
their age. Once with `compression: none`, once with gzip. Prints rates, CPU seconds per million rows,
peak memory of the worker, and its rate as a share of the consume rate. All of it shares the machine, the sink too (its CPU seconds
are printed): read the ratios.
"""
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import databases, kafka, processes  # noqa: E402
from lib.bigquery_judge import BigQueryWarehouse  # noqa: E402
from lib.fake_bigquery import FakeBigQuery  # noqa: E402
from lib.path import PathUnderTest, build_folder  # noqa: E402
from lib.processes import Process, wait_for  # noqa: E402
from backlog import consume, cpu_seconds, fill, loop_thread, peak_mib, report  # noqa: E402


def append(path, rows, compression, consumed_rate):
    ca_file = path.folder / f"ca-{compression}.pem"
    sink = Process("sink", [build_folder() / "bench" / "append_sink", ca_file, rows * 9 // 10], path.folder / f"sink-{compression}.log")
    port = wait_for(lambda: re.search(r"ready (\d+)", sink.text()), "the sink", 30)[1]
    fake = FakeBigQuery(path.folder / f"fake-{compression}").start()
    warehouse = BigQueryWarehouse(fake, storage_endpoint=f"https://localhost:{port}", ca_file=str(ca_file), method={"*.*": "append"}, compression=compression)
    worker = path.start_worker(f"worker-{compression}", worker__group=compression, worker__batch__age="1s", **warehouse.settings)

    def done():
        assert worker.running() and sink.running(), worker.text()[-3000:] + sink.text()
        return re.search(r"^\{.*\}$", sink.text(), re.M)
    answer = json.loads(wait_for(done, lambda: f"{rows} rows at the sink:\n{worker.text()[-3000:]}", 900, 0.01)[0])
    rows, wall = answer["rows"], answer["seconds"]
    ran, waited = loop_thread(worker)
    note = (f"peak RSS {peak_mib(worker):.0f} MiB, {answer['requests']} requests, {answer['bytes'] / answer['rows']:.0f} bytes a row, "
            f"loop ran {ran:.1f} s of {wall:.1f}, without a CPU {waited:.1f} s, sink {cpu_seconds(sink) / rows * 1e6:.2f} CPU s/million rows")
    report(f"kakehi-worker, {compression}", rows, wall, cpu_seconds(worker), note)
    print(f"  {'':34} {100 * rows / wall / consumed_rate:12.0f} % of the consume rate (goal: 40)", flush=True)
    worker.must_stop(30)
    sink.kill()
    fake.close()


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    partitions = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    with tempfile.TemporaryDirectory(prefix="kakehi-bench.") as name:
        try:
            folder = Path(name)
            server = databases.MariaDB(folder / "mariadb").start()
            broker = kafka.Broker(folder / "kafka").start()
            path = PathUnderTest(folder / "path", "append", server, broker)
            path.start_at = server.gtid_position()
            fill(path, rows, partitions)
            print(f"{rows} rows in {partitions} partitions; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
            rate = consume(path, rows)
            append(path, rows, "none", rate)
            append(path, rows, "gzip", rate)
        finally:
            processes.kill_all()


main()

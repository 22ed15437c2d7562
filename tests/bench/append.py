#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a worker appends a backlog from Kafka by the Storage Write API, beside librdkafka's own consume rate on the same topic.

    tests/bench/run append [--rows N] [--partitions N] [--rounds N]

The rows come from a private MariaDB through the producer, one topic. The other end of the appends is tests/bench/append_sink.c: gRPC over
TLS, counts rows, throws them away; of the REST interface, the tests' stand-in. Measured is the time of the first nine tenths: the last
batches are not full, and wait for their age. Prints rates, CPU seconds per million rows, peak memory
of the worker, and its rate as a share of the consume rate, by compression. All of it shares the machine, the sink too (its CPU seconds are
printed): read the ratios.
"""
import functools
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.bigquery_judge import BigQueryWarehouse  # noqa: E402
from lib.fake_bigquery import FakeBigQuery  # noqa: E402
from lib.path import build_folder  # noqa: E402
from lib.processes import Process, wait_for  # noqa: E402
import figures  # noqa: E402
from backlog import Backlog, Used  # noqa: E402


def append(work, compression):
    folder = work.folder(f"sink-{compression}")
    ca_file = folder / "ca.pem"
    sink = Process("sink", [build_folder() / "bench" / "append_sink", ca_file, work.rows * 9 // 10], folder / "log")
    port = wait_for(lambda: re.search(r"ready (\d+)", sink.text()), "the sink", 30)[1]
    fake = FakeBigQuery(folder / "fake").start()
    warehouse = BigQueryWarehouse(fake, storage_endpoint=f"https://localhost:{port}", ca_file=str(ca_file), method={"*.*": "append"}, compression=compression)
    worker = work.start_worker(worker__batch__age="1s", **warehouse.settings)
    before = Used(worker, sink)

    def done():
        assert worker.running() and sink.running(), worker.text()[-3000:] + sink.text()
        return re.search(r"^\{.*\}$", sink.text(), re.M)
    answer = json.loads(wait_for(done, lambda: f"{work.rows} rows at the sink:\n{worker.text()[-3000:]}", 900, 0.01)[0])
    after = Used(worker, sink)
    run = figures.Run(answer["rows"], answer["seconds"], after.cpu - before.cpu, figures.peak_mib(worker))
    print(f"    {compression}: {answer['requests']} requests, {answer['bytes'] / answer['rows']:.0f} bytes a row; {after.note(before, run)}", flush=True)
    worker.must_stop(30)
    sink.kill()
    fake.close()
    return run


def measure(folder, server, broker, rows, partitions, rounds, compressions=("none", "gzip")):
    work = Backlog(folder, server, broker, rows, partitions)
    print(f"{rows} rows from {partitions} partitions by appends, {rounds} rounds; {figures.machine()}", flush=True)
    found = figures.in_turn(rounds, {"consume": work.consume, **{name: functools.partial(append, work, name) for name in compressions}})
    figures.show("librdkafka consuming", found["consume"])
    for compression in compressions:
        share = figures.share(found[compression], found["consume"])
        figures.show(f"kakehi-worker, {compression}", found[compression], f"{share:.0%} of consuming{' (goal: 40 %, 128 MiB)' if compression == 'none' else ''}")


if __name__ == "__main__":
    figures.from_command_line(measure, rows=4000000, partitions=24, rounds=3)

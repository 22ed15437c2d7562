#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a worker carries a backlog from Kafka into the files of load jobs, beside librdkafka's own consume rate on the same topic.

    tests/bench/run load [--rows N] [--partitions N] [--rounds N]

The rows come from a private MariaDB through the producer, one topic. The other end is tests/bench/load_sink.py: TLS, counts rows, throws
them away. Nothing is appended. Measured is from three tenths of the rows to eight: pieces come in bursts, before the first they fill
unseen, and a file's last piece waits for the file's age (so it takes some millions of rows). Prints rates, CPU seconds per million rows, peak
memory of the worker, and its rate as a share of the consume rate. All of it shares the machine, the sink too (its CPU seconds are printed):
read the ratios.
"""
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.processes import Process, wait_for  # noqa: E402
import figures  # noqa: E402
from backlog import Backlog, Used  # noqa: E402


def load(work, freshness, limits):
    """limits: of jobs a day, keys of `bigquery`."""
    folder = work.folder("sink")
    sink = Process("sink", [sys.executable, "-B", Path(__file__).resolve().parent / "load_sink.py", folder, work.rows * 3 // 10, work.rows * 8 // 10],
                   folder / "log")
    port = wait_for(lambda: re.search(r"ready (\d+)", sink.text()), "the sink", 30)[1]
    bigquery = {"project": "p", "endpoint": f"https://localhost:{port}", "credentials": "none", "ca_file": str(folder / "ca.pem"),
                "method": {"*.*": "load"}, "refresh": "command", **limits}
    worker = work.start_worker(warehouse="bigquery", bigquery=bigquery, freshness={"*.*": freshness}, worker__batch__age="1s")

    def seen(count):
        assert worker.running() and sink.running(), worker.text()[-3000:] + sink.text()
        lines = re.findall(r"^\{.*\}$", sink.text(), re.M)
        return (json.loads(lines[count - 1]), Used(worker, sink)) if len(lines) >= count else None
    first, before = wait_for(lambda: seen(1), lambda: f"three tenths of the rows at the sink:\n{worker.status()}\n{sink.text()}", 90, 0.01)
    last, after = wait_for(lambda: seen(2), lambda: f"eight tenths of the rows at the sink:\n{worker.status()}\n{sink.text()}", 90, 0.01)
    run = figures.Run(last["rows"] - first["rows"], last["seconds"] - first["seconds"], after.cpu - before.cpu, figures.peak_mib(worker))
    print(f"    {last['puts']} puts, {last['bytes'] / last['rows']:.0f} bytes a row; {after.note(before, run)}", flush=True)
    for process in (worker, sink):
        process.kill()
    return run


def measure(folder, server, broker, rows, partitions, rounds, freshness="1h", **limits):
    """freshness: with less rows than fill pieces, files must end by their age, a moment later."""
    work = Backlog(folder, server, broker, rows, partitions)
    print(f"{rows} rows from {partitions} partitions into load files, {rounds} rounds; {figures.machine()}", flush=True)
    found = figures.in_turn(rounds, {"consume": work.consume, "load": lambda: load(work, freshness, limits)})
    figures.show("librdkafka consuming", found["consume"])
    figures.show("kakehi-worker", found["load"], f"{figures.share(found['load'], found['consume']):.0%} of consuming (goal: 70 %, 128 MiB)")


if __name__ == "__main__":
    figures.from_command_line(measure, rows=4000000, partitions=24, rounds=3)

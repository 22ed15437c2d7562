# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: how a run is measured, what a process has used, and several contenders in turn with their medians.

A figure of a shared machine means nothing alone. So whoever is compared runs in turn, several times, and a share ("54 % of librdkafka") is the
median of the shares of each round, not the share of two medians.
"""
import argparse
import contextlib
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from lib import databases, kafka, processes
from lib.path import build_folder


class Run(NamedTuple):
    rows: int
    wall: float
    cpu: float
    peak_mib: float = 0  # 0: not looked at


@contextlib.contextmanager
def workshop():
    """A folder for servers and files; when it is left, nothing runs and nothing is there any more."""
    with tempfile.TemporaryDirectory(prefix="kakehi-bench.") as name:
        try:
            yield Path(name)
        finally:
            processes.kill_all()


_SERVERS = {"mariadb": databases.MariaDB, "mysql": databases.MySQL}


def from_command_line(measure, **options):
    """measure(folder, server, broker, **options): each option as the command line says, or as it stands here; on a private server and broker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", choices=list(_SERVERS), default="mariadb", help="where the log comes from")
    for name, value in options.items():
        parser.add_argument(f"--{name}", type=(lambda text: text.split(",")) if isinstance(value, list) else type(value), default=value)
    wishes = vars(parser.parse_args())
    server = _SERVERS[wishes.pop("server")]
    with workshop() as folder:
        measure(folder, server(folder / "server").start(), kafka.Broker(folder / "kafka").start(), **wishes)


def cpu_seconds(process):
    fields = (process.proc() / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(process):
    return process.rss_peak_bytes() / 2**20


def machine():
    """For the first line of what is printed."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} CPUs ({model[1] if model else 'of an unknown kind'}), load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}"


def run_tool(rows, name, *arguments):
    """One of the programs of this folder: it says itself what its work took, without what came before and after."""
    result = subprocess.run([build_folder() / "bench" / name, *map(str, arguments)], capture_output=True, text=True, check=False,
                            env={**os.environ, "KAKEHI_TEST_PASSWORD": databases.READER_PASSWORD})
    assert result.returncode == 0, f"{name}: {result.stdout}{result.stderr}"
    took = re.search(r"in ([\d.]+) s, ([\d.]+) CPU s", result.stdout)
    return Run(rows, float(took[1]), float(took[2]))


class Watch:
    """What a program of ours does from now on: wall clock and CPU seconds."""

    def __init__(self, program):
        self.program = program
        self.begin, self.cpu = time.monotonic(), cpu_seconds(program)

    def run(self, rows):
        return Run(rows, time.monotonic() - self.begin, cpu_seconds(self.program) - self.cpu, peak_mib(self.program))


def in_turn(rounds, contenders):
    """{name: function that makes a Run} -> {name: Runs}, a round after the other."""
    found = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            found[name].append(contender())
    return found


def share(runs, others):
    """Of the others' rates, median over the rounds."""
    return statistics.median(run.rows / run.wall / (other.rows / other.wall) for run, other in zip(runs, others))


def show(name, runs, note=""):
    rates = [run.rows / run.wall for run in runs]
    cpu = statistics.median(run.cpu / run.rows * 1e6 for run in runs)
    peak = max(run.peak_mib for run in runs)
    print(f"  {name:24} {statistics.median(rates):11,.0f} rows/s ({min(rates):,.0f} to {max(rates):,.0f}) {cpu:6.2f} CPU s/million rows"
          f"{f'  peak RSS {peak:.0f} MiB' if peak else ''}{'  ' if note else ''}{note}", flush=True)


def percentile(values, part):
    """The value that `part` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def show_times(name, seconds, note=""):
    print(f"  {name:40} p50 {1000 * percentile(seconds, 0.5):7.1f} ms  p99 {1000 * percentile(seconds, 0.99):7.1f} ms  "
          f"max {1000 * max(seconds):7.1f} ms  of {len(seconds)}{'  ' if note else ''}{note}", flush=True)

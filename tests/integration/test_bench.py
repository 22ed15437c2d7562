# SPDX-License-Identifier: Apache-2.0
"""The benchmarks in small: that they run to their end and print a figure of each contender. What the figures are says nothing here."""
import re
import subprocess
import sys

import pytest

from lib.path import ROOT, build_folder

sys.path.insert(0, str(ROOT / "tests" / "bench"))
import append  # noqa: E402
import into_sqlite  # noqa: E402
import latency  # noqa: E402
import load  # noqa: E402
import producer  # noqa: E402
import views  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def programs():
    variant = build_folder().name
    made = subprocess.run(["make", "-s", f"VARIANT={variant}", "bench-programs"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def test_bench_producer(tmp_path, server, broker, capsys):
    producer.measure(tmp_path, server, broker, rows=5000, transactions=1000, rounds=1, codecs=["lz4"])
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\S+).* rows/s .* CPU s/million rows", printed, re.M) == ["librdkafka,", "kakehi-producer,", "packets"] * 2, printed


def test_bench_into_sqlite(tmp_path, mariadb, broker, capsys):
    into_sqlite.measure(tmp_path, mariadb, broker, rows=20000, partitions=4, rounds=1)
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\S+).* rows/s .* CPU s/million rows", printed, re.M) == ["librdkafka", "SQLite,", "kakehi-worker"], printed


def test_bench_latency(tmp_path, server, broker, capsys):
    latency.measure(tmp_path, server, broker, rate=200, seconds=0.5, starts=1)
    printed = capsys.readouterr().out
    assert len(re.findall(r"p50 +[\d.]+ ms  p99 +[\d.]+ ms", printed)) == 4, printed


def test_bench_load(tmp_path, mariadb, broker, capsys):
    load.measure(tmp_path, mariadb, broker, rows=20000, partitions=4, rounds=1, freshness="4s", table_jobs=86400, project_jobs=1000000)
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\S+).* rows/s .* CPU s/million rows", printed, re.M) == ["librdkafka", "kakehi-worker"], printed


def test_bench_append(tmp_path, mariadb, broker, capsys):
    append.measure(tmp_path, mariadb, broker, rows=20000, partitions=2, rounds=1, compressions=["gzip"])
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\S+).* rows/s .* CPU s/million rows", printed, re.M) == ["librdkafka", "kakehi-worker,"], printed


def test_bench_views(emulator, capsys):
    views.measure(emulator, live=3, days=1)
    printed = capsys.readouterr().out
    assert re.findall(r"^\| (\d+) \| (\d+) \| \d+ \| [\d + =]+ \| [\d.]+ \|", printed, re.M) == [("1", "3")], printed

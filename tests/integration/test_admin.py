# SPDX-License-Identifier: Apache-2.0
"""The admin port, exit codes and --help: what operators and Kubernetes ask."""
import json
import re
import subprocess

import pytest

from lib.path import build_folder
from lib.processes import wait_for

PROGRAMS = ("kakehi-producer", "kakehi-worker")
USAGE, SETTINGS = 64, 78


def _run(program, *words, **more):
    return subprocess.run([build_folder() / program, *words], capture_output=True, text=True, check=False, timeout=60, **more)


def test_endpoints_of_a_running_path(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    producer, worker = path.producer(), path.worker()
    path.sql("INSERT INTO t VALUES (1), (2)")
    path.wait_arrived()
    for program in (producer, worker):
        for where in ("/livez", "/healthz"):
            assert program.get(where)[0] == 200, where
        wait_for(lambda p=program: p.get("/readyz")[0] == 200, f"{program.name} to be ready")
        code, body = program.get("/nothing")
        assert code == 404 and "/metrics" in body
    status = producer.status()
    assert status["program"] == "kakehi-producer" and status["state"] == "STREAM" and status["source"]["name"] == "test"
    assert status["tables"][f"{path.database}.t"]["read"] == 2
    assert "MariaDB" in status["source"]["server"]
    status = wait_for(lambda: (lambda s: s["tables"].get(f"{path.database}.t", {}).get("in_flight") == 0 and s)(worker.status()), "no row in flight")
    figures = status["tables"][f"{path.database}.t"]
    assert status["program"] == "kakehi-worker" and figures["appended"] == 2 and 0 <= figures["freshness_ms"] < 600_000
    assert {(p["topic"], p["partition"]) for p in status["partitions"]} >= {(path.topic("t"), 0)}
    metrics = producer.metrics()
    assert metrics[f'kakehi_changes_read_total{{source="test",table="{path.database}.t"}}'] == 2
    assert metrics['kakehi_kafka_transactions_total{source="test"}'] >= 1
    assert any(name.startswith("kakehi_source_behind_seconds") for name in metrics)


def test_a_standby_is_ready_and_does_not_stream(mariadb_path):
    path = mariadb_path
    path.producer("active")
    standby = path.start_producer("standby")
    wait_for(lambda: standby.status()["state"] == "STANDBY", lambda: f"a standby: {standby.status()}")
    wait_for(lambda: standby.get("/readyz")[0] == 200, "the standby to be ready")
    assert not standby.logged("streaming")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(program):
    for words in (["--help"], ["run", "--help"]):
        result = _run(program, *words)
        assert result.returncode == 0 and "usage" in result.stdout.lower() and not result.stderr
    assert "prefix" in _run(program, "--help-settings").stdout
    for words in (["run", "--nonsense"], ["nonsense"], []):
        result = _run(program, *words)
        assert result.returncode == USAGE and len(result.stderr.strip().splitlines()) <= 2, result


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_names_each_library_that_is_linked(program):
    """None is left out: `readelf` says which there are."""
    other_names = {"crypto": "OpenSSL", "ssl": "OpenSSL", "yaml-0": "libyaml", "z": "zlib", "sqlite3": "SQLite"}
    version = _run(program, "--version")
    assert version.returncode == 0
    named = {re.match(r"(\S+) \S*\d+\.\d+", line)[1].removeprefix("lib") for line in version.stdout.splitlines()[1:]}
    needed = re.findall(r"NEEDED.*\[lib(.+?)\.so", subprocess.run(["readelf", "-d", build_folder() / program], check=True, capture_output=True, text=True).stdout)
    linked = {other_names.get(name, name).removeprefix("lib") for name in needed} - {"c", "m", "asan", "ubsan", "tsan", "gcc_s", "stdc++"}
    assert named == linked, version.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_settings_errors_at_once(program, tmp_path):
    """Exit 78; each error on a line of its own with the nearest name; no secret in any of them."""
    file = tmp_path / "wrong.yaml"
    file.write_text("prefx: x\nsource: {name: a, hostt: b, password: hunter2, port: many}\ntopics: {partitions: 0}\nkafka: {acks: 1}\n")
    result = _run(program, "run", "-c", file)
    assert result.returncode == SETTINGS
    for word in ("prefx", "prefix", "hostt", "host", "port", "partitions", "acks"):
        assert word in result.stderr
    assert "hunter2" not in result.stderr + result.stdout


def test_secrets_never_show(mariadb_path):
    """P7: not in the log at its most talkative, not in /status, not in argv."""
    path = mariadb_path
    programs = [path.producer(log__level="debug"), path.worker(log__level="debug")]
    for program in programs:
        said = program.text() + json.dumps(program.status()) + program.get("/metrics")[1]
        with open(program.proc() / "cmdline", encoding="utf-8") as argv:
            said += argv.read()
        assert "not-a-secret" not in said


def test_json_log_lines_are_json(mariadb_path):
    producer = mariadb_path.start_producer(log__format="json")
    wait_for(lambda: '"streaming"' in producer.text(), lambda: f"a JSON line with streaming:\n{producer.text()}")
    for line in producer.text().splitlines():
        json.loads(line)

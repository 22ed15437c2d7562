# SPDX-License-Identifier: Apache-2.0
"""`kakehi-producer decode`: recorded logs of both servers against SELECT and the server's own reader; cut and damaged files."""
import base64
import gzip
import json
import random
import subprocess

import pytest

from lib import truth
from lib.path import build_folder
from lib.values import SourceTable

DATA, NO_INPUT = 65, 66


def _decode(*files):
    return subprocess.run([build_folder() / "kakehi-producer", "decode", *files], capture_output=True, check=False, timeout=120)


def _rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def recorded(path):
    """Three small files of a log, with DDL, several tables, a rolled-back part and changed keys."""
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(30,10), f FLOAT, g DOUBLE, s VARCHAR(50), l TEXT CHARACTER SET latin1, "
             "b VARBINARY(20), fix BINARY(3), dt DATETIME(3), ts TIMESTAMP(6) NULL, tm TIME(1), da DATE, y YEAR, e ENUM('x','y'), m SET('p','q'), bo BIT(1), bi BIT(9))",
             "CREATE TABLE other (a INT, j JSON)")
    path.sql("INSERT INTO t VALUES (1, 18446744073709551615, -1.5, 0.1, 0.1, 'é😀\"\\\\', 'ü€', x'00ff', x'010000', '2026-01-02 03:04:05.678', "
             "'2026-01-02 03:04:05.678901', '-01:02:03.4', '2024-02-29', 2026, 'y', 'p,q', 1, 257)",
             "INSERT INTO t (id) VALUES (2)", "INSERT INTO other VALUES (1, '{\"b\": [1, 2.5, null], \"a\": \"x\"}')")
    path.server.new_log_file()
    path.sql("BEGIN", "UPDATE t SET s = 'changed' WHERE id = 1", "UPDATE t SET id = 3 WHERE id = 2", "DELETE FROM other", "SAVEPOINT s",
             "INSERT INTO other VALUES (5, NULL)", "ROLLBACK TO SAVEPOINT s", "INSERT INTO t (id, s) VALUES (9, 'nine')", "COMMIT")
    path.server.new_log_file()
    path.sql("ALTER TABLE t ADD COLUMN first_one INT FIRST", "DELETE FROM t WHERE id = 3", "UPDATE t SET first_one = id")
    path.server.new_log_file()
    path.files = [file for file in path.server.log_files() if file.name >= path.first_log_file][:-1]
    return path


def _expected(kind, value):
    """A column of a SELECT (lib/values.py's forms) as decode prints it."""
    if value is None or kind in ("text", "number"):
        return value
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "datetime":
        return value.replace(" ", "T")
    if kind == "timestamp":
        return value.replace(" ", "T") + "Z"
    hours, rest = divmod(abs(value), 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    return f"{'-' if value < 0 else ''}{hours:02d}:{minutes:02d}:{rest // 1_000_000:02d}.{rest % 1_000_000:06d}"


_KINDS = {"b": "bytes", "fix": "bytes", "bi": "bytes", "dt": "datetime", "ts": "timestamp", "tm": "time"}


def test_decode_gives_every_committed_change(recorded):
    """The last image of each key is the table; numbers exact, decimals as text, bytes as base64, times in ISO 8601."""
    result = _decode(*recorded.files)
    assert result.returncode == 0 and not result.stderr, result.stderr
    ours = [row for row in _rows(result) if row["table"].startswith(recorded.database + ".")]
    committed = truth.read(recorded.server, recorded.first_log_file, recorded.database)
    for name, images in committed.items():
        there = [(row["gtid"], row["op"]) for row in ours if row["table"] == f"{recorded.database}.{name}"]
        assert there == [(image.txid, image.op) for image in images]
    state = {}
    for row in ours:
        assert set(row) == {"table", "op", "before", "after", "ts", "gtid", "file", "pos", "idx"}
        assert (row["before"] is None) == (row["op"] in "ct") and (row["after"] is None) == (row["op"] in "dt")
        if row["table"].endswith(".t"):
            if row["before"]:
                del state[row["before"]["id"]]
            if row["after"]:
                state[row["after"]["id"]] = row["after"]
    table = SourceTable(recorded.server, recorded.database, "t")
    for values in table.rows:
        selected = dict(zip(table.names, values))
        wanted = {name: _expected(_KINDS.get(name, "text"), value) for name, value in selected.items()}
        got = state.pop(selected["id"])
        wanted["u"], wanted["bo"] = wanted["u"] and int(wanted["u"]), None if wanted["bo"] is None else bool(wanted["bo"])
        got["bo"] = None if got["bo"] is None else bool(got["bo"])
        if wanted["f"] is not None:  # a FLOAT prints by the digits that read back as the same float
            assert got.pop("f") == 0.1 and wanted.pop("f") == pytest.approx(0.1)
        assert got == wanted
    assert not state
    other = [row for row in ours if row["table"].endswith(".other") and row["after"]]
    document = other[0]["after"]["j"]
    assert (json.loads(document) if isinstance(document, str) else document) == {"b": [1, 2.5, None], "a": "x"}


def test_gzip_reads_the_same(recorded, tmp_path):
    packed = tmp_path / (recorded.files[0].name + ".gz")
    packed.write_bytes(gzip.compress(recorded.files[0].read_bytes()))
    assert _rows(_decode(packed)) and [{**r, "file": 0} for r in _rows(_decode(packed))] == [{**r, "file": 0} for r in _rows(_decode(recorded.files[0]))]


def test_cut_files_end_before_the_cut(recorded, tmp_path):
    """Only at the border of an event may a file end; what is printed is a beginning of the whole, nothing from behind the fault."""
    whole = recorded.files[1].read_bytes()
    lines = _decode(recorded.files[1]).stdout.splitlines()
    cut = tmp_path / recorded.files[1].name
    draw = random.Random(1)
    for size in [3, 4, 5, len(whole) - 1] + [draw.randrange(len(whole)) for _ in range(40)]:
        cut.write_bytes(whole[:size])
        result = _decode(cut)
        assert lines[:len(result.stdout.splitlines())] == result.stdout.splitlines()
        if result.returncode != 0:
            assert result.returncode == DATA and len(result.stderr.splitlines()) == 1 and cut.name in result.stderr.decode(), result.stderr
    cut.write_bytes(whole[:-1])
    assert _decode(cut).returncode == DATA


def test_flipped_bytes_are_found(recorded, tmp_path):
    """One byte changed anywhere (but in the flags of the first event, which its checksum leaves out): a checksum or a limit says so, with the position."""
    whole = bytearray(recorded.files[1].read_bytes())
    lines = _decode(recorded.files[1]).stdout.splitlines()
    damaged = tmp_path / recorded.files[1].name
    draw = random.Random(2)
    for _ in range(60):
        at = draw.choice([i for i in range(len(whole)) if i not in (21, 22)])
        copy = bytearray(whole)
        copy[at] ^= 1 << draw.randrange(8)
        damaged.write_bytes(copy)
        result = _decode(damaged)
        assert result.returncode == DATA, (at, result)
        assert len(result.stderr.splitlines()) == 1 and damaged.name in result.stderr.decode()
        assert lines[:len(result.stdout.splitlines())] == result.stdout.splitlines()


def test_a_file_that_is_not_there(tmp_path):
    result = _decode(tmp_path / "nothing")
    assert result.returncode == NO_INPUT and len(result.stderr.splitlines()) == 1


def test_a_file_that_is_no_log(tmp_path):
    (tmp_path / "text").write_text("this is not a log\n" * 100)
    assert _decode(tmp_path / "text").returncode == DATA


def test_settings_choose_tables_and_values(mariadb_path):
    """-c: the rows are what the stream would make of them."""
    path = mariadb_path
    path.sql("CREATE TABLE odd (id INT PRIMARY KEY, d DATE, z DATETIME)", "CREATE TABLE hidden (id INT PRIMARY KEY)")
    path.loose_sql("INSERT INTO odd VALUES (1, '2026-02-00', '2026-11-21 09:00:00')", "INSERT INTO hidden VALUES (1)")
    path.server.new_log_file()
    files = [file for file in path.server.log_files() if file.name >= path.first_log_file][:-1]
    decoded = path.run_producer("decode", *files, source__tables=[f"{path.database}.odd"], source__unrepresentable={"*.d": "null"},
                                source__datetime_zone={"*.z": "Asia/Tokyo"})
    assert decoded.popen.returncode == 0, decoded.text()
    (row,) = [json.loads(line) for line in decoded.text().splitlines()]
    assert row["after"] == {"id": 1, "d": None, "z": "2026-11-21T00:00:00.000000Z"}

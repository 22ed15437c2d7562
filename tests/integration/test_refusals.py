# SPDX-License-Identifier: Apache-2.0
"""Handled exactly, or refused loudly: never guessed, never skipped (P1, P4).

Each case is something that a log may hold and that a version of ours may not know yet. Two outcomes are right: every value arrives as SELECT shows
it, or the producer ends with an error that names the place, what was committed before has arrived, and nothing from behind is there.
"""
import re

import pytest

from lib import oracle
from lib.processes import wait_for

FAILED = 1
BEHIND = "CREATE TABLE behind (id INT PRIMARY KEY)"

TYPES = {
    "zero date": ("both", "DATE", "'0000-00-00'"),
    "partial date": ("both", "DATE", "'2026-02-00'"),
    "zero datetime": ("both", "DATETIME(3)", "'0000-00-00'"),
    "zero timestamp": ("both", "TIMESTAMP NULL", "0"),
    "geometry": ("both", "GEOMETRY", "ST_GeomFromText('POINT(1 2)')"),
    "utf8mb3": ("both", "VARCHAR(20) CHARACTER SET utf8mb3", "'日本é'"),
    "ascii": ("both", "VARCHAR(20) CHARACTER SET ascii", "'abc'"),
    "latin2": ("both", "VARCHAR(20) CHARACTER SET latin2", "'ąę'"),
    "cp932": ("both", "VARCHAR(20) CHARACTER SET cp932", "'表ソ'"),
    "gbk": ("both", "VARCHAR(20) CHARACTER SET gbk", "'中文'"),
    "utf16": ("both", "TEXT CHARACTER SET utf16", "'あ😀'"),
    "enum in latin2": ("both", "ENUM('ą','b') CHARACTER SET latin2", "'ą'"),
    "uuid": ("mariadb", "UUID", "'123e4567-e89b-12d3-a456-426655440000'"),
    "inet6": ("mariadb", "INET6", "'2001:db8::'"),
    "inet4": ("mariadb", "INET4", "'10.0.0.0'"),
    "compressed text": ("mariadb", "TEXT COMPRESSED", "REPEAT('long', 500)"),
    "compressed varbinary": ("mariadb", "VARBINARY(3000) COMPRESSED", "REPEAT('long', 500)"),
    "vector": ("mysql", "VECTOR(3)", "STRING_TO_VECTOR('[1,-2.5e-30,0.1]')"),
    "generated": ("both", "INT AS (id + 1) STORED", "DEFAULT"),
    "virtual": ("both", "INT AS (id + 1) VIRTUAL", "DEFAULT"),
    "invisible": ("both", "INT INVISIBLE", "5"),
}


# What a version of ours did handle stays handled.
EXACT = {"geometry", "vector", "utf8mb3", "ascii", "latin2", "cp932", "gbk", "utf16", "enum in latin2", "uuid", "inet6", "inet4", "generated", "virtual", "invisible", "compressed transactions",
         "partial json", "compressed text", "compressed varbinary", "compressed events", "rows query events", "no checksums"}


# All others are refused, each with its remedy.
_NO_PLACE, _NOT_FULL = "source.unrepresentable", "set binlog_row_image=FULL at the source"
REFUSED = {"zero date": _NO_PLACE, "partial date": _NO_PLACE, "zero datetime": _NO_PLACE, "zero timestamp": _NO_PLACE,
           "minimal images": _NOT_FULL, "noblob images": _NOT_FULL, "statement format": "set binlog_format=ROW at the source",
           "metadata without names": "set binlog_row_metadata=FULL at the source"}


# What older versions of a server (tests/conftest.py: --mariadb, --mysql) do not have.
SINCE = {("mysql", "vector"): (9, 0, 0), ("mysql", "invisible"): (8, 0, 23), ("mysql", "compressed transactions"): (8, 0, 20),
         ("mariadb", "uuid"): (10, 7, 0), ("mariadb", "inet4"): (10, 10, 0)}


# mysqlbinlog 9.7.4 loses rows of GEOMETRY tables, and prints no VECTOR.
UNWITNESSED = {("mysql", "geometry"), ("mysql", "vector")}


def _cases(table):
    return [pytest.param(server, name, id=f"{name}-{server}")
            for name, case in table.items() for server in ("mariadb", "mysql") if case[0] in ("both", server)]


class _LogPlace:
    """Where the log ends before what is odd; refused must be what follows."""

    def __init__(self, path):
        self.server = path.server
        self.file, self.begin = self._end()

    def _end(self):
        file = self.server.log_files()[-1]
        return file.name, file.stat().st_size

    def must_be_said(self, said):
        found = re.search(r"(bin\.\d+), position (\d+): ", said)
        assert found and (found[1], self._end()[0]) == (self.file, self.file) and self.begin <= int(found[2]) < self._end()[1], (said, self.file, self.begin)


def _exact_or_refused(path, producer, name, judge=None):
    """Waits for a row behind all that was odd, or for the refusal; judges what became of it, and says that it was exact, or the error."""
    path.sql("INSERT INTO behind VALUES (1)")
    wait_for(lambda: not producer.running() or oracle.history_count(path.sqlite_file, "behind") == 1,
             lambda: f"the row behind, or a refusal:\n{producer.text()[-3000:]}", 60, 0.1)
    if producer.running():
        assert name in EXACT
        (judge or path.wait_and_judge)()
        return "exact"
    assert name in REFUSED and producer.popen.returncode == FAILED, producer.text()[-3000:]
    said, = producer.errors().splitlines()
    assert REFUSED[name] in said and f"{path.database}.t" in said, said
    wait_for(lambda: path.lag() == 0, "what was committed before the refusal", 60)
    assert oracle.history_count(path.sqlite_file, "t") == 1 and oracle.history_count(path.sqlite_file, "behind") == 0
    return said


@pytest.mark.parametrize("flavor,name", _cases(TYPES))
def test_type(request, make_path, broker, flavor, name):
    path = make_path(request.getfixturevalue(flavor), broker)
    path.server.since(*SINCE.get((flavor, name), ()))
    _, kind, literal = TYPES[name]
    path.sql(f"CREATE TABLE t (id INT PRIMARY KEY, odd {kind}, after_it INT)", BEHIND)
    producer = path.producer()
    path.worker()
    connection = path.connect()
    with connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(f"INSERT INTO t (id, odd, after_it) VALUES (1, {'DEFAULT' if literal == 'DEFAULT' else 'NULL'}, 1)")
        if name in REFUSED:
            path.wait_arrived()  # the end of a stream takes the open Kafka transaction with it, which is then read again
        cursor.execute(f"INSERT INTO t (id, odd, after_it) VALUES (2, {literal}, 2)")
        cursor.execute("UPDATE t SET after_it = 3")
    said = _exact_or_refused(path, producer, name, lambda: _view_is_the_table(path) if (flavor, name) in UNWITNESSED else path.wait_and_judge())
    if said != "exact":
        assert f"transaction {path.truth()['t'][1].txid}, __idx 0: column odd of " in said, said


def _view_is_the_table(path):
    """Instead of the whole oracle where its witness errs."""
    wait_for(lambda: path.lag() == 0, "the rows", 30)
    table = path.source_table("t")
    assert sorted(table.arrived(row) for row in oracle.view_rows(path.sqlite_file, "t")) == sorted(table.rows)


LOGS = {
    "minimal images": ("both", "SET SESSION binlog_row_image = 'MINIMAL'"),
    "noblob images": ("both", "SET SESSION binlog_row_image = 'NOBLOB'"),
    "statement format": ("both", "SET SESSION binlog_format = 'STATEMENT'"),
    "compressed transactions": ("mysql", "SET SESSION binlog_transaction_compression = ON"),
    "partial json": ("mysql", "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'"),
    "rows query events": ("mysql", "SET SESSION binlog_rows_query_log_events = ON"),
}


@pytest.mark.parametrize("flavor,name", _cases(LOGS))
def test_log(request, make_path, broker, flavor, name):
    """What one session may switch on by itself, at any time, on any source."""
    path = make_path(request.getfixturevalue(flavor), broker)
    path.server.since(*SINCE.get((flavor, name), ()))
    json_type = "JSON" if flavor == "mysql" else "TEXT"
    path.sql(f"CREATE TABLE t (id INT PRIMARY KEY, v INT, doc {json_type}, b TEXT)", BEHIND)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 1, '{\"a\": 1, \"b\": [1, 2, 3]}', REPEAT('x', 300))")
    path.wait_arrived()
    place = _LogPlace(path)
    connection = path.connect()
    with connection.cursor() as cursor:
        cursor.execute(LOGS[name][1])
        cursor.execute("UPDATE t SET v = 2")
        cursor.execute("UPDATE t SET doc = JSON_SET(doc, '$.a', 99)")
        cursor.execute("INSERT INTO t VALUES (2, 5, '[]', NULL)")
        cursor.execute("DELETE FROM t WHERE id = 1")
    said = _exact_or_refused(path, producer, name)
    if said != "exact":
        place.must_be_said(said)


@pytest.mark.thorough
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_table_made_of_a_query_in_statement_format(request, make_path, broker, flavor):
    """In row format its rows stand behind its columns (test_ddl.py); here only the query does."""
    path = make_path(request.getfixturevalue(flavor), broker)
    path.server.since(*((8, 0, 21) if flavor == "mysql" else ()))  # before that not with GTID
    producer = path.producer()
    path.sql("SET SESSION binlog_format = 'STATEMENT'", "CREATE TABLE made (PRIMARY KEY (id)) AS SELECT 5 AS id")
    producer.wait(60)
    assert producer.popen.returncode == FAILED and f"{path.database}.made" in producer.errors(), producer.text()


def test_a_statement_about_a_table_that_is_not_selected(mariadb_path):
    """Its trigger changes one that is, and no row event says so. The stream stops, unless a person says that nothing hangs on the table."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE hidden (id INT PRIMARY KEY)", BEHIND,
             "CREATE TRIGGER fires AFTER INSERT ON hidden FOR EACH ROW INSERT INTO t VALUES (NEW.id)")
    tables = {"source__tables": [f"{path.database}.t", f"{path.database}.behind"]}
    producer = path.producer(**tables)
    path.worker()
    path.sql("INSERT INTO hidden VALUES (1)")
    wait_for(lambda: oracle.history_count(path.sqlite_file, "t") == 1, "the row of the trigger", 60)
    path.sql("SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO hidden VALUES (2)")
    producer.wait(60)
    assert producer.popen.returncode == FAILED and f"{path.database}.hidden" in producer.errors() and "source.exclude" in producer.errors(), producer.text()
    path.sql("INSERT INTO behind VALUES (1)")
    path.producer("again", **tables, source__exclude=[f"{path.database}.hidden"])
    wait_for(lambda: oracle.history_count(path.sqlite_file, "behind") == 1, "the row behind", 60)
    assert [row["id"] for row in oracle.view_rows(path.sqlite_file, "t")] == [1]


GLOBALS = {
    "metadata without names": ("both", "binlog_row_metadata", "MINIMAL"),
    "no checksums": ("both", "binlog_checksum", "NONE"),
    "compressed events": ("mariadb", "log_bin_compress", "ON"),
}


@pytest.mark.parametrize("flavor,name", _cases(GLOBALS))
def test_setting_of_the_server_changes_in_mid_stream(request, make_path, broker, flavor, name):
    server = request.getfixturevalue(flavor)
    path = make_path(server, broker)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT UNSIGNED, w TEXT)", BEHIND)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 4294967295, 'x')")
    path.wait_arrived()
    _, variable, value = GLOBALS[name]
    place = _LogPlace(path)
    before = server.sql(f"SELECT @@global.{variable}")[0][0]
    server.sql(f"SET GLOBAL {variable} = {value}")
    try:
        path.sql("INSERT INTO t VALUES (2, 4294967295, REPEAT('y', 1000))", "UPDATE t SET v = v - 1")
        said = _exact_or_refused(path, producer, name)
        if said != "exact":
            place.must_be_said(said)
    finally:
        server.sql(f"SET GLOBAL {variable} = {before}")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT ONE PHASE"])
def test_xa(path, end):
    """Rows of an XA transaction stand in the log at PREPARE: the stream stops, and says why. ONE PHASE is a commit like any other."""
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", BEHIND)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    one_phase = end.endswith("ONE PHASE")
    path.sql("XA START 'x'", "INSERT INTO t VALUES (2)", "XA END 'x'", *([] if one_phase else ["XA PREPARE 'x'"]), "XA COMMIT 'x' ONE PHASE" if one_phase else f"XA {end} 'x'")
    path.sql("INSERT INTO behind VALUES (1)")
    wait_for(lambda: not producer.running() or oracle.history_count(path.sqlite_file, "behind") == 1, "the row behind, or a stop", 60)
    wait_for(lambda: path.lag() == 0, "the end", 30)
    here = sorted(row["id"] for row in oracle.view_rows(path.sqlite_file, "t"))
    assert producer.running() == one_phase, producer.text()[-3000:]
    if one_phase:
        assert here == [1, 2]
    else:
        assert producer.popen.returncode == FAILED and here == [1] and "XA" in producer.errors() and "source.exclude" in producer.errors()



# SPDX-License-Identifier: Apache-2.0
"""`check` of both programs: what would lose, double or stop rows is found before it does, each with its remedy; and nothing secret is said."""
import json

import pytest

from lib.databases import READER_PASSWORD
from lib.processes import wait_for


def _findings(program):
    """[(level, subject, finding, remedy)] and the exit code, of a run with --json."""
    text = program.text()
    answer = json.loads(text[text.index("{\n"):])
    found = [(f["level"], f["subject"], f["finding"], f.get("remedy")) for f in answer["findings"]]
    assert answer["errors"] == sum(level == "error" for level, *_ in found)
    assert program.popen.returncode == (1 if answer["errors"] else 0), text
    assert all(remedy for level, _, _, remedy in found if level in ("warning", "error")), found
    assert READER_PASSWORD not in text
    return found


def _levels(found, words):
    return {level for level, subject, finding, _ in found if words in f"{subject}: {finding}"}


def test_a_path_that_works_has_no_errors(path):
    path.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO orders VALUES (1)")
    path.wait_arrived()
    for program in ("producer", "worker"):
        found = _findings(path.run_command(program, "check", "--json"))
        assert "error" not in {level for level, *_ in found}, found
        assert _levels(found, f"table {path.database}.orders") == {"ok"}
        assert _levels(found, f"topic {path.topic('orders')}: ") == {"warning"}  # one broker, one copy: said
        lines = path.run_command(program, "check").text().splitlines()
        assert len(lines) == len(found) + 1 and lines[-1].endswith(" ok"), lines
    assert _levels(_findings(path.run_command("producer", "check", "--json")), "kafka transactions") == {"ok"}


def test_tables_that_will_surprise_are_named(path):
    logged = bool(path.server.sql("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'"))  # MySQL from 9.6 on: cascades stand in the log
    path.sql("CREATE TABLE keyless (a INT)", "CREATE TABLE unique_only (a INT NOT NULL UNIQUE)", "CREATE TABLE parent (id INT PRIMARY KEY)",
             "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
             "CREATE TABLE wide (id INT PRIMARY KEY, d DECIMAL(60, 10))",
             "CREATE TABLE quiet (id INT PRIMARY KEY COMMENT 'FOREIGN KEY ON DELETE CASCADE')",
             f"CREATE TABLE plain (id INT PRIMARY KEY, at DATETIME(3) COMMENT '/* mariadb-5.3 */'{', place VECTOR(3)' if logged else ''})")
    found = _findings(path.run_producer("check", "--json", source__tables=[f"{path.database}.*", f"{path.database}.Keyless"],
                                        topics__topic={f"{path.database}.quiet": path.topic("wide")}))
    assert _levels(found, f"table {path.database}.keyless: it has no primary key") == {"warning"}
    assert _levels(found, f"table {path.database}.unique_only: it has no primary key") == {"warning"}
    assert _levels(found, f"table {path.database}.child: a foreign key") == {"note" if logged else "warning"}
    assert not _levels(found, f"table {path.database}.quiet: a foreign key")
    assert {path.database + ".quiet", path.database + ".wide"} == {subject.removeprefix("table ") for level, subject, text, _ in found
                                                                  if "topic " + path.topic("wide") in text}
    assert _levels(found, "its topic ") == {"error"}
    assert _levels(found, f"source.tables, {path.database}.Keyless: it selects no table") == {"warning"}
    assert not _levels(found, f"source.tables, {path.database}.*")
    assert not _levels(found, f"column {path.database}.plain.")
    assert _levels(found, f"table {path.database}.parent") == {"ok"}
    assert _levels(found, f"column {path.database}.wide.d") == {"note"}


def test_times_in_mariadbs_old_form_are_an_error(mariadb_path):
    path = mariadb_path
    path.server.sql("SET GLOBAL mysql56_temporal_format = OFF")
    try:
        path.sql("CREATE TABLE told (id INT PRIMARY KEY, a DATETIME, b TIMESTAMP(3) NULL, c TIME(6), d DATE)")
        found = _findings(path.run_producer("check", "--json"))
    finally:
        path.server.sql("SET GLOBAL mysql56_temporal_format = ON")
    assert [subject for level, subject, _, remedy in found if level == "error" and "mysql56_temporal_format=ON" in remedy] == [
        f"column {path.database}.told.{column}" for column in "abc"]


def test_a_server_that_may_not_be_read_is_an_error_and_all_is_said_at_once(mariadb_path):
    path = mariadb_path
    old = path.server.sql("SELECT @@GLOBAL.binlog_row_image, @@GLOBAL.binlog_row_metadata")[0]
    path.server.sql("SET GLOBAL binlog_row_image = 'MINIMAL'", "SET GLOBAL binlog_row_metadata = 'MINIMAL'")
    try:
        found = _findings(path.run_producer("check", "--json"))
    finally:
        path.server.sql(f"SET GLOBAL binlog_row_image = '{old[0]}'", f"SET GLOBAL binlog_row_metadata = '{old[1]}'")
    assert _levels(found, "binlog_row_image") == _levels(found, "binlog_row_metadata") == {"error"}


@pytest.mark.parametrize("program", ["producer", "worker"])
def test_a_topic_of_rows_that_is_compacted_is_an_error(mariadb_path, program):
    path = mariadb_path
    path.broker.create_topic(path.topic("t"), **{"cleanup.policy": "compact"})
    found = _findings(path.run_command(program, "check", "--json"))
    assert _levels(found, f"topic {path.topic('t')}: cleanup.policy") == {"error"}


def test_partitions_that_were_added_are_told(mariadb_path):
    """O7: a key's place hangs on their number. Fewer than the settings say now is how the topic was made."""
    path = mariadb_path
    path.sql("CREATE TABLE more (id INT PRIMARY KEY)", "CREATE TABLE fewer (id INT PRIMARY KEY)")
    for table in ("more", "fewer"):
        path.broker.create_topic(path.topic(table), partitions=3)
    found = _findings(path.run_producer("check", "--json", topics__partitions_by_table={f"{path.database}.more": 2, f"{path.database}.fewer": 4}))
    assert _levels(found, f"topic {path.topic('more')}: it has 3 partitions, and the settings say 2") == {"warning"}
    assert _levels(found, f"topic {path.topic('fewer')}: it keeps its 3 partitions") == {"note"}


def test_two_tables_of_one_name_in_the_warehouse_are_an_error(mariadb_path):
    """sqlite.table without {database}: the second table would not get in."""
    path = mariadb_path
    other = f"{path.database}_too"
    path.server.sql(f"CREATE DATABASE {other}")
    try:
        path.sql("CREATE TABLE t (id INT PRIMARY KEY)", f"CREATE TABLE {other}.T (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)")
        path.producer(source__tables=[f"{path.database}.*", f"{other}.*"])
        path.sql("INSERT INTO t VALUES (1)", f"INSERT INTO {other}.T VALUES (1)", "INSERT INTO u VALUES (1)")
        wait_for(lambda: len(path.broker.messages(f"{path.prefix}.schemas")) >= 3 * 2 and path.topics(), "the schemas of three tables")
        found = _findings(path.run_command("worker", "check", "--json"))
        assert _levels(found, "in the warehouse is taken by") == {"error"}
        assert _levels(found, f"table {path.database}.u") == {"ok"}
        apart = _findings(path.run_command("worker", "check", "--json", sqlite__table="{database}_{table}"))
        assert not _levels(apart, "in the warehouse is taken by")
    finally:
        path.server.sql(f"DROP DATABASE {other}")


def test_what_can_not_be_reached_is_an_error_beside_the_rest(mariadb_path, tmp_path):
    path = mariadb_path
    found = _findings(path.run_producer("check", "--json", source__user="nobody"))
    assert _levels(found, "source: ") == {"error"} and _levels(found, "kafka: ") == {"ok", "note"}
    found = _findings(path.run_command("worker", "check", "--json", sqlite__file=str(tmp_path / "no" / "such" / "folder.db")))
    assert _levels(found, "sqlite.file") == {"error"} and _levels(found, "kafka: ") == {"ok", "note"}


def test_status_says_what_the_admin_port_says(mariadb_path):
    """In a pipe a line a figure, on a terminal a table; where there is no program it says what to do."""
    path = mariadb_path
    wide = "größe_鱼瞬"
    path.sql(f"CREATE TABLE `{wide}` (id INT PRIMARY KEY)", f"INSERT INTO `{wide}` VALUES (1)")
    programs = {"producer": path.producer(source__start="earliest"), "worker": path.worker()}
    path.wait_arrived()
    for name, program in programs.items():
        at = program.admin().removeprefix("http://")
        asked = path.run_command(name, "status", "--json", **{f"{name}__listen": at})
        assert asked.popen.returncode == 0 and json.loads(asked.text())["program"] == f"kakehi-{name}"
        wait_for(lambda n=name, a=at: path.run_command(n, "status", "--health", "--at", a).popen.returncode == 0, f"{name} to be well")
        assert f"program                   kakehi-{name}" in path.run_command(name, "status", "--at", at).text()
        assert f"tables.{path.database}.{wide}." in path.run_command(name, "status", "--at", at).text()
        shown = path.run_on_terminal(name, "status", "--at", at).splitlines()
        head, row = next((line, shown[i + 1]) for i, line in enumerate(shown) if line.startswith("tables "))
        assert row.startswith(f"{path.database}.{wide} ") and len(head) == len(row) + 2, shown  # two of its letters take two columns
        unknown = path.run_command(name, "status")  # its port is any free one
        assert unknown.popen.returncode == 1 and "--at ADDRESS:PORT" in unknown.text()
    gone = path.run_command("worker", "status", "--at", "127.0.0.1:1")
    assert gone.popen.returncode == 1 and "does it run" in gone.text()
    assert path.run_command("worker", "status", "--health", worker__listen="127.0.0.1:1").popen.returncode == 1

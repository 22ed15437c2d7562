# SPDX-License-Identifier: Apache-2.0
"""The shape of a table changes in mid-stream: rows before it and rows behind it arrive by the shape that they had.

A change that rewrites stored rows without row events (MODIFY, RENAME COLUMN) shows in the latest view only once a row changes again; the tests
touch every row after it. One test a change; each goes over the producer's whole restart as well, so that the shape is found again.
"""
import json

import pytest

from lib import oracle
from lib.databases import MariaDB, MySQL
from lib.processes import wait_for

FAILED = 1


@pytest.fixture
def streaming(path):
    """A table of three rows, streamed."""
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b INT)")
    path.running_producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', NULL)")
    path.restarts = 0
    return path


def _restart(path):
    path.running_producer.kill()
    path.restarts += 1
    path.running_producer = path.producer(f"producer-again{path.restarts}")


def _ddl(path, *statements, touch="UPDATE t SET b = IFNULL(b, 0) + 1", restart=True):
    path.sql(*statements, touch)
    if restart:
        _restart(path)
        path.sql(touch, "DELETE FROM t WHERE id = 3")
    path.wait_and_judge()


def test_add_nullable_column(streaming):
    _ddl(streaming, "ALTER TABLE t ADD COLUMN c DATETIME(3) NULL", "INSERT INTO t VALUES (4, 'four', 4, '2026-01-02 03:04:05.678')")


def test_add_column_first_and_in_the_middle(streaming):
    _ddl(streaming, "ALTER TABLE t ADD COLUMN f INT FIRST", "ALTER TABLE t ADD COLUMN m TEXT AFTER id", "INSERT INTO t VALUES (7, 4, 'mid', 'four', 4)")


def test_drop_column(streaming):
    _ddl(streaming, "ALTER TABLE t DROP COLUMN a", "INSERT INTO t VALUES (4, 4)")


def test_rename_column(streaming):
    _ddl(streaming, "ALTER TABLE t RENAME COLUMN a TO z", "INSERT INTO t VALUES (4, 'four', 4)")


def test_column_drops_and_comes_again(streaming):
    streaming.sql("ALTER TABLE t DROP COLUMN a", "UPDATE t SET b = 5")
    _ddl(streaming, "ALTER TABLE t ADD COLUMN a VARCHAR(40)", "UPDATE t SET a = 'again'")


@pytest.mark.parametrize("change,value", [("b BIGINT", "9007199254740993"), ("b DECIMAL(20,4)", "12.3400"), ("a TEXT CHARACTER SET latin1", "'é'"),
                                          ("b VARCHAR(20)", "'007'"), ("a VARBINARY(20)", "x'c3ff00'"), ("b DOUBLE", "0.1")])
def test_change_type(streaming, change, value):
    """Also to a type that the warehouse keeps in another way: '007' stays text, whatever the column held before."""
    name = change.split()[0]
    _ddl(streaming, f"ALTER TABLE t MODIFY COLUMN {change}", f"UPDATE t SET {name} = {value}", touch=f"UPDATE t SET {name} = NULL WHERE id = 1",
         restart=False)


def test_rename_table(streaming):
    """A change belongs to the table's name at its time: two histories, each of its own rows. As an archive of each month is made: the old name is
    empty, and its new table begins anew; the new name has rows that were never logged as its own."""
    streaming.sql("RENAME TABLE t TO t2", "CREATE TABLE t LIKE t2", "UPDATE t2 SET b = 10", "INSERT INTO t2 VALUES (4, 'four', 4)",
                  "INSERT INTO t VALUES (2, 'again', 5)")
    _restart(streaming)
    other = streaming.database + "x"
    streaming.sql("UPDATE t2 SET b = 11", "CREATE TABLE u LIKE t", "INSERT INTO u VALUES (1, 'gone', 1)", f"CREATE DATABASE {other}",
                  f"ALTER TABLE u COMMENT '# 5', RENAME TO {other}.u", f"DROP DATABASE {other}")
    streaming.wait_and_judge(tables=["t", "u"])
    streaming.wait_and_judge(whole=False)
    assert sorted(row["id"] for row in oracle.view_rows(streaming.sqlite_file, "t2") if row["b"] == 11) == [1, 2, 3, 4]
    assert oracle.view_rows(streaming.sqlite_file, "u") == []
    assert streaming.running_producer.status()["source"]["reread_needed"] == [f"{streaming.database}.t2"]


def test_swap_of_two_tables(streaming):
    """As gh-ost and pt-online-schema-change end: the new table takes the old one's name, in one statement."""
    streaming.sql("CREATE TABLE _t_new (id INT PRIMARY KEY, a VARCHAR(20), b BIGINT, c INT)", "INSERT INTO _t_new SELECT id, a, b, id FROM t",
                  "RENAME TABLE t TO _t_old, _t_new TO t", "UPDATE t SET c = c + 1")
    streaming.wait_and_judge()
    assert oracle.view_rows(streaming.sqlite_file, "_t_new") == []


@pytest.mark.parametrize("statement", ["TRUNCATE TABLE t", "DELETE FROM t"])
def test_truncate_empties_the_view(streaming, statement):
    _ddl(streaming, statement, "INSERT INTO t VALUES (1, 'new', 1)")


def test_truncate_with_several_partitions(make_path, server, broker):
    """The truncate is in partition 0, the rows are in all: order is by (__seq, __idx), not by arrival."""
    path = make_path(server, broker, topics__partitions=4)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, b INT)")
    path.producer()
    path.worker()
    for turn in range(5):
        path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, {turn})" for i in range(40)), "UPDATE t SET b = b + 1")
        if turn < 4:
            path.sql("TRUNCATE TABLE t")
    path.wait_and_judge()


def test_drop_and_create_again(streaming):
    _ddl(streaming, "DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY, b INT, other TEXT)", "INSERT INTO t VALUES (1, 1, 'x'), (3, 3, NULL)")


def test_dropped_table_is_empty_in_the_view(streaming):
    streaming.sql("DROP TABLE t", "CREATE TABLE u (id INT PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    streaming.wait_and_judge()


def test_key_changes_shape(streaming):
    """Another primary key: later rows carry the new key. The old keys' rows stay until they change; the test moves none of them."""
    streaming.sql("TRUNCATE TABLE t", "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, a)", "INSERT INTO t VALUES (1, 'x', 1), (1, 'y', 2)")
    streaming.wait_arrived()


def test_create_table_as_select(streaming):
    streaming.server.since(*((8, 0, 21) if streaming.server.flavor == "mysql" else ()))  # before that not with GTID
    _ddl(streaming, "CREATE TABLE copied (PRIMARY KEY (id)) SELECT * FROM t", "UPDATE copied SET b = 77")


def test_reread_needed(path):
    """Rows that a statement changed without row events: the table is named in status and metrics, also after a restart, and whatever stands in quotes."""
    path.sql(*[f"CREATE TABLE {name} (id INT PRIMARY KEY)" for name in "tuvw"])
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1)", "ALTER TABLE u ADD COLUMN v INT COMMENT ', MODIFY id BIGINT'",
             "ALTER TABLE t ADD COLUMN c INT COMMENT 'issue #5', ADD COLUMN v INT NOT NULL DEFAULT 7", "INSERT INTO t VALUES (2, 2, 2)")
    with path.connect() as connection, connection.cursor() as cursor:
        for mode, statement in (("NO_BACKSLASH_ESCAPES", r"ALTER TABLE v COMMENT '\', MODIFY id BIGINT -- '"), ("ANSI_QUOTES", r'ALTER TABLE w ADD "\" INT, MODIFY id BIGINT -- "')):
            cursor.execute(f"SET SESSION sql_mode = '{mode}'")
            cursor.execute(statement)
    path.sql("INSERT INTO w VALUES (1, 2)")
    path.wait_and_judge(whole=False)
    tables = [f"{path.database}.{name}" for name in "tvw"]
    for turn in ("", "again"):
        if turn:
            producer.must_stop()
            producer = path.producer(turn)
        assert sorted(producer.status()["source"]["reread_needed"]) == tables
        metrics = producer.metrics()
        assert [[value for name, value in metrics.items() if name.startswith("kakehi_reread_needed") and f'"{table}"' in name] for table in tables] == [[1]] * 3


def test_reread_needed_by_what_is_done_to_partitions(path):
    """Rows go with a partition, or change their table with it, and no row event says so."""
    parts = "PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN (100))"
    partitioned = ("dropped", "emptied", "exchanged")
    path.sql(*(f"CREATE TABLE {name} (id INT PRIMARY KEY, v INT) {parts}" for name in partitioned),
             "CREATE TABLE taken (id INT PRIMARY KEY, v INT)", "CREATE TABLE other (id INT PRIMARY KEY)")
    producer = path.producer()
    path.worker()
    path.sql(*(f"INSERT INTO {name} VALUES (1, 1), (11, 1)" for name in partitioned), "INSERT INTO taken VALUES (2, 2)")
    path.wait_and_judge()
    path.sql("ALTER TABLE dropped DROP PARTITION low", "ALTER TABLE emptied TRUNCATE PARTITION low",
             "ALTER TABLE exchanged EXCHANGE PARTITION low WITH TABLE taken", "INSERT INTO other VALUES (1)")
    path.wait_arrived()
    assert producer.status()["source"]["reread_needed"] == [f"{path.database}.{name}" for name in ("dropped", "emptied", "exchanged", "taken")]
    path.sql("INSERT INTO dropped VALUES (1, 3)", "INSERT INTO emptied VALUES (1, 3)", "UPDATE exchanged SET v = 3", "UPDATE taken SET v = 3")
    path.wait_and_judge(whole=False)  # rows are read on by the tables as they are now


def test_reread_needed_of_columns_that_come_back(path):
    """DROP and later ADD of a name, also over a restart: the rows that are there have no such value at the source, and the old one in the view."""
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT)", "CREATE TABLE u (id INT PRIMARY KEY, a INT)")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 1)", "INSERT INTO u VALUES (1, 1)", "ALTER TABLE t DROP COLUMN a", "INSERT INTO t VALUES (2)")
    path.wait_and_judge(whole=False)
    assert producer.status()["source"]["reread_needed"] == []
    producer.must_stop()
    producer = path.producer("again")
    path.sql("ALTER TABLE t ADD COLUMN b INT", "ALTER TABLE t DROP COLUMN b, ADD COLUMN c INT", "ALTER TABLE u DROP COLUMN a, ADD COLUMN d INT",
             "INSERT INTO t VALUES (5, 5)")
    path.wait_and_judge(whole=False)
    assert producer.status()["source"]["reread_needed"] == []  # no name came back
    path.sql("ALTER TABLE t ADD COLUMN a INT")
    wait_for(lambda: producer.status()["source"]["reread_needed"] == [f"{path.database}.t"], "the table whose column came back", 60)
    path.sql("TRUNCATE TABLE t", "INSERT INTO t VALUES (3, 3, 3)", "ALTER TABLE t ADD COLUMN b INT", "INSERT INTO t VALUES (4, 4, 4, 4)")
    path.wait_and_judge()
    assert producer.status()["source"]["reread_needed"] == []  # none of the old rows is left


def test_what_empties_tables_does_so_after_a_restart(path):
    """TRUNCATE, DROP TABLE, and DROP DATABASE of each table that has rows in Kafka, by a producer that has seen no row of any of them."""
    other = path.database + "x"
    names = ("one", "tw o", "three", "four")
    create = [f"CREATE DATABASE {other}", *(f"CREATE TABLE {other}.`{name}` (id INT PRIMARY KEY)" for name in (*names, "unused"))]
    path.server.sql(*create)
    tables = [f"{path.database}.*", f"{other}.*"]
    producer = path.producer(source__tables=tables)
    path.worker(sqlite__table="{database}_{table}")
    path.server.sql(*(f"INSERT INTO {other}.`{name}` VALUES (1)" for name in names))

    def wait_read(**counts):
        expected = {f"{other}.{name}": counts.get(name, 1) for name in names}
        read = lambda: {name: table["read"] for name, table in producer.status()["tables"].items()}
        wait_for(lambda: read() == expected, lambda: f"{expected}: {read()}", 60)

    wait_read()
    producer.must_stop()
    path.server.sql(f"TRUNCATE {other}.three", f"DROP TABLE {other}.four", f"DROP DATABASE {other}")
    producer = path.producer("again", source__tables=tables)
    wait_read()
    path.server.sql(*create, f"INSERT INTO {other}.one VALUES (7)", f"DROP DATABASE {other}")
    wait_read(one=3)  # the others are empty already
    for name in names:
        table, ops = f"{other}_{name}", "cctt" if name == "one" else "ct"
        wait_for(lambda t=table, count=len(ops): oracle.history_count(path.sqlite_file, t) >= count, f"the rows of {name}", 60)
        assert "".join(sorted(row.op for row in oracle.history_rows(path.sqlite_file, table))) == ops
        assert oracle.view_rows(path.sqlite_file, table) == []


def test_statements_of_a_client_in_another_character_set(path):
    """Servers log a statement as its client sent it: the name of a table in latin1, and in GBK, where the second byte of a character may be a quote."""
    names = {"latin1": "größe", "gbk": "鱼瞏"}
    path.sql(*[f"CREATE TABLE `{name}` (id INT PRIMARY KEY, v VARCHAR(20))" for name in names.values()])
    path.producer()
    path.worker()
    path.sql(*[f"INSERT INTO `{name}` VALUES (1, 'gone'), (2, 'gone')" for name in names.values()])
    with path.connect() as connection:
        for charset, name in names.items():
            connection.query(f"SET NAMES {charset}")
            for statement in ("TRUNCATE `{}`", "ALTER TABLE `{}` MODIFY v VARCHAR(30) NOT NULL", "INSERT INTO `{}` VALUES (3, 'ö')"):
                connection.query(statement.format(name).encode(charset, "replace"))
    for name in names.values():
        wait_for(lambda name=name: oracle.history_count(path.sqlite_file, name) >= 4, f"the rows of {name}")
        assert [row.op for row in oracle.history_rows(path.sqlite_file, name)] == ["c", "c", "t", "c"]
        assert [row["id"] for row in oracle.view_rows(path.sqlite_file, name)] == [3]
        assert f"{path.database}.{name}" in json.dumps(path.programs[0].status(), ensure_ascii=False), "it is said that the table was altered"


@pytest.mark.parametrize("kind", [MariaDB, pytest.param(MySQL, marks=pytest.mark.thorough)])
def test_statements_about_names_that_the_server_keeps_in_lower_case(make_path, session_folder, broker, kind):
    """lower_case_table_names=1: rows say orders, and a statement what its client wrote. Patterns that could match nothing there are refused."""
    server = kind(session_folder / f"{kind.flavor}-lower", ["--lower-case-table-names=1"]).start()
    path = make_path(server, broker)
    names = {"orders": "Orders", "größe": "GRÖßE"}
    path.sql(*[f"CREATE TABLE `{name}` (id INT PRIMARY KEY, v VARCHAR(20))" for name in names])
    producer = path.producer()
    path.worker()
    for name, written in names.items():
        path.sql(f"INSERT INTO `{name}` VALUES (1, 'gone'), (2, 'gone')", f"TRUNCATE `{path.database.upper()}`.`{written}`",
                 f"ALTER TABLE `{written}` MODIFY v VARCHAR(30) NOT NULL", f"INSERT INTO `{written}` VALUES (3, 'here')")
    for name in names:
        wait_for(lambda name=name: oracle.history_count(path.sqlite_file, name) >= 4, f"the rows of {name}")
        assert [row.op for row in oracle.history_rows(path.sqlite_file, name)] == ["c", "c", "t", "c"]
        assert [row["id"] for row in oracle.view_rows(path.sqlite_file, name)] == [3]
    assert sorted(producer.status()["source"]["reread_needed"]) == sorted(f"{path.database}.{name}" for name in names)
    assert len(path.topics()) == len(names)
    producer.must_stop()
    for setting in ("tables", "exclude"):
        changes = {f"source__{setting}": [f"{path.database}.Orders"]}
        assert f"source.{setting} {path.database}.Orders" in path.run_producer("check", **changes).text()
        refused = path.run_producer("run", **changes)
        assert refused.popen.returncode == FAILED and "write it in lower case" in refused.errors(), refused.text()
    server.kill()


def test_a_table_of_1000_columns_grows(mariadb_path):
    """Almost as many as InnoDB has, then one more: topic, history and view hold them all."""
    path = mariadb_path
    columns = [f"c{number}" for number in range(1, 1000)]
    path.sql("CREATE TABLE wide (id INT PRIMARY KEY, " + ", ".join(f"{name} INT" for name in columns) + ")")
    path.producer()
    path.worker()
    path.sql("INSERT INTO wide VALUES (1, " + ", ".join(str(number) for number in range(1, 1000)) + ")", "INSERT INTO wide (id, c999) VALUES (2, 7)",
             "ALTER TABLE wide ADD COLUMN last INT", "UPDATE wide SET last = 8, c1 = NULL WHERE id = 1", "DELETE FROM wide WHERE id = 2")
    path.wait_and_judge()

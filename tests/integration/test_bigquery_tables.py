# SPDX-License-Identifier: Apache-2.0
"""Histories and views while rows stream: the worker makes and changes them; and what it does when somebody drops one under it."""
import pytest

from lib.bigquery_judge import BigQueryWarehouse
from lib.histories import Rest
from lib.processes import wait_for


@pytest.fixture
def path(make_path, mariadb, broker, emulator):
    made = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator))
    made.rest = Rest(emulator)
    return made


def _fields(path, name):
    table = path.rest.table(path.database, name)
    return {field["name"]: field["type"] for field in table["schema"]["fields"]} if table else {}


def _start(path, **worker):
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b BIGINT)")
    path.producer()
    made = path.worker(**worker)
    path.sql("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', NULL)")
    path.wait_arrived()
    return made


def _view(path, what="*"):
    return path.rest.query(f"SELECT {what} FROM `p.{path.database}.t` ORDER BY id")


def _wait_view(path, expected, what="*"):
    wait_for(lambda: path.rest.table(path.database, "t") and _try_view(path, what) == expected, lambda: f"{expected}; there is {_try_view(path, what)}", 90)


def _try_view(path, what):
    try:
        return _view(path, what)
    except Exception as error:  # pylint: disable=broad-except
        return str(error)


@pytest.mark.parametrize("kind", ["plain", "base"])
def test_the_view_is_there_with_the_first_rows_and_follows_the_columns(path, kind):
    _start(path, bigquery__view={"*.*": kind})
    _wait_view(path, [("1", "one", "1"), ("2", "two", "2"), ("3", "three", None)], "id, a, b")
    path.sql("ALTER TABLE t ADD COLUMN c DATE", "INSERT INTO t VALUES (4, 'four', 4, '2026-01-02')", "DELETE FROM t WHERE id = 1")
    path.wait_arrived()
    _wait_view(path, [("2", "two", "2", None), ("3", "three", None, None), ("4", "four", "4", "2026-01-02")], "id, a, b, c")
    assert bool(path.rest.table(path.database, "t_base")) == (kind == "base")


def _table_beside_partition_0(path):
    """The name of a table with one row, in another partition than 0. A key's partition depends on the schema, and so on the database's name."""
    for number in range(12):
        name = f"t{number}"
        path.sql(f"CREATE TABLE {name} (id INT PRIMARY KEY, a VARCHAR(20), b INT)", f"INSERT INTO {name} VALUES (1, 'one', 1)")
        path.wait_arrived()
        if path.broker.ends(path.topic(name))[0] == (0, 0):
            return name
    raise AssertionError("no key goes beside partition 0")


def test_the_view_of_a_table_whose_partition_0_stays_empty(path):
    """Whoever owns partition 0 meets no row: it finds the history by its topic, made by the other worker or by a lane of its own."""
    path.producer(topics__partitions=4)
    path.worker("one")
    path.worker("two")
    name = _table_beside_partition_0(path)
    wait_for(lambda: path.rest.table(path.database, name), f"the view of {name}", 90)
    assert path.rest.query(f"SELECT id, a FROM `p.{path.database}.{name}`") == [("1", "one")]


def test_a_wider_type_widens_and_another_gets_a_further_column(path):
    worker = _start(path)
    path.sql("ALTER TABLE t MODIFY b BIGINT UNSIGNED, MODIFY a VARBINARY(20)", "INSERT INTO t VALUES (4, x'c3ff00', 18446744073709551615)", "UPDATE t SET a = x'01' WHERE id = 1")
    path.wait_arrived()
    fields = _fields(path, "t_history")
    assert (fields["b"], fields["a"], fields["a__bytes"]) == ("NUMERIC", "STRING", "BYTES")
    _wait_view(path, [("1", None, "AQ=="), ("2", "two", None), ("3", "three", None), ("4", None, "w/8A")], "id, a, a__bytes")
    assert _view(path, "b")[3] == ("18446744073709551615",)
    assert [value for name, value in worker.metrics().items() if name.startswith("kakehi_bigquery_columns_further_total")] == [1]


def test_by_policy_rows_of_another_type_go_to_the_dead_letters(path):
    worker = _start(path, bigquery__on_type_change="dead_letter")
    path.sql("ALTER TABLE t MODIFY a VARBINARY(20)", "INSERT INTO t VALUES (4, x'c3ff00', 4)", "INSERT INTO t VALUES (5, x'00', 5)")
    wait_for(lambda: worker.status()["tables"][f"{path.database}.t"]["dead_lettered"] == 2, lambda: worker.status(), 30)
    assert "a__bytes" not in _fields(path, "t_history")
    _wait_view(path, [("1",), ("2",), ("3",)], "id")


def test_the_view_is_what_the_table_is_whichever_partition_tells(path):
    """Dropped columns leave it (by setting) and come back, and the key changes, though no row of partition 0 ever says so."""
    path.producer(topics__partitions=4)
    path.worker("one", bigquery__columns="current")
    path.worker("two", bigquery__columns="current")
    name = _table_beside_partition_0(path)
    shown = lambda: list(_fields(path, name))
    wait_for(lambda: shown() == ["id", "a", "b"], shown, 90)
    path.sql(f"ALTER TABLE {name} DROP COLUMN a", f"UPDATE {name} SET b = 7")
    wait_for(lambda: shown() == ["id", "b"], shown, 90)
    path.sql(f"ALTER TABLE {name} ADD COLUMN a VARCHAR(20) AFTER id", f"UPDATE {name} SET a = 'again'")  # the very shape that it had
    wait_for(lambda: shown() == ["id", "a", "b"], shown, 90)
    assert path.rest.query(f"SELECT * FROM `p.{path.database}.{name}`") == [("1", "again", "7")]
    assert path.broker.ends(path.topic(name))[0] == (0, 0)
    path.sql(f"ALTER TABLE {name} DROP PRIMARY KEY, ADD PRIMARY KEY (b, id)", f"UPDATE {name} SET a = 'keyed'")
    keyed = lambda: path.rest.table(path.database, name)["view"]["query"].count("PARTITION BY `b`, `id`") == 1
    wait_for(keyed, lambda: path.rest.table(path.database, name)["view"]["query"], 90)


def test_a_history_that_is_dropped_stops_its_table_and_is_not_made_again(path):
    worker = _start(path)
    path.rest.call("DELETE", f"/datasets/{path.database}/tables/t_history")
    path.sql("INSERT INTO t VALUES (4, 'four', 4)")
    worker.wait_logged("stopped", 60)
    assert "Nothing is made in its place" in worker.text()
    assert path.rest.table(path.database, "t_history") is None


def test_a_table_of_somebody_else_is_left_alone(path):
    path.rest.call("POST", "/datasets", {"datasetReference": {"projectId": "p", "datasetId": path.database}, "location": "US", "labels": {"kakehi_owner": path.prefix}})
    path.rest.call("POST", f"/datasets/{path.database}/tables", {"tableReference": {"projectId": "p", "datasetId": path.database, "tableId": "t"},
                                                                "schema": {"fields": [{"name": "theirs", "type": "STRING"}]}})
    worker = _start(path)
    worker.wait_logged("view-not-refreshed", 90)
    code, why = worker.get("/healthz")
    assert code == 503 and f"{path.database}.t is there, but not as the view of" in why and "kakehi-worker views" in why, why
    assert list(_fields(path, "t")) == ["theirs"]
    assert len(path.rest.query(f"SELECT id FROM `p.{path.database}.t_history`")) == 3, "rows go on"

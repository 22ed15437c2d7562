# SPDX-License-Identifier: Apache-2.0
"""What the settings choose for columns: values that have no place in their type, and DATETIME that holds a zone's wall clock."""
from lib import oracle
from lib.processes import wait_for

FAILED = 1


def _rows(path, table, changes):
    wait_for(lambda: oracle.history_count(path.sqlite_file, table) == changes, "the changes", 60)
    return {row["id"]: row for row in oracle.view_rows(path.sqlite_file, table)}


ODD = ("CREATE TABLE odd (id INT PRIMARY KEY, d DATE, dt DATETIME(3), ts TIMESTAMP(1) NULL, s VARCHAR(20) CHARACTER SET sjis, ok DATE)",
       "INSERT INTO odd VALUES (1, '2026-02-00', '0000-00-00', 0, x'41854042', '2026-02-03')",
       "INSERT INTO odd VALUES (2, '2026-11-21', '2026-11-21 01:02:03.456', '2026-11-21 01:02:03.4', x'955c', NULL)", "UPDATE odd SET ok = '2000-01-01'")


def test_null(path):
    path.sql(ODD[0])
    producer = path.producer(source__unrepresentable={f"{path.database}.odd.*": "null"})
    path.worker()
    path.loose_sql(*ODD[1:])
    rows = _rows(path, "odd", 4)
    assert [rows[1][name] for name in ("d", "dt", "ts", "s", "ok")] == [None, None, None, None, "2000-01-01"]
    assert [rows[2][name] for name in ("d", "dt", "ts", "s")] == ["2026-11-21", "2026-11-21 01:02:03.456000", "2026-11-21 01:02:03.400000", "表"]
    counted = {name: value for name, value in producer.metrics().items() if "unrepresentable" in name}
    assert list(counted.values()) == [4 + 8], counted  # of the insert; of both images of the update


def test_text(path):
    path.sql(ODD[0])
    path.producer(source__unrepresentable={f"{path.database}.odd.ok": "stop", "*": "text"})
    path.worker()
    path.loose_sql(*ODD[1:])
    rows = _rows(path, "odd", 4)
    assert [rows[1][name] for name in ("d", "dt", "ts", "s", "ok")] == ["2026-02-00", "0000-00-00 00:00:00.000", "0000-00-00 00:00:00.0", "A\\x85@B", "2000-01-01"]
    assert [rows[2][name] for name in ("d", "dt", "ts", "s")] == ["2026-11-21", "2026-11-21 01:02:03.456", "2026-11-21 01:02:03.4", "表"]


def test_a_decimal_too_wide_stops_by_policy(mariadb_path):
    """Nothing of the row is stored; with the default policy it goes on from there, every digit kept, and the column was not another one for SQLite."""
    path = mariadb_path
    path.sql("CREATE TABLE wide (id INT PRIMARY KEY, n DECIMAL(65,2))")
    producer = path.producer(source__wide_decimals="stop")
    path.worker()
    path.sql(f"INSERT INTO wide VALUES (1, {'9' * 38}.99)", f"INSERT INTO wide VALUES (2, {'9' * 39}.99)")
    assert producer.wait(60) == FAILED and "column n of" in producer.errors(), producer.text()[-2000:]
    path.producer("again")
    path.wait_and_judge()


def test_a_key_can_not_be_null(path):
    path.sql("CREATE TABLE k (d DATE PRIMARY KEY)")
    producer = path.producer(source__unrepresentable={"*": "null"})
    path.loose_sql("INSERT INTO k VALUES ('0000-00-00')")
    assert producer.wait(60) == FAILED and "null in the primary key" in producer.errors(), producer.text()[-2000:]


def test_wall_clock_of_a_zone(path):
    path.sql("CREATE TABLE z (id INT PRIMARY KEY, tokyo DATETIME(3), berlin DATETIME, plain DATETIME)")
    path.producer(source__datetime_zone={"*.z.tokyo": "Asia/Tokyo", "*.z.berlin": "Europe/Berlin"}, source__unrepresentable={"*.berlin": "null"})
    path.worker()
    path.loose_sql("INSERT INTO z VALUES (1, '2026-11-21 09:00:00.125', '2026-07-01 12:00:00', '2026-07-01 12:00:00')",
                   "INSERT INTO z VALUES (2, '1950-07-01 12:00:00', '2026-03-29 02:30:00', '2026-03-29 02:30:00')",
                   "INSERT INTO z VALUES (3, NULL, '2026-10-25 02:30:00', NULL)")
    rows = _rows(path, "z", 3)
    assert rows[1]["tokyo"] == "2026-11-21 00:00:00.125000" and rows[2]["tokyo"] == "1950-07-01 02:00:00.000000"
    assert [rows[i]["berlin"] for i in (1, 2, 3)] == ["2026-07-01 10:00:00.000000", None, "2026-10-25 00:30:00.000000"]
    assert rows[1]["plain"] == "2026-07-01 12:00:00.000000"


def test_a_zone_that_is_not_known(path):
    refused = path.start_producer(source__datetime_zone={"*": "Asia/Tokio"})
    assert refused.wait(30) != 0 and "Asia/Tokio" in refused.text(), refused.text()

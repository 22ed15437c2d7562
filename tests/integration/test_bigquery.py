# SPDX-License-Identifier: Apache-2.0
"""The whole path into BigQuery: exact values by both methods (append, load), schema changes, names, views, the tables without a key.

Both methods must give the same rows, and those of the source. The emulator says what BigQuery's SQL makes of them; the fake has what the
emulator lacks: BIGNUMERIC beyond 38 digits.
"""
import datetime
import json

import pytest

from lib import column_types
from lib.bigquery_judge import BigQueryWarehouse, mapped_name
from lib.histories import Rest
from lib.processes import wait_for
from test_types import KEYS

# Load jobs follow each other within seconds, not minutes.
FAST_LOADS = {"table_jobs": 86400, "project_jobs": 1000000}
# The emulator keeps BIGNUMERIC as DECIMAL(38, 18).
_TOO_WIDE_FOR_THE_EMULATOR = ["decimal(65,30)"]


@pytest.fixture
def bigquery_path(make_path, broker, emulator, fake):
    """bigquery_path(server, "emulator" or "fake", **settings of bigquery)."""
    def make(server, warehouse, topics_partitions=1, **settings):
        return make_path(server, broker, BigQueryWarehouse(emulator if warehouse == "emulator" else fake, **FAST_LOADS, **settings), topics__partitions=topics_partitions)
    return make


def _by_method(path):
    """Tables whose name ends in _load go by load jobs, the others by appends."""
    return {"bigquery": {"method": {f"{path.database}.*_load": "load", "*.*": "append"}}}


def _both_equal(path, name):
    """name_append and name_load hold the same values, whatever they are."""
    rows = {}
    for method in ("append", "load"):
        found = path.warehouse.raw_history(path, f"{name}_{method}")
        rows[method] = sorted((row["id"], row["__op"], repr({column: value for column, value in row.items() if not column.startswith("__")})) for row in found)
    assert rows["append"] == rows["load"]


@pytest.mark.parametrize("server,warehouse", [("mysql", "emulator"), ("mariadb", "fake")], indirect=["server"])
def test_every_type_by_both_methods(bigquery_path, server, warehouse):
    """Insert, update and delete of every edge value, and a row of nulls, by append and by load: equal to each other and to SELECT at the source."""
    path = bigquery_path(server, warehouse)
    columns = {kind: literals for kind, literals in column_types.of(server).items() if warehouse == "fake" or kind not in _TOO_WIDE_FOR_THE_EMULATOR}
    rows = max(len(literals) for literals in columns.values())
    shape = "(id INT PRIMARY KEY, " + ", ".join(f"c{i} {kind}" for i, kind in enumerate(columns)) + ") ROW_FORMAT=DYNAMIC"
    path.sql(*[f"CREATE TABLE types_{method} {shape}" for method in ("append", "load")])
    path.producer()
    path.worker(bigquery__compression="gzip", **_by_method(path))
    connection = path.connect()
    connection.cursor().execute("SET sql_mode = 'NO_ENGINE_SUBSTITUTION'")  # an ENUM's value 0
    for method in ("append", "load"):
        with connection.cursor() as cursor:
            for row in range(rows):
                cursor.execute(f"INSERT INTO types_{method} VALUES ({row}, {', '.join(literals[row % len(literals)] for literals in columns.values())})")
            cursor.execute(f"INSERT INTO types_{method} (id) VALUES ({rows})")
            cursor.execute(f"UPDATE types_{method} SET c0 = 5 WHERE id = 1")
            cursor.execute(f"DELETE FROM types_{method} WHERE id = 2")
    path.wait_and_judge(120)
    _both_equal(path, "types")


def _view_is_the_table(path, name):
    """Instead of the whole oracle: MySQL's own reader of the log, its witness, loses rows of GEOMETRY, and prints no VECTOR."""
    table = path.source_table(name)
    assert sorted(map(table.arrived, path.warehouse.view_rows(path, name, table)), key=repr) == sorted(table.rows, key=repr)


def test_types_of_their_own_by_both_methods(bigquery_path, server):
    """GEOMETRY, VECTOR; UUID, INET4 and INET6, which MariaDB's log does not tell; a DATETIME that a zone makes a point in time."""
    path = bigquery_path(server, "emulator")
    columns = column_types.own(server)
    count = max(map(len, columns.values()))
    zoned = {"2026-11-21 09:00:00.125": "2026-11-21 00:00:00.125000", "1969-12-31 23:59:59.999999": "1969-12-31 14:59:59.999999", "9999-12-31 23:59:59": "9999-12-31 14:59:59.000000"}
    for method in ("append", "load"):
        path.sql(f"CREATE TABLE own_{method} (id INT PRIMARY KEY, {', '.join(f'c{i} {kind}' for i, kind in enumerate(columns))}, n INT)",
                 f"CREATE TABLE zoned_{method} (id INT PRIMARY KEY, z DATETIME(6))")
    path.producer(source__datetime_zone={"*.z": "Asia/Tokyo"})
    path.worker(**_by_method(path))
    for method in ("append", "load"):
        path.sql(*[f"INSERT INTO own_{method} VALUES ({row}, {', '.join(literals[row % len(literals)] for literals in columns.values())}, 0)" for row in range(count)],
                 f"INSERT INTO own_{method} (id) VALUES ({count})", f"UPDATE own_{method} SET n = 5 WHERE id = 1", f"DELETE FROM own_{method} WHERE id = 2",
                 f"INSERT INTO zoned_{method} VALUES (3, NULL), " + ", ".join(f"({row}, '{local}')" for row, local in enumerate(zoned)))
    path.wait_arrived(120)
    for name in ("own", "zoned"):
        _both_equal(path, name)
    for method in ("append", "load"):
        _view_is_the_table(path, f"own_{method}")
        rows = path.warehouse.view_rows(path, f"zoned_{method}", path.source_table(f"zoned_{method}"))
        assert {row["id"]: row["z"] for row in rows} == {3: None, **dict(enumerate(zoned.values()))}
        fields = path.warehouse.server.client.call("table", path.warehouse.dataset(path), f"zoned_{method}")["schema"]["fields"]
        assert {field["name"]: field["type"] for field in fields}["z"] == "TIMESTAMP"


@pytest.mark.parametrize("warehouse", ["fake", pytest.param("emulator", marks=pytest.mark.thorough)])
def test_a_table_of_1000_columns_grows(bigquery_path, mariadb, warehouse):
    """By append and by load, with names above BigQuery's 300 characters: history and view hold them all, and one more."""
    path = bigquery_path(mariadb, warehouse)
    columns = [f"c{number}" + "ü" * 60 if number % 50 == 0 else f"c{number}" for number in range(1, 1000)]
    path.producer()
    path.worker(**_by_method(path))
    for name in ("wide_append", "wide_load"):
        path.sql(f"CREATE TABLE {name} (id INT PRIMARY KEY, " + ", ".join(f"`{column}` INT" for column in columns) + ")",
                 f"INSERT INTO {name} VALUES (1, " + ", ".join(str(number) for number in range(1, 1000)) + ")", f"INSERT INTO {name} (id, `{columns[-1]}`) VALUES (2, 7)",
                 f"ALTER TABLE {name} ADD COLUMN last INT", f"UPDATE {name} SET last = 8, c1 = NULL WHERE id = 1", f"DELETE FROM {name} WHERE id = 2")
    path.wait_and_judge(120)
    _both_equal(path, "wide")


def test_every_kind_of_key(bigquery_path, mariadb):
    """Clustering, the view and its order by each kind of key."""
    path = bigquery_path(mariadb, "emulator")
    path.sql(*[f"CREATE TABLE {name} ({columns})" for name, (columns, _) in KEYS.items()])
    path.producer()
    path.worker()
    for name, (_, rows) in KEYS.items():
        column = "b" if name == "not_in_order" else "v"
        path.sql(f"INSERT INTO {name} VALUES {', '.join(rows)}", f"UPDATE {name} SET {column} = 9", f"DELETE FROM {name} LIMIT 1")
    path.wait_and_judge()


@pytest.mark.parametrize("method", ["append", "load"])
def test_columns_come_and_go(bigquery_path, mariadb, method):
    """New columns are added before the first row that has them; a dropped one stays, empty from then on; the view stands throughout."""
    path = bigquery_path(mariadb, "emulator", method={"*.*": method})
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b INT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)")
    path.wait_and_judge()
    path.sql("ALTER TABLE t ADD COLUMN first DATETIME(3) FIRST", "ALTER TABLE t ADD COLUMN late DECIMAL(38,18)",
             "INSERT INTO t VALUES ('2026-01-02 03:04:05.678', 3, 'three', 3, 1.5)", "UPDATE t SET b = b + 1")
    path.wait_and_judge()
    path.sql("ALTER TABLE t DROP COLUMN a", "UPDATE t SET b = b + 1", "DELETE FROM t WHERE id = 1")
    path.wait_and_judge()
    path.sql("ALTER TABLE t ADD COLUMN a VARCHAR(40)", "UPDATE t SET a = 'again'")
    path.wait_and_judge()


def test_two_workers_add_columns_at_once(bigquery_path, mariadb):
    """Several partitions, several workers, the same new column: the ETag lets one patch through, and everybody goes on. Both count the partitions
    of all topics, also of the one that only one of them reads: so both have the same share of the project's load jobs."""
    path = bigquery_path(mariadb, "emulator", topics_partitions=4)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT)", "CREATE TABLE small (id INT PRIMARY KEY)")
    path.producer(topics__partitions_by_table={f"{path.database}.small": 1})
    workers = [path.worker(f"worker{number}") for number in range(2)]
    path.sql("INSERT INTO small VALUES (1)")
    for column in range(4):
        path.sql("INSERT INTO t (id, a) VALUES " + ", ".join(f"({column * 100 + i}, {i})" for i in range(40)), f"ALTER TABLE t ADD COLUMN c{column} INT",
                 f"UPDATE t SET c{column} = id")
    path.wait_and_judge()
    counted = lambda: [worker.status()["warehouse"]["append"]["group_partitions"] for worker in workers]
    wait_for(lambda: counted() == [5, 5], lambda: f"both to count 5 partitions: {counted()}", 90)


def test_types_that_widen(bigquery_path, mariadb):
    """INT64 to NUMERIC and BIGNUMERIC, NUMERIC to BIGNUMERIC, DATE to DATETIME: the column itself widens, nothing is rewritten. (The emulator's
    BIGNUMERIC has no more digits than its NUMERIC, so it refuses what BigQuery does.)"""
    path = bigquery_path(mariadb, "fake")
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b BIGINT, c DECIMAL(12,2), d DATE)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 2147483647, 9223372036854775807, 1234567890.12, '2026-01-02'), (2, -1, -9223372036854775808, -0.01, '0001-01-01')")
    path.wait_arrived()
    path.sql("ALTER TABLE t MODIFY a DECIMAL(12,2), MODIFY b DECIMAL(38,18), MODIFY c DECIMAL(36,18), MODIFY d DATETIME(6)",
             "INSERT INTO t VALUES (3, 1.25, 1.000000000000000001, 0.000000000000000001, '2026-01-02 03:04:05.000001')", "UPDATE t SET a = a + 1")
    path.wait_and_judge()
    schema = path.warehouse.server.client.call("table", path.warehouse.dataset(path), "t_history")["schema"]["fields"]
    kinds = {field["name"]: field["type"] for field in schema if not field["name"].startswith("__")}
    assert kinds == {"id": "INTEGER", "a": "NUMERIC", "b": "BIGNUMERIC", "c": "BIGNUMERIC", "d": "DATETIME"}


def test_types_that_do_not_widen(bigquery_path, mariadb):
    """INT to VARCHAR or DOUBLE: the new values go to a further column, said loudly; nothing is lost, and the old column keeps the old ones."""
    path = bigquery_path(mariadb, "emulator")
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT)")
    path.producer()
    worker = path.worker()
    path.sql("INSERT INTO t VALUES (1, 1, 10), (2, 2, 20)")
    path.wait_arrived()
    path.sql("ALTER TABLE t MODIFY v VARCHAR(20), MODIFY w DOUBLE", "INSERT INTO t VALUES (3, 'drei', 0.1)", "UPDATE t SET v = 'zwei' WHERE id = 2")
    path.wait_arrived()
    rows = path.warehouse.raw_history(path, "t")
    found = sorted((row["id"], row["__op"], row["v"], row["v__string"], row["w"], row["w__float64"]) for row in rows)
    assert found == [(1, "c", 1, None, 10, None), (2, "c", 2, None, 20, None), (2, "u", None, "zwei", None, 20), (3, "c", None, "drei", None, 0.1)]
    assert "name=v__string" in worker.text() and "name=w__float64" in worker.text()


def test_decimals_too_wide_follow_their_policy(bigquery_path, mariadb):
    """By append and by load: the column is BIGNUMERIC, what fits is exact, what does not is NULL or a dead letter, counted; or the column is a text,
    every digit kept. With another policy nothing that is stored changes: text goes to a further column, and a text column takes the numbers."""
    path = bigquery_path(mariadb, "fake")
    most, over, longest = "9" * 38, "1" + "0" * 38, "9" * 65
    tables = [f"wide_{method}" for method in ("append", "load")]
    path.sql(*[f"CREATE TABLE {table} (id INT PRIMARY KEY, n DECIMAL(65,10), l DECIMAL(39,0), t DECIMAL(65,0))" for table in tables])
    producer = path.producer(source__wide_decimals={"*.n": "null", "*.l": "dead_letter"})
    path.worker(**_by_method(path))
    for table in tables:
        path.sql(f"INSERT INTO {table} VALUES (1, -{most}.9999999999, {most}, {longest}), (2, {over}, -1, -{over}), (3, 1, {over}, 1)")

    def stored(table, *names):
        return {row["id"]: tuple(str(row[name]) if row.get(name) is not None else None for name in names) for row in path.warehouse.raw_history(path, table)}
    letters = wait_for(lambda: (lambda found: len(found) >= 2 and found)(path.broker.messages(f"{path.prefix}.dead")), "two dead letters", 90)
    said = [json.loads(letter.value()) for letter in letters]
    assert sorted((letter["table"], letter["after"]["l"]) for letter in said) == [(f"{path.database}.{table}", over) for table in tables]
    for table in tables:
        wait_for(lambda: path.warehouse.history_count(path, table) == 2, lambda: f"the rows of {table}: {stored(table, 'n')}", 90)
        assert stored(table, "n", "l", "t") == {1: (f"-{most}.9999999999", most, longest), 2: (None, "-1", f"-{over}")}
        name = f"{path.database}.{table}"
        changed = [value for metric, value in producer.metrics().items() if metric.startswith("kakehi_unrepresentable_total") and f'"{name}"' in metric]
        assert changed == [1], producer.metrics()
        wait_for(lambda: producer.status()["tables"][name]["dead_lettered"] == 1, f"the figure of {table}", 60)

    assert producer.terminate(60) == 0
    path.producer("other", source__wide_decimals={"*.t": "null"})
    for table in tables:
        path.sql(f"INSERT INTO {table} VALUES (4, {longest[:55]}, {over}, {most})")
    for table in tables:
        wait_for(lambda: path.warehouse.history_count(path, table) == 3, lambda: f"the rows of {table}: {stored(table, 'n')}", 90)
        assert stored(table, "n", "n__string", "l", "l__string", "t")[4] == (None, f"{longest[:55]}.0000000000", None, over, most)
        assert stored(table, "n", "n__string")[1] == (f"-{most}.9999999999", None)
        schema = path.warehouse.server.client.call("table", path.warehouse.dataset(path), f"{table}_history")["schema"]["fields"]
        kinds = {field["name"]: field["type"] for field in schema if not field["name"].startswith("__")}
        assert kinds == {"id": "INTEGER", "n": "BIGNUMERIC", "l": "BIGNUMERIC", "t": "STRING", "n__string": "STRING", "l__string": "STRING"}


def test_names_that_bigquery_refuses(bigquery_path, mariadb):
    path = bigquery_path(mariadb, "emulator")
    path.sql("CREATE TABLE `odd näme` (`a-b` INT, `日` INT, `1st` INT, `a_x0020_b` INT, `_PARTITIONTIME` INT, `_table_x` INT, PRIMARY KEY (`日`))")
    path.topic = lambda table: f"{path.prefix}.{path.database}.{mapped_name(table)}"
    path.producer()
    path.worker()
    path.sql("INSERT INTO `odd näme` VALUES (1, 2, 3, 4, 5, 6), (5, 6, 7, 8, 9, 10)", "UPDATE `odd näme` SET `a-b` = 0")
    path.wait_and_judge()
    fields = path.warehouse.server.client.call("table", path.warehouse.dataset(path), mapped_name("odd näme") + "_history")["schema"]["fields"]
    said = {field["name"]: field.get("description", "") for field in fields}
    for original in ("a-b", "日", "1st", "a_x0020_b", "_PARTITIONTIME", "_table_x"):
        assert any(original in description for name, description in said.items() if not name.startswith("__")), (original, said)


def test_columns_called_like_ours(bigquery_path, mariadb):
    """`__op` and all the others stand by their mapped names, beside our metadata, and as part of the key, too."""
    path = bigquery_path(mariadb, "emulator")
    ours = ["__op", "__ts", "__seq", "__idx", "__source", "__txid", "__ingest_day"]
    path.producer()
    path.worker(**_by_method(path))
    for method in ("append", "load"):
        path.sql(f"CREATE TABLE ours_{method} (id INT, {', '.join(f'`{name}` VARCHAR(20)' for name in ours)}, `__x` INT, PRIMARY KEY (`__seq`, id))",
                 f"INSERT INTO ours_{method} VALUES (1, {', '.join(repr('my ' + name) for name in ours)}, 1), (2, {', '.join(repr('d') for _ in ours)}, NULL)",
                 f"UPDATE ours_{method} SET `__op` = 't', `__x` = 2 WHERE id = 1", f"DELETE FROM ours_{method} WHERE id = 2")
    path.wait_and_judge()
    _both_equal(path, "ours")
    row, = path.warehouse.server.client.query(f"SELECT * FROM `{path.warehouse.dataset(path)}.ours_append`")
    assert row["_x005F__op"] == "t" and row["_x005F__seq"] == "my __seq" and row["_x005F__x"] == 2


@pytest.mark.parametrize("method", ["append", "load"])
def test_table_without_a_key_has_a_history_only(bigquery_path, mariadb, method):
    path = bigquery_path(mariadb, "emulator", method={"*.*": method})
    path.sql("CREATE TABLE events (what VARCHAR(40), at_us BIGINT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO events VALUES ('a', 1), ('a', 1), ('b', 2)", "UPDATE events SET at_us = 3 WHERE what = 'a' LIMIT 1", "DELETE FROM events WHERE what = 'b'")
    path.wait_and_judge()
    assert path.warehouse.server.client.call("tables", path.warehouse.dataset(path)) == ["events_history"]


def test_tables_are_made_as_promised(bigquery_path, mariadb):
    """Partitioned by ingest day, clustered by the primary key, metadata behind the columns; the dataset bears its owner's mark."""
    path = bigquery_path(mariadb, "emulator")
    path.sql("CREATE TABLE t (a INT, b VARCHAR(10), v INT, PRIMARY KEY (b, a))")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'x', 1)")
    path.wait_and_judge()
    client, dataset = path.warehouse.server.client, path.warehouse.dataset(path)
    table = client.call("table", dataset, "t_history")
    assert table["timePartitioning"]["field"] == "__ingest_day" and table["timePartitioning"]["type"] == "DAY"
    assert table["clustering"]["fields"] == ["b", "a"]
    # A history's rows are unique by their identity, not by the source's key.
    assert table["tableConstraints"]["primaryKey"]["columns"] == ["__source", "__txid", "__idx"]
    assert [field["name"] for field in table["schema"]["fields"]][:3] == ["a", "b", "v"]
    assert client.call("dataset", dataset)["labels"]["kakehi_owner"] == path.prefix
    row, = client.query(f"SELECT * FROM `{dataset}.t_history`")
    assert abs(row["__ingest_day"] - datetime.datetime.now(datetime.timezone.utc).date()) <= datetime.timedelta(days=1)


def test_a_table_that_is_dropped_before_its_columns_are_seen(bigquery_path, mariadb):
    """Its history is made without columns, and still is clustered by the key once there is one."""
    path = bigquery_path(mariadb, "emulator")
    path.producer()
    path.worker()
    path.sql("DROP TABLE IF EXISTS t", "CREATE TABLE t (a INT, b VARCHAR(10), PRIMARY KEY (b, a))")
    path.wait_arrived()
    path.sql("INSERT INTO t VALUES (1, 'x'), (2, 'y')", "DELETE FROM t WHERE a = 1")
    path.wait_and_judge()
    resource = path.warehouse.server.client.call("table", path.warehouse.dataset(path), "t_history")
    assert resource["clustering"]["fields"] == ["b", "a"] and resource["description"].endswith("Its newest state: t.")


def test_dataset_of_somebody_else_is_refused(bigquery_path, mariadb):
    path = bigquery_path(mariadb, "emulator")
    dataset = path.warehouse.dataset(path)
    Rest(path.warehouse.server).call("POST", "/datasets", {"datasetReference": {"projectId": "p", "datasetId": dataset}, "location": "US", "labels": {"kakehi_owner": "production"}})
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.producer()
    worker = path.worker()
    path.sql("INSERT INTO t VALUES (1)")
    wait_for(lambda: "production" in worker.errors(), lambda: f"a loud refusal:\n{worker.text()[-2000:]}")
    assert path.warehouse.server.client.call("tables", dataset) == []

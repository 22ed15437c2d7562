# SPDX-License-Identifier: Apache-2.0
"""Other versions of the servers than the usual ones: the ends of what is supported, and what only newer ones have.

Here is what each must show in short. All other tests run against them with `--mariadb=VERSION --mysql=VERSION` (tests/conftest.py), and some do with
THOROUGH=1 (tests/check).
"""
import pytest

from lib import column_types
from lib.bigquery_judge import BigQueryWarehouse
from lib.databases import MariaDB, MySQL
from lib.processes import wait_for


@pytest.fixture(scope="module")
def started():
    """(kind, version) -> the one server of that version."""
    servers = {}
    yield servers
    for server in servers.values():
        server.kill()


@pytest.fixture
def server(request, started, session_folder):
    """A test that asks for it names a kind and a version."""
    kind, version = request.param
    if request.param not in started:
        started[request.param] = kind(session_folder / f"{kind.flavor}-{version}", version=version).start()
    return started[request.param]


OLDEST_MYSQL, NEWER_MARIADB = (MySQL, "8.0"), (MariaDB, "11.8")
OLDEST_MARIADB = pytest.param((MariaDB, "10.5"), marks=pytest.mark.thorough)


def _name(parameter):
    return f"{parameter[0].flavor}-{parameter[1]}"


def _fill(path, table, columns, shift=0):
    rows = max(len(literals) for literals in columns.values())
    with path.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'NO_ENGINE_SUBSTITUTION'")  # an ENUM's value 0
        for row in range(rows):
            values = [literals[(row + shift) % len(literals)] for literals in columns.values()]
            cursor.execute(f"REPLACE INTO {table} VALUES ({row}, {', '.join(values)})")
        cursor.execute(f"REPLACE INTO {table} (id) VALUES ({rows})")


def _create(path, table, columns):
    path.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, " + ", ".join(f"c{i} {kind}" for i, kind in enumerate(columns)) + ") ROW_FORMAT=DYNAMIC")


@pytest.mark.parametrize("server", [OLDEST_MYSQL, NEWER_MARIADB, OLDEST_MARIADB], indirect=True, ids=_name)
def test_every_type_and_a_restart(make_path, server, broker):
    """Every type of the version with its edge values, a change of the table's shape, and a producer that goes on by GTID, in the next file."""
    path = make_path(server, broker)
    columns = column_types.of(server)
    _create(path, "types", columns)
    producer = path.producer()
    path.worker()
    _fill(path, "types", columns)
    path.wait_arrived()
    producer.must_stop()
    server.new_log_file()
    path.sql("BEGIN", "UPDATE types SET c0 = 5 WHERE id = 1", "DELETE FROM types WHERE id = 2", "COMMIT", "ALTER TABLE types ADD COLUMN late INT FIRST, DROP COLUMN c1")
    path.producer("again")
    path.sql("UPDATE types SET late = id", "INSERT INTO types (late, id) VALUES (7, 1000)")
    path.wait_and_judge(90)


@pytest.mark.parametrize("server", [NEWER_MARIADB], indirect=True, ids=_name)
def test_vectors_by_both_methods_of_bigquery(make_path, server, broker, fake):
    """MariaDB's VECTOR, which its log does not tell from a VARBINARY, beside one: as JSON, by append and by load."""
    warehouse = BigQueryWarehouse(fake, table_jobs=86400, project_jobs=1000000, method={"*.vectors_load": "load", "*.*": "append"})
    path = make_path(server, broker, warehouse)
    columns = {**column_types.vectors(server), "varbinary(12)": ["x'0000803f'", "x'0000803f00000040cdcccc3d'"]}
    for method in ("append", "load"):
        _create(path, f"vectors_{method}", columns)
    path.producer()
    path.worker()
    for method in ("append", "load"):
        _fill(path, f"vectors_{method}", columns)
        _fill(path, f"vectors_{method}", columns, shift=1)
    path.wait_and_judge(90)


@pytest.mark.parametrize("server", [NEWER_MARIADB], indirect=True, ids=_name)
def test_images_without_doubles_are_refused(make_path, server, broker):
    """MariaDB from 11.4: the image after an update lacks what did not change."""
    path = make_path(server, broker)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT, w INT)", "INSERT INTO t VALUES (1, 1, 1)")
    producer = path.producer()
    path.sql("SET SESSION binlog_row_image = 'FULL_NODUP'", "INSERT INTO t VALUES (2, 2, 2)", "UPDATE t SET v = 5")
    wait_for(lambda: not producer.running(), lambda: producer.text()[-3000:], 60)
    assert f"{path.database}.t" in producer.errors() and "binlog_row_image=FULL" in producer.errors()

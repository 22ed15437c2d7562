# SPDX-License-Identifier: Apache-2.0
"""Exact values (P4): every common type, with its edge values set by SQL on both servers, compared after the whole path with SELECT.

What must not happen is a value that arrives a little different. The expected values are the server's own texts, converted by lib/values.py.
"""
from lib import column_types
from lib.avro import Schemas

def _fill(connection, columns, rows, shift):
    with connection.cursor() as cursor:
        for row in range(rows):
            values = [literals[(row + shift) % len(literals)] for literals in columns.values()]
            if shift:
                assignments = ", ".join(f"c{i} = {value}" for i, value in enumerate(values))
                cursor.execute(f"UPDATE types SET {assignments} WHERE id = {row}")
            else:
                cursor.execute(f"INSERT INTO types VALUES ({row}, {', '.join(values)})")


def test_every_type_arrives_exactly(path):
    """Insert, update and delete of every edge value; a row of nulls; the Avro record, the history and the view all agree with SELECT."""
    columns = column_types.of(path.server)
    rows = max(len(literals) for literals in columns.values())
    path.sql("CREATE TABLE types (id INT PRIMARY KEY, " + ", ".join(f"c{i} {kind}" for i, kind in enumerate(columns)) + ") ROW_FORMAT=DYNAMIC")
    path.producer()
    path.worker()
    connection = path.connect()
    connection.cursor().execute("SET sql_mode = 'NO_ENGINE_SUBSTITUTION'")  # an ENUM's value 0
    _fill(connection, columns, rows, 0)
    connection.cursor().execute(f"INSERT INTO types (id) VALUES ({rows})")
    path.wait_and_judge()
    _fill(connection, columns, rows, 1)
    connection.cursor().execute(f"DELETE FROM types WHERE id < {rows // 2}")
    path.wait_and_judge()


KEYS = {
    "one_int": ("id INT, v INT, PRIMARY KEY (id)", ["(-1, 1)", "(0, 2)", "(2147483647, 3)"]),
    "unsigned_bigint": ("id BIGINT UNSIGNED, v INT, PRIMARY KEY (id)", ["(18446744073709551615, 1)", "(0, 2)"]),
    "text_key": ("id VARCHAR(50), v INT, PRIMARY KEY (id)", ["('', 1)", "('日本', 2)", "('a b', 3)"]),
    "latin1_key": ("id CHAR(5) CHARACTER SET latin1, v INT, PRIMARY KEY (id)", ["('é', 1)", "('€', 2)"]),
    "binary_key": ("id BINARY(3), v INT, PRIMARY KEY (id)", ["(x'000000', 1)", "(x'ff0000', 2)"]),
    "time_key": ("id DATETIME(6), v INT, PRIMARY KEY (id)", ["('1969-12-31 23:59:59.999999', 1)", "('2026-01-01', 2)"]),
    "decimal_key": ("id DECIMAL(10,3), v INT, PRIMARY KEY (id)", ["(-0.001, 1)", "(1.5, 2)"]),
    "not_in_order": ("a INT, b VARCHAR(10), c DATE, PRIMARY KEY (c, a)", ["(1, 'x', '2026-01-01')", "(2, 'y', '2026-01-01')"]),
    "prefix_key": ("id VARCHAR(50), v INT, PRIMARY KEY (id(3))", ["('abcdef', 1)", "('xyz', 2)"]),
}


def test_every_kind_of_key_arrives_exactly(make_path, server, broker):
    """The key record holds the key's columns in key order, and decides the partition as a Java client would."""
    path = make_path(server, broker, topics__partitions=3)
    path.sql(*[f"CREATE TABLE {name} ({columns})" for name, (columns, _) in KEYS.items()])
    path.producer()
    path.worker()
    for name, (_, rows) in KEYS.items():
        column = "b" if name == "not_in_order" else "v"
        path.sql(f"INSERT INTO {name} VALUES {', '.join(rows)}", f"UPDATE {name} SET {column} = 9", f"DELETE FROM {name} LIMIT 1")
    path.wait_and_judge()
    schemas = Schemas(broker, path.prefix)
    for name in KEYS:
        key = path.source_table(name).key
        for message in broker.messages(path.topic(name)):
            value = schemas.read_named(message.value())
            assert list(map(str, schemas.read_named(message.key()).values())) == [str(value[column]) for column in key]


def test_odd_names_are_kept(make_path, server, broker):
    """Names that neither Kafka nor Avro accept are mapped in the topic and in the schema, and arrive as they are; `__op` and `__seq`
    stand mapped beside our own."""
    path = make_path(server, broker)
    path.sql("CREATE TABLE `odd näme` (`a-b` INT, `日` INT, `1st` INT, `a_x0020_b` INT, `__op` INT, `__seq` INT, PRIMARY KEY (`日`))")
    path.topic = lambda table: f"{path.prefix}.{path.database}.odd_x0020_n_x00E4_me"
    path.producer()
    path.worker()
    path.sql("INSERT INTO `odd näme` VALUES (1, 2, 3, 4, 5, 6), (7, 8, 9, 10, 11, 12)", "UPDATE `odd näme` SET `a-b` = 0")
    path.wait_and_judge()

# SPDX-License-Identifier: Apache-2.0
"""What MariaDB's log does not tell of its columns: UUID, INET4, INET6, JSON. The server is asked, and never too early or too late (P4)."""
import pytest

from lib.processes import wait_for

FAILED = 1
UUIDS = ["123e4567-e89b-12d3-a456-426655440000", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
         "6ccd780c-baba-1026-9564-5b8c656024db", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "2ed6657d-e927-568b-95e1-2665a8aea6a2",
         "1ec9414c-232a-6b00-b3c8-9e6bdeced846", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "320c3d4d-cc00-875b-8ec9-32d5f69181c0",
         "00112233-4455-6677-8899-aabbccddee00", "00112233-4455-4677-0899-000000000000", "123e4567-e89b-12d3-c456-426655440000"]
INET6S = ["::", "::1", "1::", "2001:db8::", "2001:db8::1:0:0:1", "::ffff:192.0.2.1", "::192.0.2.1", "fe80::1:2:3:4", "1:2:3:4:5:6:7:8", "0:0:1::",
          "1:0:0:2:0:0:0:3", "::ffff:0:0", "::1:0", "0:1:2:3:4:5:6:7", "1:2:3:4:5:6:7:0", "2001:0:0:1::", "::ffff:ffff:0:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
          "::fffe:1.2.3.4", "0:0:0:0:1::"]
INET4S = ["0.0.0.0", "10.0.0.0", "192.0.2.1", "255.255.255.255", "0.0.0.1"]


@pytest.fixture(autouse=True)
def all_types_are_there(mariadb):
    mariadb.since(10, 10, 0)


def test_values(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE u (id INT PRIMARY KEY AUTO_INCREMENT, u UUID, s INET6, f INET4, j JSON, b BINARY(16), c BINARY(4), l LONGTEXT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO u (id) VALUES (1)",
             *[f"INSERT INTO u (u) VALUES ('{value}')" for value in UUIDS], *[f"INSERT INTO u (s) VALUES ('{value}')" for value in INET6S],
             *[f"INSERT INTO u (f) VALUES ('{value}')" for value in INET4S], """INSERT INTO u (j, l) VALUES ('{"b": [1, 2.50],  "a": "é"}', '{"plain": 1}')""",
             "INSERT INTO u (b, c) VALUES (x'00112233445566778899aabbccddee00', x'01020300')", "UPDATE u SET b = NULL, c = 'ab'")
    path.wait_and_judge()


def test_tables_that_come_and_change_while_the_stream_runs(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE early (id BINARY(16) PRIMARY KEY, short BINARY(4))")
    path.producer()
    path.worker()
    path.sql("INSERT INTO early VALUES (x'00112233445566778899aabbccddee00', x'01020300')")
    path.wait_arrived()
    path.sql("CREATE TABLE late (id UUID PRIMARY KEY, s INET6, f INET4)", f"INSERT INTO late VALUES ('{UUIDS[0]}', '::1', '10.0.0.0')")
    path.wait_arrived()
    path.sql("CREATE TABLE changed (id INT PRIMARY KEY, v BINARY(16))", "INSERT INTO changed VALUES (1, 'sixteen bytes 16')")
    path.wait_arrived()
    path.sql("ALTER TABLE changed ADD COLUMN u UUID, ADD COLUMN w INT", f"INSERT INTO changed VALUES (2, x'00', '{UUIDS[1]}', 5)", "UPDATE changed SET w = 1")
    path.wait_and_judge()


def test_a_key_that_is_a_uuid(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE k (id UUID PRIMARY KEY DEFAULT UUID(), v INT)", "INSERT INTO k (v) VALUES (1), (2), (3)")
    path.first_log_file = path.server.new_log_file()
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO k (v) VALUES (4)", "UPDATE k SET v = v + 1", "DELETE FROM k WHERE v = 3")
    path.wait_arrived()
    producer.must_stop()
    path.sql("INSERT INTO k (v) VALUES (5)", "UPDATE k SET v = v + 1")
    path.producer("again")
    path.wait_and_judge(whole=False)


def test_a_type_that_changed_behind_our_back(mariadb_path):
    """While the producer is away, rows come, then their column's type changes: what they were can't be asked for any more, and it says so."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, odd BINARY(16))")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'sixteen bytes 16')")
    path.wait_arrived()
    producer.must_stop()
    path.sql("INSERT INTO t VALUES (2, x'123e4567e89b12d3a456426655440000')", "UPDATE t SET odd = x'123e4567e89b12d3a456426655440000'",
             "ALTER TABLE t MODIFY odd UUID", "INSERT INTO t VALUES (3, UUID())")
    again = path.start_producer("again")
    wait_for(lambda: not again.running(), lambda: again.text()[-3000:], 60)
    assert again.popen.returncode == FAILED and "table t" in again.errors() and "UUID" in again.errors(), again.text()[-3000:]


def test_tables_of_one_transaction_that_are_gone(mariadb_path):
    """The server is asked for one after the other, and the transaction begins again each time: at last all of them must be settled."""
    path = mariadb_path
    path.sql(*[f"CREATE TABLE {name} (id INT PRIMARY KEY, odd BINARY(16))" for name in ("one", "two", "three")])
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO one VALUES (1, 'sixteen bytes 16')")
    path.wait_arrived()
    producer.must_stop()
    path.sql("BEGIN", *[f"INSERT INTO {name} VALUES (2, 'sixteen bytes 16')" for name in ("one", "two", "three")], "UPDATE one SET odd = NULL", "COMMIT",
             "DROP TABLE one, two, three")
    path.producer("again")
    path.wait_and_judge()

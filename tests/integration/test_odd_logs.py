# SPDX-License-Identifier: Apache-2.0
"""What a log holds besides plain changes of plain tables: each kind arrives as it is, or stops the stream (P1)."""
from pathlib import Path

import pytest

from lib import oracle
from lib.databases import MariaDB, MySQL, servers_folder
from lib.processes import wait_for

FAILED = 1

# Name: (server, what creates, what happens in one session of its own). No two have a table of one name.
EXACT = {
    "partitions": ("both", ["CREATE TABLE parted (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3"],
                   ["INSERT INTO parted VALUES (1, 1), (2, 2), (3, 3), (4, 4)", "UPDATE parted SET v = v + 1", "UPDATE parted SET id = id + 10 WHERE id < 3",
                    "DELETE FROM parted WHERE id = 4"]),
    "a key that the server makes": ("mysql", [], ["SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE made (v INT)", "INSERT INTO made VALUES (1), (2), (3)",
                                                  "UPDATE made SET v = v + 1", "DELETE FROM made WHERE v = 3"]),
    "columns that an index hides": ("mysql", ["CREATE TABLE hides (id INT PRIMARY KEY, doc JSON, INDEX i ((CAST(doc->'$.z' AS UNSIGNED ARRAY))), INDEX f ((id + 1)))"],
                                    ["INSERT INTO hides VALUES (1, '{\"z\": [1, 2]}'), (2, NULL)", "UPDATE hides SET doc = '{\"z\": [5]}'", "DELETE FROM hides WHERE id = 2"]),
    "a column that a unique key hides": ("mariadb", ["CREATE TABLE hashed (id INT PRIMARY KEY, t TEXT, UNIQUE (t))"],
                                         ["INSERT INTO hashed VALUES (1, 'a'), (2, NULL)", "UPDATE hashed SET t = 'b' WHERE id = 1"]),
    "a file that is loaded": ("both", ["CREATE TABLE loaded (id INT PRIMARY KEY, v VARCHAR(20))"], ["LOAD DATA INFILE '{file}' INTO TABLE loaded"]),
    "a temporary table of the same name": ("both", ["CREATE TABLE twin (id INT PRIMARY KEY, v INT)"],
                                           ["INSERT INTO twin VALUES (1, 1)", "CREATE TEMPORARY TABLE twin (id INT PRIMARY KEY, v INT)", "INSERT INTO twin VALUES (7, 7)",
                                            "TRUNCATE TABLE twin", "DROP TABLE twin", "INSERT INTO twin VALUES (2, 2)", "CREATE TEMPORARY TABLE twin (id INT)",
                                            "DROP TEMPORARY TABLE twin"]),
    "triggers": ("both", ["CREATE TABLE fires (id INT PRIMARY KEY)", "CREATE TABLE fired (id INT PRIMARY KEY AUTO_INCREMENT, x INT)",
                          "CREATE TRIGGER g AFTER INSERT ON fires FOR EACH ROW INSERT INTO fired (x) VALUES (NEW.id)"], ["INSERT INTO fires VALUES (1), (2), (3)"]),
    "routines": ("both", ["CREATE TABLE called (id INT PRIMARY KEY, v INT)",
                          "CREATE PROCEDURE pr() BEGIN INSERT INTO called VALUES (1, 1); UPDATE called SET v = 2; INSERT INTO called VALUES (2, RAND() * 100); END",
                          "CREATE FUNCTION fu() RETURNS INT MODIFIES SQL DATA DETERMINISTIC BEGIN INSERT INTO called VALUES (3, 3); RETURN 1; END"],
                 ["CALL pr()", "SELECT fu()"]),
    "sequences": ("mariadb", ["CREATE SEQUENCE numbers CACHE 3", "CREATE TABLE numbered (id INT PRIMARY KEY DEFAULT NEXTVAL(numbers), v INT)"],
                  ["INSERT INTO numbered (v) VALUES (1), (2), (3), (4), (5)", "SELECT NEXTVAL(numbers)", "UPDATE numbered SET v = 0"]),
    "an ALTER in two phases": ("mariadb", ["CREATE TABLE phases (id INT PRIMARY KEY, x INT)"],
                               ["INSERT INTO phases VALUES (1, 1), (2, 1)", "SET SESSION binlog_alter_two_phase = ON", "ALTER TABLE phases ADD COLUMN y VARCHAR(10)",
                                "ALTER TABLE phases ADD COLUMN u UUID", "INSERT INTO phases VALUES (3, 2, 'z', UUID())", "UPDATE phases SET x = 3"]),
    "an ALTER in two phases that fails": ("mariadb", ["CREATE TABLE phase (id INT PRIMARY KEY, x INT)"],
                                          ["INSERT INTO phase VALUES (1, 1), (2, 1)", "SET SESSION binlog_alter_two_phase = ON",
                                           "!ALTER TABLE phase ADD UNIQUE (x), RENAME TO phased, ALGORITHM=COPY", "UPDATE phase SET x = 3"]),
    "portions of time": ("mariadb", ["CREATE TABLE portions (id INT, v INT, s DATE, e DATE, PERIOD FOR p (s, e), PRIMARY KEY (id, s))"],
                         ["INSERT INTO portions VALUES (1, 1, '2026-01-01', '2026-12-31')", "UPDATE portions FOR PORTION OF p FROM '2026-03-01' TO '2026-04-01' SET v = 2",
                          "DELETE FROM portions FOR PORTION OF p FROM '2026-06-01' TO '2026-07-01'"]),
    "a table that is replaced": ("mariadb", ["CREATE TABLE replaced (id INT PRIMARY KEY)"],
                                 ["INSERT INTO replaced VALUES (1)", "CREATE OR REPLACE TABLE replaced (id INT PRIMARY KEY, v INT)", "INSERT INTO replaced VALUES (1, 2)",
                                  "CREATE OR REPLACE TABLE replaced (PRIMARY KEY (id)) AS SELECT 5 AS id", "INSERT INTO replaced VALUES (1)"]),
    "settings for a statement": ("mariadb", ["CREATE TABLE setting (id INT PRIMARY KEY)"],
                                 ["INSERT INTO setting VALUES (1)", "SET STATEMENT max_statement_time=100 FOR TRUNCATE TABLE setting",
                                  "SET STATEMENT max_statement_time=100 FOR INSERT INTO setting VALUES (2)"]),
    "the first second": ("mariadb", ["CREATE TABLE second (id INT PRIMARY KEY, t TIMESTAMP(3) NULL)"],
                         ["INSERT INTO second VALUES (1, '1970-01-01 00:00:00.5'), (2, '1970-01-01 00:00:01')"]),
}

# What older versions of a server do not have.
SINCE = {"a key that the server makes": (8, 0, 30), "columns that an index hides": (8, 0, 17), "an ALTER in two phases": (10, 8, 1), "an ALTER in two phases that fails": (10, 8, 1)}


def _file(server):
    file = Path(server.folder) / "loaded.txt"
    file.write_text("1\tone\n2\ttwo\n3\t\\N\n")
    return str(file)


def _execute(path, statements):
    """In one session; what begins with ! fails."""
    with path.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            statement = statement.replace("{file}", _file(path.server))
            if statement.startswith("!"):
                with pytest.raises(Exception, match="Duplicate"):
                    cursor.execute(statement[1:])
            else:
                cursor.execute(statement)


def test_arrives_as_it_is(path):
    cases = [case for name, case in EXACT.items() if case[0] in ("both", path.server.flavor) and path.server.number() >= SINCE.get(name, ())]
    path.sql(*[statement for _, creates, _ in cases for statement in creates])
    path.producer()
    path.worker()
    for _, _, statements in cases:
        _execute(path, statements)
    path.wait_and_judge(90)


def _refused(path, producer, *statements):
    _execute(path, statements)
    wait_for(lambda: not producer.running(), lambda: producer.text()[-3000:], 60)
    assert producer.popen.returncode == FAILED
    return producer.errors()


def test_a_file_that_is_loaded_by_a_statement_is_refused(path):
    path.sql("CREATE TABLE loaded (id INT PRIMARY KEY, v VARCHAR(20))")
    said = _refused(path, path.producer(), "SET SESSION binlog_format = 'STATEMENT'", "LOAD DATA INFILE '{file}' INTO TABLE loaded")
    assert f"{path.database}.loaded" in said and "binlog_format=ROW" in said


def test_a_table_with_a_past_shows_it(mariadb_path):
    """MariaDB's system versioning: the rows of the past are rows of the table. Those of today are told by row_end. It is told when they go."""
    path = mariadb_path
    path.sql("CREATE TABLE past (id INT PRIMARY KEY, x INT) WITH SYSTEM VERSIONING", "CREATE TABLE present (id INT PRIMARY KEY)")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO past VALUES (1, 1), (2, 2)", "UPDATE past SET x = x + 1", "DELETE FROM past WHERE id = 2")
    path.wait_arrived()
    rows = oracle.view_rows(path.sqlite_file, "past")
    assert sorted((row["id"], row["x"]) for row in rows) == [(1, 1), (1, 2), (2, 2), (2, 3)]
    assert [(row["id"], row["x"]) for row in rows if row["row_end"] > "2037"] == [(1, 2)] == list(path.sql("SELECT id, x FROM past"))
    path.sql("SET SESSION system_versioning_alter_history = KEEP", "ALTER TABLE past DROP SYSTEM VERSIONING", "ALTER TABLE present ADD SYSTEM VERSIONING")
    marked = lambda: sorted(producer.status()["source"]["reread_needed"])
    wait_for(lambda: marked() == [f"{path.database}.past", f"{path.database}.present"], lambda: f"both tables to be marked: {marked()}", 60)


@pytest.mark.parametrize("kind", [MariaDB, pytest.param(MySQL, marks=pytest.mark.thorough)])
def test_memory_is_emptied_and_losses_stop_the_stream(make_path, session_folder, broker, kind):
    """A server that stops and starts in order has empty tables in memory, and says so in its log; one that could not log a change says that too."""
    server = kind(session_folder / f"{kind.flavor}-odd", ["--max-binlog-stmt-cache-size=4096", "--binlog-stmt-cache-size=4096"]).start()
    path = make_path(server, broker)
    path.sql("CREATE TABLE memory (id INT PRIMARY KEY, v INT) ENGINE=MEMORY", "CREATE TABLE lost (id INT PRIMARY KEY, v TEXT) ENGINE=MyISAM")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO memory VALUES (1, 1), (2, 2)")
    path.wait_arrived()
    server.stop()
    server.start()
    if server.number() < ((10, 11) if kind is MariaDB else (9,)):  # these log a DELETE as a statement, like anybody's
        assert f"{path.database}.memory" in _refused(path, producer, "INSERT INTO memory VALUES (3, 3)")
        server.kill()
        return
    path.sql("INSERT INTO memory VALUES (3, 3)")
    path.wait_and_judge()
    with pytest.raises(Exception, match="max_binlog_stmt_cache_size"):
        path.sql("INSERT INTO lost VALUES " + ", ".join(f"({row}, REPEAT('x', 5000))" for row in range(40)))
    assert "INCIDENT" in _refused(path, producer)
    server.kill()


@pytest.mark.thorough
def test_an_encrypted_log(make_path, session_folder, broker):
    """The server sends it decrypted, behind an event that says that the file is not."""
    folder = next((folder for folder in (servers_folder() / "mariadb-plugins/usr/lib/mysql/plugin", Path("/usr/lib/mysql/plugin"))
                   if (folder / "file_key_management.so").exists()), None)
    if folder is None:
        pytest.skip("SKIPPED: MariaDB's plugin of keys is not here (THOROUGH=1 tests/servers/need brings it)")
    keys = session_folder / "keys"
    keys.write_text("1;" + "a1b2c3d4" * 8 + "\n")
    server = MariaDB(session_folder / "mariadb-encrypted", [f"--plugin-dir={folder}", "--plugin-load-add=file_key_management",
                                                            f"--file-key-management-filename={keys}", "--encrypt-binlog=ON"], version="").start()
    path = make_path(server, broker)
    path.sql("CREATE TABLE secret (id INT PRIMARY KEY, v INT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO secret VALUES (1, 1), (2, 2)")
    server.new_log_file()
    path.sql("UPDATE secret SET v = 5")
    wait_for(lambda: oracle.history_count(path.sqlite_file, "secret") == 4, "the rows", 60)  # the server's own reader has no key to count them
    assert sorted((row["id"], row["v"]) for row in oracle.view_rows(path.sqlite_file, "secret")) == [(1, 5), (2, 5)]
    server.kill()

# SPDX-License-Identifier: Apache-2.0
"""The producer's dead letters: rows that can't be said in their schema, tables that are set aside, rows larger than Kafka takes."""
import base64
import json

from lib import oracle
from lib.processes import wait_for

FAILED = 1
MIB = 1 << 20


def _letters(path, count):
    found = wait_for(lambda: (lambda found: len(found) >= count and found)(path.broker.messages(f"{path.prefix}.dead")), f"{count} dead letters", 90)
    assert len(found) == count, [message.key() for message in found]
    for message in found:
        assert dict(message.headers())["reason"]
    return [json.loads(message.value()) for message in found]


def _ids(path, table, changes):
    wait_for(lambda: oracle.history_count(path.sqlite_file, table) == changes, lambda: f"{oracle.history_count(path.sqlite_file, table)} changes", 90)
    return sorted(row["id"] for row in oracle.view_rows(path.sqlite_file, table))


def test_a_row_whose_policy_is_a_letter(path):
    """The row is in the letters with all its values, once; its neighbours are in the table."""
    path.sql("CREATE TABLE odd (id INT PRIMARY KEY, d DATE, n INT)")
    producer = path.producer(source__unrepresentable={"*.odd.d": "dead_letter"})
    path.worker()
    path.loose_sql("INSERT INTO odd VALUES (1, '2026-11-21', 1), (2, '2026-02-00', 2), (3, NULL, 3)", "UPDATE odd SET n = 9 WHERE id = 3")
    assert _ids(path, "odd", 3) == [1, 3]
    (letter,) = _letters(path, 1)
    assert (letter["table"], letter["op"], letter["before"]) == (f"{path.database}.odd", "c", None)
    assert letter["after"] == {"id": 2, "d": "2026-02-00", "n": 2}
    assert letter["source"] == "test" and letter["idx"] == 2
    figures = wait_for(lambda: (lambda table: table["read"] == 4 and table)(producer.status()["tables"][f"{path.database}.odd"]), "the figures")
    assert figures["dead_lettered"] == 1


def test_a_table_that_is_set_aside_until_it_is_settled(path):
    """on_table_error: from the row that can't be said on, all changes of the table are letters, also after a restart; other tables go on."""
    path.sql("CREATE TABLE odd (id INT PRIMARY KEY, d DATE)", "CREATE TABLE good (id INT PRIMARY KEY)")
    choice = {"source__on_table_error": "dead_letter"}
    producer = path.producer(**choice)
    path.worker()
    path.loose_sql("INSERT INTO odd VALUES (1, '2026-11-21')", "INSERT INTO odd VALUES (2, '0000-00-00')", "INSERT INTO good VALUES (1)")
    _letters(path, 1)
    assert f"{path.database}.odd" in producer.status()["set_aside"]
    producer.kill()
    producer = path.producer("again", **choice)
    path.loose_sql("DELETE FROM odd WHERE id = 1", "INSERT INTO good VALUES (2)")
    assert [letter["op"] for letter in _letters(path, 2)] == ["c", "d"]
    assert _ids(path, "good", 2) == [1, 2] and _ids(path, "odd", 1) == [1]
    done = path.run_producer("position", "--settled", f"{path.database}.odd", "--yes-i-mean", "test", **choice)
    assert done.popen.returncode == 0, done.text()
    assert path.run_producer("position", "--settled", f"{path.database}.odd", "--yes-i-mean", "test", **choice).popen.returncode == FAILED
    path.loose_sql("INSERT INTO good VALUES (3)")
    assert _ids(path, "good", 3) == [1, 2, 3]
    path.loose_sql("INSERT INTO odd VALUES (3, '2026-11-22')")
    assert _ids(path, "odd", 2) == [1, 3]
    _letters(path, 2)
    assert producer.status()["set_aside"] == {}


def test_reread_needed_is_over_when_a_person_says_so(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1)", "ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 7", "INSERT INTO t VALUES (2, 2)")
    name = f"{path.database}.t"
    wait_for(lambda: producer.status()["source"]["reread_needed"] == [name], "the mark", 60)
    assert _ids(path, "t", 2) == [1, 2]  # so the mark is committed, too: until then the record says nothing of it
    done = path.run_producer("position", "--settled", name, "--yes-i-mean", "test")
    assert done.popen.returncode == 0, done.text()
    path.sql("INSERT INTO t VALUES (3, 3)")
    assert _ids(path, "t", 3) == [1, 2, 3]
    wait_for(lambda: producer.status()["source"]["reread_needed"] == [], "the mark's end", 60)


def test_a_row_larger_than_kafka_takes_is_a_reference(mariadb_path):
    """Refused by the topic, and by the client's own limit; what is around it arrives once."""
    path = mariadb_path
    limits = {"producer__kafka": {"message.max.bytes": 3 * MIB}}
    path.sql("CREATE TABLE wide (id INT PRIMARY KEY, data LONGBLOB)")
    path.producer(producer__too_large="dead_letter", **limits)
    path.worker()
    path.sql("INSERT INTO wide VALUES (1, 'small')", "BEGIN", "INSERT INTO wide VALUES (2, REPEAT(x'00ff', 1000000))", "INSERT INTO wide VALUES (3, 'between')",
             "UPDATE wide SET id = 4, data = REPEAT(x'00ff', 2000000) WHERE id = 3", "INSERT INTO wide VALUES (5, 'behind')", "COMMIT")
    letters = _letters(path, 2)
    assert [(letter["op"], letter["idx"]) for letter in letters] == [("c", 0), ("c", 5)]
    assert [letter["size"] // MIB for letter in letters] == [1, 3]
    assert all(len(letter["sha256"]) == 64 and base64.b64decode(letter["key"]) for letter in letters)
    assert _ids(path, "wide", 4) == [1, 5]


def test_a_row_larger_than_kafka_takes_stops_it(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE wide (id INT PRIMARY KEY, data LONGBLOB)")
    producer = path.producer()
    path.sql("INSERT INTO wide VALUES (2, REPEAT(x'00ff', 2000000))")
    assert producer.wait(60) == FAILED
    assert "message.max.bytes" in producer.errors() and "producer.too_large" in producer.errors(), producer.text()[-2000:]

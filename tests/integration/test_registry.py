# SPDX-License-Identifier: Apache-2.0
"""Confluent's wire format with a schema registry: the whole path, readers of other makers, and a registry in trouble.

What must not happen: a message whose id stands for another schema, a row lost or twice because the registry was away, a secret in a log.
"""
import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

from lib.avro import Schemas, date_text, datetime_text, decimal_text
from lib.bigquery_judge import BigQueryWarehouse
from lib.column_types import COMMON
from lib.databases import READER_PASSWORD
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for
from lib.registry import Door, Registry, make_certificates

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture
def make_registry_path(make_path, broker, registry):
    """make_registry_path(server, door or None, warehouse, **settings of registry): a path whose programs use the registry through the door."""
    def make(server, door=None, warehouse=None, **settings):
        path = make_path(server, broker, warehouse, registry={"url": (door or registry).url, **settings})
        path.registry = registry
        return path
    return make


@pytest.fixture
def make_door(registry):
    doors = []

    def make(**how):
        doors.append(Door(registry, **how))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


def _change(path):
    """Two tables, one of them without a key; a column comes and a column goes; each kind of change."""
    path.sql("CREATE TABLE orders (id INT PRIMARY KEY, price DECIMAL(10,2), note TEXT)", "CREATE TABLE parts (a INT, b VARCHAR(20))",
             "INSERT INTO orders VALUES (1, 1.50, 'one'), (2, NULL, 'zwei 😀')", "INSERT INTO parts VALUES (1, 'x'), (1, 'x')",
             "UPDATE orders SET price = -0.01 WHERE id = 1", "ALTER TABLE orders ADD COLUMN seen DATETIME(6), DROP COLUMN note",
             "UPDATE orders SET id = 7, seen = '2026-01-02 03:04:05.678901' WHERE id = 2", "DELETE FROM orders WHERE id = 1",
             "UPDATE parts SET b = 'y' LIMIT 1")


def test_the_whole_path_by_registry(make_registry_path, registry, mariadb):
    """Every message carries an id whose schema is ours, under the subjects that readers expect; the rows are those of the source."""
    path = make_registry_path(mariadb)
    path.producer()
    path.worker()
    _change(path)
    path.wait_and_judge()
    subjects = [f"{path.topic(table)}-{part}" for table in ("orders", "parts") for part in ("key", "value")]
    assert registry.subjects(path.prefix) == subjects
    assert len(registry.versions(f"{path.topic('orders')}-value")) == 2 and len(registry.versions(f"{path.topic('orders')}-key")) == 1


def test_the_whole_path_by_registry_to_bigquery(make_registry_path, emulator, mariadb):
    """Rows by append and by load file: both are made of the bytes behind the frame."""
    path = make_registry_path(mariadb, warehouse=BigQueryWarehouse(emulator, table_jobs=86400, project_jobs=1000000, method={"*.parts": "load", "*.*": "append"}))
    path.producer()
    path.worker()
    _change(path)
    path.wait_and_judge(120)


def test_a_second_start_registers_nothing_new(make_registry_path, registry, mariadb):
    """The same table gives the same text, and so the same id, from each producer."""
    path = make_registry_path(mariadb)
    producer = path.producer()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    path.worker()
    path.wait_arrived()
    producer.must_stop()
    path.producer("producer-again")
    path.sql("INSERT INTO t VALUES (2)")
    path.wait_and_judge()
    assert len(registry.versions(f"{path.topic('t')}-value")) == 1


# ---- a registry in trouble


def _wait_trouble(program, words):
    wait_for(lambda: words in program.status()["trouble"], lambda: f"{words!r} in the producer's status: {program.status()}", 60)


def test_a_registry_that_is_down_at_the_start(make_registry_path, make_door, mariadb):
    """The producer waits and says why; the worker, too; nothing is lost once it is there."""
    door = make_door()
    door.trouble = 503
    path = make_registry_path(mariadb, door)
    producer = path.producer()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)", "DELETE FROM t WHERE id = 1")
    _wait_trouble(producer, "503")
    assert path.topics() == [] or sum(end for end in path.ends().values()) == 0
    path.worker()
    door.heal()
    path.wait_and_judge()
    assert producer.running()


@pytest.mark.parametrize("trouble", [500, pytest.param("silent", marks=pytest.mark.thorough)])
def test_a_registry_that_goes_away_under_load(make_registry_path, make_door, mariadb, trouble):
    """What has its number streams on; the first row of a new version waits, and all behind it; then everything arrives, in order."""
    door = make_door()
    path = make_registry_path(mariadb, door, timeout="500ms")
    make_tables(path)
    producer = path.producer()
    path.worker()
    load = Load(path, seed=31, rate=100).start()
    wait_rows(load, 200)
    door.trouble = trouble
    asked = len(door.lines)
    path.sql("ALTER TABLE customers ADD COLUMN away INT")
    _wait_trouble(producer, "registry")
    wait_for(lambda: len(door.lines) > asked + 1, "another try", 60)
    wait_rows(load, load.transactions + 50)
    door.heal()
    load.finish()
    path.wait_and_judge(120)


@pytest.mark.thorough
def test_a_registry_that_is_killed(make_path, broker, mariadb, tmp_path):
    """With SIGKILL; it comes back on its data, with the ids that it gave."""
    registry = Registry(tmp_path / "registry").start()
    path = make_path(mariadb, broker, registry={"url": registry.url})
    path.registry = registry
    make_tables(path)
    producer = path.producer()
    path.worker()
    load = Load(path, seed=32, rate=100).start()
    wait_rows(load, 200)
    registry.kill()
    path.sql("ALTER TABLE customers ADD COLUMN away INT")
    _wait_trouble(producer, "registry")
    registry.start()
    load.finish()
    path.wait_and_judge()


def test_a_version_that_is_refused_stops_its_table_with_the_registrys_words(make_registry_path, registry, mariadb):
    """What was before it arrives; the remedy helps; no row is lost on the way."""
    path = make_registry_path(mariadb)
    producer = path.producer()
    path.worker()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1)")
    path.wait_arrived()
    subject = f"{path.topic('t')}-value"
    registry.set_compatibility(subject, "BACKWARD")
    path.sql("INSERT INTO t VALUES (2, 2)", "ALTER TABLE t MODIFY v VARCHAR(10)", "INSERT INTO t VALUES (3, 'three')")
    assert producer.wait(60) == 1
    assert subject in producer.errors() and "409" in producer.errors() and "NONE" in producer.errors()
    registry.set_compatibility(subject, "NONE")
    path.producer("producer-again")
    path.wait_arrived()
    assert [(row.columns["id"], row.columns["v"]) for row in sorted(path.warehouse.history_rows(path, "t", path.source_table("t")), key=lambda row: row.seq)] \
        == [(1, 1), (2, 2), (3, "three")]


# What a level takes, statement by statement, and what it then refuses. Each column may be null, so a column may come and go by any level.
# BACKWARD: who knows the new version reads old rows. FORWARD: who knows the old one reads new rows. TRANSITIVE: this with every earlier version.
LEVELS = {
    "BACKWARD": (["MODIFY narrow DOUBLE", "ADD COLUMN late INT", "DROP COLUMN v"], "MODIFY wide FLOAT"),
    "FORWARD": (["MODIFY wide FLOAT", "ADD COLUMN late INT", "DROP COLUMN v"], "MODIFY narrow DOUBLE"),
    "FULL": (["ADD COLUMN late INT", "DROP COLUMN v", "ADD COLUMN v DOUBLE"], "MODIFY narrow DOUBLE"),
    "BACKWARD_TRANSITIVE": (["MODIFY narrow DOUBLE", "DROP COLUMN wide"], "ADD COLUMN wide FLOAT"),
    "FORWARD_TRANSITIVE": (["MODIFY wide FLOAT", "DROP COLUMN narrow"], "ADD COLUMN narrow DOUBLE"),
    "FULL_TRANSITIVE": (["ADD COLUMN late INT", "DROP COLUMN v"], "ADD COLUMN v DOUBLE"),
}


@pytest.mark.parametrize("level", [level if level in ("FORWARD", "FULL") else pytest.param(level, marks=pytest.mark.thorough) for level in LEVELS])
def test_each_level_takes_and_refuses_what_it_should(make_registry_path, registry, mariadb, level):
    """What it takes arrives; what it refuses stops the table there, with the registry's words and the remedy, and none of its rows is anywhere."""
    taken, refused = LEVELS[level]
    path = make_registry_path(mariadb)
    producer = path.producer()
    path.worker()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, narrow FLOAT, wide DOUBLE, v INT)", "INSERT INTO t VALUES (0, 1, 2, 3)")
    path.wait_arrived()
    subject = f"{path.topic('t')}-value"
    registry.set_compatibility(subject, level)
    for number, change in enumerate(taken, 1):
        path.sql(f"ALTER TABLE t {change}", f"INSERT INTO t (id) VALUES ({number})")
    path.sql("UPDATE t SET id = id + 10")  # the values of a column that came back
    path.wait_and_judge()
    assert producer.running() and len(registry.versions(subject)) == 1 + len(taken)
    rows = path.warehouse.history_count(path, "t")
    path.sql(f"ALTER TABLE t {refused}", "INSERT INTO t (id) VALUES (1000)")
    assert producer.wait(60) == 1
    for words in (subject, "409", "compatibility to NONE", f"{path.database}.t"):
        assert words in producer.errors()
    wait_for(lambda: path.lag() == 0, "what was committed before the refusal", 60)
    assert path.warehouse.history_count(path, "t") == rows and len(registry.versions(subject)) == 1 + len(taken)


def test_a_refused_table_is_set_aside_where_the_policy_says_so(make_registry_path, registry, mariadb):
    """Its rows are dead letters from there on; the other tables go on."""
    path = make_registry_path(mariadb)
    producer = path.producer(source__on_table_error="dead_letter")
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1, 1)")
    path.worker()
    path.wait_arrived()
    registry.set_compatibility(f"{path.topic('t')}-value", "BACKWARD")
    path.sql("ALTER TABLE t MODIFY v VARCHAR(10)", "INSERT INTO t VALUES (2, 'two')", "INSERT INTO other VALUES (7)")
    path.wait_and_judge(tables=["other"])
    assert producer.running()
    letters = [json.loads(message.value()) for message in path.broker.messages(f"{path.prefix}.dead")]
    assert [letter["after"] for letter in letters] == [{"id": 2, "v": "two"}]


@pytest.mark.parametrize("seen", [True, False], ids=["known_to_an_earlier_producer", "new"])
def test_a_table_that_is_emptied_before_its_columns_are_seen(make_registry_path, registry, mariadb, seen):
    """A TRUNCATE or DROP names a table without its columns: what is registered for it must get in the way of no real version, nor be refused."""
    path = make_registry_path(mariadb)
    producer = path.producer()
    path.worker()
    path.sql("CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO other VALUES (1)")
    if seen:
        path.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 2)")
        path.wait_arrived()
        producer.must_stop()
        producer = path.producer("producer-again")
        for part in ("key", "value"):
            registry.set_compatibility(f"{path.topic('t')}-{part}", "BACKWARD")
        path.sql("TRUNCATE TABLE t")
    else:
        path.sql("DROP TABLE IF EXISTS t", "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        path.wait_arrived()
        for part in ("key", "value"):
            registry.set_compatibility(f"{path.topic('t')}-{part}", "BACKWARD")
    path.sql("INSERT INTO t VALUES (3, 3)", "UPDATE t SET v = 4")
    path.wait_and_judge()
    assert producer.running()
    assert len(registry.versions(f"{path.topic('t')}-key")) == 1


def test_an_id_that_the_registry_does_not_know_is_waited_for(make_registry_path, make_door, mariadb):
    """It is no dead letter: the worker says so in its health check, and reads on when the registry knows it."""
    door = make_door()
    door.trouble = 404
    path = make_registry_path(mariadb)
    path.producer()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    worker = path.worker(registry__url=door.url, worker__stall="1s")
    text = wait_for(lambda: worker.get("/healthz")[1] if worker.get("/healthz")[0] == 503 else "", "the health check to fail", 60)
    assert "404" in text and "WAIT_SCHEMA" in text
    assert worker.status()["partitions"][0]["waits_for"]
    door.heal()
    path.wait_and_judge()
    assert path.broker.messages(f"{path.prefix}.dead") == []


def test_a_worker_without_the_registrys_address_waits(make_path, broker, registry, mariadb):
    """Its settings lack what the producer's have: no row becomes a dead letter because of that."""
    path = make_path(mariadb, broker)
    path.registry = registry
    path.producer(registry__url=registry.url)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    worker = path.worker(worker__stall="1s")
    text = wait_for(lambda: worker.get("/healthz")[1] if worker.get("/healthz")[0] == 503 else "", "the health check to fail", 60)
    assert "registry.url" in text
    worker.must_stop()
    path.worker("worker-again", registry__url=registry.url)
    path.wait_and_judge()
    assert path.broker.messages(f"{path.prefix}.dead") == []


def test_a_message_of_somebody_elses_schema_is_a_dead_letter(make_registry_path, registry, mariadb):
    path = make_registry_path(mariadb)
    path.producer()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    path.worker()
    path.wait_and_judge()
    number = registry.ask("POST", f"/subjects/{path.prefix}.foreign/versions", {"schema": '"long"'})[1]["id"]
    path.broker.produce(path.topic("t"), b"k", b"\0" + number.to_bytes(4, "big") + b"\2")
    letters = wait_for(lambda: path.broker.messages(f"{path.prefix}.dead"), "the dead letter", 60)
    assert dict(letters[0].headers())["schema"] == str(number).encode()


def test_the_next_url_serves_while_the_first_are_down(make_path, broker, registry, make_door, mariadb):
    """Both programs, from the start and when a server goes away under them; check warns of those that are down."""
    door = make_door()
    dead = "http://127.0.0.1:1"
    path = make_path(mariadb, broker, registry={"url": [dead, door.url, registry.url]})
    path.registry = registry
    path.producer()
    path.worker()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    path.wait_arrived()
    asked = len(door.lines)
    assert asked > 0  # it was the one
    door.trouble = 503
    path.sql("ALTER TABLE t ADD COLUMN away INT", "INSERT INTO t VALUES (2, 2)")
    path.wait_and_judge()
    assert len(door.lines) > asked
    for program in ("producer", "worker"):
        checked = path.run_command(program, "check")
        assert checked.popen.returncode == 0, checked.text()
        levels = {url: next(line.split()[0] for line in checked.text().splitlines() if url in line) for url in (dead, door.url, registry.url)}
        assert levels == {dead: "warning", door.url: "warning", registry.url: "ok"}
    alone = path.run_command("worker", "check", registry__url=[dead, door.url])
    assert alone.popen.returncode == 1 and alone.text().count("error    registry: ") == 2, alone.text()


# ---- who may


def test_tls_client_certificate_and_password(make_registry_path, make_door, mariadb, tmp_path):
    """The whole path by a door that lets in only whom it knows; check says who was refused and why, and no secret."""
    certificates = make_certificates(tmp_path)
    door = make_door(certificates=certificates, password=f"kakehi:{READER_PASSWORD}")
    who = {"ca_file": str(certificates / "ca.pem"), "certificate_file": str(certificates / "client.pem"), "user": "kakehi",
           "password": "${KAKEHI_TEST_PASSWORD}"}
    path = make_registry_path(mariadb, door, **who)
    path.producer()
    path.worker()
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    path.wait_and_judge()
    assert "registry: " in path.run_command("producer", "check").text()
    assert path.run_command("worker", "check").popen.returncode == 0
    for change, words in (({"user": "nobody"}, "401"), ({"ca_file": str(certificates / "other-ca.pem")}, "certificate")):
        ended = path.run_command("worker", "check", **{f"registry__{key}": value for key, value in change.items()})
        assert ended.popen.returncode == 1 and words in ended.text(), ended.text()
    assert not [program.name for program in path.programs if READER_PASSWORD in program.text()]


# ---- readers of other makers


def _ours(path, table):
    """[key, value] of each message as our own reader sees them, in the form of tests/programs/read_topic.py."""
    schemas = Schemas(path.broker, path.prefix, path.registry)

    def hexed(record):
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in record.items()}

    return [[hexed(schemas.read(message.key())), hexed(schemas.read(message.value()))] for message in path.broker.messages(path.topic(table))]


def _by_python(path, how, table, count):
    command = ["/usr/bin/python3", "-B", str(PROGRAMS / "read_topic.py"), how, path.broker.address, path.registry.url, path.topic(table), str(count)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(path.registry.home / "site")}, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _meant(value, kind):
    """What a logical type makes of Avro's generic value."""
    kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
    logical = kind.get("logicalType") if isinstance(kind, dict) else None
    if value is None or logical is None:
        return struct.unpack("<f", struct.pack("<f", value))[0] if kind == "float" and value is not None else value
    if logical == "decimal":
        return decimal_text(bytes.fromhex(value), kind.get("scale", 0))
    return {"date": date_text, "timestamp-micros": datetime_text, "local-timestamp-micros": datetime_text}.get(logical, lambda same: same)(value)


def _by_java(path, folder, table, count):
    jars = f"{path.registry.home / 'java'}/*:{path.broker.server.parent / 'lib'}/*"
    compile_command = ["java", "-jar", str(path.registry.home / "ecj.jar"), "-17", "-nowarn", "-d", str(folder), "-cp",
                       ":".join(str(jar) for home in (path.registry.home / "java", path.broker.server.parent / "lib") for jar in home.glob("*.jar")),
                       str(PROGRAMS / "ReadTopic.java")]
    compiled = subprocess.run(compile_command, capture_output=True, text=True, timeout=180, check=False)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{jars}", "ReadTopic", path.broker.address, path.registry.url,
               path.topic(table), str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    schemas = Schemas(path.broker, path.prefix, path.registry)
    pairs = []
    for line, message in zip(ended.stdout.splitlines(), path.broker.messages(path.topic(table))):
        kinds = [{field["name"]: field["type"] for field in schemas.of(part)[0]["fields"]} for part in (message.key(), message.value())]
        pairs.append([{name: _meant(value, kinds[part][name]) for name, value in record.items()} for part, record in enumerate(json.loads(line))])
    return pairs


def test_readers_of_other_makers_read_every_value(make_registry_path, mariadb, tmp_path):
    """Every type with its edge values, by fastavro, by Confluent's deserializer and by Java: all as our judge reads them, who compares with SELECT."""
    path = make_registry_path(mariadb)
    rows = max(len(literals) for literals in COMMON.values())
    path.sql("CREATE TABLE types (id INT PRIMARY KEY, " + ", ".join(f"c{i} {kind}" for i, kind in enumerate(COMMON)) + ") ROW_FORMAT=DYNAMIC")
    path.producer()
    path.worker()
    connection = path.connect()
    connection.cursor().execute("SET sql_mode = 'NO_ENGINE_SUBSTITUTION'")  # an ENUM's value 0
    for row in range(rows):
        connection.cursor().execute(f"INSERT INTO types VALUES ({row}, {', '.join(literals[row % len(literals)] for literals in COMMON.values())})")
    connection.cursor().execute(f"INSERT INTO types (id) VALUES ({rows})")
    connection.cursor().execute("UPDATE types SET id = 4711 WHERE id = 0")
    path.wait_and_judge(120)
    ours = _ours(path, "types")
    assert len(ours) == rows + 3
    for how in ("fastavro", "confluent"):
        assert _by_python(path, how, "types", len(ours)) == ours
    assert _by_java(path, tmp_path, "types", len(ours)) == ours

# SPDX-License-Identifier: Apache-2.0
"""Confluent's wire format with a schema registry: the whole path, readers of other makers, and a registry in trouble.

What must not happen: a message whose id stands for another schema, a row lost or twice because the registry was away, a secret in a log.
"""
import json

import pytest

from lib.bigquery_judge import BigQueryWarehouse
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for
from lib.registry import Door, make_certificates


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


def test_the_whole_path_by_registry_to_bigquery(make_registry_path, fake, mariadb):
    """Rows by append and by load file: both are made of the bytes behind the frame."""
    path = make_registry_path(mariadb, warehouse=BigQueryWarehouse(fake, table_jobs=86400, project_jobs=1000000, method={"*.parts": "load", "*.*": "append"}))
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

# SPDX-License-Identifier: Apache-2.0
"""P5: per table, read = appended + deduplicated + filtered + dead-lettered + already in + in flight, at any moment; and nothing is skipped in silence."""
from lib import oracle
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for

_PARTS = ("appended", "deduplicated", "filtered", "dead_lettered", "already_in", "in_flight")


def _accounts_balance(worker):
    """Of every table that the worker knows now; returns the figures."""
    tables = {name: {part: figures[part] for part in ("read", *_PARTS)} for name, figures in worker.status()["tables"].items()}
    for name, figures in tables.items():
        assert figures["read"] == sum(figures[part] for part in _PARTS), f"{name}: {figures}"
    return tables


def _over_partitions(metrics, name, table):
    return sum(value for cell, value in metrics.items() if cell.startswith(f'{name}{{table="{table}",partition='))


def _metric(metrics, table, part):
    """As /status counts it: what a partition gave back at a rebalance was never read there, and is a counter of its own in the metrics."""
    value = _over_partitions(metrics, "kakehi_rows_in_flight" if part == "in_flight" else f"kakehi_rows_{part}_total", table)
    return value - _over_partitions(metrics, "kakehi_rows_returned_total", table) if part == "read" else value


def _status_is_metrics(worker):
    """The same figures in both places, none of them in flight, while nothing moves (the killed worker's partitions may just be coming over)."""
    tables, metrics = _accounts_balance(worker), worker.metrics()
    if tables != _accounts_balance(worker) or any(figures["in_flight"] for figures in tables.values()):
        return False
    return all(_metric(metrics, name, part) == count for name, figures in tables.items() for part, count in figures.items())


def test_accounts_balance_while_load_runs(path):
    """Asked a hundred times under load, with a kill of one of two workers on the way; at the end the sum of appended rows is the history."""
    make_tables(path)
    path.producer()
    workers = [path.worker("worker1"), path.worker("worker2")]
    load = Load(path, seed=11, rate=300).start()
    for turn in range(100):
        wait_rows(load, 10 * turn)
        for worker in workers:
            _accounts_balance(worker)
        if turn == 50:
            workers.pop().kill()
    load.finish()
    path.wait_and_judge()
    wait_for(lambda: _status_is_metrics(workers[0]), lambda: f"{workers[0].status()} to be {workers[0].metrics()}")


def test_a_bad_message_goes_to_the_dead_letters_and_the_partition_goes_on(mariadb_path):
    """The original bytes, headers for reason and place, the key topic/partition/offset; the rows before and behind it arrive."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.producer()
    worker = path.worker()
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    topic = path.topic("t")
    good = path.broker.messages(topic)[0].value()
    bad = {"no frame": b"garbage", "cut": good[:-3], "longer": good + b"\0", "empty": b"", "unknown op": good[:10] + b"\xff" * 30}
    for name, value in bad.items():
        path.broker.produce(topic, b"key of " + name.encode(), value)
    path.sql("INSERT INTO t VALUES (2)", "UPDATE t SET id = 3 WHERE id = 2")
    wait_for(lambda: oracle.history_count(path.sqlite_file, "t") == 4, "the rows behind the bad messages")
    dead = wait_for(lambda: (lambda found: len(found) >= len(bad) and found)(path.broker.messages(f"{path.prefix}.dead")), "the dead letters")
    assert [message.value() for message in dead] == list(bad.values())
    offsets = {message.value(): message.offset() for message in path.broker.messages(topic)}
    for message in dead:
        assert message.key().decode() == f"{topic}/0/{offsets[message.value()]}"
        said = {name: value.decode() for name, value in message.headers()}
        assert topic in said.values() and "0" in said.values() and str(offsets[message.value()]) in said.values(), said
        assert any("reason" in name and value for name, value in said.items()), said
    figures = wait_for(lambda: (lambda t: t.get(f"{path.database}.t", {}).get("in_flight") == 0 and t)(_accounts_balance(worker)), "in flight to be 0")
    assert sum(table["dead_lettered"] for table in figures.values()) == len(bad)
    oracle.judge_sqlite(path)


def test_rows_of_a_new_schema_are_no_bad_messages(mariadb_path):
    """The partition waits until the worker has read the schema, however many new ones come at once."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_arrived()
    for i in range(8):
        path.sql(f"ALTER TABLE t ADD COLUMN a{i} INT", f"INSERT INTO t (id, a{i}) VALUES ({i + 2}, {i})")
    path.wait_and_judge()
    assert len(path.broker.messages(f"{path.prefix}.schemas")) >= 9 and producer.running()
    assert not path.broker.messages(f"{path.prefix}.dead")


def test_repeated_rows_are_dropped_by_their_identity(mariadb_path):
    """Duplicates in the log (as after a position that was set back) are seen within the window: counted, not stored twice."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.producer()
    worker = path.worker()
    path.sql("INSERT INTO t VALUES (1), (2), (3)")
    path.wait_arrived()
    for message in path.broker.messages(path.topic("t")):
        path.broker.produce(path.topic("t"), message.key(), message.value())
    wait_for(lambda: _accounts_balance(worker)[f"{path.database}.t"]["deduplicated"] == 3, lambda: f"three repetitions: {worker.status()}")
    oracle.judge_sqlite(path)

# SPDX-License-Identifier: Apache-2.0
"""FT-C4: what one owner has announced in the group's commit, another one resumes who sees the same messages otherwise. Both ways, append and load.

Here the log holds changes twice, as after a position that was set back by hand, and one owner's window is large enough to drop the second ones while the
other's is none. So the two make different rows of the same offsets. What must hold: of the range that was announced the rows of one owner are in, whole: the
first one's if its request or job was carried out, else the second one's. Never a row of each, never none (C4, D2).
"""
from collections import Counter

import pytest

from lib.bigquery_judge import BigQueryWarehouse
from lib.processes import wait_for

WIDE, NONE = 20000, 0
# At which call what was announced is sent.
DOORS = {"append": "AppendRows", "load": "upload.multipart"}


@pytest.fixture
def path(make_path, mariadb, broker, fake, method):
    """Tables of one partition, a producer. A killed worker is missed after three seconds."""
    warehouse = BigQueryWarehouse(fake, method={"*.*": method}, table_jobs=86400, project_jobs=1000000, retry="20s", answer_timeout="1s")
    made = make_path(mariadb, broker, warehouse, topics__partitions=1, kafka={"session.timeout.ms": 3000})
    made.fake = fake
    made.producer()
    return made


def _history(path, table):
    return path.warehouse.history(path, table)


def _wait_messages(path, table, count):
    return wait_for(lambda: path.topic(table) in path.topics() and (lambda found: len(found) >= count and found)(path.broker.messages(path.topic(table))),
                    f"{count} messages of {table}", 60, 0.2)


def _repeat(path, table, messages):
    """The same messages behind all others."""
    for message in messages:
        path.broker.produce(path.topic(table), message.key(), message.value())


def _times(path, table):
    """id -> how often its insert is in."""
    return Counter(row["id"] for row in path.fake.rows(_history(path, table)) if row["__op"] == "c")


@pytest.mark.parametrize("method", ["append", "load"])
@pytest.mark.parametrize("first_window, second_window", [(WIDE, NONE), pytest.param(NONE, WIDE, marks=pytest.mark.thorough)])
def test_C4_resumed_under_another_window(path, method, first_window, second_window):
    """Of table `done` the announced request was carried out, only the answer is missing; of table `lost` it was not."""
    tables = {"done": "after", "lost": "before"}
    for table, when in tables.items():
        path.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY)", f"INSERT INTO {table} VALUES (1), (2), (3)", f"INSERT INTO {table} VALUES (4)")
        _repeat(path, table, _wait_messages(path, table, 4))
        path.fake.fault(DOORS[method], {"hold": table}, table=_history(path, table), when=when)
    first = path.worker("worker1", worker__dedupe__window=first_window)
    for table in tables:
        path.fake.wait_at(table, deadline_s=90)
    first.kill()
    path.worker("worker2", worker__dedupe__window=second_window)
    path.sql("INSERT INTO done VALUES (5)", "INSERT INTO lost VALUES (5)")
    for table, window in (("done", first_window), ("lost", second_window)):
        each = 2 if window == NONE else 1
        wanted = {1: each, 2: each, 3: each, 4: each, 5: 1}
        wait_for(lambda t=table, w=wanted: _times(path, t) == w, lambda t=table, w=wanted: f"{t} as one owner sees it, {w}: {_times(path, t)}", 90, 0.2)
    for table in tables:
        path.fake.open(table)
    path.sql("INSERT INTO done VALUES (6)", "INSERT INTO lost VALUES (6)")
    for table, window in (("done", first_window), ("lost", second_window)):
        wait_for(lambda t=table: 6 in _times(path, t), f"the row behind in {table}", 90, 0.2)
        assert set(_times(path, table).values()) == ({1, 2} if window == NONE else {1})


@pytest.mark.parametrize("method", ["append"])
def test_C4_resumed_with_another_filter(path):
    """The nearest to a filter that a worker has: one owner's settings refuse rows of another type, the next one's don't."""
    tables = {"done": "after", "lost": "before"}
    for table in tables:
        path.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, v INT)", f"INSERT INTO {table} VALUES (1, 1)")
    worker = path.worker("worker0")
    for table in tables:
        wait_for(lambda t=table: path.fake.count(_history(path, t)) == 1, f"the history of {table}", 90)
    wait_for(lambda: path.lag() == 0, "the commits behind them", 60)
    worker.must_stop()
    for table, when in tables.items():
        path.sql(f"INSERT INTO {table} VALUES (2, 2)", f"ALTER TABLE {table} MODIFY v VARCHAR(20)", f"INSERT INTO {table} VALUES (3, 'drei')")
        _wait_messages(path, table, 3)
        path.fake.fault("AppendRows", {"hold": table}, table=_history(path, table), when=when)
    worker = path.worker("worker1", bigquery__on_type_change="dead_letter")
    for table in tables:
        path.fake.wait_at(table, deadline_s=90)
    worker.kill()
    path.worker("worker2", bigquery__on_type_change="column")
    path.sql("INSERT INTO done VALUES (4, 'vier')", "INSERT INTO lost VALUES (4, 'vier')")
    for table, wanted in (("done", {1: 1, 2: 1, 4: 1}), ("lost", {1: 1, 2: 1, 3: 1, 4: 1})):
        wait_for(lambda t=table, w=wanted: _times(path, t) == w, lambda t=table, w=wanted: f"{t} as one owner sees it, {w}: {_times(path, t)}", 90, 0.2)
        path.fake.open(table)
    dead = {message.key().decode().rsplit("/", 2)[0] for message in path.broker.messages(f"{path.prefix}.dead")}
    assert path.topic("done") in dead, "what is not in the history is in the dead letters"


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["load"])
@pytest.mark.parametrize("first", ["comes too late", "was there"])
def test_C4_intent_that_the_next_owner_can_not_build(path, method, first):
    """The next owner finds two schema versions in the range of a file, which hold one: it uses the job's id up, and appends the range. If the first owner's
    job was there before, its rows are those that count."""
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    worker = path.worker("worker0", worker__dedupe__window=WIDE)
    wait_for(lambda: path.fake.count(_history(path, "t")) == 3, "the rows of the first version", 90)
    wait_for(lambda: path.lag() == 0, "the commit behind them", 60)
    worker.must_stop()
    _repeat(path, "t", _wait_messages(path, "t", 3))
    path.sql("ALTER TABLE t ADD COLUMN v INT", "INSERT INTO t VALUES (4, 4), (5, 5)")
    _wait_messages(path, "t", 8)
    path.fake.fault(DOORS[method], {"hold": "door"}, table=_history(path, "t"), when="before")
    worker = path.worker("worker1", worker__dedupe__window=WIDE)
    path.fake.wait_at("door", deadline_s=90)
    worker.kill()
    if first == "was there":
        path.fake.open("door")
    path.worker("worker2", worker__dedupe__window=NONE)
    path.sql("INSERT INTO t VALUES (6, 6)")
    each = 1 if first == "was there" else 2
    wanted = {1: each, 2: each, 3: each, 4: 1, 5: 1, 6: 1}
    wait_for(lambda: _times(path, "t") == wanted, lambda: f"the rows {wanted}: {_times(path, 't')}", 90, 0.2)
    path.fake.open("door")
    path.sql("INSERT INTO t VALUES (7, 7)")
    wait_for(lambda: _times(path, "t") == {**wanted, 7: 1}, lambda: f"the rows {wanted}, and one more: {_times(path, 't')}", 90, 0.2)

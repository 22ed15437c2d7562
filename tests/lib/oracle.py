# SPDX-License-Identifier: Apache-2.0
"""The oracle: rows = distinct identities = committed changes, every key in commit order, the latest view = SELECT at the source.

One judgement serves the two places where rows come to rest, the topics and the history tables: both are turned into a list of `Row` in the
order in which they stand there. Against the server's own log (lib/truth.py) it is asked, per table:

* Is every committed image there, once, by its identity (`__source`, `__txid`, `__idx`), and nothing else?           (P1, P2)
* Is the order by (`__seq`, `__idx`) the commit order, with one `__seq` a transaction?                               (O1)
* Do the rows of each key stand in that order?                                                                      (P3)
* Played back in that order, does each insert find its key absent, each update and delete find it there, and is what
  remains the table as the server shows it now?                                                                      (P1, P4)
"""
import sqlite3
from typing import NamedTuple

from lib import murmur2
from lib.avro import Schemas
from lib.processes import wait_for
from lib.values import SourceTable, standing_name

_SHOWN = 8


class Row(NamedTuple):
    op: str
    seq: int
    idx: int
    source: str
    txid: str
    columns: dict


def _some(what, items):
    items = list(items)
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return f"{what}: {items[:_SHOWN]}{more}"


class Judgement:
    """Collects what is wrong; says it all at once."""

    def __init__(self, where):
        self.where = where
        self.problems = []

    def wrong(self, table, problem):
        self.problems.append(f"{self.where} {table}: {problem}")

    def must_be_clean(self):
        assert not self.problems, "\n".join(self.problems)


def judge_rows(judgement, name, rows, images, table, source_name="test"):
    """rows: as they stand, in their order. images: the truth. table: the SourceTable now (None: the last two questions are not asked)."""
    wrong = lambda problem: judgement.wrong(name, problem)
    identities = [(row.txid, row.idx) for row in rows]
    if len(set(identities)) != len(identities):
        seen = set()
        wrong(_some("identities twice", [i for i in identities if i in seen or seen.add(i)]))
    foreign = [row for row in rows if row.source != source_name]
    if foreign:
        wrong(_some("rows of another source", foreign))

    # Which identities there must be. Whether an update came as one row or as a pair the replay below judges by the keys.
    ops = {(row.txid, row.idx): row.op for row in rows}
    expected = []
    for image in images:
        first = (image.txid, 2 * image.index)
        if image.op == "u" and ops.get(first) == "d":
            expected += [first, (image.txid, 2 * image.index + 1)]
        else:
            expected.append(first)
            if first in ops and ops[first] != image.op:
                wrong(f"{first} is {ops[first]}, committed was {image.op}")
    absent = [i for i in expected if i not in ops]
    if absent:
        wrong(_some(f"LOST {len(absent)} of {len(expected)} committed changes", absent))
    invented = set(ops) - set(expected)
    if invented:
        wrong(_some("changes that were never committed", sorted(invented)))

    ordered = sorted(rows, key=lambda row: (row.seq, row.idx))
    if sorted(identities) == sorted(expected) and [(row.txid, row.idx) for row in ordered] != expected:
        at = next(i for i, row in enumerate(ordered) if (row.txid, row.idx) != expected[i])
        wrong(f"(__seq, __idx) is not the commit order: at {at} stands {ordered[at][1:5]}, committed was {expected[at]}")
    seqs = {}
    for row in rows:
        seqs.setdefault(row.txid, set()).add(row.seq)
    if len({min(s) for s in seqs.values()}) != len(seqs) or any(len(s) != 1 for s in seqs.values()):
        wrong("__seq is not one number a transaction")

    if table is None or not table.key:
        return
    key_of = lambda row: tuple(row.columns[standing_name(name)] for name in table.key)
    last, disorder = {}, []
    for row in (row for row in rows if row.op != "t"):  # a truncate has no key; of a table that had no rows yet it has no columns
        if (row.seq, row.idx) <= last.get(key_of(row), (-1, -1)):
            disorder.append(row[:5])
        last[key_of(row)] = (row.seq, row.idx)
    if disorder:
        wrong(_some("rows of a key out of order", disorder))

    now = {}
    for row in ordered:
        if row.op == "t":
            now.clear()
        elif row.op == "c":
            if key_of(row) in now:
                wrong(f"insert of a key that is there: {row[:5]}")
            now[key_of(row)] = row
        elif row.op in "ud":
            if now.pop(key_of(row), None) is None:
                wrong(f"{row.op} of a key that is not there: {row[:5]}")
            if row.op == "u":
                now[key_of(row)] = row
    compare(judgement, name + " played back", [table.arrived(row.columns) for row in now.values()], table)


def compare(judgement, name, rows, table):
    """Two unordered lists of rows; None sorts by its text."""
    here, there = sorted(rows, key=repr), sorted(table.rows, key=repr)
    if here == there:
        return
    ours, theirs = set(map(repr, here)), set(map(repr, there))
    judgement.wrong(name, _some(f"{len(here)} rows, the source has {len(there)}; only here", [row for row in here if repr(row) not in theirs]))
    judgement.wrong(name, _some("only at the source", [row for row in there if repr(row) not in ours]))


# ---- the two resting places


def sqlite_connect(file):
    connection = sqlite3.connect(file, timeout=60)
    connection.row_factory = sqlite3.Row
    return connection


def history_count(file, table):
    """Rows of the history table; 0 as long as there is none."""
    connection = sqlite_connect(file)
    try:
        return connection.execute(f'SELECT count(*) FROM "{table}_history"').fetchone()[0]
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return 0
    finally:
        connection.close()


def history_rows(file, table):
    connection = sqlite_connect(file)
    try:
        return [Row(r["__op"], r["__seq"], r["__idx"], r["__source"], r["__txid"], dict(r))
                for r in connection.execute(f'SELECT * FROM "{table}_history" ORDER BY rowid')]
    finally:
        connection.close()


def view_rows(file, table):
    connection = sqlite_connect(file)
    try:
        return [dict(r) for r in connection.execute(f'SELECT * FROM "{table}"')]
    finally:
        connection.close()


class SqliteWarehouse:
    """The file, as the judge asks any warehouse. lib/bigquery_judge.py has the other one."""

    name = "sqlite"
    has_views = True

    def __init__(self, file):
        self.file = file
        self.settings = {"warehouse": "sqlite", "sqlite": {"file": str(file)}}

    def history_count(self, path, table):
        return history_count(self.file, table)

    def history_rows(self, path, table, source):
        return history_rows(self.file, table)

    def view_rows(self, path, table, source):
        return view_rows(self.file, table)

    def done(self, path):
        """(topic, partition) -> the offset up to which the warehouse has everything: the file is the record."""
        if not self.file.exists():
            return {}
        connection = sqlite_connect(self.file)
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'kakehi_offsets'").fetchone():
                return {}
            # next is NULL from the moment a worker owns the partition until its first rows are in
            rows = connection.execute("SELECT topic, partition, next FROM kakehi_offsets WHERE next IS NOT NULL")
            return {(row["topic"], row["partition"]): row["next"] for row in rows}
        finally:
            connection.close()


def judge_warehouse(path, tables=None, whole=True):
    """All tables of the path's database (or those named) where the path's workers write."""
    warehouse = path.warehouse
    judgement = Judgement(warehouse.name)
    committed = path.truth()
    for name in sorted(tables or committed):
        table = path.source_table(name)
        judge_rows(judgement, name, warehouse.history_rows(path, name, table), committed.get(name, []), table if whole else None)
        if whole and table is not None and table.key and warehouse.has_views:
            compare(judgement, name + " (view)", [table.arrived(row) for row in warehouse.view_rows(path, name, table)], table)
    judgement.must_be_clean()


def judge_sqlite(path, tables=None, whole=True):
    judge_warehouse(path, tables, whole)


def topic_rows(path, topic, schemas):
    """(rows in offset order by partition, messages) of one topic."""
    rows, messages = [], sorted(path.broker.messages(topic), key=lambda message: (message.partition(), message.offset()))
    for message in messages:
        value = schemas.read_named(message.value())
        rows.append(Row(value["__op"], value["__seq"], value["__idx"], value["__source"], value["__txid"], value))
    return rows, messages


def judge_topics(path, tables=None, whole=True):
    """The same, in the topics; and that each key went to the partition where a Java client would look for it."""
    judgement = Judgement("topic")
    committed = path.truth()
    schemas = Schemas(path.broker, path.prefix, path.registry)
    partitions = path.broker.topics(path.prefix)
    for name in sorted(tables or committed):
        topic = path.topic(name)
        rows, messages = topic_rows(path, topic, schemas)
        for row, message in zip(rows, messages):
            wanted = 0 if row.op == "t" else murmur2.partition(message.key(), partitions[topic])
            if message.partition() != wanted or (message.key() is None) != (row.op == "t"):
                judgement.wrong(name, f"offset {message.offset()} of partition {message.partition()}: its key belongs to partition {wanted}")
                break
        judge_rows(judgement, name, rows, committed.get(name, []), path.source_table(name) if whole else None)
    judgement.must_be_clean()


def wait_until_arrived(path, deadline_s=60, tables=None):
    """Until every table's history holds as many rows as its topic has committed ones and the log has changes. The judging comes after."""
    committed = path.truth()

    def arrived():
        return all(path.warehouse.history_count(path, name) >= len(images) for name, images in committed.items() if not tables or name in tables)

    def behind():
        figures = {name: (path.warehouse.history_count(path, name), len(images)) for name, images in committed.items()}
        return f"the histories to hold all changes (here, committed): {figures}"

    wait_for(arrived, behind, deadline_s, 0.1)
    # An update that changes its key is two rows: what is still on its way after the count is reached shows by the topics' ends.
    wait_for(lambda: path.lag() == 0, lambda: f"the workers to reach the topics' ends: lag {path.lag()}", deadline_s, 0.1)

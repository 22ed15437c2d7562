# SPDX-License-Identifier: Apache-2.0
"""Tables, statements and changes of tables drawn by a seed: every type with its edge values, all kinds of keys, DML of every form, DDL in between.

What they must come to is not computed here: the oracle asks the server's log which changes there were, and the server's SELECT what they left behind.
ALTER changes stored rows without row events: what is not marked as reread_needed is right all the same, and at the end each row is touched once:
from then on the log has said all that the tables hold.
A table without a key is only ever emptied, so that its rows can be counted by their values; and it alone has, on MariaDB, types that the log
does not tell (producer/binlog/marks.h): a change of such a table that was executed before the server was asked stops the stream, as it must.
"""
import random
import threading
import warnings
from collections import Counter

import pymysql

from lib import column_types

_HUGE = 5000  # longer values make the tests slow, not better: test_types.py has them

# (type, a value): small ranges, so that statements meet each other's rows.
_KEYS = [
    ("INT", lambda draw: str(draw.randrange(-20, 20))),
    ("BIGINT UNSIGNED", lambda draw: str(2 ** 63 + draw.randrange(-15, 15))),
    ("VARCHAR(20)", lambda draw: f"'{draw.choice(['a', 'A', 'ä', '日本'])}{draw.randrange(12)}'"),
    ("CHAR(5) CHARACTER SET latin1", lambda draw: f"'é{draw.randrange(30)}'"),
    ("DATE", lambda draw: f"'2026-02-{draw.randrange(1, 29):02}'"),
    ("DECIMAL(10,2)", lambda draw: f"{draw.randrange(-15, 15)}.25"),
    ("BINARY(3)", lambda draw: f"x'{draw.randrange(20):02x}0000'"),
    ("DATETIME(6)", lambda draw: f"'1969-12-31 23:59:59.{draw.randrange(30):06}'"),
]
_WIDER = {"tinyint": "INT", "smallint": "BIGINT", "int": "BIGINT", "float": "DOUBLE", "varchar(63)": "TEXT", "tinytext": "MEDIUMTEXT", "date": "DATETIME(3)"}


# MariaDB's log shows other types in the same bytes.
_DOUBTFUL = ["longtext", "json", "binary(4)", "varbinary(300)", "vector(1)", "vector(3)", "vector(2000)"]


def _is_huge(literal):
    return "REPEAT" in literal and any(part.strip(" )").isdigit() and int(part.strip(" )")) > _HUGE for part in literal.replace("'", ",").split(","))


class _Column:
    def __init__(self, name, kind, literals):
        self.name, self.kind, self.literals = name, kind, literals


class _Table:
    def __init__(self, name, key, columns):
        self.name, self.key, self.columns = name, key, columns

    def create(self):
        parts = [f"`{column.name}` {column.kind} NOT NULL" for column, _ in self.key] + [f"`{column.name}` {column.kind} NULL" for column in self.columns]
        key = [f"PRIMARY KEY ({', '.join(f'`{column.name}`' for column, _ in reversed(self.key))})"] if self.key else []
        return f"CREATE TABLE `{self.name}` ({', '.join(['n INT NOT NULL', 'touched INT NOT NULL DEFAULT 0', *parts, *key])}) ROW_FORMAT=DYNAMIC"


class RandomTables:
    """tables: how many there are at a time. Either run(count), or start() ... finish() on a thread of its own."""

    def __init__(self, path, seed, tables=3):
        self.path = path
        self.random = random.Random(seed)
        self.pool = {kind: [literal for literal in literals if not _is_huge(literal)] for kind, literals in column_types.of(path.server).items()}
        self.pool = {kind: literals for kind, literals in self.pool.items() if literals}
        self.connection = path.connect()
        self.connection.cursor().execute("SET sql_mode = 'NO_ENGINE_SUBSTITUTION'")  # an ENUM's value 0
        self.names = 0
        self.tables = []
        for number in range(tables):
            keys = [] if number == tables - 1 else self.random.sample(_KEYS, self.random.choice([1, 1, 2]))
            self.tables.append(self._table(f"random{number}", [(_Column(f"k{place}", kind, None), value) for place, (kind, value) in enumerate(keys)]))
            self._do(self.tables[-1].create())
        self.statements = Counter()  # by what became of them
        self.error = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    # ---- what there is

    def _column(self, doubtful=False):
        self.names += 1
        kind = self.random.choice([kind for kind in self.pool if doubtful or self.path.server.flavor != "mariadb" or kind not in _DOUBTFUL])
        return _Column(self.random.choice([f"c{self.names}", f"c{self.names}", f"odd {self.names} é-"]), kind, self.pool[kind])

    def _table(self, name, key):
        return _Table(name, key, [self._column(doubtful=not key) for _ in range(self.random.randrange(1, 8))])

    def _do(self, statement):
        with warnings.catch_warnings(), self.connection.cursor() as cursor:
            warnings.simplefilter("ignore")
            cursor.execute(statement)

    # ---- one step

    def _run(self):
        try:
            while not self._ending.is_set():
                self.step()
                self._ending.wait(0.02)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def start(self):
        self._thread.start()
        return self

    def run(self, count):
        """Then touch()."""
        for _ in range(count):
            self.step()
        self._do(f"INSERT INTO `{self.tables[-1].name}` (n) VALUES (0)")  # when it has arrived, each ALTER before it has been read

    def finish(self):
        self._ending.set()
        self._thread.join()
        if self.error:
            raise self.error
        self.touch()

    def touch(self):
        """Every row, so that the log has it as it is now; and says how much was done."""
        for table in self.tables:
            self._do(f"UPDATE `{table.name}` SET touched = touched + 1")
        self.connection.close()
        assert self.statements["done"] > 5 * self.statements["refused"], self.statements

    def step(self):
        """A transaction, or a change of a table. What the server refuses (a row too large, a value that no longer fits) is rolled back."""
        try:
            if self.random.random() < 0.15:
                self._alter(self.random.choice(self.tables))
            else:
                self._transaction()
            self.statements["done"] += 1
        except pymysql.err.MySQLError as error:
            if error.args[0] in (0, 2006, 2013):
                raise  # no answer at all
            self.connection.rollback()
            self.statements["refused"] += 1

    def _transaction(self):
        self.connection.begin()
        for _ in range(self.random.choice([1, 1, 2, 5])):
            table = self.random.choice(self.tables)
            savepoint = self.random.random() < 0.1
            if savepoint:
                self._do("SAVEPOINT s")
            self._do(self.random.choice([self._insert, self._insert, self._replace, self._upsert, self._update, self._update, self._delete, self._move])(table))
            if savepoint:
                self._do("ROLLBACK TO s")
        if self.random.random() < 0.1:
            self.connection.rollback()
        else:
            self.connection.commit()

    # ---- statements

    def _literal(self, column):
        return "NULL" if self.random.random() < 0.15 else self.random.choice(column.literals)

    def _rows(self, table, word):
        names = ", ".join(["n"] + [f"`{column.name}`" for column, _ in table.key] + [f"`{column.name}`" for column in table.columns])
        rows = [", ".join([str(self.random.randrange(100))] + [value(self.random) for _, value in table.key] + [self._literal(column) for column in table.columns])
                for _ in range(self.random.choice([1, 1, 3, 12]))]
        return f"{word} INTO `{table.name}` ({names}) VALUES " + ", ".join(f"({row})" for row in rows)

    def _insert(self, table):
        return self._rows(table, "INSERT IGNORE")

    def _replace(self, table):
        return self._rows(table, "REPLACE")

    def _upsert(self, table):
        return self._rows(table, "INSERT") + " ON DUPLICATE KEY UPDATE n = n + 1"

    def _some(self):
        divisor = self.random.choice([2, 7, 30])
        return f"n % {divisor} = {self.random.randrange(divisor)}"

    def _update(self, table):
        chosen = self.random.sample(table.columns, min(len(table.columns), self.random.choice([1, 2, 4])))
        return f"UPDATE `{table.name}` SET {', '.join(['n = n + 1'] + [f'`{column.name}` = {self._literal(column)}' for column in chosen])} WHERE {self._some()}"

    def _move(self, table):
        """Rows get another key, maybe that of a neighbour."""
        if not table.key:
            return self._update(table)
        column, value = self.random.choice(table.key)
        return f"UPDATE IGNORE `{table.name}` SET `{column.name}` = {value(self.random)} WHERE {self._some()}"

    def _delete(self, table):
        return f"DELETE FROM `{table.name}` WHERE {self._some()}"

    # ---- changes of tables

    def _alter(self, table):
        changes = [self._truncate]
        if table.key:
            changes += [self._make_again] + 3 * [self._add_column] + 2 * [self._drop_column] + [self._widen, self._rename_column]
        self.random.choice(changes)(table)

    def _truncate(self, table):
        self._do(f"TRUNCATE TABLE `{table.name}`")

    def _make_again(self, table):
        again = self._table(table.name, table.key)  # the oracle plays the whole history back by one key
        self._do(f"DROP TABLE `{table.name}`")
        self.tables[self.tables.index(table)] = again
        self._do(again.create())

    def _add_column(self, table):
        column = self._column()
        place = self.random.choice(["", " FIRST", " AFTER n"])
        self._do(f"ALTER TABLE `{table.name}` ADD COLUMN `{column.name}` {column.kind} NULL{place}")
        table.columns.append(column)

    def _drop_column(self, table):
        if len(table.columns) > 1:
            column = self.random.choice(table.columns)
            self._do(f"ALTER TABLE `{table.name}` DROP COLUMN `{column.name}`")
            table.columns.remove(column)

    def _widen(self, table):
        narrow = [column for column in table.columns if column.kind in _WIDER]
        if narrow:
            column = self.random.choice(narrow)
            self._do(f"ALTER TABLE `{table.name}` MODIFY COLUMN `{column.name}` {_WIDER[column.kind]} NULL")
            column.kind = _WIDER[column.kind]

    def _rename_column(self, table):
        column = self.random.choice(table.columns)
        self.names += 1
        self._do(f"ALTER TABLE `{table.name}` RENAME COLUMN `{column.name}` TO `again{self.names}`")
        column.name = f"again{self.names}"


def judge_without_key(path, name):
    """The rows of a table that has no key, counted by their values: what came, less what went, is what SELECT shows."""
    table = path.source_table(name)
    assert not table.key
    left = Counter()
    for row in sorted(path.warehouse.history_rows(path, name, table), key=lambda row: (row.seq, row.idx)):
        values = repr(table.arrived(row.columns))
        if row.op == "t":
            left.clear()
        elif row.op == "c":
            left[values] += 1
        else:
            assert row.op == "d" and left[values] > 0, f"{name}: {row.op} of a row that is not there: {row[:5]}"
            left[values] -= 1
    assert +left == Counter(map(repr, table.rows)), name

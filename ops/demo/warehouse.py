# SPDX-License-Identifier: Apache-2.0
"""The warehouse as a reader sees it, and the comparison with the source. This one is the SQLite file; bigquery.py has the emulator."""
import sqlite3

import shop


class SqliteFile:
    title = "SQLite"
    partitions = 4          # a table
    transactions_per_s = 120

    def __init__(self, folder):
        self.file = folder / "shop.db"
        self.children = []

    def settings(self):
        return f"sqlite:\n  file: {self.file}\n"

    def read(self, sql):
        """All rows, or None while the file or the table is not there yet."""
        try:
            connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=5)
        except sqlite3.OperationalError:
            return None
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "unable to open" in str(error):
                return None
            raise
        finally:
            connection.close()

    def count(self, table):
        rows = self.read(f"SELECT COUNT(*) FROM {table}")
        return rows[0][0] if rows else 0

    def counts(self, tables):
        return {table: self.count(table) for table in tables}

    def identities(self, table):
        return self.count(f"(SELECT DISTINCT __source, __txid, __idx FROM {table}_history)")

    def latest(self, table, columns):
        return self.read(f"SELECT {', '.join(columns)} FROM {table}")

    HISTORY = "SELECT __op, __ts, status, total FROM orders_history WHERE id = 7 ORDER BY __seq, __idx"

    def how_to_look(self):
        return [f"sqlite3 {self.file} 'SELECT * FROM orders ORDER BY id DESC LIMIT 5'", f"sqlite3 {self.file} \"{self.HISTORY}\""]

    def leave(self, folder):
        """One file, in `folder`; the lines that show it."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "shop.db"
        target.unlink(missing_ok=True)
        source, copy = sqlite3.connect(self.file), sqlite3.connect(target)
        source.backup(copy)
        source.close()
        copy.close()
        return target


def as_text(value):
    """One form for both sides: what MariaDB prints. A DOUBLE stays a number: it has several texts."""
    if value is None or isinstance(value, float):
        return value
    return bytes(value) if isinstance(value, (bytes, bytearray)) else str(value)


def source_rows(connection, table):
    """(column names, {key: row}), each value as the server prints it; DOUBLE as a number, binary as bytes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
                       " ORDER BY ORDINAL_POSITION", (shop.DATABASE, table))
        types = dict(cursor.fetchall())
        kept = [name if types[name] in ("double", "binary") else f"CAST({name} AS CHAR)" for name in types]
        cursor.execute(f"SELECT {', '.join(kept)} FROM {shop.DATABASE}.{table}")
        return list(types), keyed(table, list(types), cursor.fetchall())


def keyed(table, columns, rows):
    places = [columns.index(name) for name in shop.KEYS[table]]
    values = [tuple(as_text(value) for value in row) for row in rows]
    return {tuple(row[place] for place in places): row for row in values}


class Comparison:
    """Of one table: the latest view with the source, the history with the ledger of commits."""

    def __init__(self, warehouse, connection, table, committed):
        columns, self.source = source_rows(connection, table)
        latest = warehouse.latest(table, columns)
        self.table, self.committed, self.latest_count = table, committed, len(latest)
        self.latest = keyed(table, columns, latest)
        self.history = warehouse.count(f"{table}_history")
        self.identities = warehouse.identities(table)

    def differences(self):
        """Sentences; none if all is equal."""
        found = []
        if self.latest_count != len(self.source) or self.latest != self.source:
            keys = [key for key in self.source.keys() | self.latest.keys() if self.source.get(key) != self.latest.get(key)]
            found.append(f"{self.table}: {len(keys)} keys differ between source and latest view ({self.latest_count} rows)")
            found += [f"    key {key}: source {self.source.get(key)}, latest view {self.latest.get(key)}" for key in sorted(keys)[:3]]
        if self.history != self.committed:
            found.append(f"{self.table}: {self.committed} changes were committed, the history has {self.history} rows")
        if self.identities != self.history:
            found.append(f"{self.table}: {self.history} history rows, but {self.identities} distinct identities")
        return found

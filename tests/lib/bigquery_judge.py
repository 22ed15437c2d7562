# SPDX-License-Identifier: Apache-2.0
"""BigQuery before the judge of lib/oracle.py: what stands there after a run, in the forms that it compares with the source.

The emulator is read by Google's own client, with SQL. The fake is read by its ledger, in the order in which rows were truly stored; its views
by the client too. Nothing is told by the programs under test: column names are read back by the rule of their escapes, values by the source's types.
"""
import datetime
import re

from lib.bigquery import ClientError
from lib.oracle import Row
from lib.processes import wait_for
from lib.values import standing_name

_ESCAPE = re.compile(r"_x([0-9A-F]{4})_")
_CUT = re.compile(r"_x0068_[0-9a-f]{16}$")


def original_name(name):
    """`a_x002D_b` is a-b."""
    units = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


def mapped_name(name):
    """What ASCII letters, digits and underscores are not is _xHHHH_; and so is a digit in front."""
    name = re.sub(r"_(?=x[0-9A-F]{4}_)", "_x005F_", name)
    units = lambda found: "".join(f"_x{unit:04X}_" for unit in memoryview(found[0].encode("utf-16-le")).cast("H"))
    name = re.sub(r"[^A-Za-z0-9_]", units, name)
    return f"_x{ord(name[0]):04X}_{name[1:]}" if name[0].isdigit() else name


def _source_name(name, source):
    """A name above BigQuery's 300 characters is cut, and ends in a fingerprint: it is the one of the source that begins like it."""
    if not _CUT.search(name):
        return original_name(name)
    found = [long for long in source.names if len(mapped_name(long)) > 300 and mapped_name(long).startswith(_CUT.sub("", name))]
    assert len(found) == 1 and len(name) <= 300, (name, found)
    return found[0]


def _text(value, kind):
    """A value of BigQuery in the form of lib/values.py; kind: the source's (data type, column type), or None."""
    data_type, column_type = kind or (None, None)
    if value is None:
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime.datetime):
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        return (value.isoformat(" ") + ("" if value.microsecond else ".000000")).rjust(26, "0")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if data_type == "bigint" and "unsigned" in column_type:
        return int(value) if int(value) < 2**63 else str(int(value))
    if data_type == "decimal" and not isinstance(value, str):
        scale = int(re.search(r",(\d+)\)", column_type)[1])
        return f"{value:.{scale}f}"
    return value


class BigQueryWarehouse:
    """One dataset of the emulator or the fake: that of the path's database."""

    name = "bigquery"
    has_views = True

    def __init__(self, server, **settings):
        self.server = server
        self.settings = {**server.settings, "bigquery": {**server.settings["bigquery"], **settings}}
        self.is_fake = hasattr(server, "rows")

    def dataset(self, path):
        return mapped_name(path.database)

    def history(self, path, table):
        """dataset.table"""
        return f"{self.dataset(path)}.{mapped_name(table)}_history"

    def select(self, path, what):
        """what: "* FROM {table}" with the dataset filled in for {dataset}."""
        return self.server.client.query(f"SELECT {what}".replace("{dataset}", self.dataset(path)))

    def history_count(self, path, table):
        if self.is_fake:
            return self.server.count(self.history(path, table))
        try:
            return self.server.client.query(f"SELECT COUNT(*) AS n FROM `{self.history(path, table)}`")[0]["n"]
        except ClientError as error:
            if "404" not in str(error) and "not found" not in str(error).lower():
                raise
            return 0

    def raw_history(self, path, table):
        """Rows as they stand: the fake in the order of storing, the emulator in that of the changes."""
        if self.is_fake:
            return self.server.rows(self.history(path, table))
        return self.server.client.query(f"SELECT * FROM `{self.history(path, table)}` ORDER BY __seq, __idx")

    def history_rows(self, path, table, source):
        rows = []
        for row in self.raw_history(path, table):
            rows.append(Row(row["__op"], row["__seq"], row["__idx"], row["__source"], row["__txid"], self._columns(row, source)))
        return rows

    def view_rows(self, path, table, source):
        """Of the view as it is once it has the source's columns: rows don't wait for it, so it may come a moment behind them."""
        view, rows = f"{self.dataset(path)}.{mapped_name(table)}", []

        def there():
            try:
                rows[:] = [self._columns(row, source) for row in self.server.client.query(f"SELECT * FROM `{view}`")]
            except ClientError as error:
                if "NotFound" not in str(error):
                    raise
                return False
            return not rows or set(map(standing_name, source.names)) <= set(rows[0])
        wait_for(there, lambda: f"the view {view} with the columns {source.names}: {rows[:1]}", 30, 0.3)
        return rows

    @staticmethod
    def _columns(row, source):
        kinds = source.kinds if source else {}
        columns = {}
        for name, value in row.items():
            if name.startswith("__"):  # ours
                columns[name] = _text(value, None)
            else:
                original = _source_name(name, source)
                columns[standing_name(original)] = _text(value, kinds.get(original))
        return columns

    def done(self, path):
        """The group's committed offsets: a commit passes a row only when it is in."""
        group = f"{path.prefix}|default|bigquery"
        return {(topic, partition): max(0, offset) for topic in path.topics() for partition, offset in path.broker.committed_offsets(group, topic).items()}

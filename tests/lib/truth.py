# SPDX-License-Identifier: Apache-2.0
"""What was committed, by the server's own log reader: the oracle's witness of which changes there must be.

`mariadb-binlog -vv` and `mysqlbinlog -vv` print each row image of each committed transaction. Counted here are the images of *every* table,
since `__idx` numbers what the source has before any filter; kept are those of one database. Values are not taken from this text (that
is what SELECT is for), so its odd spellings don't matter.
"""
import re
from typing import NamedTuple

_ROW = re.compile(r"^### (INSERT INTO|UPDATE|DELETE FROM) `((?:[^`]|``)+)`\.`((?:[^`]|``)+)`")
_MARIADB_GTID = re.compile(r"^#\d{6} +\d+:\d\d:\d\d server id .*\tGTID (\d+-\d+-\d+)")
_MYSQL_GTID = re.compile(r"^SET @@SESSION\.GTID_NEXT= '([^']+)'")
_AT = re.compile(r"^# at (\d+)")
_USE = re.compile(r"^use `([^`]+)`", re.IGNORECASE)
_FOR = r"^(?:SET STATEMENT .+? FOR )?"
_EMPTIED = re.compile(_FOR + r"(?:TRUNCATE(?: TABLE)?|DROP TABLE(?: IF EXISTS)?)\s+(.+)", re.IGNORECASE)
_REPLACED = re.compile(_FOR + r"CREATE OR REPLACE TABLE\s+((?:`[^`]+`|\w+)(?:\.(?:`[^`]+`|\w+))?)", re.IGNORECASE)
_RENAMED = re.compile(_FOR + r"RENAME TABLES?\s+(.+)", re.IGNORECASE)
_ALTERED_NAME = re.compile(_FOR + r"ALTER TABLE\s+(\S+)\s(?:.*\s)?RENAME\s+(?:(?:TO|AS|=)\s+)?(\S+)$", re.IGNORECASE)
_UNDONE = re.compile(r"\b(?:START|ROLLBACK) ALTER\b")  # MariaDB's GTID of an ALTER in two phases, but for that of its commit
_OPS = {"INSERT INTO": "c", "UPDATE": "u", "DELETE FROM": "d"}


class Image(NamedTuple):
    """A row image, or what takes all rows from a name (op t): TRUNCATE, DROP, RENAME."""

    txid: str
    index: int
    op: str


def _names(text, database):
    for name in re.split(r"/\*|;", text)[0].split(","):
        parts = [part.strip("` ") for part in name.strip().split(".")]
        yield (parts[0], parts[1]) if len(parts) == 2 else (database, parts[0])


def _left(line, database):
    """Names that tables leave and none has behind the statement, as (database, name)."""
    altered, renamed = _ALTERED_NAME.match(line), _RENAMED.match(line)
    pairs = [altered.groups()] if altered else [re.split(r"\s+TO\s+", pair, flags=re.IGNORECASE) for pair in renamed[1].split(",")] if renamed else []
    left = {}
    for old, new in pairs:
        left[next(_names(old, database))] = True
        left[next(_names(new, database))] = False
    return [name for name, is_left in left.items() if is_left]


def read(server, first_file, database, by_gtid=True):
    """{table: [Image, ...]} in log order. by_gtid False: transactions are named file:position of their first event."""
    found = {}
    for file, lines in server.log_text(first_file):
        at, txid, index, used, undone = 0, None, 0, database, False
        for line in lines:
            if line.startswith("###"):
                row = _ROW.match(line)
                if row:
                    if row[2] == database:
                        found.setdefault(row[3], []).append(Image(txid, index, _OPS[row[1]]))
                    index += 1
                continue
            position = _AT.match(line)
            if position:
                at = int(position[1])
                continue
            gtid = _MARIADB_GTID.match(line) or _MYSQL_GTID.match(line)
            if gtid and gtid[1] != "AUTOMATIC":
                # The server prints the position of an event in front of it: the GTID event is the transaction's first.
                txid, index, used, undone = gtid[1] if by_gtid else f"{file}:{at}", 0, database, bool(_UNDONE.search(line))
                continue
            used = _USE.match(line)[1] if _USE.match(line) else used
            emptied = _EMPTIED.match(line) or _REPLACED.match(line)
            for name in _names(emptied[1], used) if emptied else [] if undone else _left(line, used):
                if name[0] == database:
                    found.setdefault(name[1], []).append(Image(txid, index, "t"))
                index += 1
    return found

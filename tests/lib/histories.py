# SPDX-License-Identifier: Apache-2.0
"""Made-up histories of a table in BigQuery, the state that they mean, and the SQL of tests/data/view_sql, which view_sql.c is tested to write.

The model replays changes one by one in their order and knows nothing of picks, windows or watermarks.
"""
import datetime
import json
import random
import urllib.error
import urllib.request
from pathlib import Path

TEXTS = Path(__file__).resolve().parent.parent / "data" / "view_sql"
GOLDEN_WATERMARK = "2026-11-19"
TODAY = datetime.date(2026, 11, 21)
COLUMNS = ("region", "id", "note", "price")
_FIELDS = [("region", "STRING"), ("id", "INT64"), ("note", "STRING"), ("price", "NUMERIC"), ("__op", "STRING"), ("__ts", "TIMESTAMP"), ("__seq", "INT64"), ("__idx", "INT64")]
_HISTORY_FIELDS = _FIELDS + [("__source", "STRING"), ("__txid", "STRING"), ("__ingest_day", "DATE")]


class RestError(Exception):
    """What the server answered, with its status."""

    def __init__(self, status, text):
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


class Rest:
    """The REST API without a client in between: quick, and nothing is retried."""

    def __init__(self, server, project="p"):
        self.base = f"{server.endpoint}/bigquery/v2/projects/{project}"

    def call(self, method, path, body=None, etag=None):
        headers = {"content-type": "application/json"} | ({"If-Match": etag} if etag else {})
        request = urllib.request.Request(self.base + path, None if body is None else json.dumps(body).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise RestError(error.code, error.read().decode()) from error

    def query(self, sql):
        """Rows as tuples of texts and None."""
        answer = self.call("POST", "/queries", {"query": sql, "useLegacySql": False, "maxResults": 100000})
        assert answer["jobComplete"], answer
        return [tuple(cell["v"] for cell in row["f"]) for row in answer.get("rows", [])]

    def table(self, dataset, name):
        try:
            return self.call("GET", f"/datasets/{dataset}/tables/{name}")
        except RestError as error:
            if error.status == 404:
                return None
            raise


def text(name, dataset, watermark=None):
    """A statement of tests/data/view_sql for tables of that dataset; watermark: a date."""
    sql = (TEXTS / f"{name}.sql").read_text().replace("`p.shop.", f"`p.{dataset}.")
    return sql if watermark is None else sql.replace(f"DATE '{GOLDEN_WATERMARK}'", f"DATE '{watermark}'")


def literal(value):
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else f"'{value}'"


def state(changes, at=None):
    """{key: (note, price)} after all changes (with a commit time up to `at`), replayed in order."""
    rows = {}
    for change in sorted(changes, key=lambda change: (change["seq"], change["idx"])):
        if at is not None and change["ts"] > at:
            continue
        if change["op"] == "t":
            rows.clear()
        elif change["op"] == "d":
            rows.pop(change["key"], None)
        else:
            rows[change["key"]] = (change["note"], change["price"])
    return rows


def fingerprint(data):
    """CRC-64-AVRO, as 16 hex digits."""
    empty = value = 0xC15D213AA4D7A795
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
    return f"{value:016x}"


class History:
    """The tables of one made-up source table, shop.orders, in a dataset of its own. owner None: bare tables, the base too. Else the
    history alone, marked as the worker marks it, for `kakehi-worker views`."""

    def __init__(self, rest, dataset, require_filter=False, owner=None, key=("id", "region"), expiration_ms=None):
        self.rest, self.dataset, self.changes = rest, dataset, []
        labels = {"kakehi_owner": owner} if owner else {}
        rest.call("POST", "/datasets", {"datasetReference": {"projectId": "p", "datasetId": dataset}, "location": "US", "labels": labels})
        partitions = {"type": "DAY", "field": "__ingest_day"} | ({"expirationMs": str(expiration_ms)} if expiration_ms else {})
        if owner:
            labels = {**labels, "kakehi_kind": "history", "kakehi_source": fingerprint(b"shop\norders")}
        self._make("orders_history", _HISTORY_FIELDS, key, timePartitioning=partitions, requirePartitionFilter=require_filter, labels=labels,
                   description="Every change of shop.orders, each once. Its newest state: orders.")
        if not owner:
            self._make("orders_base", _FIELDS, key)

    def _make(self, name, fields, key, **more):
        def field_of(field, kind):
            flag = f", key {key.index(field) + 1}" if field in key else ""
            return {"name": field, "type": kind} | ({} if field.startswith("__") else {"description": f"{field} {kind.lower()}{flag}"})
        self.rest.call("POST", f"/datasets/{self.dataset}/tables",
                       {"tableReference": {"projectId": "p", "datasetId": self.dataset, "tableId": name},
                        "schema": {"fields": [field_of(*field) for field in fields]}, **more})

    def orders(self):
        """What the view orders itself shows."""
        return self._shown(self.rest.query(f"SELECT region, id, note, price FROM `p.{self.dataset}.orders`"))

    def add(self, changes):
        """Rows become visible: each a dict op, key, seq, idx, ts (seconds), note, price, day."""
        self.changes += changes
        for start in range(0, len(changes), 2000):
            rows = ",\n".join(self._row(change) for change in changes[start:start + 2000])
            self.rest.query(f"INSERT INTO `p.{self.dataset}.orders_history` ({', '.join(f'`{field}`' for field, _ in _HISTORY_FIELDS)}) VALUES {rows}")

    @staticmethod
    def _row(change):
        region, number = change["key"] or (None, None)
        return (f"({literal(region)}, {literal(number)}, {literal(change['note'])}, CAST({literal(change['price'])} AS NUMERIC), {literal(change['op'])}, "
                f"TIMESTAMP_SECONDS({change['ts']}), {change['seq']}, {change['idx']}, 's', 'tx{change['seq']}', DATE '{change['day']}')")

    def view(self, name="plain", watermark=None):
        """What the text shows: {key: (note, price, ...)}."""
        return self._shown(self.rest.query(text(name, self.dataset, watermark)))

    @staticmethod
    def _shown(rows):
        shown = {}
        for region, number, *values in rows:
            assert (region, int(number)) not in shown, f"{region, number} is there twice"
            shown[(region, int(number))] = tuple(values)
        return shown

    def merge(self, watermark, name="merge"):
        """Both statements of a refresh, for the ingest days from watermark on."""
        self.rest.query(text("merge_truncate", self.dataset, watermark))
        self.rest.query(text(name, self.dataset, watermark))


class Source:
    """Random changes of a table with a few keys, in the order of the source; `late` ones carry an older number than what came before."""

    def __init__(self, seed, keys=12):
        self.random, self.seq, self.keys = random.Random(seed), 1000, keys
        self.live = {}

    def _key(self):
        return (self.random.choice("ab"), self.random.randrange(self.keys))

    def change(self, day, op=None, key=None, late=0):
        """late: how far below the newest number (a row of a snapshot, or of a file that came late)."""
        self.seq += 10 + self.random.randrange(5)
        key = key or self._key()
        op = op or self.random.choices("cudrt", (30, 40, 20, 8, 1))[0]
        if op == "r" and not late:
            late = self.random.randrange(1, 400)
        return {"op": op, "key": None if op == "t" else key, "seq": self.seq - late if not late else self.seq - late - 1, "idx": 2 * self.random.randrange(50),
                "ts": self.seq, "day": day, "note": None if op == "t" or self.random.random() < 0.3 else f"n{self.seq}",
                "price": None if op == "t" or self.random.random() < 0.3 else f"{self.random.randrange(1000)}"}

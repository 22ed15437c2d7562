# SPDX-License-Identifier: Apache-2.0
"""What the fake holds: datasets, tables with their schema through time, write streams, routines; and the ledger of rows truly stored.

A row in the ledger is (values by column name, stream or job that brought it, its number there): what a test asks afterwards.
"""
import datetime
import itertools
import time
import uuid

from faults import Refused
from values import REST_NAMES, assigned, type_of

_serial = itertools.count(1)
DEFAULTS = {
    "schema_lag_s": 0,              # so long the Storage Write API does not know a patched schema
    "idle_s": 600,                  # an AppendRows call without traffic ends ABORTED
    "request_bytes_max": 10_000_000,
    "one_connection": "newest",     # of two calls on one stream goes on: "newest" (the other: ABORTED), "oldest", or "both"
    "updated_schema": True,         # the answer after a change of schema carries it, once a call
    "finalized_as": "answer",       # an append to a finalized stream: "answer" (the call stays open) or "status" (it ends)
    "finalize_twice": "count",      # "count" again, or "error"
    "tokens": None,                 # None: no token is looked at; a list: others are refused
    "token_life_s": 3600,           # of what POST /token gives out; those are accepted until then
    "job_s": 0,                     # so long a load job is RUNNING
    "civil_time": "both",           # DATETIME and TIME: "both" text and packed, or "text"
    "query_bytes": 0,               # a dry run says that a query would read so many
}


def _milliseconds():
    return str(time.time_ns() // 1_000_000)


def normal_fields(fields):
    """As tables.get shows them: INTEGER for INT64, a mode for each, numbers as text."""
    shown = []
    for field in fields:
        field = {name: str(value) if name in ("precision", "scale", "maxLength") else value for name, value in field.items() if value is not None}
        kind = field["type"].upper()
        field["type"] = REST_NAMES.get(kind, kind)
        field.setdefault("mode", "NULLABLE")
        shown.append(field)
    return shown


class Table:
    def __init__(self, project, dataset, name, resource):
        self.project, self.dataset, self.name = project, dataset, name
        self.serial = next(_serial)  # a table made anew is another one
        self.rows = []
        self.figures = {}  # what tables.get says of its size, as it was told to
        self.known = []  # (since, fields): what the write side knows lags behind
        self.resource = {**resource, "kind": "bigquery#table", "id": f"{project}:{dataset}.{name}", "creationTime": _milliseconds(),
                         "type": "VIEW" if "view" in resource else "MATERIALIZED_VIEW" if "materializedView" in resource else "TABLE",
                         "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name}, "location": "US"}
        self.resource.setdefault("schema", {"fields": []})
        self.set_fields(self.resource["schema"].get("fields", []))

    @property
    def label(self):
        return f"{self.dataset}.{self.name}"

    @property
    def path(self):
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.name}"

    @property
    def fields(self):
        return self.resource["schema"]["fields"]

    def set_fields(self, fields):
        self.resource["schema"] = {"fields": normal_fields(fields)}
        self.known.append((time.monotonic(), self.fields))
        self.touch()

    def touch(self):
        self.resource["etag"] = uuid.uuid4().hex
        self.resource["lastModifiedTime"] = _milliseconds()

    def known_fields(self, lag_s):
        """What the Storage Write API knows of the schema."""
        now = time.monotonic()
        older = [fields for since, fields in self.known if since <= now - lag_s]
        return older[-1] if older else self.known[0][1]

    def shown(self):
        return {**self.resource, "numRows": str(len(self.rows)), "numBytes": "0", **self.figures}


class Stream:
    def __init__(self, table, kind):
        self.table, self.kind = table, kind
        self.name = f"{table.path}/streams/{uuid.uuid4().hex}"
        self.created = datetime.datetime.now(datetime.UTC)
        self.end = 0            # rows
        self.finalized = False
        self.gone = False       # expired, or its table was dropped
        self.call = None        # the AppendRows call that writes

    def shown(self):
        return {"name": self.name, "table": self.table.label, "rows": self.end, "finalized": self.finalized, "gone": self.gone, "open": self.call is not None}


def _widens(old, new):
    """May a column change its type so? As ALTER COLUMN SET DATA TYPE has it."""
    order = {"INT64": ["NUMERIC", "BIGNUMERIC", "FLOAT64"], "NUMERIC": ["BIGNUMERIC", "FLOAT64"], "BIGNUMERIC": ["FLOAT64"], "DATE": ["DATETIME"]}
    before, after = type_of(old), type_of(new)
    if before != after:
        return after in order.get(before, [])
    room = lambda field, name, most: int(field.get(name) or most)
    if before in ("NUMERIC", "BIGNUMERIC"):
        scale = lambda field: room(field, "scale", 0 if field.get("precision") else 38)
        whole = lambda field: room(field, "precision", 77) - scale(field)
        return scale(new) >= scale(old) and whole(new) >= whole(old)
    return room(new, "maxLength", 1 << 60) >= room(old, "maxLength", 1 << 60)


def _inheriting(resource, dataset):
    """A new table takes its dataset's default expirations unless it says otherwise; to say null is to say nothing."""
    life, days = dataset.get("defaultTableExpirationMs"), dataset.get("defaultPartitionExpirationMs")
    resource = dict(resource)
    if days and resource.get("timePartitioning"):
        if not resource["timePartitioning"].get("expirationMs"):
            resource["timePartitioning"] = {**resource["timePartitioning"], "expirationMs": days}
    elif life and not resource.get("expirationTime"):
        resource["expirationTime"] = str(int(_milliseconds()) + int(life))
    return resource


class Store:
    def __init__(self, project):
        self.project = project
        self.settings = dict(DEFAULTS)
        self.datasets, self.tables, self.streams, self.routines = {}, {}, {}, {}
        self.issued = {}   # token -> until when
        self.dropped = []  # tables, with their rows

    # ---- datasets and tables

    def dataset(self, name):
        if name not in self.datasets:
            raise Refused(404, "notFound", f"Not found: Dataset {self.project}:{name}")
        return self.datasets[name]

    def make_dataset(self, resource):
        name = resource["datasetReference"]["datasetId"]
        if name in self.datasets:
            raise Refused(409, "duplicate", f"Already Exists: Dataset {self.project}:{name}")
        self.datasets[name] = {"kind": "bigquery#dataset", "id": f"{self.project}:{name}", "location": "US", **resource, "etag": uuid.uuid4().hex,
                               "creationTime": _milliseconds(), "datasetReference": {"projectId": self.project, "datasetId": name}}
        return self.datasets[name]

    def patch_dataset(self, name, changes, if_match):
        dataset = self.dataset(name)
        self._match(if_match, dataset["etag"])
        self.datasets[name] = {**merged(dataset, changes), "etag": uuid.uuid4().hex}
        return self.datasets[name]

    def drop_dataset(self, name, with_tables):
        self.dataset(name)
        inside = [table for table in self.tables.values() if table.dataset == name]
        if inside and not with_tables:
            raise Refused(400, "resourceInUse", f"Dataset {self.project}:{name} is still in use")
        for table in inside:
            self.drop_table(table.dataset, table.name)
        del self.datasets[name]

    def table(self, dataset, name):
        self.dataset(dataset)
        if (dataset, name) not in self.tables:
            raise Refused(404, "notFound", f"Not found: Table {self.project}:{dataset}.{name}")
        return self.tables[dataset, name]

    def make_table(self, dataset, resource):
        name = resource["tableReference"]["tableId"]
        self.dataset(dataset)
        if (dataset, name) in self.tables:
            raise Refused(409, "duplicate", f"Already Exists: Table {self.project}:{dataset}.{name}")
        self._check_new(resource)
        self.tables[dataset, name] = Table(self.project, dataset, name, _inheriting(resource, self.datasets[dataset]))
        return self.tables[dataset, name]

    @staticmethod
    def _check_new(resource):
        names = [field["name"].lower() for field in resource.get("schema", {}).get("fields", [])]
        for name in names:
            check_column_name(name)
            if names.count(name) > 1:
                raise Refused(400, "invalid", f"Duplicate field name: {name}")
        partition = resource.get("timePartitioning", {}).get("field")
        named = resource.get("clustering", {}).get("fields", []) + ([partition] if partition else [])
        named += resource.get("tableConstraints", {}).get("primaryKey", {}).get("columns", [])
        for name in named:
            if name.lower() not in names:
                raise Refused(400, "invalid", f"The field specified for partitioning, clustering or the primary key cannot be found in the schema: {name}")
        _check_clustering(resource.get("clustering"), resource.get("schema", {}).get("fields", []))

    def patch_table(self, dataset, name, changes, if_match):
        table = self.table(dataset, name)
        self._match(if_match, table.resource["etag"])
        changes = dict(changes)
        fields = changes.pop("schema", {}).get("fields")
        changed = fields is not None and "view" not in table.resource
        if changed:
            self._check_change(table, normal_fields(fields))
        if "clustering" in changes:
            _check_clustering(changes["clustering"], fields if changed else table.fields)
        if changed:
            table.set_fields(fields)
        table.resource = merged(table.resource, changes)
        table.touch()
        return table

    def _check_change(self, table, fields):
        new = {field["name"].lower(): field for field in fields}
        if len(new) != len(fields):
            raise Refused(400, "invalid", "Duplicate field name in the schema")
        for field in table.fields:
            other = new.pop(field["name"].lower(), None)
            where = f"Provided Schema does not match Table {self.project}:{table.label}. Field {field['name']}"
            if other is None:
                raise Refused(400, "invalid", f"{where} is missing in new schema")
            if type_of(other) != type_of(field) or not _widens(field, other):
                raise Refused(400, "invalid", f"{where} has changed type from {field['type']} to {other['type']}")
            if other["mode"] != field["mode"] and (field["mode"], other["mode"]) != ("REQUIRED", "NULLABLE"):
                raise Refused(400, "invalid", f"{where} has changed mode from {field['mode']} to {other['mode']}")
        for field in new.values():
            check_column_name(field["name"])
            if field["mode"] == "REQUIRED":
                raise Refused(400, "invalid", f"Provided Schema does not match Table {self.project}:{table.label}. Cannot add required fields to an existing schema. (field: {field['name']})")

    def alter_type(self, table, column, new):
        """ALTER TABLE ... ALTER COLUMN ... SET DATA TYPE."""
        fields = [dict(field) for field in table.fields]
        field = next((field for field in fields if field["name"].lower() == column.lower()), None)
        if field is None:
            raise Refused(400, "invalidQuery", f"Column {column} not found in table {table.label}")
        if not _widens(field, new):
            raise Refused(400, "invalidQuery", f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({type_of(field)}) is assignable to the new type ({type_of(new)})")
        for name in ("precision", "scale", "maxLength"):
            field.pop(name, None)
        field.update(new)
        table.set_fields(fields)
        for values, _, _ in table.rows:
            values[field["name"]] = assigned(values.get(field["name"]), field)

    def drop_table(self, dataset, name):
        table = self.table(dataset, name)
        for stream in self.streams.values():
            if stream.table is table:
                stream.gone = True
        self.dropped.append(table)
        del self.tables[dataset, name]

    @staticmethod
    def _match(if_match, etag):
        if if_match not in (None, "*", etag, f'"{etag}"'):
            raise Refused(412, "conditionNotMet", "Precondition check failed.")

    # ---- streams

    def table_by_path(self, path):
        parts = path.split("/")
        if len(parts) < 6 or parts[0::2][:3] != ["projects", "datasets", "tables"]:
            return None
        return self.tables.get((parts[3], parts[5])) if parts[1] == self.project else None

    def make_stream(self, table, kind):
        stream = Stream(table, kind)
        self.streams[stream.name] = stream
        return stream

    def store(self, table, rows, origin, first):
        table.rows += [(values, origin, first + i) for i, values in enumerate(rows)]

    # ---- tokens

    def issue_token(self):
        token = f"ya29.{uuid.uuid4().hex}"
        self.issued[token] = time.monotonic() + self.settings["token_life_s"]
        return token

    def token_is_good(self, header):
        if self.settings["tokens"] is None:
            return True
        token = (header or "").removeprefix("Bearer ")
        return token in self.settings["tokens"] or self.issued.get(token, 0) > time.monotonic()


def _check_clustering(clustering, fields):
    names = (clustering or {}).get("fields", [])
    kinds = {field["name"].lower(): type_of(field) for field in fields}
    if len(names) > 4 or any(kinds.get(name.lower()) in (None, "FLOAT64", "BYTES", "JSON", "STRUCT", "TIME") for name in names):
        raise Refused(400, "invalid", f"Clustering is not possible by {names}")


def merged(old, changes):
    """JSON merge patch, as tables.patch does it: null takes away, labels are merged one by one."""
    result = dict(old)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict) and name in ("labels", "timePartitioning"):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


_PREFIXES = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_sequence_number", "_change_type", "_change_timestamp")


def check_column_name(name):
    """Letters, digits, underscores and the flexible ones; not the reserved prefixes."""
    if not name or len(name) > 300 or name.lower().startswith(_PREFIXES) or any(c in "!\"$()*,./;?@[\\]^`{}~" for c in name) or name[0].isdigit():
        raise Refused(400, "invalid", f"Invalid field name \"{name}\".")

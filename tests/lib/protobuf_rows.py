# SPDX-License-Identifier: Apache-2.0
"""Random tables and messages into AppendRows requests, read by Google's own libraries: runs under the emulator's Python, for
tests/integration/test_protobuf_rows.py.

Messages are written and read back by fastavro; what tests/programs/append_requests.c makes of them is read by google.protobuf with the
descriptor that stands in the request. Each row must be its message, field by field, and the messages that were refused must be those in
which a value was put that BigQuery can't hold.

usage: python protobuf_rows.py PROGRAM FOLDER SEED
"""
import datetime
import io
import json
import math
import random
import struct
import subprocess
import sys
from decimal import Decimal, getcontext
from pathlib import Path

import fastavro
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

getcontext().prec = 100
DAY_US = 86_400_000_000
DATES = (-719162, 2932896)  # 0001-01-01, 9999-12-31
MICROS = (DATES[0] * DAY_US, (DATES[1] + 1) * DAY_US - 1)
EPOCH = datetime.datetime(1970, 1, 1)
STREAM = "projects/p/datasets/d/tables/t/streams/s"
INGEST_DAY = 20778
META = {"__op": "STRING", "__ts": "TIMESTAMP", "__seq": "INT64", "__idx": "INT64", "__source": "STRING", "__txid": "STRING", "__ingest_day": "DATE"}
LETTERS = ["a", "z", "0", " ", "\0", "\n", '"', "\\", "é", "ß", "日", "本", "😀", "\u07ff", "\u0800", "\uffff", "\U0010ffff"]

# What each type of column goes into, its own type first (DECIMAL: by precision and scale).
INTO = {"long": ["INT64", "NUMERIC", "BIGNUMERIC", "STRING"], "ulong": ["NUMERIC", "BIGNUMERIC", "STRING"], "decimal": ["NUMERIC", "BIGNUMERIC", "STRING"],
        "decimal_text": ["STRING"], "float": ["FLOAT64"], "double": ["FLOAT64"], "boolean": ["BOOL", "INT64"], "bytes": ["BYTES"],
        "date": ["DATE", "DATETIME"], "datetime": ["DATETIME"], "timestamp": ["TIMESTAMP"], "time": ["INT64", "STRING"],
        "year": ["INT64", "FLOAT64", "NUMERIC"], "text": ["STRING"], "json": ["JSON", "STRING"]}


class Column:
    def __init__(self, rng, number):
        self.name = rng.choice(["c", "Ünï", "with space", "_x", "日"]) + str(number)
        self.type = rng.choice(list(INTO))
        self.precision = self.scale = 0
        if self.type == "decimal":
            self.scale = rng.choice([0, 1, 2, 9, 10, 30])
            self.precision = min(65, max(1, self.scale + rng.choice([0, 1, 8, 29, 30, 35])))
        into = INTO[self.type]
        if self.type == "decimal" and (self.scale > 9 or self.precision - self.scale > 29):
            into = into[1:]
        self.into = into[0] if rng.random() < 0.6 else rng.choice(into)
        self.stored = rng.random() < 0.95

    def value(self, rng):
        """As fastavro writes it."""
        if rng.random() < 0.2:
            return None
        return getattr(self, "_" + self.type)(rng)

    def bad_value(self, rng):
        """One that the type of the history can't hold; None: there is none."""
        if self.type == "date":
            return rng.choice([DATES[0] - 1, DATES[1] + 1, 2**31 - 1, -2**31])
        if self.type in ("datetime", "timestamp"):
            return rng.choice([MICROS[0] - 1, MICROS[1] + 1, 2**63 - 1, -2**63])
        return None

    def _long(self, rng):
        return rng.choice([0, 1, -1, 2**63 - 1, -2**63, rng.randrange(-2**63, 2**63), rng.randrange(-300, 300), rng.randrange(-2**31, 2**31)])

    def _ulong(self, rng):
        return Decimal(rng.choice([0, 1, 127, 128, 2**63 - 1, 2**63, 2**64 - 1, rng.randrange(2**64), rng.randrange(1000)]))

    def _decimal(self, rng):
        largest = 10**self.precision - 1
        unscaled = rng.choice([0, 1, -1, largest, -largest, rng.randint(-largest, largest), rng.randint(-min(largest, 10**6), min(largest, 10**6))])
        return Decimal(unscaled).scaleb(-self.scale)

    def _decimal_text(self, rng):
        return rng.choice(["-", ""]) + str(rng.randrange(10**64)) + rng.choice(["", ".5"])

    def _float(self, rng):
        return struct.unpack("<f", struct.pack("<f", rng.choice([0.0, -0.0, 0.1, 3.4028234e38, math.nan, math.inf, rng.gauss(0, 1e10)])))[0]

    def _double(self, rng):
        return rng.choice([0.0, -0.0, 0.1, 1.7976931348623157e308, 5e-324, math.nan, -math.inf, rng.gauss(0, 1e100)])

    def _boolean(self, rng):
        return rng.random() < 0.5

    def _bytes(self, rng):
        return rng.randbytes(rng.choice([0, 1, 2, 127, 128, 129, rng.randrange(1000)]))

    def _date(self, rng):
        return rng.choice([0, -1, 1, *DATES, rng.randint(*DATES)])

    def _datetime(self, rng):
        return rng.choice([0, -1, 1, *MICROS, rng.randint(*MICROS), rng.randint(*DATES) * DAY_US])

    _timestamp = _datetime

    def _time(self, rng):
        return rng.choice([0, -1, 3_020_399_999_999, -3_020_399_999_999, rng.randint(-10**12, 10**12)])

    def _year(self, rng):
        return rng.choice([0, 1901, 2155, 2026])

    def _text(self, rng):
        return "".join(rng.choices(LETTERS if rng.random() < 0.5 else LETTERS[:3], k=rng.choice([0, 1, 7, 8, 9, 64, 127, 128, rng.randrange(400)])))

    def _json(self, rng):
        return json.dumps({"a": self._text(rng), "n": rng.randrange(10**9)}, ensure_ascii=rng.random() < 0.5)


def micros_of(moment):
    return (moment.replace(tzinfo=None) - EPOCH) // datetime.timedelta(microseconds=1)


def datetime_of(moment, packed):
    if not packed:
        return moment.isoformat(" ", "microseconds")
    return (moment.year << 46 | moment.month << 42 | moment.day << 37 | moment.hour << 32 | moment.minute << 26 | moment.second << 20
            | moment.microsecond)


def expected(column, value, packed):
    """What stands in the row for what fastavro read."""
    into = column.into
    if column.type in ("long", "ulong", "time", "year"):
        number = int(value)
        return number if into == "INT64" else float(number) if into == "FLOAT64" else str(number)
    if column.type == "decimal":
        return f"{value:.{column.scale}f}"
    if column.type == "boolean":
        return value if into == "BOOL" else int(value)
    if column.type == "date":
        moment = datetime.datetime.combine(value, datetime.time())
        return (moment - EPOCH).days if into == "DATE" else datetime_of(moment, packed)
    if column.type == "datetime":
        return datetime_of(value, packed)
    if column.type == "timestamp":
        return micros_of(value)
    return value


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("<d", one) == struct.pack("<d", other) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def meta_of(rng, number):
    return {"__op": rng.choice("cudrt"), "__ts": rng.randint(*MICROS), "__seq": rng.randrange(2**63), "__idx": rng.randrange(2**40),
            "__source": "shop", "__txid": f"0-1-{number}"}


def expected_row(columns, names, message, packed):
    row = {name: expected(column, message[name], packed) for column, name in zip(columns, names) if column.stored and message[name] is not None}
    row |= {name: message[name] for name in META if name in message}
    return row | {"__ts": micros_of(message["__ts"]), "__ingest_day": INGEST_DAY}


def message_class(descriptor):
    """The class of the writer's rows, made as a server makes it: a descriptor that is not right does not get through here."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="writer.proto", package="writer", syntax="proto2")
    file.message_type.add().CopyFrom(descriptor)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"writer.{descriptor.name}"))


def read_requests(folder):
    """All rows, as a server reads them from one call."""
    rows, row_class, offset = [], None, 0
    for number in range(len(list(folder.glob("request.*")))):
        request = types.AppendRowsRequest.pb(types.AppendRowsRequest.deserialize((folder / f"request.{number}").read_bytes()))
        assert request.write_stream == STREAM
        assert request.HasField("offset") and request.offset.value == offset, (number, request.offset, offset)
        assert request.proto_rows.HasField("writer_schema") == (number == 0)
        assert bool(request.trace_id) == (number == 0)
        if number == 0:
            row_class = message_class(request.proto_rows.writer_schema.proto_descriptor)
        for serialized in request.proto_rows.rows.serialized_rows:
            row = row_class.FromString(serialized)
            fields = row.ListFields()
            assert len(UnknownFieldSet(row)) == 0
            assert len(row.SerializeToString()) == len(serialized), "a field stands there twice"
            rows.append({field.name: value for field, value in fields})
        offset += len(request.proto_rows.rows.serialized_rows)
    return rows


def write_tables(folder, rng, columns):
    (folder / "columns").write_text("".join(f"{c.name}\t{c.type}\t{c.precision}\t{c.scale}\n" for c in columns))


def write_layout(folder, rng, columns, names):
    """In any order, with columns of others between, as a history has them that has seen several versions."""
    lines = [f"{name}\t{column.into}\t{place}" for place, (column, name) in enumerate(zip(columns, names)) if column.stored]
    lines += [f"{name}\t{type_}\t-" for name, type_ in META.items()]
    lines += [f"other{number}\t{rng.choice(['INT64', 'STRING', 'JSON', 'BYTES'])}\t-" for number in range(rng.choice([0, 0, 3, 200]))]
    rng.shuffle(lines)
    (folder / "layout").write_text("".join(line + "\n" for line in lines))


def one_table(program, folder, rng):
    folder.mkdir()
    columns = [Column(rng, number) for number in range(rng.choice([0, 1, 5, 12, 30]))]
    write_tables(folder, rng, columns)
    text = subprocess.run([program, "schema", folder / "columns"], check=True, capture_output=True).stdout
    schema = fastavro.parse_schema(json.loads(text))
    names = [field["name"] for field in schema["fields"]][:len(columns)]
    write_layout(folder, rng, columns, names)
    packed = rng.random() < 0.3
    messages, wanted, refused = [], [], {}
    for number in range(rng.choice([1, 20, 300])):
        message = {name: column.value(rng) for column, name in zip(columns, names)} | meta_of(rng, number)
        bad = [(column, name) for column, name in zip(columns, names) if column.stored and column.bad_value(rng) is not None]
        if bad and rng.random() < 0.1:
            column, name = rng.choice(bad)
            message[name] = column.bad_value(rng)
            refused[number] = column.name
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, message)
        messages.append(out.getvalue())
        if number not in refused:
            wanted.append(expected_row(columns, names, fastavro.schemaless_reader(io.BytesIO(out.getvalue()), schema), packed))
    (folder / "messages").write_bytes(b"".join(struct.pack("<I", len(message)) + message for message in messages))
    made = subprocess.run([program, "requests", folder / "columns", folder / "layout", folder / "messages", folder / "request", *(["packed"] if packed else [])],
                          check=True, capture_output=True, text=True).stdout
    said = {int(line.split(" ", 2)[1]): line.split(" ", 2)[2] for line in made.splitlines()}
    assert said.keys() == refused.keys(), (said, refused)
    for number, name in refused.items():
        assert said[number].startswith(f"column {name} of shop.things: a "), said[number]
    rows = read_requests(folder)
    assert len(rows) == len(wanted), (len(rows), len(wanted))
    for row, want in zip(rows, wanted):
        assert row.keys() == want.keys(), (row.keys() ^ want.keys(), row, want)
        for name, value in want.items():
            assert same(row[name], value), (name, row[name], value)
    return len(rows), len(refused)


def main(program, folder, seed):
    rng = random.Random(int(seed))
    row_count = refused_count = 0
    for number in range(60):
        rows, refused = one_table(program, Path(folder) / str(number), rng)
        row_count, refused_count = row_count + rows, refused_count + refused
    print(json.dumps({"rows": row_count, "refused": refused_count}))


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages behind their schemas: each type alone, all together, and truncates. usage: message_corpus.py FOLDER"""
import json
import pathlib
import struct
import sys

from avro_bytes import META as ROW_META, VALUES

META = [{"name": "__op", "type": {"type": "enum", "name": "__op", "symbols": ["c", "u", "d", "r", "t"]}},
        {"name": "__ts", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "__seq", "type": "long"}, {"name": "__idx", "type": "long"},
        {"name": "__source", "type": "string"}, {"name": "__txid", "type": "string"}]


def decimal(precision, scale):
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


TYPES = [("long", "long", 0, 0), ("ulong", decimal(20, 0), 0, 0), ("decimal", decimal(12, 9), 12, 9), ("decimal_text", "string", 65, 0), ("float", "float", 0, 0),
         ("double", "double", 0, 0), ("boolean", "boolean", 1, 0), ("bytes", "bytes", 0, 0), ("date", {"type": "int", "logicalType": "date"}, 0, 0),
         ("datetime", {"type": "long", "logicalType": "local-timestamp-micros"}, 6, 0), ("timestamp", {"type": "long", "logicalType": "timestamp-micros"}, 6, 0),
         ("time", "long", 0, 0), ("year", "int", 0, 0), ("text", "string", 0, 0), ("json", {"type": "string", "sqlType": "JSON"}, 0, 0)]


def schema(types, key):
    fields = []
    for kind, avro, precision, scale in types:
        field = {"name": kind, "type": ["null", avro], "default": None, "kakehi.column": kind, "kakehi.type": kind, "kakehi.source_type": kind}
        field |= {"kakehi.precision": precision} if precision else {}
        fields.append(field | ({"kakehi.scale": scale} if scale else {}))
    return json.dumps({"type": "record", "name": "t", "namespace": "d", "kakehi.database": "d", "kakehi.table": "t", "kakehi.key": key, "fields": fields + META}).encode()


def write(name, types, key, row, frame=b"\xc3\x01" + bytes(range(8))):
    text = schema(types, key)
    (pathlib.Path(sys.argv[1]) / name).write_bytes(struct.pack(">H", len(text)) + text + frame + row)


for number, one in enumerate(TYPES):
    write(one[0], [one], [one[0]], b"\x02" + VALUES[number] + ROW_META)
write("all", TYPES, ["text", "long"], b"".join(b"\x02" + value for value in VALUES) + ROW_META)
write("nulls", TYPES, [], bytes(len(TYPES)) + ROW_META)
write("truncate", TYPES, ["long"], bytes(len(TYPES)) + b"\x08" + ROW_META[1:])
write("none", [], [], ROW_META)
write("registry", TYPES[:1], ["long"], b"\x02" + VALUES[0] + ROW_META, b"\x00\x00\x00\x00\x07")

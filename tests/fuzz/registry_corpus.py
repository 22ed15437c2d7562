#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers in the forms that registries have, and a frame of each kind. usage: registry_corpus.py FOLDER"""
import json
import struct
import sys
from pathlib import Path

META = [{"name": "__op", "type": {"type": "enum", "name": "__op", "symbols": ["c", "u", "d", "r", "t"]}},
        {"name": "__ts", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "__seq", "type": "long"}, {"name": "__idx", "type": "long"},
        {"name": "__source", "type": "string"}, {"name": "__txid", "type": "string"}]
COLUMN = {"name": "id", "type": ["null", "long"], "default": None, "kakehi.column": "id", "kakehi.type": "long", "kakehi.source_type": "bigint"}
SCHEMA = {"type": "record", "name": "orders", "namespace": "shop", "kakehi.database": "shop", "kakehi.table": "orders", "kakehi.key": ["id"], "fields": [COLUMN] + META}
ANSWERS = [
    (0, 200, {"id": 1, "version": 1}),
    (0, 409, {"error_code": 409, "message": "Schema being registered is incompatible\nwith an earlier schema: {oldSchemaVersion: 1} \u00e4"}),
    (0, 422, {"error_code": 42201, "message": "Invalid schema"}),
    (0, 401, {"error_code": 40101, "message": "Unauthorized"}),
    (1, 200, {"schema": json.dumps(SCHEMA), "references": []}),
    (1, 200, {"schema": json.dumps(SCHEMA, separators=(",", ":")), "schemaType": "AVRO"}),
    (1, 200, {"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}),
    (1, 404, {"error_code": 40403, "message": "Schema 17 not found"}),
    (2, 200, ["JSON", "PROTOBUF", "AVRO"]),
    (2, 200, {"compatibilityLevel": "BACKWARD_TRANSITIVE"}),
]

folder = Path(sys.argv[1])
for number, (verb, status, answer) in enumerate(ANSWERS):
    (folder / f"answer-{number}").write_bytes(struct.pack(">BH", verb, status) + json.dumps(answer).encode())
(folder / "html").write_bytes(struct.pack(">BH", 0, 502) + b"<html>Bad Gateway</html>")
(folder / "frame-0").write_bytes(b"\0\0\0\0\x11\2")
(folder / "frame-1").write_bytes(b"\xc3\1\1\2\3\4\5\6\7\x08\2")

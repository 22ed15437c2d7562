#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bodies of REST calls that went well, in the forms that BigQuery's API has. usage: rest_bodies_corpus.py FOLDER"""
import json
import sys
from pathlib import Path

STATE = {"as_of": "9c1f03aa", "base": "1795269675045", "watermark": "2026-11-19", "days": {"2026-11-17": 1042, "2026-11-18": 7}}
VIEW = "SELECT 1\n-- kakehi " + json.dumps(STATE)
LOAD = {"destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t_history"}}
FIELDS = [{"name": "id", "type": "INTEGER", "mode": "NULLABLE", "description": "id BIGINT, key 1"},
          {"name": "price", "type": "BIGNUMERIC", "description": "price DECIMAL(50,10), dropped"},
          {"name": "__op", "type": "STRING"}, {"name": "tags", "type": "RECORD", "mode": "REPEATED", "fields": []}]
TABLE = {"etag": "e", "creationTime": "1795269675045", "schema": {"fields": FIELDS}, "requirePartitionFilter": True, "description": "shop.orders",
         "timePartitioning": {"type": "DAY", "field": "__ingest_day", "expirationMs": "2592000000"}, "clustering": {"fields": ["id"]},
         "labels": {"kakehi_owner": "prod", "kakehi_kind": "history"}, "encryptionConfiguration": {"kmsKeyName": "projects/x"}}


def job(state, **status):
    return {"jobReference": {"jobId": "j", "location": "EU"}, "configuration": {"load": LOAD}, "status": {"state": state, **status},
            "statistics": {"load": {"outputRows": "6"}}}


def day(name, rows, truncates="0"):
    return {"f": [{"v": name}, {"v": rows}, {"v": truncates}]}


BODIES = {
    0: [job("RUNNING"), job("DONE"), job("DONE", errorResult={"reason": "invalid", "message": "bad"}), job("DONE", errorResult={"reason": "backendError"})],
    1: [TABLE, {**TABLE, "view": {"query": VIEW}}, {"schema": {}},
        {**TABLE, "expirationTime": "1797861675045", "defaultTableExpirationMs": "2592000000", "defaultPartitionExpirationMs": "864000000"}],
    2: [[day("2026-11-21", "-1"), day("2026-11-20", "5"), day("2026-11-18", "8", "1"), day("2026-11-21", "3")], []],
}

folder = Path(sys.argv[1])
for kind, bodies in BODIES.items():
    for number, body in enumerate(bodies):
        (folder / f"body-{kind}-{number}").write_bytes(bytes([kind]) + json.dumps(body).encode())
(folder / "view").write_bytes(b"\3" + VIEW.encode())

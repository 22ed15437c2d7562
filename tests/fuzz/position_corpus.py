#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Position records of both servers, in every stage of work. usage: position_corpus.py FOLDER"""
import json
import sys
from pathlib import Path

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
MYSQL = {"layout": 1, "flavor": "mysql", "server": UUID, "file": "bin.000001", "position": 4, "seq": 1795222923456789, "ts": 1795222923000000}
MARIADB = {**MYSQL, "flavor": "mariadb", "server": "1", "gtid": "0-1-3,7-2-5"}
RECORDS = [MYSQL, {**MYSQL, "gtid": f"{UUID}:1-3:7"}, MARIADB, {**MARIADB, "reread": ["shop.orders", "shop.Größe"]},
           {**MARIADB, "transaction": {"txid": "0-1-4", "seq": 1795222923456790, "rows": 3}},
           {**MYSQL, "transaction": {"txid": "bin.000001:120", "seq": 1795222923456790, "rows": 1}, "ends": {"p.shop.orders": {"0": 7}}}, {"layout": 2}]
STEPS = [b"", bytes(range(0, 60, 5)), bytes([12, 1, 5, 9, 12, 16, 1, 5, 8])]
for number, record in enumerate(RECORDS):
    for place, steps in enumerate(STEPS):
        (Path(sys.argv[1]) / f"record-{number}-{place}").write_bytes(json.dumps(record, ensure_ascii=False).encode() + b"\0" + steps)

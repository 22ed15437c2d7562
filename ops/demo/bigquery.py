# SPDX-License-Identifier: Apache-2.0
"""BigQuery's emulator as the demo's warehouse, read by Google's own Python client (bigquery_reader.py, under the emulator's Python).

The emulator is slow and takes few open AppendRows calls: so fewer partitions, a calmer shop, and its rows are counted now and then.
"""
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import shop
from children import Child, Failed
from servers import free_ports

PROJECT = "demo"
_HERE = os.path.dirname(os.path.abspath(__file__))
_COUNT_EVERY_S = 2


class Emulator(Child):
    def __init__(self, folder, installed):
        self.port = free_ports(2)  # the second one is the Storage Write API's
        super().__init__("BigQuery emulator", [installed / "bigquery-server", self.port, self.port + 1, folder / "bigquery", "--project", PROJECT],
                         folder / "bigquery.log")
        self.wait_for(self.answers, "the emulator to answer", 90)

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/bigquery/v2/projects/{PROJECT}/datasets", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


class BigQuery:
    title = "BigQuery (emulator)"
    partitions = 2
    transactions_per_s = 30

    def __init__(self, folder, installed):
        self.emulator = Emulator(folder, installed)
        self.children = [self.emulator]
        self.folder, self.counted, self.counted_at = folder, {}, 0.0
        with open(folder / "reader.log", "ab") as log:
            self.reader = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", str(installed / "python"), "-B", os.path.join(_HERE, "bigquery_reader.py"),
                                            f"http://127.0.0.1:{self.emulator.port}", PROJECT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def settings(self):
        return (f"warehouse: bigquery\nfreshness: {{\"*.*\": 2s}}\nbigquery:\n  project: {PROJECT}\n  endpoint: http://127.0.0.1:{self.emulator.port}\n"
                f"  storage_endpoint: http://127.0.0.1:{self.emulator.port + 1}\n  credentials: none                       # of an emulator\n"
                "  request: 3MiB                           # these two: what the emulator asks for\n  calls: 5\n")

    def read(self, sql):
        """All rows, or None while a table is not there yet."""
        self.reader.stdin.write(json.dumps(sql) + "\n")
        self.reader.stdin.flush()
        line = self.reader.stdout.readline()
        if not line:
            raise Failed(f"Google's client ended: {(self.folder / 'reader.log').read_text()[-1500:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"Google's client: {answer['error']}")
        rows = answer["rows"]
        return rows and [tuple(bytes.fromhex(value["bytes"]) if isinstance(value, dict) else value for value in row) for row in rows]

    def counts(self, tables):
        """By name; a little old, since each count is a query."""
        if time.monotonic() - self.counted_at >= _COUNT_EVERY_S:
            self.counted = {table: self.count(table) for table in tables}
            self.counted_at = time.monotonic()
        return self.counted

    def count(self, table):
        rows = self.read(f"SELECT COUNT(*) AS n FROM {shop.DATABASE}.{table}")
        return int(rows[0][0]) if rows else 0

    def identities(self, table):
        return int(self.read(f"SELECT COUNT(*) AS n FROM (SELECT DISTINCT __source, __txid, __idx FROM {shop.DATABASE}.{table}_history)")[0][0])

    def latest(self, table, columns):
        """As MariaDB prints the values: money with its cents."""
        money = {"credit", "total", "price"}
        rows = self.read(f"SELECT {', '.join(columns)} FROM {shop.DATABASE}.{table}") or []
        return [tuple(f"{float(value):.2f}" if name in money and value is not None else value for name, value in zip(columns, row)) for row in rows]

    def how_to_look(self):
        python = self.reader.args[3]
        return [f"echo '\"SELECT * FROM shop.orders ORDER BY id DESC LIMIT 5\"' | {python} ops/demo/bigquery_reader.py http://127.0.0.1:{self.emulator.port} {PROJECT}"]

    def leave(self, folder):
        self.close()
        return None

    def close(self):
        if self.reader.poll() is None:
            self.reader.kill()
        self.reader.wait()

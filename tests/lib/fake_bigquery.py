# SPDX-License-Identifier: Apache-2.0
"""Our own BigQuery for fault tests (tests/servers/fake_bigquery): REST and the Storage Write API as documented, whatever goes wrong by command,
and a ledger of what was truly stored. lib/bigquery.py's emulator has real SQL; this one has the failures that it lacks.

By hand, for a trial:

    S=$(tests/servers/need --where)/bigquery;  $S/python tests/servers/fake_bigquery 9050 9060 &        # prints "ready"
    bigquery: {project: p, endpoint: "http://127.0.0.1:9050", storage_endpoint: "http://127.0.0.1:9060", credentials: none}

Control is HTTP on the REST port, JSON both ways (POST sets, GET asks):

    POST /control/fault {"call": "AppendRows", "table": "d.t_history", "when": "after", "do": {"swallow": true}}     -> {"id": 1}
         all faults and what they can do stand at the head of tests/servers/fake_bigquery/faults.py
    POST /control/clear {} | {"id": 1}         no faults any more, or not this one
    POST /control/heal {}                      no faults, all doors open once, the settings as at the start
    POST /control/open {"door": "name"}        who was held at the door goes on; who comes later waits again
    POST /control/settings {"schema_lag_s": 60, "idle_s": 2, "job_s": 5, "tokens": [...], ...}       store.py's DEFAULTS has all
    POST /control/figures {"table": "d.t_history", "numBytes": "5"}       tables.get says so of its size, whatever is true
    POST /control/end-calls {"table": ..., "status": "UNAVAILABLE"}       open AppendRows calls end
    POST /control/expire {"table": ...} | {"stream": ...}                 write streams are gone (NOT_FOUND)
    POST /control/revoke-tokens {}             tokens that POST /token gave out are no good any more
    GET  /control/ledger?table=d.t_history     every row stored, in order: {"origin": stream or job, "number": its place there, "values": {...}}
    GET  /control/count?table=  /control/tables  /control/streams?table=  /control/calls  /control/appends?from=N  /control/jobs?table=
    GET  /control/queries  /control/requests?from=N  /control/hits  /control/counters

A table is dropped and made anew by REST, as anywhere. SELECT and MERGE run over the ledger.
"""
import datetime
import decimal
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from lib.bigquery import PROJECT, BigQueryServer
from lib.processes import wait_for

_PROGRAM = Path(__file__).resolve().parent.parent / "servers" / "fake_bigquery"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_READ = {"decimal": decimal.Decimal, "date": datetime.date.fromisoformat, "time": datetime.time.fromisoformat, "float": float,
         "datetime": datetime.datetime.fromisoformat, "timestamp": lambda micros: _EPOCH + datetime.timedelta(microseconds=micros),
         "bytes": lambda text: __import__("base64").b64decode(text)}


def _value(value):
    if isinstance(value, dict):
        (kind, text), = value.items()
        return _READ[kind](text)
    return value


class FakeBigQuery(BigQueryServer):
    def __init__(self, folder):
        super().__init__("fake BigQuery", folder)

    def _argv(self):
        return [self.home / "python", "-B", _PROGRAM, self.port, self.grpc_port, PROJECT]

    # ---- control

    def post(self, command, **body):
        request = urllib.request.Request(f"{self.endpoint}/control/{command}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def get(self, question, **query):
        with urllib.request.urlopen(f"{self.endpoint}/control/{question}?{urllib.parse.urlencode(query)}", timeout=60) as answer:
            return json.load(answer)

    def rest(self, method, path, body=None, headers=()):
        """A call of the REST interface below projects/p: (status, answer)."""
        request = urllib.request.Request(f"{self.endpoint}/bigquery/v2/projects/{PROJECT}/{path}", None if body is None else json.dumps(body).encode(),
                                         {"Content-Type": "application/json", **dict(headers)}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def fault(self, call, do, **rule):
        """The fault's number."""
        return self.post("fault", call=call, do=do, **rule)["id"]

    def clear(self, number=None):
        self.post("clear", **({} if number is None else {"id": number}))

    def heal(self):
        self.post("heal")

    def open(self, door):
        self.post("open", door=door)

    def set(self, **settings):
        return self.post("settings", **settings)

    def hits(self, number):
        """How often the fault has struck."""
        return sum(hit["id"] == number for hit in self.get("hits")["hits"])

    def waiting(self, door):
        return self.get("hits")["waiting"].get(door, 0)

    def wait_hit(self, number, count=1, deadline_s=60):
        wait_for(lambda: self.hits(number) >= count, lambda: f"fault {number} to strike {count} times: {self.hits(number)}", deadline_s)

    def wait_at(self, door, count=1, deadline_s=60):
        wait_for(lambda: self.waiting(door) >= count, f"somebody to stand at the door {door!r}", deadline_s)

    # ---- what is true

    def count(self, table):
        return self.get("count", table=table)["rows"]

    def rows(self, table):
        """Every row truly stored, in order, its values as Python has them."""
        return [{name: _value(value) for name, value in row["values"].items()} for row in self.get("ledger", table=table)["rows"]]

    def ledger(self, table):
        return self.get("ledger", table=table)["rows"]

# SPDX-License-Identifier: Apache-2.0
"""The control endpoint: how a test says what goes wrong, and asks what is true. tests/lib/fake_bigquery.py lists the commands."""
from faults import Refused
from http_server import Answer
from store import DEFAULTS
from values import to_ledger
from write_api import Ended


class Control:
    def __init__(self, store, faults, write, rest, jobs, queries):
        self.store, self.faults, self.write, self.rest, self.jobs, self.queries = store, faults, write, rest, jobs, queries

    async def serve(self, request):
        name = request.path.removeprefix("/control/").replace("-", "_")
        command = getattr(self, f"{request.method.lower()}_{name}", None)
        if command is None:
            raise Refused(404, "notFound", f"no control command {request.method} {name}")
        answer = command(request.json() if request.method == "POST" else request.query)
        return Answer({} if answer is None else answer)

    # ---- what goes wrong

    def post_fault(self, rule):
        return {"id": self.faults.add(rule)}

    def post_clear(self, which):
        self.faults.remove(which.get("id"))

    def post_heal(self, _):
        self.faults.remove()
        for door in list(self.faults.doors):
            self.faults.open_door(door)
        self.store.settings.update(DEFAULTS)

    def post_open(self, which):
        self.faults.open_door(which["door"])

    def post_settings(self, changes):
        unknown = set(changes) - set(self.store.settings)
        if unknown:
            raise Refused(400, "invalid", f"no settings {sorted(unknown)}; there are {sorted(self.store.settings)}")
        self.store.settings.update(changes)
        return self.store.settings

    def post_figures(self, which):
        """What tables.get says of a table from now on, over what is true: {"table": ..., "numBytes": "5", ...}"""
        self._table(which).figures = {name: value for name, value in which.items() if name != "table"}

    def post_end_calls(self, which):
        """All open AppendRows calls (of a table) end with this status."""
        calls = [call for call in self.write.calls.values() if which.get("table") in (None, call.stream.table.label if call.stream else None)]
        for call in calls:
            call.end(Ended(which.get("status", "UNAVAILABLE"), which.get("message", "injected"), which.get("detail")))
        return {"ended": len(calls)}

    def post_expire(self, which):
        """The table's streams (or the one named) are gone, as after days without traffic."""
        gone = [stream for stream in self.store.streams.values() if which.get("stream") == stream.name or which.get("table") == stream.table.label]
        for stream in gone:
            stream.gone = True
            if stream.call:
                stream.call.end(Ended("NOT_FOUND", f"Requested entity was not found. Entity: {stream.name}", "STREAM_NOT_FOUND", stream.name))
        return {"expired": [stream.name for stream in gone]}

    def post_revoke_tokens(self, _):
        """Every token that was given out is no good any more."""
        self.store.issued.clear()

    # ---- what is true

    def _table(self, query):
        dataset, _, name = query["table"].partition(".")
        return self.store.table(dataset, name)

    def get_ledger(self, query):
        """Rows as stored, in the order in which they came."""
        table = self._table(query)
        rows = table.rows[int(query.get("from", 0)):]
        return {"fields": table.fields, "rows": [{"origin": origin.rpartition("/")[2], "number": number, "values": {name: to_ledger(value) for name, value in values.items()}}
                                                for values, origin, number in rows]}

    def get_count(self, query):
        dataset, _, name = query["table"].partition(".")
        table = self.store.tables.get((dataset, name))
        return {"rows": len(table.rows) if table else 0, "exists": table is not None}

    def get_tables(self, query):
        """dataset.table -> rows; views have none."""
        return {table.label: len(table.rows) for table in self.store.tables.values() if query.get("dataset") in (None, table.dataset)}

    def get_streams(self, query):
        return {"streams": [stream.shown() for stream in self.store.streams.values() if query.get("table") in (None, stream.table.label)]}

    def get_calls(self, _):
        return {"calls": [call.shown() for call in self.write.calls.values()]}

    def get_appends(self, query):
        """The requests of AppendRows that came, and how each was answered."""
        return {"appends": self.write.requests[int(query.get("from", 0)):]}

    def get_jobs(self, query):
        return {"jobs": [job.shown() for job in self.jobs.jobs.values() if query.get("table") in (None, job.table)]}

    def get_queries(self, _):
        return {"queries": self.queries.asked}

    def get_requests(self, query):
        return {"requests": self.rest.requests[int(query.get("from", 0)):]}

    def get_hits(self, _):
        """The faults that were met, and who stands before which door."""
        return {"hits": self.faults.hits, "waiting": {name: door["waiting"] for name, door in self.faults.doors.items()}}

    def get_counters(self, _):
        return {"created": self.write.created_count, "finalized": self.write.finalized_count, "calls": len(self.write.calls),
                "appends": len(self.write.requests), "loaded_bytes": self.jobs.loaded_bytes}

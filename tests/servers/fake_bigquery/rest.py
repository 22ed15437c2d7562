# SPDX-License-Identifier: Apache-2.0
"""BigQuery's REST interface, as far as a writer of histories needs it: datasets, tables, routines, and the way to the jobs."""
import re
import uuid

from faults import Refused
from http_server import Answer
from store import merged
from values import to_rest, type_of

_API = "/bigquery/v2/projects/"


class Rest:
    def __init__(self, store, faults, jobs, queries):
        self.store, self.faults, self.jobs, self.queries = store, faults, jobs, queries
        self.requests = []  # method and path of all calls; the newest last
        project = "(?P<project>[^/]+)"
        table = f"{project}/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/]+)"
        routine = f"{project}/datasets/(?P<dataset>[^/]+)/routines"
        self.routes = [(method, re.compile(prefix + pattern), call, work) for method, prefix, pattern, call, work in [
            ("GET", _API, f"{project}/datasets", "datasets.list", self._list_datasets),
            ("POST", _API, f"{project}/datasets", "datasets.insert", lambda r, m: self.store.make_dataset(r.json())),
            ("GET", _API, f"{project}/datasets/(?P<dataset>[^/]+)", "datasets.get", lambda r, m: self.store.dataset(m["dataset"])),
            ("PATCH", _API, f"{project}/datasets/(?P<dataset>[^/]+)", "datasets.patch",
             lambda r, m: self.store.patch_dataset(m["dataset"], r.json(), r.headers.get("if-match"))),
            ("PUT", _API, f"{project}/datasets/(?P<dataset>[^/]+)", "datasets.update",
             lambda r, m: self.store.patch_dataset(m["dataset"], r.json(), r.headers.get("if-match"))),
            ("DELETE", _API, f"{project}/datasets/(?P<dataset>[^/]+)", "datasets.delete",
             lambda r, m: self.store.drop_dataset(m["dataset"], r.query.get("deleteContents") == "true")),
            ("GET", _API, f"{project}/datasets/(?P<dataset>[^/]+)/tables", "tables.list", self._list_tables),
            ("POST", _API, f"{project}/datasets/(?P<dataset>[^/]+)/tables", "tables.insert",
             lambda r, m: self.store.make_table(m["dataset"], r.json()).shown()),
            ("GET", _API, table, "tables.get", lambda r, m: self.store.table(m["dataset"], m["table"]).shown()),
            ("PATCH", _API, table, "tables.patch", self._patch_table),
            ("PUT", _API, table, "tables.update",
             lambda r, m: self.store.patch_table(m["dataset"], m["table"], r.json(), r.headers.get("if-match")).shown()),
            ("DELETE", _API, table, "tables.delete", lambda r, m: self.store.drop_table(m["dataset"], m["table"])),
            ("POST", _API, table + "/insertAll", "tabledata.insertAll", self._insert_all),
            ("GET", _API, table + "/data", "tabledata.list", self._list_data),
            ("GET", _API, routine, "routines.list", self._list_routines),
            ("POST", _API, routine, "routines.insert", self._make_routine),
            ("GET", _API, routine + "/(?P<routine>[^/]+)", "routines.get", lambda r, m: self._routine(m)),
            ("PUT", _API, routine + "/(?P<routine>[^/]+)", "routines.update", self._change_routine),
            ("DELETE", _API, routine + "/(?P<routine>[^/]+)", "routines.delete", self._drop_routine),
            ("GET", _API, f"{project}/jobs", "jobs.list", lambda r, m: {"jobs": [job.shown() for job in self.jobs.jobs.values()]}),
            ("POST", _API, f"{project}/jobs", "jobs.insert", lambda r, m: self.jobs.insert(r.json())),
            ("GET", _API, f"{project}/jobs/(?P<job>[^/]+)", "jobs.get", lambda r, m: self.jobs.get(m["job"], r.query.get("location")).shown()),
            ("POST", _API, f"{project}/jobs/(?P<job>[^/]+)/cancel", "jobs.cancel", lambda r, m: {"job": self.jobs.cancel(m["job"]).shown()}),
            ("POST", _API, f"{project}/queries", "jobs.query", lambda r, m: self.jobs.query(r.json())),
            ("GET", _API, f"{project}/queries/(?P<job>[^/]+)", "jobs.getQueryResults", lambda r, m: self.jobs.results(m["job"], r.query)),
            ("POST", "(?:/resumable)?/upload" + _API, f"{project}/jobs", "upload.start", self.jobs.start_upload),
            ("PUT", "(?:/resumable)?/upload" + _API, f"{project}/jobs", "upload.put", self.jobs.put_upload),
        ]]

    async def serve(self, request):
        """For what is below /bigquery/v2, and uploads."""
        self.requests.append(f"{request.method} {request.path}")
        if not self.store.token_is_good(request.headers.get("authorization")):
            raise Refused(401, "authError", "Request had invalid authentication credentials.", {"WWW-Authenticate": "Bearer"})
        for method, pattern, call, work in self.routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                return await self._call(call, request, match, work)
        raise Refused(404, "notFound", f"Not Found: {request.method} {request.path}")

    async def _call(self, call, request, match, work):
        if match["project"] != self.store.project:
            raise Refused(404, "notFound", f"Not found: Project {match['project']}")
        call, table = self._name(call, request, match)
        names = [call, "upload.last"] if self.jobs.makes_a_job(call, request) else [call]
        for name in names:
            await self.faults.http(name, "before", table, request.method)
        answer = work(request, match)
        for name in names:
            await self.faults.http(name, "after", table, request.method)
        if isinstance(answer, Answer):
            return answer
        return Answer(code=204) if answer is None else Answer(answer)

    def _name(self, call, request, match):
        """The call as faults name it, and its table."""
        groups = match.groupdict()
        table = f"{groups['dataset']}.{groups['table']}" if groups.get("table") else None
        if call == "tables.insert":
            table = f"{groups['dataset']}.{request.json().get('tableReference', {}).get('tableId')}"
        elif call in ("jobs.insert", "upload.start"):
            if request.query.get("uploadType") == "multipart":
                call = "upload.multipart"
            table = self.jobs.table_of(request)
        elif call == "jobs.get" and groups["job"] in self.jobs.jobs:
            table = self.jobs.jobs[groups["job"]].table
        elif call == "upload.put":
            table = self.jobs.table_of_upload(request)
            if request.headers.get("content-range", "").startswith("bytes */"):
                call = "upload.probe"
        return call, table

    def _list_datasets(self, request, match):
        return {"kind": "bigquery#datasetList", "datasets": list(self.store.datasets.values())}

    def _list_tables(self, request, match):
        self.store.dataset(match["dataset"])
        tables = [table.shown() for (dataset, _), table in sorted(self.store.tables.items()) if dataset == match["dataset"]]
        return {"kind": "bigquery#tableList", "tables": tables, "totalItems": len(tables)}

    def _patch_table(self, request, match):
        dataset, name, if_match = match["dataset"], match["table"], request.headers.get("if-match")
        if self.faults.take("etag", table=f"{dataset}.{name}"):
            if_match = None
        return self.store.patch_table(dataset, name, request.json(), if_match).shown()

    def _insert_all(self, request, match):
        raise Refused(501, "notImplemented", "the fake has no insertAll: what it loses is silent")

    def _list_data(self, request, match):
        table = self.store.table(match["dataset"], match["table"])
        start = int(request.query.get("pageToken") or request.query.get("startIndex") or 0)
        count = min(int(request.query.get("maxResults") or 10_000), 10_000)
        rows = [{"f": [{"v": to_rest(values.get(field["name"]))} for field in table.fields]} for values, _, _ in table.rows[start:start + count]]
        answer = {"kind": "bigquery#tableDataList", "totalRows": str(len(table.rows)), "rows": rows}
        if start + count < len(table.rows):
            answer["pageToken"] = str(start + count)
        return answer

    # ---- routines: kept word by word

    def _routine(self, match):
        key = (match["dataset"], match["routine"])
        if key not in self.store.routines:
            raise Refused(404, "notFound", f"Not found: Routine {match['project']}:{match['dataset']}.{match['routine']}")
        return self.store.routines[key]

    def _list_routines(self, request, match):
        self.store.dataset(match["dataset"])
        return {"routines": [routine for (dataset, _), routine in self.store.routines.items() if dataset == match["dataset"]]}

    def _make_routine(self, request, match):
        self.store.dataset(match["dataset"])
        resource = request.json()
        name = resource["routineReference"]["routineId"]
        if (match["dataset"], name) in self.store.routines:
            raise Refused(409, "duplicate", f"Already Exists: Routine {match['project']}:{match['dataset']}.{name}")
        self.store.routines[match["dataset"], name] = {**resource, "etag": uuid.uuid4().hex}
        return self.store.routines[match["dataset"], name]

    def _change_routine(self, request, match):
        routine = self._routine(match)
        if request.headers.get("if-match") not in (None, "*", routine["etag"]):
            raise Refused(412, "conditionNotMet", "Precondition check failed.")
        routine.update(merged(routine, request.json()), etag=uuid.uuid4().hex)
        return routine

    def _drop_routine(self, request, match):
        self._routine(match)
        del self.store.routines[match["dataset"], match["routine"]]


def schema_of(table):
    """For a job's answer: name and type of each column."""
    return {"fields": [{"name": field["name"], "type": type_of(field), "mode": field.get("mode", "NULLABLE")} for field in table.fields]}

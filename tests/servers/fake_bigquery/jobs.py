# SPDX-License-Identifier: Apache-2.0
"""Jobs: loads of Avro files, uploaded in one piece or resumably, and queries. A job id is used once, for ever: a second one is 409."""
import asyncio
import email.parser
import email.policy
import io
import json
import time
import uuid

import fastavro

from faults import Refused
from http_server import Answer
from values import from_avro, normal_type, type_of, widens_to

_CHUNK = 256 * 1024


class Job:
    def __init__(self, project, job_id, configuration, kind):
        self.project, self.id, self.configuration, self.kind = project, job_id, configuration, kind
        self.state, self.error, self.statistics, self.rows = "RUNNING", None, {}, None
        self.created = time.time_ns() // 1_000_000
        self.result = None  # of a query: (fields, rows)

    @property
    def table(self):
        """dataset.table of a load."""
        target = self.configuration.get("load", {}).get("destinationTable", {})
        return f"{target['datasetId']}.{target['tableId']}" if "tableId" in target else None

    def shown(self):
        status = {"state": self.state}
        if self.error:
            status.update(errorResult=self.error, errors=[self.error])
        return {"kind": "bigquery#job", "id": f"{self.project}:US.{self.id}", "jobReference": {"projectId": self.project, "jobId": self.id, "location": "US"},
                "configuration": {**self.configuration, "jobType": self.kind.upper()}, "status": status, "user_email": "test@example.com",
                "statistics": {"creationTime": str(self.created), "startTime": str(self.created), "totalBytesProcessed": "0",
                               **({"endTime": str(time.time_ns() // 1_000_000)} if self.state == "DONE" else {}), **self.statistics}}

    def fail(self, reason, message):
        self.state, self.error = "DONE", {"reason": reason, "message": message}


class Upload:
    """A resumable upload under way."""

    def __init__(self, body):
        self.id, self.body, self.data, self.job = uuid.uuid4().hex, body, bytearray(), None


class Jobs:
    def __init__(self, store, faults, queries):
        self.store, self.faults, self.queries = store, faults, queries
        self.jobs, self.uploads = {}, {}
        self.loaded_bytes = 0

    # ---- what a job is

    def _refuse_used(self, job_id):
        if job_id in self.jobs and not self.faults.take("job id", table=self.jobs[job_id].table):
            raise Refused(409, "duplicate", f"Already Exists: Job {self.store.project}:US.{job_id}")

    def _new(self, body, kind):
        reference = body.get("jobReference", {})
        job_id = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        self._refuse_used(job_id)
        self.jobs[job_id] = Job(self.store.project, job_id, body.get("configuration", {}), kind)
        return self.jobs[job_id]

    def get(self, job_id, location=None):
        job = self.jobs.get(job_id)
        if job is None or (location or "US").upper() not in ("US", "EU"):
            raise Refused(404, "notFound", f"Not found: Job {self.store.project}:{job_id}")
        return job

    def cancel(self, job_id):
        job = self.get(job_id)
        if job.state != "DONE":
            job.fail("stopped", "Job execution was cancelled: User requested cancellation")
        return job

    def insert(self, body):
        """jobs.insert without a file: a query."""
        configuration = body.get("configuration", {})
        if "load" in configuration:
            raise Refused(400, "invalid", "the fake loads uploaded files only")
        if "query" not in configuration:
            raise Refused(400, "required", "Required parameter is missing: query")
        if configuration.get("dryRun"):
            return self._try_out(configuration)
        job = self._new(body, "query")
        self._run_query(job)
        return job.shown()

    def _try_out(self, configuration):
        """A dry run: a job without an id, which nobody can ask for."""
        query = configuration["query"]
        self.queries.try_out(query["query"], query.get("defaultDataset", {}).get("datasetId"), query.get("queryParameters", []))
        read = str(self.store.settings["query_bytes"])
        statistics = {"totalBytesProcessed": read, "query": {"statementType": "SELECT", "totalBytesProcessed": read, "totalBytesBilled": "0"}}
        return {"kind": "bigquery#job", "configuration": configuration, "jobReference": {"projectId": self.store.project, "location": "US"},
                "status": {"state": "DONE"}, "statistics": statistics}

    # ---- uploads

    @staticmethod
    def _parts(request):
        """multipart/related: the job, the file."""
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
        parts = list(message.iter_parts())
        if len(parts) != 2:
            raise Refused(400, "badContent", "a multipart upload has two parts")
        return parts[0].get_payload(decode=True), parts[1].get_payload(decode=True)

    def table_of(self, request):
        body = self._job_of(request)
        target = body.get("configuration", {}).get("load", {}).get("destinationTable", {})
        return f"{target.get('datasetId')}.{target['tableId']}" if "tableId" in target else None

    def _job_of(self, request):
        return json.loads(self._parts(request)[0]) if request.query.get("uploadType") == "multipart" else request.json()

    def table_of_upload(self, request):
        upload = self.uploads.get(request.query.get("upload_id"))
        target = upload.body.get("configuration", {}).get("load", {}).get("destinationTable", {}) if upload else {}
        return f"{target.get('datasetId')}.{target['tableId']}" if "tableId" in target else None

    @staticmethod
    def makes_a_job(call, request):
        """Is it the upload's last piece, or its only one?"""
        total = request.headers.get("content-range", "*").rpartition("/")[2]
        last = f"-{int(total) - 1}/" in request.headers["content-range"] if total.isdigit() else False
        return call == "upload.multipart" or (call == "upload.put" and last)

    def start_upload(self, request, match):
        kind = request.query.get("uploadType")
        if kind == "multipart":
            return self._load(self._job_of(request), self._parts(request)[1]).shown()
        if kind != "resumable":
            raise Refused(400, "badRequest", "uploadType must be multipart or resumable")
        upload = Upload(request.json())
        # A used id is told when the upload begins, not when it ends.
        self._refuse_used(upload.body.get("jobReference", {}).get("jobId"))
        self.uploads[upload.id] = upload
        where = f"http://{request.headers['host']}{request.path}?uploadType=resumable&upload_id={upload.id}"
        return Answer(b"", 200, {"Location": where, "X-GUploader-UploadID": upload.id})

    def put_upload(self, request, match):
        upload = self.uploads.get(request.query.get("upload_id"))
        if upload is None:
            raise Refused(404, "notFound", "Not Found: no such upload")
        if upload.job is not None:
            return upload.job.shown()
        span, _, total = request.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if span == "*":
            return self._end_upload(upload, total)
        first = int(span.split("-")[0]) if span else 0
        if first > len(upload.data):
            raise Refused(400, "invalid", f"the upload has {len(upload.data)} bytes, the chunk begins at {first}")
        chunk = request.body[len(upload.data) - first:]
        target = upload.body.get("configuration", {}).get("load", {}).get("destinationTable", {})
        do = self.faults.take("upload.put", "chunk", f"{target.get('datasetId')}.{target.get('tableId')}")
        if "short_range" in do:
            upload.data += chunk[:do["short_range"]]
            return self._more(upload)
        if (not total or total == "*") and span and len(request.body) % _CHUNK:
            raise Refused(400, "invalid", "a chunk that is not the last must be a multiple of 256 KiB")
        upload.data += chunk
        return self._end_upload(upload, total or str(len(upload.data)))

    def _end_upload(self, upload, total):
        if total in ("", "*") or len(upload.data) < int(total):
            return self._more(upload)
        upload.job = self._load(upload.body, bytes(upload.data))
        upload.data = bytearray()
        return upload.job.shown()

    @staticmethod
    def _more(upload):
        return Answer(b"", 308, {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {})

    # ---- loads

    def _load(self, body, data):
        load = body.get("configuration", {}).get("load")
        if load is None:
            raise Refused(400, "required", "an upload makes load jobs only")
        job = self._new(body, "load")
        self.loaded_bytes += len(data)
        job.task = asyncio.get_running_loop().create_task(self._run_load(job, load, data))
        return job

    async def _run_load(self, job, load, data):
        do = self.faults.take("job.run", "before", job.table)
        if "hold" in do:
            await self.faults.pass_door(do["hold"])
        await asyncio.sleep(self.store.settings["job_s"])
        if job.state == "DONE":
            return  # cancelled
        if "job_error" in do:
            job.fail(do["job_error"], do.get("message", "injected"))
            return
        try:
            rows = self._read(load, data)
            target = load["destinationTable"]
            table = self.store.table(target["datasetId"], target["tableId"])
            self.store.store(table, rows, job.id, 0)  # all or nothing, at the end
            job.statistics["load"] = {"inputFiles": "1", "inputFileBytes": str(len(data)), "outputRows": str(len(rows)), "outputBytes": "0", "badRecords": "0"}
            job.state = "DONE"
        except Refused as refused:
            job.fail(refused.reason, refused.message)
        except Exception as error:  # what the file's reader says of the file
            job.fail("invalid", f"Error while reading data, error message: {error}")

    def _read(self, load, data):
        """All rows of the file as the table's values."""
        if load.get("sourceFormat") != "AVRO":
            raise Refused(400, "invalid", "the fake loads Avro only")
        if load.get("writeDisposition", "WRITE_APPEND") != "WRITE_APPEND":
            raise Refused(400, "invalid", "the fake appends only")
        target = load["destinationTable"]
        table = self.store.table(target["datasetId"], target["tableId"])
        reader = fastavro.reader(io.BytesIO(data))
        plan, required = self._plan(table, reader.writer_schema, load)
        rows = []
        for index, record in enumerate(reader):
            try:
                row = {column: convert(record[name]) for name, column, convert in plan if record[name] is not None}
            except ValueError as error:
                raise Refused(400, "invalid", f"Error while reading data, error message: row {index}: {error}") from error
            absent = [column for column in required if column not in row]
            if absent:
                raise Refused(400, "invalid", f"Required column value for column {absent[0]} is missing in row {index}")
            if self.faults.refuses(table.label, row):
                raise Refused(400, "invalid", f"Error while reading data, error message: row {index}: injected: this value is refused")
            rows.append(row)
        return rows

    def _plan(self, table, schema, load):
        by_name = {field["name"].lower(): field for field in table.fields}
        plan = []
        for avro in schema["fields"]:
            field = by_name.get(avro["name"].lower())
            if field is None:
                if load.get("ignoreUnknownValues"):
                    continue
                raise Refused(400, "invalid", f"Provided Schema does not match Table {self.store.project}:{table.label}. Cannot add fields (field: {avro['name']})")
            found = normal_type(avro["type"], load.get("useAvroLogicalTypes", False), load.get("decimalTargetTypes") or ["NUMERIC"])
            if not widens_to(found, type_of(field)):
                raise Refused(400, "invalid", f"Provided Schema does not match Table {self.store.project}:{table.label}. Field {field['name']} has changed type from {type_of(field)} to {found}")
            plan.append((avro["name"], field["name"], from_avro(field)))
        return plan, [field["name"] for field in table.fields if field.get("mode") == "REQUIRED"]

    # ---- queries

    def _run_query(self, job):
        query = job.configuration["query"]
        try:
            job.result, details = self.queries.run(query["query"], query.get("defaultDataset", {}).get("datasetId"), query.get("queryParameters", []))
            job.statistics["query"] = {"statementType": "SELECT", "totalBytesProcessed": "0", "totalBytesBilled": "0", **details}
            job.state = "DONE"
        except Refused as refused:
            job.fail(refused.reason, refused.message)
            if refused.code != 404:
                job.error["reason"] = "invalidQuery"

    def query(self, body):
        configuration = {"query": {name: body[name] for name in ("query", "defaultDataset", "queryParameters", "useLegacySql") if name in body}}
        if body.get("dryRun"):
            read = self._try_out(configuration)["statistics"]["totalBytesProcessed"]
            return {"kind": "bigquery#queryResponse", "jobComplete": True, "totalBytesProcessed": read, "jobReference": {"projectId": self.store.project}}
        job = self._new({"configuration": configuration}, "query")
        self._run_query(job)
        if job.error:
            raise Refused(404 if job.error["reason"] == "notFound" else 400, job.error["reason"], job.error["message"])
        return self.results(job.id, {"maxResults": body.get("maxResults")})

    def results(self, job_id, query):
        job = self.get(job_id, query.get("location"))
        if job.error:
            raise Refused(400, job.error["reason"], job.error["message"])
        fields, rows = job.result
        start = int(query.get("pageToken") or query.get("startIndex") or 0)
        count = int(query.get("maxResults") if query.get("maxResults") not in (None, "") else 10_000)
        answer = {"kind": "bigquery#queryResponse", "schema": {"fields": fields}, "totalRows": str(len(rows)), "jobComplete": True, "cacheHit": False,
                  "totalBytesProcessed": "0", "jobReference": {"projectId": self.store.project, "jobId": job.id, "location": "US"},
                  "rows": [{"f": [{"v": value} for value in row]} for row in rows[start:start + count]]}
        if start + count < len(rows):
            answer["pageToken"] = str(start + count)
        if "numDmlAffectedRows" in job.statistics["query"]:
            answer["numDmlAffectedRows"] = job.statistics["query"]["numDmlAffectedRows"]
        return answer

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""BigQuery's REST interface for load jobs as cheap as it can be: takes uploads, counts the rows of their Avro blocks, throws them away.

    load_sink.py FOLDER COUNT...      makes FOLDER/ca.pem for the client to trust, prints "ready PORT"

Prints a line of JSON each time that COUNT rows (growing) have come: rows, bytes, puts, seconds since the first put; it stays until it is killed.

Datasets and tables are what was posted; every job is done at once, with the rows that were counted. Nothing of a row is looked at.
"""
import http.server
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path


def _long(data, at):
    """An Avro long and the place behind it; None if it is cut off."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return (value >> 1) ^ -(value & 1), at
    return None


class File:
    """An upload under way."""

    def __init__(self, job):
        self.job = job
        self.rows, self.size = 0, 0
        self.tail, self.in_header = b"", True

    def take(self, data):
        """The rows of the blocks that ended with these bytes."""
        self.size += len(data)
        data, before = self.tail + data, self.rows
        at = 0
        if self.in_header:
            at = self._header_end(data)
            self.in_header = False
        while (count := _long(data, at)) and (size := _long(data, count[1])) and size[1] + size[0] + 16 <= len(data):
            self.rows += count[0]
            at = size[1] + size[0] + 16
        self.tail = data[at:]
        return self.rows - before

    @staticmethod
    def _header_end(data):
        """Magic, the map of metadata, the sync marker; all of it is in the first piece."""
        count, at = _long(data, 4)
        while count:
            for _ in range(2 * count):
                size, at = _long(data, at)
                at += size
            count, at = _long(data, at)
        return at + 16


class Sink:
    def __init__(self, counts):
        self.lock = threading.Lock()
        self.counts = counts
        self.resources, self.files, self.jobs = {}, {}, {}
        self.rows = self.bytes = self.puts = 0
        self.began = None

    def took(self, rows, size):
        self.began = self.began or time.monotonic()
        self.rows, self.bytes, self.puts = self.rows + rows, self.bytes + size, self.puts + 1
        while self.counts and self.rows >= self.counts[0]:
            del self.counts[0]
            print(json.dumps({"rows": self.rows, "bytes": self.bytes, "puts": self.puts, "seconds": time.monotonic() - self.began}), flush=True)

    def done(self, file):
        job = {**file.job, "status": {"state": "DONE"}, "statistics": {"load": {"outputRows": str(file.rows)}}}
        self.jobs[job["jobReference"]["jobId"]] = job
        return 200, job, {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def _work(self):
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        with self.server.sink.lock:
            code, answer, headers = self._upload(query, data) if path.startswith("/upload/") else self._rest(path, data)
        body = json.dumps(answer).encode()
        self.send_response(code)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _work

    def _upload(self, query, data):
        sink = self.server.sink
        if "uploadType=multipart" in query:
            boundary = b"--" + re.search("boundary=\"?([^\";]+)", self.headers["content-type"])[1].encode()
            job, media = [part.split(b"\r\n\r\n", 1)[1] for part in data.split(boundary, 2)[1:]]
            file = File(json.loads(job))
            sink.took(file.take(media.rpartition(b"\r\n" + boundary)[0]), len(media))
            return sink.done(file)
        if self.command == "POST":
            session = str(len(sink.files))
            sink.files[session] = File(json.loads(data))
            return 200, {}, {"Location": f"https://{self.headers['host']}/upload/session?upload_id={session}"}
        file = sink.files[query.partition("upload_id=")[2]]
        sink.took(file.take(data), len(data))
        if self.headers["content-range"].endswith("/*"):
            return 308, {}, {"Range": f"bytes=0-{file.size - 1}"}
        return sink.done(file)

    def _rest(self, path, data):
        sink = self.server.sink
        if "/jobs/" in path:
            job = sink.jobs.get(path.rpartition("/")[2])
            return (200, job, {}) if job else (404, {"error": {"code": 404, "message": "no such job", "errors": [{"reason": "notFound"}]}}, {})
        if self.command == "GET":
            found = sink.resources.get(path)
            return (200, found, {}) if found else (404, {"error": {"code": 404, "message": "not found", "errors": [{"reason": "notFound"}]}}, {})
        made = {"etag": "1", "numRows": "0", "creationTime": "1", **json.loads(data or b"{}")}
        reference = made.get("tableReference") or made.get("datasetReference") or {}
        sink.resources[f"{path}/{reference.get('tableId') or reference.get('datasetId')}" if self.command == "POST" else path] = made
        return 200, made, {}


def main():
    folder, counts = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "ca.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.sink = Sink(counts)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(f"ready {server.server_port}", flush=True)
    server.serve_forever()


main()

# SPDX-License-Identifier: Apache-2.0
"""A schema registry, a door in front of it that makes trouble, and what tests ask of it.

The door is the address that the programs get. It hands requests on, or answers itself: with a status, after a while, not at all. It can
speak TLS, ask for a client's certificate, and demand a password, which the registry of the tests does not.
"""
import base64
import http.client
import json
import os
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lib.databases import servers_folder
from lib.processes import Process, free_ports, wait_for

# It would open 20 connections to its database at the start and give up where that takes longer than five seconds, as on a busy machine.
_PATIENT = {"QUARKUS_DATASOURCE_JDBC_INITIAL_SIZE": "1", "QUARKUS_DATASOURCE_JDBC_MIN_SIZE": "1", "QUARKUS_DATASOURCE_JDBC_ACQUISITION_TIMEOUT": "60S"}
BASE = "/apis/ccompat/v7"
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


def home():
    folder = servers_folder() / "registry"
    if not (folder / "version").exists():
        pytest.skip("SKIPPED: the schema registry is not here (tests/servers/need brings it)")
    return folder


class Registry:
    def __init__(self, folder):
        self.home = home()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}{BASE}"
        self.process = None

    def start(self, wait=True):
        self.process = Process("registry", [self.home / "registry-server", self.port, self.folder / "data"], self.folder / "log", {**os.environ, **_PATIENT})
        if wait:
            wait_for(self._answers, lambda: f"the schema registry:\n{self.process.text()[-3000:]}", 120, 0.2)
        return self

    def _answers(self):
        assert self.process.running(), self.process.text()[-3000:]
        try:
            return self.ask("GET", "/subjects")[0] == 200
        except (OSError, ValueError):  # while it starts it answers with what is no JSON
            return False

    def kill(self):
        self.process.kill()

    def ask(self, method, path, body=None):
        """(status, answer)."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": CONTENT_TYPE}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def schema(self, number):
        """The text behind an id."""
        status, answer = self.ask("GET", f"/schemas/ids/{number}")
        assert status == 200, answer
        return answer["schema"]

    def subjects(self, prefix):
        return sorted(name for name in self.ask("GET", "/subjects")[1] if name.startswith(prefix + "."))

    def versions(self, subject):
        status, answer = self.ask("GET", f"/subjects/{subject}/versions")
        assert status == 200, answer
        return answer

    def set_compatibility(self, subject, level):
        assert self.ask("PUT", f"/config/{subject}", {"compatibility": level})[0] == 200


def make_certificates(folder):
    """ca.pem; server.pem for 127.0.0.1 and client.pem, each with its key, both signed by it; other-ca.pem, which signs nothing."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE")
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext",
                "-out", f"{name}.crt")
        (folder / f"{name}.pem").write_text((folder / f"{name}.crt").read_text() + (folder / f"{name}.key").read_text())
    return folder


class Door:
    """In front of a registry. `trouble`: None, a number (the status of every answer), "silent" (no answer before it is healed).

    It counts what it was asked; `lines` is "METHOD /path" of all requests, in order.
    """

    def __init__(self, registry, certificates=None, password=None):
        self.registry = registry
        self.lines = []
        self.trouble = None
        self.words = "the door says no"
        self._healed = threading.Event()
        self._authorization = "Basic " + base64.b64encode(password.encode()).decode() if password else None
        port = free_ports()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.lines.append(f"{self.command} {self.path.removeprefix(BASE)}")
                if outer.trouble == "silent":
                    outer._healed.wait(120)
                status, data = outer._reply(self.command, self.path, body, self.headers)
                self.send_response(status)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _answer

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # who was silent for longer than the client waited writes to a closed socket

        self.server = Server(("127.0.0.1", port), Handler)
        scheme = "http"
        if certificates:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "server.pem")
            context.load_verify_locations(certificates / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
            # The handshake belongs to the thread of its connection: a client that fails in it must not stop the door.
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{scheme}://127.0.0.1:{port}{BASE}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _reply(self, method, path, body, headers):
        if self._authorization and headers.get("Authorization") != self._authorization:
            return 401, json.dumps({"error_code": 40101, "message": "who are you?"}).encode()
        if isinstance(self.trouble, int):
            return self.trouble, json.dumps({"error_code": self.trouble * 100 + 1, "message": self.words}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.registry.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": CONTENT_TYPE})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 503, json.dumps({"error_code": 50301, "message": "nobody behind the door"}).encode()
        finally:
            connection.close()

    def heal(self):
        self.trouble = None
        self._healed.set()

    def close(self):
        self.heal()
        self.server.shutdown()
        self.server.server_close()

# SPDX-License-Identifier: Apache-2.0
"""BigQuery in a test: the emulator (real SQL, slow, small), the fake (lib/fake_bigquery.py), and Google's own Python client to look at either.

pytest runs under Debian's Python, the official clients only under the one that tests/servers/get-bigquery brings: they live in a process of their
own (lib/bigquery_client.py), which is asked over a pipe.

The emulator's limits, to be kept by whoever uses it: requests under 4 MiB, fewer than 12 open AppendRows calls over all processes (16 hang it), slow.
"""
import atexit
import pickle
import select
import signal
import struct
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lib.databases import servers_folder
from lib.processes import Process, _die_with_parent, free_ports, wait_for

PROJECT = "p"


def home():
    """Where the emulator and its Python are; skips visibly if they are not."""
    folder = servers_folder() / "bigquery"
    if not (folder / "python").exists():
        pytest.skip("SKIPPED: the BigQuery emulator is not here (tests/servers/need brings it)")
    return folder


class BigQueryServer:
    """What the emulator and the fake have in common."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.home = home()
        self.port = free_ports(2)
        self.grpc_port = self.port + 1
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.storage_endpoint = f"http://127.0.0.1:{self.grpc_port}"
        self.process, self._client = None, None

    def start(self):
        self.process = Process(self.name, self._argv(), self.folder / "log")
        wait_for(self._answers, lambda: f"{self.name}:\n{self.process.text()[-2000:]}", 120, 0.1)
        return self

    def _answers(self):
        assert self.process.running(), self.process.text()[-3000:]
        try:
            with urllib.request.urlopen(f"{self.endpoint}/bigquery/v2/projects/{PROJECT}/datasets", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self):
        self.process.kill()

    def close(self):
        if self._client:
            self._client.close()
            self._client = None
        self.kill()

    @property
    def settings(self):
        """Of a worker that writes here."""
        return {"warehouse": "bigquery",
                "bigquery": {"project": PROJECT, "endpoint": self.endpoint, "storage_endpoint": self.storage_endpoint, "credentials": "none", **self._limits}}

    _limits = {}

    @property
    def client(self):
        """Google's client, started when first asked for."""
        if self._client is None:
            self._client = OfficialClient(self)
        return self._client


class Emulator(BigQueryServer):
    """`restart` keeps tables and jobs; write streams are forgotten."""

    _limits = {"request": "3MiB", "calls": 10}

    def __init__(self, folder):
        super().__init__("emulator", folder)

    def _argv(self):
        return [self.home / "bigquery-server", self.port, self.grpc_port, self.folder / "data", "--project", PROJECT]

    def restart(self):
        self.kill()
        return self.start()


class ClientError(Exception):
    """What the official client raised: its class and its words."""


class OfficialClient:
    """lib/bigquery_client.py in a process of its own: `call("function", ...)` runs one of its functions."""

    def __init__(self, server):
        folder = Path(__file__).resolve().parent
        self.log = server.folder / "client.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(server.home / "python"), "-B", str(folder / "bigquery_client.py"), server.endpoint, str(server.grpc_port), PROJECT],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, preexec_fn=_die_with_parent)
        atexit.register(self.close)

    def call(self, function, *arguments, **named):
        request = pickle.dumps((function, arguments, named), protocol=4)
        self.process.stdin.write(struct.pack("<I", len(request)) + request)
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], 300)
        if not ready:
            self.process.send_signal(signal.SIGABRT)  # it says where it stood
        size = self.process.stdout.read(4)
        assert len(size) == 4, f"{function}: the official client ended with {self.process.wait()}:\n{self.log.read_text()[-3000:]}"
        good, answer = pickle.loads(self.process.stdout.read(struct.unpack("<I", size)[0]))
        if not good:
            raise ClientError(answer)
        return answer

    def query(self, sql):
        """[{column: value}], values as Google's client gives them."""
        return self.call("query", sql)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

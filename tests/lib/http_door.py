# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy in front of a server that makes no trouble itself (the emulator): requests that fit a rule stand at a door until it is opened.

Small: whole requests, whole answers, a connection each.
"""
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib.processes import free_ports, wait_for


class Door:
    """A rule; `waiting` counts who stands there, `passed` who came through and has the server's answer behind him."""

    def __init__(self, fits):
        self.fits, self.waiting, self.passed, self.event = fits, 0, 0, threading.Event()

    def wait_somebody(self):
        wait_for(lambda: self.waiting > 0, "a request at the door", 60)

    def wait_passed(self):
        wait_for(lambda: self.passed > 0, "the request of the door to be carried out", 60)

    def open(self):
        self.event.set()


class HttpDoor:
    def __init__(self, endpoint):
        self.behind = endpoint.removeprefix("http://")
        self.doors = []
        port = free_ports()
        self.endpoint = f"http://127.0.0.1:{port}"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def _forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                door = outer._stand(f"{self.command} {self.path}", body.decode("utf-8", "replace"))
                connection = http.client.HTTPConnection(outer.behind, timeout=120)
                connection.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() != "connection"})
                answer = connection.getresponse()
                data = answer.read()
                if door is not None:
                    door.passed += 1
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hold(self, fits):
        """The first request for which fits("METHOD /path", body) holds stands at the door that is returned."""
        self.doors.append(Door(fits))
        return self.doors[-1]

    def _stand(self, line, body):
        for door in self.doors:
            if not door.waiting and door.fits(line, body):
                door.waiting += 1
                door.event.wait(120)
                return door
        return None

    def close(self):
        for door in self.doors:
            door.open()
        self.server.shutdown()
        self.server.server_close()

# SPDX-License-Identifier: Apache-2.0
"""A small HTTP/1.1 server on h11, because a fault must be able to do what no framework allows: cut a connection instead of an answer."""
import asyncio
import gzip
import json
import traceback
import urllib.parse

import h11

from faults import Cut, Refused, Swallowed


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers = method, headers
        path, _, query = target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body

    def json(self):
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise Refused(400, "parseError", f"Parse Error: {error}") from error


class Answer:
    def __init__(self, body=None, code=200, headers=None):
        self.code, self.headers = code, dict(headers or {})
        self.body = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if not isinstance(body, bytes) and body is not None:
            self.headers.setdefault("Content-Type", "application/json; charset=UTF-8")


def _error(refused):
    body = {"error": {"code": refused.code, "message": refused.message, "status": "INVALID_ARGUMENT" if refused.code == 400 else "UNKNOWN",
                      "errors": [{"message": refused.message, "domain": "global", "reason": refused.reason}]}}
    return Answer(body, refused.code, refused.headers)


class HttpServer:
    """serve(request) -> Answer; raises Refused, Cut, Swallowed."""

    def __init__(self, serve):
        self.serve = serve

    async def start(self, port):
        return await asyncio.start_server(self._connection, "127.0.0.1", port, limit=1 << 20)

    async def _connection(self, reader, writer):
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            while await self._one(connection, reader, writer):
                pass
        except (ConnectionError, h11.RemoteProtocolError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, connection, reader, writer):
        """One request and its answer; False when the connection is to be closed."""
        head, parts = None, []
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])))
                connection.receive_data(await reader.read(1 << 18))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False  # closed
        headers = {name.decode().lower(): value.decode() for name, value in head.headers}
        try:
            # The work goes on also when the caller leaves: what it asked for may arrive late.
            answer = await asyncio.shield(asyncio.ensure_future(self._answer(Request(head.method.decode(), head.target.decode(), headers, b"".join(parts)))))
        except Cut:
            writer.transport.abort()
            return False
        except Swallowed:
            await reader.read()
            return False
        names = [(name, str(value)) for name, value in answer.headers.items()] + [("Content-Length", str(len(answer.body)))]
        writer.write(connection.send(h11.Response(status_code=answer.code, headers=names)))
        if head.method != b"HEAD":
            writer.write(connection.send(h11.Data(data=answer.body)))
        writer.write(connection.send(h11.EndOfMessage()))
        await writer.drain()
        if connection.our_state is h11.MUST_CLOSE:
            return False
        connection.start_next_cycle()
        return True

    async def _answer(self, request):
        try:
            return await self.serve(request)
        except Refused as refused:
            return _error(refused)
        except (Cut, Swallowed):
            raise
        except Exception as error:  # a mistake of ours: the test must see it
            traceback.print_exc()
            return _error(Refused(500, "internalError", f"the fake failed: {error!r}"))

# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy in front of a gRPC server without TLS, which knows so much of HTTP/2 that it spoils the server's answers frame by frame.

What it does once, at the next answer (a HEADERS or DATA frame) of any connection, is said by spoil():

    goaway      GOAWAY that leaves all calls be (the service drains), and at the frame behind the next one the end of the connection
    truncated   half of the frame, and the end of the connection
    garbage     bytes that are no frame, and nothing behind them: the connection stays open
    payload     the next DATA frame has a payload of other bytes
    stalled     no answer of this connection comes any more, and it stays open

The frame's layout: int24 length, int8 type, int8 flags, int32 stream (RFC 9113).
"""
import random
import socket
import struct
import threading

from lib.processes import free_ports, wait_for

_DATA, _HEADERS, _GOAWAY = 0, 1, 7
_HEAD = 9
# To the highest stream that there can be, without an error.
_FAREWELL = (8).to_bytes(3, "big") + struct.pack(">BBIII", _GOAWAY, 0, 0, (1 << 31) - 1, 0)


class Http2Door:
    """Listens on `port`, speaks to 127.0.0.1:`target`. Two threads a connection; they end with their sockets."""

    def __init__(self, target, seed):
        self.target = target
        self.port = free_ports()
        self.random = random.Random(seed)
        self.connections = 0
        self._wish = None
        self._lock = threading.Lock()
        self._ends = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def spoil(self, how):
        """Returns when it has been done."""
        self._wish = how
        wait_for(lambda: self._wish is None, f"an answer to spoil: {how}", 60)

    def close(self):
        for end in [self._listener, *self._ends]:
            _end(end)

    # ---- the threads

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target), 10)
            except OSError:
                return
            server.settimeout(None)
            self.connections += 1
            self._ends += [client, server]
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server), daemon=True).start()

    @staticmethod
    def _requests(client, server):
        try:
            while data := client.recv(1 << 16):
                server.sendall(data)
        except OSError:
            pass
        _end(client, server)

    def _answers(self, client, server):
        ending = False
        try:
            while head := _read(server, _HEAD):
                frame = head + _read(server, int.from_bytes(head[:3], "big"))
                if ending:
                    break
                how = self._take(frame[3])
                if how != "stalled":
                    client.sendall(self._spoiled(how, frame))
                while how in ("stalled", "garbage") and server.recv(1 << 16):
                    pass
                ending = how == "goaway"
                if how == "truncated":
                    break
        except OSError:
            pass
        _end(client, server)

    def _take(self, kind):
        with self._lock:
            how = self._wish
            if kind not in (_DATA, _HEADERS) or (how == "payload" and kind != _DATA):
                return None
            self._wish = None
            return how

    def _spoiled(self, how, frame):
        if how == "goaway":
            return _FAREWELL + frame
        if how == "truncated":
            return frame[:_HEAD + max(1, (len(frame) - _HEAD) // 2)]
        if how == "garbage":
            return self.random.randbytes(200)
        if how == "payload":
            return frame[:_HEAD] + self.random.randbytes(len(frame) - _HEAD)
        return frame


def _read(connection, size):
    """So many bytes, or b"" at the end."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


def _end(*connections):
    for connection in connections:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

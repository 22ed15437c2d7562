# SPDX-License-Identifier: Apache-2.0
"""TCP proxies that misbehave on demand. Proxy: stalls, cuts, holds Kafka requests of one kind back, or swallows the answers to them. Cutter: ends
connections in the middle of what the server says, or puts other words of the same length in a client's mouth.

Kafka's framing is all it knows: a request is int32 size, int16 api key, int16 version, int32 correlation id, ...; an answer is int32 size, int32
correlation id, ... (Kafka protocol guide). An answer that is swallowed was given by the broker: the request has been carried out, and
the client can't know. The connection stays open unless `cut` is asked for, as it would behind a router that lost its memory.
"""
import select
import socket
import struct
import threading

PRODUCE, OFFSET_COMMIT, INIT_PRODUCER_ID, END_TXN = 0, 8, 22, 26
_PIECE = 1 << 16


class _Connection:
    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.requests = bytearray()   # bytes of a request that is not whole yet
        self.answers = bytearray()
        self.asked = {}               # correlation id -> (api key, the begin of the request)
        self.held = False             # its requests wait in `requests`

    def close(self):
        for end in (self.client, self.server):
            end.close()


class Proxy:
    """Listens on `port`, speaks to 127.0.0.1:`target`. One thread; everything that tests change is read by it at each turn."""

    def __init__(self, port, target):
        self.port = port
        self.target = target
        self._swallow = {}            # api key -> (how many answers still to swallow, of requests with these bytes)
        self._cut_after_swallow = False
        self.swallowed = 0
        self.unanswered = b""         # the begin of the request whose answer vanished last
        self._hold = None             # (api key, bytes): such requests don't reach the broker ...
        self._passing = 0             # ... but for so many that still do
        self.stalled = False
        self._cut = False
        self._ending = False
        self._lock = threading.Lock()
        self._wake, self._waker = socket.socketpair()
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- what tests do

    def swallow(self, api_key, count, cut=False, having=b""):
        """The next `count` answers to requests of this kind, and with these bytes, vanish; cut: and the connection with them."""
        with self._lock:
            self._swallow[api_key] = (count, having)
            self._cut_after_swallow = cut

    def hold(self, api_key, after=0, having=b""):
        """When `after` more requests of this kind, and with these bytes, have passed, the next one, and whatever its connection sends behind it, waits
        until release()."""
        self._passing = after
        self._hold = (api_key, having)

    def holding(self):
        return any(connection.held for connection in self._connections)

    def release(self):
        self._hold = None
        self._waker.send(b"x")

    def stall(self, stalled=True):
        """Nothing passes, connections stay open."""
        self.stalled = stalled
        self._waker.send(b"x")

    def cut(self):
        """Every connection ends now; new ones are accepted."""
        self._cut = True
        self._waker.send(b"x")

    def close(self):
        self._ending = True
        self._waker.send(b"x")
        self._thread.join()

    # ---- the thread

    def _run(self):
        while not self._ending:
            watched = [self._wake, self._listener]
            if not self.stalled:
                watched += [end for c in self._connections for end in (c.client, c.server)]
            for ready in select.select(watched, [], [], 1)[0]:
                if ready is self._wake:
                    self._wake.recv(100)
                elif ready is self._listener:
                    self._accept()
                elif not self.stalled:
                    self._move(ready)
            if self._hold is None:
                for connection in [c for c in self._connections if c.held]:
                    connection.held = False
                    self._guarded(connection, self._pass_requests, b"")
            if self._cut:
                self._cut = False
                for connection in list(self._connections):
                    self._drop(connection)
        for connection in list(self._connections):
            self._drop(connection)
        self._listener.close()

    def _accept(self):
        client, _ = self._listener.accept()
        try:
            self._connections.append(_Connection(client, socket.create_connection(("127.0.0.1", self.target), 10)))
        except OSError:
            client.close()

    def _drop(self, connection):
        connection.close()
        self._connections.remove(connection)

    def _move(self, ready):
        connection = next((c for c in self._connections if ready in (c.client, c.server)), None)
        if connection is None:
            return  # dropped a moment ago in the same turn
        try:
            data = ready.recv(_PIECE)
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
        else:
            self._guarded(connection, self._pass_requests if ready is connection.client else self._pass_answers, data)

    def _guarded(self, connection, passing, data):
        try:
            passing(connection, data)
        except OSError:
            if connection in self._connections:
                self._drop(connection)

    def _pass_requests(self, connection, data):
        """Whole requests only, so that one can be held back."""
        connection.requests += data
        while len(connection.requests) >= 12 and not connection.held:
            size, api_key, _, correlation = struct.unpack(">ihhi", connection.requests[:12])
            if len(connection.requests) < 4 + size:
                return
            begin = bytes(connection.requests[:min(4 + size, _PIECE)])
            hold = self._hold
            if hold is not None and hold[0] == api_key and hold[1] in begin:
                if self._passing == 0:
                    connection.held = True
                    return
                self._passing -= 1
            connection.asked[correlation] = (api_key, begin)
            connection.server.sendall(connection.requests[:4 + size])
            del connection.requests[:4 + size]

    def _pass_answers(self, connection, data):
        connection.answers += data
        while len(connection.answers) >= 8:
            size, correlation = struct.unpack(">ii", connection.answers[:8])
            if len(connection.answers) < 4 + size:
                return
            answer = bytes(connection.answers[:4 + size])
            del connection.answers[:4 + size]
            if self._take(*connection.asked.pop(correlation, (None, b""))):
                if self._cut_after_swallow:
                    self._drop(connection)
                    return
                continue
            connection.client.sendall(answer)

    def _take(self, api_key, request):
        with self._lock:
            count, having = self._swallow.get(api_key, (0, b""))
            if count == 0 or having not in request:
                return False
            self._swallow[api_key] = (count - 1, having)
            self.swallowed += 1
            self.unanswered = request
            return True


class Cutter:
    """Listens on `port`, speaks to 127.0.0.1:`target`. The n-th connection ends when the server has said cuts[n] bytes, wherever in a packet that
    is; when the cuts are used up, all passes. `swap`: what a client says, and what the server hears instead, of the same length."""

    def __init__(self, port, target, cuts=(), swap=(b"", b"")):
        self.port = port
        self.target = target
        self.cuts = list(cuts)
        self._swap = swap
        self._listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # accept ends by it
        self._thread.join()
        self._listener.close()

    def _run(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            left = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self._serve, args=(client, left), daemon=True).start()

    def _serve(self, client, left):
        try:
            with client, socket.create_connection(("127.0.0.1", self.target), 10) as server:
                while True:
                    for ready in select.select([client, server], [], [])[0]:
                        data = ready.recv(_PIECE)
                        if not data:
                            return
                        if ready is client:
                            server.sendall(data.replace(*self._swap))
                            continue
                        client.sendall(data if left is None else data[:left])
                        left = left and left - len(data)
                        if left is not None and left <= 0:
                            return
        except OSError:
            return  # one of them is gone: so is the other

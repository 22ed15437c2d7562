# SPDX-License-Identifier: Apache-2.0
"""Kafka to BigQuery by appends (C1, C3, C5, C7), as workers/bigquery/ does it: what plan.py promises, with the parts that it leaves out.

A batch is planned as a whole: it becomes several requests, all of them named by one commit before the first is sent. They go pipelined on
one call, in order, and are answered in order; behind one that is not accepted none is sent. When the call breaks, each request that was
not answered may be in, may be gone, or may arrive later, at its row, whatever was done since. A refused row is taken out and the rest is
sent again, shorter; so the requests behind it move to lower rows. That is only safe while no copy of them can arrive any more (N4).

Recovery seals the named stream and counts. Where the count says nothing (C7) it asks the table for the first row of each request.

The switches; the default is how it is built, the others are the careless variants or a broken world:
  own_only    a refusal looks only at the tries of the refused request, not at those behind it (breaks N4)
  bury_at_once  ... and not even at these (breaks C5)
  forgets     a worker that is told to go commits once more, with nothing under way (breaks L2: a copy may still arrive)
  counts      False: sealing a stream again gives no count, as if it were empty: the table is asked
  zero        no count is taken for zero rows (breaks C7)
  asks_first  the table is asked before the stream is sealed (breaks C7)
  expires     a stream that nobody writes into may be gone
  rows_first  the service looks at rows before it looks at offsets
Messages: n normal, x refused by the service, y refused until somebody mends the table.
"""
from collections import namedtuple

# phase: idle, fetch, seal, ask, create, run, stop      off, row: where the parts begin      parts: ((end, messages, how), ...)
# how: new (nothing of it is known), unsure (a copy may be in, or arrive), in      flying: parts on the call, oldest first
# failed: "", again, surprise, or the refused message      count: of the sealed stream, -1 not known      found: parts that are in
Worker = namedtuple("Worker", "phase off row stream parts marked flying failed gen count found")
# commit: (offset, stream, row, ((end, rows, first message), ...))      streams: ((messages, state), ...), state: open, sealed, gone
# strays: requests that may still arrive, (stream, row, messages)      old: messages of streams nobody names
State = namedtuple("State", "owner gen workers commit streams old strays dead mended crashes moves losses")
IDLE = Worker("idle", 0, 0, -1, (), True, (), "", 0, -1, 0)
STREAMS_MAX = 4


class Append:
    def __init__(self, log, own_only=False, bury_at_once=False, forgets=False, counts=True, zero=False, asks_first=False,
                 expires=False, rows_first=True, crashes=1, moves=1, losses=1, batch=3, sizes=(1,)):
        self.log, self.own_only, self.bury_at_once, self.forgets = log, own_only, bury_at_once, forgets
        self.counts, self.zero, self.asks_first, self.expires, self.rows_first = counts, zero, asks_first, expires, rows_first
        self.batch, self.sizes = batch, sizes
        self.budget = (crashes, moves, losses)

    def init(self):
        return State(0, 1, (IDLE._replace(phase="fetch", gen=1), IDLE), (0, -1, 0, ()), (), (), (), frozenset(), False, *self.budget)

    # -- promises ---------------------------------------------------------------------------------------------------------------
    def history(self, s):
        return list(s.old) + [i for messages, _ in s.streams for i in messages]

    def wrong(self, s):
        history = self.history(s)
        if len(set(history)) < len(history):
            return f"a message is twice in the history: {sorted(history)}"
        for i in range(s.commit[0]):
            if i not in history and not (self.log[i] in "xy" and i in s.dead):
                return f"message {i} is lost: it is below the committed offset {s.commit[0]}, but nowhere"
        if any(w.phase == "stop" for w in s.workers):
            return "a worker found a row count that fits no plan"
        return None

    def done(self, s):
        return s.commit[0] == len(self.log)

    # -- the servers --------------------------------------------------------------------------------------------------------------
    def refused(self, s, messages):
        return next((i for i in messages if self.log[i] == "x" or self.log[i] == "y" and not s.mended), None)

    def append(self, s, stream, row, messages):
        have, state = s.streams[stream]
        if state != "open":
            return s, state
        bad = self.refused(s, messages)
        if self.rows_first and bad is not None:
            return s, bad
        if row != len(have):
            return s, "already" if row < len(have) else "behind"
        if bad is not None:
            return s, bad
        streams = list(s.streams)
        streams[stream] = (have + messages, "open")
        return s._replace(streams=tuple(streams)), "ok"

    def commit(self, s, me, value):
        if me.gen != s.gen:
            return s, False
        return s._replace(commit=value), True

    def settle(self, s):
        """Streams that nobody names any more are folded into `old`, the others renumbered."""
        named = {s.commit[1]} | {w.stream for w in s.workers} | {stray[0] for stray in s.strays}
        kept = [k for k in range(len(s.streams)) if k in named]
        if len(kept) == len(s.streams):
            return s
        number = {k: j for j, k in enumerate(kept)}
        number[-1] = -1
        gone = tuple(i for k, (messages, _) in enumerate(s.streams) if k not in named for i in messages)
        return s._replace(old=tuple(sorted(s.old + gone)), streams=tuple(s.streams[k] for k in kept),
                          commit=(s.commit[0], number[s.commit[1]]) + s.commit[2:],
                          workers=tuple(w._replace(stream=number[w.stream]) for w in s.workers),
                          strays=tuple((number[stream], row, messages) for stream, row, messages in s.strays))

    # -- steps --------------------------------------------------------------------------------------------------------------------
    def put(self, s, who, worker):
        workers = list(s.workers)
        workers[who] = worker
        return s._replace(workers=tuple(workers))

    def steps(self, s):
        for label, after in self.world(s):
            yield label, self.settle(after)
        for who in (0, 1):
            for label, after in self.worker(s, who):
                yield f"worker {who}: {label}", self.settle(after)

    def world(self, s):
        if s.moves:
            owner = 1 - s.owner
            yield f"the group assigns the partition to worker {owner}", s._replace(owner=owner, gen=s.gen + 1, moves=s.moves - 1)
        for who in (0, 1):
            if s.crashes and s.workers[who].phase not in ("idle", "stop"):
                crashed = self.break_call(s._replace(crashes=s.crashes - 1), who, s.workers[who])
                for how, after in crashed:
                    yield f"worker {who} crashes, {how}, and starts again", self.put(after, who, IDLE)
        for k, (stream, row, messages) in enumerate(s.strays):
            rest = s.strays[:k] + s.strays[k + 1:]
            arrived, answer = self.append(s, stream, row, messages)
            yield f"a late copy arrives: {messages} at row {row}: {answer}", arrived._replace(strays=rest)
            yield f"the late copy of {messages} is gone", s._replace(strays=rest)
        if "y" in self.log and not s.mended:
            yield "somebody mends the table", s._replace(mended=True)
        for k, (messages, state) in enumerate(s.streams):
            if self.expires and state != "gone" and not any(w.flying and w.stream == k for w in s.workers):
                yield f"stream {k} expires", s._replace(streams=s.streams[:k] + ((messages, "gone"),) + s.streams[k + 1:])

    def break_call(self, s, who, me):
        """What becomes of the requests on a call that breaks: all are gone, or all may still arrive."""
        yield "nothing is on its way", s
        if me.flying and len(s.strays) + len(me.flying) <= 2:
            strays = tuple((me.stream, self.row_of(me, k), me.parts[k][1]) for k in me.flying)
            yield "what it sent may still arrive", s._replace(strays=tuple(sorted(s.strays + strays)))

    @staticmethod
    def row_of(me, k):
        return me.row + sum(len(messages) for _, messages, _ in me.parts[:k])

    def worker(self, s, who):
        me = s.workers[who]
        if me.phase == "idle":
            if s.owner == who and me.gen != s.gen:
                yield "assigned", self.put(s, who, IDLE._replace(phase="fetch", gen=s.gen))
            return
        if me.phase == "stop":
            return
        if me.gen != s.gen:
            for how, after in self.break_call(s, who, me):
                yield f"hears of the revocation; {how}", self.put(after, who, IDLE)
        elif self.forgets and me.phase == "run" and me.marked and me.parts and s.moves:
            after, _ = self.commit(s, me, (me.off, me.stream, me.row, ()))
            for how, broken in self.break_call(after, who, me):
                moved = broken._replace(owner=1 - s.owner, gen=s.gen + 1, moves=s.moves - 1)
                yield f"is told to go, and commits that nothing is under way; {how}", self.put(moved, who, IDLE)
        yield from getattr(self, "in_" + me.phase)(s, who, me)

    def in_fetch(self, s, who, me):
        if me.gen != s.gen:
            return
        off, stream, row, plan = s.commit
        parts = tuple((end, (first,) * rows, "new") for end, rows, first in plan)  # only how many, and the first, are known
        phase = "create" if stream < 0 else "ask" if self.asks_first and parts else "seal"
        me = me._replace(phase=phase, off=off, row=row, stream=stream, parts=parts, count=-1, found=0, failed="", flying=(), marked=True)
        yield f"reads the commit: offset {off}, stream {stream}, row {row}, under way {plan}", self.put(s, who, me)

    def recovered(self, me, found):
        off = me.parts[found - 1][0] if found else me.off
        return me._replace(phase="create", off=off, row=0, parts=(), found=0, count=-1)

    def in_seal(self, s, who, me):
        messages, state = s.streams[me.stream]
        streams = list(s.streams)
        streams[me.stream] = (messages, "sealed" if state == "open" else state)
        sealed = s._replace(streams=tuple(streams))
        if self.asks_first and me.parts:
            yield "seals, behind the asking", self.put(sealed, who, self.recovered(me, me.found))
            return
        known = state != "gone" and (self.counts or state == "open")
        count = len(messages) if known else 0
        if not known and self.zero:
            yield "seals: 0 rows, and believes it", self.put(sealed, who, self.recovered(me, 0))
        elif count == 0:
            yield "seals: no count", self.put(sealed, who, me._replace(phase="ask") if me.parts else self.recovered(me, 0))
        else:
            yield from self.take_count(sealed, who, me, count)

    def take_count(self, s, who, me, count):
        found, left = 0, count - me.row
        for _, messages, _ in me.parts:
            if left < len(messages):
                break
            found, left = found + 1, left - len(messages)
        if left:
            yield f"seals: {count} rows", self.put(s, who, me._replace(phase="stop"))
        else:
            yield f"seals: {count} rows, {found} requests are in", self.put(s, who, self.recovered(me, found))

    def in_ask(self, s, who, me):
        if me.found < len(me.parts) and me.parts[me.found][1][0] in self.history(s):
            yield f"asks: request {me.found} is in", self.put(s, who, me._replace(found=me.found + 1))
        elif self.asks_first:
            yield f"asks: {me.found} requests are in", self.put(s, who, me._replace(phase="seal"))
        else:
            yield f"asks: {me.found} requests are in", self.put(s, who, self.recovered(me, me.found))

    def in_create(self, s, who, me):
        if me.off == len(self.log):
            after, good = self.commit(s, me, (me.off, -1, 0, ()))
            yield f"commits the end: {'ok' if good else 'refused'}", self.put(after, who, me._replace(stream=-1) if good else IDLE)
        elif len(s.streams) < STREAMS_MAX:
            made = s._replace(streams=s.streams + (((), "open"),))
            yield "creates a stream", self.put(made, who, me._replace(phase="run", stream=len(s.streams), row=0, parts=(), marked=True))

    def in_run(self, s, who, me):
        if not me.marked:
            value = (me.off, me.stream, me.row, tuple((end, len(messages), messages[0]) for end, messages, _ in me.parts if messages))
            after, good = self.commit(s, me, value)
            yield f"commits {value}: {'ok' if good else 'refused'}", self.put(after, who, me._replace(marked=True) if good else IDLE)
        elif not me.parts:
            yield from self.plan(s, who, me)
        else:
            yield from self.fly(s, who, me)

    def plan(self, s, who, me):
        for size in self.sizes:
            messages = range(me.off, min(me.off + self.batch, len(self.log)))
            parts = tuple((min(i + size, messages.stop), tuple(messages[i - me.off:i - me.off + size]), "new") for i in messages[::size])
            if parts:
                yield f"plans {[part[1] for part in parts]}", self.put(s, who, me._replace(parts=parts, marked=False))

    def fly(self, s, who, me):
        waiting = [k for k, (_, messages, how) in enumerate(me.parts) if how != "in" and messages and k not in me.flying]
        if waiting and not me.failed:
            yield f"sends {me.parts[waiting[0]][1]} at row {self.row_of(me, waiting[0])}", self.put(s, who, me._replace(flying=me.flying + (waiting[0],)))
        if me.flying:
            yield from self.answer(s, who, me)
        elif me.failed:
            yield from self.conclude(s, who, me)
        elif not waiting:
            off, row = me.parts[-1][0], me.row + sum(len(messages) for _, messages, _ in me.parts)
            yield "has the batch in", self.put(s, who, me._replace(off=off, row=row, parts=(), marked=False))

    def mark_part(self, me, k, how):
        end, messages, _ = me.parts[k]
        return me._replace(parts=me.parts[:k] + ((end, messages, how),) + me.parts[k + 1:])

    def answer(self, s, who, me):
        """The service takes the oldest request on the call."""
        k = me.flying[0]
        _, messages, how = me.parts[k]
        after, answer = self.append(s, me.stream, self.row_of(me, k), messages)
        heard = me._replace(flying=me.flying[1:])
        what = f"hears of {messages} at row {self.row_of(me, k)}: {answer}"
        if answer == "ok" or answer == "already" and how == "unsure":
            yield what, self.put(after, who, self.mark_part(heard, k, "in"))
        elif me.failed:
            yield what + ", behind a failed one", self.put(after, who, heard)
        elif isinstance(answer, int):
            yield what, self.put(after, who, heard._replace(failed=("refused", k, answer)))
        else:
            yield what, self.put(after, who, heard._replace(failed="surprise"))
        if s.losses:
            less = s._replace(losses=s.losses - 1)
            for carried in {after._replace(losses=s.losses - 1), less}:
                first_gone = me if carried is less or carried == less else heard
                for how_broken, broken in self.break_call(carried, who, first_gone):
                    lost = me._replace(flying=(), failed=me.failed or "again")
                    for j in me.flying:
                        lost = self.mark_part(lost, j, "unsure")
                    yield f"loses the call ({answer if carried is not less else 'not carried out'}); {how_broken}", self.put(broken, who, lost)

    def conclude(self, s, who, me):
        fetch = IDLE._replace(phase="fetch", gen=me.gen)
        if me.failed == "again":
            yield "tries again", self.put(s, who, me._replace(failed=""))
            return
        if me.failed == "surprise":
            yield "is surprised, and recovers", self.put(s, who, fetch)
            return
        _, k, bad = me.failed
        unsure = [j for j, (_, _, how) in enumerate(me.parts) if how == "unsure"]
        if unsure and not self.bury_at_once and not (self.own_only and k not in unsure):
            yield f"{bad} is refused while copies may arrive: recovers", self.put(s, who, fetch)
            return
        end, messages, how = me.parts[k]
        parts = me.parts[:k] + ((end, tuple(i for i in messages if i != bad), how),) + me.parts[k + 1:]
        buried = s._replace(dead=s.dead | {bad})
        yield f"{bad} is refused: to the dead letters", self.put(buried, who, me._replace(parts=parts, marked=False, failed=""))


CASES = [
    ("C1, C3 append, several requests a plan", Append("nnn", crashes=0), "holds"),
    ("C1, C3 append, requests of two", Append("nnnn", batch=4, sizes=(2,)), "holds"),
    ("C5, N4 append, refused in the middle", Append("nxn", crashes=0), "holds"),
    ("C5, N4 append, refused until mended", Append("yn", crashes=0), "holds"),
    ("C5, N4 append, offsets before rows", Append("yx", rows_first=False, crashes=0), "holds"),
    ("C7 append, a second sealing does not count", Append("nn", counts=False, crashes=2, losses=0), "holds"),
    ("C7 append, streams expire", Append("nn", expires=True, crashes=0), "holds"),
    ("N4 append careless: copies of later requests are forgotten", Append("yxnn", batch=4, own_only=True, crashes=0, moves=0, losses=2), "twice"),
    ("C5 append careless: the first copy may still arrive", Append("yn", bury_at_once=True, crashes=0), "twice"),
    ("L2 append careless: a last commit forgets what may arrive", Append("nn", forgets=True), "row count"),
    ("C7 append careless: no count is no row", Append("nn", counts=False, zero=True, crashes=2), "twice"),
    ("C7 append careless: asked before it was sealed", Append("nn", asks_first=True), "twice"),
]

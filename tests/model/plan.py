# SPDX-License-Identifier: Apache-2.0
"""Kafka to a warehouse that wants its mark before the send (C1 to C5): what workers/partition.c and the seam promise to it.

Such a warehouse keeps no offset beside the rows. It has append streams: rows go to a row number of a stream, a stream can be sealed,
and sealing says how many rows it holds. So the group's commit says what is under way *before* it is sent:
    {offset, stream, row of that offset, [(end offset, rows) of each request under way]}
and the next owner seals the named stream and learns from its row count which whole requests are in. Nothing is computed again.

One partition, a few messages, two workers, one group. Every worker can crash, be paused, and lose answers; the group can give the
partition to either at any time; a request that nobody waits for any more can arrive later.

The switches; the default is how the seam demands it, the others are the careless variants or a broken world:
  late        a member that lost the partition, but is still in the group, commits late: the coordinator checks the generation of
              the moment of sending, not the ownership (breaks C2, which only our one committing function guards)
  seal_first  False: a request that is refused after an unanswered try is dead-lettered at once, while the first copy may still come (C5)
  config      worker 1 runs with a filter that worker 0 lacks (C4)
  retention   the log start may pass the original of a duplicate (C4)
  seals       False: appends are accepted after the sealing; a world that is not
  checks      False: commits of any generation are accepted; a world that is not
Messages: n normal, d duplicate of message 0 (dropped while message 0 is visible), x refused by the warehouse, f filtered by worker 1,
y refused until somebody mends the table.
"""
from collections import namedtuple

# phase: idle, fetch, seal, create, name, run, stop
# off, row: offset and stream row at the start of the plan      plan: ((end offset, messages), ...), oldest first
# acked: how many of the plan are in      sent: how many were sent at least once      marked: the plan stands in the group's commit
# pos: next message to plan      first: the log's start as this worker found it
Worker = namedtuple("Worker", "phase pos off row acked sent stream plan marked gen first")
# commit: (offset, stream, row, ((end, rows), ...))      streams: ((messages, sealed), ...)      old: messages of streams nobody names
# net: at most one request that may still arrive, (stream, row, messages)
State = namedtuple("State", "owner gen workers commit streams old net dead log_start mended crashes moves losses")
IDLE = Worker("idle", 0, 0, 0, 0, 0, -1, (), True, 0, 0)
STREAMS_MAX = 5


class Plan:
    def __init__(self, log, late=False, seal_first=True, config=False, retention=False, seals=True, checks=True,
                 crashes=1, moves=2, losses=1, depth=2, batch=(1, 2)):
        self.log, self.late, self.seal_first = log, late, seal_first
        self.config, self.retention, self.seals, self.checks = config, retention, seals, checks
        self.depth, self.batch = depth, batch
        self.budget = (crashes, moves, losses)

    def init(self):
        first = IDLE._replace(phase="fetch", gen=1)
        return State(0, 1, (first, IDLE), (0, -1, 0, ()), (), (), (), frozenset(), 0, False, *self.budget)

    # -- promises ---------------------------------------------------------------------------------------------------------------
    def wrong(self, s):
        history = list(s.old) + [i for messages, _ in s.streams for i in messages]
        if len(set(history)) < len(history):
            return f"a message is twice in the history: {sorted(history)}"
        if any(list(messages) != sorted(messages) for messages, _ in s.streams):
            return "order within a stream is broken"
        for i in range(s.commit[0]):
            kind = self.log[i]
            kept = i in history or kind in "xy" and i in s.dead
            if kind in "nxy" and not kept:
                return f"message {i} is lost: it is below the committed offset {s.commit[0]}, but nowhere"
        if any(w.phase == "stop" for w in s.workers):
            return "a worker found a row count that fits no plan"
        return None

    def done(self, s):
        return s.commit[0] == len(self.log)

    # -- which messages become rows, as this worker sees it ------------------------------------------------------------------------
    def emits(self, who, i, first):
        kind = self.log[i]
        if kind == "d":
            return first > 0  # the original is out of sight: this worker cannot know
        return not (kind == "f" and self.config and who == 1)

    def next_request(self, who, me, size):
        end, messages = me.pos, ()
        while end < len(self.log) and len(messages) < size:
            messages += (end,) if self.emits(who, end, me.first) else ()
            end += 1
        return end, messages

    # -- the servers --------------------------------------------------------------------------------------------------------------
    def append(self, s, stream, row, messages):
        have, sealed = s.streams[stream]
        if sealed and self.seals:
            return s, "sealed"
        if row != len(have):
            return s, "already" if row < len(have) else "out of range"
        for i in messages:
            if self.log[i] == "x" or self.log[i] == "y" and not s.mended:
                return s, f"refused {i}"
        streams = list(s.streams)
        streams[stream] = (have + messages, sealed)
        return s._replace(streams=tuple(streams)), "ok"

    def commit(self, s, me, value):
        """The group's coordinator checks the generation, and librdkafka fills in today's."""
        generation = s.gen if self.late else me.gen
        if generation != s.gen and self.checks:
            return s, False
        return s._replace(commit=value), True

    def settle(self, s):
        """Streams that neither the commit, nor a worker, nor a request names are folded into `old`, the others renumbered."""
        named = {s.commit[1]} | {w.stream for w in s.workers} | {request[0] for request in s.net}
        kept = [k for k in range(len(s.streams)) if k in named]
        if len(kept) == len(s.streams):
            return s
        number = {k: j for j, k in enumerate(kept)}
        number[-1] = -1
        gone = tuple(i for k, (messages, _) in enumerate(s.streams) if k not in named for i in messages)
        return s._replace(old=tuple(sorted(s.old + gone)), streams=tuple(s.streams[k] for k in kept),
                          commit=(s.commit[0], number[s.commit[1]]) + s.commit[2:],
                          workers=tuple(w._replace(stream=number[w.stream]) for w in s.workers),
                          net=tuple((number[stream], row, messages) for stream, row, messages in s.net))

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
            for owner in (0, 1):
                moved = s._replace(owner=owner, gen=s.gen + 1, moves=s.moves - 1)
                yield f"the group assigns the partition to worker {owner}", moved
        for who in (0, 1):
            if s.crashes and s.workers[who].phase not in ("idle", "stop"):
                yield f"worker {who} crashes, and starts again", self.put(s._replace(crashes=s.crashes - 1), who, IDLE)
        for stream, row, messages in s.net:
            arrived, answer = self.append(s, stream, row, messages)
            yield f"the lost request arrives: {messages} at row {row}: {answer}", arrived._replace(net=())
            yield "the lost request is gone", s._replace(net=())
        if "y" in self.log and not s.mended:
            yield "somebody mends the table", s._replace(mended=True)
        if self.retention and s.log_start == 0 and s.commit[0] > 0:
            yield "retention removes message 0", s._replace(log_start=1)

    def worker(self, s, who):
        me = s.workers[who]
        if me.phase == "idle":
            if s.owner == who and me.gen != s.gen:
                yield "assigned", self.put(s, who, IDLE._replace(phase="fetch", gen=s.gen))
            return
        if me.phase == "stop":
            return
        if me.gen != s.gen and not (self.late and me.phase == "run" and me.sent):
            yield "hears of the revocation", self.put(s, who, IDLE)
        yield from getattr(self, "in_" + me.phase)(s, who, me)

    def in_fetch(self, s, who, me):
        if me.gen != s.gen:
            return
        off, stream, row, plan = s.commit
        phase = "seal" if stream >= 0 else "create"
        me = me._replace(phase=phase, pos=off, off=off, row=row, stream=stream, plan=plan, first=s.log_start)
        yield f"reads the commit: offset {off}, stream {stream}, row {row}, under way {plan}", self.put(s, who, me)

    def in_seal(self, s, who, me):
        streams = list(s.streams)
        messages, _ = streams[me.stream]
        streams[me.stream] = (messages, True)
        sealed = s._replace(streams=tuple(streams))
        off, left = me.off, len(messages) - me.row
        for end, rows in me.plan:
            if left < rows or left == 0 and rows > 0:
                break
            off, left = end, left - rows
        if left:
            yield f"seals: {len(messages)} rows", self.put(sealed, who, me._replace(phase="stop"))
            return
        me = me._replace(phase="create", off=off, pos=off, plan=())
        yield f"seals: {len(messages)} rows, goes on at offset {off}", self.put(sealed, who, me)

    def in_create(self, s, who, me):
        if len(s.streams) < STREAMS_MAX:
            made = s._replace(streams=s.streams + (((), False),))
            yield "creates a stream", self.put(made, who, me._replace(phase="name", stream=len(s.streams), row=0))

    def in_name(self, s, who, me):
        run = me._replace(phase="run", pos=me.off, acked=0, sent=0, plan=(), marked=True)
        after, good = self.commit(s, me, (me.off, me.stream, 0, ()))
        yield f"commits the stream's name: {'ok' if good else 'refused'}", self.put(after, who, run if good else IDLE)

    def in_run(self, s, who, me):
        if not me.marked:
            value = (me.off, me.stream, me.row, tuple((end, len(messages)) for end, messages in me.plan))
            after, good = self.commit(s, me, value)
            what = f"commits offset {me.off}, row {me.row}, under way {value[3]}"
            yield f"{what}: {'ok' if good else 'refused'}", self.put(after, who, me._replace(marked=True) if good else IDLE)
            return
        if len(me.plan) - me.acked < self.depth and me.pos < len(self.log):
            for size in self.batch:
                end, messages = self.next_request(who, me, size)
                rest = self.trimmed(me)
                yield (f"plans {messages} up to offset {end}",
                       self.put(s, who, rest._replace(plan=rest.plan + ((end, messages),), pos=end, marked=False)))
        if me.acked and me.acked == len(me.plan):
            yield "has nothing under way", self.put(s, who, self.trimmed(me)._replace(marked=False))
        if me.acked < len(me.plan):
            yield from self.send(s, who, me)

    def trimmed(self, me):
        """Takes what is in off the plan."""
        off, row = me.off, me.row
        for end, messages in me.plan[:me.acked]:
            off, row = end, row + len(messages)
        return me._replace(off=off, row=row, plan=me.plan[me.acked:], acked=0, sent=me.sent - me.acked)

    def send(self, s, who, me):
        """Sends, or sends again with the same bytes (C3), the oldest request that is not in."""
        k = me.acked
        end, messages = me.plan[k]
        row = me.row + sum(len(earlier) for _, earlier in me.plan[:k])
        sent = me._replace(sent=max(me.sent, k + 1))
        if not messages:
            yield f"has no row to send up to {end}", self.put(s, who, sent._replace(acked=k + 1))
            return
        after, answer = self.append(s, me.stream, row, messages)
        again = me.sent > k  # it was sent before, and nobody knows what became of it
        what = f"appends {messages} at row {row}: {answer}"
        if answer == "ok" or answer == "already" and again:
            yield what, self.put(after, who, sent._replace(acked=k + 1))
        elif answer == "already":
            yield f"{what}, but it was never sent", self.put(s, who, me._replace(phase="stop"))
        elif answer.startswith("refused") and not (again and self.seal_first):
            bad = int(answer.split()[1])
            left = (end, tuple(i for i in messages if i != bad))
            plan = me.plan[:k] + (left,) + me.plan[k + 1:]
            yield (f"{what}, to the dead letters",
                   self.put(s._replace(dead=s.dead | {bad}), who, me._replace(plan=plan, marked=False, sent=k)))
        else:
            yield f"{what}: a surprise, recovers", self.put(after, who, IDLE._replace(phase="fetch", gen=me.gen))
        if s.losses:
            less = s.losses - 1
            if after is not s:
                yield f"{what}, the answer is lost", self.put(after._replace(losses=less), who, sent)
            if not s.net:
                cut = s._replace(losses=less, net=((me.stream, row, messages),))
                yield f"appends {messages} at row {row}: the connection breaks", self.put(cut, who, sent)


CASES = [
    ("C1 to C3 plan before send", Plan("nnn", moves=1), "holds"),
    ("C4 plan, duplicate, filter, retention", Plan("ndfn", crashes=0, moves=1, config=True, retention=True), "holds"),
    ("C4 plan, refused message, more faults", Plan("nxn", crashes=2, depth=1, batch=(2,)), "holds"),
    ("C5 plan, refused after an unanswered try", Plan("yn", moves=1, losses=2), "holds"),
    ("C5 careless: the first copy may still arrive", Plan("yn", moves=1, batch=(1,), seal_first=False), "row count"),
    ("C2 careless: late commit of a partition that was lost", Plan("nn", late=True), "row count"),
    ("sanity: a sealed stream takes rows", Plan("nn", seals=False), "twice"),
    ("sanity: commits of older generations are accepted", Plan("nn", checks=False), "row count"),
]

# SPDX-License-Identifier: Apache-2.0
"""Kafka to SQLite (C1 to C4, C8): the file is the record.

One partition with a few messages, two workers, one SQLite file. The file holds the history and one row {next, epoch} for the
partition. To recover raises the epoch and returns `next`, in one transaction. A request [start, end) adds its rows and sets
`next = end` where the epoch and `next` are still what the worker believes, in one transaction; 0 rows changed: all is rolled back,
and the worker recovers again if the partition is still assigned. Afterwards the offset is committed to the group in Kafka, which
serves lag tools only.

A worker can crash or be paused at any step. The group can move the partition at any time, and the old owner need not hear of it, or
not before the partition came back to it: a request of an earlier assignment may then still stand in the queue of its writer thread,
and its answer may come late (the loop must drop it by the assignment's number). The answer to COMMIT may be an error although the
file has the transaction. A power cut ends both workers and rolls the file back to an earlier transaction (synchronous=NORMAL). Anybody
may set the group's offsets with a tool.

The switches; the first value is how the product is built, the others are the careless variants:
  guard     'both'    the write is for this epoch and this `next` (C1)
            'next'    for this `next`: what recovery has read may change under the owner
            'epoch'   for this epoch: sent again after an unclear COMMIT, rows come twice (C3)
            'none'    neither
  start     'file'    recovery takes `next` from the file
            'group'   it takes the group's committed offset
            'rows'    it counts the rows in the history (C4: filters differ between versions)
  atomic    False: rows and `next` in two transactions
  numbered  False: an answer to an earlier assignment is taken for the present one's
  letters   'first'   a dead letter is acknowledged before a request passes its message (C8)
            'after'   it is sent when the request is in
Messages: n normal, x unreadable (to the dead letters), f filtered by worker 1 only (a roll-out of other settings).
"""
from collections import namedtuple

# phase: idle, recover, run, wait (a request is with the writer thread)      pos: what this worker believes `next` to be
# newest: its epoch is the one in the file. Only that is ever compared, so epochs need no numbers, and the search stays finite
# though two workers that both believe to own the partition can go on recovering over each other's heads.
# queue: requests of the writer thread      answers: (assignment, "in" | "refused" | "unclear")
# letters: messages that must go to the dead letters behind the request ('after')
Worker = namedtuple("Worker", "phase assignment newest pos end queue answers letters")
Request = namedtuple("Request", "assignment newest start end rows")
File = namedtuple("File", "next rows")
# stale: a write of an older epoch went into the file
State = namedtuple("State", "owner assignment workers file synced group dead stale crashes moves unclear cuts tools")
IDLE = Worker("idle", 0, False, 0, 0, (), (), ())


def outdated(worker):
    """After somebody else's recovery."""
    return worker._replace(newest=False, queue=tuple(request._replace(newest=False) for request in worker.queue))


class Sqlite:
    def __init__(self, log="nxf", guard="both", start="file", atomic=True, numbered=True, letters="first", strict=False, config=False,
                 crashes=1, moves=2, unclear=1, cuts=0, tools=0):
        self.log, self.guard, self.start, self.atomic, self.numbered, self.letters = log, guard, start, atomic, numbered, letters
        self.strict, self.config = strict, config
        self.budget = (crashes, moves, unclear, cuts, tools)

    def init(self):
        empty = File(0, ())
        first = IDLE._replace(phase="recover", assignment=1)
        return State(0, 1, (first, IDLE), empty, empty, 0, frozenset(), False, *self.budget)

    # -- promises ---------------------------------------------------------------------------------------------------------------
    def wrong(self, s):
        rows = s.file.rows
        if len(set(rows)) < len(rows):
            return f"a message is twice in the history: {rows}"
        if list(rows) != sorted(rows):
            return f"order is broken in the history: {rows}"
        for i in range(s.file.next):
            kind = self.log[i]
            if kind == "n" and i not in rows:
                return f"message {i} is lost: next is {s.file.next}, the history has {rows}"
            if kind == "x" and i not in s.dead and self.letters == "first":
                return f"message {i} is lost: next is {s.file.next}, and it is not among the dead letters"
        if self.done(s) and not set(i for i, kind in enumerate(self.log) if kind == "x") <= s.dead:
            return "a message is lost: all is done, and it is not among the dead letters"
        if s.stale and self.strict:
            return "an older epoch has written behind the newest recovery"
        return None

    def done(self, s):
        return s.file.next == len(self.log) and all(not w.letters and not w.queue for w in s.workers)

    # -- steps ------------------------------------------------------------------------------------------------------------------
    def put(self, s, who, worker):
        workers = list(s.workers)
        workers[who] = worker
        return s._replace(workers=tuple(workers))

    def steps(self, s):
        yield from self.world(s)
        for who in (0, 1):
            for label, after in self.worker(s, who):
                yield f"worker {who}: {label}", after

    def world(self, s):
        if s.moves:
            for owner in (0, 1):
                yield (f"the group assigns the partition to worker {owner}",
                       s._replace(owner=owner, assignment=s.assignment + 1, moves=s.moves - 1))
        for who in (0, 1):
            if s.crashes and s.workers[who] != IDLE:
                yield f"worker {who} crashes", self.put(s._replace(crashes=s.crashes - 1), who, IDLE)
        if s.synced != s.file and s.cuts:
            yield "SQLite syncs the file", s._replace(synced=s.file)
            yield ("a power cut: the file is as at its last sync",
                   s._replace(file=s.synced, workers=(IDLE, IDLE), cuts=s.cuts - 1))
        if s.tools:
            for offset in {0, len(self.log)} - {s.group}:
                yield f"a tool sets the group's offset to {offset}", s._replace(group=offset, tools=s.tools - 1)

    def worker(self, s, who):
        me = s.workers[who]
        if s.owner == who and me.assignment != s.assignment:
            # What stands in the writer's queue stays there; the lane of the earlier assignment is gone.
            again = me._replace(phase="recover", assignment=s.assignment, newest=False, pos=0, end=0)
            yield "assigned", self.put(s, who, again)
        elif s.owner != who and me.phase != "idle":
            yield "hears of the revocation", self.put(s, who, me._replace(phase="idle", newest=False, pos=0, end=0))
        if me.queue:
            yield from self.write(s, who, me)
        if me.answers:
            yield from self.answer(s, who, me)
        if me.letters:
            yield f"dead letter {me.letters[0]}", self.put(s._replace(dead=s.dead | {me.letters[0]}), who, me._replace(letters=me.letters[1:]))
        if me.phase == "recover" and not me.queue:
            yield from self.recover(s, who, me)
        if me.phase == "run":
            yield from self.plan(s, who, me)
            if self.start == "group" and me.pos != s.group:
                # As built nobody reads the group's offset, so this step is left out of those searches.
                yield f"commits offset {me.pos} to the group", s._replace(group=me.pos)

    def recover(self, s, who, me):
        pos = {"file": s.file.next, "group": s.group, "rows": len(s.file.rows)}[self.start]
        others = s._replace(file=s.file._replace(next=pos), workers=tuple(outdated(worker) for worker in s.workers))
        yield f"recovers: next {pos}, a new epoch", self.put(others, who, me._replace(phase="run", newest=True, pos=pos))

    def plan(self, s, who, me):
        for end in range(me.pos + 1, min(me.pos + 2, len(self.log)) + 1):
            messages = range(me.pos, end)
            bad = tuple(i for i in messages if self.log[i] == "x")
            rows = tuple(i for i in messages if self.log[i] == "n" or self.log[i] == "f" and not (self.config and who == 1))
            if self.letters == "first" and not set(bad) <= s.dead:
                yield f"dead letters {bad}", s._replace(dead=s.dead | set(bad))
                continue
            queue = me.queue + (Request(me.assignment, me.newest, me.pos, end, rows),)
            yield f"sends rows {rows} of [{me.pos}, {end})", self.put(s, who, me._replace(phase="wait", end=end, queue=queue))

    def write(self, s, who, me):
        """The writer thread: one transaction for the first request of its queue."""
        request, rest = me.queue[0], me.queue[1:]
        what = f"writes rows {request.rows} of [{request.start}, {request.end}), {'newest' if request.newest else 'older'} epoch"

        def answered(outcome):
            return me._replace(queue=rest, answers=me.answers + ((request.assignment, outcome),))

        if (self.guard in ("both", "epoch") and not request.newest) or (self.guard in ("both", "next") and request.start != s.file.next):
            yield f"{what}: refused", self.put(s, who, answered("refused"))
            return
        file = File(request.end, s.file.rows + request.rows)
        done = s._replace(file=file, stale=s.stale or not request.newest)
        yield f"{what}: in", self.put(done, who, answered("in"))
        if s.unclear:
            less = s.unclear - 1
            yield f"{what}: COMMIT fails, but is in the file", self.put(done._replace(unclear=less), who, answered("unclear"))
            yield f"{what}: COMMIT fails", self.put(s._replace(unclear=less), who, answered("unclear"))
        if not self.atomic and s.crashes:
            torn = s._replace(file=s.file._replace(rows=file.rows), crashes=s.crashes - 1)
            yield f"{what}: crashes between the rows and next", self.put(torn, who, IDLE)

    def answer(self, s, who, me):
        (assignment, outcome), rest = me.answers[0], me.answers[1:]
        me = me._replace(answers=rest)
        if me.phase != "wait" or self.numbered and assignment != me.assignment:
            yield f"drops the answer '{outcome}' to an earlier assignment", self.put(s, who, me)
        elif outcome == "in":
            letters = tuple(i for i in range(me.pos, me.end) if self.log[i] == "x" and self.letters == "after" and i not in s.dead)
            yield "the request is in", self.put(s, who, me._replace(phase="run", pos=me.end, letters=letters))
        elif outcome == "unclear" and self.guard == "epoch":
            yield "the outcome is not known: sends again", self.put(s, who, me._replace(phase="run"))
        else:
            yield f"the request is {outcome}: recovers", self.put(s, who, me._replace(phase="recover"))


CASES = [
    ("C1 to C4, C8 SQLite as built", Sqlite(strict=True, config=True), "holds"),
    ("C1 SQLite as built, power cuts", Sqlite("nn", cuts=1, moves=1, strict=True), "holds"),
    ("C1 without the epoch the rows are right ...", Sqlite(guard="next", moves=1), "holds"),
    ("C1 ... but what recovery has read does not stay true", Sqlite(guard="next", strict=True), "older epoch"),
    ("C1 careless: no guard", Sqlite(guard="none"), "twice"),
    ("C1 careless: rows and next in two transactions", Sqlite(atomic=False), "twice"),
    ("C2 careless: an answer to an earlier assignment is taken", Sqlite(numbered=False, moves=1), "stuck"),
    ("C2 careless: start at the group's committed offset", Sqlite(start="group"), "twice"),
    ("C2 careless: the same, and a tool moves the offset", Sqlite(start="group", crashes=0, moves=1, unclear=0, tools=1), "lost"),
    ("C2 careless: the same, and the power is cut", Sqlite("nn", start="group", crashes=0, moves=0, unclear=0, cuts=1), "lost"),
    ("C3 careless: the epoch alone, sent again after an unclear COMMIT", Sqlite(guard="epoch"), "twice"),
    ("C4 careless: recovery counts rows, filters differ", Sqlite(start="rows", log="nfn", config=True), "twice"),
    ("C8 careless: dead letter sent behind the request", Sqlite(letters="after"), "lost"),
]

# SPDX-License-Identifier: Apache-2.0
"""Kafka to a warehouse of load files (D1 to D5): what workers/partition_file.c and workers/bigquery/load.c promise to each other.

The group's commit names an intent {job id, end} before the job is made. A job loads all of its rows or none, its id is used once for ever,
it may run for long, and fails for good if a bad row is in it; then the range goes in by appends, which name the row. Workers can
crash, be paused before the insert and make it much later, and lose its answer; the group can move a partition at any time.

The switches; the default is how it is built, the others are careless variants or a broken world:
  stored    False: the id is computed from partition and offsets, and the topic was made anew once (breaks D1)
  keep      False: an intent whose job is unknown is given up, and a new one planned (breaks D2)
  span      2: one job for both partitions of a worker, an intent in each one's commit (breaks D3)
  append    False: a job that failed for good is tried again under another id, with all its rows (D4: no end)
  resolve   False: appends that nobody answered are left as they are when a file is begun (breaks D5)
  once      False: a job id can be used twice; a world that is not
  bad       message 0 of partition 0 can't be loaded
  void      an intent may turn out not to be buildable any more; "doomed": a job that is bound to fail uses its id up, then appends;
            "empty": a job of no rows does (careless: it reads as done)
  switch    the partition begins with an append under way
"""
from collections import namedtuple

# phase: idle, plan, insert, ask, by_append      gen: of the partitions when this worker looked      rows: of the job to insert
Worker = namedtuple("Worker", "phase gen part off intent rows")
# commit: per partition (offset, intent or None); intent: (job id, end)      jobs: ((id, rows, state), ...)
# net: an append that may still arrive, (rows, stream sealed)      kept: rows that appends brought      dead: dead letters
State = namedtuple("State", "owner gen workers commit jobs net sealed kept dead moves crashes losses ids")
IDLE = Worker("idle", (), 0, 0, None, ())
MESSAGES = 2
DOOMED = ("no", "file")
IDS_MAX = 8


class Load:
    def __init__(self, stored=True, keep=True, span=1, append=True, resolve=True, once=True, bad=False, switch=False, void=None,
                 moves=2, crashes=1, losses=1):
        self.stored, self.keep, self.span, self.append = stored, keep, span, append
        self.resolve, self.once, self.bad, self.switch, self.void = resolve, once, bad, switch, void
        self.budget = (moves, crashes, losses)

    def init(self):
        jobs = () if self.stored else (("0:0-2", (), "done"),)
        net = ((0, 0),) if self.switch else ()
        return State((0,) * self.span, (1,) * self.span, (IDLE, IDLE), ((0, None),) * self.span, jobs, net, False, (), frozenset(), *self.budget, 0)

    # -- promises ---------------------------------------------------------------------------------------------------------------
    def wrong(self, s):
        history = list(s.kept) + [row for _, rows, state in s.jobs if state == "done" for row in rows]
        if len(set(history)) < len(history):
            return f"a message is twice in the history: {sorted(history)}"
        for part, (offset, _) in enumerate(s.commit):
            for i in range(offset):
                if (part, i) not in history and (part, i) not in s.dead:
                    return f"message {i} of partition {part} is lost: it is below the committed offset {offset}, but nowhere"
        return None

    def done(self, s):
        return all(offset == MESSAGES for offset, _ in s.commit)

    # -- the servers --------------------------------------------------------------------------------------------------------------
    def put(self, s, who, worker):
        workers = list(s.workers)
        workers[who] = worker
        return s._replace(workers=tuple(workers))

    def mine(self, s, who, me):
        return me.gen[me.part] == s.gen[me.part] and s.owner[me.part] == who

    def commit(self, s, part, value):
        commits = list(s.commit)
        commits[part] = value
        return s._replace(commit=tuple(commits))

    def steps(self, s):
        yield from self.world(s)
        for who in (0, 1):
            for label, after in self.worker(s, who, s.workers[who]):
                yield f"worker {who}: {label}", after

    def world(self, s):
        for k, (job, rows, state) in enumerate(s.jobs):
            if state == "runs":
                end = "failed" if self.bad and (0, 0) in rows or DOOMED in rows else "done"
                yield f"job {job} ends: {end}", s._replace(jobs=s.jobs[:k] + ((job, rows, end),) + s.jobs[k + 1:])
        if s.moves:
            for part in range(self.span):
                owner, gen = list(s.owner), list(s.gen)
                owner[part], gen[part] = 1 - owner[part], gen[part] + 1
                yield (f"the group assigns partition {part} to worker {owner[part]}",
                       s._replace(owner=tuple(owner), gen=tuple(gen), moves=s.moves - 1))
        for who in (0, 1):
            if s.crashes and s.workers[who].phase != "idle":
                yield f"worker {who} crashes, and starts again", self.put(s._replace(crashes=s.crashes - 1), who, IDLE)
        if s.net:
            kept = s.kept if s.sealed else s.kept + s.net
            yield f"the lost append arrives: {'refused, its stream is sealed' if s.sealed else s.net}", s._replace(net=(), kept=kept)

    # -- a worker -----------------------------------------------------------------------------------------------------------------
    def worker(self, s, who, me):
        if me.phase == "idle":
            yield from self.recover(s, who)
            return
        if not self.mine(s, who, me):
            yield "hears that the partition is gone", self.put(s, who, IDLE)
        yield from getattr(self, me.phase)(s, who, me)

    def recover(self, s, who):
        for part in range(self.span):
            offset, intent = s.commit[part]
            if s.owner[part] != who or offset == MESSAGES:
                continue
            me = IDLE._replace(gen=s.gen, part=part, off=offset, intent=intent)
            if intent:
                yield f"finds the intent {intent} of partition {part}", self.put(s, who, me._replace(phase="ask"))
            elif self.switch and self.resolve and not s.sealed:
                # sealing tells what is in; what is in is passed
                passed = 1 if (0, 0) in s.kept else 0
                after = self.commit(s._replace(sealed=True), part, (max(offset, passed), None))
                yield "seals the stream of the append before", self.put(after, who, me._replace(phase="plan", off=max(offset, passed)))
            else:
                yield f"finds no intent for partition {part}", self.put(s, who, me._replace(phase="plan"))

    def content(self, s, who, me, job):
        """Rows of a job: of the partition, or of all partitions of the worker that name it."""
        parts = [me.part] if self.span == 1 else [p for p in range(self.span) if s.owner[p] == who and s.commit[p][1] and s.commit[p][1][0] == job]
        return tuple((p, i) for p in parts for i in range(s.commit[p][0], MESSAGES))

    def plan(self, s, who, me):
        if s.ids > IDS_MAX:
            return
        job = f"random {s.ids}" if self.stored else f"{me.part}:{me.off}-{MESSAGES}"
        intent = (job, MESSAGES)
        if not self.mine(s, who, me):
            yield f"commits the intent {intent}: refused", self.put(s, who, IDLE)
            return
        after = self.commit(s, me.part, (me.off, intent))._replace(ids=s.ids + 1)
        if self.span == 2:
            for part in range(2):
                if s.owner[part] == who and me.gen[part] == s.gen[part] and s.commit[part][1] is None:
                    after = self.commit(after, part, (s.commit[part][0], intent))
        rows = self.content(after, who, me, job)
        yield f"commits the intent {intent}", self.put(after, who, me._replace(phase="insert", intent=intent, rows=rows))

    def insert(self, s, who, me):
        job = me.intent[0]
        if self.once and any(job == known for known, _, _ in s.jobs) or len(s.jobs) > IDS_MAX:
            yield f"makes job {job}: 409", self.put(s, who, me._replace(phase="ask", rows=()))
            return
        after = s._replace(jobs=s.jobs + ((job, me.rows, "runs"),))
        yield f"makes job {job} of {me.rows}", self.put(after, who, me._replace(phase="ask", rows=()))
        if s.losses:
            yield f"makes job {job} of {me.rows}, the answer is lost", self.put(after._replace(losses=s.losses - 1), who, me)

    def ask(self, s, who, me):
        job, end = me.intent
        state = next((state for known, _, state in s.jobs if known == job), "unknown")
        if state == "unknown" and self.void:
            rows = (DOOMED,) if self.void == "doomed" else ()
            yield f"job {job} is unknown, and its file can't be built: uses the id up", self.put(s, who, me._replace(phase="insert", rows=rows))
        if state == "unknown" and self.keep:
            yield f"job {job} is unknown: builds its file again", self.put(s, who, me._replace(phase="insert", rows=self.content(s, who, me, job)))
        elif state == "unknown":
            yield f"job {job} is unknown: gives the intent up", self.put(s, who, me._replace(phase="plan", intent=None))
        elif state != "runs" and not self.mine(s, who, me):
            yield f"job {job} is {state}; the commit is refused", self.put(s, who, IDLE)
        elif state == "done":
            yield f"job {job} is done, commits {end}", self.put(self.commit(s, me.part, (end, None)), who, IDLE)
        elif state == "failed":
            phase = "by_append" if self.append else "plan"
            yield f"job {job} failed, nothing is in", self.put(self.commit(s, me.part, (me.off, None)), who, me._replace(phase=phase, intent=None))

    def by_append(self, s, who, me):
        """By the protocol of plan.py, which is exact: here one step."""
        if not self.mine(s, who, me):
            yield "its append's commit is refused", self.put(s, who, IDLE)
            return
        dead = {(0, 0)} if self.bad else set()
        rows = tuple((me.part, i) for i in range(me.off, MESSAGES) if (me.part, i) not in dead)
        after = self.commit(s._replace(kept=s.kept + rows, dead=s.dead | dead), me.part, (MESSAGES, None))
        yield f"appends {rows}, {sorted(dead)} to the dead letters", self.put(after, who, IDLE)


CASES = [
    ("D1 to D3 an intent of a random id, a job a partition", Load(), "holds"),
    ("D4 a bad row: the range by appends", Load(bad=True), "holds"),
    ("D2, D4 more faults", Load(bad=True, moves=3, crashes=2, losses=2), "holds"),
    ("D5 an append under way is resolved before the file", Load(switch=True), "holds"),
    ("D2 an intent that can't be built again is used up", Load(void="doomed"), "holds"),
    ("D2, D4 the same, with a bad row and more faults", Load(void="doomed", bad=True, moves=3, crashes=2, losses=2), "holds"),
    ("D1 careless: an id of offsets, and a topic made anew", Load(stored=False), "lost"),
    ("D2 careless: an intent is given up", Load(keep=False), "twice"),
    ("D2 careless: an id used up by a job of no rows", Load(void="empty"), "lost"),
    ("D3 careless: one job for two partitions", Load(span=2), "lost"),
    ("D4 careless: the failed job is tried again", Load(bad=True, append=False), "stuck"),
    ("D5 careless: a file is begun beside an open append", Load(switch=True, resolve=False), "twice"),
    ("sanity: a job id can be used twice", Load(once=False), "twice"),
]

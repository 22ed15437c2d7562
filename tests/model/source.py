# SPDX-License-Identifier: Apache-2.0
"""Source to Kafka (A2 to A5, A8): a transactional producer and the compacted topic of positions.

Two replicas of the producer of one source, a second source that writes to the same partition of `positions`, and Kafka's
transaction coordinator. Every replica can crash or be paused at any step; the group can make either one the owner at any time,
and the old one need not hear of it; the answer to a commit can be lost, and so can the request.

The source has two transactions, of three rows and of one. A Kafka transaction takes one or two rows, and a position record.

The switches; the first value is how the product is built, the others are the careless variants:
  read      'watermark' after init_transactions ask read_uncommitted how far `positions` goes, then read_committed up to there (A2)
            'stable'    read_committed until its own end, which lies before any open transaction
            'early'     up to the watermark, but before init_transactions
  unclear   'fence'     a commit without a clear answer ends in a new fencing and the position as Kafka holds it (A4)
            'again'     the same process takes the rows again from where it knows to be
  count     'images'    the position counts row images of the source transaction, before filters (A5)
            'produced'  it counts rows that were produced; replica 1 filters a row that replica 0 does not: a roll-out
            'none'      the position names whole source transactions only
  missing   'stop'      no position, but the topics are not empty: a person must say where to start (A8)
            'start'     no position: start from the beginning
  ask       'topics'    whether the topics are empty is asked before the watermark of `positions`, so that rows which it sees have
                        their position below that watermark
            'positions' the other way round
  first     'alone'     the first transaction of a source holds the position only (A8)
            'rows'      it holds rows too
The world:
  shared    the second source writes to the same partition of positions
  deleted   somebody may delete the topic of positions once
  fenced    False: older epochs may go on writing. A world that is not; it shows that the model notices.
"""
from collections import namedtuple

TRANSACTIONS = (3, 1)
ROWS = [(t, row) for t, rows in enumerate(TRANSACTIONS) for row in range(rows)]
FILTERED = (0, 1)  # dropped by replica 1 where count == 'produced'
NOWHERE = -1       # no position record

# phase: idle, early, elected, inited, asked, read, run, commit, again, stopped      position: row images that are in, as this replica knows
# valid: no other replica has called init_transactions since      watermark: how far of `log` it must see before it may read
# used: it saw that the data topics are not empty
Replica = namedtuple("Replica", "phase valid position batch watermark used")
# rows: committed rows in the topic      position: the last committed record before `log`
# log: the end of `positions` from the first open transaction on: ("s", rows, position, status) of our source, ("o", number) of the other
# used: something was written to the data topics, if only by a transaction that was aborted
State = namedtuple("State", "owner replicas rows position log used deleted moves crashes losses other")
IDLE = Replica("idle", False, 0, 0, 0, False)


class Source:
    def __init__(self, read="watermark", unclear="fence", count="images", missing="stop", ask="topics", first="alone",
                 shared=True, deleted=False, fenced=True, moves=2, crashes=1, losses=1):
        self.read, self.unclear, self.count, self.missing, self.ask, self.first = read, unclear, count, missing, ask, first
        self.shared, self.deleted, self.fenced = shared, deleted, fenced
        self.budget = (moves, crashes, losses)

    def init(self):
        return State(0, (IDLE, IDLE), (), NOWHERE, (), False, not self.deleted, *self.budget, (False, 0))

    def wanted(self):
        return [row for row in ROWS if not (self.count == "produced" and row == FILTERED)]

    def wrong(self, s):
        if len(set(s.rows)) < len(s.rows):
            return f"a row is twice in the topic: {s.rows}"
        have = [row for row in s.rows if not (self.count == "produced" and row == FILTERED)]
        if have != self.wanted()[:len(have)]:
            return f"rows are lost or out of order: {s.rows}"
        return None

    def done(self, s):
        asks = self.deleted and s.deleted and any(r.phase == "stopped" for r in s.replicas)
        return asks or all(row in s.rows for row in self.wanted())

    # -- Kafka ------------------------------------------------------------------------------------------------------------------
    def settle(self, s):
        """Forgets what lies before the first open transaction: nobody can read it differently any more."""
        position, cut = s.position, 0
        for entry in s.log:
            if entry[0] == "o" and s.other == (True, entry[1]) or entry[0] == "s" and entry[3] == "open":
                break
            if entry[0] == "s" and entry[3] == "commit":
                position = entry[2]
            cut += 1
        replicas = tuple(r._replace(watermark=max(0, r.watermark - cut)) for r in s.replicas)
        return s._replace(log=s.log[cut:], position=position, replicas=replicas)

    def decide(self, s, status):
        return s._replace(log=tuple(e[:3] + (status,) if e[0] == "s" and e[3] == "open" else e for e in s.log))

    # -- steps ------------------------------------------------------------------------------------------------------------------
    def put(self, s, who, replica):
        replicas = list(s.replicas)
        replicas[who] = replica
        return s._replace(replicas=tuple(replicas))

    def steps(self, s):
        for label, after in self.world(s):
            yield label, self.settle(after)
        for who in (0, 1):
            for label, after in self.replica(s, who):
                yield f"replica {who}: {label}", self.settle(after)

    def world(self, s):
        if s.moves:
            yield f"the group makes replica {1 - s.owner} the owner", s._replace(owner=1 - s.owner, moves=s.moves - 1)
        for who in (0, 1):
            if s.crashes and s.replicas[who].phase not in ("idle", "stopped"):
                yield f"replica {who} crashes", self.put(s._replace(crashes=s.crashes - 1), who, IDLE)
        if any(e[0] == "s" and e[3] == "open" for e in s.log) and not any(r.valid and r.phase == "commit" for r in s.replicas):
            yield "Kafka aborts the transaction that nobody ends", self.decide(s, "abort")
        if not s.deleted and not s.log:
            yield "somebody deletes the topic of positions", s._replace(deleted=True, position=NOWHERE)
        if self.shared:
            is_open, number = s.other
            if is_open:
                yield "the other source commits", s._replace(other=(False, number))
            elif number < 1:
                yield ("the other source opens a transaction with a position record",
                       s._replace(other=(True, number + 1), log=s.log + (("o", number + 1),)))

    def replica(self, s, who):
        me = s.replicas[who]
        if me.phase == "stopped":
            return
        if me.phase == "idle":
            if s.owner == who:
                yield "elected", self.put(s, who, IDLE._replace(phase="early" if self.read == "early" else "elected"))
            return
        if s.owner != who:
            yield "hears that it lost the election, stands by", self.put(s, who, IDLE)
        yield from getattr(self, "in_" + me.phase)(s, who, me)

    def in_early(self, s, who, me):
        if not s.log:
            yield f"reads the position {s.position}", self.put(s, who, me._replace(phase="elected", position=s.position))

    def in_elected(self, s, who, me):
        """init_transactions raises the epoch, and aborts what an older epoch left open."""
        fenced = self.decide(s, "abort") if self.fenced else s
        fenced = fenced._replace(replicas=tuple(r._replace(valid=r.valid and not self.fenced) for r in fenced.replicas))
        phase = "run" if self.read == "early" else "inited"
        yield "init_transactions", self.put(fenced, who, me._replace(valid=True, phase=phase))

    def in_inited(self, s, who, me):
        if self.ask == "topics":
            yield "asks whether the topics are empty", self.put(s, who, me._replace(phase="asked", used=s.used))
        else:
            yield "asks how far positions goes", self.put(s, who, me._replace(phase="asked", watermark=len(s.log)))

    def in_asked(self, s, who, me):
        if self.ask == "topics":
            yield "asks how far positions goes", self.put(s, who, me._replace(phase="read", watermark=len(s.log)))
        else:
            yield "asks whether the topics are empty", self.put(s, who, me._replace(phase="read", used=s.used))

    def in_read(self, s, who, me):
        if self.read == "watermark" and me.watermark:
            return  # read_committed is held back by the other source's open transaction
        if s.position == NOWHERE and me.used and self.missing == "stop":
            yield "no position, but the topics are not empty: stops", self.put(s, who, IDLE._replace(phase="stopped"))
        else:
            run = me._replace(phase="run", position=s.position, watermark=0, used=False)
            yield f"reads the position {s.position}", self.put(s, who, run)

    def in_run(self, s, who, me):
        at = max(me.position, 0)
        sizes = (0,) if me.position == NOWHERE and self.first == "alone" else (1, 2)
        for size in sizes:
            end = at + size
            if end > len(ROWS):
                continue
            rows = tuple(r for r in ROWS[at:end] if not (self.count == "produced" and who == 1 and r == FILTERED))
            if not me.valid:
                yield f"produces {rows}: fenced off", self.put(s, who, IDLE)
                continue
            entry = ("s", rows, self.stored(who, end), "open")
            yield (f"produces {rows} with position {end}",
                   self.put(s._replace(log=s.log + (entry,), used=s.used or bool(rows)), who, me._replace(phase="commit", batch=end)))

    def in_commit(self, s, who, me):
        if not me.valid:
            yield "commit: fenced off", self.put(s, who, IDLE)
            return
        rows = sum((e[1] for e in s.log if e[0] == "s" and e[3] == "open"), ())
        committed = self.decide(s, "commit")._replace(rows=s.rows + rows)
        yield f"commits {rows}", self.put(committed, who, me._replace(phase="run", position=me.batch, batch=0))
        if s.losses:
            unclear = me._replace(phase="elected" if self.unclear == "fence" else "again")
            yield f"commits {rows}, the answer is lost", self.put(committed._replace(losses=s.losses - 1), who, unclear)
            yield f"commits {rows}, the request is lost", self.put(s._replace(losses=s.losses - 1), who, unclear)

    def in_again(self, s, who, me):
        yield f"takes it as not committed, begins again at {me.position}", self.put(self.decide(s, "abort"), who, me._replace(phase="run"))

    def stored(self, who, end):
        """What the position record that is written for `end` row images means when it is read again."""
        if self.count == "none":
            starts = [sum(TRANSACTIONS[:t]) for t in range(len(TRANSACTIONS) + 1)]
            return max(start for start in starts if start <= end)
        if self.count == "produced" and who == 1 and end > ROWS.index(FILTERED):
            return end - 1  # one row fewer was produced, so the next owner skips one row too few
        return end


CASES = [
    ("A2 to A5, A8 as built", Source(), "holds"),
    ("A8 as built, positions deleted", Source(deleted=True, shared=False), "holds"),
    ("A2 careless: read_committed to its own end", Source(read="stable"), "twice"),
    ("A2 the same with a partition of its own", Source(read="stable", shared=False), "holds"),
    ("A2 careless: position read before init_transactions", Source(read="early"), "twice"),
    ("A4 careless: an unclear commit taken as not done", Source(unclear="again"), "twice"),
    ("A5 careless: position without a row count", Source(count="none"), "twice"),
    ("A5 careless: position counts produced rows, filters differ", Source(count="produced"), "twice"),
    ("A8 careless: no position taken as a first start", Source(missing="start", deleted=True, shared=False), "twice"),
    ("A8 careless: the topics are asked after the positions", Source(ask="positions", losses=0), "stuck"),
    ("A8 careless: rows in a source's first transaction", Source(first="rows", losses=0), "stuck"),
    ("sanity: a world without fencing", Source(fenced=False, shared=False), "twice"),
]

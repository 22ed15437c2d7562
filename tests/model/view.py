# SPDX-License-Identifier: Apache-2.0
"""F1 to F6: the latest view = newest of (base UNION ALL tail of the history), base refreshed by MERGE.

A worker stamps rows with the ingest day and they become visible later, at most `delay` days after the stamp. Days pass. Two
refreshers run at any time, each can stop for ever at any step (crash) or go on late (zombie). At every moment the view must
show, key by key, the newest row of everything that was ever visible.

Switches:
  lag       the new watermark is today - lag: the tail holds the partitions of the last `lag` days and today's
  delay     how many days may pass between stamp and visibility
  order     'merge' the MERGE first, then the view gets the new watermark; 'view' the other way round
  upto      'all'  the MERGE takes every partition from the old watermark on, today's included
            'old'  only those before the new watermark
  keep      True: base keeps deleted keys (tombstones) and the newest truncate; False: MERGE ... DELETE, truncates forgotten
  expire    days after which a history partition is dropped; 0 = never
  plain     True: no base at all, the view reads the history only
"""
from collections import namedtuple

Refresher = namedtuple("Refresher", "phase old new")
# pending: stamped, not visible yet      rows: (stamp, key, order, kind) that are visible      base: (key, order, kind)      mark: the view's watermark
State = namedtuple("State", "day next pending rows base mark refreshers")
IDLE = Refresher("idle", 0, 0)
ORDERS = {
    # key, order, kind in the sequence in which the worker sends them
    "updates": ((1, 1, "c"), (1, 2, "u"), (1, 3, "u")),
    "late r": ((1, 2, "c"), (1, 3, "d"), (1, 1, "r")),
    "truncate": ((1, 2, "c"), (0, 3, "t"), (1, 1, "r")),
}


class View:
    def __init__(self, rows="updates", lag=2, delay=1, order="merge", upto="all", keep=True, expire=0, plain=False,
                 days=4):
        self.send = ORDERS[rows]
        self.lag, self.delay, self.order, self.upto = lag, delay, order, upto
        self.keep, self.expire, self.plain, self.days = keep, expire, plain, days

    def init(self):
        return State(0, 0, (), (), (), 0, (IDLE, IDLE))

    def history(self, s):
        return [r for r in s.rows if not self.expire or r[0] >= s.day - self.expire]

    def newest(self, rows):
        best = {}
        for key, order, kind in rows:
            if key not in best or order > best[key][0]:
                best[key] = (order, kind)
        return best

    def visible(self, best):
        cut = best.get(0, (0, ""))[0]
        return {k: o for k, (o, kind) in best.items() if k and kind != "d" and o > cut}

    def wrong(self, s):
        truth = self.visible(self.newest(r[1:] for r in s.rows))
        if self.plain:
            got = self.visible(self.newest(r[1:] for r in self.history(s)))
        else:
            got = self.visible(self.newest(list(s.base) + [r[1:] for r in self.history(s) if r[0] >= s.mark]))
        if got != truth:
            return f"the view shows {got}, right is {truth} (key: order)"
        return None

    def done(self, s):
        return s.next == len(self.send) and not s.pending

    def put(self, s, k, r):
        refreshers = list(s.refreshers)
        refreshers[k] = r
        return s._replace(refreshers=tuple(refreshers))

    def merge(self, s, old, new):
        take = [r[1:] for r in self.history(s) if r[0] >= old and (self.upto == "all" or r[0] < new)]
        best = self.newest(list(s.base) + take)
        if not self.keep:
            alive = self.visible(best)
            best = {k: v for k, v in best.items() if k in alive}
        return s._replace(base=tuple(sorted((k, o, kind) for k, (o, kind) in best.items())))

    def steps(self, s):
        if s.next < len(self.send):
            row = self.send[s.next]
            yield (f"day {s.day}: the worker stamps row {row}",
                   s._replace(next=s.next + 1, pending=s.pending + ((s.day,) + row,)))
        for i, row in enumerate(s.pending):
            yield (f"day {s.day}: row {row[1:]} of day {row[0]} is visible",
                   s._replace(pending=s.pending[:i] + s.pending[i + 1:], rows=tuple(sorted(s.rows + (row,)))))
        if s.day < self.days and all(r[0] + self.delay > s.day for r in s.pending):
            yield f"day {s.day} ends", s._replace(day=s.day + 1)
        if self.plain:
            return
        for k, r in enumerate(s.refreshers):
            if r.phase == "idle":
                new = s.day - self.lag
                if new < 0:
                    continue
                old = s.mark
                yield (f"day {s.day}: refresher {k} begins, watermark {old} -> {new}",
                       self.put(s, k, Refresher("merge" if self.order == "merge" else "view", old, new)))
            elif r.phase == "merge":
                nxt = Refresher("view", r.old, r.new) if self.order == "merge" else IDLE
                t = self.merge(s, r.old, r.new)
                yield f"day {s.day}: refresher {k}: MERGE from {r.old}", self.put(t, k, nxt)
            elif r.phase == "view":
                nxt = IDLE if self.order == "merge" else Refresher("merge", r.old, r.new)
                yield f"day {s.day}: refresher {k}: the view now has watermark {r.new}", self.put(s._replace(mark=r.new), k, nxt)


CASES = [
    ("F1, F2 base and tail", View(), "holds"),
    ("F4 an older r row comes last", View("late r"), "holds"),
    ("F4 an older r row behind a truncate", View("truncate"), "holds"),
    ("F2 a lag of one day for a delay of one", View(lag=1, days=3), "holds"),
    ("F2 only closed partitions merged", View(upto="old"), "holds"),
    ("F2 careless: no lag", View(lag=0), "right is"),
    ("F2 careless: a delay above the lag", View(lag=1, delay=2), "right is"),
    ("F1 careless: the watermark before the MERGE", View(order="view"), "right is"),
    ("F4 careless: deleted keys leave the base", View("late r", keep=False), "right is"),
    ("F4 careless: truncates leave the base", View("truncate", keep=False), "right is"),
    ("F6 careless: a plain view on an expiring history", View(plain=True, expire=2), "right is"),
]

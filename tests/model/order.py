# SPDX-License-Identifier: Apache-2.0
"""Order and identity (O1, O3, O4): which number puts the changes of one row in commit order? Every small history is tried.

One row gets a few changes at real times, in tenths of a second. The clock of the server may make one step, forth or back; a server
reports a commit with its own resolution (MySQL microseconds, MariaDB seconds). A rule gives each change its key; by the key the
later change must be the newer one. A fail-over goes on in another server's log: another clock resolution, other log numbers.
"""
from itertools import combinations, product

from checker import Outcome

SECOND = 10
TIMES = range(0, 26)
STEPS = [(0, 0)] + [(at, by) for at in (5, 12, 17) for by in (-14, -6, 6, 14)]  # at real time `at` the clock jumps `by`


def clock(real, step):
    return 100 + real + (step[1] if step[0] and real >= step[0] else 0)


def micros(reported):
    return reported


def seconds(reported):
    return reported // SECOND * SECOND


UNITS = (micros, seconds)


def histories(count):
    return product(combinations(TIMES, count), STEPS)


# -- rules: the keys of one server's transactions, in commit order; `floor`: the last number of the server before -----------------
def numbered(times, step, unit, floor):
    """O1: max(commit time, last number + 1); the last number travels with the position."""
    keys, last = [], floor
    for real in times:
        last = max(unit(clock(real, step)), last + 1)
        keys.append(last)
    return keys


def by_time(times, step, unit, floor):
    """Commit time alone."""
    return [unit(clock(real, step)) for real in times]


def forgetful(times, step, unit, floor):
    """As O1, but the last number is not in the position: it begins anew on each server."""
    return numbered(times, step, unit, floor=0)


# -- worlds -----------------------------------------------------------------------------------------------------------------------
def one_log(rule):
    for (times, step), unit in product(histories(3), UNITS):
        yield rule(times, step, unit, 0), f"commits at {times}, clock step {step}, {unit.__name__}"


def fail_over(rule):
    """The first server has the changes up to the cut, the second those behind it."""
    for (times, step), cut, first, second in product(histories(3), (1, 2), UNITS, UNITS):
        before = rule(times[:cut], step, first, 0)
        after = rule(times[cut:], step, second, before[-1])
        yield before + after, f"commits at {times}, clock step {step}, {first.__name__} then {second.__name__} from change {cut}"


def log_numbers():
    """Clamped commit time, then the number of the transaction in its log: logs of two servers have nothing to do with each other."""
    for (times, step), cut, bases in product(histories(3), (1, 2), ((0, 1000), (1000, 0))):
        keys, last = [], 0
        for index, real in enumerate(times):
            last = max(last, seconds(clock(real, step)))
            keys.append((last, bases[index >= cut] + index))
        yield keys, f"commits at {times}, clock step {step}, log numbers from {bases}, fail-over at change {cut}"


def two_live_sources():
    """Both number the same log for themselves; the second begins one change later, so its numbers run behind or ahead."""
    for (times, step), unit in product(histories(3), UNITS):
        first, second = numbered(times, step, unit, 0), numbered(times[1:], step, unit, 0)
        yield [first[0], first[1], second[1]], f"commits at {times}, clock step {step}, {unit.__name__}: the last by the second source"


def key_update_halves(number):
    """Identities of an update of N rows that changes their keys: a delete and an insert for each row image."""
    for rows in range(1, 5):
        identities = [number(image, half) for image in range(rows) for half in (0, 1)]
        yield sorted(identities), f"{rows} updated rows, identities {identities}"


def every(world):
    """A model for run.py: each key must be above the one before it."""
    def explore():
        tried = 0
        for keys, what in world():
            tried += 1
            for earlier, later in zip(keys, keys[1:]):
                if later <= earlier:
                    return Outcome(tried, f"order: the later change has {later}, the earlier {earlier}", (what,))
        return Outcome(tried)
    return explore


CASES = [
    ("O1 numbered transactions, one log", every(lambda: one_log(numbered)), "holds"),
    ("O1 numbered transactions, fail-over, any resolution, clock steps", every(lambda: fail_over(numbered)), "holds"),
    ("O1 careless: commit time alone", every(lambda: one_log(by_time)), "order"),
    ("O1 careless: last number not in the position", every(lambda: fail_over(forgetful)), "order"),
    ("O1 careless: time, then the log's own number", every(log_numbers), "order"),
    ("O3 halves of a key update are 2i and 2i + 1", every(lambda: key_update_halves(lambda i, half: 2 * i + half)), "holds"),
    ("O3 careless: both halves have the image's number", every(lambda: key_update_halves(lambda i, half: 2 * i)), "order"),
    ("O4 careless: two live sources of one table", every(two_live_sources), "order"),
]

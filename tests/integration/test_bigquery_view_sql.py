# SPDX-License-Identifier: Apache-2.0
"""The SQL of latest views, run: what view_sql.c writes stands in tests/data/view_sql (tests/unit/view_sql_test.c compares), and is held here against a
model, on made-up histories. FT-F1, FT-F2, FT-F4 and FT-F6 in the small: the statements alone, in every order that two refreshers can make.
"""
import datetime
import itertools
import random

import pytest

from lib.histories import History, Rest, RestError, Source, TODAY, state, text

_numbers = itertools.count(1)


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2, 3))]


def _day(back):
    return TODAY - datetime.timedelta(days=back)


@pytest.fixture
def rest(emulator):
    return Rest(emulator)


@pytest.fixture
def history(rest):
    return History(rest, f"views_{next(_numbers)}")


def _many(seed, days=8, each=25):
    source = Source(seed)
    return [source.change(_day(days - number)) for number in range(days) for _ in range(each)]


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_view_shows_what_a_replay_shows(history, seed):
    history.add(_many(seed))
    assert history.view() == state(history.changes)


def test_deleted_and_truncated_rows_can_be_shown(history):
    source = Source(1)
    history.add([source.change(_day(3), "c", ("a", 1)), source.change(_day(3), "c", ("a", 2)), source.change(_day(3), "t"), source.change(_day(3), "c", ("a", 3)),
                 source.change(_day(3), "c", ("a", 4)), source.change(_day(3), "d", ("a", 4))])
    shown = {key: values[-1] for key, values in history.view("plain_deletes").items()}
    assert shown == {("a", 1): "true", ("a", 2): "true", ("a", 3): "false", ("a", 4): "true"}
    history.merge(_day(100), "merge_deletes")
    assert history.view("base_deletes", _day(0)) == history.view("plain_deletes")


@pytest.mark.parametrize("seed", SEEDS)
def test_as_of_shows_the_state_at_any_time(history, seed):
    source = Source(seed)
    history.add([source.change(_day(1), op) for op in random.Random(seed).choices("cudt", (30, 40, 20, 2), k=120)])
    history.rest.query(text("as_of", history.dataset))
    for at in [0, *random.Random(seed).sample([change["ts"] for change in history.changes], 6), history.changes[-1]["ts"]]:
        rows = history.rest.query(f"SELECT * FROM `p.{history.dataset}.orders_as_of`(TIMESTAMP_SECONDS({at}))")
        assert {(region, int(number)): tuple(values) for region, number, *values in rows} == state(history.changes, at), at


@pytest.mark.parametrize("seed", SEEDS)
def test_base_and_tail_shows_the_same_wherever_they_meet(history, seed):
    history.add(_many(seed))
    history.merge(_day(100))
    for back in (-1, 0, 2, 5, 100):
        assert history.view("base", _day(back)) == state(history.changes), back


@pytest.mark.parametrize("seed", SEEDS)
def test_ft_f1_two_refreshers_in_any_order(history, seed):
    """Each reads the watermark, merges from it, and only then moves it; one may stop between for days. The view is right after every single step."""
    rng, source, held = random.Random(100 + seed), Source(seed), []
    watermark = _day(100)
    refreshers = [None, None]  # the watermark that each will set, once it has merged
    for back in range(9, -1, -1):
        day = _day(back)
        for _ in range(6):
            new = [source.change(day) for _ in range(rng.randrange(6))]
            due = [change for change in held if change["day"] < day]  # stamped yesterday, visible today: F2, F3
            kept = [change for change in new if rng.random() < 0.2]
            held = [change for change in held if change not in due] + kept
            history.add([change for change in new if change not in kept] + due)
            which = rng.randrange(2)
            if refreshers[which] is None:
                history.merge(watermark)
                refreshers[which] = day - datetime.timedelta(days=2)
            elif rng.random() < 0.6:
                watermark = refreshers[which]  # also backwards: a zombie's
                refreshers[which] = None
            assert history.view("base", watermark) == state(history.changes), (seed, back)


def test_ft_f2_a_row_stamped_before_midnight_and_visible_after_the_refresh(history):
    source = Source(5)
    history.add([source.change(_day(1), "c", ("a", 1)), source.change(_day(1), "c", ("a", 2))])
    late = source.change(_day(1), "u", ("a", 1))
    history.merge(_day(100))
    watermark = _day(2)
    history.add([late])
    assert history.view("base", watermark) == state(history.changes)
    history.merge(watermark)
    assert history.view("base", _day(1)) == state(history.changes)
    assert history.view("base", _day(-1)) == state(history.changes), "the base has it too"


@pytest.mark.parametrize("gone", ["d", "t"])
def test_ft_f4_a_late_row_brings_nothing_back(history, gone):
    """Deleted or truncated, merged, and then an `r` row with an older number."""
    source = Source(6)
    history.add([source.change(_day(5), "c", ("a", 1)), source.change(_day(5), "c", ("b", 2))])
    history.add([source.change(_day(5), gone, ("a", 1))])
    history.merge(_day(100))
    late = source.change(_day(1), "r", ("a", 1), late=20)
    assert late["seq"] < history.changes[-1]["seq"]
    history.add([late])
    assert history.view("base", _day(2)) == state(history.changes)
    assert ("a", 1) not in history.view("base", _day(2))
    history.merge(_day(2))
    assert ("a", 1) not in history.view("base", _day(-1))


def test_ft_f4_nothing_but_the_key_of_a_deleted_row_stays_in_the_base(history):
    source = Source(7)
    history.add([source.change(_day(5), "c", ("a", 1)) | {"note": "secret"}, source.change(_day(5), "d", ("a", 1)) | {"note": "secret"}])
    history.merge(_day(100))
    assert history.rest.query(f"SELECT region, id, note, price, __op FROM `p.{history.dataset}.orders_base`") == [("a", "1", None, None, "d")]


def test_ft_f6_a_row_outlives_its_partition(history):
    source = Source(8)
    history.add([source.change(_day(30), "c", ("a", 1)), source.change(_day(0), "c", ("a", 2))])
    expected = state(history.changes)
    history.merge(_day(100))
    history.rest.query(f"DELETE FROM `p.{history.dataset}.orders_history` WHERE __ingest_day < DATE '{_day(10)}'")
    assert history.view("base", _day(2)) == expected
    assert history.view() != expected, "so a plain view is refused on an expiring history"


@pytest.mark.parametrize("seed", SEEDS)
def test_ft_f6_as_of_misses_what_has_expired_and_is_never_wrong(history, seed):
    source, ops = Source(seed), random.Random(seed).choices("cud", (30, 40, 20), k=120)
    ops[0], ops[10], ops[40], ops[60] = "c", "t", "t", "c"
    keys = {0: ("never again", 1), 60: ("never again", 2)}  # the base has both, and of the truncates the second one alone
    history.add([source.change(_day(20 - number // 6), op, keys.get(number)) for number, op in enumerate(ops)])
    history.merge(_day(100))
    history.rest.query(f"DELETE FROM `p.{history.dataset}.orders_history` WHERE __ingest_day < DATE '{_day(8)}'")
    history.rest.query(text("as_of_expiring", history.dataset))
    by_key = lambda changes: {change["key"]: change for change in changes}  # the newest
    truncated, in_base, found = history.changes[40]["seq"], by_key(history.changes), []
    for at in (history.changes[number]["ts"] for number in (25, 70, 119)):
        shown = {(region, int(number)): tuple(values) for region, number, *values in
                 history.rest.query(f"SELECT * FROM `p.{history.dataset}.orders_as_of`(TIMESTAMP_SECONDS({at}))")}
        was, then = state(history.changes, at), by_key(change for change in history.changes if change["ts"] <= at)
        assert shown.items() <= was.items(), (at, shown, was)
        stored = [key for key in was if then[key]["day"] >= _day(8) or then[key] is in_base[key] and (truncated <= at or then[key]["seq"] > truncated)]
        assert shown.keys() == set(stored), (at, shown, stored)
        found.append((len(shown), len(was)))
    none, some, all_of_them = found
    assert none[0] == 0 < none[1] and 0 < some[0] < some[1] and all_of_them[0] == all_of_them[1], found
    assert ("never again", 2) in shown


def test_a_column_that_the_base_lacked_is_healed_by_the_next_merge(history):
    """The row was merged by a statement that did not know its newest column; the tail's copy is taken, and the same row merged again fills it."""
    source = Source(9)
    history.add([source.change(_day(0), "c", ("a", 1)) | {"note": "n", "price": "5"}])
    history.merge(_day(100))
    history.rest.query(f"UPDATE `p.{history.dataset}.orders_base` SET price = NULL WHERE TRUE")
    assert history.view("base", _day(2)) == state(history.changes)
    history.merge(_day(2))
    assert history.view("base", _day(-1)) == state(history.changes)


def test_views_name_days_where_the_history_requires_it(rest):
    history = History(rest, f"views_{next(_numbers)}", require_filter=True)
    history.add(_many(3, 3))
    with pytest.raises(RestError):
        history.view()
    assert history.view("plain_filtered") == state(history.changes)
    history.merge(_day(100))
    assert history.view("base", _day(1)) == state(history.changes)


def test_days_count_rows_and_truncates(history):
    source = Source(10)
    history.add([source.change(_day(2), "c") for _ in range(3)] + [source.change(_day(1), "t"), source.change(_day(1), "c")])
    rows = {(day, int(count), int(truncates)) for day, count, truncates in history.rest.query(text("days", history.dataset)) if int(count) >= 0}
    assert rows == {(str(_day(2)), 3, 0), (str(_day(1)), 2, 1)}
    assert len([row for row in history.rest.query(text("days", history.dataset)) if int(row[1]) < 0]) == 1

# SPDX-License-Identifier: Apache-2.0
"""The oracle is judged first: given rows that are wrong in one way each, it says so; given right ones, it is silent."""
import pytest

from lib.avro import Reader, date_text, datetime_text, decimal_text
from lib.oracle import Judgement, Row, judge_rows
from lib.truth import Image
from lib.values import json_value


class _Table:
    """What lib.values.SourceTable says of a table, without a server."""

    key = ["id"]

    def __init__(self, *rows):
        self.rows = list(rows)

    def arrived(self, columns):
        return (columns["id"], columns["v"])


def _row(op, seq, idx, txid, key, value):
    return Row(op, seq, idx, "test", txid, {"id": key, "v": value})


IMAGES = [Image("g-1", 0, "c"), Image("g-1", 1, "c"), Image("g-2", 0, "u"), Image("g-3", 0, "u"), Image("g-4", 0, "d")]
ROWS = [_row("c", 10, 0, "g-1", 1, "a"), _row("c", 10, 2, "g-1", 2, "b"), _row("u", 11, 0, "g-2", 1, "c"),
        _row("d", 12, 0, "g-3", 1, "c"), _row("c", 12, 1, "g-3", 7, "c"), _row("d", 13, 0, "g-4", 2, "b")]
NOW = _Table((7, "c"))


def _judge(rows, images=IMAGES, table=NOW):
    judgement = Judgement("here")
    judge_rows(judgement, "t", rows, images, table)
    return "\n".join(judgement.problems)


def test_right_rows_are_right():
    assert _judge(ROWS) == ""


@pytest.mark.parametrize("at", range(len(ROWS)))
def test_a_lost_row_is_found(at):
    assert _judge(ROWS[:at] + ROWS[at + 1:])


@pytest.mark.parametrize("at", range(len(ROWS)))
def test_a_row_twice_is_found(at):
    assert "twice" in _judge(ROWS[:at + 1] + ROWS[at:])


@pytest.mark.parametrize("at", range(len(ROWS)))
def test_a_row_of_no_commit_is_found(at):
    assert "never committed" in _judge(ROWS[:at] + [ROWS[at]._replace(txid="g-9", seq=10 + at)] + ROWS[at:])


@pytest.mark.parametrize("at,change", [(2, {"seq": 9}), (5, {"seq": 12}), (2, {"op": "d"}), (0, {"source": "other"}), (1, {"idx": 3}),
                                       (4, {"columns": {"id": 7, "v": "x"}}), (4, {"columns": {"id": 8, "v": "c"}})])
def test_a_changed_row_is_found(at, change):
    assert _judge(ROWS[:at] + [ROWS[at]._replace(**change)] + ROWS[at + 1:])


def test_rows_of_a_key_out_of_order_are_found():
    assert "out of order" in _judge([ROWS[2], ROWS[0], ROWS[1], *ROWS[3:]])


def test_another_table_at_the_source_is_found():
    for rows in ([], [(7, "d")], [(7, "c"), (8, "c")]):
        assert "source" in _judge(ROWS, table=_Table(*rows))


def test_avro_forms():
    assert Reader(b"\x01").long() == -1 and Reader(b"\x80\x01").long() == 64
    assert decimal_text(b"\xff", 2) == "-0.01" and decimal_text(b"\x00\xff", 0) == "255" and decimal_text(b"\x00", 3) == "0.000"
    assert date_text(-1) == "1969-12-31" and datetime_text(-1) == "1969-12-31 23:59:59.999999"
    assert json_value('{"b": 1.50, "a": 2}') == json_value('{"a":2,"b":1.5}') != json_value('{"a":2,"b":1.51}')

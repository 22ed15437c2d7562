# SPDX-License-Identifier: Apache-2.0
"""The fault tests of rule F, the latest view as base + tail. The name is the rule. On the emulator: its SQL carries out the MERGE.

A base has something to take over once a day; here days pass by changing the ingest day of rows in the history (`_days_pass`), and the view's own
literal where a test wants an old one. At each step the view is compared with SELECT at the source.
"""
import datetime
import re

import pytest

from lib import oracle
from lib.bigquery_judge import BigQueryWarehouse
from lib.http_door import HttpDoor
from lib.path import Program, merged
from lib.processes import wait_for


@pytest.fixture
def based(make_path, mariadb, broker, emulator):
    """A keyed table under a base view, refreshed by command only; ten rows, arrived, and a first round."""
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator, view={"*.*": "base"}, refresh="command"))
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n INT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'first', {i})" for i in range(10)))
    path.wait_arrived()
    return path


def _views(path, name="views", endpoint=None, wait=True):
    """A round of `kakehi-worker views`."""
    settings = merged(path.settings, {"bigquery": {"endpoint": endpoint}} if endpoint else {})
    program = Program(path, "worker", f"{name}{len(path.programs)}", settings, command="views")
    path.programs.append(program)
    if wait:
        assert program.wait(60) == 0, program.text()
    return program


def _view_is_source(path):
    """The view alone: histories of these tests have rows that nobody committed."""
    judgement = oracle.Judgement("bigquery")
    table = path.source_table("t")
    oracle.compare(judgement, "t (view)", [table.arrived(row) for row in path.warehouse.view_rows(path, "t", table)], table)
    judgement.must_be_clean()


def _arrived(path):
    path.wait_arrived()
    _view_is_source(path)


def _view(path):
    """Its text; "" as long as there is none."""
    return (path.warehouse.server.client.call("table", path.warehouse.dataset(path), "t") or {}).get("view", {}).get("query", "")


def _query(path, sql):
    return path.warehouse.server.client.query(sql.replace("{dataset}", path.warehouse.dataset(path)))


def _days_pass(path, days=5):
    """All rows of the history were stamped earlier; the view's watermark goes back with them, as it then was."""
    _query(path, f"UPDATE `{{dataset}}.t_history` SET __ingest_day = DATE_SUB(__ingest_day, INTERVAL {days} DAY) WHERE TRUE")
    view = path.warehouse.server.client.call("table", path.warehouse.dataset(path), "t")
    if view and "t_base" in view["view"]["query"]:
        _set_view(path, re.sub(r"\d{4}-\d\d-\d\d", lambda found: str(datetime.date.fromisoformat(found[0]) - datetime.timedelta(days=days)), view["view"]["query"]))


def _set_view(path, text):
    path.warehouse.server.client.call("set_view", path.warehouse.dataset(path), "t", text)


def _add(path, op, seq, ident, values=(None, None), day=0):
    """A row straight into the history: id, (v, n), ingest day = today + day."""
    today = (datetime.datetime.now(datetime.timezone.utc).date() - datetime.date(1970, 1, 1)).days
    row = {"id": ident, "v": values[0], "n": values[1], "__op": op, "__ts": 1, "__seq": seq, "__idx": 0, "__source": "test", "__txid": f"by-hand-{seq}-{ident}",
           "__ingest_day": today + day}
    columns = ["id int64", "v string", "n int64", "__op string", "__ts int64", "__seq int64", "__idx int64", "__source string", "__txid string", "__ingest_day int32"]
    path.warehouse.server.client.call("append_rows", path.warehouse.history(path, "t"), columns, [row])


def _base_rows(path):
    return _query(path, "SELECT * FROM `{dataset}.t_base` ORDER BY id")


@pytest.fixture
def door(emulator):
    proxy = HttpDoor(emulator.endpoint)
    yield proxy
    proxy.close()


_MERGE = lambda line, body: line.startswith("POST") and "MERGE" in body
_SET_VIEW = lambda line, body: re.match(r"(PATCH|PUT) .*/tables/t\b", line) is not None


@pytest.mark.parametrize("step", [_MERGE, pytest.param(_SET_VIEW, marks=pytest.mark.thorough)], ids=["before its MERGE", "before its watermark"])
def test_F1_two_refreshers_one_paused(based, door, step):
    """One stands between its steps while another goes through, days pass, and rows come and go; then it goes on. The view is right all the time."""
    _views(based)
    _view_is_source(based)
    _days_pass(based)
    based.sql("UPDATE t SET v = 'second' WHERE id < 5", "DELETE FROM t WHERE id = 9")
    _arrived(based)
    held = door.hold(step)
    slow = _views(based, "slow", door.endpoint, wait=False)
    held.wait_somebody()
    _view_is_source(based)
    _views(based, "quick")
    _view_is_source(based)
    based.sql("UPDATE t SET v = 'third' WHERE id < 3", "INSERT INTO t VALUES (20, 'new', 1)", "DELETE FROM t WHERE id = 4")
    _arrived(based)
    held.open()
    assert slow.wait(60) == 0, slow.text()
    _view_is_source(based)
    _days_pass(based)
    _views(based)
    _view_is_source(based)


@pytest.mark.parametrize("step", [pytest.param(_MERGE, marks=pytest.mark.thorough), _SET_VIEW], ids=["before its MERGE", "before its watermark"])
def test_F1_worker_paused_in_its_round(make_path, mariadb, broker, emulator, door, step):
    """The worker is the refresher: it is paused within its round, another one takes its partition over and makes a round of its own, rows come and go; then the
    first one goes on, with a MERGE or a watermark of then."""
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator, view={"*.*": "base"}), topics__partitions=1, kafka={"session.timeout.ms": 3000})
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n INT)")
    path.producer()
    first = path.worker("first")
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'first', {i})" for i in range(10)))
    path.wait_arrived()
    wait_for(lambda: "t_base" in _view(path), "a view that reads the base", 60, 0.3)
    first.must_stop()
    _days_pass(path)
    old = _view(path)
    held = door.hold(step)
    slow = path.worker("slow", bigquery__endpoint=door.endpoint)
    path.sql("UPDATE t SET v = 'second' WHERE id < 5", "DELETE FROM t WHERE id = 9")
    held.wait_somebody()
    _arrived(path)
    slow.stop()
    quick = path.worker("quick")
    path.sql("UPDATE t SET v = 'third' WHERE id < 3", "INSERT INTO t VALUES (20, 'new', 1)", "DELETE FROM t WHERE id = 4")
    _arrived(path)
    quick.wait_logged("base-refreshed", 90)
    assert _view(path) != old
    _view_is_source(path)
    path.sql("UPDATE t SET n = n + 1")
    _arrived(path)
    held.open()
    slow.resume()
    held.wait_passed()
    _view_is_source(path)
    path.sql("DELETE FROM t WHERE id = 5", "INSERT INTO t VALUES (5, 'again', 0)")
    _arrived(path)
    _days_pass(path)
    _views(path)
    _view_is_source(path)


@pytest.mark.thorough
def test_F1_zombie_sets_an_older_watermark(based):
    """The tail is larger then, and nothing is wrong."""
    _views(based)
    before = based.warehouse.server.client.call("table", based.warehouse.dataset(based), "t")["view"]["query"]
    _days_pass(based)
    _views(based)
    _set_view(based, re.sub(r"\d{4}-\d\d-\d\d", "2020-01-01", before))
    _view_is_source(based)
    based.sql("UPDATE t SET n = n + 1")
    _arrived(based)
    _views(based)
    _view_is_source(based)


@pytest.mark.parametrize("stamped", [-1, -2])
def test_F2_row_stamped_before_midnight_seen_after_the_refresh(based, stamped):
    """It became visible behind the MERGE, with an ingest day before it: the tail still begins before that day."""
    _views(based)
    based.sql("UPDATE t SET v = 'late' WHERE id = 3")
    based.wait_arrived()
    _query(based, "UPDATE `{dataset}.t_history` SET __ingest_day = DATE_ADD(CURRENT_DATE('UTC'), INTERVAL " + str(stamped) + " DAY) WHERE v = 'late'")
    _view_is_source(based)


def test_F4_deleted_key_does_not_come_back(based):
    """Deleted, taken over, and then an older `r` row arrives: the tombstone stays in the base."""
    based.sql("DELETE FROM t WHERE id = 3")
    based.wait_arrived()
    _days_pass(based)
    _views(based)
    _view_is_source(based)
    assert [row["__op"] for row in _base_rows(based) if row["id"] == 3] == ["d"]
    _add(based, "r", 1, 3, ("old", 0))
    _view_is_source(based)
    _days_pass(based)
    _views(based)
    _view_is_source(based)


def test_F4_truncated_rows_do_not_come_back(based):
    """The same with a truncate: it stays in the base too."""
    based.sql("TRUNCATE TABLE t", "INSERT INTO t VALUES (100, 'after', 1)")
    based.wait_arrived()
    _days_pass(based)
    _views(based)
    _view_is_source(based)
    _add(based, "r", 1, 3, ("old", 0))
    _view_is_source(based)
    _days_pass(based)
    _views(based)
    _view_is_source(based)


@pytest.mark.thorough
def test_F5_rows_that_came_into_a_closed_day(based):
    """Whatever broke F3: the next round finds them by the days' counts, says so, and takes them over."""
    _views(based)
    _days_pass(based)
    based.sql("UPDATE t SET n = 0 WHERE id = 1")
    based.wait_arrived()
    _views(based)
    _view_is_source(based)
    _add(based, "u", 1 << 60, 5, ("late", 55), day=-5)
    said = _views(based)
    assert any(row["v"] == "late" for row in based.warehouse.select(based, "* FROM `{dataset}.t`")), said.text()
    assert "late" in said.text() or "closed" in said.text(), said.text()


def test_F6_unchanged_key_outlives_its_partition(make_path, mariadb, broker, emulator):
    """The history expires, the base stays: a row that nobody changed is still in the view."""
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator, view={"*.*": "base"}, refresh="command", partition_expiration="30d"))
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n INT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', 3)", "DELETE FROM t WHERE id = 2")
    path.wait_arrived()
    _days_pass(path, 20)
    _views(path)
    _query(path, "DELETE FROM `{dataset}.t_history` WHERE __ingest_day < DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 10 DAY)")
    _view_is_source(path)
    path.sql("UPDATE t SET n = 10 WHERE id = 1")
    wait_for(lambda: _query(path, "SELECT id FROM `{dataset}.t_history` WHERE n = 10"), "the update in a history that has lost its older rows", 60)
    _view_is_source(path)
    _views(path)
    _view_is_source(path)
    now = _query(path, "SELECT id, n FROM `{dataset}.t_as_of`(TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) ORDER BY id")
    assert [(row["id"], row["n"]) for row in now] == [(1, 10), (3, 3)], now


def test_F6_plain_view_of_an_expiring_history_is_refused(make_path, mariadb, broker, emulator):
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator, partition_expiration="30d"))
    worker = path.worker()
    wait_for(lambda: not worker.running(), "the refusal")
    assert "partition_expiration" in worker.text() and worker.popen.returncode != 0


@pytest.mark.thorough
def test_F7_base_made_anew(based):
    """Somebody drops the base: the next round reads the whole history, makes it, and goes back to base + tail."""
    _days_pass(based)
    _views(based)
    based.warehouse.server.client.call("drop_table", based.warehouse.dataset(based), "t_base")
    _views(based)
    _view_is_source(based)
    assert len(_base_rows(based)) == 10


@pytest.mark.thorough
def test_columns_come_and_go_under_a_base(based):
    _views(based)
    based.sql("ALTER TABLE t ADD COLUMN extra INT", "UPDATE t SET extra = id WHERE id < 5")
    based.wait_arrived()
    _views(based)
    _view_is_source(based)
    _days_pass(based)
    _views(based)
    _view_is_source(based)
    based.sql("ALTER TABLE t DROP COLUMN n", "UPDATE t SET extra = 1 WHERE id = 7")
    based.wait_arrived()
    _views(based)
    _view_is_source(based)


def test_worker_looks_after_the_view(make_path, mariadb, broker, emulator):
    """Without the command: the worker of partition 0 makes base and view, and changes them with the columns."""
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator, view={"*.*": "base"}))
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n INT)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2)")
    path.wait_arrived()
    wait_for(lambda: "t_base" in _view(path), "a view that reads the base", 60, 0.5)
    path.sql("ALTER TABLE t ADD COLUMN extra INT", "UPDATE t SET extra = 7")
    path.wait_arrived()
    view = lambda: path.warehouse.view_rows(path, "t", path.source_table("t"))
    wait_for(lambda: all("extra" in row for row in view()), "the new column in the view", 60, 0.5)
    path.judge()

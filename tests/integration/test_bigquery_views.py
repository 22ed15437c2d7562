# SPDX-License-Identifier: Apache-2.0
"""`kakehi-worker views` on made-up histories in the emulator: what it makes, and what stays right when several run at once, one is held between its
two steps, or somebody drops what it made. The statements themselves are test_bigquery_view_sql.py's.
"""
import datetime
import itertools
import json
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lib.histories import History, Rest, Source, state
from lib.path import build_folder
from lib.processes import free_ports

_numbers = itertools.count(1)
TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def _day(back):
    return TODAY - datetime.timedelta(days=back)


@pytest.fixture
def rest(emulator):
    return Rest(emulator)


class Views:
    """The command for one history, with an owner of its own, so that it sees no other test's."""

    def __init__(self, rest, emulator, folder, **history):
        self.owner = f"owner{next(_numbers)}"
        self.rest, self.emulator, self.folder = rest, emulator, folder
        self.history = History(rest, self.owner, owner=self.owner, **history)

    def start(self, endpoint=None, **bigquery):
        settings = {"prefix": "kakehi", "kafka": {"bootstrap.servers": "127.0.0.1:1"}, "warehouse": "bigquery",
                    "bigquery": {"project": "p", "dataset": self.owner, "owner": self.owner, "endpoint": endpoint or self.emulator.endpoint,
                                 "storage_endpoint": self.emulator.storage_endpoint, "credentials": "none", **bigquery}}
        file = self.folder / f"{self.owner}.{next(_numbers)}.yaml"
        file.write_text(json.dumps(settings))
        return subprocess.Popen([build_folder() / "kakehi-worker", "views", "-c", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, code=0, **bigquery):
        return self.wait(self.start(**bigquery), code)

    @staticmethod
    def wait(process, code=0):
        out, log = process.communicate(timeout=120)
        assert process.returncode == code, out + log
        return out

    def view(self):
        return self.rest.table(self.owner, "orders")

    def set_back(self, days):
        """The view as it was when its watermark was older: the base may hold more than it says."""
        view = self.view()
        query = view["view"]["query"].replace(str(_day(2)), str(_day(2 + days)))
        self.rest.call("PATCH", f"/datasets/{self.owner}/tables/orders", {"view": {"query": query, "useLegacySql": False}})


@pytest.fixture
def views(rest, emulator, tmp_path):
    return Views(rest, emulator, tmp_path)


BASE = {"view": {"*.*": "base"}}


def _many(seed, days=6, each=15):
    source = Source(seed)
    return [source.change(_day(days - number)) for number in range(days + 1) for _ in range(each)]


def test_a_plain_view_is_made_and_then_there_is_nothing_to_do(views):
    views.history.add(_many(1))
    assert views.run() == "shop.orders: view made or changed\n"
    assert views.history.orders() == state(views.history.changes)
    assert views.run() == "shop.orders: nothing to do\n"
    views.rest.query(f"DROP TABLE FUNCTION `p.{views.owner}.orders_as_of`")
    assert views.run() == "shop.orders: view made or changed\n"
    rows = views.rest.query(f"SELECT id FROM `p.{views.owner}.orders_as_of`(TIMESTAMP_SECONDS(0))")
    assert not rows


def test_a_base_is_made_and_filled_and_the_view_reads_it(views):
    views.history.add(_many(2))
    out = views.run(**BASE)
    assert out == f"shop.orders: refreshed, merged from the beginning, base before {_day(2)}\n"
    assert views.history.orders() == state(views.history.changes)
    assert f"DATE '{_day(2)}'" in views.view()["view"]["query"]
    assert views.run(**BASE) == f"shop.orders: nothing to do, base before {_day(2)}\n"
    views.history.rest.query(f"DELETE FROM `p.{views.owner}.orders_history` WHERE __ingest_day < DATE '{_day(2)}'")
    assert views.history.orders() == state(views.history.changes), "the base holds what the history has no more"


def test_ft_f1_many_at_once(views):
    views.history.add(_many(3))
    for process in [views.start(**BASE) for _ in range(4)]:
        out, log = process.communicate(timeout=120)
        assert process.returncode == 0 or "Failed to commit" in out, out + log  # the emulator's answer to two writers at once
    views.run(**BASE)
    assert views.history.orders() == state(views.history.changes)
    assert views.run(**BASE) == f"shop.orders: nothing to do, base before {_day(2)}\n"


class Holder:
    """A proxy that holds the next change of the view until it is let go."""

    def __init__(self, emulator):
        self.held, self.go = threading.Event(), threading.Event()
        holder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.command == "PATCH" and self.path.endswith("/tables/orders") and not holder.held.is_set():
                    holder.held.set()
                    assert holder.go.wait(60)
                headers = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "if-match")}
                request = urllib.request.Request(emulator.endpoint + self.path, body or None, headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        status, data = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, data = error.code, error.read()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _pass_on

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", free_ports(1)), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def holder(emulator):
    one = Holder(emulator)
    yield one
    one.close()


def test_ft_f1_one_is_held_between_its_two_steps(views, holder):
    """It has merged; before it moves the watermark, rows come, and another refreshes: then it is too late, and begins again."""
    source = Source(4)
    views.history.add([source.change(_day(5)) for _ in range(20)])
    views.run(**BASE)
    views.set_back(2)
    views.history.add([source.change(_day(1)) for _ in range(10)])
    late = views.start(endpoint=holder.endpoint, **BASE)
    assert holder.held.wait(60)
    assert views.history.orders() == state(views.history.changes)
    views.history.add([source.change(_day(0)) for _ in range(10)])
    views.run(**BASE)
    assert views.history.orders() == state(views.history.changes)
    views.rest.query(f"DROP TABLE `p.{views.owner}.orders_base`")
    views.run(**BASE)
    views.history.add([source.change(_day(0)) for _ in range(5)])
    holder.go.set()
    views.wait(late)
    assert views.history.orders() == state(views.history.changes)


def test_ft_f4_nothing_comes_back(views):
    source = Source(5)
    views.history.add([source.change(_day(6), "c", ("a", 1)), source.change(_day(6), "c", ("a", 2)), source.change(_day(6), "d", ("a", 1))])
    views.run(**BASE)
    views.history.add([source.change(_day(0), "r", ("a", 1), late=15)])
    assert views.history.orders() == state(views.history.changes)
    views.history.add([source.change(_day(0), "t")])
    views.set_back(1)
    assert "refreshed" in views.run(**BASE)
    views.history.add([source.change(_day(0), "r", ("a", 2), late=40), source.change(_day(0), "r", ("a", 3), late=40)])
    assert views.history.orders() == state(views.history.changes) == {}


def test_ft_f5_a_late_row_in_a_closed_day_is_told_and_merged(views):
    source = Source(6)
    views.history.add([source.change(_day(4), "c", ("a", 1)), source.change(_day(4), "c", ("a", 2))])
    views.run(**BASE)
    views.history.add([source.change(_day(4), "u", ("a", 1)) | {"note": "late"}])
    assert views.history.orders() != state(views.history.changes), "this is what must never happen, and is watched for that"
    assert views.run(**BASE) == f"shop.orders: refreshed, merged from {_day(4)}, base before {_day(2)}, 1 late rows found\n"
    assert views.history.orders() == state(views.history.changes)


def test_ft_f6_an_expiring_history_has_no_plain_view(rest, emulator, tmp_path):
    views = Views(rest, emulator, tmp_path, expiration_ms=864000000)
    views.history.add(_many(7, 2))
    assert "so a plain view would lose the rows that do not change" in views.run(code=1)
    assert views.view() is None
    views.run(**BASE)
    assert views.history.orders() == state(views.history.changes)
    views.rest.query(f"DROP TABLE `p.{views.owner}.orders_base`")
    assert "undelete it" in views.run(code=1, **BASE)


def test_ft_f7_a_dropped_base_is_made_anew(views):
    views.history.add(_many(8))
    views.run(**BASE)
    views.rest.query(f"DROP TABLE `p.{views.owner}.orders_base`")
    assert "merged from the beginning" in views.run(**BASE)
    assert views.history.orders() == state(views.history.changes)


def test_columns_come_and_go(views):
    source = Source(9)
    views.history.add([source.change(_day(1), "c", ("a", 1))])
    views.run(**BASE)
    fields = views.rest.table(views.owner, "orders_history")["schema"]["fields"]
    fields[2]["description"] += ", dropped"
    fields.append({"name": "weight", "type": "FLOAT64", "mode": "NULLABLE", "description": "weight double"})
    views.rest.call("PATCH", f"/datasets/{views.owner}/tables/orders_history", {"schema": {"fields": fields}})
    views.run(**BASE)
    assert views.rest.query(f"SELECT id, weight FROM `p.{views.owner}.orders`") == [("1", None)]
    views.run(columns="current", **BASE)
    assert [field[0] for field in _columns(views)] == ["region", "id", "price", "weight"]
    views.rest.query(f"ALTER TABLE `p.{views.owner}.orders_history` DROP COLUMN price")
    views.run(columns="current", **BASE)
    assert [field[0] for field in _columns(views)] == ["region", "id", "weight"]


def _columns(views):
    table = views.rest.table(views.owner, "orders")
    return [(field["name"], field["type"]) for field in table["schema"]["fields"]]


def test_days_must_be_named_where_the_history_requires_it(rest, emulator, tmp_path):
    views = Views(rest, emulator, tmp_path, require_filter=True)
    views.history.add(_many(10, 3))
    views.run(**BASE)
    assert views.history.orders() == state(views.history.changes)


def test_a_table_without_a_key_has_no_view(rest, emulator, tmp_path):
    views = Views(rest, emulator, tmp_path, key=())
    assert views.run() == "shop.orders: no primary key, so no latest view\n"
    assert views.view() is None


def test_another_owners_histories_are_not_touched(views, rest, emulator, tmp_path):
    other = Views(rest, emulator, tmp_path)
    other.run()
    assert views.view() is None
    assert other.view() is not None


def test_deleted_rows_are_shown_by_setting(views):
    source = Source(11)
    views.history.add([source.change(_day(5), "c", ("a", 1)) | {"note": "n"}, source.change(_day(5), "d", ("a", 1)) | {"note": "n"}, source.change(_day(5), "c", ("a", 2))])
    views.run(deletes="keep", **BASE)
    rows = views.rest.query(f"SELECT id, note, __deleted FROM `p.{views.owner}.orders` WHERE id = 1")
    assert rows == [("1", "n", "true")]

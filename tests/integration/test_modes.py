# SPDX-License-Identifier: Apache-2.0
"""Where a stream begins and goes on: GTID and file+position, the three starts, restarts in mid-stream, TLS, and the cases where it must stop.

A source that can't go on from where it was must say so and end; it must never go on somewhere else (P1).
"""
import subprocess

import pytest

from lib import oracle, truth
from lib.databases import MariaDB, MySQL
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for

FAILED = 1


def _table(path):
    path.sql("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")


def test_kill_and_restart_in_mid_stream(path):
    """kill -9 under load, several times: what arrives is what was committed."""
    make_tables(path)
    path.worker()
    producer = path.producer()
    load = Load(path, seed=5, rate=300).start()
    for turn in range(3):
        wait_rows(load, 150 * (turn + 1))
        producer.kill()
        producer = path.producer(f"producer{turn}")
    load.finish()
    path.wait_and_judge()


def test_server_restarts_in_mid_stream(make_path, session_folder, broker):
    """The connection is lost, the log goes on in another file; the producer comes back by itself."""
    server = MariaDB(session_folder / "mariadb-restarts").start()
    path = make_path(server, broker)
    _table(path)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (1), (2)")
    path.wait_arrived()
    server.kill()
    server.start()
    path.sql("INSERT INTO t (v) VALUES (3)", "UPDATE t SET v = v + 1")
    path.wait_and_judge()
    assert producer.running()
    server.stop()


def test_start_current_takes_only_what_comes(path):
    _table(path)
    path.sql("INSERT INTO t (v) VALUES (1), (2)")
    path.first_log_file = path.server.new_log_file()
    path.producer(source__start="current")
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (3)")
    path.wait_and_judge(whole=False)
    assert oracle.history_count(path.sqlite_file, "t") == 1


def test_start_earliest_takes_all_that_the_log_has(path):
    _table(path)
    path.sql("INSERT INTO t (v) VALUES (1), (2)")
    path.server.new_log_file()
    path.sql("UPDATE t SET v = 5")
    path.producer(source__start="earliest")
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (3)")
    path.wait_and_judge()


def test_start_at_a_gtid_set(path):
    _table(path)
    path.sql("INSERT INTO t (v) VALUES (1), (2)")
    start = path.server.gtid_position()
    path.first_log_file = path.server.new_log_file()
    path.sql("UPDATE t SET v = 5", "INSERT INTO t (v) VALUES (3)")
    path.producer(source__start=start)
    path.worker()
    path.wait_and_judge(whole=False)


def test_tagged_gtids(make_path, session_folder, broker):
    """MySQL from 8.3: a set with tags is kept, asked for at a restart, and covered or not covered like any other."""
    server = MySQL(session_folder / "mysql-tagged").start()
    server.since(8, 3, 0)
    path = make_path(server, broker)
    _table(path)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (1)", "SET SESSION gtid_next = 'AUTOMATIC:first'", "INSERT INTO t (v) VALUES (2)", "UPDATE t SET v = v + 1",
             "SET SESSION gtid_next = 'AUTOMATIC:second'", "INSERT INTO t (v) VALUES (3)")
    path.wait_arrived()
    producer.must_stop()
    path.sql("SET SESSION gtid_next = 'AUTOMATIC:first'", "INSERT INTO t (v) VALUES (4)", "SET SESSION gtid_next = 'AUTOMATIC'", "DELETE FROM t WHERE id = 1")
    producer = path.producer("again")
    path.sql("SET SESSION gtid_next = 'AUTOMATIC:third'", "INSERT INTO t (v) VALUES (5)")
    path.wait_and_judge()
    assert all(tag in producer.status()["source"]["position"] for tag in (":first:1-3", ":second:1", ":third:1")), producer.status()["source"]["position"]
    server.stop()


def test_file_and_position_are_refused_where_gtid_is_on(path):
    """GTID first: a place in a file says nothing about the server that takes over."""
    _table(path)
    refused = path.start_producer(source__start=f"{path.first_log_file}:4")
    assert refused.wait(60) == FAILED and path.first_log_file in refused.errors() and "GTID" in refused.errors()


@pytest.fixture(scope="module")
def mysql_without_gtid(session_folder):
    server = MySQL(session_folder / "mysql-without-gtid", ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]).start()
    yield server
    server.stop()


@pytest.mark.parametrize("start", ["current", "earliest"])
def test_file_and_position_where_gtid_is_off(make_path, mysql_without_gtid, broker, start):
    """Transactions are named by file:position of their first event; a restart goes on at that place, over a change of files."""
    server = mysql_without_gtid
    path = make_path(server, broker, source__start=start)
    path.truth = lambda: truth.read(server, path.first_log_file, path.database, by_gtid=False)
    _table(path)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (1), (2)", "BEGIN", "UPDATE t SET v = 3", "DELETE FROM t WHERE id = 1", "COMMIT")
    server.new_log_file()
    path.sql("INSERT INTO t (v) VALUES (8)")
    producer.kill()
    path.sql("INSERT INTO t (v) VALUES (9)")
    server.new_log_file()
    path.producer("producer-again")
    path.sql("UPDATE t SET v = v + 1")
    path.wait_and_judge()


def _own_server(session_folder, name, kind=MariaDB):
    return kind(session_folder / name).start()


@pytest.mark.parametrize("kind", [MariaDB, MySQL])
def test_purged_position_stops_with_the_remedy(make_path, session_folder, broker, kind):
    """Rule A7: what the position needs is no longer in the log."""
    server = _own_server(session_folder, f"purged-{kind.flavor}", kind)
    path = make_path(server, broker)
    _table(path)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (1)")
    path.wait_arrived()
    producer.must_stop()
    path.sql("INSERT INTO t (v) VALUES (2)")

    def purged():  # MariaDB keeps a file until the engine's checkpoint has passed it
        server.sql(f"PURGE BINARY LOGS TO '{server.new_log_file()}'")
        return len(server.log_files()) == 1
    wait_for(purged, "the old log to be gone", 30, 0.3)
    again = path.start_producer("producer-again")
    assert again.wait(60) == FAILED, again.text()
    assert "purged" in again.text().lower()
    assert oracle.history_count(path.sqlite_file, "t") == 1
    server.stop()


@pytest.mark.parametrize("kind", [MariaDB, MySQL])
def test_server_that_lost_our_transactions_stops_us(make_path, session_folder, broker, kind):
    """Rule A7: the position is not in what the server has executed: we delivered what no longer exists there."""
    server = _own_server(session_folder, f"reset-{kind.flavor}", kind)
    path = make_path(server, broker)
    _table(path)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO t (v) VALUES (1)", "INSERT INTO t (v) VALUES (2)")
    path.wait_arrived()
    producer.must_stop()
    server.forget_log()
    again = path.start_producer("producer-again")
    assert again.wait(60) == FAILED, again.text()
    server.stop()


def test_tls_by_name_and_by_authority(make_path, session_folder, broker):
    """The server is verified: a certificate for 127.0.0.1 is taken, one for another name or of an unknown signer is not."""
    folder = session_folder / "tls"
    folder.mkdir()

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    for name, names in (("right", "IP:127.0.0.1"), ("wrong", "DNS:elsewhere.example")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr", "-subj", "/CN=server")
        (folder / "names").write_text(f"subjectAltName={names}\n")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", folder / "names", "-out", folder / f"{name}.pem")
    for name in ("right", "wrong"):
        server = MariaDB(session_folder / f"tls-{name}", [f"--ssl-ca={folder}/ca.pem", f"--ssl-cert={folder}/{name}.pem", f"--ssl-key={folder}/{name}.key",
                                                          "--require-secure-transport=ON"]).start()
        path = make_path(server, broker, source__tls="verify", source__tls_ca=str(folder / "ca.pem"))
        _table(path)
        if name == "right":
            path.producer()
            path.worker()
            path.sql("INSERT INTO t (v) VALUES (1)")
            path.wait_and_judge()
        else:
            refused = path.start_producer("wrong-name")
            refused_ca = path.start_producer("unknown-authority", source__tls_ca=None)
            for producer in (refused, refused_ca):
                _must_not_stream(producer)
            by_authority = path.producer("by-authority", source__tls="verify_ca")
            assert by_authority.running()
        server.stop()


def _must_not_stream(producer):
    """It stops, or tries again with the reason; it never streams."""

    wait_for(lambda: not producer.running() or "certificate" in producer.text().lower() or "verif" in producer.text().lower(),
             lambda: f"a word about the certificate:\n{producer.text()}", 60)
    assert not producer.logged("source_open")
    producer.kill()


def test_an_idle_connection_is_kept(path):
    """Heartbeats show that a silent server lives: an idle stream is not lost and made anew (three of them may be missed)."""
    producer = path.producer(source__heartbeat="300ms")

    def idle_for_s():
        return max((row[5] or 0 for row in path.server.sql("SHOW PROCESSLIST") if "Dump" in str(row[4])), default=0)
    wait_for(lambda: idle_for_s() >= 4, lambda: f"the dump to last four seconds:\n{producer.text()}", 30, 0.2)
    assert not producer.logged("source_lost") and len(producer.logged("source_open")) == 1

# SPDX-License-Identifier: Apache-2.0
"""`check` of both programs: what would lose, double or stop rows is found before it does, each with its remedy; and nothing secret is said."""
import json
import re
import sqlite3
import struct

import pytest

from lib.databases import READER, READER_PASSWORD, MySQL
from lib.processes import free_ports, wait_for
from lib.proxy import Cutter


def _findings(program):
    """[(level, subject, finding, remedy)] and the exit code, of a run with --json."""
    text = program.text()
    answer, _ = json.JSONDecoder().raw_decode(text, text.index("{\n"))  # lines of the log may stand before and behind
    found = [(f["level"], f["subject"], f["finding"], f.get("remedy")) for f in answer["findings"]]
    assert answer["errors"] == sum(level == "error" for level, *_ in found)
    assert program.popen.returncode == (1 if answer["errors"] else 0), text
    assert all(remedy for level, _, _, remedy in found if level in ("warning", "error")), found
    assert READER_PASSWORD not in text
    return found


def _levels(found, words):
    return {level for level, subject, finding, _ in found if words in f"{subject}: {finding}"}


def test_a_path_that_works_has_no_errors(path):
    path.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO orders VALUES (1)")
    path.wait_arrived()
    for program in ("producer", "worker"):
        found = _findings(path.run_command(program, "check", "--json"))
        assert "error" not in {level for level, *_ in found}, found
        assert _levels(found, f"table {path.database}.orders") == {"ok"}
        assert _levels(found, f"topic {path.topic('orders')}: ") == {"warning"}  # one broker, one copy: said
        lines = path.run_command(program, "check").text().splitlines()
        assert len(lines) == len(found) + 1 and lines[-1].endswith(" ok"), lines
    assert _levels(_findings(path.run_command("producer", "check", "--json")), "kafka transactions") == {"ok"}


def test_tables_that_will_surprise_are_named(path):
    logged = bool(path.server.sql("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'"))  # MySQL from 9.6 on: cascades stand in the log
    path.sql("CREATE TABLE keyless (a INT)", "CREATE TABLE unique_only (a INT NOT NULL UNIQUE)", "CREATE TABLE parent (id INT PRIMARY KEY)",
             "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
             "CREATE TABLE wide (id INT PRIMARY KEY, d DECIMAL(60, 10), e DECIMAL(39, 0), f DECIMAL(65, 30))",
             "CREATE TABLE quiet (id INT PRIMARY KEY COMMENT 'FOREIGN KEY ON DELETE CASCADE')",
             f"CREATE TABLE plain (id INT PRIMARY KEY, at DATETIME(3) COMMENT '/* mariadb-5.3 */'{', place VECTOR(3)' if logged else ''})")
    found = _findings(path.run_producer("check", "--json", source__tables=[f"{path.database}.*", f"{path.database}.Keyless"],
                                        topics__topic={f"{path.database}.quiet": path.topic("wide")}, source__wide_decimals={"*.wide.e": "null"}))
    assert _levels(found, f"table {path.database}.keyless: it has no primary key") == {"warning"}
    assert _levels(found, f"table {path.database}.unique_only: it has no primary key") == {"warning"}
    assert _levels(found, f"table {path.database}.child: a foreign key") == {"note" if logged else "warning"}
    assert not _levels(found, f"table {path.database}.quiet: a foreign key")
    assert {path.database + ".quiet", path.database + ".wide"} == {subject.removeprefix("table ") for level, subject, text, _ in found
                                                                  if "topic " + path.topic("wide") in text}
    assert _levels(found, "its topic ") == {"error"}
    assert _levels(found, f"source.tables, {path.database}.Keyless: it selects no table") == {"warning"}
    assert not _levels(found, f"source.tables, {path.database}.*")
    assert not _levels(found, f"column {path.database}.plain.")
    assert _levels(found, f"table {path.database}.parent") == {"ok"}
    said = {subject: (level, text) for level, subject, text, _ in found if subject.startswith(f"column {path.database}.wide.")}
    assert {subject[-1]: level for subject, (level, _) in said.items()} == {"d": "note", "e": "note"}
    assert said[f"column {path.database}.wide.d"][1].endswith("it travels as text") and said[f"column {path.database}.wide.e"][1].endswith("source.wide_decimals (null)")


def test_times_in_mariadbs_old_form_are_an_error(mariadb_path):
    path = mariadb_path
    path.server.sql("SET GLOBAL mysql56_temporal_format = OFF")
    try:
        path.sql("CREATE TABLE told (id INT PRIMARY KEY, a DATETIME, b TIMESTAMP(3) NULL, c TIME(6), d DATE)")
        found = _findings(path.run_producer("check", "--json"))
    finally:
        path.server.sql("SET GLOBAL mysql56_temporal_format = ON")
    assert [subject for level, subject, _, remedy in found if level == "error" and "mysql56_temporal_format=ON" in remedy] == [
        f"column {path.database}.told.{column}" for column in "abc"]


def test_tables_with_a_past_and_sequences_are_told(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE past (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", "CREATE SEQUENCE numbers")
    found = _findings(path.run_producer("check", "--json"))
    assert _levels(found, f"table {path.database}.past: it is system-versioned") == {"warning"}
    assert _levels(found, f"table {path.database}.past: goes to topic") == {"ok"}
    assert _levels(found, f"table {path.database}.numbers: it is a sequence") == {"note"}


def test_a_server_that_may_not_be_read_is_an_error_and_all_is_said_at_once(mariadb_path):
    path = mariadb_path
    wrong = {"binlog_format": "MIXED", "binlog_row_image": "MINIMAL", "binlog_row_metadata": "MINIMAL"}
    old = {name: path.server.sql(f"SELECT @@GLOBAL.{name}")[0][0] for name in wrong}
    path.server.sql(*(f"SET GLOBAL {name} = '{value}'" for name, value in wrong.items()))
    try:
        found = _findings(path.run_producer("check", "--json"))
    finally:
        path.server.sql(*(f"SET GLOBAL {name} = '{value}'" for name, value in old.items()))
    assert {name: _levels(found, name) for name in wrong} == {name: {"error"} for name in wrong}


def _register_replica(connection, server_id):
    """As a replica does when it connects; it is one as long as the connection is open."""
    connection._execute_command(0x15, struct.pack("<IBBBHII", server_id, 0, 0, 0, 3306, 0, 0))  # COM_REGISTER_SLAVE, without names
    connection._read_ok_packet()


def test_what_a_server_lacks_for_a_bad_day_is_told_in_one_run(path):
    """Logs that go soon, transactions that need more memory than there is, some of which have no GTID (the stream would not begin), a number
    that another replica has, a name that Kafka can't hold."""
    mysql = path.server.flavor == "mysql"
    bad = {"binlog_expire_logs_seconds": 7200, "binlog_transaction_compression_level_zstd": 22}
    kept = dict(path.server.sql(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN {tuple(bad)}"))  # MariaDB before 10.6: whole days
    path.sql(f"CREATE TABLE `{'鱼' * 40}` (id INT PRIMARY KEY)", "CREATE TABLE fine (id INT PRIMARY KEY)")
    replica = path.connect()
    _register_replica(replica, 4711)
    reader = f"'{READER}'@'%'"
    asked = set() if mysql else {(level, remedy) for level, subject, _, remedy in _findings(path.run_producer("check", "--json", source__server_id=4711))
                                 if subject == "source.server_id"}
    path.server.sql(*(f"SET GLOBAL {name} = {bad[name]}" for name in kept), *(["SET GLOBAL gtid_mode = ON_PERMISSIVE"] if mysql else [
        f"GRANT REPLICATION MASTER ADMIN ON *.* TO {reader}"]))
    try:
        found = _findings(path.run_producer("check", "--json", source__server_id=4711))
        free = _findings(path.run_producer("check", "--json", source__server_id=4712))
        refused = path.run_producer("run") if mysql else None
    finally:
        path.server.sql(*(f"SET GLOBAL {name} = {value}" for name, value in kept.items()), *(["SET GLOBAL gtid_mode = ON"] if mysql else [
            f"REVOKE REPLICATION MASTER ADMIN ON *.* FROM {reader}"]))
        replica.close()
    assert _levels(found, "binlog retention: is 7200 s") == ({"warning"} if "binlog_expire_logs_seconds" in kept else set())
    inflating = [remedy for _, subject, _, remedy in found if subject == "binlog_transaction_compression_level_zstd"]
    assert inflating == (["set producer.memory to 187MiB, or the level to 19"] if "binlog_transaction_compression_level_zstd" in kept else [])
    assert _levels(found, "gtid_mode: the server has gtid_mode=ON_PERMISSIVE") == ({"error"} if mysql else set())
    assert not mysql or (refused.popen.returncode == 1 and "finish the change with SET GLOBAL gtid_mode=ON" in refused.errors())
    assert _levels(found, "source.server_id: 4711 is in use") == {"error"} and _levels(free, "source.server_id: no replica has 4712 (only replicas that register") == {"ok"}
    assert asked == (set() if mysql else {("warning", "GRANT REPLICATION MASTER ADMIN ON *.* TO the user")})
    assert _levels(found, f"table {path.database}.鱼") == {"error"} and _levels(found, f"table {path.database}.fine") == {"ok"}


def test_logs_that_rds_deletes_soon_are_told(path):
    """Its own task deletes them, by a table of its own, whatever the server's variables say."""
    path.server.sql("CREATE TABLE mysql.rds_configuration (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100), description VARCHAR(300))")
    try:
        said = []
        for hours in ("NULL", "23", "24"):
            path.server.sql(f"REPLACE INTO mysql.rds_configuration VALUES ('binlog retention hours', {hours}, ''), ('target delay', '0', '')")
            found = _findings(path.run_producer("check", "--json"))
            said += [(level, text.partition(":")[0]) for level, subject, text, _ in found if subject == "binlog retention"]
    finally:
        path.server.sql("DROP TABLE mysql.rds_configuration")
    table = "mysql.rds_configuration has binlog retention hours="
    assert said == [("warning", f"{table}NULL"), ("warning", f"{table}23"), ("ok", "is 24 h")]


def test_a_log_that_innodb_keeps_is_told_and_has_no_beginning(mariadb_path):
    """MariaDB from 12.3. None is at hand: this server is made to say that it is one."""
    path = mariadb_path
    question = b"@@GLOBAL.binlog_storage_engine"
    server = Cutter(free_ports(), path.server.port, swap=(question, b"'innodb'".ljust(len(question))))
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    assert _levels(_findings(path.run_producer("check", "--json")), "binlog_storage_engine") == set()
    found = _findings(path.run_producer("check", "--json", source__port=server.port))
    refused = path.run_producer("run", source__port=server.port, source__start="earliest")
    path.worker()
    producer = path.producer(source__port=server.port)
    path.sql("INSERT INTO t VALUES (1)")
    path.wait_and_judge()
    server.close()
    assert _levels(found, "binlog_storage_engine: is set: ") == {"warning"}
    assert refused.popen.returncode == 1 and "set source.start to current, or to a GTID set" in refused.errors()
    assert "source_unproven" in producer.text()


def _replication(path):
    """What check says of it, and the errors with which a stream refuses to begin."""
    found = _levels(_findings(path.run_producer("check", "--json")), "replication: ")
    if found != {"error"}:
        path.producer().terminate()
        return found, ""
    refused = path.run_producer("run")
    assert refused.popen.returncode == 1
    return found, refused.errors()


def test_a_replica_that_does_not_log_what_it_replicates_is_refused(mariadb_path):
    """Rows of its source would be lost in silence. Who may not ask for more still sees a replication that runs."""
    path = mariadb_path
    server, reader = path.server, f"'{READER}'@'%'"
    assert _replication(path) == ({"note"}, "")
    server.sql("CHANGE MASTER 'other' TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'nobody'", "START SLAVE 'other' SQL_THREAD")
    try:
        running = _replication(path)
        server.sql("STOP SLAVE 'other'", f"GRANT SLAVE MONITOR ON *.* TO {reader}")
        stopped = _replication(path)
    finally:
        server.sql("STOP SLAVE 'other'", "RESET SLAVE 'other' ALL")
    try:
        assert _replication(path) == ({"ok"}, "")
    finally:
        server.sql(f"REVOKE SLAVE MONITOR ON *.* FROM {reader}")
    for found, errors in (running, stopped):
        assert found == {"error"} and "the server is a replica with log_slave_updates=OFF" in errors


@pytest.mark.thorough
def test_a_replica_of_mysql_that_does_not_log_what_it_replicates_is_refused(make_path, broker, tmp_path):
    """It must be started so; a channel that stands still is enough."""
    server = MySQL(tmp_path / "replica", options=["--log-slave-updates=OFF"]).start()
    try:
        path = make_path(server, broker)
        assert _replication(path) == ({"ok"}, "")
        server.sql("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1" if server.number() >= (8, 0, 23) else
                   "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1")
        found, errors = _replication(path)
        assert found == {"error"} and "the server is a replica with log_" in errors
    finally:
        server.kill()


def test_a_user_that_may_too_little_is_told_what_he_lacks(path):
    """The rights to the log are errors; tables that he can't see would be published without having been looked at."""
    other, poor = f"{path.database}_too", "'it''s poor'@'%'"
    path.sql("CREATE TABLE seen (id INT PRIMARY KEY)", "CREATE TABLE unseen (id INT PRIMARY KEY)")
    path.server.sql(f"CREATE DATABASE {other}", f"CREATE TABLE {other}.t (id INT PRIMARY KEY)", f"CREATE USER {poor} IDENTIFIED BY '{READER_PASSWORD}'",
                    f"GRANT SELECT ON {path.database}.seen TO {poor}", f"GRANT SELECT ON `{other}`.* TO {poor}",
                    *([f"GRANT REPLICATION SLAVE ADMIN ON *.* TO {poor}"] if path.server.flavor == "mariadb" else []),  # another right
                    f"CREATE ROLE {other}", f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {other}", f"GRANT {other} TO {poor}")
    try:
        found = _findings(path.run_producer("check", "--json", source__user="it's poor",
                                            source__tables=[f"{path.database}.*", f"{path.database}.unseen", f"{other}.*"]))
        path.server.sql(f"SET DEFAULT ROLE {other} {'FOR' if path.server.flavor == 'mariadb' else 'TO'} {poor}", f"GRANT SELECT ON *.* TO {poor}")
        rich = _findings(path.run_producer("check", "--json", source__user="it's poor", source__tables=["*.*"], source__exclude=["*.seen"]))
    finally:
        path.server.sql(f"DROP DATABASE {other}", f"DROP USER {poor}", f"DROP ROLE {other}")
    assert {text for level, subject, text, _ in found if level == "error" and subject == "grants"} == {
        "it's poor may not read the log", "it's poor may not ask where the log is"}
    assert _levels(found, f"source.tables, {path.database}.*: it's poor may not see all") == {"warning"}
    assert _levels(found, f"source.tables, {path.database}.unseen: it selects no table") == {"warning"}
    assert not _levels(found, f"source.tables, {other}.*") and _levels(found, f"table {other}.t") == {"ok"}
    assert _levels(found, f"table {path.database}.seen") == {"ok"} and not _levels(found, "unseen: goes")
    assert not _levels(rich, "grants") and not _levels(rich, "source.tables") and _levels(rich, f"table {path.database}.unseen") == {"ok"}


def test_topics_that_lose_rows_are_told_by_both_programs(mariadb_path):
    """Each with its own fault, also one that has its name from the settings; text and JSON say the same."""
    path = mariadb_path
    named = f"{path.prefix}-named"
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    wrong = {path.topic("compacted"): {"cleanup.policy": "compact"}, path.topic("unclean"): {"unclean.leader.election.enable": "true"},
             path.topic("short"): {"retention.ms": "3600000"}, named: {"cleanup.policy": "compact,delete"}, f"{path.prefix}.dead": {"retention.ms": "86400000"},
             f"{path.prefix}.positions": {"cleanup.policy": "delete"}}
    for topic, settings in wrong.items():
        path.broker.create_topic(topic, **{"message.timestamp.type": "LogAppendTime", **settings})
    schemas = f"{path.prefix}.schemas"
    path.broker.create_topic(schemas, partitions=2, **{"message.timestamp.type": "LogAppendTime", "cleanup.policy": "compact"})
    for program in ("producer", "worker"):
        found = _findings(path.run_command(program, "check", "--json", topics__topic={f"{path.database}.t": named}))
        said = {topic: {(level, text.partition(" ")[0]) for level, subject, text, _ in found if subject == f"topic {topic}" and "one copy" not in text}
                for topic in [*wrong, schemas]}
        assert said == {path.topic("compacted"): {("error", "cleanup.policy")}, path.topic("unclean"): {("error", "unclean.leader.election.enable")},
                        path.topic("short"): {("warning", "retention.ms")}, named: {("error", "cleanup.policy")},
                        f"{path.prefix}.dead": {("error", "retention.ms")}, f"{path.prefix}.positions": {("error", "cleanup.policy")}, schemas: {("error", "it")}}
        ended = path.run_command(program, "check", topics__topic={f"{path.database}.t": named})
        lines = [line for line in ended.text().splitlines() if re.match(r"(ok|note|warning|error) ", line)]
        assert ended.popen.returncode == 1 and lines == [
            f"{level:<8} {subject}: {text}{f'. Remedy: {remedy}' if remedy else ''}" for level, subject, text, remedy in found]


def test_topics_that_must_be_there_and_are_not_are_errors(mariadb_path):
    """topics.create: false. The producer would stop with the first of them."""
    path = mariadb_path
    path.sql(*(f"CREATE TABLE {name} (id INT PRIMARY KEY)" for name in ("another", "missing", "there", f"`{'鱼' * 40}`")))
    path.broker.create_topic(path.topic("there"))
    path.broker.create_topic(f"{path.prefix}.dead")
    state = [f"topic {path.prefix}.{name}" for name in ("positions", "schemas")]
    for program, lacking in (("producer", [*state, f"topic {path.topic('missing')}"]), ("worker", state)):
        found = _findings(path.run_command(program, "check", "--json", topics__create=False, topics__topic={f"{path.database}.another": path.topic("missing")}))
        assert [subject for level, subject, text, _ in found if "does not exist" in text] == lacking
        assert all(level == "error" for level, subject, text, _ in found if "does not exist" in text)


def test_transactions_that_kafka_refuses_are_an_error(mariadb_path):
    found = _findings(mariadb_path.run_producer("check", "--json", producer__kafka={"transaction.timeout.ms": 3600000}))
    assert _levels(found, "kafka transactions: ") == {"error"} and _levels(found, "kafka: ") == {"ok", "note"}


def test_partitions_that_were_added_are_told(mariadb_path):
    """O7: a key's place hangs on their number. Fewer than the settings say now is how the topic was made."""
    path = mariadb_path
    path.sql("CREATE TABLE more (id INT PRIMARY KEY)", "CREATE TABLE fewer (id INT PRIMARY KEY)")
    for table in ("more", "fewer"):
        path.broker.create_topic(path.topic(table), partitions=3)
    found = _findings(path.run_producer("check", "--json", topics__partitions_by_table={f"{path.database}.more": 2, f"{path.database}.fewer": 4}))
    assert _levels(found, f"topic {path.topic('more')}: it has 3 partitions, and the settings say 2") == {"warning"}
    assert _levels(found, f"topic {path.topic('fewer')}: it keeps its 3 partitions") == {"note"}


def test_two_tables_of_one_name_in_the_warehouse_are_an_error(mariadb_path):
    """sqlite.table without {database}: the second table would not get in."""
    path = mariadb_path
    other = f"{path.database}_too"
    path.server.sql(f"CREATE DATABASE {other}")
    try:
        path.sql("CREATE TABLE t (id INT PRIMARY KEY)", f"CREATE TABLE {other}.T (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)")
        path.producer(source__tables=[f"{path.database}.*", f"{other}.*"])
        path.sql("INSERT INTO t VALUES (1)", f"INSERT INTO {other}.T VALUES (1)", "INSERT INTO u VALUES (1)")
        wait_for(lambda: len(path.broker.messages(f"{path.prefix}.schemas")) >= 3 * 2 and path.topics(), "the schemas of three tables")
        found = _findings(path.run_command("worker", "check", "--json"))
        assert _levels(found, "in the warehouse is taken by") == {"error"}
        assert _levels(found, f"table {path.database}.u") == {"ok"}
        apart = _findings(path.run_command("worker", "check", "--json", sqlite__table="{database}_{table}"))
        assert not _levels(apart, "in the warehouse is taken by")
    finally:
        path.server.sql(f"DROP DATABASE {other}")


def test_what_can_not_be_reached_is_an_error_beside_the_rest(mariadb_path, tmp_path):
    path = mariadb_path
    nowhere = {"kafka__bootstrap.servers": "127.0.0.1:1", "registry__url": "http://127.0.0.1:1", "source__port": 1,
               "sqlite__file": str(tmp_path / "no" / "such" / "folder.db")}
    both = {program: path.start_command(program, "check", "--json", **nowhere) for program in ("producer", "worker")}  # Kafka is waited for
    own = {"producer": ["source: "], "worker": ["sqlite.file"]}
    for program, ended in both.items():
        ended.wait(60)
        found = _findings(ended)
        for subject in ["kafka: no broker answers: 127.0.0.1:1/", "registry: http://127.0.0.1:1: ", *own[program]]:
            assert _levels(found, subject) == {"error"}, found
    found = _findings(path.run_producer("check", "--json", source__user="nobody"))
    assert _levels(found, "source: ") == {"error"} and _levels(found, "kafka: ") == {"ok", "note"}


def test_a_file_that_is_no_place_for_rows_is_an_error_and_none_is_made(mariadb_path, tmp_path):
    path = mariadb_path

    def said(file):
        return [(level, text) for level, subject, text, _ in _findings(path.run_command("worker", "check", "--json", sqlite__file=str(file)))
                if subject == "sqlite.file"]

    new, text, locked = tmp_path / "new.db", tmp_path / "text.db", tmp_path / "locked.db"
    assert said(new) == [("ok", f"{new} is not there yet, and can be made")] and not new.exists()
    text.write_text("no database, but long enough for the head of one. " * 20)
    (level, words), = said(text)
    assert level == "error" and "not a database" in words
    assert [level for level, _ in said(tmp_path)] == ["error"]
    holder = sqlite3.connect(locked, isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("BEGIN IMMEDIATE")
    (level, words), = said(locked)
    assert level == "error" and "locked" in words
    holder.execute("ROLLBACK")
    assert said(locked) == [("ok", f"{locked} can be written")]
    holder.close()


def test_status_says_what_the_admin_port_says(mariadb_path):
    """In a pipe a line a figure, on a terminal a table; where there is no program it says what to do."""
    path = mariadb_path
    wide = "größe_鱼瞬"
    path.sql(f"CREATE TABLE `{wide}` (id INT PRIMARY KEY)", f"INSERT INTO `{wide}` VALUES (1)")
    programs = {"producer": path.producer(source__start="earliest"), "worker": path.worker()}
    path.wait_arrived()
    for name, program in programs.items():
        at = program.admin().removeprefix("http://")
        asked = path.run_command(name, "status", "--json", **{f"{name}__listen": at})
        assert asked.popen.returncode == 0 and json.loads(asked.text())["program"] == f"kakehi-{name}"
        wait_for(lambda n=name, a=at: path.run_command(n, "status", "--health", "--at", a).popen.returncode == 0, f"{name} to be well")
        assert f"program                   kakehi-{name}" in path.run_command(name, "status", "--at", at).text()
        assert f"tables.{path.database}.{wide}." in path.run_command(name, "status", "--at", at).text()
        shown = path.run_on_terminal(name, "status", "--at", at).splitlines()
        head, row = next((line, shown[i + 1]) for i, line in enumerate(shown) if line.startswith("tables "))
        assert row.startswith(f"{path.database}.{wide} ") and len(head) == len(row) + 2, shown  # two of its letters take two columns
        unknown = path.run_command(name, "status")  # its port is any free one
        assert unknown.popen.returncode == 1 and "--at ADDRESS:PORT" in unknown.text()
    gone = path.run_command("worker", "status", "--at", "127.0.0.1:1")
    assert gone.popen.returncode == 1 and "does it run" in gone.text()
    assert path.run_command("worker", "status", "--health", worker__listen="127.0.0.1:1").popen.returncode == 1

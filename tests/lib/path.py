# SPDX-License-Identifier: Apache-2.0
"""One test's path: a database and a prefix of its own, a settings file, and the programs that a test starts, kills and asks.

Programs are asked through what an operator has: the admin port, the log, exit codes. Nothing here knows their insides.
"""
import itertools
import json
import os
import pty
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from lib import oracle, truth
from lib.databases import READER, READER_PASSWORD
from lib.processes import Process, wait_for
from lib.values import SourceTable

ROOT = Path(__file__).resolve().parent.parent.parent
_numbers = itertools.count(1)
_ADMIN = re.compile(r"\badmin\b.*\blisten=\"?([\d.]+:\d+)")


def build_folder():
    return Path(os.environ.get("KAKEHI_BUILD") or ROOT / "build" / "release")


class Program(Process):
    """kakehi-producer or kakehi-worker with a settings file."""

    def __init__(self, path, program, name, settings, command="run", arguments=(), enter=()):
        file = path.folder / f"{name}.yaml"
        file.write_text(json.dumps(settings, indent=2))  # JSON is YAML
        argv = [*enter, build_folder() / f"kakehi-{program}", command, "-c", file, *arguments]
        env = {**os.environ, "KAKEHI_TEST_PASSWORD": READER_PASSWORD, "ASAN_OPTIONS": "detect_leaks=0"}
        super().__init__(name, argv, path.folder / f"{name}.log", env)

    def logged(self, event):
        """Lines of this event so far."""
        return [line for line in self.text().splitlines() if re.search(rf"^\S+ \w+ {re.escape(event)}\b", line)]

    def errors(self):
        """Its error lines, as one text."""
        return "\n".join(line for line in self.text().splitlines() if re.match(r"\S+ error ", line))

    def wait_logged(self, event, deadline_s=60, count=1):
        def there():
            found = len(self.logged(event)) >= count
            assert found or self.running(), f"{self.name} ended with {self.popen.returncode}:\n{self.text()[-4000:]}"
            return found
        wait_for(there, lambda: f"{self.name} to log {event!r} {count} times:\n{self.text()[-3000:]}", deadline_s)
        return self

    def admin(self):
        found = wait_for(lambda: _ADMIN.search(self.text()), f"the admin port of {self.name}", 30)
        return "http://" + found[1]

    def get(self, where):
        """(status code, body)."""
        try:
            with urllib.request.urlopen(self.admin() + where, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self):
        code, body = self.get("/status")
        assert code == 200, body
        return json.loads(body)

    def metrics(self):
        """{'name{labels}': value} as printed."""
        code, body = self.get("/metrics")
        assert code == 200, body
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in body.splitlines() if line and not line.startswith("#")}

    def must_stop(self, deadline_s=10):
        """SIGTERM: a graceful end within the promised time."""
        code = self.terminate(deadline_s)
        assert code == 0, f"{self.name} ended with {code}:\n{self.text()[-3000:]}"


class PathUnderTest:
    def __init__(self, folder, test, server, broker, warehouse=None, **settings):
        """warehouse: where the workers write: a SQLite file of the path's own, or a BigQueryWarehouse."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.server = server
        self.broker = broker
        number = f"{next(_numbers)}_{os.getpid()}"
        self.prefix = f"t{number}"
        self.database = f"db{number}"
        self.sqlite_file = self.folder / "warehouse.db"
        self.registry = None  # a lib.registry.Registry, where the settings name one
        self.warehouse = warehouse or oracle.SqliteWarehouse(self.sqlite_file)
        self.programs = []
        self.first_log_file = server.new_log_file()
        server.sql(f"CREATE DATABASE {self.database} CHARACTER SET utf8mb4")
        self.settings = {
            "prefix": self.prefix,
            # The shortest session that a broker's defaults allow: take-overs within seconds.
            "kafka": {"bootstrap.servers": broker.address, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
            "source": {"name": "test", "host": "127.0.0.1", "port": server.port, "user": READER, "password": "${KAKEHI_TEST_PASSWORD}",
                       "tables": [f"{self.database}.*"], **server.tls},
            "producer": {"listen": "127.0.0.1:0"},
            "worker": {"listen": "127.0.0.1:0", "batch": {"age": "100ms"},
                       "kafka": {"topic.metadata.refresh.interval.ms": 300}},  # a new topic is found in no time
            **self.warehouse.settings,
        }
        self.settings = merged(self.settings, settings)

    # ---- the source

    def sql(self, *statements):
        return self.server.sql(*statements, database=self.database)

    def loose_sql(self, *statements):
        """With a server that takes zero and partial dates."""
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")
            for statement in statements:
                cursor.execute(statement)
        connection.close()

    def connect(self, **options):
        return self.server.connect(self.database, **options)

    def truth(self):
        """{table: images} committed since the path was made."""
        return truth.read(self.server, self.first_log_file, self.database)

    def source_table(self, name):
        """None if it is not there (any more)."""
        there = self.server.sql("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
                                f"'{self.database}' AND TABLE_NAME = '{name}'")[0][0]
        return SourceTable(self.server, self.database, name) if there else None

    # ---- the programs

    def _start(self, program, name, changes, enter):
        started = Program(self, program, name, merged(self.settings, changes), enter=enter)
        self.programs.append(started)
        return started

    def start_producer(self, name="producer", **changes):
        """Does not wait."""
        return self._start("producer", name, changes, ())

    def start_worker(self, name="worker", enter=(), **changes):
        """enter: words in front of the program's own (another mount namespace)."""
        return self._start("worker", name, changes, enter)

    def producer(self, name="producer", **changes):
        """Streams when this returns."""
        return self.start_producer(name, **changes).wait_logged("streaming", 90)

    def worker(self, name="worker", **changes):
        return self.start_worker(name, **changes)

    def run_command(self, program, command, *arguments, **changes):
        """A command that ends by itself; returns the ended Program."""
        ended = self.start_command(program, command, *arguments, **changes)
        ended.wait(60)
        return ended

    def start_command(self, program, command, *arguments, **changes):
        """The same, without waiting for its end."""
        started = Program(self, program, f"{program}-{command}{len(self.programs)}", merged(self.settings, changes), command, arguments=arguments)
        self.programs.append(started)
        return started

    def run_on_terminal(self, program, command, *arguments):
        """What a command that ends by itself writes to a terminal."""
        master, slave = pty.openpty()
        argv = [build_folder() / f"kakehi-{program}", command, *arguments]
        ended = subprocess.Popen(argv, stdout=slave, stdin=slave, stderr=subprocess.STDOUT, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        os.close(slave)
        written = b""
        try:
            while part := os.read(master, 65536):
                written += part
        except OSError:  # the other side of the terminal is closed
            pass
        os.close(master)
        assert ended.wait(60) == 0, written
        return written.decode().replace("\r\n", "\n")

    def run_producer(self, command, *arguments, **changes):
        return self.run_command("producer", command, *arguments, **changes)

    # ---- Kafka

    def topic(self, table):
        return f"{self.prefix}.{self.database}.{table}"

    def topics(self):
        return [name for name in self.broker.topics(self.prefix) if name.startswith(f"{self.prefix}.{self.database}.")]

    def ends(self):
        """(topic, partition) -> end as committed readers see it."""
        return {(topic, p): high for topic in self.topics() for p, (_, high) in self.broker.ends(topic).items()}

    def done(self):
        """(topic, partition) -> the offset up to which the warehouse has everything."""
        return self.warehouse.done(self)

    def lag(self):
        """Offsets between the topics' ends and what is in the warehouse. A commit marker at the end of a partition counts as passed."""
        done = self.done()
        return sum(max(0, end - 1 - done.get(where, 0)) for where, end in self.ends().items() if end > 0)

    # ---- the end

    def wait_arrived(self, deadline_s=60, tables=None):
        oracle.wait_until_arrived(self, deadline_s, tables)

    def judge(self, tables=None, whole=True):
        """Both judges, after everything has arrived. The programs go on running. whole False: the history does not begin with the
        table, so it can't be played back, and the view need not be the table."""
        oracle.judge_topics(self, tables, whole)
        oracle.judge_warehouse(self, tables, whole)

    def wait_and_judge(self, deadline_s=60, tables=None, whole=True):
        self.wait_arrived(deadline_s, tables)
        self.judge(tables, whole)

    def close(self, show_logs):
        for program in self.programs:
            program.kill()
        if self.server.process.running():
            self.server.sql(f"DROP DATABASE IF EXISTS {self.database}")
        if show_logs:
            for log in sorted({program.log for program in self.programs}):
                lines = log.read_text(errors="replace").splitlines()
                print(f"---- {log.name} ({len(lines)} lines)")
                print("\n".join(lines[:15] + ["..."] + lines[-60:] if len(lines) > 75 else lines))
            print(f"---- the end of the {self.server.flavor}'s own log")
            print("\n".join(self.server.process.text().splitlines()[-20:]))


# Settings whose keys are words of somebody else: everything behind them is one key, dots and all.
_OPAQUE = ("kafka", "partitions_by_table", "topic", "freshness", "method", "view", "labels")


def _leaves(changes, before=()):
    """((name, name, ...), value) of nested or dotted settings: {"source.start": x} is {"source": {"start": x}}."""
    for key, value in changes.items():
        names = before + tuple(str(key).replace("__", ".").split("."))
        if isinstance(value, dict):
            yield from _leaves(value, names)
            continue
        at = next((i for i, name in enumerate(names) if name in _OPAQUE), len(names))
        yield names[:at + 1] + ((".".join(names[at + 1:]),) if at + 1 < len(names) else ()), value


def merged(base, changes):
    """A copy of base with changes put over it; None takes a key away. As keyword arguments, `source__start` is source.start."""
    result = json.loads(json.dumps(base))
    for names, value in _leaves(changes):
        target = result
        for name in names[:-1]:
            target = target.setdefault(name, {})
        if value is None:
            target.pop(names[-1], None)
        else:
            target[names[-1]] = value
    return result

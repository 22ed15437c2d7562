# SPDX-License-Identifier: Apache-2.0
"""MariaDB and MySQL as sources: private servers in a folder, row format, full metadata, GTID.

Both offer the same things: start, stop, kill, connect, and the server's own reader of its log (the oracle's independent witness).
"""
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from lib.processes import Process, free_ports, wait_for

READER = "kakehi"
READER_PASSWORD = "not-a-secret"
_ROW_LOG = ["--server-id=1", "--log-bin=bin", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL"]
_SMALL = ["--max-connections=60", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
          "--max-allowed-packet=256M", "--innodb-log-file-size=96M"]


def servers_folder():
    need = Path(__file__).parent.parent / "servers" / "need"
    return Path(subprocess.run([need, "--where"], check=True, capture_output=True, text=True).stdout.strip())


class Database:
    """What both servers have in common.

    version: None is the one that the tests run against unless they say otherwise (`--mariadb`, `--mysql`: tests/conftest.py); "" is the usual one.

    Each has a folder of its own for temporary tables: a MariaDB that starts, also to make its data, deletes all that look like such in that folder.
    In a shared /tmp these are the ones of others, which crash by it (signal 11, "lost connection").
    """

    default_version = ""

    def __init__(self, folder, options=(), version=None):
        self.version = type(self).default_version if version is None else version
        self.home = self._find_home()
        self.folder = Path(folder)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.data = self.folder / "data"
        self.options = list(options)
        self.port = free_ports()
        self.socket = self.folder / "s"  # the path of a socket has room for 107 characters only
        self.process = None

    def start(self):
        if not self.data.exists():
            self._install()
        argv = self._argv() + _ROW_LOG + self.options + [
            f"--datadir={self.data}", f"--tmpdir={self.temporary}", f"--socket={self.socket}", f"--pid-file={self.folder}/pid",
            f"--port={self.port}", "--bind-address=127.0.0.1"]
        self.process = Process(self.flavor, argv, self.folder / "log")
        wait_for(self._answers, lambda: f"{self.flavor}:\n{self.process.text()[-2000:]}", 120)
        self._make_reader()
        return self

    def _answers(self):
        assert self.process.running(), self.process.text()[-3000:]
        try:
            self.connect().close()
            return True
        except pymysql.err.OperationalError:
            return False

    def _make_reader(self):
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER IF NOT EXISTS '{READER}'@'%' IDENTIFIED BY '{READER_PASSWORD}'")
            cursor.execute(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO '{READER}'@'%'")

    def number(self):
        return tuple(int(part) for part in self.sql("SELECT VERSION()")[0][0].split("-")[0].split("."))

    def since(self, *version):
        """Skips the test where the server is older than the version that has what it is about."""
        if self.number() < version:
            pytest.skip(f"{self.flavor} {self.version} has no such thing")

    def forget_log(self):
        """Its log and what it executed, as if it were new."""
        self.sql("RESET BINARY LOGS AND GTIDS" if self.flavor == "mysql" and self.number() >= (8, 4, 0) else "RESET MASTER")

    @contextmanager
    def compressed_log(self):
        """What sessions that begin in here log is compressed wherever it can be."""
        before = {variable: self.sql(f"SELECT @@global.{variable}")[0][0] for variable in self.compression}
        self.sql(*(f"SET GLOBAL {variable} = {value}" for variable, value in self.compression.items()))
        try:
            yield
        finally:
            self.sql(*(f"SET GLOBAL {variable} = {value}" for variable, value in before.items()))

    def stop(self):
        self.process.terminate(60)
        self.socket.unlink(missing_ok=True)

    def kill(self):
        self.process.kill()
        self.socket.unlink(missing_ok=True)

    def connect(self, database=None, **options):
        return pymysql.connect(unix_socket=str(self.socket), user="root", password="", database=database, charset="utf8mb4", autocommit=True,
                               init_command="SET time_zone = '+00:00'", **options)

    def sql(self, *statements, database=None):
        """Each statement a transaction of its own; returns the rows of the last."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def new_log_file(self):
        """Ends the file in hand and names the next."""
        self.sql("FLUSH BINARY LOGS")
        return self.log_files()[-1].name

    def log_files(self):
        """In log order."""
        return [self.data / row[0] for row in self.sql("SHOW BINARY LOGS")]

    def log_text(self, first_file):
        """(file, its lines by the server's own log reader) from this file on."""
        for file in self.log_files():
            if file.name >= first_file:
                reader = subprocess.Popen(self._log_reader() + [str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                          encoding="utf-8", errors="replace")
                yield file.name, reader.stdout
                errors = reader.stderr.read()
                assert reader.wait() == 0, errors


def _brought(name):
    """The folder of a server that tests/servers/need brings."""
    home = servers_folder() / name
    if not (home / "version").exists():
        pytest.skip(f"SKIPPED: {name} is not here (tests/servers/need brings it)")
    return home


def _as_root():
    return ["--user=root"] if os.getuid() == 0 else []


class MariaDB(Database):
    """The usual one is the machine's own; the others ("11.8", "10.5") lie in a folder."""

    flavor = "mariadb"
    versions = ("11.8", "10.5")
    compression = {"log_bin_compress": 1, "log_bin_compress_min_len": 10}
    compressed_event = "_compressed_"  # as its log reader calls it
    tls = {"tls": "off"}
    vector_of_text = "VEC_FromText"

    @property
    def has_vectors(self):
        return self.number() >= (11, 7, 1)

    @property
    def has_long_timestamps(self):
        return self.number() >= (11, 5, 0)

    def _find_home(self):
        return _brought(f"mariadb-{self.version}") / "usr" if self.version else Path("/usr")

    def _program(self, name):
        return next((path for path in (self.home / "sbin" / name, self.home / "bin" / name) if path.exists()), name)

    def _argv(self):
        return [self._program("mariadbd"), "--no-defaults", f"--basedir={self.home}", "--gtid-strict-mode=1"] + _as_root() + _SMALL

    def _install(self):
        result = subprocess.run([self._program("mariadb-install-db"), "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                                 f"--basedir={self.home}", f"--datadir={self.data}", f"--tmpdir={self.temporary}"] + _as_root(),
                                capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr

    def _log_reader(self):
        return [self._program("mariadb-binlog"), "--no-defaults", "-vv", "--base64-output=DECODE-ROWS"]

    def gtid_position(self):
        return self.sql("SELECT @@gtid_binlog_pos")[0][0]


class MySQL(Database):
    """The usual one is the newest; "8.0" is the oldest."""

    flavor = "mysql"
    versions = ("8.0",)
    compression = {"binlog_transaction_compression": 1}
    compressed_event = "Transaction_Payload"
    vector_of_text = "STRING_TO_VECTOR"

    @property
    def has_vectors(self):
        return self.number() >= (9, 0, 0)

    def _find_home(self):
        self.reader_home = _brought("mysql")  # newer readers read older logs
        return _brought(f"mysql-{self.version}") if self.version else self.reader_home

    @property
    def tls(self):
        """The server signs its own certificates; they name no host."""
        return {"tls": "verify_ca", "tls_ca": str(self.data / "ca.pem")}

    def _argv(self):
        small = _SMALL if self.version == "8.0" else [word.replace("innodb-log-file-size", "innodb-redo-log-capacity") for word in _SMALL]
        return [self.home / "mysqld", "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--performance-schema=OFF"] + small

    def _install(self):
        for_good = [option for option in self.options if option.startswith("--lower-case-table-names=")]
        result = subprocess.run([self.home / "mysqld", f"--datadir={self.data}", f"--tmpdir={self.temporary}", "--initialize-insecure", *for_good],
                                capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    def _log_reader(self):
        return [self.reader_home / "mysqlbinlog", "--no-defaults", "-vv", "--base64-output=DECODE-ROWS"]

    def gtid_position(self):
        return self.sql("SELECT @@global.gtid_executed")[0][0].replace("\n", "")

# SPDX-License-Identifier: Apache-2.0
"""The servers of the demo: a private MariaDB with a binary log as kakehi wants it, and a broker, embedded or Apache Kafka."""
import os
import secrets
import socket
import subprocess

import pymysql

from children import Child, Failed

PREFIX = "kakehi"  # the product's own default


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_ports(count=1):
    """The first of `count` free ports in a row, below those that the kernel gives to outgoing connections."""
    while True:
        port = secrets.choice(range(20000, 32000))
        if all(is_free(port + i) for i in range(count)):
            return port


class MariaDB(Child):
    """On a socket and a free port, in the demo's folder; as root or as an ordinary user."""

    def __init__(self, folder):
        self.socket, self.port = str(folder / "mariadb.sock"), free_ports()
        self.password = secrets.token_hex(12)  # of the user kakehi
        user = ["--user=root"] if os.getuid() == 0 else []
        data = folder / "mariadb"
        log = folder / "mariadb.log"
        with open(log, "ab") as out:
            made = subprocess.run(["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                                   *user, f"--datadir={data}", f"--tmpdir={folder}"], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        if made.returncode:
            raise Failed(f"mariadb-install-db failed:\n{log.read_text()[-1500:]}")
        super().__init__("MariaDB", [
            "mariadbd", "--no-defaults", *user, f"--datadir={data}", f"--socket={self.socket}", f"--port={self.port}",
            "--bind-address=127.0.0.1", "--skip-name-resolve", f"--pid-file={folder / 'mariadb.pid'}", f"--tmpdir={folder}",
            "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
            "--gtid-strict-mode=1", "--gtid-domain-id=7", "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2"], log)
        self.wait_for(self.answers, "MariaDB to answer", 60)
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER kakehi IDENTIFIED BY %s", (self.password,))
            cursor.execute("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO kakehi")
            cursor.execute("SELECT VERSION()")
            self.version = cursor.fetchone()[0].split("-")[0]

    def connect(self, **options):
        """As root, autocommit, TIMESTAMPs in UTC."""
        return pymysql.connect(unix_socket=self.socket, user="root", charset="utf8mb4", autocommit=True,
                               init_command="SET time_zone = '+00:00'", **options)

    def answers(self):
        try:
            self.connect().close()
            return True
        except pymysql.MySQLError:
            return False


class EmbeddedBroker(Child):
    """librdkafka's mock cluster. All topics are made here, see broker.c."""
    title = "embedded broker"

    def __init__(self, folder, program, tables, partitions):
        topics = [f"{PREFIX}.{table}:{partitions}" for table in tables]
        state = [f"{PREFIX}.{name}:1" for name in ("positions", "schemas", "dead")]
        super().__init__("broker", [program, *topics, *state], folder / "broker.log")
        self.wait_for(lambda: self.text().endswith("\n"), "the embedded broker's address", 10)
        self.address = self.text().strip()


class Kafka(Child):
    title = "Apache Kafka"

    def __init__(self, folder, installed):
        port = free_ports(2)  # the second one is its controller's
        super().__init__("Kafka", [installed / "kafka-server", port, folder / "kafka"], folder / "kafka.log")
        self.address = f"127.0.0.1:{port}"
        self.wait_for(lambda: "Kafka Server started" in self.server_log(folder), "Kafka to start", 60)

    @staticmethod
    def server_log(folder):
        log = folder / "kafka" / "log"
        return log.read_text("utf-8", "replace") if log.exists() else ""


FIRST_SETTINGS = """\
kafka:
  bootstrap.servers: {broker}
source:
  name: shop
  host: 127.0.0.1
  port: {port}
  user: kakehi
  password: ${{KAKEHI_PASSWORD}}
  tls: off                                # a private server on this machine
  tables: [shop.*]
{warehouse}
# Several on one machine: any free port for /metrics and /status; it is logged.
producer: {{listen: "127.0.0.1:0"}}
worker: {{listen: "127.0.0.1:0"}}
"""

KAFKA_SETTINGS = """\

# Two workers share each table. A process that was killed is noticed after six seconds.
topics: {partitions: %d}
"""

EMBEDDED_SETTINGS = """\

# What the embedded broker asks for (its limits stand in ops/demo/broker.c):
topics: {create: false}                   # it makes the topics itself
"""

KAFKA_PROPERTIES = """\
  session.timeout.ms: 6000
"""

EMBEDDED_PROPERTIES = """\
  session.timeout.ms: 4000                # these five: what the embedded broker asks for
  heartbeat.interval.ms: 1000
  fetch.wait.max.ms: 10
  partition.assignment.strategy: range
  compression.type: lz4
"""


def write_settings(path, server, broker, warehouse):
    embedded = isinstance(broker, EmbeddedBroker)
    text = FIRST_SETTINGS.format(broker=broker.address, port=server.port, warehouse=warehouse.settings())
    properties = EMBEDDED_PROPERTIES if embedded else KAFKA_PROPERTIES
    text = text.replace("source:\n", properties + "source:\n", 1) + (EMBEDDED_SETTINGS if embedded else KAFKA_SETTINGS % warehouse.partitions)
    path.write_text(text)

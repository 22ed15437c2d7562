#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast the producer carries a binlog into Kafka, beside what is possible on the same machine in the same run.

    make bench && tests/bench/producer.py [BULK_ROWS] [ONE_ROW_TRANSACTIONS]      (2000000 and 1000000 when not given)

Two logs of a private MariaDB: BULK_ROWS rows of 12 columns by multi-row inserts of 1,000, and one-row transactions (60 % insert, 30 %
update, 10 % delete). For each: a raw packet reader that throws everything away, librdkafka producing as many messages of the same
mean size in transactions, and the producer from the first row until its position is committed. Prints rates, CPU seconds per million
rows and peak memory. A figure of a shared machine means nothing alone: read the ratios.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition  # noqa: E402
from lib import databases, kafka, processes  # noqa: E402
from lib.path import PathUnderTest, build_folder  # noqa: E402
from lib.processes import wait_for  # noqa: E402

TABLE = """CREATE TABLE {} (id INT UNSIGNED NOT NULL PRIMARY KEY, customer INT NOT NULL, state TINYINT NOT NULL, quantity SMALLINT UNSIGNED,
    price DECIMAL(10,2), weight DOUBLE, ordered_at DATETIME(3), changed_at TIMESTAMP(6) NULL, city VARCHAR(40), note VARCHAR(120), code CHAR(8),
    day DATE) CHARACTER SET utf8mb4"""
ROW = """{0}, {0} * 7 % 100003, {0} % 5, {0} % 1000, {0} % 99999 / 100, {0} / 3, '2026-11-21 01:02:03.456' + INTERVAL {0} SECOND,
    '2026-11-21 01:02:03.456789', CONCAT('city ', {0} % 997), REPEAT('abcdefgh ', 11), LPAD({0} % 9999, 8, '0'), '2026-11-21'"""


def fill_bulk(path, rows):
    path.sql(TABLE.format("bulk"))
    for start in range(1, rows + 1, 1000):
        path.sql(f"INSERT INTO bulk SELECT {ROW.format('seq')} FROM seq_{start}_to_{min(start + 999, rows)}")


def fill_single(path, transactions):
    path.sql(TABLE.format("single"), f"""CREATE PROCEDURE work(transactions INT) BEGIN
        DECLARE n, fresh INT DEFAULT 0;
        WHILE n < transactions DO
            IF n % 10 < 6 THEN SET fresh = fresh + 1; INSERT INTO single SELECT {ROW.format('fresh')};
            ELSEIF n % 10 < 9 THEN UPDATE single SET quantity = (quantity + 1) % 60000 WHERE id = fresh - n % 3;
            ELSE DELETE FROM single WHERE id = fresh - 5; END IF;
            SET n = n + 1;
        END WHILE; END""", f"CALL work({transactions})")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def run_tool(name, *arguments):
    """Runs a reference; returns what it printed, the seconds that it names itself, and its CPU seconds."""
    before = os.times()
    result = subprocess.run([build_folder() / "bench" / name, *map(str, arguments)], capture_output=True, text=True, check=False,
                            env={**os.environ, "KAKEHI_TEST_PASSWORD": databases.READER_PASSWORD})
    after = os.times()
    assert result.returncode == 0, result.stdout + result.stderr
    text = result.stdout.strip().splitlines()[-1]
    return text, float(re.search(r"in ([\d.]+) s", text)[1]), (after.children_user - before.children_user) + (after.children_system - before.children_system)


def report(what, rows, wall, cpu, note=""):
    print(f"  {what:34} {rows / wall:12,.0f} rows/s {cpu / rows * 1e6:8.2f} CPU s/million rows  {note}", flush=True)


def run_producer(path, table, expected):
    producer = path.start_producer(f"producer-{table}", source__start=path.start_at, source__tables=[f"{path.database}.{table}"])
    producer.wait_logged("streaming", 60)
    start, key = time.monotonic(), f"{path.database}.{table}"
    wait_for(lambda: producer.status()["tables"].get(key, {}).get("read", 0) >= expected, f"{expected} rows of {table}", 600, 0.1)
    wall, pid = time.monotonic() - start, producer.popen.pid
    report("kakehi-producer", expected, wall, cpu_seconds(pid), f"peak RSS {peak_mib(pid):.0f} MiB")
    producer.must_stop()


def mean_size(broker, topic):
    """Of key and value together, over the first thousand messages."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "bench", "enable.auto.commit": False, "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    messages = consumer.consume(1000, 20)
    consumer.close()
    return sum(len(message.key()) + len(message.value()) for message in messages) // len(messages)


def references(path, table, rows):
    settings = path.folder / f"producer-{table}.yaml"
    text, wall, cpu = run_tool("read_packets", settings)
    report("raw packet reader", rows, wall, cpu, text)
    if not (build_folder() / "bench" / "produce").exists():
        return
    topic = path.topic(table)
    size = mean_size(path.broker, topic)
    path.broker.create_topic(f"{path.prefix}.bench.{table}")
    text, wall, cpu = run_tool("produce", path.broker.address, f"{path.prefix}.bench.{table}", rows, size)
    report(f"librdkafka, {size}-byte messages", rows, wall, cpu, text)


def measure(folder, table, fill, rows, server, broker):
    path = PathUnderTest(folder / table, table, server, broker)
    path.start_at = server.gtid_position()
    fill(path, rows)
    print(f"{table}: {rows} rows; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    run_producer(path, table, rows)
    references(path, table, rows)


def main():
    bulk = int(sys.argv[1]) if len(sys.argv) > 1 else 2000000
    single = int(sys.argv[2]) if len(sys.argv) > 2 else 1000000
    with tempfile.TemporaryDirectory(prefix="kakehi-bench.") as name:
        try:
            folder = Path(name)
            server = databases.MariaDB(folder / "mariadb").start()
            broker = kafka.Broker(folder / "kafka").start()
            measure(folder, "bulk", fill_bulk, bulk, server, broker)
            measure(folder, "single", fill_single, single, server, broker)
        finally:
            processes.kill_all()


main()

# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of a worker share: a topic with a long backlog, what a process has used, and librdkafka's own rate on the same topic."""
import os
import re
from pathlib import Path

from lib.path import build_folder
from lib.processes import Process, wait_for

TABLE = """CREATE TABLE rows (id INT UNSIGNED NOT NULL PRIMARY KEY, customer INT NOT NULL, state TINYINT NOT NULL, quantity SMALLINT UNSIGNED,
    price DECIMAL(10,2), weight DOUBLE, ordered_at DATETIME(3), changed_at TIMESTAMP(6) NULL, city VARCHAR(40), note VARCHAR(120), code CHAR(8),
    day DATE) CHARACTER SET utf8mb4""".replace("rows", "`rows`")
ROW = """seq, seq * 7 % 100003, seq % 5, seq % 1000, seq % 99999 / 100, seq / 3, '2026-11-21 01:02:03.456' + INTERVAL seq SECOND,
    '2026-11-21 01:02:03.456789', CONCAT('city ', seq % 997), CONCAT(MD5(seq), REPEAT('abcd ', 10)), LPAD(seq % 9999, 8, '0'), '2026-11-21'"""


def fill(path, rows, partitions):
    """The topic holds all rows when this returns."""
    path.sql(TABLE)
    for start in range(1, rows + 1, 1000):
        path.sql(f"INSERT INTO `rows` SELECT {ROW} FROM seq_{start}_to_{min(start + 999, rows)}")
    producer = path.start_producer(source__start=path.start_at, topics__partitions=partitions).wait_logged("streaming", 60)
    key = f"{path.database}.rows"
    wait_for(lambda: producer.status()["tables"].get(key, {}).get("read", 0) >= rows, f"{rows} rows in Kafka", 900, 0.2)
    producer.must_stop()


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def loop_thread(pid):
    """Seconds that the worker's loop ran, and that it was ready but had no CPU."""
    ran, waited, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def report(what, rows, wall, cpu, note=""):
    print(f"  {what:34} {rows / wall:12,.0f} rows/s {cpu / rows * 1e6:8.2f} CPU s/million rows  {note}", flush=True)


def consume(path, rows):
    """librdkafka alone; its rate."""
    started = os.times()
    tool = Process("consume", [build_folder() / "bench" / "consume", path.broker.address, path.topic("rows"), rows], path.folder / "consume.log")
    tool.wait(900)
    ended = os.times()
    found = re.search(r"consumed in ([\d.]+) s", tool.text())
    assert found, tool.text()
    wall = float(found[1])
    report("librdkafka alone", rows, wall, ended.children_user + ended.children_system - started.children_user - started.children_system, tool.text().strip())
    return rows / wall

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a worker carries a backlog from Kafka into the Storage Write API, beside librdkafka's own consume rate on the same topic.

    make bench && tests/bench/append.py [ROWS] [PARTITIONS]      (1000000 and 24 when not given)

The rows come from a private MariaDB through the producer, one topic. The other end is tests/bench/append_sink: TLS, counts rows, throws
them away; REST is the fake of tests/servers. Measured is the time of the first nine tenths: the last batches are not full, and wait for
their age. Once with `compression: none`, once with gzip. Prints rates, CPU seconds per million rows,
peak memory of the worker, and its rate as a share of the consume rate. All of it shares the machine, the sink too (its CPU seconds
are printed): read the ratios.
"""
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import databases, kafka, processes  # noqa: E402
from lib.bigquery_judge import BigQueryWarehouse  # noqa: E402
from lib.fake_bigquery import FakeBigQuery  # noqa: E402
from lib.path import PathUnderTest, build_folder  # noqa: E402
from lib.processes import Process, wait_for  # noqa: E402

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


def append(path, rows, compression, consumed_rate):
    ca_file = path.folder / f"ca-{compression}.pem"
    sink = Process("sink", [build_folder() / "bench" / "append_sink", ca_file, rows * 9 // 10], path.folder / f"sink-{compression}.log")
    port = wait_for(lambda: re.search(r"ready (\d+)", sink.text()), "the sink", 30)[1]
    fake = FakeBigQuery(path.folder / f"fake-{compression}").start()
    warehouse = BigQueryWarehouse(fake, storage_endpoint=f"https://localhost:{port}", ca_file=str(ca_file), method={"*.*": "append"}, compression=compression)
    worker = path.start_worker(f"worker-{compression}", worker__group=compression, worker__batch__age="1s", **warehouse.settings)

    def done():
        assert worker.running() and sink.running(), worker.text()[-3000:] + sink.text()
        return re.search(r"^\{.*\}$", sink.text(), re.M)
    answer = json.loads(wait_for(done, lambda: f"{rows} rows at the sink:\n{worker.text()[-3000:]}", 900, 0.01)[0])
    rows, wall, pid = answer["rows"], answer["seconds"], worker.popen.pid
    ran, waited = loop_thread(pid)
    note = (f"peak RSS {peak_mib(pid):.0f} MiB, {answer['requests']} requests, {answer['bytes'] / answer['rows']:.0f} bytes a row, "
            f"loop ran {ran:.1f} s of {wall:.1f}, without a CPU {waited:.1f} s, sink {cpu_seconds(sink.popen.pid) / rows * 1e6:.2f} CPU s/million rows")
    report(f"kakehi-worker, {compression}", rows, wall, cpu_seconds(pid), note)
    print(f"  {'':34} {100 * rows / wall / consumed_rate:12.0f} % of the consume rate (goal: 40)", flush=True)
    worker.must_stop(30)
    sink.kill()
    fake.close()


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    partitions = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    with tempfile.TemporaryDirectory(prefix="kakehi-bench.") as name:
        try:
            folder = Path(name)
            server = databases.MariaDB(folder / "mariadb").start()
            broker = kafka.Broker(folder / "kafka").start()
            path = PathUnderTest(folder / "path", "append", server, broker)
            path.start_at = server.gtid_position()
            fill(path, rows, partitions)
            print(f"{rows} rows in {partitions} partitions; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
            rate = consume(path, rows)
            append(path, rows, "none", rate)
            append(path, rows, "gzip", rate)
        finally:
            processes.kill_all()


main()

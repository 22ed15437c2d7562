# SPDX-License-Identifier: Apache-2.0
"""P6: what the programs hold has a ceiling, whatever the backlog, and whatever names of tables come and go."""
import pytest

from lib import oracle
from lib.bigquery_judge import BigQueryWarehouse
from lib.processes import wait_for

MIB = 1 << 20
ROWS, ROW_BYTES = 160, 900_000  # just what fits into a message by Kafka's own limit


def _backlog(path):
    """144 MB of rows in Kafka, and no worker yet."""
    path.sql("CREATE TABLE wide (id INT PRIMARY KEY, data LONGBLOB)")
    producer = path.producer()
    path.sql(f"INSERT INTO wide SELECT seq, REPEAT(MD5(seq), {ROW_BYTES // 32}) FROM seq_1_to_{ROWS}")
    wait_for(lambda: producer.status()["tables"].get(f"{path.database}.wide", {}).get("read") == ROWS, lambda: f"the rows:\n{producer.text()[-2000:]}", 240)


def test_a_backlog_of_large_rows_into_sqlite(make_path, mariadb, broker):
    path = make_path(mariadb, broker, topics__partitions=6)
    _backlog(path)
    worker = path.worker()
    wait_for(lambda: oracle.history_count(path.sqlite_file, "wide") == ROWS, lambda: f"the rows:\n{worker.text()[-2000:]}", 240)
    connection = oracle.sqlite_connect(path.sqlite_file)
    assert tuple(connection.execute("SELECT count(DISTINCT id), sum(length(data)) FROM wide_history").fetchone()) == (ROWS, ROWS * (ROW_BYTES // 32 * 32))
    connection.close()
    assert worker.rss_peak_bytes() < 96 * MIB, f"{worker.rss_peak_bytes() / MIB:.0f} MiB"


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["append", "load"])
def test_a_backlog_of_large_rows_into_bigquery(make_path, mariadb, broker, fake, method):
    path = make_path(mariadb, broker, BigQueryWarehouse(fake, method={"*.*": method}, table_jobs=86400, project_jobs=1000000), topics__partitions=6)
    _backlog(path)
    worker = path.worker()
    stored = lambda: sum(fake.get("tables", dataset=path.warehouse.dataset(path)).values())
    wait_for(lambda: stored() == ROWS, lambda: f"the rows:\n{worker.text()[-2000:]}", 180)
    assert worker.rss_peak_bytes() < 128 * MIB, f"{worker.rss_peak_bytes() / MIB:.0f} MiB"


@pytest.mark.thorough
def test_tables_that_come_and_go_unselected(mariadb_path):
    """What the producer remembers of them is full after some thousands, and then stays what it is."""
    path = mariadb_path
    columns = ", ".join(f"column_with_a_long_name_{number} INT" for number in range(100))
    path.sql("CREATE TABLE seen (id INT PRIMARY KEY)")
    producer = path.producer(source__tables=[f"{path.database}.seen"])
    connection = path.connect()

    def memory_after(first, count):
        with connection.cursor() as cursor:
            for number in range(first, first + count):
                cursor.execute(f"CREATE TABLE passing_{number} ({columns}) ENGINE=MEMORY")
                cursor.execute(f"INSERT INTO passing_{number} (column_with_a_long_name_0) VALUES (1)")
                cursor.execute(f"DROP TABLE passing_{number}")
            cursor.execute(f"INSERT INTO seen VALUES ({first})")
        connection.commit()
        wait_for(lambda: producer.status()["tables"].get(f"{path.database}.seen", {}).get("read") == 1 + (first > 0), "the rows", 240)
        return producer.metrics()["process_resident_memory_bytes"]

    full = memory_after(0, 800)
    after = memory_after(800, 1600)
    connection.close()
    assert after < full + 4 * MIB, f"{full / MIB:.1f} MiB, and {after / MIB:.1f} MiB behind three times as many"

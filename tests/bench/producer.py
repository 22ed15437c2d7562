#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast the producer carries a binlog into Kafka, beside a reader that throws the packets away and librdkafka producing the same bytes.

    tests/bench/run producer [--rows N] [--transactions N] [--rounds N] [--codecs none,lz4,zstd] [--server mysql]

Two logs of a private server: rows by 100 a statement and 1,000 a transaction, and one-row transactions (60 % insert, 30 % update, 10 %
delete). The producer is measured from the log line that says it streams until the last row's position is committed.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.path import PathUnderTest  # noqa: E402
from lib.processes import wait_for  # noqa: E402
import figures  # noqa: E402
import rows as bench_rows  # noqa: E402


class Log:
    """One log of one table, which each run carries into topics of a new prefix."""

    def __init__(self, folder, server, broker, table, fill, rows):
        self.path = PathUnderTest(Path(folder) / table, table, server, broker)
        self.table, self.rows = table, rows
        self.changes = {"source.start": server.gtid_position(), "source.tables": [f"{self.path.database}.{table}"]}
        self.number = 0
        self.topic = None
        fill(self.path, table, rows)

    def producer(self, codec):
        """Leaves the topic there for the reference that produces the same."""
        self.delete_topic()
        self.number += 1
        changes = {**self.changes, "prefix": f"{self.path.prefix}n{self.number}", "producer.kafka": {"compression.codec": codec}}
        program = self.path.start_producer(f"producer{self.number}", **changes).wait_logged("streaming", 60)
        watch, key = figures.Watch(program), f"{self.path.database}.{self.table}"
        self.topic = f"{changes['prefix']}.{key}"
        wait_for(lambda: program.status()["tables"].get(key, {}).get("read", 0) >= self.rows, f"{self.rows} rows of {self.table}", 600)
        run = watch.run(self.rows)
        program.must_stop()
        return run

    def librdkafka(self, codec):
        other = f"{self.path.prefix}.bench"
        self.path.broker.create_topic(other)
        run = figures.run_tool(self.rows, "produce", self.path.broker.address, self.topic, other, self.rows, codec)
        self.path.broker.delete_topic(other)
        return run

    def packets(self):
        """After a producer: its settings say where to begin. What is sent is a little more than the files hold, so this ends without a wait."""
        size = sum(file.stat().st_size for file in self.path.server.log_files() if file.name >= self.path.first_log_file)
        return figures.run_tool(self.rows, "read_packets", self.path.folder / f"producer{self.number}.yaml", size)

    def delete_topic(self):
        """Before the next run: the broker's disk is not endless."""
        if self.topic:
            self.path.broker.delete_topic(self.topic)


def compare(log, title, rounds, codecs, goals):
    print(f"{log.rows} {title}, {rounds} rounds, {log.path.server.flavor}; {figures.machine()}", flush=True)
    for codec in codecs:
        found = figures.in_turn(rounds, {"ours": lambda codec=codec: log.producer(codec), "theirs": lambda codec=codec: log.librdkafka(codec),
                                         **({"packets": log.packets} if codec == codecs[0] else {})})
        figures.show(f"librdkafka, {codec}", found["theirs"])
        figures.show(f"kakehi-producer, {codec}", found["ours"], f"{figures.share(found['ours'], found['theirs']):.0%} of librdkafka {goals}")
        if "packets" in found:
            figures.show("packets thrown away", found["packets"])
    log.delete_topic()


def measure(folder, server, broker, rows, transactions, rounds, codecs):
    log = Log(folder, server, broker, "bulk", bench_rows.fill_bulk, rows)
    compare(log, "rows, 100 a statement, 1,000 a transaction", rounds, codecs, "(goals: 500,000 rows/s or 50 %; 2.5 CPU s; 64 MiB)")
    log = Log(folder, server, broker, "single", bench_rows.fill_single, transactions)
    compare(log, "one-row transactions", rounds, codecs, "(goals: 300,000 rows/s or 33 %; 64 MiB)")


if __name__ == "__main__":
    figures.from_command_line(measure, rows=2000000, transactions=1000000, rounds=3, codecs=["none", "lz4", "zstd"])

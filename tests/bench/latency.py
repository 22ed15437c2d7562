#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a commit takes until it is readable in Kafka (read_committed) and queryable in SQLite, and a program until its first row.

    tests/bench/run latency [--seconds N] [--rate N] [--starts N] [--server mysql]

One-row transactions at a steady rate. A row's time begins before its INSERT (autocommit) is sent, so the server's own share is in it, and
ends when a consumer has it, and when a query of the latest view finds it: looked for every 2 ms. Batches of 100 ms. Readers and
writer share the machine with everything else; the consumer has librdkafka's own settings. The first seconds are not counted: a broker
that has just been started still compiles itself.

Then each program is started anew while a row waits for it: from the exec until that row is in Kafka, or in the view.
"""
import sqlite3
import sys
import threading
import time
from pathlib import Path

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import avro  # noqa: E402
from lib.path import PathUnderTest  # noqa: E402
from lib.processes import wait_for  # noqa: E402
import figures  # noqa: E402

LOOK_S = 0.002
WARM_S = 3
FRAME_SIZE = 10  # in front of the key, which is one long


class Watcher(threading.Thread):
    """Notes when each id is first seen."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = {}
        self.ended = False

    def run(self):
        while not self.ended:
            for number in self.look():
                self.seen.setdefault(number, time.monotonic())

    def wait(self, number):
        wait_for(lambda: number in self.seen, f"row {number} to be seen by the {type(self).__name__}", 90, LOOK_S)
        return self.seen[number]

    def end(self):
        self.ended = True
        self.join()


class KafkaWatcher(Watcher):
    def __init__(self, path, table):
        super().__init__()
        self.consumer = Consumer({"bootstrap.servers": path.broker.address, "group.id": "bench", "enable.auto.commit": False, "isolation.level": "read_committed"})
        self.consumer.assign([TopicPartition(path.topic(table), 0, OFFSET_END)])

    def look(self):
        """One at a time: to ask for many is to wait for many."""
        message = self.consumer.poll(0.1)
        return [avro.Reader(message.key()[FRAME_SIZE:]).long()] if message and not message.error() else []

    def end(self):
        super().end()
        self.consumer.close()


class ViewWatcher(Watcher):
    def __init__(self, path, table):
        super().__init__()
        self.connection = sqlite3.connect(path.sqlite_file, timeout=60, check_same_thread=False)
        self.query = f"SELECT id FROM {table} WHERE id > ? ORDER BY id"
        self.last = 0

    def look(self):
        found = [row[0] for row in self.connection.execute(self.query, (self.last,))]
        self.last = found[-1] if found else self.last
        time.sleep(LOOK_S)
        return found

    def end(self):
        super().end()
        self.connection.close()


class Orders:
    """Inserts by number and remembers when."""

    def __init__(self, path):
        self.connection = path.connect()
        self.begun = {}
        self.number = 0

    def add(self):
        self.number += 1
        with self.connection.cursor() as cursor:
            self.begun[self.number] = time.monotonic()
            cursor.execute(f"INSERT INTO orders VALUES ({self.number}, 'something of a row that is ordered now', {self.number % 100})")
        return self.number

    def add_at_rate(self, rate, seconds):
        start, first = time.monotonic(), self.number + 1
        for turn in range(int(rate * seconds)):
            time.sleep(max(0, start + turn / rate - time.monotonic()))
            self.add()
        return range(first, self.number + 1)

    def times(self, numbers, watcher):
        return [watcher.seen[number] - self.begun[number] for number in numbers]


def steady(orders, watchers, rate, seconds):
    orders.add_at_rate(rate, min(WARM_S, seconds))
    numbers = orders.add_at_rate(rate, seconds)
    for watcher in watchers.values():
        watcher.wait(numbers[-1])
    figures.show_times("commit -> readable in Kafka", orders.times(numbers, watchers["kafka"]), "(goals: 45, 80)")
    figures.show_times("commit -> queryable in SQLite", orders.times(numbers, watchers["view"]), "(goals: 300, 1000)")


def start_times(orders, start, stop, watcher, starts):
    found = []
    for _ in range(starts):
        stop()
        number, begin = orders.add(), time.monotonic()
        start()
        found.append(watcher.wait(number) - begin)
    return found


def measure(folder, server, broker, rate, seconds, starts):
    path = PathUnderTest(Path(folder) / "latency", "latency", server, broker)
    path.sql("CREATE TABLE orders (id INT NOT NULL PRIMARY KEY, note VARCHAR(60), quantity INT)")
    running = {"producer": path.producer(), "worker": path.worker()}
    orders = Orders(path)
    orders.add()
    path.wait_arrived(90)
    watchers = {"kafka": KafkaWatcher(path, "orders"), "view": ViewWatcher(path, "orders")}
    for watcher in watchers.values():
        watcher.start()
    wait_for(lambda: orders.add() and watchers["kafka"].seen, "the consumer's first row", 90)
    print(f"{rate} transactions a second for {seconds} s, {server.flavor}; {figures.machine()}", flush=True)
    steady(orders, watchers, rate, seconds)
    for program, watched, what in (("producer", "kafka", "start of the producer -> first row in Kafka"), ("worker", "view", "start of the worker -> first row in SQLite")):
        def start():
            running[program] = getattr(path, f"start_{program}")()
        figures.show_times(what, start_times(orders, start, lambda: running[program].must_stop(), watchers[watched], starts), "(goal: 500)")
    for watcher in watchers.values():
        watcher.end()
    for program in running.values():
        program.must_stop()


if __name__ == "__main__":
    figures.from_command_line(measure, rate=200, seconds=30.0, starts=7)

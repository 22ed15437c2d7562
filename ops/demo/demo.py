# SPDX-License-Identifier: Apache-2.0
"""make demo: the whole path on one machine, with kills, and a comparison of everything at the end.

MariaDB -> kakehi-producer -> a broker -> two kakehi-workers -> one SQLite file, or BigQuery's emulator, all in a temporary folder on free ports. A small shop
works on the database; in the middle a column is added, a worker is killed with SIGKILL, and on a real Kafka the producer too. At the
end the latest view is compared with the source row by row, and the history with the shop's own ledger. Exit 0: all is equal.

Whatever is started here is gone afterwards, also after Ctrl-C; see children.py.
"""
import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import shop
from bigquery import BigQuery
from children import Failed, Program, wait_for
from screen import Screen, table
from servers import EmbeddedBroker, Kafka, MariaDB, write_settings
from warehouse import Comparison, SqliteFile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"
SEED = 20261121
DRAIN_S = 90
# Seconds after the shop opens.
NEW_COLUMN_S, KILL_WORKER_S, CLOSE_EMBEDDED_S = 8, 15, 32
KILL_PRODUCER_S, CLOSE_KAFKA_S = 24, 42


class Demo:
    def __init__(self, folder, kafka, bigquery):
        """kafka, bigquery: where they are installed; None: the embedded broker, SQLite."""
        self.folder, self.kafka, self.bigquery = folder, kafka, bigquery
        self.screen = Screen()
        self.warehouse = None
        self.children, self.producers, self.workers = [], [], []
        self.shop = None
        self.awaited = []  # (time of the kill, condition, what to say once it holds)

    def keep_child(self, child):
        self.children.append(child)
        return child

    # -- starting -----------------------------------------------------------------------------------------------------------------
    def start(self):
        self.screen.news("starting MariaDB")
        self.server = self.keep_child(MariaDB(self.folder))
        shop.set_up(self.server.connect())
        self.reader = self.server.connect()
        if self.bigquery:
            self.screen.news("starting BigQuery's emulator")
        self.warehouse = BigQuery(self.folder, self.bigquery) if self.bigquery else SqliteFile(self.folder)
        self.children += self.warehouse.children
        if self.kafka:
            self.screen.news("starting Apache Kafka")
            self.broker = self.keep_child(Kafka(self.folder, self.kafka))
        else:
            tables = [f"{shop.DATABASE}.{name}" for name in shop.TABLES]
            self.broker = self.keep_child(EmbeddedBroker(self.folder, BUILD / "kakehi-demo-broker", tables, self.warehouse.partitions))
        self.settings = self.folder / "kakehi.yaml"
        write_settings(self.settings, self.server, self.broker, self.warehouse)
        self.screen.say(f"\nMariaDB {self.server.version} -> kakehi-producer -> {self.broker.title} -> 2 kakehi-workers -> {self.warehouse.title}\n"
                        f"in {self.folder}")
        if not self.kafka:
            self.screen.say("The embedded broker only pretends transactions, so only a worker is killed here.\n"
                            "`make demo BROKER=kafka` runs on Apache Kafka with real ones, and kills the producer too.")
        self.screen.say("\nread: row changes that the producer has read; appended: rows in the history; freshness: from the commit\n"
                        "(MariaDB's log tells it in whole seconds) until the row was in the warehouse.")
        self.screen.say("\nThe settings file of both programs:\n")
        self.screen.say("".join("    " + line for line in self.settings.read_text().splitlines(True)))
        self.start_programs()

    def program(self, name, program, into):
        child = Program(name, BUILD / program, self.settings, self.folder,
                        {**os.environ, "KAKEHI_PASSWORD": self.server.password})
        into.append(self.keep_child(child))
        return child

    def start_programs(self):
        producer = self.program("producer 1", "kakehi-producer", self.producers)
        workers = [self.program(f"worker {number}", "kakehi-worker", self.workers) for number in (1, 2)]
        producer.wait_for(lambda: producer.logged("streaming"), "the producer to stream", 60)
        self.screen.news("producer 1 streams")
        if self.kafka:
            self.program("producer 2", "kakehi-producer", self.producers)
        for worker in workers:
            worker.wait_for(worker.ask, f"{worker.name} to answer", 30)
        self.screen.news("both workers run")

    # -- what is shown --------------------------------------------------------------------------------------------------------------
    def refresh(self):
        for child in self.children:
            child.must_run()
        if self.shop.error:
            raise Failed(f"the shop stopped: {self.shop.error}")
        for program in self.producers + self.workers:
            program.ask()

    def freshness_ms(self, name):
        """The worst of the workers that have partitions of the table; None while nobody has."""
        known = [worker.table(name).get("freshness_ms") for worker in self.workers if worker.running()
                 and any(partition["topic"].endswith("." + name) for partition in worker.status.get("partitions", []))]
        return max((value for value in known if value is not None), default=None)

    def row(self, name):
        """Appended is what the history holds: a killed worker's own counts would be lost, the rows are not."""
        full = f"{shop.DATABASE}.{name}"
        with self.reader.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {full}")
            source = cursor.fetchone()[0]
        return (name, source, sum(producer.table(full).get("read", 0) for producer in self.producers),
                self.counts().get(f"{name}_history", 0),
                sum(worker.table(full).get("deduplicated", 0) for worker in self.workers),
                self.counts().get(name, 0), self.freshness_ms(full))

    def counts(self):
        """Rows of all histories and latest views."""
        return self.warehouse.counts([f"{name}{end}" for name in shop.TABLES for end in ("", "_history")])

    def state(self, program):
        if not program.running():
            return f"{program.name} killed"
        if program in self.producers:
            return f"{program.name} {program.status.get('state', '...')}"
        return f"{program.name} {len(program.status.get('partitions', []))} partitions"

    def draw(self):
        self.refresh()
        lines = table([self.row(name) for name in shop.TABLES])
        lines.append("  " + "   ".join(self.state(program) for program in self.producers))
        lines.append("  " + "   ".join(self.state(program) for program in self.workers))
        lines.append(f"  {self.shop.transactions:,} transactions, {self.shop.rolled_back:,} rolled back, "
                     f"{self.shop.key_changes:,} changes of a key (one read, two appended)")
        self.screen.draw(lines)

    # -- the story ------------------------------------------------------------------------------------------------------------------
    def assigned(self):
        return sum(len(worker.status.get("partitions", [])) for worker in self.workers if worker.running())

    def first_rows(self):
        """Kafka's topics come with the first rows, and the workers find them within seconds: then the shop can open."""
        self.shop = shop.Shop(self.server.connect(), SEED, self.warehouse.transactions_per_s)
        self.shop.first_rows()

        def through():
            self.refresh()
            return self.assigned() == self.warehouse.partitions * len(shop.TABLES) and self.histories_are_full()
        wait_for(through, "the first rows", 60)
        self.screen.news("the first rows are through, both workers have their partitions")

    def add_column(self):
        self.shop.wants_notes = True
        self.screen.news("a column is added: ALTER TABLE orders ADD COLUMN gift_note VARCHAR(60) NULL")

    def kill_worker(self):
        victim = self.workers[1]
        victim.kill()
        self.screen.news(f"kill -9 worker 2 (process {victim.pid}); worker 3 is started in its place")
        self.program("worker 3", "kakehi-worker", self.workers)
        self.tell_when(lambda: self.assigned() == self.warehouse.partitions * len(shop.TABLES), "all partitions are worked on again")

    def kill_producer(self):
        victim = self.producers[0]
        victim.kill()
        self.screen.news(f"kill -9 producer 1 (process {victim.pid}); producer 2 stands by, and will ask Kafka where it was")
        self.tell_when(lambda: self.producers[1].status.get("state") == "STREAM", "producer 2 streams")

    def tell_when(self, condition, text):
        self.awaited.append((time.monotonic(), condition, text))

    def tell(self):
        for entry in list(self.awaited):
            killed, condition, text = entry
            if condition():
                self.awaited.remove(entry)
                self.screen.news(f"{text}, {time.monotonic() - killed:.1f} s after the kill")

    def run(self):
        todo = [(NEW_COLUMN_S, self.add_column), (KILL_WORKER_S, self.kill_worker)]
        todo += [(KILL_PRODUCER_S, self.kill_producer)] if self.kafka else []
        closes_s = CLOSE_KAFKA_S if self.kafka else CLOSE_EMBEDDED_S
        self.screen.news(f"the shop opens for {closes_s} s (seed {SEED})")
        self.shop.start()
        opened = time.monotonic()
        while time.monotonic() - opened < closes_s:
            while todo and time.monotonic() - opened > todo[0][0]:
                todo.pop(0)[1]()
            self.draw()
            self.tell()
            time.sleep(0.4)
        self.shop.stop()
        self.refresh()
        self.screen.news("the shop is closed; waiting until everything is through")

    def histories_are_full(self):
        """They hold what was committed, or more."""
        counts = self.counts()
        return all(counts.get(f"{name}_history", 0) >= self.shop.committed[name] for name in shop.TABLES)

    def drain(self):
        def through():
            self.draw()
            self.tell()
            return self.histories_are_full()
        try:
            wait_for(through, "the last rows", DRAIN_S)
            self.screen.news("everything is through")
        except Failed:
            if not all(child.killed or child.running() for child in self.children):
                raise
            self.screen.news(f"not everything came through within {DRAIN_S} s; comparing what is there")

    # -- the verdict ----------------------------------------------------------------------------------------------------------------
    def verdict(self):
        compared = [Comparison(self.warehouse, self.reader, name, self.shop.committed[name]) for name in shop.TABLES]
        self.screen.finish()
        self.screen.say()
        heads = (("source", "rows"), ("latest", "rows"), ("", "equal"), ("changes", "committed"), ("history", "rows"), ("distinct", "identities"))
        rows = [(c.table, len(c.source), c.latest_count, "yes" if c.latest == c.source else "NO", c.committed, c.history, c.identities)
                for c in compared]
        self.screen.say("\n".join(table(rows, heads)))
        differences = [sentence for comparison in compared for sentence in comparison.differences()]
        self.screen.say()
        if differences:
            self.screen.say("NOT EQUAL:\n  " + "\n  ".join(differences))
            return False
        kills = "a worker and the producer were killed" if self.kafka else "a worker was killed"
        self.screen.say(f"ALL EQUAL, although {kills}: each committed change stands in the history exactly once,\n"
                        f"and the latest view is the source, in every column of {sum(len(c.source) for c in compared):,} rows.")
        return True

    def how_to_look(self):
        """With KEEP: everything still runs."""
        say = self.screen.say
        say("\nIt keeps running. Look around, in another terminal:\n")
        say(f"    # change something: it is in {self.warehouse.title} about a second later")
        say(f"    mariadb -S {self.server.socket} -u root shop")
        for line in self.warehouse.how_to_look():
            say(f"    {line}")
        for program in self.producers + self.workers:
            if program.running():
                say(f"    curl http://{program.address}/metrics     # {program.name}; /status is JSON")
        say(f"    tail -f {self.folder}/*.log")
        say("\nCtrl-C stops everything; the folder with everything in it is kept.")

    def play(self):
        try:
            while True:
                self.draw()
                time.sleep(1)
        except SystemExit:
            pass  # Ctrl-C: how it ends

    def stop(self):
        if self.shop:
            self.shop.stopping.set()
        for child in reversed(self.children):
            child.stop()


def leave_file(demo):
    """The SQLite file outlives the demo, in build/, as one file."""
    target = demo.warehouse.leave(ROOT / "build" / "demo")
    if target:
        shown = target.relative_to(ROOT)
        print("\nLook around:\n")
        print(f"    sqlite3 {shown} 'SELECT * FROM orders ORDER BY id DESC LIMIT 5'")
        print(f"    sqlite3 {shown} \"{demo.warehouse.HISTORY}\"")
    print("\n`make demo KEEP=1` leaves everything running: change rows yourself, see /metrics and /status.")


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def run(demo, keep):
    try:
        demo.start()
        demo.first_rows()
        demo.run()
        demo.drain()
        equal = demo.verdict()
        if keep:
            demo.how_to_look()
            demo.play()
        return equal
    except Failed as failed:
        demo.screen.finish()
        demo.screen.say(f"\nThe demo failed: {failed}")
        return False


def main():
    arguments = argparse.ArgumentParser(prog="demo")
    arguments.add_argument("--kafka", type=pathlib.Path, metavar="DIR", help="Apache Kafka as tests/servers/get-kafka left it")
    arguments.add_argument("--bigquery", type=pathlib.Path, metavar="DIR", help="the BigQuery emulator as tests/servers/get-bigquery left it")
    arguments.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    given = arguments.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    demo = Demo(pathlib.Path(tempfile.mkdtemp(prefix="kakehi-demo-")), given.kafka, given.bigquery)
    equal = None
    try:
        equal = run(demo, given.keep)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C does not leave anything behind
        demo.screen.finish()
        demo.stop()
        if equal and not given.keep:
            leave_file(demo)
        if equal is False or given.keep:
            print(f"\nkept: {demo.folder} (settings, logs, data)")
        else:
            shutil.rmtree(demo.folder, ignore_errors=True)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())

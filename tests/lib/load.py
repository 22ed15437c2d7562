# SPDX-License-Identifier: Apache-2.0
"""A load generator: a small shop whose transactions are drawn by a seed.

Inserts, updates, deletes, changes of a primary key, several tables in one transaction, rollbacks, a table without a key, now and then DDL.
It keeps its own count of what it committed, a second witness beside the server's log; the two must agree before anything is judged.
"""
import random
import threading
import time
from collections import Counter


TABLES = {
    "customers": "CREATE TABLE customers (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(60) CHARACTER SET latin1, since DATETIME(6), vip BIT(1), notes TEXT)",
    "orders": "CREATE TABLE orders (customer BIGINT UNSIGNED, number INT, total DECIMAL(12,2), placed TIMESTAMP(3) NULL, state ENUM('new','paid','sent'), "
              "PRIMARY KEY (customer, number))",
    "items": "CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, customer BIGINT UNSIGNED, number INT, weight FLOAT, photo VARBINARY(300), KEY (customer, number))",
    "events": "CREATE TABLE events (what VARCHAR(40), at_us BIGINT)",
}


def make_tables(path):
    path.sql(*TABLES.values())


class Load:
    """Runs on a thread of its own from start() to finish(). `rate`: transactions a second, at most. ddl: now and then a new column."""

    def __init__(self, path, seed, rate=150, ddl=False):
        self.path = path
        self.random = random.Random(seed)
        self.pause_s = 1 / rate
        self.ddl = ddl
        self.committed = Counter()   # (table, op) -> row images
        self.transactions = 0
        self.next_customer = 1
        self.added = 0
        self.error = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def finish(self):
        self._ending.set()
        self._thread.join()
        if self.error:
            raise self.error
        self._must_agree()

    def _must_agree(self):
        """What we counted is what the server's log shows."""
        logged = Counter((table, image.op) for table, images in self.path.truth().items() if table in TABLES for image in images)
        assert logged == self.committed, f"the load counted {dict(self.committed)}, the server's log has {dict(logged)}"

    def _run(self):
        try:
            connection = self.path.connect()
            due = time.monotonic()
            while not self._ending.is_set():
                self._transaction(connection)
                due = max(due + self.pause_s, time.monotonic() - 1)
                self._ending.wait(max(0, due - time.monotonic()))
            connection.close()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def _transaction(self, connection):
        if self.ddl and self.random.random() < 0.002:
            self.added += 1
            connection.cursor().execute(f"ALTER TABLE customers ADD COLUMN extra{self.added} INT {self.random.choice(['', 'FIRST'])}")
            return
        done = Counter()
        connection.begin()
        with connection.cursor() as cursor:
            for _ in range(self.random.choice([1, 1, 1, 2, 5, 30])):
                self.random.choice([self._insert_customer, self._insert_order, self._update, self._update, self._delete, self._move, self._event])(cursor, done)
            if self.random.random() < 0.1:
                connection.rollback()
                return
        connection.commit()
        self.committed += done
        self.transactions += 1

    def _customer(self):
        """Recent ones more often: many changes of one row within a second."""
        return max(1, self.next_customer - int(self.random.expovariate(1 / 20)))

    def _insert_customer(self, cursor, done):
        name = "".join(self.random.choice("abcdeé ß") for _ in range(self.random.randrange(20)))
        cursor.execute("INSERT INTO customers (id, name, since, vip, notes) VALUES (%s, %s, NOW(6), %s, REPEAT(%s, %s))",
                       (self.next_customer, name, self.random.randrange(2), name, self.random.randrange(30)))
        done["customers", "c"] += cursor.rowcount
        self.next_customer += 1

    def _insert_order(self, cursor, done):
        customer, number = self._customer(), self.random.randrange(1 << 30)
        cursor.execute("INSERT IGNORE INTO orders VALUES (%s, %s, %s, NOW(3), 'new')", (customer, number, f"{self.random.randrange(10**6)}.25"))
        done["orders", "c"] += cursor.rowcount
        rows = [(customer, number, self.random.random(), self.random.randbytes(self.random.randrange(300))) for _ in range(3)]
        done["items", "c"] += cursor.executemany("INSERT INTO items (customer, number, weight, photo) VALUES (%s, %s, %s, %s)", rows)

    def _update(self, cursor, done):
        cursor.execute("UPDATE customers SET notes = CONCAT(LEFT(IFNULL(notes, ''), 50), %s), vip = 1 - vip WHERE id = %s",
                       (str(self.random.randrange(10**6)), self._customer()))
        done["customers", "u"] += cursor.rowcount
        cursor.execute("UPDATE orders SET state = IF(state = 'new', 'paid', 'new') WHERE customer = %s", (self._customer(),))
        done["orders", "u"] += cursor.rowcount

    def _delete(self, cursor, done):
        customer = self._customer()
        for table in ("items", "orders"):
            cursor.execute(f"DELETE FROM {table} WHERE customer = %s ORDER BY number LIMIT 3", (customer,))
            done[table, "d"] += cursor.rowcount
        if self.random.random() < 0.2:
            cursor.execute("DELETE FROM customers WHERE id = %s", (customer,))
            done["customers", "d"] += cursor.rowcount

    def _move(self, cursor, done):
        """The primary key changes: a delete of the old key and an insert of the new one."""
        cursor.execute("UPDATE IGNORE orders SET number = number + 1 WHERE customer = %s ORDER BY number DESC", (self._customer(),))
        done["orders", "u"] += cursor.rowcount

    def _event(self, cursor, done):
        what = str(self.random.randrange(100))
        if self.random.random() < 0.3:
            cursor.execute("UPDATE events SET at_us = at_us + 1 WHERE what = %s LIMIT 1", (what,))
            done["events", "u"] += cursor.rowcount
        else:
            cursor.execute("INSERT INTO events VALUES (%s, %s)", (what, self.random.randrange(10**12)))
            done["events", "c"] += cursor.rowcount


def wait_rows(load, count, deadline_s=60):
    """Until the load has committed this many transactions."""
    from lib.processes import wait_for  # pylint: disable=import-outside-toplevel
    wait_for(lambda: load.error or load.transactions >= count, "the load", deadline_s)
    if load.error:
        raise load.error



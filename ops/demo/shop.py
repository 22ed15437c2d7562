# SPDX-License-Identifier: Apache-2.0
"""A small shop that keeps a database busy, and a ledger of what it has committed.

The ledger knows nothing of kakehi: a statement's changes are the rows that the server says it changed, and they count when COMMIT
has returned. So at the end it says how many rows each history table must hold: one for a row that was inserted, updated or deleted,
two for a row whose primary key was changed (the old key goes, the new one comes).
"""
import random
import threading

DATABASE = "shop"
TABLES = ("customers", "orders", "items")
KEYS = {"customers": ("id",), "orders": ("id",), "items": ("order_id", "line")}

SCHEMA = """
CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE TABLE shop.customers (id INT UNSIGNED PRIMARY KEY, email VARCHAR(80) NOT NULL, name VARCHAR(60) NOT NULL,
  credit DECIMAL(12,2) NOT NULL, points BIGINT UNSIGNED NOT NULL, level ENUM('bronze','silver','gold') NOT NULL, token BINARY(8),
  joined TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6));
CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, customer INT UNSIGNED NOT NULL, status ENUM('new','paid','sent') NOT NULL,
  total DECIMAL(12,2) NOT NULL, placed DATETIME(6) NOT NULL DEFAULT NOW(6), KEY (customer));
CREATE TABLE shop.items (order_id BIGINT, line SMALLINT UNSIGNED, product VARCHAR(40) NOT NULL, quantity INT NOT NULL,
  price DECIMAL(8,2) NOT NULL, weight DOUBLE, PRIMARY KEY (order_id, line))
"""
NEW_COLUMN = "ALTER TABLE shop.orders ADD COLUMN gift_note VARCHAR(60) NULL"

NAMES = ("Ada", "Bjørn", "Chiyo", "Dvořák", "Ёлка", "Fatıma", "Grüße", "花子", "José", "Zoë 🎏")
PRODUCTS = ("bamboo pipe", "stone basin", "lantern", "moss", "gravel", "Teeschale ☕", "maple")
MOVED = 1_000_000  # a customer whose number changes gets this much added


class Shop(threading.Thread):
    """Works until told to stop; `error` says why it stopped by itself."""

    def __init__(self, connection, seed, transactions_per_s):
        super().__init__(name="shop", daemon=True)
        self.connection, self.random, self.pause_s = connection, random.Random(seed), 1 / transactions_per_s
        self.committed = dict.fromkeys(TABLES, 0)
        self.transactions, self.rolled_back, self.key_changes = 0, 0, 0
        self.customers, self.orders, self.last_customer, self.last_order = [], [], 0, 0
        self.open, self.has_notes, self.wants_notes, self.error = {}, False, False, None
        self.stopping = threading.Event()

    # -- one transaction ----------------------------------------------------------------------------------------------------------
    def change(self, table, sql, values, rows_per_change=1, many=False):
        cursor = self.connection.cursor()
        changed = cursor.executemany(sql, values) if many else cursor.execute(sql, values)
        self.open[table] = self.open.get(table, 0) + changed * rows_per_change

    def transact(self, work):
        """True if it was committed; some are rolled back, as people do."""
        self.open = {}
        self.connection.begin()
        work()
        if self.random.random() < 0.03:
            self.connection.rollback()
            self.rolled_back += 1
            return False
        self.connection.commit()
        self.transactions += 1
        for table, changes in self.open.items():
            self.committed[table] += changes
        return True

    # -- what a shop does -----------------------------------------------------------------------------------------------------------
    def money(self, most):
        return f"{self.random.randrange(1, most * 100) / 100:.2f}"

    def sign_up(self):
        ids = range(self.last_customer + 1, self.last_customer + 1 + self.random.choice((1, 1, 1, 20)))
        rows = [(number, f"c{number}@example.org", f"{self.random.choice(NAMES)} {number}", self.money(500), self.random.getrandbits(64),
                 self.random.choice(("bronze", "silver", "gold")), self.random.choice((None, self.random.randbytes(8))))
                for number in ids]

        def work():
            self.change("customers", "INSERT INTO customers (id, email, name, credit, points, level, token)"
                        " VALUES (%s, %s, %s, %s, %s, %s, %s)", rows, many=True)
        self.last_customer = ids[-1]
        if self.transact(work):
            self.customers += ids

    def order(self):
        number, customer = self.last_order + 1, self.random.choice(self.customers or [0])
        lines = [(number, line, self.random.choice(PRODUCTS), self.random.randrange(1, 9), self.money(90),
                  self.random.choice((None, self.random.uniform(0, 30)))) for line in range(1, self.random.randrange(2, 6))]
        self.last_order = number

        def work():
            total = self.money(900)
            if self.has_notes and self.random.random() < 0.5:
                self.change("orders", "INSERT INTO orders (id, customer, status, total, gift_note) VALUES (%s, %s, 'new', %s, %s)",
                            (number, customer, total, f"for {self.random.choice(NAMES)}"))
            else:
                self.change("orders", "INSERT INTO orders (id, customer, status, total) VALUES (%s, %s, 'new', %s)", (number, customer, total))
            self.change("items", "INSERT INTO items VALUES (%s, %s, %s, %s, %s, %s)", lines, many=True)
            self.change("customers", "UPDATE customers SET credit = credit + %s WHERE id = %s", (total, customer))
        if self.transact(work):
            self.orders.append(number)

    def proceed(self):
        number = self.random.choice(self.orders)
        sql = "UPDATE orders SET status = IF(status = 'new', 'paid', 'sent') WHERE id = %s"
        self.transact(lambda: self.change("orders", sql, (number,)))

    def correct(self):
        number = self.random.choice(self.orders)

        def work():
            self.change("items", "UPDATE items SET quantity = quantity + 1, price = price * 0.99 WHERE order_id = %s", (number,))
            self.change("orders", "UPDATE orders SET total = total + 1 WHERE id = %s", (number,))
        self.transact(work)

    def cancel(self):
        number = self.random.choice(self.orders)

        def work():
            self.change("items", "DELETE FROM items WHERE order_id = %s", (number,))
            self.change("orders", "DELETE FROM orders WHERE id = %s", (number,))
        if self.transact(work):
            self.orders.remove(number)

    def renumber(self):
        """A change of a primary key, and of the rows that name it."""
        old = self.random.choice(self.customers)

        def work():
            self.change("customers", "UPDATE customers SET id = id + %s WHERE id = %s", (MOVED, old), rows_per_change=2)
            self.change("orders", "UPDATE orders SET customer = customer + %s WHERE customer = %s", (MOVED, old))
        if self.transact(work):
            self.customers[self.customers.index(old)] = old + MOVED
            self.key_changes += 1

    def first_rows(self):
        self.connection.select_db(DATABASE)
        while not all(self.committed.values()):
            self.sign_up()
            self.order()

    def day(self):
        if len(self.customers) < 20:
            self.sign_up()
        elif len(self.orders) < 20:
            self.order()
        else:
            self.random.choices((self.sign_up, self.order, self.proceed, self.correct, self.cancel, self.renumber),
                                (14, 35, 25, 14, 8, 4))[0]()

    def run(self):
        try:
            while not self.stopping.wait(self.pause_s):
                if self.wants_notes and not self.has_notes:
                    self.connection.cursor().execute(NEW_COLUMN)
                    self.has_notes = True
                self.day()
        except Exception as error:  # shown by the demo, which then ends
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(30)


def set_up(connection):
    with connection.cursor() as cursor:
        for statement in SCHEMA.split(";\n"):
            cursor.execute(statement)

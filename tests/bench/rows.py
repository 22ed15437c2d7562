# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmarks: 12 columns of the kinds that a shop has, about 200 bytes, half of the text without a pattern."""

TABLE = """CREATE TABLE `{}` (id INT UNSIGNED NOT NULL PRIMARY KEY, customer INT NOT NULL, state TINYINT NOT NULL, quantity SMALLINT UNSIGNED,
    price DECIMAL(10,2), weight DOUBLE, ordered_at DATETIME(3), changed_at TIMESTAMP(6) NULL, city VARCHAR(40), note VARCHAR(120), code CHAR(8),
    day DATE) CHARACTER SET utf8mb4"""
_ROW = """{0}, {0} * 7 % 100003, {0} % 5, {0} % 1000, {0} % 99999 / 100, {0} / 3, '2026-11-21 01:02:03.456' + INTERVAL {0} SECOND,
    '2026-11-21 01:02:03.456789', CONCAT('city ', {0} % 997), CONCAT(LEFT(SHA2({0}, 256), 32), REPEAT('abcd ', 10)), LPAD({0} % 9999, 8, '0'), '2026-11-21'"""

_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100)"  # in words of both servers


def _plain(path):
    """The log then holds what is sent, and no texts of statements; MySQL writes none unless it is told to."""
    return ["SET SESSION binlog_annotate_row_events = 0"] if path.server.flavor == "mariadb" else []


def fill_bulk(path, table, rows):
    """100 rows a statement, 1,000 a transaction."""
    path.sql(*_plain(path), TABLE.format(table), f"""CREATE PROCEDURE fill_{table}(rows_wanted INT) BEGIN
        DECLARE done INT DEFAULT 0;
        WHILE done < rows_wanted DO
            IF done % 1000 = 0 THEN COMMIT; START TRANSACTION; END IF;
            INSERT INTO `{table}` {_NUMBERS} SELECT {_ROW.format('(done + n)')} FROM numbers WHERE done + n <= rows_wanted;
            SET done = done + 100;
        END WHILE;
        COMMIT; END""", f"CALL fill_{table}({rows})")


def fill_single(path, table, transactions):
    """One-row transactions: 60 % insert, 30 % update, 10 % delete."""
    path.sql(*_plain(path), TABLE.format(table), f"""CREATE PROCEDURE fill_{table}(transactions INT) BEGIN
        DECLARE n, fresh INT DEFAULT 0;
        WHILE n < transactions DO
            IF n % 10 < 6 THEN SET fresh = fresh + 1; INSERT INTO `{table}` SELECT {_ROW.format('fresh')};
            ELSEIF n % 10 < 9 THEN UPDATE `{table}` SET quantity = (quantity + 1) % 60000 WHERE id = fresh - n % 3;
            ELSE DELETE FROM `{table}` WHERE id = fresh - 5; END IF;
            SET n = n + 1;
        END WHILE; END""", f"CALL fill_{table}({transactions})")

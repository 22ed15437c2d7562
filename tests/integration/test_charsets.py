# SPDX-License-Identifier: Apache-2.0
"""Text of every character set that the server in hand offers: every character, as the server itself converts it (P4)."""
from lib import oracle

LETTERS_A_ROW = 2000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 255) "


def _codes(server, charset, longest):
    """All codes that the server takes for exactly one character, as hexadecimal digits; asked by brute force."""
    lists = [["n a"], ["n a", "n b"]]
    if charset in ("ujis", "eucjpms"):
        lists.append(["(SELECT 143 AS i) a", "n b", "n d"])
    if charset == "gb18030":
        lists.append(["n a", "(SELECT i FROM n WHERE i BETWEEN 48 AND 57) b", "n d", "(SELECT i FROM n WHERE i BETWEEN 48 AND 57) e"])
    found = {}
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        for tables in lists[:1] if longest == 1 else lists:
            code = "CHAR(" + ", ".join(table.split()[-1] + ".i" for table in tables) + ")"
            for lead in range(128, 256) if len(tables) > 1 and tables[0] == "n a" else [None]:
                where = f"WHERE a.i = {lead}" if lead is not None else ""
                cursor.execute(f"{_NUMBERS} SELECT HEX({code}), CONVERT(CONVERT({code} USING {charset}) USING utf8mb4) FROM {', '.join(tables)} {where}")
                for digits, text in cursor.fetchall():
                    begins = any(digits[:size] in found for size in range(2, len(digits), 2))
                    if text and len(text) == 1 and not begins and (text != "?" or digits == "3F"):
                        found[digits] = text
    return sorted(found)


def _unicode_codes(charset):
    """Every scalar value; of ucs2 and utf8mb3 those below 65536."""
    encodings = {"ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}
    last = 0xFFFF if charset in ("ucs2", "utf8", "utf8mb3") else 0x10FFFF  # utf8 is the older name of utf8mb3
    return [chr(number).encode(encodings.get(charset, "utf-8")).hex() for number in range(1, last + 1) if not 0xD800 <= number < 0xE000]


def _tables(path, charset, longest):
    codes = _unicode_codes(charset) if charset.startswith("utf") or charset == "ucs2" else [code for code in _codes(path.server, charset, longest) if code != "00"]
    labels = ["".join(codes[at:at + 3]) for at in (65, min(len(codes) // 2, 0x3050))]
    path.sql(f"CREATE TABLE {charset}_all (id INT PRIMARY KEY, t MEDIUMTEXT CHARACTER SET {charset}, v VARCHAR(300) CHARACTER SET {charset}, "
             f"c CHAR(20) CHARACTER SET {charset}, e ENUM(x'{labels[0]}', x'{labels[1]}') CHARACTER SET {charset}, after_it INT)")
    statements = []
    for at in range(0, len(codes), LETTERS_A_ROW):
        some = codes[at:at + LETTERS_A_ROW]
        statements.append(f"INSERT INTO {charset}_all VALUES ({at}, _{charset} x'{''.join(some)}', _{charset} x'{''.join(some[:300])}', "
                          f"_{charset} x'{''.join(some[:10])}', {at % 2 + 1}, {at})")
    path.sql(*statements)
    return len(codes)


def test_every_character_of_every_set(path):
    sets = {name: longest for name, longest in path.server.sql("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS") if name != "binary"}
    path.producer()
    path.worker()
    counts = {name: _tables(path, name, longest) for name, longest in sorted(sets.items())}
    assert len(counts) >= 39 and counts["big5"] > 13800 and counts["utf8mb4"] == 0x110000 - 0x800 - 1
    path.wait_and_judge(deadline_s=240)
    assert all(oracle.history_count(path.sqlite_file, f"{name}_all") > 0 for name in counts)

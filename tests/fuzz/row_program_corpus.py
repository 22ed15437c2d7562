# SPDX-License-Identifier: Apache-2.0
"""Whole messages for the fuzzer to begin with: each type, alone and all together. usage: row_program_corpus.py FOLDER"""
import pathlib
import struct
import sys


def long(number):
    left, out = (number << 1 ^ number >> 63) & (1 << 64) - 1, b""
    while left >= 128:
        out, left = out + bytes([left & 127 | 128]), left >> 7
    return out + bytes([left])


def text(content):
    return long(len(content)) + content


META = b"\x02" + long(1795222923456789) + long(1795222923456790) + long(6) + text(b"shop") + text(b"0-1-17")
VALUES = [  # in the order of enum column_type
    long(-123456789), text(b"\xff\x12"), text(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09"), text(b"-12.5"), struct.pack("<f", 0.1),
    struct.pack("<d", 0.1), b"\x01", text(b"\x00\xff"), long(20778), long(1795222923456789), long(-1), long(3600000000), long(2026),
    text("Zoë 日本".encode()), text(b'{"a": 1}'),
]
# For each, the history's types: bigquery_type's numbers.
INTO = [[0, 1, 2, 5], [2, 0, 1], [2, 3, 5], [5], [1], [1], [4, 0], [6], [7, 8], [8], [9], [0, 2], [0, 1], [5], [10, 5]]
DIGITS = 12 * 7 + 9  # precision and scale

folder = pathlib.Path(sys.argv[1])
for column_type, value in enumerate(VALUES):
    for into in INTO[column_type]:
        for packed in (0, 0x80):
            head = bytes([1 | packed, column_type, into, DIGITS])
            (folder / f"{column_type}-{into}-{packed}").write_bytes(head + b"\x02" + value + META)
head = bytes([15]) + b"".join(bytes([n, INTO[n][0], DIGITS]) for n in range(15))
(folder / "all").write_bytes(head + b"".join(b"\x02" + value for value in VALUES) + META)
(folder / "nulls").write_bytes(head + bytes(15) + META)

# SPDX-License-Identifier: Apache-2.0
"""Whole messages for the fuzzer to begin with: each type, alone and all together. usage: row_program_corpus.py FOLDER"""
import pathlib
import sys

from avro_bytes import META, VALUES

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

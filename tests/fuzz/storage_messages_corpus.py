# SPDX-License-Identifier: Apache-2.0
"""Answers as the service gives them, for the fuzzer to begin with. usage: storage_messages_corpus.py FOLDER"""
import pathlib
import sys

STREAM = b"projects/p/datasets/d/tables/t/streams/s1"
TYPE = b"type.googleapis.com/google.cloud.bigquery.storage.v1.StorageError"


def field(number, content):
    """A field of bytes, or of a number below 128."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + content


error = field(1, 7) + field(2, STREAM) + field(3, b"more fields than the table")
status = field(1, 3) + field(2, b"Schema mismatch") + field(3, field(1, TYPE) + field(2, error))
row_error = field(1, 41) + field(2, 1) + field(3, b"bad date")
answers = {
    "accepted": field(1, field(1, field(1, 70))) + field(5, STREAM),
    "refused": field(2, status) + field(5, STREAM),
    "row_errors": field(2, field(1, 3)) + field(4, row_error) + field(4, row_error),
    "updated": field(1, field(1, b"")) + field(3, field(1, field(1, b"id") + field(2, 2))),
    "stream": field(1, STREAM) + field(2, 1) + field(3, field(1, 99) + field(2, 7)) + field(8, b"EU"),
    "status": status,
    "finalized": field(1, 100),
    "group": b"\x0b\x13\x08\x01\x14\x0c" + field(1, field(1, b"")),
}
folder = pathlib.Path(sys.argv[1])
for name, bytes_ in answers.items():
    (folder / name).write_bytes(bytes_)

# SPDX-License-Identifier: Apache-2.0
"""Avro bytes for the corpora: a value of each column type, in the order of enum column_type (schemas/table.h), and our metadata behind a row."""
import struct


def long(number):
    left, out = (number << 1 ^ number >> 63) & (1 << 64) - 1, b""
    while left >= 128:
        out, left = out + bytes([left & 127 | 128]), left >> 7
    return out + bytes([left])


def text(content):
    return long(len(content)) + content


META = b"\x02" + long(1795222923456789) + long(1795222923456790) + long(6) + text(b"shop") + text(b"0-1-17")
VALUES = [
    long(-123456789), text(b"\xff\x12"), text(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09"), text(b"-12.5"), struct.pack("<f", 0.1),
    struct.pack("<d", 0.1), b"\x01", text(b"\x00\xff"), long(20778), long(1795222923456789), long(-1), long(3600000000), long(2026),
    text("Zoë 日本".encode()), text(b'{"a": 1}'),
]

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents as MySQL stores them, each alone and with diffs. usage: jsonb_corpus.py FOLDER

The layout: the comment in sql-common/json_binary.h of MySQL's source; of the diffs: sql/json_diff.h.
"""
import struct
import sys
from pathlib import Path

SMALL_OBJECT, LARGE_OBJECT, SMALL_ARRAY, LARGE_ARRAY, LITERAL, INT16, INT32, INT64, UINT64, DOUBLE, STRING, OPAQUE = 0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 15
LITERALS = {None: 0, True: 1, False: 2}


class Opaque:
    """A value of a type of SQL, by the number that the protocol gives it."""

    def __init__(self, kind, content):
        self.content = bytes([kind]) + size_of(len(content)) + content


def size_of(number):
    out = b""
    while number >= 128:
        number, out = number >> 7, out + bytes([number & 127 | 128])
    return out + bytes([number])


def value(item, large):
    """(type, bytes, do they stand in the table of elements itself?)"""
    if item is None or isinstance(item, bool):
        return LITERAL, bytes([LITERALS[item]]), True
    if isinstance(item, int) and -32768 <= item < 32768:
        return INT16, struct.pack("<h", item), True
    if isinstance(item, int) and -2**31 <= item < 2**31:
        return INT32, struct.pack("<i", item), large
    if isinstance(item, int):
        return (INT64, struct.pack("<q", item), False) if item < 2**63 else (UINT64, struct.pack("<Q", item), False)
    if isinstance(item, float):
        return DOUBLE, struct.pack("<d", item), False
    if isinstance(item, str):
        return STRING, size_of(len(item.encode())) + item.encode(), False
    if isinstance(item, Opaque):
        return OPAQUE, item.content, False
    return (LARGE_OBJECT if large else SMALL_OBJECT) + (0 if isinstance(item, dict) else 2), container(item, large), False


def container(item, large):
    word = "<I" if large else "<H"
    width = struct.calcsize(word)
    keys = [key.encode() for key in sorted(item, key=lambda key: (len(key.encode()), key))] if isinstance(item, dict) else []
    elements = [item[key.decode()] for key in keys] if isinstance(item, dict) else item
    at = 2 * width + len(keys) * (width + 2) + len(elements) * (1 + width)
    table, behind = b"", b"".join(keys)
    for key in keys:
        table += struct.pack(word, at) + struct.pack("<H", len(key))
        at += len(key)
    for element in elements:
        kind, content, inline = value(element, large)
        table += bytes([kind]) + (content.ljust(width, b"\0") if inline else struct.pack(word, at))
        if not inline:
            behind, at = behind + content, at + len(content)
    return struct.pack(word, len(elements)) + struct.pack(word, at) + table + behind


def document(item, large=False):
    kind, content, _ = value(item, large)
    return bytes([kind]) + content


def diff(operation, path, item=None):
    changed = b"" if operation == 2 else size_of(len(document(item))) + document(item)
    return bytes([operation]) + size_of(len(path)) + path.encode() + changed


DOCUMENTS = [None, True, -1, 2**31 - 1, -2**63, 2**64 - 1, 0.1, -1e300, "", "Zoë 日本 \"\\\n\x01", [], {}, [1, [2, [3, {"a": [None]}]]],
             {"a": 1, "b c": "x", "": [0.5], "long": "y" * 300}, Opaque(246, bytes([4, 2, 0x80 | 12, 34])), Opaque(12, struct.pack("<q", 123456789 << 24)),
             Opaque(11, struct.pack("<q", -5 << 24)), Opaque(10, struct.pack("<q", 99999 << 41)), Opaque(252, b"\0\xff\x01"), {"n": Opaque(246, b"\3\1\x80\x7b")}]
DIFFS = [diff(0, "$.a", [1, 2]), diff(1, "$.z", {"new": "x"}), diff(2, "$.a"), diff(0, "$[0]", "zero"), diff(2, "$[last]"), diff(1, '$."b c"', None),
         diff(0, "$.a", 1) + diff(1, "$.q", 0.5) + diff(2, "$.q"), diff(0, "$[1][1][1].a[0]", {"deep": []})]

for number, content in enumerate(DOCUMENTS):
    for large in (False, True):
        encoded = document(content, large)
        folder = Path(sys.argv[1])
        (folder / f"document-{number}-{large}").write_bytes(struct.pack(">H", len(encoded)) + encoded)
        if isinstance(content, (list, dict)):
            for place, diffs in enumerate(DIFFS):
                (folder / f"diff-{number}-{large}-{place}").write_bytes(struct.pack(">H", len(encoded)) + encoded + diffs)

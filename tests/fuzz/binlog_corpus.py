#!/usr/bin/env python3
"""Makes the corpus of binlog_fuzz in a folder: each recorded log with several first bytes, as a file and as packets; MariaDB's also with
its rows events in fragments.

usage: binlog_corpus.py FOLDER
"""
import gzip
import pathlib
import struct
import sys
import zlib

DATA = pathlib.Path(__file__).parent.parent / "data" / "binlog"
SIZE_MAX = 64 * 1024


def packets(log):
    """What a server would send: an artificial ROTATE, then the events."""
    body = struct.pack("<Q", 4) + b"binlog.000001"
    events = [struct.pack("<IBIIIH", 0, 4, 1, 19 + len(body), 0, 0x20) + body]
    at = 4
    while at + 19 <= len(log):
        size = struct.unpack_from("<I", log, at + 9)[0]
        events.append(log[at:at + size])
        at += size
    return b"".join(struct.pack("<I", len(event) + 1)[:3] + bytes([(n + 1) % 256]) + b"\0" + event for n, event in enumerate(events))


def fragments(log):
    """The log with each rows event of MariaDB in two PARTIAL_ROW_DATA events or more."""
    out, at = log[:4], 4
    while at + 19 <= len(log):
        size = struct.unpack_from("<I", log, at + 9)[0]
        event, at = log[at:at + size], at + size
        if event[4] not in (23, 24, 25):
            out += event
            continue
        rows = event[:-4]
        parts = [rows[begin:begin + 60] for begin in range(0, len(rows), 60)]
        for number, part in enumerate(parts, 1):
            body = struct.pack("<IIB", len(parts), number, number == 1) + (struct.pack("<Q", len(rows)) if number == 1 else b"") + part
            made = event[:4] + bytes([172]) + event[5:9] + struct.pack("<I", 19 + len(body) + 4) + bytes(4) + event[17:19] + body
            out += made + struct.pack("<I", zlib.crc32(made))
    return out


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(DATA.iterdir()):
        if ".binlog" not in path.name:
            continue
        log = path.read_bytes()
        log = gzip.decompress(log) if path.suffix == ".gz" else log
        if path.name.startswith("mariadb"):
            (folder / f"{path.name}.fragments").write_bytes(bytes([0]) + fragments(log)[:SIZE_MAX])
        log = log[:SIZE_MAX]
        for first in (0, 2 | 32, 4 | 32, 24 | 2, 16 | 32, 64, 64 | 32, 128 | 32):
            (folder / f"{path.name}.{first}").write_bytes(bytes([first]) + log)
        (folder / f"{path.name}.1").write_bytes(bytes([1 | 2]) + packets(log))


main(pathlib.Path(sys.argv[1]))

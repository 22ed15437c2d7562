#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers of a gRPC server, whole and broken, for tests/fuzz/grpc_fuzz.c. usage: grpc_corpus.py FOLDER"""
import base64
import gzip
import os
import struct
import sys

FIRST, SECOND = 1, 3  # the calls that the fuzzer opens
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    assert len(value) < 127
    return bytes([len(value)]) + value.encode()


def headers(stream, pairs, flags=END_HEADERS):
    """Literals without indexing, without Huffman: the simplest that HPACK allows."""
    return frame(1, flags, stream, b"".join(b"\0" + text(name) + text(value) for name, value in pairs))


def data(stream, payload, flags=0):
    return frame(0, flags, stream, payload)


def message(payload, compressed=False):
    return struct.pack(">BI", compressed, len(payload)) + payload


def answer(stream, encoding="identity"):
    return headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", encoding)])


def trailers(stream, status, words="", details=b""):
    pairs = [("grpc-status", str(status))]
    if words:
        pairs.append(("grpc-message", words))
    if details:
        pairs.append(("grpc-status-details-bin", base64.b64encode(details).decode().rstrip("=")))
    return headers(stream, pairs, END_HEADERS | END_STREAM)


def rst(stream, code):
    return frame(3, 0, stream, struct.pack(">I", code))


def goaway(last, code, words=b""):
    return frame(7, 0, 0, struct.pack(">II", last, code) + words)


CASES = {
    "ok": answer(FIRST) + data(FIRST, message(b"hello")) + trailers(FIRST, 0),
    "two": answer(SECOND) + answer(FIRST) + data(SECOND, message(b"a" * 300)) + data(FIRST, message(b"b")) + trailers(FIRST, 0) + trailers(SECOND, 0),
    "split": answer(FIRST) + data(FIRST, b"\0\0\0\0") + data(FIRST, b"\5he") + data(FIRST, b"llo") + trailers(FIRST, 0),
    "gzip": answer(FIRST, "gzip") + data(FIRST, message(gzip.compress(b"row" * 500), True)) + trailers(FIRST, 0),
    "gzip-broken": answer(FIRST, "gzip") + data(FIRST, message(gzip.compress(b"row" * 500)[:-3], True)) + trailers(FIRST, 0),
    "huge": answer(FIRST) + data(FIRST, b"\0\xff\xff\xff\xff") + trailers(FIRST, 0),
    "cut": answer(FIRST) + data(FIRST, message(b"hello")[:7]) + trailers(FIRST, 0),
    "only": headers(FIRST, [(":status", "200"), ("grpc-status", "5"), ("grpc-message", "no%20such %E2%82%AC %"), ("grpc-status-details-bin", "CAUSAf8")],
                    END_HEADERS | END_STREAM),
    "details": answer(SECOND) + trailers(SECOND, 3, "bad rows", b"\x08\x03\x12\x04rows"),
    "proxy": headers(FIRST, [(":status", "503"), ("content-type", "text/html")]) + data(FIRST, b"<html>", END_STREAM),
    "interim": headers(FIRST, [(":status", "103"), ("link", "x")]) + answer(FIRST) + data(FIRST, message(b"")) + trailers(FIRST, 0),
    "resets": rst(FIRST, 7) + rst(SECOND, 11),
    "goaway": goaway(0x7FFFFFFF, 0, b"max_age") + answer(FIRST) + goaway(FIRST, 0) + trailers(FIRST, 0),
    "calm": goaway(SECOND, 11, b"too_many_pings"),
    "settings": frame(4, 0, 0, struct.pack(">HIHI", 3, 2, 4, 100)) + frame(6, 0, 0, b"12345678") + frame(8, 0, 0, struct.pack(">I", 100000)),
    "window": frame(8, 0, SECOND, struct.pack(">I", 0x7FFFFFFF)),
    "push": frame(5, END_HEADERS, FIRST, struct.pack(">I", 2) + b"\x82"),
    "continued": headers(FIRST, [(":status", "200")], 0) + frame(9, END_HEADERS, FIRST, b"\0" + text("grpc-status") + text("0")),
    "http1": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


def main():
    for name, body in CASES.items():
        for piece in (0, 6):
            with open(os.path.join(sys.argv[1], f"{name}-{piece}"), "wb") as file:
                file.write(bytes([piece]) + body)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sets of both servers and GTIDs to add. usage: gtid_set_corpus.py FOLDER"""
import sys
from pathlib import Path

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "d10347db-e54b-11f1-9c3e-02fc00000001"
TEXTS = ["0" + text for text in (
    f"{A}:1-5:7,\r {B}:1\n{A}:6\n{A}:6\n{B}:2\n{A}:8", f"{A}:1-5:tag:1-3:9\n{A}:tag:1-2\n{A}:tag:4\n{A}:other:1", f"{A}:1:3:5:7:9\n\n{A}:2\n{A}:4\n{A}:8\n{A}:6",
    f"{A}:9223372036854775806\n{A}:9223372036854775807", "\n\n")] + ["1" + text for text in (
    "0-1-100,7-2-5\n0-1-99\n0-3-101\n7-2-4\n9-1-1", "\n0-1-1\n0-1-18446744073709551615", "4294967295-4294967295-18446744073709551615\n0-0-0")]
for number, text in enumerate(TEXTS):
    (Path(sys.argv[1]) / f"sets-{number}").write_bytes(text.encode())

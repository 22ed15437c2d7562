#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Marks of both ways. usage: mark_corpus.py FOLDER"""
import sys
from pathlib import Path

MARKS = ["v1 append - - 0", "v1 append 0a1b2c3d Cic2YjE2-_= 0", "v1 append 0a1b2c3d s 12 17+5@20778.1795000000000000.0 23+1@-3.-4.-5",
         "v1 load 0a1b2c3d kakehi_0123456789abcdef0123456789abcdef EU 4711", "v2 append 0a1b2c3d s 0", ""]
for number, mark in enumerate(MARKS):
    (Path(sys.argv[1]) / f"mark-{number}").write_text(mark)

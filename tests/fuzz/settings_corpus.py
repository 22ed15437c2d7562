#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of settings: the smallest ones, one with every kind of setting, and mistakes. usage: settings_corpus.py FOLDER"""
import sys
from pathlib import Path

SMALL = "kafka:\n  bootstrap.servers: broker:9092\nsource:\n  name: shop\n  host: db\n  user: kakehi\n  tables: [shop.*]\nsqlite: {file: /data/shop.db}\n"
BIGQUERY = ("kafka: {bootstrap.servers: b}\nsource: {name: s, socket: /s, user: u, tables: [\"*.*\"], exclude: [a.b, 'c.*']}\nwarehouse: bigquery\n"
            "bigquery:\n  project: my-project\n  location: EU\n  method: {shop.*: load, '*.*': auto}\n  view: {'*.*': base}\n  labels: {team: data}\n  request: 1MiB\n"
            "freshness: {shop.orders: 5s}\n")
FILES = [SMALL, BIGQUERY,
         SMALL + "topics.partitions_by_table: {shop.orders: 8}\ntopics: {partitions: 3, retention: 7d, topic: {shop.a: b}}\nlog: {level: debug, format: json}\n",
         SMALL + "producer: {listen: '127.0.0.1:0', memory: 64MiB, kafka: {linger.ms: 5}, transaction: {bytes: 1MiB, age: 20ms}}\nworker.batch: {rows: 10, age: 1.5s}\n",
         SMALL.replace("user:", "password: x\n  user:"), SMALL + "source.unrepresentable: {'*.*.*': null}\nsource.datetime_zone: {a.b.c: Asia/Tokyo}\n",
         "a: &a [1, *a]\n", "%YAML 1.1\n---\n? [a]\n: b\n", "kafka: [}\n", "prefix: \"\\x00\"\n" + SMALL, "prefix: x\nprefix: y\n" + SMALL, "\ufeff" + SMALL, ""]
for number, text in enumerate(FILES):
    for who in range(3):
        (Path(sys.argv[1]) / f"settings-{number}-{who}").write_bytes(bytes([who]) + text.encode())

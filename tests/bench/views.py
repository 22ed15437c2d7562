#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a query of the latest view reads, plain and base + tail, while the history grows 1 to 100 times at constant live rows.

    tests/bench/run views [LIVE_ROWS]      (2000 when not given)

Every live row is updated once a day. The emulator counts no bytes, so what is printed are rows: those of the partitions that the view's
predicate leaves, which is what BigQuery bills columns of. The statements are those of tests/data/view_sql, the refresh runs as the worker would run it on
each day. Both views must show the same. The emulator's seconds are printed too, and say little.
"""
import datetime
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import bigquery  # noqa: E402
from lib.histories import TODAY, History, Rest, text  # noqa: E402
import figures  # noqa: E402

LAG = datetime.timedelta(days=2)


def add_day(history, day, number, live):
    """Each row gets a new version."""
    history.rest.query(f"""INSERT INTO `p.{history.dataset}.orders_history` (region, id, note, price, __op, __ts, __seq, __idx, __source, __txid, __ingest_day)
        SELECT 'r', id, CONCAT('note {number} of ', CAST(id AS STRING)), CAST(id AS NUMERIC), IF({number} = 1, 'c', 'u'), TIMESTAMP('{day}'), {number}, 2 * id, 's', 'tx{number}',
        DATE '{day}' FROM UNNEST(GENERATE_ARRAY(1, {live})) AS id""")


def timed(rest, sql):
    start = time.monotonic()
    rows = rest.query(f"SELECT COUNT(*), SUM(price), MAX(note) FROM ({sql})")
    return time.monotonic() - start, rows


def count(rest, table, where="TRUE"):
    return int(rest.query(f"SELECT COUNT(*) FROM `{table}` WHERE {where}")[0][0])


def report(history, factor, watermark):
    rest, dataset = history.rest, history.dataset
    plain_seconds, plain = timed(rest, text("plain", dataset))
    base_seconds, base = timed(rest, text("base", dataset, watermark))
    assert plain == base, (plain, base)
    whole = count(rest, f"p.{dataset}.orders_history")
    tail = count(rest, f"p.{dataset}.orders_history", f"__ingest_day >= DATE '{watermark}'")
    kept = count(rest, f"p.{dataset}.orders_base")
    print(f"| {factor} | {whole} | {whole} | {kept} + {tail} = {kept + tail} | {whole / (kept + tail):.1f} | {plain_seconds:.2f} | {base_seconds:.2f} |", flush=True)


def measure(server, live, days):
    """Prints a line when the history is 1, 3, 10 ... times its live rows."""
    history = History(Rest(server), "bench_views")
    first = TODAY - datetime.timedelta(days=100)
    watermark = first
    print(f"{live} live rows, each updated once a day\n\n| history x | its rows | plain reads rows | base + tail reads rows | times less | plain s | base + tail s |\n|---|---|---|---|---|---|---|")
    for number in range(1, days + 1):
        day = first + datetime.timedelta(days=number)
        add_day(history, day, number, live)
        history.merge(watermark)
        watermark = max(watermark, day - LAG)
        if number in (1, 3, 10, 30, 100):
            report(history, number, watermark)


def main(live=2000):
    with figures.workshop() as folder:
        measure(bigquery.Emulator(folder / "emulator").start(), int(live), 100)


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Records values.sql and its like on a running server, and what the server itself says of the rows, as the decoder's oracle.

usage: record.py CLIENT SOCKET DATADIR mysql|mariadb OUT [SQL]
CLIENT: the mysql or mariadb program. OUT: prefix of OUT.binlog.gz and OUT.expected; SQL: a file beside this one instead of values.sql and values-FLAVOR.sql. One line a row: table, then a field a column.
Numbers, dates and times stand as texts (times with six digits), everything else as hexadecimal digits of its UTF-8, or, above 1000
bytes, as "crc" and its CRC32; NULL is \\N.
"""
import gzip
import pathlib
import subprocess
import sys

CLIENT, SOCKET, DATADIR, FLAVOR, OUT = sys.argv[1:6]
FILES = sys.argv[6:] or ["values.sql", f"values-{FLAVOR}.sql"]
HERE = pathlib.Path(__file__).parent
CHANGED = {"keyed", "plain", "part", "gone", "numbers", "hashed", "early"}  # rows that were updated or deleted: the tests know them


def run(sql, *options):
    done = subprocess.run([CLIENT, "--no-defaults", "-uroot", "-S", SOCKET, "--default-character-set=utf8mb4", "-N", "-B", "-r", *options],
                          input=sql, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def expression(name, kind, table):
    if kind in ("datetime", "timestamp", "time"):
        return f"cast(`{name}` as char)" if table == "zeros" else f"cast(cast(`{name}` as {'time' if kind == 'time' else 'datetime'}(6)) as char)"
    if kind in ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year", "date"):
        return f"cast(`{name}` as char)"
    if kind in ("float", "double"):
        return f"cast(cast(`{name}` as double) as char)"
    if kind == "bit":
        return f"cast(`{name}`+0 as char)"
    text = f"convert(`{name}` using utf8mb4)" if kind in ("char", "varchar", "enum", "set", "json") or kind.endswith("text") else f"`{name}`"
    return f"if(length({text})>1000,concat('crc',crc32({text})),hex({text}))"


def main():
    setup = "set sql_mode=''; set time_zone='+00:00'; set names utf8mb4;"
    run("drop database if exists v; create database v; flush binary logs;")
    run(setup + "use v;" + "".join((HERE / name).read_text() for name in FILES) + "flush binary logs;")
    names = [line.split("\t")[0] for line in run("show binary logs").splitlines()]
    log = (pathlib.Path(DATADIR) / names[-2]).read_bytes()
    pathlib.Path(OUT + ".binlog.gz").write_bytes(gzip.compress(log, 9, mtime=0))
    lines = []
    for table in run("select table_name from information_schema.tables where table_schema='v' order by create_time, table_name").split():
        if table in CHANGED:
            continue
        columns = [line.split("\t") for line in run(
            f"select column_name, data_type from information_schema.columns where table_schema='v' and table_name='{table}' order by ordinal_position").splitlines()]
        parts = ",".join(f"ifnull({expression(name, kind, table)},'\\\\N')" for name, kind in columns)
        for line in run(f"{setup} use v; select {parts} from `{table}` order by 1+0").splitlines():
            lines.append(f"{table}\t{line}\n")
    pathlib.Path(OUT + ".expected").write_text("".join(sorted(lines)))


main()

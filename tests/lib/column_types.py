# SPDX-License-Identifier: Apache-2.0
"""Every common type of both servers with its edge values, as literals of SQL."""

_FRACTIONS = {0: "", 1: ".9", 2: ".01", 3: ".123", 4: ".9999", 5: ".00001", 6: ".999999"}

COMMON = {
    "tinyint": ["-128", "127", "0", "-1"],
    "tinyint unsigned": ["0", "255", "128"],
    "tinyint(1)": ["0", "1", "127"],
    "smallint": ["-32768", "32767"],
    "smallint unsigned": ["65535", "32768"],
    "mediumint": ["-8388608", "8388607", "-1"],
    "mediumint unsigned": ["16777215", "8388608"],
    "int": ["-2147483648", "2147483647"],
    "int unsigned": ["4294967295", "2147483648"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "bigint unsigned": ["18446744073709551615", "9223372036854775808", "0"],
    "decimal(1,0)": ["-9", "0", "9"],
    "decimal(10,2)": ["-12345678.90", "0.01", "-0.01", "99999999.99"],
    "decimal(9,9)": ["0.000000001", "-0.999999999"],
    "decimal(20,0)": ["99999999999999999999", "-1"],
    "decimal(38,9)": ["-12345678901234567890123456789.123456789"],
    "decimal(65,30)": ["99999999999999999999999999999999999.999999999999999999999999999999", "-0.000000000000000000000000000001"],
    "decimal(65,0)": ["-" + "9" * 65, "1" + "0" * 64],
    "float": ["0", "0.1", "-3.4028234e38", "1.1754944e-38", "16777217"],
    "double": ["0", "0.1", "-1.7976931348623157e308", "2.2250738585072014e-308", "9007199254740993"],
    "bit(1)": ["b'0'", "b'1'"],
    "bit(7)": ["b'1010101'", "0"],
    "bit(64)": ["18446744073709551615", "1", "0"],
    "year": ["0", "1901", "2155", "1970"],
    "date": ["'1000-01-01'", "'9999-12-31'", "'1969-12-31'", "'1970-01-01'", "'2024-02-29'", "'0001-01-01'"],
    **{f"datetime({f})": [f"'9999-12-31 23:59:59{s if f < 6 else '.499999'}'" if f else "'1000-01-01 00:00:00'", f"'1969-12-31 23:59:59{s}'"]
       for f, s in _FRACTIONS.items()},
    **{f"timestamp({f}) null": [f"'2038-01-19 03:14:06{s}'", f"'1970-01-01 00:00:01{s}'"] for f, s in _FRACTIONS.items()},
    **{f"time({f})": [f"'-00:00:00{s}'", f"'838:59:58{s}'", f"'-838:59:58{s}'", "'-01:02:03'", "'00:00:00'"] for f, s in _FRACTIONS.items()},
    "char(10)": ["''", "'abc  '", "'日本語😀'"],
    "char(255)": ["REPEAT('😀', 255)", "'x'"],
    "char(10) character set latin1": ["'é€'", "x'818d8f909d'"],
    "varchar(63)": ["''", "REPEAT('😀', 63)", "'trailing  '"],
    "varchar(64)": ["REPEAT('ß', 64)", "'\\0\\n\\r\\t\"\\\\'"],
    "varchar(1000) character set latin1": ["REPEAT('é', 1000)", "'€'", "''"],
    "tinytext": ["REPEAT('x', 255)", "''"],
    "text character set latin1": ["REPEAT('ü', 65535)"],
    "mediumtext": ["REPEAT('日', 30000)", "'null'"],
    "longtext": ["REPEAT('y', 200000)"],
    "binary(4)": ["x'01000000'", "x'00000000'", "x'ffffffff'"],
    "binary(255)": ["REPEAT(x'ff', 255)", "x'00'"],
    "varbinary(300)": ["x''", "x'0000'", "REPEAT(x'fe', 300)"],
    "tinyblob": ["x'00'", "''"],
    "blob": ["REPEAT(x'c3', 65535)"],
    "mediumblob": ["REPEAT(x'00', 100000)"],
    "longblob": ["x'c301'"],
    "enum('a','b,c','é','')": ["'a'", "'b,c'", "'é'", "''"],
    "enum('x','y')": ["'y'", "0"],
    "enum('é','ß') character set latin1": ["'é'", "'ß'"],
    "set('x','y','it''s','日本')": ["''", "'x,y,it\\'s,日本'", "'日本'"],
    "set(" + ",".join(f"'s{i}'" for i in range(64)) + ")": ["18446744073709551615", "9223372036854775808", "0"],
    "enum(" + ",".join(f"'e{i}'" for i in range(300)) + ")": ["'e299'", "'e0'", "'e255'"],
}

JSON_TEXTS = [
    "'null'", "'true'", "'false'", "'{}'", "'[]'", "'\"text\"'", "'0'", "'-1'", "'32768'", "'-2147483649'", "'9223372036854775807'", "'18446744073709551615'",
    "'0.1'", "'-1.5e300'", "'1.0'", "'{\"b\": 1, \"a\": [1, \"zwei\", null, {\"tief\": {\"er\": []}}], \"längerer Name\": \"日本😀\"}'", "'\"\\\\u0000\\\\n\\\\\"\"'",
    "CONCAT('[\"', REPEAT('x', 70000), '\", 1, {\"k\": ', REPEAT('[', 25), REPEAT(']', 25), '}]')",
]
MYSQL_JSON = JSON_TEXTS + [
    "JSON_OBJECT('decimal', CAST('-123.450' AS DECIMAL(20,3)), 'date', CAST('2026-01-02' AS DATE), 'time', CAST('-01:02:03.4' AS TIME(1)), "
    "'datetime', CAST('2026-01-02 03:04:05.678' AS DATETIME(3)))",
    "JSON_ARRAY(CAST(x'00ff' AS BINARY(2)), b'101', CAST(18446744073709551615 AS UNSIGNED))",
]


# MariaDB from 11.5 on.
_LONG_TIMESTAMPS = {"timestamp(0) null": ["'2106-02-07 06:28:15'", "'2038-01-19 03:14:08'"], "timestamp(6) null": ["'2106-02-07 06:28:15.999999'"]}

_VECTORS = {
    "vector(1)": ["[0]", "[-0]", "[3.4028234e38]", "[-3.4028234e38]", "[1e-45]", "[1.1754944e-38]", "[16777217]", "[0.1]"],
    "vector(3)": ["[1,-2.5e-30,0.1]", "[0,0,0]", "[0.3333333,1e10,-1e-10]"],
    "vector(2000)": ["[" + ",".join(f"{(i * 37 % 1000 - 500) / 7:.6g}" for i in range(2000)) + "]"],
}


def vectors(server):
    """{column type: literals} of the vectors that the server has. MySQL takes no subnormal number."""
    taken = lambda text: server.flavor == "mariadb" or text != "[1e-45]"
    return {kind: [f"{server.vector_of_text}('{text}')" for text in texts if taken(text)] for kind, texts in _VECTORS.items()} if server.has_vectors else {}


def of(server):
    """{column type: literals} for that server. MySQL's vectors are left out: mysqlbinlog prints no row that has one."""
    if server.flavor == "mysql":
        return {**COMMON, "json": MYSQL_JSON}
    columns = {**COMMON, "json": JSON_TEXTS, **vectors(server)}
    if server.has_long_timestamps:
        columns.update({kind: COMMON[kind] + literals for kind, literals in _LONG_TIMESTAMPS.items()})
    return columns


_PLACES = ["ST_GeomFromText('POINT(1 -2.5)')", "ST_GeomFromText('POLYGON((0 0, 0 1, 1 1, 0 0))', 4326)", "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"]
_UNMARKED = {
    "uuid": ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "inet6": ["'2001:db8::1:0:0:1'", "'::'", "'::ffff:192.0.2.1'"],
    "inet4": ["'10.0.0.0'", "'255.255.255.255'", "'0.0.0.0'"],
}


def own(server):
    """{column type: literals} of what the server has of its own, or what a witness of its log would not tell."""
    return {"geometry": _PLACES, **(_UNMARKED if server.flavor == "mariadb" else {}), **vectors(server)}

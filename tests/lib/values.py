# SPDX-License-Identifier: Apache-2.0
"""What a SELECT at the source shows, in the form in which it must arrive.

The texts of the server's own protocol are converted here by the type that information_schema names: this is the independent half of
"exact values" (P4). Dates stay text with six digits of fraction, decimals text, TIME microseconds, BIGINT UNSIGNED a number up to 2^63 - 1, text above.
"""
import json
import struct
from decimal import Decimal


def _datetime(text):
    return text if "." in text else text + "."


def _microseconds(text):
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = text.lstrip("-").split(":")
    whole, _, fraction = seconds.partition(".")
    return sign * (((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 1_000_000 + int(fraction.ljust(6, "0") or 0))


def json_value(text):
    """A document by its meaning: order of members and spelling of numbers don't count, their value does."""
    return json.dumps(json.loads(text, parse_float=lambda number: format(Decimal(number).normalize(), "f") + "d"), sort_keys=True)


def _vector_of_hex(text):
    data = bytes.fromhex(text)
    return struct.unpack(f"<{len(data) // 4}f", data)


def vector_value(text):
    """A JSON array by the floats of 4 bytes that its numbers are."""
    return tuple(struct.unpack("<f", struct.pack("<f", number))[0] for number in json.loads(text))


def _converter(data_type, column_type):
    if data_type == "bigint" and "unsigned" in column_type:
        return lambda text: int(text) if int(text) < 2 ** 63 else text
    if data_type in ("tinyint", "smallint", "mediumint", "int", "bigint", "year"):
        return int
    if data_type in ("float", "double"):
        return float
    if data_type in ("datetime", "timestamp"):
        return lambda text: _datetime(text).ljust(26, "0")
    if data_type == "time":
        return _microseconds
    if data_type == "bit":
        return (lambda data: data[0]) if column_type == "bit(1)" else bytes
    if data_type == "json":
        return json_value
    if data_type == "vector":
        return _vector_of_hex
    return lambda value: value  # decimal, date, text and binary types


def standing_name(name):
    """Where a column of the source stands beside our metadata: what begins with `__`, as ours do, by its mapped name."""
    return "_x005F_" + name[1:] if name.startswith("__") else name


class SourceTable:
    """Columns (in table order), key and rows of a table as the server has them now."""

    def __init__(self, server, database, table):
        connection = server.connect(database, conv={})
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{database}' "
                               f"AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION")
                columns = [(name, _text(data_type).lower(), _text(column_type).lower()) for name, data_type, column_type in cursor.fetchall()]
                cursor.execute("SELECT COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE CONSTRAINT_NAME = 'PRIMARY' "
                               f"AND TABLE_SCHEMA = '{database}' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION")
                self.key = [row[0] for row in cursor.fetchall()]
                self.names = [name for name, _, _ in columns]
                self.kinds = {name: (data_type, column_type) for name, data_type, column_type in columns}
                self.meanings = {name: {"json": json_value, "vector": vector_value}[data_type] for name, data_type, _ in columns
                                 if data_type in ("json", "vector")}
                # The text protocol prints a FLOAT with six digits; as a double (old servers have no CAST to it) it comes whole. The client takes a VECTOR for text.
                forms = {"float": "`{}` * 1e0", "vector": "HEX(`{}`)"}
                wanted = ", ".join(forms.get(data_type, "`{}`").format(name) for name, data_type, _ in columns)
                cursor.execute(f"SELECT {wanted} FROM `{table}`")
                converters = [_converter(data_type, column_type) for _, data_type, column_type in columns]
                self.rows = [tuple(None if value is None else convert(value) for convert, value in zip(converters, row))
                             for row in cursor.fetchall()]
        finally:
            connection.close()

    def arrived(self, row):
        """A row by our columns, as a destination holds it, made comparable: JSON and vectors by their meaning."""
        values = [(name, row.get(standing_name(name))) for name in self.names]  # a message by an older schema lacks the newer columns
        return tuple(self.meanings[name](value) if name in self.meanings and value is not None else value for name, value in values)


def _text(value):
    return value.decode() if isinstance(value, bytes) else value

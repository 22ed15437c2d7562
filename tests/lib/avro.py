# SPDX-License-Identifier: Apache-2.0
"""A reader of our flat Avro records that shares no code with the programs: the judge of what stands in Kafka.

Values come in the form in which the embedded warehouse keeps them (lib/values.py has the same forms for a SELECT at the source), so that
one comparison serves all three. Anything that the Avro 1.11 specification would not allow here, and any byte left over, is an error.
"""
import datetime
import json
import struct

_EPOCH = datetime.datetime(1970, 1, 1)


class Reader:
    """The bytes of one datum."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        assert size >= 0 and self.at + size <= len(self.data), "the datum ends too early"
        piece = self.data[self.at:self.at + size]
        self.at += size
        return piece

    def long(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            assert shift <= 70, "a long of more than ten bytes"
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    def bytes(self):
        return self.take(self.long())


def decimal_text(data, scale):
    """Unscaled two's complement to digits."""
    unscaled = int.from_bytes(data, "big", signed=True)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    sign = "-" if unscaled < 0 else ""
    return sign + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)


def date_text(days):
    return (_EPOCH + datetime.timedelta(days=days)).strftime("%Y-%m-%d").rjust(10, "0")


def datetime_text(microseconds):
    at = _EPOCH + datetime.timedelta(microseconds=microseconds)
    return f"{at.year:04d}-{at.month:02d}-{at.day:02d} {at.hour:02d}:{at.minute:02d}:{at.second:02d}.{at.microsecond:06d}"


def _read(reader, schema):
    if isinstance(schema, list):  # a union
        return _read(reader, schema[reader.long()])
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, (list, dict)):
        return _read(reader, kind)
    logical = schema.get("logicalType") if isinstance(schema, dict) else None
    if kind == "null":
        return None
    if kind in ("int", "long"):
        value = reader.long()
        if logical == "date":
            return date_text(value)
        return datetime_text(value) if logical in ("timestamp-micros", "local-timestamp-micros") else value
    if kind == "boolean":
        byte = reader.take(1)[0]
        assert byte in (0, 1)
        return byte
    if kind == "float":
        return struct.unpack("<f", reader.take(4))[0]
    if kind == "double":
        return struct.unpack("<d", reader.take(8))[0]
    if kind == "bytes":
        value = reader.bytes()
        return decimal_text(value, schema.get("scale", 0)) if logical == "decimal" else value
    if kind == "string":
        return reader.bytes().decode("utf-8")
    if kind == "enum":
        return schema["symbols"][reader.long()]
    if kind == "record":
        return {field["name"]: _read(reader, field["type"]) for field in schema["fields"]}
    raise AssertionError(f"an Avro type that this reader does not know: {schema}")


class Schemas:
    """The schemas of `<prefix>.schemas`, and messages read by them. registry: finds the schemas of a registry's ids; then no other frame
    may come."""

    def __init__(self, broker, prefix, registry=None):
        self.registry = registry
        self.texts = {}
        for message in broker.messages(prefix + ".schemas"):
            self.texts[message.key().decode()] = message.value().decode()
        self.parsed = {key: json.loads(text) for key, text in self.texts.items()}

    def of(self, framed):
        """(schema, what stands behind the frame)."""
        if self.registry:
            assert framed[:1] == b"\0", f"no frame of a registry: {framed[:5].hex()}"
            number = struct.unpack(">I", framed[1:5])[0]
            if number not in self.parsed:
                self.parsed[number] = json.loads(self.registry.schema(number))
            return self.parsed[number], framed[5:]
        assert framed[:2] == b"\xc3\x01", f"no single-object frame: {framed[:10].hex()}"
        schema_id = f"{struct.unpack('<Q', framed[2:10])[0]:016x}"
        assert schema_id in self.parsed, f"schema {schema_id} is not in the topic of schemas"
        return self.parsed[schema_id], framed[10:]

    def read(self, framed):
        schema, data = self.of(framed)
        reader = Reader(data)
        value = _read(reader, schema)
        assert reader.at == len(data), "bytes are left behind the record"
        return value

    def read_named(self, framed):
        """The value with the source's own column names, but for those that begin with `__`, as ours do: they stay mapped. A BIGINT
        UNSIGNED that fits is a number, as in the embedded warehouse."""
        schema, _ = self.of(framed)
        fields = {field["name"]: field for field in schema["fields"]}
        original = lambda name: fields[name].get("kakehi.column", name)
        named = lambda name: name if original(name).startswith("__") else original(name)
        return {named(name): int(value) if fields[name].get("kakehi.type") == "ulong" and value and int(value) < 2 ** 63 else value
                for name, value in self.read(framed).items()}

    def table_of(self, framed):
        schema, _ = self.of(framed)
        return schema["kakehi.database"], schema["kakehi.table"]

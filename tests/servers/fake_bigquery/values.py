# SPDX-License-Identifier: Apache-2.0
"""Column values: from the wire (protobuf, Avro) into Python's own types as BigQuery's rules have it, and out again (REST, ledger).

In Python a value is int, float, bool, str (STRING, JSON, GEOGRAPHY), bytes, Decimal (NUMERIC, BIGNUMERIC), date, datetime without a zone
(DATETIME), time, datetime in UTC (TIMESTAMP). Whatever BigQuery would refuse is a ValueError, which becomes a row error.
"""
import base64
import datetime
import decimal
import json
import re

LEGACY = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC"}
# What tables.get calls them.
REST_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC"}
_EPOCH = datetime.datetime(1970, 1, 1)
_LIMITS = {"NUMERIC": (29, 9), "BIGNUMERIC": (38, 38)}
_BIGNUMERIC_MAX = decimal.Decimal(2**255 - 1).scaleb(-38, decimal.Context(prec=100))
_EXACT = decimal.Context(prec=120)


def type_of(field):
    kind = field["type"].upper()
    return LEGACY.get(kind, kind)


def _integer(value):
    value = int(value)
    if not -2**63 <= value < 2**63:
        raise ValueError(f"{value} is out of the range of INT64")
    return value


def _boolean(value):
    if value in (True, False, 0, 1):
        return bool(value)
    raise ValueError(f"{value!r} is no BOOL")


def _text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no STRING")
    return value


def _json(value):
    json.loads(_text(value))
    return value


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def _date(value):
    if isinstance(value, int):
        return (_EPOCH + datetime.timedelta(days=value)).date()
    return datetime.date.fromisoformat(value)


def _packed_time(packed):
    return datetime.time(packed >> 32 & 0x1F, packed >> 26 & 0x3F, packed >> 20 & 0x3F, packed & 0xFFFFF)


def _time(value):
    return _packed_time(value) if isinstance(value, int) else datetime.time.fromisoformat(value)


def _datetime(value):
    if isinstance(value, int):
        day = datetime.date(value >> 46, value >> 42 & 0xF, value >> 37 & 0x1F)
        return datetime.datetime.combine(day, _packed_time(value & (1 << 37) - 1))
    if not re.fullmatch(r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}:\d{2}(\.\d{1,6})?)?", value):
        raise ValueError(f"{value!r} is no DATETIME")
    return datetime.datetime.fromisoformat(value)


def _timestamp(value):
    if isinstance(value, int):
        return _EPOCH.replace(tzinfo=datetime.UTC) + datetime.timedelta(microseconds=value)
    at = datetime.datetime.fromisoformat(value)
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)


def _decimal(kind, field):
    digits, fraction = _LIMITS[kind]

    def convert(value):
        if isinstance(value, bytes):
            number = decimal.Decimal(int.from_bytes(value, "little", signed=True)).scaleb(-fraction, _EXACT)
        else:
            number = decimal.Decimal(value)
        if not number.is_finite():
            raise ValueError(f"{value} is no {kind}")
        number = number.normalize(_EXACT)
        scale = max(0, -number.as_tuple().exponent)
        whole = abs(int(number))
        if scale > fraction or (whole >= 10**digits if kind == "NUMERIC" else abs(number) > _BIGNUMERIC_MAX):
            raise ValueError(f"Invalid {kind} value: {value}")
        if field.get("precision"):
            places = int(field.get("scale", 0))
            if scale > places or whole >= 10 ** (int(field["precision"]) - places):
                raise ValueError(f"{value} does not fit {kind}({field['precision']}, {places})")
        return number
    return convert


def assigned(value, field):
    """A stored value after its column's type was widened to this one."""
    to = {"NUMERIC": decimal.Decimal, "BIGNUMERIC": decimal.Decimal, "FLOAT64": float, "DATETIME": lambda day: datetime.datetime.combine(day, datetime.time())}
    return value if value is None or isinstance(value, (str, bytes, datetime.datetime)) else to[type_of(field)](value)


_CONVERTERS = {"INT64": _integer, "FLOAT64": float, "BOOL": _boolean, "STRING": _text, "GEOGRAPHY": _text, "JSON": _json, "BYTES": _bytes,
               "DATE": _date, "TIME": _time, "DATETIME": _datetime, "TIMESTAMP": _timestamp}


def converter(field):
    """From a protobuf value (or a JSON one that looks like it) of this column to Python's."""
    kind = type_of(field)
    if kind in _LIMITS:
        return _decimal(kind, field)
    if kind not in _CONVERTERS:
        raise ValueError(f"the fake has no {kind}")
    convert = _CONVERTERS[kind]
    if kind in ("STRING", "BYTES") and field.get("maxLength"):
        most = int(field["maxLength"])

        def limited(value):
            value = convert(value)
            if len(value) > most:
                raise ValueError(f"{kind}({most}) has no room for {len(value)}")
            return value
        return limited
    return convert


def from_avro(field):
    """From what fastavro gives (it has applied the logical types already)."""
    kind = type_of(field)
    plain = converter(field)

    def convert(value):
        if kind == "TIMESTAMP" and isinstance(value, datetime.datetime):
            return value.astimezone(datetime.UTC)
        if kind == "DATETIME" and isinstance(value, datetime.datetime):
            return value.replace(tzinfo=None)
        if kind in ("DATE", "TIME") and isinstance(value, (datetime.date, datetime.time)):
            return value
        if kind == "STRING" and isinstance(value, decimal.Decimal):
            return format(value, "f")
        return plain(value)
    return convert


def _utc_micros(value):
    return (value - _EPOCH.replace(tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def to_rest(value):
    """A cell of a query's answer."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return str(_utc_micros(value)) if value.tzinfo else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)


def to_ledger(value):
    """For the control endpoint: JSON's own types where they are exact, else {type: text}."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, datetime.datetime):
        return {"timestamp": _utc_micros(value)} if value.tzinfo else {"datetime": value.isoformat()}
    name = {float: "float", bytes: "bytes", decimal.Decimal: "decimal", datetime.date: "date", datetime.time: "time"}[type(value)]
    return {name: repr(value) if name == "float" else to_rest(value)}


def normal_type(avro, logical_types, decimal_targets):
    """The BigQuery type that a load job makes of an Avro type."""
    if isinstance(avro, list):
        others = [branch for branch in avro if branch != "null"]
        return normal_type(others[0], logical_types, decimal_targets) if len(others) == 1 else "STRUCT"
    kind = avro["type"] if isinstance(avro, dict) else avro
    if isinstance(kind, (dict, list)):
        return normal_type(kind, logical_types, decimal_targets)
    logical = avro.get("logicalType") if isinstance(avro, dict) else None
    if logical == "decimal":
        return _decimal_type(avro["precision"], avro.get("scale", 0), decimal_targets)
    if isinstance(avro, dict) and avro.get("sqlType") == "JSON":
        return "JSON"
    if logical_types and logical:
        named = {"date": "DATE", "time-millis": "TIME", "time-micros": "TIME", "timestamp-millis": "TIMESTAMP", "timestamp-micros": "TIMESTAMP",
                 "local-timestamp-millis": "DATETIME", "local-timestamp-micros": "DATETIME"}.get(logical)
        if named:
            return named
    return {"int": "INT64", "long": "INT64", "float": "FLOAT64", "double": "FLOAT64", "boolean": "BOOL", "string": "STRING", "enum": "STRING",
            "bytes": "BYTES", "fixed": "BYTES"}.get(kind, "STRUCT")


def _decimal_type(precision, scale, targets):
    """The first of NUMERIC, BIGNUMERIC, STRING among the targets that holds it; the last of them if none does."""
    allowed = [kind for kind in ("NUMERIC", "BIGNUMERIC", "STRING") if kind in targets]
    for kind in allowed:
        if kind == "STRING" or (scale <= _LIMITS[kind][1] and precision - scale <= _LIMITS[kind][0]):
            return kind
    return allowed[-1]


def widens_to(found, column):
    """Does a load of this type go into a column of that type?"""
    more = {"INT64": ("NUMERIC", "BIGNUMERIC", "FLOAT64"), "NUMERIC": ("BIGNUMERIC", "FLOAT64", "STRING"), "BIGNUMERIC": ("STRING",), "STRING": ("JSON", "GEOGRAPHY")}
    return found == column or column in more.get(found, ())

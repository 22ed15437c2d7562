# SPDX-License-Identifier: Apache-2.0
"""What BigQuery does, asked by Google's own clients: each `check_` is one row of the table on which emulator and fake must agree.

Runs in the process of lib/bigquery_client.py; tests/integration/test_fake_bigquery.py calls each check against both. What the emulator gets wrong (no
details of a StorageError, columns dropped by a patch, no updated_schema ...) has no place here: that is what the fake is for. What the
worker never asks for is left out too, and the fake does not have it: GEOGRAPHY, insertAll, PENDING streams, structs and arrays, default
values, clones, loads that add columns.
"""
import base64
import datetime
import decimal
import io
import json
import queue
import uuid

import fastavro
import google.api_core.exceptions
import grpc
import requests
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

ALREADY_EXISTS, OUT_OF_RANGE, INVALID_ARGUMENT = 6, 11, 3
_PROTO = {"int64": 3, "int32": 5, "double": 1, "bool": 8, "string": 9, "bytes": 12}
D = decimal.Decimal


# ---- tools


def _name(start):
    return f"{start}_{uuid.uuid4().hex[:10]}"


def _must_raise(code, work, *arguments, **named):
    try:
        work(*arguments, **named)
    except google.api_core.exceptions.GoogleAPICallError as error:
        assert error.code == code, f"{error.code} instead of {code}: {error}"
        return error
    raise AssertionError(f"no error; {code} was expected")


def _dataset(here):
    name = f"{here.project}.conformance"
    here.client.create_dataset(name, exists_ok=True, retry=None)
    return name


def _table(here, *columns, **more):
    """columns: "name TYPE [MODE]"."""
    schema = [bigquery.SchemaField(*column.split()) for column in columns]
    made = bigquery.Table(f"{_dataset(here)}.{_name('t')}", schema)
    for name, value in more.items():
        setattr(made, name, value)
    return here.client.create_table(made, retry=None)


def _rows(here, table, order="1"):
    return [tuple(row.values()) for row in here.client.query_and_wait(f"SELECT * FROM `{table.full_table_id.replace(':', '.')}` ORDER BY {order}", retry=None, job_retry=None)]


def _writer(here):
    if not hasattr(here, "writer"):
        channel = grpc.insecure_channel(f"127.0.0.1:{here.grpc_port}", options=[("grpc.max_receive_message_length", 64 << 20)])
        here.writer = BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))
    return here.writer


def _path(table):
    return f"projects/{table.project}/datasets/{table.dataset_id}/tables/{table.table_id}"


def _stream(here, table):
    return _writer(here).create_write_stream(parent=_path(table), write_stream=types.WriteStream(type_=types.WriteStream.Type.COMMITTED), retry=None)


class Rows:
    """A descriptor of "name type" columns, and rows by it."""

    def __init__(self, *columns):
        self.descriptor = descriptor_pb2.DescriptorProto(name="Row")
        for number, column in enumerate(columns, 1):
            name, kind = column.split()
            self.descriptor.field.add(name=name, number=number, type=_PROTO[kind], label=1)
        file = descriptor_pb2.FileDescriptorProto(name=_name("f"), package=_name("p"), syntax="proto2")
        file.message_type.add().CopyFrom(self.descriptor)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self.message = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.Row"))

    def request(self, stream, rows, offset=None, schema=True, name=True):
        """rows: dictionaries; None values are left out."""
        request = types.AppendRowsRequest()
        if name:
            request.write_stream = stream if isinstance(stream, str) else stream.name
        if offset is not None:
            request.offset = wrappers_pb2.Int64Value(value=offset)
        if schema:
            request.proto_rows.writer_schema.proto_descriptor = self.descriptor
        request.proto_rows.rows.serialized_rows = [self.message(**{k: v for k, v in row.items() if v is not None}).SerializeToString() for row in rows]
        return request


class Call:
    """An open AppendRows call, one request at a time."""

    def __init__(self, here, stream):
        self.requests = queue.Queue()
        name = stream if isinstance(stream, str) else stream.name
        # The client's own method would wait for the first answer before it returns.
        self.answers = _writer(here).transport.append_rows(iter(self.requests.get, None), metadata=[("x-goog-request-params", f"write_stream={name}")])

    def send(self, request):
        self.requests.put(request)
        return next(self.answers)

    def close(self):
        self.requests.put(None)
        for _ in self.answers:
            raise AssertionError("an answer too many")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_NUMBER = Rows("n int64")


def _numbers(*numbers):
    return [{"n": number} for number in numbers]


# ---- tables


def check_dataset_and_table_there_already(here):
    name = _dataset(here)
    _must_raise(409, here.client.create_dataset, name, retry=None)
    made = _table(here, "n INT64")
    _must_raise(409, here.client.create_table, made, retry=None)


def check_unknown_table(here):
    _must_raise(404, here.client.get_table, f"{_dataset(here)}.nobody", retry=None)
    _must_raise(404, here.client.get_dataset, f"{here.project}.nobody", retry=None)


def check_layout_is_kept(here):
    partitioning = bigquery.TimePartitioning(field="day", expiration_ms=86400000 * 30)
    made = _table(here, "id INT64", "day DATE", "v STRING", time_partitioning=partitioning, clustering_fields=["id"], labels={"owner": "me"},
                  table_constraints=bigquery.table.TableConstraints(primary_key=bigquery.table.PrimaryKey(columns=["id"]), foreign_keys=[]))
    got = here.client.get_table(made.reference, retry=None)
    assert (got.time_partitioning.field, got.time_partitioning.type_, got.time_partitioning.expiration_ms) == ("day", "DAY", 86400000 * 30)
    assert got.clustering_fields == ["id"] and got.labels == {"owner": "me"}
    assert got.table_constraints.primary_key.columns == ["id"]
    assert [field.field_type for field in got.schema] == ["INTEGER", "DATE", "STRING"] and {field.mode for field in got.schema} == {"NULLABLE"}


def check_patch_adds_a_column(here):
    made = _table(here, "a INT64")
    made.schema = made.schema + [bigquery.SchemaField("b", "STRING")]
    patched = here.client.update_table(made, ["schema"], retry=None)
    assert [field.name for field in patched.schema] == ["a", "b"] and patched.etag != made.etag
    assert [field.name for field in here.client.get_table(made.reference, retry=None).schema] == ["a", "b"]


def check_patch_by_a_stale_etag(here):
    made = _table(here, "a INT64")
    first, second = (here.client.get_table(made.reference, retry=None) for _ in range(2))
    first.schema = first.schema + [bigquery.SchemaField("b", "STRING")]
    here.client.update_table(first, ["schema"], retry=None)
    second.schema = second.schema + [bigquery.SchemaField("c", "STRING")]
    _must_raise(412, here.client.update_table, second, ["schema"], retry=None)
    assert [field.name for field in here.client.get_table(made.reference, retry=None).schema] == ["a", "b"]


def check_alter_table_adds_a_column(here):
    made = _table(here, "a INT64")
    here.client.query_and_wait(f"ALTER TABLE `{_dataset(here)}.{made.table_id}` ADD COLUMN b NUMERIC", retry=None, job_retry=None)
    assert [(field.name, field.field_type) for field in here.client.get_table(made.reference, retry=None).schema] == [("a", "INTEGER"), ("b", "NUMERIC")]


def check_latest_view(here):
    """By REST and by DDL, newest row of each key."""
    made = _table(here, "id INT64", "seq INT64", "v STRING", "op STRING")
    rows = Rows("id int64", "seq int64", "v string", "op string")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        call.send(rows.request(stream, [{"id": 1, "seq": 1, "v": "old", "op": "c"}, {"id": 1, "seq": 2, "v": None, "op": "u"},
                                        {"id": 2, "seq": 3, "v": "gone", "op": "c"}, {"id": 2, "seq": 4, "op": "d"}], 0))
    sql = (f"SELECT * EXCEPT (op) FROM (SELECT * FROM `{here.project}.{made.dataset_id}.{made.table_id}` "
           "WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY seq DESC) = 1) WHERE op != 'd'")
    view = bigquery.Table(f"{_dataset(here)}.{_name('v')}")
    view.view_query = sql
    here.client.create_table(view, retry=None)
    assert _rows(here, here.client.get_table(view.reference, retry=None)) == [(1, 2, None)]
    other = f"{_dataset(here)}.{_name('v')}"
    here.client.query_and_wait(f"CREATE OR REPLACE VIEW `{other}` AS {sql}", retry=None, job_retry=None)
    got = here.client.get_table(other, retry=None)
    assert got.table_type == "VIEW" and _rows(here, got) == [(1, 2, None)]


def check_questions_of_a_worker(here):
    """Is it empty? Is this row in?"""
    made = _table(here, "__source STRING", "__txid STRING", "__idx INT64")
    name = f"`{here.project}.{made.dataset_id}.{made.table_id}`"
    ask = lambda sql: [tuple(row.values()) for row in here.client.query_and_wait(sql, retry=None, job_retry=None)]
    assert not ask(f"SELECT 1 FROM {name} LIMIT 1")
    stream, rows = _stream(here, made), Rows("__source string", "__txid string", "__idx int64")
    with Call(here, stream) as call:
        call.send(rows.request(stream, [{"__source": "s", "__txid": "g-1", "__idx": 4}], 0))
    assert ask(f"SELECT 1 FROM {name} LIMIT 1") == [(1,)]
    where = "__source = 's' AND __txid = 'g-1' AND __idx ="
    assert ask(f"SELECT COUNT(*) AS n FROM {name} WHERE {where} 4") == [(1,)] and ask(f"SELECT COUNT(*) AS n FROM {name} WHERE {where} 5") == [(0,)]


def check_partition_filter_is_required(here):
    """A table may refuse queries that name no day of it; through a view too."""
    made = _table(here, "n INT64", "day DATE", time_partitioning=bigquery.TimePartitioning(field="day"), require_partition_filter=True)
    name = f"`{here.project}.{made.dataset_id}.{made.table_id}`"
    rows, stream = Rows("n int64", "day int32"), _stream(here, made)
    with Call(here, stream) as call:
        call.send(rows.request(stream, [{"n": 1, "day": 20000}, {"n": 2, "day": 20001}], 0))
    ask = lambda sql: [tuple(row.values()) for row in here.client.query_and_wait(sql, retry=None, job_retry=None)]
    assert here.client.get_table(made.reference, retry=None).require_partition_filter
    assert ask(f"SELECT n FROM {name} WHERE day >= DATE '2024-10-05'") == [(2,)]
    assert ask(f"SELECT COUNT(*) AS n FROM {name} WHERE n > 0 AND day >= DATE '0001-01-01'") == [(2,)]
    _must_raise(400, ask, f"SELECT n FROM {name}")
    _must_raise(400, ask, f"SELECT n FROM {name} WHERE n = 1")
    view = bigquery.Table(f"{_dataset(here)}.{_name('v')}")
    view.view_query = f"SELECT n FROM {name} WHERE day >= DATE '0001-01-01'"
    here.client.create_table(view, retry=None)
    assert sorted(ask(f"SELECT n FROM `{view.project}.{view.dataset_id}.{view.table_id}`")) == [(1,), (2,)]


def check_dry_run(here):
    """It is looked at and not carried out; what is wrong is said."""
    made = _table(here, "n INT64")
    name = f"`{here.project}.{made.dataset_id}.{made.table_id}`"
    dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    job = here.client.query(f"SELECT n FROM {name}", job_config=dry, retry=None, job_retry=None)
    assert job.state == "DONE" and job.total_bytes_processed >= 0
    _must_raise(404, here.client.query, f"SELECT 1 FROM `{here.project}.{made.dataset_id}.nobody`", job_config=dry, retry=None, job_retry=None)
    _must_raise(400, here.client.query, f"SELECT n FRAM {name}", job_config=dry, retry=None, job_retry=None)


def check_many_rows_of_a_query(here):
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(*range(20000)), 0))
    rows = here.client.query_and_wait(f"SELECT n FROM `{here.project}.{made.dataset_id}.{made.table_id}` ORDER BY n", page_size=7000, retry=None, job_retry=None)
    assert [row["n"] for row in rows] == list(range(20000))


def check_merge(here):
    """Newer rows over older ones, others added; it says how many."""
    made, news = (_table(here, "id INT64", "seq INT64", "v STRING") for _ in range(2))
    rows = Rows("id int64", "seq int64", "v string")
    for table, values in ((made, [(1, 5, "old"), (2, 5, "newer"), (3, 5, None)]), (news, [(1, 6, None), (2, 4, "late"), (4, 1, "added"), (4, 2, "newest")])):
        stream = _stream(here, table)
        with Call(here, stream) as call:
            call.send(rows.request(stream, [dict(zip(("id", "seq", "v"), value)) for value in values], 0))
    name = lambda table: f"`{here.project}.{table.dataset_id}.{table.table_id}`"
    job = here.client.query(f"MERGE {name(made)} AS base USING (SELECT * FROM {name(news)} WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY seq DESC) = 1) AS change "
                            "ON base.id = change.id WHEN MATCHED AND change.seq > base.seq THEN UPDATE SET seq = change.seq, v = change.v "
                            "WHEN NOT MATCHED THEN INSERT (id, seq, v) VALUES (change.id, change.seq, change.v)", retry=None, job_retry=None)
    job.result(retry=None)
    assert job.num_dml_affected_rows == 2
    assert _rows(here, made) == [(1, 6, None), (2, 5, "newer"), (3, 5, None), (4, 2, "newest")]


def check_table_function(here):
    made = _table(here, "n INT64", "at TIMESTAMP")
    rows, stream = Rows("n int64", "at int64"), _stream(here, made)
    with Call(here, stream) as call:
        call.send(rows.request(stream, [{"n": 1, "at": 1000000}, {"n": 2, "at": 2000000}], 0))
    function = f"`{here.project}.{made.dataset_id}.{_name('f')}`"
    make = lambda what: here.client.query_and_wait(f"CREATE OR REPLACE TABLE FUNCTION {function}(__at TIMESTAMP) AS\nSELECT {what} FROM `{here.project}.{made.dataset_id}.{made.table_id}` "
                                                   "WHERE at <= __at", retry=None, job_retry=None)
    ask = lambda second: [tuple(row.values()) for row in here.client.query_and_wait(f"SELECT * FROM {function}(TIMESTAMP_SECONDS({second})) ORDER BY 1", retry=None, job_retry=None)]
    make("n")
    assert [ask(second) for second in (0, 1, 2)] == [[], [(1,)], [(1,), (2,)]]
    make("n + 10 AS n")
    assert ask(1) == [(11,)]


# ---- the Storage Write API


def check_stream_is_made_and_shown(here):
    made = _table(here, "n INT64 REQUIRED", "t TIMESTAMP")
    stream = _stream(here, made)
    assert stream.name.startswith(_path(made) + "/streams/") and stream.type_ == types.WriteStream.Type.COMMITTED
    assert [(field.name, field.type_.name, field.mode.name) for field in stream.table_schema.fields] == [("n", "INT64", "REQUIRED"), ("t", "TIMESTAMP", "NULLABLE")]
    assert _writer(here).get_write_stream(name=stream.name, retry=None).type_ == types.WriteStream.Type.COMMITTED


def check_offsets(here):
    """The answers stand in the call, which stays open; rows are seen at the answer."""
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(1, 2), 0)).append_result.offset == 0
        assert _rows(here, made) == [(1,), (2,)]
        assert call.send(_NUMBER.request(stream, _numbers(1, 2), 0)).error.code == ALREADY_EXISTS
        assert call.send(_NUMBER.request(stream, _numbers(2, 3), 1)).error.code == ALREADY_EXISTS  # overlapping the end
        assert call.send(_NUMBER.request(stream, _numbers(4), 3)).error.code == OUT_OF_RANGE
        assert call.send(_NUMBER.request(stream, _numbers(3), 2)).append_result.offset == 2
    assert _rows(here, made) == [(1,), (2,), (3,)]


def check_again_on_another_call(here):
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(1), 0))
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(1), 0)).error.code == ALREADY_EXISTS
        assert call.send(_NUMBER.request(stream, _numbers(2), 1)).append_result.offset == 1
    assert _rows(here, made) == [(1,), (2,)]


def check_name_and_schema_once(here):
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(1), 0))
        assert call.send(_NUMBER.request(stream, _numbers(2), 1, schema=False)).append_result.offset == 1
        assert call.send(_NUMBER.request(stream, _numbers(3), 2, schema=False, name=False)).append_result.offset == 2
    assert _rows(here, made) == [(1,), (2,), (3,)]


def check_finalize(here):
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(1, 2, 3), 0))
    assert _writer(here).finalize_write_stream(name=stream.name, retry=None).row_count == 3
    assert _writer(here).finalize_write_stream(name=stream.name, retry=None).row_count == 3
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(4), 3)).error.code == INVALID_ARGUMENT
    assert len(_rows(here, made)) == 3


def check_finalize_of_an_empty_stream(here):
    stream = _stream(here, _table(here, "n INT64"))
    assert _writer(here).finalize_write_stream(name=stream.name, retry=None).row_count == 0


def check_default_stream(here):
    made = _table(here, "n INT64")
    name = _path(made) + "/streams/_default"
    with Call(here, name) as call:
        assert not call.send(_NUMBER.request(name, _numbers(1))).error.code
    assert _rows(here, made) == [(1,)]


def check_bad_rows(here):
    """Named by their index; nothing of the request is in."""
    made = _table(here, "n INT64", "d NUMERIC")
    rows, stream = Rows("n int64", "d string"), _stream(here, made)
    with Call(here, stream) as call:
        answer = call.send(rows.request(stream, [{"n": 1, "d": "1"}, {"n": 2, "d": "no number"}, {"n": 3, "d": "3"}], 0))
        assert answer.error.code == INVALID_ARGUMENT and [error.index for error in answer.row_errors] == [1]
        assert answer.row_errors[0].code == types.RowError.RowErrorCode.FIELDS_ERROR and answer.row_errors[0].message
        assert _rows(here, made) == []
        assert call.send(rows.request(stream, [{"n": 1, "d": "1"}, {"n": 3, "d": "3"}], 0)).append_result.offset == 0
    assert _rows(here, made) == [(1, D(1)), (3, D(3))]


def check_required_is_missing(here):
    made = _table(here, "n INT64 REQUIRED", "v STRING")
    rows, stream = Rows("n int64", "v string"), _stream(here, made)
    with Call(here, stream) as call:
        answer = call.send(rows.request(stream, [{"v": "x"}], 0))
        assert [error.index for error in answer.row_errors] == [0]
    assert _rows(here, made) == []


TYPES = {
    "i INT64": ("int64", [0, -2**63, 2**63 - 1]),
    "f FLOAT64": ("double", [0.1, -1.7976931348623157e308, 5e-324]),
    "b BOOL": ("bool", [True, False, True]),
    "s STRING": ("string", ["", "日本😀", "a\0b\n"]),
    "y BYTES": ("bytes", [b"", b"\x00\xff", b"\xc3"]),
    "d DATE": ("int32", [0, -719162, 2932896]),
    "m DATETIME": ("string", ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.000001"]),
    "u TIMESTAMP": ("int64", [0, -1, 253402300799999999]),
    "n NUMERIC": ("string", ["0.000000001", "-" + "9" * 29 + "." + "9" * 9, "12345678901234567890"]),
    "g BIGNUMERIC": ("string", ["0.000000001", "-12345678901234567890", "1.5"]),
    "j JSON": ("string", ['{"a": [1, "zwei", null]}', "null", '"x"']),
}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_AS_READ = {
    "d": lambda days: (_EPOCH + datetime.timedelta(days=days)).date(), "m": datetime.datetime.fromisoformat, "n": D, "g": D, "j": json.loads,
    "u": lambda micros: _EPOCH + datetime.timedelta(microseconds=micros),
}


def check_types_by_append(here):
    """The forms that a writer should send, and a row of nulls."""
    made = _table(here, "id INT64", *TYPES)
    columns = [column.split()[0] for column in TYPES]
    rows = Rows("id int64", *[f"{column.split()[0]} {wire}" for column, (wire, _) in TYPES.items()])
    sent = [{"id": at, **{name: values[at] for name, (_, values) in zip(columns, TYPES.values())}} for at in range(3)] + [{"id": 3}]
    stream = _stream(here, made)
    with Call(here, stream) as call:
        answer = call.send(rows.request(stream, sent, 0))
        assert not answer.error.code, (answer.error, list(answer.row_errors))
    for row, original in zip(_rows(here, made), sent):
        expected = [None if name not in original else _AS_READ.get(name, lambda value: value)(original[name]) for name in columns]
        assert [json.loads(value) if name == "j" and value is not None else value for name, value in zip(columns, row[1:])] == expected, (row, expected)


def check_names_in_another_case(here):
    made = _table(here, "Mixed INT64", "lower INT64")
    rows, stream = Rows("mixed int64", "LOWER int64"), _stream(here, made)
    with Call(here, stream) as call:
        assert not call.send(rows.request(stream, [{"mixed": 1, "LOWER": 2}], 0)).error.code
    assert _rows(here, made) == [(1, 2)]


def check_column_added_under_a_stream(here):
    """A new call of the same stream, with the longer descriptor."""
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(1), 0))
    made.schema = made.schema + [bigquery.SchemaField("v", "STRING")]
    here.client.update_table(made, ["schema"], retry=None)
    rows = Rows("n int64", "v string")
    with Call(here, stream) as call:
        assert call.send(rows.request(stream, [{"n": 2, "v": "x"}], 1)).append_result.offset == 1
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(3), 2)).append_result.offset == 2  # the shorter one is still right
    assert _rows(here, made) == [(1, None), (2, "x"), (3, None)]


# ---- load jobs


def _avro(schema, rows, codec="null"):
    out = io.BytesIO()
    fastavro.writer(out, {"type": "record", "name": "r", "fields": schema}, rows, codec=codec)
    return out.getvalue()


_ONE = [{"name": "n", "type": ["null", "long"]}]


def _load(here, table, data, job_id=None, **options):
    """By the official client, in one piece; the job when it is done."""
    configuration = bigquery.LoadJobConfig(source_format="AVRO", write_disposition="WRITE_APPEND", create_disposition="CREATE_NEVER", **options)
    configuration.use_avro_logical_types = True
    job = here.client.load_table_from_file(io.BytesIO(data), table.reference, size=len(data), job_id=job_id, job_config=configuration, num_retries=0)
    return job.result(retry=None)


def check_load_in_one_piece(here):
    made = _table(here, "n INT64")
    job = _load(here, made, _avro(_ONE, [{"n": 1}, {"n": None}]), job_id := _name("job"))
    assert job.job_id == job_id and job.output_rows == 2 and _rows(here, made) == [(None,), (1,)]


def check_same_job_id_again(here):
    made = _table(here, "n INT64")
    job_id = _name("job")
    _load(here, made, _avro(_ONE, [{"n": 1}]), job_id)
    error = _must_raise(409, _load, here, made, _avro(_ONE, [{"n": 2}]), job_id)
    assert error.errors[0]["reason"] == "duplicate" and _rows(here, made) == [(1,)]
    assert here.client.get_job(job_id, retry=None).state == "DONE"


def check_unknown_job(here):
    _must_raise(404, here.client.get_job, _name("job"), retry=None)


def _resumable(here, table, data, job_id, chunk):
    """By hand, as a writer does it; the answers' codes."""
    job = {"jobReference": {"projectId": here.project, "jobId": job_id},
           "configuration": {"load": {"destinationTable": table.reference.to_api_repr(), "sourceFormat": "AVRO", "writeDisposition": "WRITE_APPEND",
                                      "createDisposition": "CREATE_NEVER", "useAvroLogicalTypes": True}}}
    begun = requests.post(f"{here.endpoint}/upload/bigquery/v2/projects/{here.project}/jobs?uploadType=resumable", json=job, timeout=60,
                          headers={"X-Upload-Content-Type": "application/octet-stream"})
    codes = [begun.status_code]
    if begun.status_code != 200:
        return codes, begun
    where = begun.headers["Location"]
    at, answer = 0, None
    while at < len(data):
        piece = data[at:at + chunk]
        total = len(data) if at + len(piece) == len(data) else "*"
        answer = requests.put(where, piece, headers={"Content-Range": f"bytes {at}-{at + len(piece) - 1}/{total}"}, timeout=60)
        codes.append(answer.status_code)
        at += len(piece)
        if answer.status_code == 308:
            assert answer.headers["Range"] == f"bytes=0-{at - 1}", answer.headers
            probe = requests.put(where, headers={"Content-Range": "bytes */*"}, timeout=60)
            assert probe.status_code == 308 and probe.headers["Range"] == answer.headers["Range"]
    return codes, answer


def check_resumable_upload(here):
    made = _table(here, "n INT64", "v STRING")
    schema = [{"name": "n", "type": "long"}, {"name": "v", "type": "string"}]
    data = _avro(schema, [{"n": n, "v": "x" * 1000} for n in range(600)])
    job_id = _name("job")
    codes, answer = _resumable(here, made, data, job_id, 262144)
    assert codes == [200, 308, 308, 200] and answer.json()["jobReference"]["jobId"] == job_id
    here.client.get_job(job_id, retry=None).result(retry=None)
    assert [tuple(row.values()) for row in here.client.query_and_wait(f"SELECT COUNT(*), SUM(n) FROM {made.dataset_id}.{made.table_id}", retry=None, job_retry=None)] == [(600, 179700)]


def check_failed_job_loads_nothing(here):
    """A type that does not fit: DONE with an error, not a row."""
    made = _table(here, "n INT64")
    job_id = _name("job")
    data = _avro([{"name": "n", "type": "string"}], [{"n": "x"}])
    try:
        _load(here, made, data, job_id)
        raise AssertionError("the load worked")
    except google.api_core.exceptions.GoogleAPICallError:
        pass
    job = here.client.get_job(job_id, retry=None)
    assert job.state == "DONE" and job.error_result and _rows(here, made) == []


def check_extra_field_is_refused(here):
    made = _table(here, "n INT64")
    data = _avro(_ONE + [{"name": "extra", "type": ["null", "string"]}], [{"n": 1, "extra": "x"}])
    _must_raise(400, _load, here, made, data)
    assert _rows(here, made) == []


def check_columns_by_name(here):
    made = _table(here, "a INT64", "b STRING", "c INT64")
    data = _avro([{"name": "c", "type": "long"}, {"name": "a", "type": "long"}], [{"c": 3, "a": 1}])
    _load(here, made, data)
    assert _rows(here, made) == [(1, None, 3)]


def check_codecs(here):
    made = _table(here, "n INT64")
    for n, codec in enumerate(["null", "deflate", "snappy", "zstandard"]):
        _load(here, made, _avro(_ONE, [{"n": n}], codec))
    assert _rows(here, made) == [(0,), (1,), (2,), (3,)]


def check_types_by_load(here):
    """The logical types that a history needs."""
    made = _table(here, "d DATE", "m DATETIME", "u TIMESTAMP", "n NUMERIC", "f FLOAT64", "b BOOL", "y BYTES", "e STRING", "j JSON")
    schema = [{"name": "d", "type": ["null", {"type": "int", "logicalType": "date"}]},
              {"name": "m", "type": ["null", {"type": "long", "logicalType": "local-timestamp-micros"}]},
              {"name": "u", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
              {"name": "n", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9}]},
              {"name": "f", "type": ["null", "double"]}, {"name": "b", "type": ["null", "boolean"]}, {"name": "y", "type": ["null", "bytes"]},
              {"name": "e", "type": ["null", {"type": "enum", "name": "ops", "symbols": ["c", "u"]}]},
              {"name": "j", "type": ["null", {"type": "string", "sqlType": "JSON"}]}]
    at = datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)
    values = {"d": datetime.date(2024, 2, 29), "m": at, "u": at.replace(tzinfo=datetime.timezone.utc), "n": D("-12345678901234567890123456789.123456789"),
              "f": 0.1, "b": True, "y": b"\x00\xff", "e": "u", "j": '{"a": 1}'}
    _load(here, made, _avro(schema, [values, dict.fromkeys(values)]), decimal_target_types=["NUMERIC", "BIGNUMERIC", "STRING"])
    full, empty = _rows(here, made, "d DESC")
    assert list(full[:8]) == [values[name] for name in "dmunfbye"], full
    assert json.loads(full[8]) == {"a": 1} and set(empty) == {None}


def append_rows(here, table, columns, rows, count_at_a_time=1000):
    """Test tool: a new stream into a table (dataset.table); columns: "name wire"."""
    made = here.client.get_table(f"{here.project}.{table}", retry=None)
    builder, stream = Rows(*columns), _stream(here, made)
    with Call(here, stream) as call:
        for at in range(0, len(rows), count_at_a_time):
            answer = call.send(builder.request(stream, rows[at:at + count_at_a_time], at))
            assert not answer.error.code, (answer.error, list(answer.row_errors)[:3])
    return stream.name

# SPDX-License-Identifier: Apache-2.0
"""What the fake does and no emulator does, seen by Google's own clients: each `fake_` is one kind of trouble of tests/servers/fake_bigquery.

Runs in the process of lib/bigquery_client.py, like lib/bigquery_conformance.py.
"""
import threading
import time

import google.api_core.exceptions
import grpc
import requests
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types
from google.rpc import status_pb2

from bigquery_conformance import (_NUMBER, Call, D, Rows, _avro, _load, _must_raise, _name, _numbers, _ONE, _path, _resumable, _rows, _stream, _table, _writer)

Code = types.StorageError.StorageErrorCode


def _control(here, command, **body):
    answer = requests.post(f"{here.endpoint}/control/{command}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _ask(here, question, **query):
    return requests.get(f"{here.endpoint}/control/{question}", params=query, timeout=60).json()


def _fault(here, call, do, table=None, **rule):
    return _control(here, "fault", call=call, do=do, **({"table": f"{table.dataset_id}.{table.table_id}"} if table else {}), **rule)


def _detail(status):
    """The StorageErrorCode in a google.rpc.Status."""
    error = types.StorageError.pb()()
    assert len(status.details) == 1 and status.details[0].Unpack(error), status
    return Code(error.code)


def _ends(call, request):
    """The status with which the call ends on this request: (name of the code, StorageErrorCode or None)."""
    try:
        answer = call.send(request)
    except grpc.RpcError as error:
        whole = dict(error.trailing_metadata()).get("grpc-status-details-bin")
        return error.code().name, whole and _detail(status_pb2.Status.FromString(whole))
    raise AssertionError(f"the call goes on: {answer}")


def fake_details_of_offsets(here):
    stream = _stream(here, _table(here, "n INT64"))
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(1), 0))
        assert _detail(call.send(_NUMBER.request(stream, _numbers(1), 0)).error) == Code.OFFSET_ALREADY_EXISTS
        assert _detail(call.send(_NUMBER.request(stream, _numbers(1), 5)).error) == Code.OFFSET_OUT_OF_RANGE


def fake_finalized_and_unknown_streams(here):
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    _writer(here).finalize_write_stream(name=stream.name, retry=None)
    with Call(here, stream) as call:
        assert _detail(call.send(_NUMBER.request(stream, _numbers(1), 0)).error) == Code.STREAM_FINALIZED
    _control(here, "settings", finalized_as="status")
    assert _ends(Call(here, stream), _NUMBER.request(stream, _numbers(1), 0)) == ("INVALID_ARGUMENT", Code.STREAM_FINALIZED)
    _control(here, "settings", finalized_as="answer")
    assert _ends(Call(here, stream), _NUMBER.request(_path(made) + "/streams/nobody", _numbers(1), 0)) == ("NOT_FOUND", Code.STREAM_NOT_FOUND)
    _control(here, "expire", stream=stream.name)
    _must_raise(404, _writer(here).finalize_write_stream, name=stream.name, retry=None)


def fake_new_column_is_known_late(here):
    """A patch, then SCHEMA_MISMATCH_EXTRA_FIELDS until the write side has learned it; then updated_schema, once a call."""
    made = _table(here, "n INT64")
    stream, rows = _stream(here, made), Rows("n int64", "v string")
    _control(here, "settings", schema_lag_s=2)
    with Call(here, stream) as old:
        old.send(_NUMBER.request(stream, _numbers(1), 0))
        made.schema = made.schema + [bigquery.SchemaField("v", "STRING")]
        here.client.update_table(made, ["schema"], retry=None)
        answer = old.send(_NUMBER.request(stream, _numbers(2), 1))
        assert not answer.error.code and not answer.updated_schema.fields
        _control(here, "settings", one_connection="both")
        with Call(here, stream) as new:
            answer = new.send(rows.request(stream, [{"n": 3, "v": "x"}], 2))
            assert _detail(answer.error) == Code.SCHEMA_MISMATCH_EXTRA_FIELDS
        _control(here, "settings", schema_lag_s=0)
        answer = old.send(_NUMBER.request(stream, _numbers(3), 2))
        assert [field.name for field in answer.updated_schema.fields] == ["n", "v"]
        assert not old.send(_NUMBER.request(stream, _numbers(4), 3)).updated_schema.fields
    with Call(here, stream) as new:
        assert new.send(rows.request(stream, [{"n": 5, "v": "x"}], 4)).append_result.offset == 4
    assert len(_rows(here, made)) == 5


def fake_idle_call_is_aborted(here):
    stream = _stream(here, _table(here, "n INT64"))
    _control(here, "settings", idle_s=0.5)
    call = Call(here, stream)
    call.send(_NUMBER.request(stream, _numbers(1), 0))
    try:
        next(call.answers)
        raise AssertionError("an answer to nothing")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.ABORTED and "inactive" in error.details()
    _control(here, "settings", idle_s=600)
    with Call(here, stream) as call:  # the stream itself lives
        assert call.send(_NUMBER.request(stream, _numbers(2), 1)).append_result.offset == 1


def fake_throttled(here):
    stream = _stream(here, made := _table(here, "n INT64"))
    _fault(here, "AppendRows", {"error": "RESOURCE_EXHAUSTED", "message": "Exceeds quota"}, made)
    _fault(here, "AppendRows", {"status": "UNAVAILABLE"}, made)
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(1), 0)).error.code == 8
    assert _ends(Call(here, stream), _NUMBER.request(stream, _numbers(1), 0)) == ("UNAVAILABLE", None)
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(1), 0)).append_result.offset == 0
    assert _rows(here, made) == [(1,)]


def fake_answer_is_lost_after_the_write(here):
    stream = _stream(here, made := _table(here, "n INT64"))
    _fault(here, "AppendRows", {"cut": True}, made, when="after")
    assert _ends(Call(here, stream), _NUMBER.request(stream, _numbers(1), 0))[0] == "UNAVAILABLE"
    assert _rows(here, made) == [(1,)]
    with Call(here, stream) as call:
        assert _detail(call.send(_NUMBER.request(stream, _numbers(1), 0)).error) == Code.OFFSET_ALREADY_EXISTS
    assert _ask(here, "appends")["appends"][-2]["answer"] == "ok, the answer lost"


def fake_request_arrives_late(here):
    """Held at a door, its caller gone; the stream goes on with another copy. Then the door opens: the offset refuses it."""
    stream = _stream(here, made := _table(here, "n INT64"))
    _fault(here, "AppendRows", {"hold": "late"}, made)
    held = Call(here, stream)
    held.requests.put(_NUMBER.request(stream, _numbers(1), 0))
    while not _ask(here, "hits")["waiting"].get("late"):
        time.sleep(0.02)
    held.answers.cancel()
    with Call(here, stream) as call:
        assert call.send(_NUMBER.request(stream, _numbers(7), 0)).append_result.offset == 0
    _control(here, "open", door="late")
    while _ask(here, "appends")["appends"][-2]["answer"] == "held":
        time.sleep(0.02)
    assert _ask(here, "appends")["appends"][-2]["answer"] == "OFFSET_ALREADY_EXISTS" and _rows(here, made) == [(7,)]


def fake_two_calls_on_one_stream(here):
    stream = _stream(here, _table(here, "n INT64"))
    old = Call(here, stream)
    old.send(_NUMBER.request(stream, _numbers(1), 0))
    with Call(here, stream) as new:
        assert new.send(_NUMBER.request(stream, _numbers(2), 1)).append_result.offset == 1
        assert _ends(old, _NUMBER.request(stream, _numbers(3), 2))[0] == "ABORTED"


def fake_stream_of_a_table_made_anew(here):
    made = _table(here, "n INT64")
    stream = _stream(here, made)
    here.client.delete_table(made.reference, retry=None)
    again = here.client.create_table(bigquery.Table(made.reference, made.schema), retry=None)
    assert again.created != made.created or again.etag != made.etag
    assert _ends(Call(here, stream), _NUMBER.request(stream, _numbers(1), 0)) == ("NOT_FOUND", Code.STREAM_NOT_FOUND)
    assert _rows(here, again) == []


def fake_finalize_without_a_count(here):
    stream = _stream(here, made := _table(here, "n INT64"))
    with Call(here, stream) as call:
        call.send(_NUMBER.request(stream, _numbers(1, 2), 0))
    _fault(here, "FinalizeWriteStream", {"no_count": True}, made)
    assert _writer(here).finalize_write_stream(name=stream.name, retry=None).row_count == 0
    assert _writer(here).finalize_write_stream(name=stream.name, retry=None).row_count == 2


def fake_large_requests(here):
    """Nearly 10 MB go in; more ends the call."""
    stream, rows = _stream(here, made := _table(here, "v STRING")), Rows("v string")
    with Call(here, stream) as call:
        assert call.send(rows.request(stream, [{"v": "x" * 999_000}] * 10, 0)).append_result.offset == 0
    assert _ends(Call(here, stream), rows.request(stream, [{"v": "x" * 1_001_000}] * 10, 10))[0] == "INVALID_ARGUMENT"
    assert len(_rows(here, made)) == 10


def fake_values_that_the_emulator_lacks(here):
    """Packed civil time, NUMERIC as bytes, and BIGNUMERIC beyond 38 digits."""
    made = _table(here, "m DATETIME", "n NUMERIC", "g BIGNUMERIC")
    stream, rows = _stream(here, made), Rows("m int64", "n bytes", "g string")
    packed = 2024 << 46 | 2 << 42 | 29 << 37 | 23 << 32 | 59 << 26 | 58 << 20 | 123456
    big = "-" + "9" * 38 + "." + "1" * 38
    with Call(here, stream) as call:
        answer = call.send(rows.request(stream, [{"m": packed, "n": (-1234567890).to_bytes(4, "little", signed=True), "g": big}], 0))
        assert not answer.error.code, answer
        assert [error.index for error in call.send(rows.request(stream, [{"g": "1" * 40}, {"g": "0." + "1" * 39}], 1)).row_errors] == [0, 1]
    (at, number, large), = _rows(here, made)
    assert (at.isoformat(), number, large) == ("2024-02-29T23:59:58.123456", D("-1.23456789"), D(big))


def fake_changes_of_a_schema_are_refused(here):
    """As BigQuery does: dropped, retyped, REQUIRED. The emulator takes them all."""
    made = _table(here, "a INT64", "b STRING")
    field = bigquery.SchemaField
    for schema in ([field("a", "INT64")], [field("a", "STRING"), field("b", "STRING")], [*made.schema, field("c", "INT64", "REQUIRED")]):
        changed = bigquery.Table(made.reference, schema)
        _must_raise(400, here.client.update_table, changed, ["schema"], retry=None)
    name = f"`{made.dataset_id}.{made.table_id}`"
    here.client.query_and_wait(f"ALTER TABLE {name} ALTER COLUMN a SET DATA TYPE NUMERIC", retry=None, job_retry=None)
    assert [item.field_type for item in here.client.get_table(made.reference, retry=None).schema] == ["NUMERIC", "STRING"]
    try:
        here.client.query_and_wait(f"ALTER TABLE {name} ALTER COLUMN a SET DATA TYPE INT64", retry=None, job_retry=None)
        raise AssertionError("narrowed")
    except google.api_core.exceptions.BadRequest:
        pass


def fake_tokens(here):
    made = _table(here, "n INT64")
    _control(here, "settings", tokens=[])
    _must_raise(401, _stream, here, made)
    token = requests.post(f"{here.endpoint}/token", timeout=30).json()["access_token"]
    there = f"{here.endpoint}/bigquery/v2/{_path(made)}"
    assert requests.get(there, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 200
    _control(here, "revoke-tokens")
    assert requests.get(there, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 401


def fake_http_errors(here):
    made = _table(here, "n INT64")
    _fault(here, "tables.get", {"http": 403, "reason": "rateLimitExceeded", "message": "Exceeded rate limits"}, made)
    error = _must_raise(403, here.client.get_table, made.reference, retry=None)
    assert error.errors[0]["reason"] == "rateLimitExceeded"
    _fault(here, "tables.get", {"cut": True}, made)
    try:
        here.client.get_table(made.reference, retry=None)
        raise AssertionError("an answer")
    except requests.exceptions.ConnectionError:
        pass
    assert here.client.get_table(made.reference, retry=None)


def fake_error_after_the_job_was_made(here):
    made = _table(here, "n INT64")
    _fault(here, "upload.multipart", {"http": 503}, made, when="after")
    job_id = _name("job")
    _must_raise(503, _load, here, made, _avro(_ONE, [{"n": 1}]), job_id)
    _must_raise(409, _load, here, made, _avro(_ONE, [{"n": 1}]), job_id)
    here.client.get_job(job_id, retry=None).result(retry=None)
    assert _rows(here, made) == [(1,)]


def fake_upload_keeps_less(here):
    """308 with a shorter Range than was sent."""
    made = _table(here, "v STRING")
    data = _avro([{"name": "v", "type": "string"}], [{"v": "x" * 1000}] * 700)
    _fault(here, "upload.put", {"short_range": 1000}, made)
    try:
        _resumable(here, made, data, _name("job"), 262144)
        raise AssertionError("the whole chunk was kept")
    except AssertionError as error:
        assert "bytes=0-999" in str(error)


def fake_job_stays_running(here):
    made = _table(here, "n INT64")
    _fault(here, "job.run", {"hold": "job"}, made)
    job_id, done = _name("job"), []
    load = threading.Thread(target=lambda: done.append(_load(here, made, _avro(_ONE, [{"n": 1}]), job_id)))
    load.start()
    while not _ask(here, "hits")["waiting"].get("job"):
        time.sleep(0.02)
    assert here.client.get_job(job_id, retry=None).state == "RUNNING" and _rows(here, made) == [] and not done
    _control(here, "open", door="job")
    load.join(60)
    assert done and _rows(here, made) == [(1,)]


def fake_job_fails(here):
    made = _table(here, "n INT64")
    _fault(here, "job.run", {"job_error": "backendError"}, made)
    job_id = _name("job")
    try:
        _load(here, made, _avro(_ONE, [{"n": 1}]), job_id)
        raise AssertionError("it worked")
    except google.api_core.exceptions.GoogleAPICallError:
        pass
    assert here.client.get_job(job_id, retry=None).error_result["reason"] == "backendError" and _rows(here, made) == []

# SPDX-License-Identifier: Apache-2.0
"""The Storage Write API on Google's own gRPC stack and messages, as BigQuery documents it (COMMITTED streams and the default stream).

The order of an append: the token, the stream, its connection, the size, finalized?, the offset, the descriptor against the schema that the write side
knows, the rows; then all rows are in or none. Whatever is held goes on when its door is opened, also when the caller is long gone: that is
how a request arrives late. The answers of a call come in the order of its requests.
"""
import asyncio
import time

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.rpc import status_pb2

from values import converter, type_of

_Append, _Answer = types.AppendRowsRequest.pb(), types.AppendRowsResponse.pb()
_WriteStream, _Error = types.WriteStream.pb(), types.StorageError.pb()
_COLUMN_NAME = 454943157  # (google.cloud.bigquery.storage.v1.column_name), an option of a field
_COMMITTED = 1
_KINDS = {"FLOAT64": "DOUBLE"}
_INTEGERS = {3, 4, 5, 13, 14, 15, 16, 17, 18}  # FieldDescriptorProto.Type: int64 ... sint64, enum
_ALLOWED = {
    "INT64": _INTEGERS - {4, 6}, "FLOAT64": {1, 2}, "BOOL": {8}, "STRING": {9}, "JSON": {9}, "GEOGRAPHY": {9}, "BYTES": {12, 9}, "DATE": _INTEGERS | {9},
    "DATETIME": {3, 16, 18, 9}, "TIME": {3, 16, 18, 9}, "TIMESTAMP": {3, 16, 18, 9}, "NUMERIC": _INTEGERS | {9, 12, 1, 2}, "BIGNUMERIC": _INTEGERS | {9, 12, 1, 2},
}


class Ended(Exception):
    """The call ends with this status."""

    def __init__(self, code, message, detail=None, entity=""):
        super().__init__(message)
        self.code, self.message, self.detail, self.entity = code, message, detail, entity


def status(code, message, detail=None, entity=""):
    """google.rpc.Status; detail: the name of a StorageErrorCode."""
    answer = status_pb2.Status(code=getattr(grpc.StatusCode, code).value[0], message=message)
    if detail:
        packed = any_pb2.Any()
        packed.Pack(_Error(code=getattr(types.StorageError.StorageErrorCode, detail), entity=entity, error_message=message))
        answer.details.append(packed)
    return answer


async def end(context, ended):
    """grpc-status with its details, as BigQuery sends them."""
    if ended.detail:
        whole = status(ended.code, ended.message, ended.detail, ended.entity)
        context.set_trailing_metadata((("grpc-status-details-bin", whole.SerializeToString()),))
    await context.abort(getattr(grpc.StatusCode, ended.code), ended.message)


def _column_of(field):
    """The column that a descriptor's field stands for: its name, or the annotation."""
    for number, value in _unknown_strings(field.options.SerializeToString()):
        if number == _COLUMN_NAME:
            return value
    return field.name


def _unknown_strings(data):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        tag = varint()
        if tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at:at + size].decode("utf-8", "replace")
            at += size
        elif tag & 7 == 0:
            varint()
        else:
            at += {1: 8, 5: 4}.get(tag & 7, len(data))


class Decoder:
    """Rows of one descriptor into values of a table, by the official protobuf library."""

    number = 0

    def __init__(self, descriptor):
        if not descriptor.name:
            raise Ended("INVALID_ARGUMENT", "Invalid proto schema: the descriptor has no name")
        if any(field.label == 3 or field.type == 11 for field in descriptor.field):
            raise Ended("INVALID_ARGUMENT", "the fake knows flat rows only")
        Decoder.number += 1
        package = f"rows{Decoder.number}"
        file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto2")
        file.message_type.add().CopyFrom(descriptor)
        pool = descriptor_pool.DescriptorPool()
        try:
            pool.Add(file)
            self.message = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{descriptor.name}"))
        except Exception as error:
            raise Ended("INVALID_ARGUMENT", f"Invalid proto schema: {error}") from error
        self.fields = [(field.name, _column_of(field), field.type) for field in descriptor.field]

    def unknown_columns(self, table_fields):
        known = {field["name"].lower() for field in table_fields}
        return [column for _, column, _ in self.fields if column.lower() not in known]

    def compile(self, table_fields, settings):
        """[(name in the message, column, convert)], and the columns that must be there."""
        by_name = {field["name"].lower(): field for field in table_fields}
        plan = []
        for name, column, wire in self.fields:
            field = by_name[column.lower()]
            kind = type_of(field)
            if field.get("mode") == "REPEATED" or wire not in _ALLOWED.get(kind, ()) or (kind in ("DATETIME", "TIME") and wire != 9 and settings["civil_time"] == "text"):
                raise Ended("INVALID_ARGUMENT", f"Field {column}: the proto type does not fit the column's type {kind}", "SCHEMA_MISMATCH_EXTRA_FIELDS" if field.get("mode") == "REPEATED" else None)
            plan.append((name, field["name"], converter(field)))
        required = [field["name"] for field in table_fields if field.get("mode") == "REQUIRED"]
        return plan, required

    def rows(self, serialized, plan, required):
        """(rows, [(index, why)])"""
        decoded, errors = [], []
        for index, data in enumerate(serialized):
            try:
                message = self.message.FromString(data)
                row = {column: convert(getattr(message, name)) for name, column, convert in plan if message.HasField(name)}
                absent = [column for column in required if column not in row]
                if absent:
                    raise ValueError(f"Field {absent[0]} is required but absent")
                decoded.append(row)
            except Exception as error:  # whatever the library or a converter says
                errors.append((index, str(error)))
        return decoded, errors


class Call:
    """One AppendRows call."""

    serial = 0

    def __init__(self, metadata):
        Call.serial += 1
        self.number = Call.serial
        self.headers = {name: value for name, value in metadata if isinstance(value, str) and name != "authorization"}
        self.ending = asyncio.get_running_loop().create_future()
        self.stream, self.decoder, self.decoder_bytes = None, None, None
        self.plans = {}
        self.told, self.last, self.requests, self.default_missing = False, time.monotonic(), 0, 0

    def end(self, ended):
        if not self.ending.done():
            self.ending.set_result(ended)

    def shown(self):
        return {"number": self.number, "stream": self.stream.name if self.stream else None, "requests": self.requests, "headers": self.headers}


class WriteApi:
    def __init__(self, store, faults):
        self.store, self.faults = store, faults
        self.calls = {}
        self.requests = []  # of AppendRows: what came and how it was answered; the newest last
        self.finalized_count, self.created_count = 0, 0

    # ---- unary calls

    async def unary(self, name, work, request, context):
        """The token, the faults before, the work (done also for a caller that is gone), the faults after."""
        try:
            self._check_token(context)
            table = self._table_label(request)
            return await asyncio.shield(asyncio.ensure_future(self._unary(name, work, request, table)))
        except Ended as ended:
            await end(context, ended)

    async def _unary(self, name, work, request, table):
        await self._fault(name, "before", table)
        answer = work(request)
        await self._fault(name, "after", table)
        return answer

    async def _fault(self, name, when, table):
        do = self.faults.take(name, when, table)
        if "hold" in do:
            await self.faults.pass_door(do["hold"])
        elif "status" in do:
            raise Ended(do["status"], do.get("message", "injected"), do.get("detail"))
        elif "cut" in do:
            raise Ended("UNAVAILABLE", "injected: connection lost")
        elif "swallow" in do:
            await asyncio.get_running_loop().create_future()

    def _check_token(self, context):
        if not self.store.token_is_good(dict(context.invocation_metadata()).get("authorization")):
            raise Ended("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")

    def _table_label(self, request):
        path = getattr(request, "parent", None) or getattr(request, "name", "")
        parts = path.split("/")
        return f"{parts[3]}.{parts[5]}" if len(parts) > 5 else None

    def _stream(self, name):
        stream = self.store.streams.get(name)
        if stream is None and name.endswith("/streams/_default"):
            table = self.store.table_by_path(name)
            if table is not None:
                stream = self.store.make_stream(table, 0)
                stream.name = name
                self.store.streams[name] = stream
        if stream is None or stream.gone:
            raise Ended("NOT_FOUND", f"Requested entity was not found. Entity: {name}", "STREAM_NOT_FOUND", name)
        return stream

    def create(self, request):
        table = self.store.table_by_path(request.parent)
        if table is None or table.resource["type"] != "TABLE":
            raise Ended("NOT_FOUND", f"Requested entity was not found. Entity: {request.parent}", "TABLE_NOT_FOUND", request.parent)
        if request.write_stream.type_ != _COMMITTED:
            raise Ended("INVALID_ARGUMENT", "the fake has COMMITTED streams only")
        self.created_count += 1
        return self._shown(self.store.make_stream(table, _COMMITTED), with_schema=True)

    def get(self, request):
        return self._shown(self._stream(request.name), request.view == 2)

    def _shown(self, stream, with_schema):
        shown = _WriteStream(name=stream.name, type_=stream.kind, location="us")
        shown.create_time.FromDatetime(stream.created)
        if with_schema:
            self._put_schema(shown.table_schema, stream.table)
        return shown

    def _put_schema(self, target, table):
        for field in table.known_fields(self.store.settings["schema_lag_s"]):
            kind = type_of(field)
            target.fields.add(name=field["name"], type_=getattr(types.TableFieldSchema.Type, _KINDS.get(kind, kind)),
                              mode=getattr(types.TableFieldSchema.Mode, field.get("mode", "NULLABLE")))

    def finalize(self, request):
        if request.name.endswith("/streams/_default"):
            raise Ended("INVALID_ARGUMENT", "The default stream can't be finalized")
        stream = self._stream(request.name)
        self.finalized_count += 1
        if stream.finalized and self.store.settings["finalize_twice"] == "error":
            raise Ended("INVALID_ARGUMENT", f"Stream is already finalized. Entity: {stream.name}", "STREAM_FINALIZED", stream.name)
        stream.finalized = True
        do = self.faults.take("FinalizeWriteStream", "count", stream.table.label, stream.name)
        return types.FinalizeWriteStreamResponse.pb()(row_count=0 if "no_count" in do else stream.end)

    # ---- AppendRows

    async def append_rows(self, requests, context):
        call = Call(context.invocation_metadata())
        self.calls[call.number] = call
        iterator = requests.__aiter__()
        try:
            self._check_token(context)
            while True:
                data = await self._next(iterator, call)
                if data is None:
                    return
                answer = await asyncio.shield(asyncio.ensure_future(self._request(call, data)))
                call.last = time.monotonic()
                if answer is not None:
                    yield answer
        except Ended as ended:
            await end(context, ended)
        finally:
            del self.calls[call.number]
            if call.stream and call.stream.call is call:
                call.stream.call = None

    async def _next(self, iterator, call):
        """The next request; None when the client has half-closed. Raises what ends the call first: silence, another connection, a command."""
        step = asyncio.ensure_future(iterator.__anext__())
        idle = self.store.settings["idle_s"]
        done, _ = await asyncio.wait([step, call.ending], timeout=max(0, call.last + idle - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
        if step in done:
            try:
                return step.result()
            except StopAsyncIteration:
                return None
        step.cancel()
        if call.ending.done():
            raise call.ending.result()
        raise Ended("ABORTED", f"Closing the stream because it has been inactive for {idle:g} seconds")

    async def _request(self, call, data):
        """The answer to one request, or None if it is swallowed."""
        request = _Append.FromString(data)
        note = {"call": call.number, "stream": request.write_stream or (call.stream.name if call.stream else ""), "size": len(data), "answer": None,
                "payer": call.headers.get("x-goog-user-project"),
                "offset": request.offset.value if request.HasField("offset") else None, "rows": len(request.proto_rows.rows.serialized_rows)}
        self.requests.append(note)
        call.requests += 1
        try:
            stream = self._bind(call, request)
            note["stream"] = stream.name
            do = self.faults.take("AppendRows", "before", stream.table.label, stream.name)
            if "hold" in do:
                note["answer"] = "held"
                await self.faults.pass_door(do["hold"])
            answer = self._told(do, note) if do and "hold" not in do else self._append(call, stream, request, len(data), note)
            if answer is None:
                return None
            do = self.faults.take("AppendRows", "after", stream.table.label, stream.name)
            if "hold" in do:
                await self.faults.pass_door(do["hold"])
            elif do:
                note["answer"] += ", the answer lost"
                return self._told(do, {})
            return self._with_schema(call, stream, answer)
        except Ended as ended:
            if note["answer"] in (None, "held"):
                note["answer"] = f"ended {ended.code}"
            raise

    def _told(self, do, note):
        if "status" in do or "cut" in do:
            raise Ended(do.get("status", "UNAVAILABLE"), do.get("message", "injected"), do.get("detail"))
        if "row_errors" in do:
            return self._rows_refused(do["row_errors"], note)
        if "error" in do:
            note["answer"] = do["error"]
            return _Answer(error=status(do["error"], do.get("message", "injected"), do.get("detail")))
        note["answer"] = "swallowed"
        return None

    def _bind(self, call, request):
        """The call's stream; of two calls on one stream only one goes on."""
        if request.write_stream and (call.stream is None or call.stream.name != request.write_stream):
            call.stream = self._stream(request.write_stream)
            call.told = False
        stream = call.stream
        if stream is None:
            raise Ended("INVALID_ARGUMENT", "The first request of a call must name its stream")
        if stream.gone:
            raise Ended("NOT_FOUND", f"Requested entity was not found. Entity: {stream.name}", "STREAM_NOT_FOUND", stream.name)
        if stream.call not in (None, call) and stream.kind == _COMMITTED:
            rule = self.store.settings["one_connection"]
            if rule == "oldest":
                raise Ended("ABORTED", f"Another connection is writing to the stream. Entity: {stream.name}")
            if rule == "newest":
                stream.call.end(Ended("ABORTED", f"Another connection has taken over the stream. Entity: {stream.name}"))
        stream.call = call
        return stream

    def _append(self, call, stream, request, size, note):
        settings, lag = self.store.settings, self.store.settings["schema_lag_s"]

        def refuse(code, message, detail=None):
            note["answer"] = detail or code
            return _Answer(error=status(code, message, detail, stream.name), write_stream=stream.name)
        if size > settings["request_bytes_max"]:
            raise Ended("INVALID_ARGUMENT", f"AppendRows request too large: {size} limit {settings['request_bytes_max']}")
        if stream.gone:
            raise Ended("NOT_FOUND", f"Requested entity was not found. Entity: {stream.name}", "STREAM_NOT_FOUND", stream.name)
        if stream.finalized:
            if settings["finalized_as"] == "status":
                raise Ended("INVALID_ARGUMENT", f"Stream is already finalized. Entity: {stream.name}", "STREAM_FINALIZED", stream.name)
            return refuse("INVALID_ARGUMENT", f"Stream is already finalized. Entity: {stream.name}", "STREAM_FINALIZED")
        self._learn_descriptor(call, request)  # also of a request that is refused for its offset: a writer sends it once a call
        if request.HasField("offset"):
            offset = request.offset.value
            if stream.kind != _COMMITTED:
                return refuse("INVALID_ARGUMENT", "Offset can't be given on the default stream")
            if offset < stream.end and not self.faults.take("offset", table=stream.table.label, stream=stream.name):
                return refuse("ALREADY_EXISTS", f"The offset is within stream, expected offset {stream.end}, received {offset}", "OFFSET_ALREADY_EXISTS")
            if offset > stream.end:
                return refuse("OUT_OF_RANGE", f"The offset is beyond stream, expected offset {stream.end}, received {offset}", "OFFSET_OUT_OF_RANGE")
        fields = stream.table.known_fields(lag)
        unknown = call.decoder.unknown_columns(fields)
        if unknown:
            return refuse("INVALID_ARGUMENT", f"Input schema has more fields than BigQuery schema, extra fields: '{','.join(unknown)}'", "SCHEMA_MISMATCH_EXTRA_FIELDS")
        plan = call.plans.get(id(fields))
        if plan is None:
            plan = call.plans[id(fields)] = (*call.decoder.compile(fields, settings), fields)
        rows, errors = call.decoder.rows(request.proto_rows.rows.serialized_rows, plan[0], plan[1])
        errors += [(index, "injected: this value is refused") for index, row in enumerate(rows) if self.faults.refuses(stream.table.label, row)]
        if errors:
            return self._rows_refused(errors, note)
        first = stream.end
        self.store.store(stream.table, rows, stream.name, first)
        stream.end += len(rows)
        note["answer"] = "ok"
        answer = _Answer(write_stream=stream.name)
        answer.append_result.SetInParent()
        if stream.kind == _COMMITTED:
            answer.append_result.offset.value = first
        return answer

    def _learn_descriptor(self, call, request):
        descriptor = request.proto_rows.writer_schema.proto_descriptor
        if request.proto_rows.HasField("writer_schema"):
            text = descriptor.SerializeToString()
            if text != call.decoder_bytes:
                call.decoder, call.decoder_bytes, call.plans = Decoder(descriptor), text, {}
        if call.decoder is None:
            raise Ended("INVALID_ARGUMENT", "The first request of a call must have the writer's schema")

    @staticmethod
    def _rows_refused(errors, note):
        note["answer"] = "row_errors"
        answer = _Answer(error=status("INVALID_ARGUMENT", f"Errors found while processing rows. Please refer to the row_errors field for details. The list may not be complete because of the size limitations."))
        for index, message in errors:
            answer.row_errors.add(index=index, code=1, message=message)
        return answer

    def _with_schema(self, call, stream, answer):
        """updated_schema: once a call, when the write side has learned of a newer schema than the call's first."""
        if not self.store.settings["updated_schema"] or answer.HasField("error"):
            return answer
        fields = stream.table.known_fields(self.store.settings["schema_lag_s"])
        if not call.told:
            call.told = fields
        elif call.told is not fields:
            call.told = fields
            self._put_schema(answer.updated_schema, stream.table)
        return answer

    # ---- serving

    def handler(self):
        def unary(name, work, kind):
            async def serve(request, context):
                return await self.unary(name, work, request, context)
            return grpc.unary_unary_rpc_method_handler(serve, kind.pb().FromString, lambda message: message.SerializeToString())

        async def append(requests, context):
            async for answer in self.append_rows(requests, context):
                yield answer
        return grpc.method_handlers_generic_handler("google.cloud.bigquery.storage.v1.BigQueryWrite", {
            "CreateWriteStream": unary("CreateWriteStream", self.create, types.CreateWriteStreamRequest),
            "GetWriteStream": unary("GetWriteStream", self.get, types.GetWriteStreamRequest),
            "FinalizeWriteStream": unary("FinalizeWriteStream", self.finalize, types.FinalizeWriteStreamRequest),
            "AppendRows": grpc.stream_stream_rpc_method_handler(append, lambda data: data, lambda message: message.SerializeToString()),
        })

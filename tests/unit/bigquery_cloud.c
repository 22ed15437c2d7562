/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are read with the product's wire reader, but not with its knowledge of messages: stream, offset and each row's __seq are found
 * by field number. Answers are written the same way. What a broken call leaves behind are copies, which may arrive at any later time.
 */
#include "tests/unit/bigquery_cloud.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/must.h"
#include "schemas/record.h"
#include "tests/unit/make_table.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/protobuf.h"
#include "workers/bigquery/storage_messages.h"

#define PARENT "projects/p/datasets/shop/tables/orders_history"

enum kind { FIND, ENSURE, EMPTY, HAS, UNARY };

struct cloud_event {
    enum kind kind;
    struct cloud_event *next;
    union {
        tables_answered answered;
        history_said said;
    };
    void *context;
    struct history_change change;
    const struct schema *schema;
    char hash[9];
    struct grpc_call *call; /* UNARY */
};

struct grpc_call {
    struct grpc_call *next;
    bool unary;
    enum cloud_unary method;
    grpc_answered answered;
    const struct grpc_events *events;
    void *context;
    struct buffer queue[CLOUD_QUEUE_MAX]; /* requests that are not carried out yet; [0] of a unary one */
    size_t queued;
    size_t unsent;
    bool seen_schema;
    bool half_closed;
    bool cancelled;
    bool over; /* only the end is left */
    struct grpc_status status;
};

static struct cloud *the_cloud;

/* ---- clock and later */

static uint64_t now_ms(void *context)
{
    return ((struct cloud *)context)->now_ms;
}

static int64_t wall_us(void *context)
{
    return ((struct cloud *)context)->wall_us;
}

static void add_later(void *context, struct later *later)
{
    struct cloud *cloud = context;

    later->_next = NULL;
    *cloud->laters_last = later;
    cloud->laters_last = &later->_next;
}

void cloud_laters(struct cloud *cloud)
{
    while (cloud->laters != NULL) {
        struct later *later = cloud->laters;

        cloud->laters = later->_next;
        if (cloud->laters == NULL) {
            cloud->laters_last = &cloud->laters;
        }
        later->queued = false;
        later->run(later->context);
    }
}

void cloud_pass(struct cloud *cloud, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 1000) {
        cloud->now_ms += 1000;
        cloud->wall_us += 1000000;
        lanes_tick(cloud->lanes);
        cloud_laters(cloud);
    }
}

/* ---- tokens */

static void token_get_fake(struct token_source *source, struct token_wait *wait)
{
    char token[32];

    (void)source;
    if (the_cloud->hold_tokens) {
        const struct err err = {ERR_RETRY, "no token today"};

        wait->answer(wait, NULL, &err);
        return;
    }
    (void)snprintf(token, sizeof token, "token%d", the_cloud->token_number);
    wait->answer(wait, token, NULL);
}

static void token_withdraw_fake(struct token_wait *wait)
{
    (void)wait;
}

static void token_refused_fake(struct token_source *source, const char *token)
{
    (void)source;
    assert_non_null(token);
    the_cloud->tokens_refused++;
    the_cloud->token_number++;
}

/* ---- the table */

static struct history *history_make(const struct schema *schema)
{
    static const struct bigquery_column own[] = {{"id", BIGQUERY_INT64}, {"note", BIGQUERY_STRING}};
    struct history *history = calloc(1, sizeof *history);
    size_t count = 2 + BIGQUERY_META_COUNT + (the_cloud->extra_column ? 1 : 0);
    struct bigquery_column *columns = calloc(count, sizeof *columns);

    must(history != NULL && columns != NULL);
    for (size_t i = 0; i < count; i++) {
        columns[i] = i < 2 ? own[i] : i < 2 + BIGQUERY_META_COUNT ? bigquery_meta_columns[i - 2] : (struct bigquery_column){"extra", BIGQUERY_STRING};
        columns[i].name = strdup(columns[i].name);
    }
    history->parent = strdup(PARENT);
    history->names.project = strdup("p");
    history->names.dataset = strdup("shop");
    history->names.history = strdup("orders_history");
    memcpy(history->hash, the_cloud->hash, sizeof history->hash);
    history->layout = (struct bigquery_layout){.columns = columns, .column_count = count};
    history->generation = the_cloud->generation;
    history->_references = 1;
    if (schema != NULL) {
        history->targets = calloc(schema->table->column_count, sizeof *history->targets);
        history->targets[1] = 1;
        history->loads = !the_cloud->unloadable;
        history->refusal = the_cloud->refusal != NULL ? strdup(the_cloud->refusal) : NULL;
    }
    return history;
}

static struct cloud_event *event_add(enum kind kind, void *context)
{
    struct cloud_event *event = calloc(1, sizeof *event);
    struct cloud_event **last = &the_cloud->events;

    must(event != NULL);
    event->kind = kind;
    event->context = context;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = event;
    return event;
}

static void find_fake(struct tables *tables, const char *topic, tables_answered answer, void *context)
{
    (void)tables;
    assert_string_equal(topic, "kakehi.shop.orders");
    event_add(FIND, context)->answered = answer;
}

static void ensure_fake(struct tables *tables, const struct tables_wish *wish, tables_answered answer, void *context)
{
    struct cloud_event *event = event_add(ENSURE, context);

    (void)tables;
    event->answered = answer;
    event->schema = wish->schema;
    if (wish->hash != NULL) {
        memcpy(event->hash, wish->hash, sizeof event->hash);
    }
}

static void is_empty_fake(struct tables *tables, struct history *history, history_said answer, void *context)
{
    (void)tables;
    assert_non_null(history);
    event_add(EMPTY, context)->said = answer;
}

static void has_fake(struct tables *tables, struct history *history, const struct history_change *change, history_said answer, void *context)
{
    struct cloud_event *event = event_add(HAS, context);

    (void)tables;
    assert_non_null(history);
    assert_true(change->from_day >= 20000 && change->from_day <= the_cloud->wall_us / INT64_C(86400000000));
    event->said = answer;
    event->change = *change;
    the_cloud->asked_count++;
}

static void keep_fake(void *context, const char *topic)
{
    assert_ptr_equal(context, the_cloud);
    assert_string_equal(topic, "kakehi.shop.orders");
    the_cloud->kept++;
}

static void look_fake(void *context, const struct bigquery_names *names)
{
    assert_ptr_equal(context, the_cloud);
    assert_string_equal(names->history, "orders_history");
    the_cloud->looked++;
}

static void leave_fake(void *context, const char *topic)
{
    assert_ptr_equal(context, the_cloud);
    assert_string_equal(topic, "kakehi.shop.orders");
    the_cloud->kept--;
}

size_t cloud_count(const struct cloud *cloud, int64_t seq)
{
    size_t count = 0;

    for (size_t i = 0; i < cloud->row_count; i++) {
        count += cloud->rows[i] == seq;
    }
    return count;
}

static void answer_table(struct cloud *cloud, const struct cloud_event *event)
{
    struct err err = {(enum err_class)cloud->table_err, "the table can't be asked"};
    struct history *history = NULL;

    if (cloud->table_err != 0) {
        event->answered(event->context, NULL, &err);
        return;
    }
    if (event->kind == ENSURE && event->hash[0] != '\0' && (!cloud->table_there || strcmp(event->hash, cloud->hash) != 0)) {
        (void)err_set(&err, ERR_FATAL, "another table");
        event->answered(event->context, NULL, &err);
        return;
    }
    cloud->table_there = cloud->table_there || event->kind == ENSURE;
    history = cloud->table_there ? history_make(event->schema) : NULL;
    event->answered(event->context, history, NULL);
    history_unref(history);
}

/* ---- the service */

static struct cloud_stream *stream_find(struct cloud *cloud, const uint8_t *name, size_t size)
{
    for (size_t i = 0; i < cloud->stream_count; i++) {
        if (strlen(cloud->streams[i].name) == size && memcmp(cloud->streams[i].name, name, size) == 0 && !cloud->streams[i].gone) {
            return &cloud->streams[i];
        }
    }
    return NULL;
}

struct arrived {
    const uint8_t *stream;
    size_t stream_size;
    int64_t offset;
    bool schema;
    int64_t rows[1024]; /* __seq */
    size_t row_count;
    struct buffer bytes; /* of the rows */
};

static int64_t seq_of(const struct protobuf_field *row)
{
    struct protobuf_reader reader = protobuf_read_inner(row);
    struct protobuf_field field;
    int64_t seq = -1;

    while (protobuf_next(&reader, &field)) {
        if (field.number == descriptor_field(2 + BIGQUERY_META_SEQ)) {
            seq = (int64_t)field.value;
        }
    }
    assert_null(reader.bad);
    return seq;
}

static void read_rows(struct arrived *append, const struct protobuf_field *rows)
{
    struct protobuf_reader reader = protobuf_read_inner(rows);
    struct protobuf_field field;

    while (protobuf_next(&reader, &field)) {
        append->rows[append->row_count++] = seq_of(&field);
        buffer_append(&append->bytes, field.bytes, field.size);
    }
}

static struct arrived read_append(const struct buffer *request)
{
    struct arrived append = {.offset = -1};
    struct protobuf_reader reader = protobuf_read(request->bytes, request->size);
    struct protobuf_reader inner;
    struct protobuf_field field;
    struct protobuf_field part;

    while (protobuf_next(&reader, &field)) {
        if (field.number == 1) {
            append.stream = field.bytes;
            append.stream_size = field.size;
        } else if (field.number == 2) {
            inner = protobuf_read_inner(&field);
            append.offset = protobuf_next(&inner, &part) ? (int64_t)part.value : 0;
        } else if (field.number == 4) {
            inner = protobuf_read_inner(&field);
            while (protobuf_next(&inner, &part)) {
                append.schema = append.schema || part.number == 1;
                if (part.number == 2) {
                    read_rows(&append, &part);
                }
            }
        }
    }
    assert_null(reader.bad);
    assert_true(append.row_count > 0);
    return append;
}

static void put_error(struct buffer *out, int code, int error_code)
{
    struct buffer status = {0};
    struct buffer error = {0};
    struct buffer any = {0};

    protobuf_put_varint(&status, 1, (uint64_t)code);
    protobuf_put_text(&status, 2, "so it is");
    if (error_code != 0) {
        protobuf_put_varint(&error, 1, (uint64_t)error_code);
        protobuf_put_text(&any, 1, "type.googleapis.com/google.cloud.bigquery.storage.v1.StorageError");
        protobuf_put_bytes(&any, 2, error.bytes, error.size);
        protobuf_put_bytes(&status, 3, any.bytes, any.size);
    }
    protobuf_put_bytes(out, 2, status.bytes, status.size);
    buffer_deinit(&status);
    buffer_deinit(&error);
    buffer_deinit(&any);
}

static bool put_row_errors(struct cloud *cloud, struct buffer *out, const struct arrived *append)
{
    bool any = false;

    for (size_t i = 0; i < append->row_count; i++) {
        if (cloud->refuses != NULL && cloud->refuses(cloud->refuses_context, append->rows[i])) {
            struct buffer error = {0};

            protobuf_put_varint(&error, 1, i);
            protobuf_put_varint(&error, 2, 1);
            protobuf_put_text(&error, 3, "no such value");
            protobuf_put_bytes(out, 4, error.bytes, error.size);
            buffer_deinit(&error);
            any = true;
        }
    }
    if (any) {
        put_error(out, GRPC_INVALID_ARGUMENT, 0);
    }
    return any;
}

/* Carries a request out, if it can be; the answer goes to out. */
static void carry_out(struct cloud *cloud, const struct arrived *append, struct buffer *out)
{
    struct cloud_stream *stream = stream_find(cloud, append->stream, append->stream_size);
    struct buffer result = {0};
    struct buffer offset = {0};

    if (stream == NULL) {
        put_error(out, GRPC_NOT_FOUND, STORAGE_ERROR_STREAM_NOT_FOUND);
    } else if (stream->finalized) {
        put_error(out, GRPC_INVALID_ARGUMENT, STORAGE_ERROR_STREAM_FINALIZED);
    } else if (!cloud->offsets_first && put_row_errors(cloud, out, append)) {
    } else if (append->offset < (int64_t)stream->row_count) {
        put_error(out, GRPC_ALREADY_EXISTS, STORAGE_ERROR_OFFSET_ALREADY_EXISTS);
    } else if (append->offset > (int64_t)stream->row_count) {
        put_error(out, GRPC_OUT_OF_RANGE, STORAGE_ERROR_OFFSET_OUT_OF_RANGE);
    } else if (!put_row_errors(cloud, out, append)) {
        for (size_t i = 0; i < append->row_count; i++) {
            stream->rows[stream->row_count++] = append->rows[i];
            cloud->rows[cloud->row_count++] = append->rows[i];
        }
        protobuf_put_varint(&offset, 1, (uint64_t)append->offset);
        protobuf_put_bytes(&result, 1, offset.bytes, offset.size);
        protobuf_put_bytes(out, 1, result.bytes, result.size);
    }
    buffer_deinit(&offset);
    buffer_deinit(&result);
}

bool cloud_arrive(struct cloud *cloud, size_t index)
{
    struct arrived append;
    struct buffer ignored = {0};

    if (index >= cloud->copy_count) {
        return false;
    }
    append = read_append(&cloud->copies[index]);
    carry_out(cloud, &append, &ignored);
    buffer_deinit(&append.bytes);
    buffer_deinit(&ignored);
    buffer_deinit(&cloud->copies[index]);
    cloud->copies[index] = cloud->copies[--cloud->copy_count];
    return true;
}

static void keep_copy(struct cloud *cloud, const struct buffer *request)
{
    if (cloud->copy_count < CLOUD_QUEUE_MAX) {
        struct buffer *copy = &cloud->copies[cloud->copy_count++];

        *copy = (struct buffer){0};
        buffer_append(copy, request->bytes, request->size);
    }
}

/* ---- calls */

static struct grpc_call *call_new(void *context)
{
    struct grpc_call *call = calloc(1, sizeof *call);
    struct grpc_call **last = &the_cloud->calls;

    must(call != NULL);
    call->context = context;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = call;
    return call;
}

static void call_free(struct grpc_call *call)
{
    struct grpc_call **at = &the_cloud->calls;

    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    for (size_t i = 0; i < call->queued; i++) {
        buffer_deinit(&call->queue[i]);
    }
    free(call);
}

static struct grpc_call *unary_fake(struct grpc *grpc, const struct grpc_target *target, const void *message, size_t size,
                                    grpc_answered answered, void *context)
{
    struct grpc_call *call = call_new(context);

    (void)grpc;
    call->unary = true;
    call->answered = answered;
    call->method = strstr(target->method, "Create") != NULL ? CLOUD_CREATE : CLOUD_FINALIZE;
    buffer_append(&call->queue[call->queued++], message, size);
    event_add(UNARY, NULL)->call = call;
    return call;
}

static struct grpc_call *call_open_fake(struct grpc *grpc, const struct grpc_target *target, const struct grpc_events *events, void *context)
{
    struct grpc_call *call = call_new(context);

    (void)grpc;
    assert_non_null(strstr(target->params, "write_stream=" PARENT "/streams/"));
    assert_non_null(strstr(target->authorization, "Bearer token"));
    call->events = events;
    the_cloud->calls_opened++;
    the_cloud->calls_open++;
    if (the_cloud->calls_open > the_cloud->calls_open_max) {
        the_cloud->calls_open_max = the_cloud->calls_open;
    }
    return call;
}

static void call_send_fake(struct grpc_call *call, const void *message, size_t size)
{
    assert_false(call->half_closed || call->cancelled);
    assert_true(call->queued < CLOUD_QUEUE_MAX);
    if (call->over) {
        return;
    }
    call->queue[call->queued] = (struct buffer){0};
    buffer_append(&call->queue[call->queued++], message, size);
    call->unsent++;
}

static void call_half_close_fake(struct grpc_call *call)
{
    call->half_closed = true;
}

static void call_cancel_fake(struct grpc_call *call)
{
    call->cancelled = true;
    call->over = true;
    call->status = (struct grpc_status){.code = GRPC_CANCELLED, .message = "cancelled", .sent = true};
    if (!call->unary) {
        for (size_t i = 0; i < call->queued; i++) {
            keep_copy(the_cloud, &call->queue[i]);
        }
    }
}

static void break_call(struct grpc_call *call, int code, const char *message)
{
    call->over = true;
    call->status = (struct grpc_status){.code = code, .message = message, .sent = true, .server = code != GRPC_UNAVAILABLE};
}

static void drop_first(struct grpc_call *call)
{
    buffer_deinit(&call->queue[0]);
    memmove(&call->queue[0], &call->queue[1], (call->queued - 1) * sizeof call->queue[0]);
    call->queued--;
}

static bool can_step(const struct grpc_call *call)
{
    return !call->unary && (call->over || call->queued > 0 || call->half_closed);
}

static void end_call(struct grpc_call *call)
{
    struct grpc_status status = call->status;
    const struct grpc_events *events = call->events;
    void *context = call->context;

    the_cloud->calls_open--;
    call_free(call);
    events->end(context, &status);
}

static void answer_request(struct cloud *cloud, struct grpc_call *call, const struct cloud_fate *fate)
{
    struct arrived append = read_append(&call->queue[0]);
    struct buffer answer = {0};
    bool gone = fate->swallow || fate->stray || (fate->code != 0 && fate->ends_call);

    cloud->requests_seen++;
    cloud->schema_missing = cloud->schema_missing || (!append.schema && !call->seen_schema);
    call->seen_schema = true;
    buffer_clear(&cloud->last_rows);
    buffer_append(&cloud->last_rows, append.bytes.bytes, append.bytes.size);
    if (fate->stray) {
        keep_copy(cloud, &call->queue[0]);
    } else if (!fate->skip) {
        carry_out(cloud, &append, &answer);
    }
    if (fate->code != 0) {
        buffer_clear(&answer);
        put_error(&answer, fate->code, fate->error_code);
    }
    if (gone) {
        break_call(call, fate->ends_call ? fate->code : GRPC_UNAVAILABLE, "broken");
        for (size_t i = 1; i < call->queued && fate->stray; i++) {
            keep_copy(cloud, &call->queue[i]);
        }
    }
    drop_first(call);
    if (call->unsent > 0) {
        call->unsent--;
        call->events->sent(call->context);
    }
    if (!gone && !fate->stall) {
        call->events->message(call->context, answer.bytes, answer.size);
    }
    buffer_deinit(&append.bytes);
    buffer_deinit(&answer);
}

static void step_call(struct cloud *cloud, struct grpc_call *call, const struct cloud_fate *fate)
{
    if (call->over) {
        end_call(call);
    } else if (call->queued > 0) {
        answer_request(cloud, call, fate);
    } else if (call->half_closed) {
        call->status = (struct grpc_status){.code = GRPC_OK, .message = "", .sent = true, .server = true};
        end_call(call);
    }
    cloud_laters(cloud);
}

static void answer_unary(struct cloud *cloud, struct grpc_call *call)
{
    struct protobuf_reader reader = protobuf_read(call->queue[0].bytes, call->queue[0].size);
    struct protobuf_field name;
    struct buffer answer = {0};
    struct buffer details = {0};
    struct grpc_status status = {.code = GRPC_OK, .message = "", .sent = true, .server = true};
    int error_code = 0;

    assert_true(protobuf_next(&reader, &name) && name.number == 1);
    if (call->cancelled) {
        status = call->status;
    } else if (call->method == CLOUD_CREATE) {
        cloud->creates_seen++;
        status.code = cloud->create_code;
        if (status.code == 0) {
            struct cloud_stream *stream = &cloud->streams[cloud->stream_count++];

            must(cloud->stream_count <= CLOUD_STREAMS_MAX);
            (void)snprintf(stream->name, sizeof stream->name, PARENT "/streams/s%zu", cloud->stream_count);
            protobuf_put_text(&answer, 1, stream->name);
            protobuf_put_varint(&answer, 2, 1);
        }
    } else {
        struct cloud_stream *stream = stream_find(cloud, name.bytes, name.size);

        cloud->finalizes_seen++;
        status.code = stream == NULL ? GRPC_NOT_FOUND : cloud->finalize_code;
        error_code = stream == NULL ? STORAGE_ERROR_STREAM_NOT_FOUND : cloud->finalize_error_code;
        if (stream != NULL && (cloud->finalize_code == 0 || cloud->finalize_error_code != 0)) {
            stream->finalized = true;
        }
        if (status.code == 0 && stream->row_count > 0 && !cloud->no_count) {
            protobuf_put_varint(&answer, 1, stream->row_count);
        }
    }
    if (status.code != 0 && error_code != 0) {
        struct buffer in_band = {0};
        struct protobuf_field field;

        put_error(&in_band, status.code, error_code);
        reader = protobuf_read(in_band.bytes, in_band.size);
        assert_true(protobuf_next(&reader, &field));
        buffer_append(&details, field.bytes, field.size);
        status.details = details.bytes;
        status.details_size = details.size;
        buffer_deinit(&in_band);
    }
    status.message = status.code != 0 && status.message[0] == '\0' ? "so it is" : status.message;
    call->answered(call->context, &status, status.code == 0 ? answer.bytes != NULL ? answer.bytes : (const uint8_t *)"" : NULL, answer.size);
    buffer_deinit(&answer);
    buffer_deinit(&details);
    call_free(call);
}

static void do_event(struct cloud *cloud, struct cloud_event **at)
{
    struct cloud_event *event = *at;

    *at = event->next;
    if (event->kind == UNARY) {
        answer_unary(cloud, event->call);
    } else if (event->kind == FIND || event->kind == ENSURE) {
        answer_table(cloud, event);
    } else {
        struct err err = {(enum err_class)cloud->table_err, "the table can't be asked"};
        bool yes = event->kind == EMPTY ? cloud->row_count == 0 : cloud_count(cloud, event->change.seq) > 0;

        event->said(event->context, yes && cloud->table_err == 0, cloud->table_err != 0 ? &err : NULL);
    }
    free(event);
    cloud_laters(cloud);
}

static struct cloud_fate next_fate(struct cloud *cloud)
{
    return cloud->script_at < cloud->script_count ? cloud->script[cloud->script_at++] : (struct cloud_fate){0};
}

bool cloud_step(struct cloud *cloud)
{
    cloud_laters(cloud);
    if (cloud->events != NULL) {
        do_event(cloud, &cloud->events);
        return true;
    }
    for (struct grpc_call *call = cloud->calls; call != NULL; call = call->next) {
        if (can_step(call)) {
            struct cloud_fate fate = call->over || call->queued == 0 ? (struct cloud_fate){0} : next_fate(cloud);

            step_call(cloud, call, &fate);
            return true;
        }
    }
    return false;
}

void cloud_settle(struct cloud *cloud)
{
    while (cloud_step(cloud)) {
    }
}

static struct cloud_fate draw_fate(uint32_t (*random)(void *context), void *context, uint32_t chance)
{
    static const struct cloud_fate bad[] = {
        {.swallow = true},
        {.skip = true, .swallow = true},
        {.stray = true},
        {.stall = true},
        {.skip = true, .stall = true},
        {.skip = true, .code = GRPC_RESOURCE_EXHAUSTED},
        {.code = GRPC_INTERNAL},
        {.skip = true, .code = GRPC_INTERNAL},
        {.skip = true, .code = GRPC_INVALID_ARGUMENT, .error_code = STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS},
        {.skip = true, .code = GRPC_UNAUTHENTICATED, .ends_call = true},
        {.skip = true, .code = GRPC_PERMISSION_DENIED},
        {.code = GRPC_ABORTED, .ends_call = true},
        {.skip = true, .code = GRPC_DATA_LOSS},
    };

    return random(context) % 100 < chance ? bad[random(context) % (sizeof bad / sizeof bad[0])] : (struct cloud_fate){0};
}

bool cloud_draw(struct cloud *cloud, uint32_t (*random)(void *context), void *context, uint32_t chance)
{
    size_t count = 0;
    size_t chosen;

    cloud_laters(cloud);
    for (const struct cloud_event *event = cloud->events; event != NULL; event = event->next) {
        count++;
    }
    for (const struct grpc_call *call = cloud->calls; call != NULL; call = call->next) {
        count += can_step(call);
    }
    if (count == 0) {
        return false;
    }
    chosen = random(context) % count;
    for (struct cloud_event **at = &cloud->events; *at != NULL; at = &(*at)->next) {
        if (chosen-- == 0) {
            do_event(cloud, at);
            return true;
        }
    }
    for (struct grpc_call *call = cloud->calls; call != NULL; call = call->next) {
        if (can_step(call) && chosen-- == 0) {
            struct cloud_fate fate = draw_fate(random, context, chance);

            step_call(cloud, call, &fate);
            return true;
        }
    }
    return false;
}

/* ---- rows */

void cloud_value(struct cloud *cloud, struct buffer *out, int64_t seq)
{
    char note[1000];
    struct cell cells[2] = {{.state = CELL_VALUE, .integer = seq}, {.state = CELL_VALUE, .bytes = (const uint8_t *)note, .size = sizeof note}};
    const struct record_meta meta = {
        .op = 'c', .ts_us = seq, .seq = seq, .idx = 2 * seq, .source = "shop", .source_size = 4, .txid = "0-1-1", .txid_size = 5};
    struct err err = {0};

    memset(note, 'a' + (int)(seq % 26), sizeof note);
    assert_int_equal(record_encode_value(out, cloud->schema->table, cells, &meta, &err), 0);
}

/* ---- beginning and end */

struct cloud *cloud_new(void)
{
    struct cloud *cloud = calloc(1, sizeof *cloud);

    must(cloud != NULL);
    the_cloud = cloud;
    cloud->streams = calloc(CLOUD_STREAMS_MAX, sizeof *cloud->streams);
    cloud->copies = calloc(CLOUD_QUEUE_MAX, sizeof *cloud->copies);
    must(cloud->streams != NULL && cloud->copies != NULL);
    cloud->laters_last = &cloud->laters;
    cloud->now_ms = 1000000;
    cloud->wall_us = INT64_C(1795000000000000);
    memcpy(cloud->hash, "0a1b2c3d", sizeof cloud->hash);
    cloud->generation = 1;
    cloud->schema = make_schema("shop", "orders", "id", "id long, note text");
    cloud->settings.bigquery = (struct settings_bigquery){
        .request_bytes = 5000, .calls_max = 2, .call_idle_ms = 300000, .answer_timeout_ms = 120000};
    cloud->lane_world = (struct lane_world){
        .context = cloud,
        .now_ms = now_ms,
        .wall_us = wall_us,
        .later = add_later,
        .unary = unary_fake,
        .call_open = call_open_fake,
        .call_send = call_send_fake,
        .call_half_close = call_half_close_fake,
        .call_cancel = call_cancel_fake,
        .token_get = token_get_fake,
        .token_withdraw = token_withdraw_fake,
        .token_refused = token_refused_fake,
        .find = find_fake,
        .ensure = ensure_fake,
        .is_empty = is_empty_fake,
        .has = has_fake,
        .keep = keep_fake,
        .look = look_fake,
        .leave = leave_fake,
    };
    cloud->lanes = lanes_new(&(struct lanes_options){.settings = &cloud->settings, .world = &cloud->lane_world});
    return cloud;
}

static void on_freed(void *context)
{
    *(bool *)context = true;
}

void cloud_with_loads(struct cloud *cloud)
{
    bool freed = false;

    lanes_free(cloud->lanes, on_freed, &freed);
    cloud_settle(cloud);
    assert_true(freed);
    cloud->lanes = lanes_new(&(struct lanes_options){
        .settings = &cloud->settings, .world = &cloud->lane_world, .loads = (struct loads *)(void *)cloud /* nobody looks into it */});
    lanes_group(cloud->lanes, 3);
}

void cloud_free(struct cloud *cloud)
{
    bool freed = false;

    lanes_free(cloud->lanes, on_freed, &freed);
    cloud_settle(cloud);
    assert_true(freed);
    while (cloud->copy_count > 0) {
        buffer_deinit(&cloud->copies[--cloud->copy_count]);
    }
    buffer_deinit(&cloud->last_rows);
    schema_free(cloud->schema);
    free(cloud->copies);
    free(cloud->streams);
    free(cloud);
    the_cloud = NULL;
}

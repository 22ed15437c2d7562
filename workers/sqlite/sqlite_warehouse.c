/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's side: each call becomes a command for the writer thread, and each answer finds the callback that waits for it.
 * Nothing here touches the file, so nothing here blocks.
 *
 * A lane closes by a command that comes back behind all others of it; until then it stays, so that their answers find it.
 */
#include "workers/sqlite/sqlite_warehouse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/must.h"
#include "workers/sqlite/writer.h"

struct sqlite_warehouse {
    struct warehouse warehouse; /* first: the seam's pointer is ours */
    struct sqlite_writer *writer;
    char *path;
    struct buffer cells; /* scratch of plan: struct cell each */
    size_t lane_count;
    size_t rows_in; /* since the start */
    size_t requests_in;
    void (*freed)(void *context);
    void *freed_context;
};

struct lane {
    struct sqlite_warehouse *owner;
    char *topic;
    int32_t partition;
    int64_t epoch; /* of the last recovery that was answered; 0: none, and no write will go in */
    bool closing;
};

struct request {
    const struct warehouse_row *rows; /* borrowed until request_free */
    size_t row_count;
    int64_t start;
    int64_t end;
    bool *dropped; /* one a row; NULL until the first drop */
    size_t dropped_count;
};

/* A command and who waits for its answer. */
struct call {
    struct sqlite_command command; /* first: the writer gives it back */
    struct lane *lane;
    struct request *request; /* SEND */
    union {
        lane_recovered recovered;
        lane_ensured ensured;
        lane_sent sent;
        void (*closed)(void *context);
    };
    void *context;
};

static struct sqlite_warehouse *ours(struct warehouse *warehouse)
{
    return (struct sqlite_warehouse *)warehouse;
}

static struct call *call_new(struct lane *lane, enum sqlite_command_kind kind, void *context)
{
    struct call *call = calloc(1, sizeof *call);

    must(call != NULL && !lane->closing);
    call->command.kind = kind;
    call->command.place.topic = lane->topic;
    call->command.place.partition = lane->partition;
    call->lane = lane;
    call->context = context;
    return call;
}

/* ---- answers */

static void lane_free(struct lane *lane)
{
    lane->owner->lane_count--;
    free(lane->topic);
    free(lane);
}

static const struct err *err_or_null(const struct sqlite_command *command)
{
    return command->err.class != ERR_NONE ? &command->err : NULL;
}

static void answer_recovered(struct call *call)
{
    const struct err *err = err_or_null(&call->command);

    if (err == NULL) {
        call->lane->epoch = call->command.epoch;
    }
    call->recovered(call->context, &(struct lane_place){.start = call->command.next, .cut = LANE_NO_CUT}, err);
}

static void answer_sent(struct call *call)
{
    const struct sqlite_command *command = &call->command;

    if (command->answer == LANE_IN) {
        call->lane->owner->requests_in++;
        call->lane->owner->rows_in += call->request->row_count - call->request->dropped_count;
    }
    call->sent(call->context, command->answer, command->bad_rows, command->bad_row_count, err_or_null(command));
}

static void on_done(void *context, struct sqlite_command *command)
{
    struct call *call = (struct call *)command;

    (void)context;
    switch (command->kind) {
    case SQLITE_RECOVER:
        answer_recovered(call);
        break;
    case SQLITE_ENSURE:
        call->ensured(call->context, err_or_null(command));
        break;
    case SQLITE_SEND:
        answer_sent(call);
        break;
    case SQLITE_CLOSE:
        lane_free(call->lane);
        call->closed(call->context);
        break;
    }
    free(command->bad_rows);
    free(call);
}

/* ---- the seam */

static struct lane *lane_open(struct warehouse *warehouse, const char *topic, int32_t partition, uint64_t assignment)
{
    struct lane *lane = calloc(1, sizeof *lane);

    (void)assignment; /* the epoch in the file tells assignments apart, across processes too */
    must(lane != NULL);
    lane->owner = ours(warehouse);
    lane->topic = must_strdup(topic);
    lane->partition = partition;
    lane->owner->lane_count++;
    return lane;
}

static void lane_recover(struct lane *lane, int64_t committed, const char *mark, lane_recovered answer, void *context)
{
    struct call *call = call_new(lane, SQLITE_RECOVER, context);

    (void)committed; /* the file is the record */
    (void)mark;
    call->recovered = answer;
    sqlite_writer_give(lane->owner->writer, &call->command);
}

static void lane_ensure(struct lane *lane, const struct schema *schema, lane_ensured answer, void *context)
{
    struct call *call = call_new(lane, SQLITE_ENSURE, context);

    call->command.schema = schema;
    call->ensured = answer;
    sqlite_writer_give(lane->owner->writer, &call->command);
}

static int check_row(struct sqlite_warehouse *warehouse, const struct warehouse_row *row, struct err *err)
{
    size_t count = row->schema->table->column_count;
    struct record_meta meta;
    struct cell *cells;

    buffer_clear(&warehouse->cells);
    cells = (struct cell *)(void *)buffer_reserve(&warehouse->cells, (count + 1) * sizeof *cells);
    return record_decode_value(row->schema->table, row->value, row->value_size, cells, &meta, err);
}

/* Every row is decoded here once, so that the writer meets no surprise in the middle of a transaction. */
static struct request *lane_plan(struct lane *lane, const struct warehouse_batch *batch, size_t *ret_bad_row, struct err *err)
{
    struct request *request;

    for (size_t i = 0; i < batch->row_count; i++) {
        if (check_row(lane->owner, &batch->rows[i], err) != 0) {
            *ret_bad_row = i;
            return NULL;
        }
    }
    request = calloc(1, sizeof *request);
    must(request != NULL);
    request->rows = batch->rows;
    request->row_count = batch->row_count;
    request->start = batch->start;
    request->end = batch->end;
    return request;
}

static const char *lane_mark(struct lane *lane)
{
    (void)lane;
    return "";
}

static void lane_send(struct lane *lane, struct request *request, lane_sent answer, void *context)
{
    struct call *call = call_new(lane, SQLITE_SEND, context);

    call->command.place.epoch = lane->epoch;
    call->command.place.start = request->start;
    call->command.place.end = request->end;
    call->command.rows = request->rows;
    call->command.row_count = request->row_count;
    call->command.dropped = request->dropped;
    call->request = request;
    call->sent = answer;
    sqlite_writer_give(lane->owner->writer, &call->command);
}

static void lane_drop_rows(struct lane *lane, struct request *request, const size_t *rows, size_t row_count)
{
    (void)lane;
    if (request->dropped == NULL) {
        request->dropped = calloc(request->row_count + 1, sizeof *request->dropped);
        must(request->dropped != NULL);
    }
    for (size_t i = 0; i < row_count; i++) {
        must(rows[i] < request->row_count);
        request->dropped_count += !request->dropped[rows[i]];
        request->dropped[rows[i]] = true;
    }
}

static void request_free(struct request *request)
{
    if (request != NULL) {
        free(request->dropped);
        free(request);
    }
}

static void lane_close(struct lane *lane, void (*closed)(void *context), void *context)
{
    struct call *call = call_new(lane, SQLITE_CLOSE, context);

    call->closed = closed;
    lane->closing = true;
    sqlite_writer_give(lane->owner->writer, &call->command);
}

static json_int_t size_of(const char *path, const char *suffix)
{
    struct buffer name = {0};
    struct stat facts;
    json_int_t size;

    buffer_printf(&name, "%s%s", path, suffix);
    size = stat(buffer_text(&name), &facts) == 0 ? facts.st_size : 0;
    buffer_deinit(&name);
    return size;
}

static json_t *status(struct warehouse *warehouse)
{
    const struct sqlite_warehouse *self = ours(warehouse);

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "file", self->path, "size_bytes", size_of(self->path, ""),
                     "wal_bytes", size_of(self->path, "-wal"), "queue_depth", (json_int_t)sqlite_writer_depth(self->writer),
                     "lanes", (json_int_t)self->lane_count, "requests_in", (json_int_t)self->requests_in, "rows_in",
                     (json_int_t)self->rows_in);
}

static void on_writer_freed(void *context)
{
    struct sqlite_warehouse *self = context;
    void (*freed)(void *context) = self->freed;
    void *freed_context = self->freed_context;

    buffer_deinit(&self->cells);
    free(self->path);
    free(self);
    freed(freed_context);
}

static void warehouse_free(struct warehouse *warehouse, void (*freed)(void *context), void *context)
{
    struct sqlite_warehouse *self = ours(warehouse);

    must(self->lane_count == 0);
    self->freed = freed;
    self->freed_context = context;
    sqlite_writer_free(self->writer, on_writer_freed, self);
}

static const struct warehouse_calls calls = {
    .open = lane_open,
    .recover = lane_recover,
    .ensure = lane_ensure,
    .plan = lane_plan,
    .mark_before_send = false,
    .mark = lane_mark,
    .send = lane_send,
    .drop_rows = lane_drop_rows,
    .request_free = request_free,
    .close = lane_close,
    .status = status,
    .free = warehouse_free,
};

int sqlite_warehouse_new(uv_loop_t *loop, const struct settings *settings, struct warehouse **ret_warehouse, struct err *err)
{
    struct sqlite_warehouse *self = calloc(1, sizeof *self);

    must(self != NULL);
    self->warehouse = (struct warehouse){.calls = &calls, .name = "sqlite"};
    if (sqlite_writer_new(loop, settings->sqlite_file, settings->sqlite_table, on_done, self, &self->writer, err) != 0) {
        free(self);
        return -1;
    }
    self->path = must_strdup(settings->sqlite_file);
    *ret_warehouse = &self->warehouse;
    return 0;
}

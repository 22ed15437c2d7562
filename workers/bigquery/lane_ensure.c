/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before a batch is planned: the table has the columns of each schema, and the lane knows where each goes; then, if the batch goes by
 * appends, there is a write stream. A stream is made when there is a row for it, and not by a lane whose partition is silent or goes by
 * load jobs: the service allows 10,000 an hour.
 *
 * A schema whose rows the history refuses (bigquery.on_type_change) is ready too: planning refuses its rows, one by one, and so they
 * go to the dead letters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/lane_parts.h"
#include "workers/bigquery/storage_messages.h"

/* ---- how rows are written */

struct mapping *lane_find_mapping(const struct lane *lane, const struct schema *schema)
{
    for (size_t i = lane->mapping_count; i > 0; i--) { /* the newest is the likely one */
        if (lane->mappings[i - 1].schema == schema) {
            return &lane->mappings[i - 1];
        }
    }
    return NULL;
}

static void drop_program(struct mapping *mapping)
{
    row_program_free(mapping->program);
    mapping->program = NULL;
    free(mapping->load_text);
    mapping->load_text = NULL;
}

void lane_forget_writer(struct lane *lane)
{
    for (size_t i = 0; i < lane->mapping_count; i++) {
        drop_program(&lane->mappings[i]);
    }
    append_writer_unref(lane->writer);
    lane->writer = NULL;
}

static void map(struct lane *lane, const struct schema *schema, struct history *history)
{
    struct mapping *mapping = lane_find_mapping(lane, schema);

    if (mapping == NULL) {
        lane->mappings = realloc(lane->mappings, (lane->mapping_count + 1) * sizeof *lane->mappings);
        must(lane->mappings != NULL);
        mapping = &lane->mappings[lane->mapping_count++];
        *mapping = (struct mapping){.schema = schema};
    }
    drop_program(mapping);
    history_unref(mapping->history);
    mapping->history = history_ref(history);
}

const struct row_program *lane_program(void *context, const struct schema *schema, struct err *err)
{
    struct lane *lane = context;
    struct mapping *mapping = lane_find_mapping(lane, schema);

    must(mapping != NULL);
    if (mapping->history->refusal != NULL) {
        (void)err_set(err, ERR_POISON, "%s", mapping->history->refusal);
        return NULL;
    }
    if (mapping->program == NULL &&
        row_program_new(schema->table, &lane->history->layout, mapping->history->targets, &mapping->program, err) != 0) {
        return NULL;
    }
    return mapping->program;
}

/* The newest layout serves all rows; older calls end with the requests that were made for them. */
static void adopt(struct lane *lane, struct history *history)
{
    if (lane->writer == NULL || history->generation > lane->writer->generation) {
        lane_forget_writer(lane);
        lane_set_history(lane, history);
        lane->writer = append_writer_new(&history->layout, history->generation);
    }
    memcpy(lane->mark.table, history->hash, sizeof lane->mark.table);
}

/* ---- the stream */

static int take_stream(struct lane *lane, const uint8_t *message, size_t size, struct err *err)
{
    struct storage_stream stream;
    char *name;
    size_t parent_size = strlen(lane->history->parent);
    int code = -1;

    if (storage_stream_decode(message, size, &stream, err) != 0) {
        err->class = ERR_RETRY;
        return -1;
    }
    name = strndup(stream.name.bytes, stream.name.size);
    must(name != NULL);
    if (strncmp(name, lane->history->parent, parent_size) != 0 || strncmp(name + parent_size, "/streams/", 9) != 0) {
        (void)err_set(err, ERR_FATAL, "CreateWriteStream of %s named a stream elsewhere: %.200s", lane->history->parent, name);
    } else if (mark_check_word(name + parent_size + 9, MARK_STREAM_SIZE, "write stream", err) == 0) {
        memcpy(lane->mark.append.stream, name + parent_size + 9, strlen(name + parent_size + 9) + 1);
        lane->mark.append.row = 0;
        append_to(&lane->append, name);
        lane->lanes->streams_made++;
        code = 0;
    }
    free(name);
    return code;
}

static void on_stream(void *context, const uint8_t *message, size_t size, const struct rpc_error *error)
{
    struct lane *lane = context;
    struct err err = {0};

    lane->rpc = NULL;
    if (error != NULL) {
        lane->fresh = lane->fresh || error->code == GRPC_NOT_FOUND; /* what is known of the table is not true any more */
        rpc_error_to_err(error, "making a write stream", &err);
        lane_answer(lane, &err, "no stream");
    } else if (take_stream(lane, message, size, &err) != 0) {
        lane_answer(lane, &err, "a stream that can't be used");
    } else {
        lane_answer(lane, NULL, "stream made");
    }
}

static void make_stream(struct lane *lane)
{
    struct buffer params = {0};
    struct buffer message = {0};

    sm_move(&lane->sm, STREAM, "no stream");
    buffer_printf(&params, "parent=%s", lane->history->parent);
    storage_create_write_stream(&message, lane->history->parent);
    lane->rpc = rpc_start(world_of(lane),
                          &(struct rpc_request){.method = "CreateWriteStream", .params = buffer_text(&params), .message = &message},
                          on_stream, lane);
    buffer_deinit(&message);
    buffer_deinit(&params);
}

/* Does a row of the batch go into a stream? Those that the history refuses are buried by the plan. */
static bool needs_stream(struct lane *lane, const struct warehouse_batch *batch)
{
    if (lane_goes_by_load(lane, batch)) {
        return false;
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct mapping *mapping = lane_find_mapping(lane, batch->rows[i].schema);

        must(mapping != NULL);
        if (mapping->history->refusal == NULL) {
            return true;
        }
    }
    return false;
}

bool lane_prepare(struct lane *lane, const struct warehouse_batch *batch, lane_ensured answer, void *context)
{
    must(state(lane) == READY);
    if (append_stream(&lane->append) != NULL || !needs_stream(lane, batch)) {
        return true;
    }
    lane->ensured = answer;
    lane->context = context;
    make_stream(lane);
    return false;
}

/* ---- the table */

static void on_table(void *context, struct history *history, const struct err *err)
{
    struct lane *lane = lane_take_question(context);

    if (lane == NULL) {
        return;
    }
    if (err != NULL) {
        lane_answer(lane, err, "no table");
        return;
    }
    lane->fresh = false;
    adopt(lane, history);
    map(lane, lane->schema, history);
    if (world_of(lane)->look != NULL) {
        world_of(lane)->look(world_of(lane)->context, &history->names);
    }
    lane_answer(lane, NULL, "ready");
}

void lane_ensure(struct lane *lane, const struct schema *schema, lane_ensured answer, void *context)
{
    const struct lane_world *world = world_of(lane);
    const struct tables_wish wish = {.schema = schema,
                                     .hash = lane->mark.table[0] != '\0' ? lane->mark.table : NULL,
                                     .fresh = lane->fresh};

    must(state(lane) == READY);
    lane->ensured = answer;
    lane->context = context;
    lane->schema = schema;
    if (lane->table == NULL) {
        must(asprintf(&lane->table, "%s.%s", schema->table->database, schema->table->name) > 0);
    }
    sm_move(&lane->sm, TABLE, "a schema is new here");
    world->ensure(world->tables, &wish, on_table, lane_ask(lane));
}

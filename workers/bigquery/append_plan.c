/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request ends where the next one begins: messages between them that are no rows (duplicates, dead letters) are settled by the time
 * that a batch is planned, so nothing is read again for them.
 */
#include "workers/bigquery/append_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/record.h"
#include "workers/bigquery/descriptor.h"

/* ---- the writer */

struct append_writer *append_writer_new(const struct bigquery_layout *layout, uint32_t generation)
{
    struct append_writer *writer = calloc(1, sizeof *writer);

    must(writer != NULL);
    descriptor_encode(&writer->descriptor, layout);
    writer->generation = generation;
    writer->_references = 1;
    return writer;
}

struct append_writer *append_writer_ref(struct append_writer *writer)
{
    writer->_references++;
    return writer;
}

void append_writer_unref(struct append_writer *writer)
{
    if (writer != NULL && --writer->_references == 0) {
        buffer_deinit(&writer->descriptor);
        free(writer);
    }
}

/* ---- planning */

/* Puts the first row that is left into the mark; one answers for the request, since it is all or nothing (C7). */
static int describe(struct append_plan *plan, struct append_part *part, struct err *err)
{
    struct record_meta meta;
    const struct warehouse_row *row;
    size_t index;

    part->mark = (struct mark_request){.end = part->end, .rows = (int64_t)part->rows.row_count, .day = plan->ingest_day};
    if (part->rows.row_count == 0) {
        return 0;
    }
    if (append_rows_index(&part->rows, 0, &index, err) != 0) {
        return -1;
    }
    row = &plan->rows[part->first_row + index];
    plan->_cells = realloc(plan->_cells, (row->schema->table->column_count + 1) * sizeof *plan->_cells);
    must(plan->_cells != NULL);
    if (record_decode_value(row->schema->table, row->value, row->value_size, plan->_cells, &meta, err) != 0) {
        return -1;
    }
    part->mark.seq = meta.seq;
    part->mark.idx = meta.idx;
    return 0;
}

/* NULL: there may be no further one. */
static struct append_part *begin_part(struct append_plan *plan, size_t row, const struct append_plan_options *options)
{
    struct append_part *part;

    if (plan->part_count == MARK_REQUESTS_MAX) {
        return NULL;
    }
    if (plan->part_count > 0) {
        plan->parts[plan->part_count - 1].end = plan->rows[row].offset;
    }
    part = &plan->parts[plan->part_count++];
    *part = (struct append_part){.first_row = row};
    append_rows_init(&part->rows, append_head_bound(options->stream_name_size, plan->writer->descriptor.size), options->request_bytes_max);
    return part;
}

static int add_row(struct append_plan *plan, size_t index, const struct append_plan_options *options, struct err *err)
{
    const struct warehouse_row *row = &plan->rows[index];
    const struct row_program *program = options->program(options->context, row->schema, err);
    struct append_part *part = plan->part_count > 0 ? &plan->parts[plan->part_count - 1] : NULL;
    enum append_added added;

    if (program == NULL) {
        return -1;
    }
    added = part == NULL ? APPEND_FULL
                         : append_rows_add(&part->rows, program, row->value, row->value_size, plan->ingest_day, err);
    if (added == APPEND_FULL) {
        part = begin_part(plan, index, options);
        if (part == NULL) {
            return err_set(err, ERR_FATAL,
                           "a batch of worker.batch.bytes is more than %d requests of %zu bytes (bigquery.request): lower the one or raise the "
                           "other",
                           MARK_REQUESTS_MAX, options->request_bytes_max);
        }
        added = append_rows_add(&part->rows, program, row->value, row->value_size, plan->ingest_day, err);
    }
    must(added != APPEND_FULL);
    return added == APPEND_ADDED ? 0 : -1;
}

int append_plan_init(struct append_plan *plan, const struct warehouse_batch *batch, const struct append_plan_options *options,
                     size_t *ret_bad_row, struct err *err)
{
    size_t head = append_head_bound(options->stream_name_size, options->writer->descriptor.size);

    *plan = (struct append_plan){.rows = batch->rows, .ingest_day = options->ingest_day};
    if (head >= options->request_bytes_max) {
        return err_set(err, ERR_FATAL, "the table's descriptor takes %zu bytes, more than a request may have (bigquery.request)", head);
    }
    plan->writer = append_writer_ref(options->writer);
    for (size_t i = 0; i < batch->row_count; i++) {
        if (add_row(plan, i, options, err) != 0) {
            *ret_bad_row = i;
            append_plan_deinit(plan);
            return -1;
        }
    }
    if (plan->part_count > 0) {
        plan->parts[plan->part_count - 1].end = batch->end;
    }
    for (size_t i = 0; i < plan->part_count; i++) {
        if (describe(plan, &plan->parts[i], err) != 0) {
            *ret_bad_row = plan->parts[i].first_row;
            append_plan_deinit(plan);
            return -1;
        }
    }
    return 0;
}

void append_plan_deinit(struct append_plan *plan)
{
    for (size_t i = 0; i < plan->part_count; i++) {
        append_rows_deinit(&plan->parts[i].rows);
    }
    append_writer_unref(plan->writer);
    free(plan->_cells);
    *plan = (struct append_plan){0};
}

/* ---- what becomes of it */

/* Those of the rows that stand in this part, as it counts them; how many. */
static size_t pick(const struct append_plan *plan, size_t part, const size_t *rows, size_t row_count, size_t *indexes)
{
    size_t begin = plan->parts[part].first_row;
    size_t end = part + 1 < plan->part_count ? plan->parts[part + 1].first_row : SIZE_MAX;
    size_t count = 0;

    for (size_t i = 0; i < row_count; i++) {
        if (rows[i] >= begin && rows[i] < end) {
            indexes[count++] = rows[i] - begin;
        }
    }
    return count;
}

static void drop_from(struct append_plan *plan, struct append_part *part, const size_t *indexes, size_t index_count)
{
    struct err err = {0};

    must(!part->sent && !part->in && !part->unsure); /* C5 */
    append_rows_drop(&part->rows, indexes, index_count);
    must(describe(plan, part, &err) == 0); /* each row was decoded when it was planned */
}

/* A call for each part, however many rows go: each call moves the rest of its request together. */
void append_plan_drop(struct append_plan *plan, const size_t *rows, size_t row_count)
{
    size_t *indexes = reallocarray(NULL, row_count + 1, sizeof *indexes);
    size_t dropped_count = 0;

    must(indexes != NULL);
    for (size_t i = 0; i < plan->part_count; i++) {
        size_t index_count = pick(plan, i, rows, row_count, indexes);

        if (index_count > 0) {
            drop_from(plan, &plan->parts[i], indexes, index_count);
        }
        dropped_count += index_count;
    }
    must(dropped_count == row_count);
    free(indexes);
}

int64_t append_plan_rows(const struct append_plan *plan)
{
    int64_t rows = 0;

    for (size_t i = 0; i < plan->part_count; i++) {
        rows += (int64_t)plan->parts[i].rows.row_count;
    }
    return rows;
}

size_t append_plan_memory(const struct append_plan *plan)
{
    size_t bytes = 0;

    for (size_t i = 0; i < plan->part_count; i++) {
        bytes += append_rows_memory(&plan->parts[i].rows);
    }
    return bytes;
}

void append_plan_mark(const struct append_plan *plan, struct mark_append *mark)
{
    mark->request_count = 0;
    for (size_t i = 0; i < plan->part_count; i++) {
        if (plan->parts[i].mark.rows > 0) {
            mark->requests[mark->request_count++] = plan->parts[i].mark;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/integration/test_protobuf_rows.py: makes AppendRows requests of messages in files, with no network, so that
 * Google's own protobuf library can read them.
 *
 * usage: append_requests schema COLUMNS                          prints the Avro schema of a table
 *        append_requests requests COLUMNS LAYOUT MESSAGES OUT [packed]
 *                                writes OUT.0, OUT.1, ...; prints "refused INDEX TEXT" for each message that is no row
 *
 * COLUMNS: a line a column, "name TAB type TAB precision TAB scale". LAYOUT: a line a history column, "name TAB TYPE TAB
 * place", the place being that of the source's column, or "-". MESSAGES: each with its size in front, 4 bytes, little-endian.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/schema.h"
#include "schemas/types.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/descriptor.h"

#define STREAM        "projects/p/datasets/d/tables/t/streams/s"
#define REQUEST_BYTES 20000 /* several requests a test */
#define INGEST_DAY    20778

static void read_file(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    size_t size;

    must(file != NULL);
    do {
        size = fread(buffer_reserve(out, 65536), 1, 65536, file);
        out->size += size;
    } while (size > 0);
    must(ferror(file) == 0 && fclose(file) == 0);
}

static size_t count_lines(struct buffer *text)
{
    size_t count = 0;

    for (const char *at = buffer_text(text); *at != '\0'; at++) {
        count += *at == '\n';
    }
    return count;
}

static struct table *read_table(const char *path)
{
    struct buffer text = {0};
    struct table *table;
    char *state;
    char *line;

    read_file(path, &text);
    table = table_new("shop", "things", count_lines(&text), 0);
    line = strtok_r((char *)buffer_text(&text), "\n", &state);
    for (size_t i = 0; i < table->column_count; i++, line = strtok_r(NULL, "\n", &state)) {
        struct column *column = &table->columns[i];
        char *name = strsep(&line, "\t");
        char *type = strsep(&line, "\t");
        char *precision = strsep(&line, "\t");

        must(line != NULL && type_by_name(type) >= 0);
        column->name = strdup(name);
        column->source_type = strdup(type);
        column->type = (enum column_type)type_by_name(type);
        column->precision = (uint8_t)strtoul(precision, NULL, 10);
        column->scale = (uint8_t)strtoul(line, NULL, 10);
    }
    buffer_deinit(&text);
    return table;
}

/* text: the layout's file; the names stay in it. */
static struct bigquery_column *read_layout(struct buffer *text, struct bigquery_layout *layout, size_t *targets)
{
    size_t count = count_lines(text);
    struct bigquery_column *columns = calloc(count, sizeof *columns);
    char *state;
    char *line = strtok_r((char *)buffer_text(text), "\n", &state);

    must(columns != NULL);
    for (size_t i = 0; i < count; i++, line = strtok_r(NULL, "\n", &state)) {
        char *name = strsep(&line, "\t");
        char *type = strsep(&line, "\t");

        must(line != NULL && bigquery_type_by_word(type) >= 0);
        columns[i] = (struct bigquery_column){name, (enum bigquery_type)bigquery_type_by_word(type)};
        if (strcmp(line, "-") != 0) {
            targets[strtoul(line, NULL, 10)] = i;
        }
    }
    layout->columns = columns;
    layout->column_count = count;
    return columns;
}

struct output {
    const char *path;
    size_t request_count;
    int64_t offset;
    const struct buffer *descriptor;
};

/* The first one is the first of a call. */
static void write_request(struct output *output, struct append_rows *rows)
{
    const struct append_head head = {STREAM, output->offset, output->request_count == 0 ? output->descriptor : NULL};
    size_t size;
    const uint8_t *request = append_rows_request(rows, &head, &size);
    struct buffer path = {0};
    FILE *file;

    must(size <= REQUEST_BYTES);
    buffer_printf(&path, "%s.%zu", output->path, output->request_count++);
    file = fopen(buffer_text(&path), "wb");
    must(file != NULL && fwrite(request, 1, size, file) == size && fclose(file) == 0);
    output->offset += (int64_t)rows->row_count;
    append_rows_clear(rows);
    buffer_deinit(&path);
}

static void write_requests(struct output *output, const struct row_program *program, const struct buffer *messages)
{
    struct append_rows rows;
    struct err err;

    append_rows_init(&rows, append_head_bound(strlen(STREAM), output->descriptor->size), REQUEST_BYTES);
    for (size_t at = 0, index = 0; at < messages->size; index++) {
        const uint8_t *message = messages->bytes + at;
        uint32_t size;
        enum append_added added;

        must(messages->size - at >= sizeof size);
        memcpy(&size, message, sizeof size);
        message += sizeof size;
        at += sizeof size + size;
        must(at <= messages->size);
        added = append_rows_add(&rows, program, message, size, INGEST_DAY, &err);
        if (added == APPEND_FULL) {
            write_request(output, &rows);
            added = append_rows_add(&rows, program, message, size, INGEST_DAY, &err);
            must(added != APPEND_FULL);
        }
        if (added == APPEND_BAD) {
            printf("refused %zu %s\n", index, err.text);
        }
    }
    if (rows.row_count > 0) {
        write_request(output, &rows);
    }
    append_rows_deinit(&rows);
}

static void make_requests(const struct table *table, char **arguments, bool packed)
{
    struct bigquery_layout layout = {.datetime_packed = packed};
    size_t *targets = calloc(table->column_count + 1, sizeof *targets);
    struct bigquery_column *columns;
    struct row_program *program;
    struct buffer layout_text = {0};
    struct buffer descriptor = {0};
    struct buffer messages = {0};
    struct output output = {.path = arguments[2], .descriptor = &descriptor};
    struct err err;

    must(targets != NULL);
    for (size_t i = 0; i < table->column_count; i++) {
        targets[i] = ROW_NO_TARGET;
    }
    read_file(arguments[0], &layout_text);
    read_file(arguments[1], &messages);
    columns = read_layout(&layout_text, &layout, targets);
    if (row_program_new(table, &layout, targets, &program, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    descriptor_encode(&descriptor, &layout);
    write_requests(&output, program, &messages);
    row_program_free(program);
    free(columns);
    free(targets);
    buffer_deinit(&layout_text);
    buffer_deinit(&descriptor);
    buffer_deinit(&messages);
}

int main(int argc, char **argv)
{
    struct schema *schema;
    struct err err;

    if (argc < 3 || schema_new(read_table(argv[2]), &schema, &err) != 0) {
        return 2;
    }
    if (strcmp(argv[1], "schema") == 0 && argc == 3) {
        puts(schema->value_text);
    } else if (strcmp(argv[1], "requests") == 0 && argc >= 6) {
        make_requests(schema->table, argv + 3, argc == 7 && strcmp(argv[6], "packed") == 0);
    } else {
        return 2;
    }
    schema_free(schema);
    return 0;
}

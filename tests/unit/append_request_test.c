/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not happen: a request over its limit, a row lost or twice between two requests, a row error that takes out another
 * row, rows that are not the same bytes on the second try.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "schemas/record.h"
#include "tests/unit/make_table.h"
#include "tests/unit/row_read.h"
#include "workers/bigquery/append_request.h"
#include "workers/bigquery/descriptor.h"
#include "workers/bigquery/protobuf.h"

#define INGEST_DAY 20778
#define TEXT_MAX   70000
#define HEAD_ROOM  100 /* less than a head with a writer schema takes: such a one has to make more */

struct world {
    struct table *table;
    struct bigquery_column columns[2 + BIGQUERY_META_COUNT];
    struct row_program *program;
    struct append_rows rows;
    struct buffer avro;
    struct buffer descriptor;
};

static void world_init(struct world *world, size_t rows_bytes_max)
{
    struct bigquery_layout layout = {world->columns, 2 + BIGQUERY_META_COUNT, false};
    const size_t targets[] = {0, 1};
    struct err err;

    *world = (struct world){
        .table = make_table("shop", "orders", "id", "id long, note text"),
        .columns = {{"id", BIGQUERY_INT64}, {"note", BIGQUERY_STRING}},
    };
    memcpy(world->columns + 2, bigquery_meta_columns, sizeof bigquery_meta_columns);
    assert_int_equal(row_program_new(world->table, &layout, targets, &world->program, &err), 0);
    descriptor_encode(&world->descriptor, &layout);
    append_rows_init(&world->rows, HEAD_ROOM, HEAD_ROOM + rows_bytes_max);
}

static void world_deinit(struct world *world)
{
    append_rows_deinit(&world->rows);
    row_program_free(world->program);
    table_free(world->table);
    buffer_deinit(&world->avro);
    buffer_deinit(&world->descriptor);
}

/* A row whose id is the number and whose note has so many bytes. */
static enum append_added add(struct world *world, int64_t id, size_t note_size, struct err *err)
{
    static char note[TEXT_MAX];
    const struct cell cells[] = {
        {.state = CELL_VALUE, .integer = id},
        {.state = CELL_VALUE, .bytes = (const uint8_t *)note, .size = note_size},
    };
    const struct record_meta meta = {'c', 1, 2, 3, "shop", 4, "0-1-17", 6};

    assert_in_range(note_size, 0, TEXT_MAX);
    memset(note, 'n', sizeof note);
    buffer_clear(&world->avro);
    assert_int_equal(record_encode_value(&world->avro, world->table, cells, &meta, err), 0);
    return append_rows_add(&world->rows, world->program, world->avro.bytes, world->avro.size, INGEST_DAY, err);
}

static void must_add(struct world *world, int64_t id, size_t note_size)
{
    struct err err;

    assert_int_equal(add(world, id, note_size, &err), APPEND_ADDED);
}

static struct protobuf_field field_of(const struct protobuf_field *message, uint32_t number)
{
    struct protobuf_field field;

    assert_true(row_read(message->bytes, message->size, number, &field));
    return field;
}

/* The request as a server gets it. */
static struct protobuf_field request_of(struct append_rows *rows, const struct append_head *head)
{
    struct protobuf_field request = {.wire = PROTOBUF_BYTES};

    request.bytes = append_rows_request(rows, head, &request.size);
    return request;
}

static struct protobuf_field rows_of(const struct protobuf_field *request)
{
    struct protobuf_field data = field_of(request, 4);

    return field_of(&data, 2);
}

static size_t rows_size(struct append_rows *rows)
{
    const struct append_head head = {"s", 1, NULL};
    struct protobuf_field request = request_of(rows, &head);

    return rows_of(&request).size;
}

/* The ids of the rows as a server would read them. */
static size_t read_ids(struct append_rows *rows, int64_t *ids, size_t ids_max)
{
    const struct append_head head = {"s", 1, NULL};
    struct protobuf_field request = request_of(rows, &head);
    struct protobuf_field proto_rows = rows_of(&request);
    struct protobuf_reader reader = protobuf_read_inner(&proto_rows);
    struct protobuf_field row;
    size_t count = 0;

    while (protobuf_next(&reader, &row)) {
        struct protobuf_field id;

        assert_true(protobuf_is(&row, 1, PROTOBUF_BYTES));
        assert_true(count < ids_max);
        assert_true(row_read(row.bytes, row.size, 1, &id));
        ids[count++] = (int64_t)id.value;
    }
    assert_null(reader.bad);
    assert_int_equal(count, rows->row_count);
    return count;
}

static void check_ids(struct world *world, const int64_t *expected, size_t count)
{
    int64_t ids[64];

    assert_int_equal(read_ids(&world->rows, ids, 64), count);
    for (size_t i = 0; i < count; i++) {
        size_t index;
        struct err err;

        assert_int_equal(ids[i], expected[i]);
        assert_int_equal(append_rows_index(&world->rows, (int64_t)i, &index, &err), 0);
        assert_int_equal(index, expected[i]); /* the tests number the rows by their index */
    }
}

static void test_append_rows__a_full_request_is_left_as_it_was(void **state)
{
    struct world world;
    struct err err;
    size_t size;

    (void)state;
    world_init(&world, 1000);
    for (int64_t id = 0; id < 3; id++) {
        must_add(&world, id, 200);
    }
    size = rows_size(&world.rows);
    assert_int_equal(add(&world, 3, 500, &err), APPEND_FULL);
    assert_int_equal(rows_size(&world.rows), size);
    check_ids(&world, (const int64_t[]){0, 1, 2}, 3);
    must_add(&world, 3, 10); /* what was not added has taken no index */
    check_ids(&world, (const int64_t[]){0, 1, 2, 3}, 4);
    world_deinit(&world);
}

static void test_append_rows__the_limit_is_exact(void **state)
{
    struct world world;
    struct err err;
    size_t size;

    (void)state;
    world_init(&world, 1000);
    must_add(&world, 0, 100);
    must_add(&world, 1, 100);
    size = rows_size(&world.rows);
    world_deinit(&world);
    world_init(&world, size);
    must_add(&world, 0, 100);
    must_add(&world, 1, 100);
    world_deinit(&world);
    world_init(&world, size - 1);
    must_add(&world, 0, 100);
    assert_int_equal(add(&world, 1, 100, &err), APPEND_FULL);
    world_deinit(&world);
}

static void test_append_rows__a_row_larger_than_any_request_is_bad(void **state)
{
    struct world world;
    struct err err;

    (void)state;
    world_init(&world, 1000);
    must_add(&world, 0, 10);
    assert_int_equal(add(&world, 1, 1000, &err), APPEND_BAD);
    assert_int_equal(err.class, ERR_POISON);
    assert_non_null(strstr(err.text, "a request has room for 1000"));
    check_ids(&world, (const int64_t[]){0}, 1);
    world_deinit(&world);
}

static void test_append_rows__a_bad_row_leaves_nothing(void **state)
{
    struct world world;
    struct err err;

    (void)state;
    world_init(&world, 1000);
    must_add(&world, 0, 10);
    assert_int_equal(append_rows_add(&world.rows, world.program, (const uint8_t *)"\x05", 1, INGEST_DAY, &err), APPEND_BAD);
    assert_int_equal(err.class, ERR_POISON);
    must_add(&world, 1, 10);
    check_ids(&world, (const int64_t[]){0, 1}, 2);
    world_deinit(&world);
}

/* Lengths of one, two and three bytes. */
static void test_append_rows__rows_of_every_size_stand_one_behind_the_other(void **state)
{
    static const size_t sizes[] = {0,   50,  79,  80,    81,    82,    83,    84,    85,      90,
                                   127, 128, 129, 16330, 16331, 16340, 16350, 16384, TEXT_MAX};
    int64_t expected[sizeof sizes / sizeof *sizes];
    struct world world;

    (void)state;
    world_init(&world, 1000000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        must_add(&world, (int64_t)i, sizes[i]);
        expected[i] = (int64_t)i;
    }
    check_ids(&world, expected, sizeof sizes / sizeof *sizes);
    world_deinit(&world);
}

static void test_append_rows__drops_by_index_also_after_earlier_drops(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 100000);
    for (int64_t id = 0; id < 10; id++) {
        must_add(&world, id, (size_t)id * 30);
    }
    append_rows_drop(&world.rows, (const size_t[]){7, 0, 3, 3}, 4);
    check_ids(&world, (const int64_t[]){1, 2, 4, 5, 6, 8, 9}, 7);
    append_rows_drop(&world.rows, (const size_t[]){9, 3, 4}, 3);
    check_ids(&world, (const int64_t[]){1, 2, 5, 6, 8}, 5);
    append_rows_drop(&world.rows, NULL, 0);
    append_rows_drop(&world.rows, (const size_t[]){99}, 1);
    check_ids(&world, (const int64_t[]){1, 2, 5, 6, 8}, 5);
    append_rows_drop(&world.rows, (const size_t[]){1, 2, 5, 6, 8}, 5);
    assert_int_equal(world.rows.row_count, 0);
    must_add(&world, 10, 5); /* and it goes on being one */
    check_ids(&world, (const int64_t[]){10}, 1);
    world_deinit(&world);
}

static void test_append_rows__a_place_that_is_not_there_is_refused(void **state)
{
    struct world world;
    size_t index;
    struct err err;

    (void)state;
    world_init(&world, 1000);
    must_add(&world, 0, 10);
    assert_int_equal(append_rows_index(&world.rows, 1, &index, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(append_rows_index(&world.rows, -1, &index, &err), -1);
    assert_int_equal(append_rows_index(&world.rows, INT64_MAX, &index, &err), -1);
    world_deinit(&world);
}

static void test_append_rows__cleared_counts_anew(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, 1000);
    must_add(&world, 0, 10);
    must_add(&world, 1, 10);
    append_rows_clear(&world.rows);
    must_add(&world, 0, 10);
    check_ids(&world, (const int64_t[]){0}, 1);
    world_deinit(&world);
}

/* ---- the whole request */

static void check_size(const struct protobuf_field *request, const struct append_head *head)
{
    size_t schema_size = head->writer_schema != NULL ? head->writer_schema->size : 0;

    assert_true(request->size <= append_head_bound(strlen(head->write_stream), schema_size) + rows_of(request).size);
}

static void test_append_rows__the_first_request_of_a_call_and_later_ones_have_the_same_rows(void **state)
{
    struct world world;
    struct append_head head = {"projects/p/datasets/d/tables/t/streams/s1", 300, NULL};
    struct protobuf_field request;
    struct protobuf_field data;
    struct protobuf_field schema;
    struct protobuf_field offset;
    struct protobuf_field field;
    struct buffer first = {0};

    (void)state;
    world_init(&world, 100000);
    must_add(&world, 0, 10);
    must_add(&world, 1, 200);
    request = request_of(&world.rows, &head);
    check_size(&request, &head);
    field = rows_of(&request);
    buffer_append(&first, field.bytes, field.size);
    field = field_of(&request, 1);
    assert_int_equal(field.size, strlen(head.write_stream));
    assert_memory_equal(field.bytes, head.write_stream, field.size);
    offset = field_of(&request, 2);
    assert_int_equal(field_of(&offset, 1).value, 300);
    data = field_of(&request, 4);
    assert_false(row_read(data.bytes, data.size, 1, &field));
    assert_false(row_read(request.bytes, request.size, 6, &field));

    head.writer_schema = &world.descriptor; /* larger than the room */
    request = request_of(&world.rows, &head);
    check_size(&request, &head);
    field = rows_of(&request);
    assert_int_equal(field.size, first.size);
    assert_memory_equal(field.bytes, first.bytes, first.size);
    data = field_of(&request, 4);
    schema = field_of(&data, 1);
    field = field_of(&schema, 1);
    assert_int_equal(field.size, world.descriptor.size);
    assert_memory_equal(field.bytes, world.descriptor.bytes, field.size);
    field = field_of(&request, 6);
    assert_memory_equal(field.bytes, "kakehi/", 7);

    append_rows_drop(&world.rows, (const size_t[]){0}, 1); /* starts of rows have moved */
    check_ids(&world, (const int64_t[]){1}, 1);
    buffer_deinit(&first);
    world_deinit(&world);
}

/* An offset of 0 is not the same as none: without it the service would append wherever the stream ends. */
static void test_append_rows__the_first_row_of_a_stream_has_an_offset(void **state)
{
    struct world world;
    struct append_head head = {"s", 0, NULL};
    struct protobuf_field request;
    struct protobuf_field field;

    (void)state;
    world_init(&world, 1000);
    must_add(&world, 0, 10);
    request = request_of(&world.rows, &head);
    assert_true(row_read(request.bytes, request.size, 2, &field));
    head.offset = -1;
    request = request_of(&world.rows, &head);
    assert_false(row_read(request.bytes, request.size, 2, &field));
    world_deinit(&world);
}

static void test_append_rows__after_a_drop_the_head_says_the_new_sizes(void **state)
{
    struct world world;
    struct append_head head = {"s", INT64_MAX, NULL};
    struct protobuf_field request;
    struct protobuf_field offset;

    (void)state;
    world_init(&world, 100000);
    for (int64_t id = 0; id < 5; id++) {
        must_add(&world, id, 5000);
    }
    head.writer_schema = &world.descriptor;
    append_rows_drop(&world.rows, (const size_t[]){0, 4}, 2);
    request = request_of(&world.rows, &head);
    assert_in_range(rows_of(&request).size, 3 * 5000, 4 * 5000);
    offset = field_of(&request, 2);
    assert_int_equal(field_of(&offset, 1).value, INT64_MAX);
    check_ids(&world, (const int64_t[]){1, 2, 3}, 3);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_rows__a_full_request_is_left_as_it_was),
        cmocka_unit_test(test_append_rows__the_limit_is_exact),
        cmocka_unit_test(test_append_rows__a_row_larger_than_any_request_is_bad),
        cmocka_unit_test(test_append_rows__a_bad_row_leaves_nothing),
        cmocka_unit_test(test_append_rows__rows_of_every_size_stand_one_behind_the_other),
        cmocka_unit_test(test_append_rows__drops_by_index_also_after_earlier_drops),
        cmocka_unit_test(test_append_rows__a_place_that_is_not_there_is_refused),
        cmocka_unit_test(test_append_rows__cleared_counts_anew),
        cmocka_unit_test(test_append_rows__the_first_request_of_a_call_and_later_ones_have_the_same_rows),
        cmocka_unit_test(test_append_rows__the_first_row_of_a_stream_has_an_offset),
        cmocka_unit_test(test_append_rows__after_a_drop_the_head_says_the_new_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

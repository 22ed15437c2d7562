/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to Kafka for each kind of change; FT-O3: the two halves of a key change are two identities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "producer/messages.h"
#include "schemas/framing.h"
#include "schemas/record.h"
#include "tests/unit/make_table.h"

struct world {
    struct schema *keyed, *keyless;
    struct messages messages;
    struct cell before[2], after[2];
    struct source_table shape;
    struct change change;
};

/* What a reader makes of a message. */
struct read {
    struct record_meta meta;
    struct cell cells[2];
};

static struct cell integer(int64_t value)
{
    return (struct cell){.state = CELL_VALUE, .integer = value};
}

static int set_up(void **state)
{
    static struct world world;

    world = (struct world){
        .keyed = make_schema("d", "t", "id", "id long, n long"),
        .keyless = make_schema("d", "u", "", "id long, n long"),
        .before = {integer(1), integer(10)},
        .after = {integer(1), integer(11)},
    };
    world.shape.table = world.keyed->table;
    world.change = (struct change){
        .table = &world.shape, .op = 'u', .before = world.before, .after = world.after, .ts_us = 5, .seq = 6, .idx = 8, .txid = "0-1-2"};
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    messages_deinit(&world->messages);
    schema_free(world->keyed);
    schema_free(world->keyless);
    return 0;
}

static struct message_schema by_fingerprint(const struct schema *schema)
{
    return (struct message_schema){schema, {FRAMING_SINGLE_OBJECT, schema->value_id, schema->key_id}};
}

static void make(struct world *world, const struct schema *schema, char op)
{
    const struct message_schema message_schema = by_fingerprint(schema);
    struct err err;

    world->change.op = op;
    assert_int_equal(messages_make(&world->messages, &message_schema, &world->change, "shop", &err), 0);
}

static struct read read_back(struct world *world, const struct schema *schema, size_t index)
{
    struct message message = messages_get(&world->messages, index, 3);
    const uint8_t *bytes = message.value;
    struct read read;
    struct err err;
    struct frame frame;
    size_t frame_size;

    assert_int_equal(message.topic_id, 3);
    assert_int_equal(framing_read(bytes, message.value_size, &frame, &frame_size, &err), 0);
    assert_true(frame.framing == FRAMING_SINGLE_OBJECT && frame.schema_id == schema->value_id);
    assert_int_equal(
        record_decode_value(schema->table, bytes + frame_size, message.value_size - frame_size, read.cells, &read.meta, &err), 0);
    assert_int_equal(message.seq, read.meta.seq);
    assert_int_equal(message.idx, read.meta.idx);
    return read;
}

static bool same_key(struct world *world, size_t one, size_t other)
{
    struct message a = messages_get(&world->messages, one, 0), b = messages_get(&world->messages, other, 0);

    return a.key_size == b.key_size && memcmp(a.key, b.key, a.key_size) == 0;
}

static void test_messages__an_update_of_the_key_is_a_delete_and_an_insert_with_two_idx_O3(void **state)
{
    struct world *world = *state;
    struct read first, second;

    world->after[0] = integer(2);
    make(world, world->keyed, 'u');
    assert_int_equal(world->messages.count, 2);
    first = read_back(world, world->keyed, 0);
    second = read_back(world, world->keyed, 1);
    assert_int_equal(first.meta.op, 'd');
    assert_int_equal(first.meta.idx, 8);
    assert_int_equal(first.cells[0].integer, 1);
    assert_int_equal(second.meta.op, 'c');
    assert_int_equal(second.meta.idx, 9);
    assert_int_equal(second.cells[0].integer, 2);
    assert_false(same_key(world, 0, 1));
}

static void test_messages__an_update_of_another_column_is_one(void **state)
{
    struct world *world = *state;
    struct read read;

    make(world, world->keyed, 'u');
    assert_int_equal(world->messages.count, 1);
    read = read_back(world, world->keyed, 0);
    assert_int_equal(read.meta.op, 'u');
    assert_int_equal(read.cells[1].integer, 11);
}

static void test_messages__an_update_without_a_key_is_a_pair_that_pairs_with_its_insert(void **state)
{
    struct world *world = *state;
    struct message insert, delete;
    uint8_t key[64];
    size_t key_size;

    make(world, world->keyless, 'c');
    insert = messages_get(&world->messages, 0, 0);
    key_size = insert.key_size;
    assert_in_range(key_size, 1, sizeof key);
    memcpy(key, insert.key, key_size);
    world->before[1] = world->after[1]; /* the row as it was inserted ... */
    world->after[1] = integer(12);      /* ... becomes another */
    make(world, world->keyless, 'u');
    assert_int_equal(world->messages.count, 2);
    delete = messages_get(&world->messages, 0, 0);
    assert_int_equal(delete.key_size, key_size);
    assert_memory_equal(delete.key, key, key_size);
    assert_false(same_key(world, 0, 1));
    assert_int_equal(read_back(world, world->keyless, 1).meta.idx, 9);
}

static void test_messages__a_delete_carries_the_old_row(void **state)
{
    struct world *world = *state;

    world->change.after = NULL;
    make(world, world->keyed, 'd');
    assert_int_equal(read_back(world, world->keyed, 0).cells[1].integer, 10);
}

static void test_messages__a_truncate_has_a_null_key_and_goes_to_partition_0(void **state)
{
    struct world *world = *state;
    struct message message;

    world->change.before = world->change.after = NULL;
    make(world, world->keyed, 't');
    message = messages_get(&world->messages, 0, 0);
    assert_null(message.key);
    assert_int_equal(message.key_size, 0);
    assert_int_equal(message.partition, 0);
    assert_int_equal(read_back(world, world->keyed, 0).cells[0].state, CELL_NULL);
}

static void test_messages__rows_go_where_their_key_says(void **state)
{
    struct world *world = *state;

    make(world, world->keyed, 'c');
    assert_int_equal(messages_get(&world->messages, 0, 0).partition, PARTITION_BY_KEY);
    assert_non_null(messages_get(&world->messages, 0, 0).key);
}

static void test_messages__half_a_pair_is_none(void **state)
{
    struct world *world = *state;
    const struct message_schema schema = by_fingerprint(world->keyed);
    struct err err;

    world->after[0].state = CELL_NULL; /* a null in the key of the second half */
    world->change.op = 'u';
    assert_int_equal(messages_make(&world->messages, &schema, &world->change, "shop", &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(world->messages.count, 0);
}

static void test_messages__key_and_value_carry_the_registrys_ids_and_the_same_bytes_behind_them(void **state)
{
    struct world *world = *state;
    const struct message_schema schema = {world->keyed, {FRAMING_REGISTRY, 0x01020304, 7}};
    struct buffer value = {0};
    struct message message;
    struct err err;

    make(world, world->keyed, 'u');
    message = messages_get(&world->messages, 0, 0);
    buffer_append(&value, message.value + 10, message.value_size - 10);
    assert_int_equal(messages_make(&world->messages, &schema, &world->change, "shop", &err), 0);
    message = messages_get(&world->messages, 0, 0);
    assert_memory_equal(message.key, "\0\0\0\0\x07", 5);
    assert_memory_equal(message.value, "\0\1\2\3\4", 5);
    assert_int_equal(message.value_size - 5, value.size);
    assert_memory_equal((const uint8_t *)message.value + 5, value.bytes, value.size);
    buffer_deinit(&value);
}

/* ---- dead letters */

static struct cell odd(bool to_letter)
{
    return (struct cell){.state = CELL_UNREPRESENTABLE, .to_letter = to_letter, .bytes = (const uint8_t *)"0000-00-00", .size = 10};
}

static void test_messages__one_value_whose_policy_is_stop_makes_no_letter(void **state)
{
    struct world *world = *state;

    world->change.op = 'c';
    world->after[1] = odd(true);
    assert_true(messages_is_for_letters(world->keyed->table, &world->change));
    world->after[0] = odd(false);
    assert_false(messages_is_for_letters(world->keyed->table, &world->change));
    world->after[0] = world->after[1] = integer(1);
    assert_false(messages_is_for_letters(world->keyed->table, &world->change));
}

static void test_messages__the_row_before_counts_for_a_letter_only_where_it_is_a_message(void **state)
{
    struct world *world = *state;

    world->change.op = 'u';
    world->after[1] = odd(true);
    world->before[1] = odd(false);
    assert_true(messages_is_for_letters(world->keyed->table, &world->change));
    assert_false(messages_is_for_letters(world->keyless->table, &world->change));
    world->after[0] = integer(2);
    assert_false(messages_is_for_letters(world->keyed->table, &world->change));
    world->change.op = 'd';
    assert_false(messages_is_for_letters(world->keyed->table, &world->change));
}

static void assert_json(const void *bytes, size_t size, const char *expected)
{
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
}

static void test_messages__a_letter_holds_the_whole_change_and_its_reason(void **state)
{
    struct world *world = *state;
    struct message message;
    struct err err;

    world->change.op = 'u';
    world->after[1] = odd(true);
    assert_int_equal(messages_make_letter(&world->messages, &world->change, "shop", "because", &err), 0);
    assert_int_equal(world->messages.count, 1);
    message = messages_get(&world->messages, 0, 3);
    assert_int_equal(message.topic_id, TOPIC_DEAD_LETTERS);
    assert_json(message.key, message.key_size, "shop/0-1-2/8");
    assert_json(message.reason, message.reason_size, "because");
    assert_json(message.value, message.value_size,
                "{\"table\":\"d.t\",\"op\":\"u\",\"before\":{\"id\":1,\"n\":10},\"after\":{\"id\":1,\"n\":\"0000-00-00\"},"
                "\"ts\":\"1970-01-01T00:00:00.000005Z\",\"source\":\"shop\",\"txid\":\"0-1-2\",\"seq\":6,\"idx\":8}");
}

static void test_messages__a_reference_takes_the_place_of_one_half_alone(void **state)
{
    struct world *world = *state;
    struct message message;
    char text[512];

    world->after[0] = integer(2);
    make(world, world->keyed, 'u');
    messages_refer(&world->messages, 1, &world->change, "shop");
    assert_int_equal(read_back(world, world->keyed, 0).meta.op, 'd');
    message = messages_get(&world->messages, 1, 3);
    assert_int_equal(message.topic_id, TOPIC_DEAD_LETTERS);
    assert_json(message.key, message.key_size, "shop/0-1-2/9");
    assert_true(message.reason_size > 0);
    assert_int_equal(message.seq, 6);
    assert_int_equal(message.idx, 9);
    assert_true(message.value_size < sizeof text);
    memcpy(text, message.value, message.value_size);
    text[message.value_size] = '\0';
    assert_non_null(strstr(text, "\"op\":\"c\",\"key\":\""));
    assert_non_null(strstr(text, "\"size\":"));
    assert_non_null(strstr(text, "\"sha256\":\""));
    assert_null(strstr(text, "after"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_messages__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_update_of_the_key_is_a_delete_and_an_insert_with_two_idx_O3),
        TEST(an_update_of_another_column_is_one),
        TEST(an_update_without_a_key_is_a_pair_that_pairs_with_its_insert),
        TEST(a_delete_carries_the_old_row),
        TEST(a_truncate_has_a_null_key_and_goes_to_partition_0),
        TEST(rows_go_where_their_key_says),
        TEST(key_and_value_carry_the_registrys_ids_and_the_same_bytes_behind_them),
        TEST(half_a_pair_is_none),
        TEST(one_value_whose_policy_is_stop_makes_no_letter),
        TEST(the_row_before_counts_for_a_letter_only_where_it_is_a_message),
        TEST(a_letter_holds_the_whole_change_and_its_reason),
        TEST(a_reference_takes_the_place_of_one_half_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

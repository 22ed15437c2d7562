/* SPDX-License-Identifier: Apache-2.0 */
/* A parcel grows only for one message larger than itself, and shrinks back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "producer/parcel.h"

static struct message message_of(const void *value, size_t value_size)
{
    return (struct message){.key = "key", .key_size = 3, .value = value, .value_size = value_size};
}

static void test_parcel__holds_no_more_than_its_size(void **state)
{
    struct parcel *parcel = parcel_new();
    uint8_t *bytes = calloc(1, PARCEL_BYTES);
    struct message most = message_of(bytes, PARCEL_BYTES - 10), rest = message_of(bytes, 4), more = message_of(bytes, 5);

    (void)state;
    parcel_add(parcel, &most);
    assert_true(parcel_fits(parcel, &rest));
    assert_false(parcel_fits(parcel, &more));
    parcel_add(parcel, &rest);
    assert_int_equal(parcel->size, PARCEL_BYTES);
    parcel_free(parcel);
    free(bytes);
}

static void test_parcel__holds_no_more_messages_than_it_has_entries(void **state)
{
    struct parcel *parcel = parcel_new();
    struct message message = message_of("v", 1);

    (void)state;
    for (int i = 0; i < PARCEL_MESSAGES; i++) {
        assert_true(parcel_fits(parcel, &message));
        parcel_add(parcel, &message);
    }
    assert_false(parcel_fits(parcel, &message));
    parcel_free(parcel);
}

static void test_parcel__grows_for_one_huge_message_and_shrinks_again(void **state)
{
    struct parcel *parcel = parcel_new();
    uint8_t *bytes = calloc(1, 3 * PARCEL_BYTES);
    struct message huge = message_of(bytes, 3 * PARCEL_BYTES), small = message_of("v", 1);

    (void)state;
    parcel_add(parcel, &small);
    assert_false(parcel_fits(parcel, &huge));
    parcel_clear(parcel);
    assert_true(parcel_fits(parcel, &huge));
    parcel_add(parcel, &huge);
    assert_false(parcel_fits(parcel, &small));
    parcel_clear(parcel);
    assert_int_equal(parcel->capacity, PARCEL_BYTES);
    parcel_free(parcel);
    free(bytes);
}

static void test_parcel__keeps_key_and_value_and_tells_a_null_key_from_an_empty_one(void **state)
{
    struct parcel *parcel = parcel_new();
    struct message with_key = message_of("value", 5);
    struct message empty_key = {.key = "", .value = "v", .value_size = 1};
    struct message letter = {.key = "k", .key_size = 1, .value = "v", .value_size = 1, .reason = "why", .reason_size = 3};
    struct message null_key = {.key = NULL, .value = "v", .value_size = 1};

    (void)state;
    parcel_add(parcel, &with_key);
    parcel_add(parcel, &empty_key);
    parcel_add(parcel, &null_key);
    assert_memory_equal(parcel->bytes + parcel->entries[0].begin, "keyvalue", 8);
    assert_int_equal(parcel->entries[0].key_size, 3);
    assert_int_equal(parcel->entries[0].value_size, 5);
    assert_false(parcel->entries[1].key_null);
    assert_true(parcel->entries[2].key_null);
    assert_int_equal(parcel->entries[2].begin, 9);
    parcel_add(parcel, &letter);
    assert_memory_equal(parcel->bytes + parcel->entries[3].begin, "kvwhy", 5);
    assert_int_equal(parcel->entries[3].reason_size, 3);
    assert_int_equal(parcel->entries[0].reason_size, 0);
    parcel_free(parcel);
}

static void test_parcel__takes_a_large_message_with_its_memory_and_shrinks_again(void **state)
{
    struct parcel *parcel = parcel_new();
    uint8_t *bytes = calloc(1, 3 * PARCEL_BYTES);
    const struct message large = {.key = bytes + 5, .key_size = 3, .value = bytes + 8, .value_size = 3 * PARCEL_BYTES - 8};
    struct message small = message_of("value", 5);

    (void)state;
    parcel_take(parcel, bytes, 3 * PARCEL_BYTES, &large);
    assert_ptr_equal(parcel->bytes, bytes);
    assert_int_equal(parcel->entries[0].begin, 5);
    assert_false(parcel_fits(parcel, &small));
    parcel_clear(parcel);
    assert_int_equal(parcel->capacity, PARCEL_BYTES);
    parcel_add(parcel, &small);
    assert_memory_equal(parcel->bytes, "keyvalue", 8);
    parcel_free(parcel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parcel__holds_no_more_than_its_size),
        cmocka_unit_test(test_parcel__holds_no_more_messages_than_it_has_entries),
        cmocka_unit_test(test_parcel__grows_for_one_huge_message_and_shrinks_again),
        cmocka_unit_test(test_parcel__takes_a_large_message_with_its_memory_and_shrinks_again),
        cmocka_unit_test(test_parcel__keeps_key_and_value_and_tells_a_null_key_from_an_empty_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

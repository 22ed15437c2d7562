/* SPDX-License-Identifier: Apache-2.0 */
/* A batch answers for its offsets without a gap, keeps its bytes in place, and knows when it is full or due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/batch.h"

static const struct batch_limits limits = {.rows = 3, .bytes = 1 << 20, .age_ms = 1000};

static void add(struct batch *batch, int64_t offset, const char *value)
{
    const struct message message = {.key = (const uint8_t *)"k", .key_size = 1, .value = (const uint8_t *)value, .value_size = strlen(value), .offset = offset};

    batch_add_row(batch, NULL, &message, 2, offset);
}

static void test_batch__owns_its_bytes_wherever_it_grows(void **state)
{
    struct budget budget = {.limit_bytes = 1 << 30};
    struct batch *batch = batch_new(1, 0, 0, &limits, &budget);
    char value[40000];

    (void)state;
    for (int i = 0; i < 200; i++) {
        memset(value, 'a' + i % 26, sizeof value);
        value[(i * 197) % (int)sizeof value] = '\0';
        add(batch, i, i % 20 == 0 && value[0] != '\0' && value[1] != '\0' ? value : "xxab");
    }
    memset(value, 0, sizeof value);
    for (size_t i = 0; i < batch->row_count; i++) {
        assert_ptr_equal(batch->rows[i].value, batch->messages[i].value + 2);
        assert_int_equal(batch->rows[i].value_size, batch->messages[i].value_size - 2);
        assert_int_equal(batch->rows[i].offset, i);
        assert_memory_equal(batch->messages[i].key, "k", 1);
        if (i % 20 != 0) {
            assert_memory_equal(batch->rows[i].value, "ab", 2);
        }
    }
    batch_free(batch);
    assert_int_equal(budget_used(&budget), 0);
}

static void test_batch__covers_its_range_whatever_lies_inside(void **state)
{
    struct budget budget = {.limit_bytes = 1 << 20};
    struct batch *batch = batch_new(1, -2, 0, &limits, &budget);

    (void)state;
    add(batch, 5, "xxa");
    batch_add_duplicate(batch, 7);
    batch_add_letter(batch, 8);
    batch_extend(batch, 12);
    batch_extend(batch, 3);
    assert_int_equal(batch->start, -2);
    assert_int_equal(batch->end, 12);
    assert_int_equal(batch_message_count(batch), 3);
    batch_free(batch);
}

static void test_batch__is_full_by_messages_so_that_letters_are_bounded_too(void **state)
{
    struct budget budget = {.limit_bytes = 1 << 20};
    struct batch *batch = batch_new(1, 0, 0, &limits, &budget);

    (void)state;
    batch_add_letter(batch, 0);
    batch_add_letter(batch, 1);
    assert_false(batch_full(batch));
    batch_add_letter(batch, 2);
    assert_true(batch_full(batch));
    batch_free(batch);
}

static void test_batch__is_due_by_bytes_age_or_a_tight_budget(void **state)
{
    struct budget budget = {.limit_bytes = 1 << 20};
    struct batch *batch = batch_new(1, 0, 500, &limits, &budget);

    (void)state;
    add(batch, 0, "xxa");
    assert_false(batch_due(batch, 1499));
    assert_true(batch_due(batch, 1500));
    batch->limits.bytes = 64;
    assert_true(batch_due(batch, 500));
    batch->limits.bytes = 1 << 20;
    budget_take(&budget, 1 << 20);
    assert_true(batch_due(batch, 500));
    budget_give(&budget, 1 << 20);
    assert_false(batch_due(batch, 500));
    batch_free(batch);
}

static void test_batch__row_that_leaves_before_planning_becomes_a_letter(void **state)
{
    struct budget budget = {.limit_bytes = 1 << 20};
    struct batch *batch = batch_new(1, 0, 0, &limits, &budget);

    (void)state;
    add(batch, 0, "xxa");
    add(batch, 1, "xxb");
    add(batch, 2, "xxc");
    batch_remove_row(batch, 1);
    assert_int_equal(batch->row_count, 2);
    assert_int_equal(batch->letter_count, 1);
    assert_int_equal(batch->letters_unacked, 1);
    assert_int_equal(batch->rows[1].offset, 2);
    assert_int_equal(batch->messages[1].offset, 2);
    assert_int_equal(batch_rows_below(batch, 2), 1);
    batch_free(batch);
}

static void count_changes(void *context)
{
    ++*(int *)context;
}

static void test_budget__stays_tight_until_half_is_free(void **state)
{
    int changes = 0;
    struct budget budget = {.limit_bytes = 100, .changed = count_changes, .context = &changes};

    (void)state;
    budget_take(&budget, 99);
    assert_false(budget_tight(&budget));
    budget_take(&budget, 1000); /* never refused: it was read already */
    assert_true(budget_tight(&budget));
    budget_give(&budget, 1048);
    assert_true(budget_tight(&budget));
    budget_give(&budget, 1);
    assert_false(budget_tight(&budget));
    assert_int_equal(changes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch__owns_its_bytes_wherever_it_grows),
        cmocka_unit_test(test_batch__covers_its_range_whatever_lies_inside),
        cmocka_unit_test(test_batch__is_full_by_messages_so_that_letters_are_bounded_too),
        cmocka_unit_test(test_batch__is_due_by_bytes_age_or_a_tight_budget),
        cmocka_unit_test(test_batch__row_that_leaves_before_planning_becomes_a_letter),
        cmocka_unit_test(test_budget__stays_tight_until_half_is_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

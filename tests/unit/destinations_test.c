/* SPDX-License-Identifier: Apache-2.0 */
/* A topic keeps its number; two tables never share one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "producer/destinations.h"

static uint32_t find(struct destinations *destinations, const char *topic, const char *table)
{
    uint32_t topic_id = UINT32_MAX;
    struct err err = {0};

    assert_int_equal(destinations_find(destinations, topic, table, &topic_id, &err), 0);
    return topic_id;
}

static void assert_ends(struct destinations *destinations, const char *expected)
{
    json_t *ends = destinations_ends(destinations);
    char *text = json_dumps(ends, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, expected);
    destinations_forget(destinations);
    free(text);
    json_decref(ends);
}

static void test_destinations__two_tables_never_share_a_topic(void **state)
{
    struct destinations destinations = {0};
    struct err err = {0};
    uint32_t topic_id;

    (void)state;
    (void)find(&destinations, "p.both", "d.a");
    assert_int_equal(destinations_find(&destinations, "p.both", "d.b", &topic_id, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "d.a and d.b both go to topic p.both"));
    destinations_deinit(&destinations);
}

static void test_destinations__a_topic_keeps_its_number(void **state)
{
    struct destinations destinations = {0};

    (void)state;
    assert_int_equal(find(&destinations, "p.d.a", "d.a"), 0);
    assert_int_equal(find(&destinations, "p.d.b", "d.b"), 1);
    assert_int_equal(find(&destinations, "p.d.a", "d.a"), 0);
    destinations_deinit(&destinations);
}

/* Reports may come in any order, and of partitions in any order. */
static void test_destinations__ends_are_the_farthest_of_each_partition(void **state)
{
    struct destinations destinations = {0};

    (void)state;
    (void)find(&destinations, "p.d.a", "d.a");
    (void)find(&destinations, "p.d.b", "d.b");
    destination_note(&destinations.items[0], 2, 7, 10);
    destination_note(&destinations.items[0], 2, 6, 10);
    destination_note(&destinations.items[0], 0, 2, 10);
    assert_ends(&destinations, "{\"p.d.a\":{\"0\":3,\"2\":8}}");
    destinations_deinit(&destinations);
}

static void test_destinations__ends_of_a_transaction_are_not_those_of_the_next(void **state)
{
    struct destinations destinations = {0};

    (void)state;
    (void)find(&destinations, "p.d.a", "d.a");
    destination_note(&destinations.items[0], 1, 8, 10);
    assert_ends(&destinations, "{\"p.d.a\":{\"1\":9}}");
    assert_ends(&destinations, "{}");
    destination_note(&destinations.items[0], 1, 8, 10);
    destinations_forget(&destinations); /* aborted */
    destination_note(&destinations.items[0], 0, 3, 10);
    assert_ends(&destinations, "{\"p.d.a\":{\"0\":4}}");
    destinations_deinit(&destinations);
}

static void test_destinations__tell_how_much_came_to_each_partition(void **state)
{
    struct destinations destinations = {0};
    struct delivered_list list;

    (void)state;
    (void)find(&destinations, "p.d.a", "d.a");
    (void)find(&destinations, "p.d.b", "d.b");
    destination_note(&destinations.items[1], 3, 7, 100);
    destination_note(&destinations.items[1], 3, 5, 11);
    destination_note(&destinations.items[1], 0, 2, 1);
    list = destinations_delivered(&destinations);
    assert_int_equal(list.count, 2);
    assert_memory_equal(&list.items[0], (&(struct delivered){1, 0, 1, 1}), sizeof *list.items);
    assert_memory_equal(&list.items[1], (&(struct delivered){1, 3, 2, 111}), sizeof *list.items);
    free(list.items);
    destinations_forget(&destinations);
    list = destinations_delivered(&destinations);
    assert_int_equal(list.count, 0);
    free(list.items);
    destinations_deinit(&destinations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destinations__two_tables_never_share_a_topic),
        cmocka_unit_test(test_destinations__a_topic_keeps_its_number),
        cmocka_unit_test(test_destinations__ends_are_the_farthest_of_each_partition),
        cmocka_unit_test(test_destinations__ends_of_a_transaction_are_not_those_of_the_next),
        cmocka_unit_test(test_destinations__tell_how_much_came_to_each_partition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

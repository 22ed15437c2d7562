/* SPDX-License-Identifier: Apache-2.0 */
/* Negative space first; then known spellings; then random names from an alphabet that is all traps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "schemas/name.h"

static void assert_maps(const char *name, const char *expected)
{
    struct buffer mapped = {0};
    struct buffer back = {0};
    struct err err = {0};

    assert_int_equal(name_map(&mapped, name, &err), 0);
    assert_string_equal(buffer_text(&mapped), expected);
    assert_int_equal(name_unmap(&back, expected, &err), 0);
    assert_string_equal(buffer_text(&back), name);
    buffer_deinit(&mapped);
    buffer_deinit(&back);
}

static void assert_fails(int (*call)(struct buffer *out, const char *name, struct err *err), const char *name)
{
    struct buffer out = {0};
    struct err err = {0};

    assert_int_equal(call(&out, name, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    buffer_deinit(&out);
}

static void test_name__refuses_the_empty_and_the_invalid(void **state)
{
    const char *const invalid[] = {"", "\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82", "\x80"};

    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        assert_fails(name_map, invalid[i]);
    }
}

static void test_name__unmap_refuses_what_map_never_writes(void **state)
{
    const char *const foreign[] = {
        "",               /* nothing */
        "a.b",            /* a character that is escaped */
        "1a",             /* a leading digit */
        "__op",           /* one of ours */
        "a_x0041_",       /* 'A' stands for itself */
        "_x0000_",        /* NUL ends names */
        "_xD83D_",        /* half a pair */
        "_xD83D_x",       /* half a pair and text */
        "_xDE00__xD83D_", /* a pair the wrong way round */
        "_xD83D__x0041_", /* a high one and something else */
        "a_x005F_b",      /* a '_' without need */
        "\xc3\xa4",
    };

    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        assert_fails(name_unmap, foreign[i]);
    }
}

static void test_name__spellings(void **state)
{
    (void)state;
    assert_maps("orders", "orders");
    assert_maps("Order_Items2", "Order_Items2");
    assert_maps("a.b", "a_x002E_b");
    assert_maps("a b", "a_x0020_b");
    assert_maps("a-b", "a_x002D_b");
    assert_maps("größe", "gr_x00F6__x00DF_e");
    assert_maps("😀", "_xD83D__xDE00_");
    assert_maps("€", "_x20AC_");
    assert_maps("2026", "_x0032_026");
    assert_maps("_", "_");
    assert_maps("_a", "_a");
}

static void test_name__that_looks_like_an_escape_is_escaped(void **state)
{
    (void)state;
    assert_maps("_x0041_", "_x005F_x0041_");
    assert_maps("_x0041", "_x0041");
    assert_maps("_x0041ä", "_x005F_x0041_x00E4_");
    assert_maps("_x004g_", "_x004g_");
    assert_maps("tx_xid", "tx_xid");
    assert_maps("_xabcd_", "_xabcd_"); /* escapes are upper case */
    assert_maps("ä_x00E4_", "_x00E4__x005F_x00E4_");
}

static void test_name__that_looks_like_metadata_is_escaped(void **state)
{
    (void)state;
    assert_maps("__op", "_x005F__op");
    assert_maps("__", "_x005F__");
    assert_maps("a__op", "a__op");
}

/* A name of up to eight pieces, each a trap. */
static void random_name(struct buffer *name)
{
    static const char *const pieces[] = {"_", "x", "0", "0041",    "00E4", "005F", "_x0041_", "ä",
                                         "😀", ".", "A", "_x005F_", "D83D", "1",    "__"};
    int count = 1 + (int)(random() % 8);

    while (count-- > 0) {
        buffer_append_text(name, pieces[(size_t)random() % (sizeof pieces / sizeof *pieces)]);
    }
}

struct pair {
    char name[80];
    char mapped[400];
};

static int compare_mapped(const void *one, const void *other)
{
    return strcmp(((const struct pair *)one)->mapped, ((const struct pair *)other)->mapped);
}

static void test_name__mapping_is_reversible_and_free_of_collisions(void **state)
{
    enum { COUNT = 20000 };
    struct pair *pairs = calloc(COUNT, sizeof *pairs);

    (void)state;
    srandom(7);
    for (size_t i = 0; i < COUNT; i++) {
        struct buffer name = {0};
        struct buffer mapped = {0};
        struct err err = {0};

        random_name(&name);
        assert_true(name.size < sizeof pairs[i].name);
        memcpy(pairs[i].name, buffer_text(&name), name.size + 1);
        buffer_deinit(&name);
        assert_int_equal(name_map(&mapped, pairs[i].name, &err), 0);
        assert_true(mapped.size < sizeof pairs[i].mapped);
        memcpy(pairs[i].mapped, buffer_text(&mapped), mapped.size + 1);
        assert_int_equal(strspn(pairs[i].mapped, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
                         mapped.size);
        assert_null(strchr("0123456789", pairs[i].mapped[0]));
        assert_maps(pairs[i].name, pairs[i].mapped);
        buffer_deinit(&mapped);
    }
    qsort(pairs, COUNT, sizeof *pairs, compare_mapped);
    for (size_t i = 1; i < COUNT; i++) {
        if (strcmp(pairs[i - 1].mapped, pairs[i].mapped) == 0) {
            assert_string_equal(pairs[i - 1].name, pairs[i].name);
        }
    }
    free(pairs);
}

static void test_name__topic_joins_by_dots(void **state)
{
    struct buffer topic = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(name_topic(&topic, "kakehi", "shop", "order.items", &err), 0);
    assert_string_equal(buffer_text(&topic), "kakehi.shop.order_x002E_items");
    buffer_deinit(&topic);
}

static void test_name__topic_beyond_kafkas_limit_is_refused(void **state)
{
    char table[250];
    struct buffer topic = {0};
    struct err err = {0};

    (void)state;
    memset(table, 't', sizeof table);
    table[NAME_TOPIC_MAX - 4] = '\0';
    assert_int_equal(name_topic(&topic, "p", "d", table, &err), 0);
    assert_int_equal(topic.size, NAME_TOPIC_MAX);
    buffer_clear(&topic);
    table[NAME_TOPIC_MAX - 4] = 't';
    table[NAME_TOPIC_MAX - 3] = '\0';
    assert_int_equal(name_topic(&topic, "p", "d", table, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    buffer_deinit(&topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name__refuses_the_empty_and_the_invalid),
        cmocka_unit_test(test_name__unmap_refuses_what_map_never_writes),
        cmocka_unit_test(test_name__spellings),
        cmocka_unit_test(test_name__that_looks_like_an_escape_is_escaped),
        cmocka_unit_test(test_name__that_looks_like_metadata_is_escaped),
        cmocka_unit_test(test_name__mapping_is_reversible_and_free_of_collisions),
        cmocka_unit_test(test_name__topic_joins_by_dots),
        cmocka_unit_test(test_name__topic_beyond_kafkas_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

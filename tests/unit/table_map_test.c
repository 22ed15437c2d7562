/* SPDX-License-Identifier: Apache-2.0 */
/* TABLE_MAPs as servers wrote them; what they mean stands in the CREATE TABLE beside the logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/binlog_log.h"
#include "producer/binlog/event.h"
#include "producer/binlog/shape.h"

/* The body, behind the table id, of the first TABLE_MAP of that table. Points into log. */
static const uint8_t *find_map(const struct buffer *log, const char *table, size_t *ret_size)
{
    for (size_t nth = 0;; nth++) {
        size_t at = log_find(log, EVENT_TABLE_MAP, nth);
        const uint8_t *body = log->bytes + at + EVENT_HEADER_SIZE + 6;
        const uint8_t *name = body + 2 + 1 + body[2] + 1; /* behind flags and database */

        if (name[0] == strlen(table) && memcmp(name + 1, table, name[0]) == 0) {
            *ret_size = log_event_size(log, at) - EVENT_HEADER_SIZE - 6 - EVENT_CRC_SIZE;
            return body;
        }
    }
}

static struct shape *shape_of(const char *log_name, enum binlog_flavor flavor, const char *table)
{
    struct buffer log = log_load(log_name);
    size_t size;
    const uint8_t *body = find_map(&log, table, &size);
    struct table_map map;
    struct err err = {0};
    struct shape *shape;

    assert_int_equal(table_map_read(&map, flavor, body, size, &err), 0);
    shape = shape_new(&map, flavor, &(struct binlog_stream_options){0}, NULL);
    table_map_deinit(&map);
    buffer_deinit(&log);
    return shape;
}

static void assert_columns(const struct shape *shape, const char *expected)
{
    struct buffer text = {0};

    for (size_t c = 0; c < shape->table->column_count; c++) {
        buffer_printf(&text, "%s%s %s", c > 0 ? ", " : "", shape->table->columns[c].name, shape->table->columns[c].source_type);
    }
    assert_string_equal(buffer_text(&text), expected);
    buffer_deinit(&text);
}

/* YEAR is counted among the signs, and BIT is not: the columns behind them would get the wrong ones. */
static void test_table_map__gives_each_number_its_own_sign(void **state)
{
    static const char expected[] =
        "a tinyint, b tinyint unsigned, c smallint unsigned, d mediumint unsigned, e int unsigned, "
        "f bigint unsigned, g float unsigned, h double unsigned, i decimal(10,3) unsigned, y year, z bit(10), "
        "bo tinyint, ser bigint unsigned";
    struct shape *shape = shape_of("mysql-9.7.4.binlog.000016", BINLOG_MYSQL, "num");

    (void)state;
    assert_columns(shape, expected);
    shape_free(shape);
    shape = shape_of("mariadb-10.11.19.binlog.000013", BINLOG_MARIADB, "num");
    assert_columns(shape, expected);
    shape_free(shape);
}

/* GEOMETRY is counted among the character sets by MariaDB and not by MySQL; JSON by neither, as MariaDB's is a LONGTEXT. */
static void test_table_map__gives_each_text_its_own_character_set(void **state)
{
    struct shape *shape = shape_of("mysql-9.7.4.values.binlog.gz", BINLOG_MYSQL, "texts");

    (void)state;
    assert_columns(
        shape,
        "id int, a char, b varchar, c char, d varchar, e varchar, f varchar, g varchar, h tinytext, i text, j mediumtext, "
        "k longtext, l char");
    assert_int_equal(shape->columns[1].charset, CHARSET_LATIN1);
    assert_int_equal(shape->columns[3].charset, CHARSET_UTF8);
    assert_int_equal(shape->columns[7].charset, CHARSET_ASCII);
    assert_int_equal(shape->columns[8].charset, CHARSET_LATIN1);
    assert_int_equal(shape->columns[12].length_size, 2); /* char(255) of utf8mb4: 1020 bytes */
    shape_free(shape);
    shape = shape_of("mysql-9.7.4.binlog.000016", BINLOG_MYSQL, "bl");
    assert_string_equal(shape->table->columns[8].source_type, "json");
    assert_string_equal(shape->table->columns[3].source_type, "longblob");
    assert_string_equal(shape->table->columns[4].source_type, "tinytext");
    shape_free(shape);
    shape = shape_of("mariadb-10.11.19.binlog.000013", BINLOG_MARIADB, "bl");
    assert_string_equal(shape->table->columns[8].source_type, "longtext");
    assert_string_equal(shape->table->columns[9].source_type, "geometry");
    shape_free(shape);
}

static void test_table_map__gives_the_key_in_key_order(void **state)
{
    struct shape *shape = shape_of("mysql-9.7.4.values.binlog.gz", BINLOG_MYSQL, "keyed"); /* primary key (c, a(10)) */

    (void)state;
    assert_int_equal(shape->table->key_count, 2);
    assert_int_equal(shape->table->key[0], 2);
    assert_int_equal(shape->table->key[1], 0);
    shape_free(shape);
    shape = shape_of("mariadb-10.11.19.values.binlog.gz", BINLOG_MARIADB, "plain");
    assert_int_equal(shape->table->key_count, 0);
    shape_free(shape);
}

static void test_table_map__hides_the_hash_columns_of_mariadb(void **state)
{
    struct shape *shape = shape_of("mariadb-10.11.19.values.binlog.gz", BINLOG_MARIADB, "hashed");

    (void)state;
    assert_columns(shape, "id int, t text, v int");
    assert_int_equal(shape->column_count, 4);
    shape_free(shape);
}

static void test_table_map__keeps_invisible_and_generated_columns(void **state)
{
    struct shape *shape = shape_of("mysql-9.7.4.values.binlog.gz", BINLOG_MYSQL, "derived");

    (void)state;
    assert_columns(shape, "a int, b int, c int, d int");
    shape_free(shape);
}

/* Cut anywhere in its fixed part it is refused; so is metadata that is longer or shorter than its columns. */
static void test_table_map__refuses_what_contradicts_itself(void **state)
{
    static const uint8_t good[] = {1, 0, 1,    'd', 0, 1,  't', 0, 2, 3,   15, 2,   20, 0, 3,
                                   1, 1, 0x80, 2,   1, 45, 4,   4, 1, 'a', 1,  'b', 8,  1, 0};
    static const struct {
        size_t at;
        uint8_t byte;
    } damages[] = {{8, 3}, {10, 99}, {11, 3}, {11, 1}, {16, 2}, {19, 9}, {22, 3}, {22, 5}, {29, 2}, {4, 'x'}, {7, 'x'}};
    struct table_map map;
    struct err err = {0};

    (void)state;
    assert_int_equal(table_map_read(&map, BINLOG_MYSQL, good, sizeof good, &err), 0);
    assert_true(map.has_names && map.has_signs && map.columns[0].is_unsigned);
    table_map_deinit(&map);
    for (size_t size = 0; size < 15; size++) {
        assert_int_equal(table_map_read(&map, BINLOG_MYSQL, good, size, &err), -1);
    }
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        uint8_t bad[sizeof good];

        memcpy(bad, good, sizeof good);
        bad[damages[i].at] = damages[i].byte;
        if (table_map_read(&map, BINLOG_MYSQL, bad, sizeof bad, &err) == 0) {
            fail_msg("byte %zu = %u is taken", damages[i].at, damages[i].byte);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_map__gives_each_number_its_own_sign),
        cmocka_unit_test(test_table_map__gives_each_text_its_own_character_set),
        cmocka_unit_test(test_table_map__gives_the_key_in_key_order),
        cmocka_unit_test(test_table_map__hides_the_hash_columns_of_mariadb),
        cmocka_unit_test(test_table_map__keeps_invisible_and_generated_columns),
        cmocka_unit_test(test_table_map__refuses_what_contradicts_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

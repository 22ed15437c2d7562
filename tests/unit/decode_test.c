/* SPDX-License-Identifier: Apache-2.0 */
/* Every line is read back by jansson; the values were set by the SQL beside the logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/unit/binlog_log.h"
#include "tests/unit/capture.h"
#include "producer/binlog/event.h"
#include "producer/decode.h"

#define DATA "tests/data/binlog/"

struct decoded {
    int exit_code;
    char *out; /* owned */
    char *errors;
};

static struct decoded decode(const char *config, const char *one, const char *other)
{
    char *words[] = {(char *)(uintptr_t)one, (char *)(uintptr_t)other, NULL};
    struct cli_arguments arguments = {.values = {config}, .words = words, .word_count = other != NULL ? 2 : 1};
    struct decoded decoded;

    capture_start(1);
    capture_start(2);
    decoded.exit_code = decode_run(&arguments);
    (void)fflush(stdout);
    decoded.errors = strdup(capture_end(2));
    decoded.out = strdup(capture_end(1));
    return decoded;
}

static void decoded_deinit(struct decoded *decoded)
{
    free(decoded->out);
    free(decoded->errors);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

static json_t *parse_line(const char *text, size_t number)
{
    json_error_t error;
    json_t *line;

    while (number-- > 0) {
        text = strchr(text, '\n') + 1;
    }
    line = json_loads(text, JSON_DISABLE_EOF_CHECK | JSON_DECODE_INT_AS_REAL, &error);
    if (line == NULL) {
        fail_msg("%s: %.200s", error.text, text);
    }
    return line;
}

static const char *text_of(const json_t *row, const char *image, const char *column)
{
    return json_string_value(json_object_get(json_object_get(row, image), column));
}

static void write_file(const char *path, const struct buffer *bytes)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes->bytes, 1, bytes->size, file), bytes->size);
    assert_int_equal(fclose(file), 0);
}

static void test_decode__prints_values_exactly(void **state)
{
    struct decoded decoded = decode(NULL, DATA "mysql-9.7.4.binlog.000016", NULL);
    json_t *row;

    (void)state;
    assert_int_equal(count_lines(decoded.out), 19);
    row = parse_line(decoded.out, 0);
    assert_string_equal(json_string_value(json_object_get(row, "table")), "t.num");
    assert_string_equal(json_string_value(json_object_get(row, "op")), "c");
    assert_true(json_is_null(json_object_get(row, "before")));
    assert_string_equal(json_string_value(json_object_get(row, "ts")), "2026-11-21T01:55:59.314405Z");
    assert_string_equal(json_string_value(json_object_get(row, "gtid")), "d10347db-e54b-11f1-9c3e-02fc00000001:503029");
    assert_string_equal(json_string_value(json_object_get(row, "file")), "mysql-9.7.4.binlog.000016");
    assert_true(json_number_value(json_object_get(row, "pos")) == 889);
    assert_true(json_number_value(json_object_get(row, "idx")) == 0);
    assert_string_equal(text_of(row, "after", "i"), "1234567.891");
    assert_string_equal(text_of(row, "after", "z"), "AgE="); /* b'1000000001' */
    json_decref(row);
    assert_non_null(strstr(decoded.out, "\"f\":18446744073709551615,"));
    row = parse_line(decoded.out, 4);
    assert_string_equal(text_of(row, "after", "d"), "2026-11-21T01:02:03.456789Z");
    assert_string_equal(text_of(row, "after", "g"), "2026-11-21T01:02:03.456789");
    assert_string_equal(text_of(row, "after", "k"), "-838:59:58.000001");
    assert_string_equal(text_of(row, "after", "l"), "2026-11-21");
    json_decref(row);
    row = parse_line(decoded.out, 6);
    assert_string_equal(text_of(row, "after", "l"), "2026-02-00");
    json_decref(row);
    decoded_deinit(&decoded);
}

static void test_decode__says_where_and_why_in_one_line(void **state)
{
    struct decoded decoded = decode(NULL, DATA "mysql-9.7.4.binlog.000012", NULL);

    (void)state;
    assert_int_equal(decoded.exit_code, CLI_DATA);
    assert_int_equal(count_lines(decoded.out), 1); /* what stands before it */
    assert_int_equal(count_lines(decoded.errors), 1);
    assert_non_null(strstr(decoded.errors, "mysql-9.7.4.binlog.000012, position 817: table t.pl: not all columns"));
    decoded_deinit(&decoded);
}

static void test_decode__reads_gzip_and_several_files(void **state)
{
    struct decoded decoded = decode(NULL, DATA "mariadb-10.11.19.values.binlog.gz", NULL);

    (void)state;
    assert_int_equal(decoded.exit_code, CLI_OK);
    assert_string_equal(decoded.errors, "");
    decoded_deinit(&decoded);
    decoded = decode(NULL, DATA "mysql-9.7.4.binlog.000008", DATA "mysql-9.7.4.binlog.000011");
    assert_int_equal(decoded.exit_code, CLI_OK);
    assert_int_equal(count_lines(decoded.out), 3);
    assert_non_null(strstr(decoded.out, "\"file\":\"mysql-9.7.4.binlog.000011\""));
    decoded_deinit(&decoded);
}

static void test_decode__prints_nothing_from_behind_a_fault(void **state)
{
    static const char path[] = "build/decode_test.binlog";
    struct buffer log = log_load("mysql-9.7.4.binlog.000008"); /* two rows in two events */
    struct decoded decoded;

    (void)state;
    log.bytes[log_find(&log, EVENT_WRITE_ROWS, 1) + 30] ^= 4;
    write_file(path, &log);
    decoded = decode(NULL, path, DATA "mysql-9.7.4.binlog.000011");
    assert_int_equal(decoded.exit_code, CLI_DATA);
    assert_int_equal(count_lines(decoded.out), 1);
    assert_int_equal(count_lines(decoded.errors), 1);
    assert_non_null(strstr(decoded.errors, "decode_test.binlog, position 465: the checksum does not fit"));
    decoded_deinit(&decoded);
    (void)remove(path);
    buffer_deinit(&log);
}

static void test_decode__takes_a_log_that_ends_inside_a_transaction_for_damaged(void **state)
{
    static const char path[] = "build/decode_test.binlog";
    struct buffer log = log_load("mysql-9.7.4.binlog.000008");
    struct decoded decoded;

    (void)state;
    log.size = log_find(&log, EVENT_XID, 0);
    write_file(path, &log);
    decoded = decode(NULL, path, NULL);
    assert_int_equal(decoded.exit_code, CLI_DATA);
    assert_non_null(strstr(decoded.errors, "the log ends inside a transaction"));
    decoded_deinit(&decoded);
    (void)remove(path);
    buffer_deinit(&log);
}

static void test_decode__says_which_file_is_missing_before_it_prints(void **state)
{
    struct decoded decoded = decode(NULL, DATA "mysql-9.7.4.binlog.000008", "build/no such file");

    (void)state;
    assert_int_equal(decoded.exit_code, CLI_NO_INPUT);
    assert_string_equal(decoded.out, "");
    assert_non_null(strstr(decoded.errors, "build/no such file: No such file or directory"));
    decoded_deinit(&decoded);
}

static void test_decode__refuses_what_is_no_binlog(void **state)
{
    struct decoded decoded = decode(NULL, DATA "README.md", NULL);

    (void)state;
    assert_int_equal(decoded.exit_code, CLI_DATA);
    assert_string_equal(decoded.out, "");
    assert_non_null(strstr(decoded.errors, "not a binlog"));
    decoded_deinit(&decoded);
}

static void test_decode__prints_the_tables_that_settings_select(void **state)
{
    static const char path[] = "build/decode_test.yaml";
    static const char text[] = "kafka: {bootstrap.servers: 'localhost:9092'}\n"
                               "source: {name: s, host: h, user: u, tables: ['t.dec*', 't.tmp'], exclude: ['t.tm?']}\n";
    struct buffer bytes = {.bytes = (uint8_t *)(uintptr_t)text, .size = sizeof text - 1};
    struct decoded decoded;

    (void)state;
    write_file(path, &bytes);
    decoded = decode(path, DATA "mysql-9.7.4.binlog.000016", NULL);
    assert_string_equal(decoded.errors, "");
    assert_int_equal(decoded.exit_code, CLI_OK);
    assert_int_equal(count_lines(decoded.out), 2);
    decoded_deinit(&decoded);
    (void)remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode__prints_values_exactly),
        cmocka_unit_test(test_decode__says_where_and_why_in_one_line),
        cmocka_unit_test(test_decode__reads_gzip_and_several_files),
        cmocka_unit_test(test_decode__prints_nothing_from_behind_a_fault),
        cmocka_unit_test(test_decode__takes_a_log_that_ends_inside_a_transaction_for_damaged),
        cmocka_unit_test(test_decode__says_which_file_is_missing_before_it_prints),
        cmocka_unit_test(test_decode__refuses_what_is_no_binlog),
        cmocka_unit_test(test_decode__prints_the_tables_that_settings_select),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

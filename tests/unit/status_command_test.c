/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever /status says must be shown: lines, and tables of what repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cli.h"
#include "common/status_command.h"

static char *print_as(bool tables, const char *json)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    json_t *status = json_loads(json, 0, NULL);

    assert_non_null(status);
    status_print(status, tables, out);
    json_decref(status);
    assert_int_equal(fclose(out), 0);
    return text;
}

static char *print(const char *json)
{
    return print_as(true, json);
}

static void test_status__shows_scalars_as_lines_with_their_path(void **state)
{
    char *text = print("{\"program\": \"kakehi-worker\", \"source\": {\"name\": \"shop\", \"behind\": null}, \"n\": 7}");

    (void)state;
    assert_non_null(strstr(text, "program                   kakehi-worker\n"));
    assert_non_null(strstr(text, "source.name               shop\n"));
    assert_non_null(strstr(text, "source.behind             -\n"));
    assert_non_null(strstr(text, "n                         7\n"));
    free(text);
}

static void test_status__shows_what_repeats_as_a_table(void **state)
{
    char *text = print("{\"tables\": {\"shop.orders\": {\"read\": 12345, \"state\": \"RUN\"}, \"a\": {\"read\": 1, \"lag\": 2}}}");

    (void)state;
    assert_string_equal(text, "\n"
                              "tables        read  state  lag\n"
                              "shop.orders  12345  RUN      -\n"
                              "a                1  -        2\n");
    free(text);
}

static void test_status__shows_lists_inside_of_objects_too(void **state)
{
    char *text = print("{\"warehouse\": {\"connections\": [{\"calls\": 3}, {\"calls\": 4}]}}");

    (void)state;
    assert_non_null(strstr(text, "connections  calls\n"));
    assert_non_null(strstr(text, "                 4\n"));
    free(text);
}

static void test_status__in_a_pipe_is_a_line_a_figure(void **state)
{
    char *text = print_as(false, "{\"n\": 7, \"tables\": {\"shop.orders\": {\"read\": 12}}, \"partitions\": [{\"lag\": 0}, {\"lag\": null}], \"none\": []}");

    (void)state;
    assert_string_equal(text, "n                         7\n"
                              "tables.shop.orders.read   12\n"
                              "partitions.0.lag          0\n"
                              "partitions.1.lag          -\n"
                              "none                      []\n");
    free(text);
}

static void test_status__of_a_program_that_does_not_run_fails(void **state)
{
    (void)state;
    assert_int_equal(status_command("127.0.0.1:1", STATUS_TABLES), CLI_FAILED);
    assert_int_equal(status_command("127.0.0.1:1", STATUS_HEALTH), CLI_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status__shows_scalars_as_lines_with_their_path),
        cmocka_unit_test(test_status__shows_what_repeats_as_a_table),
        cmocka_unit_test(test_status__shows_lists_inside_of_objects_too),
        cmocka_unit_test(test_status__in_a_pipe_is_a_line_a_figure),
        cmocka_unit_test(test_status__of_a_program_that_does_not_run_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

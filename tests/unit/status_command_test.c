/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever /status says must be shown: lines, and tables of what repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cli.h"
#include "common/status_command.h"
#include "tests/unit/capture.h"

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

/* What stands below each other stands so on the screen: a wide character takes two columns, one that combines takes none. */
static void test_status__columns_stand_whatever_the_names_are(void **state)
{
    char *text = print("{\"tables\": {\"shop.größe\": {\"read\": 1, \"why\": \"鱼\"}, \"shop.\u9c7c\u77ac\": {\"read\": 2, \"why\": \"e\u0301\"},"
                       " \"a\": {\"read\": 3, \"why\": \"wide\"}}}");

    (void)state;
    assert_string_equal(text, "\n"
                              "tables      read  why \n"
                              "shop.größe     1  鱼  \n"
                              "shop.鱼瞬      2  e\u0301   \n"
                              "a              3  wide\n");
    free(text);
}

static void test_status__a_name_can_not_speak_to_the_terminal(void **state)
{
    char *table = print("{\"tables\": {\"a\\u001b[2J\": {\"why\": \"b\\u009b\\r\\n\"}}}");
    char *line = print("{\"x\\u0007\": [\"\\u007f\"]}");

    (void)state;
    assert_string_equal(table, "\ntables  why \na?[2J   b???\n");
    assert_string_equal(line, "x?                        [\"?\"]\n");
    free(table);
    free(line);
}

/* What status_command says on stderr when it fails. */
static const char *complaint(const char *listen)
{
    capture_start(STDERR_FILENO);
    assert_int_equal(status_command(listen, STATUS_TABLES), CLI_FAILED);
    return capture_end(STDERR_FILENO);
}

static void test_status__of_a_program_that_does_not_run_fails_and_says_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(status_command("127.0.0.1:1", STATUS_HEALTH), CLI_FAILED);
    assert_non_null(strstr(complaint("127.0.0.1:1"), "127.0.0.1 port 1"));
    assert_non_null(strstr(complaint("127.0.0.1:1"), "does it run"));
}

static void test_status__asks_all_addresses_by_the_loopback_of_their_kind(void **state)
{
    (void)state;
    assert_non_null(strstr(complaint("0.0.0.0:1"), "127.0.0.1 port 1"));
    assert_non_null(strstr(complaint("[::]:1"), "::1 port 1"));
    assert_non_null(strstr(complaint("::1:1"), "::1 port 1"));
}

static void test_status__of_any_free_port_says_where_it_is_written(void **state)
{
    (void)state;
    assert_non_null(strstr(complaint("127.0.0.1:0"), "--at ADDRESS:PORT"));
    assert_non_null(strstr(complaint("nonsense"), "names no port"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status__shows_scalars_as_lines_with_their_path),
        cmocka_unit_test(test_status__shows_what_repeats_as_a_table),
        cmocka_unit_test(test_status__shows_lists_inside_of_objects_too),
        cmocka_unit_test(test_status__in_a_pipe_is_a_line_a_figure),
        cmocka_unit_test(test_status__columns_stand_whatever_the_names_are),
        cmocka_unit_test(test_status__a_name_can_not_speak_to_the_terminal),
        cmocka_unit_test(test_status__of_a_program_that_does_not_run_fails_and_says_what_to_do),
        cmocka_unit_test(test_status__asks_all_addresses_by_the_loopback_of_their_kind),
        cmocka_unit_test(test_status__of_any_free_port_says_where_it_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may mistype: one line and the right exit code, never a crash, never a wrong command run. */
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

#include "common/cli.h"
#include "common/version.h"
#include "tests/unit/capture.h"

/* What the last run command was given. */
static struct {
    int runs;
    char config[64];
    bool quiet;
    size_t word_count;
    char words[4][64];
} seen;

static int run(const struct cli_arguments *arguments)
{
    seen.runs++;
    (void)snprintf(seen.config, sizeof seen.config, "%s", arguments->values[0] != NULL ? arguments->values[0] : "(none)");
    seen.quiet = arguments->values[1] != NULL;
    seen.word_count = arguments->word_count;
    for (size_t index = 0; index < arguments->word_count && index < 4; index++) {
        (void)snprintf(seen.words[index], sizeof seen.words[index], "%s", arguments->words[index]);
    }
    (void)printf("data\n");
    return CLI_DATA;
}

static int run_plain(const struct cli_arguments *arguments)
{
    seen.word_count = arguments->word_count;
    return CLI_OK;
}

static void print_versions(void)
{
    (void)printf("librdkafka 2.0.2\n");
}

static const struct cli_option options[] = {
    {"config", 'c', "FILE", "the settings file"},
    {"quiet", 0, NULL, "say less"},
    {0},
};
static const struct cli_command commands[] = {
    {"run", "-c FILE [--quiet] [FILE...]", "Runs.", options, run},
    {"plain", "", "Has no options.", NULL, run_plain},
    {0},
};
static const struct cli_program program = {"kakehi-test", "tests the command line", commands, print_versions};

static const char *out;
static const char *log_text;

/* Runs the program with these words (ends with NULL); the output is in `out` and `log_text`. */
static int cli(const char *const *words)
{
    char copies[8][64];
    char *argv[9] = {NULL};
    int argc = 0;
    int result;

    memset(&seen, 0, sizeof seen);
    for (; words[argc] != NULL; argc++) {
        (void)snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    capture_start(STDOUT_FILENO);
    capture_start(STDERR_FILENO);
    result = cli_main(&program, argc, argv);
    log_text = capture_end(STDERR_FILENO);
    out = capture_end(STDOUT_FILENO);
    return result;
}

#define CLI(...) cli((const char *const[]){"kakehi-test", __VA_ARGS__, NULL})

static void assert_usage(int result, const char *expected)
{
    assert_string_equal(log_text, expected);
    assert_string_equal(out, "");
    assert_int_equal(result, CLI_USAGE);
    assert_int_equal(seen.runs, 0);
}

static void test_cli__without_a_command_says_so(void **state)
{
    (void)state;
    assert_usage(cli((const char *const[]){"kakehi-test", NULL}),
                 "kakehi-test: a command is missing (see kakehi-test --help)\n");
}

static void test_cli__an_unknown_command_is_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_usage(CLI("rnu"), "kakehi-test: there is no command rnu; did you mean run? (see kakehi-test --help)\n");
    assert_usage(CLI("--verbose"), "kakehi-test: there is no option --verbose (see kakehi-test --help)\n");
}

static void test_cli__a_wrong_option_is_refused_before_anything_runs(void **state)
{
    (void)state;
    assert_usage(CLI("run", "--confg", "x"),
                 "kakehi-test run: there is no option --confg; did you mean --config? (see kakehi-test run --help)\n");
    assert_usage(CLI("run", "--conf=x"),
                 "kakehi-test run: there is no option --conf; did you mean --config? (see kakehi-test run --help)\n");
    assert_usage(CLI("run", "-x"), "kakehi-test run: there is no option -x (see kakehi-test run --help)\n");
    assert_usage(CLI("plain", "--config", "x"),
                 "kakehi-test plain: there is no option --config (see kakehi-test plain --help)\n");
}

static void test_cli__an_option_has_one_value_or_none(void **state)
{
    (void)state;
    assert_usage(CLI("run", "--config"), "kakehi-test run: --config needs a value (see kakehi-test run --help)\n");
    assert_usage(CLI("run", "-c"), "kakehi-test run: --config needs a value (see kakehi-test run --help)\n");
    assert_usage(CLI("run", "-cx", "--config=y"), "kakehi-test run: --config is given twice (see kakehi-test run --help)\n");
    assert_usage(CLI("run", "--quiet=1"), "kakehi-test run: --quiet takes no value (see kakehi-test run --help)\n");
    assert_usage(CLI("run", "--quiet", "--quiet"), "kakehi-test run: --quiet is given twice (see kakehi-test run --help)\n");
}

static void test_cli__a_value_stands_in_any_of_its_places(void **state)
{
    (void)state;
    assert_int_equal(CLI("run", "-c", "a"), CLI_DATA);
    assert_string_equal(seen.config, "a");
    assert_int_equal(CLI("run", "-ca"), CLI_DATA);
    assert_string_equal(seen.config, "a");
    assert_int_equal(CLI("run", "--config", "-"), CLI_DATA);
    assert_string_equal(seen.config, "-");
    assert_int_equal(CLI("run", "--config=a=b"), CLI_DATA);
    assert_string_equal(seen.config, "a=b");
    assert_int_equal(CLI("run", "--config="), CLI_DATA);
    assert_string_equal(seen.config, "");
    assert_int_equal(CLI("run"), CLI_DATA);
    assert_string_equal(seen.config, "(none)");
}

static void test_cli__words_keep_their_order_between_options(void **state)
{
    (void)state;
    assert_int_equal(CLI("run", "one", "-c", "x", "-", "--", "--quiet"), CLI_DATA);
    assert_int_equal(seen.word_count, 3);
    assert_string_equal(seen.words[0], "one");
    assert_string_equal(seen.words[1], "-");
    assert_string_equal(seen.words[2], "--quiet");
    assert_false(seen.quiet);
    assert_string_equal(seen.config, "x");
}

static void test_cli__a_command_gives_the_exit_code_and_stdout_is_its_own(void **state)
{
    (void)state;
    assert_int_equal(CLI("run", "--quiet"), CLI_DATA);
    assert_true(seen.quiet);
    assert_string_equal(out, "data\n");
    assert_string_equal(log_text, "");
    assert_int_equal(CLI("plain", "word"), CLI_OK);
    assert_int_equal(seen.word_count, 1);
}

static void test_cli__help_runs_nothing(void **state)
{
    (void)state;
    assert_int_equal(CLI("run", "-c", "x", "--help"), CLI_OK);
    assert_int_equal(seen.runs, 0);
    assert_non_null(strstr(out, "usage: kakehi-test run -c FILE [--quiet] [FILE...]\n\nRuns.\n"));
    assert_non_null(strstr(out, "  -c, --config FILE            the settings file\n"));
    assert_int_equal(CLI("--help"), CLI_OK);
    assert_non_null(strstr(out, "  plain        Has no options.\n"));
}

static void test_cli__version_names_build_and_libraries(void **state)
{
    char expected[256];

    (void)state;
    (void)snprintf(expected, sizeof expected, "kakehi-test %s\nlibrdkafka 2.0.2\n", version_text());
    assert_int_equal(CLI("--version"), CLI_OK);
    assert_string_equal(out, expected);
}

static void test_cli__settings_help_is_there_for_people_and_for_the_page(void **state)
{
    (void)state;
    assert_int_equal(CLI("--help-settings"), CLI_OK);
    assert_non_null(strstr(out, "  source.name  ("));
    assert_int_equal(CLI("--help-settings-markdown"), CLI_OK);
    assert_non_null(strstr(out, "| `source.name` |"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli__without_a_command_says_so),
        cmocka_unit_test(test_cli__an_unknown_command_is_refused_with_the_nearest),
        cmocka_unit_test(test_cli__a_wrong_option_is_refused_before_anything_runs),
        cmocka_unit_test(test_cli__an_option_has_one_value_or_none),
        cmocka_unit_test(test_cli__a_value_stands_in_any_of_its_places),
        cmocka_unit_test(test_cli__words_keep_their_order_between_options),
        cmocka_unit_test(test_cli__a_command_gives_the_exit_code_and_stdout_is_its_own),
        cmocka_unit_test(test_cli__help_runs_nothing),
        cmocka_unit_test(test_cli__version_names_build_and_libraries),
        cmocka_unit_test(test_cli__settings_help_is_there_for_people_and_for_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

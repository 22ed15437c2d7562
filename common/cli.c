/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options are read by hand: getopt_long takes abbreviations, which then break when an option is added, and prints its own
 * words.
 */
#include "common/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/nearest.h"
#include "common/settings.h"
#include "common/version.h"

#define OPTIONS_MAX 16

/* ---- help */

static void print_options(const struct cli_option *options, FILE *out)
{
    char words[64];

    for (; options != NULL && options->name != NULL; options++) {
        (void)snprintf(words, sizeof words, "--%s%s%s", options->name, options->value != NULL ? " " : "",
                       options->value != NULL ? options->value : "");
        if (options->letter != 0) {
            (void)fprintf(out, "  -%c, %-24s %s\n", options->letter, words, options->help);
        } else {
            (void)fprintf(out, "      %-24s %s\n", words, options->help);
        }
    }
    (void)fprintf(out, "  -h, %-24s %s\n", "--help", "this text");
}

static void print_program_help(const struct cli_program *program, FILE *out)
{
    static const struct cli_option options[] = {
        {"version", 0, NULL, "this build and the libraries it is linked with"},
        {"help-settings", 0, NULL, "every key of the settings file"},
        {"help-settings-markdown", 0, NULL, "the same, as the documentation page"},
        {"help-metrics-markdown", 0, NULL, "every metric that this program may show, as its part of the documentation page"},
        {0},
    };

    (void)fprintf(out, "%s: %s\n\nusage: %s COMMAND [OPTION]...\n\n", program->name, program->summary, program->name);
    for (const struct cli_command *command = program->commands; command->name != NULL; command++) {
        (void)fprintf(out, "  %-12s %s\n", command->name, command->summary);
    }
    (void)fputc('\n', out);
    print_options(options, out);
    (void)fputs("\nExit: 0 done, 1 stopped by an error, 64 wrong usage, 65 bad input, 66 no input, 78 wrong settings.\n", out);
}

static void print_command_help(const struct cli_program *program, const struct cli_command *command, FILE *out)
{
    (void)fprintf(out, "usage: %s %s %s\n\n%s\n\n", program->name, command->name, command->usage, command->summary);
    print_options(command->options, out);
}

/* ---- options of a command */

struct parse {
    const struct cli_program *program;
    const struct cli_command *command;
    char **at;  /* the next word */
    char **end; /* behind the last */
    struct cli_arguments *arguments;
    bool help;
};

/* One line on what is wrong, and where help is. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct parse *parse, const char *format, ...)
{
    va_list list;

    (void)fprintf(stderr, "%s %s: ", parse->program->name, parse->command->name);
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    (void)fprintf(stderr, " (see %s %s --help)\n", parse->program->name, parse->command->name);
    return CLI_USAGE;
}

static int refuse_unknown_option(const struct parse *parse, const char *name)
{
    struct nearest nearest;

    nearest_init(&nearest, name);
    for (const struct cli_option *option = parse->command->options; option != NULL && option->name != NULL; option++) {
        nearest_offer(&nearest, option->name);
    }
    if (nearest.best == NULL) {
        return refuse(parse, "there is no option --%s", name);
    }
    return refuse(parse, "there is no option --%s; did you mean --%s?", name, nearest.best);
}

/* `value` is what stands in the same word, behind '=' or the letter; NULL if nothing does. */
static int take_option(struct parse *parse, const struct cli_option *option, const char *value)
{
    const char **place = &parse->arguments->values[option - parse->command->options];

    must(option - parse->command->options < OPTIONS_MAX);
    if (*place != NULL) {
        return refuse(parse, "--%s is given twice", option->name);
    }
    if (option->value == NULL) {
        *place = "";
        return value == NULL ? CLI_OK : refuse(parse, "--%s takes no value", option->name);
    }
    if (value == NULL && parse->at < parse->end) {
        value = *parse->at++;
    }
    *place = value;
    return value != NULL ? CLI_OK : refuse(parse, "--%s needs a value", option->name);
}

/* --name, --name VALUE, --name=VALUE */
static int parse_long(struct parse *parse, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t size = equals != NULL ? (size_t)(equals - word) : strlen(word);
    char name[64];

    if (size >= sizeof name) {
        return refuse(parse, "there is no option --%s", word);
    }
    memcpy(name, word, size);
    name[size] = '\0';
    if (strcmp(word, "help") == 0) {
        parse->help = true;
        return CLI_OK;
    }
    for (const struct cli_option *option = parse->command->options; option != NULL && option->name != NULL; option++) {
        if (strcmp(option->name, name) == 0) {
            return take_option(parse, option, equals != NULL ? equals + 1 : NULL);
        }
    }
    return refuse_unknown_option(parse, name);
}

/* -c, -c VALUE, -cVALUE. Letters can't be joined: it is clearer, and there are few. */
static int parse_letter(struct parse *parse, const char *word)
{
    if (strcmp(word, "h") == 0) {
        parse->help = true;
        return CLI_OK;
    }
    for (const struct cli_option *option = parse->command->options; option != NULL && option->name != NULL; option++) {
        if (option->letter != 0 && option->letter == word[0]) {
            return take_option(parse, option, word[1] != '\0' ? word + 1 : NULL);
        }
    }
    return refuse(parse, "there is no option -%s", word);
}

/* Words that are no options move to the front of argv, where the commands find them. "-" is a word, "--" ends the options. */
static int parse_words(struct parse *parse)
{
    char **kept = parse->at;
    bool options = true;
    int result = CLI_OK;

    parse->arguments->words = kept;
    while (parse->at < parse->end && result == CLI_OK) {
        char *word = *parse->at++;

        if (!options || word[0] != '-' || word[1] == '\0') {
            *kept++ = word;
        } else if (strcmp(word, "--") == 0) {
            options = false;
        } else if (word[1] == '-') {
            result = parse_long(parse, word + 2);
        } else {
            result = parse_letter(parse, word + 1);
        }
    }
    parse->arguments->word_count = (size_t)(kept - parse->arguments->words);
    return result;
}

static int run_command(const struct cli_program *program, const struct cli_command *command, char **words, char **end)
{
    struct cli_arguments arguments = {.words = NULL};
    struct parse parse = {.program = program, .command = command, .at = words, .end = end, .arguments = &arguments};
    int result = parse_words(&parse);

    if (result != CLI_OK) {
        return result;
    }
    if (parse.help) {
        print_command_help(program, command, stdout);
        return CLI_OK;
    }
    return command->run(&arguments);
}

/* ---- the program */

static int print_version(const struct cli_program *program)
{
    (void)printf("%s %s\n", program->name, version_text());
    if (program->print_versions != NULL) {
        program->print_versions();
    }
    return CLI_OK;
}

static int refuse_command(const struct cli_program *program, const char *word)
{
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (const struct cli_command *command = program->commands; command->name != NULL; command++) {
        nearest_offer(&nearest, command->name);
    }
    (void)fprintf(stderr, "%s: there is no %s %s", program->name, word[0] == '-' ? "option" : "command", word);
    if (nearest.best != NULL) {
        (void)fprintf(stderr, "; did you mean %s?", nearest.best);
    }
    (void)fprintf(stderr, " (see %s --help)\n", program->name);
    return CLI_USAGE;
}

/* Output that nobody could read is a failure, whatever the command thought. */
static int flush(const struct cli_program *program, int result)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return result;
    }
    (void)fprintf(stderr, "%s: writing to stdout failed\n", program->name);
    return result != CLI_OK ? result : CLI_FAILED;
}

static int dispatch(const struct cli_program *program, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;

    if (word == NULL) {
        (void)fprintf(stderr, "%s: a command is missing (see %s --help)\n", program->name, program->name);
        return CLI_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_program_help(program, stdout);
        return CLI_OK;
    }
    if (strcmp(word, "--version") == 0) {
        return print_version(program);
    }
    if (strcmp(word, "--help-settings") == 0) {
        settings_print_help(stdout);
        return CLI_OK;
    }
    if (strcmp(word, "--help-settings-markdown") == 0) {
        settings_print_markdown(stdout);
        return CLI_OK;
    }
    if (strcmp(word, "--help-metrics-markdown") == 0) {
        metrics_print_markdown(stdout);
        return CLI_OK;
    }
    for (const struct cli_command *command = program->commands; command->name != NULL; command++) {
        if (strcmp(command->name, word) == 0) {
            return run_command(program, command, argv + 2, argv + argc);
        }
    }
    return refuse_command(program, word);
}

int cli_main(const struct cli_program *program, int argc, char **argv)
{
    int result = flush(program, dispatch(program, argc, argv));

    log_flush();
    return result;
}

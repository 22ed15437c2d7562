/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: subcommands from a table, long options, exit codes. stdout is data, stderr is log. A wrong option gets one precise line
 * and a pointer to --help.
 */
#ifndef KAKEHI_COMMON_CLI_H
#define KAKEHI_COMMON_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* The exit codes of both programs (sysexits.h numbers where one fits). */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,    /* stopped by an error that a person must look at; the last log line says it */
    CLI_USAGE = 64,    /* EX_USAGE: wrong option or argument */
    CLI_DATA = 65,     /* EX_DATAERR: the input holds bad bytes */
    CLI_NO_INPUT = 66, /* EX_NOINPUT: a file can't be read */
    CLI_SETTINGS = 78, /* EX_CONFIG: the settings file is wrong; all errors were printed */
};

struct cli_option {
    const char *name;  /* "config" for --config */
    char letter;       /* 'c' for -c; 0: none */
    const char *value; /* "FILE" if it takes a value, else NULL */
    const char *help;
};

struct cli_arguments {
    const char *values[16]; /* by index in the command's options; a flag that was given: "" ; not given: NULL */
    char **words;           /* what is left */
    size_t word_count;
};

struct cli_command {
    const char *name;
    const char *usage; /* "[-c FILE] FILE..." */
    const char *summary;
    const struct cli_option *options; /* ends with {0}; at most 16; --help is added */
    int (*run)(const struct cli_arguments *arguments);
};

struct cli_program {
    const char *name;
    const char *summary;
    const struct cli_command *commands; /* ends with {0} */
    void (*print_versions)(void);       /* the linked libraries, for --version */
};

/* Also knows --version, --help, --help-settings, --help-settings-markdown and --help-metrics-markdown. Returns the exit code. */
int cli_main(const struct cli_program *program, int argc, char **argv);

#endif

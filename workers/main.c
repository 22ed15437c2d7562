/* SPDX-License-Identifier: Apache-2.0 */
/* kakehi-worker: the commands, and nothing else. */
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/libraries.h"
#include "common/log.h"
#include "common/settings.h"
#include "common/status_command.h"
#include "workers/bigquery/views_command.h"
#include "workers/check.h"
#include "workers/worker.h"

enum { OPTION_CONFIG, OPTION_JSON, OPTION_COST, OPTION_PROVE, OPTION_HEALTH = OPTION_COST, OPTION_AT = OPTION_PROVE };

static const struct cli_option run_options[] = {
    [OPTION_CONFIG] = {"config", 'c', "FILE", "settings (YAML); default kakehi.yaml"},
    {0},
};

static const struct cli_option check_options[] = {
    [OPTION_CONFIG] = {"config", 'c', "FILE", "settings (YAML); default kakehi.yaml"},
    [OPTION_JSON] = {"json", 0, NULL, "one JSON object instead of lines"},
    [OPTION_COST] = {"cost", 0, NULL, "BigQuery: a month's estimate for each table, with its formula"},
    [OPTION_PROVE] = {"prove", 0, NULL, "BigQuery: run what exactly-once rests on in scratch tables of the project"},
    {0},
};

/* NULL: the errors are printed. */
static struct settings *load(const struct cli_arguments *arguments)
{
    const char *path = arguments->values[OPTION_CONFIG] != NULL ? arguments->values[OPTION_CONFIG] : "kakehi.yaml";
    struct settings *settings = settings_load(path, SETTINGS_FOR_WORKER, stderr);

    if (settings != NULL) {
        log_setup(settings->log.level, settings->log.format);
    }
    return settings;
}

static int run(const struct cli_arguments *arguments)
{
    struct settings *settings = load(arguments);
    int code = settings != NULL ? worker_run(settings) : CLI_SETTINGS;

    settings_free(settings);
    return code;
}

static const struct cli_option status_options[] = {
    [OPTION_CONFIG] = {"config", 'c', "FILE", "settings (YAML); default kakehi.yaml"},
    [OPTION_JSON] = {"json", 0, NULL, "as the admin port says it"},
    [OPTION_HEALTH] = {"health", 0, NULL, "only whether all is well, by the exit code too: for a container's health check"},
    [OPTION_AT] = {"at", 0, "ADDRESS:PORT", "ask there, and not at worker.listen: another replica, or a free port; needs no settings file"},
    {0},
};

static int status(const struct cli_arguments *arguments)
{
    const char *at = arguments->values[OPTION_AT];
    struct settings *settings = at == NULL ? load(arguments) : NULL;
    enum status_form form = status_form_of(arguments->values[OPTION_JSON] != NULL, arguments->values[OPTION_HEALTH] != NULL);
    int code = at == NULL && settings == NULL ? CLI_SETTINGS : status_command(at != NULL ? at : settings->worker.listen, form);

    settings_free(settings);
    return code;
}

static int check(const struct cli_arguments *arguments)
{
    struct settings *settings = load(arguments);
    const struct check_options options = {.json = arguments->values[OPTION_JSON] != NULL,
                                          .cost = arguments->values[OPTION_COST] != NULL,
                                          .prove = arguments->values[OPTION_PROVE] != NULL};
    int code = settings != NULL ? worker_check(settings, &options) : CLI_SETTINGS;

    settings_free(settings);
    return code;
}

static int views(const struct cli_arguments *arguments)
{
    struct settings *settings = load(arguments);
    int code = settings != NULL ? views_command(settings, stdout) : CLI_SETTINGS;

    settings_free(settings);
    return code;
}

/* jemalloc's; builds with a sanitizer are without it. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) __attribute__((weak));

static void print_versions(void)
{
    const char *jemalloc = NULL;
    size_t size = sizeof jemalloc;

    libraries_print();
    (void)printf("SQLite %s\nnghttp2 %s\n", sqlite3_libversion(), nghttp2_version(0)->version_str);
    if (mallctl != NULL && mallctl("version", &jemalloc, &size, NULL, 0) == 0) {
        (void)printf("jemalloc %s\n", jemalloc);
    }
}

/* What jemalloc reads at the start (jemalloc(3), TUNING); MALLOC_CONF in the environment goes before it. librdkafka allocates in its
 * threads what our loop frees, some megabytes of fetched messages at a time: with libc the two wait for each other, and the kernel clears
 * each page anew. Here memory passes between threads by the hundred, and is given back when nobody took it again for a while. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,tcache_max:4096,dirty_decay_ms:100,muzzy_decay_ms:0";

int main(int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"run", "[-c FILE]", "Take row changes from Kafka into the warehouse, as a member of the worker group.", run_options, run},
        {"status", "[-c FILE | --at ADDRESS:PORT] [--json | --health]", "What the running worker says of itself.", status_options, status},
        {"check", "[-c FILE] [--json] [--cost] [--prove]", "Connect to everything that the settings name; one line a finding, with its remedy.", check_options, check},
        {"views", "[-c FILE]", "BigQuery: make and refresh the latest views of all histories, once; a line a table.", run_options, views},
        {0},
    };
    static const struct cli_program program = {"kakehi-worker", "Kafka to the warehouse, exactly once.", commands, print_versions};

    (void)signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an error of its connection, not our end */
    return cli_main(&program, argc, argv);
}

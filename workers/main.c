/* SPDX-License-Identifier: Apache-2.0 */
/* kakehi-worker: the commands, and nothing else. */
#include <librdkafka/rdkafka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <uv.h>

#include "common/cli.h"
#include "common/log.h"
#include "common/settings.h"
#include "workers/worker.h"

enum { OPTION_CONFIG };

static const struct cli_option run_options[] = {
    [OPTION_CONFIG] = {"config", 'c', "FILE", "settings (YAML); default kakehi.yaml"},
    {0},
};

static int run(const struct cli_arguments *arguments)
{
    const char *path = arguments->values[OPTION_CONFIG] != NULL ? arguments->values[OPTION_CONFIG] : "kakehi.yaml";
    struct settings *settings = settings_load(path, SETTINGS_FOR_WORKER, stderr);
    int code;

    if (settings == NULL) {
        return CLI_SETTINGS;
    }
    log_setup(settings->log.level, settings->log.format);
    code = worker_run(settings);
    settings_free(settings);
    return code;
}

static void print_versions(void)
{
    (void)printf("librdkafka %s\nlibuv %s\nSQLite %s\n", rd_kafka_version_str(), uv_version_string(),
                 sqlite3_libversion());
}

int main(int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"run", "[-c FILE]", "Take row changes from Kafka into the warehouse, as a member of the worker group.", run_options, run},
        {0},
    };
    static const struct cli_program program = {"kakehi-worker", "Kafka to the warehouse, exactly once.", commands, print_versions};

    return cli_main(&program, argc, argv);
}

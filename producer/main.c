/* SPDX-License-Identifier: Apache-2.0 */
/* kakehi-producer: row changes of a MySQL or MariaDB server to Kafka. */
#include <libdeflate.h>
#include <mysql.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/libraries.h"
#include "common/log.h"
#include "common/settings.h"
#include "common/status_command.h"
#include "producer/check.h"
#include "producer/decode.h"
#include "producer/position.h"
#include "producer/run.h"

enum { CONFIG, JSON, HEALTH, AT };

static const struct cli_option run_options[] = {
    [CONFIG] = {"config", 'c', "FILE", "the settings file (kakehi.yaml)"},
    {0},
};

static const struct cli_option check_options[] = {
    [CONFIG] = {"config", 'c', "FILE", "the settings file (kakehi.yaml)"},
    [JSON] = {"json", 0, NULL, "one JSON object instead of lines"},
    {0},
};

/* NULL: the errors are printed. */
static struct settings *load(const struct cli_arguments *arguments)
{
    const char *path = arguments->values[CONFIG] != NULL ? arguments->values[CONFIG] : "kakehi.yaml";
    struct settings *settings = settings_load(path, SETTINGS_FOR_PRODUCER, stderr);

    if (settings != NULL) {
        log_setup(settings->log.level, settings->log.format);
    }
    return settings;
}

static int run(const struct cli_arguments *arguments)
{
    struct settings *settings = load(arguments);
    int exit_code = settings != NULL ? run_producer(settings) : CLI_SETTINGS;

    settings_free(settings);
    return exit_code;
}

static const struct cli_option status_options[] = {
    [CONFIG] = {"config", 'c', "FILE", "the settings file (kakehi.yaml)"},
    [JSON] = {"json", 0, NULL, "as the admin port says it"},
    [HEALTH] = {"health", 0, NULL, "only whether all is well, by the exit code too: for a container's health check"},
    [AT] = {"at", 0, "ADDRESS:PORT", "ask there, and not at producer.listen: another replica, or a free port; needs no settings file"},
    {0},
};

static int status(const struct cli_arguments *arguments)
{
    const char *at = arguments->values[AT];
    struct settings *settings = at == NULL ? load(arguments) : NULL;
    enum status_form form = status_form_of(arguments->values[JSON] != NULL, arguments->values[HEALTH] != NULL);
    int exit_code = at == NULL && settings == NULL ? CLI_SETTINGS : status_command(at != NULL ? at : settings->producer.listen, form);

    settings_free(settings);
    return exit_code;
}

static int check(const struct cli_arguments *arguments)
{
    struct settings *settings = load(arguments);
    int exit_code = settings != NULL ? producer_check(settings, arguments->values[JSON] != NULL) : CLI_SETTINGS;

    settings_free(settings);
    return exit_code;
}

static void print_versions(void)
{
    libraries_print();
    (void)printf("libmariadb %s\nlibdeflate %s\n", mysql_get_client_info(), LIBDEFLATE_VERSION_STRING);
}

static const struct cli_command commands[] = {
    {"run", "[-c FILE]", "read the source and publish its changes, until stopped", run_options, run},
    {"check", "[-c FILE] [--json]", "connect to everything that the settings name; one line a finding, with its remedy",
     check_options, check},
    {"status", "[-c FILE | --at ADDRESS:PORT] [--json | --health]", "what the running producer says of itself", status_options, status},
    {"position", "[-c FILE] [--json | [--set POSITION [--server ID] | --reset | --settled TABLE] [--yes-i-mean NAME]]",
     "show where the source stands in Kafka, or set it",
     position_options, position_run},
    {"decode", DECODE_USAGE, DECODE_SUMMARY, decode_options, decode_run},
    {0},
};

int main(int argc, char **argv)
{
    const struct cli_program program = {
        "kakehi-producer",
        "row changes of a MySQL or MariaDB server to Kafka, exactly once",
        commands,
        print_versions,
    };

    return cli_main(&program, argc, argv);
}

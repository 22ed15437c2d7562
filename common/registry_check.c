/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is registered to try it out: a version can't be taken back without a trace. So whether the user may register is learnt when
 * the first table is prepared, which the log then says.
 */
#include "common/registry_check.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/registry_wait.h"

/* All columns are nullable with a default, so each level lets them come and go; and none but NONE lets a type change. */
static void judge_level(const char *level, struct findings *findings)
{
    if (strcmp(level, "NONE") == 0) {
        finding(findings, FINDING_OK, "registry compatibility", NULL, "is NONE: columns may come, go and change their types");
    } else {
        finding(findings, FINDING_NOTE, "registry compatibility", NULL,
                "is %s: columns may come and go; a change of a column's type may be refused, and then stops its table", level);
    }
}

static void check_level(const struct settings_registry *settings, struct findings *findings)
{
    const struct registry_question question = {.verb = REGISTRY_COMPATIBILITY};
    struct registry_wait *registry = registry_wait_new(settings);
    struct buffer level = {0};
    struct err err;

    if (registry_wait_ask(registry, &question, NULL, NULL, &level, &err) != 0) {
        finding(findings, FINDING_NOTE, "registry compatibility", NULL, "can't be asked: %s", err.text);
    } else {
        judge_level(buffer_text(&level), findings);
    }
    buffer_deinit(&level);
    registry_wait_free(registry);
}

/* Alone, so that no other URL answers for it. */
static bool serves(const struct settings_registry *settings, char *url, struct err *ret_trouble)
{
    const struct registry_question question = {.verb = REGISTRY_TYPES};
    struct settings_registry alone = *settings;
    struct registry_wait *registry;
    int status;

    alone.urls = (struct text_list){&url, 1};
    registry = registry_wait_new(&alone);
    status = registry_wait_ask(registry, &question, NULL, NULL, NULL, ret_trouble);
    registry_wait_free(registry);
    return status == 0;
}

static void tell(const char *url, const struct err *trouble, bool others_serve, struct findings *findings)
{
    if (trouble->class == ERR_NONE) {
        finding(findings, FINDING_OK, "registry", NULL, "%s answers, and knows Avro", url);
    } else {
        finding(findings, others_serve ? FINDING_WARNING : FINDING_ERROR, "registry",
                "see registry.url, registry.user, registry.ca_file, and what stands between", "%s: %s%s", url, trouble->text,
                others_serve ? ". Another of registry.url serves" : "");
    }
}

void registry_check(const struct settings_registry *settings, struct findings *findings)
{
    struct err *troubles = calloc(settings->urls.count, sizeof *troubles); /* by URL; ERR_NONE: it serves */
    size_t serving = 0;

    must(troubles != NULL || settings->urls.count == 0);
    for (size_t i = 0; i < settings->urls.count; i++) {
        serving += serves(settings, settings->urls.texts[i], &troubles[i]) ? 1 : 0;
    }
    for (size_t i = 0; i < settings->urls.count; i++) {
        tell(settings->urls.texts[i], &troubles[i], serving > 0, findings);
    }
    if (serving > 0) {
        check_level(settings, findings);
    }
    free(troubles);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is registered to try it out: a version can't be taken back without a trace. So whether the user may register is learnt when
 * the first table is prepared, which the log then says.
 */
#include "common/registry_check.h"

#include <string.h>

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

static void check_level(struct registry_wait *registry, struct findings *findings)
{
    const struct registry_question question = {.verb = REGISTRY_COMPATIBILITY};
    struct buffer level = {0};
    struct err err;

    if (registry_wait_ask(registry, &question, NULL, NULL, &level, &err) != 0) {
        finding(findings, FINDING_NOTE, "registry compatibility", NULL, "can't be asked: %s", err.text);
    } else {
        judge_level(buffer_text(&level), findings);
    }
    buffer_deinit(&level);
}

void registry_check(const struct settings_registry *settings, struct findings *findings)
{
    const struct registry_question question = {.verb = REGISTRY_TYPES};
    struct registry_wait *registry;
    struct err err;

    if (settings->url == NULL) {
        return;
    }
    registry = registry_wait_new(settings);
    if (registry_wait_ask(registry, &question, NULL, NULL, NULL, &err) != 0) {
        finding(findings, FINDING_ERROR, "registry", "see registry.url, registry.user, registry.ca_file, and what stands between", "%s", err.text);
    } else {
        finding(findings, FINDING_OK, "registry", NULL, "%s answers, and knows Avro", settings->url);
        check_level(registry, findings);
    }
    registry_wait_free(registry);
}

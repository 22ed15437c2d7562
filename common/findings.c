/* SPDX-License-Identifier: Apache-2.0 */
/* One list, so that text and JSON can't differ. */
#include "common/findings.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/cli.h"
#include "common/json_text.h"
#include "common/must.h"

#define LEVEL_COUNT (FINDING_ERROR + 1)

static const char *const words[LEVEL_COUNT] = {"ok", "note", "warning", "error"};

struct findings {
    FILE *out;
    json_t *list; /* NULL: text */
    size_t counts[LEVEL_COUNT];
};

struct findings *findings_new(FILE *out, bool json)
{
    struct findings *findings = calloc(1, sizeof *findings);

    must(findings != NULL);
    findings->out = out;
    findings->list = json ? json_array() : NULL;
    return findings;
}

void finding(struct findings *findings, enum finding_level level, const char *subject, const char *remedy, const char *format, ...)
{
    va_list arguments;
    char *said;

    va_start(arguments, format);
    must(vasprintf(&said, format, arguments) >= 0);
    va_end(arguments);
    findings->counts[level]++;
    if (findings->list != NULL) {
        must(json_array_append_new(findings->list, json_pack("{s:s, s:o, s:o, s:o}", "level", words[level], "subject", json_text(subject), "finding",
                                                             json_text(said), "remedy", remedy != NULL ? json_text(remedy) : json_null())) == 0);
    } else {
        (void)fprintf(findings->out, "%-8s %s: %s%s%s\n", words[level], subject, said, remedy != NULL ? ". Remedy: " : "",
                      remedy != NULL ? remedy : "");
        (void)fflush(findings->out);
    }
    free(said);
}

size_t findings_count(const struct findings *findings, enum finding_level level)
{
    return findings->counts[level];
}

int findings_end(struct findings *findings)
{
    size_t errors = findings->counts[FINDING_ERROR], warnings = findings->counts[FINDING_WARNING];

    if (findings->list != NULL) {
        json_t *all = json_pack("{s:I, s:I, s:o}", "errors", (json_int_t)errors, "warnings", (json_int_t)warnings, "findings", findings->list);

        must(all != NULL && json_dumpf(all, findings->out, JSON_INDENT(2)) == 0);
        (void)fputc('\n', findings->out);
        json_decref(all);
    } else {
        (void)fprintf(findings->out, "%zu errors, %zu warnings, %zu ok\n", errors, warnings, findings->counts[FINDING_OK]);
    }
    free(findings);
    return errors > 0 ? CLI_FAILED : CLI_OK;
}

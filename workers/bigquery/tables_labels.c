/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose something is: the labels that we write, and what those that we find mean. Of a dataset the owner counts, since to write
 * into another environment's can't be taken back; of a table what it is, and of which source table. And what a dataset that
 * somebody else made does to the tables in it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/schema.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/tables_shape_parts.h"

#define LABEL_VALUE_MAX 63
#define DAY_MS          86400000.0

/* ---- what we write */

/* Lower-case letters, digits, '_' and '-', 63 of them. A text that is no such has a fingerprint behind what is left of it, so
 * that two owners stay two. */
static void append_label_value(struct buffer *out, const char *text)
{
    size_t start = out->size;
    size_t size = strlen(text);
    bool whole = size <= LABEL_VALUE_MAX;

    for (size_t i = 0; i < size && i < LABEL_VALUE_MAX - 9; i++) {
        unsigned char c = (unsigned char)text[i];

        if (islower(c) || isdigit(c) || c == '_' || c == '-') {
            buffer_append_byte(out, c);
        } else {
            buffer_append_byte(out, isupper(c) ? (uint8_t)tolower(c) : '-');
            whole = false;
        }
    }
    if (whole) {
        out->size = start;
        buffer_append_text(out, text);
    } else {
        buffer_printf(out, "-%08x", (unsigned)schema_fingerprint(text, size));
    }
}

void shape_append_owner(struct buffer *out, const struct settings *settings)
{
    append_label_value(out, settings->bigquery.owner != NULL ? settings->bigquery.owner : settings->prefix);
}

json_t *shape_labels(const struct shape_making *making, const char *kind)
{
    const struct text_pairs *given = &making->settings->bigquery.labels;
    struct buffer owner = {0};
    json_t *labels = json_object();

    for (size_t i = 0; i < given->count; i++) {
        shape_set_text(labels, given->pairs[i].key, given->pairs[i].value);
    }
    shape_append_owner(&owner, making->settings);
    shape_set_text(labels, "kakehi_owner", buffer_text(&owner));
    buffer_deinit(&owner);
    if (kind != NULL) {
        shape_set_text(labels, "kakehi_kind", kind);
        shape_set_text(labels, "kakehi_source", making->names->source_id);
    }
    return labels;
}

/* ---- what we find */

enum shape_owner shape_owner_of(const json_t *dataset, const struct shape_making *making, struct err *err)
{
    const struct bigquery_names *names = making->names;
    const char *there = json_string_value(json_object_get(json_object_get(dataset, "labels"), "kakehi_owner"));
    struct buffer ours = {0};
    enum shape_owner owner = SHAPE_NOBODYS;

    shape_append_owner(&ours, making->settings);
    if (there == NULL) {
        (void)err_set(err, ERR_FATAL,
                      "the dataset %s.%s holds tables and has no owner: if it is for this pipeline, say so by bq update --set_label "
                      "kakehi_owner:%s %s:%s; else choose another by bigquery.dataset",
                      names->project, names->dataset, buffer_text(&ours), names->project, names->dataset);
    } else if (strcmp(there, buffer_text(&ours)) != 0) {
        owner = SHAPE_ANOTHERS;
        (void)err_set(err, ERR_FATAL,
                      "the dataset %s.%s belongs to %s (label kakehi_owner), we are %s: choose another by bigquery.dataset or "
                      "bigquery.project, or set bigquery.owner",
                      names->project, names->dataset, there, buffer_text(&ours));
    } else {
        owner = SHAPE_OURS;
    }
    buffer_deinit(&ours);
    return owner;
}

static void append_days(struct buffer *out, const json_t *dataset, const char *property, const char *what)
{
    double after_ms = strtod(shape_text(dataset, property), NULL);

    if (after_ms > 0) {
        buffer_printf(out, "%s%s after %g days", out->size > 0 ? ", " : "", what, after_ms / DAY_MS);
    }
}

void shape_append_expirations(struct buffer *out, const json_t *dataset)
{
    append_days(out, dataset, "defaultTableExpirationMs", "tables");
    append_days(out, dataset, "defaultPartitionExpirationMs", "partitions");
}

int shape_check(const struct shape *shape, const struct shape_making *making, const char *kind, struct err *err)
{
    const struct bigquery_names *names = making->names;
    const char *name = strcmp(kind, "history") == 0 ? names->history : strcmp(kind, "base") == 0 ? names->base : names->view;

    if (strcmp(shape_label(shape, "kakehi_kind"), kind) == 0 &&
        strcmp(shape_label(shape, "kakehi_source"), names->source_id) == 0) {
        return 0;
    }
    if (shape_label(shape, "kakehi_source")[0] != '\0') {
        return err_set(err, ERR_FATAL,
                       "%s.%s.%s belongs to another table of the source: it can't be the %s of %s; choose other names by "
                       "bigquery.table or bigquery.dataset",
                       names->project, names->dataset, name, kind, names->source);
    }
    return err_set(
        err, ERR_FATAL,
        "%s.%s.%s is there, but not as the %s of %s: drop or rename it, or choose another name by bigquery.table. If it "
        "is a copy of ours: bq update --set_label kakehi_kind:%s --set_label kakehi_source:%s %s:%s.%s",
        names->project, names->dataset, name, kind, names->source, kind, names->source_id, names->project, names->dataset,
        name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that were changed after a history was made, and what was not known then. What loses nothing is changed in place. What
 * does is left to a person, who is told the statement: a worker that starts with a slip of the pen in its settings must not
 * delete a year of days.
 *
 * A history that was made a moment ago may differ already: it takes the default expirations of its dataset, and a request that
 * makes a table has no word for "never" (BigQuery takes null for "not said"). Only a patch has.
 *
 * | setting                  | differs                        | then |
 * | none: the table expires  | at a time                      | changed: it never does |
 * | partition_expiration     | longer, or none by now         | changed |
 * |                          | shorter, or for the first time | left: the days beyond it are deleted at once |
 * | require_partition_filter | false by now                   | changed |
 * |                          | true by now                    | changed; left where the view is plain, which reads every day |
 * | labels, owner            | missing or other               | changed; labels that no setting names stay |
 * | the description          | begins otherwise               | changed: the source table is read out of it. What stands behind stays |
 * | none: clustering         | missing, and there is a key    | set: the key was not known when the history was made. Holds for new rows |
 * | kms_key                  | other                          | left: who may use which key is not ours to decide |
 */
#include <inttypes.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/tables_shape_parts.h"

#define DAY_MS INT64_C(86400000)

/* Takes the value. */
static void change(struct shape_drift *drift, const char *what, const char *key, json_t *value)
{
    if (drift->patch == NULL) {
        drift->patch = json_object();
    }
    shape_set(drift->patch, key, value);
    buffer_printf(&drift->changes, "%s%s", drift->changes.size > 0 ? ", " : "", what);
}

/* Ends the sentence: the statement follows. */
static void leave(struct shape_drift *drift, const struct bigquery_names *names, const char *why)
{
    buffer_printf(&drift->left, "%s%s: ALTER TABLE ", drift->left.size > 0 ? "; " : "", why);
    bigquery_append_path(&drift->left, names, names->history);
    buffer_append_text(&drift->left, " SET OPTIONS ");
}

/* No setting asks for that: it would take the newest row with the oldest one. */
static void compare_lifetime(const struct shape *history, struct shape_drift *drift)
{
    if (history->expires_at_ms > 0) {
        change(drift, "table expiration", "expirationTime", json_null());
        drift->keeps_rows = true;
    }
}

static void compare_expiration(const struct shape *history, const struct shape_making *making, struct shape_drift *drift)
{
    int64_t wanted_ms = making->settings->bigquery.partition_expiration_ms;
    int64_t there_ms = history->expiration_ms;

    if (wanted_ms == there_ms) {
        return;
    }
    if (wanted_ms == 0 || (there_ms > 0 && wanted_ms > there_ms)) {
        json_t *partitions = shape_partitioning(&making->settings->bigquery);

        if (wanted_ms == 0) {
            shape_set(partitions, "expirationMs", json_null());
        }
        change(drift, "partition expiration", "timePartitioning", partitions);
        drift->keeps_rows = true;
    } else {
        leave(drift, making->names, "the expiration is not made shorter by us, since it deletes days at once; when the view has its base");
        buffer_printf(&drift->left, "(partition_expiration_days = %g)", (double)wanted_ms / (double)DAY_MS);
    }
}

static void compare_filter(const struct shape *history, const struct shape_making *making, struct shape_drift *drift)
{
    bool wanted = making->settings->bigquery.require_partition_filter;

    if (wanted == history->filter_required) {
        return;
    }
    if (!wanted || settings_bigquery_view(making->settings, making->names->source) == BIGQUERY_VIEW_BASE) {
        change(drift, "partition filter", "requirePartitionFilter", json_boolean(wanted));
    } else {
        leave(drift, making->names,
              "the partition filter is not required by us, since the plain view reads every day; with bigquery.view: base");
        buffer_append_text(&drift->left, "(require_partition_filter = TRUE)");
    }
}

/* All that are there are sent, too. */
static void compare_labels(const struct shape *history, const struct shape_making *making, struct shape_drift *drift)
{
    json_t *wanted = shape_labels(making, "history");
    json_t *all = json_deep_copy(history->labels);

    must(all != NULL && json_object_update(all, wanted) == 0);
    if (json_equal(all, history->labels)) {
        json_decref(all);
    } else {
        change(drift, "labels", "labels", all);
    }
    json_decref(wanted);
}

bool shape_has_key(const struct shape *history)
{
    for (size_t i = 0; i < history->column_count; i++) {
        if (history->columns[i].key > 0) {
            return true;
        }
    }
    return false;
}

static void compare_description(const struct shape *history, const struct shape_making *making, struct shape_drift *drift)
{
    struct buffer words = {0};

    shape_append_history_words(&words, making->names, shape_has_key(history));
    if (history->description == NULL || strncmp(history->description, buffer_text(&words), words.size) != 0) {
        change(drift, "description", "description", json_string(buffer_text(&words)));
    }
    buffer_deinit(&words);
}

/* The history was made by a TRUNCATE of a table that nobody had seen a row of, or its source got a key since. */
static void compare_clustering(const struct shape *history, struct shape_drift *drift)
{
    json_t *clustering = history->clustered ? NULL : shape_clustering(history);

    if (clustering != NULL) {
        change(drift, "clustering", "clustering", clustering);
    }
}

/* A version of the key is the key. */
static bool is_key(const char *there, const char *wanted)
{
    size_t size = strlen(wanted);

    return there != NULL && strncmp(there, wanted, size) == 0 && (there[size] == '\0' || there[size] == '/');
}

static void compare_kms_key(const struct shape *history, const struct shape_making *making, struct shape_drift *drift)
{
    const char *wanted = making->settings->bigquery.kms_key;

    if (wanted != NULL && !is_key(history->kms_key, wanted)) {
        leave(drift, making->names, history->kms_key != NULL ? "its KMS key is another" : "it has no KMS key of yours");
        buffer_printf(&drift->left, "(kms_key_name = '%s')", wanted);
    }
}

void shape_drift(const struct shape *history, const struct shape_making *making, struct shape_drift *ret_drift)
{
    *ret_drift = (struct shape_drift){0};
    compare_lifetime(history, ret_drift);
    compare_expiration(history, making, ret_drift);
    compare_filter(history, making, ret_drift);
    compare_labels(history, making, ret_drift);
    compare_description(history, making, ret_drift);
    compare_clustering(history, ret_drift);
    compare_kms_key(history, making, ret_drift);
}

void shape_drift_deinit(struct shape_drift *drift)
{
    json_decref(drift->patch);
    buffer_deinit(&drift->changes);
    buffer_deinit(&drift->left);
    *drift = (struct shape_drift){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a struct history is made of, and the hash by which a mark knows its table again: of the table's full path and creation
 * time. A table that was undeleted has a new creation time; the label kakehi_continues, set by a person who has looked, says
 * whose place it takes.
 */
#include "workers/bigquery/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "schemas/schema.h"

static void set_hash(struct history *history, const char *continues)
{
    struct buffer text = {0};

    if (strlen(continues) == HISTORY_HASH_SIZE - 1) {
        memcpy(history->hash, continues, HISTORY_HASH_SIZE);
        return;
    }
    buffer_printf(&text, "%s %" PRId64, history->parent, history->created_ms);
    (void)snprintf(history->hash, sizeof history->hash, "%08x", (unsigned)schema_fingerprint(buffer_text(&text), text.size));
    buffer_deinit(&text);
}

static void copy_layout(struct bigquery_layout *layout, const struct shape *shape)
{
    struct bigquery_column *columns;

    layout->column_count = shape_layout(shape, &columns);
    for (size_t i = 0; i < layout->column_count; i++) {
        columns[i].name = must_strdup(columns[i].name);
    }
    layout->columns = columns;
}

static void copy_names(struct bigquery_names *to, const struct bigquery_names *from)
{
    *to = (struct bigquery_names){
        .project = must_strdup(from->project),
        .dataset = must_strdup(from->dataset),
        .view = must_strdup(from->view),
        .history = must_strdup(from->history),
        .base = must_strdup(from->base),
        .as_of = must_strdup(from->as_of),
        .source = must_strdup(from->source),
    };
    memcpy(to->source_id, from->source_id, sizeof to->source_id);
}

struct history *history_new(const struct bigquery_names *names, const struct shape *shape)
{
    struct history *history = calloc(1, sizeof *history);
    struct buffer parent = {0};

    must(history != NULL);
    history->_references = 1;
    copy_names(&history->names, names);
    buffer_printf(&parent, "projects/%s/datasets/%s/tables/%s", names->project, names->dataset, names->history);
    (void)buffer_text(&parent);
    history->parent = (char *)parent.bytes;
    history->created_ms = shape->created_ms;
    set_hash(history, shape_label(shape, "kakehi_continues"));
    copy_layout(&history->layout, shape);
    return history;
}

struct history *history_ref(struct history *history)
{
    history->_references++;
    return history;
}

void history_unref(struct history *history)
{
    if (history == NULL || --history->_references > 0) {
        return;
    }
    for (size_t i = 0; i < history->layout.column_count; i++) {
        free((char *)history->layout.columns[i].name);
    }
    free((struct bigquery_column *)history->layout.columns);
    bigquery_names_deinit(&history->names);
    free(history->parent);
    free(history->targets);
    free(history->refusal);
    free(history);
}

bool history_same_layout(const struct history *one, const struct history *other)
{
    if (one->layout.column_count != other->layout.column_count) {
        return false;
    }
    for (size_t i = 0; i < one->layout.column_count; i++) {
        if (one->layout.columns[i].type != other->layout.columns[i].type ||
            strcmp(one->layout.columns[i].name, other->layout.columns[i].name) != 0) {
            return false;
        }
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policies make of a change that can't be a row of its topic: a dead letter, in the same Kafka transaction as its neighbours and
 * the position (P1), or the end of the source.
 *
 * | what is wrong                                         | who decides              | what happens                                    |
 * | values that have no place in their column's type      | source.unrepresentable,  | a letter; the table goes on                     |
 * |                                                       | source.wide_decimals     |                                                 |
 * | the table: no schema, a null in the key, such a value | source.on_table_error    | the table is set aside: this change and all     |
 * | under the policy `stop`                               |                          | later ones are letters                          |
 * | a message larger than Kafka takes                     | producer.too_large       | a letter that refers to it; the table goes on   |
 *
 * Tables that are set aside stand in the position record ("aside": {"db.t": why}): a restart must not let newer rows of a table pass whose
 * older ones are letters. A person takes them out of it (`position --settled`), when the rows were read again or made right.
 *
 * Only the broker knows what is too large: it compresses, topics have limits of their own, and they change. So such a message is sent, is
 * refused, and takes the transaction with it; what is remembered then is its change, which becomes a letter when the source comes to it
 * again. The memory may be lost: then the broker is asked once more. A reference that is refused, too, ends the source; so do more changes
 * of one Kafka transaction than the memory holds.
 */
#include <stdio.h>
#include <string.h>

#include "common/json_text.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/pipeline_parts.h"
#include "schemas/table.h"

static struct metric_family set_aside METRIC_FAMILY = {
    .name = "kakehi_table_set_aside",
    .help = "1: changes of the table go to the dead letters since a table error (source.on_table_error).",
    .kind = METRIC_GAUGE,
    .labels = {"source", "table"},
};

static void show_aside(const struct pipeline *pipeline, double value)
{
    const char *name;
    json_t *why;

    json_object_foreach(pipeline->aside, name, why)
    {
        metric_set(metric_cell(&set_aside, (const char *const[]){pipeline->settings->source.name, name}), value);
    }
}

/* ---- the position record */

void pipeline_letters_begin(struct pipeline *pipeline, const json_t *record)
{
    const json_t *aside = json_object_get(record, "aside");
    const char *name;
    json_t *why;

    show_aside(pipeline, 0);
    json_decref(pipeline->aside);
    pipeline->aside = json_is_object(aside) ? json_deep_copy(aside) : json_object();
    show_aside(pipeline, 1);
    json_object_foreach(pipeline->aside, name, why)
    {
        log_warn("table_aside", "source=%s table=%q because=%q then=%q", pipeline->settings->source.name, name,
                 json_is_string(why) ? json_string_value(why) : "", "its changes go to the dead letters");
    }
}

void pipeline_letters_state(const struct pipeline *pipeline, json_t *state)
{
    if (json_object_size(pipeline->aside) > 0) {
        must(json_object_set_new(state, "aside", json_deep_copy(pipeline->aside)) == 0);
    }
}

void pipeline_letters_committed(struct pipeline *pipeline)
{
    size_t kept = 0;

    for (size_t i = 0; i < pipeline->too_large_count; i++) {
        if (!pipeline->too_large[i].used) {
            pipeline->too_large[kept++] = pipeline->too_large[i];
        }
    }
    pipeline->too_large_count = kept;
}

/* ---- what is too large */

static struct oversized *find_too_large(struct pipeline *pipeline, int64_t seq, int64_t idx)
{
    for (size_t i = 0; i < pipeline->too_large_count; i++) {
        if (pipeline->too_large[i].seq == seq && pipeline->too_large[i].idx == idx) {
            return &pipeline->too_large[i];
        }
    }
    return NULL;
}

/* Nothing that we could do gets it through: a person must. */
static void refuse_too_large(struct pipeline *pipeline, int64_t seq, int64_t idx, const char *why)
{
    struct err err = {0};

    (void)err_set(&err, ERR_FATAL, "the change with __seq %lld and __idx %lld is too large for Kafka, %s", (long long)seq, (long long)idx, why);
    pipeline_trouble(pipeline, &err);
}

void pipeline_on_too_large(struct pipeline *pipeline, int64_t seq, int64_t idx)
{
    struct oversized *known = find_too_large(pipeline, seq, idx);

    if (known != NULL && known->used) {
        refuse_too_large(pipeline, seq, idx, "and so is a reference to it: raise max.message.bytes of the topic of dead letters");
        return;
    }
    if (known == NULL && pipeline->too_large_count == PIPELINE_OVERSIZED_MAX) { /* forgetting one for another would go on for ever */
        refuse_too_large(pipeline, seq, idx, "as are many before it in the same Kafka transaction: raise max.message.bytes of its topic");
        return;
    }
    if (known == NULL) {
        pipeline->too_large[pipeline->too_large_count++] = (struct oversized){.seq = seq, .idx = idx};
    }
    pipeline->failures = 0; /* it goes forward: no longer and longer pauses */
}

static bool refer(struct pipeline *pipeline, size_t index)
{
    struct message message = messages_get(&pipeline->messages, index, 0);
    struct oversized *known = find_too_large(pipeline, message.seq, message.idx);

    if (known != NULL) {
        known->used = true;
        messages_refer(&pipeline->messages, index, &pipeline->held, pipeline->settings->source.name);
    }
    return known != NULL;
}

/* ---- letters */

/* The first of a table is worth a line, the figures tell of the others. */
static void tell_letter(const struct pipeline *pipeline, const struct tally *tally, const char *reason)
{
    if (tally->letters.open + tally->letters.in_cut + tally->letters.committed == 0) {
        log_warn("dead_letter", "source=%s table=%q transaction=%s idx=%lld reason=%q then=%q", pipeline->settings->source.name,
                 tally->table, pipeline->held.txid, (long long)pipeline->held.idx, reason, "going on; further ones are counted");
    }
}

void pipeline_made(struct pipeline *pipeline, struct tally *tally)
{
    for (size_t i = 0; i < pipeline->messages.count; i++) {
        struct message message;
        bool is_letter = messages_get(&pipeline->messages, i, 0).reason != NULL;

        if (pipeline->too_large_count > 0 && refer(pipeline, i) && !is_letter) {
            tell_letter(pipeline, tally, "the message is too large for Kafka");
            is_letter = true;
        }
        message = messages_get(&pipeline->messages, i, 0); /* as it is now */
        tally->bytes.open += message.key_size + message.value_size;
        tally->letters.open += is_letter;
    }
    pipeline->messages_given = 0;
    pipeline->holding = false;
    tally->changes.open++;
}

static bool give_letter(struct pipeline *pipeline, const char *reason)
{
    struct tally *tally = routes_tally(&pipeline->routes, pipeline->held.table->table);
    struct err err = {0};

    if (messages_make_letter(&pipeline->messages, &pipeline->held, pipeline->settings->source.name, reason, &err) != 0) {
        err.class = ERR_FATAL;
        (void)err_while(&err, "a change can't even be said as a dead letter");
        pipeline_trouble(pipeline, &err);
        return false;
    }
    tell_letter(pipeline, tally, reason);
    pipeline_made(pipeline, tally);
    return true;
}

/* ---- tables */

static void name_table(const struct pipeline *pipeline, char ret_name[TABLE_FULL_NAME_SIZE])
{
    const struct table *table = pipeline->held.table->table;

    table_full_name(table->database, table->name, ret_name);
}

static bool put_aside(struct pipeline *pipeline, const char *why)
{
    char name[TABLE_FULL_NAME_SIZE];

    name_table(pipeline, name);
    if (json_object_set_new(pipeline->aside, name, json_text(why)) != 0) {
        return false; /* a name that is not UTF-8 */
    }
    show_aside(pipeline, 1);
    log_error("table_aside", "source=%s table=%q transaction=%s because=%q then=%q", pipeline->settings->source.name, name,
              pipeline->held.txid, why, "this change and all later ones of the table go to the dead letters");
    return true;
}

bool pipeline_is_aside(const struct pipeline *pipeline)
{
    char name[TABLE_FULL_NAME_SIZE];

    if (json_object_size(pipeline->aside) == 0) {
        return false;
    }
    name_table(pipeline, name);
    return json_object_get(pipeline->aside, name) != NULL;
}

bool pipeline_letter_of_table_aside(struct pipeline *pipeline)
{
    return give_letter(pipeline, "the table is set aside");
}

/* The table's policy decides. doing: what stands in front of the error where it ends the source. */
static bool settle_table(struct pipeline *pipeline, struct err *err, const char *doing)
{
    if (pipeline->settings->source.on_table_error == ON_TABLE_ERROR_DEAD_LETTER && put_aside(pipeline, err->text)) {
        return give_letter(pipeline, err->text);
    }
    err->class = ERR_FATAL;
    (void)err_while(err, "%s", doing);
    pipeline_trouble(pipeline, err);
    return false;
}

bool pipeline_table_error(struct pipeline *pipeline, struct err *err)
{
    return settle_table(pipeline, err, "a table can't go on (mend it, or leave it out by `source.exclude`)");
}

bool pipeline_row_error(struct pipeline *pipeline, struct err *err)
{
    char doing[sizeof err->text];

    if (messages_is_for_letters(pipeline->held.table->table, &pipeline->held)) {
        return give_letter(pipeline, err->text);
    }
    (void)snprintf(doing, sizeof doing, "a row can't go on (see `source.unrepresentable`, or leave the table out by `source.exclude`): transaction %s, __idx %lld",
                   pipeline->held.txid, (long long)pipeline->held.idx);
    return settle_table(pipeline, err, doing);
}

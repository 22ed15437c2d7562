/* SPDX-License-Identifier: Apache-2.0 */
/* Written as plain data with functions: what a restart reads back is all there is, so a test can begin anywhere. */
#include "producer/binlog/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/json_text.h"
#include "common/must.h"

#define SET_POSITION "set the position with `kakehi-producer position`"

static void set_place(struct progress *progress, const char *file, uint64_t position)
{
    if (binlog_file_is_plain(file) && (progress->position != position || strcmp(progress->file, file) != 0)) {
        (void)snprintf(progress->file, sizeof progress->file, "%s", file);
        progress->position = position;
        progress->moves += progress->executed == NULL; /* with GTIDs the place is for people only */
    }
}

static struct gtid_set *parse_set(enum binlog_flavor flavor, const char *text, struct err *err)
{
    struct gtid_set *set = gtid_set_new(flavor);

    if (gtid_set_parse(set, text, err) != 0) {
        gtid_set_free(set);
        return NULL;
    }
    return set;
}

void progress_init(struct progress *progress, const struct binlog_facts *facts, const struct binlog_place *place)
{
    struct err err;

    *progress = (struct progress){.flavor = facts->flavor, .position = place->position, .moves = 1};
    memcpy(progress->server, facts->server, sizeof progress->server);
    memcpy(progress->file, place->file, sizeof progress->file);
    if (place->gtid != NULL) {
        progress->executed = parse_set(facts->flavor, place->gtid, &err);
        must(progress->executed != NULL); /* it was parsed when the place was checked, or came from the server's own set */
    }
}

void progress_deinit(struct progress *progress)
{
    gtid_set_free(progress->executed);
    text_list_deinit(&progress->reread);
    dropped_columns_deinit(&progress->dropped);
    *progress = (struct progress){0};
}

/* ---- taking up a record */

static int bad_record(struct err *err, const char *what)
{
    return err_set(err, ERR_FATAL, "the position record's %s: " SET_POSITION, what);
}

static bool take_number(const json_t *object, const char *key, int64_t *ret_number)
{
    const json_t *number = json_object_get(object, key);

    *ret_number = json_integer_value(number);
    return json_is_integer(number) && *ret_number >= 0;
}

static int take_transaction(struct progress *progress, const json_t *transaction, struct err *err)
{
    const char *txid = json_string_value(json_object_get(transaction, "txid"));
    int64_t seq;
    int64_t rows;

    if (txid == NULL || txid[0] == '\0' || strlen(txid) >= sizeof progress->txid) {
        return bad_record(err, "\"transaction\" has no \"txid\"");
    }
    if (!take_number(transaction, "seq", &seq) || !take_number(transaction, "rows", &rows)) {
        return bad_record(err, "\"transaction\" has no \"seq\" or no \"rows\"");
    }
    (void)snprintf(progress->txid, sizeof progress->txid, "%s", txid);
    progress->in_transaction = true;
    progress->awaited = true;
    progress->seq = seq;
    progress->rows = (uint64_t)rows;
    return 0;
}

int progress_from_record(struct progress *progress, const struct binlog_wish *wish, const json_t *record, struct err *err)
{
    const json_t *transaction = json_object_get(record, "transaction");
    const json_t *table;
    size_t index;

    *progress = (struct progress){.flavor = wish->flavor, .position = wish->place.position};
    memcpy(progress->server, wish->server, sizeof progress->server);
    memcpy(progress->file, wish->place.file, sizeof progress->file);
    if (!take_number(record, "seq", &progress->seq) || !take_number(record, "ts", &progress->ts_us)) {
        return bad_record(err, "\"seq\" or \"ts\" is missing or is not a number");
    }
    if (transaction != NULL && take_transaction(progress, transaction, err) != 0) {
        return -1;
    }
    json_array_foreach(json_object_get(record, "reread"), index, table)
    {
        if (json_is_string(table)) {
            progress_reread(progress, json_string_value(table));
        }
    }
    dropped_columns_read(&progress->dropped, json_object_get(record, "dropped"));
    if (wish->place.gtid != NULL) {
        progress->executed = parse_set(wish->flavor, wish->place.gtid, err);
        return progress->executed != NULL ? 0 : err_while(err, "the position record");
    }
    return 0;
}

/* ---- going on */

/* O2: the GTID, or where the transaction starts. */
static int find_txid(const struct progress *progress, const struct binlog_transaction *transaction, char *ret_txid, struct err *err)
{
    if (!binlog_file_is_plain(transaction->file)) {
        return err_set(err, ERR_FATAL, "the name of the server's log file holds strange letters");
    }
    if (transaction->gtid[0] != '\0') {
        memcpy(ret_txid, transaction->gtid, sizeof transaction->gtid);
        return 0;
    }
    if (progress->executed != NULL) {
        return err_set(err, ERR_FATAL, "the transaction at %s:%" PRIu64 " has no GTID, so no GTID set can say that it is in: SET GLOBAL "
                       "gtid_mode=ON on all servers, then " SET_POSITION, transaction->file, transaction->position);
    }
    (void)snprintf(ret_txid, PROGRESS_TXID_SIZE, "%s:%" PRIu64, transaction->file, transaction->position);
    return 0;
}

static int meet_awaited(struct progress *progress, const char *txid, struct err *err)
{
    if (strcmp(progress->txid, txid) != 0) {
        return err_set(err, ERR_FATAL, "%" PRIu64 " row images of transaction %.100s are in Kafka, and the log goes on with %.100s: the server has "
                       "another order of transactions; compare, then " SET_POSITION, progress->rows, progress->txid, txid);
    }
    progress->awaited = false;
    return 0;
}

int progress_begin(struct progress *progress, const struct binlog_transaction *transaction, struct err *err)
{
    char txid[PROGRESS_TXID_SIZE];

    if (find_txid(progress, transaction, txid, err) != 0) {
        return -1;
    }
    progress->ts_us = transaction->commit_ts_us;
    if (progress->awaited) {
        return meet_awaited(progress, txid, err);
    }
    memcpy(progress->txid, txid, sizeof progress->txid);
    progress->seq_before = progress->seq;
    progress->seq = transaction->commit_ts_us > progress->seq ? transaction->commit_ts_us : progress->seq + 1; /* O1 */
    progress->in_transaction = true;
    progress->rows = 0;
    return 0;
}

bool progress_row(struct progress *progress, uint64_t index)
{
    if (index < progress->rows) {
        return false;
    }
    progress->rows = index + 1;
    progress->moves++;
    return true;
}

void progress_reread(struct progress *progress, const char *table)
{
    if (text_list_find(&progress->reread, table) == progress->reread.count) {
        text_list_add(&progress->reread, table);
        progress->moves++;
    }
}

void progress_dropped(struct progress *progress, const char *table, const struct column_names *columns)
{
    progress->moves += dropped_columns_note(&progress->dropped, table, columns);
}

bool progress_has_dropped(const struct progress *progress, const char *table, const struct column_names *columns)
{
    return dropped_columns_meet(&progress->dropped, table, columns);
}

bool progress_settled(struct progress *progress, const char *table)
{
    size_t i = text_list_find(&progress->reread, table);
    bool reread = i < progress->reread.count;

    if (reread) {
        text_list_remove(&progress->reread, i);
    }
    progress->moves += dropped_columns_forget(&progress->dropped, table) || reread;
    return reread;
}

int progress_end(struct progress *progress, const struct binlog_transaction *transaction, uint64_t images, const char *file, uint64_t position,
                 struct err *err)
{
    if (images < progress->rows) {
        return err_set(err, ERR_FATAL, "transaction %.100s has %" PRIu64 " row images, and %" PRIu64 " of it are in Kafka: this is another log; "
                       "compare, then " SET_POSITION, progress->txid, images, progress->rows);
    }
    if (progress->executed != NULL && gtid_set_add(progress->executed, transaction->gtid, err) != 0) {
        return err_while(err, "at %s:%" PRIu64, file, position);
    }
    progress->in_transaction = false;
    progress->rows = 0;
    progress->moves++;
    set_place(progress, file, position);
    return 0;
}

void progress_idle(struct progress *progress, const char *file, uint64_t position)
{
    if (!progress->in_transaction && file[0] != '\0') {
        set_place(progress, file, position);
    }
}

/* Has the transaction in work begun, and nothing of it was seen? Then it is as if it had not. */
static bool untouched(const struct progress *progress)
{
    return progress->in_transaction && progress->rows == 0;
}

void progress_await(struct progress *progress)
{
    if (untouched(progress)) {
        progress->in_transaction = false;
        progress->seq = progress->seq_before;
    }
    progress->awaited = progress->in_transaction;
}

/* ---- saying where */

static char *set_text(const struct progress *progress)
{
    struct buffer text = {0};
    char *copy;

    gtid_set_text(progress->executed, &text);
    copy = must_strdup(buffer_text(&text));
    buffer_deinit(&text);
    return copy;
}

void progress_wish(const struct progress *progress, struct binlog_wish *ret_wish)
{
    *ret_wish = (struct binlog_wish){.kind = WISH_RECORD, .flavor = progress->flavor};
    memcpy(ret_wish->server, progress->server, sizeof ret_wish->server);
    memcpy(ret_wish->place.file, progress->file, sizeof ret_wish->place.file);
    ret_wish->place.position = progress->position;
    ret_wish->place.gtid = progress->executed != NULL ? set_text(progress) : NULL;
}

/* What is known of tables. */
static void put_tables(json_t *record, const struct progress *progress)
{
    json_t *dropped = dropped_columns_json(&progress->dropped);
    json_t *reread = progress->reread.count > 0 ? json_array() : NULL;

    for (size_t i = 0; i < progress->reread.count; i++) {
        must(json_array_append_new(reread, json_text(progress->reread.texts[i])) == 0);
    }
    must(reread == NULL || json_object_set_new(record, "reread", reread) == 0);
    must(dropped == NULL || json_object_set_new(record, "dropped", dropped) == 0);
}

json_t *progress_record(const struct progress *progress)
{
    json_t *record = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "flavor", binlog_flavor_name(progress->flavor), "server", progress->server, "file",
                               progress->file, "position", (json_int_t)progress->position, "seq",
                               (json_int_t)(untouched(progress) ? progress->seq_before : progress->seq), "ts", (json_int_t)progress->ts_us);

    must(record != NULL);
    if (progress->executed != NULL) {
        char *text = set_text(progress);

        must(json_object_set_new(record, "gtid", json_string(text)) == 0);
        free(text);
    }
    put_tables(record, progress);
    if (progress->in_transaction && !untouched(progress)) {
        json_t *transaction = json_pack("{s:s, s:I, s:I}", "txid", progress->txid, "seq", (json_int_t)progress->seq, "rows", (json_int_t)progress->rows);

        must(transaction != NULL && json_object_set_new(record, "transaction", transaction) == 0);
    }
    return record;
}

int64_t progress_clock_gap_us(const struct progress *progress)
{
    return progress->ts_us == 0 ? 0 : progress->seq - progress->ts_us;
}

void progress_text(const struct progress *progress, char *ret_text, size_t size)
{
    char *text;
    size_t length;

    if (progress->executed == NULL) {
        (void)snprintf(ret_text, size, "%s:%" PRIu64, progress->file, progress->position);
        return;
    }
    text = set_text(progress);
    length = strlen(text);
    if (length < size) {
        memcpy(ret_text, text, length + 1);
    } else {
        (void)snprintf(ret_text, size, "...%s", text + length - (size - 4));
    }
    free(text);
}

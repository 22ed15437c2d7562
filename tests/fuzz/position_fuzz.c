/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a position record: refused with a remedy, or taken up and written again as a record that means the same.
 *
 * Behind a NUL the input may go on with what the log brings: each byte a step of a transaction, so that records of every
 * stage of work are written and taken up as well.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/progress.h"
#include "producer/positions.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* 0, or -1 with err. */
static int take_up(const json_t *record, struct progress *progress, struct err *err)
{
    struct binlog_wish wish = {0};
    int result;

    if (binlog_wish_from_record(&wish, record, err) != 0) {
        return -1;
    }
    result = progress_from_record(progress, &wish, record, err);
    if (result != 0) {
        progress_deinit(progress);
    }
    binlog_wish_deinit(&wish);
    return result;
}

static char *text_of(const struct progress *progress)
{
    return positions_text(progress_record(progress), "fuzz", NULL);
}

/* A restart: what is written now is taken up, and written as the same text. */
static void check_restart(const struct progress *progress)
{
    char *text = text_of(progress);
    struct progress restarted = {0};
    struct err err;
    json_t *record;
    char *again;

    must(positions_parse(text, strlen(text), &record, &err) == 0);
    must(take_up(record, &restarted, &err) == 0);
    again = text_of(&restarted);
    must(strcmp(text, again) == 0);
    progress_deinit(&restarted);
    json_decref(record);
    free(again);
    free(text);
}

static void step(struct progress *progress, struct binlog_transaction *transaction, uint8_t what)
{
    int64_t seq = progress->seq;
    struct err err = {0};
    int result = 0;

    if (!progress->in_transaction || progress->awaited) {
        (void)snprintf(transaction->gtid, sizeof transaction->gtid, "%s%u", progress->flavor == BINLOG_MARIADB ? "0-1-" : "3e11fa47-71ca-11e1-9e33-c80aa9429562:", 1 + what / 4u);
        transaction->position = 4 + what;
        transaction->commit_ts_us = what;
        result = progress_begin(progress, transaction, &err);
        must(result != 0 || progress->seq >= seq);
    } else if (what % 4 != 0) {
        (void)progress_row(progress, what / 4u);
    } else {
        result = progress_end(progress, transaction, what / 4u, "bin.000002", what + 4u, &err);
    }
    must(result == 0 || err.class == ERR_FATAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = memchr(bytes, '\0', size);
    size_t record_size = end != NULL ? (size_t)(end - bytes) : size;
    struct binlog_transaction transaction = {.file = "bin.000001"};
    struct progress progress = {0};
    struct err err = {0};
    json_t *record = NULL;

    if (positions_parse(bytes, record_size, &record, &err) != 0 || record == NULL || take_up(record, &progress, &err) != 0) {
        must(record == NULL || (err.class == ERR_FATAL && err.text[0] != '\0'));
        json_decref(record);
        return 0;
    }
    json_decref(record);
    check_restart(&progress);
    for (size_t at = record_size + 1; at < size && at < record_size + 64; at++) {
        step(&progress, &transaction, bytes[at]);
        check_restart(&progress);
    }
    progress_deinit(&progress);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark: what a commit of a partition says beside its offset (Kafka's commit metadata), and so all that the next owner has to go
 * by. ASCII, below 1 KiB: brokers refuse what is above 4 KiB.
 *
 *   v1 append <table> <stream> <row> [<end>+<rows>@<day>.<seq>.<idx>]...
 *   v1 load <table> <job id> <location> <end>
 *
 *   table    8 hex digits, of the history's full path and creation time (struct history); "-": there was none yet
 *   stream   last part of the write stream's name; "-": none
 *   row      of the stream, where the committed offset stands
 *   end      one past the last offset of a request that is under way, oldest first; rows: how many it has
 *   day      its ingest day, days since 1970-01-01
 *   seq.idx  place in the order of its first row: whether it is in can be asked of the table (rule C7)
 *
 * What can't be read is refused: an offset that a tool has set has no mark, or another's, and nobody knows then what is in (C6).
 * A release that brings v2 reads both and writes v1; the one behind it writes v2. Pure.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_MARK_H
#define KAKEHI_WORKERS_BIGQUERY_MARK_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define MARK_SIZE          1024 /* with its NUL */
#define MARK_TABLE_SIZE    9
#define MARK_STREAM_SIZE   257
#define MARK_JOB_SIZE      128
#define MARK_LOCATION_SIZE 64
#define MARK_REQUESTS_MAX  8 /* the largest mark still fits: mark_test */

struct mark_request {
    int64_t end;
    int64_t rows; /* at least 1 */
    int32_t day;
    int64_t seq;
    int64_t idx;
};

struct mark_append {
    char stream[MARK_STREAM_SIZE]; /* "": none; then row is 0 and nothing is under way */
    int64_t row;
    struct mark_request requests[MARK_REQUESTS_MAX]; /* ends grow */
    size_t request_count;
};

struct mark_load {
    char job[MARK_JOB_SIZE];
    char location[MARK_LOCATION_SIZE];
    int64_t end;
};

enum mark_kind { MARK_APPEND, MARK_LOAD };

struct mark {
    enum mark_kind kind;
    char table[MARK_TABLE_SIZE]; /* "": none */
    union {
        struct mark_append append;
        struct mark_load load;
    };
};

/* ERR_FATAL on anything that mark_print can't have made; the text says what the mark is and what to do. */
int mark_parse(const char *text, struct mark *ret_mark, struct err *err) MUST_CHECK;
void mark_print(const struct mark *mark, char text[MARK_SIZE]);

/* Can this be a stream's or location's name in a mark? Not empty, no blank, shorter than size. */
int mark_check_word(const char *word, size_t size, const char *what, struct err *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append_rules: what an answer to an AppendRows request means, and what is done then: the table of ARCHITECTURE's rules C3 and C5,
 * in one place. Pure.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_APPEND_RULES_H
#define KAKEHI_WORKERS_BIGQUERY_APPEND_RULES_H

#include <stdbool.h>
#include <stdint.h>

enum append_verdict {
    APPEND_IN,         /* every row of the request is in */
    APPEND_AGAIN,      /* the same bytes at the same row, after a pause */
    APPEND_NEW_TOKEN,  /* the same, signed in anew */
    APPEND_NEW_CALL,   /* the same, on a new call: the service does not know the new column yet */
    APPEND_BEHIND,     /* the same, behind the one that failed before it */
    APPEND_PAUSE,      /* the same; but a person must act before it can work */
    APPEND_BAD_ROWS,   /* nothing is in, and the rows that are named never will be */
    APPEND_SURPRISE,   /* what is in is not known by this: seal the stream and see */
};

struct append_facts {
    int32_t code;       /* enum grpc_code: of the answer, or of the call's end; 0: the rows are accepted */
    int32_t error_code; /* enum storage_error_code; 0: none */
    bool row_errors;    /* the answer names rows */
    bool other_row;     /* accepted, but at another row of the stream than was asked for */
    bool unsure;        /* an earlier try of this request had no answer: a copy of it may be in, or still arrive */
    bool behind;        /* a request before it, on the same call, was not accepted */
};

struct append_rule {
    enum append_verdict verdict;
    const char *why; /* "the offset is taken by an earlier try": for logs and tests */
};

/* Never NULL: what no rule speaks of is a surprise. */
const struct append_rule *append_judge(const struct append_facts *facts);
const char *append_verdict_name(enum append_verdict verdict);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_state: what a refresh must remember stands in the last line of the view's own text, a comment:
 *
 *   -- kakehi {"as_of": "9c1f03aa", "base": "1795269675045", "watermark": "2026-11-19", "days": {"2026-11-18": 1042, ...}}
 *
 * So it changes with the watermark in one patch, which carries the ETag (F1), and nothing else has to be kept anywhere.
 *
 *   as_of      a fingerprint of the as-of function's text: it is made again when that changes
 *   base       the creation time of the base that the text reads; absent: it reads none
 *   watermark  the first ingest day that the text takes from the history; absent with base
 *   days       closed days before the watermark, with their rows when they were merged (F5)
 *
 * And what a view is made of: the columns of the history and what their descriptions say (tables_shape.h).
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_VIEW_STATE_H
#define KAKEHI_WORKERS_BIGQUERY_VIEW_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/settings.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/view_sql.h"

#define VIEW_DAYS_KEPT 7 /* how long a closed day's rows are watched */

struct view_day {
    int32_t day;
    int64_t rows;
};

struct view_state {
    char as_of[9];     /* "": none */
    int64_t base_ms;   /* 0: the view reads the whole history */
    int32_t watermark; /* VIEW_DAY_NONE with base_ms 0 */
    struct view_day days[VIEW_DAYS_KEPT];
    size_t day_count;
};

/* Out of a view's text; one without the line, or with a bad one, is a view that somebody wrote: all zeros. */
void view_state_read(const char *query, struct view_state *ret_state);
/* Appends the line. */
void view_state_append(struct buffer *out, const struct view_state *state);

/* "2026-11-19" to days since 1970-01-01; false: it is no such date. */
bool view_day_parse(const char *text, int32_t *ret_day);

/* Owns its arrays; names are borrowed from the shape, and `names` from the caller. */
struct view_parts {
    struct view_definition definition;
    struct view_column *columns;
    size_t *key;
};

/* ERR_FATAL: the key's columns are not all marked as such. A definition with key_count 0: the table has no key, and no view. */
int view_parts_init(struct view_parts *parts, const struct shape *history, const struct bigquery_names *names,
                    const struct settings_bigquery *settings, struct err *err) MUST_CHECK;
void view_parts_deinit(struct view_parts *parts); /* {0} is fine */

#endif

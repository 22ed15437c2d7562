/* SPDX-License-Identifier: Apache-2.0 */
/* Words and numbers of types, both ways. What MySQL's types become is said once, in schemas/types.c. */
#include "workers/bigquery/bigquery_types.h"

#include <string.h>

#include "common/must.h"
#include "schemas/types.h"

#define NUMERIC_WHOLE_DIGITS    29
#define NUMERIC_FRACTION_DIGITS 9

static const struct {
    const char *word;
    const char *older; /* as the REST API spells it in answers, where that is another word */
} words[BIGQUERY_TYPE_COUNT] = {
    [BIGQUERY_INT64] = {"INT64", "INTEGER"},  [BIGQUERY_FLOAT64] = {"FLOAT64", "FLOAT"},
    [BIGQUERY_NUMERIC] = {"NUMERIC", NULL},   [BIGQUERY_BIGNUMERIC] = {"BIGNUMERIC", NULL},
    [BIGQUERY_BOOL] = {"BOOL", "BOOLEAN"},    [BIGQUERY_STRING] = {"STRING", NULL},
    [BIGQUERY_BYTES] = {"BYTES", NULL},       [BIGQUERY_DATE] = {"DATE", NULL},
    [BIGQUERY_DATETIME] = {"DATETIME", NULL}, [BIGQUERY_TIMESTAMP] = {"TIMESTAMP", NULL},
    [BIGQUERY_JSON] = {"JSON", NULL},
};

const struct bigquery_column bigquery_meta_columns[BIGQUERY_META_COUNT] = {
    [BIGQUERY_META_OP] = {"__op", BIGQUERY_STRING},
    [BIGQUERY_META_TS] = {"__ts", BIGQUERY_TIMESTAMP},
    [BIGQUERY_META_SEQ] = {"__seq", BIGQUERY_INT64},
    [BIGQUERY_META_IDX] = {"__idx", BIGQUERY_INT64},
    [BIGQUERY_META_SOURCE] = {"__source", BIGQUERY_STRING},
    [BIGQUERY_META_TXID] = {"__txid", BIGQUERY_STRING},
    [BIGQUERY_META_INGEST_DAY] = {"__ingest_day", BIGQUERY_DATE},
};

const char *bigquery_type_word(enum bigquery_type type)
{
    must((unsigned)type < BIGQUERY_TYPE_COUNT);
    return words[type].word;
}

int bigquery_type_by_word(const char *word)
{
    for (int type = 0; type < BIGQUERY_TYPE_COUNT; type++) {
        if (strcmp(words[type].word, word) == 0 || (words[type].older != NULL && strcmp(words[type].older, word) == 0)) {
            return type;
        }
    }
    return -1;
}

enum bigquery_type bigquery_type_of(const struct column *column)
{
    int type = bigquery_type_by_word(type_facts(column->type)->bigquery);

    must(type >= 0);
    if (column->type == COLUMN_DECIMAL &&
        (column->scale > NUMERIC_FRACTION_DIGITS || column->precision - column->scale > NUMERIC_WHOLE_DIGITS)) {
        return BIGQUERY_BIGNUMERIC;
    }
    return (enum bigquery_type)type;
}

size_t bigquery_layout_find(const struct bigquery_layout *layout, const char *name)
{
    size_t place = 0;

    while (place < layout->column_count && strcasecmp(layout->columns[place].name, name) != 0) {
        place++;
    }
    return place;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the text of a statement. What must hold: each kind names what its readers ask of it, no table has an empty name but that
 * of a database that is dropped, and what is borrowed lies inside the text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(const struct query *query, const char *text, size_t size)
{
    bool about_tables = query->kind == QUERY_EMPTIES_TABLES || query->kind == QUERY_EMPTIES_DATABASE || query->kind == QUERY_REWRITES_TABLES ||
                        query->kind == QUERY_ALTERS_COLUMNS || query->kind == QUERY_CHANGES_ROWS;

    must(query->kind <= QUERY_CHANGES_ROWS);
    must(query->table_count == 0 || about_tables);
    must(query->kind != QUERY_EMPTIES_DATABASE || query->table_count == 1);
    for (size_t i = 0; i < query->table_count; i++) {
        must((query->tables[i].name[0] == '\0') == (query->kind == QUERY_EMPTIES_DATABASE));
        must(query->tables[i].database != NULL);
        must(!query->tables[i].left || query->kind == QUERY_REWRITES_TABLES);
    }
    if (query->kind == QUERY_XA_COMMIT || query->kind == QUERY_XA_ROLLBACK) {
        must(query->xid >= text && query->xid_size <= size && query->xid + query->xid_size <= text + size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint64_t modes[] = {0, QUERY_ANSI_QUOTES, QUERY_ANSI_QUOTES | QUERY_NO_BACKSLASH_ESCAPES};
    char *text = malloc(size); /* its own, without a NUL behind it: a read behind it shows */
    struct query query;

    must(text != NULL || size == 0);
    memcpy(text, bytes, size);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        query_read(&query, text, size, "db", modes[i]);
        check(&query, text, size);
        query_deinit(&query);
    }
    free(text);
    return 0;
}

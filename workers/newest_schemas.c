/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table by name. It grows with the tables that the topic tells of, which hold their schemas' texts anyway. */
#include "workers/newest_schemas.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define BUCKETS 1024

struct entry {
    struct entry *next;
    const struct schema *newest;
    const struct schema *told; /* NULL: none yet */
};

struct newest_schemas {
    struct entry *buckets[BUCKETS];
};

struct newest_schemas *newest_schemas_new(void)
{
    struct newest_schemas *newest = calloc(1, sizeof *newest);

    must(newest != NULL);
    return newest;
}

void newest_schemas_free(struct newest_schemas *newest)
{
    for (size_t i = 0; newest != NULL && i < BUCKETS; i++) {
        while (newest->buckets[i] != NULL) {
            struct entry *entry = newest->buckets[i];

            newest->buckets[i] = entry->next;
            free(entry);
        }
    }
    free(newest);
}

static struct entry **bucket_of(struct newest_schemas *newest, const struct table *table)
{
    uint64_t hash = schema_fingerprint(table->database, strlen(table->database)) * 31 + schema_fingerprint(table->name, strlen(table->name));

    return &newest->buckets[hash % BUCKETS];
}

static bool is_of(const struct entry *entry, const struct table *table)
{
    const struct table *own = entry->newest->table;

    return strcmp(own->name, table->name) == 0 && strcmp(own->database, table->database) == 0;
}

void newest_schemas_take(struct newest_schemas *newest, const struct schema *schema)
{
    struct entry **bucket = bucket_of(newest, schema->table);
    struct entry *entry = *bucket;

    if (schema->table->column_count == 0) {
        return;
    }
    while (entry != NULL && !is_of(entry, schema->table)) {
        entry = entry->next;
    }
    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        must(entry != NULL);
        entry->next = *bucket;
        *bucket = entry;
    }
    entry->newest = schema;
}

void newest_schemas_tell(struct newest_schemas *newest, newest_schema_told told, void *context)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry *entry = newest->buckets[i]; entry != NULL; entry = entry->next) {
            if (entry->told != entry->newest) {
                entry->told = entry->newest;
                told(context, entry->newest);
            }
        }
    }
}

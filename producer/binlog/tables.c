/* SPDX-License-Identifier: Apache-2.0 */
/* Two maps: content to table for as long as the stream lives, number to table until the statement ends. */
#include "producer/binlog/tables.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define BUCKETS    4096
#define MAPPED_MAX 4096 /* TABLE_MAPs of one statement */

struct content { /* one TABLE_MAP */
    struct tables_entry entry;
    struct shape *shape;
    uint8_t *body;
    size_t size;
    enum binlog_flavor flavor;
    uint64_t hash;
    struct content *next;
};

struct known { /* one shape of a table that is selected */
    struct binlog_table table;
    struct known *older; /* of the same bucket of names; the newest of a name comes first */
};

struct mapped {
    uint64_t table_id;
    const struct content *content;
};

struct tables {
    const struct binlog_stream_options *options;
    const struct doubts *doubts;
    struct content *contents[BUCKETS];
    struct known *known[BUCKETS]; /* by name */
    struct mapped *mapped;
    size_t mapped_count;
    size_t mapped_capacity;
    uint64_t version;
};

struct tables *tables_new(const struct binlog_stream_options *options, const struct doubts *doubts)
{
    struct tables *tables = calloc(1, sizeof *tables);

    must(tables != NULL);
    tables->options = options;
    tables->doubts = doubts;
    return tables;
}

static void free_content(struct content *content)
{
    shape_free(content->shape);
    free(content->body);
    free(content);
}

static void free_contents(struct content *content)
{
    while (content != NULL) {
        struct content *next = content->next;

        free_content(content);
        content = next;
    }
}

static void free_known(struct known *known)
{
    while (known != NULL) {
        struct known *older = known->older;

        table_free((struct table *)(uintptr_t)known->table.table);
        free(known);
        known = older;
    }
}

void tables_free(struct tables *tables)
{
    if (tables == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        free_contents(tables->contents[i]);
        free_known(tables->known[i]);
    }
    free(tables->mapped);
    free(tables);
}

/* FNV-1a, eight bytes at a time. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        uint64_t word = 0;
        size_t step = size < sizeof word ? size : sizeof word;

        memcpy(&word, at, step);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
        hash ^= hash >> 32;
        at += step;
        size -= step;
    }
    return hash;
}

static struct known **bucket_of_name(struct tables *tables, const char *database, const char *name)
{
    uint64_t hash = hash_bytes(hash_bytes(UINT64_C(0xcbf29ce484222325), database, strlen(database) + 1), name, strlen(name));

    return &tables->known[hash % BUCKETS];
}

static bool has_name(const struct known *known, const char *database, const char *name)
{
    return strcmp(known->table.table->name, name) == 0 && strcmp(known->table.table->database, database) == 0;
}

bool tables_selected(const struct tables *tables, const char *database, const char *name)
{
    const struct binlog_stream_options *options = tables->options;

    return options->selected == NULL || options->selected(options->context, database, name);
}

/* Takes the table. The same shape as an older one gives that again; another is put in front, as the newest of its name. */
static const struct binlog_table *know(struct tables *tables, struct table *table)
{
    struct known **bucket = bucket_of_name(tables, table->database, table->name);
    struct known **at = bucket;
    struct known *known;

    while (*at != NULL && !table_same((*at)->table.table, table)) {
        at = &(*at)->older;
    }
    known = *at;
    if (known != NULL) {
        *at = known->older;
        table_free(table);
    } else {
        known = calloc(1, sizeof *known);
        must(known != NULL);
        known->table = (struct binlog_table){table, ++tables->version};
    }
    known->older = *bucket;
    *bucket = known;
    return &known->table;
}

const struct binlog_table *tables_by_name(struct tables *tables, const char *database, const char *name)
{
    const struct known *known = *bucket_of_name(tables, database, name);

    if (!tables_selected(tables, database, name)) {
        return NULL;
    }
    while (known != NULL && !has_name(known, database, name)) {
        known = known->older;
    }
    return known != NULL ? &known->table : know(tables, table_new(database, name, 0, 0));
}

static struct content *find_content(const struct tables *tables, uint64_t hash, enum binlog_flavor flavor, const uint8_t *body,
                                    size_t size)
{
    struct content *content = tables->contents[hash % BUCKETS];

    while (content != NULL && !(content->hash == hash && content->flavor == flavor && content->size == size &&
                                memcmp(content->body, body, size) == 0)) {
        content = content->next;
    }
    return content;
}

static struct content *add_content(struct tables *tables, uint64_t hash, enum binlog_flavor flavor, const uint8_t *body,
                                   size_t size, struct err *err)
{
    struct table_map map;
    struct content *content;

    if (table_map_read(&map, flavor, body, size, err) != 0) {
        return NULL;
    }
    content = calloc(1, sizeof *content);
    must(content != NULL);
    content->shape = shape_new(&map, flavor, tables->options, tables->doubts->marks);
    table_map_deinit(&map);
    content->body = malloc(size + 1);
    must(content->body != NULL);
    memcpy(content->body, body, size);
    content->size = size;
    content->flavor = flavor;
    content->hash = hash;
    content->entry.shape = content->shape;
    content->next = tables->contents[hash % BUCKETS];
    tables->contents[hash % BUCKETS] = content;
    return content;
}

/* Asks once whether the table is wanted, and makes it known outside. */
static void select_content(struct tables *tables, struct content *content)
{
    struct table *table = shape_take_table(content->shape);

    if (tables_selected(tables, table->database, table->name)) {
        content->entry.table = know(tables, table);
    } else {
        table_free(table);
    }
}

int tables_map(struct tables *tables, uint64_t table_id, enum binlog_flavor flavor, const uint8_t *body, size_t size,
               struct err *err)
{
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), body, size);
    struct content *content = find_content(tables, hash, flavor, body, size);
    size_t i = 0;

    if (content == NULL) {
        content = add_content(tables, hash, flavor, body, size, err);
        if (content == NULL) {
            return -1;
        }
        select_content(tables, content);
    }
    while (i < tables->mapped_count && tables->mapped[i].table_id != table_id) {
        i++;
    }
    if (i == MAPPED_MAX) {
        return err_set(err, ERR_FATAL, "TABLE_MAP: a statement with more than %d tables", MAPPED_MAX);
    }
    if (i == tables->mapped_capacity) {
        tables->mapped_capacity = tables->mapped_capacity > 0 ? 2 * tables->mapped_capacity : 16;
        tables->mapped = realloc(tables->mapped, tables->mapped_capacity * sizeof *tables->mapped);
        must(tables->mapped != NULL);
    }
    tables->mapped[i] = (struct mapped){table_id, content};
    tables->mapped_count += i == tables->mapped_count;
    return 0;
}

const struct tables_entry *tables_find(const struct tables *tables, uint64_t table_id)
{
    for (size_t i = 0; i < tables->mapped_count; i++) {
        if (tables->mapped[i].table_id == table_id) {
            return &tables->mapped[i].content->entry;
        }
    }
    return NULL;
}

void tables_unmap(struct tables *tables)
{
    tables->mapped_count = 0;
}

void tables_forget_doubtful(struct tables *tables)
{
    tables_unmap(tables);
    for (size_t i = 0; i < BUCKETS; i++) {
        struct content **at = &tables->contents[i];

        while (*at != NULL) {
            struct content *content = *at;

            if (content->shape->doubtful) {
                *at = content->next;
                free_content(content);
            } else {
                at = &content->next;
            }
        }
    }
}

bool tables_has_doubtful(const void *context, const char *database, const char *name)
{
    const struct tables *tables = context;

    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct content *content = tables->contents[i]; content != NULL; content = content->next) {
            const struct binlog_table *table = content->entry.table;

            if (content->shape->doubtful && table != NULL && strcmp(table->table->name, name) == 0 &&
                strcmp(table->table->database, database) == 0) {
                return true;
            }
        }
    }
    return false;
}

void tables_of_database(const struct tables *tables, struct query *query)
{
    struct query emptied = {.kind = QUERY_EMPTIES_TABLES};

    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct known *known = tables->known[i]; known != NULL; known = known->older) {
            const struct table *table = known->table.table;
            bool again = false; /* an older shape of one that is in */

            for (size_t t = 0; t < emptied.table_count; t++) {
                again |= strcmp(emptied.tables[t].name, table->name) == 0;
            }
            if (!again && strcmp(table->database, query->tables[0].database) == 0) {
                query_add_table(&emptied, table->database, table->name);
            }
        }
    }
    query_deinit(query);
    *query = emptied;
}

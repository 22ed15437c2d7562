/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two maps: content to table while it is used, number to table until the statement ends.
 *
 * Contents are given up when they are too much, those first that were not used for longest; but never one of the statement in hand, whose rows
 * are read by it, nor one that the doubts must know of. A TABLE_MAP stands in front of all rows, so a content that was given up is made again
 * of the next one.
 */
#include "producer/binlog/tables.h"

#include <stdlib.h>
#include <string.h>

#include "common/fnv.h"
#include "common/must.h"
#include "producer/binlog/shown.h"

#define BUCKETS            4096
#define MAPPED_MAX         4096              /* TABLE_MAPs of one statement */
#define CONTENTS_BYTES_MAX (8 * 1024 * 1024) /* about; of those that may be given up */

struct content { /* one TABLE_MAP */
    struct tables_entry entry;
    struct shape *shape;
    uint8_t *body;
    size_t size;
    enum binlog_flavor flavor;
    uint64_t hash;
    uint64_t statement; /* the last one that mapped it */
    struct content *next;
    struct content *colder; /* used before it */
    struct content *warmer;
};

struct mapped {
    uint64_t table_id;
    struct content *content;
};

struct tables {
    const struct binlog_stream_options *options;
    const struct doubts *doubts;
    struct content *contents[BUCKETS];
    struct content *coldest; /* of all contents, by their last use */
    struct content *warmest;
    size_t contents_bytes;
    struct shown shown;
    struct mapped *mapped;
    size_t mapped_count;
    size_t mapped_capacity;
    uint64_t statement; /* counts them */
};

struct tables *tables_new(const struct binlog_stream_options *options, const struct doubts *doubts)
{
    struct tables *tables = calloc(1, sizeof *tables);

    must(tables != NULL);
    tables->options = options;
    tables->doubts = doubts;
    return tables;
}

/* ---- contents, by their last use */

static void cool(struct tables *tables, struct content *content)
{
    *(content->colder != NULL ? &content->colder->warmer : &tables->coldest) = content->warmer;
    *(content->warmer != NULL ? &content->warmer->colder : &tables->warmest) = content->colder;
}

static void warm(struct tables *tables, struct content *content)
{
    content->colder = tables->warmest;
    content->warmer = NULL;
    *(content->colder != NULL ? &content->colder->warmer : &tables->coldest) = content;
    tables->warmest = content;
}

/* About: with the shape's columns, their labels and what malloc adds. */
static size_t bytes_of(const struct content *content)
{
    return sizeof *content + sizeof *content->shape + 3 * content->size + content->shape->column_count * sizeof *content->shape->columns;
}

static void forget(struct tables *tables, struct content *content)
{
    struct content **at = &tables->contents[content->hash % BUCKETS];

    while (*at != content) {
        at = &(*at)->next;
    }
    *at = content->next;
    cool(tables, content);
    tables->contents_bytes -= bytes_of(content);
    if (content->entry.table != NULL) {
        shown_release(&tables->shown, content->entry.table);
    }
    shape_free(content->shape);
    free(content->body);
    free(content);
}

/* Were rows of it decoded by the present marks? That must not be forgotten (doubts.h). */
static bool is_in_doubt(const struct tables *tables, const struct content *content)
{
    return tables->options->ask && content->shape->doubtful && content->entry.table != NULL;
}

static void forget_cold(struct tables *tables)
{
    struct content *content = tables->coldest;

    while (tables->contents_bytes > CONTENTS_BYTES_MAX && content != NULL && content->statement != tables->statement) {
        struct content *warmer = content->warmer;

        if (!is_in_doubt(tables, content)) {
            forget(tables, content);
        }
        content = warmer;
    }
}

void tables_free(struct tables *tables)
{
    if (tables == NULL) {
        return;
    }
    while (tables->coldest != NULL) {
        forget(tables, tables->coldest);
    }
    shown_deinit(&tables->shown);
    free(tables->mapped);
    free(tables);
}

/* As FNV-1a, but eight bytes at a time. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        uint64_t word = 0;
        size_t step = size < sizeof word ? size : sizeof word;

        memcpy(&word, at, step);
        hash = (hash ^ word) * FNV_PRIME;
        hash ^= hash >> 32;
        at += step;
        size -= step;
    }
    return hash;
}

bool tables_selected(const struct tables *tables, const char *database, const char *name)
{
    const struct binlog_stream_options *options = tables->options;

    return options->selected == NULL || options->selected(options->context, database, name);
}

bool tables_excluded(const struct tables *tables, const char *database, const char *name)
{
    const struct binlog_stream_options *options = tables->options;

    return options->excluded != NULL && options->excluded(options->context, database, name);
}

const struct binlog_table *tables_emptied(struct tables *tables, const char *database, const char *name)
{
    return tables_selected(tables, database, name) ? shown_emptied(&tables->shown, database, name) : NULL;
}

const struct binlog_table *tables_rewritten(struct tables *tables, const char *database, const char *name)
{
    return tables_selected(tables, database, name) ? shown_rewritten(&tables->shown, database, name) : NULL;
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
    warm(tables, content);
    tables->contents_bytes += bytes_of(content);
    return content;
}

/* Asks once whether the table is wanted, and makes it known outside. */
static void select_content(struct tables *tables, struct content *content)
{
    struct table *table = shape_take_table(content->shape);

    if (tables_selected(tables, table->database, table->name)) {
        content->entry.table = shown_hold(&tables->shown, table);
    } else {
        table_free(table);
    }
}

static struct content *take_content(struct tables *tables, enum binlog_flavor flavor, const uint8_t *body, size_t size, struct err *err)
{
    uint64_t hash = hash_bytes(FNV_BEGIN, body, size);
    struct content *content = find_content(tables, hash, flavor, body, size);

    if (content == NULL) {
        forget_cold(tables);
        content = add_content(tables, hash, flavor, body, size, err);
        if (content != NULL) {
            select_content(tables, content);
        }
        return content;
    }
    if (content != tables->warmest) {
        cool(tables, content);
        warm(tables, content);
    }
    return content;
}

int tables_map(struct tables *tables, uint64_t table_id, enum binlog_flavor flavor, const uint8_t *body, size_t size,
               struct err *err)
{
    struct content *content = take_content(tables, flavor, body, size, err);
    size_t i = 0;

    if (content == NULL) {
        return -1;
    }
    content->statement = tables->statement;
    if (content->entry.table != NULL) {
        shown_filled(&tables->shown, content->entry.table);
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
    tables->statement++;
}

void tables_forget_doubtful(struct tables *tables)
{
    struct content *content = tables->coldest;

    tables_unmap(tables);
    while (content != NULL) {
        struct content *warmer = content->warmer;

        if (content->shape->doubtful) {
            forget(tables, content);
        }
        content = warmer;
    }
}

bool tables_has_doubtful(const void *context, const char *database, const char *name)
{
    const struct tables *tables = context;

    for (const struct content *content = tables->coldest; content != NULL; content = content->warmer) {
        const struct binlog_table *table = content->entry.table;

        if (content->shape->doubtful && table != NULL && strcmp(table->table->name, name) == 0 &&
            strcmp(table->table->database, database) == 0) {
            return true;
        }
    }
    return false;
}

void tables_of_database(const struct tables *tables, struct query *query)
{
    shown_of_database(&tables->shown, query);
}

size_t tables_shown(const struct tables *tables)
{
    return shown_count(&tables->shown);
}

size_t tables_remembered_bytes(const struct tables *tables)
{
    return tables->contents_bytes;
}

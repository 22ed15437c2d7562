/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever changes what a shape is, settles it: then it joins the queue of the loose ones or leaves it, and the oldest of too many is given up.
 * A shape that was just settled is the youngest, so it is never that one.
 */
#include "producer/binlog/shown.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/fnv.h"
#include "common/must.h"

struct shown_shape {
    struct binlog_table table;
    struct shown_shape *next; /* of the same bucket */
    size_t holders;
    bool newest;  /* of its name */
    bool emptied; /* ... and the table has no rows */
    bool loose;   /* in the queue */
    struct shown_shape *older;
    struct shown_shape *younger;
};

static struct shown_shape *shape_of(const struct binlog_table *table)
{
    return (struct shown_shape *)((uintptr_t)table - offsetof(struct shown_shape, table));
}

static struct shown_shape **bucket_of(struct shown *shown, const char *database, const char *name)
{
    uint64_t hash = fnv_add(FNV_BEGIN, database, strlen(database));

    return &shown->_buckets[fnv_add(hash, name, strlen(name)) % SHOWN_BUCKETS];
}

static bool has_name(const struct shown_shape *shape, const char *database, const char *name)
{
    return strcmp(shape->table.table->name, name) == 0 && strcmp(shape->table.table->database, database) == 0;
}

static bool same_name(const struct shown_shape *one, const struct shown_shape *other)
{
    return has_name(one, other->table.table->database, other->table.table->name);
}

static void free_shape(struct shown_shape *shape)
{
    table_free((struct table *)(uintptr_t)shape->table.table);
    free(shape);
}

void shown_deinit(struct shown *shown)
{
    for (size_t i = 0; i < SHOWN_BUCKETS; i++) {
        while (shown->_buckets[i] != NULL) {
            struct shown_shape *shape = shown->_buckets[i];

            shown->_buckets[i] = shape->next;
            free_shape(shape);
        }
    }
    *shown = (struct shown){0};
}

/* ---- the queue of the loose ones */

static void join_queue(struct shown *shown, struct shown_shape *shape)
{
    shape->loose = true;
    shape->older = shown->_youngest;
    shape->younger = NULL;
    *(shape->older != NULL ? &shape->older->younger : &shown->_oldest) = shape;
    shown->_youngest = shape;
    shown->_loose_count++;
}

static void leave_queue(struct shown *shown, struct shown_shape *shape)
{
    shape->loose = false;
    *(shape->older != NULL ? &shape->older->younger : &shown->_oldest) = shape->younger;
    *(shape->younger != NULL ? &shape->younger->older : &shown->_youngest) = shape->older;
    shown->_loose_count--;
}

static void leave_bucket(struct shown *shown, const struct shown_shape *shape)
{
    struct shown_shape **at = bucket_of(shown, shape->table.table->database, shape->table.table->name);

    while (*at != shape) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = shape->next;
}

static void give_up_oldest(struct shown *shown)
{
    struct shown_shape *shape = shown->_oldest;

    leave_queue(shown, shape);
    leave_bucket(shown, shape);
    shown->_count--;
    free_shape(shape);
}

static void settle(struct shown *shown, struct shown_shape *shape)
{
    bool loose = shape->holders == 0 && (!shape->newest || shape->emptied);

    if (loose && !shape->loose) {
        join_queue(shown, shape);
    } else if (!loose && shape->loose) {
        leave_queue(shown, shape);
    }
    if (shown->_loose_count > SHOWN_LOOSE_MAX) {
        must(shown->_oldest != shape); /* it has just joined behind them all */
        give_up_oldest(shown);
    }
}

/* ---- shapes */

static struct shown_shape *add(struct shown *shown, struct table *table)
{
    struct shown_shape **bucket = bucket_of(shown, table->database, table->name);
    struct shown_shape *shape = calloc(1, sizeof *shape);

    must(shape != NULL);
    shape->table = (struct binlog_table){table, ++shown->_version};
    shape->next = *bucket;
    *bucket = shape;
    shown->_count++;
    return shape;
}

const struct binlog_table *shown_hold(struct shown *shown, struct table *table)
{
    struct shown_shape *shape = *bucket_of(shown, table->database, table->name);

    while (shape != NULL && !table_same(shape->table.table, table)) {
        shape = shape->next;
    }
    if (shape != NULL) {
        table_free(table);
    } else {
        shape = add(shown, table);
    }
    shape->holders++;
    settle(shown, shape);
    return &shape->table;
}

void shown_release(struct shown *shown, const struct binlog_table *table)
{
    struct shown_shape *shape = shape_of(table);

    must(shape->holders > 0);
    shape->holders--;
    settle(shown, shape);
}

/* It is kept while the one before it, which may become loose, is settled: the caller sees to that. */
static void make_newest(struct shown *shown, struct shown_shape *shape)
{
    struct shown_shape **bucket = bucket_of(shown, shape->table.table->database, shape->table.table->name);
    struct shown_shape *before = *bucket;

    while (before != NULL && !(before->newest && same_name(before, shape))) {
        before = before->next;
    }
    leave_bucket(shown, shape);
    shape->next = *bucket;
    *bucket = shape;
    shape->newest = true;
    if (before != NULL && before != shape) {
        before->newest = false;
        settle(shown, before);
    }
}

void shown_filled(struct shown *shown, const struct binlog_table *table)
{
    struct shown_shape *shape = shape_of(table);

    must(shape->holders > 0);
    shape->emptied = false;
    if (!shape->newest) {
        make_newest(shown, shape);
    }
}

/* What there is of the name, the newest first; else one is made that knows nothing of the table. */
static struct shown_shape *find(struct shown *shown, const char *database, const char *name)
{
    struct shown_shape *shape = *bucket_of(shown, database, name);

    while (shape != NULL && !has_name(shape, database, name)) {
        shape = shape->next;
    }
    if (shape == NULL) {
        shape = add(shown, table_new(database, name, 0, 0));
    }
    shape->newest = true; /* a newer one, if there was any, was given up */
    return shape;
}

const struct binlog_table *shown_emptied(struct shown *shown, const char *database, const char *name)
{
    struct shown_shape *shape = find(shown, database, name);

    shape->emptied = true;
    settle(shown, shape);
    return &shape->table;
}

const struct binlog_table *shown_rewritten(struct shown *shown, const char *database, const char *name)
{
    struct shown_shape *shape = find(shown, database, name);

    shape->emptied = false;
    settle(shown, shape);
    return &shape->table;
}

void shown_of_database(const struct shown *shown, struct query *query)
{
    struct query emptied = {.kind = QUERY_EMPTIES_TABLES};

    for (size_t i = 0; i < SHOWN_BUCKETS; i++) {
        for (const struct shown_shape *shape = shown->_buckets[i]; shape != NULL; shape = shape->next) {
            const struct table *table = shape->table.table;

            if (shape->newest && !shape->emptied && strcmp(table->database, query->tables[0].database) == 0) {
                query_add_table(&emptied, table->database, table->name);
            }
        }
    }
    query_deinit(query);
    *query = emptied;
}

size_t shown_count(const struct shown *shown)
{
    return shown->_count;
}

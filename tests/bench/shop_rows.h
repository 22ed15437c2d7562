/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shop_rows: the messages that benchmarks of the worker's formats are run with: a table of 12 columns as in a shop, and 8,192
 * changes of it, the same in each run, each of about 200 bytes of Avro.
 */
#ifndef KAKEHI_TESTS_BENCH_SHOP_ROWS_H
#define KAKEHI_TESTS_BENCH_SHOP_ROWS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"
#include "schemas/decimal.h"
#include "schemas/record.h"
#include "workers/bigquery/bigquery_types.h"

#define SHOP_MESSAGE_COUNT 8192
#define SHOP_COLUMN_COUNT  12
#define SHOP_INGEST_DAY    20778

struct shop_message {
    size_t start;
    size_t size;
};

struct shop {
    struct table *table;
    struct bigquery_column columns[SHOP_COLUMN_COUNT + BIGQUERY_META_COUNT];
    struct bigquery_layout layout;
    size_t targets[SHOP_COLUMN_COUNT];
    struct buffer bytes;
    struct shop_message messages[SHOP_MESSAGE_COUNT];
};

static const struct {
    const char *name;
    enum column_type type;
    uint8_t precision;
    uint8_t scale;
} shop_columns[SHOP_COLUMN_COUNT] = {
    {"id", COLUMN_LONG, 0, 0},           {"customer", COLUMN_LONG, 0, 0}, {"status", COLUMN_TEXT, 0, 0},
    {"price", COLUMN_DECIMAL, 10, 2},    {"quantity", COLUMN_LONG, 0, 0}, {"weight", COLUMN_DOUBLE, 0, 0},
    {"name", COLUMN_TEXT, 0, 0},         {"note", COLUMN_TEXT, 0, 0},     {"created", COLUMN_DATETIME, 6, 0},
    {"updated", COLUMN_TIMESTAMP, 6, 0}, {"ship_day", COLUMN_DATE, 0, 0}, {"paid", COLUMN_BOOLEAN, 1, 0},
};

static double shop_seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The same numbers in each run. */
static uint32_t shop_random(void)
{
    static uint64_t state = 1;

    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

static struct cell shop_integer(int64_t value)
{
    return (struct cell){.state = CELL_VALUE, .integer = value};
}

static struct cell shop_bytes(const void *bytes, size_t size)
{
    return (struct cell){.state = CELL_VALUE, .bytes = bytes, .size = size};
}

static void shop_encode(struct shop *shop, size_t i)
{
    static const char *const states[] = {"new", "paid", "shipped", "returned"};
    int64_t now = INT64_C(1795222923456789) + (int64_t)i * 1000;
    struct record_meta meta = {"cud"[i % 3], now, now, (int64_t)i * 2, "shop", 4, "0-1-12345678", 12};
    const char *state = states[shop_random() % 4];
    char digits[10];
    uint8_t decimal[DECIMAL_BYTES_MAX];
    char name[40];
    char note[80];
    struct err err;

    (void)snprintf(digits, sizeof digits, "%09u", shop_random() % 1000000000);
    (void)snprintf(name, sizeof name, "article %08x %08x", shop_random(), shop_random());
    (void)snprintf(note, sizeof note, "%08x of %08x, as asked for by %s %08x%08x", shop_random(), shop_random(),
                   i % 10 == 0 ? "Zoë" : "Bob", shop_random(), shop_random());
    struct cell cells[SHOP_COLUMN_COUNT] = {
        shop_integer((int64_t)i + 1000000),
        shop_integer(shop_random() % 5000000),
        shop_bytes(state, strlen(state)),
        shop_bytes(decimal, decimal_from_digits(digits, 9, false, decimal)),
        shop_integer(shop_random() % 20),
        {.state = CELL_VALUE, .real = shop_random() / 1000.0},
        shop_bytes(name, strlen(name)),
        shop_bytes(note, strlen(note)),
        shop_integer(now - shop_random() * INT64_C(10000)),
        shop_integer(now),
        shop_integer(20000 + shop_random() % 800),
        shop_integer(i % 2),
    };

    if (shop_random() % 4 == 0) {
        cells[10].state = CELL_NULL;
    }
    shop->messages[i].start = shop->bytes.size;
    must(record_encode_value(&shop->bytes, shop->table, cells, &meta, &err) == 0);
    shop->messages[i].size = shop->bytes.size - shop->messages[i].start;
}

static void shop_init(struct shop *shop)
{
    *shop = (struct shop){.table = table_new("shop", "orders", SHOP_COLUMN_COUNT, 1)};
    for (size_t i = 0; i < SHOP_COLUMN_COUNT; i++) {
        shop->table->columns[i] = (struct column){strdup(shop_columns[i].name), strdup("bench"), shop_columns[i].type,
                                                  shop_columns[i].precision, shop_columns[i].scale};
        shop->columns[i] = (struct bigquery_column){shop_columns[i].name, bigquery_type_of(&shop->table->columns[i])};
        shop->targets[i] = i;
    }
    memcpy(shop->columns + SHOP_COLUMN_COUNT, bigquery_meta_columns, sizeof bigquery_meta_columns);
    shop->layout = (struct bigquery_layout){shop->columns, SHOP_COLUMN_COUNT + BIGQUERY_META_COUNT, false};
    for (size_t i = 0; i < SHOP_MESSAGE_COUNT; i++) {
        shop_encode(shop, i);
    }
}

static void shop_deinit(struct shop *shop)
{
    buffer_deinit(&shop->bytes);
    table_free(shop->table);
}

/* They come again and again. */
static const uint8_t *shop_message(const struct shop *shop, size_t row, size_t *ret_size)
{
    const struct shop_message *message = &shop->messages[row % SHOP_MESSAGE_COUNT];

    *ret_size = message->size;
    return shop->bytes.bytes + message->start;
}

#endif

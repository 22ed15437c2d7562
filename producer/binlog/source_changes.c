/* SPDX-License-Identifier: Apache-2.0 */
/* Makes changes of the decoder's items: with their order numbers (O1, O3) and identity (O2), those left out that are in already (A5). */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "producer/binlog/source_parts.h"
#include "schemas/table.h"

#define CLOCK_GAP_US INT64_C(60000000) /* O8: a minute */
#define TURN_BYTES   (4 * 1024 * 1024) /* decoded in one call of next without a change: then the loop turns */

static struct metric_family clock_steps METRIC_FAMILY = {
    .name = "kakehi_clock_steps_total",
    .help = "Times that the source's clock ran more than a minute behind the order numbers",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

static struct metric_family reread_needed METRIC_FAMILY = {
    .name = "kakehi_reread_needed",
    .help = "1: a statement (ALTER, RENAME, REPAIR) may have changed stored rows of the table without row events.",
    .kind = METRIC_GAUGE,
    .labels = {"source", "table"},
};

static struct metric_family replaced_values METRIC_FAMILY = {
    .name = "kakehi_unrepresentable_total",
    .help = "Values that had no place in their type and were changed as source.unrepresentable or source.wide_decimals says, by table.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table"},
};

void source_changes_init(struct binlog_source *source)
{
    source->clock_steps = metric_cell(&clock_steps, (const char *const[]){source->settings->name});
}

static void count_clock_step(struct binlog_source *source)
{
    int64_t gap_us = progress_clock_gap_us(&source->progress);
    bool stepped = gap_us > CLOCK_GAP_US;

    if (stepped && !source->clock_stepped) {
        metric_add(source->clock_steps, 1);
        log_warn("clock_step", "source=%s behind_s=%lld transaction=%s then=%q", source->settings->name, (long long)(gap_us / 1000000),
                 source->progress.txid, "order is kept; times are as the source reports them");
    }
    source->clock_stepped = stepped;
}

static void show_reread(const struct binlog_source *source, const char *name, double value)
{
    metric_set(metric_cell(&reread_needed, (const char *const[]){source->settings->name, name}), value);
}

void source_show_all_reread(const struct binlog_source *source, double value)
{
    for (size_t i = 0; i < source->progress.reread.count; i++) {
        show_reread(source, source->progress.reread.texts[i], value);
    }
}

/* Its rows change in the warehouse with the next row event of each, or when the table is read again. */
static void note_reread(struct binlog_source *source, const char *name)
{
    progress_reread(&source->progress, name);
    show_reread(source, name, 1);
    log_warn("reread_needed", "source=%s table=%q transaction=%s because=%q", source->settings->name, name, source->progress.txid,
             "a statement may have changed stored rows without row events");
}

/* A column that comes back has the values of before in the warehouse (dropped_columns.h). */
static void note_altered(struct binlog_source *source)
{
    const struct binlog_row *row = binlog_stream_row(source->stream);
    const struct table *table = row->table->table;
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(table->database, table->name, name);
    if (row->rewritten || progress_has_dropped(&source->progress, name, row->adds)) {
        note_reread(source, name);
    }
    progress_dropped(&source->progress, name, row->drops);
}

/* None of the rows that it is about is left. */
static void settle_reread(struct binlog_source *source, const struct table *table)
{
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(table->database, table->name, name);
    if (progress_settled(&source->progress, name)) {
        show_reread(source, name, 0);
        log_info("reread_settled", "source=%s table=%q transaction=%s because=%q", source->settings->name, name, source->progress.txid,
                 "it was emptied at the source");
    }
}

static void count_replaced(const struct binlog_source *source, const struct binlog_row *row)
{
    const struct table *table = row->table->table;
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(table->database, table->name, name);
    metric_add(metric_cell(&replaced_values, (const char *const[]){source->settings->name, name}), row->replaced);
}

static void fill_change(struct binlog_source *source, struct change *change)
{
    const struct binlog_row *row = binlog_stream_row(source->stream);

    source->table = (struct source_table){.table = row->table->table, .version = row->table->version};
    *change = (struct change){
        .table = &source->table,
        .op = row->op,
        .before = row->before,
        .after = row->after,
        .ts_us = source->progress.ts_us,
        .seq = source->progress.seq,
        .idx = (int64_t)(2 * row->index), /* O3 */
        .txid = source->progress.txid,
    };
    if (row->replaced > 0) {
        count_replaced(source, row);
    }
    if (row->op == 't') {
        settle_reread(source, row->table->table);
    }
}

static int begin(struct binlog_source *source, struct err *err)
{
    if (progress_begin(&source->progress, binlog_stream_transaction(source->stream), err) != 0) {
        return -1;
    }
    source->failures = 0;
    source->figures.last_ts_us = source->progress.ts_us;
    count_clock_step(source);
    return 0;
}

static void note_dropped(const struct binlog_source *source, const struct binlog_transaction *transaction, uint64_t tables)
{
    if (transaction->dropped_database[0] != '\0' && tables > 0) {
        log_info("database_dropped", "source=%s database=%q tables=%llu transaction=%s then=%q", source->settings->name, transaction->dropped_database,
                 (unsigned long long)tables, source->progress.txid, "each that has rows in Kafka is truncated");
    }
}

static int end(struct binlog_source *source, struct err *err)
{
    uint64_t images = binlog_stream_images(source->stream);

    note_dropped(source, binlog_stream_transaction(source->stream), images);
    source->figures.row_images += (int64_t)images;
    source->figures.transactions++;
    return progress_end(&source->progress, binlog_stream_transaction(source->stream), images, binlog_stream_file(source->stream),
                        binlog_stream_position(source->stream), err);
}

/* Bytes for the decoder. 1 = given, 0 = none at the moment (or the connection is lost and will come again), -1 = failed. */
static int feed(struct binlog_source *source, size_t *fed_bytes)
{
    const uint8_t *bytes = NULL;
    size_t size = 0;
    struct err err = {0};

    if (*fed_bytes > TURN_BYTES) {
        source_wake_in(source, 0);
        return 0;
    }
    switch (binlog_reader_take(source->reader, &bytes, &size, &err)) {
    case READER_BYTES:
        binlog_stream_give(source->stream, bytes, size);
        source->figures.bytes += (int64_t)size;
        *fed_bytes += size;
        return 1;
    case READER_ENDED:
        source_lose(source, &err);
        return sm_at(&source->sm) == FAILED ? -1 : 0;
    case READER_OPENED: /* only in CONNECTING */
    case READER_EMPTY:
        break;
    }
    return 0;
}

/* Takes one item of the decoder. */
enum source_step source_step(struct binlog_source *source, size_t *fed_bytes, struct change *ret_change)
{
    struct err err = {0};
    int fed;

    switch (binlog_stream_next(source->stream, &err)) {
    case BINLOG_INPUT:
        fed = feed(source, fed_bytes);
        return fed > 0 ? STEP_ON : fed == 0 ? STEP_AGAIN : STEP_FAILED;
    case BINLOG_BEGIN:
        if (begin(source, &err) == 0) {
            return STEP_ON;
        }
        break;
    case BINLOG_ROW:
        if (!progress_row(&source->progress, binlog_stream_row(source->stream)->index)) {
            return STEP_ON; /* A5: it is in */
        }
        fill_change(source, ret_change);
        return STEP_CHANGE;
    case BINLOG_COMMIT:
    case BINLOG_ROLLED_BACK:
        if (end(source, &err) == 0) {
            return STEP_ON;
        }
        break;
    case BINLOG_IDLE:
        source->failures = 0;
        progress_idle(&source->progress, binlog_stream_file(source->stream), binlog_stream_position(source->stream));
        return STEP_ON;
    case BINLOG_ALTERED:
        note_altered(source);
        return STEP_ON;
    case BINLOG_ASK:
        source_look(source);
        return STEP_AGAIN;
    case BINLOG_AGAIN:
        log_info("source_reads_twice", "source=%s transaction=%s because=%q", source->settings->name, source->progress.txid,
                 "it is compressed and large; its checksum is good, so it can be committed in pieces");
        source_read_again(source, "a large compressed transaction");
        return STEP_AGAIN;
    case BINLOG_FAILED:
        break;
    }
    source_fail(source, &err);
    return STEP_FAILED;
}

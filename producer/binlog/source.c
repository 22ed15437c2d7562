/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binlog source: a reader's bytes through the decoder, with order numbers, as changes; and connections that come and go.
 *
 *         start               opened                 lost, and all that was yielded is verified
 *   IDLE --------> CONNECTING --------> STREAMING ------------------------------------------------> PAUSING
 *    ^             ^    |   \__________________|________________ lost ____________________________^   |
 *    |             |    |                      |                                                      |
 *    |             |    +-------> FAILED <-----+  fatal, undecodable, lost unverified, twice a rival   |
 *    |             +--------------------------------- the pause is over and the reader gone ----------+
 *    |
 *    +--- the reader gone --- STOPPING <--- stop, from any other state
 *
 * | state      | reader              | timer                | waits for                           |
 * | IDLE       | none                | -                    | start                               |
 * | CONNECTING | opening             | -                    | OPENED or ENDED of the reader       |
 * | STREAMING  | open                | 0 = go on next turn  | bytes, or the owner's next          |
 * | PAUSING    | closing, then none  | the pause            | both                                |
 * | FAILED     | closing, then none  | -                    | stop                                |
 * | STOPPING   | closing, then none  | 0 = answer           | the reader                          |
 *
 * A lost connection is taken up again here, without Kafka: the new one begins behind the last complete transaction, and of the one
 * in work the row images that were yielded are passed over, exactly as after a restart (A5). The owner sees nothing of it. That is
 * right only if all that was yielded is verified: in the middle of a large event whose checksum was still to come it is not, and
 * then the source fails with ERR_RETRY, the owner throws its open Kafka transaction away and starts again from Kafka's record.
 *
 * A large compressed transaction is read twice (seals.h): the source opens anew, and meets it again, verified.
 *
 * MariaDB's log does not tell a UUID or INET column from a BINARY (marks.h). Opening asks the server; where a row comes of a table that was
 * made or changed since (doubts.h), the source opens anew, and meets the row again.
 *
 * Failing for good (ERR_FATAL) is what no waiting mends: a purged position, a server that lost transactions, refused settings, an
 * undecodable event. Another reader with our server id is in between: twice within a minute means that somebody else believes
 * to own this source, and only Kafka can say who does; so it fails with ERR_RETRY.
 *
 * Invariants:
 * B1  Each row image of a selected table is yielded exactly once between start and stop, whatever connections were lost.
 * B2  `__seq` grows with each transaction, and the rest of a split one keeps its own (O1).
 * B3  The state record never covers more than what was yielded.
 *
 * stop answers at once but for CONNECTING, where libmariadb can't be interrupted: there it takes source.connect_timeout at most for each
 * step of connecting.
 *
 * Deliberately absent: a limit on tries. A server may be away for hours; the log says so at each try, with the time of the next.
 */
#include "producer/binlog/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/sm.h"
#include "producer/binlog/choices.h"
#include "producer/binlog/marks.h"
#include "producer/binlog/progress.h"
#include "producer/binlog/stream.h"

#define PAUSE_MAX_MS 60000
#define RIVAL_MEMORY_MS 60000
#define CLOCK_GAP_US INT64_C(60000000) /* O8: a minute */
#define TURN_BYTES (4 * 1024 * 1024)   /* decoded in one call of next without a change: then the loop turns */
#define ROW_BYTES_MAX (INT64_C(1) << 30)

enum { IDLE, CONNECTING, STREAMING, PAUSING, FAILED, STOPPING };

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(CONNECTING) | SM_TO(STOPPING)},
    [CONNECTING] = {"CONNECTING", SM_TO(STREAMING) | SM_TO(PAUSING) | SM_TO(FAILED) | SM_TO(STOPPING)},
    [STREAMING] = {"STREAMING", SM_TO(PAUSING) | SM_TO(FAILED) | SM_TO(STOPPING)},
    [PAUSING] = {"PAUSING", SM_TO(CONNECTING) | SM_TO(STOPPING)},
    [FAILED] = {"FAILED", SM_TO(STOPPING)},
    [STOPPING] = {"STOPPING", SM_TO(IDLE)},
};

static struct metric_family clock_steps METRIC_FAMILY = {
    .name = "kakehi_clock_steps_total",
    .help = "Times that the source's clock ran more than a minute behind the order numbers",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

static struct metric_family reread_needed METRIC_FAMILY = {
    .name = "kakehi_reread_needed",
    .help = "1: a statement (ALTER, RENAME) may have changed stored rows of the table without row events.",
    .kind = METRIC_GAUGE,
    .labels = {"source", "table"},
};

static struct metric_family replaced_values METRIC_FAMILY = {
    .name = "kakehi_unrepresentable_total",
    .help = "Values that had no place in their type and were changed as source.unrepresentable says, by table.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table"},
};

struct binlog_source {
    struct source source; /* first */
    struct sm sm;
    uv_loop_t *loop;
    uv_timer_t timer;
    const struct settings_source *settings;
    struct binlog_world world;

    struct binlog_reader *reader; /* the one slot */
    bool reader_closing;
    bool paused;                  /* PAUSING: the pause is over when false */
    uint32_t failures;            /* in a row, without an item of the log between */
    uint64_t rival_ms;            /* when another reader with our server id ended our dump; 0: never */
    struct err trouble;           /* why there is no connection; class ERR_NONE: there is one, or the first is on its way */
    void (*stopped)(void *context);
    void *stopped_context;

    struct binlog_stream *stream;
    struct source_table **tables; /* by version */
    size_t table_count;
    bool placed;                  /* progress is valid: the source knows where it begins */
    struct binlog_wish wish;      /* until then: what the settings or the record say */
    struct progress progress;
    uint64_t moves_cut;           /* progress.moves at the last state */
    bool clock_stepped;           /* said once a step */
    struct metric *clock_steps;
    struct source_figures figures;
};

static bool invariant(const struct sm *machine)
{
    const struct binlog_source *source = (const struct binlog_source *)((const char *)machine - offsetof(struct binlog_source, sm));

    switch (sm_at(machine)) {
    case CONNECTING:
        return source->reader != NULL && !source->reader_closing;
    case STREAMING:
        return source->reader != NULL && !source->reader_closing && source->placed;
    case IDLE:
        return source->reader == NULL;
    default:
        return source->reader == NULL || source->reader_closing;
    }
}

static struct binlog_source *of(struct source *source)
{
    return (struct binlog_source *)source;
}

static const struct binlog_source *of_const(const struct source *source)
{
    return (const struct binlog_source *)source;
}

static void tell_owner(struct binlog_source *source)
{
    source->source.on_ready(source->source.on_ready_context);
}

/* ---- connections */

static void on_reader_ready(void *context);
static void on_reader_closed(void *context);
static void on_timer(uv_timer_t *timer);

static void connect_source(struct binlog_source *source, const char *why)
{
    struct binlog_wish wish;

    if (source->placed) {
        progress_wish(&source->progress, &wish);
    } else {
        binlog_wish_copy(&wish, &source->wish);
    }
    source->reader = binlog_reader_start(source->loop, source->world.connect(&source->world, source->settings, &wish), source->world.ring_bytes,
                                         on_reader_ready, source);
    binlog_wish_deinit(&wish);
    sm_move(&source->sm, CONNECTING, why);
}

static void close_reader(struct binlog_source *source)
{
    if (source->reader != NULL && !source->reader_closing) {
        source->reader_closing = true;
        binlog_reader_close(source->reader, on_reader_closed, source);
    }
}

static void wake_in(struct binlog_source *source, uint64_t wait_ms)
{
    must(uv_timer_start(&source->timer, on_timer, wait_ms, 0) == 0);
}

static void fail(struct binlog_source *source, const struct err *why)
{
    source->trouble = *why;
    close_reader(source);
    sm_move(&source->sm, FAILED, err_class_name(why->class));
}

/* 0.5 s, 1 s, 2 s ... one minute, and of that a half at random: standbys must not come in step. */
static uint64_t pause_ms(const struct binlog_source *source)
{
    uint64_t wait_ms = backoff_ms(source->failures + 1, source->world.pause_first_ms, PAUSE_MAX_MS);
    uint32_t chance = 0;

    (void)uv_random(NULL, NULL, &chance, sizeof chance, 0, NULL);
    return wait_ms / 2 + chance % (wait_ms / 2 + 1);
}

static void pause_source(struct binlog_source *source, const struct err *why)
{
    uint64_t wait_ms = pause_ms(source);

    log_warn("source_lost", "source=%s because=%q retry_ms=%llu", source->settings->name, why->text, (unsigned long long)wait_ms);
    source->trouble = *why;
    source->failures++;
    source->paused = true;
    if (source->placed) {
        progress_await(&source->progress);
    }
    close_reader(source);
    sm_move(&source->sm, PAUSING, why->text);
    wake_in(source, wait_ms);
}

/* As after a lost connection, without a pause: nothing of the item in hand was yielded. */
static void read_again(struct binlog_source *source, const char *why)
{
    source->paused = true;
    progress_await(&source->progress);
    close_reader(source);
    sm_move(&source->sm, PAUSING, why);
    wake_in(source, 0);
}

/* Opening asks the server. */
static void look(struct binlog_source *source)
{
    const struct table *table = binlog_stream_row(source->stream)->table->table;

    log_debug("source_asks", "source=%s database=%q table=%q", source->settings->name, table->database, table->name);
    read_again(source, "a table may hold what the log does not tell");
}

/* Has it happened twice within a minute? */
static bool rival_again(struct binlog_source *source)
{
    uint64_t now_ms = uv_now(source->loop);
    bool again = source->rival_ms != 0 && now_ms - source->rival_ms < RIVAL_MEMORY_MS;

    source->rival_ms = now_ms;
    return again;
}

/* The reader has ended. Here is decided what becomes of it. */
static void lose(struct binlog_source *source, const struct err *why)
{
    struct err err = *why;
    bool verified = sm_at(&source->sm) != STREAMING || binlog_stream_cuttable(source->stream);

    if (why->class == ERR_FATAL) {
        fail(source, why);
    } else if (binlog_reader_connection(source->reader)->rival && rival_again(source)) {
        err.class = ERR_RETRY;
        err_while(&err, "twice within a minute somebody else took our place at the server");
        fail(source, &err);
    } else if (!verified) {
        err.class = ERR_RETRY;
        err_while(&err, "connection lost inside an event that is not verified yet");
        fail(source, &err);
    } else {
        pause_source(source, why);
    }
}

static void opened(struct binlog_source *source)
{
    const struct binlog_connection *connection = binlog_reader_connection(source->reader);
    char position[128];

    if (!source->placed) {
        progress_init(&source->progress, &connection->facts, &connection->place);
        source->placed = true;
    }
    memcpy(source->progress.server, connection->facts.server, sizeof source->progress.server);
    (void)snprintf(source->figures.server, sizeof source->figures.server, "%.127s", connection->facts.description);
    binlog_stream_take_marks(source->stream, connection->facts.marks != NULL ? binlog_marks_copy(connection->facts.marks) : binlog_marks_new());
    binlog_stream_open(source->stream, connection->place.file, connection->place.position);
    progress_text(&source->progress, position, sizeof position);
    source->trouble = (struct err){0};
    sm_move(&source->sm, STREAMING, "opened");
    log_info("source_open", "source=%s server=%q position=%q server_id=%u", source->settings->name, connection->facts.description, position,
             source->world.server_id);
}

/* CONNECTING: whatever the reader says is the answer. */
static void step_connecting(struct binlog_source *source)
{
    const uint8_t *bytes;
    size_t size;
    struct err err = {0};

    switch (binlog_reader_take(source->reader, &bytes, &size, &err)) {
    case READER_OPENED:
        opened(source);
        tell_owner(source);
        break;
    case READER_ENDED:
        lose(source, &err);
        if (sm_at(&source->sm) == FAILED) {
            tell_owner(source);
        }
        break;
    case READER_BYTES: /* never before OPENED */
    case READER_EMPTY:
        break;
    }
}

static void on_reader_ready(void *context)
{
    struct binlog_source *source = context;

    if (sm_at(&source->sm) == CONNECTING) {
        step_connecting(source);
    } else if (sm_at(&source->sm) == STREAMING) {
        tell_owner(source);
    }
}

/* ---- the decoder's items */

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

/* A source_table for each binlog_table, found by version: the decoder numbers them from 1 on. */
static const struct source_table *table_of(struct binlog_source *source, const struct binlog_table *seen)
{
    if (seen->version >= source->table_count) {
        size_t count = (size_t)seen->version + 16;

        source->tables = realloc(source->tables, count * sizeof *source->tables);
        must(source->tables != NULL);
        memset(source->tables + source->table_count, 0, (count - source->table_count) * sizeof *source->tables);
        source->table_count = count;
    }
    if (source->tables[seen->version] == NULL) {
        struct source_table *table = malloc(sizeof *table);

        must(table != NULL);
        *table = (struct source_table){.table = seen->table, .version = seen->version};
        source->tables[seen->version] = table;
    }
    return source->tables[seen->version];
}

static void free_tables(struct binlog_source *source)
{
    for (size_t index = 0; index < source->table_count; index++) {
        free(source->tables[index]);
    }
    free(source->tables);
    source->tables = NULL;
    source->table_count = 0;
}

static void show_reread(const struct binlog_source *source, const char *name, double value)
{
    metric_set(metric_cell(&reread_needed, (const char *const[]){source->settings->name, name}), value);
}

static void show_all_reread(const struct binlog_source *source, double value)
{
    for (size_t i = 0; i < source->progress.reread.count; i++) {
        show_reread(source, source->progress.reread.texts[i], value);
    }
}

/* Its rows change in the warehouse with the next row event of each, or when the table is read again. */
static void note_reread(struct binlog_source *source)
{
    const struct table *table = binlog_stream_row(source->stream)->table->table;
    char name[2 * 256 + 2];

    (void)snprintf(name, sizeof name, "%.256s.%.256s", table->database, table->name);
    progress_reread(&source->progress, name);
    show_reread(source, name, 1);
    log_warn("reread_needed", "source=%s table=%q transaction=%s because=%q", source->settings->name, name, source->progress.txid,
             "a statement may have changed stored rows without row events");
}

static void count_replaced(const struct binlog_source *source, const struct binlog_row *row)
{
    const struct table *table = row->table->table;
    char name[2 * 256 + 2];

    (void)snprintf(name, sizeof name, "%.256s.%.256s", table->database, table->name);
    metric_add(metric_cell(&replaced_values, (const char *const[]){source->settings->name, name}), row->replaced);
}

static void fill_change(struct binlog_source *source, struct change *change)
{
    const struct binlog_row *row = binlog_stream_row(source->stream);

    *change = (struct change){
        .table = table_of(source, row->table),
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

static int end(struct binlog_source *source, struct err *err)
{
    uint64_t images = binlog_stream_images(source->stream);

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
        wake_in(source, 0);
        return 0;
    }
    switch (binlog_reader_take(source->reader, &bytes, &size, &err)) {
    case READER_BYTES:
        binlog_stream_give(source->stream, bytes, size);
        source->figures.bytes += (int64_t)size;
        *fed_bytes += size;
        return 1;
    case READER_ENDED:
        lose(source, &err);
        return sm_at(&source->sm) == FAILED ? -1 : 0;
    case READER_OPENED: /* only in CONNECTING */
    case READER_EMPTY:
        break;
    }
    return 0;
}

enum step { STEP_ON, STEP_CHANGE, STEP_AGAIN, STEP_FAILED };

/* Takes one item of the decoder. */
static enum step step_streaming(struct binlog_source *source, size_t *fed_bytes, struct change *ret_change)
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
    case BINLOG_REREAD:
        note_reread(source);
        return STEP_ON;
    case BINLOG_ASK:
        look(source);
        return STEP_AGAIN;
    case BINLOG_AGAIN:
        log_info("source_reads_twice", "source=%s transaction=%s because=%q", source->settings->name, source->progress.txid,
                 "it is compressed and large; its checksum is good, so it can be committed in pieces");
        read_again(source, "a large compressed transaction");
        return STEP_AGAIN;
    case BINLOG_FAILED:
        break;
    }
    fail(source, &err);
    return STEP_FAILED;
}

/* ---- the seam */

static int take_start(struct binlog_source *source, const json_t *record, struct err *err)
{
    if (record == NULL) {
        return binlog_wish_from_text(&source->wish, source->settings->start, err);
    }
    if (binlog_wish_from_record(&source->wish, record, err) != 0) {
        return -1;
    }
    if (progress_from_record(&source->progress, &source->wish, record, err) != 0) {
        progress_deinit(&source->progress);
        return -1;
    }
    show_all_reread(source, 1);
    source->placed = true;
    source->moves_cut = source->progress.moves;
    return 0;
}

static bool selected(void *context, const char *database, const char *table)
{
    const struct binlog_source *source = context;
    char name[2 * 256 + 2];

    (void)snprintf(name, sizeof name, "%.256s.%.256s", database, table);
    return settings_selects(source->settings, name);
}

static int source_start(struct source *seam, const json_t *record, struct err *err)
{
    struct binlog_source *source = of(seam);
    const struct binlog_stream_options options = {
        .framing = BINLOG_PACKETS,
        .selected = selected,
        .context = source,
        .choose = source->world.choices != NULL ? choices_choose : NULL,
        .choose_context = source->world.choices,
        .ask = true,
        .twice = true,
        .row_bytes_max = ROW_BYTES_MAX,
    };

    must(sm_at(&source->sm) == IDLE && seam->on_ready != NULL);
    if (take_start(source, record, err) != 0) {
        binlog_wish_deinit(&source->wish);
        return err_while(err, "source %s", source->settings->name);
    }
    source->stream = binlog_stream_new(&options);
    source->failures = 0;
    connect_source(source, "start");
    return 0;
}

static enum source_next source_next(struct source *seam, struct change *ret_change, struct err *err)
{
    struct binlog_source *source = of(seam);
    size_t fed_bytes = 0;
    enum step step = STEP_ON;

    while (step == STEP_ON && sm_at(&source->sm) == STREAMING) {
        step = step_streaming(source, &fed_bytes, ret_change);
    }
    if (step == STEP_CHANGE) {
        return SOURCE_CHANGE;
    }
    if (sm_at(&source->sm) != FAILED) {
        return SOURCE_AGAIN;
    }
    *err = source->trouble;
    return SOURCE_FAILED;
}

static bool source_cuttable(const struct source *seam)
{
    const struct binlog_source *source = of_const(seam);

    return sm_at(&source->sm) != FAILED && (sm_at(&source->sm) != STREAMING || binlog_stream_cuttable(source->stream));
}

static bool source_moved(const struct source *seam)
{
    const struct binlog_source *source = of_const(seam);

    return source->placed && source->progress.moves != source->moves_cut;
}

static json_t *source_state(struct source *seam)
{
    struct binlog_source *source = of(seam);

    if (!source->placed) {
        return NULL;
    }
    source->moves_cut = source->progress.moves;
    return progress_record(&source->progress);
}

/* The server is told nothing: what it keeps of its log is its own business. */
static void source_committed(struct source *seam)
{
    (void)seam;
}

static void source_figures(const struct source *seam, struct source_figures *ret_figures)
{
    const struct binlog_source *source = of_const(seam);

    *ret_figures = source->figures;
    ret_figures->connected = sm_at(&source->sm) == STREAMING;
    ret_figures->trouble = source->trouble.class != ERR_NONE ? source->trouble.text : NULL;
    if (source->placed) {
        ret_figures->reread = &source->progress.reread;
        progress_text(&source->progress, ret_figures->position, sizeof ret_figures->position);
    }
}

/* ---- the end */

static void finish_stop(struct binlog_source *source)
{
    binlog_stream_free(source->stream);
    source->stream = NULL;
    free_tables(source);
    show_all_reread(source, 0); /* the next record says it anew */
    progress_deinit(&source->progress);
    source->placed = false;
    source->trouble = (struct err){0};
    binlog_wish_deinit(&source->wish);
    sm_move(&source->sm, IDLE, "stopped");
    source->stopped(source->stopped_context);
}

static void source_stop(struct source *seam, void (*stopped)(void *context), void *context)
{
    struct binlog_source *source = of(seam);

    source->stopped = stopped;
    source->stopped_context = context;
    close_reader(source);
    sm_move(&source->sm, STOPPING, "stop");
    if (source->reader == NULL) {
        wake_in(source, 0); /* the answer never comes inside the request */
    } else {
        (void)uv_timer_stop(&source->timer);
    }
}

static void on_reader_closed(void *context)
{
    struct binlog_source *source = context;

    source->reader = NULL;
    source->reader_closing = false;
    if (sm_at(&source->sm) == STOPPING) {
        finish_stop(source);
    } else if (sm_at(&source->sm) == PAUSING && !source->paused) {
        connect_source(source, "again after a pause");
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct binlog_source *source = timer->data;

    switch (sm_at(&source->sm)) {
    case STREAMING:
        tell_owner(source);
        break;
    case PAUSING:
        source->paused = false;
        if (source->reader == NULL) {
            connect_source(source, "again after a pause");
        }
        break;
    case STOPPING:
        finish_stop(source);
        break;
    default: /* a wish of a state that is over */
        break;
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void source_free(struct source *seam)
{
    struct binlog_source *source = of(seam);

    must(sm_at(&source->sm) == IDLE);
    choices_free(source->world.choices);
    uv_close((uv_handle_t *)&source->timer, on_timer_closed);
}

struct source *binlog_source_new_in(uv_loop_t *loop, const struct settings_source *settings, const struct binlog_world *world)
{
    static const struct source_calls calls = {source_start,     source_next,    source_cuttable, source_moved, source_state,
                                              source_committed, source_figures, source_stop,     source_free};
    struct binlog_source *source = calloc(1, sizeof *source);

    must(source != NULL);
    source->source.calls = &calls;
    source->loop = loop;
    source->settings = settings;
    source->world = *world;
    source->clock_steps = metric_cell(&clock_steps, (const char *const[]){settings->name});
    must(uv_timer_init(loop, &source->timer) == 0);
    source->timer.data = source;
    sm_init(&source->sm, "source", settings->name, states, IDLE, invariant);
    return &source->source;
}

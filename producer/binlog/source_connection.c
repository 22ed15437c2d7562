/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of connections: how one is taken up, when it counts as open, and what follows when it is lost. The picture, and what is right
 * about going on without Kafka, are in source.c.
 */
#include <stdio.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/binlog/marks.h"
#include "producer/binlog/source_parts.h"

#define PAUSE_MAX_MS    60000
#define RIVAL_MEMORY_MS 60000

static void on_reader_ready(void *context);
static void on_reader_closed(void *context);

void source_connect(struct binlog_source *source, const char *why)
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

void source_close_reader(struct binlog_source *source)
{
    if (source->reader != NULL && !source->reader_closing) {
        source->reader_closing = true;
        binlog_reader_close(source->reader, on_reader_closed, source);
    }
}

void source_fail(struct binlog_source *source, const struct err *why)
{
    source->trouble = *why;
    source_close_reader(source);
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
    source_close_reader(source);
    sm_move(&source->sm, PAUSING, why->text);
    source_wake_in(source, wait_ms);
}

/* As after a lost connection, without a pause: nothing of the item in hand was yielded. */
void source_read_again(struct binlog_source *source, const char *why)
{
    source->paused = true;
    progress_await(&source->progress);
    source_close_reader(source);
    sm_move(&source->sm, PAUSING, why);
    source_wake_in(source, 0);
}

/* Opening asks the server. */
void source_look(struct binlog_source *source)
{
    const struct table *table = binlog_stream_row(source->stream)->table->table;

    log_debug("source_asks", "source=%s database=%q table=%q", source->settings->name, table->database, table->name);
    source_read_again(source, "a table may hold what the log does not tell");
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
void source_lose(struct binlog_source *source, const struct err *why)
{
    struct err err = *why;
    bool verified = sm_at(&source->sm) != STREAMING || binlog_stream_cuttable(source->stream);

    if (why->class == ERR_FATAL) {
        source_fail(source, why);
    } else if (binlog_reader_connection(source->reader)->rival && rival_again(source)) {
        err.class = ERR_RETRY;
        err_while(&err, "twice within a minute somebody else took our place at the server");
        source_fail(source, &err);
    } else if (!verified) {
        err.class = ERR_RETRY;
        err_while(&err, "connection lost inside an event that is not verified yet");
        source_fail(source, &err);
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
    binlog_stream_take_name_case(source->stream, connection->facts.names_lower);
    binlog_stream_open(source->stream, connection->place.file, connection->place.position);
    progress_text(&source->progress, position, sizeof position);
    source->trouble = (struct err){0};
    sm_move(&source->sm, STREAMING, "opened");
    log_info("source_open", "source=%s server=%q position=%q server_id=%u", source->settings->name, connection->facts.description, position,
             source->world.server_id);
    if (connection->facts.in_engine) {
        log_warn("source_unproven", "source=%s because=%q then=%q", source->settings->name,
                 "the server has binlog_storage_engine set, and this program never met one that has",
                 "reading; what is not understood stops the stream");
    }
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
        source_tell_owner(source);
        break;
    case READER_ENDED:
        source_lose(source, &err);
        if (sm_at(&source->sm) == FAILED) {
            source_tell_owner(source);
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
        source_tell_owner(source);
    }
}

static void on_reader_closed(void *context)
{
    struct binlog_source *source = context;

    source->reader = NULL;
    source->reader_closing = false;
    if (sm_at(&source->sm) == STOPPING) {
        source_finish_stop(source);
    } else if (sm_at(&source->sm) == PAUSING && !source->paused) {
        source_connect(source, "again after a pause");
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* source_parts: what source.c, source_connection.c and source_changes.c share. Nobody else includes it. */
#ifndef KAKEHI_PRODUCER_BINLOG_SOURCE_PARTS_H
#define KAKEHI_PRODUCER_BINLOG_SOURCE_PARTS_H

#include "common/metrics.h"
#include "common/sm.h"
#include "producer/binlog/progress.h"
#include "producer/binlog/source.h"
#include "producer/binlog/stream.h"

/* The picture is in source.c. */
enum { IDLE, CONNECTING, STREAMING, PAUSING, FAILED, STOPPING };

/* What an item of the decoder came to. */
enum source_step { STEP_ON, STEP_CHANGE, STEP_AGAIN, STEP_FAILED };

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
    struct source_table table;    /* of the change that was yielded last */
    bool placed;                  /* progress is valid: the source knows where it begins */
    struct binlog_wish wish;      /* until then: what the settings or the record say */
    struct progress progress;
    uint64_t moves_cut;           /* progress.moves at the last state */
    bool clock_stepped;           /* said once a step */
    struct metric *clock_steps;
    struct source_figures figures;
};

/* source.c */
void source_tell_owner(struct binlog_source *source);
/* The timer's one wish; in 0 ms: on the loop's next turn. */
void source_wake_in(struct binlog_source *source, uint64_t wait_ms);
/* STOPPING, and the reader is gone: answers who asked to stop. */
void source_finish_stop(struct binlog_source *source);

/* source_connection.c */
void source_connect(struct binlog_source *source, const char *why);
void source_close_reader(struct binlog_source *source); /* none, or closing already, is fine */
/* For good, or until the owner starts it again: by the class of the error. */
void source_fail(struct binlog_source *source, const struct err *why);
/* The reader has ended. Here is decided what becomes of it. */
void source_lose(struct binlog_source *source, const struct err *why);
/* As after a lost connection, without a pause: nothing of the item in hand was yielded. */
void source_read_again(struct binlog_source *source, const char *why);
/* A row came of a table whose types the log does not tell: opening asks the server. */
void source_look(struct binlog_source *source);

/* source_changes.c */
void source_changes_init(struct binlog_source *source);
/* STREAMING: takes one item of the decoder, and bytes for it. *fed_bytes: how many in this call of next, so far. */
enum source_step source_step(struct binlog_source *source, size_t *fed_bytes, struct change *ret_change);
/* Sets the metric of each table that has to be read again. */
void source_show_all_reread(const struct binlog_source *source, double value);

#endif

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

#include <stdlib.h>

#include "common/must.h"
#include "producer/binlog/choices.h"
#include "producer/binlog/source_parts.h"
#include "schemas/table.h"

#define ROW_BYTES_MAX (INT64_C(1) << 30)

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(CONNECTING) | SM_TO(STOPPING)},
    [CONNECTING] = {"CONNECTING", SM_TO(STREAMING) | SM_TO(PAUSING) | SM_TO(FAILED) | SM_TO(STOPPING)},
    [STREAMING] = {"STREAMING", SM_TO(PAUSING) | SM_TO(FAILED) | SM_TO(STOPPING)},
    [PAUSING] = {"PAUSING", SM_TO(CONNECTING) | SM_TO(STOPPING)},
    [FAILED] = {"FAILED", SM_TO(STOPPING)},
    [STOPPING] = {"STOPPING", SM_TO(IDLE)},
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

void source_tell_owner(struct binlog_source *source)
{
    source->source.on_ready(source->source.on_ready_context);
}

static void on_timer(uv_timer_t *timer);

void source_wake_in(struct binlog_source *source, uint64_t wait_ms)
{
    must(uv_timer_start(&source->timer, on_timer, wait_ms, 0) == 0);
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
    source_show_all_reread(source, 1);
    source->placed = true;
    source->moves_cut = source->progress.moves;
    return 0;
}

static bool selected(void *context, const char *database, const char *table)
{
    const struct binlog_source *source = context;
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(database, table, name);
    return settings_selects(source->settings, name);
}

static bool excluded(void *context, const char *database, const char *table)
{
    const struct binlog_source *source = context;
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(database, table, name);
    return settings_excludes(source->settings, name);
}

/* Tables that get their first row later are seen by the stream itself: a stream never outlives what the producer was told of Kafka. */
static void take_published(struct binlog_source *source, const json_t *published)
{
    json_t *table;
    size_t i;

    json_array_foreach(published, i, table) {
        const char *database = json_string_value(json_array_get(table, 0)), *name = json_string_value(json_array_get(table, 1));

        must(database != NULL && name != NULL);
        binlog_stream_know(source->stream, database, name);
    }
}

static int source_start(struct source *seam, const json_t *record, const json_t *published, struct err *err)
{
    struct binlog_source *source = of(seam);
    const struct binlog_stream_options options = {
        .framing = BINLOG_PACKETS,
        .selected = selected,
        .excluded = excluded,
        .context = source,
        .choose = source->world.choices != NULL ? choices_choose : NULL,
        .choose_context = source->world.choices,
        .ask = true,
        .twice = true,
        .memory_bytes = source->world.memory_bytes,
        .row_bytes_max = ROW_BYTES_MAX,
    };

    must(sm_at(&source->sm) == IDLE && seam->on_ready != NULL);
    if (take_start(source, record, err) != 0) {
        binlog_wish_deinit(&source->wish);
        return err_while(err, "source %s", source->settings->name);
    }
    source->stream = binlog_stream_new(&options);
    take_published(source, published);
    source->failures = 0;
    source_connect(source, "start");
    return 0;
}

static enum source_next source_next(struct source *seam, struct change *ret_change, struct err *err)
{
    struct binlog_source *source = of(seam);
    size_t fed_bytes = 0;
    enum source_step step = STEP_ON;

    while (step == STEP_ON && sm_at(&source->sm) == STREAMING) {
        step = source_step(source, &fed_bytes, ret_change);
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

void source_finish_stop(struct binlog_source *source)
{
    binlog_stream_free(source->stream);
    source->stream = NULL;
    source_show_all_reread(source, 0); /* the next record says it anew */
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
    source_close_reader(source);
    sm_move(&source->sm, STOPPING, "stop");
    if (source->reader == NULL) {
        source_wake_in(source, 0); /* the answer never comes inside the request */
    } else {
        (void)uv_timer_stop(&source->timer);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct binlog_source *source = timer->data;

    switch (sm_at(&source->sm)) {
    case STREAMING:
        source_tell_owner(source);
        break;
    case PAUSING:
        source->paused = false;
        if (source->reader == NULL) {
            source_connect(source, "again after a pause");
        }
        break;
    case STOPPING:
        source_finish_stop(source);
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
    source_changes_init(source);
    must(uv_timer_init(loop, &source->timer) == 0);
    source->timer.data = source;
    sm_init(&source->sm, "source", settings->name, states, IDLE, invariant);
    return &source->source;
}

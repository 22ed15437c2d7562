/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told about a pipeline: metrics, the heartbeat in the log, and the answers of the admin port.
 *
 * Ready is who does what it should: it stands by, or streams. Healthy is where something moves, or nothing is to be moved:
 * `progress_ms` is the last time that either held. A source without a connection is neither.
 */
#include <math.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/json_text.h"
#include "common/log.h"
#include "common/version.h"
#include "producer/pipeline_parts.h"
#include "schemas/value_text.h"

#define STALL_MS     60000 /* without progress for this long: not healthy */

static struct metric_family kafka_transactions METRIC_FAMILY = {
    .name = "kakehi_kafka_transactions_total",
    .help = "Kafka transactions committed.",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

static struct metric_family source_behind METRIC_FAMILY = {
    .name = "kakehi_source_behind_seconds",
    .help = "Age of the last transaction read, 0 when the source has nothing more to read.",
    .kind = METRIC_GAUGE,
    .labels = {"source"},
};

static struct metric_family commit_seconds METRIC_FAMILY = {
    .name = "kakehi_kafka_commit_seconds",
    .help = "From the cut of a Kafka transaction until the next may begin; what of its rows is still on the way is waited for.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"source"},
};

static struct metric_family last_commit METRIC_FAMILY = {
    .name = "kakehi_source_last_commit_timestamp_seconds",
    .help = "When the last transaction that was read was committed at the source, by its clock, since 1970.",
    .kind = METRIC_GAUGE,
    .labels = {"source"},
};

static struct metric_family source_bytes METRIC_FAMILY = {
    .name = "kakehi_source_read_bytes_total",
    .help = "Bytes of the source's log that were read.",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

static struct metric_family source_images METRIC_FAMILY = {
    .name = "kakehi_source_row_images_total",
    .help = "Row images that stood in it, those of tables that are not selected included.",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

static struct metric_family source_transactions METRIC_FAMILY = {
    .name = "kakehi_source_transactions_total",
    .help = "Transactions that were read to their end.",
    .kind = METRIC_COUNTER,
    .labels = {"source"},
};

void pipeline_figures_init(struct pipeline *pipeline)
{
    const char *const labels[] = {pipeline->settings->source.name};

    pipeline->transactions_metric = metric_cell(&kafka_transactions, labels);
    pipeline->commit_metric = metric_cell(&commit_seconds, labels);
    pipeline->behind_metric = metric_cell(&source_behind, labels);
    pipeline->read_metrics[0] = metric_cell(&last_commit, labels);
    pipeline->read_metrics[1] = metric_cell(&source_bytes, labels);
    pipeline->read_metrics[2] = metric_cell(&source_images, labels);
    pipeline->read_metrics[3] = metric_cell(&source_transactions, labels);
    pipeline->progress_ms = pipeline->heartbeat_ms = pipeline_now_ms(pipeline);
}

/* ---- once a second */

static void heartbeat(struct pipeline *pipeline)
{
    uint64_t now = pipeline_now_ms(pipeline), changes = routes_total(&pipeline->routes);
    struct source_figures figures = {0};

    if (now - pipeline->heartbeat_ms < (uint64_t)pipeline->settings->log.heartbeat_ms) {
        return;
    }
    pipeline->source->calls->figures(pipeline->source, &figures);
    log_info("heartbeat",
             "source=%s state=%s changes=%llu changes_per_s=%.1f kafka_transactions=%llu behind_s=%.1f open=%zu position=%q",
             pipeline->settings->source.name, sm_name(&pipeline->sm), (unsigned long long)changes,
             (double)(changes - pipeline->heartbeat_changes) * 1000 / (double)(now - pipeline->heartbeat_ms),
             (unsigned long long)pipeline->transactions, metric_get(pipeline->behind_metric), pipeline->open_count,
             figures.position);
    pipeline->heartbeat_ms = now;
    pipeline->heartbeat_changes = changes;
}

/* A source without a connection has nothing to yield, either: that is no rest. */
static bool is_at_rest(const struct pipeline *pipeline, const struct source_figures *figures)
{
    return pipeline_is_at(pipeline, STANDBY) ||
           (pipeline_is_at(pipeline, STREAM) && !pipeline->first && pipeline->idle && figures->connected && !pipeline->cutting &&
            pipeline->open_count == 0);
}

static void renew_behind(struct pipeline *pipeline)
{
    struct source_figures figures = {0};
    double behind_s = 0;

    pipeline->source->calls->figures(pipeline->source, &figures);
    if (is_at_rest(pipeline, &figures)) {
        pipeline->progress_ms = pipeline_now_ms(pipeline);
    } else if (figures.last_ts_us > 0) {
        behind_s = (double)(pipeline->world->clock_us(pipeline->world->context) - figures.last_ts_us) / 1e6;
    }
    metric_set(pipeline->behind_metric, behind_s > 0 ? behind_s : 0);
}

/* The source counts for as long as the program runs, so these grow like counters of our own. */
static void renew_read(struct pipeline *pipeline)
{
    struct source_figures figures = {0};

    pipeline->source->calls->figures(pipeline->source, &figures);
    metric_set(pipeline->read_metrics[0], figures.last_ts_us > 0 ? (double)figures.last_ts_us / 1e6 : NAN);
    metric_set(pipeline->read_metrics[1], (double)figures.bytes);
    metric_set(pipeline->read_metrics[2], (double)figures.row_images);
    metric_set(pipeline->read_metrics[3], (double)figures.transactions);
}

void pipeline_figures_renew(struct pipeline *pipeline)
{
    renew_read(pipeline);
    renew_behind(pipeline);
    heartbeat(pipeline);
}

/* ---- for the admin port */

bool pipeline_ready(const struct pipeline *pipeline, char *text, size_t size)
{
    bool ready = pipeline_is_at(pipeline, STANDBY) || (pipeline_is_at(pipeline, STREAM) && !pipeline->first);

    (void)snprintf(text, size, "%s%s%s", sm_name(&pipeline->sm), pipeline->trouble.class != ERR_NONE ? ": " : "",
                   pipeline->trouble.text);
    return ready;
}

/* The source's own, which is of now; or else ours, which is remembered until the next commit. NULL: none. */
static const char *trouble_text(const struct pipeline *pipeline, const struct source_figures *figures)
{
    if (figures->trouble != NULL) {
        return figures->trouble;
    }
    return pipeline->trouble.class != ERR_NONE ? pipeline->trouble.text : NULL;
}

bool pipeline_healthy(const struct pipeline *pipeline, char *text, size_t size)
{
    uint64_t still_ms = pipeline_now_ms(pipeline) - pipeline->progress_ms;
    struct source_figures figures = {0};
    const char *trouble;

    if (still_ms < STALL_MS) {
        (void)snprintf(text, size, "%s", sm_name(&pipeline->sm));
        return true;
    }
    pipeline->source->calls->figures(pipeline->source, &figures);
    trouble = trouble_text(pipeline, &figures);
    if (trouble == NULL) {
        trouble = figures.connected || !pipeline->started ? "rows wait and nothing is committed" : "the source does not connect";
    }
    (void)snprintf(text, size, "no progress for %llu s in state %s: %s", (unsigned long long)(still_ms / 1000),
                   sm_name(&pipeline->sm), trouble);
    return false;
}

static json_t *time_text(int64_t ts_us)
{
    struct buffer text = {0};
    json_t *json;

    if (ts_us == 0) {
        return json_null();
    }
    value_text_datetime(&text, ts_us, 'T');
    buffer_append_byte(&text, 'Z');
    json = json_string(buffer_text(&text));
    buffer_deinit(&text);
    return json;
}

static json_t *texts(const struct text_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; list != NULL && i < list->count; i++) {
        json_array_append_new(array, json_text(list->texts[i]));
    }
    return array;
}

static json_t *source_status(const struct pipeline *pipeline, const struct source_figures *figures)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:o, s:o}", "name", json_text(pipeline->settings->source.name), "server",
                     json_text(figures->server), "position", json_text(figures->position), "connected", figures->connected,
                     "row_images", (json_int_t)figures->row_images, "transactions", (json_int_t)figures->transactions,
                     "last_commit", time_text(figures->last_ts_us), "reread_needed", texts(figures->reread));
}

json_t *pipeline_status(const struct pipeline *pipeline)
{
    struct source_figures figures = {0};
    const char *trouble;

    pipeline->source->calls->figures(pipeline->source, &figures);
    trouble = trouble_text(pipeline, &figures);
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:o, s:o}", "program", "kakehi-producer", "version", version_text(), "state",
                     sm_name(&pipeline->sm), "source", source_status(pipeline, &figures), "kafka_transactions",
                     (json_int_t)pipeline->transactions, "tables", routes_status(&pipeline->routes), "set_aside",
                     pipeline->aside != NULL ? json_deep_copy(pipeline->aside) : json_object(), "trouble", json_text(trouble != NULL ? trouble : ""));
}

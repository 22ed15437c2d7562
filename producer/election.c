/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librdkafka's queue for the consumer makes an eventfd readable; the loop then serves what is in it. A timer serves it too,
 * because a consumer that is not polled for max.poll.interval.ms is put out of the group, and because the end of closing
 * makes no event.
 *
 * Assignor: cooperative-sticky, so that a standby that joins does not take the partition from the active one. The settings
 * may name another (the embedded broker wants range); both protocols are answered. A cooperative member whose close is not
 * preceded by unsubscribe does not leave the group (librdkafka 2.0.2), and the standby would wait for the session to end.
 *
 * E1  `owned` and `lost` are called in turn, beginning with owned.
 */
#include "producer/election.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/handle.h"
#include "producer/topics.h"

#define SERVE_MS     1000
#define CLOSING_MS   20   /* between two looks at whether the group has let go */
#define CLOSE_MAX_MS 3000 /* a broker that does not answer must not hold up the stop */

struct election {
    struct election_calls calls;
    char topic[TOPIC_NAME_SIZE];
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    int signal; /* eventfd: the queue is not empty */
    bool owned;
    uv_poll_t poll;
    uv_timer_t timer;
    uint64_t give_up_ms; /* closing */
    int handles;         /* of uv, still open */
    void (*closed)(void *context);
    void *closed_context;
};

static void subscribe(struct election *election)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t code;

    rd_kafka_topic_partition_list_add(list, election->topic, RD_KAFKA_PARTITION_UA);
    code = rd_kafka_subscribe(election->consumer, list);
    must(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
}

static void set_owned(struct election *election, bool owned)
{
    if (election->owned == owned || election->closed != NULL) {
        return;
    }
    election->owned = owned;
    if (owned) {
        election->calls.owned(election->calls.context);
    } else {
        election->calls.lost(election->calls.context);
    }
}

/* Takes error. What librdkafka can't carry out, a later rebalance mends. */
static void forget(rd_kafka_error_t *error)
{
    if (error != NULL) {
        log_debug("election_assign", "why=%q", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

static void on_assigned(struct election *election, rd_kafka_topic_partition_list_t *partitions, bool cooperative)
{
    for (int i = 0; i < partitions->cnt; i++) {
        partitions->elems[i].offset = 0; /* never read: paused before anything is delivered */
    }
    if (cooperative) {
        forget(rd_kafka_incremental_assign(election->consumer, partitions));
    } else {
        (void)rd_kafka_assign(election->consumer, partitions);
    }
    (void)rd_kafka_pause_partitions(election->consumer, partitions);
    if (partitions->cnt > 0) {
        set_owned(election, true);
    }
}

static void on_revoked(struct election *election, rd_kafka_topic_partition_list_t *partitions, bool cooperative)
{
    if (cooperative) {
        forget(rd_kafka_incremental_unassign(election->consumer, partitions));
    } else {
        (void)rd_kafka_assign(election->consumer, NULL);
    }
    if (partitions->cnt > 0) {
        set_owned(election, false);
    }
}

static void on_rebalance(struct election *election, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_event_topic_partition_list(event);
    bool cooperative = strcmp(rd_kafka_rebalance_protocol(election->consumer), "COOPERATIVE") == 0;

    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        on_assigned(election, partitions, cooperative);
    } else {
        on_revoked(election, partitions, cooperative);
    }
}

static void on_error(struct election *election, rd_kafka_event_t *event)
{
    struct err err = {0};

    (void)kafka_err_set(&err, rd_kafka_event_error(event), "taking part in the election");
    log_debug("election_error", "class=%s why=%q", err_class_name(err.class), rd_kafka_event_error_string(event));
    if (err.class == ERR_FATAL && election->closed == NULL) {
        election->calls.failed(election->calls.context, &err);
    }
}

static void serve(struct election *election)
{
    rd_kafka_event_t *event;

    while ((event = rd_kafka_queue_poll(election->queue, 0)) != NULL) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            on_rebalance(election, event);
        } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            on_error(election, event);
        }
        rd_kafka_event_destroy(event);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct election *election = poll->data;
    eventfd_t ignored;

    (void)status;
    (void)events;
    (void)eventfd_read(election->signal, &ignored);
    serve(election);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct election *election = handle->data;

    if (--election->handles > 0) {
        return;
    }
    (void)close(election->signal);
    election->closed(election->closed_context);
    free(election);
}

static void finish(struct election *election)
{
    bool left = rd_kafka_consumer_closed(election->consumer);

    rd_kafka_queue_io_event_enable(election->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(election->queue);
    rd_kafka_destroy_flags(election->consumer, left ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    uv_close((uv_handle_t *)&election->poll, on_handle_closed);
    uv_close((uv_handle_t *)&election->timer, on_handle_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct election *election = timer->data;

    serve(election);
    if (election->closed == NULL) {
        return;
    }
    if (rd_kafka_consumer_closed(election->consumer) || uv_now(timer->loop) >= election->give_up_ms) {
        (void)uv_timer_stop(timer);
        finish(election);
    }
}

static int new_consumer(struct election *election, const struct settings *settings, struct err *err)
{
    char group[TOPIC_NAME_SIZE];
    const char *const parts[] = {settings->prefix, settings->source.name, "election", NULL};
    const struct handle_property defaults[] = {
        {"client.id", "kakehi-producer"},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"session.timeout.ms", "10000"},
        {"heartbeat.interval.ms", "1000"},
        {0},
    };
    const struct handle_property fixed[] = {
        {"group.id", group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {0},
    };
    rd_kafka_conf_t *conf;

    if (kafka_join(group, sizeof group, parts, err) != 0) {
        return err_while(err, "making the election group's id of prefix and source name");
    }
    if (handle_conf(RD_KAFKA_CONSUMER, settings, defaults, fixed, &conf, err) != 0) {
        return -1;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
    return handle_new(RD_KAFKA_CONSUMER, conf, &election->consumer, err);
}

int election_new(uv_loop_t *loop, const struct settings *settings, const struct election_calls *calls,
                 struct election **ret_election, struct err *err)
{
    static const uint64_t one = 1;
    struct election *election = calloc(1, sizeof *election);

    must(election != NULL);
    if (new_consumer(election, settings, err) != 0) {
        free(election);
        return -1;
    }
    election->calls = *calls;
    topics_state_name(settings, "positions", election->topic);
    election->signal = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    must(election->signal >= 0);
    election->queue = rd_kafka_queue_get_consumer(election->consumer);
    rd_kafka_queue_io_event_enable(election->queue, election->signal, &one, sizeof one);
    must(uv_poll_init(loop, &election->poll, election->signal) == 0 && uv_timer_init(loop, &election->timer) == 0);
    election->poll.data = election->timer.data = election;
    election->handles = 2;
    must(uv_poll_start(&election->poll, UV_READABLE, on_readable) == 0);
    must(uv_timer_start(&election->timer, on_timer, SERVE_MS, SERVE_MS) == 0);
    *ret_election = election;
    return 0;
}

void election_join(struct election *election)
{
    subscribe(election);
}

void election_rejoin(struct election *election)
{
    election->owned = false;
    (void)rd_kafka_unsubscribe(election->consumer);
    subscribe(election);
}

void election_close(struct election *election, void (*closed)(void *context), void *context)
{
    election->closed = closed;
    election->closed_context = context;
    election->give_up_ms = uv_now(election->timer.loop) + CLOSE_MAX_MS;
    (void)rd_kafka_unsubscribe(election->consumer);
    forget(rd_kafka_consumer_close_queue(election->consumer, election->queue));
    must(uv_timer_start(&election->timer, on_timer, CLOSING_MS, CLOSING_MS) == 0);
}

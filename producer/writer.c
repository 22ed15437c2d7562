/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One handle, the transactional one, made anew by each fence. What needs no transaction is groundwork's, which has handles of its own.
 *
 * Zero copy: payload stays in the parcel. Its owner gets it back only when the last of its messages was answered; or when the
 * handle is destroyed and its threads are joined, for until then a purged message may still stand in a buffer that is being
 * sent.
 *
 * "ends": the position record of a transaction names the end offsets of the one before, taken from delivery reports. The
 * first record after a take-over names the high watermarks of all data topics of the source instead: not less than what was
 * committed.
 *
 * W1  Delivery reports are served on the caller's thread only (poll, commit, destroy): nothing here is locked.
 * W2  A parcel is either in `in_flight` or not ours.
 */
#include "producer/writer.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/destinations.h"
#include "producer/handle.h"
#include "producer/positions.h"
#include "producer/topics.h"

#define SLICE_MS   1000  /* of a blocking call, between two looks at `cancelled` */
#define FULL_MS    10    /* the longest wait of a queue that is full, between two looks whether it still is */
#define INIT_MS    60000 /* brokers that can't be reached for this long: the owner shall say so */
#define COMMIT_MS  60000 /* longer than any transaction lives on the broker */
#define ABORT_MS   2000  /* a courtesy to readers that wait behind the open transaction */

#define MARKERS_US     2000  /* the coordinator's own share in a commit, beside what it writes */
#define MARKERS_MAX_US 20000 /* librdkafka's pause after a transaction that begins too early */

struct writer {
    const struct settings *settings;
    struct writer_calls calls;
    char id[TOPIC_NAME_SIZE]; /* transactional.id */
    struct groundwork *groundwork;
    rd_kafka_t *handle;       /* NULL: abandoned, or not fenced yet */
    rd_kafka_queue_t *events; /* of handle */
    rd_kafka_topic_t *positions;
    rd_kafka_topic_t *dead; /* letters */
    struct destinations destinations;
    struct parcel *in_flight;
    bool open; /* a transaction */
    bool fenced_off;
    struct err refused; /* the first message of the open transaction that was refused */
    bool too_large;     /* for its size, and its reference shall go to the dead letters */
    int64_t too_large_seq;
    int64_t too_large_idx;
    json_t *ends;       /* of the transaction before */
};

int writer_new(const struct settings *settings, const struct writer_calls *calls, struct writer **ret_writer, struct err *err)
{
    struct writer *writer = calloc(1, sizeof *writer);
    const char *const parts[] = {settings->prefix, settings->source.name, NULL};

    must(writer != NULL);
    writer->settings = settings;
    writer->calls = *calls;
    if (kafka_join(writer->id, sizeof writer->id, parts, err) != 0) {
        free(writer);
        return err_while(err, "making the transactional id of prefix and source name");
    }
    writer->groundwork = groundwork_new(settings, calls->cancelled, calls->context);
    *ret_writer = writer;
    return 0;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    writer_abandon(writer);
    groundwork_free(writer->groundwork);
    destinations_deinit(&writer->destinations);
    free(writer);
}

bool writer_fenced_off(const struct writer *writer)
{
    return writer->fenced_off;
}

static bool cancelled(const struct writer *writer)
{
    return writer->calls.cancelled(writer->calls.context);
}

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
    return now_us() / 1000;
}

/* ---- open */

int writer_open(struct writer *writer, bool positions_may_be_new, struct err *err)
{
    return groundwork_open(writer->groundwork, positions_may_be_new, err);
}

/* ---- delivery reports */

static void unlink_parcel(struct writer *writer, struct parcel *parcel)
{
    struct parcel **at = &writer->in_flight;

    while (*at != parcel) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = parcel->next;
    parcel->next = NULL;
}

static void settle(struct writer *writer, struct parcel *parcel, size_t count)
{
    must(parcel->unsettled >= count);
    parcel->unsettled -= count;
    if (parcel->unsettled == 0) {
        unlink_parcel(writer, parcel);
        writer->calls.settled(writer->calls.context, parcel);
    }
}

static rd_kafka_topic_t *topic_of(const struct writer *writer, const struct parcel_entry *entry)
{
    return entry->topic_id == TOPIC_DEAD_LETTERS ? writer->dead : writer->destinations.items[entry->topic_id].handle;
}

/* Names the change by its order numbers: what is in the row is nobody's business in a log. */
static void note_too_large(struct writer *writer, const struct parcel_entry *entry)
{
    const char *table =
        entry->topic_id == TOPIC_DEAD_LETTERS ? "a table" : writer->destinations.items[entry->topic_id].table;

    writer->too_large = writer->settings->producer.too_large == TOO_LARGE_DEAD_LETTER;
    writer->too_large_seq = entry->seq;
    writer->too_large_idx = entry->idx;
    (void)err_set(&writer->refused, writer->too_large ? ERR_RETRY : ERR_FATAL,
                  "a change of %s (__seq %lld, __idx %lld) makes a message of %zu bytes, too large for topic %s: %s", table,
                  (long long)entry->seq, (long long)entry->idx, entry->key_size + entry->value_size + entry->reason_size,
                  rd_kafka_topic_name(topic_of(writer, entry)),
                  writer->too_large ? "beginning again, with a reference to it for the dead letters"
                                    : "raise `producer.kafka.message.max.bytes` in the settings and max.message.bytes of the topic, or set "
                                      "`producer.too_large: dead_letter`");
}

static void note_refused(struct writer *writer, rd_kafka_resp_err_t code, const struct parcel_entry *entry)
{
    if (writer->refused.class != ERR_NONE || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        return;
    }
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        note_too_large(writer, entry);
    } else {
        (void)kafka_err_set(&writer->refused, code, "producing");
        (void)err_while(&writer->refused, "topic %s", rd_kafka_topic_name(topic_of(writer, entry)));
    }
}

bool writer_too_large(const struct writer *writer, int64_t *ret_seq, int64_t *ret_idx)
{
    *ret_seq = writer->too_large_seq;
    *ret_idx = writer->too_large_idx;
    return writer->too_large;
}

/*
 * A11: a broker that knows nothing of a producer in a partition takes its first request with any sequence number. Where the first
 * one met an error that is tried again (the topic is new and not ready) and the second was taken, the first then counts as
 * DUPLICATE_SEQUENCE_NUMBER, which librdkafka reports as delivered, without an offset. It is lost.
 */
static void note_unproved(struct writer *writer, const rd_kafka_message_t *message)
{
    if (writer->refused.class == ERR_NONE) {
        (void)err_set(&writer->refused, ERR_RETRY, "topic %s: the broker took a message for a repetition, and may not have it",
                      rd_kafka_topic_name(message->rkt));
    }
}

static void on_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct writer *writer = opaque;
    const struct parcel_entry *entry = message->_private;

    (void)handle;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < 0) {
        note_unproved(writer, message);
    }
    if (entry == NULL) {
        return; /* the position record: what else became of it, the commit says */
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        note_refused(writer, message->err, entry);
    } else if (message->offset >= 0 && entry->topic_id != TOPIC_DEAD_LETTERS) {
        destination_note(&writer->destinations.items[entry->topic_id], message->partition, message->offset, message->key_len + message->len);
    }
    settle(writer, entry->parcel, 1);
}

void writer_poll(struct writer *writer)
{
    if (writer->handle != NULL) {
        (void)rd_kafka_poll(writer->handle, 0);
    }
}

/* ---- fence and abandon */

static void on_event(rd_kafka_t *handle, void *opaque)
{
    struct writer *writer = opaque;

    (void)handle;
    writer->calls.wake(writer->calls.context);
}

static rd_kafka_topic_t *new_state_topic(const struct writer *writer, const char *which)
{
    char name[TOPIC_NAME_SIZE];
    rd_kafka_topic_t *topic;

    topics_state_name(writer->settings, which, name);
    topic = rd_kafka_topic_new(writer->handle, name, NULL);
    must(topic != NULL);
    return topic;
}

static int new_handle(struct writer *writer, struct err *err)
{
    const struct handle_property defaults[] = {
        {"client.id", "kakehi-producer"},
        {"linger.ms", "50"}, /* of a batch that is not full; the commit sends at once what is left, so no row waits for it */
        {"socket.nagle.disable", "true"}, /* else the small request behind another waits for the first one's answer */
        {"transaction.timeout.ms", KAFKA_TRANSACTION_TIMEOUT_MS},
        {0},
    };
    const struct handle_property fixed[] = {
        {"transactional.id", writer->id},
        {"acks", "all"},
        {"partitioner", "murmur2_random"}, /* as Java clients place keys */
        {0},
    };
    rd_kafka_conf_t *conf;

    if (handle_conf(RD_KAFKA_PRODUCER, writer->settings, defaults, fixed, &conf, err) != 0) {
        return -1;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_conf_set_opaque(conf, writer);
    if (handle_new(RD_KAFKA_PRODUCER, conf, &writer->handle, err) != 0) {
        return -1;
    }
    writer->events = rd_kafka_queue_get_main(writer->handle);
    if (writer->calls.wake != NULL) {
        rd_kafka_queue_cb_event_enable(writer->events, on_event, writer);
    }
    writer->positions = new_state_topic(writer, "positions");
    writer->dead = new_state_topic(writer, "dead");
    return 0;
}

/* Takes error. The handle's own fatal error, and the message that was refused, say more than the call that met them. */
static int fail(struct writer *writer, rd_kafka_error_t *error, const char *doing, struct err *err)
{
    char text[256];
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(writer->handle, text, sizeof text);

    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = fatal;
    }
    writer->fenced_off = code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    if (writer->fenced_off) {
        (void)err_set(err, ERR_RETRY, "%s: another instance has taken over, or the transaction took longer than its time-out",
                      doing);
    } else if (writer->refused.class != ERR_NONE) {
        *err = writer->refused;
    } else {
        (void)err_set(err, kafka_error_class(code) == ERR_FATAL ? ERR_FATAL : ERR_RETRY, "%s: %s (%s)", doing,
                      rd_kafka_error_string(error), rd_kafka_err2name(code));
    }
    rd_kafka_error_destroy(error);
    return -1;
}

/* Gives a retriable call again until it is done or its time is up. */
static int repeat(struct writer *writer, rd_kafka_error_t *(*call)(rd_kafka_t *, int), int64_t limit_ms, const char *doing,
                  struct err *err)
{
    int64_t give_up_ms = now_ms() + limit_ms;

    for (;;) {
        rd_kafka_error_t *error = call(writer->handle, SLICE_MS);

        if (error == NULL) {
            return 0;
        }
        if (cancelled(writer)) {
            rd_kafka_error_destroy(error);
            return err_set(err, ERR_CANCELED, "told to stop");
        }
        if (!rd_kafka_error_is_retriable(error) || now_ms() >= give_up_ms) {
            return fail(writer, error, doing, err);
        }
        rd_kafka_error_destroy(error);
    }
}

int writer_fence(struct writer *writer, struct err *err)
{
    writer_abandon(writer);
    writer->fenced_off = false;
    groundwork_forget(writer->groundwork);
    if (new_handle(writer, err) != 0 || repeat(writer, rd_kafka_init_transactions, INIT_MS, "taking over", err) != 0) {
        return -1;
    }
    return groundwork_ends(writer->groundwork, &writer->ends, err);
}

int writer_read_position(struct writer *writer, json_t **ret_record, struct err *err)
{
    must(writer->handle != NULL); /* A2: nothing read before the fence counts */
    return positions_read(writer->settings, writer->calls.cancelled, writer->calls.context, ret_record, err);
}

json_t *writer_published(const struct writer *writer)
{
    return topics_tables(writer->settings, writer->ends);
}

int writer_check_first(const struct writer *writer, struct err *err)
{
    size_t count = json_object_size(writer->ends);

    if (count == 0) {
        return 0;
    }
    return err_set(
        err, ERR_FATAL,
        "source %s has no position record, but %s%s hold rows: where it stands is not known. Say it with `kakehi-producer "
        "position --set`, or delete the data topics to begin anew",
        writer->settings->source.name, json_object_iter_key(json_object_iter(writer->ends)), count > 1 ? " and others" : "");
}

static void abort_transaction(struct writer *writer)
{
    char text[16];
    bool hopeless = rd_kafka_fatal_error(writer->handle, text, sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR;

    if (writer->open && !hopeless) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(writer->handle, ABORT_MS);

        if (error != NULL) { /* then its time-out ends it, or the next fence */
            log_debug("abort_failed", "why=%q", rd_kafka_error_string(error));
            rd_kafka_error_destroy(error);
        }
    }
    writer->open = false;
}

void writer_abandon(struct writer *writer)
{
    if (writer->handle == NULL) {
        return;
    }
    abort_transaction(writer);
    (void)rd_kafka_purge(writer->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_queue_cb_event_enable(writer->events, NULL, NULL);
    rd_kafka_queue_destroy(writer->events);
    rd_kafka_topic_destroy(writer->positions);
    rd_kafka_topic_destroy(writer->dead);
    destinations_close(&writer->destinations);
    rd_kafka_destroy(writer->handle);
    writer->handle = NULL;
    while (writer->in_flight != NULL) {
        settle(writer, writer->in_flight, writer->in_flight->unsettled);
    }
    destinations_forget(&writer->destinations);
    writer->refused = (struct err){0};
    writer->too_large = false;
    json_decref(writer->ends);
    writer->ends = NULL;
}

/* ---- prepare */

static int prepare_topic(struct writer *writer, const struct groundwork_table *table, uint32_t *ret_topic_id, struct err *err)
{
    struct destination *topic;

    if (destinations_find(&writer->destinations, table->topic, table->table, ret_topic_id, err) != 0) {
        return -1;
    }
    topic = &writer->destinations.items[*ret_topic_id];
    if (topic->handle == NULL) {
        if (groundwork_topic(writer->groundwork, table, err) != 0) {
            return -1;
        }
        topic->handle = rd_kafka_topic_new(writer->handle, topic->name, NULL);
        must(topic->handle != NULL);
    }
    return 0;
}

int writer_prepare(struct writer *writer, const struct groundwork_table *table, uint32_t *ret_topic_id, struct framing_ids *ret_ids,
                   struct err *err)
{
    if (prepare_topic(writer, table, ret_topic_id, err) != 0) {
        return -1;
    }
    return groundwork_schemas(writer->groundwork, table, ret_ids, err);
}

/* ---- rows and commits */

static int begin(struct writer *writer, struct err *err)
{
    rd_kafka_error_t *error;

    if (writer->open) {
        return 0;
    }
    error = rd_kafka_begin_transaction(writer->handle);
    if (error != NULL) {
        return fail(writer, error, "beginning a transaction", err);
    }
    writer->open = true;
    return 0;
}

struct outgoing {
    rd_kafka_topic_t *topic;
    int32_t partition;
    int flags;
    const void *value, *key;
    size_t value_size, key_size;
    const void *reason; /* a header; NULL: none */
    size_t reason_size;
    void *opaque;
};

static rd_kafka_resp_err_t produce_with_reason(struct writer *writer, const struct outgoing *out)
{
    return rd_kafka_producev(writer->handle, RD_KAFKA_V_RKT(out->topic), RD_KAFKA_V_PARTITION(out->partition),
                             RD_KAFKA_V_MSGFLAGS(out->flags), RD_KAFKA_V_VALUE((void *)(uintptr_t)out->value, out->value_size),
                             RD_KAFKA_V_KEY(out->key, out->key_size),
                             RD_KAFKA_V_HEADER("reason", out->reason, (ssize_t)out->reason_size), RD_KAFKA_V_OPAQUE(out->opaque),
                             RD_KAFKA_V_END);
}

static rd_kafka_resp_err_t produce_once(struct writer *writer, const struct outgoing *out)
{
    if (out->reason != NULL) {
        return produce_with_reason(writer, out);
    }
    if (rd_kafka_produce(out->topic, out->partition, out->flags, (void *)(uintptr_t)out->value, out->value_size, out->key,
                         out->key_size, out->opaque) == 0) {
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return rd_kafka_last_error();
}

/* Waits while librdkafka's queue is full: its reports make room, and a flush sends at once what would wait for a fuller batch (linger.ms), which
 * a full queue has no room for. Returns its code, or _DESTROY if we were told to stop. */
static rd_kafka_resp_err_t produce(struct writer *writer, const struct outgoing *out)
{
    rd_kafka_resp_err_t code = produce_once(writer, out);

    while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        if (cancelled(writer)) {
            return RD_KAFKA_RESP_ERR__DESTROY;
        }
        (void)rd_kafka_flush(writer->handle, FULL_MS);
        code = produce_once(writer, out);
    }
    return code;
}

static int fail_producing(struct writer *writer, rd_kafka_resp_err_t code, const char *doing, struct err *err)
{
    if (code == RD_KAFKA_RESP_ERR__DESTROY) {
        return err_set(err, ERR_CANCELED, "told to stop");
    }
    return fail(writer, rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)), doing, err);
}

static int produce_entry(struct writer *writer, struct parcel_entry *entry, struct err *err)
{
    const uint8_t *key = entry->parcel->bytes + entry->begin;
    rd_kafka_resp_err_t code =
        produce(writer, &(struct outgoing){
                            .topic = topic_of(writer, entry),
                            .partition = entry->partition == PARTITION_BY_KEY ? RD_KAFKA_PARTITION_UA : entry->partition,
                            .value = key + entry->key_size,
                            .value_size = entry->value_size,
                            .key = entry->key_null ? NULL : key,
                            .key_size = entry->key_size,
                            .reason = entry->reason_size > 0 ? key + entry->key_size + entry->value_size : NULL,
                            .reason_size = entry->reason_size,
                            .opaque = entry,
                        });

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    if (code == RD_KAFKA_RESP_ERR__STATE) { /* of one before: its report says why */
        (void)rd_kafka_poll(writer->handle, SLICE_MS);
    }
    if (code != RD_KAFKA_RESP_ERR__DESTROY) {
        note_refused(writer, code, entry);
    }
    return fail_producing(writer, code, "producing", err);
}

/* One message more than there are stays unsettled until all are produced: reports may come before. */
int writer_give(struct writer *writer, struct parcel *parcel, struct err *err)
{
    int status = begin(writer, err);

    parcel->next = writer->in_flight;
    writer->in_flight = parcel;
    parcel->unsettled = 1;
    for (size_t i = 0; i < parcel->count && status == 0; i++) {
        parcel->unsettled++;
        status = produce_entry(writer, &parcel->entries[i], err);
        parcel->unsettled -= status == 0 ? 0 : 1;
    }
    settle(writer, parcel, 1);
    if (status == 0) {
        (void)rd_kafka_poll(writer->handle, 0);
    }
    return status;
}

static int send_position(struct writer *writer, json_t *state, struct err *err)
{
    const char *source = writer->settings->source.name;
    char *text = state != NULL ? positions_text(state, source, writer->ends) : NULL;
    rd_kafka_resp_err_t code = produce(writer, &(struct outgoing){
                                                   .topic = writer->positions,
                                                   .flags = RD_KAFKA_MSG_F_COPY,
                                                   .value = text,
                                                   .value_size = text != NULL ? strlen(text) : 0,
                                                   .key = source,
                                                   .key_size = strlen(source),
                                               });

    free(text);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : fail_producing(writer, code, "producing the position", err);
}

/* Every message has its report before the commit is asked for, and every report an offset (A11). */
static int settle_all(struct writer *writer, struct err *err)
{
    int64_t give_up_ms = now_ms() + COMMIT_MS;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

    while (code == RD_KAFKA_RESP_ERR__TIMED_OUT && now_ms() < give_up_ms && !cancelled(writer)) {
        code = rd_kafka_flush(writer->handle, SLICE_MS);
    }
    if (cancelled(writer)) {
        return err_set(err, ERR_CANCELED, "told to stop");
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail_producing(writer, code, "waiting for the reports", err);
    }
    if (writer->refused.class != ERR_NONE) {
        *err = writer->refused;
        return -1;
    }
    return 0;
}

/*
 * Lets the coordinator finish. It answers a commit when it is decided; then it writes a marker into each partition, and at last into its own
 * log that they stand. A transaction that begins before is told CONCURRENT_TRANSACTIONS, and librdkafka asks again after 20 ms, whatever
 * its settings. Nobody says when the markers stand; but these two writes, one behind the other, are of the kind that the commit waited for.
 * Where this is too short, those 20 ms are lost and nothing else; rows that come meanwhile are in the next transaction.
 */
static void await_markers(struct writer *writer, int64_t commit_us)
{
    int64_t expected_us = MARKERS_US + 2 * commit_us;
    int64_t end_us = now_us() + (expected_us < MARKERS_MAX_US ? expected_us : MARKERS_MAX_US);

    for (int64_t left_us = end_us - now_us(); left_us > 0 && !cancelled(writer); left_us = end_us - now_us()) {
        (void)rd_kafka_poll(writer->handle, (int)(left_us + 999) / 1000);
    }
}

static int commit(struct writer *writer, struct err *err)
{
    int64_t begin_us = now_us();

    if (repeat(writer, rd_kafka_commit_transaction, COMMIT_MS, "committing", err) != 0) {
        return -1;
    }
    writer->open = false;
    await_markers(writer, now_us() - begin_us);
    return 0;
}

int writer_cut(struct writer *writer, json_t *state, struct delivered_list *ret_delivered, struct err *err)
{
    int status = begin(writer, err);

    if (status != 0) {
        json_decref(state);
        return -1;
    }
    if (send_position(writer, state, err) != 0 || settle_all(writer, err) != 0 || commit(writer, err) != 0) {
        return -1;
    }
    json_decref(writer->ends);
    writer->ends = destinations_ends(&writer->destinations);
    if (ret_delivered != NULL) {
        *ret_delivered = destinations_delivered(&writer->destinations);
    }
    destinations_forget(&writer->destinations);
    return 0;
}

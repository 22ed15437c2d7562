/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A letter that was not acknowledged is sent again without end (C8); only one that no broker can ever take is reported.
 *
 * The first letter of a process is under way for up to a second: librdkafka 2.0 asks where a new topic is led when it next looks at all topics,
 * which it does once a second. Its partition waits for it; others don't. Not mended: to tell librdkafka of the topic before there is a letter
 * would let brokers that make topics by themselves make it, before the producer does as the settings say, and a question of our own blocks.
 */
#include "workers/dead_letter.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "schemas/framing.h"

#define KEY_BYTES_MAX 300 /* a topic's name has at most 249 */

struct letter {
    struct letter *next; /* among those that wait for their next try */
    uint64_t assignment;
    uint64_t batch_number;
    char *topic;
    int32_t partition;
    char *reason;
    struct message message; /* points into bytes */
    size_t size;
    uint8_t bytes[]; /* value, key */
};

struct dead_letters {
    struct wake *wake;
    struct budget *budget;
    dead_letter_answer answer;
    void *context;
    char *topic;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    struct letter *again; /* newest first; letters have no order */
    bool complained;
};

static struct letter *letter_new(const struct dead_letter *from)
{
    size_t size = from->message->value_size + from->message->key_size;
    struct letter *letter = calloc(1, sizeof *letter + size);

    must(letter != NULL);
    letter->assignment = from->assignment;
    letter->batch_number = from->batch_number;
    letter->topic = must_strdup(from->topic);
    letter->reason = must_strdup(from->reason);
    letter->partition = from->partition;
    letter->message = *from->message;
    letter->size = size;
    if (from->message->value != NULL) {
        letter->message.value = memcpy(letter->bytes, from->message->value, from->message->value_size);
    }
    if (from->message->key != NULL) {
        letter->message.key = memcpy(letter->bytes + from->message->value_size, from->message->key, from->message->key_size);
    }
    return letter;
}

static void letter_free(struct dead_letters *letters, struct letter *letter)
{
    budget_give(letters->budget, letter->size);
    free(letter->topic);
    free(letter->reason);
    free(letter);
}

static void add_number(rd_kafka_headers_t *headers, const char *name, int64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, number);
    must(rd_kafka_header_add(headers, name, -1, text, -1) == RD_KAFKA_RESP_ERR_NO_ERROR);
}

static rd_kafka_headers_t *headers_of(const struct letter *letter)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    const struct message *message = &letter->message;
    char schema[FRAMING_ID_TEXT_SIZE];
    struct frame frame;
    size_t frame_size;
    struct err err;

    must(rd_kafka_header_add(headers, "reason", -1, letter->reason, -1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    must(rd_kafka_header_add(headers, "topic", -1, letter->topic, -1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    add_number(headers, "partition", letter->partition);
    add_number(headers, "offset", message->offset);
    add_number(headers, "timestamp", message->timestamp_ms);
    if (message->value != NULL && framing_read(message->value, message->value_size, &frame, &frame_size, &err) == 0) {
        framing_id_text(&frame, schema);
        must(rd_kafka_header_add(headers, "schema", -1, schema, -1) == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    if (message->key != NULL) {
        must(rd_kafka_header_add(headers, "key", -1, message->key, (ssize_t)message->key_size) == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    return headers;
}

static void finish(struct dead_letters *letters, struct letter *letter, const struct err *err)
{
    letters->answer(letters->context, letter->assignment, letter->batch_number, err);
    letter_free(letters, letter);
}

static void try_later(struct dead_letters *letters, struct letter *letter, rd_kafka_resp_err_t code)
{
    if (!letters->complained) {
        letters->complained = true;
        log_warn("dead_letter", "topic=%s next=%q reason=%q", letters->topic, "trying again", rd_kafka_err2str(code));
    }
    letter->next = letters->again;
    letters->again = letter;
}

static void produce(struct dead_letters *letters, struct letter *letter)
{
    rd_kafka_headers_t *headers = headers_of(letter);
    char key[KEY_BYTES_MAX];
    rd_kafka_resp_err_t code;

    (void)snprintf(key, sizeof key, "%s/%d/%" PRId64, letter->topic, letter->partition, letter->message.offset);
    /* The value stays in the letter until its report: no copy. */
    code = rd_kafka_producev(letters->handle, RD_KAFKA_V_TOPIC(letters->topic), RD_KAFKA_V_KEY(key, strlen(key)),
                             RD_KAFKA_V_VALUE((void *)letter->message.value, letter->message.value_size), RD_KAFKA_V_HEADERS(headers),
                             RD_KAFKA_V_OPAQUE(letter), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
        try_later(letters, letter, code);
    }
}

static void on_report(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct dead_letters *letters = opaque;
    struct letter *letter = message->_private;
    struct err err = {0};
    enum err_class class = kafka_error_class(message->err);

    (void)handle;
    if (class == ERR_NONE) {
        letters->complained = false;
        finish(letters, letter, NULL);
    } else if (class == ERR_RETRY) {
        try_later(letters, letter, message->err);
    } else if (class == ERR_CANCELED || message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        letter_free(letters, letter);
    } else {
        (void)kafka_err_set(&err, message->err, "giving a message to the dead letters");
        finish(letters, letter, &err);
    }
}

rd_kafka_t *dead_letters_handle(const struct dead_letters *letters)
{
    return letters->handle;
}

void dead_letters_give(struct dead_letters *letters, const struct dead_letter *from)
{
    struct letter *letter = letter_new(from);

    log_warn("dead_letter", "topic=%s partition=%d offset=%lld reason=%q", from->topic, from->partition, (long long)from->message->offset,
             from->reason);
    budget_take(letters->budget, letter->size);
    produce(letters, letter);
}

void dead_letters_poll(struct dead_letters *letters)
{
    (void)rd_kafka_poll(letters->handle, 0);
}

void dead_letters_tick(struct dead_letters *letters)
{
    struct letter *letter = letters->again;
    struct letter *next;

    letters->again = NULL;
    for (; letter != NULL; letter = next) {
        next = letter->next;
        produce(letters, letter);
    }
    dead_letters_poll(letters);
}

static int make_handle(struct dead_letters *letters, const struct settings *settings, struct err *err)
{
    struct text_pairs defaults = {0};
    struct text_pairs fixed = {0};
    const struct text_pairs *lists[] = {&kafka_producer_budget, &defaults, &settings->kafka, &settings->worker.kafka, &fixed, NULL};
    rd_kafka_conf_t *conf = NULL;
    char words[256];
    int status;

    text_pairs_set(&defaults, "client.id", "kakehi-worker-dead");
    text_pairs_set(&fixed, "enable.idempotence", "true");
    text_pairs_set(&fixed, "isolation.level", "read_uncommitted"); /* of the questions asked by this handle: the real end (K7) */
    text_pairs_set(&fixed, "message.max.bytes", "1000000000"); /* the topic decides what is too large, not the client */
    text_pairs_set(&fixed, "queue.buffering.max.kbytes", "1000000"); /* librdkafka takes none that is larger; the budget bounds what waits */
    status = kafka_conf_new(lists, &conf, err);
    text_pairs_deinit(&defaults);
    text_pairs_deinit(&fixed);
    if (status != 0) {
        return -1;
    }
    rd_kafka_conf_set_opaque(conf, letters);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    letters->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
    if (letters->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_FATAL, "making the producer of dead letters: %s", words);
    }
    return 0;
}

int dead_letters_new(struct wake *wake, const struct settings *settings, struct budget *budget, dead_letter_answer answer, void *context,
                     struct dead_letters **ret_letters, struct err *err)
{
    struct dead_letters *letters = calloc(1, sizeof *letters);

    must(letters != NULL);
    *letters = (struct dead_letters){.wake = wake, .budget = budget, .answer = answer, .context = context};
    must(asprintf(&letters->topic, "%s.dead", settings->prefix) > 0);
    if (make_handle(letters, settings, err) != 0) {
        free(letters->topic);
        free(letters);
        return -1;
    }
    letters->queue = rd_kafka_queue_get_main(letters->handle);
    wake_attach(wake, letters->queue);
    *ret_letters = letters;
    return 0;
}

void dead_letters_free(struct dead_letters *letters)
{
    struct letter *next;

    if (letters == NULL) {
        return;
    }
    wake_detach(letters->queue);
    (void)rd_kafka_purge(letters->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    (void)rd_kafka_flush(letters->handle, 1000); /* the reports of what was purged */
    for (struct letter *letter = letters->again; letter != NULL; letter = next) {
        next = letter->next;
        letter_free(letters, letter);
    }
    rd_kafka_queue_destroy(letters->queue);
    rd_kafka_destroy(letters->handle);
    free(letters->topic);
    free(letters);
}

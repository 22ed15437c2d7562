/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas that were acknowledged since the last fence are remembered; the rest is sent and waited for. */
#include "producer/registrar.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/must.h"
#include "producer/handle.h"
#include "producer/topics.h"
#include "schemas/framing.h"

#define KNOWN_MAX  8192 /* beyond it all are published again when they are wanted (P6) */
#define SLICE_MS   1000
#define TIMEOUT_MS "30000" /* bounds a flush */

struct registrar {
    const struct settings *settings;
    rd_kafka_t *handle; /* NULL until needed */
    uint64_t *ids;      /* the first `known` are acknowledged, the others on their way */
    size_t count;
    size_t known;
    rd_kafka_resp_err_t code;  /* why the first of those on their way was refused */
    struct text_pairs waiting; /* key and text of what is still to be produced */
};

struct registrar *registrar_new(const struct settings *settings)
{
    struct registrar *registrar = calloc(1, sizeof *registrar);

    must(registrar != NULL);
    registrar->settings = settings;
    return registrar;
}

static void disconnect(struct registrar *registrar)
{
    if (registrar->handle != NULL) {
        rd_kafka_destroy(registrar->handle);
        registrar->handle = NULL;
    }
}

void registrar_free(struct registrar *registrar)
{
    if (registrar != NULL) {
        disconnect(registrar);
        text_pairs_deinit(&registrar->waiting);
        free(registrar->ids);
        free(registrar);
    }
}

void registrar_forget(struct registrar *registrar)
{
    text_pairs_deinit(&registrar->waiting);
    registrar->count = registrar->known = 0;
}

void registrar_again(struct registrar *registrar, uint64_t schema_id)
{
    size_t i = 0;

    must(registrar->known == registrar->count);
    while (i < registrar->count && registrar->ids[i] != schema_id) {
        i++;
    }
    if (i < registrar->count) {
        registrar->ids[i] = registrar->ids[--registrar->count];
        registrar->known = registrar->count;
    }
}

static bool is_there(const struct registrar *registrar, uint64_t schema_id)
{
    for (size_t i = 0; i < registrar->count; i++) {
        if (registrar->ids[i] == schema_id) {
            return true;
        }
    }
    return false;
}

void registrar_add(struct registrar *registrar, uint64_t schema_id, const char *text)
{
    const struct frame frame = {FRAMING_SINGLE_OBJECT, schema_id};
    char key[FRAMING_ID_TEXT_SIZE];

    if (is_there(registrar, schema_id)) {
        return;
    }
    if (registrar->count >= KNOWN_MAX && registrar->known == registrar->count) {
        registrar_forget(registrar);
    }
    framing_id_text(&frame, key);
    text_pairs_set(&registrar->waiting, key, text);
    registrar->ids = realloc(registrar->ids, (registrar->count + 1) * sizeof *registrar->ids);
    must(registrar->ids != NULL);
    registrar->ids[registrar->count++] = schema_id;
}

static void on_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct registrar *registrar = opaque;

    (void)handle;
    if (registrar->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        registrar->code = message->err;
    }
}

static int make_handle(struct registrar *registrar, struct err *err)
{
    const struct handle_property defaults[] = {
        {"client.id", "kakehi-producer"},
        {"queue.buffering.max.kbytes", "4096"},
        {"linger.ms", "0"},
        {0},
    };
    const struct handle_property fixed[] = {
        {"enable.idempotence", "true"},
        {"max.in.flight.requests.per.connection", "1"}, /* A11: no second request may reach a new partition before the first */
        {"acks", "all"},
        {"message.timeout.ms", TIMEOUT_MS},
        {0},
    };
    rd_kafka_conf_t *conf;

    if (registrar->handle != NULL) {
        return 0;
    }
    if (handle_conf(RD_KAFKA_PRODUCER, registrar->settings, defaults, fixed, &conf, err) != 0) {
        return -1;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_conf_set_opaque(conf, registrar);
    return handle_new(RD_KAFKA_PRODUCER, conf, &registrar->handle, err);
}

/* The topic is named by a handle of its own: for a topic that is named in the message alone librdkafka asks for the leader only within a second. */
static int send_all(struct registrar *registrar, struct err *err)
{
    char name[TOPIC_NAME_SIZE];
    rd_kafka_topic_t *topic;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    topics_state_name(registrar->settings, "schemas", name);
    topic = rd_kafka_topic_new(registrar->handle, name, NULL);
    must(topic != NULL);
    for (size_t i = 0; i < registrar->waiting.count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const struct text_pair *pair = &registrar->waiting.pairs[i];

        code = rd_kafka_producev(
            registrar->handle, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(pair->key, strlen(pair->key)),
            RD_KAFKA_V_VALUE(pair->value, strlen(pair->value)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    }
    rd_kafka_topic_destroy(topic);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "producing a schema");
}

static int await_all(struct registrar *registrar, bool (*cancelled)(void *context), void *context, struct err *err)
{
    while (rd_kafka_flush(registrar->handle, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (cancelled(context)) {
            return err_set(err, ERR_CANCELED, "told to stop");
        }
    }
    return registrar->code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : kafka_err_set(err, registrar->code, "waiting for a schema's acknowledgement");
}

int registrar_flush(struct registrar *registrar, bool (*cancelled)(void *context), void *context, struct err *err)
{
    int status = 0;

    if (registrar->known == registrar->count) {
        return 0;
    }
    registrar->code = RD_KAFKA_RESP_ERR_NO_ERROR;
    status = make_handle(registrar, err);
    if (status == 0) {
        status = send_all(registrar, err);
    }
    if (status == 0) {
        status = await_all(registrar, cancelled, context, err);
    }
    if (status != 0) {
        disconnect(registrar); /* with whatever it still holds */
        registrar->count = registrar->known;
    }
    registrar->known = registrar->count;
    text_pairs_deinit(&registrar->waiting);
    return status;
}

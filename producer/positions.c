/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader counts as having arrived by its own offset or by the end of the partition that librdkafka reports, whichever
 * comes first.
 */
#include "producer/positions.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/must.h"
#include "producer/handle.h"
#include "producer/topics.h"

#define ASK_MS  10000
#define TELL_MS 10000
#define POLL_MS 1000

char *positions_text(json_t *state, const char *source, json_t *ends)
{
    char *text;

    json_object_set_new(state, "layout", json_integer(POSITION_LAYOUT));
    json_object_set_new(state, "source", json_string(source));
    if (ends != NULL) {
        json_object_set(state, "ends", ends);
    }
    text = json_dumps(state, JSON_COMPACT | JSON_PRESERVE_ORDER);
    must(text != NULL);
    json_decref(state);
    return text;
}

int positions_parse(const void *bytes, size_t size, json_t **ret_record, struct err *err)
{
    json_error_t error;
    json_t *record;
    json_int_t layout;

    *ret_record = NULL;
    if (bytes == NULL) {
        return 0;
    }
    record = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(record)) {
        json_decref(record);
        return err_set(err, ERR_FATAL,
                       "the position record is not a JSON object; set it with `kakehi-producer position --set`");
    }
    layout = json_integer_value(json_object_get(record, "layout"));
    if (layout != POSITION_LAYOUT) {
        json_decref(record);
        return err_set(
            err, ERR_FATAL,
            "the position record has layout %lld, this version reads %d: run the version that wrote it, or a newer one",
            (long long)layout, POSITION_LAYOUT);
    }
    *ret_record = record;
    return 0;
}

static int high_watermark(const struct settings *settings, const char *topic, int64_t *ret_end, struct err *err)
{
    rd_kafka_t *reader;
    rd_kafka_resp_err_t code;
    int64_t begin;

    if (handle_reader(settings, "read_uncommitted", &reader, err) != 0) {
        return -1;
    }
    code = rd_kafka_query_watermark_offsets(reader, topic, 0, &begin, ret_end, ASK_MS);
    rd_kafka_destroy(reader);
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return err_set(err, ERR_RETRY, "there is no topic %s: no producer has run with this prefix", topic);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "asking for the high watermark of positions");
}

/* One reading of the topic. */
struct reading {
    const struct settings *settings;
    int64_t end;    /* the high watermark */
    int64_t at;     /* the next offset to come */
    bool there;     /* all below end was read */
    json_t *record; /* the newest so far */
    int64_t told_ms; /* when the log last heard that we wait */
};

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* librdkafka does not report an end that is the last stable offset (2.0.2): that nothing comes is all there is to see. */
static void tell_waiting(struct reading *reading)
{
    int64_t now = now_ms();

    if (now - reading->told_ms >= TELL_MS) {
        reading->told_ms = now;
        log_info("position_waits", "offset=%lld end=%lld note=%q", (long long)reading->at, (long long)reading->end,
                 "another source's open transaction holds the topic of positions back; reading on when it ends");
    }
}

static int take(struct reading *reading, const rd_kafka_message_t *message, struct err *err)
{
    const char *source = reading->settings->source.name;
    json_t *record;

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reading->at = message->offset;
        reading->there = reading->at >= reading->end;
        return 0;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_err_set(err, message->err, "reading positions");
    }
    reading->at = message->offset + 1;
    reading->there = reading->at >= reading->end;
    if (message->key_len != strlen(source) || memcmp(message->key, source, message->key_len) != 0) {
        return 0;
    }
    if (positions_parse(message->payload, message->len, &record, err) != 0) {
        return err_while(err, "source %s", source);
    }
    json_decref(reading->record);
    reading->record = record;
    return 0;
}

static int read_up_to(struct reading *reading, rd_kafka_t *reader, bool (*cancelled)(void *context), void *context,
                      struct err *err)
{
    while (!reading->there) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, POLL_MS);
        int status = 0;

        if (message != NULL) {
            status = take(reading, message, err);
            rd_kafka_message_destroy(message);
        } else {
            tell_waiting(reading);
        }
        if (status != 0) {
            return -1;
        }
        if (cancelled(context)) {
            return err_set(err, ERR_CANCELED, "told to stop");
        }
    }
    return 0;
}

static int assign_from_beginning(rd_kafka_t *reader, const char *topic, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t code;

    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = KAFKA_OFFSET_FIRST;
    code = rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : kafka_err_set(err, code, "reading positions");
}

int positions_read(const struct settings *settings, bool (*cancelled)(void *context), void *context, json_t **ret_record,
                   struct err *err)
{
    char topic[TOPIC_NAME_SIZE];
    struct reading reading = {.settings = settings, .told_ms = now_ms()};
    rd_kafka_t *reader;
    int status;

    *ret_record = NULL;
    topics_state_name(settings, "positions", topic);
    if (high_watermark(settings, topic, &reading.end, err) != 0) {
        return -1;
    }
    if (reading.end == 0) {
        return 0;
    }
    if (handle_reader(settings, "read_committed", &reader, err) != 0) {
        return -1;
    }
    status = assign_from_beginning(reader, topic, err);
    if (status == 0) {
        status = read_up_to(&reading, reader, cancelled, context, err);
    }
    rd_kafka_destroy(reader);
    if (status != 0) {
        json_decref(reading.record);
        return -1;
    }
    *ret_record = reading.record;
    return 0;
}

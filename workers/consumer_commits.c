/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the group's coordinator, which don't block: commits, and where the group stands (locate). Wishes are gathered in a turn of
 * the loop and go as one request; each partition's own answer counts (K5).
 *
 * C2: a wish goes into the table of owned partitions, or nowhere; send_commits, the one function that commits, reads that table, and
 * a release takes the partition out of it before the group may go on. An answer names topics and partitions only, so each request
 * remembers the assignments it was for: an answer that belongs to an earlier assignment of the same partition is dropped.
 *
 *   | answer                                                    | means        |
 *   | none                                                      | COMMIT_IN    |
 *   | ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID | COMMIT_LOST  |
 *   | what the table of common/kafka.c calls fatal, METADATA_TOO_LARGE, INVALID_COMMIT_OFFSET_SIZE | COMMIT_NEVER |
 *   | REBALANCE_IN_PROGRESS and the rest (no coordinator, ...)  | COMMIT_LATER |
 */
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/must.h"
#include "workers/consumer_parts.h"

/* Which assignments a request was for: the answer names topics and partitions only. */
struct asked {
    size_t count;
    uint64_t assignments[];
};

/* ---- wishes */

static void want_flush(struct consumer *consumer)
{
    consumer->flush_wanted = true;
    wake_again(consumer->wake);
}

void consumer_locate(struct consumer *consumer, uint64_t assignment)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned != NULL) {
        owned->wants_location = true;
        want_flush(consumer);
    }
}

/* C2: the wish goes into the table of owned partitions, or nowhere. */
void consumer_commit(struct consumer *consumer, uint64_t assignment, int64_t offset, const char *mark)
{
    struct owned *owned = owned_by_assignment(consumer, assignment);

    if (owned == NULL) {
        return;
    }
    must(!owned->wants_commit && !owned->committing); /* K5: one at a time */
    owned->wants_commit = true;
    owned->commit_offset = offset;
    owned->commit_mark = must_strdup(mark);
    want_flush(consumer);
}

/* ---- requests */

static struct asked *asked_new(const struct consumer *consumer)
{
    struct asked *asked;
    size_t count = 0;

    for (const struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        count++;
    }
    asked = malloc(sizeof *asked + count * sizeof asked->assignments[0]);
    must(asked != NULL);
    asked->count = 0;
    return asked;
}

/* The one function that commits (C2). Never blocks; the answer comes to `answers`. */
static void send_commits(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct asked *asked = asked_new(consumer);

    for (struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->wants_commit) {
            rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(list, owned->topic, owned->partition);

            place->offset = owned->commit_offset;
            place->metadata = owned->commit_mark; /* the list's now */
            place->metadata_size = strlen(owned->commit_mark);
            owned->commit_mark = NULL;
            owned->wants_commit = false;
            owned->committing = true;
            asked->assignments[asked->count++] = owned->assignment;
        }
    }
    if (asked->count == 0 || rd_kafka_commit_queue(consumer->handle, list, consumer->answers, NULL, asked) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        must(asked->count == 0); /* it refuses only what isn't a consumer's handle */
        free(asked);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void ask_locations(struct consumer *consumer, rd_kafka_topic_partition_list_t *list, struct asked *asked)
{
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(consumer->group, list);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(consumer->handle, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);

    /* Not stable: an offset that a transaction is about to change. Nobody commits so here, but a tool may. */
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);

    must(error == NULL);
    rd_kafka_AdminOptions_set_opaque(options, asked);
    rd_kafka_ListConsumerGroupOffsets(consumer->handle, &request, 1, options, consumer->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
}

static void send_locations(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct asked *asked = asked_new(consumer);

    for (struct owned *owned = consumer->first; owned != NULL; owned = owned->next) {
        if (owned->wants_location) {
            (void)rd_kafka_topic_partition_list_add(list, owned->topic, owned->partition);
            owned->wants_location = false;
            asked->assignments[asked->count++] = owned->assignment;
        }
    }
    if (asked->count > 0) {
        ask_locations(consumer, list, asked);
    } else {
        free(asked);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void consumer_flush(struct consumer *consumer)
{
    if (consumer->flush_wanted && !consumer->leaving) {
        consumer->flush_wanted = false;
        send_commits(consumer);
        send_locations(consumer);
    }
}

/* ---- answers */

static enum commit_answer commit_answer(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return COMMIT_IN;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return COMMIT_LOST;
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE:
        return COMMIT_NEVER;
    default:
        return kafka_error_class(code) == ERR_FATAL ? COMMIT_NEVER : COMMIT_LATER;
    }
}

/* Which of the asked is this place? NULL: it was released since. */
static struct owned *owned_of_answer(struct consumer *consumer, const struct asked *asked, const char *topic, int32_t partition)
{
    struct owned *owned = owned_by_place(consumer, topic, partition);

    for (size_t i = 0; owned != NULL && i < asked->count; i++) {
        if (asked->assignments[i] == owned->assignment) {
            return owned;
        }
    }
    return NULL;
}

static void on_committed(struct consumer *consumer, rd_kafka_event_t *event)
{
    struct asked *asked = rd_kafka_event_opaque(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t request_code = rd_kafka_event_error(event);

    for (int i = 0; list != NULL && i < list->cnt; i++) {
        rd_kafka_resp_err_t code = list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[i].err : request_code;
        struct owned *owned = owned_of_answer(consumer, asked, list->elems[i].topic, list->elems[i].partition);
        struct err err = {0};

        if (owned != NULL) {
            owned->committing = false;
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
                (void)kafka_err_set(&err, code, "committing");
            }
            consumer->calls.committed(owned->owner, commit_answer(code), &err);
        }
    }
    free(asked);
}

static void tell_location(struct consumer *consumer, const struct asked *asked, const rd_kafka_topic_partition_t *place)
{
    struct owned *owned = owned_of_answer(consumer, asked, place->topic, place->partition);
    struct err err = {0};
    char *mark;

    if (owned == NULL) {
        return;
    }
    if (place->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)kafka_err_set(&err, place->err, "asking for the committed offset");
        consumer->calls.located(owned->owner, RD_KAFKA_OFFSET_INVALID, "", &err);
        return;
    }
    mark = strndup(place->metadata_size > 0 ? place->metadata : "", place->metadata_size);
    must(mark != NULL);
    consumer->calls.located(owned->owner, place->offset, mark, NULL);
    free(mark);
}

static void fail_locations(struct consumer *consumer, const struct asked *asked, rd_kafka_resp_err_t code)
{
    struct err err;

    (void)kafka_err_set(&err, code, "asking for the committed offsets");
    for (size_t i = 0; i < asked->count; i++) {
        struct owned *owned = owned_by_assignment(consumer, asked->assignments[i]);

        if (owned != NULL) {
            consumer->calls.located(owned->owner, RD_KAFKA_OFFSET_INVALID, "", &err);
        }
    }
}

static void on_located(struct consumer *consumer, rd_kafka_event_t *event)
{
    struct asked *asked = rd_kafka_event_opaque(event);
    const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_group_result_t **groups;
    const rd_kafka_topic_partition_list_t *list;
    size_t group_count = 0;

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &group_count);
        must(group_count == 1);
        if (rd_kafka_group_result_error(groups[0]) != NULL) {
            code = rd_kafka_error_code(rd_kafka_group_result_error(groups[0]));
        }
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail_locations(consumer, asked, code);
    } else {
        list = rd_kafka_group_result_partitions(groups[0]);
        for (int i = 0; i < list->cnt; i++) {
            tell_location(consumer, asked, &list->elems[i]);
        }
    }
    free(asked);
}

void consumer_on_answer(struct consumer *consumer, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        on_committed(consumer, event);
        break;
    case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
        on_located(consumer, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

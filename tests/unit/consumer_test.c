/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions that come and go, and what a worker asks of Kafka by blocking calls, on libuv's threads, against librdkafka's mock cluster: the
 * answers come on the loop, each to who asked, and none to a partition that has gone. The check runs it under TSan, too: here libuv's threads and ours meet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/unit/make_table.h"
#include "workers/consumer_parts.h"
#include "workers/dead_letter.h"
#include "workers/schema_cache.h"

#define DEADLINE_MS 60000
#define TICK_MS     200
#define PARTITIONS  2
#define MESSAGES    5

struct world;

struct owner { /* of a partition */
    struct world *world;
    uint64_t assignment; /* 0: not ours */
    bool located;
    bool commits_told;
    bool range_told;
    bool reads;
    int messages;
    bool committed;
    bool revoked;
    bool slow; /* does not release at once */
};

struct world {
    rd_kafka_t *producer; /* has the mock cluster */
    rd_kafka_mock_cluster_t *cluster;
    struct settings settings;
    struct budget budget;
    struct schema *schema;
    uv_loop_t loop;
    uv_timer_t deadline;
    uv_timer_t tick;
    struct wake *wake;
    struct dead_letters *letters;
    struct consumer *consumer;
    struct schema_cache *cache;
    struct owner owners[PARTITIONS];
    int counted;
    uint64_t answered; /* by the schema cache: who */
    int closed;
    char wrong[256]; /* said by a callback; "": nothing */
};

/* A callback must return to librdkafka: what is wrong there is said later. */
static void check(struct world *world, bool right, const char *what)
{
    if (!right && world->wrong[0] == '\0') {
        (void)snprintf(world->wrong, sizeof world->wrong, "%.255s", what);
    }
}

/* ---- what the consumer says */

static void *on_assigned(void *context, const char *topic, int32_t partition, uint64_t assignment)
{
    struct world *world = context;
    struct owner *owner = &world->owners[partition];

    check(world, strcmp(topic, "p.d.a") == 0, topic);
    check(world, owner->assignment == 0, "assigned twice");
    *owner = (struct owner){.world = world, .assignment = assignment};
    return owner;
}

static void release(struct owner *owner)
{
    uint64_t assignment = owner->assignment;

    owner->assignment = 0;
    consumer_release(owner->world->consumer, assignment);
}

static void on_revoked(void *context, bool lost)
{
    struct owner *owner = context;

    (void)lost;
    owner->revoked = true;
    if (!owner->slow) {
        release(owner);
    }
}

static void check_owned(const struct owner *owner, const struct err *err)
{
    check(owner->world, owner->assignment != 0, "an answer to a partition that has gone");
    check(owner->world, err == NULL, err != NULL ? err->text : "");
}

static void on_message(void *context, const struct message *message, bool more)
{
    struct owner *owner = context;

    (void)more;
    check_owned(owner, NULL);
    check(owner->world, message->offset == owner->messages++, "a message is missing");
}

static void on_end(void *context, int64_t offset)
{
    (void)offset;
    check_owned(context, NULL);
}

static void on_failed(void *context, const struct err *err)
{
    check_owned(context, err);
}

static void on_located(void *context, int64_t offset, const char *mark, const struct err *err)
{
    struct owner *owner = context;

    (void)mark;
    check_owned(owner, err);
    check(owner->world, offset == RD_KAFKA_OFFSET_INVALID, "a new group has a commit");
    owner->located = true;
}

static void on_range(void *context, int64_t low, int64_t high, int32_t topic_partitions, const struct err *err)
{
    struct owner *owner = context;

    check_owned(owner, err);
    check(owner->world, low == 0 && high == MESSAGES && topic_partitions == PARTITIONS, "another range");
    owner->range_told = true;
}

static void on_topic_commits(void *context, bool any, const struct err *err)
{
    struct owner *owner = context;

    check_owned(owner, err);
    check(owner->world, !any, "a new group has commits");
    owner->commits_told = true;
}

static void on_reading(void *context, const struct err *err)
{
    struct owner *owner = context;

    check_owned(owner, NULL);
    if (err != NULL) { /* it does not fetch yet: the machine would come again, too */
        consumer_read_from(owner->world->consumer, owner->assignment, 0);
    }
    owner->reads = err == NULL;
}

static void on_committed(void *context, enum commit_answer answer, const struct err *err)
{
    struct owner *owner = context;

    check_owned(owner, err);
    check(owner->world, answer == COMMIT_IN, "a commit is not in");
    owner->committed = true;
}

static void on_counted(void *context, int32_t partitions)
{
    ((struct world *)context)->counted = partitions;
}

/* ---- the others */

static void on_answered(void *context, uint64_t asker)
{
    ((struct world *)context)->answered = asker;
}

static void on_newest(void *context, const struct schema *schema)
{
    (void)context, (void)schema;
}

static void on_buried(void *context, uint64_t assignment, uint64_t batch_number, const struct err *err)
{
    (void)assignment, (void)batch_number, (void)err;
    check(context, false, "a dead letter");
}

static void on_wake(void *context)
{
    struct world *world = context;

    if (world->letters != NULL) {
        dead_letters_poll(world->letters);
    }
    if (world->cache != NULL) {
        schema_cache_poll(world->cache);
    }
    if (world->consumer != NULL) {
        consumer_poll(world->consumer);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct world *world = tick->data;

    if (world->cache != NULL) {
        schema_cache_tick(world->cache);
    }
    if (world->consumer != NULL) {
        consumer_tick(world->consumer);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    check(timer->data, false, "no answer in time");
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed++;
}

/* ---- running */

static void await(struct world *world, bool (*there)(const struct world *world))
{
    assert_int_equal(uv_timer_start(&world->deadline, on_deadline, DEADLINE_MS, 0), 0);
    while (!there(world) && world->wrong[0] == '\0') {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&world->deadline);
    assert_string_equal(world->wrong, "");
}

static void produce(struct world *world, const char *topic, int32_t partition, const char *key, const char *value)
{
    assert_int_equal(rd_kafka_producev(world->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, strlen(key)),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void fill_topics(struct world *world)
{
    const struct frame frame = {FRAMING_SINGLE_OBJECT, world->schema->value_id};
    char key[FRAMING_ID_TEXT_SIZE];

    assert_int_equal(rd_kafka_mock_topic_create(world->cluster, "p.d.a", PARTITIONS, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_mock_topic_create(world->cluster, "p.schemas", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    framing_id_text(&frame, key);
    produce(world, "p.schemas", 0, key, world->schema->value_text);
    for (int i = 0; i < PARTITIONS * MESSAGES; i++) {
        produce(world, "p.d.a", i % PARTITIONS, "k", "v");
    }
    assert_int_equal(rd_kafka_flush(world->producer, DEADLINE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void make_cluster(struct world *world)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];

    assert_int_equal(rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", text, sizeof text), RD_KAFKA_CONF_OK);
    world->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(world->producer);
    world->cluster = rd_kafka_handle_mock_cluster(world->producer);
    assert_non_null(world->cluster);
}

static int set_up(void **state)
{
    static const struct consumer_calls calls = {NULL,       on_assigned, on_revoked,       on_message, on_end,       on_failed,
                                                on_located, on_range,    on_topic_commits, on_reading, on_committed, on_counted};
    struct world *world = calloc(1, sizeof *world);
    struct schema_cache_calls cache_calls = {world, on_answered, on_newest};
    struct consumer_calls consumer_calls = calls;
    struct err err = {0};

    assert_non_null(world);
    log_setup(LOG_ERROR, LOG_LOGFMT);
    make_cluster(world);
    world->schema = make_schema("d", "a", "id", "id long, note text");
    world->settings.prefix = (char *)(uintptr_t) "p";
    world->budget.limit_bytes = 1 << 20;
    text_pairs_set(&world->settings.kafka, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(world->cluster));
    fill_topics(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->deadline), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->tick), 0);
    world->tick.data = world->deadline.data = world;
    assert_int_equal(uv_timer_start(&world->tick, on_tick, TICK_MS, TICK_MS), 0);
    assert_int_equal(wake_new(&world->loop, on_wake, world, &world->wake, &err), 0);
    assert_int_equal(dead_letters_new(world->wake, &world->settings, &world->budget, on_buried, world, &world->letters, &err), 0);
    assert_int_equal(schema_cache_new(&world->loop, world->wake, &world->settings, dead_letters_handle(world->letters), &cache_calls, &world->cache, &err), 0);
    consumer_calls.context = world;
    assert_int_equal(consumer_new(&world->loop, world->wake, &world->settings, "g", dead_letters_handle(world->letters), &consumer_calls, &world->consumer, &err), 0);
    *state = world;
    return 0;
}

static bool both_closed(const struct world *world)
{
    return world->closed == 2;
}

static bool wake_closed(const struct world *world)
{
    return world->closed == 3;
}

/* With whatever is under way. */
static void close_all(struct world *world)
{
    struct consumer *consumer = world->consumer;
    struct schema_cache *cache = world->cache;

    world->cache = NULL;
    schema_cache_close(cache, on_closed, world);
    consumer_close(consumer, on_closed, world);
    await(world, both_closed);
    world->consumer = NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    world->wrong[0] = '\0';
    if (world->consumer != NULL) {
        close_all(world);
    }
    dead_letters_free(world->letters);
    world->letters = NULL;
    wake_close(world->wake, on_closed, world);
    await(world, wake_closed);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    schema_free(world->schema);
    text_pairs_deinit(&world->settings.kafka);
    rd_kafka_destroy(world->producer);
    free(world);
    return 0;
}

/* ---- tests */

static bool all_assigned(const struct world *world)
{
    return world->owners[0].assignment != 0 && world->owners[1].assignment != 0;
}

static bool all_asked(const struct world *world)
{
    bool all = true;

    for (int i = 0; i < PARTITIONS; i++) {
        const struct owner *owner = &world->owners[i];

        all = all && owner->located && owner->commits_told && owner->range_told;
    }
    return all;
}

static bool all_read(const struct world *world)
{
    return world->owners[0].messages == MESSAGES && world->owners[1].messages == MESSAGES && world->owners[0].reads && world->owners[1].reads &&
           world->counted == PARTITIONS;
}

static bool first_committed(const struct world *world)
{
    return world->owners[0].committed;
}

static bool second_committed(const struct world *world)
{
    return world->owners[1].committed;
}

static bool all_committed(const struct world *world)
{
    return first_committed(world) && second_committed(world);
}

static void subscribe(struct world *world)
{
    struct err err = {0};

    assert_int_equal(consumer_subscribe(world->consumer, &err), 0);
    await(world, all_assigned);
}

static void test_consumer__each_question_is_answered_to_its_partition(void **state)
{
    struct world *world = *state;

    subscribe(world);
    for (int i = 0; i < PARTITIONS; i++) {
        consumer_locate(world->consumer, world->owners[i].assignment);
        consumer_topic_commits(world->consumer, world->owners[i].assignment);
        consumer_range(world->consumer, world->owners[i].assignment);
    }
    await(world, all_asked);
    for (int i = 0; i < PARTITIONS; i++) {
        consumer_read_from(world->consumer, world->owners[i].assignment, 0);
    }
    await(world, all_read);
    for (int i = 0; i < PARTITIONS; i++) {
        consumer_commit(world->consumer, world->owners[i].assignment, MESSAGES, "");
    }
    await(world, all_committed);
    close_all(world);
    assert_true(world->owners[0].revoked && world->owners[1].revoked);
}

/* A job outlives its partition, and the handle the job. */
static void test_consumer__that_is_closed_with_questions_under_way_answers_none(void **state)
{
    struct world *world = *state;

    subscribe(world);
    for (int i = 0; i < PARTITIONS; i++) {
        consumer_topic_commits(world->consumer, world->owners[i].assignment);
        consumer_range(world->consumer, world->owners[i].assignment);
        consumer_read_from(world->consumer, world->owners[i].assignment, 0);
    }
    schema_cache_read(world->cache, 7);
    close_all(world); /* what is answered before a partition is revoked is answered; behind it check_owned would say so */
    assert_int_equal(world->answered, 0);
}

static bool both_revoked(const struct world *world)
{
    return world->owners[0].revoked && world->owners[1].revoked;
}

/* C2: one that has nothing under way releases at once. The group must not go on before the other has, too: its commit is still to come, and
 * no server would refuse it. (It went on, and a consumer that was to close waited for ever.) Which is told first is librdkafka's order. */
static void release_slowly(struct world *world, int slow)
{
    struct owner *owner = &world->owners[slow];

    subscribe(world);
    owner->slow = true;
    schema_cache_close(world->cache, on_closed, world);
    world->cache = NULL;
    consumer_close(world->consumer, on_closed, world);
    await(world, both_revoked);
    assert_non_null(world->consumer->revoking);
    consumer_commit(world->consumer, owner->assignment, 1, "");
    await(world, slow == 0 ? first_committed : second_committed);
    assert_non_null(world->consumer->revoking);
    release(owner);
    await(world, both_closed);
    world->consumer = NULL;
}

static void test_consumer__the_group_waits_for_the_first_partition(void **state)
{
    release_slowly(*state, 0);
}

static void test_consumer__the_group_waits_for_the_second_partition(void **state)
{
    release_slowly(*state, 1);
}

static bool schema_answered(const struct world *world)
{
    return world->answered == 9;
}

static void test_consumer__schemas_are_there_when_the_question_is_answered(void **state)
{
    struct world *world = *state;

    schema_cache_read(world->cache, 7);
    schema_cache_read(world->cache, 9);
    await(world, schema_answered);
    assert_non_null(schema_cache_find(world->cache, world->schema->value_id));
    assert_null(schema_cache_find(world->cache, world->schema->value_id + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_consumer__each_question_is_answered_to_its_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_consumer__that_is_closed_with_questions_under_way_answers_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_consumer__the_group_waits_for_the_first_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_consumer__the_group_waits_for_the_second_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_consumer__schemas_are_there_when_the_question_is_answered, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

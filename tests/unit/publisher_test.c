/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher with its thread, against librdkafka's mock cluster inside this process. The mock pretends transactions
 * (nothing is fenced, open rows are seen), so what is shown here is the publisher's side: order, answers, memory, and what it
 * makes of errors that the mock is told to answer. Fencing itself is shown on a real broker by the fault tests.
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

#include "common/buffer.h"
#include "common/log.h"
#include "producer/publisher.h"
#include "tests/unit/make_table.h"

#define DEADLINE_MS 30000
#define API_PRODUCE 0
#define API_END_TXN 26

struct world {
    rd_kafka_t *broker;
    rd_kafka_mock_cluster_t *cluster;
    struct settings settings;
    uv_loop_t loop;
    uv_timer_t deadline;
    struct publisher *publisher;
    struct schema *schema;
    struct buffer told; /* what the publisher said, in words */
    json_t *record;     /* the last one */
    uint32_t topic_id;
    struct err err;
    int64_t too_large_seq, too_large_idx;
    uint64_t given_bytes; /* of the last message */
    uint64_t delivered_messages, delivered_bytes; /* by all that were committed */
    bool closed;
};

static void tell(struct world *world, const char *word)
{
    buffer_printf(&world->told, "%s%s", world->told.size > 0 ? " " : "", word);
    uv_stop(&world->loop);
}

static void on_opened(void *context)
{
    tell(context, "opened");
}

static void on_fenced(void *context)
{
    tell(context, "fenced");
}

static void on_position(void *context, const json_t *record, const json_t *published)
{
    struct world *world = context;

    assert_true(json_is_array(published));
    json_decref(world->record);
    world->record = record != NULL ? json_deep_copy(record) : NULL;
    tell(world, "position");
}

static void on_prepared(void *context, uint32_t topic_id, const struct framing_ids *ids)
{
    struct world *world = context;

    world->topic_id = topic_id;
    assert_int_equal(ids->framing, FRAMING_SINGLE_OBJECT); /* there is no registry in these settings */
    assert_true(ids->value_id == world->schema->value_id && ids->key_id == world->schema->key_id);
    tell(world, "prepared");
}

static void on_refused(void *context, const struct err *err)
{
    ((struct world *)context)->err = *err;
    tell(context, "refused");
}

static void on_committed(void *context, const struct delivered_list *delivered)
{
    struct world *world = context;

    for (size_t i = 0; i < delivered->count; i++) {
        assert_int_equal(delivered->items[i].topic_id, world->topic_id);
        assert_int_equal(delivered->items[i].partition, 0);
        world->delivered_messages += delivered->items[i].messages;
        world->delivered_bytes += delivered->items[i].bytes;
    }
    tell(world, "committed");
}

static void on_room(void *context)
{
    tell(context, "room");
}

static void on_too_large(void *context, int64_t seq, int64_t idx)
{
    struct world *world = context;

    world->too_large_seq = seq;
    world->too_large_idx = idx;
    tell(world, "too-large");
}

static void on_failed(void *context, const struct err *err, bool fenced_off)
{
    ((struct world *)context)->err = *err;
    tell(context, fenced_off ? "fenced-off" : "failed");
}

static void on_closed(void *context)
{
    struct world *world = context;

    world->closed = true;
    uv_stop(&world->loop);
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the publisher did not answer in time");
}

/* Runs the loop until these are the words that were said. */
static void await(struct world *world, const char *words)
{
    assert_int_equal(uv_timer_start(&world->deadline, on_deadline, DEADLINE_MS, 0), 0);
    while (strlen(buffer_text(&world->told)) < strlen(words)) {
        (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    }
    (void)uv_timer_stop(&world->deadline);
    assert_string_equal(buffer_text(&world->told), words);
    buffer_clear(&world->told);
}

static void make_topics(struct world *world)
{
    static const char *const names[] = {"p.positions", "p.schemas", "p.dead", "p.d.a"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(rd_kafka_mock_topic_create(world->cluster, names[i], 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}

static void start_publisher(struct world *world)
{
    const struct publisher_calls calls = {world,       on_opened,    on_fenced, on_position,
                                          on_prepared, on_refused,   on_committed, on_room, on_too_large, on_failed};

    assert_int_equal(publisher_new(&world->loop, &world->settings, &calls, &world->publisher, &world->err), 0);
    world->closed = false;
}

static void stop_publisher(struct world *world)
{
    publisher_close(world->publisher, on_closed, world);
    assert_int_equal(uv_timer_start(&world->deadline, on_deadline, DEADLINE_MS, 0), 0);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    }
    (void)uv_timer_stop(&world->deadline);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    rd_kafka_conf_t *conf;
    char text[256];

    log_setup(LOG_ERROR, LOG_LOGFMT);
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* it says that it has no broker: it is one */
    world->broker = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    world->cluster = rd_kafka_mock_cluster_new(world->broker, 1);
    world->settings.prefix = strdup("p");
    world->settings.source.name = strdup("shop");
    world->settings.producer.memory_bytes = 1; /* as few parcels as there may be */
    text_list_add(&world->settings.source.tables, "d.*");
    text_pairs_set(&world->settings.kafka, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(world->cluster));
    world->schema = make_schema("d", "a", "id", "id long, note text");
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->deadline), 0);
    make_topics(world);
    start_publisher(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    stop_publisher(world);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    schema_free(world->schema);
    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->broker);
    free(world->settings.prefix);
    free(world->settings.source.name);
    text_list_deinit(&world->settings.source.tables);
    text_pairs_deinit(&world->settings.kafka);
    text_pairs_deinit(&world->settings.producer.kafka);
    buffer_deinit(&world->told);
    json_decref(world->record);
    free(world);
    return 0;
}

static struct message row(struct world *world, const char *value)
{
    return (struct message){
        .topic_id = world->topic_id,
        .partition = PARTITION_BY_KEY,
        .key = "k",
        .key_size = 1,
        .value = value,
        .value_size = strlen(value),
        .seq = 77,
        .idx = 4,
    };
}

static void give(struct world *world, const char *value)
{
    struct parcel *parcel = publisher_parcel(world->publisher);
    struct message message = row(world, value);

    assert_non_null(parcel);
    parcel_add(parcel, &message);
    world->given_bytes = message.key_size + message.value_size;
    publisher_give(world->publisher, parcel);
}

static void cut(struct world *world, int number)
{
    publisher_cut(world->publisher, json_pack("{s:i}", "number", number));
}

static void fence(struct world *world)
{
    publisher_fence(world->publisher);
    publisher_read(world->publisher);
    await(world, "fenced position");
}

/* Fenced, and p.d.a is prepared. */
static void take_over(struct world *world)
{
    publisher_open(world->publisher);
    await(world, "opened");
    fence(world);
    publisher_prepare(world->publisher, world->schema, false);
    await(world, "prepared");
}

/* Fails if a parcel is not back: the next test would do with fewer. */
static void take_all_parcels(struct world *world)
{
    struct parcel *parcels[4];

    for (int i = 0; i < 4; i++) {
        parcels[i] = publisher_parcel(world->publisher);
        assert_non_null(parcels[i]);
    }
    assert_null(publisher_parcel(world->publisher));
    for (int i = 0; i < 4; i++) {
        publisher_return(world->publisher, parcels[i]);
    }
}

static void test_publisher__answers_nothing_that_an_abandon_has_made_void(void **state)
{
    struct world *world = *state;

    take_over(world);
    give(world, "one");
    cut(world, 1);
    publisher_abandon(world->publisher);
    fence(world); /* no "committed" before it, and none after */
    publisher_prepare(world->publisher, world->schema, false);
    await(world, "prepared");
}

static void test_publisher__a_commit_that_is_refused_is_failed_and_all_parcels_are_back_A4(void **state)
{
    struct world *world = *state;

    take_over(world);
    rd_kafka_mock_push_request_errors(world->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    give(world, "one");
    give(world, "two");
    cut(world, 1);
    await(world, "failed");
    assert_int_equal(world->err.class, ERR_RETRY);
    fence(world);
    take_all_parcels(world);
}

static void test_publisher__takes_no_message_for_delivered_that_the_broker_may_not_have_A11(void **state)
{
    struct world *world = *state;

    take_over(world);
    rd_kafka_mock_push_request_errors(world->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER);
    give(world, "one");
    cut(world, 1);
    await(world, "failed");
    assert_int_equal(world->err.class, ERR_RETRY);
    assert_non_null(strstr(world->err.text, "may not have it")); /* whichever of the two it was: row or position */
}

static void test_publisher__carries_out_nothing_that_was_given_after_a_failure(void **state)
{
    struct world *world = *state;

    take_over(world);
    rd_kafka_mock_push_request_errors(world->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    cut(world, 1);
    give(world, "two");
    cut(world, 2); /* given before the answer to the first is known */
    await(world, "failed");
    fence(world);
    assert_int_equal(json_integer_value(json_object_get(world->record, "number")), 1); /* the mock shows what was aborted */
}

static void test_publisher__that_is_fenced_says_so(void **state)
{
    struct world *world = *state;

    take_over(world);
    rd_kafka_mock_push_request_errors(world->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    cut(world, 1);
    await(world, "fenced-off");
}

static void test_publisher__gives_a_retriable_commit_again_A4(void **state)
{
    struct world *world = *state;

    take_over(world);
    rd_kafka_mock_push_request_errors(world->cluster, API_END_TXN, 2, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                      RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    give(world, "one");
    cut(world, 1);
    await(world, "committed");
}

static void test_publisher__does_not_start_a_source_that_lost_its_position_A8(void **state)
{
    struct world *world = *state;

    take_over(world);
    give(world, "one");
    cut(world, 1);
    await(world, "committed");
    stop_publisher(world);
    free(world->settings.source.name);
    world->settings.source.name = strdup("other"); /* whose record is not there, while the topic holds rows */
    start_publisher(world);
    publisher_open(world->publisher);
    await(world, "opened");
    publisher_fence(world->publisher);
    publisher_read(world->publisher);
    await(world, "fenced failed");
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_non_null(strstr(world->err.text, "position --set"));
}

static void test_publisher__does_not_start_without_its_topics(void **state)
{
    struct world *world = *state;

    free(world->settings.prefix);
    world->settings.prefix = strdup("q");
    publisher_open(world->publisher);
    await(world, "failed");
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_non_null(strstr(world->err.text, "q.positions"));
}

static void test_publisher__names_a_change_that_is_too_large_and_the_remedy(void **state)
{
    struct world *world = *state;
    char *value = malloc(3000001);

    memset(value, 'x', 3000000);
    value[3000000] = '\0';
    take_over(world);
    give(world, value);
    cut(world, 1);
    await(world, "failed");
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_non_null(strstr(world->err.text, "d.a (__seq 77, __idx 4)"));
    assert_non_null(strstr(world->err.text, "message.max.bytes"));
    take_all_parcels(world);
    free(value);
}

static void test_publisher__says_which_change_is_too_large_where_it_becomes_a_reference(void **state)
{
    struct world *world = *state;
    char *value = malloc(3000001);

    memset(value, 'x', 3000000);
    value[3000000] = '\0';
    world->settings.producer.too_large = TOO_LARGE_DEAD_LETTER;
    take_over(world);
    give(world, value);
    cut(world, 1);
    await(world, "too-large failed");
    assert_int_equal(world->err.class, ERR_RETRY);
    assert_int_equal(world->too_large_seq, 77);
    assert_int_equal(world->too_large_idx, 4);
    take_all_parcels(world);
    free(value);
}

static void test_publisher__first_record_after_a_fence_names_all_ends_and_later_ones_the_transaction_before(void **state)
{
    struct world *world = *state;
    json_t *ends;

    take_over(world);
    give(world, "one");
    cut(world, 1);
    cut(world, 2);
    await(world, "committed committed");
    fence(world);
    assert_int_equal(json_integer_value(json_object_get(world->record, "number")), 2);
    ends = json_object_get(json_object_get(world->record, "ends"), "p.d.a");
    assert_int_equal(json_integer_value(json_object_get(ends, "0")), 1);
    cut(world, 3);
    cut(world, 4);
    await(world, "committed committed");
    assert_int_equal(world->delivered_messages, 1); /* positions are no rows */
    assert_int_equal(world->delivered_bytes, world->given_bytes);
    fence(world);
    assert_int_equal(json_integer_value(json_object_get(world->record, "number")), 4);
    assert_int_equal(json_object_size(json_object_get(world->record, "ends")), 0); /* transaction 3 held no rows */
}

static void test_publisher__says_when_there_is_room_again(void **state)
{
    struct world *world = *state;
    struct parcel *parcels[4];
    struct message message;

    take_over(world);
    message = row(world, "row");
    for (int i = 0; i < 4; i++) {
        parcels[i] = publisher_parcel(world->publisher);
        parcel_add(parcels[i], &message);
    }
    assert_null(publisher_parcel(world->publisher));
    for (int i = 0; i < 4; i++) {
        publisher_give(world->publisher, parcels[i]);
    }
    await(world, "room"); /* by the broker's acknowledgement alone, in the middle of a transaction */
}

static void test_publisher__ends_with_a_transaction_open(void **state)
{
    struct world *world = *state;

    take_over(world);
    give(world, "one");
    publisher_prepare(world->publisher, world->schema, false);
    await(world, "prepared"); /* so the row is with librdkafka when tear_down closes */
}

static void test_publisher__can_be_stopped_while_no_broker_answers(void **state)
{
    struct world *world = *state;

    take_over(world);
    give(world, "one");
    publisher_prepare(world->publisher, world->schema, false);
    await(world, "prepared"); /* a transaction is open */
    assert_int_equal(rd_kafka_mock_broker_set_down(world->cluster, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    cut(world, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_publisher__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_nothing_that_an_abandon_has_made_void),
        TEST(a_commit_that_is_refused_is_failed_and_all_parcels_are_back_A4),
        TEST(takes_no_message_for_delivered_that_the_broker_may_not_have_A11),
        TEST(carries_out_nothing_that_was_given_after_a_failure),
        TEST(that_is_fenced_says_so),
        TEST(gives_a_retriable_commit_again_A4),
        TEST(does_not_start_a_source_that_lost_its_position_A8),
        TEST(does_not_start_without_its_topics),
        TEST(names_a_change_that_is_too_large_and_the_remedy),
        TEST(says_which_change_is_too_large_where_it_becomes_a_reference),
        TEST(first_record_after_a_fence_names_all_ends_and_later_ones_the_transaction_before),
        TEST(says_when_there_is_room_again),
        TEST(ends_with_a_transaction_open),
        TEST(can_be_stopped_while_no_broker_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics, against librdkafka's mock cluster inside this process. The question for the end offsets is answered here, in the place
 * of librdkafka: each data topic holds rows, and another producer may begin at that very moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "producer/topics.h"

struct world {
    rd_kafka_t *broker; /* asks itself */
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *handle;
    struct settings settings;
    bool other_begins; /* between our two questions */
    struct err err;
};

static struct world *the_world;

static void make_topic(struct world *world, const char *name)
{
    assert_int_equal(rd_kafka_mock_topic_create(world->cluster, name, 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* librdkafka's own is not called. */
rd_kafka_resp_err_t rd_kafka_offsets_for_times(rd_kafka_t *handle, rd_kafka_topic_partition_list_t *offsets, int timeout_ms)
{
    (void)handle, (void)timeout_ms;
    for (int i = 0; i < offsets->cnt; i++) {
        offsets->elems[i].offset = 7;
        offsets->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (the_world->other_begins) {
        make_topic(the_world, "p.positions");
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];

    log_setup(LOG_ERROR, LOG_LOGFMT);
    the_world = world;
    rd_kafka_conf_set_log_cb(conf, NULL);
    world->broker = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    world->cluster = rd_kafka_mock_cluster_new(world->broker, 1);
    conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(world->cluster), text,
                                       sizeof text),
                     RD_KAFKA_CONF_OK);
    world->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(world->handle);
    world->settings.prefix = strdup("p");
    text_list_add(&world->settings.source.tables, "d.*");
    make_topic(world, "p.schemas");
    make_topic(world, "p.dead");
    make_topic(world, "p.d.a");
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    rd_kafka_destroy(world->handle);
    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->broker);
    free(world->settings.prefix);
    text_list_deinit(&world->settings.source.tables);
    free(world);
    return 0;
}

static void test_topics__deleted_positions_are_no_first_start_A8(void **state)
{
    struct world *world = *state;

    world->settings.topics.create = true;
    assert_int_equal(topics_make_state(world->handle, &world->settings, false, &world->err), -1);
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_non_null(strstr(world->err.text, "p.positions is gone"));
}

/* It has made positions and its first rows after we found positions missing. */
static void test_topics__another_ones_first_start_is_no_lost_position_A8(void **state)
{
    struct world *world = *state;

    world->other_begins = true;
    assert_int_equal(topics_make_state(world->handle, &world->settings, false, &world->err), 0);
}

static void test_topics__what_is_missing_is_named_when_it_may_not_be_made(void **state)
{
    struct world *world = *state;

    assert_int_equal(topics_make_state(world->handle, &world->settings, true, &world->err), -1);
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_non_null(strstr(world->err.text, "p.positions does not exist"));
}

/* Names are mapped back; settings name the table of a topic of theirs; what is no table's topic is left out. */
static void test_topics__know_their_tables(void **state)
{
    struct world *world = *state;
    json_t *ends = json_pack("{s{}s{}s{}s{}s{}}", "p.d.a", "p.d_x002E_x.b_x0020_c", "renamed", "p.d", "foreign.d.a");
    json_t *tables;
    char *text;

    text_pairs_set(&world->settings.topics.topic, "d.other", "renamed");
    tables = topics_tables(&world->settings, ends);
    text = json_dumps(tables, JSON_COMPACT);
    assert_string_equal(text, "[[\"d\",\"a\"],[\"d.x\",\"b c\"],[\"d\",\"other\"]]");
    free(text);
    json_decref(tables);
    json_decref(ends);
    text_pairs_deinit(&world->settings.topics.topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_topics__deleted_positions_are_no_first_start_A8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topics__another_ones_first_start_is_no_lost_position_A8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topics__what_is_missing_is_named_when_it_may_not_be_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topics__know_their_tables, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of a registry, on real sockets: an id is asked for once, and until it is known; nobody is answered before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/registry_wire.h"
#include "tests/unit/http_server.h"
#include "tests/unit/make_table.h"
#include "workers/schema_registry.h"

#define ANSWERS_MAX 16

struct world {
    uv_loop_t loop;
    struct http_server server;
    struct settings_registry settings;
    struct schema_registry *registry;
    struct schema *schema; /* of id 1 */
    int trouble;           /* so many requests are answered with 503 first */
    unsigned asked_for_1;
    uint64_t answers[ANSWERS_MAX]; /* who was answered, in order */
    size_t answer_count;
    bool inside_read;
    bool closed;
    uv_timer_t tick; /* a turn of the loop ends */
};

static void say_schema(const char *text, struct http_server_reply *reply)
{
    static struct buffer body; /* copied by the server before the next one */

    buffer_clear(&body);
    registry_wire_body(&body, text);
    reply->body = buffer_text(&body);
}

static void handle(void *context, const struct http_server_request *request, struct http_server_reply *reply)
{
    struct world *world = context;

    assert_string_equal(request->method, "GET");
    assert_string_equal(http_server_header(request, "authorization"), "Basic a2V5OnNlY3JldA==");
    if (world->trouble > 0) {
        world->trouble--;
        reply->status = 503;
    } else if (strcmp(request->path, "/base/schemas/ids/1") == 0) {
        world->asked_for_1++;
        say_schema(world->schema->value_text, reply);
    } else if (strcmp(request->path, "/base/schemas/ids/2") == 0) {
        say_schema("\"long\"", reply);
    } else if (strcmp(request->path, "/base/schemas/ids/3") == 0) {
        reply->body = "{\"schema\":\"syntax\",\"schemaType\":\"PROTOBUF\"}";
    } else {
        reply->status = 404;
        reply->body = "{\"error_code\":40403,\"message\":\"Schema not found\"}";
    }
}

static void on_answer(void *context, uint64_t asker)
{
    struct world *world = context;

    assert_false(world->inside_read);
    assert_true(world->answer_count < ANSWERS_MAX);
    world->answers[world->answer_count++] = asker;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    static struct world world;
    char url[80];
    struct err err;

    world = (struct world){.schema = make_schema("shop", "orders", "id", "id long, n decimal 10 2")};
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(uv_timer_init(&world.loop, &world.tick), 0);
    assert_int_equal(uv_timer_start(&world.tick, on_tick, 10, 10), 0);
    http_server_start(&world.server, &world.loop, handle, &world);
    world.settings = (struct settings_registry){.user = "key", .password = "secret", .timeout_ms = 20000};
    (void)snprintf(url, sizeof url, "%s/base/", world.server.url);
    text_list_add(&world.settings.urls, url);
    assert_int_equal(schema_registry_new(&world.loop, &world.settings, on_answer, &world, &world.registry, &err), 0);
    *state = &world;
    return 0;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    schema_registry_close(world->registry, on_closed, world);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    http_server_stop(&world->server);
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    text_list_deinit(&world->settings.urls);
    schema_free(world->schema);
    return 0;
}

static void read_id(struct world *world, uint64_t id, uint64_t asker)
{
    world->inside_read = true;
    schema_registry_read(world->registry, id, asker);
    world->inside_read = false;
}

static void wait_answers(struct world *world, size_t count)
{
    while (world->answer_count < count) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(world->answer_count, count);
}

static void wait_requests(struct world *world, unsigned count)
{
    while (world->server.request_count < count) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void test_schema_registry__nothing_is_known_that_was_not_asked_for(void **state)
{
    struct world *world = *state;

    assert_null(schema_registry_find(world->registry, 1));
    assert_null(schema_registry_find(world->registry, UINT64_C(0x100000001)));
    assert_int_equal(world->server.request_count, 0);
}

static void test_schema_registry__an_id_is_asked_for_once_for_all_who_wait(void **state)
{
    struct world *world = *state;
    const struct schema *found;

    for (uint64_t asker = 1; asker <= 5; asker++) {
        read_id(world, 1, asker);
    }
    wait_answers(world, 5);
    found = schema_registry_find(world->registry, 1);
    assert_non_null(found);
    assert_true(found->value_id == world->schema->value_id);
    read_id(world, 1, 6);
    wait_answers(world, 6);
    assert_int_equal(world->asked_for_1, 1);
}

static void test_schema_registry__what_is_none_of_ours_is_answered_and_not_found(void **state)
{
    struct world *world = *state;

    read_id(world, 2, 20);
    read_id(world, 3, 30);
    wait_answers(world, 2);
    assert_null(schema_registry_find(world->registry, 2));
    assert_null(schema_registry_find(world->registry, 3));
    read_id(world, 2, 21);
    wait_answers(world, 3);
    assert_int_equal(world->server.request_count, 2);
}

static void test_schema_registry__an_unknown_id_is_never_answered_and_holds_up_nobody(void **state)
{
    struct world *world = *state;
    char text[512] = "";

    read_id(world, 4711, 1);
    read_id(world, 1, 2);
    wait_answers(world, 1);
    assert_int_equal(world->answers[0], 2);
    wait_requests(world, 4); /* 1, and 4711 three times */
    assert_int_equal(world->answer_count, 1);
    assert_true(schema_registry_trouble(world->registry, text, sizeof text));
    assert_non_null(strstr(text, "schema 4711"));
    assert_non_null(strstr(text, "Schema not found"));
    schema_registry_withdraw(world->registry, 1);
    assert_false(schema_registry_trouble(world->registry, text, sizeof text));
}

static void test_schema_registry__a_registry_in_trouble_is_asked_again_until_it_answers(void **state)
{
    struct world *world = *state;
    char text[512] = "";

    world->trouble = 2;
    read_id(world, 1, 7);
    wait_requests(world, 2);
    assert_int_equal(world->answer_count, 0);
    wait_answers(world, 1);
    assert_false(schema_registry_trouble(world->registry, text, sizeof text));
    assert_non_null(schema_registry_find(world->registry, 1));
}

static void test_schema_registry__a_new_question_takes_the_place_of_the_askers_old_one(void **state)
{
    struct world *world = *state;

    read_id(world, 4711, 1);
    read_id(world, 1, 1);
    wait_answers(world, 1);
    assert_int_equal(world->asked_for_1, 1);
}

static void test_schema_registry__closes_with_questions_open(void **state)
{
    struct world *world = *state;

    world->server.cut_at_once = true;
    read_id(world, 1, 1);
    (void)uv_run(&world->loop, UV_RUN_ONCE); /* tear_down closes it here */
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_schema_registry__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known_that_was_not_asked_for),
        TEST(an_id_is_asked_for_once_for_all_who_wait),
        TEST(what_is_none_of_ours_is_answered_and_not_found),
        TEST(an_unknown_id_is_never_answered_and_holds_up_nobody),
        TEST(a_registry_in_trouble_is_asked_again_until_it_answers),
        TEST(a_new_question_takes_the_place_of_the_askers_old_one),
        TEST(closes_with_questions_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

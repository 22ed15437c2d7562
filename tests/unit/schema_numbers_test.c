/* SPDX-License-Identifier: Apache-2.0 */
/* The producer's side of a registry: the caller blocks, so the registry of the tests has a thread and a loop of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/buffer.h"
#include "common/registry_wire.h"
#include "producer/schema_numbers.h"
#include "tests/unit/http_server.h"

enum behaviour { FAITHFUL, INCOMPATIBLE, SICK, SILENT, FORGETFUL };

struct world {
    uv_thread_t thread;
    uv_loop_t loop; /* the server's */
    uv_async_t end;
    uv_sem_t begun;
    struct http_server server;
    enum behaviour behaviour; /* set while the caller asks nothing */
    char text[256];           /* the last one registered, as id 17 */
    char seen[512];           /* the last request */
    struct settings_registry settings;
    struct schema_numbers *numbers;
    int patience; /* looks before it is given up; negative: for ever */
};

static void register_schema(struct world *world, const struct http_server_request *request, struct http_server_reply *reply)
{
    json_t *body = json_loads(request->body, 0, NULL);

    (void)snprintf(world->text, sizeof world->text, "%s", json_string_value(json_object_get(body, "schema")));
    json_decref(body);
    reply->body = "{\"id\":17}";
}

static void fetch_schema(struct world *world, struct http_server_reply *reply)
{
    static struct buffer body; /* copied by the server before the next one */

    buffer_clear(&body);
    registry_wire_body(&body, world->behaviour == FORGETFUL ? "{\"name\":\"another\"}" : world->text);
    reply->body = buffer_text(&body);
}

static void handle(void *context, const struct http_server_request *request, struct http_server_reply *reply)
{
    struct world *world = context;

    (void)snprintf(world->seen, sizeof world->seen, "%s %s %s", request->method, request->path, request->body);
    if (world->behaviour == SILENT) {
        reply->nothing = true;
    } else if (world->behaviour == SICK) {
        reply->status = 500;
        reply->body = "{\"error_code\":50001,\"message\":\"no leader\"}";
    } else if (world->behaviour == INCOMPATIBLE) {
        reply->status = 409;
        reply->body = "{\"error_code\":40901,\"message\":\"type mismatch\"}";
    } else if (strcmp(request->method, "POST") == 0) {
        register_schema(world, request, reply);
    } else {
        fetch_schema(world, reply);
    }
}

static void on_end(uv_async_t *end)
{
    struct world *world = end->data;

    http_server_stop(&world->server);
    uv_close((uv_handle_t *)end, NULL);
}

static void serve(void *context)
{
    struct world *world = context;

    uv_sem_post(&world->begun);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
}

static int set_up(void **state)
{
    static struct world world;

    world = (struct world){.patience = -1};
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(uv_async_init(&world.loop, &world.end, on_end), 0);
    world.end.data = &world;
    http_server_start(&world.server, &world.loop, handle, &world);
    assert_int_equal(uv_sem_init(&world.begun, 0), 0);
    assert_int_equal(uv_thread_create(&world.thread, serve, &world), 0);
    uv_sem_wait(&world.begun);
    world.settings = (struct settings_registry){.timeout_ms = 20000};
    text_list_add(&world.settings.urls, world.server.url);
    world.numbers = schema_numbers_new(&world.settings);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    schema_numbers_free(world->numbers);
    text_list_deinit(&world->settings.urls);
    assert_int_equal(uv_async_send(&world->end), 0);
    assert_int_equal(uv_thread_join(&world->thread), 0);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    uv_sem_destroy(&world->begun);
    return 0;
}

static bool is_cancelled(void *context)
{
    struct world *world = context;

    return world->patience >= 0 && world->patience-- == 0;
}

static int get(struct world *world, const char *text, uint64_t *ret_id, struct err *err)
{
    const struct schema_number_wanted wanted = {"p.shop.orders-value", text, strlen(text)};

    *err = (struct err){0};
    return schema_numbers_get(world->numbers, &wanted, is_cancelled, world, ret_id, err);
}

static void test_schema_numbers__an_id_is_registered_proved_and_remembered(void **state)
{
    struct world *world = *state;
    uint64_t id = 0;
    struct err err;

    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), 0);
    assert_int_equal(id, 17);
    assert_string_equal(world->text, "{\"name\":\"t\"}");
    assert_string_equal(world->seen, "GET /schemas/ids/17 ");
    assert_int_equal(world->server.request_count, 2);
    world->behaviour = SICK;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), 0);
    assert_int_equal(world->server.request_count, 2);
}

static void test_schema_numbers__another_text_is_another_question(void **state)
{
    struct world *world = *state;
    uint64_t id;
    struct err err;

    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), 0);
    assert_int_equal(get(world, "{\"name\":\"tt\"}", &id, &err), 0);
    assert_int_equal(world->server.request_count, 4);
}

static void test_schema_numbers__a_refusal_is_for_good_and_names_the_subject(void **state)
{
    struct world *world = *state;
    uint64_t id;
    struct err err;

    world->behaviour = INCOMPATIBLE;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_non_null(strstr(err.text, "p.shop.orders-value"));
    assert_non_null(strstr(err.text, "type mismatch"));
    assert_string_equal(world->seen, "POST /subjects/p.shop.orders-value/versions {\"schema\":\"{\\\"name\\\":\\\"t\\\"}\"}");
}

static void test_schema_numbers__an_id_that_stands_for_another_schema_is_refused_and_not_remembered(void **state)
{
    struct world *world = *state;
    uint64_t id = 0;
    struct err err;

    world->behaviour = FORGETFUL;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    world->behaviour = FAITHFUL;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), 0);
    assert_int_equal(id, 17);
}

static void test_schema_numbers__trouble_is_for_now_and_the_next_question_is_asked(void **state)
{
    struct world *world = *state;
    uint64_t id = 0;
    struct err err;

    world->behaviour = SICK;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    world->behaviour = FAITHFUL;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), 0);
}

static void test_schema_numbers__a_wait_can_be_given_up_and_taken_up_again(void **state)
{
    struct world *world = *state;
    uint64_t id = 0;
    struct err err;

    world->behaviour = SILENT;
    world->patience = 1;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), -1);
    assert_int_equal(err.class, ERR_CANCELED);
    world->behaviour = FAITHFUL;
    world->patience = -1;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), 0);
}

static void test_schema_numbers__silence_ends_by_the_time_out(void **state)
{
    struct world *world = *state;
    uint64_t id = 0;
    struct err err;

    world->behaviour = SILENT;
    world->settings.timeout_ms = 100;
    assert_int_equal(get(world, "{\"name\":\"t\"}", &id, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_schema_numbers__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_id_is_registered_proved_and_remembered),
        TEST(another_text_is_another_question),
        TEST(a_refusal_is_for_good_and_names_the_subject),
        TEST(an_id_that_stands_for_another_schema_is_refused_and_not_remembered),
        TEST(trouble_is_for_now_and_the_next_question_is_asked),
        TEST(a_wait_can_be_given_up_and_taken_up_again),
        TEST(silence_ends_by_the_time_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

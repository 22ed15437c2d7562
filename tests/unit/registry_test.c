/* SPDX-License-Identifier: Apache-2.0 */
/* Three servers of one registry: which one is asked, when the next one is, and what is said when none serves. On real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/registry.h"
#include "tests/unit/http_server.h"

#define SERVERS     3
#define ANSWERS_MAX 8
#define DEAD_URL    "http://127.0.0.1:1" /* nobody listens there */
#define NO_URL      "http://[half"       /* can't be asked, ever */

struct node {
    struct http_server server;
    int status; /* of its answers; 0: none */
};

struct world {
    uv_loop_t loop;
    struct node nodes[SERVERS];
    struct settings_registry settings;
    struct registry *registry;
    struct err errs[ANSWERS_MAX]; /* of the answers, in order; ERR_NONE: went well */
    size_t answer_count;
    bool inside_ask;
    bool closed;
    uv_timer_t tick; /* a turn of the loop ends, though a timer has answered at its beginning */
};

static void handle(void *context, const struct http_server_request *request, struct http_server_reply *reply)
{
    struct node *node = context;

    assert_string_equal(request->method, "POST");
    assert_string_equal(request->path, "/base/subjects/s/versions");
    assert_string_equal(request->body, "{\"schema\":\"text\"}"); /* whole, also when it is sent again */
    reply->nothing = node->status == 0;
    reply->status = node->status;
    reply->body = node->status == 200 ? "{\"id\":7}" : "{\"error_code\":1,\"message\":\"words\"}";
}

static void on_answer(void *context, const struct registry_answer *answer)
{
    struct world *world = context;

    assert_false(world->inside_ask);
    assert_true(world->answer_count < ANSWERS_MAX);
    if (answer->err != NULL) {
        world->errs[world->answer_count] = *answer->err;
    } else {
        assert_int_equal(answer->id, 7);
    }
    world->answer_count++;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    static struct world world;
    struct err err;

    world = (struct world){.settings = {.timeout_ms = 20000}};
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(uv_timer_init(&world.loop, &world.tick), 0);
    assert_int_equal(uv_timer_start(&world.tick, on_tick, 10, 10), 0);
    for (size_t i = 0; i < SERVERS; i++) {
        char url[80];

        world.nodes[i].status = 200;
        http_server_start(&world.nodes[i].server, &world.loop, handle, &world.nodes[i]);
        (void)snprintf(url, sizeof url, "%s/base/", world.nodes[i].server.url);
        text_list_add(&world.settings.urls, url);
    }
    assert_int_equal(registry_new(&world.loop, &world.settings, &world.registry, &err), 0);
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

    registry_close(world->registry, on_closed, world);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < SERVERS; i++) {
        http_server_stop(&world->nodes[i].server);
    }
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    text_list_deinit(&world->settings.urls);
    return 0;
}

static void set_url(struct world *world, size_t place, const char *url)
{
    free(world->settings.urls.texts[place]);
    world->settings.urls.texts[place] = strdup(url);
    assert_non_null(world->settings.urls.texts[place]);
}

static void begin(struct world *world)
{
    world->inside_ask = true;
    registry_ask(world->registry, &(struct registry_question){.verb = REGISTRY_REGISTER, .subject = "s", .text = "text"}, on_answer, world);
    world->inside_ask = false;
}

static void wait_answers(struct world *world, size_t count)
{
    while (world->answer_count < count) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

/* The answer to one more question. */
static const struct err *ask(struct world *world)
{
    size_t before = world->answer_count;

    begin(world);
    wait_answers(world, before + 1);
    return &world->errs[before];
}

static void assert_asked(const struct world *world, unsigned first, unsigned second, unsigned third)
{
    assert_int_equal(world->nodes[0].server.request_count, first);
    assert_int_equal(world->nodes[1].server.request_count, second);
    assert_int_equal(world->nodes[2].server.request_count, third);
}

static void test_registry__the_others_are_left_alone_while_the_first_serves(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 2, 0, 0);
}

static void test_registry__what_any_server_would_say_is_the_answer(void **state)
{
    static const struct {
        int status;
        enum err_class class;
    } refusals[] = {{400, ERR_RETRY}, {401, ERR_RETRY}, {404, ERR_RETRY}, {409, ERR_POISON}, {422, ERR_POISON}, {429, ERR_RETRY}};
    struct world *world = *state;

    for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        world->nodes[0].status = refusals[i].status;
        assert_int_equal(ask(world)->class, refusals[i].class);
        assert_asked(world, i + 1, 0, 0);
    }
}

static void test_registry__a_server_that_answers_5xx_is_left_for_the_next_which_stays(void **state)
{
    struct world *world = *state;

    world->nodes[0].status = 500;
    world->nodes[1].status = 503;
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 1, 1, 1);
    world->nodes[0].status = world->nodes[1].status = 200;
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 1, 1, 2);
    world->nodes[2].status = 502;
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 2, 1, 3);
}

static void test_registry__a_server_that_can_not_be_reached_is_left_for_the_next(void **state)
{
    struct world *world = *state;

    set_url(world, 0, DEAD_URL);
    world->nodes[1].server.cut_at_once = true;
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 0, 0, 1);
}

static void test_registry__a_server_that_is_silent_is_left_for_the_next(void **state)
{
    struct world *world = *state;

    world->settings.timeout_ms = 100;
    world->nodes[0].status = 0;
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 1, 1, 0);
}

static void test_registry__questions_that_fail_together_pass_one_server(void **state)
{
    struct world *world = *state;

    world->nodes[0].status = 503;
    for (unsigned i = 0; i < 4; i++) {
        begin(world);
    }
    wait_answers(world, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(world->errs[i].class, ERR_NONE);
    }
    assert_asked(world, 4, 4, 0);
}

static void test_registry__none_that_serves_is_trouble_for_now_and_each_was_asked_once(void **state)
{
    struct world *world = *state;
    const struct err *err;

    world->nodes[0].status = world->nodes[1].status = 500;
    world->nodes[2].status = 503;
    err = ask(world);
    assert_int_equal(err->class, ERR_RETRY);
    assert_non_null(strstr(err->text, "none of the 3 URLs of registry.url serves"));
    assert_non_null(strstr(err->text, "503"));
    assert_asked(world, 1, 1, 1);
    world->nodes[2].status = 200;
    assert_int_equal(ask(world)->class, ERR_NONE);
    assert_asked(world, 2, 2, 2);
}

/* Else a URL that is written wrong would end the program while the others are down for a minute. */
static void test_registry__trouble_is_for_good_only_if_that_of_each_is(void **state)
{
    struct world *world = *state;

    set_url(world, 0, DEAD_URL);
    set_url(world, 1, NO_URL);
    set_url(world, 2, NO_URL);
    assert_int_equal(ask(world)->class, ERR_RETRY);
    set_url(world, 0, NO_URL);
    assert_int_equal(ask(world)->class, ERR_FATAL);
}

static void test_registry__a_refusal_behind_servers_that_are_down_is_a_refusal(void **state)
{
    struct world *world = *state;
    const struct err *err;

    world->nodes[0].status = world->nodes[1].status = 503;
    world->nodes[2].status = 409;
    err = ask(world);
    assert_int_equal(err->class, ERR_POISON);
    assert_null(strstr(err->text, "none of"));
    assert_asked(world, 1, 1, 1);
}

/* Whoever was told to stop must not take it for trouble, though another server had some before. */
static void test_registry__closing_asks_no_other_server(void **state)
{
    struct world *world = *state;

    world->nodes[0].status = 503;
    world->nodes[1].status = 0;
    begin(world);
    while (world->nodes[1].server.request_count == 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    registry_close(world->registry, on_closed, world);
    world->registry = NULL;
    wait_answers(world, 1);
    assert_int_equal(world->errs[0].class, ERR_CANCELED);
    assert_asked(world, 1, 1, 0);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_registry__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_others_are_left_alone_while_the_first_serves),
        TEST(what_any_server_would_say_is_the_answer),
        TEST(a_server_that_answers_5xx_is_left_for_the_next_which_stays),
        TEST(a_server_that_can_not_be_reached_is_left_for_the_next),
        TEST(a_server_that_is_silent_is_left_for_the_next),
        TEST(questions_that_fail_together_pass_one_server),
        TEST(none_that_serves_is_trouble_for_now_and_each_was_asked_once),
        TEST(trouble_is_for_good_only_if_that_of_each_is),
        TEST(a_refusal_behind_servers_that_are_down_is_a_refusal),
        TEST(closing_asks_no_other_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

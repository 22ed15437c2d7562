/* SPDX-License-Identifier: Apache-2.0 */
/* The loop runs only inside a question, and once more to close; a kept connection waits between questions without being served. */
#include "common/registry_wait.h"

#include <stdlib.h>

#include "common/must.h"

#define SLICE_MS 200 /* between two looks at `cancelled` */

struct registry_wait {
    const struct settings_registry *settings;
    uv_loop_t loop;
    uv_timer_t slice;          /* ends a wait for sockets */
    struct registry *registry; /* NULL: not connected, or given up */
    bool answered;
    int status;
    uint32_t id;
    struct buffer text;
    struct err err;
};

struct registry_wait *registry_wait_new(const struct settings_registry *settings)
{
    struct registry_wait *wait = calloc(1, sizeof *wait);

    must(wait != NULL);
    wait->settings = settings;
    must(uv_loop_init(&wait->loop) == 0);
    must(uv_timer_init(&wait->loop, &wait->slice) == 0);
    return wait;
}

static void on_slice(uv_timer_t *slice)
{
    (void)slice; /* the loop turns: that is all */
}

static void on_closed(void *context)
{
    ((struct registry_wait *)context)->registry = NULL;
}

static void give_up(struct registry_wait *wait)
{
    registry_close(wait->registry, on_closed, wait);
    while (wait->registry != NULL) {
        (void)uv_run(&wait->loop, UV_RUN_ONCE);
    }
}

void registry_wait_free(struct registry_wait *wait)
{
    if (wait == NULL) {
        return;
    }
    give_up(wait);
    uv_close((uv_handle_t *)&wait->slice, NULL);
    (void)uv_run(&wait->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&wait->loop) == 0);
    buffer_deinit(&wait->text);
    free(wait);
}

static void on_answered(void *context, const struct registry_answer *answer)
{
    struct registry_wait *wait = context;

    wait->answered = true;
    wait->status = answer->err != NULL ? -1 : 0;
    if (answer->err != NULL) {
        wait->err = *answer->err;
    } else {
        wait->id = answer->id;
        buffer_append(&wait->text, answer->text, answer->text_size);
    }
}

static void await(struct registry_wait *wait, const struct registry_patience *patience)
{
    bool given_up = false;

    must(uv_timer_start(&wait->slice, on_slice, SLICE_MS, SLICE_MS) == 0);
    while (!wait->answered && !given_up) {
        (void)uv_run(&wait->loop, UV_RUN_ONCE);
        given_up = patience != NULL && patience->cancelled(patience->context);
    }
    must(uv_timer_stop(&wait->slice) == 0);
    if (!wait->answered) {
        give_up(wait); /* which answers with ERR_CANCELED */
    }
}

int registry_wait_ask(struct registry_wait *wait, const struct registry_question *question, const struct registry_patience *patience,
                      uint32_t *ret_id, struct buffer *ret_text, struct err *err)
{
    if (wait->registry == NULL && registry_new(&wait->loop, wait->settings, &wait->registry, err) != 0) {
        return -1;
    }
    wait->answered = false;
    buffer_clear(&wait->text);
    registry_ask(wait->registry, question, on_answered, wait);
    await(wait, patience);
    must(wait->answered);
    if (wait->status != 0) {
        *err = wait->err;
        return -1;
    }
    if (ret_id != NULL) {
        *ret_id = wait->id;
    }
    if (ret_text != NULL) {
        buffer_append(ret_text, wait->text.bytes, wait->text.size);
    }
    return 0;
}

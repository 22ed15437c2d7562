/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl says which sockets it waits for and when it wants to be called next; a uv_poll_t for each socket and one timer do it.
 *
 *   poll or timer --> curl_multi_socket_action --> on_socket, on_timeout (what it waits for now)
 *                 --> curl_multi_info_read     --> done, for each transfer that has ended
 *
 * `done` is called when libcurl is not running, so it may add and remove transfers.
 *
 * A timer that fires a little early does no harm: libcurl then sets it again.
 *
 * A socket that libcurl no longer waits for may be closed by it at once, and its number be used again for the next connection,
 * while uv is still closing the poll: the poll is stopped first, which takes the descriptor out of the loop there and then.
 */
#include "common/curl_loop.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/must.h"

#define CONNECTIONS_KEPT 16

struct curl_loop {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    unsigned polls; /* not closed yet */
    bool closing;
    curl_loop_done done;
    void *context;
    void (*closed)(void *context);
    void *closed_context;
};

struct poll {
    uv_poll_t handle;
    struct curl_loop *curl;
    curl_socket_t socket;
};

static void collect(struct curl_loop *curl)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(curl->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            curl->done(curl->context, message->easy_handle, message->data.result);
        }
    }
}

static void act(struct curl_loop *curl, curl_socket_t socket, int events)
{
    int running;

    if (!curl->closing) {
        must(curl_multi_socket_action(curl->multi, socket, events, &running) == CURLM_OK);
        collect(curl);
    }
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct poll *poll = handle->data;
    int curl_events = status < 0 ? CURL_CSELECT_ERR : 0;

    curl_events |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    curl_events |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(poll->curl, poll->socket, curl_events);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- what libcurl waits for */

static void close_if_last(struct curl_loop *curl)
{
    if (curl->closing && curl->multi == NULL && curl->polls == 0) {
        void (*closed)(void *context) = curl->closed;
        void *context = curl->closed_context;

        free(curl);
        closed(context);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct poll *poll = handle->data;
    struct curl_loop *curl = poll->curl;

    free(poll);
    curl->polls--;
    close_if_last(curl);
}

static struct poll *poll_new(struct curl_loop *curl, curl_socket_t socket)
{
    struct poll *poll = calloc(1, sizeof *poll);

    must(poll != NULL);
    poll->curl = curl;
    poll->socket = socket;
    must(uv_poll_init_socket(curl->loop, &poll->handle, socket) == 0);
    poll->handle.data = poll;
    curl->polls++;
    must(curl_multi_assign(curl->multi, socket, poll) == CURLM_OK);
    return poll;
}

static void poll_close(struct poll *poll)
{
    must(uv_poll_stop(&poll->handle) == 0);
    uv_close((uv_handle_t *)&poll->handle, on_poll_closed);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_context)
{
    struct curl_loop *curl = context;
    struct poll *poll = socket_context;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (poll != NULL) {
            must(curl_multi_assign(curl->multi, socket, NULL) == CURLM_OK);
            poll_close(poll);
        }
        return 0;
    }
    events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    poll = poll != NULL ? poll : poll_new(curl, socket);
    must(uv_poll_start(&poll->handle, events, on_poll) == 0);
    return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
    struct curl_loop *curl = context;

    (void)multi;
    if (curl->closing || timeout_ms < 0) {
        must(uv_timer_stop(&curl->timer) == 0);
    } else {
        must(uv_timer_start(&curl->timer, on_timer, (uint64_t)timeout_ms, 0) == 0);
    }
    return 0;
}

/* ---- life */

static void set_up(struct curl_loop *curl)
{
    must(curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
    must(curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl) == CURLM_OK);
    must(curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK);
    must(curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl) == CURLM_OK);
    must(curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT) == CURLM_OK);
    must(curl_multi_setopt(curl->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK);
}

struct curl_loop *curl_loop_new(uv_loop_t *loop, curl_loop_done done, void *context)
{
    struct curl_loop *curl = calloc(1, sizeof *curl);

    must(curl != NULL);
    curl->loop = loop;
    curl->done = done;
    curl->context = context;
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); /* for the life of the process */
    curl->multi = curl_multi_init();
    must(curl->multi != NULL);
    must(uv_timer_init(loop, &curl->timer) == 0);
    curl->timer.data = curl;
    set_up(curl);
    return curl;
}

void curl_loop_add(struct curl_loop *curl, CURL *easy)
{
    must(curl_multi_add_handle(curl->multi, easy) == CURLM_OK);
}

void curl_loop_remove(struct curl_loop *curl, CURL *easy)
{
    must(curl_multi_remove_handle(curl->multi, easy) == CURLM_OK);
}

/* The timer's memory is ours, so it must be closed before the last poll can free everything. */
static void on_timer_closed(uv_handle_t *handle)
{
    struct curl_loop *curl = handle->data;
    CURLM *multi = curl->multi;

    must(curl_multi_cleanup(multi) == CURLM_OK); /* closes the kept connections */
    curl->multi = NULL;
    close_if_last(curl);
}

void curl_loop_close(struct curl_loop *curl, void (*closed)(void *context), void *context)
{
    curl->closing = true;
    curl->closed = closed;
    curl->closed_context = context;
    must(uv_timer_stop(&curl->timer) == 0);
    uv_close((uv_handle_t *)&curl->timer, on_timer_closed);
}

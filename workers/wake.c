/* SPDX-License-Identifier: Apache-2.0 */
/* One descriptor for all queues: what is read from it means nothing but that some queue has something. */
#include "workers/wake.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/must.h"

struct wake {
    uv_poll_t poll;
    int descriptor;
    void (*on_wake)(void *context);
    void *context;
    void (*closed)(void *context);
    void *closed_context;
};

static const uint64_t one = 1;

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct wake *wake = poll->data;
    uint64_t count;

    (void)status;
    (void)events;
    (void)!read(wake->descriptor, &count, sizeof count); /* empty: another turn took it */
    wake->on_wake(wake->context);
}

int wake_new(uv_loop_t *loop, void (*on_wake)(void *context), void *context, struct wake **ret_wake, struct err *err)
{
    int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct wake *wake;

    if (descriptor < 0) {
        return err_set(err, ERR_FATAL, "making an eventfd: %s", strerror(errno));
    }
    wake = calloc(1, sizeof *wake);
    must(wake != NULL);
    *wake = (struct wake){.descriptor = descriptor, .on_wake = on_wake, .context = context};
    wake->poll.data = wake;
    must(uv_poll_init(loop, &wake->poll, descriptor) == 0);
    must(uv_poll_start(&wake->poll, UV_READABLE, on_readable) == 0);
    *ret_wake = wake;
    return 0;
}

void wake_attach(struct wake *wake, rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, wake->descriptor, &one, sizeof one);
    wake_again(wake); /* what came before */
}

void wake_detach(rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void wake_again(struct wake *wake)
{
    (void)!write(wake->descriptor, &one, sizeof one); /* full: it is awake already */
}

static void on_closed(uv_handle_t *handle)
{
    struct wake *wake = handle->data;
    void (*closed)(void *context) = wake->closed;
    void *context = wake->closed_context;

    (void)close(wake->descriptor);
    free(wake);
    closed(context);
}

void wake_close(struct wake *wake, void (*closed)(void *context), void *context)
{
    if (wake == NULL) {
        closed(context);
        return;
    }
    wake->closed = closed;
    wake->closed_context = context;
    uv_close((uv_handle_t *)&wake->poll, on_closed);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   RESOLVING --addresses--> CONNECTING --connected--> SHAKING --the server is who it should be--> OPEN
 *      |                      |  ^                        |                                        |
 *      |   refused, too slow: |  | the socket is closed   |                                        |
 *      |                      v  |                        |                                        |
 *      |                    TURNING --no more addresses-+ |                                        |
 *      +-------------------------------failed-----------+-+---------------failed, the server's end-+--> FAILED
 *   any state --transport_close--> CLOSING --lookup and handles are gone--> freed
 *
 * | state      | under way               | waits for                       |
 * | RESOLVING  | the lookup              | its answer                      |
 * | CONNECTING | uv_tcp_connect, timer   | connected; refused; the timer   |
 * | TURNING    | closing of the socket   | closed, then the next address   |
 * | SHAKING    | reading                 | the server's part of TLS        |
 * | OPEN       | reading, perhaps writes | bytes, room                     |
 * | FAILED     | the timer, at 0         | itself: tells the owner         |
 * | CLOSING    | what was                | lookup, timer, socket           |
 *
 * T1  The socket's handle is alive in CONNECTING, TURNING, SHAKING, OPEN; in FAILED and CLOSING as it was.
 * T2  `failed` is told from the timer, so never inside a call of the owner, and once.
 *
 * How long it may take is the owner's affair: only he knows what else must happen before the connection is of use. But an
 * address that does not answer must not use up the time of the next.
 *
 * Deliberately absent: racing addresses (RFC 8305), proxies, a graceful end. HTTP/2 has said all before we close.
 */
#include "workers/bigquery/transport.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/must.h"
#include "common/sm.h"

enum { RESOLVING, CONNECTING, TURNING, SHAKING, OPEN, FAILED, CLOSING };

static const struct sm_state states[] = {
    [RESOLVING] = {"RESOLVING", SM_TO(CONNECTING) | SM_TO(FAILED) | SM_TO(CLOSING)},
    [CONNECTING] = {"CONNECTING", SM_TO(SHAKING) | SM_TO(OPEN) | SM_TO(TURNING) | SM_TO(FAILED) | SM_TO(CLOSING)},
    [TURNING] = {"TURNING", SM_TO(CONNECTING) | SM_TO(CLOSING)},
    [SHAKING] = {"SHAKING", SM_TO(OPEN) | SM_TO(FAILED) | SM_TO(CLOSING)},
    [OPEN] = {"OPEN", SM_TO(FAILED) | SM_TO(CLOSING)},
    [FAILED] = {"FAILED", SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", 0},
};

#define READ_BYTES (64 << 10)

struct transport {
    struct sm sm;
    uv_loop_t *loop;
    const struct transport_events *events;
    void *context;
    struct transport_options options;
    char *host;
    char *port;
    uv_getaddrinfo_t lookup;
    bool looking;                   /* the lookup has not called back */
    struct addrinfo *addresses;     /* owned; NULL until found */
    const struct addrinfo *address; /* the one that is tried or used */
    uv_tcp_t tcp;
    bool tcp_alive; /* initialized, and its close has not called back */
    uv_connect_t connect;
    uv_timer_t timer; /* CONNECTING: the address's share; FAILED: tells */
    bool timer_alive;
    struct tls *tls; /* NULL: plaintext, or not connected yet */
    struct buffer plain;
    struct write *spare; /* writes that are done, their memory with them: for the next ones */
    struct err err;      /* of the last address, or why it failed */
    uint64_t taken_bytes;
    uint64_t written_bytes;
    uint64_t received_bytes;
    char text[400];
    void (*closed)(void *context);
    uint8_t read_bytes[READ_BYTES];
};

struct write {
    uv_write_t request;
    struct transport *transport;
    struct write *next;  /* while it is spare */
    struct buffer bytes; /* owned */
};

static void try_address(struct transport *transport, const char *why);

static bool invariant(const struct sm *machine)
{
    const struct transport *transport = (const struct transport *)((const char *)machine - offsetof(struct transport, sm));
    int state = sm_at(machine);
    bool needs_tcp = state == CONNECTING || state == TURNING || state == SHAKING || state == OPEN;

    return !needs_tcp || (transport->tcp_alive && transport->address != NULL); /* T1 */
}

/* ---- ends */

static void free_spare(struct transport *transport)
{
    while (transport->spare != NULL) {
        struct write *write = transport->spare;

        transport->spare = write->next;
        buffer_deinit(&write->bytes);
        free(write);
    }
}

static void finish_if_gone(struct transport *transport)
{
    if (sm_at(&transport->sm) != CLOSING || transport->looking || transport->tcp_alive || transport->timer_alive) {
        return;
    }
    free_spare(transport);
    tls_free(transport->tls);
    uv_freeaddrinfo(transport->addresses);
    buffer_deinit(&transport->plain);
    free(transport->host);
    free(transport->port);
    transport->closed(transport->context);
    free(transport);
}

static void on_failed_timer(uv_timer_t *timer)
{
    struct transport *transport = timer->data;

    transport->events->failed(transport->context, &transport->err);
}

/* transport->err says why. */
static void fail(struct transport *transport)
{
    int state = sm_at(&transport->sm);

    if (state == FAILED || state == CLOSING) {
        return;
    }
    sm_move(&transport->sm, FAILED, transport->err.text);
    if (transport->tcp_alive) {
        (void)uv_read_stop((uv_stream_t *)&transport->tcp);
    }
    must(uv_timer_start(&transport->timer, on_failed_timer, 0, 0) == 0);
}

/* ---- writing */

/* One with no bytes. There are never more than fill the queue. */
static struct write *take_write(struct transport *transport)
{
    struct write *write = transport->spare;

    if (write == NULL) {
        write = calloc(1, sizeof *write);
        must(write != NULL);
        write->transport = transport;
        return write;
    }
    transport->spare = write->next;
    buffer_clear(&write->bytes);
    return write;
}

static void give_write(struct write *write)
{
    write->next = write->transport->spare;
    write->transport->spare = write;
}

static void on_written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request;
    struct transport *transport = write->transport;

    transport->written_bytes += write->bytes.size;
    give_write(write);
    if (sm_at(&transport->sm) == CLOSING) {
        return; /* the socket's own close follows */
    }
    if (status != 0) {
        (void)err_set(&transport->err, ERR_RETRY, "%s: writing: %s", transport_describe(transport), uv_strerror(status));
        fail(transport);
    } else if (sm_at(&transport->sm) == OPEN) {
        transport->events->written(transport->context);
    }
}

/* Its bytes go to the system; the write is spare when they are there. */
static void write_out(struct transport *transport, struct write *write)
{
    uv_buf_t part = uv_buf_init((char *)write->bytes.bytes, (unsigned)write->bytes.size);
    int result;

    transport->taken_bytes += write->bytes.size;
    result = uv_write(&write->request, (uv_stream_t *)&transport->tcp, &part, 1, on_written);
    if (result != 0) {
        give_write(write);
        (void)err_set(&transport->err, ERR_RETRY, "%s: writing: %s", transport_describe(transport), uv_strerror(result));
        fail(transport);
    }
}

static void flush_tls(struct transport *transport)
{
    struct write *write = take_write(transport);

    tls_take(transport->tls, &write->bytes);
    if (write->bytes.size > 0) {
        write_out(transport, write);
    } else {
        give_write(write);
    }
}

size_t transport_room(const struct transport *transport)
{
    uint64_t queued = transport->taken_bytes - transport->written_bytes;

    if (sm_at(&transport->sm) != OPEN || queued >= TRANSPORT_QUEUE_BYTES_MAX) {
        return 0;
    }
    return TRANSPORT_QUEUE_BYTES_MAX - (size_t)queued;
}

void transport_send(struct transport *transport, const struct buffer *bytes)
{
    must(transport_room(transport) > 0 && bytes->size > 0);
    if (transport->tls == NULL) {
        struct write *write = take_write(transport);

        buffer_append(&write->bytes, bytes->bytes, bytes->size);
        write_out(transport, write);
    } else if (tls_send(transport->tls, bytes->bytes, bytes->size, &transport->err) == 0) {
        flush_tls(transport);
    } else {
        (void)err_while(&transport->err, "%s", transport_describe(transport));
        fail(transport);
    }
}

/* ---- reading */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct transport *transport = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init((char *)transport->read_bytes, READ_BYTES);
}

static void become_open(struct transport *transport)
{
    sm_move(&transport->sm, OPEN, transport->tls != NULL ? "verified" : "connected");
    transport->events->open(transport->context);
}

static void receive_plain(struct transport *transport, const uint8_t *bytes, size_t size)
{
    if (size > 0 && sm_at(&transport->sm) == OPEN) {
        transport->events->received(transport->context, bytes, size);
    }
}

static void receive_cipher(struct transport *transport, const uint8_t *bytes, size_t size)
{
    int result;

    buffer_clear(&transport->plain);
    result = tls_receive(transport->tls, bytes, size, &transport->plain, &transport->err);
    flush_tls(transport);
    if (result != 0) {
        (void)err_while(&transport->err, "%s", transport_describe(transport));
        fail(transport);
        return;
    }
    if (sm_at(&transport->sm) == SHAKING && tls_ready(transport->tls)) {
        become_open(transport);
    }
    receive_plain(transport, transport->plain.bytes, transport->plain.size);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct transport *transport = stream->data;

    (void)buf;
    if (size == UV_EOF) {
        (void)err_set(&transport->err, ERR_RETRY, "%s: the server closed the connection", transport_describe(transport));
        fail(transport);
    } else if (size < 0) {
        (void)err_set(&transport->err, ERR_RETRY, "%s: reading: %s", transport_describe(transport), uv_strerror((int)size));
        fail(transport);
    } else if (size > 0) {
        transport->received_bytes += (uint64_t)size;
        if (transport->tls != NULL) {
            receive_cipher(transport, transport->read_bytes, (size_t)size);
        } else {
            receive_plain(transport, transport->read_bytes, (size_t)size);
        }
    }
}

/* ---- connecting */

static void on_tcp_closed(uv_handle_t *handle)
{
    struct transport *transport = handle->data;

    transport->tcp_alive = false;
    if (sm_at(&transport->sm) == TURNING) {
        try_address(transport, "the next address");
    } else {
        finish_if_gone(transport);
    }
}

/* transport->err says why this address is of no use. */
static void give_up_address(struct transport *transport)
{
    must(uv_timer_stop(&transport->timer) == 0);
    if (transport->address->ai_next == NULL) {
        fail(transport);
        return;
    }
    sm_move(&transport->sm, TURNING, transport->err.text);
    transport->address = transport->address->ai_next;
    uv_close((uv_handle_t *)&transport->tcp, on_tcp_closed);
}

static void on_address_timer(uv_timer_t *timer)
{
    struct transport *transport = timer->data;

    (void)err_set(&transport->err, ERR_RETRY, "%s: no answer", transport_describe(transport));
    give_up_address(transport);
}

static void set_send_buffer(struct transport *transport)
{
    int size = transport->options.socket_send_bytes;

    if (size > 0) {
        (void)uv_send_buffer_size((uv_handle_t *)&transport->tcp, &size);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct transport *transport = connect->data;

    if (sm_at(&transport->sm) != CONNECTING) {
        return; /* given up, the socket is being closed */
    }
    if (status != 0) {
        (void)err_set(&transport->err, ERR_RETRY, "%s: %s", transport_describe(transport), uv_strerror(status));
        give_up_address(transport);
        return;
    }
    must(uv_timer_stop(&transport->timer) == 0);
    (void)uv_tcp_nodelay(&transport->tcp, 1);
    set_send_buffer(transport);
    must(uv_read_start((uv_stream_t *)&transport->tcp, on_alloc, on_read) == 0);
    if (transport->options.tls == NULL) {
        become_open(transport);
        return;
    }
    sm_move(&transport->sm, SHAKING, "connected");
    transport->tls = tls_new(transport->options.tls, transport->host);
    flush_tls(transport);
}

/* What is left of the time, divided among the addresses that are left; the last has all the time. */
static void start_address_timer(struct transport *transport)
{
    unsigned count = 1;

    for (const struct addrinfo *address = transport->addresses; address->ai_next != NULL; address = address->ai_next) {
        count++;
    }
    if (transport->address->ai_next != NULL) {
        must(uv_timer_start(&transport->timer, on_address_timer, transport->options.address_share_ms / count, 0) == 0);
    }
}

static void try_address(struct transport *transport, const char *why)
{
    int result;

    must(uv_tcp_init(transport->loop, &transport->tcp) == 0);
    transport->tcp.data = transport;
    transport->tcp_alive = true;
    transport->connect.data = transport;
    sm_move(&transport->sm, CONNECTING, why);
    result = uv_tcp_connect(&transport->connect, &transport->tcp, transport->address->ai_addr, on_connected);
    if (result != 0) {
        (void)err_set(&transport->err, ERR_RETRY, "%s: %s", transport_describe(transport), uv_strerror(result));
        give_up_address(transport);
    } else {
        start_address_timer(transport);
    }
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    struct transport *transport = lookup->data;

    transport->looking = false;
    transport->addresses = addresses;
    transport->address = addresses;
    if (sm_at(&transport->sm) == CLOSING) {
        finish_if_gone(transport);
    } else if (status != 0) {
        (void)err_set(&transport->err, ERR_RETRY, "%s: %s", transport_describe(transport), uv_strerror(status));
        fail(transport);
    } else {
        try_address(transport, "found");
    }
}

static void look_up(struct transport *transport)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int result;

    transport->lookup.data = transport;
    transport->looking = true;
    result = uv_getaddrinfo(transport->loop, &transport->lookup, on_looked_up, transport->host, transport->port, &hints);
    if (result != 0) {
        transport->looking = false;
        (void)err_set(&transport->err, ERR_RETRY, "%s: %s", transport_describe(transport), uv_strerror(result));
        fail(transport);
    }
}

/* ---- the owner's */

struct transport *transport_new(uv_loop_t *loop, const struct transport_options *options, const struct transport_events *events,
                                void *context)
{
    struct transport *transport = calloc(1, sizeof *transport);

    must(transport != NULL);
    transport->loop = loop;
    transport->events = events;
    transport->context = context;
    transport->options = *options;
    transport->host = must_strdup(options->host);
    transport->port = must_strdup(options->port);
    must(uv_timer_init(loop, &transport->timer) == 0);
    transport->timer.data = transport;
    transport->timer_alive = true;
    sm_init(&transport->sm, "transport", transport->host, states, RESOLVING, invariant);
    look_up(transport);
    return transport;
}

uint64_t transport_taken_bytes(const struct transport *transport)
{
    return transport->taken_bytes;
}

uint64_t transport_written_bytes(const struct transport *transport)
{
    return transport->written_bytes;
}

uint64_t transport_received_bytes(const struct transport *transport)
{
    return transport->received_bytes;
}

static void address_text(const struct transport *transport, char *text, size_t size)
{
    text[0] = '\0';
    if (transport->address != NULL) {
        (void)uv_ip_name(transport->address->ai_addr, text, size);
    }
}

const char *transport_describe(struct transport *transport)
{
    static const char *const doing[] = {[RESOLVING] = "looking up ", [CONNECTING] = "connecting to ", [SHAKING] = "TLS with "};
    int state = sm_at(&transport->sm);
    char address[64];

    address_text(transport, address, sizeof address);
    (void)snprintf(transport->text, sizeof transport->text, "%s%s port %s%s%s%s",
                   state < (int)(sizeof doing / sizeof *doing) && doing[state] != NULL ? doing[state] : "", transport->host,
                   transport->port, address[0] != '\0' ? " (" : "", address, address[0] != '\0' ? ")" : "");
    return transport->text;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct transport *transport = handle->data;

    transport->timer_alive = false;
    finish_if_gone(transport);
}

void transport_close(struct transport *transport, void (*closed)(void *context))
{
    bool turning = sm_at(&transport->sm) == TURNING;

    transport->closed = closed;
    sm_move(&transport->sm, CLOSING, "closed by its owner");
    if (transport->looking) {
        (void)uv_cancel((uv_req_t *)&transport->lookup); /* one that runs already can't be; then it is waited for */
    }
    if (transport->tcp_alive && !turning) {
        uv_close((uv_handle_t *)&transport->tcp, on_tcp_closed);
    }
    uv_close((uv_handle_t *)&transport->timer, on_timer_closed);
}

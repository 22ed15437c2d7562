/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   CONNECTING --the server's SETTINGS--> OPEN --GOAWAY--> GOING_AWAY --no calls are left--> CLOSING --handles are gone-->
 * freed |  time-out, refused, GOAWAY        |                 |                                ^
 *       +-----------------------------------+-----------------+--- failed: calls end; idle ----+
 *
 * | state      | calls            | the timer waits for                              |
 * | CONNECTING | none             | the time-out of the whole                        |
 * | OPEN       | new ones come    | silence, then the answer to PING; no calls: idle |
 * | GOING_AWAY | those that are   | silence, then the answer to PING                 |
 * | CLOSING    | none             | its own end                                      |
 *
 * H1  Calls are given to it only after the server's SETTINGS: so MAX_CONCURRENT_STREAMS is never a guess, and what is not an
 *     HTTP/2 server fails before any call was sent to it.
 * H2  Between here and the system stand at most TRANSPORT_QUEUE_BYTES_MAX: nghttp2 is asked for bytes only while there is room,
 *     and it asks calls for theirs only then. That is the back-pressure.
 * H3  A connection is declared dead only if nothing at all was received since the PING, for ping_timeout_ms counted from when
 * the PING, or what stood before it in the queue, last moved on: a slow upload is no dead server. PING is sent only while calls
 *     are open: servers count the others as an attack (ENHANCE_YOUR_CALM, upon which we ask half as often).
 * H4  A connection that fails in CONNECTING fails those who wait for one; the pause before the next try is theirs.
 */
#include <stddef.h>
#include <stdlib.h>

#include "common/metrics.h"
#include "common/must.h"
#include "workers/bigquery/grpc_parts.h"

enum { CONNECTING, OPEN, GOING_AWAY, CLOSING };

static const struct sm_state states[] = {
    [CONNECTING] = {"CONNECTING", SM_TO(OPEN) | SM_TO(CLOSING)},
    [OPEN] = {"OPEN", SM_TO(GOING_AWAY) | SM_TO(CLOSING)},
    [GOING_AWAY] = {"GOING_AWAY", SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", 0},
};

#define PING_INTERVAL_MS_MAX 3600000

static struct metric_family sent_family METRIC_FAMILY = {
    .name = "kakehi_grpc_sent_bytes_total", .help = "Bytes given to gRPC connections, TLS included", .kind = METRIC_COUNTER};
static struct metric_family received_family METRIC_FAMILY = {.name = "kakehi_grpc_received_bytes_total",
                                               .help = "Bytes received from gRPC connections, TLS undone",
                                               .kind = METRIC_COUNTER};

static bool invariant(const struct sm *machine)
{
    const struct grpc_connection *connection =
        (const struct grpc_connection *)((const char *)machine - offsetof(struct grpc_connection, sm));

    return connection->calls == NULL || sm_at(machine) == OPEN || sm_at(machine) == GOING_AWAY; /* H1 */
}

static bool is_usable(const struct grpc_connection *connection)
{
    return sm_at(&connection->sm) == OPEN || sm_at(&connection->sm) == GOING_AWAY;
}

/* ---- ends */

static void on_part_closed(struct grpc_connection *connection)
{
    connection->alive--;
    if (connection->alive == 0) {
        grpc_connection_gone(connection);
        http2_free(connection->http2);
        buffer_deinit(&connection->out);
        free(connection);
    }
}

static void on_transport_closed(void *context)
{
    on_part_closed(context);
}

static void on_timer_closed(uv_handle_t *timer)
{
    on_part_closed(timer->data);
}

void grpc_connection_close(struct grpc_connection *connection, const char *why)
{
    if (sm_at(&connection->sm) == CLOSING) {
        return;
    }
    must(connection->calls == NULL);
    connection->grpc->sent_bytes += transport_taken_bytes(connection->transport);
    connection->grpc->received_bytes += transport_received_bytes(connection->transport);
    sm_move(&connection->sm, CLOSING, why);
    transport_close(connection->transport, on_transport_closed);
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
}

static void fail(struct grpc_connection *connection, const struct err *err)
{
    bool connecting = sm_at(&connection->sm) == CONNECTING;

    while (connection->calls != NULL) {
        struct grpc_call *call = connection->calls;

        grpc_call_fail(call, GRPC_UNAVAILABLE, "%s", err->text);
        grpc_connection_remove(connection, call);
        grpc_call_touch(call);
    }
    if (connecting) {
        grpc_fail_waiting(connection->grpc, err); /* H4 */
    }
    grpc_connection_close(connection, err->text);
}

/* ---- time */

static void on_timer(uv_timer_t *timer);

static void wait_until(struct grpc_connection *connection, uint64_t when_ms)
{
    uint64_t now_ms = uv_now(connection->grpc->loop);

    must(uv_timer_start(&connection->timer, on_timer, when_ms > now_ms ? when_ms - now_ms : 0, 0) == 0);
}

/* When the timer has to look again. */
static void set_timer(struct grpc_connection *connection)
{
    const struct grpc *grpc = connection->grpc;

    if (!is_usable(connection)) {
        return;
    }
    if (connection->call_count == 0) {
        wait_until(connection, connection->idle_ms + grpc->options.idle_ms);
    } else if (connection->pinged) {
        wait_until(connection, connection->ping_ms + grpc->options.ping_timeout_ms);
    } else {
        wait_until(connection, connection->heard_ms + grpc->ping_interval_ms);
    }
}

static void ping(struct grpc_connection *connection)
{
    connection->pinged = true;
    connection->ping_ms = uv_now(connection->grpc->loop);
    connection->ping_end = UINT64_MAX;
    http2_ping(connection->http2);
    grpc_connection_touch(connection);
}

static void fail_late(struct grpc_connection *connection, const char *what, uint64_t timeout_ms)
{
    struct err err;

    (void)err_set(&err, ERR_RETRY, "%s: %s within %llu ms", transport_describe(connection->transport), what,
                  (unsigned long long)timeout_ms);
    fail(connection, &err);
}

static void on_timer(uv_timer_t *timer)
{
    struct grpc_connection *connection = timer->data;
    const struct grpc *grpc = connection->grpc;
    uint64_t now_ms = uv_now(grpc->loop);

    if (sm_at(&connection->sm) == CONNECTING) {
        fail_late(connection, "no connection", grpc->options.connect_timeout_ms);
    } else if (connection->call_count == 0 && grpc->waiting == NULL && now_ms - connection->idle_ms >= grpc->options.idle_ms) {
        grpc_connection_close(connection, "idle");
    } else if (connection->pinged && now_ms - connection->ping_ms >= grpc->options.ping_timeout_ms) {
        fail_late(connection, "no answer to PING", grpc->options.ping_timeout_ms);
    } else if (connection->call_count > 0 && !connection->pinged && now_ms - connection->heard_ms >= grpc->ping_interval_ms) {
        ping(connection);
    }
    set_timer(connection);
}

/* ---- events of the transport */

static void on_open(void *context)
{
    struct grpc_connection *connection = context;

    grpc_connection_touch(connection);
}

/* The moment of H1. */
static void become_open(struct grpc_connection *connection)
{
    sm_move(&connection->sm, OPEN, "the server's SETTINGS came");
    connection->idle_ms = uv_now(connection->grpc->loop);
}

static void on_received(void *context, const uint8_t *bytes, size_t size)
{
    static const char *const no_labels[] = {NULL};
    struct grpc_connection *connection = context;

    metric_add(metric_cell(&received_family, no_labels), (double)size);
    connection->heard_ms = uv_now(connection->grpc->loop);
    connection->pinged = false;
    http2_receive(connection->http2, bytes, size);
    if (sm_at(&connection->sm) == CONNECTING && http2_ready(connection->http2) && http2_may_open(connection->http2)) {
        become_open(connection);
    }
    set_timer(connection);
    grpc_connection_touch(connection);
}

static void on_written(void *context)
{
    struct grpc_connection *connection = context;

    if (connection->pinged && transport_written_bytes(connection->transport) < connection->ping_end) {
        connection->ping_ms = uv_now(connection->grpc->loop); /* H3 */
        set_timer(connection);
    }
    grpc_connection_touch(connection);
}

static void on_failed(void *context, const struct err *err)
{
    fail(context, err);
}

static const struct transport_events transport_events = {
    .open = on_open, .received = on_received, .written = on_written, .failed = on_failed};

/* ---- events of HTTP/2 */

static void on_going_away(void *context, uint32_t code, const char *text)
{
    struct grpc_connection *connection = context;
    struct grpc *grpc = connection->grpc;

    if (code == HTTP2_ENHANCE_YOUR_CALM && grpc->ping_interval_ms < PING_INTERVAL_MS_MAX) {
        grpc->ping_interval_ms *= 2;
    }
    if (sm_at(&connection->sm) == OPEN) {
        sm_move(&connection->sm, GOING_AWAY, text);
        for (struct grpc_call *call = connection->calls; call != NULL; call = call->next_on_connection) {
            call->going_away = true;
            grpc_call_touch(call);
        }
    }
}

static const struct http2_events http2_events = {
    .going_away = on_going_away,
    .leaving = grpc_call_on_leaving,
    .body = grpc_call_on_body,
    .header = grpc_call_on_header,
    .data = grpc_call_on_data,
    .end = grpc_call_on_end,
    .reset = grpc_call_on_reset,
};

/* ---- for the channel */

struct grpc_connection *grpc_connection_new(struct grpc *grpc)
{
    struct grpc_connection *connection = calloc(1, sizeof *connection);
    struct transport_options options = {.host = grpc->host,
                                        .port = grpc->port,
                                        .tls = grpc->tls,
                                        .address_share_ms = grpc->options.connect_timeout_ms,
                                        .socket_send_bytes = grpc->options.socket_send_bytes};

    must(connection != NULL);
    connection->grpc = grpc;
    connection->alive = 2;
    sm_init(&connection->sm, "grpc", grpc->authority, states, CONNECTING, invariant);
    must(uv_timer_init(grpc->loop, &connection->timer) == 0);
    connection->timer.data = connection;
    connection->http2 = http2_new(&http2_events, connection);
    connection->transport = transport_new(grpc->loop, &options, &transport_events, connection);
    wait_until(connection, uv_now(grpc->loop) + grpc->options.connect_timeout_ms);
    return connection;
}

bool grpc_connection_connecting(const struct grpc_connection *connection)
{
    return sm_at(&connection->sm) == CONNECTING;
}

bool grpc_connection_closing(const struct grpc_connection *connection)
{
    return sm_at(&connection->sm) == CLOSING;
}

bool grpc_connection_has_room(const struct grpc_connection *connection)
{
    uint32_t streams_max = http2_streams_max(connection->http2);
    uint32_t calls_max = connection->grpc->options.calls_per_connection;

    return sm_at(&connection->sm) == OPEN && http2_may_open(connection->http2) &&
           connection->call_count < (streams_max < calls_max ? streams_max : calls_max);
}

void grpc_connection_add(struct grpc_connection *connection, struct grpc_call *call)
{
    call->connection = connection;
    call->next_on_connection = connection->calls;
    call->place_on_connection = &connection->calls;
    if (call->next_on_connection != NULL) {
        call->next_on_connection->place_on_connection = &call->next_on_connection;
    }
    connection->calls = call;
    connection->call_count++;
    if (connection->call_count == 1) {
        connection->heard_ms = uv_now(connection->grpc->loop); /* silence counts from here */
        set_timer(connection);
    }
    grpc_connection_touch(connection);
}

void grpc_connection_remove(struct grpc_connection *connection, struct grpc_call *call)
{
    *call->place_on_connection = call->next_on_connection;
    if (call->next_on_connection != NULL) {
        call->next_on_connection->place_on_connection = call->place_on_connection;
    }
    call->connection = NULL;
    connection->call_count--;
    if (connection->call_count == 0) {
        connection->idle_ms = uv_now(connection->grpc->loop);
        connection->pinged = false;
        set_timer(connection);
    }
}

void grpc_connection_touch(struct grpc_connection *connection)
{
    connection->dirty = true;
    grpc_wake(connection->grpc);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void write_out(struct grpc_connection *connection)
{
    static const char *const no_labels[] = {NULL};
    uint64_t before = transport_taken_bytes(connection->transport);
    size_t room;

    while ((room = transport_room(connection->transport)) > 0) {
        buffer_clear(&connection->out);
        http2_produce(connection->http2, &connection->out, smaller(room, TRANSPORT_CHUNK_BYTES));
        if (connection->out.size == 0) {
            break;
        }
        transport_send(connection->transport, &connection->out);
        if (connection->pinged && connection->ping_end == UINT64_MAX) {
            connection->ping_end = transport_taken_bytes(connection->transport); /* nghttp2 lets PING pass before all else */
        }
    }
    metric_add(metric_cell(&sent_family, no_labels), (double)(transport_taken_bytes(connection->transport) - before));
}

void grpc_connection_step(struct grpc_connection *connection)
{
    struct err err = {0};

    connection->dirty = false;
    if (sm_at(&connection->sm) == CLOSING) {
        return;
    }
    write_out(connection);
    if (http2_check(connection->http2, &err) != 0) {
        (void)err_while(&err, "%s", transport_describe(connection->transport));
        fail(connection, &err);
    } else if (sm_at(&connection->sm) == GOING_AWAY && connection->call_count == 0) {
        grpc_connection_close(connection, "all its calls have ended");
    }
}

json_t *grpc_connection_report(const struct grpc_connection *connection)
{
    uint64_t taken = transport_taken_bytes(connection->transport);
    uint64_t queued = taken - transport_written_bytes(connection->transport);

    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:I}", "peer", transport_describe(connection->transport), "state",
                     sm_name(&connection->sm), "calls", (int)connection->call_count, "queued_bytes", (json_int_t)queued,
                     "sent_bytes", (json_int_t)taken, "received_bytes",
                     (json_int_t)transport_received_bytes(connection->transport));
}

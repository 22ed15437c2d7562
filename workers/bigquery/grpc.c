/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel: which call gets which connection, and the turn in which everything is done (grpc_parts.h says why).
 *
 * A turn: owners hear what happened to their calls; calls that wait get the connection with the fewest calls, or one new
 * connection is begun for all of them; connections write. Turns follow one another as long as there is something to do, and
 * each does a bounded amount: one step of each call that was touched.
 *
 * Calls wait in line, oldest first, when all connections are full; the line has no limit of its own, being made of calls that
 * have owners. One connection is begun at a time: the calls of a worker that starts are to share it, not to make one each.
 *
 * Deliberately absent: a pause before a connection is tried again (H4 in grpc_connection.c), load balancing over the server's
 * addresses, a proxy.
 */
#include "workers/bigquery/grpc.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/grpc_parts.h"

/* Never the reason why a call waits, unless it is set. */
#define CONNECTIONS_MAX 1000
/* What one TCP connection between clouds carries is limited: by its window, by each lost packet. */
#define CALLS_PER_CONNECTION 25
#define CONNECT_TIMEOUT_MS   20000
#define PING_INTERVAL_MS     60000
#define PING_TIMEOUT_MS      20000
#define IDLE_MS              300000

static const char not_an_endpoint[] =
    "the gRPC endpoint \"%s\" is not of the form https://<host>, https://<host>:<port> or http://<host>:<port>";

/* ---- endpoint */

static char *copy_part(const char *from, size_t size)
{
    char *result = strndup(from, size);

    must(result != NULL);
    return result;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT, behind the scheme. */
static int split_authority(struct grpc *grpc, const char *text, const char *standard_port, struct err *err)
{
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
    const char *host = bracket != NULL ? text + 1 : text;
    const char *host_end = bracket != NULL ? bracket : text + strcspn(text, ":/");
    const char *rest = bracket != NULL ? bracket + 1 : host_end;
    const char *port = rest[0] == ':' ? rest + 1 : standard_port;
    size_t port_size = strspn(port, "0123456789");
    const char *end = rest[0] == ':' ? port + port_size : rest;

    if (host_end == host || port_size == 0 || port_size > 5 || (end[0] != '\0' && strcmp(end, "/") != 0)) {
        return err_set(err, ERR_FATAL, not_an_endpoint, grpc->endpoint);
    }
    grpc->host = copy_part(host, (size_t)(host_end - host));
    grpc->port = copy_part(port, port_size);
    grpc->authority = copy_part(text, (size_t)(end - text));
    return 0;
}

static int read_endpoint(struct grpc *grpc, const char *ca_file, struct err *err)
{
    static const char secure[] = "https://";
    static const char plain[] = "http://";
    const char *text = grpc->endpoint;

    if (strncmp(text, plain, strlen(plain)) == 0) {
        return split_authority(grpc, text + strlen(plain), "80", err);
    }
    if (strncmp(text, secure, strlen(secure)) != 0) {
        return err_set(err, ERR_FATAL, not_an_endpoint, text);
    }
    if (split_authority(grpc, text + strlen(secure), "443", err) != 0) {
        return -1;
    }
    return tls_context_new(ca_file, &grpc->tls, err);
}

/* ---- new, gone */

static void on_turn(uv_idle_t *idle);

static void set_standards(struct grpc_options *options)
{
    options->endpoint = NULL;
    options->ca_file = NULL;
    options->quota_project = NULL;
    options->connections_max = options->connections_max > 0 ? options->connections_max : CONNECTIONS_MAX;
    options->calls_per_connection = options->calls_per_connection > 0 ? options->calls_per_connection : CALLS_PER_CONNECTION;
    options->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    options->ping_interval_ms = options->ping_interval_ms > 0 ? options->ping_interval_ms : PING_INTERVAL_MS;
    options->ping_timeout_ms = options->ping_timeout_ms > 0 ? options->ping_timeout_ms : PING_TIMEOUT_MS;
    options->idle_ms = options->idle_ms > 0 ? options->idle_ms : IDLE_MS;
}

static void free_memory(struct grpc *grpc)
{
    tls_context_free(grpc->tls);
    free(grpc->endpoint);
    free(grpc->host);
    free(grpc->port);
    free(grpc->authority);
    free(grpc->quota_project);
    free(grpc);
}

int grpc_new(uv_loop_t *loop, const struct grpc_options *options, struct grpc **ret_grpc, struct err *err)
{
    struct grpc *grpc = calloc(1, sizeof *grpc);

    must(grpc != NULL);
    grpc->loop = loop;
    grpc->endpoint = copy_part(options->endpoint, strlen(options->endpoint));
    if (read_endpoint(grpc, options->ca_file, err) != 0) {
        free_memory(grpc);
        return -1;
    }
    grpc->options = *options;
    grpc->quota_project = must_strdup(options->quota_project);
    set_standards(&grpc->options);
    grpc->ping_interval_ms = grpc->options.ping_interval_ms;
    grpc->waiting_end = &grpc->waiting;
    grpc->touched_end = &grpc->touched;
    must(uv_idle_init(loop, &grpc->turn) == 0 && uv_timer_init(loop, &grpc->deadlines) == 0);
    grpc->handle_count = 2;
    grpc->turn.data = grpc;
    grpc->deadlines.data = grpc;
    *ret_grpc = grpc;
    return 0;
}

void grpc_free(struct grpc *grpc, void (*freed)(void *context), void *context)
{
    if (grpc == NULL) {
        freed(context);
        return;
    }
    must(!grpc->freeing);
    grpc->freeing = true;
    grpc->freed = freed;
    grpc->freed_context = context;
    grpc_wake(grpc);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct grpc *grpc = handle->data;
    void (*freed)(void *context) = grpc->freed;
    void *context = grpc->freed_context;

    grpc->handle_count--;
    if (grpc->handle_count == 0) {
        free_memory(grpc);
        freed(context);
    }
}

void grpc_connection_gone(struct grpc_connection *connection)
{
    struct grpc *grpc = connection->grpc;
    struct grpc_connection **place = &grpc->connections;

    while (*place != connection) {
        place = &(*place)->next;
    }
    *place = connection->next;
    grpc->connection_count--;
    grpc_wake(grpc);
}

/* Calls, then connections, then what is left; each in a turn of its own. */
static void free_step(struct grpc *grpc)
{
    for (struct grpc_call *call = grpc->calls; call != NULL; call = call->next) {
        grpc_call_fail(call, GRPC_CANCELLED, "the channel was closed");
    }
    if (grpc->calls != NULL) {
        return;
    }
    for (struct grpc_connection *connection = grpc->connections; connection != NULL; connection = connection->next) {
        grpc_connection_close(connection, "the channel was closed");
    }
    if (grpc->connections == NULL && !uv_is_closing((uv_handle_t *)&grpc->turn)) {
        uv_close((uv_handle_t *)&grpc->turn, on_handle_closed);
        uv_close((uv_handle_t *)&grpc->deadlines, on_handle_closed);
    }
}

/* ---- a turn */

void grpc_wake(struct grpc *grpc)
{
    if (!uv_is_closing((uv_handle_t *)&grpc->turn)) {
        must(uv_idle_start(&grpc->turn, on_turn) == 0);
    }
}

/* Those touched meanwhile have the next turn. */
static void step_calls(struct grpc *grpc)
{
    struct grpc_call *call = grpc->touched;

    grpc->touched = NULL;
    grpc->touched_end = &grpc->touched;
    while (call != NULL) {
        struct grpc_call *next = call->next_touched;

        grpc_call_step(call);
        call = next;
    }
}

static struct grpc_connection *find_connection(const struct grpc *grpc)
{
    struct grpc_connection *best = NULL;

    for (struct grpc_connection *connection = grpc->connections; connection != NULL; connection = connection->next) {
        if (grpc_connection_has_room(connection) && (best == NULL || connection->call_count < best->call_count)) {
            best = connection;
        }
    }
    return best;
}

static void begin_connection(struct grpc *grpc)
{
    struct grpc_connection *connection;

    for (connection = grpc->connections; connection != NULL; connection = connection->next) {
        if (grpc_connection_connecting(connection)) {
            return;
        }
    }
    if (grpc->connection_count < grpc->options.connections_max) {
        connection = grpc_connection_new(grpc);
        connection->next = grpc->connections;
        grpc->connections = connection;
        grpc->connection_count++;
    }
}

static struct grpc_call *take_waiting(struct grpc *grpc)
{
    struct grpc_call *call = grpc->waiting;

    grpc->waiting = call->next_waiting;
    if (grpc->waiting == NULL) {
        grpc->waiting_end = &grpc->waiting;
    }
    call->waits = false;
    return call;
}

static void start_waiting(struct grpc *grpc)
{
    while (grpc->waiting != NULL) {
        bool over = grpc_answer_settled(&grpc->waiting->answer); /* canceled in this very turn: its end comes in the next */
        struct grpc_connection *connection = over ? NULL : find_connection(grpc);

        if (!over && connection == NULL) {
            break;
        }
        if (over) {
            (void)take_waiting(grpc);
        } else {
            grpc_call_start(take_waiting(grpc), connection);
        }
    }
    if (grpc->waiting != NULL) {
        begin_connection(grpc);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct grpc *grpc = timer->data;
    uint64_t now_ms = uv_now(grpc->loop);

    for (struct grpc_call *call = grpc->calls; call != NULL; call = call->next) {
        if (call->deadline_ms <= now_ms) {
            grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, "no end within %llu ms", (unsigned long long)call->timeout_ms);
        }
    }
}

static void set_deadline_timer(struct grpc *grpc)
{
    uint64_t now_ms = uv_now(grpc->loop);
    uint64_t first_ms = UINT64_MAX;

    for (struct grpc_call *call = grpc->calls; call != NULL; call = call->next) {
        if (call->deadline_ms < first_ms && !call->touched) {
            first_ms = call->deadline_ms;
        }
    }
    if (first_ms == UINT64_MAX) {
        must(uv_timer_stop(&grpc->deadlines) == 0);
    } else {
        must(uv_timer_start(&grpc->deadlines, on_deadline, first_ms > now_ms ? first_ms - now_ms : 0, 0) == 0);
    }
}

static void on_turn(uv_idle_t *idle)
{
    struct grpc *grpc = idle->data;

    must(uv_idle_stop(idle) == 0);
    step_calls(grpc);
    if (!grpc->freeing) {
        start_waiting(grpc);
    }
    for (struct grpc_connection *connection = grpc->connections; connection != NULL; connection = connection->next) {
        if (connection->dirty) {
            grpc_connection_step(connection);
        }
    }
    if (grpc->freeing) {
        free_step(grpc);
    } else {
        set_deadline_timer(grpc);
    }
}

void grpc_fail_waiting(struct grpc *grpc, const struct err *err)
{
    for (struct grpc_call *call = grpc->waiting; call != NULL; call = call->next_waiting) {
        grpc_call_fail(call, GRPC_UNAVAILABLE, "%s", err->text);
    }
}

json_t *grpc_report(const struct grpc *grpc)
{
    json_t *connections = json_array();
    uint64_t sent_bytes = grpc->sent_bytes;
    uint64_t received_bytes = grpc->received_bytes;
    int waiting = 0;

    for (const struct grpc_connection *connection = grpc->connections; connection != NULL; connection = connection->next) {
        if (!grpc_connection_closing(connection)) {
            must(json_array_append_new(connections, grpc_connection_report(connection)) == 0);
            sent_bytes += transport_taken_bytes(connection->transport);
            received_bytes += transport_received_bytes(connection->transport);
        }
    }
    for (const struct grpc_call *call = grpc->waiting; call != NULL; call = call->next_waiting) {
        waiting++;
    }
    return json_pack("{s:s, s:o, s:i, s:I, s:I}", "endpoint", grpc->endpoint, "connections", connections, "calls_waiting",
                     waiting, "sent_bytes", (json_int_t)sent_bytes, "received_bytes", (json_int_t)received_bytes);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd runs without a thread of its own: it keeps its sockets in an epoll descriptor, the loop polls that one, and
 * each time something happens MHD_run does what can be done without waiting. It also wants to be run when a connection has been
 * silent for too long, or when it stopped in the middle of one: MHD_get_timeout says when, and a timer does it.
 *
 *   loop: epoll readable --+
 *                          +--> MHD_run --> answer() for each request --> MHD_get_timeout --> timer
 *   loop: timer -----------+
 *
 * Everything is answered from memory, on the loop: a scraper waits for the loop's turn, never the other way round. So /livez
 * needs no code: that it answers is the answer.
 *
 * Bounds: CONNECTIONS_MAX at once (further ones wait in the kernel's queue), each with CONNECTION_BYTES for its request, closed
 * after IDLE_SECONDS of silence. Nothing here asks who is there: who may reach the port is decided by the address it listens
 * on.
 *
 * Closing: first the two handles of the loop, so that nothing runs the daemon any more, then the daemon with its sockets.
 */
#include "common/admin.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/process_metrics.h"

#define MAGIC            0x61646d69
#define CONNECTIONS_MAX  32
#define CONNECTION_BYTES 16384
#define IDLE_SECONDS     10
#define REASON_SIZE      512

struct admin {
    uint32_t magic;
    struct admin_calls calls;
    struct MHD_Daemon *daemon;
    uv_poll_t poll; /* of the daemon's epoll descriptor */
    uv_timer_t timer;
    int open_handles; /* of poll and timer: those not closed yet */
    void (*closed)(void *context);
    void *closed_context;
};

static struct admin *checked(void *pointer)
{
    struct admin *admin = pointer;

    must(admin->magic == MAGIC);
    return admin;
}

/* ---- answers */

static const char type_text[] = "text/plain; charset=utf-8";
static const char type_metrics[] = "text/plain; version=0.0.4; charset=utf-8";
static const char type_json[] = "application/json";
static const char paths_text[] = "/metrics\n/livez\n/readyz\n/healthz\n/status\n";

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *type, const char *text,
                                 size_t size)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (response == NULL) {
        return MHD_NO; /* the connection is closed */
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_verdict(struct MHD_Connection *connection, bool well, const char *reason)
{
    char text[REASON_SIZE + 2];
    int size = snprintf(text, sizeof text, "%s\n", well ? "ok" : reason);

    return send_text(connection, well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, type_text, text, (size_t)size);
}

static enum MHD_Result answer_ready(struct admin *admin, struct MHD_Connection *connection)
{
    char reason[REASON_SIZE] = "";
    bool well = admin->calls.ready(admin->calls.context, reason, sizeof reason);

    return answer_verdict(connection, well, reason);
}

static enum MHD_Result answer_healthy(struct admin *admin, struct MHD_Connection *connection)
{
    char reason[REASON_SIZE] = "";
    bool well = admin->calls.healthy(admin->calls.context, reason, sizeof reason);

    return answer_verdict(connection, well, reason);
}

static enum MHD_Result answer_live(struct admin *admin, struct MHD_Connection *connection)
{
    (void)admin;
    return answer_verdict(connection, true, "");
}

static enum MHD_Result answer_metrics(struct admin *admin, struct MHD_Connection *connection)
{
    struct buffer text = {0};
    enum MHD_Result result;

    (void)admin;
    process_metrics_renew();
    metrics_print(&text);
    result = send_text(connection, MHD_HTTP_OK, type_metrics, buffer_text(&text), text.size);
    buffer_deinit(&text);
    return result;
}

static enum MHD_Result answer_status(struct admin *admin, struct MHD_Connection *connection)
{
    json_t *status = admin->calls.status(admin->calls.context);
    char *text = json_dumps(status, JSON_INDENT(2));
    enum MHD_Result result;

    must(text != NULL); /* our own JSON */
    result = send_text(connection, MHD_HTTP_OK, type_json, text, strlen(text));
    free(text);
    json_decref(status);
    return result;
}

static const struct {
    const char *path;
    enum MHD_Result (*answer)(struct admin *admin, struct MHD_Connection *connection);
} paths[] = {
    {"/metrics", answer_metrics}, {"/livez", answer_live},    {"/readyz", answer_ready},
    {"/healthz", answer_healthy}, {"/status", answer_status},
};

static enum MHD_Result answer(struct admin *admin, struct MHD_Connection *connection, const char *path, const char *method)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, type_text, "GET and HEAD only\n",
                         strlen("GET and HEAD only\n"));
    }
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++) {
        if (strcmp(paths[index].path, path) == 0) {
            return paths[index].answer(admin, connection);
        }
    }
    return send_text(connection, MHD_HTTP_NOT_FOUND, type_text, paths_text, strlen(paths_text));
}

/* Called with the head of a request, and again for each piece of its body, which nobody wants; the last time without one. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *body, size_t *body_size, void **request)
{
    static int seen;

    (void)version;
    (void)body;
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    if (*body_size > 0) {
        *body_size = 0;
        return MHD_YES;
    }
    return answer(checked(context), connection, path, method);
}

static void on_daemon_log(void *context, const char *format, va_list list)
{
    char text[512];

    (void)context;
    (void)vsnprintf(text, sizeof text, format, list);
    text[strcspn(text, "\n")] = '\0';
    log_debug("admin", "text=%q", text);
}

/* ---- the loop */

static void on_timer(uv_timer_t *timer);

static void run(struct admin *admin)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    (void)MHD_run(admin->daemon);
    if (MHD_get_timeout(admin->daemon, &wait_ms) == MHD_YES) {
        must(uv_timer_start(&admin->timer, on_timer, wait_ms, 0) == 0);
    } else {
        must(uv_timer_stop(&admin->timer) == 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    run(checked(timer->data));
}

/* An error of the poll would be one of the epoll descriptor: MHD_run meets it too. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(checked(poll->data));
}

/* ---- start */

/* "127.0.0.1:80", "[::1]:80", "localhost:0" into its parts. */
static int split_address(const char *listen, char *host, size_t host_size, const char **ret_port, struct err *err)
{
    const char *colon = strrchr(listen, ':');
    const char *start = listen;
    size_t size;

    if (colon == NULL) {
        return err_set(err, ERR_FATAL, "the address %s has no port", listen);
    }
    size = (size_t)(colon - listen);
    if (size >= 2 && start[0] == '[' && start[size - 1] == ']') {
        start++;
        size -= 2;
    }
    if (size == 0 || size >= host_size) {
        return err_set(err, ERR_FATAL, "%s is not an address and port", listen);
    }
    memcpy(host, start, size);
    host[size] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int open_socket(const struct addrinfo *address, const char *listen_text, int *ret_socket, struct err *err)
{
    int one = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return err_set(err, ERR_FATAL, "listening on %s: %s", listen_text, strerror(errno));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, CONNECTIONS_MAX) != 0) {
        (void)err_set(err, ERR_FATAL, "listening on %s: %s; set another address or port", listen_text, strerror(errno));
        (void)close(fd);
        return -1;
    }
    *ret_socket = fd;
    return 0;
}

static int listen_on(const char *listen_text, int *ret_socket, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses;
    char host[256];
    const char *port = NULL;
    int result;

    if (split_address(listen_text, host, sizeof host, &port, err) != 0) {
        return -1;
    }
    result = getaddrinfo(host, port, &hints, &addresses);
    if (result != 0) {
        return err_set(err, ERR_FATAL, "listening on %s: %s", listen_text, gai_strerror(result));
    }
    result = open_socket(addresses, listen_text, ret_socket, err);
    freeaddrinfo(addresses);
    return result;
}

static void log_address(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[64];
    char port[16];

    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) ==
            0) {
        log_info("admin", address.ss_family == AF_INET6 ? "listen=[%s]:%s" : "listen=%s:%s", host, port);
    }
}

/* Takes the socket. */
static struct MHD_Daemon *start_daemon(struct admin *admin, int fd)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, admin, MHD_OPTION_EXTERNAL_LOGGER,
                            on_daemon_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
}

static void start_handles(struct admin *admin, uv_loop_t *loop)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    must(info != NULL);
    must(uv_poll_init(loop, &admin->poll, info->epoll_fd) == 0);
    must(uv_timer_init(loop, &admin->timer) == 0);
    admin->poll.data = admin;
    admin->timer.data = admin;
    admin->open_handles = 2;
    must(uv_poll_start(&admin->poll, UV_READABLE, on_poll) == 0);
}

int admin_new(uv_loop_t *loop, const char *listen, const struct admin_calls *calls, struct admin **ret_admin, struct err *err)
{
    struct admin *admin;
    int fd;

    if (listen_on(listen, &fd, err) != 0) {
        return -1;
    }
    admin = calloc(1, sizeof *admin);
    must(admin != NULL);
    admin->magic = MAGIC;
    admin->calls = *calls;
    admin->daemon = start_daemon(admin, fd);
    if (admin->daemon == NULL) {
        (void)close(fd);
        free(admin);
        return err_set(err, ERR_FATAL, "starting the admin port on %s failed: too few file descriptors, or too little memory",
                       listen);
    }
    start_handles(admin, loop);
    log_address(fd);
    *ret_admin = admin;
    return 0;
}

/* ---- close */

static void on_handle_closed(uv_handle_t *handle)
{
    struct admin *admin = checked(handle->data);
    void (*closed)(void *context) = admin->closed;
    void *context = admin->closed_context;

    admin->open_handles--;
    if (admin->open_handles > 0) {
        return;
    }
    MHD_stop_daemon(admin->daemon);
    admin->magic = 0;
    free(admin);
    closed(context);
}

void admin_close(struct admin *admin, void (*closed)(void *context), void *context)
{
    if (admin == NULL) {
        closed(context);
        return;
    }
    admin->closed = closed;
    admin->closed_context = context;
    uv_close((uv_handle_t *)&admin->poll, on_handle_closed);
    uv_close((uv_handle_t *)&admin->timer, on_handle_closed);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a connection are kept until a whole request is there; it is answered, and dropped from the front. */
#include "tests/unit/http_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buffer.h"
#include "common/must.h"

struct http_server_connection {
    uv_tcp_t tcp;
    struct http_server *server;
    struct http_server_connection *next;
    struct buffer bytes;
    unsigned number;
    char piece[65536];
};

struct reply_write {
    uv_write_t write;
    struct buffer bytes;
    bool cut;
};

static void on_closed(uv_handle_t *handle)
{
    struct http_server_connection *connection = handle->data;

    buffer_deinit(&connection->bytes);
    free(connection);
}

static void connection_close(struct http_server_connection *connection)
{
    struct http_server_connection **place = &connection->server->_connections;

    if (uv_is_closing((uv_handle_t *)&connection->tcp)) {
        return;
    }
    while (*place != connection) {
        place = &(*place)->next;
    }
    *place = connection->next;
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
    struct reply_write *reply = write->data;

    (void)status;
    if (reply->cut) {
        connection_close(write->handle->data);
    }
    buffer_deinit(&reply->bytes);
    free(reply);
}

static void send_reply(struct http_server_connection *connection, const struct http_server_reply *reply)
{
    struct reply_write *out = calloc(1, sizeof *out);
    size_t body_size = reply->body == NULL ? 0 : reply->body_size > 0 ? reply->body_size : strlen(reply->body);
    uv_buf_t buf;

    must(out != NULL);
    out->cut = reply->cut;
    out->write.data = out;
    if (reply->raw != NULL) {
        buffer_append_text(&out->bytes, reply->raw);
    } else {
        buffer_printf(&out->bytes, "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n", reply->status, body_size,
                      reply->headers != NULL ? reply->headers : "");
        buffer_append(&out->bytes, reply->body, body_size);
    }
    buf = uv_buf_init((char *)out->bytes.bytes, (unsigned)out->bytes.size);
    must(uv_write(&out->write, (uv_stream_t *)&connection->tcp, &buf, 1, on_written) == 0);
}

static void answer(struct http_server_connection *connection, struct http_server_request *request)
{
    struct http_server *server = connection->server;
    struct http_server_reply reply = {.status = 200};

    request->number = ++server->request_count;
    request->connection = connection->number;
    server->_handler(server->_context, request, &reply);
    if (!reply.nothing) {
        send_reply(connection, &reply);
    } else if (reply.cut) {
        connection_close(connection);
    }
}

/* "POST /path HTTP/1.1\r\n..." into its parts. The head is cut by NULs. */
static void take_head(char *head, struct http_server_request *request)
{
    char *blank = strchr(head, ' ');
    char *second = blank != NULL ? strchr(blank + 1, ' ') : NULL;

    must(blank != NULL && second != NULL);
    *blank = '\0';
    *second = '\0';
    request->method = head;
    request->path = blank + 1;
    request->head = second + 1;
}

/* True: one whole request was there, and is gone. */
static bool step(struct http_server_connection *connection)
{
    const char *text = buffer_text(&connection->bytes);
    const char *end = strstr(text, "\r\n\r\n");
    struct http_server_request request = {0};
    size_t head_size = end != NULL ? (size_t)(end - text) : 0;
    const char *length;
    char *head;
    char *body;

    if (end == NULL) {
        return false;
    }
    head = strndup(text, head_size + 2);
    must(head != NULL);
    take_head(head, &request);
    length = http_server_header(&request, "Content-Length");
    request.body_size = length != NULL ? strtoul(length, NULL, 10) : 0;
    if (connection->bytes.size < head_size + 4 + request.body_size) {
        free(head);
        return false;
    }
    body = strndup(end + 4, request.body_size);
    must(body != NULL);
    request.body = body;
    buffer_drop(&connection->bytes, head_size + 4 + request.body_size);
    answer(connection, &request);
    free(head);
    free(body);
    return !uv_is_closing((uv_handle_t *)&connection->tcp);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_server_connection *connection = handle->data;

    (void)suggested;
    *buf = uv_buf_init(connection->piece, sizeof connection->piece);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct http_server_connection *connection = stream->data;

    if (size < 0 || connection->server->cut_at_once) {
        connection_close(connection);
        return;
    }
    buffer_append(&connection->bytes, buf->base, (size_t)size);
    must(connection->bytes.size <= HTTP_SERVER_BYTES_MAX);
    while (step(connection)) {
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_server *server = listener->data;
    struct http_server_connection *connection = calloc(1, sizeof *connection);

    must(status == 0 && connection != NULL);
    connection->server = server;
    connection->number = ++server->connection_count;
    connection->next = server->_connections;
    server->_connections = connection;
    must(uv_tcp_init(server->_loop, &connection->tcp) == 0);
    connection->tcp.data = connection;
    must(uv_accept(listener, (uv_stream_t *)&connection->tcp) == 0);
    must(uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) == 0);
}

const char *http_server_header(const struct http_server_request *request, const char *name)
{
    static char value[65536];
    size_t size = strlen(name);

    for (const char *line = strstr(request->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':') {
            const char *start = line + 2 + size + 1 + strspn(line + 2 + size + 1, " ");

            (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(start, "\r"), start);
            return value;
        }
    }
    return NULL;
}

static void clear_proxies(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        must(unsetenv(names[i]) == 0);
    }
}

void http_server_start(struct http_server *server, uv_loop_t *loop, http_server_handler handler, void *context)
{
    struct sockaddr_in address;
    int size = sizeof address;

    *server = (struct http_server){._handler = handler, ._context = context, ._loop = loop};
    clear_proxies();
    must(uv_ip4_addr("127.0.0.1", 0, &address) == 0);
    must(uv_tcp_init(loop, &server->listener) == 0);
    server->listener.data = server;
    must(uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0) == 0);
    must(uv_listen((uv_stream_t *)&server->listener, 64, on_connection) == 0);
    must(uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
}

void http_server_stop(struct http_server *server)
{
    while (server->_connections != NULL) {
        connection_close(server->_connections);
    }
    uv_close((uv_handle_t *)&server->listener, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writes happen at once, after each thing that may have made some; nghttp2 allows that everywhere but inside its own callbacks.
 */
#include "tests/unit/h2_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/must.h"

#define READ_BYTES 65536

struct h2_server {
    uv_tcp_t listener;
    struct h2_options options;
    const struct h2_events *events;
    void *context;
    struct h2_connection *connections;
    struct h2_stream *streams;
    unsigned connection_count;
    unsigned stream_count;
    unsigned handle_count; /* not yet closed */
    bool inside;           /* a callback of nghttp2 */
    uint8_t read_bytes[READ_BYTES];
};

struct write {
    uv_write_t request;
    struct buffer bytes;
};

/* ---- writing */

static void on_written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request;

    (void)status;
    buffer_deinit(&write->bytes);
    free(write);
}

/* Takes the bytes. */
static void put(struct h2_connection *connection, struct buffer *bytes)
{
    struct write *write = calloc(1, sizeof *write);
    uv_buf_t part;

    must(write != NULL);
    write->bytes = *bytes;
    part = uv_buf_init((char *)write->bytes.bytes, (unsigned)write->bytes.size);
    if (connection->closed || bytes->size == 0 ||
        uv_write(&write->request, (uv_stream_t *)&connection->tcp, &part, 1, on_written) != 0) {
        on_written(&write->request, 0);
    }
}

static void put_tls(struct h2_connection *connection)
{
    struct buffer cipher = {0};
    char *bytes;
    long size = BIO_get_mem_data(SSL_get_wbio(connection->ssl), &bytes);

    buffer_append(&cipher, bytes, size > 0 ? (size_t)size : 0);
    must(BIO_reset(SSL_get_wbio(connection->ssl)) == 1);
    put(connection, &cipher);
}

static void flush(struct h2_connection *connection)
{
    struct buffer out = {0};
    const uint8_t *bytes;
    ssize_t size;

    if (connection->session == NULL || connection->closed || connection->server->inside) {
        return;
    }
    if (connection->ssl != NULL && !SSL_is_init_finished(connection->ssl)) {
        return; /* the handshake's own bytes are put where they arise */
    }
    while ((size = nghttp2_session_mem_send(connection->session, &bytes)) > 0) {
        buffer_append(&out, bytes, (size_t)size);
    }
    if (connection->ssl == NULL) {
        put(connection, &out);
        return;
    }
    if (out.size > 0) {
        must(SSL_write(connection->ssl, out.bytes, (int)out.size) == (int)out.size);
    }
    buffer_deinit(&out);
    put_tls(connection);
}

/* ---- nghttp2's callbacks */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2_connection *connection = context;
    struct h2_server *server = connection->server;
    struct h2_stream *stream = calloc(1, sizeof *stream);

    must(stream != NULL);
    stream->connection = connection;
    stream->id = frame->hd.stream_id;
    stream->number = server->stream_count++;
    stream->next = server->streams;
    server->streams = stream;
    must(nghttp2_session_set_stream_user_data(session, stream->id, stream) == 0);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    size_t used = strlen(stream->headers);

    (void)flags;
    (void)context;
    (void)snprintf(stream->headers + used, sizeof stream->headers - used, "%.*s: %.*s\n", (int)name_size, name, (int)value_size,
                   value);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2_server *server = ((struct h2_connection *)context)->server;
    struct h2_stream *stream = frame->hd.stream_id > 0 ? stream_of(session, frame->hd.stream_id) : NULL;

    if (stream == NULL) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && server->events->request != NULL) {
        server->events->request(server->context, stream);
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        stream->half_closed = true;
        if (server->events->half_closed != NULL) {
            server->events->half_closed(server->context, stream);
        }
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size, void *context)
{
    struct h2_connection *connection = context;
    struct h2_stream *stream = stream_of(session, id);

    (void)flags;
    buffer_append(&stream->received, bytes, size);
    if (connection->server->events->data != NULL) {
        connection->server->events->data(connection->server->context, stream, bytes, size);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    struct h2_server *server = ((struct h2_connection *)context)->server;
    struct h2_stream *stream = stream_of(session, id);

    if (stream != NULL && code != NGHTTP2_NO_ERROR) {
        stream->reset = true;
        stream->reset_code = code;
        if (server->events->reset != NULL) {
            server->events->reset(server->context, stream);
        }
    }
    return 0;
}

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name, .value = (uint8_t *)value, .namelen = strlen(name), .valuelen = strlen(value)};
}

static size_t trailers_of(const struct h2_stream *stream, nghttp2_nv list[3])
{
    size_t count = 0;

    list[count++] = pair("grpc-status", stream->_status);
    if (stream->_message[0] != '\0') {
        list[count++] = pair("grpc-message", stream->_message);
    }
    if (stream->_details[0] != '\0') {
        list[count++] = pair("grpc-status-details-bin", stream->_details);
    }
    return count;
}

static ssize_t on_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
                         nghttp2_data_source *source, void *context)
{
    struct h2_stream *stream = source->ptr;
    size_t count = stream->_answer.size < size ? stream->_answer.size : size;
    nghttp2_nv trailers[3];

    (void)context;
    if (count > 0) {
        memcpy(to, stream->_answer.bytes, count);
        buffer_drop(&stream->_answer, count);
    }
    if (stream->_last && stream->_answer.size == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->_status[0] != '\0') {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            must(nghttp2_submit_trailer(session, id, trailers, trailers_of(stream, trailers)) == 0);
        }
        return (ssize_t)count;
    }
    return count > 0 ? (ssize_t)count : NGHTTP2_ERR_DEFERRED;
}

/* ---- a connection */

static void session_new(struct h2_connection *connection)
{
    const struct h2_options *options = &connection->server->options;
    uint32_t window = options->window_bytes > 0 ? options->window_bytes : 65535;
    nghttp2_settings_entry settings[2] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
                                          {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->streams_max}};
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    must(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_no_auto_window_update(option, options->stalled);
    nghttp2_option_set_no_auto_ping_ack(option, options->silent);
    must(nghttp2_session_server_new2(&connection->session, callbacks, connection, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    must(nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, options->streams_max > 0 ? 2 : 1) == 0);
    must(nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, (int32_t)window) == 0);
}

static void free_if_gone(struct h2_server *server)
{
    if (server->handle_count > 0) {
        return;
    }
    for (struct h2_stream *stream = server->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        buffer_deinit(&stream->received);
        buffer_deinit(&stream->_answer);
        free(stream);
    }
    for (struct h2_connection *connection = server->connections, *next; connection != NULL; connection = next) {
        next = connection->next;
        nghttp2_session_del(connection->session);
        SSL_free(connection->ssl);
        free(connection);
    }
    SSL_CTX_free(server->options.tls);
    free(server);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct h2_server *server = ((struct h2_connection *)handle->data)->server;

    server->handle_count--;
    free_if_gone(server);
}

void h2_connection_close(struct h2_connection *connection)
{
    if (!connection->closed) {
        connection->closed = true;
        uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
    }
}

static void receive(struct h2_connection *connection, const uint8_t *bytes, size_t size)
{
    ssize_t taken;

    connection->received_bytes += size;
    if (connection->session == NULL || size == 0) {
        return;
    }
    connection->server->inside = true;
    taken = nghttp2_session_mem_recv(connection->session, bytes, size);
    connection->server->inside = false;
    must(taken == (ssize_t)size); /* our client breaks no protocol */
}

static void receive_tls(struct h2_connection *connection, const uint8_t *bytes, size_t size)
{
    uint8_t plain[16384];
    int got;

    must(BIO_write(SSL_get_rbio(connection->ssl), bytes, (int)size) == (int)size);
    while ((got = SSL_read(connection->ssl, plain, sizeof plain)) > 0) {
        receive(connection, plain, (size_t)got);
    }
    put_tls(connection);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct h2_connection *connection = stream->data;

    if (size < 0) {
        h2_connection_close(connection);
        return;
    }
    if (connection->ssl != NULL) {
        receive_tls(connection, (const uint8_t *)buf->base, (size_t)size);
    } else {
        receive(connection, (const uint8_t *)buf->base, (size_t)size);
    }
    flush(connection);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct h2_server *server = ((struct h2_connection *)handle->data)->server;

    (void)suggested;
    *ret_buf =
        uv_buf_init((char *)server->read_bytes, server->options.read_bytes > 0 ? server->options.read_bytes : READ_BYTES);
}

static void on_accept(uv_stream_t *listener, int status)
{
    struct h2_server *server = listener->data;
    struct h2_connection *connection = calloc(1, sizeof *connection);

    must(status == 0 && connection != NULL);
    connection->server = server;
    connection->number = server->connection_count++;
    connection->next = server->connections;
    server->connections = connection;
    server->handle_count++;
    must(uv_tcp_init(listener->loop, &connection->tcp) == 0);
    connection->tcp.data = connection;
    must(uv_accept(listener, (uv_stream_t *)&connection->tcp) == 0);
    if (server->options.tls != NULL) {
        connection->ssl = SSL_new(server->options.tls);
        SSL_set_bio(connection->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_accept_state(connection->ssl);
    }
    if (!server->options.mute) {
        session_new(connection);
    }
    must(uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) == 0);
    if (connection->ssl == NULL) {
        flush(connection);
    }
    if (server->events->accepted != NULL) {
        server->events->accepted(server->context, connection);
    }
}

/* ---- the server */

struct h2_server *h2_server_new(uv_loop_t *loop, const struct h2_options *options, const struct h2_events *events,
                                void *context)
{
    struct h2_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address;
    int small = 4096;

    must(server != NULL);
    server->options = *options;
    server->events = events;
    server->context = context;
    server->handle_count = 1;
    must(uv_ip4_addr("127.0.0.1", 0, &address) == 0);
    must(uv_tcp_init_ex(loop, &server->listener, AF_INET) == 0);
    server->listener.data = server;
    if (options->read_bytes > 0) {
        must(uv_recv_buffer_size((uv_handle_t *)&server->listener, &small) == 0); /* accepted sockets inherit it */
    }
    must(uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0) == 0);
    must(uv_listen((uv_stream_t *)&server->listener, 64, on_accept) == 0);
    return server;
}

unsigned h2_server_port(const struct h2_server *server)
{
    struct sockaddr_in address;
    int size = sizeof address;

    must(uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size) == 0);
    return ntohs(address.sin_port);
}

unsigned h2_server_connection_count(const struct h2_server *server)
{
    return server->connection_count;
}

struct h2_connection *h2_server_connection(struct h2_server *server, unsigned number)
{
    struct h2_connection *connection = server->connections;

    while (connection != NULL && connection->number != number) {
        connection = connection->next;
    }
    return connection;
}

struct h2_stream *h2_server_stream(struct h2_server *server, unsigned number)
{
    struct h2_stream *stream = server->streams;

    while (stream != NULL && stream->number != number) {
        stream = stream->next;
    }
    return stream;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct h2_server *server = handle->data;

    server->handle_count--;
    free_if_gone(server);
}

void h2_server_free(struct h2_server *server)
{
    for (struct h2_connection *connection = server->connections; connection != NULL; connection = connection->next) {
        h2_connection_close(connection);
    }
    uv_close((uv_handle_t *)&server->listener, on_listener_closed);
}

/* ---- the script's */

bool h2_stream_header(const struct h2_stream *stream, const char *name, char *text, size_t size)
{
    size_t name_size = strlen(name);

    for (const char *line = stream->headers; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, name, name_size) == 0 && strncmp(line + name_size, ": ", 2) == 0) {
            const char *value = line + name_size + 2;

            (void)snprintf(text, size, "%.*s", (int)strcspn(value, "\n"), value);
            return true;
        }
    }
    return false;
}

void h2_stream_answer(struct h2_stream *stream, const char *http_status, const char *content_type, const char *encoding)
{
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = on_answer};
    nghttp2_nv headers[3] = {pair(":status", http_status), pair("content-type", content_type),
                             pair("grpc-encoding", encoding != NULL ? encoding : "identity")};

    stream->_answering = true;
    must(nghttp2_submit_response(stream->connection->session, stream->id, headers, 3, &provider) == 0);
    flush(stream->connection);
}

static void resume(struct h2_stream *stream)
{
    (void)nghttp2_session_resume_data(stream->connection->session, stream->id);
    flush(stream->connection);
}

void h2_stream_data(struct h2_stream *stream, const void *bytes, size_t size)
{
    buffer_append(&stream->_answer, bytes, size);
    resume(stream);
}

void h2_stream_message(struct h2_stream *stream, const void *bytes, size_t size)
{
    uint8_t prefix[5] = {0, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};

    buffer_append(&stream->_answer, prefix, sizeof prefix);
    h2_stream_data(stream, bytes, size);
}

static void set_end(struct h2_stream *stream, const char *status, const char *message, const char *details)
{
    (void)snprintf(stream->_status, sizeof stream->_status, "%s", status != NULL ? status : "");
    (void)snprintf(stream->_message, sizeof stream->_message, "%s", message != NULL ? message : "");
    (void)snprintf(stream->_details, sizeof stream->_details, "%s", details != NULL ? details : "");
}

void h2_stream_end(struct h2_stream *stream, const char *status, const char *message, const char *details)
{
    must(stream->_answering);
    set_end(stream, status, message, details);
    stream->_last = true;
    resume(stream);
}

void h2_stream_trailers_only(struct h2_stream *stream, const char *status, const char *message, const char *details)
{
    nghttp2_nv headers[5] = {pair(":status", "200"), pair("content-type", "application/grpc")};
    size_t count = 2;

    set_end(stream, status, message, details);
    if (status != NULL) {
        count += trailers_of(stream, headers + 2);
    }
    must(nghttp2_submit_response(stream->connection->session, stream->id, headers, count, NULL) == 0);
    flush(stream->connection);
}

void h2_stream_reset(struct h2_stream *stream, uint32_t code)
{
    must(nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, code) == 0);
    flush(stream->connection);
}

void h2_connection_goaway(struct h2_connection *connection, int32_t last, uint32_t code, const char *text)
{
    if (last == INT32_MAX && code == NGHTTP2_NO_ERROR) {
        must(nghttp2_submit_shutdown_notice(connection->session) == 0); /* else nghttp2 would ignore new streams in silence */
    } else {
        must(nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE, last, code, (const uint8_t *)text, strlen(text)) ==
             0);
    }
    flush(connection);
}

void h2_connection_write(struct h2_connection *connection, const void *bytes, size_t size)
{
    struct buffer out = {0};

    must(connection->ssl == NULL);
    buffer_append(&out, bytes, size);
    put(connection, &out);
}

void h2_connection_consume(struct h2_connection *connection)
{
    for (struct h2_stream *stream = connection->server->streams; stream != NULL; stream = stream->next) {
        if (stream->connection == connection) {
            int32_t size = nghttp2_session_get_stream_effective_recv_data_length(connection->session, stream->id);

            (void)nghttp2_session_consume(connection->session, stream->id, size > 0 ? (size_t)size : 0);
        }
    }
    flush(connection);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row of a load file costs: in blocks without compression and by zstd, beside a copy of the message's bytes (what
 * nothing can beat); then the whole of it as a lane has it, absorbed in batches by as many loads as a worker may have
 * partitions, uploaded over HTTP to a server that reads and discards, sealed, sent, and found done.
 *
 *     load_file [ROWS [LOADS]]
 *
 * Prints nanoseconds of CPU a row (of the worker's thread), rows a second of that, and the size of what was made; for the whole
 * also the time on the clock and the most memory that the process had. To be read beside `consume`, which says how fast
 * librdkafka gives messages.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/http.h"
#include "common/log.h"
#include "tests/bench/shop_rows.h"
#include "workers/bigquery/avro_file.h"
#include "workers/bigquery/load.h"

#define BATCH_ROWS  5000
#define ROWS_MAX    50000000
#define LOADS_MAX   512
#define HEAD_MAX    16384
#define BUFFER_SIZE (256 << 10)

static double cpu_s(void)
{
    return shop_seconds(CLOCK_THREAD_CPUTIME_ID);
}

static void print(const char *name, double took_s, uint64_t rows, uint64_t made)
{
    printf("%-36s %7.1f ns/row %12.0f rows/s %6.1f bytes/row\n", name, took_s / (double)rows * 1e9, (double)rows / took_s,
           (double)made / (double)rows);
}

/* ---- bytes only */

static void run_copy(const struct shop *shop, size_t row_count)
{
    struct buffer rows = {0};
    double began = cpu_s();
    uint64_t made = 0;

    for (size_t row = 0; row < row_count; row++) {
        size_t size;
        const uint8_t *avro = shop_message(shop, row, &size);

        if (rows.size > AVRO_FILE_BLOCK_BYTES) {
            made += rows.size;
            buffer_clear(&rows);
        }
        buffer_append(&rows, avro, size);
    }
    print("copy of the Avro bytes", cpu_s() - began, row_count, made + rows.size);
    buffer_deinit(&rows);
}

static void run_blocks(const struct shop *shop, size_t row_count, const char *name, enum avro_file_codec codec)
{
    static const uint8_t sync[AVRO_FILE_SYNC_SIZE] = {0};
    struct avro_coder *coder = avro_coder_new(codec);
    struct avro_file file;
    struct buffer out = {0};
    double began = cpu_s();
    uint64_t made = 0;

    avro_file_begin(&file, coder, "{}", sync, 0, &out);
    for (size_t row = 0; row < row_count; row++) {
        size_t size;
        const uint8_t *avro = shop_message(shop, row, &size);

        avro_file_add(&file, avro, size, SHOP_INGEST_DAY, &out);
        made += out.size;
        buffer_clear(&out);
    }
    avro_file_flush(&file, &out);
    print(name, cpu_s() - began, row_count, made + out.size);
    avro_file_deinit(&file);
    avro_coder_free(coder);
    buffer_deinit(&out);
}

/* ---- a server that takes uploads and discards them */

struct connection {
    int fd;
    uint16_t port;
};

static void reply(int fd, const char *status, const char *headers, const char *body)
{
    char text[2048];
    int size =
        snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);

    must(write(fd, text, (size_t)size) == size);
}

static const char job_done[] =
    "{\"configuration\":{\"load\":{\"destinationTable\":{\"datasetId\":\"shop\",\"tableId\":\"orders_history\"}}},"
    "\"status\":{\"state\":\"DONE\"}}";

static void answer(const struct connection *connection, const char *head)
{
    const char *range = strstr(head, "Content-Range: bytes ");
    unsigned long long last = 0;
    char headers[256] = "";

    if (strncmp(head, "GET", 3) == 0 || range == NULL) {
        (void)snprintf(headers, sizeof headers, "Location: http://127.0.0.1:%u/session\r\n", connection->port);
        reply(connection->fd, "200 OK", headers, job_done);
    } else if (strncmp(strchr(range, '/'), "/*", 2) == 0) {
        must(sscanf(range, "Content-Range: bytes %*u-%llu", &last) == 1);
        (void)snprintf(headers, sizeof headers, "Range: bytes=0-%llu\r\n", last);
        reply(connection->fd, "308 Resume Incomplete", headers, "");
    } else {
        reply(connection->fd, "200 OK", "", job_done);
    }
}

static size_t content_length(const char *head)
{
    const char *length = strcasestr(head, "Content-Length: ");

    return length != NULL ? strtoull(length + strlen("Content-Length: "), NULL, 10) : 0;
}

static void serve_connection(void *context)
{
    struct connection *connection = context;
    char *bytes = malloc(BUFFER_SIZE + 1);
    size_t have = 0;
    ssize_t size = 0;

    must(bytes != NULL);
    do {
        char *end;

        have += (size_t)size;
        bytes[have] = '\0';
        while ((end = strstr(bytes, "\r\n\r\n")) != NULL) {
            size_t head_size = (size_t)(end - bytes) + 4;
            size_t wanted = head_size + content_length(bytes);
            char head[HEAD_MAX];

            must(head_size < sizeof head);
            memcpy(head, bytes, head_size);
            head[head_size] = '\0';
            while (have < wanted) { /* the body is read over itself */
                size_t keep = have > head_size ? head_size : have;

                wanted -= have - keep;
                size = read(connection->fd, bytes + keep, BUFFER_SIZE - keep);
                must(size > 0);
                have = keep + (size_t)size;
            }
            have -= wanted;
            memmove(bytes, bytes + wanted, have);
            bytes[have] = '\0';
            answer(connection, head);
        }
        size = read(connection->fd, bytes + have, BUFFER_SIZE - have);
    } while (size > 0);
    (void)close(connection->fd);
    free(bytes);
    free(connection);
}

struct server {
    int fd;
    uint16_t port;
    uv_thread_t thread;
};

static void serve(void *context)
{
    const struct server *server = context;

    for (;;) {
        struct connection *connection = malloc(sizeof *connection);
        uv_thread_t thread;
        int one = 1;

        must(connection != NULL);
        *connection = (struct connection){.fd = accept(server->fd, NULL, NULL), .port = server->port};
        if (connection->fd < 0) {
            free(connection);
            return;
        }
        (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        must(uv_thread_create(&thread, serve_connection, connection) == 0);
        (void)pthread_detach(thread);
    }
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    must(server->fd >= 0 && bind(server->fd, (struct sockaddr *)&address, size) == 0 && listen(server->fd, 64) == 0);
    must(getsockname(server->fd, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
    must(uv_thread_create(&server->thread, serve, server) == 0);
}

static void server_stop(struct server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR);
    must(uv_thread_join(&server->thread) == 0);
    (void)close(server->fd);
}

/* ---- the whole */

struct lane {
    struct load *load;
    struct whole *whole;
    struct warehouse_row rows[BATCH_ROWS];
    struct load_batch batch;
    int64_t next; /* offset */
    bool closed;
};

struct whole {
    const struct shop *shop;
    uv_loop_t loop;
    struct loads *loads;
    struct lane *lanes;
    size_t lane_count;
    size_t done_count;
    size_t rows_left; /* of all lanes, to be absorbed */
    const char *schema_text;
};

static void lane_go_on(struct lane *lane);

static void on_done(void *context, enum load_answer load_answer, const struct err *err)
{
    struct lane *lane = context;

    if (load_answer != LOAD_DONE) {
        (void)fprintf(stderr, "load_file: %s\n", err->text);
        exit(1);
    }
    if (load_intent(lane->load) == NULL && !load_under_way(lane->load)) {
        lane->whole->done_count++;
    } else {
        lane_go_on(lane);
    }
}

/* The next batch, or the end of the file. */
static void lane_go_on(struct lane *lane)
{
    struct whole *whole = lane->whole;
    size_t count = whole->rows_left < BATCH_ROWS ? whole->rows_left : BATCH_ROWS;

    if (count == 0) {
        load_seal(lane->load, lane->next);
        load_send(lane->load, on_done, lane);
        return;
    }
    whole->rows_left -= count;
    for (size_t i = 0; i < count; i++) {
        struct warehouse_row *row = &lane->rows[i];

        row->offset = lane->next++;
        row->value = shop_message(whole->shop, (size_t)row->offset, &row->value_size);
    }
    lane->batch = (struct load_batch){.schema_id = 1,
                                      .schema_text = whole->schema_text,
                                      .rows = lane->rows,
                                      .row_count = count,
                                      .ingest_day = SHOP_INGEST_DAY};
    load_absorb(lane->load, &lane->batch, on_done, lane);
}

static void on_closed(void *context)
{
    *(bool *)context = true;
}

/* Until the callback behind `closed` was called. */
static void run_until(uv_loop_t *loop, const bool *closed)
{
    while (!*closed) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
}

static void load_all(struct whole *whole)
{
    static const struct load_options options = {
        .id = "bench/0", .dataset = "shop", .table = "orders_history", .location = "EU"};
    uint64_t rows = whole->rows_left;
    double began = cpu_s();
    double began_clock = shop_seconds(CLOCK_MONOTONIC);
    struct rusage usage;

    for (size_t i = 0; i < whole->lane_count; i++) {
        whole->lanes[i].whole = whole;
        whole->lanes[i].load = load_new(whole->loads, &options);
    }
    for (size_t i = 0; i < whole->lane_count; i++) {
        lane_go_on(&whole->lanes[i]);
    }
    while (whole->done_count < whole->lane_count) {
        (void)uv_run(&whole->loop, UV_RUN_ONCE);
    }
    print("absorbed, zstd, uploaded, done", cpu_s() - began, rows, loads_counts(whole->loads)->bytes);
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("%zu loads side by side: %.2f s on the clock, %ld MiB at most\n", whole->lane_count,
           shop_seconds(CLOCK_MONOTONIC) - began_clock, usage.ru_maxrss / 1024);
    for (size_t i = 0; i < whole->lane_count; i++) {
        load_close(whole->lanes[i].load, on_closed, &whole->lanes[i].closed);
        run_until(&whole->loop, &whole->lanes[i].closed);
    }
}

static void run_whole(const struct shop *shop, size_t row_count, size_t lane_count)
{
    struct whole whole = {.shop = shop, .lane_count = lane_count, .rows_left = row_count};
    struct server server;
    struct http *http;
    struct token_source *tokens;
    struct rest *rest;
    struct buffer schema = {0};
    struct err err;
    char endpoint[64];
    bool closed = false;

    server_start(&server);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", server.port);
    must(uv_loop_init(&whole.loop) == 0 && http_new(&whole.loop, &(struct http_options){0}, &http, &err) == 0);
    must(token_source_new(&whole.loop, http, &(struct token_options){.credentials = "none"}, &tokens, &err) == 0);
    rest = rest_new(&whole.loop, http, tokens, &(struct rest_options){.endpoint = endpoint, .retry_ms = 60000});
    must(avro_file_schema(shop->table, &shop->layout, shop->targets, &schema, &err) == 0);
    whole.schema_text = buffer_text(&schema);
    whole.lanes = calloc(lane_count, sizeof *whole.lanes);
    must(whole.lanes != NULL);
    whole.loads = loads_new(&(struct loads_options){.loop = &whole.loop,
                                                    .http = http,
                                                    .rest = rest,
                                                    .tokens = tokens,
                                                    .endpoint = endpoint,
                                                    .project = "p",
                                                    .job_prefix = "bench",
                                                    .retry_ms = 60000,
                                                    .file_bytes = UINT64_MAX});
    load_all(&whole);
    loads_free(whole.loads);
    rest_close(rest, on_closed, &closed);
    run_until(&whole.loop, &closed);
    closed = false;
    token_source_close(tokens, on_closed, &closed);
    run_until(&whole.loop, &closed);
    closed = false;
    http_close(http, on_closed, &closed);
    run_until(&whole.loop, &closed);
    (void)uv_run(&whole.loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&whole.loop) == 0);
    buffer_deinit(&schema);
    free(whole.lanes);
    server_stop(&server);
}

int main(int argc, char **argv)
{
    size_t row_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000000;
    size_t lane_count = argc > 2 ? strtoull(argv[2], NULL, 10) : 6;
    struct shop *shop = calloc(1, sizeof *shop);

    must(shop != NULL && row_count > 0 && row_count <= ROWS_MAX && lane_count > 0 && lane_count <= LOADS_MAX);
    log_setup(LOG_WARN, LOG_LOGFMT);
    shop_init(shop);
    printf("%zu rows of %.1f Avro bytes\n", row_count, (double)shop->bytes.size / SHOP_MESSAGE_COUNT);
    run_copy(shop, row_count);
    run_blocks(shop, row_count, "blocks without compression", AVRO_FILE_NULL);
    run_blocks(shop, row_count, "blocks by zstd", AVRO_FILE_ZSTD);
    run_whole(shop, row_count, lane_count);
    shop_deinit(shop);
    free(shop);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The connection is one end of a socket pair, the server is the test's own end of it. Threads are real, so this runs under TSan too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/must.h"
#include "producer/binlog/reader.h"

struct wire {
    struct binlog_connection connection; /* first */
    int ours;                            /* the thread reads here */
    int server;                          /* the test writes here; -1: closed */
    bool refuse;
    atomic_int closes;
    atomic_size_t bytes_read;
};

struct world {
    uv_loop_t loop;
    struct wire wire;
    struct binlog_reader *reader;
    int ready;
    bool closed;
};

static int wire_open(struct binlog_connection *connection, struct err *err)
{
    struct wire *wire = (struct wire *)connection;

    connection->place.position = 1234;
    return wire->refuse ? err_set(err, ERR_FATAL, "refused") : 0;
}

static ssize_t wire_read(struct binlog_connection *connection, uint8_t *bytes, size_t size, struct err *err)
{
    struct wire *wire = (struct wire *)connection;
    ssize_t count = read(wire->ours, bytes, size);

    if (count <= 0) {
        return err_set(err, ERR_RETRY, "the server closed the connection");
    }
    atomic_fetch_add(&wire->bytes_read, (size_t)count);
    return count;
}

static void wire_close(struct binlog_connection *connection)
{
    atomic_fetch_add(&((struct wire *)connection)->closes, 1);
}

static void wire_interrupt(struct binlog_connection *connection)
{
    (void)shutdown(((struct wire *)connection)->ours, SHUT_RDWR);
}

static void wire_free(struct binlog_connection *connection)
{
    (void)connection;
}

static const struct binlog_connection_calls wire_calls = {wire_open, wire_read, wire_close, wire_interrupt, wire_free};

static void on_ready(void *context)
{
    ((struct world *)context)->ready++;
}

static void on_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static struct world *world_of(void **state, bool refuse, size_t ring_bytes)
{
    struct world *world = *state;

    world->wire.refuse = refuse;
    world->reader = binlog_reader_start(&world->loop, &world->wire.connection, ring_bytes, on_ready, world);
    return world;
}

/* Turns the loop until the reader has something, and takes it. */
static enum binlog_reader_item take(struct world *world, const uint8_t **bytes, size_t *size, struct err *err)
{
    enum binlog_reader_item item;

    while ((item = binlog_reader_take(world->reader, bytes, size, err)) == READER_EMPTY) {
        int ready = world->ready;

        while (ready == world->ready) {
            (void)uv_run(&world->loop, UV_RUN_ONCE);
        }
    }
    return item;
}

static void serve(struct world *world, const void *bytes, size_t size)
{
    must(write(world->wire.server, bytes, size) == (ssize_t)size);
}

static void hang_up(struct world *world)
{
    must(close(world->wire.server) == 0);
    world->wire.server = -1;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    int pair[2];

    must(world != NULL && uv_loop_init(&world->loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    world->wire.connection.calls = &wire_calls;
    world->wire.ours = pair[0];
    world->wire.server = pair[1];
    *state = world;
    return 0;
}

static void close_reader(struct world *world)
{
    binlog_reader_close(world->reader, on_closed, world);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (!world->closed) {
        close_reader(world);
    }
    (void)close(world->wire.ours);
    if (world->wire.server >= 0) {
        hang_up(world);
    }
    must(atomic_load(&world->wire.closes) == 1);
    must(uv_loop_close(&world->loop) == 0); /* no handle is left behind */
    free(world);
    return 0;
}

static void test_reader__says_opened_before_any_byte(void **state)
{
    struct world *world = world_of(state, false, 4096);
    const uint8_t *bytes;
    size_t size;
    struct err err = {0};

    serve(world, "abc", 3);
    assert_int_equal(take(world, &bytes, &size, &err), READER_OPENED);
    assert_int_equal(binlog_reader_connection(world->reader)->place.position, 1234);
    assert_int_equal(take(world, &bytes, &size, &err), READER_BYTES);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "abc", 3);
}

static void test_reader__hands_a_failed_open_over_and_keeps_saying_so(void **state)
{
    struct world *world = world_of(state, true, 4096);
    const uint8_t *bytes;
    size_t size;
    struct err err = {0};

    assert_int_equal(take(world, &bytes, &size, &err), READER_ENDED);
    assert_int_equal(err.class, ERR_FATAL);
    assert_string_equal(err.text, "refused");
    assert_int_equal(binlog_reader_take(world->reader, &bytes, &size, &err), READER_ENDED);
}

static void test_reader__gives_every_byte_before_the_end(void **state)
{
    struct world *world = world_of(state, false, 64);
    const uint8_t *bytes;
    size_t size;
    size_t seen = 0;
    uint8_t served[1000];
    struct err err = {0};
    enum binlog_reader_item item;

    for (size_t index = 0; index < sizeof served; index++) {
        served[index] = (uint8_t)(index * 7);
    }
    serve(world, served, sizeof served);
    hang_up(world);
    assert_int_equal(take(world, &bytes, &size, &err), READER_OPENED);
    while ((item = take(world, &bytes, &size, &err)) == READER_BYTES) {
        assert_in_range(size, 1, 64);
        assert_memory_equal(bytes, served + seen, size);
        seen += size;
    }
    assert_int_equal(item, READER_ENDED);
    assert_int_equal(err.class, ERR_RETRY);
    assert_int_equal(seen, sizeof served);
}

/* R1, P6: nobody takes, so the thread reads as much as the ring holds, and not a byte more. */
static void test_reader__reads_no_more_than_its_ring_while_nobody_takes(void **state)
{
    struct world *world = world_of(state, false, 512);
    const uint8_t *bytes;
    size_t size;
    size_t seen = 0;
    uint8_t served[8192] = {0};
    struct err err = {0};

    serve(world, served, sizeof served);
    assert_int_equal(take(world, &bytes, &size, &err), READER_OPENED);
    while (seen < sizeof served) {
        assert_int_equal(take(world, &bytes, &size, &err), READER_BYTES);
        assert_true(atomic_load(&world->wire.bytes_read) <= seen + 512);
        seen += size;
    }
    assert_int_equal(atomic_load(&world->wire.bytes_read), sizeof served);
}

static void test_reader__stops_while_it_waits_for_bytes(void **state)
{
    struct world *world = world_of(state, false, 512);
    const uint8_t *bytes;
    size_t size;
    struct err err = {0};

    assert_int_equal(take(world, &bytes, &size, &err), READER_OPENED);
    assert_int_equal(binlog_reader_take(world->reader, &bytes, &size, &err), READER_EMPTY);
    close_reader(world);
    assert_int_equal(atomic_load(&world->wire.closes), 1);
}

static void test_reader__stops_while_its_ring_is_full(void **state)
{
    struct world *world = world_of(state, false, 16);
    const uint8_t *bytes;
    size_t size;
    uint8_t served[64] = {0};
    struct err err = {0};

    serve(world, served, sizeof served);
    assert_int_equal(take(world, &bytes, &size, &err), READER_OPENED);
    assert_int_equal(take(world, &bytes, &size, &err), READER_BYTES); /* lent, and never released */
    while (atomic_load(&world->wire.bytes_read) < 16) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    close_reader(world);
    assert_int_equal(atomic_load(&world->wire.bytes_read), 16);
}

static void test_reader__stops_before_anybody_took_anything(void **state)
{
    struct world *world = world_of(state, false, 512);

    close_reader(world);
    assert_int_equal(atomic_load(&world->wire.closes), 1);
}

static void test_reader__closes_after_it_has_ended_by_itself(void **state)
{
    struct world *world = world_of(state, false, 512);
    const uint8_t *bytes;
    size_t size;
    struct err err = {0};

    hang_up(world);
    assert_int_equal(take(world, &bytes, &size, &err), READER_OPENED);
    assert_int_equal(take(world, &bytes, &size, &err), READER_ENDED);
    close_reader(world);
    assert_int_equal(atomic_load(&world->wire.closes), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reader__says_opened_before_any_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__hands_a_failed_open_over_and_keeps_saying_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__gives_every_byte_before_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__reads_no_more_than_its_ring_while_nobody_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__stops_while_it_waits_for_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__stops_while_its_ring_is_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__stops_before_anybody_took_anything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader__closes_after_it_has_ended_by_itself, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

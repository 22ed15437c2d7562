/* SPDX-License-Identifier: Apache-2.0 */
/* The borders of a dump's packets, and what a server's errors mean. The live connection is tested with real servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "producer/binlog/dump_frames.h"
#include "producer/mysql_error.h"

static void add_packet(struct buffer *wire, const void *payload, size_t size)
{
    uint8_t header[4] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), 0};

    buffer_append(wire, header, sizeof header);
    buffer_append(wire, payload, size);
}

/* In pieces of every size from 1 on: the bytes before the last packet are the log's, and its text comes out whole. */
static void test_dump_frames__find_the_error_in_pieces_of_any_size(void **state)
{
    static const char error[] = "\xff\xd4\x04#HY000Could not find first log file name in binary log index file";
    struct buffer wire = {0};
    size_t log_size;

    (void)state;
    add_packet(&wire, "\0event", 6);
    add_packet(&wire, "\0\xff\xfe", 3); /* an event may hold any byte */
    log_size = wire.size;
    add_packet(&wire, error, sizeof error - 1);
    for (size_t piece = 1; piece <= wire.size; piece++) {
        struct dump_frames frames = {0};
        size_t good = 0;
        bool rival = true;
        struct err err = {0};

        for (size_t at = 0; at < wire.size; at += piece) {
            good += dump_frames_scan(&frames, wire.bytes + at, piece < wire.size - at ? piece : wire.size - at);
        }
        assert_true(dump_frames_ended(&frames));
        assert_in_range(good, log_size, log_size + 4); /* a header that came alone has gone through */
        assert_int_equal(dump_frames_error(&frames, &rival, &err), -1);
        assert_int_equal(err.class, ERR_FATAL);
        assert_non_null(strstr(err.text, "Could not find first log file name in binary log index file"));
        assert_false(rival);
    }
    buffer_deinit(&wire);
}

static void test_dump_frames__do_not_take_the_rest_of_a_long_event_for_an_error(void **state)
{
    size_t size = 0xffffff;
    uint8_t *payload = calloc(1, size);
    struct dump_frames frames = {0};
    struct buffer wire = {0};

    (void)state;
    assert_non_null(payload);
    add_packet(&wire, payload, size);
    add_packet(&wire, "\xff\x01\x02", 3); /* goes on with the event */
    add_packet(&wire, payload, size);
    add_packet(&wire, "", 0); /* the event was exactly as long as a packet */
    assert_int_equal(dump_frames_scan(&frames, wire.bytes, wire.size), wire.size);
    assert_false(dump_frames_ended(&frames));
    buffer_clear(&wire);
    add_packet(&wire, "\xff\x01\x02", 3); /* a packet of its own */
    assert_int_equal(dump_frames_scan(&frames, wire.bytes, wire.size), 0);
    assert_true(dump_frames_ended(&frames));
    buffer_deinit(&wire);
    free(payload);
}

static void test_dump_frames__end_by_eof_is_tried_again(void **state)
{
    struct dump_frames frames = {0};
    struct buffer wire = {0};
    bool rival;
    struct err err = {0};

    (void)state;
    add_packet(&wire, "\xfe\0\0\2\0", 5);
    assert_int_equal(dump_frames_scan(&frames, wire.bytes, wire.size), 0);
    assert_int_equal(dump_frames_error(&frames, &rival, &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    buffer_deinit(&wire);
}

static void test_dump_frames__keep_a_bounded_part_of_a_huge_error(void **state)
{
    size_t size = 100000;
    uint8_t *payload = malloc(size);
    struct dump_frames frames = {0};
    struct buffer wire = {0};
    bool rival;
    struct err err = {0};

    (void)state;
    assert_non_null(payload);
    memset(payload, 'x', size);
    payload[0] = 0xff;
    add_packet(&wire, payload, size);
    assert_int_equal(dump_frames_scan(&frames, wire.bytes, wire.size), 0);
    assert_true(dump_frames_ended(&frames));
    assert_int_equal(dump_frames_error(&frames, &rival, &err), -1);
    buffer_deinit(&wire);
    free(payload);
}

struct expected {
    unsigned number;
    const char *text;
    enum err_class class;
    const char *remedy; /* a piece of it */
};

static void test_mysql_error__says_what_to_do(void **state)
{
    static const struct expected list[] = {
        {2013, "Lost connection to server during query", ERR_RETRY, "Lost"},
        {1045, "Access denied for user 'a'@'b' (using password: YES)", ERR_FATAL, "source.user"},
        {1227, "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation", ERR_FATAL, "GRANT REPLICATION SLAVE"},
        {1236, "Could not find first log file name in binary log index file", ERR_FATAL, "purged"},
        {1236, "Client requested master to start replication from position > file size", ERR_FATAL, "lost a part"},
        {1236, "Error: connecting replica requested to start from GTID 7-1-99, which is not in the master's binlog", ERR_FATAL, "does not have our position"},
        {1236, "Cannot replicate because the source purged required binary logs.", ERR_FATAL, "purged"},
        {1236, "something that no version has said yet", ERR_FATAL, "kakehi-producer position"},
        {1236, "A replica with the same server_uuid/server_id as this replica has connected to the source", ERR_RETRY, "source.server_id"},
        {4052, "A slave with the same server_uuid/server_id as this slave has connected to the master", ERR_RETRY, "source.server_id"},
        {1053, "Server shutdown in progress", ERR_RETRY, "shutdown"},
        {9999, "an error that is not in the table", ERR_RETRY, "9999"},
    };

    (void)state;
    for (size_t index = 0; index < sizeof list / sizeof list[0]; index++) {
        struct err err = {0};

        assert_int_equal(mysql_error_set(&err, list[index].number, list[index].text), -1);
        assert_int_equal(err.class, list[index].class);
        assert_non_null(strstr(err.text, list[index].text));
        assert_non_null(strstr(err.text, list[index].remedy));
    }
}

static void test_mysql_error__knows_a_rival_on_both_servers(void **state)
{
    (void)state;
    assert_true(mysql_error_is_rival(4052, "A slave with the same server_uuid/server_id"));
    assert_true(mysql_error_is_rival(1236, "A replica with the same server_uuid/server_id as this replica has connected"));
    assert_false(mysql_error_is_rival(1236, "Could not find first log file name in binary log index file"));
    assert_false(mysql_error_is_rival(2013, "Lost connection"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump_frames__find_the_error_in_pieces_of_any_size),
        cmocka_unit_test(test_dump_frames__do_not_take_the_rest_of_a_long_event_for_an_error),
        cmocka_unit_test(test_dump_frames__end_by_eof_is_tried_again),
        cmocka_unit_test(test_dump_frames__keep_a_bounded_part_of_a_huge_error),
        cmocka_unit_test(test_mysql_error__says_what_to_do),
        cmocka_unit_test(test_mysql_error__knows_a_rival_on_both_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

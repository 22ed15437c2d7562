/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows events in fragments. The oracle is the same log without them: however a rows event is cut, the rows and borders must be those of
 * the plain log. A server that writes fragments (MariaDB 12.3) could not be had: they are made here as its source writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "producer/binlog/assembly.h"
#include "tests/unit/binlog_log.h"

#define FRAGMENT 172

static const struct play_options plain = {.stream = {.framing = BINLOG_FILE}};

static void append_le(struct buffer *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

/* What a test makes wrong, or otherwise than usual. */
struct cutting {
    size_t data_bytes;     /* of a fragment */
    bool header_counts_crc; /* the header of the rows event says 4 more than there are */
    int64_t size_more;
    uint8_t flags;          /* beside the one of the size */
    uint8_t type;           /* of the rows event, instead of its own; 0: its own */
    uint32_t left_out;      /* number of a fragment that is not written; 0: none */
    uint32_t twice;         /* that stands twice */
    uint32_t total_more_at; /* that says one more in all */
    bool size_again;        /* the last tells the size too */
    bool heartbeat;         /* stands between */
    uint8_t between;        /* type of an event that stands between; 0: none */
};

static void add_fragment(struct buffer *log, const struct cutting *cutting, uint32_t number, uint32_t total, const struct buffer *rows)
{
    struct buffer body = {0};
    size_t begin = (number - 1) * cutting->data_bytes;
    size_t size = rows->size - begin < cutting->data_bytes ? rows->size - begin : cutting->data_bytes;
    bool sized = number == 1 || (cutting->size_again && number == total);

    append_le(&body, total + (cutting->total_more_at == number), 4);
    append_le(&body, number, 4);
    buffer_append_byte(&body, (uint8_t)(cutting->flags | sized));
    if (sized) {
        append_le(&body, rows->size + (uint64_t)cutting->size_more, 8);
    }
    buffer_append(&body, rows->bytes + begin, size);
    log_event_add(log, FRAGMENT, 0, body.bytes, body.size, true);
    buffer_deinit(&body);
}

/* The rows event at `event`, in fragments. */
static void add_in_fragments(struct buffer *log, const struct cutting *cutting, const uint8_t *event, uint32_t size)
{
    struct buffer rows = {0};
    uint32_t total;

    buffer_append(&rows, event, size - EVENT_CRC_SIZE);
    if (!cutting->header_counts_crc) {
        for (unsigned i = 0; i < 4; i++) {
            rows.bytes[9 + i] = (uint8_t)((size - EVENT_CRC_SIZE) >> (8 * i));
        }
    }
    rows.bytes[4] = cutting->type != 0 ? cutting->type : rows.bytes[4];
    total = (uint32_t)((rows.size + cutting->data_bytes - 1) / cutting->data_bytes);
    for (uint32_t number = 1; number <= total; number++) {
        if (cutting->left_out != number) {
            add_fragment(log, cutting, number, total, &rows);
        }
        if (cutting->twice == number) {
            add_fragment(log, cutting, number, total, &rows);
        }
        if (number < total && cutting->heartbeat) {
            log_event_add(log, EVENT_HEARTBEAT, 0, "binlog.000001", 13, true);
        }
        if (number == 1 && cutting->between != 0) {
            log_event_add(log, cutting->between, 0, "12345678", 8, true);
        }
    }
    buffer_deinit(&rows);
}

/* The log with its rows events in fragments. */
static struct buffer cut(const struct buffer *log, const struct cutting *cutting)
{
    struct buffer out = {0};

    buffer_append(&out, log->bytes, 4);
    for (size_t at = 4; at < log->size; at += log_event_size(log, at)) {
        const uint8_t *event = log->bytes + at;

        if (event[4] >= EVENT_WRITE_ROWS_V1 && event[4] <= EVENT_DELETE_ROWS_V1) {
            add_in_fragments(&out, cutting, event, log_event_size(log, at));
        } else {
            buffer_append(&out, event, log_event_size(log, at));
        }
    }
    return out;
}

static void assert_same(const struct buffer *log, const struct buffer *other, enum binlog_framing framing, size_t piece_size)
{
    log_assert_same(log, other, &(struct play_options){.stream = {.framing = framing}, .piece_size = piece_size});
}

/* A log of one transaction: a row of so many bytes in a table of one BLOB. */
static struct buffer log_of_a_row(size_t row_bytes)
{
    static const uint8_t map[] = {9, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 1, 252, 1, 4, 1, 2, 1, 63, 4, 2, 1, 'b'};
    static const uint8_t head[] = {9, 0, 0, 0, 0, 0, 1, 0, 1, 0xff, 0};
    static const uint8_t gtid[19] = {7};
    struct buffer log = log_begin("mariadb-10.11.19.binlog.000007");
    struct buffer rows = {0};

    log_event_add(&log, EVENT_MARIADB_GTID, 0, gtid, sizeof gtid, true);
    log_event_add(&log, EVENT_TABLE_MAP, 0, map, sizeof map, true);
    buffer_append(&rows, head, sizeof head);
    append_le(&rows, row_bytes, 4);
    for (size_t i = 0; i < row_bytes; i++) {
        buffer_append_byte(&rows, (uint8_t)(i * 7 + i / 251));
    }
    log_event_add(&log, EVENT_WRITE_ROWS_V1, 0, rows.bytes, rows.size, true);
    log_event_add(&log, EVENT_XID, 0, "12345678", 8, true);
    buffer_deinit(&rows);
    return log;
}

static void assert_refused(const struct cutting *cutting, const char *why)
{
    struct buffer log = log_of_a_row(1000);
    struct buffer fragments = cut(&log, cutting);
    struct buffer packets = log_packets(&fragments);
    struct play_options options = {.stream = {.framing = BINLOG_PACKETS}};

    for (size_t piece_size = 0; piece_size < 2; piece_size++) {
        struct played played;

        options.piece_size = piece_size;
        played = log_play(&packets, &options);
        assert_true(played.failed);
        assert_int_equal(played.err.class, ERR_FATAL);
        if (strstr(played.err.text, why) == NULL) {
            fail_msg("'%s' is not in: %s", why, played.err.text);
        }
        assert_null(memchr(played.items.bytes, 'C', played.items.size)); /* nothing was taken for committed */
        played_deinit(&played);
    }
    buffer_deinit(&packets);
    buffer_deinit(&fragments);
    buffer_deinit(&log);
}

static void test_fragments__that_are_not_all_there_are_refused(void **state)
{
    (void)state;
    assert_refused(&(struct cutting){.data_bytes = 300, .left_out = 1}, "fragment 2 of 4 stands where number 1 was due");
    assert_refused(&(struct cutting){.data_bytes = 300, .left_out = 3}, "fragment 4 of 4 stands where number 3 of the rows event");
    assert_refused(&(struct cutting){.data_bytes = 300, .left_out = 4}, "XID) stands where fragment 4 of 4 of a rows event was due");
    assert_refused(&(struct cutting){.data_bytes = 300, .twice = 2}, "fragment 2 of 4 stands where number 3");
    assert_refused(&(struct cutting){.data_bytes = 300, .twice = 4}, "fragment 4 of 4 stands where number 1 was due");
    assert_refused(&(struct cutting){.data_bytes = 300, .total_more_at = 2}, "fragment 2 of 5 stands where number 2");
    assert_refused(&(struct cutting){.data_bytes = 300, .total_more_at = 4}, "fragment 4 of 5 stands where number 4");
}

static void test_fragments__with_something_else_between_are_refused(void **state)
{
    (void)state;
    assert_refused(&(struct cutting){.data_bytes = 300, .between = EVENT_TABLE_MAP}, "TABLE_MAP) stands where fragment 2 of 4");
    assert_refused(&(struct cutting){.data_bytes = 300, .between = EVENT_XID}, "XID) stands where fragment 2 of 4");
    assert_refused(&(struct cutting){.data_bytes = 300, .between = EVENT_ROTATE}, "ROTATE) stands where fragment 2 of 4");
    assert_refused(&(struct cutting){.data_bytes = 300, .between = 160}, "ANNOTATE_ROWS) stands where fragment 2 of 4");
}

static void test_fragments__that_do_not_fit_what_they_say_are_refused(void **state)
{
    (void)state;
    assert_refused(&(struct cutting){.data_bytes = 300, .size_more = 1}, "less than the rows event has");
    assert_refused(&(struct cutting){.data_bytes = 300, .size_more = -1}, "more than the rows event has");
    assert_refused(&(struct cutting){.data_bytes = 300, .size_more = -900}, "more than the rows event has");
    assert_refused(&(struct cutting){.data_bytes = 300, .size_more = -1020}, "no event can have");
    assert_refused(&(struct cutting){.data_bytes = 300, .size_more = UINT32_MAX}, "no event can have");
    assert_refused(&(struct cutting){.data_bytes = 300, .size_again = true}, "and no other, must tell the size");
    assert_refused(&(struct cutting){.data_bytes = 300, .flags = 2}, "flags that this version does not know");
    assert_refused(&(struct cutting){.data_bytes = 10}, "PARTIAL_ROW_DATA"); /* the header of the rows event is cut */
}

static void test_fragments__of_what_is_not_plain_rows_are_refused(void **state)
{
    (void)state;
    assert_refused(&(struct cutting){.data_bytes = 300, .type = EVENT_XID}, "an event of type 16 (XID), and not rows");
    assert_refused(&(struct cutting){.data_bytes = 300, .type = FRAGMENT}, "an event of type 172 (PARTIAL_ROW_DATA), and not rows");
    assert_refused(&(struct cutting){.data_bytes = 300, .type = EVENT_MARIADB_WRITE_ROWS_COMPRESSED_V1}, "log_bin_compress=OFF");
}

static void test_fragments__outside_of_a_transaction_are_refused(void **state)
{
    struct buffer log = log_of_a_row(100);
    struct buffer fragments = cut(&log, &(struct cutting){.data_bytes = 50});
    struct buffer begun_inside = {0};
    struct played played;

    (void)state;
    buffer_append(&begun_inside, fragments.bytes, log_event_at(&fragments, 1));
    buffer_append(&begun_inside, fragments.bytes + log_find(&fragments, FRAGMENT, 0), fragments.size - log_find(&fragments, FRAGMENT, 0));
    played = log_play(&begun_inside, &plain);
    assert_true(played.failed);
    assert_non_null(strstr(played.err.text, "rows outside of a transaction"));
    played_deinit(&played);
    buffer_deinit(&begun_inside);
    buffer_deinit(&fragments);
    buffer_deinit(&log);
}

/* A bit changed anywhere in any fragment, its checksum as it was: refused, and nothing of the row came. */
static void test_fragments__that_are_damaged_are_refused(void **state)
{
    struct buffer log = log_of_a_row(200);
    struct buffer fragments = cut(&log, &(struct cutting){.data_bytes = 100});

    (void)state;
    for (size_t at = log_find(&fragments, FRAGMENT, 0); at < log_find(&fragments, EVENT_XID, 0); at++) {
        struct played played;

        fragments.bytes[at] ^= 4;
        played = log_play(&fragments, &plain);
        assert_true(played.failed);
        assert_int_equal(played.row_count, 0);
        played_deinit(&played);
        fragments.bytes[at] ^= 4;
    }
    buffer_deinit(&fragments);
    buffer_deinit(&log);
}

static void test_fragments__that_the_log_ends_between_are_told(void **state)
{
    struct buffer log = log_of_a_row(200);
    struct buffer fragments = cut(&log, &(struct cutting){.data_bytes = 100});
    struct played played;

    (void)state;
    fragments.size = log_find(&fragments, FRAGMENT, 1);
    played = log_play(&fragments, &plain);
    assert_true(played.failed);
    assert_non_null(strstr(played.err.text, "ends in the middle of an event"));
    played_deinit(&played);
    buffer_deinit(&fragments);
    buffer_deinit(&log);
}

static void test_fragments__give_what_the_plain_log_gives(void **state)
{
    static const size_t pieces[] = {0, 1, 7, 4096};
    static const size_t data_bytes[] = {19, 20, 64, 1000, 100000};
    struct buffer log = log_load("mariadb-10.11.19.values.binlog.gz");

    (void)state;
    for (size_t d = 0; d < sizeof data_bytes / sizeof data_bytes[0]; d++) {
        struct buffer fragments = cut(&log, &(struct cutting){.data_bytes = data_bytes[d], .header_counts_crc = d % 2 == 0});
        struct buffer packets = log_packets(&fragments);

        for (size_t p = d == 0 ? 0 : 2; p < sizeof pieces / sizeof pieces[0]; p++) {
            assert_same(&log, &fragments, BINLOG_FILE, pieces[p]);
            assert_same(&log, &packets, BINLOG_PACKETS, pieces[p]);
        }
        buffer_deinit(&packets);
        buffer_deinit(&fragments);
    }
    buffer_deinit(&log);
}

static void test_fragments__may_have_heartbeats_between(void **state)
{
    struct buffer log = log_of_a_row(1000);
    struct buffer fragments = cut(&log, &(struct cutting){.data_bytes = 100, .heartbeat = true});
    struct buffer packets = log_packets(&fragments);

    (void)state;
    assert_same(&log, &packets, BINLOG_PACKETS, 0);
    assert_same(&log, &packets, BINLOG_PACKETS, 1);
    buffer_deinit(&packets);
    buffer_deinit(&fragments);
    buffer_deinit(&log);
}

/* Each fragment is larger than what is verified whole, and the rows event has some of them. */
static void test_fragments__larger_than_what_is_kept_are_read_while_they_arrive(void **state)
{
    struct buffer log = log_of_a_row(5 * CHECKED_WHOLE_MAX);
    struct buffer fragments = cut(&log, &(struct cutting){.data_bytes = 2 * CHECKED_WHOLE_MAX, .header_counts_crc = true});
    struct buffer packets = log_packets(&fragments);

    (void)state;
    assert_same(&log, &fragments, BINLOG_FILE, 0);
    assert_same(&log, &packets, BINLOG_PACKETS, 256 * 1024);
    assert_same(&log, &packets, BINLOG_PACKETS, 5000);
    buffer_deinit(&packets);
    buffer_deinit(&fragments);
    buffer_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragments__that_are_not_all_there_are_refused),
        cmocka_unit_test(test_fragments__with_something_else_between_are_refused),
        cmocka_unit_test(test_fragments__that_do_not_fit_what_they_say_are_refused),
        cmocka_unit_test(test_fragments__of_what_is_not_plain_rows_are_refused),
        cmocka_unit_test(test_fragments__outside_of_a_transaction_are_refused),
        cmocka_unit_test(test_fragments__that_are_damaged_are_refused),
        cmocka_unit_test(test_fragments__that_the_log_ends_between_are_told),
        cmocka_unit_test(test_fragments__give_what_the_plain_log_gives),
        cmocka_unit_test(test_fragments__may_have_heartbeats_between),
        cmocka_unit_test(test_fragments__larger_than_what_is_kept_are_read_while_they_arrive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

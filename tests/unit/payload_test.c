/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle is the same log without compression: whatever is packed into payloads, in whatever pieces it comes, the rows and
 * borders must be those of the plain log. Recorded payloads of a server are in stream_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "producer/binlog/assembly.h"
#include "producer/binlog/payload.h"
#include "tests/unit/binlog_log.h"

#define STORED (-1) /* as a level: not compressed */

static const struct play_options plain = {.stream = {.framing = BINLOG_FILE}};

static void append_field(struct buffer *out, uint8_t type, uint64_t value)
{
    uint8_t field[11] = {type, 9, 0xfe};

    for (unsigned i = 0; i < 8; i++) {
        field[3 + i] = (uint8_t)(value >> (8 * i));
    }
    buffer_append(out, field, sizeof field);
}

struct packing {
    int level;
    int window_log;    /* 0: as the level has it */
    bool lean;         /* tables of a few KiB in the compressor, instead of the level's: they leave no trace in what it makes of the window */
    bool pledged;      /* its end is known when it begins */
    int64_t size_more; /* what the head says beyond the truth */
    int64_t inflated_more;
    uint8_t compression; /* instead of the true one, if not 0 */
    size_t cut;          /* bytes left away at the payload's end */
    bool no_size;
};

/* As a server does: its end is not known when it begins, so the window is as large as the level has it. */
static size_t deflate_as_a_stream(ZSTD_CCtx *context, uint8_t *bytes, size_t room, const struct buffer *inside)
{
    ZSTD_outBuffer out = {bytes, room, 0};
    ZSTD_inBuffer in = {inside->bytes, inside->size, 0};

    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue)));
    assert_int_equal(in.pos, in.size);
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    return out.pos;
}

static struct buffer deflate_it(const struct packing *packing, const struct buffer *inside)
{
    struct buffer packed = {0};
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(inside->size) + 1024;

    if (packing->level == STORED) {
        buffer_append(&packed, inside->bytes, inside->size);
    } else {
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, packing->level);
        if (packing->window_log != 0) {
            (void)ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, packing->window_log);
        }
        if (packing->lean) {
            (void)ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, 10);
            (void)ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, 10);
        }
        if (packing->pledged) {
            (void)ZSTD_CCtx_setPledgedSrcSize(context, inside->size);
        }
        packed.size = deflate_as_a_stream(context, buffer_reserve(&packed, room), room, inside);
    }
    (void)ZSTD_freeCCtx(context);
    packed.size -= packing->cut;
    return packed;
}

/* Fields in the order that MySQL writes them. */
static void add_payload(struct buffer *log, const struct packing *packing, const struct buffer *inside)
{
    struct buffer body = {0};
    struct buffer packed = deflate_it(packing, inside);
    uint8_t compression = packing->level == STORED ? 255 : 0;

    append_field(&body, 2, packing->compression != 0 ? packing->compression : compression);
    if (packing->level != STORED) {
        append_field(&body, 3, inside->size + (uint64_t)packing->inflated_more);
    }
    if (!packing->no_size) {
        append_field(&body, 1, packed.size + (uint64_t)packing->size_more);
    }
    buffer_append_byte(&body, 0);
    buffer_append(&body, packed.bytes, packed.size);
    log_event_add(log, EVENT_TRANSACTION_PAYLOAD, 0, body.bytes, body.size, true);
    buffer_deinit(&packed);
    buffer_deinit(&body);
}

/* An event as it stands inside: without checksum, and without a place. */
static void append_inner(struct buffer *inside, const struct buffer *log, size_t at)
{
    size_t begin = inside->size;
    uint32_t size = log_event_size(log, at) - EVENT_CRC_SIZE;

    buffer_append(inside, log->bytes + at, size);
    for (unsigned i = 0; i < 4; i++) {
        inside->bytes[begin + 9 + i] = (uint8_t)(size >> (8 * i));
        inside->bytes[begin + 13 + i] = 0;
    }
}

static bool is_gtid(const struct buffer *log, size_t at)
{
    return log->bytes[at + 4] == EVENT_GTID || log->bytes[at + 4] == EVENT_ANONYMOUS_GTID;
}

static bool stays_outside(uint8_t type)
{
    return type == EVENT_FORMAT_DESCRIPTION || type == EVENT_ROTATE || type == 35 || type == EVENT_STOP;
}

/* The log with all that follows a GTID in a payload. */
static struct buffer repack(const struct buffer *log, const struct packing *packing)
{
    struct buffer out = {0};
    struct buffer inside = {0};

    buffer_append(&out, log->bytes, 4);
    for (size_t at = 4; at < log->size; at += log_event_size(log, at)) {
        bool outside = is_gtid(log, at) || stays_outside(log->bytes[at + 4]);

        if (outside && inside.size > 0) {
            add_payload(&out, packing, &inside);
            buffer_clear(&inside);
        }
        if (outside) {
            buffer_append(&out, log->bytes + at, log_event_size(log, at));
        } else {
            append_inner(&inside, log, at);
        }
    }
    if (inside.size > 0) {
        add_payload(&out, packing, &inside);
    }
    buffer_deinit(&inside);
    return out;
}

/* ---- MariaDB: rows and statements */

/* Table id, flags, width, and one bitmap, or two of an update. */
static size_t rows_head_size(const uint8_t *event)
{
    size_t bitmap = (event[EVENT_HEADER_SIZE + 8] + 7U) / 8;

    assert_true(event[EVENT_HEADER_SIZE + 8] < 251);
    return 6 + 2 + 1 + (event[4] == EVENT_UPDATE_ROWS_V1 ? 2 : 1) * bitmap;
}

static size_t query_head_size(const uint8_t *event)
{
    const uint8_t *body = event + EVENT_HEADER_SIZE;

    return 13U + (size_t)(body[11] | body[12] << 8) + body[8] + 1;
}

static void add_compressed(struct buffer *log, const uint8_t *event, uint32_t size, uint8_t type, size_t head_size)
{
    struct buffer body = {0};
    const uint8_t *rest = event + EVENT_HEADER_SIZE + head_size;
    unsigned long rest_size = size - EVENT_HEADER_SIZE - EVENT_CRC_SIZE - head_size;
    unsigned long room = compressBound(rest_size);

    buffer_append(&body, event + EVENT_HEADER_SIZE, head_size);
    buffer_append_byte(&body, 0x84);
    for (unsigned i = 0; i < 4; i++) {
        buffer_append_byte(&body, (uint8_t)(rest_size >> (24 - 8 * i)));
    }
    assert_int_equal(compress(buffer_reserve(&body, room), &room, rest, rest_size), Z_OK);
    body.size += room;
    log_event_add(log, type, 0, body.bytes, body.size, true);
    buffer_deinit(&body);
}

static struct buffer repack_mariadb(const struct buffer *log)
{
    struct buffer out = {0};

    buffer_append(&out, log->bytes, 4);
    for (size_t at = 4; at < log->size; at += log_event_size(log, at)) {
        const uint8_t *event = log->bytes + at;

        if (event[4] >= EVENT_WRITE_ROWS_V1 && event[4] <= EVENT_DELETE_ROWS_V1) {
            add_compressed(&out, event, log_event_size(log, at), (uint8_t)(event[4] - 23 + 166), rows_head_size(event));
        } else if (event[4] == EVENT_QUERY) {
            add_compressed(&out, event, log_event_size(log, at), 165, query_head_size(event));
        } else {
            buffer_append(&out, event, log_event_size(log, at));
        }
    }
    return out;
}

static void test_payload__of_mariadb_gives_what_the_plain_log_gives(void **state)
{
    static const size_t pieces[] = {0, 1, 7, 4096};
    struct buffer log = log_load("mariadb-10.11.19.values.binlog.gz");
    struct buffer packed = repack_mariadb(&log);
    struct buffer packets = log_packets(&packed);

    (void)state;
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        log_assert_same(&log, &packed, &(struct play_options){.stream = {.framing = BINLOG_FILE}, .piece_size = pieces[p]});
        log_assert_same(&log, &packets, &(struct play_options){.stream = {.framing = BINLOG_PACKETS}, .piece_size = pieces[p]});
    }
    buffer_deinit(&packets);
    buffer_deinit(&packed);
    buffer_deinit(&log);
}

/* One byte changed anywhere in what is compressed, and the checksum mended: an error, or other bytes, never more than was told.
 */
static void test_payload__of_mariadb_that_is_damaged_never_leaves_its_bounds(void **state)
{
    struct buffer log = log_load("mariadb-10.11.19.binlog.000007");
    size_t at = log_find(&log, 166, 0);

    (void)state;
    for (size_t i = at + EVENT_HEADER_SIZE; i < at + log_event_size(&log, at) - EVENT_CRC_SIZE; i++) {
        struct played played;

        log.bytes[i] ^= 1;
        log_mend(&log, at);
        played = log_play(&log, &plain);
        assert_true(played.failed || played.row_count == 4);
        played_deinit(&played);
        log.bytes[i] ^= 1;
    }
    buffer_deinit(&log);
}

/* ---- */

static void test_payload__gives_what_the_plain_log_gives(void **state)
{
    static const int levels[] = {1, 3, 19, STORED};
    static const size_t pieces[] = {0, 1, 7, 4096};
    struct buffer log = log_load("mysql-9.7.4.values.binlog.gz");

    (void)state;
    for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
        struct buffer packed = repack(&log, &(struct packing){.level = levels[l]});

        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            log_assert_same(&log, &packed, &(struct play_options){.stream = {.framing = BINLOG_FILE}, .piece_size = pieces[p]});
        }
        buffer_deinit(&packed);
    }
    buffer_deinit(&log);
}

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 24; /* the low bits of such a row come again soon */
}

/* GTID, and one transaction that rows of bytes without order make as long as asked. The table: BLOB b. */
static struct buffer long_log(size_t bytes_min, size_t row_bytes)
{
    static const uint8_t map[] = {9, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 1, 252, 1, 4, 1, 2, 1, 63, 4, 2, 1, 'b'};
    static const uint8_t head[] = {9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0xff};
    uint8_t gtid[42] = {0, 1, 2, 3};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct buffer rows = {0};
    uint32_t seed = 1;

    gtid[17] = 7;
    log_event_add(&log, EVENT_GTID, 0, gtid, sizeof gtid, true);
    log_query_add(&log, "BEGIN");
    log_event_add(&log, EVENT_TABLE_MAP, 0, map, sizeof map, true);
    for (size_t made = 0; made < bytes_min; made += row_bytes) {
        buffer_clear(&rows);
        buffer_append(&rows, head, sizeof head);
        buffer_append_byte(&rows, 0);
        for (unsigned i = 0; i < 4; i++) {
            buffer_append_byte(&rows, (uint8_t)(row_bytes >> (8 * i)));
        }
        for (size_t i = 0; i < row_bytes; i++) {
            buffer_append_byte(&rows, (uint8_t)draw(&seed));
        }
        log_event_add(&log, EVENT_WRITE_ROWS, 0, rows.bytes, rows.size, true);
    }
    log_event_add(&log, EVENT_XID, 0, "12345678", 8, true);
    buffer_deinit(&rows);
    return log;
}

static void test_payload__larger_than_what_is_kept_is_inflated_while_it_arrives(void **state)
{
    static const size_t row_bytes[] = {1000, 3 * CHECKED_WHOLE_MAX / 2};

    (void)state;
    for (size_t i = 0; i < sizeof row_bytes / sizeof row_bytes[0]; i++) {
        struct buffer log = long_log(2 * CHECKED_WHOLE_MAX, row_bytes[i]);
        struct buffer packed = repack(&log, &(struct packing){.level = 3});
        struct buffer packets = log_packets(&packed);

        assert_true(packed.size > 2 * CHECKED_WHOLE_MAX);
        log_assert_same(&log, &packed, &plain);
        log_assert_same(&log, &packed, &(struct play_options){.stream = {.framing = BINLOG_FILE}, .piece_size = 5000});
        log_assert_same(&log, &packets, &(struct play_options){.stream = {.framing = BINLOG_PACKETS}, .piece_size = 262144});
        buffer_deinit(&packets);
        buffer_deinit(&packed);
        buffer_deinit(&log);
    }
}

static void assert_refused(const struct buffer *log, const char *why)
{
    struct played played = log_play(log, &plain);

    assert_true(played.failed);
    assert_int_equal(played.err.class, ERR_FATAL);
    if (strstr(played.err.text, why) == NULL) {
        fail_msg("'%s' is not in '%s'", why, played.err.text);
    }
    played_deinit(&played);
}

/* Of a large one rows come before its checksum is known; nothing of them may count as verified. */
static void test_payload__damage_in_a_large_one_is_found_before_anything_of_it_may_be_committed(void **state)
{
    struct buffer log = long_log(2 * CHECKED_WHOLE_MAX, 1000);
    struct buffer packed = repack(&log, &(struct packing){.level = 3});
    struct played played;

    (void)state;
    packed.bytes[packed.size - 1000] ^= 1; /* inside stored letters: zstd itself does not see it */
    played = log_play(&packed, &(struct play_options){.stream = {.framing = BINLOG_FILE}, .piece_size = 65536});
    assert_true(played.failed);
    assert_true(played.row_count > 1000);
    assert_true(played.came_unverified);
    assert_int_equal(played.lines.size, 0);
    assert_non_null(strstr(played.err.text, "the checksum does not fit"));
    played_deinit(&played);
    buffer_deinit(&packed);
    buffer_deinit(&log);
}

/* ---- read twice */

static size_t count_letters(const struct buffer *items, char letter)
{
    size_t count = 0;

    for (size_t i = 0; i < items->size; i++) {
        count += items->bytes[i] == (uint8_t)letter;
    }
    return count;
}

static const struct play_options twice = {.stream = {.framing = BINLOG_PACKETS, .twice = true}, .piece_size = 100000};

static void test_payload__a_large_one_that_is_read_twice_may_be_cut_anywhere(void **state)
{
    static const size_t row_bytes[] = {1000, 3 * CHECKED_WHOLE_MAX / 2};
    static const size_t piece_sizes[] = {5000, SEAL_BYTES, 0};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct play_options options = twice;
        struct buffer log = long_log(2 * CHECKED_WHOLE_MAX, row_bytes[i % 2]);
        struct buffer packed = repack(&log, &(struct packing){.level = 3});
        struct buffer packets = log_packets(&packed);
        struct played wanted = log_play(&log, &plain), played;

        options.piece_size = piece_sizes[i / 2];
        played = log_play(&packets, &options);
        assert_false(played.failed);
        assert_int_equal(count_letters(&played.items, 'W'), 1);
        assert_false(played.came_unverified);
        assert_int_equal(played.lines.size, wanted.lines.size);
        assert_memory_equal(played.lines.bytes, wanted.lines.bytes, wanted.lines.size);
        played_deinit(&played);
        played_deinit(&wanted);
        buffer_deinit(&packets);
        buffer_deinit(&packed);
        buffer_deinit(&log);
    }
}

static void test_payload__damage_is_found_at_the_first_reading_before_any_row(void **state)
{
    struct buffer log = long_log(2 * CHECKED_WHOLE_MAX, 1000);
    struct buffer packed = repack(&log, &(struct packing){.level = 3});
    struct buffer packets;
    struct played played;

    (void)state;
    packed.bytes[packed.size - 1000] ^= 1;
    packets = log_packets(&packed);
    played = log_play(&packets, &twice);
    assert_true(played.failed);
    assert_int_equal(played.row_count, 0);
    assert_non_null(strstr(played.err.text, "the checksum does not fit"));
    played_deinit(&played);
    buffer_deinit(&packets);
    buffer_deinit(&packed);
    buffer_deinit(&log);
}

static void test_payload__damage_at_the_second_reading_lets_nothing_of_its_piece_out(void **state)
{
    struct buffer log = long_log(4 * CHECKED_WHOLE_MAX, 1000);
    struct buffer packed = repack(&log, &(struct packing){.level = STORED});
    struct buffer packets = log_packets(&packed);
    struct played wanted = log_play(&log, &plain);

    (void)state;
    for (size_t back = 2; back < 3 * CHECKED_WHOLE_MAX; back = 3 * back + 1) {
        struct play_options options = twice;
        struct played played;

        options.flip_again_at = packets.size - back;
        played = log_play(&packets, &options);
        assert_true(played.failed);
        assert_true(played.again);
        assert_int_equal(played.err.class, ERR_FATAL);
        assert_false(played.came_unverified);
        assert_true(played.lines.size < wanted.lines.size && played.lines.size > 0);
        assert_memory_equal(played.lines.bytes, wanted.lines.bytes, played.lines.size);
        played_deinit(&played);
    }
    played_deinit(&wanted);
    buffer_deinit(&packets);
    buffer_deinit(&packed);
    buffer_deinit(&log);
}

static void test_payload__two_large_ones_in_turn_do_not_ask_for_each_other_without_end(void **state)
{
    static const uint8_t one[EVENT_HEADER_SIZE] = {1}, other[EVENT_HEADER_SIZE] = {2};
    struct seals seals = {0};

    (void)state;
    assert_int_equal(seals_choose(&seals, one), SEALS_NOTE);
    assert_int_equal(seals_choose(&seals, one), SEALS_NOTE); /* its first reading was cut off */
    seals_note(&seals, 7);
    seals_complete(&seals);
    assert_int_equal(seals_choose(&seals, other), SEALS_NONE); /* the log is another one */
    assert_int_equal(seals_choose(&seals, one), SEALS_COMPARE);
    assert_true(seals_fit(&seals, 1, 7));
    assert_false(seals_fit(&seals, 1, 8));
    assert_false(seals_fit(&seals, 2, 7));
    assert_int_equal(seals_choose(&seals, other), SEALS_NOTE);
    seals_complete(&seals);
    assert_int_equal(seals_choose(&seals, one), SEALS_NONE);
    assert_int_equal(seals_choose(&seals, other), SEALS_COMPARE);
    seals_deinit(&seals);
}

static void test_payload__heads_that_lie_are_refused(void **state)
{
    static const struct {
        struct packing packing;
        const char *why;
    } cases[] = {
        {{.level = 3, .size_more = 1}, "it ends too early"},
        {{.level = 3, .size_more = -1}, "it goes on behind the size that its head tells"},
        {{.level = 3, .inflated_more = 1}, "it ends too early"},
        {{.level = 3, .inflated_more = -1}, "it inflates to more than its head tells"},
        {{.level = 3, .cut = 1}, "it ends too early"},
        {{.level = 3, .compression = 7}, "in a way that this version does not know"},
        {{.level = 3, .no_size = true}, "does not tell its size"},
        {{.level = 3, .window_log = 28}, "it can't be inflated: Frame requires too much memory"},
        {{.level = STORED, .size_more = 5}, "it ends too early"},
    };
    struct buffer log = long_log(2000, 1000);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer packed = repack(&log, &cases[i].packing);

        assert_refused(&packed, cases[i].why);
        buffer_deinit(&packed);
    }
    buffer_deinit(&log);
}

/* ---- zstd's window and the ceiling */

#define MIB ((uint64_t)1 << 20)

static struct play_options under(uint64_t memory_bytes, size_t piece_size)
{
    return (struct play_options){.stream = {.framing = BINLOG_FILE, .memory_bytes = memory_bytes}, .piece_size = piece_size};
}

static void refuse_window(const struct buffer *packed, uint64_t memory_bytes, size_t piece_size, const char *why)
{
    const struct play_options options = under(memory_bytes, piece_size);
    struct played played = log_play(packed, &options);

    assert_true(played.failed);
    assert_int_equal(played.err.class, ERR_FATAL);
    assert_int_equal(played.row_count, 0);
    if (strstr(played.err.text, why) == NULL || strstr(played.err.text, ", position ") == NULL) {
        fail_msg("'%s', or the position, is not in '%s'", why, played.err.text);
    }
    played_deinit(&played);
}

/* Each as libzstd makes it of the level, with no end known; the heads come in any pieces. */
static void test_payload__a_window_above_the_ceiling_is_refused_with_what_to_set(void **state)
{
    static const struct {
        int level;
        uint64_t fits_mib;
        const char *why;
    } cases[] = {
        {19, 13, "TRANSACTION_PAYLOAD: its window of 8 MiB does not fit into producer.memory: set that to 13MiB; "},
        {20, 48, "its window of 32 MiB does not fit into producer.memory: set that to 48MiB; "},
        {21, 94, "its window of 64 MiB does not fit into producer.memory: set that to 94MiB; "},
        {22, 187, "its window of 128 MiB does not fit into producer.memory: set that to 187MiB; "},
    };
    static const size_t pieces[] = {0, 1, 7};
    struct buffer log = long_log(2000, 1000);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct play_options fitting = under(cases[i].fits_mib * MIB, 7);
        struct buffer packed = repack(&log, &(struct packing){.level = cases[i].level, .lean = true});

        assert_int_equal(payload_memory_of_level(cases[i].level), cases[i].fits_mib * MIB);
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            refuse_window(&packed, cases[i].fits_mib * MIB - 1, pieces[p], cases[i].why);
        }
        log_assert_same(&log, &packed, &fitting);
        log_assert_same(&log, &packed, &plain); /* without a ceiling */
        buffer_deinit(&packed);
    }
    buffer_deinit(&log);
}

static void test_payload__what_is_smaller_than_its_levels_window_fits_where_zstd_was_told(void **state)
{
    const struct play_options least = under(16 * MIB, 0);
    struct buffer log = long_log(2000, 1000);
    struct buffer packed = repack(&log, &(struct packing){.level = 22, .lean = true, .pledged = true});

    (void)state;
    log_assert_same(&log, &packed, &least);
    buffer_deinit(&packed);
    buffer_deinit(&log);
}

static struct buffer frames(const struct packing *first, const struct packing *second)
{
    const struct buffer inside = {.bytes = (uint8_t *)(uintptr_t)"what is inside", .size = 14};
    struct buffer one = deflate_it(first, &inside);
    struct buffer two = deflate_it(second, &inside);
    struct buffer body = {0};

    append_field(&body, 2, 0);
    append_field(&body, 1, one.size + two.size);
    buffer_append_byte(&body, 0);
    buffer_append(&body, one.bytes, one.size);
    buffer_append(&body, two.bytes, two.size);
    buffer_deinit(&one);
    buffer_deinit(&two);
    return body;
}

/* A server writes one frame; of two, the second must not come past the ceiling. */
static void test_payload__the_window_of_each_frame_is_refused_before_it_is_allocated(void **state)
{
    struct payload payload = {.memory_bytes = 16 * MIB};
    struct buffer body = frames(&(struct packing){.level = 3}, &(struct packing){.level = 22, .lean = true});
    struct cursor cursor = cursor_over(body.bytes, body.size);
    struct err err = {0};
    size_t size;

    (void)state;
    payload_begin(&payload, &cursor);
    assert_null(cursor.why);
    assert_int_equal(payload_inflate(&payload, &cursor, &size, &err), 0);
    assert_int_equal(size, 14);
    assert_int_equal(payload_inflate(&payload, &cursor, &size, &err), -1);
    assert_non_null(strstr(err.text, "its window of 128 MiB"));
    assert_true(ZSTD_sizeof_DCtx(payload.zstd) < 4 * MIB);
    payload_deinit(&payload);
    buffer_deinit(&body);
}

static void refuse_inside(uint8_t type, const char *body, size_t size, size_t cut, const char *why)
{
    struct buffer log = long_log(0, 1000);
    struct buffer events = log_begin("mysql-9.7.4.binlog.000008");
    struct buffer inside = {0};
    struct buffer packed = {0};
    size_t at = log_find(&log, EVENT_QUERY, 0);

    buffer_append(&packed, log.bytes, at);
    append_inner(&inside, &log, at);
    at = events.size;
    log_event_add(&events, type, 0, body, size, true);
    append_inner(&inside, &events, at);
    inside.size -= cut;
    add_payload(&packed, &(struct packing){.level = 3}, &inside);
    assert_refused(&packed, why);
    buffer_deinit(&packed);
    buffer_deinit(&inside);
    buffer_deinit(&events);
    buffer_deinit(&log);
}

static void test_payload__what_has_no_place_inside_is_refused(void **state)
{
    char gtid[42] = {0, 1, 2, 3, [17] = 7};

    (void)state;
    refuse_inside(EVENT_TRANSACTION_PAYLOAD, "\0", 1, 0, "event 40 (TRANSACTION_PAYLOAD): inside a compressed event");
    refuse_inside(EVENT_ROTATE, "\4\0\0\0\0\0\0\0a.1", 11, 0, "event 4 (ROTATE): inside a compressed event");
    refuse_inside(EVENT_HEARTBEAT, "a.1", 3, 0, "event 27 (HEARTBEAT): inside a compressed event");
    refuse_inside(EVENT_GTID, gtid, sizeof gtid, 0, "a transaction begins where another");
    refuse_inside(99, "body", 4, 0, "event 99 (unknown)");
    refuse_inside(EVENT_XID, "12345678", 8, 1, "it ends in the middle of an event");
}

static void test_payload__a_log_that_ends_inside_one_is_not_complete(void **state)
{
    struct buffer log = long_log(2 * CHECKED_WHOLE_MAX, 1000);
    struct buffer packed = repack(&log, &(struct packing){.level = 3});

    (void)state;
    packed.size -= 5;
    assert_refused(&packed, "ends in the middle of an event");
    buffer_deinit(&packed);
    buffer_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload__of_mariadb_gives_what_the_plain_log_gives),
        cmocka_unit_test(test_payload__of_mariadb_that_is_damaged_never_leaves_its_bounds),
        cmocka_unit_test(test_payload__gives_what_the_plain_log_gives),
        cmocka_unit_test(test_payload__larger_than_what_is_kept_is_inflated_while_it_arrives),
        cmocka_unit_test(test_payload__damage_in_a_large_one_is_found_before_anything_of_it_may_be_committed),
        cmocka_unit_test(test_payload__a_large_one_that_is_read_twice_may_be_cut_anywhere),
        cmocka_unit_test(test_payload__damage_is_found_at_the_first_reading_before_any_row),
        cmocka_unit_test(test_payload__damage_at_the_second_reading_lets_nothing_of_its_piece_out),
        cmocka_unit_test(test_payload__two_large_ones_in_turn_do_not_ask_for_each_other_without_end),
        cmocka_unit_test(test_payload__heads_that_lie_are_refused),
        cmocka_unit_test(test_payload__a_window_above_the_ceiling_is_refused_with_what_to_set),
        cmocka_unit_test(test_payload__what_is_smaller_than_its_levels_window_fits_where_zstd_was_told),
        cmocka_unit_test(test_payload__the_window_of_each_frame_is_refused_before_it_is_allocated),
        cmocka_unit_test(test_payload__what_has_no_place_inside_is_refused),
        cmocka_unit_test(test_payload__a_log_that_ends_inside_one_is_not_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

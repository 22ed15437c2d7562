/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle is the server: *.expected holds what SELECT said of the tables after the statements whose log is played here. The
 * other expectations come from mysqlbinlog -vv and the SQL beside the logs.
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

#include "tests/unit/binlog_log.h"
#include "producer/binlog/event.h"

#define LINES_MAX 256

static const struct play_options plain = {.stream = {.framing = BINLOG_FILE}};

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
}

/* ---- the rows that a table holds in the end */

struct rows {
    char *lines[LINES_MAX]; /* "table\tcell..." */
    size_t count;
};

static void rows_add(struct rows *rows, const struct table *table, const struct cell *cells)
{
    struct buffer line = {0};

    assert_true(rows->count < LINES_MAX);
    log_append_cells(&line, table, cells);
    rows->lines[rows->count++] = strdup(buffer_text(&line));
    buffer_deinit(&line);
}

/* Takes out the row with these values: it must be there. */
static void rows_remove(struct rows *rows, const struct table *table, const struct cell *cells)
{
    struct buffer line = {0};
    size_t i = 0;

    log_append_cells(&line, table, cells);
    (void)buffer_text(&line);
    while (i < rows->count && strcmp(rows->lines[i], (char *)line.bytes) != 0) {
        i++;
    }
    buffer_deinit(&line);
    assert_true(i < rows->count);
    free(rows->lines[i]);
    rows->lines[i] = rows->lines[--rows->count];
}

static bool of_table(const char *line, const char *table)
{
    size_t size = strlen(table);

    return strncmp(line, table, size) == 0 && line[size] == '\t';
}

static void rows_forget(struct rows *rows, const char *table)
{
    for (size_t i = rows->count; i > 0; i--) {
        if (of_table(rows->lines[i - 1], table)) {
            free(rows->lines[i - 1]);
            rows->lines[i - 1] = rows->lines[--rows->count];
        }
    }
}

static void rows_apply(struct rows *rows, const struct binlog_row *row)
{
    const struct table *table = row->table->table;

    if (row->before != NULL) {
        rows_remove(rows, table, row->before);
    }
    if (row->after != NULL) {
        rows_add(rows, table, row->after);
    }
    if (row->op == 't') {
        rows_forget(rows, table->name);
    }
}

static void rows_free(struct rows *rows)
{
    while (rows->count > 0) {
        free(rows->lines[--rows->count]);
    }
}

static struct rows rows_of(const struct buffer *log)
{
    struct rows rows = {.count = 0};
    struct binlog_stream_options options = {.framing = BINLOG_FILE};
    struct binlog_stream *stream = binlog_stream_new(&options);
    enum binlog_item item;
    struct err err = {0};

    binlog_stream_open(stream, "test.000001", 4);
    binlog_stream_give(stream, log->bytes, log->size);
    while ((item = binlog_stream_next(stream, &err)) != BINLOG_INPUT) {
        if (item == BINLOG_FAILED) {
            fail_msg("%s", err.text);
        }
        if (item == BINLOG_ROW) {
            rows_apply(&rows, binlog_stream_row(stream));
        }
    }
    assert_int_equal(binlog_stream_end(stream, &err), 0);
    binlog_stream_free(stream);
    return rows;
}

/* Server and client may print a double with another last digit: cells of `reals` are compared as numbers. */
static bool same_line(const char *one, const char *other)
{
    long double a; /* what the server prints for the largest double is beyond double */
    long double b;

    if (!of_table(one, "reals") || !of_table(other, "reals")) {
        return strcmp(one, other) == 0;
    }
    while (*one != '\0' && *other != '\0') {
        one += strcspn(one, "\t") + (one[strcspn(one, "\t")] != '\0');
        other += strcspn(other, "\t") + (other[strcspn(other, "\t")] != '\0');
        a = strtold(one, NULL);
        b = strtold(other, NULL);
        if (a != b && !(a / b > 0.999999999999999L && a / b < 1.000000000000001L)) {
            return false;
        }
    }
    return *one == *other;
}

static size_t count_lines_like(const struct rows *rows, const char *line)
{
    size_t count = 0;

    for (size_t i = 0; i < rows->count; i++) {
        count += same_line(rows->lines[i], line);
    }
    return count;
}

static bool is_compared(const char *line)
{
    static const char *const others[] = {"keyed", "plain", "part", "gone", "numbers", "hashed", "early"};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (of_table(line, others[i])) {
            return false;
        }
    }
    return true;
}

static void compare_with_server(const char *log_name, const char *expected_name)
{
    struct buffer log = log_load(log_name);
    struct buffer expected = log_load(expected_name);
    struct rows rows = rows_of(&log);
    size_t compared = 0;
    size_t line_count = 0;
    char *rest;

    for (char *line = strtok_r((char *)(uintptr_t)buffer_text(&expected), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        line_count++;
        if (count_lines_like(&rows, line) != 1) {
            fail_msg("the server has '%.300s', and the log not once", line);
        }
    }
    for (size_t i = 0; i < rows.count; i++) {
        compared += is_compared(rows.lines[i]);
    }
    assert_int_equal(compared, line_count);
    rows_free(&rows);
    buffer_deinit(&log);
    buffer_deinit(&expected);
}

static void test_stream__of_mysql_yields_what_the_server_selects(void **state)
{
    (void)state;
    compare_with_server("mysql-9.7.4.values.binlog.gz", "mysql-9.7.4.values.expected");
}

static void test_stream__of_mariadb_yields_what_the_server_selects(void **state)
{
    (void)state;
    compare_with_server("mariadb-10.11.19.values.binlog.gz", "mariadb-10.11.19.values.expected");
}

/* Documents after their diffs, alone and in a compressed transaction. */
static void test_stream__puts_partial_updates_of_json_together(void **state)
{
    (void)state;
    compare_with_server("mysql-9.7.4.partial.binlog.gz", "mysql-9.7.4.partial.expected");
}

static void test_stream__inflates_columns_and_events_of_mariadb(void **state)
{
    (void)state;
    compare_with_server("mariadb-10.11.19.compressed.binlog.gz", "mariadb-10.11.19.compressed.expected");
}

/* ---- pieces, packets, prefixes, damage */

static void assert_same_play(const struct buffer *log, const struct buffer *other_log, const struct play_options *options)
{
    struct play_options file = *options;
    struct played one;
    struct played other = log_play(other_log, options);

    file.stream.framing = BINLOG_FILE;
    file.piece_size = 0;
    one = log_play(log, &file);
    assert_true(one.row_count > 0);
    assert_false(other.failed && !one.failed);
    assert_int_equal(one.row_count, other.row_count);
    assert_string_equal((char *)one.lines.bytes, (char *)other.lines.bytes);
    played_deinit(&one);
    played_deinit(&other);
}

static void test_stream__yields_the_same_in_pieces_of_any_size(void **state)
{
    static const size_t sizes[] = {1, 7, 4096, 65536};
    struct buffer log = log_load("mysql-9.7.4.values.binlog.gz");
    struct buffer packets = log_packets(&log);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct play_options options = {.stream = {.framing = BINLOG_FILE}, .piece_size = sizes[i]};

        assert_same_play(&log, &log, &options);
        options.stream.framing = BINLOG_PACKETS;
        assert_same_play(&log, &packets, &options);
    }
    buffer_deinit(&log);
    buffer_deinit(&packets);
}

/* Are the rows of `part` those that `whole` begins with? */
static void assert_begins_with(const struct played *whole, const struct played *part)
{
    if (part->lines.size > whole->lines.size || memcmp(whole->lines.bytes, part->lines.bytes, part->lines.size) != 0) {
        fail_msg("rows that are not there: %.500s", (char *)part->lines.bytes);
    }
    assert_true(part->lines.size <= whole->lines.size);
    assert_memory_equal(whole->lines.bytes, part->lines.bytes, part->lines.size);
}

static void test_stream__cut_anywhere_fails_or_ends_cleanly(void **state)
{
    static const char *const names[] = {"mysql-9.7.4.binlog.000008", "mysql-9.7.4.binlog.000009", "mysql-9.7.4.binlog.000011",
                                        "mariadb-10.11.19.binlog.000014", "mariadb-11.8.9.binlog.000002"};

    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        struct buffer log = log_load(names[n]);
        struct played whole = log_play(&log, &plain);

        assert_false(whole.failed);
        for (size_t size = 0; size < log.size; size++) {
            struct buffer cut = {.bytes = log.bytes, .size = size};
            struct played part = log_play(&cut, &plain);
            size_t border = 4;

            while (border < size) {
                border += log_event_size(&log, border);
            }
            assert_true(part.failed == (size != border));
            assert_begins_with(&whole, &part);
            played_deinit(&part);
        }
        played_deinit(&whole);
        buffer_deinit(&log);
    }
}

/* The one bit that no checksum covers: "file in use" of FORMAT_DESCRIPTION. */
static bool is_uncovered(size_t at, unsigned bit)
{
    return at == 4 + 17 && bit == 0;
}

static void flip_every_byte(const char *name, size_t from, size_t stride)
{
    struct buffer log = log_load(name);
    struct played whole = log_play(&log, &plain);

    assert_false(whole.failed);
    for (size_t at = from; at < log.size; at += stride) {
        unsigned bit = (unsigned)(at * 7 % 8);
        struct played part;

        log.bytes[at] ^= (uint8_t)(1U << bit);
        part = log_play(&log, &plain);
        if (part.failed == is_uncovered(at, bit)) {
            fail_msg("%s: bit %u of byte %zu is flipped, and nobody notices", name, bit, at);
        }
        assert_begins_with(&whole, &part);
        played_deinit(&part);
        log.bytes[at] ^= (uint8_t)(1U << bit);
    }
    played_deinit(&whole);
    buffer_deinit(&log);
}

static void test_stream__notices_every_flipped_bit(void **state)
{
    (void)state;
    for (size_t from = 0; from < 3; from++) { /* each byte is hit; which bit, depends on its place */
        flip_every_byte("mysql-9.7.4.binlog.000008", from, 3);
        flip_every_byte("mysql-9.7.4.binlog.000011", from, 3);
        flip_every_byte("mariadb-10.11.19.binlog.000014", from, 3);
    }
    flip_every_byte("mysql-9.7.4.values.binlog.gz", 1, 40009);
}

/* An INT column's rows, 300,000 of them in one event of 1.5 MB. */
static struct buffer large_event(void)
{
    static const uint8_t map[] = {9, 0, 0, 0, 0, 0, 1, 0, 2, 'd', 'b', 0, 1, 't', 0, 1, 3, 0, 1, 1, 1, 0, 4, 2, 1, 'a'};
    static const uint8_t head[] = {9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 0xff};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct buffer rows = {0};

    log_query_add(&log, "BEGIN");
    log_event_add(&log, EVENT_TABLE_MAP, 0, map, sizeof map, true);
    buffer_append(&rows, head, sizeof head);
    for (uint32_t i = 0; i < 300000; i++) {
        const uint8_t row[] = {0, (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 0};

        buffer_append(&rows, row, sizeof row);
    }
    log_event_add(&log, EVENT_WRITE_ROWS, 0, rows.bytes, rows.size, true);
    log_event_add(&log, EVENT_XID, 0, "12345678", 8, true);
    buffer_deinit(&rows);
    return log;
}

static void test_stream__never_lets_unverified_rows_be_committed(void **state)
{
    const struct play_options in_pieces = {.stream = {.framing = BINLOG_FILE}, .piece_size = 65536};
    struct buffer log = large_event();
    size_t rows = log_find(&log, EVENT_WRITE_ROWS, 0);
    struct played played = log_play(&log, &in_pieces);

    (void)state;
    assert_false(played.failed);
    assert_true(played.came_unverified); /* the first rows, long before the checksum */
    assert_int_equal(played.row_count, 300000);
    assert_contains((char *)played.lines.bytes, " 299999 c t after t\t299999\n");
    played_deinit(&played);

    log.bytes[rows + log_event_size(&log, rows) - 1] ^= 1;
    played = log_play(&log, &in_pieces);
    assert_true(played.failed);
    assert_contains(played.err.text, "the checksum does not fit");
    assert_true(played.row_count > 0);
    assert_int_equal(played.lines.size, 0);
    played_deinit(&played);
    buffer_deinit(&log);
}

static void test_stream__walks_large_events_in_pieces_of_any_size(void **state)
{
    static const size_t sizes[] = {7, 4096, 1000000};
    struct buffer log = large_event();
    struct buffer packets = log_packets(&log);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct play_options options = {.stream = {.framing = BINLOG_FILE}, .piece_size = sizes[i]};

        assert_same_play(&log, &log, &options);
        options.stream.framing = BINLOG_PACKETS;
        assert_same_play(&log, &packets, &options);
    }
    buffer_deinit(&log);
    buffer_deinit(&packets);
}

/* ---- selection */

static bool select_one(void *context, const char *database, const char *table)
{
    char name[256];

    (void)snprintf(name, sizeof name, "%s.%s", database, table);
    return strcmp(context, name) == 0;
}

static struct play_options only(const char *table)
{
    return (struct play_options){
        .stream = {.framing = BINLOG_FILE, .selected = select_one, .context = (void *)(uintptr_t)table},
    };
}

static void test_stream__passes_over_every_type_of_tables_that_are_not_selected(void **state)
{
    static const char *const cases[][2] = {
        {"mysql-9.7.4.binlog.000016", "t.inst"},       {"mysql-9.7.4.binlog.000017", "t.defexpr"},
        {"mariadb-10.11.19.binlog.000013", "t.told2"}, {"mysql-9.7.4.binlog.000010", "t.none"},
        {"mysql-9.7.4.binlog.000012", "t.none"},       {"mariadb-11.8.9.binlog.000003", "t.none"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer log = log_load(cases[i][0]);
        struct play_options options = only(cases[i][1]);
        struct played played = log_play(&log, &options);

        if (played.failed) {
            fail_msg("%s: %s", cases[i][0], played.err.text);
        }
        played_deinit(&played);
        buffer_deinit(&log);
    }
}

/* O3: the index of a row in its transaction does not depend on what is selected. */
static void test_stream__counts_row_images_before_selection(void **state)
{
    struct buffer log = log_load("mysql-9.7.4.values.binlog.gz");
    struct play_options options = only("v.decimals");
    struct played played = log_play(&log, &options);

    (void)state;
    assert_false(played.failed);
    /* insert 10, savepoint, insert 11, rollback to it, insert 12, update decimals: the third image */
    assert_contains((char *)played.lines.bytes, " 2 u decimals before decimals\t4\t");
    played_deinit(&played);
    buffer_deinit(&log);
}

/* ---- transactions */

static void test_stream__knows_gtid_and_commit_time_of_mysql(void **state)
{
    struct buffer log = log_load("mysql-9.7.4.binlog.000016");
    struct binlog_stream_options options = {.framing = BINLOG_FILE};
    struct binlog_stream *stream = binlog_stream_new(&options);
    struct err err = {0};

    (void)state;
    binlog_stream_open(stream, "binlog.000016", 4);
    binlog_stream_give(stream, log.bytes, log.size);
    for (int i = 0; i < 100 && binlog_stream_next(stream, &err) != BINLOG_ROW; i++) {
    }
    /* mysqlbinlog: # at 623 GTID, immediate_commit_timestamp=1795226159314405, GTID_NEXT= 'd10347db-...:503029' */
    assert_string_equal(binlog_stream_transaction(stream)->gtid, "d10347db-e54b-11f1-9c3e-02fc00000001:503029");
    assert_int_equal(binlog_stream_transaction(stream)->commit_ts_us, 1795226159314405);
    assert_string_equal(binlog_stream_transaction(stream)->file, "binlog.000016");
    assert_string_equal(binlog_stream_server_version(stream), "9.7.4-2");
    assert_true(binlog_stream_inside(stream));
    binlog_stream_free(stream);
    buffer_deinit(&log);
}

static void test_stream__knows_tagged_gtids(void **state)
{
    struct buffer log = log_load("mysql-9.7.4.binlog.000011");
    struct played played = log_play(&log, &plain);

    (void)state;
    assert_false(played.failed);
    assert_string_equal((char *)played.lines.bytes,
                        "d10347db-e54b-11f1-9c3e-02fc00000001:mytag:1 0 c pl after pl\t10\t746167676564\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

static void test_stream__reads_mariadb_transactions_without_positions(void **state)
{
    struct buffer log = log_load("mariadb-11.8.9.binlog.000002"); /* next_pos is 0 inside transactions */
    struct buffer packets = log_packets(&log);
    struct binlog_stream_options options = {.framing = BINLOG_PACKETS};
    struct binlog_stream *stream = binlog_stream_new(&options);
    uint64_t ends[3] = {0};
    uint64_t rows[3] = {0};
    size_t commits = 0;
    size_t row_count = 0;
    enum binlog_item item;
    struct err err = {0};

    (void)state;
    binlog_stream_open(stream, "", 4);
    binlog_stream_give(stream, packets.bytes, packets.size);
    while ((item = binlog_stream_next(stream, &err)) != BINLOG_INPUT) {
        assert_int_not_equal(item, BINLOG_FAILED);
        if (item == BINLOG_COMMIT) {
            ends[commits++] = binlog_stream_position(stream);
        } else if (item == BINLOG_ROW) {
            rows[row_count++] = binlog_stream_event_position(stream);
        }
    }
    /* mariadb-binlog: # at 812, 1114, 1296 Write_rows and Update_rows; ends 581, 912, 1433 */
    assert_int_equal(commits, 3);
    assert_int_equal(ends[0], 581);
    assert_int_equal(ends[1], 912);
    assert_int_equal(ends[2], 1433);
    assert_int_equal(rows[0], 812);
    assert_int_equal(rows[1], 1114);
    assert_int_equal(rows[2], 1296);
    assert_string_equal(binlog_stream_file(stream), "binlog.000003"); /* the ROTATE at its end */
    assert_int_equal(binlog_stream_position(stream), 4);
    binlog_stream_free(stream);
    buffer_deinit(&log);
    buffer_deinit(&packets);
}

static void add_gtid(struct buffer *log)
{
    uint8_t body[42] = {0, 1, 2, 3};

    body[17] = 7;
    log_event_add(log, EVENT_GTID, 0, body, sizeof body, true);
}

static void assert_items(struct buffer *log, const char *items)
{
    struct played played = log_play(log, &plain);

    if (strcmp((char *)played.items.bytes, items) != 0) {
        fail_msg("%s came where %s was due: %s", (char *)played.items.bytes, items, played.err.text);
    }
    played_deinit(&played);
    buffer_deinit(log);
}

static void test_stream__ends_transactions_where_the_server_does(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "CREATE TABLE a(b int)"); /* DDL: its own transaction */
    add_gtid(&log);
    log_query_add(&log, "BEGIN");
    log_query_add(&log, "SAVEPOINT s");
    log_query_add(&log, "ROLLBACK TO s");
    log_event_add(&log, EVENT_XID, 0, "12345678", 8, true);
    add_gtid(&log);
    log_query_add(&log, "BEGIN");
    log_query_add(&log, "COMMIT"); /* of engines without transactions */
    add_gtid(&log);
    log_query_add(&log, "BEGIN");
    log_query_add(&log, "ROLLBACK");
    log_query_add(&log, "ALTER TABLE a ADD INDEX (b)"); /* of a log without GTID */
    assert_items(&log, "BCBCBCBXBC");
}

static void test_stream__gives_up_a_transaction_that_a_restart_cut_off(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    size_t format_size = log.size - 4;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "BEGIN");
    buffer_reserve(&log, format_size);
    buffer_append(&log, log.bytes + 4, format_size);
    log.bytes[log.size - format_size + 19 + 2 + 50] = 1; /* created: the server has just started */
    log_mend(&log, log.size - format_size);
    add_gtid(&log);
    log_query_add(&log, "DROP VIEW v");
    assert_items(&log, "BXBC");
}

static void test_stream__yields_truncates_of_selected_tables(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "DROP TABLE IF EXISTS `a`, other.`b` /* generated by server */");
    add_gtid(&log);
    log_query_add(&log, "truncate b");
    played = log_play(&log, &plain);
    assert_string_equal((char *)played.items.bytes, "BRRCBRC");
    assert_contains((char *)played.lines.bytes, " 0 t a\n");
    assert_contains((char *)played.lines.bytes, " 1 t b\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

/* As real servers logged them for clients in latin1, GBK and SJIS: in GBK and SJIS the second byte of the last character is a quote
 * and a backslash. */
static void test_stream__reads_statements_in_the_clients_character_set(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add_in(&log, 8, "TRUNCATE gr\xf6\xdf""e");
    add_gtid(&log);
    log_query_add_in(&log, 28, "TRUNCATE `\xd3\xe3\xb2``");
    add_gtid(&log);
    log_query_add_in(&log, 13, "DROP TABLE `\x95\\``\x83\\` /* generated by server */");
    add_gtid(&log);
    log_query_add_in(&log, 63, "TRUNCATE größe"); /* a client whose set is "binary" speaks UTF-8 */
    played = log_play(&log, &plain);
    assert_string_equal((char *)played.items.bytes, "BRCBRCBRCBRC");
    assert_contains((char *)played.lines.bytes, " 0 t größe\n");
    assert_contains((char *)played.lines.bytes, " 0 t 鱼瞏\n");
    assert_contains((char *)played.lines.bytes, " 0 t 表`ソ\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

/* "op database.table" of what the statements empty or may change, a line each. */
static void print_touched(struct binlog_stream *stream, struct buffer *out)
{
    enum binlog_item item;
    struct err err = {0};

    while ((item = binlog_stream_next(stream, &err)) != BINLOG_INPUT) {
        const struct binlog_row *row = binlog_stream_row(stream);

        if (item == BINLOG_FAILED) {
            fail_msg("%s", err.text);
        }
        if (item == BINLOG_ROW || item == BINLOG_ALTERED) {
            buffer_printf(out, "%s %s.%s\n", item == BINLOG_ROW ? "empties" : "alters", row->table->table->database, row->table->table->name);
        }
    }
}

/* lower_case_table_names=1: TABLE_MAPs are in lower case, statements as clients wrote them. */
static void test_stream__reads_names_in_statements_as_the_server_keeps_them(void **state)
{
    static const char *const statements[] = {"TRUNCATE Orders", "DROP TABLE `GRÖßE`, Shop.Items", "ALTER TABLE Things MODIFY a INT", "DROP DATABASE Shop"};
    const struct binlog_stream_options options = {.framing = BINLOG_FILE};

    (void)state;
    for (int lower = 0; lower < 2; lower++) {
        struct binlog_stream *stream = binlog_stream_new(&options);
        struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
        struct buffer touched = {0};

        for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
            add_gtid(&log);
            log_query_add(&log, statements[i]);
        }
        binlog_stream_know(stream, "shop", "seen");
        binlog_stream_take_name_case(stream, lower != 0);
        binlog_stream_open(stream, "binlog.000008", 4);
        binlog_stream_give(stream, log.bytes, log.size);
        print_touched(stream, &touched);
        assert_string_equal(buffer_text(&touched), lower != 0 ? "empties db.orders\nempties db.größe\nempties shop.items\nalters db.things\nempties shop.seen\n"
                                                              : "empties db.Orders\nempties db.GRÖßE\nempties Shop.Items\nalters db.Things\n");
        buffer_deinit(&touched);
        buffer_deinit(&log);
        binlog_stream_free(stream);
    }
}

static bool not_hidden(void *context, const char *database, const char *table)
{
    (void)context;
    (void)database;
    return strcmp(table, "hidden") != 0;
}

/* The tables of a database that is dropped are known of this reading alone: all of them are committed together (A5). */
static void test_stream__empties_the_tables_of_a_dropped_database_that_may_have_rows(void **state)
{
    const struct play_options options = {.stream = {.framing = BINLOG_FILE, .selected = not_hidden}};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "DROP TABLE a, b, other.c, hidden");
    played = log_play(&log, &options);
    assert_string_equal((char *)played.items.bytes, "BRRRC");
    assert_false(played.came_unverified);
    played_deinit(&played);
    for (int i = 0; i < 2; i++) {
        add_gtid(&log);
        log_query_add(&log, i == 0 ? "ALTER TABLE a MODIFY b INT" : "ALTER TABLE other.c MODIFY b INT");
    }
    for (int i = 0; i < 2; i++) {
        add_gtid(&log);
        log_query_add(&log, "drop database db");
    }
    add_gtid(&log);
    log_query_add(&log, "drop database nobody_knows");
    played = log_play(&log, &options);
    assert_string_equal((char *)played.items.bytes, "BRRRCBACBACBRCBCBC");
    assert_true(played.came_unverified);
    played_deinit(&played);
    buffer_deinit(&log);
}

/* Those that it was told of are emptied, too, but for what was emptied since; and all or none. */
static void test_stream__empties_the_tables_that_it_was_told_of_all_or_none(void **state)
{
    const struct binlog_stream_options options = {.framing = BINLOG_FILE, .selected = not_hidden};
    struct binlog_stream *stream = binlog_stream_new(&options);
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct buffer seen = {0};
    enum binlog_item item = BINLOG_INPUT;
    struct err err = {0};

    (void)state;
    binlog_stream_know(stream, "db", "zero");
    binlog_stream_know(stream, "other", "one");
    binlog_stream_know(stream, "db", "hidden");
    binlog_stream_know(stream, "db", "a");
    binlog_stream_know(stream, "db", "b");
    log_query_add(&log, "DROP TABLE m, zero");
    log_query_add(&log, "DROP DATABASE db");
    log_query_add(&log, "DROP TABLE a");
    binlog_stream_open(stream, "binlog.000008", 4);
    binlog_stream_give(stream, log.bytes, log.size);
    do {
        item = binlog_stream_next(stream, &err);
        if (item == BINLOG_ROW) {
            const struct binlog_row *row = binlog_stream_row(stream);

            assert_int_equal(row->op, 't');
            buffer_printf(&seen, "%s.%s", row->table->table->database, row->table->table->name);
        }
        assert_int_not_equal(item, BINLOG_FAILED);
        buffer_append_text(&seen, item == BINLOG_COMMIT ? ";" : binlog_stream_cuttable(stream) ? " " : "+");
    } while (item != BINLOG_INPUT);
    assert_string_equal(buffer_text(&seen), " db.m db.zero ;+db.b+db.a+; db.a ; ");
    buffer_deinit(&seen);
    buffer_deinit(&log);
    binlog_stream_free(stream);
}

/* It may have had tables that were never seen. */
static void test_stream__tells_which_database_was_dropped(void **state)
{
    static const struct binlog_stream_options options = {.framing = BINLOG_FILE};
    struct binlog_stream *stream = binlog_stream_new(&options);
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct buffer dropped = {0};
    enum binlog_item item = BINLOG_INPUT;
    struct err err = {0};

    (void)state;
    log_query_add(&log, "DROP DATABASE `no``one`"); /* an old server: without a GTID */
    log_query_add(&log, "DROP TABLE a");
    binlog_stream_open(stream, "binlog.000008", 4);
    binlog_stream_give(stream, log.bytes, log.size);
    do {
        item = binlog_stream_next(stream, &err);
        if (item == BINLOG_COMMIT) {
            buffer_printf(&dropped, "%s;", binlog_stream_transaction(stream)->dropped_database);
        }
        assert_int_not_equal(item, BINLOG_FAILED);
    } while (item != BINLOG_INPUT);
    assert_string_equal(buffer_text(&dropped), "no`one;;");
    buffer_deinit(&dropped);
    buffer_deinit(&log);
    binlog_stream_free(stream);
}

static void test_stream__tells_of_selected_tables_that_a_statement_may_have_changed(void **state)
{
    const struct play_options options = {.stream = {.framing = BINLOG_FILE, .selected = not_hidden}};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "ALTER TABLE a ADD b INT NOT NULL");
    add_gtid(&log);
    log_query_add(&log, "RENAME TABLE a TO b, c TO hidden");
    add_gtid(&log);
    log_query_add(&log, "ALTER TABLE hidden MODIFY a INT");
    played = log_play(&log, &options);
    assert_string_equal((char *)played.items.bytes, "BACBRARCBC"); /* a and c have no rows any more */
    assert_contains(buffer_text(&played.lines), " 0 t a\n");
    assert_contains(buffer_text(&played.lines), " 1 t c\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

/* In two phases, of which the first may fail. */
static void test_stream__tells_of_an_alteration_when_it_is_done(void **state)
{
    const uint8_t start[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0};
    const uint8_t rollback[] = {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 9, 9, 9, 9, 9, 9, 9, 9, 8, 1, 0, 0, 0, 0, 0, 0, 0};
    const uint8_t commit[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 1, 0, 0, 0, 0, 0, 0, 0};
    const uint8_t older[] = {4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 2, 2, 2, 2, 2, 2, 2, 2};
    static const char *const text = "ALTER TABLE a ADD b INT NOT NULL, RENAME TO c";
    struct buffer log = log_begin("mariadb-10.11.19.binlog.000007");

    (void)state;
    log_event_add(&log, EVENT_MARIADB_GTID, 0, start, sizeof start, true);
    log_query_add(&log, text);
    log_event_add(&log, EVENT_MARIADB_GTID, 0, rollback, sizeof rollback, true);
    log_query_add(&log, text);
    log_event_add(&log, EVENT_MARIADB_GTID, 0, commit, sizeof commit, true);
    log_query_add(&log, text);
    log_event_add(&log, EVENT_MARIADB_GTID, 0, older, sizeof older, true);
    log_query_add(&log, text);
    assert_items(&log, "BCBCBRACBRAC");
}

/* NULL: of none. */
static bool is_of(const struct column_names *names, const char *column)
{
    return column == NULL ? column_names_none(names) : names->list.count == 1 && strcmp(names->list.texts[0], column) == 0;
}

/* What an ALTER did, by A's: rewritten, dropped columns, added columns. */
static void assert_altered(const char *text, bool rewritten, const char *drops, const char *adds)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    const struct binlog_stream_options options = {.framing = BINLOG_FILE};
    struct binlog_stream *stream = binlog_stream_new(&options);
    const struct binlog_row *row = binlog_stream_row(stream);
    struct err err = {0};

    add_gtid(&log);
    log_query_add(&log, text);
    binlog_stream_open(stream, "binlog.000008", 4);
    binlog_stream_give(stream, log.bytes, log.size);
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_BEGIN);
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_ALTERED);
    assert_string_equal(row->table->table->name, "a");
    if (row->rewritten != rewritten || !is_of(row->drops, drops) || !is_of(row->adds, adds)) {
        fail_msg("%s: rewritten %d, or other columns", text, row->rewritten);
    }
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_COMMIT);
    binlog_stream_free(stream);
    buffer_deinit(&log);
}

static void test_stream__tells_columns_that_go_and_come_from_rows_that_change(void **state)
{
    (void)state;
    assert_altered("ALTER TABLE a ADD b INT", false, NULL, "b");
    assert_altered("ALTER TABLE a DROP b", false, "b", NULL);
    assert_altered("ALTER TABLE a DROP b, ADD b INT", true, "b", "b");
    assert_altered("ALTER TABLE a DROP b, MODIFY c INT", true, "b", NULL);
    assert_altered("ALTER TABLE a RENAME COLUMN b TO c", true, "b", NULL);
}

/* ---- refusals */

static void assert_refused(const struct buffer *log, const struct play_options *options, const char *why)
{
    struct played played = log_play(log, options);

    assert_true(played.failed);
    assert_int_equal(played.err.class, ERR_FATAL);
    assert_contains(played.err.text, why);
    assert_contains(played.err.text, "position ");
    played_deinit(&played);
}

static void test_stream__refuses_what_is_not_read_yet(void **state)
{
    static const char *const cases[][3] = {
        {"mysql-9.7.4.binlog.000012", NULL, "set binlog_row_image=FULL"},
        {"mysql-9.7.4.binlog.000017", "t.vec", "table t.vec: its rows are part of an XA transaction"},
        {"mariadb-10.11.19.binlog.000013", "t.told", "set mysql56_temporal_format=ON"},
        {"mariadb-11.8.9.binlog.000003", NULL, "set binlog_row_image=FULL"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer log = log_load(cases[i][0]);
        struct play_options options = cases[i][1] != NULL ? only(cases[i][1]) : plain;

        assert_refused(&log, &options, cases[i][2]);
        buffer_deinit(&log);
    }
}

static void test_stream__yields_vectors_as_json(void **state)
{
    struct buffer log = log_load("mysql-9.7.4.binlog.000017");
    struct play_options options = only("t.vec");
    struct played played = log_play(&log, &options); /* up to a prepared XA transaction */

    (void)state;
    assert_contains((char *)played.lines.bytes, "c vec after vec\t1\t5B312C322C335D\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

/* GTID, XA START, one row, and the event that says what it was. */
static struct buffer xa_log(bool one_phase)
{
    static const uint8_t map[] = {9, 0, 0, 0, 0, 0, 1, 0, 2, 'd', 'b', 0, 1, 't', 0, 1, 3, 0, 1, 1, 1, 0, 4, 2, 1, 'a'};
    static const uint8_t rows[] = {9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 0xff, 0, 7, 0, 0, 0};
    const uint8_t end[] = {one_phase, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'x'};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

    add_gtid(&log);
    log_query_add(&log, "XA START X'78',X'',1");
    log_event_add(&log, EVENT_TABLE_MAP, 0, map, sizeof map, true);
    log_event_add(&log, EVENT_WRITE_ROWS, 0, rows, sizeof rows, true);
    log_query_add(&log, "XA END X'78',X'',1");
    log_event_add(&log, EVENT_XA_PREPARE, 0, end, sizeof end, true);
    return log;
}

static void test_stream__refuses_rows_of_prepared_xa_transactions_and_lets_none_be_committed(void **state)
{
    struct buffer log = xa_log(false);
    struct played played = log_play(&log, &plain);

    (void)state;
    assert_true(played.failed);
    assert_int_equal(played.err.class, ERR_FATAL);
    assert_contains(played.err.text, "table db.t: its rows are part of an XA transaction");
    assert_int_equal(played.lines.size, 0);
    assert_true(played.came_unverified);
    played_deinit(&played);
    buffer_deinit(&log);
}

static void test_stream__of_xa_in_one_phase_the_end_is_the_commit(void **state)
{
    struct buffer log = xa_log(true);
    struct played played = log_play(&log, &plain);

    (void)state;
    assert_false(played.failed);
    assert_string_equal((char *)played.items.bytes, "BRC");
    assert_true(played.came_unverified); /* the row, before the end is known */
    assert_contains((char *)played.lines.bytes, "after t\t7\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

/* P1: its rows may be of selected tables, and stand before the place where the stream began. */
static void test_stream__refuses_xa_commits_of_what_it_has_not_seen_prepared(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "XA COMMIT X'7831',X'',1");
    assert_refused(&log, &plain, "XA COMMIT X'7831',X'',1: its rows were logged at XA PREPARE");
    log.size = log_event_at(&log, 1);
    add_gtid(&log);
    log_query_add(&log, "XA START X'7831',X'',1");
    log_event_add(&log, EVENT_XA_PREPARE, 0, "\0\1\0\0\0\2\0\0\0\0\0\0\0x1", 15, true);
    add_gtid(&log);
    log_query_add(&log, "XA COMMIT X'7831',X'',1");
    add_gtid(&log);
    log_query_add(&log, "XA ROLLBACK X'7832',X'',1");
    assert_items(&log, "BCBCBC");
}

static void test_stream__refuses_unknown_events_that_are_not_ignorable(void **state)
{
    static const uint8_t refused[] = {0, 26, 43, 99, 150, 164, 173, 200, 255};

    (void)state;
    for (size_t i = 0; i < sizeof refused; i++) {
        struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
        char why[16];

        log_event_add(&log, refused[i], 0, "body", 4, true);
        (void)snprintf(why, sizeof why, "event %u (", refused[i]);
        assert_refused(&log, &plain, why);
        buffer_deinit(&log);
    }
}

static void test_stream__passes_unknown_events_that_are_ignorable(void **state)
{
    static const uint8_t types[] = {43, 99, 150, 164, 200};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        log_event_add(&log, types[i], EVENT_FLAG_IGNORABLE, "body", 4, true);
    }
    log_event_add(&log, 100, EVENT_FLAG_IGNORABLE, "****", 4, true); /* Aurora's padding */
    add_gtid(&log);
    log_query_add(&log, "CREATE TABLE a(b int)");
    assert_items(&log, "BC");
}

static void refuse_query(const char *text, const char *why)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

    add_gtid(&log);
    log_query_add(&log, "BEGIN");
    log_query_add(&log, text);
    assert_refused(&log, &plain, why);
    buffer_deinit(&log);
}

static void test_stream__refuses_rows_that_were_logged_as_statements(void **state)
{
    (void)state;
    refuse_query("INSERT INTO t VALUES (1)", "a statement changes rows of db.t");
    refuse_query("INSERT INTO mysql.t VALUES (1)", "a statement changes rows of mysql.t"); /* chosen like any other */
    refuse_query("DELETE FROM mysql.rds", "a statement changes rows of mysql.rds");
    refuse_query("UPDATE rds_heartbeat2 SET a = 1", "a statement changes rows of db.rds_heartbeat2");
    refuse_query("UPDATE other.t, u SET a = 1", "of which tables is not sure");
    refuse_query("BEGIN", "a transaction begins where another has not ended");
}

static bool is_mine(void *context, const char *database, const char *table)
{
    (void)context;
    return strcmp(database, "db") == 0 && strcmp(table, "t") == 0;
}

static bool is_heap(void *context, const char *database, const char *table)
{
    (void)context;
    return strcmp(database, "db") == 0 && strcmp(table, "heap") == 0;
}

/* A trigger of theirs may change rows of a selected one, and the log holds only the statement. */
static void test_stream__refuses_statements_about_other_tables(void **state)
{
    static const char *const statements[] = {"DELETE FROM u WHERE a = 1", "INSERT INTO mysqlx.t VALUES (1)", "UPDATE sys.sys_config SET value = 1"};
    const struct play_options options = {.stream = {.framing = BINLOG_FILE, .selected = is_mine, .excluded = is_heap}};

    (void)state;
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

        add_gtid(&log);
        log_query_add(&log, statements[i]);
        assert_refused(&log, &options, "if they change no selected table, name it in source.exclude");
        buffer_deinit(&log);
    }
}

static void test_stream__passes_statements_about_tables_that_are_excluded_and_about_the_servers_own(void **state)
{
    const struct play_options options = {.stream = {.framing = BINLOG_FILE, .selected = is_mine, .excluded = is_heap}};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,2) ON DUPLICATE KEY UPDATE value = 2");
    add_gtid(&log);
    log_query_add(&log, "UPDATE mysql.own SET a = 1");
    add_gtid(&log);
    log_query_add(&log, "DELETE FROM `db`.`heap`"); /* as servers say at their start that a table in memory is empty */
    played = log_play(&log, &options);
    assert_string_equal((char *)played.items.bytes, "BCBCBC");
    played_deinit(&played);
    buffer_deinit(&log);
}

static void test_stream__passes_statements_about_the_tables_of_rds(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,2) ON DUPLICATE KEY UPDATE value = 2");
    played = log_play(&log, &plain);
    assert_string_equal((char *)played.items.bytes, "BC");
    played_deinit(&played);
    buffer_deinit(&log);
}

static void test_stream__refuses_to_begin_inside_a_transaction(void **state)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");

    (void)state;
    log_event_add(&log, EVENT_XID, 0, "12345678", 8, true);
    assert_refused(&log, &plain, "a transaction ends that did not begin");
    buffer_deinit(&log);
    log = log_begin("mysql-9.7.4.binlog.000008");
    add_gtid(&log);
    add_gtid(&log);
    assert_refused(&log, &plain, "a transaction begins where another");
    buffer_deinit(&log);
}

static void test_stream__refuses_logs_without_names_unless_told(void **state)
{
    static const uint8_t map[] = {9, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 2, 3, 15, 2, 20, 0, 3};
    static const uint8_t rows[] = {9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2, 0xff, 0, 5, 0, 0, 0, 2, 'h', 'i'};
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct play_options optional = {.stream = {.framing = BINLOG_FILE, .names_optional = true}};
    struct played played;

    (void)state;
    add_gtid(&log);
    log_query_add(&log, "BEGIN");
    log_event_add(&log, EVENT_TABLE_MAP, 0, map, sizeof map, true);
    log_event_add(&log, EVENT_WRITE_ROWS, 0, rows, sizeof rows, true);
    log_event_add(&log, EVENT_XID, 0, "12345678", 8, true);
    assert_refused(&log, &plain, "set binlog_row_metadata=FULL");
    played = log_play(&log, &optional);
    assert_string_equal((char *)played.items.bytes, "BRC");
    assert_contains((char *)played.lines.bytes, " 0 c t after t\t5\t6869\n");
    played_deinit(&played);
    buffer_deinit(&log);
}

static void test_stream__says_what_the_server_said(void **state)
{
    struct binlog_stream_options options = {.framing = BINLOG_PACKETS};
    struct binlog_stream *stream = binlog_stream_new(&options);
    struct buffer packets = {0};
    uint8_t sequence = 1;
    struct err err = {0};

    (void)state;
    log_packet_add(&packets, &sequence, (const uint8_t *)"\xff\xd4\x04#HY000Could not find first log file name", 9 + 34,
                   0xffffff);
    binlog_stream_open(stream, "binlog.000001", 4);
    binlog_stream_give(stream, packets.bytes, packets.size);
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_FAILED);
    assert_int_equal(binlog_stream_server_error(stream), 1236);
    assert_int_equal(err.class, ERR_FATAL);
    assert_contains(err.text, "error 1236 HY000: Could not find first log file name");
    binlog_stream_free(stream);
    buffer_deinit(&packets);
}

static void move_on_with(uint8_t type)
{
    struct buffer log = log_begin("mysql-9.7.4.binlog.000008");
    struct buffer packets;
    struct binlog_stream_options options = {.framing = BINLOG_PACKETS};
    struct binlog_stream *stream = binlog_stream_new(&options);
    struct err err = {0};
    size_t heartbeat = log.size;

    log_event_add(&log, type, 0, "binlog.000001", 13, true);
    log.bytes[heartbeat + 14] = 0x40; /* next_pos 0x40.. : transactions were left out */
    log_mend(&log, heartbeat);
    packets = log_packets(&log);
    binlog_stream_open(stream, "", 4);
    binlog_stream_give(stream, packets.bytes, packets.size);
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_IDLE); /* the artificial ROTATE */
    assert_string_equal(binlog_stream_file(stream), "binlog.000001");
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_IDLE);
    assert_int_equal(binlog_stream_position(stream), 0x4000 | log.bytes[heartbeat + 13]);
    assert_int_equal(binlog_stream_event_position(stream), heartbeat); /* it has no place of its own in the file */
    assert_int_equal(binlog_stream_next(stream, &err), BINLOG_INPUT);
    binlog_stream_free(stream);
    buffer_deinit(&packets);
    buffer_deinit(&log);
}

static void test_stream__moves_on_with_heartbeats(void **state)
{
    (void)state;
    move_on_with(EVENT_HEARTBEAT);
    move_on_with(EVENT_HEARTBEAT_V2);
}

static void test_stream__gives_the_same_table_until_its_shape_changes(void **state)
{
    struct buffer log = log_load("mysql-9.7.4.binlog.000016");
    struct play_options wanted = only("t.inst");
    struct binlog_stream *stream = binlog_stream_new(&wanted.stream);
    const struct binlog_table *tables[3];
    size_t row_count = 0;
    enum binlog_item item;
    struct err err = {0};

    (void)state;
    binlog_stream_open(stream, "binlog.000016", 4);
    binlog_stream_give(stream, log.bytes, log.size);
    while ((item = binlog_stream_next(stream, &err)) != BINLOG_INPUT) {
        assert_int_not_equal(item, BINLOG_FAILED);
        if (item == BINLOG_ROW) {
            assert_true(row_count < 3);
            tables[row_count++] = binlog_stream_row(stream)->table;
        }
    }
    /* insert; add column c; add column z first; update; drop column b; update */
    assert_int_equal(row_count, 3);
    assert_int_equal(tables[0]->table->column_count, 2);
    assert_int_equal(tables[1]->table->column_count, 4);
    assert_int_equal(tables[2]->table->column_count, 3);
    assert_string_equal(tables[1]->table->columns[0].name, "z");
    assert_string_equal(tables[1]->table->columns[3].name, "c");
    assert_true(tables[0]->version < tables[1]->version && tables[1]->version < tables[2]->version);
    binlog_stream_free(stream);
    buffer_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream__of_mysql_yields_what_the_server_selects),
        cmocka_unit_test(test_stream__of_mariadb_yields_what_the_server_selects),
        cmocka_unit_test(test_stream__inflates_columns_and_events_of_mariadb),
        cmocka_unit_test(test_stream__puts_partial_updates_of_json_together),
        cmocka_unit_test(test_stream__yields_the_same_in_pieces_of_any_size),
        cmocka_unit_test(test_stream__cut_anywhere_fails_or_ends_cleanly),
        cmocka_unit_test(test_stream__notices_every_flipped_bit),
        cmocka_unit_test(test_stream__never_lets_unverified_rows_be_committed),
        cmocka_unit_test(test_stream__walks_large_events_in_pieces_of_any_size),
        cmocka_unit_test(test_stream__passes_over_every_type_of_tables_that_are_not_selected),
        cmocka_unit_test(test_stream__counts_row_images_before_selection),
        cmocka_unit_test(test_stream__knows_gtid_and_commit_time_of_mysql),
        cmocka_unit_test(test_stream__knows_tagged_gtids),
        cmocka_unit_test(test_stream__reads_mariadb_transactions_without_positions),
        cmocka_unit_test(test_stream__ends_transactions_where_the_server_does),
        cmocka_unit_test(test_stream__gives_up_a_transaction_that_a_restart_cut_off),
        cmocka_unit_test(test_stream__yields_truncates_of_selected_tables),
        cmocka_unit_test(test_stream__reads_statements_in_the_clients_character_set),
        cmocka_unit_test(test_stream__reads_names_in_statements_as_the_server_keeps_them),
        cmocka_unit_test(test_stream__empties_the_tables_of_a_dropped_database_that_may_have_rows),
        cmocka_unit_test(test_stream__empties_the_tables_that_it_was_told_of_all_or_none),
        cmocka_unit_test(test_stream__tells_which_database_was_dropped),
        cmocka_unit_test(test_stream__tells_of_selected_tables_that_a_statement_may_have_changed),
        cmocka_unit_test(test_stream__tells_of_an_alteration_when_it_is_done),
        cmocka_unit_test(test_stream__tells_columns_that_go_and_come_from_rows_that_change),
        cmocka_unit_test(test_stream__refuses_what_is_not_read_yet),
        cmocka_unit_test(test_stream__yields_vectors_as_json),
        cmocka_unit_test(test_stream__refuses_rows_of_prepared_xa_transactions_and_lets_none_be_committed),
        cmocka_unit_test(test_stream__of_xa_in_one_phase_the_end_is_the_commit),
        cmocka_unit_test(test_stream__refuses_xa_commits_of_what_it_has_not_seen_prepared),
        cmocka_unit_test(test_stream__refuses_unknown_events_that_are_not_ignorable),
        cmocka_unit_test(test_stream__passes_unknown_events_that_are_ignorable),
        cmocka_unit_test(test_stream__refuses_rows_that_were_logged_as_statements),
        cmocka_unit_test(test_stream__refuses_statements_about_other_tables),
        cmocka_unit_test(test_stream__passes_statements_about_tables_that_are_excluded_and_about_the_servers_own),
        cmocka_unit_test(test_stream__passes_statements_about_the_tables_of_rds),
        cmocka_unit_test(test_stream__refuses_to_begin_inside_a_transaction),
        cmocka_unit_test(test_stream__refuses_logs_without_names_unless_told),
        cmocka_unit_test(test_stream__says_what_the_server_said),
        cmocka_unit_test(test_stream__moves_on_with_heartbeats),
        cmocka_unit_test(test_stream__gives_the_same_table_until_its_shape_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

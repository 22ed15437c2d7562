/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen to a partition: a row lost, doubled, or committed for someone else. Rule names: ARCHITECTURE.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/partition_world.h"

static struct world world;

static int tear_down(void **state)
{
    (void)state;
    world_deinit(&world);
    return 0;
}

static void begin(const char *log)
{
    world_init(&world, log);
    world_assign(&world);
}

static uint64_t count(enum fate fate)
{
    return account_rows(accounting_open(world.shared.accounting, "shop.orders", 0), fate);
}

/* ---- the way of a row */

static void test_partition__reads_nothing_before_the_warehouse_said_where(void **state)
{
    (void)state;
    begin("abc");
    world_locate(&world);
    assert_false(world.reading);
    world_recover(&world);
    assert_false(world.seeking);
    world_range(&world);
    assert_true(world.seeking);
}

static void test_partition__writes_each_row_once_and_commits_behind_it(void **state)
{
    (void)state;
    begin("abcdefghij");
    world_settle(&world);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(world.rows[i], 1);
    }
    assert_int_equal(world.committed, 10);
    assert_int_equal(count(FATE_APPENDED), 10);
}

static void test_partition__commits_no_offset_whose_row_has_no_answer(void **state)
{
    (void)state;
    begin("abcd");
    world_start(&world);
    world_commit(&world, COMMIT_IN); /* of the start */
    assert_int_equal(world.committed, 0);
    world_deliver_all(&world);
    world_ensure(&world);
    world_pass(&world, 60000);
    assert_false(world.committing);
    world_send(&world, LANE_IN);
    assert_true(world.committing);
    assert_int_equal(world.commit_offset, 4);
}

static void test_partition__sends_a_batch_at_its_age(void **state)
{
    (void)state;
    begin("a");
    world_start(&world);
    assert_true(world_deliver(&world));
    world_pass(&world, 999);
    assert_null(world.ensure_answer);
    world_pass(&world, 1);
    assert_non_null(world.ensure_answer);
}

static void answer_prepare(const struct err *err)
{
    lane_ensured answer = world.prepare_answer;

    assert_non_null(answer);
    world.prepare_answer = NULL;
    answer(world.prepare_context, err);
}

static void test_partition__plans_nothing_before_the_batchs_way_is_ready(void **state)
{
    const struct err err = {ERR_RETRY, "no stream today"};

    (void)state;
    begin("abcd");
    world.unprepared = true;
    world_start(&world);
    world_commit(&world, COMMIT_IN);
    world_deliver_all(&world);
    world_ensure(&world);
    assert_int_equal(world.plans, 0);
    answer_prepare(&err);
    assert_null(world.ensure_answer);
    world_pass(&world, 60000);
    assert_int_equal(world.plans, 0);
    world_ensure(&world); /* asked once more: it may be the table that is gone */
    world.unprepared = false;
    answer_prepare(NULL);
    assert_int_equal(world.plans, 1);
    world_settle(&world);
    assert_int_equal(world.committed, 4);
}

static void test_partition__without_a_commit_makes_one_at_once(void **state) /* C6 */
{
    (void)state;
    begin("");
    world_start(&world);
    assert_true(world.committing);
    assert_int_equal(world.commit_offset, 0);
}

static void test_partition__moves_past_markers_at_the_end_of_the_log(void **state)
{
    (void)state;
    begin("ab.");
    world_settle(&world);
    assert_int_equal(world.next, 3);
    assert_int_equal(world.committed, 3);
}

/* ---- C2, C3, SURPRISE */

static void test_partition__ft_c2_commits_nothing_after_release(void **state)
{
    (void)state;
    begin("abcd");
    world_start(&world);
    world_commit(&world, COMMIT_IN);
    world_deliver_all(&world);
    world_ensure(&world);
    partition_close(world.partition, false);
    assert_false(world.released); /* the request under way is waited for */
    world_pass(&world, 5000);     /* ... but not for ever */
    assert_non_null(world.close_answer);
    world_pass(&world, 1);
    assert_true(world.released);
    world_send(&world, LANE_IN); /* late: counted, never committed (ask_commit asserts) */
    assert_false(world.committing);
    assert_int_equal(count(FATE_APPENDED), 4);
    world_check_p5(&world);
}

static void test_partition__ft_c2_of_a_lost_partition_commits_nothing(void **state)
{
    (void)state;
    begin("abcd");
    world_start(&world);
    world_commit(&world, COMMIT_IN);
    world_deliver_all(&world);
    world_ensure(&world);
    partition_close(world.partition, true);
    world_send(&world, LANE_IN);
    assert_false(world.committing);
    assert_non_null(world.close_answer);
    world_close_lane(&world);
    assert_true(world.closed);
    assert_int_equal(world.committed, 0);
}

static void test_partition__drained_commits_what_is_in_before_release(void **state)
{
    (void)state;
    begin("abcd");
    world_start(&world);
    world_commit(&world, COMMIT_IN);
    world_deliver_all(&world);
    world_ensure(&world);
    partition_close(world.partition, false);
    world_send(&world, LANE_IN);
    assert_true(world.committing);
    assert_false(world.released);
    world_commit(&world, COMMIT_IN);
    world_close_lane(&world);
    assert_true(world.closed);
    assert_int_equal(world.committed, 4);
}

static void test_partition__never_sends_a_refused_commit_again(void **state) /* K2 */
{
    (void)state;
    begin("abcd");
    world_start(&world);
    world_commit(&world, COMMIT_LOST);
    world_pass(&world, 9999);
    assert_false(world.committing);
    assert_false(world_deliver(&world));
    assert_string_equal(partition_state(world.partition), "LOST");
    partition_close(world.partition, false); /* the group's revoke comes later */
    assert_false(world.committing);
}

static void test_partition__commits_again_after_a_rebalance_in_progress(void **state)
{
    (void)state;
    begin("abcd");
    world_start(&world);
    world_commit(&world, COMMIT_LATER);
    assert_false(world.committing);
    world_pass(&world, 1000);
    assert_true(world.committing);
}

static void test_partition__ft_c3_sends_the_same_request_after_a_pause(void **state)
{
    struct request *request;

    (void)state;
    begin("abcdefgh");
    world_start(&world);
    world_deliver_all(&world);
    world_ensure(&world);
    request = world.last_sent;
    for (int i = 0; i < 8; i++) { /* more rows have come meanwhile */
        world_send(&world, LANE_PAUSE);
        assert_null(world.send_answer);
        world_pass(&world, 30000);
        assert_non_null(world.send_answer);
        assert_ptr_equal(world.sent, request);
    }
    assert_int_equal(world.plans, 1);
    world_settle(&world);
    assert_int_equal(world.next, 8);
}

static void test_partition__in_surprise_asks_the_warehouse_and_doubles_nothing(void **state)
{
    (void)state;
    begin("abcdef");
    world_start(&world);
    world_deliver_all(&world);
    world_ensure(&world);
    world_send_unclear(&world); /* abcd are in, and nobody knows */
    assert_false(world.reading);
    world_pass(&world, 999);
    assert_false(world.locating);
    world_pass(&world, 1);
    assert_true(world.locating);
    world_settle(&world);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(world.rows[i], 1);
    }
    assert_int_equal(count(FATE_ALREADY_IN), 4);
    assert_int_equal(count(FATE_APPENDED), 2);
}

static void test_partition__in_surprise_writes_again_what_is_not_in(void **state)
{
    (void)state;
    begin("abcdef");
    world_start(&world);
    world_deliver_all(&world);
    world_ensure(&world);
    world_send(&world, LANE_SURPRISE);
    world_settle(&world);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(world.rows[i], 1);
    }
    assert_int_equal(count(FATE_ALREADY_IN), 0);
    assert_int_equal(count(FATE_APPENDED), 6);
}

static void test_partition__backs_off_longer_after_each_surprise(void **state)
{
    uint64_t wait_ms = 1000;

    (void)state;
    begin("a");
    for (int i = 0; i < 5; i++, wait_ms *= 2) {
        world_start(&world);
        world_deliver_all(&world);
        world_pass(&world, 1000);
        if (world.ensure_answer != NULL) {
            world_ensure(&world);
        }
        if (world.committing) {
            world_commit(&world, COMMIT_IN);
        }
        world_send(&world, LANE_SURPRISE);
        world_pass(&world, wait_ms - 1);
        assert_false(world.locating);
        world_pass(&world, 1);
        assert_true(world.locating);
    }
}

static void test_partition__stops_when_the_warehouse_says_so_and_never_goes_on(void **state)
{
    (void)state;
    begin("abcdefgh");
    world_start(&world);
    world_deliver_all(&world);
    world_ensure(&world);
    world_send(&world, LANE_STOP);
    assert_true(partition_stopped(world.partition));
    assert_int_equal(partition_trouble(world.partition)->class, ERR_FATAL);
    world_pass(&world, 1000000);
    assert_false(world_deliver(&world));
    assert_null(world.send_answer);
    assert_false(world.locating);
    world_check_p5(&world);
}

/* ---- mark before send (the plan of section 5) */

static void begin_marked(const char *log)
{
    world_init(&world, log);
    world.warehouse_calls.mark_before_send = true;
    world_assign(&world);
    world_start(&world);
    world_commit(&world, COMMIT_IN);
    world_deliver_all(&world);
    world_ensure(&world);
}

static void test_partition__sends_only_after_the_mark_is_acknowledged(void **state)
{
    (void)state;
    begin_marked("abcd");
    assert_null(world.send_answer);
    assert_true(world.committing);
    assert_int_equal(world.commit_offset, 0); /* nothing is in yet: the offset stays, the mark tells the plan */
    assert_string_equal(world.commit_mark, "mark 1");
    world_pass(&world, 100000);
    assert_null(world.send_answer);
    world_commit(&world, COMMIT_IN);
    assert_non_null(world.send_answer);
}

static void test_partition__sends_nothing_when_its_mark_was_refused(void **state)
{
    (void)state;
    begin_marked("abcd");
    world_commit(&world, COMMIT_LATER);
    assert_null(world.send_answer);
    world_pass(&world, 1000);
    world_commit(&world, COMMIT_LOST);
    world_pass(&world, 9999);
    assert_null(world.send_answer);
    assert_false(world.committing);
}

static void test_partition__recovers_when_a_refused_commit_took_nothing_away(void **state) /* a cooperative rebalance left it where it was */
{
    (void)state;
    begin_marked("abcd");
    world_commit(&world, COMMIT_LOST);
    world_pass(&world, 9999);
    assert_false(world.locating);
    world_pass(&world, 1);
    assert_true(world.locating); /* nothing is taken for known: neither the refused commit, nor what was planned */
    assert_null(world.send_answer);
    assert_false(world.committing);
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 4);
    assert_int_equal(world.committed, 4);
}

static void test_partition__that_stopped_stays_so_when_its_last_commit_is_refused(void **state)
{
    (void)state;
    begin_marked("abcd");
    partition_on_failed(world.partition, &(struct err){.class = ERR_FATAL, .text = "a person must act"});
    assert_true(partition_stopped(world.partition));
    world_commit(&world, COMMIT_LOST);
    world_pass(&world, 100000);
    assert_true(partition_stopped(world.partition));
    assert_false(world.locating);
}

static void test_partition__marks_again_when_rows_left_the_request(void **state)
{
    (void)state;
    begin_marked("aXcd");
    world_commit(&world, COMMIT_IN);
    world_send(&world, LANE_BAD_ROWS);
    world_bury_all(&world);
    assert_null(world.send_answer);
    assert_true(world.committing);
    world_commit(&world, COMMIT_IN);
    world_send(&world, LANE_IN);
    assert_int_equal(world.rows[1], 0);
    assert_int_equal(world.rows[2], 1);
}

static void test_partition__sends_nothing_of_a_mark_acknowledged_after_revoke(void **state)
{
    (void)state;
    begin_marked("abcd");
    partition_close(world.partition, false);
    world_commit(&world, COMMIT_IN);
    assert_null(world.send_answer);
}

/* ---- dedupe, dead letters, schemas */

static void test_partition__ft_52_drops_a_repeated_change(void **state)
{
    (void)state;
    begin("abcab");
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 3);
    assert_int_equal(count(FATE_DEDUPLICATED), 2);
    assert_int_equal(world.rows[3] + world.rows[4], 0);
    assert_int_equal(world.committed, 5);
}

static void test_partition__ft_52_reads_back_before_its_start(void **state)
{
    (void)state;
    begin("abca");
    world.next = 3;
    world_start(&world);
    assert_int_equal(world.read_offset, 0);
    assert_string_equal(partition_state(world.partition), "PRIME");
    world_settle(&world);
    assert_int_equal(count(FATE_DEDUPLICATED), 1);
    assert_int_equal(count(FATE_APPENDED), 0);
}

static void begin_behind_a_late_schema(void)
{
    begin("?ab?"); /* the second ? is a repetition of the first */
    world.next = 3;
    world_start(&world);
    world_deliver_all(&world);
    assert_true(world.reading_schemas);
    assert_false(world.reading);
    assert_int_equal(partition_messages_held(world.partition), 0); /* it is not read, only read back */
}

static void test_partition__ft_52_waits_for_a_schema_while_it_reads_back(void **state)
{
    (void)state;
    begin_behind_a_late_schema();
    world.knows_late_schema = true;
    world_schemas(&world);
    assert_true(world.reading);
    world_settle(&world);
    assert_int_equal(count(FATE_DEDUPLICATED), 1);
    assert_int_equal(count(FATE_APPENDED), 0);
}

static void test_partition__reading_back_does_not_wait_for_a_schema_for_ever(void **state)
{
    (void)state;
    begin_behind_a_late_schema();
    world_pass(&world, 60000);
    world_seek(&world);
    assert_string_equal(partition_state(world.partition), "RUN");
    assert_int_equal(world.read_offset, 3);
    world.knows_late_schema = true;
    world_schemas(&world); /* late, and nobody's */
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 1);
}

static void test_partition__is_revoked_while_it_reads_back_and_waits(void **state)
{
    (void)state;
    begin_behind_a_late_schema();
    partition_close(world.partition, false);
    world_schemas(&world);
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED) + count(FATE_DEAD_LETTERED), 0);
}

static void test_partition__read_again_after_a_surprise_is_no_duplicate_of_itself(void **state)
{
    (void)state;
    begin("abcaef"); /* the second a is one */
    world_start(&world);
    world_deliver_all(&world);
    world_ensure(&world);
    world_send(&world, LANE_SURPRISE);
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 5);
    assert_int_equal(count(FATE_DEDUPLICATED), 1);
    assert_int_equal(world.rows[0], 1);
    assert_int_equal(world.rows[3], 0);
}

static void test_partition__bad_messages_never_stop_it(void **state)
{
    (void)state;
    begin("a!b#cXdPe?f");
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 6);
    assert_int_equal(count(FATE_DEAD_LETTERED), 5);
    for (size_t i = 0; i < strlen(world.log); i++) {
        bool good = strchr("abcdef", world.log[i]) != NULL;

        assert_int_equal(world.rows[i], good);
        assert_int_equal(world.dead[i] > 0, !good);
    }
    assert_int_equal(world.committed, 11);
}

static void test_partition__no_offset_passes_a_letter_that_is_not_acknowledged(void **state) /* P1 */
{
    (void)state;
    begin("!");
    world_start(&world);
    world_commit(&world, COMMIT_IN);
    world_deliver_all(&world);
    world_pass(&world, 100000);
    assert_null(world.send_answer);
    assert_false(world.committing);
    world_bury_all(&world);
    assert_non_null(world.send_answer);
}

static void test_partition__late_letters_of_an_earlier_course_mean_nothing(void **state)
{
    (void)state;
    begin("X!!d");
    world_start(&world);
    world_deliver_all(&world);
    partition_on_failed(world.partition, &(struct err){.class = ERR_RETRY, .text = "lost its leader"});
    world_pass(&world, 1000);
    world_bury_all(&world);
    world_settle(&world);
    assert_int_equal(count(FATE_DEAD_LETTERED), 3);
    assert_int_equal(count(FATE_APPENDED), 1);
}

static void test_partition__waits_for_a_schema_that_is_on_its_way(void **state)
{
    (void)state;
    begin("a?b");
    world_start(&world);
    world_deliver_all(&world);
    assert_true(world.reading_schemas);
    assert_false(world.reading); /* b must not overtake */
    assert_string_equal(partition_state(world.partition), "WAIT_SCHEMA");
    world.knows_late_schema = true;
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 3);
    assert_int_equal(count(FATE_DEAD_LETTERED), 0);
}

static void test_partition__buries_a_row_whose_schema_is_not_there_when_all_was_read(void **state)
{
    (void)state;
    begin("a?b");
    world_start(&world);
    world_deliver_all(&world);
    assert_int_equal(world.letter_count, 0);
    world_schemas(&world);
    assert_int_equal(world.letter_count, 1);
    world_settle(&world);
    assert_int_equal(count(FATE_APPENDED), 2);
}

/* ---- ranges, budget, closing */

static void test_partition__stops_when_the_log_no_longer_holds_its_start(void **state) /* C6, P1 */
{
    (void)state;
    begin("abcdef");
    world.next = 2;
    world.low = 4;
    world_locate(&world);
    world_recover(&world);
    world_range(&world);
    assert_true(partition_stopped(world.partition));
    assert_non_null(strstr(partition_trouble(world.partition)->text, "the next message is 2, but the topic begins at 4"));
    world_pass(&world, 1000000);
    assert_false(world.locating || world.seeking || world.committing);
}

static void test_partition__stops_when_the_topic_was_made_anew(void **state) /* C6 */
{
    (void)state;
    begin("abc");
    world.next = 100;
    world_locate(&world);
    world_recover(&world);
    world_range(&world);
    assert_true(partition_stopped(world.partition));
}

static void test_partition__stops_when_its_place_vanishes_while_it_runs(void **state)
{
    (void)state;
    begin("abcdefgh");
    world_start(&world);
    world_deliver_all(&world);
    partition_on_failed(world.partition, &(struct err){.class = ERR_FATAL, .text = "out of range"});
    assert_true(partition_stopped(world.partition));
    world_check_p5(&world);
}

static void test_partition__holds_while_a_full_batch_waits_and_goes_on_behind(void **state)
{
    (void)state;
    begin("abcdefghijklmnop");
    world_start(&world);
    world_deliver_all(&world);
    assert_false(world.reading);
    assert_int_equal(partition_messages_held(world.partition), 8); /* one batch under way, one full */
    world_ensure(&world);
    world_send(&world, LANE_IN);
    assert_true(world.reading);
    world_settle(&world);
    assert_int_equal(world.next, 16);
}

static void test_partition__holds_while_the_budget_is_tight_and_sends_what_it_has(void **state) /* P6 */
{
    (void)state;
    begin("abc");
    world_start(&world);
    assert_true(world_deliver(&world));
    budget_take(&world.budget, 1 << 20); /* another partition's */
    partition_step(world.partition);
    assert_false(world.reading);
    assert_non_null(world.ensure_answer); /* before its age */
    budget_give(&world.budget, 1 << 20);
    partition_step(world.partition);
    assert_true(world.reading);
}

static void test_partition__closes_in_every_state_without_a_leftover(void **state)
{
    (void)state;
    for (int steps = 0; steps < 9; steps++) {
        if (steps > 0) {
            world_deinit(&world);
        }
        begin("ab!d");
        for (int step = 0; step < steps; step++) {
            switch (step) {
            case 0: world_locate(&world); break;
            case 1: world_recover(&world); break;
            case 2: world_range(&world); break;
            case 3: world_seek(&world); break;
            case 4: assert_true(world_deliver(&world)); break;
            case 5: world_deliver_all(&world); break;
            case 6: world_bury_all(&world); break;
            case 7: world_ensure(&world); break;
            }
        }
        partition_close(world.partition, steps % 2 == 0);
        world_check_p5(&world);
    } /* tear_down answers what is open, and asserts that nothing is left */
}

static void test_partition__of_the_next_assignment_goes_on_where_the_last_one_ended(void **state)
{
    (void)state;
    begin("abcdefgh");
    world_start(&world);
    world_deliver_all(&world);
    world_ensure(&world);
    world_send(&world, LANE_IN);
    partition_close(world.partition, true);
    world_send(&world, LANE_IN); /* the second batch was under way */
    world_close_lane(&world);
    world_assign(&world);
    world_settle(&world);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(world.rows[i], 1);
    }
}

/* ---- files */

static void begin_files(const char *log)
{
    world_init(&world, log);
    world_gather(&world);
    world_assign(&world);
    world_start(&world);
}

/* Into the file, one batch after the other. */
static void take_all(void)
{
    while (world_deliver(&world) || world.send_answer != NULL || world.ensure_answer != NULL || (world.committing && !world.sealing)) {
        if (world.ensure_answer != NULL) {
            world_ensure(&world);
        } else if (world.committing && !world.sealing) {
            world_commit(&world, COMMIT_IN);
        } else if (world.send_answer != NULL) {
            world_send(&world, LANE_IN);
        }
    }
}

static void test_partition__commits_nothing_of_a_file_before_its_seal_is_in(void **state) /* I5 */
{
    (void)state;
    begin_files("abcdefgh");
    take_all();
    world_check_p5(&world);
    assert_int_equal(count(FATE_APPENDED), 0);
    assert_int_equal(partition_next(world.partition), 0);
    assert_int_equal(partition_taken(world.partition), 8);
    world.seal_due_ms = 0;
    partition_step(world.partition);
    assert_true(world.committing); /* D1: the intent first */
    assert_null(world.send_answer);
    world_commit(&world, COMMIT_IN);
    assert_int_equal(world.committed, 0);
    world_send(&world, LANE_IN);
    assert_int_equal(count(FATE_APPENDED), 8);
    world_settle(&world);
    assert_int_equal(world.committed, 8);
}

static void limit_to_two(struct lane *lane, struct batch_limits *limits)
{
    (void)lane;
    limits->rows = world.file_open ? 2 : limits->rows;
}

static void send_batch(void)
{
    while (world.ensure_answer != NULL || world.committing) {
        if (world.ensure_answer != NULL) {
            world_ensure(&world);
        } else {
            world_commit(&world, COMMIT_IN);
        }
    }
    world_send(&world, LANE_IN);
}

static void test_partition__asks_the_lane_for_limits_when_a_batch_begins_and_when_one_was_taken(void **state)
{
    (void)state;
    world_init(&world, "abcdefghi");
    world_gather(&world);
    world.warehouse_calls.limit = limit_to_two;
    world_assign(&world);
    world_start(&world);
    for (int i = 0; i < 7; i++) {
        assert_true(world_deliver(&world));
    }
    send_batch(); /* of four; three wait for a fourth */
    assert_true(world.file_open);
    assert_int_equal(world.file_row_count, 4);
    assert_true(partition_is_sending(world.partition)); /* not any more */
    send_batch();
    assert_int_equal(world.file_row_count, 7);
    assert_true(world_deliver(&world));
    assert_false(partition_is_sending(world.partition));
    assert_true(world_deliver(&world));
    assert_true(partition_is_sending(world.partition));
    send_batch();
    assert_int_equal(world.file_row_count, 9);
}

static void test_partition__holds_no_bytes_of_what_stands_in_a_file(void **state) /* P6 */
{
    (void)state;
    begin_files("abcdefgh");
    take_all();
    assert_int_equal(budget_used(&world.budget), 0);
}

static void test_partition__ft_d2_builds_the_file_of_an_earlier_intent_to_exactly_its_end(void **state)
{
    (void)state;
    begin_files("abcdefghij..kl");
    take_all();
    world.file_end = 11; /* as if the intent had named the middle of the markers */
    world.intent = 11;
    partition_close(world.partition, true);
    world_close_lane(&world);
    world_assign(&world);
    world_start(&world);
    world.seal_due_ms = UINT64_MAX;
    take_all();
    assert_int_equal(world.file_end, 11); /* the seal is asked for at the cut, not when it would be due */
    assert_true(world.sealing);
    world_settle(&world);
    assert_int_equal(world.file_end, 14);
    world.seal_due_ms = 0;
    world_settle(&world);
    assert_int_equal(world.next, 14);
    for (int i = 0; i < 14; i++) {
        assert_int_equal(world.rows[i], world.log[i] != '.');
    }
}

static void test_partition__seals_before_a_batch_that_does_not_fit(void **state)
{
    (void)state;
    begin_files("abcdefgh");
    assert_true(world_deliver(&world) && world_deliver(&world) && world_deliver(&world) && world_deliver(&world));
    world_ensure(&world);
    world_commit(&world, COMMIT_IN); /* the first one, of the start */
    world_commit(&world, COMMIT_IN);
    world_send(&world, LANE_IN);
    world.fits = false;
    world_deliver_all(&world);
    assert_true(world.sealing);
    world_commit(&world, COMMIT_IN);
    world_send(&world, LANE_IN);
    assert_int_equal(world.next, 4);
    assert_int_equal(count(FATE_APPENDED), 4);
}

static void test_partition__ft_d4_takes_a_refused_file_in_batch_by_batch(void **state)
{
    (void)state;
    begin_files("abXdefgh");
    take_all();
    world.seal_due_ms = 0;
    world_settle(&world);
    assert_int_equal(world.next, 8);
    assert_int_equal(world.dead[2], 1);
    assert_int_equal(count(FATE_APPENDED), 7);
    assert_int_equal(count(FATE_DEAD_LETTERED), 1);
}

static void test_partition__counts_a_file_as_already_in_when_recovery_says_so(void **state) /* R5 */
{
    (void)state;
    begin_files("abcd");
    take_all();
    world.seal_due_ms = 0;
    partition_step(world.partition);
    world_commit(&world, COMMIT_IN);
    world_send_unclear(&world);
    world_settle(&world);
    assert_int_equal(count(FATE_ALREADY_IN), 4);
    assert_int_equal(count(FATE_APPENDED), 0);
}

/* ---- C6: rows, and no commit */

static void test_partition__ft_c6_stops_on_rows_without_any_commit_of_the_topic(void **state)
{
    (void)state;
    begin("abc");
    world.needs_commit_of_topic = true;
    world_locate(&world);
    world_recover(&world);
    assert_false(world.ranging);
    world_confirm(&world, false);
    assert_true(partition_stopped(world.partition));
    assert_non_null(strstr(partition_trouble(world.partition)->text, "no commit for any partition"));
}

static void test_partition__ft_c6_goes_on_beside_partitions_that_have_commits(void **state)
{
    (void)state;
    begin("abc");
    world.needs_commit_of_topic = true;
    world_locate(&world);
    world_recover(&world);
    world_confirm(&world, true);
    assert_true(world.ranging);
}

/* ---- every schedule */

static void turn(struct world *w, unsigned *seed)
{
    static const enum lane_answer answers[] = {LANE_IN, LANE_IN, LANE_IN, LANE_PAUSE, LANE_SURPRISE};
    int choice = rand_r(seed) % 16;

    w->fits = rand_r(seed) % 8 > 0;
    w->seal_due_ms = rand_r(seed) % 8 > 0 ? w->now_ms + 5000 : 0;

    if (choice < 6) {
        (void)world_deliver(w);
    } else if (choice == 6) {
        world_pass(w, (uint64_t)(rand_r(seed) % 3000));
    } else if (choice == 7) {
        world_bury_all(w);
    } else if (choice == 8 && w->ensure_answer != NULL) {
        world_ensure(w);
    } else if (choice <= 10 && w->send_answer != NULL && rand_r(seed) % 8 == 0) {
        world_send_unclear(w);
    } else if (choice <= 10 && w->send_answer != NULL) {
        world_send(w, answers[rand_r(seed) % 5]);
    } else if (choice == 11 && w->committing) {
        world_commit(w, rand_r(seed) % 4 > 0 ? COMMIT_IN : COMMIT_LATER);
    } else if (choice == 12 && w->reading_schemas) {
        world_schemas(w);
    } else if (choice == 13 && w->locating) {
        world_locate(w);
    } else if (choice == 13 && w->recover_answer != NULL) {
        world_recover(w);
    } else if (choice == 14 && w->confirming) {
        world_confirm(w, true);
    } else if (choice == 14 && w->ranging) {
        world_range(w);
    } else if (choice == 14 && w->seeking) {
        world_seek(w);
    } else if (choice == 15 && rand_r(seed) % 20 == 0) {
        partition_close(w->partition, rand_r(seed) % 2 == 0);
    }
}

static void reassign(struct world *w)
{
    while (w->partition != NULL) {
        world_pass(w, 5000);
        if (w->send_answer != NULL) {
            world_send(w, LANE_IN);
        } else if (w->recover_answer != NULL) {
            world_recover(w);
        } else if (w->ensure_answer != NULL) {
            world_ensure(w);
        } else if (w->close_answer != NULL) {
            world_close_lane(w);
        }
    }
    world_assign(w);
}

static void one_schedule(unsigned number)
{
    unsigned seed = number;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOQRSTUVWYZ0123456789!#XP?...";
    char log[121];

    for (size_t i = 0; i < sizeof log - 1; i++) {
        log[i] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
    }
    log[sizeof log - 1] = '\0';
    world_init(&world, log);
    world.warehouse_calls.mark_before_send = number % 2 == 0;
    world.needs_commit_of_topic = number % 5 == 0;
    if (number % 3 == 0) {
        world_gather(&world);
    }
    world_assign(&world);
    for (int i = 0; i < 1500; i++) {
        turn(&world, &seed);
        world_check_p5(&world);
        if (world.close_answer != NULL) {
            reassign(&world);
        }
    }
    partition_close(world.partition, false); /* it may be closing already */
    reassign(&world);
    world.seal_due_ms = 0;
    world_settle(&world);
    for (size_t i = 0; i < sizeof log - 1; i++) {
        bool repeated = i > 0 && memchr(log, log[i], i) != NULL;
        bool row = strchr("!#XP?.", log[i]) == NULL;

        assert_true(world.rows[i] <= 1);
        assert_true(!row || repeated || world.rows[i] == 1); /* a repeated one may be in: priming is cut short by the clock */
        assert_true(row || world.rows[i] == 0);
        assert_true(row || log[i] == '.' || repeated || world.dead[i] > 0);
    }
    assert_int_equal(world.next, sizeof log - 1);
    assert_int_equal(world.committed, sizeof log - 1);
    world_deinit(&world);
}

static void test_partition__in_any_schedule_each_row_is_in_once_and_accounted(void **state) /* P1, P2, P5 */
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        one_schedule(seed);
    }
}

#define test(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_partition__reads_nothing_before_the_warehouse_said_where),
        test(test_partition__writes_each_row_once_and_commits_behind_it),
        test(test_partition__commits_no_offset_whose_row_has_no_answer),
        test(test_partition__sends_a_batch_at_its_age),
        test(test_partition__plans_nothing_before_the_batchs_way_is_ready),
        test(test_partition__without_a_commit_makes_one_at_once),
        test(test_partition__moves_past_markers_at_the_end_of_the_log),
        test(test_partition__ft_c2_commits_nothing_after_release),
        test(test_partition__ft_c2_of_a_lost_partition_commits_nothing),
        test(test_partition__drained_commits_what_is_in_before_release),
        test(test_partition__never_sends_a_refused_commit_again),
        test(test_partition__recovers_when_a_refused_commit_took_nothing_away),
        test(test_partition__that_stopped_stays_so_when_its_last_commit_is_refused),
        test(test_partition__commits_again_after_a_rebalance_in_progress),
        test(test_partition__ft_c3_sends_the_same_request_after_a_pause),
        test(test_partition__in_surprise_asks_the_warehouse_and_doubles_nothing),
        test(test_partition__in_surprise_writes_again_what_is_not_in),
        test(test_partition__backs_off_longer_after_each_surprise),
        test(test_partition__stops_when_the_warehouse_says_so_and_never_goes_on),
        test(test_partition__sends_only_after_the_mark_is_acknowledged),
        test(test_partition__sends_nothing_when_its_mark_was_refused),
        test(test_partition__marks_again_when_rows_left_the_request),
        test(test_partition__sends_nothing_of_a_mark_acknowledged_after_revoke),
        test(test_partition__ft_52_drops_a_repeated_change),
        test(test_partition__ft_52_reads_back_before_its_start),
        test(test_partition__ft_52_waits_for_a_schema_while_it_reads_back),
        test(test_partition__reading_back_does_not_wait_for_a_schema_for_ever),
        test(test_partition__is_revoked_while_it_reads_back_and_waits),
        test(test_partition__read_again_after_a_surprise_is_no_duplicate_of_itself),
        test(test_partition__bad_messages_never_stop_it),
        test(test_partition__no_offset_passes_a_letter_that_is_not_acknowledged),
        test(test_partition__late_letters_of_an_earlier_course_mean_nothing),
        test(test_partition__waits_for_a_schema_that_is_on_its_way),
        test(test_partition__buries_a_row_whose_schema_is_not_there_when_all_was_read),
        test(test_partition__stops_when_the_log_no_longer_holds_its_start),
        test(test_partition__stops_when_the_topic_was_made_anew),
        test(test_partition__stops_when_its_place_vanishes_while_it_runs),
        test(test_partition__holds_while_a_full_batch_waits_and_goes_on_behind),
        test(test_partition__holds_while_the_budget_is_tight_and_sends_what_it_has),
        test(test_partition__commits_nothing_of_a_file_before_its_seal_is_in),
        test(test_partition__asks_the_lane_for_limits_when_a_batch_begins_and_when_one_was_taken),
        test(test_partition__holds_no_bytes_of_what_stands_in_a_file),
        test(test_partition__ft_d2_builds_the_file_of_an_earlier_intent_to_exactly_its_end),
        test(test_partition__seals_before_a_batch_that_does_not_fit),
        test(test_partition__ft_d4_takes_a_refused_file_in_batch_by_batch),
        test(test_partition__counts_a_file_as_already_in_when_recovery_says_so),
        test(test_partition__ft_c6_stops_on_rows_without_any_commit_of_the_topic),
        test(test_partition__ft_c6_goes_on_beside_partitions_that_have_commits),
        test(test_partition__closes_in_every_state_without_a_leftover),
        test(test_partition__of_the_next_assignment_goes_on_where_the_last_one_ended),
        cmocka_unit_test(test_partition__in_any_schedule_each_row_is_in_once_and_accounted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

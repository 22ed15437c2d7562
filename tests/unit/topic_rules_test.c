/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings of a topic mean: each rule, for each use of a topic, with more copies than one broker of the tests can give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/topic_rules.h"

/* "error what ... ", or "" if there is nothing to say. */
static const char *verdict(const struct topic_facts *topic, const char *name, const char *value)
{
    static char first[512];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct findings *findings = findings_new(out, false);

    assert_non_null(out);
    if (name != NULL) {
        topic_rules_judge(topic, name, value, findings);
    } else {
        topic_rules_judge_partitions(topic, (int)strtol(value, NULL, 10), findings);
    }
    assert_int_equal(fflush(out), 0);
    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(text, "\n"), text);
    assert_true(first[0] == '\0' || strstr(first, ". Remedy: ") != NULL || strncmp(first, "note", 4) == 0);
    (void)findings_end(findings);
    assert_int_equal(fclose(out), 0);
    free(text);
    return first;
}

static const struct topic_facts rows = {.subject = "topic p.d.t", .use = TOPIC_OF_ROWS, .partitions = 3, .copies = 3};
static const struct topic_facts records = {.subject = "topic p.positions", .use = TOPIC_OF_RECORDS, .compacted = true, .partitions = 1, .copies = 3};
static const struct topic_facts dead = {.subject = "topic p.dead", .use = TOPIC_OF_DEAD_LETTERS, .partitions = 1, .copies = 3};

static void assert_begins(const char *said, const char *words)
{
    assert_memory_equal(said, words, strlen(words));
}

static void test_topic_rules__rows_and_dead_letters_are_never_compacted_and_records_always_O7(void **state)
{
    (void)state;
    assert_begins(verdict(&rows, "cleanup.policy", "compact,delete"), "error    topic p.d.t: cleanup.policy is compact,delete");
    assert_begins(verdict(&dead, "cleanup.policy", "compact"), "error ");
    assert_begins(verdict(&records, "cleanup.policy", "delete"), "error ");
    assert_string_equal(verdict(&rows, "cleanup.policy", "delete"), "");
    assert_string_equal(verdict(&records, "cleanup.policy", "compact"), "");
}

static void test_topic_rules__one_broker_may_not_acknowledge_alone_where_there_are_more(void **state)
{
    struct topic_facts alone = rows;

    (void)state;
    alone.copies = 1;
    assert_begins(verdict(&rows, "min.insync.replicas", "1"), "warning  topic p.d.t: min.insync.replicas is 1");
    assert_begins(verdict(&records, "min.insync.replicas", "1"), "warning ");
    assert_string_equal(verdict(&rows, "min.insync.replicas", "2"), "");
    assert_string_equal(verdict(&alone, "min.insync.replicas", "1"), ""); /* that there is one copy is said elsewhere */
}

static void test_topic_rules__a_broker_that_lags_behind_never_leads(void **state)
{
    (void)state;
    assert_begins(verdict(&rows, "unclean.leader.election.enable", "true"), "error ");
    assert_begins(verdict(&records, "unclean.leader.election.enable", "true"), "error ");
    assert_string_equal(verdict(&rows, "unclean.leader.election.enable", "false"), "");
}

static void test_topic_rules__dead_letters_never_expire_and_rows_not_within_a_day(void **state)
{
    (void)state;
    assert_begins(verdict(&dead, "retention.ms", "604800000"), "error ");
    assert_string_equal(verdict(&dead, "retention.ms", "-1"), "");
    assert_begins(verdict(&rows, "retention.ms", "86399999"), "warning ");
    assert_string_equal(verdict(&rows, "retention.ms", "86400000"), "");
    assert_string_equal(verdict(&rows, "retention.ms", "-1"), "");
    assert_string_equal(verdict(&records, "retention.ms", "1000"), ""); /* compacted: it means nothing */
}

static void test_topic_rules__partitions_that_were_added_give_keys_another_place_O7(void **state)
{
    (void)state;
    assert_begins(verdict(&rows, NULL, "2"), "warning ");
    assert_begins(verdict(&rows, NULL, "4"), "note ");
    assert_string_equal(verdict(&rows, NULL, "3"), "");
    assert_string_equal(verdict(&rows, NULL, "0"), ""); /* not known */
}

static void test_topic_rules__what_means_nothing_is_passed_over(void **state)
{
    (void)state;
    assert_string_equal(verdict(&rows, "segment.bytes", "1"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_rules__rows_and_dead_letters_are_never_compacted_and_records_always_O7),
        cmocka_unit_test(test_topic_rules__one_broker_may_not_acknowledge_alone_where_there_are_more),
        cmocka_unit_test(test_topic_rules__a_broker_that_lags_behind_never_leads),
        cmocka_unit_test(test_topic_rules__dead_letters_never_expire_and_rows_not_within_a_day),
        cmocka_unit_test(test_topic_rules__partitions_that_were_added_give_keys_another_place_O7),
        cmocka_unit_test(test_topic_rules__what_means_nothing_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Where to begin: what is refused first. Rule A7, and the rules for servers without GTIDs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "producer/binlog/resume.h"

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define OTHER "4f22fa47-71ca-11e1-9e33-c80aa9429562"

/* Facts with borrowed texts: nothing of them is freed. */
static struct binlog_facts mysql_facts(const char *executed, const char *purged)
{
    return (struct binlog_facts){.flavor = BINLOG_MYSQL, .gtid = true, .server = UUID, .executed = (char *)executed, .purged = (char *)purged};
}

static struct binlog_facts mariadb_facts(const char *executed)
{
    return (struct binlog_facts){.flavor = BINLOG_MARIADB, .gtid = true, .server = "1", .executed = (char *)executed, .purged = (char *)""};
}

static struct binlog_facts file_facts(const char *server)
{
    struct binlog_facts facts = {.flavor = BINLOG_MYSQL, .first_file = "bin.000001", .last_file = "bin.000007", .last_position = 500};

    (void)snprintf(facts.server, sizeof facts.server, "%s", server);
    return facts;
}

static struct binlog_wish wish_of_record(const char *text)
{
    json_t *record = json_loads(text, 0, NULL);
    struct binlog_wish wish;
    struct err err = {0};

    assert_non_null(record);
    assert_int_equal(binlog_wish_from_record(&wish, record, &err), 0);
    json_decref(record);
    return wish;
}

static struct binlog_wish wish_of_text(const char *text)
{
    struct binlog_wish wish;
    struct err err = {0};

    assert_int_equal(binlog_wish_from_text(&wish, text, &err), 0);
    return wish;
}

/* Takes the wish. */
static void assert_refused(struct binlog_wish wish, struct binlog_facts facts, const char *because)
{
    struct binlog_place place;
    struct err err = {0};

    assert_int_equal(binlog_place_find(&place, &wish, &facts, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    if (strstr(err.text, because) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
    }
    binlog_wish_deinit(&wish);
}

static void assert_begins(struct binlog_wish wish, struct binlog_facts facts, const char *gtid, const char *file, uint64_t position)
{
    struct binlog_place place;
    struct err err = {0};

    if (binlog_place_find(&place, &wish, &facts, &err) != 0) {
        fail_msg("%s", err.text);
    }
    if (gtid != NULL) {
        assert_string_equal(place.gtid, gtid);
    } else {
        assert_null(place.gtid);
        assert_string_equal(place.file, file);
        assert_int_equal(place.position, position);
    }
    binlog_place_deinit(&place);
    binlog_wish_deinit(&wish);
}

#define RECORD_GTID(set) "{\"flavor\":\"mysql\",\"server\":\"" UUID "\",\"gtid\":\"" set "\",\"file\":\"b.1\",\"position\":4,\"seq\":1,\"ts\":1}"
#define RECORD_MARIA(set) "{\"flavor\":\"mariadb\",\"server\":\"1\",\"gtid\":\"" set "\",\"file\":\"b.1\",\"position\":4,\"seq\":1,\"ts\":1}"
#define RECORD_FILE "{\"flavor\":\"mysql\",\"server\":\"" UUID "\",\"file\":\"bin.000003\",\"position\":120,\"seq\":1,\"ts\":1}"

static void test_resume__is_refused_where_the_server_lost_what_we_read(void **state)
{
    (void)state;
    assert_refused(wish_of_record(RECORD_GTID(UUID ":1-9")), mysql_facts(UUID ":1-8", ""), "lost transactions");
    assert_refused(wish_of_record(RECORD_GTID(UUID ":1-5," OTHER ":1")), mysql_facts(UUID ":1-8", ""), "lost transactions");
    assert_refused(wish_of_record(RECORD_MARIA("7-1-9")), mariadb_facts("7-1-8"), "lost transactions");
    assert_refused(wish_of_record(RECORD_MARIA("7-1-8,3-1-1")), mariadb_facts("7-1-8"), "lost transactions");
}

static void test_resume__is_refused_where_the_server_purged_what_we_need(void **state)
{
    (void)state;
    assert_refused(wish_of_record(RECORD_GTID(UUID ":1-5")), mysql_facts(UUID ":1-9", UUID ":1-6"), "purged");
    assert_refused(wish_of_record(RECORD_GTID("")), mysql_facts(UUID ":1-9", UUID ":1"), "purged");
}

/* A7: server_uuid plays no part. */
static void test_resume__goes_on_at_another_server_that_has_it_all(void **state)
{
    (void)state;
    assert_begins(wish_of_record(RECORD_GTID(UUID ":1-5")), mysql_facts(UUID ":1-9," OTHER ":1-3", UUID ":1-5"), UUID ":1-5", NULL, 0);
    assert_begins(wish_of_record(RECORD_MARIA("7-1-5")), mariadb_facts("7-2-9"), "7-1-5", NULL, 0);
}

/* The record began with all domains, so this one is younger: all of it is still to come. */
static void test_resume__goes_on_where_a_domain_is_new(void **state)
{
    (void)state;
    assert_begins(wish_of_record(RECORD_MARIA("7-1-5")), mariadb_facts("3-1-2,7-1-9"), "7-1-5", NULL, 0);
}

static void test_resume__by_hand_must_name_every_domain(void **state)
{
    (void)state;
    assert_refused(wish_of_text("7-1-5"), mariadb_facts("3-1-2,7-1-9"), "every domain");
    assert_refused(wish_of_text("17-1-5,7-1-5"), mariadb_facts("1-1-2,7-1-9,17-1-9"), "every domain");
    assert_begins(wish_of_text("7-1-5, 3-1-1"), mariadb_facts("3-1-2,7-1-9"), "7-1-5, 3-1-1", NULL, 0);
}

static void test_resume__without_gtids_stays_with_its_server(void **state)
{
    (void)state;
    assert_refused(wish_of_record(RECORD_FILE), file_facts(OTHER), OTHER);
    assert_begins(wish_of_record(RECORD_FILE), file_facts(UUID), NULL, "bin.000003", 120);
}

static void test_resume__does_not_mix_gtids_and_files(void **state)
{
    (void)state;
    assert_refused(wish_of_record(RECORD_FILE), mysql_facts(UUID ":1-8", ""), "as a GTID set");
    assert_refused(wish_of_record(RECORD_GTID(UUID ":1-8")), file_facts(UUID), "gtid_mode=OFF");
    assert_refused(wish_of_record(RECORD_MARIA("7-1-5")), mysql_facts(UUID ":1-8", ""), "the position is one of mariadb");
}

/* Where it begins would be asked by the name of a file. */
static void test_resume__the_beginning_of_a_log_without_files_must_be_named(void **state)
{
    struct binlog_facts facts = mariadb_facts("7-1-9");

    (void)state;
    assert_begins(wish_of_text("earliest"), facts, "", NULL, 0);
    facts.in_engine = true;
    assert_refused(wish_of_text("earliest"), facts, "set source.start to current, or to a GTID set");
    assert_begins(wish_of_text("current"), facts, "7-1-9", NULL, 0);
    assert_begins(wish_of_text("7-1-3"), facts, "7-1-3", NULL, 0);
    assert_begins(wish_of_record(RECORD_MARIA("7-1-5")), facts, "7-1-5", NULL, 0);
}

static void test_resume__first_run_begins_where_the_settings_say(void **state)
{
    (void)state;
    assert_begins(wish_of_text("current"), mysql_facts(UUID ":1-9", UUID ":1-2"), UUID ":1-9", NULL, 0);
    assert_begins(wish_of_text("earliest"), mysql_facts(UUID ":1-9", UUID ":1-2"), UUID ":1-2", NULL, 0);
    assert_begins(wish_of_text(UUID ":1-3"), mysql_facts(UUID ":1-9", UUID ":1-2"), UUID ":1-3", NULL, 0);
    assert_refused(wish_of_text(UUID ":1"), mysql_facts(UUID ":1-9", UUID ":1-2"), "purged");
    assert_begins(wish_of_text("current"), file_facts(UUID), NULL, "bin.000007", 500);
    assert_begins(wish_of_text("earliest"), file_facts(UUID), NULL, "bin.000001", 4);
    assert_begins(wish_of_text("bin.000002:777"), file_facts(UUID), NULL, "bin.000002", 777);
    assert_refused(wish_of_text("nonsense"), mysql_facts(UUID ":1-9", ""), "the position to start at");
    assert_refused(wish_of_text("bin.000002:777"), mariadb_facts("7-1-9"), "as a GTID set");
}

static void test_resume__trusts_nothing_in_a_record(void **state)
{
    static const char *const records[] = {
        "{}",
        "{\"flavor\":\"oracle\",\"server\":\"1\",\"gtid\":\"\"}",
        "{\"flavor\":\"mysql\",\"gtid\":\"\"}",
        "{\"flavor\":\"mysql\",\"server\":5,\"gtid\":\"\"}",
        "{\"flavor\":\"mysql\",\"server\":\"x\",\"gtid\":7}",
        "{\"flavor\":\"mysql\",\"server\":\"x\",\"file\":\"b.1\"}",
        "{\"flavor\":\"mysql\",\"server\":\"x\",\"file\":\"b.1\",\"position\":-1}",
        "{\"flavor\":\"mysql\",\"server\":\"x\",\"file\":\"b\\u00e9.1\",\"position\":4}",
        "{\"flavor\":\"mysql\",\"server\":\"0123456789012345678901234567890123456789012345678901234567890123456789\",\"gtid\":\"\"}",
    };

    (void)state;
    for (size_t index = 0; index < sizeof records / sizeof records[0]; index++) {
        json_t *record = json_loads(records[index], 0, NULL);
        struct binlog_wish wish;
        struct err err = {0};

        assert_non_null(record);
        assert_int_equal(binlog_wish_from_record(&wish, record, &err), -1);
        assert_int_equal(err.class, ERR_FATAL);
        json_decref(record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume__is_refused_where_the_server_lost_what_we_read),
        cmocka_unit_test(test_resume__is_refused_where_the_server_purged_what_we_need),
        cmocka_unit_test(test_resume__goes_on_at_another_server_that_has_it_all),
        cmocka_unit_test(test_resume__goes_on_where_a_domain_is_new),
        cmocka_unit_test(test_resume__by_hand_must_name_every_domain),
        cmocka_unit_test(test_resume__without_gtids_stays_with_its_server),
        cmocka_unit_test(test_resume__does_not_mix_gtids_and_files),
        cmocka_unit_test(test_resume__the_beginning_of_a_log_without_files_must_be_named),
        cmocka_unit_test(test_resume__first_run_begins_where_the_settings_say),
        cmocka_unit_test(test_resume__trusts_nothing_in_a_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a file is told apart: wait, this row, or a person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/sqlite_query.h"
#include "workers/sqlite/file.h"

static char path[64];

static int set_up(void **state)
{
    (void)state;
    sqlite_folder_make(path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sqlite_folder_remove(path);
    return 0;
}

static void assert_says(const struct err *err, enum err_class class, const char *what)
{
    assert_int_equal(err->class, class);
    if (strstr(err->text, what) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err->text, what);
    }
}

static void write_file(const void *bytes, size_t size)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void open_file(struct sqlite_file *file)
{
    struct err err = {0};

    sqlite_file_init(file, path);
    if (sqlite_file_open(file, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void test_file__that_is_no_database_is_fatal(void **state)
{
    char bytes[4096];
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    write_file(bytes, sizeof bytes);
    sqlite_file_init(&file, path);
    assert_int_equal(sqlite_file_open(&file, &err), -1);
    assert_says(&err, ERR_FATAL, "sqlite.file names something else");
    assert_null(file.db);
    sqlite_file_deinit(&file);
}

static void test_file__in_a_folder_that_is_not_there_is_fatal(void **state)
{
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    sqlite_file_init(&file, "/tmp/kakehi-no-such-folder/rows.db");
    assert_int_equal(sqlite_file_open(&file, &err), -1);
    assert_says(&err, ERR_FATAL, "its folder");
    sqlite_file_deinit(&file);
}

static void test_file__that_cannot_have_a_wal_is_fatal(void **state)
{
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    sqlite_file_init(&file, ":memory:");
    assert_int_equal(sqlite_file_open(&file, &err), -1);
    assert_says(&err, ERR_FATAL, "journal mode memory");
    sqlite_file_deinit(&file);
}

static void test_file__that_is_damaged_is_fatal(void **state)
{
    struct sqlite_file file;
    struct err err = {0};
    char bytes[2048];
    FILE *raw;

    (void)state;
    open_file(&file);
    sqlite_file_deinit(&file);
    assert_string_equal(sqlite_query(path, "CREATE TABLE t (a); PRAGMA journal_mode = DELETE"), "delete");
    raw = fopen(path, "r+"); /* the first page's content, behind the file's header */
    assert_non_null(raw);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(fseek(raw, 100, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, raw), sizeof bytes);
    assert_int_equal(fclose(raw), 0);
    sqlite_file_init(&file, path);
    assert_int_equal(sqlite_file_open(&file, &err), -1);
    assert_says(&err, ERR_FATAL, "damaged");
    sqlite_file_deinit(&file);
}

static void test_file__that_is_full_is_waited_for(void **state)
{
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    open_file(&file);
    assert_int_equal(sqlite_file_run(&file, "CREATE TABLE t (a); PRAGMA max_page_count = 1", "limiting", &err), 0);
    assert_int_equal(sqlite_file_begin(&file, &err), 0);
    assert_int_equal(sqlite_file_run(&file, "INSERT INTO t VALUES (zeroblob(100000))", "adding", &err), -1);
    assert_says(&err, ERR_RETRY, "free space");
    assert_says(&err, ERR_RETRY, path);
    sqlite_file_rollback(&file);
    assert_false(sqlite_file_in_transaction(&file));
    sqlite_file_deinit(&file);
}

static void test_file__that_is_locked_is_waited_for_and_the_holder_named(void **state)
{
    struct sqlite_file one;
    struct sqlite_file other;
    struct err err = {0};
    char self[16] = ""; /* as /proc counts: in a container it may show an outer process namespace */
    char holder[40];

    (void)state;
    assert_true(readlink("/proc/self", self, sizeof self - 1) > 0);
    open_file(&one);
    open_file(&other);
    sqlite_file_patience(&other, false);
    assert_int_equal(sqlite_file_begin(&one, &err), 0);
    assert_int_equal(sqlite_file_begin(&other, &err), -1);
    (void)snprintf(holder, sizeof holder, "held by process %s", self);
    assert_says(&err, ERR_RETRY, holder);
    assert_true(other.was_locked);
    assert_int_equal(sqlite_file_commit(&one, &err), 0);
    assert_int_equal(sqlite_file_begin(&other, &err), 0);
    assert_int_equal(sqlite_file_commit(&other, &err), 0);
    sqlite_file_deinit(&one);
    sqlite_file_deinit(&other);
}

static void test_file__row_that_is_refused_is_poison(void **state)
{
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    open_file(&file);
    assert_int_equal(sqlite_file_run(&file, "CREATE TABLE t (a CHECK (a < 5))", "making", &err), 0);
    assert_int_equal(sqlite_file_run(&file, "INSERT INTO t VALUES (7)", "adding", &err), -1);
    assert_says(&err, ERR_POISON, "CHECK constraint failed");
    sqlite_file_deinit(&file);
}

static void test_file__change_by_hand_is_fatal(void **state)
{
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    open_file(&file);
    assert_int_equal(sqlite_file_run(&file, "INSERT INTO gone VALUES (7)", "adding", &err), -1);
    assert_says(&err, ERR_FATAL, "no such table: gone");
    sqlite_file_deinit(&file);
}

static void test_file__is_opened_in_wal_mode_with_its_tables(void **state)
{
    struct sqlite_file file;
    struct err err = {0};

    (void)state;
    open_file(&file);
    assert_int_equal(sqlite_file_open(&file, &err), 0); /* open already */
    assert_string_equal(sqlite_query(path, "PRAGMA journal_mode"), "wal");
    assert_string_equal(sqlite_query(path, "SELECT count(*) FROM kakehi_offsets, kakehi_tables"), "0");
    sqlite_file_deinit(&file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_file__that_is_no_database_is_fatal),
        TEST(test_file__in_a_folder_that_is_not_there_is_fatal),
        TEST(test_file__that_cannot_have_a_wal_is_fatal),
        TEST(test_file__that_is_damaged_is_fatal),
        TEST(test_file__that_is_full_is_waited_for),
        TEST(test_file__that_is_locked_is_waited_for_and_the_holder_named),
        TEST(test_file__row_that_is_refused_is_poison),
        TEST(test_file__change_by_hand_is_fatal),
        TEST(test_file__is_opened_in_wal_mode_with_its_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Statements as servers write them into the log, and as people write them: what each is taken for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "producer/binlog/query.h"

/* tables: "db.a -db.b"; -: it has another name now */
static void assert_query_in(uint64_t sql_mode, const char *text, enum query_kind kind, const char *tables)
{
    struct buffer names = {0};
    struct query query;

    query_read(&query, text, strlen(text), "db", sql_mode);
    for (size_t i = 0; i < query.table_count; i++) {
        buffer_printf(&names, "%s%s%s.%s", i > 0 ? " " : "", query.tables[i].left ? "-" : "", query.tables[i].database, query.tables[i].name);
    }
    if (query.kind != kind || strcmp(buffer_text(&names), tables) != 0) {
        fail_msg("'%s' is read as %d of '%s'", text, (int)query.kind, (char *)names.bytes);
    }
    buffer_deinit(&names);
    query_deinit(&query);
}

static void assert_query(const char *text, enum query_kind kind, const char *tables)
{
    assert_query_in(0, text, kind, tables);
}

static void test_query__takes_nothing_for_a_change_that_is_none(void **state)
{
    static const char *const texts[] = {"",
                                        " ",
                                        ";",
                                        "CREATE TABLE t(a int)",
                                        "CREATE TABLE `t` (\n  `select` int COMMENT 'select 1',\n  `b` int AS (`select` + 1)\n) START TRANSACTION",
                                        "CREATE TABLE t (a int) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (5))",
                                        "CREATE TABLE t (a int) PARTITION BY LIST (a) (PARTITION p VALUES IN (5), PARTITION q VALUES\nIN (6))",
                                        "CREATE TABLE t LIKE u",
                                        "CREATE TEMPORARY TABLE t SELECT 1",
                                        "DROP INDEX i ON t",
                                        "DROP TEMPORARY TABLE IF EXISTS t",
                                        "DROP VIEW v",
                                        "DROP EVENT e",
                                        "RENAME USER a TO b",
                                        "ALTER VIEW v AS SELECT 1",
                                        "ALTER TABLE t RENAME INDEX a TO b",
                                        "ALTER TABLE t ENGINE=InnoDB",
                                        "ALTER TABLE t ADD INDEX i (a), ADD UNIQUE KEY (b), DROP KEY j, DROP FOREIGN KEY f, DROP PRIMARY KEY",
                                        "ALTER TABLE t COMMENT ', MODIFY a INT', ALTER INDEX `, RENAME u` VISIBLE /* , MODIFY a INT */",
                                        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), DROP CONSTRAINT d, DROP CHECK e, ADD FULLTEXT (f)",
                                        "SAVEPOINT `s`",
                                        "ROLLBACK TO `s`",
                                        "RELEASE SAVEPOINT s",
                                        "XA END X'78',X'',1",
                                        "GRANT SELECT ON *.* TO u",
                                        "CREATE OR REPLACE VIEW v AS SELECT 1",
                                        "CREATE OR REPLACE TEMPORARY TABLE t(a int)",
                                        "SET PASSWORD = 'x'",
                                        "beginning",
                                        "# Dummy event replacing event type 160 that slave cannot handle.",
                                        "/* INSERT INTO t */",
                                        "ANALYZE TABLE t",
                                        "ANALYZE LOCAL TABLE t, u",
                                        "OPTIMIZE TABLE t",
                                        "REPAIR VIEW v",
                                        "TRUNCATE",
                                        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW DELETE FROM u",
                                        "XA RECOVER"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_query(texts[i], QUERY_OTHER, "");
    }
}

static void test_query__knows_transaction_control(void **state)
{
    (void)state;
    assert_query("BEGIN", QUERY_BEGIN, "");
    assert_query("begin", QUERY_BEGIN, "");
    assert_query("START TRANSACTION", QUERY_BEGIN, "");
    assert_query("COMMIT", QUERY_COMMIT, "");
    assert_query("/* ApplicationName=x */ COMMIT", QUERY_COMMIT, "");
    assert_query("ROLLBACK", QUERY_ROLLBACK, "");
    assert_query("XA START X'7831',X'',1", QUERY_XA_START, "");
    assert_query("XA COMMIT X'7831',X'',1", QUERY_XA_COMMIT, "");
    assert_query("XA ROLLBACK X'7831',X'',1", QUERY_XA_ROLLBACK, "");
}

static void test_query__knows_the_tables_that_are_emptied(void **state)
{
    (void)state;
    assert_query("TRUNCATE TABLE t", QUERY_EMPTIES_TABLES, "db.t");
    assert_query("truncate t", QUERY_EMPTIES_TABLES, "db.t");
    assert_query("truncate `o``dd`.`t.x`", QUERY_EMPTIES_TABLES, "o`dd.t.x");
    assert_query("-- why\nTRUNCATE TABLE \"o\".\"t\" -- because", QUERY_EMPTIES_TABLES, "o.t");
    assert_query("TRUNCATE TABLE 表.ソ", QUERY_EMPTIES_TABLES, "表.ソ");
    assert_query("DROP TABLE `a`,`o`.`b` , c /* generated by server */", QUERY_EMPTIES_TABLES, "db.a o.b db.c");
    assert_query("DROP TABLE IF EXISTS `a` /* generated by server */", QUERY_EMPTIES_TABLES, "db.a");
    assert_query("DROP/*x*/TABLES/**/a CASCADE", QUERY_EMPTIES_TABLES, "db.a");
    assert_query("/*!40000 DROP TABLE a */", QUERY_EMPTIES_TABLES, "db.a");
    assert_query("/*M!100100 DROP TABLE a */", QUERY_EMPTIES_TABLES, "db.a");
    assert_query("CREATE OR REPLACE TABLE o.a (b int)", QUERY_EMPTIES_TABLES, "o.a");
    assert_query("SET STATEMENT max_statement_time=100 FOR TRUNCATE TABLE t", QUERY_EMPTIES_TABLES, "db.t");
}

static void test_query__knows_changes_that_were_logged_as_statements(void **state)
{
    (void)state;
    assert_query("INSERT INTO t VALUES (1)", QUERY_CHANGES_ROWS, "db.t");
    assert_query("insert ignore o.t select 1", QUERY_CHANGES_ROWS, "o.t");
    assert_query("REPLACE INTO `t` VALUES (1)", QUERY_CHANGES_ROWS, "db.t");
    assert_query("UPDATE LOW_PRIORITY t SET a = 1", QUERY_CHANGES_ROWS, "db.t");
    assert_query("DELETE FROM t", QUERY_CHANGES_ROWS, "db.t");
    assert_query("DELETE FROM o.t WHERE a = 1", QUERY_CHANGES_ROWS, "o.t");
    assert_query("LOAD DATA INFILE 'INTO TABLE x' INTO TABLE o.t", QUERY_CHANGES_ROWS, "o.t");
    assert_query("ANALYZE UPDATE t SET a = 1", QUERY_CHANGES_ROWS, "db.t");
    assert_query("ANALYZE FORMAT = JSON DELETE FROM o.t WHERE a = 1", QUERY_CHANGES_ROWS, "o.t");
}

/* The rows of a table that is made of a query, which were not logged as rows. */
static void test_query__knows_tables_that_are_made_of_a_query(void **state)
{
    (void)state;
    assert_query("CREATE TABLE o.t SELECT * FROM u", QUERY_CHANGES_ROWS, "o.t");
    assert_query("CREATE TABLE IF NOT EXISTS t (PRIMARY KEY (a)) AS SELECT 1 AS a", QUERY_CHANGES_ROWS, "db.t");
    assert_query("CREATE TABLE t AS (WITH x AS (SELECT 1) SELECT * FROM x)", QUERY_CHANGES_ROWS, "db.t");
    assert_query("CREATE OR REPLACE TABLE t COMMENT 'it''s # new' SELECT 1", QUERY_CHANGES_ROWS, "db.t");
    assert_query("CREATE TABLE t VALUES ROW(1)", QUERY_CHANGES_ROWS, "db.t");
    assert_query("CREATE TABLE t VALUES (1)", QUERY_CHANGES_ROWS, "db.t");
    assert_query("CREATE TABLE t TABLE u", QUERY_CHANGES_ROWS, "db.t");
    assert_query("CREATE TABLE t (a int) PARTITION BY LIST (a) (PARTITION p VALUES IN (5)) VALUES ROW(5)", QUERY_CHANGES_ROWS, "db.t");
}

/* Where more tables may follow, none is named: the stream takes it for any. */
static void test_query__names_no_table_where_it_is_not_sure(void **state)
{
    (void)state;
    assert_query("UPDATE t, u SET t.a = 1", QUERY_CHANGES_ROWS, "");
    assert_query("UPDATE t JOIN u USING (a) SET t.a = 1", QUERY_CHANGES_ROWS, "");
    assert_query("DELETE t, u FROM t JOIN u", QUERY_CHANGES_ROWS, "");
    assert_query("DELETE FROM t USING t JOIN u", QUERY_CHANGES_ROWS, "");
    assert_query("WITH x AS (SELECT 1) DELETE FROM t", QUERY_CHANGES_ROWS, "");
    assert_query("SELECT `db`.`f`()", QUERY_CHANGES_ROWS, "");
}

/* DESIGN: rows that are stored change, or come under another name, and no row event says so. */
static void test_query__knows_what_may_change_rows_without_row_events(void **state)
{
    static const char *const altering[] = {"ALTER TABLE t ADD COLUMN b INT NOT NULL", "alter online table `t` add b int default 5",
                                           "ALTER TABLE IF EXISTS db.t MODIFY a BIGINT", "ALTER TABLE t CHANGE a b TEXT",
                                           "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", "ALTER TABLE t DROP PARTITION p0",
                                           "ALTER TABLE t WAIT 5 TRUNCATE PARTITION ALL", "ALTER TABLE t NOWAIT DROP PARTITION p",
                                           "ALTER TABLE t ADD b INT PRIMARY KEY", "ALTER TABLE t ADD INDEX (b), ADD PRIMARY KEY (a)",
                                           "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (a)", "ALTER TABLE t RENAME COLUMN a TO b, MODIFY c INT",
                                           "ALTER TABLE t RENAME COLUMN a TO b", "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a",
                                           "ALTER TABLE t ADD b INT, RENAME COLUMN c TO d, RENAME KEY i TO j",
                                           "alter table t add key (c), rename column `a` to `b`", "ALTER TABLE t ADD (a INT, b INT), DROP a",
                                           "ALTER TABLE t DROP COLUMN a, ADD COLUMN a INT NULL",
                                           "ALTER TABLE t DROP `index`, ADD COLUMN IF NOT EXISTS `Index` INT",
                                           "ALTER TABLE t ADD b TIMESTAMP", "ALTER TABLE t ADD b TIMESTAMP(3) DEFAULT NOW()",
                                           "ALTER IGNORE TABLE t ADD UNIQUE (a)", "ALTER TABLE t DROP SYSTEM VERSIONING",
                                           "alter table t add c int, add system versioning", "REPAIR TABLE t QUICK", "repair tables `t`",
                                           "ALTER TABLE t IMPORT TABLESPACE", "ALTER TABLE t ADD b INT GENERATED ALWAYS AS (a + 1)",
                                           "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY"};

    (void)state;
    for (size_t i = 0; i < sizeof altering / sizeof altering[0]; i++) {
        assert_query(altering[i], QUERY_REWRITES_TABLES, "db.t");
    }
}

/* DESIGN: a name that the statement gives to no other table has no rows; one that it gives has rows that were logged under another. */
static void test_query__knows_the_names_that_tables_leave_and_get(void **state)
{
    (void)state;
    assert_query("RENAME TABLE a TO b", QUERY_REWRITES_TABLES, "-db.a db.b");
    assert_query("ALTER TABLE a RENAME TO x.b", QUERY_REWRITES_TABLES, "-db.a x.b");
    assert_query("ALTER TABLE a RENAME x.a", QUERY_REWRITES_TABLES, "-db.a x.a");
    assert_query("ALTER TABLE a RENAME = b", QUERY_REWRITES_TABLES, "-db.a db.b");
    assert_query("ALTER TABLE a RENAME b, ADD c INT", QUERY_REWRITES_TABLES, "-db.a db.b");
    assert_query("RENAME TABLE IF EXISTS a TO b", QUERY_REWRITES_TABLES, "-db.a db.b");
    assert_query("RENAME TABLES a WAIT 5 TO b, c NOWAIT TO x.d", QUERY_REWRITES_TABLES, "-db.a db.b -db.c x.d");
    assert_query("ALTER TABLE IF EXISTS a NOWAIT RENAME TO b", QUERY_REWRITES_TABLES, "-db.a db.b");
    assert_query("rename table `t` to `_t_del`, x._t_gho to db.`t`", QUERY_REWRITES_TABLES, "db.t db._t_del -x._t_gho");
    assert_query("RENAME TABLE a TO c, b TO a, c TO b", QUERY_REWRITES_TABLES, "db.a -db.c db.b");
    assert_query("RENAME TABLE a TO b, b TO c", QUERY_REWRITES_TABLES, "-db.a -db.b db.c");
    assert_query("RENAME TABLE a TO x.a", QUERY_REWRITES_TABLES, "-db.a x.a");
    assert_query("ALTER TABLE a RENAME a", QUERY_REWRITES_TABLES, "db.a");
    assert_query("ALTER TABLE a RENAME", QUERY_REWRITES_TABLES, "db.a");
    assert_query("RENAME TABLE a TO b, c TO", QUERY_REWRITES_TABLES, "-db.a db.b");
    assert_query("ALTER TABLE t ADD b INT, RENAME TO u", QUERY_REWRITES_TABLES, "-db.t db.u");
    assert_query("ALTER TABLE t ADD b INT DEFAULT 5,\n  rename x.`u`", QUERY_REWRITES_TABLES, "-db.t x.u");
    assert_query("ALTER TABLE t RENAME COLUMN a TO b, RENAME TO u", QUERY_REWRITES_TABLES, "-db.t db.u");
    assert_query("ALTER TABLE t RENAME INDEX i TO j, RENAME AS u", QUERY_REWRITES_TABLES, "-db.t db.u");
}

/* What looks like a comment there hides nothing behind it. */
static void test_query__reads_on_behind_what_stands_in_quotes(void **state)
{
    (void)state;
    assert_query("ALTER TABLE t ADD COLUMN a INT COMMENT 'issue #5', MODIFY COLUMN b INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("ALTER TABLE t COMMENT 'a -- b', CHANGE c d INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("ALTER TABLE t COMMENT \"/* \"\"# it's\", MODIFY b INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("ALTER TABLE t DROP KEY `-- ``#`, MODIFY b INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("ALTER TABLE t ADD CHECK (a <> 'it''s \\' # ' AND b <> \"/*\"), MODIFY b INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("ALTER TABLE t ADD CHECK (a > TIMESTAMP('2026-01-02#) 03')), MODIFY b INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("ALTER TABLE t ADD a INT COMMENT 'no #5', RENAME TO u", QUERY_REWRITES_TABLES, "-db.t db.u");
    assert_query("ALTER TABLE t COMMENT '# \\', RENAME TO u -- '", QUERY_OTHER, "");
    assert_query("ALTER TABLE t ADD CHECK (a > 5--3), MODIFY b INT", QUERY_REWRITES_TABLES, "db.t");
    assert_query("LOAD DATA INFILE '#' INTO TABLE t", QUERY_CHANGES_ROWS, "db.t");
    assert_query("SET STATEMENT default_storage_engine='for #' FOR TRUNCATE t --", QUERY_EMPTIES_TABLES, "db.t");
    assert_query("ALTER TABLE t COMMENT 'without end, MODIFY b INT", QUERY_OTHER, "");
}

/* A backslash in a text is one like any other letter, or it isn't; "..." is a text or a name. */
static void test_query__reads_quotes_as_the_client_meant_them(void **state)
{
    (void)state;
    assert_query_in(0, "ALTER TABLE t COMMENT '\\', MODIFY b INT -- '", QUERY_OTHER, "");
    assert_query_in(QUERY_ANSI_QUOTES, "ALTER TABLE t COMMENT '\\', MODIFY b INT -- '", QUERY_OTHER, "");
    assert_query_in(QUERY_NO_BACKSLASH_ESCAPES, "ALTER TABLE t COMMENT '\\', MODIFY b INT -- '", QUERY_REWRITES_TABLES, "db.t");
    assert_query_in(0, "ALTER TABLE t COMMENT \"\\\", MODIFY b INT -- \"", QUERY_OTHER, "");
    assert_query_in(QUERY_ANSI_QUOTES, "ALTER TABLE t DROP KEY \"\\\", MODIFY b INT -- \"", QUERY_REWRITES_TABLES, "db.t");
    assert_query_in(QUERY_ANSI_QUOTES | QUERY_NO_BACKSLASH_ESCAPES, "ALTER TABLE t DROP KEY `\\`, RENAME \"\\\"", QUERY_REWRITES_TABLES, "-db.t db.\\");
}

static void assert_names(const char *text, const struct column_names *names, const char *wanted)
{
    struct buffer found = {0};

    for (size_t i = 0; i < names->list.count; i++) {
        buffer_printf(&found, "%s%s", i > 0 ? " " : "", names->list.texts[i]);
    }
    if (strcmp(buffer_text(&found), wanted) != 0) {
        fail_msg("'%s' has the columns '%s', wanted '%s'", text, buffer_text(&found), wanted);
    }
    buffer_deinit(&found);
}

static void assert_columns_of(enum query_kind kind, const char *text, const char *drops, const char *adds)
{
    struct query query;

    assert_query(text, kind, "db.t");
    query_read(&query, text, strlen(text), "db", 0);
    assert_names(text, &query.drops, drops);
    assert_names(text, &query.adds, adds);
    query_deinit(&query);
}

static void assert_columns(const char *text, const char *drops, const char *adds)
{
    assert_columns_of(QUERY_ALTERS_COLUMNS, text, drops, adds);
}

/* No row changes; but a name that is dropped first and added by another statement later has other values than are stored under it. */
static void test_query__knows_columns_that_go_and_columns_that_come(void **state)
{
    (void)state;
    assert_columns("ALTER TABLE t ADD b int", "", "b");
    assert_columns("ALTER TABLE t ADD COLUMN b INT DEFAULT NULL, ADD INDEX i (b), ALGORITHM=INSTANT", "", "b");
    assert_columns("ALTER TABLE t ADD b TIMESTAMP(3) NULL, ADD c TIMESTAMP DEFAULT NULL", "", "b c");
    assert_columns("ALTER TABLE t ADD COLUMN IF NOT EXISTS B INT, ADD /* it */ `b` INT", "", "b");
    assert_columns("alter table `t` add`key` int", "", "key");
    assert_columns("ALTER TABLE t ADD b INT, RENAME KEY i TO j, DROP INDEX k", "", "b");
    assert_columns("ALTER TABLE t DROP COLUMN b", "b", "");
    assert_columns("ALTER TABLE t DROP b, DROP `c_2`, DROP $d", "b c_2 $d", "");
    assert_columns("ALTER TABLE t COMMENT 'issue #6', DROP COLUMN x", "x", "");
    assert_columns("ALTER TABLE t DROP system, ADD c INT WITHOUT SYSTEM VERSIONING", "system", "c");
    assert_columns("ALTER TABLE t DROP PRIMARY KEY, DROP COLUMN IF EXISTS b, ADD UNIQUE (c)", "b", "");
    assert_columns("ALTER TABLE t DROP b, ADD c INT", "b", "c");
    assert_columns("ALTER TABLE t DROP `index`, ADD COLUMN IF NOT EXISTS `key` INT", "index", "key");
}

/* Then any may be meant. */
static void test_query__names_no_column_where_it_is_not_sure(void **state)
{
    (void)state;
    assert_columns("ALTER TABLE t ADD INDEX i (a), ADD (b INT)", "", "*");
    assert_columns("ALTER TABLE t ADD b INT, ADD COLUMN (c INT, d INT)", "", "*");
    assert_columns("ALTER TABLE t DROP `no name`, DROP b", "*", "");
    assert_columns("ALTER TABLE t DROP gr\xc3\xb6\xc3\x9f" "e", "*", "");
    assert_columns("ALTER TABLE t DROP", "*", "");
}

/* In the warehouse the old name is one that was dropped. */
static void test_query__a_column_with_a_new_name_drops_its_old_one(void **state)
{
    (void)state;
    assert_columns_of(QUERY_REWRITES_TABLES, "ALTER TABLE t RENAME COLUMN a TO b", "a", "");
    assert_columns_of(QUERY_REWRITES_TABLES, "ALTER TABLE t CHANGE a b INT, CHANGE COLUMN IF EXISTS `c` d INT", "a c", "");
    assert_columns_of(QUERY_REWRITES_TABLES, "ALTER TABLE t DROP a, ADD A INT", "a", "a");
}

/* DESIGN: rows of both change. */
static void test_query__knows_the_other_table_of_an_alteration(void **state)
{
    (void)state;
    assert_query("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE x.u WITHOUT VALIDATION", QUERY_REWRITES_TABLES, "db.t x.u");
    assert_query("REPAIR TABLE t, x.`u` EXTENDED", QUERY_REWRITES_TABLES, "db.t x.u");
    assert_query("ALTER TABLE t CONVERT PARTITION p TO TABLE u", QUERY_REWRITES_TABLES, "db.t db.u");
    assert_query("ALTER TABLE t CONVERT TABLE u TO PARTITION p VALUES LESS THAN (5)", QUERY_REWRITES_TABLES, "db.t -db.u");
}

static void test_query__knows_a_database_that_is_dropped(void **state)
{
    (void)state;
    assert_query("DROP DATABASE d", QUERY_EMPTIES_DATABASE, "d.");
    assert_query("drop schema if exists `d e`", QUERY_EMPTIES_DATABASE, "d e.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query__knows_what_may_change_rows_without_row_events),
        cmocka_unit_test(test_query__knows_the_names_that_tables_leave_and_get),
        cmocka_unit_test(test_query__reads_on_behind_what_stands_in_quotes),
        cmocka_unit_test(test_query__reads_quotes_as_the_client_meant_them),
        cmocka_unit_test(test_query__knows_columns_that_go_and_columns_that_come),
        cmocka_unit_test(test_query__names_no_column_where_it_is_not_sure),
        cmocka_unit_test(test_query__a_column_with_a_new_name_drops_its_old_one),
        cmocka_unit_test(test_query__knows_the_other_table_of_an_alteration),
        cmocka_unit_test(test_query__knows_a_database_that_is_dropped),
        cmocka_unit_test(test_query__takes_nothing_for_a_change_that_is_none),
        cmocka_unit_test(test_query__knows_transaction_control),
        cmocka_unit_test(test_query__knows_the_tables_that_are_emptied),
        cmocka_unit_test(test_query__knows_changes_that_were_logged_as_statements),
        cmocka_unit_test(test_query__knows_tables_that_are_made_of_a_query),
        cmocka_unit_test(test_query__names_no_table_where_it_is_not_sure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

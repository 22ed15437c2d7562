/* SPDX-License-Identifier: Apache-2.0 */
/* Histories against a BigQuery in memory (rest_world.h): what must never be made, what is made, and what happens in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "tests/unit/make_table.h"
#include "tests/unit/rest_world.h"
#include "workers/bigquery/row_program.h"
#include "workers/bigquery/tables.h"

#define HISTORY "shop.orders_history"

struct world {
    uv_loop_t loop;
    struct rest_world rest;
    struct settings settings;
    struct tables *tables;
    unsigned answers;
    struct history *history; /* of the last answer */
    struct err err;          /* of the last answer; class NONE */
    bool yes;
    bool closed;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    must(world != NULL && uv_loop_init(&world->loop) == 0);
    rest_world_init(&world->rest, &world->loop);
    world->settings.prefix = (char *)"kakehi";
    world->settings.bigquery = (struct settings_bigquery){.project = (char *)"p",
                                                          .location = (char *)"EU",
                                                          .dataset = (char *)"{database}",
                                                          .table = (char *)"{table}",
                                                          .on_type_change = BIGQUERY_TYPE_CHANGE_COLUMN};
    world->tables = tables_open(
        &(struct tables_options){.loop = &world->loop, .rest = rest_world_rest(&world->rest), .settings = &world->settings});
    *state = world;
    return 0;
}

static void on_closed(void *context)
{
    struct world *world = context;

    world->closed = true;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (!world->closed) {
        tables_close(world->tables, on_closed, world);
        must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    }
    history_unref(world->history);
    rest_world_deinit(&world->rest);
    must(uv_loop_close(&world->loop) == 0);
    free(world);
    return 0;
}

static void on_answer(void *context, struct history *history, const struct err *err)
{
    struct world *world = context;

    world->answers++;
    history_unref(world->history);
    world->history = history != NULL ? history_ref(history) : NULL;
    world->err = err != NULL ? *err : (struct err){0};
}

static void on_said(void *context, bool yes, const struct err *err)
{
    struct world *world = context;

    world->answers++;
    world->yes = yes;
    world->err = err != NULL ? *err : (struct err){0};
}

static void run(struct world *world)
{
    must(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
}

static void ensure_wish(struct world *world, const char *key, const char *columns, const struct tables_wish *wanted)
{
    struct schema *schema = make_schema("shop", "orders", key, columns);
    struct tables_wish wish = *wanted;
    unsigned before = world->answers;

    wish.schema = schema;
    tables_ensure(world->tables, &wish, on_answer, world);
    assert_int_equal(world->answers, before);
    run(world);
    assert_int_equal(world->answers, before + 1);
    schema_free(schema);
}

static void describe(struct world *world, const char *key, const char *columns)
{
    struct table *table = make_table("shop", "orders", key, columns);
    unsigned before = world->answers;

    tables_describe(world->tables, table, on_answer, world);
    table_free(table);
    assert_int_equal(world->answers, before);
    run(world);
    assert_int_equal(world->answers, before + 1);
}

/* A row of a new version, and the newest version is known. */
static void ensure_newest(struct world *world, const char *key, const char *columns)
{
    ensure_wish(world, key, columns, &(struct tables_wish){0});
    describe(world, key, columns);
}

static void ensure(struct world *world, const char *columns)
{
    ensure_wish(world, "id", columns, &(struct tables_wish){0});
}

static void assert_ok(const struct world *world)
{
    if (world->err.class != ERR_NONE) {
        fail_msg("%s", world->err.text);
    }
    assert_non_null(world->history);
}

static void assert_refused(const struct world *world, const char *words)
{
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_null(world->history);
    if (strstr(world->err.text, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", world->err.text, words);
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static const char *type_of(struct world *world, const char *column)
{
    json_t *field = rest_world_field(rest_world_table(&world->rest, HISTORY), column);

    return field != NULL ? text_of(field, "type") : "none";
}

static const char *description_of(struct world *world, const char *column)
{
    return text_of(rest_world_field(rest_world_table(&world->rest, HISTORY), column), "description");
}

/* The column of the history into which the schema's column goes. */
static const char *target(const struct world *world, size_t column)
{
    size_t place = world->history->targets[column];

    return place == ROW_NO_TARGET ? "none" : world->history->layout.columns[place].name;
}

static json_t *add_dataset(struct world *world, const char *owner, const char *location)
{
    json_t *dataset = json_pack("{s:s, s:s}", "location", location, "etag", "d1");

    if (owner != NULL) {
        must(json_object_set_new(dataset, "labels", json_pack("{s:s}", "kakehi_owner", owner)) == 0);
    }
    must(json_object_set_new(world->rest.datasets, "shop", dataset) == 0);
    return dataset;
}

static json_t *add_table(struct world *world, const char *name)
{
    json_t *table = json_pack("{s:s, s:s, s:{s:[]}}", "creationTime", "1699999999999", "etag", "t1", "schema", "fields");

    must(json_object_set_new(world->rest.tables, name, table) == 0);
    return table;
}

/* ---- what must not be written into */

static void test_tables__another_owners_dataset_is_refused(void **state)
{
    struct world *world = *state;

    add_dataset(world, "staging", "EU");
    ensure(world, "id long");
    assert_refused(world, "belongs to staging");
    assert_int_equal(rest_world_called(&world->rest, "POST"), 0);
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
}

static void test_tables__a_dataset_with_tables_and_no_owner_is_refused(void **state)
{
    struct world *world = *state;

    add_dataset(world, NULL, "EU");
    add_table(world, "shop.somebodys");
    ensure(world, "id long");
    assert_refused(world, "bq update --set_label kakehi_owner:kakehi p:shop");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
}

static void test_tables__an_empty_dataset_without_an_owner_becomes_ours(void **state)
{
    struct world *world = *state;

    add_dataset(world, NULL, "EU");
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(text_of(json_object_get(json_object_get(world->rest.datasets, "shop"), "labels"), "kakehi_owner"),
                        "kakehi");
}

static void test_tables__a_dataset_elsewhere_is_refused(void **state)
{
    struct world *world = *state;

    add_dataset(world, "kakehi", "US");
    ensure(world, "id long");
    assert_refused(world, "stands in US");
}

static void test_tables__a_table_that_is_not_ours_is_refused(void **state)
{
    struct world *world = *state;

    add_dataset(world, "kakehi", "EU");
    add_table(world, HISTORY);
    ensure(world, "id long");
    assert_refused(world, "but not as the history of shop.orders");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
}

static void test_tables__the_history_of_another_source_table_is_refused(void **state)
{
    struct world *world = *state;
    struct schema *schema = make_schema("archive", "orders", "id", "id long");

    world->settings.bigquery.dataset = (char *)"all";
    ensure(world, "id long");
    assert_ok(world);
    tables_ensure(world->tables, &(struct tables_wish){.schema = schema}, on_answer, world);
    run(world);
    assert_refused(world, "belongs to another table of the source");
    schema_free(schema);
}

/* ---- a history that rows were written into */

static void test_tables__a_history_that_is_gone_is_not_made_again(void **state)
{
    struct world *world = *state;
    char hash[HISTORY_HASH_SIZE];

    ensure(world, "id long");
    assert_ok(world);
    memcpy(hash, world->history->hash, sizeof hash);
    assert_int_equal(json_object_del(world->rest.tables, HISTORY), 0);
    ensure_wish(world, "id", "id long", &(struct tables_wish){.hash = hash, .fresh = true});
    assert_refused(world, "Undelete it: bq cp p:shop.orders_history@");
    assert_null(rest_world_table(&world->rest, HISTORY));
}

static void test_tables__a_history_that_was_made_anew_is_refused_until_a_person_says_it_continues(void **state)
{
    struct world *world = *state;
    char hash[HISTORY_HASH_SIZE];

    ensure(world, "id long");
    memcpy(hash, world->history->hash, sizeof hash);
    must(json_object_set_new(rest_world_table(&world->rest, HISTORY), "creationTime", json_string("1800000000000")) == 0);
    ensure_wish(world, "id", "id long", &(struct tables_wish){.hash = hash, .fresh = true});
    assert_refused(world, "another table than the one that rows were written into");
    assert_non_null(strstr(world->err.text, hash));
    must(json_object_set_new(json_object_get(rest_world_table(&world->rest, HISTORY), "labels"), "kakehi_continues",
                             json_string(hash)) == 0);
    ensure_wish(world, "id", "id long", &(struct tables_wish){.hash = hash, .fresh = true});
    assert_ok(world);
    assert_string_equal(world->history->hash, hash);
}

static void test_tables__a_mark_without_a_table_allows_a_new_one(void **state)
{
    struct world *world = *state;

    ensure_wish(world, "id", "id long", &(struct tables_wish){.hash = "-"});
    assert_ok(world);
}

static void test_tables__a_history_is_found_by_its_topic_or_not_at_all(void **state)
{
    struct world *world = *state;

    tables_look_up(world->tables, "kakehi.shop.orders", on_answer, world);
    run(world);
    assert_int_equal(world->answers, 1);
    assert_int_equal(world->err.class, ERR_NONE);
    assert_null(world->history);
    assert_int_equal(rest_world_called(&world->rest, "POST"), 0);
    ensure(world, "id long");
    tables_look_up(world->tables, "kakehi.shop.orders", on_answer, world);
    run(world);
    assert_ok(world);
    assert_null(world->history->targets);
    tables_look_up(world->tables, "other.topic", on_answer, world);
    run(world);
    assert_refused(world, "topics.topic");
}

/* ---- making */

static void test_tables__a_history_is_made_as_the_settings_say(void **state)
{
    struct world *world = *state;
    const json_t *table;

    world->settings.bigquery.kms_key = (char *)"projects/x/cryptoKeys/k";
    world->settings.bigquery.partition_expiration_ms = 864000000;
    world->settings.bigquery.require_partition_filter = true;
    text_pairs_set(&world->settings.bigquery.labels, "team", "data");
    ensure_wish(world, "region, x, id", "id long, x double, region text, note text", &(struct tables_wish){0});
    assert_ok(world);
    table = rest_world_table(&world->rest, HISTORY);
    assert_string_equal(text_of(json_object_get(world->rest.datasets, "shop"), "location"), "EU");
    assert_string_equal(text_of(json_object_get(table, "timePartitioning"), "field"), "__ingest_day");
    assert_string_equal(text_of(json_object_get(table, "timePartitioning"), "expirationMs"), "864000000");
    assert_true(json_is_true(json_object_get(table, "requirePartitionFilter")));
    assert_string_equal(text_of(json_object_get(table, "encryptionConfiguration"), "kmsKeyName"), "projects/x/cryptoKeys/k");
    assert_string_equal(text_of(json_object_get(table, "labels"), "team"), "data");
    assert_string_equal(text_of(json_object_get(table, "labels"), "kakehi_owner"), "kakehi");
    assert_int_equal(json_array_size(json_object_get(json_object_get(table, "clustering"), "fields")), 2); /* not the FLOAT64 */
    assert_string_equal(json_string_value(json_array_get(json_object_get(json_object_get(table, "clustering"), "fields"), 0)),
                        "region");
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(json_object_get(table, "tableConstraints"), "primaryKey"), "columns")),
        3);
    assert_string_equal(description_of(world, "id"), "id long, key 3");
    assert_string_equal(description_of(world, "note"), "note text");
    text_pairs_deinit(&world->settings.bigquery.labels);
}

static void test_tables__the_layout_is_the_tables_order(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, note text");
    assert_ok(world);
    assert_int_equal(world->history->layout.column_count, 2 + BIGQUERY_META_COUNT);
    assert_string_equal(world->history->layout.columns[2].name, "__op");
    assert_int_equal(world->history->targets[1], 1);
    assert_true(world->history->loads);
    assert_string_equal(world->history->parent, "projects/p/datasets/shop/tables/orders_history");
    assert_int_equal(strlen(world->history->hash), HISTORY_HASH_SIZE - 1);
}

static void test_tables__what_is_known_is_answered_without_a_call(void **state)
{
    struct world *world = *state;
    size_t calls;
    uint32_t generation;

    ensure(world, "id long");
    calls = json_array_size(world->rest.calls);
    generation = world->history->generation;
    ensure(world, "id long");
    assert_ok(world);
    assert_int_equal(json_array_size(world->rest.calls), calls);
    assert_int_equal(world->history->generation, generation);
    ensure_wish(world, "id", "id long", &(struct tables_wish){.fresh = true});
    assert_int_equal(json_array_size(world->rest.calls), calls + 1);
}

static void test_tables__many_that_wait_share_one_making(void **state)
{
    struct world *world = *state;
    struct schema *schema = make_schema("shop", "orders", "id", "id long");

    for (int i = 0; i < 5; i++) {
        tables_ensure(world->tables, &(struct tables_wish){.schema = schema}, on_answer, world);
    }
    run(world);
    assert_int_equal(world->answers, 5);
    assert_int_equal(rest_world_called(&world->rest, "POST"), 2); /* the dataset and the table */
    schema_free(schema);
}

static bool make_it_first(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    if (strcmp(request->method, "POST") == 0) {
        bool is_table = strstr(request->path, "/tables") != NULL;
        json_t *made = json_deep_copy(request->body);

        must(json_object_set_new(made, "creationTime", json_string("1700000000001")) == 0);
        must(json_object_set_new(is_table ? rest->tables : rest->datasets, is_table ? HISTORY : "shop", made) == 0);
        rest_world_touch(rest, made);
        *ret_status = 409;
        return true;
    }
    return false;
}

static void test_tables__another_worker_may_be_faster(void **state)
{
    struct world *world = *state;

    world->rest.before = make_it_first;
    ensure(world, "id long");
    assert_ok(world);
    assert_int_equal(world->history->created_ms, INT64_C(1700000000001));
}

static bool deny(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    (void)rest;
    *ret_status = strcmp(request->method, "POST") == 0 ? 403 : 404;
    return true;
}

static void test_tables__a_missing_permission_is_told_and_asked_for_again(void **state)
{
    struct world *world = *state;

    world->rest.before = deny;
    ensure(world, "id long");
    assert_refused(world, "making the dataset p.shop");
    world->rest.before = NULL;
    ensure(world, "id long");
    assert_ok(world);
}

static bool refuse_tables(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    (void)rest;
    *ret_status = 400;
    return strcmp(request->method, "POST") == 0 && strstr(request->path, "/tables") != NULL;
}

static void test_tables__what_bigquery_refuses_of_ours_is_no_fault_of_rows(void **state)
{
    struct world *world = *state;

    world->rest.before = refuse_tables;
    ensure(world, "id long");
    assert_refused(world, "making it: HTTP 400");
}

/* ---- settings that were changed since the history was made */

#define DAY_MS        INT64_C(86400000)
#define PATCH_HISTORY "PATCH /bigquery/v2/projects/p/datasets/shop/tables/orders_history"

/* The worker starts anew, as its settings are by now. */
static void restart(struct world *world)
{
    tables_close(world->tables, on_closed, world);
    run(world);
    world->closed = false;
    world->tables = tables_open(
        &(struct tables_options){.loop = &world->loop, .rest = rest_world_rest(&world->rest), .settings = &world->settings});
    must(json_array_clear(world->rest.calls) == 0);
}

static const char *expiration_of(struct world *world)
{
    return text_of(json_object_get(rest_world_table(&world->rest, HISTORY), "timePartitioning"), "expirationMs");
}

/* What a person must do by hand, as /status has it; "": nothing. */
static const char *left_of(struct world *world)
{
    static char left[1024];
    json_t *status = tables_status(world->tables);

    (void)snprintf(left, sizeof left, "%s",
                   text_of(json_object_get(json_object_get(status, "tables"), "shop.orders"), "settings_not_applied"));
    json_decref(status);
    return left;
}

static void test_tables__settings_that_stay_change_nothing(void **state)
{
    struct world *world = *state;

    world->settings.bigquery.partition_expiration_ms = 10 * DAY_MS;
    text_pairs_set(&world->settings.bigquery.view, "*.*", "base");
    world->settings.bigquery.require_partition_filter = true;
    world->settings.bigquery.kms_key = (char *)"projects/x/cryptoKeys/k";
    ensure(world, "id long");
    restart(world);
    ensure(world, "id long");
    assert_ok(world);
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
    assert_string_equal(left_of(world), "");
    text_pairs_deinit(&world->settings.bigquery.view);
}

static void test_tables__days_are_kept_longer_but_never_deleted_by_a_setting(void **state)
{
    struct world *world = *state;

    world->settings.bigquery.partition_expiration_ms = 10 * DAY_MS;
    ensure(world, "id long");
    world->settings.bigquery.partition_expiration_ms = 20 * DAY_MS;
    restart(world);
    ensure(world, "id long");
    assert_string_equal(expiration_of(world), "1728000000");
    assert_string_equal(text_of(json_object_get(rest_world_table(&world->rest, HISTORY), "timePartitioning"), "field"), "__ingest_day");
    world->settings.bigquery.partition_expiration_ms = 5 * DAY_MS;
    restart(world);
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(expiration_of(world), "1728000000");
    assert_non_null(strstr(left_of(world), "ALTER TABLE `p.shop.orders_history` SET OPTIONS (partition_expiration_days = 5)"));
    world->settings.bigquery.partition_expiration_ms = 0;
    restart(world);
    ensure(world, "id long");
    assert_string_equal(expiration_of(world), "");
    world->settings.bigquery.partition_expiration_ms = 30 * DAY_MS;
    restart(world);
    ensure(world, "id long");
    assert_string_equal(expiration_of(world), "");
    assert_non_null(strstr(left_of(world), "(partition_expiration_days = 30)"));
}

static void test_tables__a_partition_filter_is_required_only_of_who_reads_a_base(void **state)
{
    struct world *world = *state;
    json_t *table;

    ensure(world, "id long");
    table = rest_world_table(&world->rest, HISTORY);
    world->settings.bigquery.require_partition_filter = true;
    restart(world);
    ensure(world, "id long");
    assert_false(json_is_true(json_object_get(table, "requirePartitionFilter")));
    assert_non_null(strstr(left_of(world), "with bigquery.view: base"));
    text_pairs_set(&world->settings.bigquery.view, "*.*", "base");
    restart(world);
    ensure(world, "id long");
    assert_true(json_is_true(json_object_get(table, "requirePartitionFilter")));
    world->settings.bigquery.require_partition_filter = false;
    restart(world);
    ensure(world, "id long");
    assert_false(json_is_true(json_object_get(table, "requirePartitionFilter")));
    text_pairs_deinit(&world->settings.bigquery.view);
}

static void test_tables__labels_and_words_are_put_right_and_others_stay(void **state)
{
    struct world *world = *state;
    json_t *table;
    json_t *labels;

    ensure(world, "id long");
    table = rest_world_table(&world->rest, HISTORY);
    labels = json_object_get(table, "labels");
    must(json_object_set_new(labels, "theirs", json_string("x")) == 0);
    must(json_object_set_new(labels, "kakehi_owner", json_string("before")) == 0);
    must(json_object_set_new(table, "description", json_string("somebody's words")) == 0);
    text_pairs_set(&world->settings.bigquery.labels, "team", "data");
    restart(world);
    ensure(world, "id long");
    assert_ok(world);
    assert_int_equal(rest_world_called(&world->rest, PATCH_HISTORY), 1);
    labels = json_object_get(table, "labels");
    assert_string_equal(text_of(labels, "team"), "data");
    assert_string_equal(text_of(labels, "theirs"), "x");
    assert_string_equal(text_of(labels, "kakehi_owner"), "kakehi");
    assert_string_equal(text_of(table, "description"), "Every change of shop.orders, each once. Its newest state: orders.");
    must(json_object_set_new(table, "description",
                             json_string("Every change of shop.orders, each once. Its newest state: orders. Ask Jo.")) == 0);
    restart(world);
    ensure(world, "id long");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
    text_pairs_deinit(&world->settings.bigquery.labels);
}

static void test_tables__another_kms_key_is_told(void **state)
{
    struct world *world = *state;
    json_t *table;

    ensure(world, "id long");
    table = rest_world_table(&world->rest, HISTORY);
    world->settings.bigquery.kms_key = (char *)"projects/x/cryptoKeys/k";
    restart(world);
    ensure(world, "id long");
    assert_ok(world);
    assert_non_null(strstr(left_of(world), "it has no KMS key of yours"));
    must(json_object_set_new(table, "encryptionConfiguration", json_pack("{s:s}", "kmsKeyName", "projects/x/cryptoKeys/key")) == 0);
    restart(world);
    ensure(world, "id long");
    assert_non_null(strstr(left_of(world), "(kms_key_name = 'projects/x/cryptoKeys/k')"));
    must(json_object_set_new(table, "encryptionConfiguration",
                             json_pack("{s:s}", "kmsKeyName", "projects/x/cryptoKeys/k/cryptoKeyVersions/1")) == 0);
    restart(world);
    ensure(world, "id long");
    assert_string_equal(left_of(world), "");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
}

static bool deny_patch(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    (void)rest;
    *ret_status = 403;
    return strcmp(request->method, "PATCH") == 0;
}

/* Somebody else changes the table between our look and our patch, once. */
static bool touch_once(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    (void)ret_status;
    if (strcmp(request->method, "PATCH") == 0) {
        rest->before = NULL;
        rest_world_touch(rest, rest_world_table(rest, HISTORY));
    }
    return false;
}

static void test_tables__rows_do_not_wait_for_settings(void **state)
{
    struct world *world = *state;

    ensure(world, "id long");
    text_pairs_set(&world->settings.bigquery.labels, "team", "data");
    restart(world);
    world->rest.before = deny_patch;
    ensure(world, "id long");
    assert_ok(world);
    ensure_wish(world, "id", "id long", &(struct tables_wish){.fresh = true});
    assert_ok(world);
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 1); /* not at each look */
    restart(world);
    world->rest.before = touch_once;
    ensure(world, "id long");
    assert_ok(world);
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 2);
    assert_string_equal(text_of(json_object_get(rest_world_table(&world->rest, HISTORY), "labels"), "team"), "data");
    text_pairs_deinit(&world->settings.bigquery.labels);
}

/* ---- a dataset that deletes what is in it */

static json_t *add_deleting_dataset(struct world *world, const char *property)
{
    json_t *dataset = add_dataset(world, "kakehi", "EU");

    must(json_object_set_new(dataset, property, json_string("2592000000")) == 0);
    return dataset;
}

static const char *lifetime_of(struct world *world)
{
    return text_of(rest_world_table(&world->rest, HISTORY), "expirationTime");
}

static void test_tables__a_history_outlives_its_datasets_default_of_tables(void **state)
{
    struct world *world = *state;

    world->settings.bigquery.partition_expiration_ms = 10 * DAY_MS;
    add_deleting_dataset(world, "defaultTableExpirationMs");
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(lifetime_of(world), "");
    assert_string_equal(expiration_of(world), "864000000");
    assert_int_equal(rest_world_called(&world->rest, PATCH_HISTORY), 1);
    restart(world);
    ensure(world, "id long");
    assert_int_equal(rest_world_called(&world->rest, PATCH_HISTORY), 0);
}

static void test_tables__a_history_keeps_its_days_whatever_the_datasets_default_of_partitions(void **state)
{
    struct world *world = *state;

    add_deleting_dataset(world, "defaultPartitionExpirationMs");
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(expiration_of(world), "");
    assert_string_equal(text_of(json_object_get(rest_world_table(&world->rest, HISTORY), "timePartitioning"), "field"), "__ingest_day");
    assert_string_equal(lifetime_of(world), "");
}

static void test_tables__a_history_that_was_told_to_expire_is_told_to_stay(void **state)
{
    struct world *world = *state;

    ensure(world, "id long");
    must(json_object_set_new(rest_world_table(&world->rest, HISTORY), "expirationTime", json_string("1900000000000")) == 0);
    restart(world);
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(lifetime_of(world), "");
}

static void test_tables__no_row_goes_into_what_is_to_be_deleted(void **state)
{
    struct world *world = *state;

    add_deleting_dataset(world, "defaultTableExpirationMs");
    world->rest.before = deny_patch;
    ensure(world, "id long");
    assert_refused(world, "telling BigQuery to keep its rows: HTTP 403");
    ensure(world, "id long"); /* neither when asked again */
    assert_refused(world, "telling BigQuery to keep its rows: HTTP 403");
    world->rest.before = NULL;
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(lifetime_of(world), "");
}

/* ---- a key that is known only later */

/* "a, b" */
static const char *clustering_of(struct world *world)
{
    static char text[256];
    const json_t *fields = json_object_get(json_object_get(rest_world_table(&world->rest, HISTORY), "clustering"), "fields");
    const json_t *field;
    size_t index;

    text[0] = '\0';
    json_array_foreach(fields, index, field)
    {
        size_t size = strlen(text);

        (void)snprintf(text + size, sizeof text - size, "%s%s", index > 0 ? ", " : "", json_string_value(field));
    }
    return text;
}

/* A TRUNCATE was the first that was heard of the table: no column of it was known. */
static void test_tables__a_history_that_a_truncate_made_is_clustered_once_the_key_is_known(void **state)
{
    struct world *world = *state;
    json_t *table;

    ensure_newest(world, "", "");
    assert_ok(world);
    table = rest_world_table(&world->rest, HISTORY);
    assert_non_null(strstr(text_of(table, "description"), "none, since it has no primary key"));
    ensure_newest(world, "b, a", "a long, b text");
    assert_ok(world);
    assert_string_equal(clustering_of(world), "b, a");
    assert_string_equal(text_of(table, "description"), "Every change of shop.orders, each once. Its newest state: orders.");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 2);
    ensure_newest(world, "b, a", "a long, b text, c long");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 3);
}

static void test_tables__a_key_that_comes_later_clusters(void **state)
{
    struct world *world = *state;

    ensure_newest(world, "", "id long");
    assert_string_equal(clustering_of(world), "");
    ensure_newest(world, "id", "id long");
    assert_ok(world);
    assert_string_equal(clustering_of(world), "id");
}

static void test_tables__clustering_that_is_there_stays(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, v long");
    must(json_object_set_new(rest_world_table(&world->rest, HISTORY), "clustering", json_pack("{s:[s]}", "fields", "v")) == 0);
    restart(world);
    ensure(world, "id long, v long");
    assert_string_equal(clustering_of(world), "v");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
}

static bool refuse_clustering(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    (void)rest;
    *ret_status = 400;
    return strcmp(request->method, "PATCH") == 0 && json_object_get(request->body, "clustering") != NULL;
}

static void test_tables__rows_do_not_wait_for_clustering(void **state)
{
    struct world *world = *state;

    ensure_wish(world, "", "", &(struct tables_wish){0});
    world->rest.before = refuse_clustering;
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(target(world, 0), "id");
    assert_string_equal(clustering_of(world), "");
    world->rest.before = NULL;
    restart(world);
    ensure(world, "id long");
    assert_ok(world);
    assert_string_equal(clustering_of(world), "id");
}

/* ---- growing */

static void test_tables__a_new_column_stands_behind_and_the_others_stay_as_they_are(void **state)
{
    struct world *world = *state;
    json_t *field;
    uint32_t generation;

    ensure(world, "id long");
    generation = world->history->generation;
    field = rest_world_field(rest_world_table(&world->rest, HISTORY), "id");
    must(json_object_set_new(field, "policyTags", json_pack("{s:[s]}", "names", "tag")) == 0);
    rest_world_touch(&world->rest, rest_world_table(&world->rest, HISTORY));
    ensure(world, "id long, price decimal 10 2");
    assert_ok(world);
    assert_string_equal(type_of(world, "price"), "NUMERIC");
    assert_int_equal(world->history->targets[1], 1 + BIGQUERY_META_COUNT);
    assert_true(world->history->generation > generation);
    field = rest_world_field(rest_world_table(&world->rest, HISTORY), "id");
    assert_non_null(json_object_get(field, "policyTags"));
}

static void test_tables__an_older_schema_still_fits(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, price decimal 10 2");
    ensure(world, "id long");
    assert_ok(world);
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
    assert_int_equal(world->history->layout.column_count, 2 + BIGQUERY_META_COUNT);
}

static bool add_one_meanwhile(struct rest_world *rest, const struct rest_request *request, int *ret_status)
{
    json_t *fields = json_object_get(json_object_get(rest_world_table(rest, HISTORY), "schema"), "fields");

    (void)ret_status;
    if (strcmp(request->method, "PATCH") == 0 && rest_world_field(rest_world_table(rest, HISTORY), "theirs") == NULL) {
        must(json_array_append_new(fields,
                                   json_pack("{s:s, s:s, s:s}", "name", "theirs", "type", "STRING", "mode", "NULLABLE")) == 0);
        rest_world_touch(rest, rest_world_table(rest, HISTORY));
    }
    return false;
}

static void test_tables__two_workers_that_add_columns_at_once_lose_none(void **state)
{
    struct world *world = *state;

    ensure(world, "id long");
    world->rest.before = add_one_meanwhile;
    ensure(world, "id long, ours text");
    assert_ok(world);
    assert_string_equal(type_of(world, "theirs"), "STRING");
    assert_string_equal(type_of(world, "ours"), "STRING");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 2);
    assert_int_equal(world->history->targets[1], 2 + BIGQUERY_META_COUNT);
}

static void test_tables__case_alone_makes_no_new_column(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, Price long");
    ensure(world, "id long, price long");
    assert_ok(world);
    assert_int_equal(world->history->targets[1], 1);
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
}

static void test_tables__the_newest_schema_says_what_is_dropped(void **state)
{
    struct world *world = *state;

    ensure_newest(world, "id", "id long, note text");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
    ensure(world, "id long");
    assert_string_equal(description_of(world, "note"), "note text");
    ensure_newest(world, "id", "id long");
    assert_ok(world);
    assert_string_equal(description_of(world, "note"), "note text, dropped");
    ensure_newest(world, "id", "id long, note text");
    assert_string_equal(description_of(world, "note"), "note text");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 2);
}

static void test_tables__the_newest_schema_says_what_the_key_is(void **state)
{
    struct world *world = *state;

    ensure_newest(world, "id", "id long, region text");
    assert_string_equal(description_of(world, "id"), "id long, key 1");
    ensure(world, "id long, region text");
    describe(world, "region, id", "id long, region text");
    assert_ok(world);
    assert_string_equal(description_of(world, "id"), "id long, key 2");
    assert_string_equal(description_of(world, "region"), "region text, key 1");
}

static void test_tables__words_make_nothing(void **state)
{
    struct world *world = *state;

    describe(world, "id", "id long");
    assert_int_equal(world->err.class, ERR_NONE);
    assert_null(world->history);
    assert_int_equal(rest_world_called(&world->rest, "POST"), 0);
}

/* A row that needs the column or the wider type is still to come: until then the words stay as they are, all of them. */
static void test_tables__words_wait_for_their_columns(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, note text, n long");
    describe(world, "id", "id long, n long, more text");
    assert_int_equal(world->err.class, ERR_NONE);
    assert_null(world->history);
    describe(world, "id", "id long, n ulong");
    assert_null(world->history);
    assert_string_equal(description_of(world, "note"), "note text");
    assert_int_equal(rest_world_called(&world->rest, "PATCH"), 0);
    ensure(world, "id long, n long, more text");
    describe(world, "id", "id long, n long, more text");
    assert_ok(world);
    assert_string_equal(description_of(world, "note"), "note text, dropped");
}

static void test_tables__words_in_another_owners_dataset_are_not_touched(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, note text");
    tables_close(world->tables, on_closed, world);
    run(world);
    world->closed = false;
    world->settings.prefix = (char *)"staging";
    world->tables = tables_open(
        &(struct tables_options){.loop = &world->loop, .rest = rest_world_rest(&world->rest), .settings = &world->settings});
    describe(world, "id", "id long");
    assert_refused(world, "belongs to kakehi");
    assert_string_equal(description_of(world, "note"), "note text");
}

/* ---- types */

static void test_tables__a_wider_type_widens_the_column(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, n long, d date");
    ensure(world, "id long, n ulong, d datetime 0");
    assert_ok(world);
    assert_string_equal(type_of(world, "n"), "NUMERIC");
    assert_string_equal(type_of(world, "d"), "DATETIME");
    assert_true(world->history->loads);
    ensure(world, "id long, n long, d date");
    assert_ok(world);
    assert_string_equal(target(world, 1), "n");
    assert_false(world->history->loads); /* an INT64 of Avro is no NUMERIC */
    assert_int_equal(rest_world_called(&world->rest, "ALTER TABLE `p.shop.orders_history` ALTER COLUMN"), 2);
}

static void test_tables__no_number_becomes_a_float(void **state)
{
    struct world *world = *state;

    ensure(world, "id long, n long");
    ensure(world, "id long, n double");
    assert_ok(world);
    assert_string_equal(type_of(world, "n"), "INT64");
    assert_string_equal(target(world, 1), "n__float64");
    assert_true(world->history->loads);
}

static void test_tables__a_widening_that_bigquery_refuses_makes_a_further_column(void **state)
{
    struct world *world = *state;

    world->rest.refuse_alter = "n";
    ensure(world, "id long, n long");
    ensure(world, "id long, n ulong");
    assert_ok(world);
    assert_string_equal(target(world, 1), "n__numeric");
    ensure(world, "id long, n long");
    assert_string_equal(target(world, 1), "n");
    world->rest.refuse_alter = NULL;
    ensure_wish(world, "id", "id long, n ulong", &(struct tables_wish){.fresh = true});
    assert_string_equal(target(world, 1), "n__numeric"); /* what was decided once stays */
    assert_int_equal(world->history->layout.column_count, 3 + BIGQUERY_META_COUNT);
}

static void test_tables__a_widening_that_bigquery_refuses_is_no_reason_for_another_column(void **state)
{
    struct world *world = *state;

    world->rest.refuse_alter = "n";
    ensure(world, "id long, n long, d date");
    ensure(world, "id long, n ulong, d datetime 0");
    assert_ok(world);
    assert_string_equal(target(world, 1), "n__numeric");
    assert_string_equal(target(world, 2), "d");
    assert_string_equal(type_of(world, "d"), "DATETIME");
}

static void test_tables__by_policy_the_rows_are_refused_instead(void **state)
{
    struct world *world = *state;

    world->settings.bigquery.on_type_change = BIGQUERY_TYPE_CHANGE_DEAD_LETTER;
    ensure(world, "id long, n bytes");
    ensure(world, "id long, n text");
    assert_ok(world);
    assert_non_null(strstr(world->history->refusal, "column n is text now, its history has it as BYTES"));
    assert_false(world->history->loads);
    assert_string_equal(type_of(world, "n__string"), "none");
    ensure(world, "id long, n bytes");
    assert_null(world->history->refusal);
}

static void test_tables__a_key_that_changes_its_type_stops_the_table(void **state)
{
    struct world *world = *state;

    ensure(world, "id long");
    ensure(world, "id text");
    assert_refused(world, "the key column id of shop.orders");
}

static void test_tables__a_history_without_its_metadata_is_refused(void **state)
{
    struct world *world = *state;
    json_t *fields;

    ensure(world, "id long");
    fields = json_object_get(json_object_get(rest_world_table(&world->rest, HISTORY), "schema"), "fields");
    must(json_array_remove(fields, 3) == 0);
    ensure_wish(world, "id", "id long", &(struct tables_wish){.fresh = true});
    assert_refused(world, "has no column __seq");
}

static void test_tables__a_foreign_column_of_that_name_is_left_alone(void **state)
{
    struct world *world = *state;
    json_t *fields;

    ensure(world, "id long");
    fields = json_object_get(json_object_get(rest_world_table(&world->rest, HISTORY), "schema"), "fields");
    must(json_array_append_new(fields, json_pack("{s:s, s:s, s:s}", "name", "tags", "type", "STRING", "mode", "REPEATED")) ==
         0);
    rest_world_touch(&world->rest, rest_world_table(&world->rest, HISTORY));
    ensure_wish(world, "id", "id long, tags text", &(struct tables_wish){.fresh = true});
    assert_ok(world);
    assert_string_equal(target(world, 1), "tags__string");
    assert_int_equal(bigquery_layout_find(&world->history->layout, "tags"), world->history->layout.column_count);
}

/* ---- questions, the end */

static json_t *one_row(struct rest_world *rest, const char *sql)
{
    (void)rest;
    return strstr(sql, "__seq = 7 AND __idx = 2") != NULL ? json_pack("[[s]]", "1") : NULL;
}

static void test_tables__rows_are_asked_for(void **state)
{
    struct world *world = *state;
    const struct history_change there = {7, 2, 20770};
    const struct history_change missing = {5, 0, 20770};
    struct history *history;

    world->rest.rows = one_row;
    ensure(world, "id long");
    history = history_ref(world->history);
    history_is_empty(world->tables, history, on_said, world);
    run(world);
    assert_int_equal(world->err.class, ERR_NONE);
    assert_true(world->yes);
    history_has(world->tables, history, &there, on_said, world);
    run(world);
    assert_true(world->yes);
    history_has(world->tables, history, &missing, on_said, world);
    run(world);
    assert_false(world->yes);
    assert_int_equal(
        rest_world_called(&world->rest,
                          "SELECT 1 FROM `p.shop.orders_history` WHERE __ingest_day >= DATE '2026-11-13' AND __seq = "),
        2);
    history_unref(history);
}

static void test_tables__whoever_waits_at_the_end_is_told(void **state)
{
    struct world *world = *state;
    struct schema *schema = make_schema("shop", "orders", "id", "id long");

    tables_ensure(world->tables, &(struct tables_wish){.schema = schema}, on_answer, world);
    must(uv_run(&world->loop, UV_RUN_ONCE) != 0);
    tables_look_up(world->tables, "kakehi.shop.other", on_answer, world);
    tables_close(world->tables, on_closed, world);
    run(world);
    assert_true(world->closed);
    assert_int_equal(world->answers, 2);
    assert_int_equal(world->err.class, ERR_CANCELED);
    schema_free(schema);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tables__another_owners_dataset_is_refused),
        TEST(test_tables__a_dataset_with_tables_and_no_owner_is_refused),
        TEST(test_tables__an_empty_dataset_without_an_owner_becomes_ours),
        TEST(test_tables__a_dataset_elsewhere_is_refused),
        TEST(test_tables__a_table_that_is_not_ours_is_refused),
        TEST(test_tables__the_history_of_another_source_table_is_refused),
        TEST(test_tables__a_history_that_is_gone_is_not_made_again),
        TEST(test_tables__a_history_that_was_made_anew_is_refused_until_a_person_says_it_continues),
        TEST(test_tables__a_mark_without_a_table_allows_a_new_one),
        TEST(test_tables__a_history_is_found_by_its_topic_or_not_at_all),
        TEST(test_tables__a_history_is_made_as_the_settings_say),
        TEST(test_tables__the_layout_is_the_tables_order),
        TEST(test_tables__what_is_known_is_answered_without_a_call),
        TEST(test_tables__many_that_wait_share_one_making),
        TEST(test_tables__another_worker_may_be_faster),
        TEST(test_tables__a_missing_permission_is_told_and_asked_for_again),
        TEST(test_tables__what_bigquery_refuses_of_ours_is_no_fault_of_rows),
        TEST(test_tables__settings_that_stay_change_nothing),
        TEST(test_tables__days_are_kept_longer_but_never_deleted_by_a_setting),
        TEST(test_tables__a_partition_filter_is_required_only_of_who_reads_a_base),
        TEST(test_tables__labels_and_words_are_put_right_and_others_stay),
        TEST(test_tables__another_kms_key_is_told),
        TEST(test_tables__rows_do_not_wait_for_settings),
        TEST(test_tables__a_history_outlives_its_datasets_default_of_tables),
        TEST(test_tables__a_history_keeps_its_days_whatever_the_datasets_default_of_partitions),
        TEST(test_tables__a_history_that_was_told_to_expire_is_told_to_stay),
        TEST(test_tables__no_row_goes_into_what_is_to_be_deleted),
        TEST(test_tables__a_history_that_a_truncate_made_is_clustered_once_the_key_is_known),
        TEST(test_tables__a_key_that_comes_later_clusters),
        TEST(test_tables__clustering_that_is_there_stays),
        TEST(test_tables__rows_do_not_wait_for_clustering),
        TEST(test_tables__a_new_column_stands_behind_and_the_others_stay_as_they_are),
        TEST(test_tables__an_older_schema_still_fits),
        TEST(test_tables__two_workers_that_add_columns_at_once_lose_none),
        TEST(test_tables__case_alone_makes_no_new_column),
        TEST(test_tables__the_newest_schema_says_what_is_dropped),
        TEST(test_tables__the_newest_schema_says_what_the_key_is),
        TEST(test_tables__words_make_nothing),
        TEST(test_tables__words_wait_for_their_columns),
        TEST(test_tables__words_in_another_owners_dataset_are_not_touched),
        TEST(test_tables__a_wider_type_widens_the_column),
        TEST(test_tables__no_number_becomes_a_float),
        TEST(test_tables__a_widening_that_bigquery_refuses_makes_a_further_column),
        TEST(test_tables__a_widening_that_bigquery_refuses_is_no_reason_for_another_column),
        TEST(test_tables__by_policy_the_rows_are_refused_instead),
        TEST(test_tables__a_key_that_changes_its_type_stops_the_table),
        TEST(test_tables__a_history_without_its_metadata_is_refused),
        TEST(test_tables__a_foreign_column_of_that_name_is_left_alone),
        TEST(test_tables__rows_are_asked_for),
        TEST(test_tables__whoever_waits_at_the_end_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

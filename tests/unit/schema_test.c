/* SPDX-License-Identifier: Apache-2.0 */
/* Avro C judges the texts; struct table is compared after the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <avro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "schemas/schema.h"
#include "tests/unit/make_table.h"

static void assert_avro_takes(const char *text)
{
    avro_schema_t avro = NULL;

    if (avro_schema_from_json_length(text, strlen(text), &avro) != 0) {
        fail_msg("%s: %s", avro_strerror(), text);
    }
    avro_schema_decref(avro);
}

static void assert_refused(const char *text)
{
    struct schema *schema = NULL;
    struct err err = {0};

    assert_int_equal(schema_parse(text, strlen(text), &schema, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_null(schema);
}

static void assert_reads_back(const struct schema *schema)
{
    struct schema *read = NULL;
    struct err err = {0};

    if (schema_parse(schema->value_text, strlen(schema->value_text), &read, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_true(table_same(read->table, schema->table));
    assert_true(read->value_id == schema->value_id);
    assert_string_equal(read->value_text, schema->value_text);
    assert_null(read->key_text);
    schema_free(read);
}

/* The text with the first `from` replaced. */
static char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    struct buffer out = {0};

    assert_non_null(at);
    buffer_append(&out, text, (size_t)(at - text));
    buffer_append_text(&out, to);
    buffer_append_text(&out, at + strlen(from));
    (void)buffer_text(&out);
    return (char *)out.bytes;
}

static void test_schema__every_shorter_text_is_refused(void **state)
{
    struct schema *schema = make_schema("shop", "orders", "id", "id long, price decimal 10 2");

    (void)state;
    for (size_t size = 0; size < strlen(schema->value_text); size++) {
        struct schema *read = NULL;
        struct err err = {0};

        assert_int_equal(schema_parse(schema->value_text, size, &read, &err), -1);
        assert_int_equal(err.class, ERR_POISON);
    }
    schema_free(schema);
}

static void test_schema__foreign_texts_are_refused(void **state)
{
    (void)state;
    assert_refused("\"long\"");
    assert_refused("[]");
    assert_refused("{}");
    assert_refused("{\"type\":\"record\",\"name\":\"x\",\"fields\":[]}");
    assert_refused("{\"kakehi.database\":\"d\",\"kakehi.table\":\"t\",\"kakehi.key\":[],\"fields\":[]}");
    assert_refused("{\"kakehi.database\":\"d\",\"kakehi.table\":\"t\",\"kakehi.key\":[],\"fields\":[1,2,3,4,5,6,7]}");
    assert_refused("{\"kakehi.database\":\"d\",\"kakehi.table\":\"\",\"kakehi.key\":[],\"fields\":[1,2,3,4,5,6]}");
}

/* What the properties say must be what the fields say: the decoder goes by the properties alone. */
static void test_schema__that_contradicts_itself_is_refused(void **state)
{
    static const char *const changes[][2] = {
        {"[\"null\",\"long\"]", "[\"null\",\"int\"]"},
        {"[\"null\",\"long\"]", "[\"long\",\"null\"]"},
        {"[\"null\",\"long\"]", "\"long\""},
        {"\"precision\":10", "\"precision\":11"},
        {"\"kakehi.scale\":2", "\"kakehi.scale\":3"},
        {"\"kakehi.scale\":2", "\"kakehi.scale\":\"2\""},
        {"\"kakehi.scale\":2", "\"kakehi.scale\":-2"},
        {"\"kakehi.scale\":2", "\"kakehi.scale\":258"},
        {"\"kakehi.type\":\"long\"", "\"kakehi.type\":\"short\""},
        {"\"kakehi.type\":\"long\"", "\"kakehi.type\":1"},
        {"\"kakehi.column\":\"id\"", "\"kakehi.column\":\"di\""},
        {"\"kakehi.column\":\"id\"", "\"kakehi.column\":\"price\""},
        {"\"kakehi.key\":[\"id\"]", "\"kakehi.key\":[\"ID\"]"},
        {"\"kakehi.key\":[\"id\"]", "\"kakehi.key\":[7]"},
        {"\"kakehi.key\":[\"id\"]", "\"kakehi.key\":[\"id\",\"id\"]"},
        {"\"kakehi.key\":[\"id\"]", "\"kakehi.key\":\"id\""},
        {"[\"c\",\"u\",\"d\",\"r\",\"t\"]", "[\"c\",\"u\",\"d\",\"t\",\"r\"]"},
        {"{\"name\":\"__seq\",\"type\":\"long\"},", ""},
        {"\"__txid\"", "\"__txie\""},
    };
    struct schema *schema = make_schema("shop", "orders", "id", "id long, price decimal 10 2");

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *text = changed(schema->value_text, changes[i][0], changes[i][1]);

        assert_refused(text);
        free(text);
    }
    schema_free(schema);
}

/* Any text: refused, or a table that has the same layout again. */
static void test_schema__random_changes_are_survived(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_long", EVERY_TYPE);
    size_t size = strlen(schema->value_text);
    int refused = 0;

    (void)state;
    srandom(5);
    for (int round = 0; round < 3000; round++) {
        char *text = strdup(schema->value_text);
        struct schema *read = NULL;
        struct err err = {0};

        for (int change = (int)(random() % 3); change >= 0; change--) {
            text[(size_t)random() % size] = schema->value_text[(size_t)random() % size];
        }
        if (schema_parse(text, size, &read, &err) == 0) {
            assert_reads_back(read);
        } else {
            assert_int_equal(err.class, ERR_POISON);
            refused++;
        }
        schema_free(read);
        free(text);
    }
    assert_in_range(refused, 1, 2999);
    schema_free(schema);
}

static void test_schema__property_of_a_later_release_is_let_through(void **state)
{
    struct schema *schema = make_schema("shop", "orders", "id", "id long");
    struct schema *read = NULL;
    char *text = changed(schema->value_text, "\"kakehi.type\":\"long\"", "\"kakehi.type\":\"long\",\"kakehi.policy\":\"null\"");
    struct err err;

    (void)state;
    assert_int_equal(schema_parse(text, strlen(text), &read, &err), 0);
    assert_true(table_same(read->table, schema->table));
    assert_true(read->value_id == schema_fingerprint(text, strlen(text)));
    assert_true(read->value_id != schema->value_id);
    schema_free(read);
    schema_free(schema);
    free(text);
}

static void test_schema__names_that_cannot_be_mapped_are_refused(void **state)
{
    static const char *const tables[][3] = {{"", "t", "c"}, {"d", "\xff", "c"}, {"d", "t", "\xff"}, {"d", "t", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct table *table = table_new(tables[i][0], tables[i][1], 1, 0);
        struct schema *schema = NULL;
        struct err err = {0};

        table->columns[0] = (struct column){strdup(tables[i][2]), strdup("int"), COLUMN_LONG, 0, 0};
        assert_int_equal(schema_new(table, &schema, &err), -1);
        assert_int_equal(err.class, ERR_POISON);
    }
}

static void test_schema__two_columns_of_one_name_are_refused(void **state)
{
    struct schema *schema = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(schema_new(make_table("d", "t", "", "a long, b long, a text"), &schema, &err), -1);
    assert_non_null(strstr(err.text, "two columns of the name a"));
}

static void test_schema__text_is_as_documented(void **state)
{
    struct schema *schema = make_schema("shop", "order items", "id", "id long, price decimal 10 2");

    (void)state;
    assert_string_equal(
        schema->value_text,
        "{\"type\":\"record\",\"name\":\"order_x0020_items\",\"namespace\":\"shop\",\"kakehi.database\":\"shop\","
        "\"kakehi.table\":\"order items\",\"kakehi.key\":[\"id\"],\"fields\":["
        "{\"name\":\"id\",\"type\":[\"null\",\"long\"],\"default\":null,\"kakehi.column\":\"id\",\"kakehi.type\":\"long\","
        "\"kakehi.source_type\":\"long\"},"
        "{\"name\":\"price\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":10,\"scale\":2}],"
        "\"default\":null,\"kakehi.column\":\"price\",\"kakehi.type\":\"decimal\",\"kakehi.source_type\":\"decimal\","
        "\"kakehi.precision\":10,\"kakehi.scale\":2},"
        "{\"name\":\"__op\",\"type\":{\"type\":\"enum\",\"name\":\"__op\",\"symbols\":[\"c\",\"u\",\"d\",\"r\",\"t\"]}},"
        "{\"name\":\"__ts\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
        "{\"name\":\"__seq\",\"type\":\"long\"},{\"name\":\"__idx\",\"type\":\"long\"},"
        "{\"name\":\"__source\",\"type\":\"string\"},{\"name\":\"__txid\",\"type\":\"string\"}]}");
    assert_string_equal(schema->key_text, "{\"type\":\"record\",\"name\":\"order_x0020_items_key\",\"namespace\":\"shop\","
                                          "\"fields\":[{\"name\":\"id\",\"type\":\"long\"}]}");
    schema_free(schema);
}

static void test_schema__avro_takes_every_type_and_it_reads_back(void **state)
{
    struct schema *schema = make_schema("shop", "types", "a_text, a_long", EVERY_TYPE);

    (void)state;
    assert_avro_takes(schema->value_text);
    assert_avro_takes(schema->key_text);
    assert_reads_back(schema);
    schema_free(schema);
}

static void test_schema__every_type_can_be_the_key(void **state)
{
    struct table *every = make_table("shop", "types", "", EVERY_TYPE);

    (void)state;
    for (size_t i = 0; i < every->column_count; i++) {
        struct schema *schema = make_schema("shop", "types", every->columns[i].name, EVERY_TYPE);

        assert_avro_takes(schema->key_text);
        assert_reads_back(schema);
        schema_free(schema);
    }
    table_free(every);
}

static void test_schema__avro_takes_strange_names_and_they_read_back(void **state)
{
    static const char *const names[] = {"a.b",     "a b",        "größe",       "😀",      "1st",  "__op", "__seq",
                                        "_x0041_", "\"quoted\"", "back\\slash", "select", "\x01", "a\nb", "__OP"};
    size_t count = sizeof names / sizeof *names;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct table *table = table_new(names[i], names[(i + 1) % count], count, 1);
        struct schema *schema = NULL;
        struct err err;

        for (size_t c = 0; c < count; c++) {
            table->columns[c] = (struct column){strdup(names[c]), strdup("enum('a','ü')"), COLUMN_TEXT, 0, 0};
        }
        table->key[0] = i;
        assert_int_equal(schema_new(table, &schema, &err), 0);
        assert_avro_takes(schema->value_text);
        assert_avro_takes(schema->key_text);
        assert_reads_back(schema);
        schema_free(schema);
    }
}

static void test_schema__without_a_key(void **state)
{
    struct schema *schema = make_schema("shop", "parts", "", "a long");

    (void)state;
    assert_avro_takes(schema->value_text);
    assert_avro_takes(schema->key_text);
    assert_non_null(strstr(schema->key_text, "\"fields\":[{\"name\":\"hash\",\"type\":\"bytes\"}]"));
    assert_reads_back(schema);
    schema_free(schema);
}

/* Nothing is known of its key: a guess, registered, could refuse the real one. */
static void test_schema__of_a_table_without_columns_has_no_key_schema(void **state)
{
    struct schema *schema = make_schema("shop", "seen_only_truncated", "", "");

    (void)state;
    assert_avro_takes(schema->value_text);
    assert_null(schema->key_text);
    assert_true(schema->key_id == 0);
    assert_reads_back(schema);
    schema_free(schema);
}

static void test_schema__of_the_most_columns_reads_back(void **state)
{
    struct table *table = table_new("d", "wide", TABLE_COLUMNS_MAX, 0);
    struct schema *schema = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < table->column_count; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "c%zu", i);
        table->columns[i] = (struct column){strdup(name), strdup("decimal(65,30)"), COLUMN_DECIMAL, 65, 30};
    }
    assert_int_equal(schema_new(table, &schema, &err), 0);
    assert_reads_back(schema);
    schema_free(schema);
}

static void test_schema__ids_tell_scales_apart_that_avro_calls_the_same(void **state)
{
    struct schema *one = make_schema("shop", "orders", "", "price decimal 10 2");
    struct schema *other = make_schema("shop", "orders", "", "price decimal 10 4");

    (void)state;
    assert_true(one->value_id != other->value_id);
    schema_free(one);
    schema_free(other);
}

static void test_schema__texts_agree_whatever_their_order_and_only_then(void **state)
{
    static const char ours[] = "{\"name\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\",\"long\"]},{\"name\":\"b\",\"type\":\"int\"}]}";
    static const char *const same[] = {
        ours,
        "{ \"fields\": [{\"type\":[\"null\", \"long\"], \"name\":\"a\"}, {\"name\":\"b\",\"type\":\"int\"}], \"more\":1, \"name\":\"t\"}",
    };
    static const char *const others[] = {
        "", "[]", "{}", "{\"name\":\"t\"}",
        "{\"name\":\"t\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"},{\"name\":\"a\",\"type\":[\"null\",\"long\"]}]}",
        "{\"name\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":[\"long\",\"null\"]},{\"name\":\"b\",\"type\":\"int\"}]}",
        "{\"name\":\"u\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\",\"long\"]},{\"name\":\"b\",\"type\":\"int\"}]}",
        "{\"name\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\",\"long\"]},{\"name\":\"b\",\"type\":\"int\",\"logicalType\":\"date\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_true(schema_texts_agree(ours, same[i], strlen(same[i])));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(schema_texts_agree(ours, others[i], strlen(others[i])));
    }
}

static void test_schema__key_id_stays_when_other_columns_change(void **state)
{
    struct schema *one = make_schema("shop", "orders", "id", "id long, price decimal 10 2");
    struct schema *other = make_schema("shop", "orders", "id", "id long, price decimal 10 4, note text");

    (void)state;
    assert_true(one->value_id != other->value_id);
    assert_true(one->key_id == other->key_id);
    schema_free(one);
    schema_free(other);
}

/* The values that the specification's algorithm gives, as published with Avro's own tests (schema-tests.txt). */
static void test_schema__fingerprint_is_crc_64_avro(void **state)
{
    (void)state;
    assert_true(schema_fingerprint("", 0) == UINT64_C(0xc15d213aa4d7a795));
    assert_true(schema_fingerprint("\"null\"", 6) == UINT64_C(7195948357588979594));
    assert_true(schema_fingerprint("\"int\"", 5) == UINT64_C(8247732601305521295));
    assert_true(schema_fingerprint("\"bytes\"", 7) == UINT64_C(5746618253357095269));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema__every_shorter_text_is_refused),
        cmocka_unit_test(test_schema__foreign_texts_are_refused),
        cmocka_unit_test(test_schema__that_contradicts_itself_is_refused),
        cmocka_unit_test(test_schema__random_changes_are_survived),
        cmocka_unit_test(test_schema__property_of_a_later_release_is_let_through),
        cmocka_unit_test(test_schema__names_that_cannot_be_mapped_are_refused),
        cmocka_unit_test(test_schema__two_columns_of_one_name_are_refused),
        cmocka_unit_test(test_schema__text_is_as_documented),
        cmocka_unit_test(test_schema__avro_takes_every_type_and_it_reads_back),
        cmocka_unit_test(test_schema__every_type_can_be_the_key),
        cmocka_unit_test(test_schema__avro_takes_strange_names_and_they_read_back),
        cmocka_unit_test(test_schema__without_a_key),
        cmocka_unit_test(test_schema__of_a_table_without_columns_has_no_key_schema),
        cmocka_unit_test(test_schema__of_the_most_columns_reads_back),
        cmocka_unit_test(test_schema__ids_tell_scales_apart_that_avro_calls_the_same),
        cmocka_unit_test(test_schema__texts_agree_whatever_their_order_and_only_then),
        cmocka_unit_test(test_schema__key_id_stays_when_other_columns_change),
        cmocka_unit_test(test_schema__fingerprint_is_crc_64_avro),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

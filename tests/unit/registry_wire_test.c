/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a registry, and of what stands in its place: only what has the right form is believed, and a refusal is told from trouble. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/registry_wire.h"

static struct registry_reply reply(int status, const char *body)
{
    return (struct registry_reply){status, body, strlen(body)};
}

static struct err refused(int status, const char *body)
{
    const struct registry_reply answer = reply(status, body);
    struct err err = {0};
    uint32_t id = 4711;

    assert_int_equal(registry_wire_id(&answer, &id, &err), -1);
    assert_int_equal(id, 4711);
    return err;
}

static void test_registry_wire__an_id_is_a_number_of_31_bits_and_nothing_else(void **state)
{
    static const char *const bad[] = {"",         "{}",        "[]",          "17",          "{\"id\":\"1\"}", "{\"id\":-1}", "{\"id\":2147483648}",
                                      "{\"id\":1.0}", "{\"id\":1",  "{\"id\":null}", "<html></html>", "{\"id\":1,\"id\":2}"};
    const struct registry_reply largest = reply(200, "{\"id\":2147483647,\"version\":1}");
    struct err err;
    uint32_t id = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(refused(200, bad[i]).class, ERR_RETRY);
    }
    assert_int_equal(registry_wire_id(&largest, &id, &err), 0);
    assert_int_equal(id, INT32_MAX);
}

static void test_registry_wire__only_what_is_said_of_the_schema_itself_is_for_good(void **state)
{
    static const int later[] = {100, 301, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504};
    static const int for_good[] = {409, 413, 422};

    (void)state;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        assert_int_equal(refused(later[i], "{\"error_code\":50001,\"message\":\"no\"}").class, ERR_RETRY);
        assert_int_equal(refused(later[i], "<html>").class, ERR_RETRY);
    }
    for (size_t i = 0; i < sizeof for_good / sizeof for_good[0]; i++) {
        assert_int_equal(refused(for_good[i], "{\"error_code\":40901,\"message\":\"no\"}").class, ERR_POISON);
        assert_int_equal(refused(for_good[i], "").class, ERR_POISON);
    }
}

static void test_registry_wire__a_refusal_has_the_registrys_words_and_a_remedy_on_one_line(void **state)
{
    struct err err = refused(409, "{\"error_code\":40901,\"message\":\"reader\\n type\\u0007 no\\u00e4\"}");

    (void)state;
    assert_non_null(strstr(err.text, "409, error 40901"));
    assert_non_null(strstr(err.text, "compatibility to NONE"));
    assert_non_null(strstr(err.text, "reader  type  no\xc3\xa4"));
}

static void test_registry_wire__long_words_are_cut_between_characters(void **state)
{
    char body[2048] = "{\"error_code\":42201,\"message\":\"x";
    struct err err;

    (void)state;
    for (int i = 0; i < 400; i++) {
        (void)strncat(body, "\xc3\xa4", 3);
    }
    (void)strncat(body, "\"}", 3);
    err = refused(422, body);
    assert_true(strlen(err.text) < sizeof err.text);
    assert_string_equal(err.text + strlen(err.text) - 2, "\xc3\xa4");
}

static void assert_schema(int status, const char *body, int expected, enum err_class class)
{
    const struct registry_reply answer = reply(status, body);
    struct buffer text = {0};
    struct err err = {0};

    assert_int_equal(registry_wire_schema(&answer, &text, &err), expected);
    assert_int_equal(err.class, class);
    assert_string_equal(buffer_text(&text), expected == 0 ? "\"long\"" : "");
    buffer_deinit(&text);
}

static void test_registry_wire__a_schema_is_avro_or_none_of_ours(void **state)
{
    (void)state;
    assert_schema(200, "{\"schema\":\"\\\"long\\\"\"}", 0, ERR_NONE);
    assert_schema(200, "{\"schema\":\"\\\"long\\\"\",\"schemaType\":\"AVRO\",\"references\":[]}", 0, ERR_NONE);
    assert_schema(200, "{\"schema\":\"x\",\"schemaType\":\"JSON\"}", -1, ERR_POISON);
    assert_schema(200, "{\"schema\":\"x\",\"schemaType\":null}", -1, ERR_POISON);
    assert_schema(200, "{\"schema\":\"a\\u0000b\"}", -1, ERR_RETRY);
    assert_schema(200, "{\"schema\":17}", -1, ERR_RETRY);
    assert_schema(200, "", -1, ERR_RETRY);
}

static void test_registry_wire__no_status_makes_an_id_unknown_for_ever(void **state)
{
    (void)state;
    for (int status = 300; status < 600; status++) {
        assert_schema(status, "{\"error_code\":40403,\"message\":\"Schema not found\"}", -1, ERR_RETRY);
    }
}

static void test_registry_wire__a_body_is_json_that_says_the_text(void **state)
{
    const char *text = "{\"name\":\"\xc3\xa4\\\"\\n\t\x01\"}";
    struct buffer body = {0};
    json_t *json;

    (void)state;
    registry_wire_body(&body, text);
    json = json_loads(buffer_text(&body), 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "schema")), text);
    json_decref(json);
    buffer_deinit(&body);
}

static void test_registry_wire__check_wants_avro_and_reads_the_level(void **state)
{
    const struct registry_reply types = reply(200, "[\"JSON\",\"AVRO\"]"), none = reply(200, "[\"JSON\"]"), other = reply(200, "{}"),
                                level = reply(200, "{\"compatibilityLevel\":\"FULL\"}"), no_level = reply(200, "{\"compatibility\":\"FULL\"}");
    struct buffer text = {0};
    struct err err;

    (void)state;
    assert_int_equal(registry_wire_types(&types, &err), 0);
    assert_int_equal(registry_wire_types(&none, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    assert_int_equal(registry_wire_types(&other, &err), -1);
    assert_int_equal(registry_wire_compatibility(&no_level, &text, &err), -1);
    assert_int_equal(registry_wire_compatibility(&level, &text, &err), 0);
    assert_string_equal(buffer_text(&text), "FULL");
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry_wire__an_id_is_a_number_of_31_bits_and_nothing_else),
        cmocka_unit_test(test_registry_wire__only_what_is_said_of_the_schema_itself_is_for_good),
        cmocka_unit_test(test_registry_wire__a_refusal_has_the_registrys_words_and_a_remedy_on_one_line),
        cmocka_unit_test(test_registry_wire__long_words_are_cut_between_characters),
        cmocka_unit_test(test_registry_wire__a_schema_is_avro_or_none_of_ours),
        cmocka_unit_test(test_registry_wire__no_status_makes_an_id_unknown_for_ever),
        cmocka_unit_test(test_registry_wire__a_body_is_json_that_says_the_text),
        cmocka_unit_test(test_registry_wire__check_wants_avro_and_reads_the_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

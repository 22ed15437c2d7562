/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes are what Google's own Python client writes and reads. Each answer is also read cut off at each of its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "workers/bigquery/protobuf.h"
#include "workers/bigquery/storage_messages.h"

#define TABLE  "projects/p/datasets/d/tables/t"
#define STREAM TABLE "/streams/s1" /* 41 = 0x29 bytes */

#define ANY_OF_OTHERS "\x1a\x38\x0a\x28type.googleapis.com/google.rpc.DebugInfo\x12\x0c\x12\x0anot for us"
#define STORAGE_ERROR "\x08\x07\x12\x29" STREAM "\x1a\x31Input schema has more fields than BigQuery schema"
#define ANY_OF_OURS                                                                                                            \
    "\x1a\xa5\x01\x0a\x41type.googleapis.com/google.cloud.bigquery.storage.v1.StorageError\x12\x60" STORAGE_ERROR
#define STATUS "\x08\x03\x12\x0fSchema mismatch" ANY_OF_OTHERS ANY_OF_OURS

#define BYTES_OF(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static void check_text(struct storage_text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.size);
}

static void check_bytes(struct buffer *out, const uint8_t *expected, size_t size)
{
    assert_int_equal(out->size, size);
    assert_memory_equal(out->bytes, expected, size);
    buffer_deinit(out);
}

static void check_append_bad(const uint8_t *bytes, size_t size, const char *why)
{
    struct storage_append_answer answer;
    struct err err;

    assert_int_equal(storage_append_decode(bytes, size, &answer, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_non_null(strstr(err.text, why));
}

static void test_storage_messages__an_answer_that_is_garbage_says_nothing(void **state)
{
    (void)state;
    check_append_bad(BYTES_OF("\xff"), "the bytes end inside a number");
    check_append_bad(BYTES_OF("\x0a\x02\x0a"), "a field is longer than its message");
    check_append_bad(BYTES_OF("\x0a\x02\x0a\x01"), "a field is longer than its message"); /* deeper: the result */
    check_append_bad(BYTES_OF("\x0a\x03\x0a\x01\x08"), "the bytes end inside a number");  /* the number in it */
    check_append_bad(BYTES_OF("\x12\x01\x08"), "the bytes end inside a number");          /* the error */
    check_append_bad(BYTES_OF("\x12\x03\x1a\x01\x0a"), "the bytes end inside a number");  /* its details */
    check_append_bad(BYTES_OF("\x22\x01\x08"), "the bytes end inside a number");          /* a row error */
    check_append_bad(BYTES_OF("\x0a\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "a negative offset");
    check_append_bad(BYTES_OF("\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "a row error of a negative index");
}

/* Behind the details' type the StorageError itself is broken. */
static void test_storage_messages__a_broken_storage_error_is_garbage(void **state)
{
    static const char status[] = "\x1a\x36\x0a\x31x.y/google.cloud.bigquery.storage.v1.StorageError\x12\x01\x08";
    struct storage_status ret_status;
    struct err err;

    (void)state;
    assert_int_equal(storage_status_decode(BYTES_OF(status), &ret_status, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
}

/* Cut off anywhere, an answer is refused or says less, and nothing is read behind its end. */
static void check_cuts(const uint8_t *bytes, size_t size)
{
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut > 0 ? cut : 1);
        struct storage_append_answer answer;
        struct storage_stream stream;
        struct storage_status status;
        int64_t row_count;
        struct err err;

        assert_non_null(exact);
        memcpy(exact, bytes, cut);
        if (storage_append_decode(exact, cut, &answer, &err) == 0) {
            storage_append_answer_deinit(&answer);
        }
        (void)!storage_stream_decode(exact, cut, &stream, &err);
        (void)!storage_status_decode(exact, cut, &status, &err);
        (void)!storage_finalize_decode(exact, cut, &row_count, &err);
        free(exact);
    }
}

static void test_storage_messages__no_cut_makes_an_error_an_acceptance(void **state)
{
    static const char error[] = "\x12\xf5\x01" STATUS "\x2a\x29" STREAM;
    struct storage_append_answer answer;
    struct err err;

    (void)state;
    check_cuts(BYTES_OF(error));
    check_cuts(BYTES_OF(STATUS));
    for (size_t cut = 0; cut < sizeof error - 1; cut++) {
        if (storage_append_decode((const uint8_t *)error, cut, &answer, &err) == 0) {
            assert_false(answer.accepted);
            storage_append_answer_deinit(&answer);
        }
    }
}

static void test_storage_messages__requests_are_the_official_bytes(void **state)
{
    struct buffer out = {0};

    (void)state;
    storage_create_write_stream(&out, TABLE);
    check_bytes(&out, BYTES_OF("\x0a\x1e" TABLE "\x12\x02\x10\x01"));
    storage_finalize_write_stream(&out, STREAM);
    check_bytes(&out, BYTES_OF("\x0a\x29" STREAM));
}

static void test_storage_messages__reads_a_stream(void **state)
{
    static const char bytes[] = "\x0a\x29" STREAM "\x10\x01\x1a\x0c\x08\x8b\xdb\x83\xd8\x06\x10\x88\x98\xe8\xd9\x01"
                                "\x2a\x0a\x0a\x08\x0a\x02id\x10\x02\x18\x01\x42\x02"
                                "EU";
    struct storage_stream stream;
    struct err err;

    (void)state;
    assert_int_equal(storage_stream_decode(BYTES_OF(bytes), &stream, &err), 0);
    check_text(stream.name, STREAM);
    assert_int_equal(stream.type, STORAGE_STREAM_COMMITTED);
    assert_int_equal(stream.create_time_us, INT64_C(1795222923456789));
    assert_int_equal(stream.commit_time_us, 0);
    check_cuts(BYTES_OF(bytes));
}

static void check_stream_bad(const uint8_t *bytes, size_t size)
{
    struct storage_stream stream;
    struct err err;

    assert_int_equal(storage_stream_decode(bytes, size, &stream, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
}

/* The name goes into commits and headers. */
static void test_storage_messages__a_stream_needs_a_name_that_can_be_one(void **state)
{
    char name[STORAGE_STREAM_NAME_MAX + 1];
    struct buffer out = {0};

    (void)state;
    check_stream_bad(BYTES_OF(""));
    check_stream_bad(BYTES_OF("\x0a\x00"));
    check_stream_bad(BYTES_OF("\x0a\x03"
                              "a\nb"));
    check_stream_bad(BYTES_OF("\x0a\x03"
                              "a b"));
    check_stream_bad(BYTES_OF("\x0a\x03"
                              "a\0b"));
    check_stream_bad(BYTES_OF("\x0a\x02\xc3\xa9"));
    memset(name, 'a', sizeof name);
    protobuf_put_bytes(&out, 1, name, sizeof name);
    check_stream_bad(out.bytes, out.size);
    buffer_deinit(&out);
    check_stream_bad(BYTES_OF("\x0a\x01"
                              "a\x1a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x00")); /* a time that can't be */
}

static void test_storage_messages__reads_how_many_rows_a_stream_ended_with(void **state)
{
    int64_t row_count = -1;
    struct err err;

    (void)state;
    assert_int_equal(storage_finalize_decode(BYTES_OF("\x08\xcb\x89\xec\x8f\xf7\x23"), &row_count, &err), 0);
    assert_int_equal(row_count, INT64_C(1234567890123));
    assert_int_equal(storage_finalize_decode(BYTES_OF(""), &row_count, &err), 0);
    assert_int_equal(row_count, 0);
    assert_int_equal(storage_finalize_decode(BYTES_OF("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &row_count, &err), -1);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(storage_finalize_decode(BYTES_OF("\x08"), &row_count, &err), -1);
}

static struct storage_append_answer decode(const uint8_t *bytes, size_t size)
{
    struct storage_append_answer answer;
    struct err err;

    assert_int_equal(storage_append_decode(bytes, size, &answer, &err), 0);
    return answer;
}

static void test_storage_messages__reads_an_acceptance(void **state)
{
    struct storage_append_answer answer = decode(BYTES_OF("\x0a\x06\x0a\x04\x08\xf0\xa2\x04\x2a\x29" STREAM));

    (void)state;
    assert_true(answer.accepted);
    assert_int_equal(answer.offset, 70000);
    assert_int_equal(answer.status.code, 0);
    assert_int_equal(answer.row_error_count, 0);
    check_text(answer.write_stream, STREAM);
    storage_append_answer_deinit(&answer);

    answer = decode(BYTES_OF("\x0a\x02\x0a\x00")); /* the stream's first row */
    assert_true(answer.accepted);
    assert_int_equal(answer.offset, 0);
    answer = decode(BYTES_OF("\x0a\x00")); /* `_default` */
    assert_true(answer.accepted);
    assert_int_equal(answer.offset, -1);
}

static void test_storage_messages__reads_an_error_with_its_storage_error(void **state)
{
    static const char bytes[] = "\x12\xf5\x01" STATUS "\x2a\x29" STREAM;
    struct storage_append_answer answer = decode(BYTES_OF(bytes));
    struct storage_status status;
    struct err err;

    (void)state;
    assert_false(answer.accepted);
    assert_int_equal(answer.status.code, 3);
    check_text(answer.status.message, "Schema mismatch");
    assert_int_equal(answer.status.error_code, STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS);
    check_text(answer.status.entity, STREAM);
    check_text(answer.status.error_message, "Input schema has more fields than BigQuery schema");
    storage_append_answer_deinit(&answer);

    assert_int_equal(storage_status_decode(BYTES_OF(STATUS), &status, &err), 0); /* as the trailer has it */
    assert_int_equal(status.code, 3);
    assert_int_equal(status.error_code, STORAGE_ERROR_SCHEMA_MISMATCH_EXTRA_FIELDS);
}

static void test_storage_messages__an_error_is_one_whatever_its_code(void **state)
{
    struct storage_append_answer answer = decode(BYTES_OF("\x12\x00"));

    (void)state;
    assert_false(answer.accepted);
    assert_int_equal(answer.status.code, 2);
    answer = decode(BYTES_OF("\x0a\x02\x0a\x00\x12\x02\x08\x06")); /* of a oneof the last counts */
    assert_false(answer.accepted);
    assert_int_equal(answer.offset, -1);
    assert_int_equal(answer.status.code, 6);
    answer = decode(BYTES_OF("\x12\x02\x08\x06\x0a\x02\x0a\x00"));
    assert_true(answer.accepted);
    assert_int_equal(answer.status.code, 0);
}

static void test_storage_messages__an_answer_may_say_nothing_of_the_rows(void **state)
{
    struct storage_append_answer answer = decode(BYTES_OF("\x1a\x08\x0a\x06\x0a\x02id\x10\x02"));

    (void)state;
    assert_false(answer.accepted);
    assert_int_equal(answer.status.code, 0);
    answer = decode(BYTES_OF("\x0a\x04\x0a\x02\x08\x05\x1a\x08\x0a\x06\x0a\x02id\x10\x02"));
    assert_true(answer.accepted);
}

static void test_storage_messages__reads_row_errors(void **state)
{
    static const char bytes[] = "\x12\x10\x08\x03\x12\x0c"
                                "Errors found"
                                "\x22\x0c\x10\x01\x1a\x08"
                                "bad date"
                                "\x22\x10\x08\x29\x10\x01\x1a\x0a"
                                "bad number";
    struct storage_append_answer answer = decode(BYTES_OF(bytes));

    (void)state;
    assert_int_equal(answer.status.code, 3);
    assert_int_equal(answer.row_error_count, 2);
    assert_int_equal(answer.row_errors[0].place, 0);
    assert_int_equal(answer.row_errors[0].code, 1);
    check_text(answer.row_errors[0].message, "bad date");
    assert_int_equal(answer.row_errors[1].place, 41);
    check_text(answer.row_errors[1].message, "bad number");
    assert_false(answer.row_errors_cut);
    storage_append_answer_deinit(&answer);
    check_cuts(BYTES_OF(bytes));
}

static void test_storage_messages__more_row_errors_than_we_take_are_cut(void **state)
{
    struct buffer out = {0};
    struct storage_append_answer answer;

    (void)state;
    for (int i = 0; i <= STORAGE_ROW_ERRORS_MAX; i++) {
        buffer_append(&out, "\x22\x02\x10\x01", 4);
    }
    answer = decode(out.bytes, out.size);
    assert_int_equal(answer.row_error_count, STORAGE_ROW_ERRORS_MAX);
    assert_true(answer.row_errors_cut);
    storage_append_answer_deinit(&answer);
    buffer_deinit(&out);
}

static void test_storage_messages__a_status_as_text_is_one_clean_line(void **state)
{
    static char long_entity[1000];
    char text[STORAGE_STATUS_TEXT_MAX];
    struct storage_status status = {.code = 3, .message = {"a\nb\x1b[1m\xc3", 7}, .error_code = 9};

    (void)state;
    storage_status_text(&status, text);
    assert_string_equal(text, "code 3, OFFSET_OUT_OF_RANGE: a?b?[1m");
    status = (struct storage_status){.code = 6};
    storage_status_text(&status, text);
    assert_string_equal(text, "code 6");
    status = (struct storage_status){.code = 3, .error_code = 99, .entity = {STREAM, 41}, .error_message = {"why", 3}};
    storage_status_text(&status, text);
    assert_string_equal(text, "code 3, unknown (" STREAM "): why");
    memset(long_entity, 'e', sizeof long_entity);
    status.entity = (struct storage_text){long_entity, sizeof long_entity};
    storage_status_text(&status, text);
    assert_int_equal(strlen(text), STORAGE_STATUS_TEXT_MAX - 1);
    assert_string_equal(storage_error_name(INT32_MIN), "unknown");
    assert_string_equal(storage_error_name(14), "KMS_PERMISSION_DENIED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage_messages__an_answer_that_is_garbage_says_nothing),
        cmocka_unit_test(test_storage_messages__a_broken_storage_error_is_garbage),
        cmocka_unit_test(test_storage_messages__no_cut_makes_an_error_an_acceptance),
        cmocka_unit_test(test_storage_messages__requests_are_the_official_bytes),
        cmocka_unit_test(test_storage_messages__reads_a_stream),
        cmocka_unit_test(test_storage_messages__a_stream_needs_a_name_that_can_be_one),
        cmocka_unit_test(test_storage_messages__reads_how_many_rows_a_stream_ended_with),
        cmocka_unit_test(test_storage_messages__reads_an_acceptance),
        cmocka_unit_test(test_storage_messages__reads_an_error_with_its_storage_error),
        cmocka_unit_test(test_storage_messages__an_error_is_one_whatever_its_code),
        cmocka_unit_test(test_storage_messages__an_answer_may_say_nothing_of_the_rows),
        cmocka_unit_test(test_storage_messages__reads_row_errors),
        cmocka_unit_test(test_storage_messages__more_row_errors_than_we_take_are_cut),
        cmocka_unit_test(test_storage_messages__a_status_as_text_is_one_clean_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Packets cut anywhere give the same events; what is no packet is an error, with the server's own words where it has some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/binlog_log.h"
#include "producer/binlog/packet.h"

/* Reads one message of `size` event bytes, in pieces; the bytes that came. */
static enum packet_result read_message(const struct buffer *packets, size_t piece_size, size_t size, struct buffer *out,
                                       struct err *err)
{
    struct packet_reader reader;
    enum packet_result result = PACKET_INPUT;
    size_t at = 0;

    packet_init(&reader, BINLOG_PACKETS);
    while (result == PACKET_INPUT && at < packets->size) {
        size_t step = packets->size - at < piece_size ? packets->size - at : piece_size;

        packet_give(&reader, packets->bytes + at, step);
        at += step;
        do {
            const uint8_t *run;
            size_t run_size;

            result = out->size < size ? packet_run(&reader, &run, &run_size, err) : packet_end(&reader, err);
            if (result != PACKET_RUN || out->size == size) {
                break;
            }
            run_size = run_size < size - out->size ? run_size : size - out->size;
            buffer_append(out, run, run_size);
            packet_take(&reader, run_size);
        } while (true);
    }
    packet_deinit(&reader);
    return result;
}

static enum packet_result read_bytes(const char *packets, size_t packets_size, size_t size, struct err *err)
{
    struct buffer bytes = {.bytes = (uint8_t *)(uintptr_t)packets, .size = packets_size};
    struct buffer out = {0};
    enum packet_result result = read_message(&bytes, 1, size, &out, err);

    buffer_deinit(&out);
    return result;
}

static void test_packet__fails_when_the_framing_is_lost(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(read_bytes("\4\0\0\2\0abc", 8, 3, &err), PACKET_FAILED);
    assert_non_null(strstr(err.text, "number 2 where 1 was due"));
    assert_int_equal(read_bytes("\4\0\0\1\0abc", 8, 2, &err), PACKET_FAILED);
    assert_non_null(strstr(err.text, "longer than its event"));
    assert_int_equal(read_bytes("\4\0\0\1\0abc\1\0\0\2\0", 13, 4, &err), PACKET_FAILED);
    assert_non_null(strstr(err.text, "shorter than its event"));
    assert_int_equal(read_bytes("\0\0\0\1", 4, 1, &err), PACKET_FAILED);
    assert_non_null(strstr(err.text, "empty packet"));
    assert_int_equal(read_bytes("\3\0\0\1\xef\0x", 7, 1, &err), PACKET_FAILED);
    assert_non_null(strstr(err.text, "semi-synchronous"));
}

static void test_packet__tells_the_end_and_errors_from_events(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(read_bytes("\5\0\0\1\xfe\0\0\2\0", 9, 1, &err), PACKET_FAILED);
    assert_int_equal(err.class, ERR_RETRY);
    assert_string_equal(err.text, "the server ended the stream");
    assert_int_equal(read_bytes("\x0d\0\0\1\xff\x1d\4#08S01gone", 17, 1, &err), PACKET_FAILED);
    assert_int_equal(err.class, ERR_RETRY);
    assert_string_equal(err.text, "the server ended the stream with error 1053 08S01: gone");
    assert_int_equal(read_bytes("\3\0\0\1\xff\xd4\4", 7, 1, &err), PACKET_FAILED);
    assert_int_equal(err.class, ERR_FATAL);
}

/* 0xffffff bytes of payload go on in the next packet, which may be empty. */
static void test_packet__joins_split_messages(void **state)
{
    static const size_t sizes[] = {1, 0xfffffe - 1, 0xfffffe, 0xfffffe + 1, 2 * 0xffffff - 1, 2 * 0xffffff};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer message = {0};
        struct buffer packets = {0};
        struct buffer out = {0};
        uint8_t sequence = 1;
        struct err err = {0};

        buffer_reserve(&message, sizes[i] + 1);
        message.size = sizes[i] + 1;
        for (size_t at = 0; at < message.size; at++) {
            message.bytes[at] = (uint8_t)(at % 251);
        }
        log_packet_add(&packets, &sequence, message.bytes, message.size, 0xffffff);
        assert_int_equal(read_message(&packets, 300007, sizes[i], &out, &err), PACKET_RUN);
        assert_memory_equal(out.bytes, message.bytes + 1, sizes[i]);
        buffer_deinit(&message);
        buffer_deinit(&packets);
        buffer_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet__fails_when_the_framing_is_lost),
        cmocka_unit_test(test_packet__tells_the_end_and_errors_from_events),
        cmocka_unit_test(test_packet__joins_split_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

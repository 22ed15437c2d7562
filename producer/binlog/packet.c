/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequence number is checked: it is the only thing by which a framing that went wrong shows at once. It begins anew with
 * the dump command, whose packet has number 0, and wraps.
 */
#include "producer/binlog/packet.h"

#include <string.h>

#include "producer/binlog/cursor.h"

#define PAYLOAD_FULL    0xffffff
#define ERROR_BYTES_MAX 4096 /* what is kept of an error message; MySQL's are below 600 */
#define EOF_BYTES_MAX   9    /* fe with a payload of this or more is not the end */

#define ER_SOURCE_FATAL_ERROR_READING_BINLOG 1236

void packet_init(struct packet_reader *reader, enum binlog_framing framing)
{
    *reader = (struct packet_reader){.framing = framing, .sequence = 1};
}

void packet_deinit(struct packet_reader *reader)
{
    buffer_deinit(&reader->error);
}

void packet_reset(struct packet_reader *reader)
{
    enum binlog_framing framing = reader->framing;

    packet_deinit(reader);
    packet_init(reader, framing);
}

void packet_give(struct packet_reader *reader, const uint8_t *bytes, size_t size)
{
    reader->at = bytes;
    reader->end = bytes + size;
}

/* Gathers the 4 bytes before a payload. 1: there; 0: more input is needed. */
static int read_head(struct packet_reader *reader, struct err *err)
{
    while (reader->head_size < sizeof reader->head) {
        if (reader->at == reader->end) {
            return 0;
        }
        reader->head[reader->head_size++] = *reader->at++;
    }
    if (reader->head[3] != reader->sequence) {
        return err_set(err, ERR_FATAL, "a packet has number %u where %u was due: the framing is lost", reader->head[3],
                       reader->sequence);
    }
    reader->sequence++;
    reader->payload_left = (uint32_t)(reader->head[0] | reader->head[1] << 8 | reader->head[2] << 16);
    reader->more_packets = reader->payload_left == PAYLOAD_FULL;
    reader->head_size = 0;
    return 1;
}

/* ff, number u16, '#' and 5 characters of state, text. */
static enum packet_result fail_by_server(struct packet_reader *reader, struct err *err)
{
    struct cursor cursor = cursor_over(reader->error.bytes, reader->error.size);
    char state[7] = "";

    cursor_skip(&cursor, 1);
    reader->server_error = cursor_u16(&cursor);
    if (cursor_left(&cursor) >= 6 && *cursor.at == '#') {
        memcpy(state, cursor_bytes(&cursor, 6), 6);
    }
    (void)err_set(err, reader->server_error == ER_SOURCE_FATAL_ERROR_READING_BINLOG ? ERR_FATAL : ERR_RETRY,
                  "the server ended the stream with error %u%s%s: %.*s", reader->server_error, state[0] != '\0' ? " " : "",
                  state[0] != '\0' ? state + 1 : "", (int)cursor_left(&cursor), (const char *)cursor.at);
    return PACKET_FAILED;
}

static enum packet_result gather_error(struct packet_reader *reader, struct err *err)
{
    size_t here = (size_t)(reader->end - reader->at);
    size_t size = here < reader->payload_left ? here : reader->payload_left;
    size_t room = ERROR_BYTES_MAX - reader->error.size;

    buffer_append(&reader->error, reader->at, size < room ? size : room);
    reader->at += size;
    reader->payload_left -= (uint32_t)size;
    return reader->payload_left > 0 ? PACKET_INPUT : fail_by_server(reader, err);
}

/* The byte in front of an event. */
static enum packet_result read_status(struct packet_reader *reader, struct err *err)
{
    if (reader->payload_left == 0) {
        (void)err_set(err, ERR_FATAL, "an empty packet stands where an event was due");
        return PACKET_FAILED;
    }
    if (reader->at == reader->end) {
        return PACKET_INPUT;
    }
    switch (*reader->at) {
    case 0x00:
        reader->at++;
        reader->payload_left--;
        reader->in_message = true;
        return PACKET_RUN;
    case 0xff:
        return gather_error(reader, err);
    case 0xfe:
        if (reader->payload_left < EOF_BYTES_MAX) {
            (void)err_set(err, ERR_RETRY, "the server ended the stream");
            return PACKET_FAILED;
        }
        break;
    default:
        break;
    }
    (void)err_set(err, ERR_FATAL, "a packet begins with %02x, which is no event (is semi-synchronous replication on?)",
                  *reader->at);
    return PACKET_FAILED;
}

static enum packet_result run_of_piece(struct packet_reader *reader, size_t size_max, const uint8_t **ret_run, size_t *ret_size)
{
    size_t here = (size_t)(reader->end - reader->at);

    *ret_run = reader->at;
    *ret_size = here < size_max ? here : size_max;
    return *ret_size > 0 ? PACKET_RUN : PACKET_INPUT;
}

/* Makes a message begin: its packet's head, then the status byte. */
static enum packet_result begin_message(struct packet_reader *reader, struct err *err)
{
    if (reader->error.size > 0) {
        return gather_error(reader, err);
    }
    if (reader->payload_left == 0) {
        int got = read_head(reader, err);

        if (got <= 0) {
            return got < 0 ? PACKET_FAILED : PACKET_INPUT;
        }
    }
    return read_status(reader, err);
}

/* Reads the heads of the packets that the message goes on in, until one has a payload or the message is over. */
static enum packet_result go_on(struct packet_reader *reader, struct err *err)
{
    while (reader->payload_left == 0 && reader->more_packets) {
        int got = read_head(reader, err);

        if (got <= 0) {
            return got < 0 ? PACKET_FAILED : PACKET_INPUT;
        }
    }
    return PACKET_RUN;
}

enum packet_result packet_run(struct packet_reader *reader, const uint8_t **ret_run, size_t *ret_size, struct err *err)
{
    enum packet_result result;

    if (reader->framing == BINLOG_FILE) {
        return run_of_piece(reader, SIZE_MAX, ret_run, ret_size);
    }
    result = reader->in_message ? PACKET_RUN : begin_message(reader, err);
    if (result == PACKET_RUN) {
        result = go_on(reader, err);
    }
    if (result != PACKET_RUN) {
        return result;
    }
    if (reader->payload_left == 0) {
        (void)err_set(err, ERR_FATAL, "a packet is shorter than its event says");
        return PACKET_FAILED;
    }
    return run_of_piece(reader, reader->payload_left, ret_run, ret_size);
}

void packet_take(struct packet_reader *reader, size_t size)
{
    reader->at += size;
    if (reader->framing == BINLOG_PACKETS) {
        reader->payload_left -= (uint32_t)size;
    }
}

enum packet_result packet_end(struct packet_reader *reader, struct err *err)
{
    enum packet_result result;

    if (reader->framing == BINLOG_FILE) {
        return PACKET_RUN;
    }
    result = go_on(reader, err);
    if (result != PACKET_RUN) {
        return result;
    }
    if (reader->payload_left > 0) {
        (void)err_set(err, ERR_FATAL, "a packet is longer than its event says");
        return PACKET_FAILED;
    }
    reader->in_message = false;
    return PACKET_RUN;
}

bool packet_idle(const struct packet_reader *reader)
{
    return reader->head_size == 0 && !reader->in_message && reader->payload_left == 0 && reader->error.size == 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet: pieces of input to runs of event bytes: takes MySQL's packets apart, or passes the bytes of a file on.
 *
 * A packet is a 3-byte length, a sequence number and a payload; a payload of 0xffffff bytes goes on in the next packet. The
 * first payload byte of a message says what it is: 00 an event, fe (in fewer than 9 bytes) the end of the stream, ff an error.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
 * Nothing is copied: a run points into the piece.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_PACKET_H
#define KAKEHI_PRODUCER_BINLOG_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"
#include "producer/binlog/stream.h"

struct packet_reader {
    enum binlog_framing framing;
    const uint8_t *at; /* of the piece, borrowed */
    const uint8_t *end;
    uint8_t head[4];       /* of the packet that begins */
    unsigned head_size;    /* how much of it is here */
    bool in_message;       /* the message's first byte is behind us and its end is not */
    bool more_packets;     /* the packet in hand was full, so another follows */
    uint32_t payload_left; /* of the packet in hand */
    uint8_t sequence;      /* the number the next packet must have */
    struct buffer error;   /* an error message that is being gathered */
    unsigned server_error; /* its number; 0: none */
};

enum packet_result {
    PACKET_RUN,    /* *ret_run, *ret_size: bytes of an event */
    PACKET_INPUT,  /* the piece is used up */
    PACKET_FAILED, /* err */
};

void packet_init(struct packet_reader *reader, enum binlog_framing framing);
void packet_deinit(struct packet_reader *reader);
/* Forgets what is under way: a new dump or file begins. */
void packet_reset(struct packet_reader *reader);
void packet_give(struct packet_reader *reader, const uint8_t *bytes, size_t size);
/* What of the event can be read now, without taking it. */
enum packet_result packet_run(struct packet_reader *reader, const uint8_t **ret_run, size_t *ret_size, struct err *err);
/* Takes `size` of the run. */
void packet_take(struct packet_reader *reader, size_t size);
/* The event is complete, so the message must be: PACKET_RUN. The next packet_run begins another. */
enum packet_result packet_end(struct packet_reader *reader, struct err *err);
/* Is nothing under way, not even a packet's length? */
bool packet_idle(const struct packet_reader *reader);

#endif

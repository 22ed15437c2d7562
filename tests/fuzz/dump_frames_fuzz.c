/* SPDX-License-Identifier: Apache-2.0 */
/* Packet borders: the same bytes whole and in pieces (of the size that the first byte says) end alike, with the same error. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/dump_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct dump_frames whole = {0};
    struct dump_frames pieces = {0};
    struct err whole_err = {0};
    struct err pieces_err = {0};
    bool rival;
    size_t piece;
    size_t good;

    if (size == 0) {
        return 0;
    }
    piece = (size_t)bytes[0] + 1;
    good = dump_frames_scan(&whole, bytes + 1, size - 1);
    must(good <= size - 1);
    for (size_t at = 1; at < size; at += piece) {
        size_t count = piece < size - at ? piece : size - at;

        must(dump_frames_scan(&pieces, bytes + at, count) <= count);
    }
    must(dump_frames_ended(&whole) == dump_frames_ended(&pieces));
    if (dump_frames_ended(&whole)) {
        must(dump_frames_error(&whole, &rival, &whole_err) == -1 && dump_frames_error(&pieces, &rival, &pieces_err) == -1);
        must(whole_err.class == pieces_err.class && strcmp(whole_err.text, pieces_err.text) == 0);
    }
    return 0;
}

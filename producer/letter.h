/* SPDX-License-Identifier: Apache-2.0 */
/*
 * letter: what stands in <prefix>.dead for a change that can't be a row of its topic. Pure.
 *
 * The workers' letters hold a message's bytes; here there is none, so the change stands as JSON, its values as `decode` prints them
 * (schemas/value_text.h): nothing of it is lost. Key: "source/txid/idx", its identity, by which a reader sees that it has the letter
 * already. The reason is a header, as in the workers' letters. It is produced in the transaction of its neighbours and of the
 * position: exactly once.
 *
 *   {"table":"d.t","op":"u","before":{...},"after":{...},"ts":"...Z","source":"shop","txid":"0-1-2","seq":6,"idx":8}
 *
 * Of a message that is too large for Kafka stands what it takes to find it and to know it again; its key as base64 of the Avro bytes:
 *
 *   {"table":"d.t","op":"c","key":"AgI=","size":2097152,"sha256":"9f86...","ts":...}
 */
#ifndef KAKEHI_PRODUCER_LETTER_H
#define KAKEHI_PRODUCER_LETTER_H

#include "common/buffer.h"
#include "common/err.h"
#include "producer/parcel.h"
#include "producer/source.h"

/* All of them append. */
void letter_key(struct buffer *out, const char *source, const char *txid, int64_t idx);
/* ERR_POISON: a value that no source should give (value_text.h). */
int letter_of_change(struct buffer *out, const struct change *change, const char *source, struct err *err) MUST_CHECK;
/* op: of the message, which may be half of an update. */
void letter_of_too_large(struct buffer *out, const struct change *change, const char *source, const struct message *message, char op);

#endif

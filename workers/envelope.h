/* SPDX-License-Identifier: Apache-2.0 */
/* envelope: what a message of a data topic says about itself: frame, schema, and the change metadata of a row that reads whole. */
#ifndef KAKEHI_WORKERS_ENVELOPE_H
#define KAKEHI_WORKERS_ENVELOPE_H

#include <stddef.h>

#include "common/err.h"
#include "schemas/framing.h"
#include "schemas/record.h"
#include "schemas/schema.h"
#include "workers/message.h"

enum envelope_state {
    ENVELOPE_OPEN,
    ENVELOPE_UNKNOWN_SCHEMA,
    ENVELOPE_BAD, /* it never will be a row */
};

struct envelope {
    struct frame frame; /* also of ENVELOPE_UNKNOWN_SCHEMA */
    const struct schema *schema;
    size_t frame_size; /* what stands before the Avro bytes */
    struct record_meta meta; /* texts borrow from the message */
};

/* Memory of the decoder, kept between calls. {0} is a valid one. */
struct envelope_scratch {
    struct cell *_cells;
    size_t _capacity;
};

void envelope_scratch_deinit(struct envelope_scratch *scratch);

typedef const struct schema *(*envelope_find)(void *context, const struct frame *frame); /* NULL: not known */

/* On anything but ENVELOPE_OPEN, err says what is wrong with the message. */
enum envelope_state envelope_open(const struct message *message, envelope_find find, void *context, struct envelope_scratch *scratch,
                                  struct envelope *ret_envelope, struct err *err);

#endif

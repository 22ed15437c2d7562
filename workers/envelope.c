/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a message from outside to inside, and says at which shell it stuck: that decides between waiting and a dead letter. */
#include "workers/envelope.h"

#include <stdlib.h>

#include "common/must.h"
#include "schemas/framing.h"

void envelope_scratch_deinit(struct envelope_scratch *scratch)
{
    free(scratch->_cells);
    *scratch = (struct envelope_scratch){0};
}

static struct cell *cells(struct envelope_scratch *scratch, size_t count)
{
    if (count > scratch->_capacity) {
        scratch->_cells = realloc(scratch->_cells, count * sizeof *scratch->_cells);
        must(scratch->_cells != NULL);
        scratch->_capacity = count;
    }
    return scratch->_cells;
}

enum envelope_state envelope_open(const struct message *message, envelope_find find, void *context, struct envelope_scratch *scratch,
                                  struct envelope *ret_envelope, struct err *err)
{
    const struct table *table;
    char id[FRAMING_ID_TEXT_SIZE];

    if (message->value == NULL) {
        (void)err_set(err, ERR_POISON, "the message has no value");
        return ENVELOPE_BAD;
    }
    if (framing_read(message->value, message->value_size, &ret_envelope->frame, &ret_envelope->frame_size, err) != 0) {
        return ENVELOPE_BAD;
    }
    ret_envelope->schema = find(context, &ret_envelope->frame);
    if (ret_envelope->schema == NULL) {
        framing_id_text(&ret_envelope->frame, id);
        (void)err_set(err, ERR_POISON, "schema %s is %s", id,
                      ret_envelope->frame.framing == FRAMING_REGISTRY ? "none of ours"
                                                                      : "not in the topic of schemas");
        return ENVELOPE_UNKNOWN_SCHEMA;
    }
    table = ret_envelope->schema->table;
    if (record_decode_value(table, message->value + ret_envelope->frame_size, message->value_size - ret_envelope->frame_size,
                            cells(scratch, table->column_count + 1), &ret_envelope->meta, err) != 0) {
        return ENVELOPE_BAD;
    }
    return ENVELOPE_OPEN;
}

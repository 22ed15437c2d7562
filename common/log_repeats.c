/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind lives as long as it speaks: after an interval in which nothing was held it is forgotten, so the list is short wherever all is
 * well, and walking it is cheap.
 */
#include "common/log_repeats.h"

#include <stddef.h>

static void forget(struct log_repeats *repeats, struct log_kind *kind)
{
    buffer_deinit(&kind->line);
    repeats->_count--;
    if (kind != &repeats->_kinds[repeats->_count]) {
        *kind = repeats->_kinds[repeats->_count];
    }
}

static void write_held(const struct log_repeats *repeats, struct log_kind *kind, uint64_t now_ms)
{
    if (kind->held > 0) {
        repeats->write(&kind->line, kind->held);
        kind->held = 0;
        kind->written_ms = now_ms;
    }
}

void log_repeats_write(struct log_repeats *repeats, uint64_t now_ms, bool all)
{
    for (int index = repeats->_count - 1; index >= 0; index--) {
        struct log_kind *kind = &repeats->_kinds[index];
        bool due = now_ms - kind->written_ms >= repeats->interval_ms;

        if (kind->held > 0 && (due || all)) {
            write_held(repeats, kind, now_ms);
        } else if (due) {
            forget(repeats, kind);
        }
    }
}

static struct log_kind *find(struct log_repeats *repeats, uint64_t number)
{
    for (int index = 0; index < repeats->_count; index++) {
        if (repeats->_kinds[index].kind == number) {
            return &repeats->_kinds[index];
        }
    }
    return NULL;
}

static void make_room(struct log_repeats *repeats, uint64_t now_ms)
{
    struct log_kind *oldest = &repeats->_kinds[0];

    for (int index = 1; index < repeats->_count; index++) {
        oldest = repeats->_kinds[index].written_ms < oldest->written_ms ? &repeats->_kinds[index] : oldest;
    }
    write_held(repeats, oldest, now_ms);
    forget(repeats, oldest);
}

bool log_repeats_hold(struct log_repeats *repeats, uint64_t kind, const struct buffer *line, uint64_t now_ms, uint64_t *ret_stands_for)
{
    struct log_kind *known = find(repeats, kind);

    *ret_stands_for = 1;
    if (known == NULL) {
        if (repeats->_count == LOG_REPEATS_KINDS_MAX) {
            make_room(repeats, now_ms);
        }
        repeats->_kinds[repeats->_count++] = (struct log_kind){.kind = kind, .written_ms = now_ms};
        return false;
    }
    if (now_ms - known->written_ms < repeats->interval_ms) {
        known->held++;
        buffer_clear(&known->line);
        buffer_append(&known->line, line->bytes, line->size);
        return true;
    }
    *ret_stands_for = known->held + 1;
    known->held = 0;
    known->written_ms = now_ms;
    return false;
}

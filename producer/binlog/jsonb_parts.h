/* SPDX-License-Identifier: Apache-2.0 */
/* jsonb_parts: what jsonb.c (reading and printing) and jsonb_diff.c (changing) share. Nobody else includes it. */
#ifndef KAKEHI_PRODUCER_BINLOG_JSONB_PARTS_H
#define KAKEHI_PRODUCER_BINLOG_JSONB_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "producer/binlog/cursor.h"

struct jsonb_value {
    uint8_t type;
    struct cursor at; /* its bytes, and what follows them in its container */
};

struct jsonb_container { /* an object or array */
    struct cursor whole; /* from its element count on: offsets count from here */
    uint8_t offset_size; /* 2 or 4 */
    uint32_t count;      /* its whole tables of keys and elements lie inside */
    bool object;
};

struct jsonb_printer {
    struct buffer *out;
    size_t end_max; /* the output may not become larger */
    unsigned depth;
    const char *why; /* the first thing wrong; NULL: nothing */
};

/* A printer of a document of that many bytes. */
struct jsonb_printer jsonb_printer_over(struct buffer *out, size_t size);
void jsonb_print_value(struct jsonb_printer *printer, const struct jsonb_value *value);
/* "key": with the blank that MySQL puts behind it. */
void jsonb_print_key(struct jsonb_printer *printer, const uint8_t *key, size_t size);
/* One level deeper; false: that is more than MySQL allows. */
bool jsonb_print_descend(struct jsonb_printer *printer);

bool jsonb_is_container(const struct jsonb_value *value);
/* These return NULL, or what is wrong. */
const char *jsonb_document(const uint8_t *bytes, size_t size, struct jsonb_value *ret_value);
const char *jsonb_open(const struct jsonb_value *value, struct jsonb_container *ret_container);
const char *jsonb_key(const struct jsonb_container *container, uint32_t i, const uint8_t **ret_key, size_t *ret_size);
const char *jsonb_element(const struct jsonb_container *container, uint32_t i, struct jsonb_value *ret_value);

#endif

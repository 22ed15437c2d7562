/* SPDX-License-Identifier: Apache-2.0 */
/* row_read: a serialized row taken apart again, field by field, for tests. */
#ifndef KAKEHI_TESTS_UNIT_ROW_READ_H
#define KAKEHI_TESTS_UNIT_ROW_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "workers/bigquery/protobuf.h"

/* Gives the field with that number; aborts if the bytes are no message or the field stands there twice. False: not there. */
bool row_read(const void *row, size_t size, uint32_t number, struct protobuf_field *ret_field);

#endif

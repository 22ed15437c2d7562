/* SPDX-License-Identifier: Apache-2.0 */
/* A field that is there twice would be taken by its last value: in a row of ours that is a mistake. */
#include "tests/unit/row_read.h"

#include "common/must.h"

bool row_read(const void *row, size_t size, uint32_t number, struct protobuf_field *ret_field)
{
    struct protobuf_reader reader = protobuf_read(row, size);
    struct protobuf_field field;
    bool found = false;

    while (protobuf_next(&reader, &field)) {
        if (field.number == number) {
            must(!found);
            found = true;
            *ret_field = field;
        }
    }
    must(reader.bad == NULL);
    return found;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of DescriptorProto (google/protobuf/descriptor.proto) only `name` and `field` are used, of FieldDescriptorProto only name,
 * number, label and type: no imports, no nested types, no options, so nothing that a service may not know.
 */
#include "workers/bigquery/descriptor.h"

#include "common/must.h"

#define DESCRIPTOR_NAME  1
#define DESCRIPTOR_FIELD 2

#define FIELD_NAME   1
#define FIELD_NUMBER 3
#define FIELD_LABEL  4
#define FIELD_TYPE   5

#define LABEL_OPTIONAL 1

/* FieldDescriptorProto.Type */
#define TYPE_DOUBLE 1
#define TYPE_INT64  3
#define TYPE_INT32  5
#define TYPE_BOOL   8
#define TYPE_STRING 9
#define TYPE_BYTES  12

/* Numbers 19000 to 19999 are protobuf's own; no table of ours has so many columns (BigQuery ends at 10,000). */
#define COLUMNS_MAX 18999

static unsigned field_type(enum bigquery_type type, bool datetime_packed)
{
    switch (type) {
    case BIGQUERY_INT64:
    case BIGQUERY_TIMESTAMP:
        return TYPE_INT64;
    case BIGQUERY_FLOAT64:
        return TYPE_DOUBLE;
    case BIGQUERY_BOOL:
        return TYPE_BOOL;
    case BIGQUERY_BYTES:
        return TYPE_BYTES;
    case BIGQUERY_DATE:
        return TYPE_INT32;
    case BIGQUERY_DATETIME:
        return datetime_packed ? TYPE_INT64 : TYPE_STRING;
    case BIGQUERY_NUMERIC:
    case BIGQUERY_BIGNUMERIC:
    case BIGQUERY_STRING:
    case BIGQUERY_JSON:
        return TYPE_STRING;
    case BIGQUERY_TYPE_COUNT:
        break;
    }
    must(!"a type that descriptor.c knows");
    return 0;
}

enum protobuf_wire descriptor_wire(enum bigquery_type type, bool datetime_packed)
{
    switch (field_type(type, datetime_packed)) {
    case TYPE_DOUBLE:
        return PROTOBUF_FIXED64;
    case TYPE_STRING:
    case TYPE_BYTES:
        return PROTOBUF_BYTES;
    default:
        return PROTOBUF_VARINT;
    }
}

void descriptor_encode(struct buffer *out, const struct bigquery_layout *layout)
{
    struct buffer field = {0};

    must(layout->column_count <= COLUMNS_MAX);
    protobuf_put_text(out, DESCRIPTOR_NAME, "Row");
    for (size_t i = 0; i < layout->column_count; i++) {
        const struct bigquery_column *column = &layout->columns[i];

        buffer_clear(&field);
        protobuf_put_text(&field, FIELD_NAME, column->name);
        protobuf_put_varint(&field, FIELD_NUMBER, descriptor_field(i));
        protobuf_put_varint(&field, FIELD_LABEL, LABEL_OPTIONAL);
        protobuf_put_varint(&field, FIELD_TYPE, field_type(column->type, layout->datetime_packed));
        protobuf_put_bytes(out, DESCRIPTOR_FIELD, field.bytes, field.size);
    }
    buffer_deinit(&field);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor: the writer's descriptor of a history table: a google.protobuf.DescriptorProto (descriptor.proto), self-contained,
 * one optional proto2 field a column, its number being the column's place in the layout plus 1.
 *
 * One descriptor serves every Avro version of the table whose columns are in the layout: what an older version does not have is
 * not set in its rows, and BigQuery takes an unset optional field as NULL.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_DESCRIPTOR_H
#define KAKEHI_WORKERS_BIGQUERY_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "workers/bigquery/bigquery_types.h"
#include "workers/bigquery/protobuf.h"

/* Appends the DescriptorProto's bytes: what append_header.writer_schema takes. */
void descriptor_encode(struct buffer *out, const struct bigquery_layout *layout);

/* How a column of the type stands in the rows. */
enum protobuf_wire descriptor_wire(enum bigquery_type type, bool datetime_packed);

/* The number of a column in the descriptor and in the rows. */
static inline uint32_t descriptor_field(size_t place)
{
    return (uint32_t)place + 1;
}

#endif

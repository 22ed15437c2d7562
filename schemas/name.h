/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name: names of databases, tables and columns as Kafka, Avro and BigQuery accept them, reversibly.
 *
 * ASCII letters, digits and '_' stand for themselves; every other character, a leading digit, a '_' that would read as the
 * begin of an escape, and the first of two leading '_' (names like `__op` are ours) become _xHHHH_ (UTF-16 code unit in
 * upper-case hex; two of them for a character beyond U+FFFF), as ISO 9075-14 maps SQL names to XML. Two different names never
 * map to one.
 */
#ifndef KAKEHI_SCHEMAS_NAME_H
#define KAKEHI_SCHEMAS_NAME_H

#include "common/buffer.h"
#include "common/err.h"

#define NAME_TOPIC_MAX 249 /* Kafka's limit */

/* Appends the mapped form of the UTF-8 name. Fails (ERR_POISON) on invalid UTF-8 or an empty name. */
int name_map(struct buffer *out, const char *name, struct err *err) MUST_CHECK;
/* The way back. Fails (ERR_POISON) on what name_map can't have made. */
int name_unmap(struct buffer *out, const char *mapped, struct err *err) MUST_CHECK;
/* The same, but takes names in which more was escaped than name_map does. ERR_POISON on a bad escape alone. */
int name_decode(struct buffer *out, const char *mapped, struct err *err) MUST_CHECK;
/* "<prefix>.<database>.<table>", mapped; ERR_POISON if longer than Kafka's 249. The prefix stands as it is. */
int name_topic(struct buffer *out, const char *prefix, const char *database, const char *table, struct err *err) MUST_CHECK;

#endif

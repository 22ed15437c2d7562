/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newest_schemas: what each table is now, by the topic of schemas: of the schemas of a table the one that was published last. The
 * producer publishes one again that a table has again, so this is right also where a change of the table was taken back.
 *
 * It is known to every worker, and before the first row that has it: rows of older schemas may still be on their way.
 */
#ifndef KAKEHI_WORKERS_NEWEST_SCHEMAS_H
#define KAKEHI_WORKERS_NEWEST_SCHEMAS_H

#include "schemas/schema.h"

struct newest_schemas;

typedef void (*newest_schema_told)(void *context, const struct schema *schema);

struct newest_schemas *newest_schemas_new(void);
void newest_schemas_free(struct newest_schemas *newest); /* takes NULL */

/* The next record of the topic. Borrowed until free. One without columns says nothing of the table (schema.h), and is passed over. */
void newest_schemas_take(struct newest_schemas *newest, const struct schema *schema);
/* To be called at the topic's end: tells each table's newest that is another than the one that was told before. */
void newest_schemas_tell(struct newest_schemas *newest, newest_schema_told told, void *context);

#endif

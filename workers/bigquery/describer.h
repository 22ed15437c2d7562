/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describer: what the columns of a history say of the source (tables_shape.h: type, place in the key, dropped) follows the table's
 * newest schema (newest_schemas.h), whichever partition's rows bring it, and whether or not any came yet. Views are made of these words.
 *
 * The owner of partition 0 of a topic writes them, whatever that partition holds: so of all workers one does, and two of them at
 * once do no harm (tables.h). Columns are none of its business: who has a row that needs one adds it, and until then the words wait.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_DESCRIBER_H
#define KAKEHI_WORKERS_BIGQUERY_DESCRIBER_H

#include <stdint.h>
#include <uv.h>

#include "common/settings.h"
#include "schemas/schema.h"
#include "workers/bigquery/names.h"
#include "workers/bigquery/tables.h"

struct describer;

/* All borrowed until closed. */
struct describer_options {
    uv_loop_t *loop;
    const struct settings *settings;
    struct tables *tables;
    void (*described)(void *context, const struct bigquery_names *names); /* a history says what another schema is now; NULL */
    void *context;
    uint64_t again_ms; /* each history is looked at again so often; 0: an hour. Tests shorten it */
};

struct describer *describer_open(const struct describer_options *options);

/* The schema is the newest of its table. Borrowed until no topic is kept. */
void describer_newest(struct describer *describer, const struct schema *schema);

/* The topic's partition 0 is ours. Nothing happens if it is no topic of a table. */
void describer_keep(struct describer *describer, const char *topic);
/* A lane of this worker has made or changed that table's history: words that wait for it may be due. */
void describer_look(struct describer *describer, const struct bigquery_names *names);
/* Ends one describer_keep. */
void describer_leave(struct describer *describer, const char *topic);

/* Asynchronous, last, and before the tables'. Takes NULL (closed is called at once). */
void describer_close(struct describer *describer, void (*closed)(void *context), void *context);

#endif

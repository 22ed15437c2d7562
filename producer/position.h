/* SPDX-License-Identifier: Apache-2.0 */
/* position: `kakehi-producer position`: where a source stands, as Kafka holds it; and setting it by hand. */
#ifndef KAKEHI_PRODUCER_POSITION_H
#define KAKEHI_PRODUCER_POSITION_H

#include <jansson.h>

#include "common/cli.h"
#include "common/err.h"

extern const struct cli_option position_options[];

int position_run(const struct cli_arguments *arguments);

/* For tests: the record that puts a source at `text` (GTID set or file:position). old: its record so far, borrowed; NULL: none.
 * server: for file:position without an old record, the server's identity; NULL: not given. NULL and err if it can't be made. */
json_t *position_record(const char *text, const json_t *old, const char *server, struct err *err);
/* For tests: the record without what it says of the table (reread, aside). NULL and err if it says nothing of it. */
json_t *position_settled(const json_t *old, const char *table, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* choices: what source.unrepresentable, source.wide_decimals and source.datetime_zone choose for each column; the zones that they name,
 * loaded once. */
#ifndef KAKEHI_PRODUCER_BINLOG_CHOICES_H
#define KAKEHI_PRODUCER_BINLOG_CHOICES_H

#include "common/err.h"
#include "common/settings.h"
#include "producer/binlog/stream.h"

struct choices;

/* Borrows the settings. ERR_FATAL: a zone is not known. Before there are threads (zone.h). */
int choices_new(const struct settings_source *settings, struct choices **ret_choices, struct err *err) MUST_CHECK;
void choices_free(struct choices *choices); /* takes NULL */
/* binlog_stream_options.choose; context: struct choices. */
void choices_choose(void *context, const char *database, const char *table, const char *column,
                    struct binlog_choice *ret_choice);

#endif

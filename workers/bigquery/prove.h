/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prove: `kakehi-worker check --prove`: runs on the given project what exactly-once rests on, in a scratch dataset, which is deleted
 * at the end.
 *
 * The protocol's rules (ARCHITECTURE.md, C1 to C8, D1, D2, F1) take some answers of the service for granted; they are documented, but
 * only the real service can show them, and an emulator shows fewer. Each is asked for here by the product's own client and encoders.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_PROVE_H
#define KAKEHI_WORKERS_BIGQUERY_PROVE_H

#include "common/findings.h"
#include "workers/bigquery/client.h"

/* A finding a line: ok, or an error that names what answered otherwise, and what rests on it. */
void prove(struct client *client, const struct settings *settings, struct findings *findings);

#endif

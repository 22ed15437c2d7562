/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permissions: which of the permissions that we need are missing. Questions as REST requests, and the reading of their answers;
 * pure, so that who asks may wait or not.
 *
 * | scope   | asked of                                   | a missing one is                                              |
 * | PROJECT | projects.testIamPermissions                | an error: these can be granted on a project only              |
 * | DATASET | the same: datasets have no such method     | an error unless it was granted on the dataset itself          |
 * | TABLE   | tables.testIamPermissions, of a table      | an error                                                      |
 *
 * The lists are those of the role in ops/gcp. The question itself needs no permission; on the project it needs the Cloud
 * Resource Manager API, which may be disabled (403 SERVICE_DISABLED): then nothing is known.
 */
#ifndef KAKEHI_WORKERS_BIGQUERY_PERMISSIONS_H
#define KAKEHI_WORKERS_BIGQUERY_PERMISSIONS_H

#include <jansson.h>
#include <stddef.h>

#include "common/buffer.h"
#include "workers/bigquery/rest.h"

enum permissions_scope { PERMISSIONS_PROJECT, PERMISSIONS_DATASET, PERMISSIONS_TABLE };

/* What the request points at; owns it. */
struct permissions_question {
    struct rest_request request;
    json_t *_body;
    char *_path;
};

/* dataset and table: of PERMISSIONS_TABLE only. resource_manager: "https://cloudresourcemanager.googleapis.com" (NULL), or a
 * test's. */
void permissions_ask(struct permissions_question *question, enum permissions_scope scope, const char *project,
                     const char *dataset, const char *table, const char *resource_manager);
void permissions_question_deinit(struct permissions_question *question);

/* How many of the scope's are missing by the answer's body; appends their names, with ", " between, to out. */
size_t permissions_missing(enum permissions_scope scope, const json_t *body, struct buffer *out);

#endif

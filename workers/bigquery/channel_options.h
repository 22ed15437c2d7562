/* SPDX-License-Identifier: Apache-2.0 */
/* channel_options: how HTTP, sign-in, REST and gRPC are opened by the settings; the same for the worker and for commands. */
#ifndef KAKEHI_WORKERS_BIGQUERY_CHANNEL_OPTIONS_H
#define KAKEHI_WORKERS_BIGQUERY_CHANNEL_OPTIONS_H

#include "common/http.h"
#include "common/settings.h"
#include "workers/bigquery/grpc.h"
#include "workers/bigquery/rest.h"
#include "workers/bigquery/token.h"

struct channel_options {
    struct http_options http;
    struct token_options tokens;
    struct rest_options rest;
    struct grpc_options grpc;
};

/* Borrows the settings' texts. */
struct channel_options channel_options_of(const struct settings_bigquery *settings);

#endif

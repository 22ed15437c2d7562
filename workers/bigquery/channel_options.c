/* SPDX-License-Identifier: Apache-2.0 */
/* One place, because a setting that only one of the two heeded has been met. */
#include "workers/bigquery/channel_options.h"

struct channel_options channel_options_of(const struct settings_bigquery *settings)
{
    return (struct channel_options){
        .http = {.ca_file = settings->ca_file},
        .tokens = {.credentials = settings->credentials,
                   .impersonate = settings->impersonate,
                   .trust_any_host = settings->credentials_hosts == BIGQUERY_HOSTS_ANY},
        .rest = {.endpoint = settings->endpoint, .quota_project = settings->quota_project, .retry_ms = (uint64_t)settings->retry_ms},
        .grpc = {.endpoint = settings->storage_endpoint,
                 .ca_file = settings->ca_file,
                 .quota_project = settings->quota_project,
                 .gzip = settings->compression == BIGQUERY_COMPRESSION_GZIP},
    };
}

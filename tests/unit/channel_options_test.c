/* SPDX-License-Identifier: Apache-2.0 */
/* What must not happen: a setting is heeded by REST and forgotten by gRPC, or the other way round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/bigquery/channel_options.h"

static char ca_file[] = "ca.pem", payer[] = "payer", rest_endpoint[] = "https://rest.example", grpc_endpoint[] = "https://grpc.example";

static void test_channel_options__rest_and_grpc_heed_the_same_settings(void **state)
{
    const struct settings_bigquery settings = {.ca_file = ca_file,
                                               .quota_project = payer,
                                               .endpoint = rest_endpoint,
                                               .storage_endpoint = grpc_endpoint,
                                               .compression = BIGQUERY_COMPRESSION_GZIP};
    const struct channel_options options = channel_options_of(&settings);

    (void)state;
    assert_string_equal(options.http.ca_file, ca_file);
    assert_string_equal(options.grpc.ca_file, ca_file);
    assert_string_equal(options.rest.quota_project, payer);
    assert_string_equal(options.grpc.quota_project, payer);
    assert_string_equal(options.rest.endpoint, rest_endpoint);
    assert_string_equal(options.grpc.endpoint, grpc_endpoint);
    assert_true(options.grpc.gzip);
}

static void test_channel_options__nobody_pays_for_us_unless_it_is_said(void **state)
{
    const struct settings_bigquery settings = {.endpoint = rest_endpoint, .storage_endpoint = grpc_endpoint};
    const struct channel_options options = channel_options_of(&settings);

    (void)state;
    assert_null(options.rest.quota_project);
    assert_null(options.grpc.quota_project);
    assert_false(options.grpc.gzip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_options__rest_and_grpc_heed_the_same_settings),
        cmocka_unit_test(test_channel_options__nobody_pays_for_us_unless_it_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

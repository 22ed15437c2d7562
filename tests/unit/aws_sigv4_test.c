/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS's published examples: the signing test suite (requests and signatures of github.com/awslabs/aws-c-auth, folder
 * tests/aws-signing-test-suite/v4, named as there) and the examples of the S3 API reference ("Signature Calculations for the
 * Authorization Header").
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/bigquery/aws_sigv4.h"

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct example {
    const char *name;
    const char *method;
    const char *path;
    const char *query;
    struct http_header headers[5]; /* beside host and x-amz-date */
    const char *body;
    const char *signed_names;
    const char *signature;
};

static void check(const struct example *example, const struct http_header *host, const char *date, const char *service,
                  const char *key_id, const char *secret)
{
    struct http_header headers[7] = {*host, {"X-Amz-Date", date}};
    struct aws_sigv4_request request = {.method = example->method,
                                        .path = example->path,
                                        .query = example->query,
                                        .headers = headers,
                                        .header_count = 2,
                                        .body = example->body,
                                        .body_size = example->body != NULL ? strlen(example->body) : 0,
                                        .date = date,
                                        .region = "us-east-1",
                                        .service = service};
    struct buffer expected = {0};
    struct buffer authorization = {0};

    for (size_t i = 0; i < 5 && example->headers[i].name != NULL; i++) {
        headers[request.header_count++] = example->headers[i];
    }
    buffer_printf(&expected, "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                  key_id, date, service, example->signed_names, example->signature);
    aws_sigv4_sign(key_id, secret, &request, &authorization);
    if (strcmp(buffer_text(&authorization), buffer_text(&expected)) != 0) {
        fail_msg("%s: %s", example->name, buffer_text(&authorization));
    }
    buffer_deinit(&expected);
    buffer_deinit(&authorization);
}

static void test_aws_sigv4__signs_as_the_test_suite_does(void **state)
{
    static const struct example examples[] = {
        {"get-vanilla",
         "GET",
         "/",
         "",
         {{0}},
         NULL,
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-header-key-duplicate",
         "GET",
         "/",
         "",
         {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
         NULL,
         "host;my-header1;x-amz-date",
         "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
        {"get-header-value-order",
         "GET",
         "/",
         "",
         {{"My-Header1", "value4"}, {"My-Header1", "value1"}, {"My-Header1", "value3"}, {"My-Header1", "value2"}},
         NULL,
         "host;my-header1;x-amz-date",
         "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
        {"get-header-value-trim",
         "GET",
         "/",
         "",
         {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
         NULL,
         "host;my-header1;my-header2;x-amz-date",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/",
         "Param2=value2&Param1=value1",
         {{0}},
         NULL,
         "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-order-encoded",
         "GET",
         "/",
         "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
         {{0}},
         NULL,
         "host;x-amz-date",
         "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/",
         "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
         "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         {{0}},
         NULL,
         "host;x-amz-date",
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-vanilla-empty-query-key",
         "GET",
         "/",
         "Param1=value1",
         {{0}},
         NULL,
         "host;x-amz-date",
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        {"get-slash-dot-slash-unnormalized",
         "GET",
         "/./",
         "",
         {{0}},
         NULL,
         "host;x-amz-date",
         "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
        {"get-vanilla-with-session-token",
         "GET",
         "/",
         "",
         {{"X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"}},
         NULL,
         "host;x-amz-date;x-amz-security-token",
         "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
        {"post-sts-header-before",
         "POST",
         "",
         "",
         {{"X-Amz-Security-Token",
           "AQoDYXdzEPT//////////"
           "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"
           "qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"
           "xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
         NULL,
         "host;x-amz-date;x-amz-security-token",
         "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
        {"post-x-www-form-urlencoded",
         "POST",
         "/",
         "",
         {{"Content-Type", "application/x-www-form-urlencoded"},
          {"Content-Length", "13"},
          {"x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"}},
         "Param1=value1",
         "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
         "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
    };
    static const struct http_header host = {"Host", "example.amazonaws.com"};

    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        check(&examples[i], &host, "20150830T123600Z", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    }
}

static void test_aws_sigv4__signs_as_the_s3_reference_does(void **state)
{
    static const struct example examples[] = {
        {"GET object",
         "GET",
         "/test.txt",
         "",
         {{"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY_HASH}},
         NULL,
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"GET lifecycle",
         "GET",
         "/",
         "lifecycle",
         {{"x-amz-content-sha256", EMPTY_HASH}},
         NULL,
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"GET list",
         "GET",
         "/",
         "max-keys=2&prefix=J",
         {{"x-amz-content-sha256", EMPTY_HASH}},
         NULL,
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    static const struct http_header host = {"Host", "examplebucket.s3.amazonaws.com"};

    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        check(&examples[i], &host, "20130524T000000Z", "s3", "AKIAIOSFODNN7EXAMPLE",
              "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    }
}

static void test_aws_sigv4__date_is_in_utc(void **state)
{
    char date[AWS_SIGV4_DATE_SIZE];

    (void)state;
    aws_sigv4_date(1440938160, date);
    assert_string_equal(date, "20150830T123600Z");
}

static void test_aws_sigv4__parameters_without_a_value_get_an_equals_sign(void **state)
{
    const struct http_header headers[] = {{"Host", "h"}, {"X-Amz-Date", "20150830T123600Z"}};
    const struct aws_sigv4_request request = {.method = "GET",
                                              .path = "",
                                              .query = "b&a=2&a=1&a",
                                              .headers = headers,
                                              .header_count = 2,
                                              .date = headers[1].value,
                                              .region = "r",
                                              .service = "s"};
    struct buffer out = {0};

    (void)state;
    aws_sigv4_canonical_request(&request, &out);
    assert_string_equal(buffer_text(&out),
                        "GET\n/\na=&a=1&a=2&b=\nhost:h\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n" EMPTY_HASH);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aws_sigv4__signs_as_the_test_suite_does),
        cmocka_unit_test(test_aws_sigv4__signs_as_the_s3_reference_does),
        cmocka_unit_test(test_aws_sigv4__date_is_in_utc),
        cmocka_unit_test(test_aws_sigv4__parameters_without_a_value_get_an_equals_sign),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

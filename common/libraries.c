/* SPDX-License-Identifier: Apache-2.0 */
/* Asked while the program runs: a shared library is of the machine, and may be newer than its header. */
#include "common/libraries.h"

#include <curl/curl.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <uv.h>
#include <yaml.h>
#include <zlib.h>
#include <zstd.h>

void libraries_print(void)
{
    (void)printf("librdkafka %s\nlibuv %s\njansson %s\n", rd_kafka_version_str(), uv_version_string(), jansson_version_str());
    (void)printf("libyaml %s\nlibmicrohttpd %s\n", yaml_get_version_string(), MHD_get_version());
    (void)printf("%s\nlibcurl %s\n", OpenSSL_version(OPENSSL_VERSION), curl_version_info(CURLVERSION_NOW)->version);
    (void)printf("zstd %s\nzlib %s\n", ZSTD_versionString(), zlibVersion());
}

/* SPDX-License-Identifier: Apache-2.0 */
/* curl_loop: libcurl's multi handle on the libuv loop. For common/http.c; everybody else speaks to that. */
#ifndef KAKEHI_COMMON_CURL_LOOP_H
#define KAKEHI_COMMON_CURL_LOOP_H

#include <curl/curl.h>
#include <uv.h>

struct curl_loop;

/* A transfer has ended: the easy handle is in the multi handle still, take it out. Never inside curl_loop_add. */
typedef void (*curl_loop_done)(void *context, CURL *easy, CURLcode code);

struct curl_loop *curl_loop_new(uv_loop_t *loop, curl_loop_done done, void *context);
void curl_loop_add(struct curl_loop *curl, CURL *easy);
/* A transfer that has not ended yet is given up, its connection with it. */
void curl_loop_remove(struct curl_loop *curl, CURL *easy);
/* Asynchronous; every easy handle was taken out before. Not inside done. */
void curl_loop_close(struct curl_loop *curl, void (*closed)(void *context), void *context);

#endif

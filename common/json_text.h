/* SPDX-License-Identifier: Apache-2.0 */
/* json_text: text of others (names, messages of servers, what was cut to fit) as a JSON string, which takes only UTF-8. */
#ifndef KAKEHI_COMMON_JSON_TEXT_H
#define KAKEHI_COMMON_JSON_TEXT_H

#include <jansson.h>

/* Never NULL. Each byte that is no UTF-8 becomes U+FFFD. */
json_t *json_text(const char *text);

#endif

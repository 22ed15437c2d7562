/* SPDX-License-Identifier: Apache-2.0 */
/* The set is one of the first variables: only the sizes of those in front of it need to be known. */
#include "producer/binlog/query_text.h"

enum { /* codes of status variables, in the order in which servers write them */
       FLAGS2 = 0,
       SQL_MODE = 1,
       CATALOG = 6,
       AUTO_INCREMENT = 3,
       CHARSET = 4,
};

enum charset query_charset(enum binlog_flavor flavor, struct cursor variables)
{
    while (cursor_left(&variables) > 0) {
        enum charset charset;

        switch (cursor_u8(&variables)) {
        case FLAGS2:
        case AUTO_INCREMENT:
            cursor_skip(&variables, 4);
            break;
        case SQL_MODE:
            cursor_skip(&variables, 8);
            break;
        case CATALOG:
            cursor_skip(&variables, cursor_u8(&variables));
            break;
        case CHARSET: /* character_set_client, then two more */
            charset = charset_of_collation(flavor, cursor_u16(&variables));
            return charset != CHARSET_UNKNOWN && charset != CHARSET_BINARY ? charset : CHARSET_UTF8;
        default:
            return CHARSET_UTF8;
        }
    }
    return CHARSET_UTF8;
}

struct cursor query_text(enum charset charset, struct cursor text, struct buffer *converted)
{
    buffer_clear(converted);
    if (charset_is_plain(charset, text.at, cursor_left(&text))) {
        return text;
    }
    charset_escape(charset, text.at, cursor_left(&text), converted);
    return cursor_over(converted->bytes, converted->size);
}

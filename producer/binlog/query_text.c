/* SPDX-License-Identifier: Apache-2.0 */
/* Both are among the first variables: only the sizes of those in front of the set need to be known. */
#include "producer/binlog/query_text.h"

enum { /* codes of status variables, in the order in which servers write them */
       FLAGS2 = 0,
       SQL_MODE = 1,
       CATALOG = 6,
       AUTO_INCREMENT = 3,
       CHARSET = 4,
};

/* Of character_set_client. */
static enum charset charset_of_client(enum binlog_flavor flavor, uint16_t collation)
{
    enum charset charset = charset_of_collation(flavor, collation);

    return charset != CHARSET_UNKNOWN && charset != CHARSET_BINARY ? charset : CHARSET_UTF8;
}

void query_client_read(struct query_client *ret_client, enum binlog_flavor flavor, struct cursor variables)
{
    *ret_client = (struct query_client){.charset = CHARSET_UTF8};
    while (cursor_left(&variables) > 0) {
        switch (cursor_u8(&variables)) {
        case FLAGS2:
        case AUTO_INCREMENT:
            cursor_skip(&variables, 4);
            break;
        case SQL_MODE:
            ret_client->sql_mode = cursor_u64(&variables);
            break;
        case CATALOG:
            cursor_skip(&variables, cursor_u8(&variables));
            break;
        case CHARSET: /* character_set_client, then two more */
            ret_client->charset = charset_of_client(flavor, cursor_u16(&variables));
            return;
        default:
            return;
        }
    }
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

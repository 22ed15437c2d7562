/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first row that fits decides; so rows with a piece of text stand before the row of the number alone. A number that is not
 * here is tried again: servers have thousands of errors, most of them of a moment, and every try is logged with its text. Error
 * 1236 ("fatal error reading the binlog") is the exception: it is about the position, which does not get better by waiting.
 */
#include "producer/mysql_error.h"

#include <stddef.h>
#include <string.h>

#define POSITION_AGAIN                                                                                                         \
    "changes are missing between Kafka and the server's log: see which, then set the position with `kakehi-producer position`"

struct meaning {
    unsigned number;
    const char *piece; /* of the text; NULL: any */
    enum err_class class;
    const char *remedy; /* NULL: the text says enough */
};

static const char rival_remedy[] = "another reader uses our server id: give each its own source.server_id";

static const struct meaning meanings[] = {
    /* reaching the server */
    {2002, NULL, ERR_RETRY, NULL},
    {2003, NULL, ERR_RETRY, NULL},
    {2005, NULL, ERR_RETRY, "does source.host name the server?"},
    {2006, NULL, ERR_RETRY, NULL},
    {2012, NULL, ERR_RETRY, NULL},
    {2013, NULL, ERR_RETRY, NULL},
    {2026, "is required", ERR_FATAL, "switch TLS on at the server, or set source.tls: off if the network is trusted"},
    {2026, "Validation", ERR_FATAL, "the server's certificate does not name source.host (which can't be an address): name it so, or set "
                                    "source.tls: verify_ca"},
    {2026, "ertificate", ERR_FATAL, "source.tls_ca must hold the authority that signed the server's certificate"},
    {2026, NULL, ERR_RETRY, NULL},
    {2059, NULL, ERR_FATAL, "the user's authentication plugin is not one that keeps the password: use caching_sha2_password, "
                            "mysql_native_password or ed25519, and see that libmariadb's plugins are installed"},
    {2061, NULL, ERR_RETRY, NULL},
    {5010, NULL, ERR_FATAL, "the user's authentication plugin is not one that keeps the password: use caching_sha2_password, "
                            "mysql_native_password or ed25519"},
    {1040, NULL, ERR_RETRY, NULL},
    {1044, NULL, ERR_FATAL, "grant the user what is missing"},
    {1045, NULL, ERR_FATAL, "source.user or its password is wrong, or this host may not connect"},
    {1053, NULL, ERR_RETRY, NULL},
    {1129, NULL, ERR_FATAL, "the server blocks this host: FLUSH HOSTS"},
    {1130, NULL, ERR_FATAL, "the user may not connect from this host"},
    {1158, NULL, ERR_RETRY, NULL},
    {1159, NULL, ERR_RETRY, NULL},
    {1160, NULL, ERR_RETRY, NULL},
    {1161, NULL, ERR_RETRY, NULL},
    {1203, NULL, ERR_RETRY, NULL},
    {1226, NULL, ERR_RETRY, NULL},
    {1251, NULL, ERR_FATAL, "the user's authentication is too old: ALTER USER ... IDENTIFIED WITH caching_sha2_password"},
    {1317, NULL, ERR_RETRY, NULL},
    {1820, NULL, ERR_FATAL, "the user's password has expired: ALTER USER"},
    {1862, NULL, ERR_FATAL, "the user's password has expired: ALTER USER"},
    {1927, NULL, ERR_RETRY, NULL},
    {3118, NULL, ERR_FATAL, "ALTER USER ... ACCOUNT UNLOCK"},
    {3159, NULL, ERR_FATAL, "the server wants TLS: set source.tls: verify"},
    {4151, NULL, ERR_FATAL, "ALTER USER ... ACCOUNT UNLOCK"},
    /* being allowed to read the log */
    {1227, "REPLICATION SLAVE", ERR_FATAL, "GRANT REPLICATION SLAVE ON *.* TO the user"},
    {1227, "BINLOG MONITOR", ERR_FATAL, "GRANT BINLOG MONITOR ON *.* TO the user"},
    {1227, "REPLICATION CLIENT", ERR_FATAL, "GRANT REPLICATION CLIENT ON *.* TO the user"},
    {1227, "REPLICATION MASTER ADMIN", ERR_FATAL, "GRANT REPLICATION MASTER ADMIN ON *.* TO the user"},
    {1227, NULL, ERR_FATAL, "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the user"},
    {1381, NULL, ERR_FATAL, "the server writes no binlog: start it with log_bin"},
    /* the dump itself */
    {4052, NULL, ERR_RETRY, rival_remedy},
    {1236, "same server_uuid", ERR_RETRY, rival_remedy},
    {1236, "same server_id", ERR_RETRY, rival_remedy},
    {1236, "same server id", ERR_RETRY, rival_remedy},
    {1236, "shutdown", ERR_RETRY, NULL},
    {1236, "first log file name", ERR_FATAL, "the server has purged that log file: " POSITION_AGAIN},
    {1236, "purged", ERR_FATAL, "the server has purged what we need: " POSITION_AGAIN},
    {1236, "too old", ERR_FATAL, "the server has purged what we need: " POSITION_AGAIN},
    {1236, "position > file size", ERR_FATAL, "the server lost a part of its log: " POSITION_AGAIN},
    {1236, "more GTIDs", ERR_FATAL, "the server lost transactions that are in Kafka: " POSITION_AGAIN},
    {1236, "not in the master's binlog", ERR_FATAL, "the server does not have our position: " POSITION_AGAIN},
    {1236, "checksum", ERR_FATAL, "the log is damaged, or binlog_checksum is not one that we know: SET GLOBAL binlog_checksum=CRC32"},
    {1236, "not open", ERR_FATAL, "the server writes no binlog: start it with log_bin"},
    {1236, "max_allowed_packet", ERR_FATAL, "an event is larger than the server sends: raise max_allowed_packet there"},
    {1236, NULL, ERR_FATAL, "the position is not one that this server can serve: " POSITION_AGAIN},
};

static const struct meaning *meaning_of(unsigned number, const char *text)
{
    for (size_t index = 0; index < sizeof meanings / sizeof meanings[0]; index++) {
        const struct meaning *meaning = &meanings[index];

        if (meaning->number == number && (meaning->piece == NULL || strstr(text, meaning->piece) != NULL)) {
            return meaning;
        }
    }
    return NULL;
}

/* Servers, and libmariadb, put anything into their texts. */
static void copy_printable(char *to, size_t size, const char *from)
{
    size_t used = 0;

    while (used + 1 < size && from[used] != '\0') {
        to[used] = from[used] >= ' ' && from[used] <= '~' ? from[used] : '?';
        used++;
    }
    to[used] = '\0';
}

int mysql_error_set(struct err *err, unsigned number, const char *text)
{
    char printable[300];
    const struct meaning *meaning = meaning_of(number, text);
    enum err_class class = meaning != NULL ? meaning->class : ERR_RETRY;
    const char *remedy = meaning != NULL ? meaning->remedy : NULL;

    copy_printable(printable, sizeof printable, text);
    return err_set(err, class, "error %u: %s%s%s", number, printable, remedy != NULL ? "; " : "", remedy != NULL ? remedy : "");
}

bool mysql_error_is_rival(unsigned number, const char *text)
{
    const struct meaning *meaning = meaning_of(number, text);

    return meaning != NULL && meaning->remedy == rival_remedy;
}

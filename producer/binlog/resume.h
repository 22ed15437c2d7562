/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resume: where to begin in a server's log, and whether that is safe. Pure: what the server says comes in as facts.
 *
 * With GTIDs (MySQL gtid_mode=ON, MariaDB always) rule A7 decides: go on iff position ⊆ executed and purged ⊆ position. The server's
 * identity plays no part: it changes at each fail-over. Without GTIDs a position is a place in the files of one server, so that
 * server's identity must be the same.
 */
#ifndef KAKEHI_PRODUCER_BINLOG_RESUME_H
#define KAKEHI_PRODUCER_BINLOG_RESUME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/binlog/marks.h"
#include "producer/binlog/stream.h"

#define RESUME_FILE_SIZE 256
#define RESUME_SERVER_SIZE 64

/* A place in a log: a GTID set, or a file and a position in it. */
struct binlog_place {
    char *gtid; /* owned; NULL: file and position count */
    char file[RESUME_FILE_SIZE];
    uint64_t position;
};

enum binlog_wish_kind {
    WISH_CURRENT,  /* the end of the log as it is now */
    WISH_EARLIEST, /* all that the server still has */
    WISH_PLACE,    /* named by a person: source.start */
    WISH_RECORD,   /* where a position record says that we were */
};

struct binlog_wish {
    enum binlog_wish_kind kind;
    struct binlog_place place;       /* WISH_PLACE, WISH_RECORD */
    enum binlog_flavor flavor;       /* WISH_RECORD: of the server that it was */
    char server[RESUME_SERVER_SIZE]; /* WISH_RECORD: its identity */
};

/* What a server says of itself and its log. */
struct binlog_facts {
    enum binlog_flavor flavor;
    bool gtid;                         /* does it log by GTID? */
    bool in_engine;                    /* the log has no files: a storage engine keeps it (MariaDB from 12.3) */
    bool names_lower;                  /* it keeps names in lower case, whatever a statement says (lower_case_table_names=1) */
    char server[RESUME_SERVER_SIZE];   /* server_uuid; MariaDB: server_id */
    char description[192];             /* for people */
    char *executed;                    /* GTID sets, owned; NULL without GTIDs. MariaDB: gtid_binlog_pos */
    char *purged;                      /* what the log no longer holds. MariaDB: the set before its oldest file */
    struct binlog_marks *marks;        /* of MariaDB's columns, owned; NULL: of MySQL */
    char first_file[RESUME_FILE_SIZE]; /* of the log; asked only where it is needed */
    char last_file[RESUME_FILE_SIZE];
    uint64_t last_position;
};

void binlog_place_deinit(struct binlog_place *place);
void binlog_wish_copy(struct binlog_wish *to, const struct binlog_wish *from);
void binlog_wish_deinit(struct binlog_wish *wish);
void binlog_facts_deinit(struct binlog_facts *facts);

/* "current", "earliest", a GTID set, or file:position. */
int binlog_wish_from_text(struct binlog_wish *wish, const char *text, struct err *err) MUST_CHECK;
/* Of a position record: flavor, gtid or file and position, server. Nothing in it is trusted. */
int binlog_wish_from_record(struct binlog_wish *wish, const json_t *record, struct err *err) MUST_CHECK;
/* ERR_FATAL says what does not fit and what a person can do. */
int binlog_place_find(struct binlog_place *ret_place, const struct binlog_wish *wish, const struct binlog_facts *facts, struct err *err) MUST_CHECK;

/* File names go into JSON records and texts: printable ASCII, as every server makes them, or refused. */
bool binlog_file_is_plain(const char *file);
const char *binlog_flavor_name(enum binlog_flavor flavor); /* "mysql", "mariadb": as in the record */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MariaDB needs care where MySQL does not: a domain that is missing from the position is streamed from the beginning of the log. For
 * a recorded position that is right: the record began with every domain that the server had, so a domain that is missing is younger,
 * and all of it is still to come (and the server refuses if a part of it is purged). For a position that a person wrote it is most
 * likely a slip, so there every domain of the server must be named.
 */
#include "producer/binlog/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/gtid_set.h"

#define SET_POSITION "set the position with `kakehi-producer position`"

void binlog_place_deinit(struct binlog_place *place)
{
    free(place->gtid);
    *place = (struct binlog_place){0};
}

void binlog_wish_copy(struct binlog_wish *to, const struct binlog_wish *from)
{
    *to = *from;
    to->place.gtid = must_strdup(from->place.gtid);
}

void binlog_wish_deinit(struct binlog_wish *wish)
{
    binlog_place_deinit(&wish->place);
    *wish = (struct binlog_wish){0};
}

void binlog_facts_deinit(struct binlog_facts *facts)
{
    free(facts->executed);
    free(facts->purged);
    binlog_marks_free(facts->marks);
    *facts = (struct binlog_facts){0};
}

const char *binlog_flavor_name(enum binlog_flavor flavor)
{
    return flavor == BINLOG_MARIADB ? "mariadb" : "mysql";
}

bool binlog_file_is_plain(const char *file)
{
    for (const char *letter = file; *letter != '\0'; letter++) {
        if (*letter <= ' ' || *letter > '~') {
            return false;
        }
    }
    return true;
}

/* ---- what is wished */

/* "bin.000003:1234". A GTID set holds ':' too, but no '.'; a log's name always does. */
static bool parse_file_position(const char *text, struct binlog_place *place)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;

    if (colon == NULL || memchr(text, '.', (size_t)(colon - text)) == NULL || (size_t)(colon - text) >= sizeof place->file) {
        return false;
    }
    if (colon[1] < '0' || colon[1] > '9') {
        return false;
    }
    place->position = strtoull(colon + 1, &end, 10);
    memcpy(place->file, text, (size_t)(colon - text));
    place->file[colon - text] = '\0';
    return *end == '\0';
}

int binlog_wish_from_text(struct binlog_wish *wish, const char *text, struct err *err)
{
    *wish = (struct binlog_wish){.kind = WISH_PLACE};
    if (strcmp(text, "current") == 0) {
        wish->kind = WISH_CURRENT;
    } else if (strcmp(text, "earliest") == 0) {
        wish->kind = WISH_EARLIEST;
    } else if (text[0] == '\0') {
        return err_set(err, ERR_FATAL, "source.start is empty: give current, earliest, a GTID set or file:position");
    } else if (!parse_file_position(text, &wish->place)) {
        wish->place = (struct binlog_place){.gtid = must_strdup(text)};
    }
    return 0;
}

static int bad_record(struct err *err, const char *what)
{
    return err_set(err, ERR_FATAL, "the position record's %s: " SET_POSITION, what);
}

static int take_text(const json_t *record, const char *key, char *ret_text, size_t size, struct err *err)
{
    const char *text = json_string_value(json_object_get(record, key));
    char what[96];

    if (text == NULL || strlen(text) >= size) {
        (void)snprintf(what, sizeof what, "\"%s\" is missing or is not one", key);
        return bad_record(err, what);
    }
    memcpy(ret_text, text, strlen(text) + 1);
    return 0;
}

static int take_file(struct binlog_wish *wish, const json_t *record, struct err *err)
{
    json_int_t position = json_integer_value(json_object_get(record, "position"));

    if (position < 4) {
        return bad_record(err, "\"position\" is missing or too low");
    }
    wish->place.position = (uint64_t)position;
    if (take_text(record, "file", wish->place.file, sizeof wish->place.file, err) != 0) {
        return -1;
    }
    return binlog_file_is_plain(wish->place.file) ? 0 : bad_record(err, "\"file\" holds strange letters");
}

/* With a GTID set, file and position are for people: taken if they are good. */
static int take_place(struct binlog_wish *wish, const json_t *record, struct err *err)
{
    const json_t *gtid = json_object_get(record, "gtid");
    bool taken = take_file(wish, record, err) == 0;

    if (gtid == NULL) {
        return taken ? 0 : -1;
    }
    if (!taken) {
        wish->place = (struct binlog_place){0};
    }
    if (!json_is_string(gtid)) {
        return bad_record(err, "\"gtid\" is not a text");
    }
    wish->place.gtid = must_strdup(json_string_value(gtid));
    return 0;
}

int binlog_wish_from_record(struct binlog_wish *wish, const json_t *record, struct err *err)
{
    char flavor[16];

    *wish = (struct binlog_wish){.kind = WISH_RECORD};
    if (take_text(record, "flavor", flavor, sizeof flavor, err) != 0 ||
        take_text(record, "server", wish->server, sizeof wish->server, err) != 0) {
        return -1;
    }
    if (strcmp(flavor, "mysql") != 0 && strcmp(flavor, "mariadb") != 0) {
        return bad_record(err, "\"flavor\" is neither mysql nor mariadb");
    }
    if (!binlog_file_is_plain(wish->server)) {
        return bad_record(err, "\"server\" holds strange letters");
    }
    wish->flavor = strcmp(flavor, "mariadb") == 0 ? BINLOG_MARIADB : BINLOG_MYSQL;
    if (take_place(wish, record, err) != 0) {
        binlog_wish_deinit(wish);
        return -1;
    }
    return 0;
}

/* ---- is it safe */

struct sets {
    struct gtid_set *position;
    struct gtid_set *executed;
    struct gtid_set *purged;
};

/* Is there a member of that domain in a MariaDB position, "0-1-100, 7-2-5"? */
static bool names_domain(const char *position, const char *domain, size_t domain_size)
{
    const char *member = position + strspn(position, ", \t\r\n");

    while (*member != '\0') {
        if (strncmp(member, domain, domain_size) == 0 && member[domain_size] == '-') {
            return true;
        }
        member += strcspn(member, ",");
        member += strspn(member, ", \t\r\n");
    }
    return false;
}

static int check_domains(const char *executed, const char *position, struct err *err)
{
    const char *member = executed;

    while (*member != '\0') {
        size_t domain_size = strspn(member, "0123456789");

        if (!names_domain(position, member, domain_size)) {
            return err_set(err, ERR_FATAL, "source.start must name every domain of the server, or the missing ones would be read from the "
                           "beginning: it has %.200s", executed);
        }
        member += strcspn(member, ",");
        member += strspn(member, ", \t\r\n");
    }
    return 0;
}

static int check_sets(const struct sets *sets, const struct binlog_wish *wish, const struct binlog_facts *facts, struct err *err)
{
    if (!gtid_set_covers(sets->executed, sets->position)) {
        return err_set(err, ERR_FATAL, "the server has lost transactions that we have read, or is another one: we are at %.120s, it has %.120s; "
                       "compare them, then " SET_POSITION, wish->place.gtid, facts->executed);
    }
    if (facts->flavor == BINLOG_MYSQL && !gtid_set_covers(sets->position, sets->purged)) {
        return err_set(err, ERR_FATAL, "the server has purged transactions that we have not read: we are at %.120s, it has purged %.120s; "
                       "read the tables again, then " SET_POSITION, wish->place.gtid, facts->purged);
    }
    if (facts->flavor == BINLOG_MARIADB && wish->kind == WISH_PLACE) {
        return check_domains(facts->executed, wish->place.gtid, err);
    }
    return 0;
}

static int check_gtid(const struct binlog_wish *wish, const struct binlog_facts *facts, struct err *err)
{
    struct sets sets = {gtid_set_new(facts->flavor), gtid_set_new(facts->flavor), gtid_set_new(facts->flavor)};
    int result = -1;

    if (gtid_set_parse(sets.position, wish->place.gtid, err) != 0) {
        err_while(err, "the position to start at");
        goto out;
    }
    if (gtid_set_parse(sets.executed, facts->executed, err) != 0 || gtid_set_parse(sets.purged, facts->purged, err) != 0) {
        err_while(err, "the server's GTID sets");
        goto out;
    }
    result = check_sets(&sets, wish, facts, err);
out:
    gtid_set_free(sets.position);
    gtid_set_free(sets.executed);
    gtid_set_free(sets.purged);
    return result;
}

/* The record against the server: of the same kind, and without GTIDs the very same one. */
static int check_record(const struct binlog_wish *wish, const struct binlog_facts *facts, struct err *err)
{
    if (wish->flavor != facts->flavor) {
        return err_set(err, ERR_FATAL, "the position is one of %s, and the server is %s: is it the right one? Else " SET_POSITION,
                       binlog_flavor_name(wish->flavor), facts->description);
    }
    if (wish->place.gtid == NULL && strcmp(wish->server, facts->server) != 0) {
        return err_set(err, ERR_FATAL, "the position %s:%llu is in the log of server %s, and this is server %s (%s): without GTIDs nobody can say "
                       "where that is here; " SET_POSITION,
                       wish->place.file, (unsigned long long)wish->place.position, wish->server, facts->server, facts->description);
    }
    return 0;
}

static int check_place(const struct binlog_wish *wish, const struct binlog_facts *facts, struct err *err)
{
    if (wish->kind == WISH_RECORD && check_record(wish, facts, err) != 0) {
        return -1;
    }
    if (wish->place.gtid != NULL && !facts->gtid) {
        return err_set(err, ERR_FATAL, "the position is a GTID set, and the server has gtid_mode=OFF: switch it on, or " SET_POSITION " as file:position");
    }
    if (wish->place.gtid == NULL && facts->gtid) {
        return err_set(err, ERR_FATAL, "the position is %s:%llu, and the server logs GTIDs now: " SET_POSITION " as a GTID set", wish->place.file,
                       (unsigned long long)wish->place.position);
    }
    return wish->place.gtid != NULL ? check_gtid(wish, facts, err) : 0;
}

int binlog_place_find(struct binlog_place *ret_place, const struct binlog_wish *wish, const struct binlog_facts *facts, struct err *err)
{
    *ret_place = (struct binlog_place){0};
    if (!binlog_file_is_plain(facts->first_file) || !binlog_file_is_plain(facts->last_file) || !binlog_file_is_plain(facts->server)) {
        return err_set(err, ERR_FATAL, "the names of the server's log files hold strange letters: is this a MySQL or MariaDB server?");
    }
    switch (wish->kind) {
    case WISH_CURRENT:
        (void)snprintf(ret_place->file, sizeof ret_place->file, "%s", facts->last_file);
        ret_place->position = facts->last_position;
        ret_place->gtid = facts->gtid ? must_strdup(facts->executed) : NULL;
        return 0;
    case WISH_EARLIEST:
        if (facts->in_engine) {
            return err_set(err, ERR_FATAL, "where its log begins is asked by the name of a file, and the server's has none (binlog_storage_engine): "
                           "set source.start to current, or to a GTID set");
        }
        (void)snprintf(ret_place->file, sizeof ret_place->file, "%s", facts->first_file);
        ret_place->position = 4; /* behind the magic number */
        ret_place->gtid = facts->gtid ? must_strdup(facts->purged) : NULL;
        return 0;
    case WISH_PLACE:
    case WISH_RECORD:
        break;
    }
    if (check_place(wish, facts, err) != 0) {
        return -1;
    }
    *ret_place = wish->place;
    ret_place->gtid = must_strdup(wish->place.gtid);
    return 0;
}

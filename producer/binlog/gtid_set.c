/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MySQL: members (UUID and tag) in order, each with sorted intervals that neither touch nor overlap, so that two sets are
 * compared by walking them side by side. MariaDB: one GTID a domain, in order of domains.
 */
#include "producer/binlog/gtid_set.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define UUID_SIZE      16
#define TAG_SIZE_MAX   32
#define NUMBER_MAX     INT64_MAX /* of MySQL: the last one is never given out */
#define TAGGED_FORMAT  UINT64_C(1)
#define ERROR_TEXT_MAX 80        /* of the set's text in a message */

struct interval { /* both ends are in */
    uint64_t first;
    uint64_t last;
};

struct member {
    uint8_t uuid[UUID_SIZE];
    char tag[TAG_SIZE_MAX + 1]; /* "": none */
    struct interval *intervals;
    size_t count;
};

struct domain {
    uint32_t domain;
    uint32_t server;
    uint64_t number;
};

struct gtid_set {
    enum binlog_flavor flavor;
    struct member *members;
    size_t member_count;
    struct domain *domains;
    size_t domain_count;
};

struct gtid_set *gtid_set_new(enum binlog_flavor flavor)
{
    struct gtid_set *set = calloc(1, sizeof *set);

    must(set != NULL);
    set->flavor = flavor;
    return set;
}

static void clear(struct gtid_set *set)
{
    for (size_t i = 0; i < set->member_count; i++) {
        free(set->members[i].intervals);
    }
    free(set->members);
    free(set->domains);
    *set = (struct gtid_set){.flavor = set->flavor};
}

void gtid_set_free(struct gtid_set *set)
{
    if (set != NULL) {
        clear(set);
        free(set);
    }
}

bool gtid_set_empty(const struct gtid_set *set)
{
    return set->member_count == 0 && set->domain_count == 0;
}

/* ---- reading texts */

struct reader {
    const char *at;
    const char *why; /* NULL: nothing failed yet */
};

static bool fail(struct reader *reader, const char *why)
{
    reader->why = reader->why != NULL ? reader->why : why;
    return false;
}

static void skip_blanks(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at)) {
        reader->at++;
    }
}

static bool take_sign(struct reader *reader, char sign)
{
    skip_blanks(reader);
    if (*reader->at != sign) {
        return false;
    }
    reader->at++;
    return true;
}

static bool read_number(struct reader *reader, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    skip_blanks(reader);
    if (!isdigit((unsigned char)*reader->at)) {
        return fail(reader, "a number is missing");
    }
    for (; isdigit((unsigned char)*reader->at); reader->at++) {
        uint64_t digit = (uint64_t)(*reader->at - '0');

        if (number > (max - digit) / 10) {
            return fail(reader, "a number is too large");
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit = (char)tolower((unsigned char)digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool read_uuid(struct reader *reader, uint8_t uuid[UUID_SIZE])
{
    skip_blanks(reader);
    for (size_t i = 0; i < UUID_SIZE; i++) {
        bool hyphen = i == 4 || i == 6 || i == 8 || i == 10;
        int high;
        int low;

        if (hyphen && *reader->at != '-') { /* maybe the end of the text, which nobody may go past */
            return fail(reader, "a UUID lacks its hyphens");
        }
        reader->at += hyphen;
        high = hex_value(reader->at[0]);
        low = high < 0 ? -1 : hex_value(reader->at[1]);
        if (low < 0) {
            return fail(reader, "a UUID is not 32 hexadecimal digits");
        }
        uuid[i] = (uint8_t)(high << 4 | low);
        reader->at += 2;
    }
    return true;
}

static bool begins_tag(const struct reader *reader)
{
    return isalpha((unsigned char)*reader->at) || *reader->at == '_';
}

static bool read_tag(struct reader *reader, char tag[TAG_SIZE_MAX + 1])
{
    size_t size = 0;

    while (isalnum((unsigned char)*reader->at) || *reader->at == '_') {
        if (size == TAG_SIZE_MAX) {
            return fail(reader, "a tag is longer than 32 characters");
        }
        tag[size++] = (char)tolower((unsigned char)*reader->at++);
    }
    tag[size] = '\0';
    return true;
}

static bool read_interval(struct reader *reader, struct interval *ret_interval)
{
    if (!read_number(reader, NUMBER_MAX, &ret_interval->first)) {
        return false;
    }
    ret_interval->last = ret_interval->first;
    if (take_sign(reader, '-') && !read_number(reader, NUMBER_MAX, &ret_interval->last)) {
        return false;
    }
    if (ret_interval->first == 0 || ret_interval->last < ret_interval->first) {
        return fail(reader, "an interval is empty or begins with 0");
    }
    return true;
}

/* ---- MySQL */

static int compare_members(const uint8_t *uuid, const char *tag, const struct member *member)
{
    int order = memcmp(uuid, member->uuid, UUID_SIZE);

    return order != 0 ? order : strcmp(tag, member->tag);
}

/* Where the member is, or would be. */
static size_t place_of_member(const struct gtid_set *set, const uint8_t *uuid, const char *tag)
{
    size_t i = 0;

    while (i < set->member_count && compare_members(uuid, tag, &set->members[i]) > 0) {
        i++;
    }
    return i;
}

static const struct member *find_member(const struct gtid_set *set, const uint8_t *uuid, const char *tag)
{
    size_t i = place_of_member(set, uuid, tag);

    return i < set->member_count && compare_members(uuid, tag, &set->members[i]) == 0 ? &set->members[i] : NULL;
}

static struct member *make_member(struct gtid_set *set, const uint8_t *uuid, const char *tag)
{
    size_t i = place_of_member(set, uuid, tag);

    if (i < set->member_count && compare_members(uuid, tag, &set->members[i]) == 0) {
        return &set->members[i];
    }
    set->members = realloc(set->members, (set->member_count + 1) * sizeof *set->members);
    must(set->members != NULL);
    memmove(&set->members[i + 1], &set->members[i], (set->member_count - i) * sizeof *set->members);
    set->member_count++;
    set->members[i] = (struct member){0};
    memcpy(set->members[i].uuid, uuid, UUID_SIZE);
    memcpy(set->members[i].tag, tag, strlen(tag) + 1);
    return &set->members[i];
}

/* Joins the interval with those it touches. Growing at the end is the common case. */
static void add_interval(struct member *member, struct interval more)
{
    size_t first = member->count;
    size_t end;

    while (first > 0 && member->intervals[first - 1].last + 1 >= more.first) {
        first--;
    }
    end = first;
    while (end < member->count && member->intervals[end].first <= more.last + 1) {
        more.first = member->intervals[end].first < more.first ? member->intervals[end].first : more.first;
        more.last = member->intervals[end].last > more.last ? member->intervals[end].last : more.last;
        end++;
    }
    if (end == first) {
        member->intervals = realloc(member->intervals, (member->count + 1) * sizeof *member->intervals);
        must(member->intervals != NULL);
        memmove(&member->intervals[first + 1], &member->intervals[first], (member->count - first) * sizeof *member->intervals);
        member->count++;
    } else {
        memmove(&member->intervals[first + 1], &member->intervals[end], (member->count - end) * sizeof *member->intervals);
        member->count -= end - first - 1;
    }
    member->intervals[first] = more;
}

static bool holds_interval(const struct member *member, struct interval inner)
{
    for (size_t i = member->count; i > 0; i--) {
        const struct interval *outer = &member->intervals[i - 1];

        if (outer->first <= inner.first) {
            return inner.last <= outer->last;
        }
    }
    return false;
}

/* uuid[:tag]:interval[:interval...][:tag:interval...] */
static bool read_member(struct gtid_set *set, struct reader *reader)
{
    uint8_t uuid[UUID_SIZE];
    char tag[TAG_SIZE_MAX + 1] = "";
    bool tag_is_new = false;
    struct interval interval;

    if (!read_uuid(reader, uuid)) {
        return false;
    }
    if (*reader->at != ':' && !isspace((unsigned char)*reader->at)) {
        return fail(reader, "a UUID has no intervals");
    }
    while (take_sign(reader, ':')) {
        skip_blanks(reader);
        if (begins_tag(reader)) {
            if (tag_is_new || !read_tag(reader, tag)) {
                return fail(reader, "a tag has no intervals");
            }
            tag_is_new = true;
        } else if (read_interval(reader, &interval)) {
            add_interval(make_member(set, uuid, tag), interval);
            tag_is_new = false;
        } else {
            return false;
        }
    }
    return tag_is_new ? fail(reader, "a tag has no intervals") : true;
}

/* ---- MariaDB */

static bool read_domain(struct reader *reader, struct domain *ret_domain)
{
    uint64_t domain;
    uint64_t server;

    if (!read_number(reader, UINT32_MAX, &domain) || !take_sign(reader, '-') || !read_number(reader, UINT32_MAX, &server) ||
        !take_sign(reader, '-') || !read_number(reader, UINT64_MAX, &ret_domain->number)) {
        return fail(reader, "a GTID is not domain-server-number");
    }
    ret_domain->domain = (uint32_t)domain;
    ret_domain->server = (uint32_t)server;
    return true;
}

static size_t place_of_domain(const struct gtid_set *set, uint32_t domain)
{
    size_t i = 0;

    while (i < set->domain_count && set->domains[i].domain < domain) {
        i++;
    }
    return i;
}

static const struct domain *find_domain(const struct gtid_set *set, uint32_t domain)
{
    size_t i = place_of_domain(set, domain);

    return i < set->domain_count && set->domains[i].domain == domain ? &set->domains[i] : NULL;
}

/* The domain, added with number 0 if it is not there. */
static struct domain *make_domain(struct gtid_set *set, uint32_t domain)
{
    size_t i = place_of_domain(set, domain);

    if (i < set->domain_count && set->domains[i].domain == domain) {
        return &set->domains[i];
    }
    set->domains = realloc(set->domains, (set->domain_count + 1) * sizeof *set->domains);
    must(set->domains != NULL);
    memmove(&set->domains[i + 1], &set->domains[i], (set->domain_count - i) * sizeof *set->domains);
    set->domain_count++;
    set->domains[i] = (struct domain){.domain = domain};
    return &set->domains[i];
}

static bool read_list_element(struct gtid_set *set, struct reader *reader)
{
    struct domain domain;

    if (!read_domain(reader, &domain)) {
        return false;
    }
    if (find_domain(set, domain.domain) != NULL) {
        return fail(reader, "a domain stands in it twice");
    }
    *make_domain(set, domain.domain) = domain;
    return true;
}

/* ---- both */

static int refuse(struct err *err, const char *text, const char *why)
{
    return err_set(err, ERR_FATAL, "'%.*s' is no GTID set: %s", ERROR_TEXT_MAX, text, why);
}

int gtid_set_parse(struct gtid_set *set, const char *text, struct err *err)
{
    struct gtid_set *fresh = gtid_set_new(set->flavor);
    struct reader reader = {.at = text};
    struct gtid_set old;

    skip_blanks(&reader);
    while (*reader.at != '\0' && reader.why == NULL) {
        bool read = set->flavor == BINLOG_MYSQL ? read_member(fresh, &reader) : read_list_element(fresh, &reader);

        if (read && !take_sign(&reader, ',') && *reader.at != '\0') {
            (void)fail(&reader, "a comma is missing");
        }
        skip_blanks(&reader);
    }
    if (reader.why != NULL) {
        gtid_set_free(fresh);
        return refuse(err, text, reader.why);
    }
    old = *set;
    *set = *fresh;
    *fresh = old;
    gtid_set_free(fresh);
    return 0;
}

/* "uuid:5" or "uuid:tag:5" */
static bool read_gtid(const char *gtid, uint8_t uuid[UUID_SIZE], char tag[TAG_SIZE_MAX + 1], struct interval *ret_interval,
                      struct reader *reader)
{
    *reader = (struct reader){.at = gtid};
    tag[0] = '\0';
    if (!read_uuid(reader, uuid) || !take_sign(reader, ':')) {
        return fail(reader, "a number is missing");
    }
    if (begins_tag(reader) && (!read_tag(reader, tag) || !take_sign(reader, ':'))) {
        return fail(reader, "a number is missing");
    }
    if (!read_number(reader, NUMBER_MAX, &ret_interval->first) || ret_interval->first == 0 || *reader->at != '\0') {
        return fail(reader, "it does not end with a number");
    }
    ret_interval->last = ret_interval->first;
    return true;
}

static int add_mysql(struct gtid_set *set, const char *gtid, struct err *err)
{
    uint8_t uuid[UUID_SIZE];
    char tag[TAG_SIZE_MAX + 1];
    struct interval interval;
    struct reader reader;

    if (!read_gtid(gtid, uuid, tag, &interval, &reader)) {
        return refuse(err, gtid, reader.why);
    }
    add_interval(make_member(set, uuid, tag), interval);
    return 0;
}

static int add_mariadb(struct gtid_set *set, const char *gtid, struct err *err)
{
    struct reader reader = {.at = gtid};
    struct domain domain;
    const struct domain *known;

    if (!read_domain(&reader, &domain) || *reader.at != '\0') {
        return refuse(err, gtid, reader.why != NULL ? reader.why : "something follows it");
    }
    known = find_domain(set, domain.domain);
    if (known != NULL && domain.number < known->number) {
        return err_set(err, ERR_FATAL,
                       "GTID %s comes behind %" PRIu32 "-%" PRIu32 "-%" PRIu64
                       ": numbers of a domain must grow (is gtid_strict_mode off, "
                       "or do two servers write the same domain?)",
                       gtid, known->domain, known->server, known->number);
    }
    *make_domain(set, domain.domain) = domain;
    return 0;
}

int gtid_set_add(struct gtid_set *set, const char *gtid, struct err *err)
{
    return set->flavor == BINLOG_MYSQL ? add_mysql(set, gtid, err) : add_mariadb(set, gtid, err);
}

bool gtid_set_contains(const struct gtid_set *set, const char *gtid)
{
    uint8_t uuid[UUID_SIZE];
    char tag[TAG_SIZE_MAX + 1];
    struct interval interval;
    struct reader reader = {.at = gtid};
    struct domain domain;

    if (set->flavor == BINLOG_MYSQL) {
        const struct member *member = read_gtid(gtid, uuid, tag, &interval, &reader) ? find_member(set, uuid, tag) : NULL;

        return member != NULL && holds_interval(member, interval);
    }
    if (read_domain(&reader, &domain) && *reader.at == '\0') {
        const struct domain *known = find_domain(set, domain.domain);

        return known != NULL && domain.number <= known->number;
    }
    return false;
}

static bool covers_member(const struct gtid_set *outer, const struct member *inner)
{
    const struct member *member = find_member(outer, inner->uuid, inner->tag);

    for (size_t i = 0; i < inner->count; i++) {
        if (member == NULL || !holds_interval(member, inner->intervals[i])) {
            return false;
        }
    }
    return true;
}

bool gtid_set_covers(const struct gtid_set *outer, const struct gtid_set *inner)
{
    for (size_t i = 0; i < inner->member_count; i++) {
        if (!covers_member(outer, &inner->members[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < inner->domain_count; i++) {
        const struct domain *known = find_domain(outer, inner->domains[i].domain);

        if (known == NULL || known->number < inner->domains[i].number) {
            return false;
        }
    }
    return true;
}

static void write_uuid(struct buffer *out, const uint8_t uuid[UUID_SIZE])
{
    for (size_t i = 0; i < UUID_SIZE; i++) {
        buffer_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    }
}

/* Members of one UUID are joined, as the server prints them: "uuid:1-3:tag:1". */
static void write_member(struct buffer *out, const struct member *member, bool same_uuid)
{
    if (!same_uuid) {
        write_uuid(out, member->uuid);
    }
    if (member->tag[0] != '\0') {
        buffer_printf(out, ":%s", member->tag);
    }
    for (size_t i = 0; i < member->count; i++) {
        const struct interval *interval = &member->intervals[i];

        buffer_printf(out, ":%" PRIu64, interval->first);
        if (interval->last > interval->first) {
            buffer_printf(out, "-%" PRIu64, interval->last);
        }
    }
}

void gtid_set_text(const struct gtid_set *set, struct buffer *out)
{
    for (size_t i = 0; i < set->member_count; i++) {
        bool same_uuid = i > 0 && memcmp(set->members[i].uuid, set->members[i - 1].uuid, UUID_SIZE) == 0;

        if (i > 0 && !same_uuid) {
            buffer_append_byte(out, ',');
        }
        write_member(out, &set->members[i], same_uuid);
    }
    for (size_t i = 0; i < set->domain_count; i++) {
        const struct domain *domain = &set->domains[i];

        buffer_printf(out, "%s%" PRIu32 "-%" PRIu32 "-%" PRIu64, i > 0 ? "," : "", domain->domain, domain->server,
                      domain->number);
    }
}

static void append_u64(struct buffer *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

static bool has_tags(const struct gtid_set *set)
{
    for (size_t i = 0; i < set->member_count; i++) {
        if (set->members[i].tag[0] != '\0') {
            return true;
        }
    }
    return false;
}

/* The number of members; with tags (MySQL from 8.3) its first and last byte say so, and 6 bytes are left for the number. */
static void append_count(struct buffer *out, uint64_t count, bool tagged)
{
    append_u64(out, tagged ? TAGGED_FORMAT | count << 8 | TAGGED_FORMAT << 56 : count);
}

/* The tag's size in a number of variable length, whose lowest bit, 0, says that it is one byte. */
static void append_tag(struct buffer *out, const char *tag)
{
    size_t size = strlen(tag);

    buffer_append_byte(out, (uint8_t)(size << 1));
    buffer_append(out, tag, size);
}

/* count, then for each member: UUID, (tag,) count u64, and pairs of the first number and the one behind the last, u64 each */
void gtid_set_encode(const struct gtid_set *set, struct buffer *out)
{
    bool tagged = has_tags(set);

    must(set->flavor == BINLOG_MYSQL);
    append_count(out, set->member_count, tagged);
    for (size_t i = 0; i < set->member_count; i++) {
        const struct member *member = &set->members[i];

        buffer_append(out, member->uuid, UUID_SIZE);
        if (tagged) {
            append_tag(out, member->tag);
        }
        append_u64(out, member->count);
        for (size_t k = 0; k < member->count; k++) {
            append_u64(out, member->intervals[k].first);
            append_u64(out, member->intervals[k].last + 1);
        }
    }
}

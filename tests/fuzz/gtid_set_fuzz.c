/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any texts as GTID sets: a byte for the flavor, then lines: a set, another set, and single GTIDs to add to the first.
 *
 * What must hold: the text that a set prints is that set; what was added is in; a set never loses a transaction by adding; and
 * what is refused leaves the set as it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/gtid_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The next line of *text, without its end; NULL: there is none. */
static const char *line(char **text)
{
    char *begin = *text;
    char *end;

    if (begin == NULL) {
        return NULL;
    }
    end = strchr(begin, '\n');
    *text = end != NULL ? end + 1 : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return begin;
}

static struct gtid_set *copy(enum binlog_flavor flavor, const struct gtid_set *set)
{
    struct gtid_set *again = gtid_set_new(flavor);
    struct buffer text = {0};
    struct err err;

    gtid_set_text(set, &text);
    must(gtid_set_parse(again, buffer_text(&text), &err) == 0);
    buffer_deinit(&text);
    must(gtid_set_covers(set, again) && gtid_set_covers(again, set));
    return again;
}

static bool same_text(const struct gtid_set *one, const struct gtid_set *other)
{
    struct buffer texts[2] = {{0}};
    bool same;

    gtid_set_text(one, &texts[0]);
    gtid_set_text(other, &texts[1]);
    same = strcmp(buffer_text(&texts[0]), buffer_text(&texts[1])) == 0;
    buffer_deinit(&texts[0]);
    buffer_deinit(&texts[1]);
    return same;
}

static void add(enum binlog_flavor flavor, struct gtid_set *set, const char *gtid)
{
    struct gtid_set *before = copy(flavor, set);
    struct err err = {0};

    if (gtid_set_add(set, gtid, &err) == 0) {
        must(gtid_set_contains(set, gtid) && gtid_set_covers(set, before) && !gtid_set_empty(set));
    } else {
        must(err.class == ERR_FATAL && err.text[0] != '\0' && same_text(set, before));
    }
    gtid_set_free(before);
}

static void parse(enum binlog_flavor flavor, struct gtid_set *set, const char *text)
{
    struct buffer encoded = {0};
    struct gtid_set *again;
    struct err err = {0};

    if (text == NULL || gtid_set_parse(set, text, &err) != 0) {
        must(text == NULL || err.class == ERR_FATAL);
        must(gtid_set_empty(set));
        return;
    }
    again = copy(flavor, set);
    must(same_text(set, again));
    gtid_set_free(again);
    if (flavor == BINLOG_MYSQL) {
        gtid_set_encode(set, &encoded);
        must(encoded.size >= 8);
        buffer_deinit(&encoded);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum binlog_flavor flavor = size > 0 && (bytes[0] & 1) != 0 ? BINLOG_MARIADB : BINLOG_MYSQL;
    struct gtid_set *sets[2] = {gtid_set_new(flavor), gtid_set_new(flavor)};
    char *text = malloc(size + 1);
    char *rest = text;
    const char *gtid;

    must(text != NULL);
    memcpy(text, bytes + (size > 0), size - (size > 0));
    text[size - (size > 0)] = '\0';
    parse(flavor, sets[0], line(&rest));
    parse(flavor, sets[1], line(&rest));
    must(!gtid_set_covers(sets[0], sets[1]) || !gtid_set_covers(sets[1], sets[0]) || flavor == BINLOG_MARIADB || same_text(sets[0], sets[1]));
    while ((gtid = line(&rest)) != NULL) {
        add(flavor, sets[0], gtid);
    }
    gtid_set_free(sets[0]);
    gtid_set_free(sets[1]);
    free(text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Asked once for each column of each TABLE_MAP that is new. */
#include "producer/binlog/choices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/text_list.h"
#include "producer/binlog/zone.h"

struct choices {
    const struct settings_source *settings;
    struct zone **zones; /* one a pair of datetime_zone */
};

int choices_new(const struct settings_source *settings, struct choices **ret_choices, struct err *err)
{
    struct choices *choices = calloc(1, sizeof *choices);

    must(choices != NULL);
    choices->settings = settings;
    choices->zones = calloc(settings->datetime_zone.count + 1, sizeof *choices->zones);
    must(choices->zones != NULL);
    for (size_t i = 0; i < settings->datetime_zone.count; i++) {
        if (zone_new(settings->datetime_zone.pairs[i].value, &choices->zones[i], err) != 0) {
            choices_free(choices);
            return err_while(err, "source.datetime_zone");
        }
    }
    *ret_choices = choices;
    return 0;
}

void choices_free(struct choices *choices)
{
    if (choices == NULL) {
        return;
    }
    for (size_t i = 0; i < choices->settings->datetime_zone.count; i++) {
        zone_free(choices->zones[i]);
    }
    free(choices->zones);
    free(choices);
}

/* `otherwise`: where no pattern matches. */
static enum binlog_unrepresentable find(const struct text_pairs *pairs, const char *name, enum binlog_unrepresentable otherwise)
{
    static const struct {
        const char *word;
        enum binlog_unrepresentable choice;
    } words[] = {{"stop", BINLOG_STOP}, {"null", BINLOG_NULL}, {"text", BINLOG_TEXT}, {"dead_letter", BINLOG_LETTER}};
    const char *text = text_pairs_match(pairs, name);

    for (size_t i = 0; text != NULL && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, text) == 0) {
            return words[i].choice;
        }
    }
    return otherwise;
}

void choices_choose(void *context, const char *database, const char *table, const char *column,
                    struct binlog_choice *ret_choice)
{
    const struct choices *choices = context;
    const struct text_pairs *zones = &choices->settings->datetime_zone;
    char *name;

    must(asprintf(&name, "%s.%s.%s", database, table, column) > 0);
    *ret_choice = (struct binlog_choice){
        .unrepresentable = find(&choices->settings->unrepresentable, name, BINLOG_STOP),
        .wide_decimal = find(&choices->settings->wide_decimals, name, BINLOG_TEXT),
    };
    for (size_t i = 0; i < zones->count && ret_choice->zone == NULL; i++) {
        if (text_matches(zones->pairs[i].key, name)) {
            ret_choice->zone = choices->zones[i];
        }
    }
    free(name);
}

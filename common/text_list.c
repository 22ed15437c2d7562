/* SPDX-License-Identifier: Apache-2.0 */
/* Lists are short and read at start, so they are plain arrays searched from the front. */
#include "common/text_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"

void text_list_add(struct text_list *list, const char *text)
{
    list->texts = reallocarray(list->texts, list->count + 1, sizeof *list->texts);
    must(list->texts != NULL);
    list->texts[list->count++] = must_strdup(text);
}

size_t text_list_find(const struct text_list *list, const char *text)
{
    size_t index = 0;

    while (index < list->count && strcmp(list->texts[index], text) != 0) {
        index++;
    }
    return index;
}

void text_list_remove(struct text_list *list, size_t index)
{
    must(index < list->count);
    free(list->texts[index]);
    list->count--;
    memmove(&list->texts[index], &list->texts[index + 1], (list->count - index) * sizeof *list->texts);
}

void text_list_deinit(struct text_list *list)
{
    for (size_t index = 0; index < list->count; index++) {
        free(list->texts[index]);
    }
    free(list->texts);
    *list = (struct text_list){0};
}

static struct text_pair *find(const struct text_pairs *pairs, const char *key)
{
    for (size_t index = 0; index < pairs->count; index++) {
        if (strcmp(pairs->pairs[index].key, key) == 0) {
            return &pairs->pairs[index];
        }
    }
    return NULL;
}

void text_pairs_set(struct text_pairs *pairs, const char *key, const char *value)
{
    struct text_pair *pair = find(pairs, key);
    char *own_value = must_strdup(value); /* before the old one goes: value may be that one */

    if (pair != NULL) {
        free(pair->value);
        pair->value = own_value;
        return;
    }
    pairs->pairs = reallocarray(pairs->pairs, pairs->count + 1, sizeof *pairs->pairs);
    must(pairs->pairs != NULL);
    pairs->pairs[pairs->count++] = (struct text_pair){.key = must_strdup(key), .value = own_value};
}

const char *text_pairs_get(const struct text_pairs *pairs, const char *key)
{
    const struct text_pair *pair = find(pairs, key);

    return pair != NULL ? pair->value : NULL;
}

/* Values may be secrets (librdkafka's passwords stand in a list of pairs): they are wiped. */
void text_pairs_deinit(struct text_pairs *pairs)
{
    for (size_t index = 0; index < pairs->count; index++) {
        free(pairs->pairs[index].key);
        explicit_bzero(pairs->pairs[index].value, strlen(pairs->pairs[index].value));
        free(pairs->pairs[index].value);
    }
    free(pairs->pairs);
    *pairs = (struct text_pairs){0};
}

/* The character behind the one at `text`: UTF-8 continuation bytes belong to it. */
static const char *next_character(const char *text)
{
    do {
        text++;
    } while (((unsigned char)*text & 0xc0) == 0x80);
    return text;
}

/*
 * Going back to the last `*` is enough: what the earlier ones took can only have been too little, and the last one can take
 * that as well. So the time is at most length times length, whatever the pattern.
 */
bool text_matches(const char *pattern, const char *text)
{
    const char *star = NULL; /* behind the last `*` met */
    const char *from = NULL; /* where the text stood that this `*` has not taken */

    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (*pattern == '?') {
            pattern++;
            text = next_character(text);
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            from = next_character(from);
            text = from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

bool text_list_matches(const struct text_list *patterns, const char *text)
{
    for (size_t index = 0; index < patterns->count; index++) {
        if (text_matches(patterns->texts[index], text)) {
            return true;
        }
    }
    return false;
}

const char *text_pairs_match(const struct text_pairs *pairs, const char *text)
{
    for (size_t index = 0; index < pairs->count; index++) {
        if (text_matches(pairs->pairs[index].key, text)) {
            return pairs->pairs[index].value;
        }
    }
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* text_list: lists of texts and of text pairs, as settings hold them. Own their texts. */
#ifndef KAKEHI_COMMON_TEXT_LIST_H
#define KAKEHI_COMMON_TEXT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct text_list {
    char **texts;
    size_t count;
};

struct text_pair {
    char *key;
    char *value;
};

struct text_pairs {
    struct text_pair *pairs;
    size_t count;
};

void text_list_add(struct text_list *list, const char *text); /* copies */
size_t text_list_find(const struct text_list *list, const char *text); /* its place; list->count: it is not there */
void text_list_remove(struct text_list *list, size_t index);           /* the others keep their order */
void text_list_deinit(struct text_list *list);
void text_pairs_set(struct text_pairs *pairs, const char *key, const char *value); /* copies; a key that is there is replaced */
const char *text_pairs_get(const struct text_pairs *pairs, const char *key);       /* NULL when absent */
void text_pairs_deinit(struct text_pairs *pairs);

/* "shop.*" against "shop.orders": `*` is any run of characters, `?` one; everything else stands for itself. Case counts. */
bool text_matches(const char *pattern, const char *text);
bool text_list_matches(const struct text_list *patterns, const char *text);
/* The value of the first key that is a pattern for the text; NULL: none. */
const char *text_pairs_match(const struct text_pairs *pairs, const char *text);

#endif

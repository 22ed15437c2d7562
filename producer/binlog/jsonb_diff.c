/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document is a tree of which only what a path leads through is taken apart; all else stays bytes, of the document before
 * or of a diff, and is printed from there. Members of an object stay in MySQL's order: shorter names first, then by their
 * bytes.
 */
#include "producer/binlog/jsonb_diff.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "producer/binlog/json_path.h"
#include "producer/binlog/jsonb_parts.h"

enum { REPLACE, INSERT, REMOVE };

static const char MISFIT[] = "JSON: a partial update does not fit the document before it";

struct node;

struct member {         /* or cell of an array */
    const uint8_t *key; /* NULL in an array */
    size_t key_size;
    uint8_t *key_owned; /* the same, if it is ours; else NULL */
    struct node *node;  /* owned */
};

struct node {
    struct jsonb_value value; /* as long as it was not taken apart */
    bool apart;
    bool object;
    struct member *members; /* owned */
    size_t count;
    size_t capacity;
};

struct diff {
    uint8_t operation;
    struct cursor path;
    struct jsonb_value value; /* not of REMOVE */
};

static struct node *node_new(const struct jsonb_value *value)
{
    struct node *node = calloc(1, sizeof *node);

    must(node != NULL);
    node->value = *value;
    return node;
}

static void node_free(struct node *node);

static void member_deinit(struct member *member)
{
    free(member->key_owned);
    node_free(member->node);
}

static void node_free(struct node *node)
{
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        member_deinit(&node->members[i]);
    }
    free(node->members);
    free(node);
}

/* Makes an empty member at that place. */
static struct member *open_member(struct node *node, size_t at)
{
    if (node->count == node->capacity) {
        node->capacity = node->capacity > 0 ? 2 * node->capacity : 8;
        node->members = reallocarray(node->members, node->capacity, sizeof *node->members);
        must(node->members != NULL);
    }
    memmove(node->members + at + 1, node->members + at, (node->count - at) * sizeof *node->members);
    node->count++;
    node->members[at] = (struct member){0};
    return &node->members[at];
}

static void remove_member(struct node *node, size_t at)
{
    member_deinit(&node->members[at]);
    node->count--;
    memmove(node->members + at, node->members + at + 1, (node->count - at) * sizeof *node->members);
}

static const char *add_element(struct node *node, const struct jsonb_container *container, uint32_t i)
{
    struct member *member = open_member(node, node->count);
    struct jsonb_value value;
    const char *why = jsonb_element(container, i, &value);

    if (why == NULL && container->object) {
        why = jsonb_key(container, i, &member->key, &member->key_size);
    }
    if (why == NULL) {
        member->node = node_new(&value);
    }
    return why;
}

/* What is no object or array has no members. */
static const char *take_apart(struct node *node)
{
    struct jsonb_container container;
    const char *why;

    if (node->apart) {
        return NULL;
    }
    if (!jsonb_is_container(&node->value)) {
        return MISFIT;
    }
    why = jsonb_open(&node->value, &container);
    for (uint32_t i = 0; why == NULL && i < container.count; i++) {
        why = add_element(node, &container, i);
    }
    node->apart = why == NULL;
    node->object = container.object;
    return why;
}

static int compare_keys(const struct member *member, const struct json_path_leg *leg)
{
    if (member->key_size != leg->name_size) {
        return member->key_size < leg->name_size ? -1 : 1;
    }
    return memcmp(member->key, leg->name, leg->name_size);
}

/* Where the leg leads to, or where it would have to be inserted. True: it is there. */
static bool find_member(const struct node *node, const struct json_path_leg *leg, size_t *ret_at)
{
    size_t at = 0;

    if (leg->member) {
        while (at < node->count && compare_keys(&node->members[at], leg) < 0) {
            at++;
        }
        *ret_at = at;
        return at < node->count && compare_keys(&node->members[at], leg) == 0;
    }
    if (leg->from_end) {
        *ret_at = leg->index < node->count ? node->count - 1 - (size_t)leg->index : 0;
    } else {
        *ret_at = leg->index < node->count ? (size_t)leg->index : node->count;
    }
    return leg->index < node->count;
}

/* Follows the path up to its last leg. */
static const char *find_parent(struct node *root, struct cursor *path, struct buffer *name, struct node **ret_parent,
                               struct json_path_leg *ret_leg)
{
    struct node *node = root;
    const char *why = NULL;
    size_t at;

    json_path_begin(path);
    do {
        json_path_next(path, name, ret_leg);
        why = path->why != NULL ? path->why : take_apart(node);
        if (why == NULL && node->object != ret_leg->member) {
            why = MISFIT;
        }
        *ret_parent = node;
        if (why == NULL && cursor_left(path) > 0) {
            node = find_member(node, ret_leg, &at) ? node->members[at].node : NULL;
            why = node == NULL ? MISFIT : NULL;
        }
    } while (why == NULL && cursor_left(path) > 0);
    return why;
}

static void insert(struct node *parent, size_t at, const struct json_path_leg *leg, const struct jsonb_value *value)
{
    struct member *member = open_member(parent, at);

    member->node = node_new(value);
    if (leg->member) {
        member->key = member->key_owned = malloc(leg->name_size + 1);
        must(member->key_owned != NULL);
        memcpy(member->key_owned, leg->name, leg->name_size);
        member->key_size = leg->name_size;
    }
}

static const char *apply(struct node *root, struct diff *diff, struct buffer *name)
{
    struct node *parent;
    struct json_path_leg leg;
    const char *why = find_parent(root, &diff->path, name, &parent, &leg);
    size_t at;
    bool is_there;

    if (why != NULL) {
        return why;
    }
    is_there = find_member(parent, &leg, &at);
    if (diff->operation == INSERT) {
        if (leg.member && is_there) {
            return MISFIT;
        }
        insert(parent, at, &leg, &diff->value);
        return NULL;
    }
    if (!is_there) {
        return MISFIT;
    }
    if (diff->operation == REMOVE) {
        remove_member(parent, at);
    } else {
        node_free(parent->members[at].node);
        parent->members[at].node = node_new(&diff->value);
    }
    return NULL;
}

static const char *read_diff(struct cursor *diffs, struct diff *ret_diff)
{
    struct cursor value;

    ret_diff->operation = cursor_u8(diffs);
    ret_diff->path = cursor_part(diffs, cursor_lenenc(diffs));
    if (diffs->why != NULL || ret_diff->operation > REMOVE) {
        return "JSON: a partial update of an unknown kind, or cut off";
    }
    if (ret_diff->operation == REMOVE) {
        return NULL;
    }
    value = cursor_part(diffs, cursor_lenenc(diffs));
    return value.why != NULL ? value.why : jsonb_document(value.at, cursor_left(&value), &ret_diff->value);
}

static const char *apply_all(struct node *root, const uint8_t *bytes, size_t size)
{
    struct cursor diffs = cursor_over(bytes, size);
    struct buffer name = {0};
    const char *why = NULL;

    while (why == NULL && cursor_left(&diffs) > 0) {
        struct diff diff;

        why = read_diff(&diffs, &diff);
        if (why == NULL) {
            why = apply(root, &diff, &name);
        }
    }
    buffer_deinit(&name);
    return why;
}

static void print_node(struct jsonb_printer *printer, const struct node *node)
{
    if (!node->apart) {
        jsonb_print_value(printer, &node->value);
        return;
    }
    if (!jsonb_print_descend(printer)) {
        return;
    }
    buffer_append_byte(printer->out, node->object ? '{' : '[');
    for (size_t i = 0; i < node->count && printer->why == NULL; i++) {
        const struct member *member = &node->members[i];

        if (i > 0) {
            buffer_append_text(printer->out, ", ");
        }
        if (node->object) {
            jsonb_print_key(printer, member->key, member->key_size);
        }
        print_node(printer, member->node);
    }
    buffer_append_byte(printer->out, node->object ? '}' : ']');
    printer->depth--;
}

const char *jsonb_diff_print(const uint8_t *before, size_t before_size, const uint8_t *diffs, size_t diffs_size,
                             struct buffer *out)
{
    struct jsonb_printer printer = jsonb_printer_over(out, before_size + diffs_size);
    struct jsonb_value value;
    struct node *root;
    const char *why = jsonb_document(before, before_size, &value);

    if (why != NULL) {
        return why;
    }
    root = node_new(&value);
    why = apply_all(root, diffs, diffs_size);
    if (why == NULL) {
        print_node(&printer, root);
        why = printer.why;
    }
    node_free(root);
    return why;
}

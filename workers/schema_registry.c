/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            asked for                text of ours
 *   (none) -------------> ASKED -----------------------> OURS
 *                          ^  |  -----------------------> FOREIGN    the registry has it, and it is no schema of a table of ours
 *            after a pause |  v  anything else
 *                         PAUSED
 *
 * Askers drive it: an id is asked for while somebody waits for it. One timer serves the pauses, and the answers that are there already.
 *
 * Bounded: ENTRIES_MAX ids. Those that are FOREIGN are forgotten when there is no room; schemas are not, since batches borrow them:
 * then askers wait, and the trouble says so.
 */
#include "workers/schema_registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/must.h"
#include "common/registry.h"

#define BUCKETS        256
#define ENTRIES_MAX    16384 /* versions of tables that one worker meets */
#define PAUSE_FIRST_MS 500
#define PAUSE_MAX_MS   30000

enum entry_state { ASKED, PAUSED, OURS, FOREIGN };

struct entry {
    struct entry *next;
    struct schema_registry *registry;
    uint32_t id;
    enum entry_state state;
    struct schema *schema; /* OURS */
    uint32_t failures;     /* in a row */
    uint64_t again_ms;     /* PAUSED */
};

struct asker {
    struct asker *next;
    uint64_t number;
    uint32_t id;
};

struct schema_registry {
    uv_loop_t *loop;
    struct registry *client;
    uv_timer_t timer;
    schema_registry_answer answer;
    void *context;
    struct entry *buckets[BUCKETS];
    size_t entry_count;
    struct asker *askers;
    struct err trouble; /* of the last question that failed; class ERR_NONE when one has succeeded since */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

static struct entry *find(const struct schema_registry *registry, uint32_t id)
{
    struct entry *entry = registry->buckets[id % BUCKETS];

    while (entry != NULL && entry->id != id) {
        entry = entry->next;
    }
    return entry;
}

const struct schema *schema_registry_find(const struct schema_registry *registry, uint64_t id)
{
    const struct entry *entry = id <= UINT32_MAX ? find(registry, (uint32_t)id) : NULL;

    return entry != NULL ? entry->schema : NULL;
}

static uint64_t now_ms(const struct schema_registry *registry)
{
    return uv_now(registry->loop);
}

/* ---- room */

static void forget_foreign(struct schema_registry *registry)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct entry **link = &registry->buckets[i];

        while (*link != NULL) {
            struct entry *entry = *link;

            if (entry->state == FOREIGN) {
                *link = entry->next;
                free(entry);
                registry->entry_count--;
            } else {
                link = &entry->next;
            }
        }
    }
}

/* NULL: there is no room. */
static struct entry *add(struct schema_registry *registry, uint32_t id)
{
    struct entry *entry;

    if (registry->entry_count >= ENTRIES_MAX) {
        forget_foreign(registry);
    }
    if (registry->entry_count >= ENTRIES_MAX) {
        (void)err_set(&registry->trouble, ERR_RETRY, "this worker has met %d schemas, more than it keeps: restart it", ENTRIES_MAX);
        return NULL;
    }
    entry = calloc(1, sizeof *entry);
    must(entry != NULL);
    *entry = (struct entry){.next = registry->buckets[id % BUCKETS], .registry = registry, .id = id, .state = PAUSED};
    registry->buckets[id % BUCKETS] = entry;
    registry->entry_count++;
    return entry;
}

/* ---- questions and answers */

static void serve(struct schema_registry *registry);

static void on_timer(uv_timer_t *timer)
{
    serve(timer->data);
}

static void wake_in(struct schema_registry *registry, uint64_t wait_ms)
{
    if (!uv_is_active((uv_handle_t *)&registry->timer) || uv_timer_get_due_in(&registry->timer) > wait_ms) {
        must(uv_timer_start(&registry->timer, on_timer, wait_ms, 0) == 0);
    }
}

static void pause_entry(struct entry *entry, const struct err *err)
{
    struct schema_registry *registry = entry->registry;
    uint64_t wait_ms = backoff_ms(++entry->failures, PAUSE_FIRST_MS, PAUSE_MAX_MS);

    registry->trouble = *err;
    (void)err_while(&registry->trouble, "schema %u", entry->id);
    entry->state = PAUSED;
    entry->again_ms = now_ms(registry) + wait_ms;
    log_warn("schema_unknown", "id=%u again_ms=%llu reason=%q", entry->id, (unsigned long long)wait_ms, err->text);
}

static void disown(struct entry *entry, const struct err *err)
{
    entry->registry->trouble = (struct err){0};
    entry->state = FOREIGN;
    log_warn("schema_foreign", "id=%u then=%q reason=%q", entry->id, "its messages go to the dead letters", err->text);
}

static void learn(struct entry *entry, const char *text, size_t size)
{
    struct err err = {0};

    if (schema_parse(text, size, &entry->schema, &err) != 0) {
        disown(entry, &err);
        return;
    }
    entry->registry->trouble = (struct err){0};
    entry->state = OURS;
    log_debug("schema", "id=%u table=%q", entry->id, entry->schema->table->name);
}

static void on_answer(void *context, const struct registry_answer *answer)
{
    struct entry *entry = context;
    struct schema_registry *registry = entry->registry;

    if (registry->closing) {
        return;
    }
    if (answer->err == NULL) {
        learn(entry, answer->text, answer->text_size);
    } else if (answer->err->class == ERR_POISON) {
        disown(entry, answer->err);
    } else {
        pause_entry(entry, answer->err);
    }
    serve(registry);
}

static void ask(struct entry *entry)
{
    const struct registry_question question = {.verb = REGISTRY_FETCH, .id = entry->id};

    entry->state = ASKED;
    registry_ask(entry->registry->client, &question, on_answer, entry);
}

/* Is it known what the id stands for? If not, it is asked for when it is time. */
static bool settled(struct schema_registry *registry, uint32_t id)
{
    struct entry *entry = find(registry, id);

    if (entry == NULL && (entry = add(registry, id)) == NULL) {
        wake_in(registry, PAUSE_MAX_MS);
        return false;
    }
    if (entry->state == PAUSED && now_ms(registry) >= entry->again_ms) {
        ask(entry);
    } else if (entry->state == PAUSED) {
        wake_in(registry, entry->again_ms - now_ms(registry));
    }
    return entry->state == OURS || entry->state == FOREIGN;
}

/* Who is answered may ask anew: it comes in front, and is seen in the next round. */
static void serve(struct schema_registry *registry)
{
    struct asker **link = &registry->askers;

    while (*link != NULL && !registry->closing) {
        struct asker *asker = *link;

        if (settled(registry, asker->id)) {
            *link = asker->next;
            registry->answer(registry->context, asker->number);
            free(asker);
            link = &registry->askers;
        } else {
            link = &asker->next;
        }
    }
}

void schema_registry_withdraw(struct schema_registry *registry, uint64_t number)
{
    for (struct asker **link = &registry->askers; *link != NULL; link = &(*link)->next) {
        struct asker *asker = *link;

        if (asker->number == number) {
            *link = asker->next;
            free(asker);
            return;
        }
    }
}

void schema_registry_read(struct schema_registry *registry, uint64_t id, uint64_t asker_number)
{
    struct asker *asker = malloc(sizeof *asker);

    must(asker != NULL && id <= UINT32_MAX && !registry->closing);
    schema_registry_withdraw(registry, asker_number);
    *asker = (struct asker){registry->askers, asker_number, (uint32_t)id};
    registry->askers = asker;
    wake_in(registry, 0);
}

bool schema_registry_trouble(const struct schema_registry *registry, char *text, size_t size)
{
    if (registry->askers == NULL || registry->trouble.class == ERR_NONE) {
        return false;
    }
    (void)snprintf(text, size, "%s", registry->trouble.text);
    return true;
}

/* ---- beginning and end */

int schema_registry_new(uv_loop_t *loop, const struct settings_registry *settings, schema_registry_answer answer, void *context,
                        struct schema_registry **ret_registry, struct err *err)
{
    struct schema_registry *registry = calloc(1, sizeof *registry);

    must(registry != NULL);
    *registry = (struct schema_registry){.loop = loop, .answer = answer, .context = context};
    if (registry_new(loop, settings, &registry->client, err) != 0) {
        free(registry);
        return -1;
    }
    must(uv_timer_init(loop, &registry->timer) == 0);
    registry->timer.data = registry;
    *ret_registry = registry;
    return 0;
}

static void free_all(struct schema_registry *registry)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (registry->buckets[i] != NULL) {
            struct entry *entry = registry->buckets[i];

            registry->buckets[i] = entry->next;
            schema_free(entry->schema);
            free(entry);
        }
    }
    while (registry->askers != NULL) {
        struct asker *asker = registry->askers;

        registry->askers = asker->next;
        free(asker);
    }
    free(registry);
}

static void on_client_closed(void *context)
{
    struct schema_registry *registry = context;
    void (*closed)(void *context) = registry->closed;
    void *closed_context = registry->closed_context;

    free_all(registry);
    closed(closed_context);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct schema_registry *registry = handle->data;

    registry_close(registry->client, on_client_closed, registry);
}

void schema_registry_close(struct schema_registry *registry, void (*closed)(void *context), void *context)
{
    if (registry == NULL) {
        closed(context);
        return;
    }
    registry->closing = true;
    registry->closed = closed;
    registry->closed_context = context;
    uv_close((uv_handle_t *)&registry->timer, on_timer_closed);
}

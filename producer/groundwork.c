/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two handles of its own: `observer`, a read_uncommitted consumer in no group, for metadata, making topics and end offsets; and the
 * registrar's, for schemas. Both outlive the transactional handle that a fence throws away.
 */
#include "producer/groundwork.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/must.h"
#include "producer/handle.h"
#include "producer/registrar.h"
#include "producer/schema_numbers.h"

struct groundwork {
    const struct settings *settings;
    bool (*cancelled)(void *context);
    void *context;
    rd_kafka_t *observer; /* NULL: not opened */
    struct registrar *registrar;
    struct schema_numbers *numbers; /* NULL: no registry */
};

struct groundwork *groundwork_new(const struct settings *settings, bool (*cancelled)(void *context), void *context)
{
    struct groundwork *groundwork = calloc(1, sizeof *groundwork);

    must(groundwork != NULL);
    *groundwork = (struct groundwork){.settings = settings, .cancelled = cancelled, .context = context};
    groundwork->registrar = registrar_new(settings);
    groundwork->numbers = settings->registry.urls.count > 0 ? schema_numbers_new(&settings->registry) : NULL;
    return groundwork;
}

void groundwork_free(struct groundwork *groundwork)
{
    if (groundwork == NULL) {
        return;
    }
    if (groundwork->observer != NULL) {
        rd_kafka_destroy(groundwork->observer);
    }
    registrar_free(groundwork->registrar);
    schema_numbers_free(groundwork->numbers);
    free(groundwork);
}

/* ---- topics */

int groundwork_open(struct groundwork *groundwork, bool positions_may_be_new, struct err *err)
{
    if (groundwork->observer == NULL && handle_reader(groundwork->settings, "read_uncommitted", &groundwork->observer, err) != 0) {
        return -1;
    }
    return topics_make_state(groundwork->observer, groundwork->settings, positions_may_be_new, err);
}

int groundwork_ends(const struct groundwork *groundwork, json_t **ret_ends, struct err *err)
{
    return topics_data_ends(groundwork->observer, groundwork->settings, ret_ends, err);
}

int groundwork_topic(const struct groundwork *groundwork, const struct groundwork_table *table, struct err *err)
{
    return topics_make_data(groundwork->observer, groundwork->settings, table->table, table->topic, err);
}

/* ---- schemas */

int groundwork_table_init(struct groundwork_table *table, const struct settings *settings, const struct schema *schema, struct err *err)
{
    *table = (struct groundwork_table){.schema_ids = {schema->value_id, schema->key_id}};
    if (topics_data_name(settings, schema->table->database, schema->table->name, table->topic, err) != 0) {
        return -1;
    }
    must(asprintf(&table->table, "%s.%s", schema->table->database, schema->table->name) > 0);
    table->schema_texts[0] = must_strdup(schema->value_text);
    table->schema_texts[1] = must_strdup(schema->key_text);
    return 0;
}

void groundwork_table_deinit(struct groundwork_table *table)
{
    free(table->table);
    free(table->schema_texts[0]);
    free(table->schema_texts[1]);
}

void groundwork_forget(struct groundwork *groundwork)
{
    registrar_forget(groundwork->registrar);
}

/* The subjects are those of Confluent's TopicNameStrategy: readers find the newest schema of a topic by its name. */
static int number_schemas(struct groundwork *groundwork, const struct groundwork_table *table, struct framing_ids *ret_ids, struct err *err)
{
    static const char *const parts[2] = {"value", "key"};
    uint64_t ids[2] = {0};

    if (groundwork->numbers == NULL) {
        *ret_ids = (struct framing_ids){FRAMING_SINGLE_OBJECT, table->schema_ids[0], table->schema_ids[1]};
        return 0;
    }
    for (int i = 0; i < 2 && table->schema_texts[i] != NULL; i++) {
        char subject[TOPIC_NAME_SIZE + 8];
        const struct schema_number_wanted wanted = {subject, table->schema_texts[i], table->schema_ids[i]};

        (void)snprintf(subject, sizeof subject, "%s-%s", table->topic, parts[i]);
        if (schema_numbers_get(groundwork->numbers, &wanted, groundwork->cancelled, groundwork->context, &ids[i], err) != 0) {
            return err_while(err, "registering the schemas of %s", table->table);
        }
    }
    *ret_ids = (struct framing_ids){FRAMING_REGISTRY, ids[0], ids[1]};
    return 0;
}

int groundwork_schemas(struct groundwork *groundwork, const struct groundwork_table *table, struct framing_ids *ret_ids, struct err *err)
{
    if (number_schemas(groundwork, table, ret_ids, err) != 0) {
        return -1;
    }
    if (table->again) {
        registrar_again(groundwork->registrar, table->schema_ids[0]);
    }
    for (int i = 0; i < 2 && table->schema_texts[i] != NULL; i++) {
        registrar_add(groundwork->registrar, table->schema_ids[i], table->schema_texts[i]);
    }
    if (registrar_flush(groundwork->registrar, groundwork->cancelled, groundwork->context, err) != 0) {
        return err_while(err, "publishing the schemas of %s", table->table);
    }
    return 0;
}

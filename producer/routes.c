/* SPDX-License-Identifier: Apache-2.0 */
/* A route that is found moves to the front: rows of one table come together, and what is not used drifts to the end. */
#include "producer/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

static struct metric_family changes_read METRIC_FAMILY = {
    .name = "kakehi_changes_read_total",
    .help = "Row changes committed to Kafka, by table.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table"},
};

static struct metric_family bytes_committed METRIC_FAMILY = {
    .name = "kakehi_changes_bytes_total",
    .help = "Keys and values of these changes' messages, before compression, by table.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table"},
};

static struct metric_family dead_letters METRIC_FAMILY = {
    .name = "kakehi_producer_dead_letters_total",
    .help = "Messages committed to the dead letters instead of the table's topic, by table.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table"},
};

static struct metric_family messages_delivered METRIC_FAMILY = {
    .name = "kakehi_messages_committed_total",
    .help = "Messages committed to the table's topic: one a change, two where its key changes.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table", "partition"},
};

static struct metric_family bytes_delivered METRIC_FAMILY = {
    .name = "kakehi_messages_committed_bytes_total",
    .help = "Keys and values of these messages, before compression.",
    .kind = METRIC_COUNTER,
    .labels = {"source", "table", "partition"},
};

void routes_init(struct routes *routes, const char *source)
{
    *routes = (struct routes){._source = source};
}

static void drop_routes(struct routes *routes)
{
    while (routes->_routes != NULL) {
        struct route *route = routes->_routes;

        routes->_routes = route->next;
        schema_free(route->schema);
        free(route);
    }
    routes->_loose_count = 0;
}

void routes_deinit(struct routes *routes)
{
    drop_routes(routes);
    while (routes->_tallies != NULL) {
        struct tally *tally = routes->_tallies;

        routes->_tallies = tally->next;
        free(tally->table);
        free(tally->partitions);
        free(tally);
    }
    free(routes->_by_topic);
}

struct tally *routes_tally(struct routes *routes, const struct table *table)
{
    struct tally *tally;
    char *name;

    must(asprintf(&name, "%s.%s", table->database, table->name) > 0);
    for (tally = routes->_tallies; tally != NULL; tally = tally->next) {
        if (strcmp(tally->table, name) == 0) {
            free(name);
            return tally;
        }
    }
    tally = calloc(1, sizeof *tally);
    must(tally != NULL);
    tally->table = name;
    tally->changes.metric = metric_cell(&changes_read, (const char *const[]){routes->_source, name});
    tally->bytes.metric = metric_cell(&bytes_committed, (const char *const[]){routes->_source, name});
    tally->letters.metric = metric_cell(&dead_letters, (const char *const[]){routes->_source, name});
    tally->next = routes->_tallies;
    routes->_tallies = tally;
    return tally;
}

static void set_loose(struct routes *routes, struct route *route, bool loose)
{
    routes->_loose_count += (size_t)loose - (size_t)route->loose;
    route->loose = loose;
}

static void drop_last_loose(struct routes *routes)
{
    struct route **last = NULL;
    struct route *route;

    for (struct route **at = &routes->_routes; *at != NULL; at = &(*at)->next) {
        last = (*at)->loose ? at : last;
    }
    must(last != NULL);
    route = *last;
    *last = route->next;
    routes->_loose_count--;
    schema_free(route->schema);
    free(route);
}

/* The first of the list is the newest of its table. */
static void loosen_older(struct routes *routes)
{
    const struct route *newest = routes->_routes;

    for (struct route *route = newest->next; route != NULL; route = route->next) {
        if (route->tally == newest->tally) {
            set_loose(routes, route, true);
        }
    }
    while (routes->_loose_count > ROUTES_LOOSE_MAX) {
        drop_last_loose(routes);
    }
}

static int new_route(struct routes *routes, const struct source_table *shape, struct route **ret_route, struct err *err)
{
    struct route *route;
    struct schema *schema;

    if (schema_new(table_copy(shape->table), &schema, err) != 0) {
        return err_while(err, "table %s.%s", shape->table->database, shape->table->name);
    }
    route = calloc(1, sizeof *route);
    must(route != NULL);
    *route = (struct route){
        .next = routes->_routes, .version = shape->version, .schema = schema, .tally = routes_tally(routes, shape->table)};
    routes->_routes = route;
    loosen_older(routes);
    *ret_route = route;
    return 0;
}

static struct route *find(struct routes *routes, uint64_t version)
{
    for (struct route **at = &routes->_routes; *at != NULL; at = &(*at)->next) {
        struct route *route = *at;

        if (route->version == version) {
            *at = route->next;
            route->next = routes->_routes;
            routes->_routes = route;
            return route;
        }
    }
    return NULL;
}

int routes_find(struct routes *routes, const struct source_table *shape, char op, struct route **ret_route, struct err *err)
{
    struct route *route = find(routes, shape->version);

    if (route == NULL && new_route(routes, shape, &route, err) != 0) {
        return -1;
    }
    if (route->loose != (op == 't')) {
        set_loose(routes, route, op == 't');
    }
    *ret_route = route;
    return 0;
}

size_t routes_count(const struct routes *routes)
{
    size_t count = 0;

    for (const struct route *route = routes->_routes; route != NULL; route = route->next) {
        count++;
    }
    return count;
}

void routes_reset(struct routes *routes)
{
    drop_routes(routes);
    for (struct tally *tally = routes->_tallies; tally != NULL; tally = tally->next) {
        tally->changes.open = tally->changes.in_cut = 0;
        tally->bytes.open = tally->bytes.in_cut = 0;
        tally->letters.open = tally->letters.in_cut = 0;
    }
}

static void cut(struct tally_count *count)
{
    must(count->in_cut == 0);
    count->in_cut = count->open;
    count->open = 0;
}

void routes_cut(struct routes *routes)
{
    for (struct tally *tally = routes->_tallies; tally != NULL; tally = tally->next) {
        cut(&tally->changes);
        cut(&tally->bytes);
        cut(&tally->letters);
    }
}

static void committed(struct tally_count *count)
{
    count->committed += count->in_cut;
    metric_add(count->metric, (double)count->in_cut);
    count->in_cut = 0;
}

void routes_take_topic(struct routes *routes, uint32_t topic_id, struct tally *tally)
{
    if (routes->_topic_count <= topic_id) {
        routes->_by_topic = realloc(routes->_by_topic, (topic_id + 1) * sizeof *routes->_by_topic);
        must(routes->_by_topic != NULL);
        while (routes->_topic_count <= topic_id) {
            routes->_by_topic[routes->_topic_count++] = NULL;
        }
    }
    routes->_by_topic[topic_id] = tally;
}

static struct tally_partition *partition_of(const struct routes *routes, struct tally *tally, int32_t partition)
{
    size_t needed = (size_t)partition + 1;
    struct tally_partition *found;

    if (tally->partition_count < needed) {
        tally->partitions = realloc(tally->partitions, needed * sizeof *tally->partitions);
        must(tally->partitions != NULL);
        memset(tally->partitions + tally->partition_count, 0, (needed - tally->partition_count) * sizeof *tally->partitions);
        tally->partition_count = needed;
    }
    found = &tally->partitions[partition];
    if (found->messages == NULL) {
        char number[16];
        const char *const labels[] = {routes->_source, tally->table, number};

        (void)snprintf(number, sizeof number, "%d", partition);
        found->messages = metric_cell(&messages_delivered, labels);
        found->bytes = metric_cell(&bytes_delivered, labels);
    }
    return found;
}

static void count_delivered(const struct routes *routes, const struct delivered_list *delivered)
{
    for (size_t i = 0; i < delivered->count; i++) {
        const struct delivered *item = &delivered->items[i];
        const struct tally_partition *partition;

        must(item->topic_id < routes->_topic_count && routes->_by_topic[item->topic_id] != NULL);
        partition = partition_of(routes, routes->_by_topic[item->topic_id], item->partition);
        metric_add(partition->messages, (double)item->messages);
        metric_add(partition->bytes, (double)item->bytes);
    }
}

void routes_committed(struct routes *routes, const struct delivered_list *delivered)
{
    count_delivered(routes, delivered);
    for (struct tally *tally = routes->_tallies; tally != NULL; tally = tally->next) {
        committed(&tally->changes);
        committed(&tally->bytes);
        committed(&tally->letters);
    }
}

json_t *routes_status(const struct routes *routes)
{
    json_t *tables = json_object();

    for (const struct tally *tally = routes->_tallies; tally != NULL; tally = tally->next) {
        json_object_set_new(tables, tally->table, json_pack("{s:I, s:I}", "read", (json_int_t)tally->changes.committed, "dead_lettered",
                                                          (json_int_t)tally->letters.committed));
    }
    return tables;
}

uint64_t routes_total(const struct routes *routes)
{
    uint64_t total = 0;

    for (const struct tally *tally = routes->_tallies; tally != NULL; tally = tally->next) {
        total += tally->changes.committed;
    }
    return total;
}

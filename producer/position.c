/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Showing reads the topic of positions as a take-over does, up to its high watermark, and touches nothing.
 *
 * Setting takes the source over first: it fences a producer that is running, which then starts again at the new position. So
 * the old producer can't commit behind our back, and nothing it has open comes through. The last `__seq` is kept, so that
 * order numbers go on growing (rule O1). A new position may lose rows, or bring them twice, and no program can know which was
 * meant: a person says the source's name.
 *
 * Settling a table takes its name out of what the record says of tables: that its stored rows changed without row events ("reread"), that
 * its changes go to the dead letters ("aside"). The position stays; it is the person's word that the rows were read again or made right.
 * That columns of it were dropped ("dropped") stays, too: right for the columns of today does not say that no old value is stored.
 */
#include "producer/position.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/err.h"
#include "common/log.h"
#include "common/must.h"
#include "common/settings.h"
#include "producer/binlog/gtid_set.h"
#include "producer/binlog/resume.h"
#include "producer/positions.h"
#include "producer/writer.h"
#include "schemas/value_text.h"

enum { CONFIG, JSON, SET, RESET, SETTLED, SERVER, YES };

const struct cli_option position_options[] = {
    [CONFIG] = {"config", 'c', "FILE", "the settings file"},
    [JSON] = {"json", 0, NULL, "print the record as JSON"},
    [SET] = {"set", 0, "POSITION", "go on behind this GTID set, or at this file:position"},
    [RESET] = {"reset", 0, NULL, "forget the position: the source begins anew, which needs empty data topics"},
    [SETTLED] = {"settled", 0, "TABLE", "database.table is right again: no longer set aside, nor to be read again"},
    [SERVER] = {"server", 0, "ID", "whose files file:position means (server_uuid; MariaDB: server_id), if no record says it"},
    [YES] = {"yes-i-mean", 0, "NAME", "the source's name, instead of typing it"},
    {0},
};

static bool never(void *context)
{
    (void)context;
    return false;
}

static void ignore_settled(void *context, struct parcel *parcel)
{
    (void)context;
    (void)parcel;
}

/* ---- show */

static void print_time(const char *label, json_int_t ts_us)
{
    struct buffer text = {0};

    if (ts_us > 0) {
        value_text_datetime(&text, ts_us, ' ');
        printf("%-12s %s UTC\n", label, buffer_text(&text));
        buffer_deinit(&text);
    }
}

static void print_text(const char *label, const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    if (text != NULL) {
        printf("%-12s %s\n", label, text);
    }
}

/* Tables of which the record says something. */
static void print_tables(const json_t *record)
{
    const json_t *reread = json_object_get(record, "reread");
    json_t *aside = json_object_get(record, "aside");
    const char *name;
    const json_t *table;
    json_t *why;
    size_t index;

    json_array_foreach(reread, index, table)
    {
        printf("%-12s %s\n", "read again", json_is_string(table) ? json_string_value(table) : "?");
    }
    json_object_foreach(aside, name, why)
    {
        printf("%-12s %s: %s\n", "set aside", name, json_is_string(why) ? json_string_value(why) : "?");
    }
}

static void print_record(const json_t *record)
{
    const json_t *transaction = json_object_get(record, "transaction");
    const char *file = json_string_value(json_object_get(record, "file"));

    print_text("source", record, "source");
    print_text("server", record, "server");
    print_text("flavor", record, "flavor");
    print_text("gtid", record, "gtid");
    if (file != NULL && file[0] != '\0') {
        printf("%-12s %s:%" PRId64 "\n", "file", file, (int64_t)json_integer_value(json_object_get(record, "position")));
    }
    print_time("last commit", json_integer_value(json_object_get(record, "ts")));
    printf("%-12s %" PRId64 "\n", "last __seq", (int64_t)json_integer_value(json_object_get(record, "seq")));
    if (transaction != NULL) {
        printf("%-12s %s, of which %" PRId64 " row images are in\n", "in work",
               json_string_value(json_object_get(transaction, "txid")),
               (int64_t)json_integer_value(json_object_get(transaction, "rows")));
    }
    print_tables(record);
}

static int show(const struct settings *settings, bool as_json, struct err *err)
{
    json_t *record;

    if (positions_read(settings, never, NULL, &record, err) != 0) {
        return -1;
    }
    if (as_json) {
        char *text = record != NULL ? json_dumps(record, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;

        printf("%s\n", text != NULL ? text : "null");
        free(text);
    } else if (record != NULL) {
        print_record(record);
    } else {
        printf("source %s has no position yet\n", settings->source.name);
    }
    json_decref(record);
    return 0;
}

/* ---- set */

/* uuid:1-5 is MySQL's, 0-1-100 MariaDB's; each refuses the other's. */
static const char *flavor_of_set(const char *text, struct err *err)
{
    enum binlog_flavor flavors[] = {BINLOG_MYSQL, BINLOG_MARIADB};
    const char *name = NULL;

    for (size_t i = 0; i < 2 && name == NULL; i++) {
        struct gtid_set *set = gtid_set_new(flavors[i]);

        if (gtid_set_parse(set, text, err) == 0 && !gtid_set_empty(set)) {
            name = binlog_flavor_name(flavors[i]);
        }
        gtid_set_free(set);
    }
    if (name == NULL) {
        (void)err_set(err, ERR_FATAL, "\"%.100s\" is neither a GTID set of MySQL or MariaDB, nor file:position", text);
    }
    return name;
}

/* Files have a meaning on one server only. */
static int put_server(json_t *record, const json_t *old, const char *server, struct err *err)
{
    const char *flavor;

    if (server != NULL) {
        flavor = strchr(server, '-') != NULL ? "mysql" : "mariadb";
    } else if (old != NULL) {
        server = json_string_value(json_object_get(old, "server"));
        flavor = json_string_value(json_object_get(old, "flavor"));
    }
    if (server == NULL || flavor == NULL) {
        return err_set(
            err, ERR_FATAL,
            "file:position means the files of one server: say which with --server (server_uuid; MariaDB: server_id)");
    }
    json_object_set_new(record, "server", json_string(server));
    json_object_set_new(record, "flavor", json_string(flavor));
    return 0;
}

static int put_file(json_t *record, const struct binlog_place *place, const json_t *old, const char *server, struct err *err)
{
    if (!binlog_file_is_plain(place->file)) {
        return err_set(err, ERR_FATAL, "the file's name holds strange letters");
    }
    json_object_set_new(record, "file", json_string(place->file));
    json_object_set_new(record, "position", json_integer((json_int_t)place->position));
    return put_server(record, old, server, err);
}

static int put_set(json_t *record, const char *text, const json_t *old, struct err *err)
{
    const char *flavor = flavor_of_set(text, err);
    const char *server = old != NULL ? json_string_value(json_object_get(old, "server")) : NULL;

    if (flavor == NULL) {
        return -1;
    }
    json_object_set_new(record, "gtid", json_string(text));
    json_object_set_new(record, "flavor", json_string(flavor));
    json_object_set_new(record, "server", json_string(server != NULL ? server : "")); /* with GTIDs it plays no part (A7) */
    json_object_set_new(record, "file", json_string(""));
    json_object_set_new(record, "position", json_integer(0));
    return 0;
}

/* What a person may name: the others are for a first start. */
static int parse(struct binlog_wish *wish, const char *text, struct err *err)
{
    if (binlog_wish_from_text(wish, text, err) != 0) {
        return -1;
    }
    return wish->kind == WISH_PLACE
               ? 0
               : err_set(err, ERR_FATAL, "\"%s\" is for a first start (source.start): give a GTID set or file:position", text);
}

/* What is known of tables does not depend on where the source stands. */
static void keep_tables(json_t *record, const json_t *old)
{
    static const char *const lists[] = {"reread", "dropped", "aside"};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        json_t *list = json_object_get(old, lists[i]);

        if (list != NULL) {
            json_object_set(record, lists[i], list);
        }
    }
}

json_t *position_record(const char *text, const json_t *old, const char *server, struct err *err)
{
    struct binlog_wish wish;
    json_t *record;
    int status;

    if (parse(&wish, text, err) != 0) {
        return NULL;
    }
    record = json_object();
    status =
        wish.place.gtid != NULL ? put_set(record, wish.place.gtid, old, err) : put_file(record, &wish.place, old, server, err);
    binlog_wish_deinit(&wish);
    json_object_set_new(record, "seq", json_integer(json_integer_value(json_object_get(old, "seq")))); /* O1: it only grows */
    json_object_set_new(record, "ts", json_integer(json_integer_value(json_object_get(old, "ts"))));
    keep_tables(record, old);
    if (status != 0) {
        json_decref(record);
        return NULL;
    }
    return record;
}

/* Takes it out of an object, or an array of names. */
static bool take_out(json_t *record, const char *list, const char *table)
{
    json_t *names = json_object_get(record, list);
    bool found = json_object_del(names, table) == 0;

    for (size_t i = 0; i < json_array_size(names) && !found; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        found = name != NULL && strcmp(name, table) == 0 && json_array_remove(names, i) == 0;
    }
    return found;
}

json_t *position_settled(const json_t *old, const char *table, struct err *err)
{
    json_t *record = old != NULL ? json_deep_copy(old) : json_object();
    bool reread = take_out(record, "reread", table), aside = take_out(record, "aside", table);

    if (reread || aside) {
        return record;
    }
    (void)err_set(err, ERR_FATAL, "the position record says nothing of table %.200s: nothing was changed (a mark that /status shows "
                 "stands there with the next commit: then ask again)",
                 table);
    json_decref(record);
    return NULL;
}

/* Before anybody is fenced for a slip of the pen. */
static int check_text(const char *text, struct err *err)
{
    struct binlog_wish wish;
    int status;

    if (parse(&wish, text, err) != 0) {
        return -1;
    }
    status = wish.place.gtid == NULL || flavor_of_set(wish.place.gtid, err) != NULL ? 0 : -1;
    binlog_wish_deinit(&wish);
    return status;
}

static int confirm(const struct settings *settings, const char *given, const char *warning, struct err *err)
{
    const char *name = settings->source.name;
    char line[256] = "";

    if (given == NULL) {
        (void)fprintf(stderr,
                      "This takes source %s over from a producer that is running: with its next commit it finds out, and starts again.\n"
                      "%s"
                      "Type the name of the source to go on: ",
                      name, warning);
        if (fgets(line, sizeof line, stdin) != NULL) {
            line[strcspn(line, "\n")] = '\0';
        }
        given = line;
    }
    return strcmp(given, name) == 0 ? 0 : err_set(err, ERR_FATAL, "that is not the name of the source: nothing was changed");
}

/* What a person asks for; all of it borrowed. */
struct order {
    const char *settled; /* db.table; else: */
    const char *text;    /* where to go on; NULL: nowhere (reset) */
    const char *server;
};

/* A record that can't be read is no reason not to replace it. */
static int make_record(const struct order *order, struct writer *writer, json_t **ret_record, struct err *err)
{
    json_t *old;

    *ret_record = NULL;
    if (writer_read_position(writer, &old, err) != 0) {
        if (err->class != ERR_FATAL || order->settled != NULL) {
            return -1;
        }
        log_warn("old_position", "because=%q then=%q", err->text, "it is replaced; the last __seq is not known");
        old = NULL;
    }
    if (order->settled != NULL) {
        *ret_record = position_settled(old, order->settled, err);
    } else if (order->text != NULL) {
        *ret_record = position_record(order->text, old, order->server, err);
    }
    json_decref(old);
    return *ret_record != NULL || (order->settled == NULL && order->text == NULL) ? 0 : -1;
}

static int change(struct writer *writer, const struct order *order, struct err *err)
{
    json_t *record;

    if (writer_open(writer, order->settled == NULL, err) != 0 || writer_fence(writer, err) != 0 ||
        make_record(order, writer, &record, err) != 0) {
        return -1;
    }
    return writer_cut(writer, record, NULL, err);
}

static const char warning_of_set[] = "It goes on at the new position.\n"
                                     "Rows before that position that are not in Kafka yet are never read; rows behind it that are, come twice.\n";
static const char warning_of_settled[] = "Its position stays. Rows of the table that are missing or old in the warehouse stay so: make them right first.\n";

static int set(const struct settings *settings, const struct order *order, const char *name, struct err *err)
{
    const struct writer_calls calls = {.cancelled = never, .settled = ignore_settled};
    struct writer *writer;
    int status;

    if (order->text != NULL && check_text(order->text, err) != 0) {
        return -1;
    }
    if (confirm(settings, name, order->settled != NULL ? warning_of_settled : warning_of_set, err) != 0 ||
        writer_new(settings, &calls, &writer, err) != 0) {
        return -1;
    }
    status = change(writer, order, err);
    writer_free(writer);
    if (status == 0 && order->settled != NULL) {
        log_info("table_settled", "source=%s table=%q", settings->source.name, order->settled);
    } else if (status == 0) {
        log_info("position_set", "source=%s position=%q", settings->source.name, order->text != NULL ? order->text : "none");
    }
    return status;
}

int position_run(const struct cli_arguments *arguments)
{
    const struct order order = {arguments->values[SETTLED], arguments->values[SET], arguments->values[SERVER]};
    int changes = (order.text != NULL) + (order.settled != NULL) + (arguments->values[RESET] != NULL);
    struct settings *settings;
    struct err err = {0};
    int status;

    if (changes > 1) {
        (void)fprintf(stderr, "kakehi-producer position: give one of --set, --reset and --settled\n");
        return CLI_USAGE;
    }
    settings = settings_load(arguments->values[CONFIG] != NULL ? arguments->values[CONFIG] : "kakehi.yaml",
                             SETTINGS_FOR_PRODUCER, stderr);
    if (settings == NULL) {
        return CLI_SETTINGS;
    }
    log_setup(settings->log.level, settings->log.format);
    status = changes > 0 ? set(settings, &order, arguments->values[YES], &err) : show(settings, arguments->values[JSON] != NULL, &err);
    if (status != 0) {
        (void)fprintf(stderr, "kakehi-producer position: %s\n", err.text);
    }
    settings_free(settings);
    return status == 0 ? CLI_OK : CLI_FAILED;
}

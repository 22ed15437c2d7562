/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source with a recorded dump (tests/data/dumps/README.md) behind a connection that the test cuts where it likes. What must hold:
 * each change once, in order, with the same identity and order number, whatever connections were lost and wherever it was stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/metrics.h"
#include "common/must.h"
#include "producer/binlog/source.h"

#define DUMP "tests/data/dumps/mariadb-clock-steps.packets"
#define WHOLE SIZE_MAX
#define T3 INT64_C(1700000000000000) /* commit time of 7-1-3 and 7-1-4 */

static uint8_t dump[4096];
static size_t dump_size;

/* ---- a server that plays the record */

struct play {
    size_t bytes;  /* of the record that it sends ... */
    bool hang_up;  /* ... before it closes the connection */
    bool rival;    /* and says that another reader took over */
    bool refuse;   /* or does not let us in */
};

struct world {
    uv_loop_t loop;
    struct settings_source settings;
    struct source *source;
    struct play plays[4]; /* one a connection; the last one is repeated */
    size_t play_count;
    size_t connections;
    int ready;
    bool stopped;
    char seen[4096]; /* the changes, a line each */
    size_t changes;
    struct err err;
};

struct player {
    struct binlog_connection connection; /* first */
    struct binlog_wish wish;
    struct play play;
    int ours;
    int server;
};

static size_t packet_size(size_t at)
{
    return 4 + ((size_t)dump[at] | (size_t)dump[at + 1] << 8 | (size_t)dump[at + 2] << 16);
}

static bool is_gtid(size_t at)
{
    return dump[at + 4 + 1 + 4] == 162;
}

/* Everything but the transactions up to `after`, as the server would send it to one that is there: packets are numbered anew. */
static void serve(struct player *player, unsigned after)
{
    bool sends = true;
    size_t sent = 0;
    uint8_t number = dump[3];

    for (size_t at = 0; at < dump_size && sent < player->play.bytes; at += packet_size(at)) {
        size_t size = packet_size(at);

        if (is_gtid(at)) {
            sends = dump[at + 4 + 1 + 19] > after;
        }
        if (sends) {
            uint8_t packet[512];

            must(size <= sizeof packet);
            memcpy(packet, dump + at, size);
            packet[3] = number++;
            size = size < player->play.bytes - sent ? size : player->play.bytes - sent;
            must(write(player->server, packet, size) == (ssize_t)size);
            sent += size;
        }
    }
    if (player->play.hang_up) {
        must(shutdown(player->server, SHUT_WR) == 0);
    }
}

static int player_open(struct binlog_connection *connection, struct err *err)
{
    struct player *player = (struct player *)connection;
    unsigned after = 0;

    connection->facts = (struct binlog_facts){.flavor = BINLOG_MARIADB, .gtid = true, .server = "1", .description = "MariaDB of the test"};
    connection->facts.executed = strdup("7-1-7");
    connection->facts.purged = strdup("7-1-2");
    if (player->play.refuse) {
        return err_set(err, ERR_RETRY, "the server is away");
    }
    if (binlog_place_find(&connection->place, &player->wish, &connection->facts, err) != 0) {
        return -1;
    }
    must(sscanf(connection->place.gtid, "7-1-%u", &after) == 1);
    serve(player, after);
    return 0;
}

static ssize_t player_read(struct binlog_connection *connection, uint8_t *bytes, size_t size, struct err *err)
{
    struct player *player = (struct player *)connection;
    ssize_t count = read(player->ours, bytes, size);

    if (count <= 0) {
        connection->rival = player->play.rival;
        return err_set(err, ERR_RETRY, "the server closed the connection");
    }
    return count;
}

static void player_close(struct binlog_connection *connection)
{
    (void)connection;
}

static void player_interrupt(struct binlog_connection *connection)
{
    (void)shutdown(((struct player *)connection)->ours, SHUT_RDWR);
}

static void player_free(struct binlog_connection *connection)
{
    struct player *player = (struct player *)connection;

    (void)close(player->ours);
    (void)close(player->server);
    binlog_facts_deinit(&connection->facts);
    binlog_place_deinit(&connection->place);
    binlog_wish_deinit(&player->wish);
    free(player);
}

static struct binlog_connection *world_connect(const struct binlog_world *binlog_world, const struct settings_source *settings,
                                               const struct binlog_wish *wish)
{
    static const struct binlog_connection_calls calls = {player_open, player_read, player_close, player_interrupt, player_free};
    struct world *world = binlog_world->context;
    struct player *player = calloc(1, sizeof *player);
    int pair[2];

    (void)settings;
    must(player != NULL && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    player->connection.calls = &calls;
    player->ours = pair[0];
    player->server = pair[1];
    player->play = world->plays[world->connections < world->play_count ? world->connections : world->play_count - 1];
    binlog_wish_copy(&player->wish, wish);
    world->connections++;
    return &player->connection;
}

/* ---- the owner */

static void on_ready(void *context)
{
    ((struct world *)context)->ready++;
}

static void on_stopped(void *context)
{
    ((struct world *)context)->stopped = true;
}

static void note(struct world *world, const struct change *change)
{
    const struct cell *cells = change->after != NULL ? change->after : change->before;
    size_t used = strlen(world->seen);

    (void)snprintf(world->seen + used, sizeof world->seen - used, "%s %s+%" PRId64 " idx=%" PRId64 " %c %s.%" PRId64 "\n", change->txid,
                   change->seq >= T3 + 2000000 ? "T7" : "T3", change->seq - (change->seq >= T3 + 2000000 ? T3 + 2000000 : T3), change->idx, change->op,
                   change->table->table->name, cells[0].integer);
    world->changes++;
}

/* Turns the loop until on_ready. */
static void wait_until_ready(struct world *world)
{
    int ready = world->ready;

    while (ready == world->ready) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

/* Until there were `count` changes, or it failed. */
static enum source_next pull(struct world *world, size_t count)
{
    enum source_next next = SOURCE_CHANGE;
    struct change change;

    while (world->changes < count) {
        next = world->source->calls->next(world->source, &change, &world->err);
        if (next == SOURCE_CHANGE) {
            note(world, &change);
        } else if (next == SOURCE_AGAIN) {
            wait_until_ready(world);
        } else {
            break;
        }
    }
    return next;
}

static void start(struct world *world, const char *record_text)
{
    json_t *record = record_text != NULL ? json_loads(record_text, 0, NULL) : NULL;

    must((record != NULL) == (record_text != NULL));
    must(world->source->calls->start(world->source, record, NULL, &world->err) == 0);
    json_decref(record);
}

static void stop(struct world *world)
{
    world->stopped = false;
    world->source->calls->stop(world->source, on_stopped, world);
    assert_false(world->stopped); /* never inside the request */
    while (!world->stopped) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void play(struct world *world, size_t bytes, bool hang_up)
{
    world->plays[world->play_count++] = (struct play){.bytes = bytes, .hang_up = hang_up};
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct binlog_world binlog_world = {.context = world, .connect = world_connect, .pause_first_ms = 0, .ring_bytes = 64};
    static char start_earliest[] = "earliest";
    static char name[] = "shop";

    must(world != NULL && uv_loop_init(&world->loop) == 0);
    world->settings.name = name;
    world->settings.start = start_earliest;
    text_list_add(&world->settings.tables, "shop.step");
    world->source = binlog_source_new_in(&world->loop, &world->settings, &binlog_world);
    world->source->on_ready = on_ready;
    world->source->on_ready_context = world;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    stop(world);
    world->source->calls->free(world->source);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&world->loop) == 0);
    text_list_deinit(&world->settings.tables);
    free(world);
    return 0;
}

static int load_dump(void **state)
{
    FILE *file = fopen(DUMP, "rb");

    (void)state;
    must(file != NULL); /* run from the root of the tree */
    dump_size = fread(dump, 1, sizeof dump, file);
    must(fclose(file) == 0 && dump_size > 1000);
    return 0;
}

/* ---- what must hold */

static const char all_changes[] = "7-1-3 T3+0 idx=0 c step.1\n"
                                  "7-1-3 T3+0 idx=2 c step.2\n"
                                  "7-1-3 T3+0 idx=4 c step.3\n"
                                  "7-1-4 T3+1 idx=4 u step.1\n" /* two images of another table stand before: O3 */
                                  "7-1-4 T3+1 idx=6 u step.2\n"
                                  "7-1-4 T3+1 idx=8 u step.3\n"
                                  "7-1-5 T3+2 idx=0 d step.1\n" /* the clock went back by five minutes */
                                  "7-1-7 T7+0 idx=0 c step.4\n";
#define ALL 8

/* FT-O1 */
static void test_source__order_numbers_grow_when_the_clock_goes_back(void **state)
{
    struct world *world = *state;

    play(world, WHOLE, false);
    start(world, NULL);
    (void)pull(world, ALL);
    assert_string_equal(world->seen, all_changes);
}

static double clock_steps_counted(void)
{
    static const char name[] = "kakehi_clock_steps_total{source=\"shop\"} ";
    struct buffer text = {0};
    const char *line;
    double count;

    metrics_print(&text);
    line = strstr(buffer_text(&text), name);
    assert_non_null(line);
    count = strtod(line + strlen(name), NULL);
    buffer_deinit(&text);
    return count;
}

/* O8 */
static void test_source__counts_a_clock_step_once(void **state)
{
    struct world *world = *state;
    double before = clock_steps_counted();

    play(world, WHOLE, false);
    start(world, NULL);
    (void)pull(world, ALL);
    assert_true(clock_steps_counted() == before + 1);
}

/* B1: a connection that is lost after any number of bytes. */
static void test_source__yields_each_change_once_wherever_the_connection_is_lost(void **state)
{
    struct world *world = *state;

    play(world, 0, true);
    play(world, WHOLE, false);
    for (size_t cut = 0; cut <= dump_size; cut += 3) {
        world->plays[0].bytes = cut;
        world->connections = 0;
        world->changes = 0;
        world->seen[0] = '\0';
        start(world, NULL);
        (void)pull(world, ALL);
        assert_string_equal(world->seen, all_changes);
        stop(world);
    }
}

/* A5, B3: stopped after any number of changes, and started again from the record of that moment. */
static void test_source__goes_on_from_its_record_in_mid_transaction(void **state)
{
    struct world *world = *state;

    play(world, WHOLE, false);
    for (size_t cut = 1; cut < ALL; cut++) {
        json_t *record;

        world->changes = 0;
        world->seen[0] = '\0';
        start(world, NULL);
        (void)pull(world, cut);
        record = world->source->calls->state(world->source);
        assert_non_null(record);
        stop(world);
        assert_int_equal(world->source->calls->start(world->source, record, NULL, &world->err), 0);
        json_decref(record);
        (void)pull(world, ALL);
        assert_string_equal(world->seen, all_changes);
        stop(world);
    }
}

static void test_source__record_in_mid_transaction_counts_images_before_selection(void **state)
{
    struct world *world = *state;
    json_t *record;
    const json_t *transaction;

    play(world, WHOLE, false);
    start(world, NULL);
    (void)pull(world, 4);
    record = world->source->calls->state(world->source);
    assert_string_equal(json_string_value(json_object_get(record, "gtid")), "7-1-3");
    assert_string_equal(json_string_value(json_object_get(record, "flavor")), "mariadb");
    transaction = json_object_get(record, "transaction");
    assert_string_equal(json_string_value(json_object_get(transaction, "txid")), "7-1-4");
    assert_int_equal(json_integer_value(json_object_get(transaction, "seq")), T3 + 1);
    assert_int_equal(json_integer_value(json_object_get(transaction, "rows")), 3);
    json_decref(record);
}

/* FT-A5: the rest of a split transaction is produced by the new filter, and nothing of what is in. */
static void test_source__with_another_filter_passes_over_what_is_in(void **state)
{
    struct world *world = *state;

    play(world, WHOLE, false);
    text_list_add(&world->settings.tables, "shop.other");
    start(world, "{\"flavor\":\"mariadb\",\"server\":\"1\",\"gtid\":\"7-1-3\",\"file\":\"\",\"position\":4,\"seq\":1700000000000001,\"ts\":1,"
                 "\"transaction\":{\"txid\":\"7-1-4\",\"seq\":1700000000000001,\"rows\":3}}");
    (void)pull(world, 3);
    assert_string_equal(world->seen, "7-1-4 T3+1 idx=6 u step.2\n7-1-4 T3+1 idx=8 u step.3\n7-1-5 T3+2 idx=0 d step.1\n");
}

static void test_source__refuses_another_transaction_than_the_one_in_work(void **state)
{
    struct world *world = *state;

    play(world, WHOLE, false);
    start(world, "{\"flavor\":\"mariadb\",\"server\":\"1\",\"gtid\":\"7-1-4\",\"file\":\"\",\"position\":4,\"seq\":1700000000000001,\"ts\":1,"
                 "\"transaction\":{\"txid\":\"7-1-4\",\"seq\":1700000000000001,\"rows\":3}}");
    assert_int_equal(pull(world, 1), SOURCE_FAILED);
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_non_null(strstr(world->err.text, "7-1-5"));
    assert_int_equal(world->changes, 0);
}

/* FT-A7 */
static void test_source__refuses_a_server_that_lost_what_we_read(void **state)
{
    struct world *world = *state;

    play(world, WHOLE, false);
    start(world, "{\"flavor\":\"mariadb\",\"server\":\"1\",\"gtid\":\"7-1-9\",\"file\":\"\",\"position\":4,\"seq\":1,\"ts\":1}");
    wait_until_ready(world); /* without being asked */
    assert_int_equal(pull(world, 1), SOURCE_FAILED);
    assert_int_equal(world->err.class, ERR_FATAL);
}

/* A8: the first transaction of a source holds the state alone. */
static void test_source__knows_its_state_before_its_first_change(void **state)
{
    struct world *world = *state;
    json_t *record;

    play(world, WHOLE, false);
    start(world, NULL);
    assert_null(world->source->calls->state(world->source));
    wait_until_ready(world);
    assert_true(world->source->calls->moved(world->source));
    record = world->source->calls->state(world->source);
    assert_string_equal(json_string_value(json_object_get(record, "gtid")), "7-1-2");
    assert_null(json_object_get(record, "transaction"));
    assert_false(world->source->calls->moved(world->source));
    json_decref(record);
}

/* A6: 7-1-6 holds nothing for us. */
static void test_source__transactions_of_other_tables_move_the_state(void **state)
{
    struct world *world = *state;
    json_t *record;
    struct change change;

    play(world, 1407, false); /* up to the end of 7-1-6 */
    start(world, NULL);
    (void)pull(world, 7);
    json_decref(world->source->calls->state(world->source));
    do {
        assert_int_equal(world->source->calls->next(world->source, &change, &world->err), SOURCE_AGAIN);
        if (!world->source->calls->moved(world->source)) {
            wait_until_ready(world);
        }
        record = world->source->calls->state(world->source);
        if (strcmp(json_string_value(json_object_get(record, "gtid")), "7-1-6") == 0) {
            break;
        }
        json_decref(record);
    } while (true);
    assert_null(json_object_get(record, "transaction"));
    json_decref(record);
}

static void test_source__comes_again_while_the_server_is_away(void **state)
{
    struct world *world = *state;

    world->plays[0] = (struct play){.refuse = true};
    world->plays[1] = (struct play){.refuse = true};
    world->plays[2] = (struct play){.bytes = 700, .hang_up = true};
    world->plays[3] = (struct play){.bytes = WHOLE};
    world->play_count = 4;
    start(world, NULL);
    (void)pull(world, ALL);
    assert_string_equal(world->seen, all_changes);
    assert_int_equal(world->connections, 4);
}

static void test_source__says_whether_it_is_connected_and_why_not(void **state)
{
    struct world *world = *state;
    struct source_figures figures;
    struct change change;

    world->plays[0] = (struct play){.refuse = true};
    world->plays[1] = (struct play){.bytes = WHOLE};
    world->play_count = 2;
    start(world, NULL);
    world->source->calls->figures(world->source, &figures);
    assert_false(figures.connected);
    assert_null(figures.trouble); /* nothing is known yet */
    while (world->connections < 2) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(world->source->calls->next(world->source, &change, &world->err), SOURCE_AGAIN);
    world->source->calls->figures(world->source, &figures);
    assert_false(figures.connected);
    assert_string_equal(figures.trouble, "the server is away");
    (void)pull(world, ALL);
    world->source->calls->figures(world->source, &figures);
    assert_true(figures.connected);
    assert_null(figures.trouble);
}

static void test_source__forgets_its_trouble_when_it_stops(void **state)
{
    struct world *world = *state;
    struct source_figures figures;

    world->plays[0] = (struct play){.refuse = true};
    world->play_count = 1;
    start(world, NULL);
    while (world->connections < 2) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    stop(world);
    world->source->calls->figures(world->source, &figures);
    assert_false(figures.connected);
    assert_null(figures.trouble);
    start(world, NULL);
}

static void test_source__gives_way_to_a_rival_at_the_second_time(void **state)
{
    struct world *world = *state;

    world->plays[0] = (struct play){.bytes = 700, .hang_up = true, .rival = true};
    world->plays[1] = (struct play){.bytes = 700, .hang_up = true, .rival = true};
    world->play_count = 2;
    start(world, NULL);
    assert_int_equal(pull(world, ALL), SOURCE_FAILED);
    assert_int_equal(world->err.class, ERR_RETRY);
    assert_non_null(strstr(world->err.text, "twice within a minute"));
    assert_int_equal(world->connections, 2);
}

static void test_source__stops_while_it_connects_and_while_it_pauses(void **state)
{
    struct world *world = *state;

    world->plays[0] = (struct play){.refuse = true};
    world->play_count = 1;
    start(world, NULL);
    stop(world);
    start(world, NULL);
    while (world->connections < 3) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    stop(world);
    assert_int_equal(world->changes, 0);
}

static void test_source__refuses_a_record_at_once(void **state)
{
    struct world *world = *state;
    json_t *record = json_loads("{\"flavor\":\"mariadb\",\"server\":\"1\",\"gtid\":\"7-1-3\",\"transaction\":{},\"seq\":1,\"ts\":1}", 0, NULL);

    play(world, WHOLE, false);
    assert_int_equal(world->source->calls->start(world->source, record, NULL, &world->err), -1);
    assert_int_equal(world->err.class, ERR_FATAL);
    assert_int_equal(world->connections, 0);
    json_decref(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_source__order_numbers_grow_when_the_clock_goes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__counts_a_clock_step_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__yields_each_change_once_wherever_the_connection_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__goes_on_from_its_record_in_mid_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__record_in_mid_transaction_counts_images_before_selection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__with_another_filter_passes_over_what_is_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__refuses_another_transaction_than_the_one_in_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__refuses_a_server_that_lost_what_we_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__knows_its_state_before_its_first_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__transactions_of_other_tables_move_the_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__comes_again_while_the_server_is_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__says_whether_it_is_connected_and_why_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__forgets_its_trouble_when_it_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__gives_way_to_a_rival_at_the_second_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__stops_while_it_connects_and_while_it_pauses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source__refuses_a_record_at_once, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, load_dump, NULL);
}

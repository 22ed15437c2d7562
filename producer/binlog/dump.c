/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of events: connect; facts (server, GTIDs, requirements); place (resume.h, rule A7); session settings; the dump command;
 * its first bytes, which mean that the server agrees; bytes. What is refused is refused before the dump begins, with the statement that mends it; that includes gtid_mode
 * *_PERMISSIVE, where transactions with and without a GTID stand in one log and no GTID set says where one is.
 *
 * The session settings, each because of what happens without it:
 *   checksum         the server refuses to send checksummed events to a client that has not said that it knows them
 *   heartbeat        silence of an idle server could not be told from a dead connection
 *   capability 4     MariaDB would rewrite its GTID events into dummies
 *   connect_state    where to begin by GTID (MariaDB)
 *   strict mode      MariaDB would go on behind a hole where our GTID should be
 *   slave_uuid       MySQL finds the dump of an earlier life of ours by it and ends it
 *   net_write_timeout  when Kafka is away for a while we don't read, and a server gives up on such a client after 60 s
 *
 * Not used: semi-synchronous replication (a reader must not hold up commits), protocol compression (22 MB/s), COM_REGISTER_SLAVE
 * (for display only), MariaDB's annotations.
 */
#include "producer/binlog/dump.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/must.h"
#include "producer/binlog/dump_frames.h"
#include "producer/binlog/gtid_set.h"
#include "producer/binlog/requirements.h"
#include "producer/mysql.h"

#define COM_BINLOG_DUMP 0x12
#define COM_BINLOG_DUMP_GTID 0x1e
#define DUMP_THROUGH_GTID 4
#define NET_WRITE_TIMEOUT_S 600
#define FIRST_BYTES_MAX 512

struct dump {
    struct binlog_connection connection; /* first */
    const struct settings_source *settings;
    struct binlog_wish wish;
    uint32_t server_id;
    struct dump_frames frames;
    int timeout_ms;
    uint8_t first[FIRST_BYTES_MAX]; /* the beginning of the answer, which `open` waits for */
    size_t first_size;              /* of it, not given yet */
    pthread_mutex_t lock; /* of the two below, between the thread and interrupt */
    struct mysql_session *session;
    bool stopped;
};

/* ---- facts */

/* The variable into a text of fixed size. */
static int read_short(struct mysql_session *session, const char *variable, char *ret_text, size_t size, struct err *err)
{
    char *value;

    if (mysql_session_variable(session, variable, &value, err) != 0) {
        return -1;
    }
    (void)snprintf(ret_text, size, "%s", value != NULL ? value : "");
    free(value);
    return 0;
}

static int read_set(struct mysql_session *session, const char *variable, char **ret_set, struct err *err)
{
    if (mysql_session_variable(session, variable, ret_set, err) != 0) {
        return -1;
    }
    return *ret_set != NULL ? 0 : err_set(err, ERR_FATAL, "the server has no variable %s: its version is too old", variable);
}

static int read_first_file(struct mysql_session *session, struct binlog_facts *facts, struct err *err)
{
    struct mysql_rows rows;
    const char *file;

    if (mysql_session_ask(session, "SHOW BINARY LOGS", &rows, err) != 0) {
        return -1;
    }
    file = mysql_rows_text(&rows, 0, 0);
    (void)snprintf(facts->first_file, sizeof facts->first_file, "%s", file != NULL ? file : "");
    mysql_rows_deinit(&rows);
    return 0;
}

static int read_end(struct mysql_session *session, struct binlog_facts *facts, struct err *err)
{
    bool new_word = !mysql_session_server(session)->mariadb && mysql_session_server(session)->version >= 80200;
    struct mysql_rows rows;
    const char *file;
    const char *position;

    if (mysql_session_ask(session, new_word ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", &rows, err) != 0) {
        return -1;
    }
    file = mysql_rows_text(&rows, 0, 0);
    position = mysql_rows_text(&rows, 0, 1);
    (void)snprintf(facts->last_file, sizeof facts->last_file, "%s", file != NULL ? file : "");
    facts->last_position = position != NULL ? strtoull(position, NULL, 10) : 0;
    mysql_rows_deinit(&rows);
    return 0;
}

/* MariaDB's set before the oldest file that it has. */
static int read_set_before_first_file(struct mysql_session *session, struct binlog_facts *facts, struct err *err)
{
    char *file = mysql_session_quote(session, facts->first_file);
    struct buffer sql = {0};
    struct mysql_rows rows;
    const char *set;
    int result;

    buffer_printf(&sql, "SELECT BINLOG_GTID_POS(%s, 4)", file);
    result = mysql_session_ask(session, buffer_text(&sql), &rows, err);
    if (result == 0) {
        set = mysql_rows_text(&rows, 0, 0);
        facts->purged = must_strdup(set);
        mysql_rows_deinit(&rows);
        result = facts->purged != NULL ? 0 : err_set(err, ERR_RETRY, "the server can't say which GTIDs come before %s", facts->first_file);
    }
    free(file);
    buffer_deinit(&sql);
    return result;
}

static int read_mysql(struct mysql_session *session, struct binlog_facts *facts, enum binlog_wish_kind wish, struct err *err)
{
    if (read_short(session, "server_uuid", facts->server, sizeof facts->server, err) != 0 || requirement_gtid_mode(session, &facts->gtid, err) != 0) {
        return -1;
    }
    if (facts->gtid) {
        return read_set(session, "gtid_executed", &facts->executed, err) != 0 ? -1 : read_set(session, "gtid_purged", &facts->purged, err);
    }
    if (wish == WISH_EARLIEST) {
        return read_first_file(session, facts, err);
    }
    return wish == WISH_CURRENT ? read_end(session, facts, err) : 0;
}

/* Adds the columns of a SELECT of database, table, column and type. */
static int read_marks_of(struct mysql_session *session, const char *sql, struct binlog_marks *marks, struct err *err)
{
    struct mysql_rows rows;

    if (mysql_session_ask(session, sql, &rows, err) != 0) {
        return -1;
    }
    for (size_t row = 0; row < rows.row_count; row++) {
        binlog_marks_add(marks, mysql_rows_text(&rows, row, 0), mysql_rows_text(&rows, row, 1), mysql_rows_text(&rows, row, 2),
                         mysql_rows_text(&rows, row, 3));
    }
    mysql_rows_deinit(&rows);
    return 0;
}

/* marks.h. What was executed is asked last: of a statement in between it must not be said that it was not. */
static int read_marks(struct mysql_session *session, struct binlog_facts *facts, struct err *err)
{
    char *executed = NULL;
    int result;

    facts->marks = binlog_marks_new();
    if (read_marks_of(session,
                      "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
                      " WHERE DATA_TYPE IN ('uuid', 'inet4', 'inet6', 'vector', 'longtext')"
                      " OR (DATA_TYPE = 'binary' AND CHARACTER_MAXIMUM_LENGTH IN (4, 16))"
                      " OR (DATA_TYPE = 'varbinary' AND CHARACTER_MAXIMUM_LENGTH % 4 = 0)",
                      facts->marks, err) != 0 ||
        read_marks_of(session,
                      "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, 'json' FROM information_schema.CHECK_CONSTRAINTS"
                      " WHERE CHECK_CLAUSE = CONCAT('json_valid(`', REPLACE(CONSTRAINT_NAME, '`', '``'), '`)')",
                      facts->marks, err) != 0 ||
        read_set(session, "gtid_binlog_pos", &executed, err) != 0) {
        return err_while(err, "asking for the types that MariaDB's log does not tell");
    }
    result = binlog_marks_set_executed(facts->marks, executed, err);
    free(executed);
    return result;
}

static int read_mariadb(struct mysql_session *session, struct binlog_facts *facts, enum binlog_wish_kind wish, struct err *err)
{
    facts->gtid = true;
    if (read_short(session, "server_id", facts->server, sizeof facts->server, err) != 0 ||
        requirement_log_in_engine(session, &facts->in_engine, err) != 0 ||
        read_set(session, "gtid_binlog_pos", &facts->executed, err) != 0) {
        return -1;
    }
    if (wish != WISH_EARLIEST || facts->in_engine) {
        facts->purged = must_strdup("");
        return 0; /* the server itself refuses a position that is purged */
    }
    return read_first_file(session, facts, err) != 0 ? -1 : read_set_before_first_file(session, facts, err);
}

static int read_facts(struct dump *dump, struct err *err)
{
    struct binlog_facts *facts = &dump->connection.facts;
    const struct mysql_server *server = mysql_session_server(dump->session);

    facts->flavor = server->mariadb ? BINLOG_MARIADB : BINLOG_MYSQL;
    (void)snprintf(facts->description, sizeof facts->description, "%s", server->description);
    if (requirements_check(dump->session, err) != 0 || requirement_name_case(dump->session, dump->settings, &facts->names_lower, err) != 0) {
        return -1;
    }
    if (server->mariadb && read_marks(dump->session, facts, err) != 0) {
        return -1;
    }
    return server->mariadb ? read_mariadb(dump->session, facts, dump->wish.kind, err) : read_mysql(dump->session, facts, dump->wish.kind, err);
}

/* ---- session settings and the command */

/* A UUID of our own that says which reader this is: the same for the same name and server id. */
static void reader_uuid(const struct dump *dump, char *ret_text, size_t size)
{
    char seed[256];
    uint8_t digest[SHA256_DIGEST_LENGTH];

    (void)snprintf(seed, sizeof seed, "kakehi|%.200s|%u", dump->settings->name, dump->server_id);
    (void)SHA256((const uint8_t *)seed, strlen(seed), digest);
    (void)snprintf(ret_text, size, "%02x%02x%02x%02x-%02x%02x-8%x%02x-8%x%02x-%02x%02x%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3],
                   digest[4], digest[5], digest[6] & 15, digest[7], digest[8] & 15, digest[9], digest[10], digest[11], digest[12], digest[13],
                   digest[14], digest[15]);
}

static void settings_of_mariadb(struct dump *dump, struct buffer *sql)
{
    char *state = mysql_session_quote(dump->session, dump->connection.place.gtid);

    buffer_printf(sql, ", @mariadb_slave_capability=4, @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0, @slave_connect_state=%s", state);
    free(state);
}

static void settings_of_mysql(struct dump *dump, struct buffer *sql)
{
    char uuid[40];

    reader_uuid(dump, uuid, sizeof uuid);
    buffer_printf(sql, ", @source_binlog_checksum=@@GLOBAL.binlog_checksum, @source_heartbeat_period=%lld000000",
                  (long long)dump->settings->heartbeat_ms);
    buffer_printf(sql, ", @slave_uuid='%s', @replica_uuid='%s'", uuid, uuid);
}

static int set_session(struct dump *dump, struct err *err)
{
    struct buffer sql = {0};
    int result;

    buffer_printf(&sql, "SET @@SESSION.net_write_timeout=%d, @master_binlog_checksum=@@GLOBAL.binlog_checksum, @master_heartbeat_period=%lld000000",
                  NET_WRITE_TIMEOUT_S, (long long)dump->settings->heartbeat_ms);
    if (dump->connection.facts.flavor == BINLOG_MARIADB) {
        settings_of_mariadb(dump, &sql);
    } else {
        settings_of_mysql(dump, &sql);
    }
    result = mysql_session_run(dump->session, buffer_text(&sql), err);
    buffer_deinit(&sql);
    return result;
}

static void append_number(struct buffer *buffer, uint64_t number, size_t size)
{
    for (size_t index = 0; index < size; index++) {
        buffer_append_byte(buffer, (uint8_t)(number >> (8 * index)));
    }
}

static int command_by_set(const struct dump *dump, struct buffer *body, struct err *err)
{
    struct gtid_set *set = gtid_set_new(BINLOG_MYSQL);
    struct buffer encoded = {0};
    int result = -1;

    if (gtid_set_parse(set, dump->connection.place.gtid, err) == 0) {
        gtid_set_encode(set, &encoded);
        append_number(body, DUMP_THROUGH_GTID, 2);
        append_number(body, dump->server_id, 4);
        append_number(body, 0, 4); /* no file name */
        append_number(body, 4, 8);
        append_number(body, encoded.size, 4);
        buffer_append(body, encoded.bytes, encoded.size);
        result = 0;
    }
    buffer_deinit(&encoded);
    gtid_set_free(set);
    return result;
}

/* MariaDB takes the place from @slave_connect_state, and ignores file and position here. */
static int command_by_file(const struct dump *dump, struct buffer *body, struct err *err)
{
    const struct binlog_place *place = &dump->connection.place;
    bool by_file = dump->connection.facts.flavor == BINLOG_MYSQL;

    if (by_file && place->position > UINT32_MAX) {
        return err_set(err, ERR_FATAL, "%s:%llu is beyond 4 GiB, which can only be asked for by GTID: SET GLOBAL gtid_mode=ON", place->file,
                       (unsigned long long)place->position);
    }
    append_number(body, by_file ? place->position : 4, 4);
    append_number(body, 0, 2);
    append_number(body, dump->server_id, 4);
    buffer_append_text(body, by_file ? place->file : "");
    return 0;
}

static int ask_for_log(struct dump *dump, struct err *err)
{
    bool by_set = dump->connection.facts.flavor == BINLOG_MYSQL && dump->connection.facts.gtid;
    struct buffer body = {0};
    int result = by_set ? command_by_set(dump, &body, err) : command_by_file(dump, &body, err);

    if (result == 0) {
        result = mysql_session_command(dump->session, by_set ? COM_BINLOG_DUMP_GTID : COM_BINLOG_DUMP, body.bytes, body.size, err);
    }
    buffer_deinit(&body);
    return result;
}

/* ---- the connection */

/* From here on interrupt reaches the session. */
static int show_session(struct dump *dump, struct mysql_session *session, struct err *err)
{
    bool stopped;

    must(pthread_mutex_lock(&dump->lock) == 0);
    dump->session = session;
    stopped = dump->stopped;
    must(pthread_mutex_unlock(&dump->lock) == 0);
    return stopped ? err_set(err, ERR_CANCELED, "told to stop") : 0;
}

/* Bytes of the log; or -1, also when the server has ended the dump. */
static ssize_t read_log(struct dump *dump, uint8_t *bytes, size_t size, struct err *err)
{
    while (!dump_frames_ended(&dump->frames)) {
        ssize_t count = mysql_session_read(dump->session, bytes, size, dump->timeout_ms, err);
        size_t good;

        if (count < 0) {
            return -1;
        }
        good = dump_frames_scan(&dump->frames, bytes, (size_t)count);
        if (good > 0) {
            return (ssize_t)good;
        }
    }
    return dump_frames_error(&dump->frames, &dump->connection.rival, err);
}

/* A server that does not grant the dump, or can't begin there, says so at once: then nobody must believe that we know our place. */
static int wait_for_first(struct dump *dump, struct err *err)
{
    ssize_t count = read_log(dump, dump->first, sizeof dump->first, err);

    if (count < 0) {
        return -1;
    }
    dump->first_size = (size_t)count;
    return 0;
}

static int dump_open(struct binlog_connection *connection, struct err *err)
{
    struct dump *dump = (struct dump *)connection;
    struct mysql_session *session;

    if (mysql_session_open(dump->settings, &session, err) != 0 || show_session(dump, session, err) != 0) {
        return -1;
    }
    if (read_facts(dump, err) != 0) {
        return err_while(err, "looking at the settings of %s", mysql_session_server(session)->description);
    }
    if (binlog_place_find(&connection->place, &dump->wish, &connection->facts, err) != 0) {
        return -1;
    }
    if (set_session(dump, err) != 0 || ask_for_log(dump, err) != 0 || wait_for_first(dump, err) != 0) {
        return err_while(err, "asking %s for its log", connection->facts.description);
    }
    return 0;
}

static ssize_t dump_read(struct binlog_connection *connection, uint8_t *bytes, size_t size, struct err *err)
{
    struct dump *dump = (struct dump *)connection;
    size_t count = size < dump->first_size ? size : dump->first_size;

    if (count == 0) {
        return read_log(dump, bytes, size, err);
    }
    memcpy(bytes, dump->first, count);
    memmove(dump->first, dump->first + count, dump->first_size - count);
    dump->first_size -= count;
    return (ssize_t)count;
}

static void dump_close(struct binlog_connection *connection)
{
    struct dump *dump = (struct dump *)connection;
    struct mysql_session *session;

    must(pthread_mutex_lock(&dump->lock) == 0);
    session = dump->session;
    dump->session = NULL;
    must(pthread_mutex_unlock(&dump->lock) == 0);
    mysql_session_close(session);
}

static void dump_interrupt(struct binlog_connection *connection)
{
    struct dump *dump = (struct dump *)connection;

    must(pthread_mutex_lock(&dump->lock) == 0);
    dump->stopped = true;
    if (dump->session != NULL) {
        mysql_session_interrupt(dump->session);
    }
    must(pthread_mutex_unlock(&dump->lock) == 0);
}

static void dump_free(struct binlog_connection *connection)
{
    struct dump *dump = (struct dump *)connection;

    binlog_wish_deinit(&dump->wish);
    binlog_facts_deinit(&connection->facts);
    binlog_place_deinit(&connection->place);
    pthread_mutex_destroy(&dump->lock);
    free(dump);
}

struct binlog_connection *dump_connection_new(const struct settings_source *settings, uint32_t server_id, const struct binlog_wish *wish)
{
    static const struct binlog_connection_calls calls = {dump_open, dump_read, dump_close, dump_interrupt, dump_free};
    struct dump *dump = calloc(1, sizeof *dump);

    must(dump != NULL);
    dump->connection.calls = &calls;
    dump->settings = settings;
    dump->server_id = server_id;
    dump->timeout_ms = settings->heartbeat_ms < INT32_MAX / 3 ? (int)(3 * settings->heartbeat_ms) : INT32_MAX;
    binlog_wish_copy(&dump->wish, wish);
    must(pthread_mutex_init(&dump->lock, NULL) == 0);
    return &dump->connection;
}

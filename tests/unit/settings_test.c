/* SPDX-License-Identifier: Apache-2.0 */
/* Each test writes a file, loads it, and looks at the settings or at the whole text of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/kafka.h"
#include "common/settings.h"

/* What both programs need, without the tables. Seven lines: the tests of the first configuration count them. */
#define MINIMAL                                                                                                                \
    "kafka:\n  bootstrap.servers: broker:9092\nsource:\n  name: shop\n  host: db\n  user: kakehi\n  tables: [shop.*]\n"
#define SQLITE "sqlite: {file: /data/shop.db}\n"

static char directory[] = "/tmp/kakehi-settings-XXXXXX";
static char file[64];   /* of settings */
static char secret[64]; /* a secret's file */
static char *errors;    /* of the last load, with the file's name as "F" */
static size_t errors_size;

static void write_file(const char *path, const char *text, size_t size)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* The long name of the file, in front of each error, becomes "F". */
static void shorten_errors(void)
{
    size_t size = strlen(file);
    char *found;

    while ((found = strstr(errors, file)) != NULL) {
        found[0] = 'F';
        memmove(found + 1, found + size, strlen(found + size) + 1);
    }
}

static struct settings *load_bytes(const char *text, size_t size, enum settings_for who)
{
    struct settings *settings;
    FILE *out;

    free(errors);
    out = open_memstream(&errors, &errors_size);
    write_file(file, text, size);
    settings = settings_load(file, who, out);
    assert_int_equal(fclose(out), 0);
    shorten_errors();
    return settings;
}

static struct settings *load(const char *text)
{
    return load_bytes(text, strlen(text), SETTINGS_FOR_BOTH);
}

/* The text, behind a minimal file, is refused with exactly these errors. */
static void assert_refused(const char *text, const char *expected)
{
    char whole[8192];
    struct settings *settings;

    (void)snprintf(whole, sizeof whole, "%s%s%s", MINIMAL, SQLITE, text);
    settings = load(whole);
    assert_string_equal(errors, expected);
    assert_null(settings);
}

static struct settings *load_more(const char *text)
{
    char whole[8192];
    struct settings *settings;

    (void)snprintf(whole, sizeof whole, "%s%s%s", MINIMAL, SQLITE, text);
    settings = load(whole);
    assert_string_equal(errors, "");
    assert_non_null(settings);
    return settings;
}

static int set_up_group(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(file, sizeof file, "%s/settings.yaml", directory);
    (void)snprintf(secret, sizeof secret, "%s/secret", directory);
    assert_int_equal(setenv("KAKEHI_TEST_SECRET", "hunter2", 1), 0);
    assert_int_equal(setenv("KAKEHI_TEST_SECRET_FILE", secret, 1), 0);
    assert_int_equal(setenv("KAKEHI_TEST_EMPTY", "", 1), 0);
    assert_int_equal(setenv("KAKEHI_TEST_ZONE", "Asia/Tokyo", 1), 0);
    assert_int_equal(unsetenv("KAKEHI_TEST_UNSET"), 0);
    return 0;
}

static int tear_down_group(void **state)
{
    (void)state;
    free(errors);
    (void)unlink(file);
    (void)unlink(secret);
    return rmdir(directory);
}

/* ---- what must not be believed */

static void test_settings__an_unknown_key_is_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_refused("producer: {position_intervall: 1s}\n",
                   "F:9: producer.position_intervall: is not a setting; did you mean producer.position_interval?\n");
    assert_refused("producr: {memory: 64MiB}\n", "F:9: producr: is not a setting; did you mean producer?\n");
    assert_refused("password: x\n", "F:9: password: is not a setting; did you mean source.password?\n");
    assert_refused("colour: blue\n", "F:9: colour: is not a setting; --help-settings lists them\n");
}

static void test_settings__all_errors_are_told_at_once_with_their_lines(void **state)
{
    (void)state;
    assert_null(load("prefix: a|b\n"
                     "kafka:\n"
                     "  acks: 1\n"
                     "source:\n"
                     "  port: 0\n"
                     "  host: db\n"
                     "  socket: /run/mysqld.sock\n"
                     "worker:\n"
                     "  batch: {rows: many}\n"));
    assert_string_equal(
        errors, "F:1: prefix: may hold letters, digits, '.', '_' and '-' only\n"
                "F:3: kafka.acks: can't be set: transactions need every replica's answer, once and in order; leave it out\n"
                "F:5: source.port: is out of its limits; take 1 to 65535\n"
                "F:9: worker.batch.rows: is not a whole number\n"
                "F: source.name: is missing; --help-settings says what it is\n"
                "F: source.user: is missing; --help-settings says what it is\n"
                "F: source.tables: is missing; --help-settings says what it is\n"
                "F: kafka.bootstrap.servers: is missing; it is the list of brokers, like broker1:9092,broker2:9092\n"
                "F:7: source.socket: is given beside source.host; leave one of them out\n"
                "F: sqlite.file: is missing; it is the database file that the rows go to\n");
}

static void test_settings__a_secret_in_plain_text_is_refused_and_not_repeated(void **state)
{
    (void)state;
    assert_refused("source.password: hunter2\n",
                   "F:9: source.password: must not stand in the file; write ${NAME} to take it from the "
                   "environment, or use the key with _file behind it\n");
    assert_refused("source.password: x${KAKEHI_TEST_SECRET}\n",
                   "F:9: source.password: must not stand in the file; write ${NAME} to take it "
                   "from the environment, or use the key with _file behind it\n");
    assert_refused("worker.kafka: {ssl.keystore.password: hunter2}\n",
                   "F:9: worker.kafka.ssl.keystore.password: must not stand in the file; write ${NAME} to take it from the "
                   "environment, or use "
                   "the key with _file behind it\n");
}

static void test_settings__a_secret_in_a_wrong_place_is_not_repeated(void **state)
{
    (void)state;
    assert_refused("source.port: ${KAKEHI_TEST_SECRET}\n", "F:9: source.port: is not a whole number\n");
    assert_refused("log.level: ${KAKEHI_TEST_SECRET}\n", "F:9: log.level: is not one of error, warn, info, debug\n");
}

static void test_settings__an_unset_variable_is_refused(void **state)
{
    (void)state;
    assert_refused(
        "source.tls_ca: ${KAKEHI_TEST_UNSET}\n",
        "F:9: source.tls_ca: the environment variable KAKEHI_TEST_UNSET is not set; set it, or write $${ for a plain ${\n");
    assert_refused("source.tls_ca: /etc/${1}\n",
                   "F:9: source.tls_ca: holds a '${' that does not begin a ${NAME}; write $${ for a plain ${\n");
    assert_refused("source.tls_ca: \"${KAKEHI_TEST_SECRET\"\n",
                   "F:9: source.tls_ca: holds a '${' that does not begin a ${NAME}; write $${ for a plain ${\n");
    assert_refused("source.tls_ca: ${KAKEHI_TEST_EMPTY}\n",
                   "F:9: source.tls_ca: is empty; give it a value, or leave the key out\n");
}

static void test_settings__a_key_given_twice_is_refused(void **state)
{
    (void)state;
    assert_refused("source.name: other\n", "F:9: source.name: is given twice; the first is in line 4\n");
    assert_refused("kafka.bootstrap.servers: other:9092\n",
                   "F:9: kafka.bootstrap.servers: is given twice; the first is in line 2\n");
    assert_refused("source.password: ${KAKEHI_TEST_SECRET}\nsource.password_file: /x\n",
                   "F:10: source.password_file: is given twice; the first is in line 9\n");
    assert_refused("kafka.sasl.password: ${KAKEHI_TEST_SECRET}\nkafka.sasl.password_file: /x\n",
                   "F:10: kafka.sasl.password_file: is given twice; the first is in line 9\n");
}

static void test_settings__a_size_has_limits_and_a_known_unit(void **state)
{
    (void)state;
    assert_refused("producer.memory: 15MiB\n", "F:9: producer.memory: is out of its limits; take 16MiB to 64GiB\n");
    assert_refused("producer.memory: 65GiB\n", "F:9: producer.memory: is out of its limits; take 16MiB to 64GiB\n");
    assert_refused("producer.memory: 48MB\n", "F:9: producer.memory: is not a size; write bytes, or 64KiB, 16MiB, 1GiB\n");
    assert_refused("producer.memory: -1\n", "F:9: producer.memory: is not a size; write bytes, or 64KiB, 16MiB, 1GiB\n");
    assert_refused("producer.memory: 1.5GiB\n", "F:9: producer.memory: is not a size; write bytes, or 64KiB, 16MiB, 1GiB\n");
    assert_refused("producer.memory: 999999999999999999GiB\n",
                   "F:9: producer.memory: is not a size; write bytes, or 64KiB, 16MiB, 1GiB\n");
    assert_refused("producer.memory: 99999999999999999999\n",
                   "F:9: producer.memory: is not a size; write bytes, or 64KiB, 16MiB, 1GiB\n");
}

static void test_settings__a_duration_has_limits_and_always_a_unit(void **state)
{
    (void)state;
    assert_refused("worker.stall: 300\n", "F:9: worker.stall: is not a duration; write it like 250ms, 5s, 10m, 12h, 14d\n");
    assert_refused("worker.stall: 5min\n", "F:9: worker.stall: is not a duration; write it like 250ms, 5s, 10m, 12h, 14d\n");
    assert_refused("worker.stall: 2d\n", "F:9: worker.stall: is out of its limits; take 1s to 1d\n");
    assert_refused("producer.transaction.age: 0s\n", "F:9: producer.transaction.age: is out of its limits; take 1ms to 10s\n");
}

static void test_settings__a_choice_is_one_of_its_words(void **state)
{
    (void)state;
    assert_refused("source.tls: yes\n", "F:9: source.tls: is not one of verify, verify_ca, off\n");
    assert_refused("source.on_table_error: skip\n", "F:9: source.on_table_error: is not one of stop, dead_letter\n");
    assert_refused("topics.create: yes\n", "F:9: topics.create: is not true or false\n");
}

static void test_settings__a_pattern_names_database_and_table(void **state)
{
    (void)state;
    assert_refused("source.exclude: [orders]\n",
                   "F:9: source.exclude: is not a pattern database.table (like shop.orders, or \"shop.*\")\n");
    assert_refused("topics.topic: {orders: o}\n",
                   "F:9: topics.topic.orders: is not a pattern database.table (like shop.orders, or \"shop.*\")\n");
    assert_refused("topics.partitions_by_table: {shop.orders: 0}\n",
                   "F:9: topics.partitions_by_table.shop.orders: is out of its limits; take 1 to 1000\n");
}

static void test_settings__a_listening_address_has_a_port(void **state)
{
    (void)state;
    assert_refused("worker.listen: 9465\n", "F:9: worker.listen: is not an address and port like 127.0.0.1:9464\n");
    assert_refused("worker.listen: 127.0.0.1:65536\n", "F:9: worker.listen: is not an address and port like 127.0.0.1:9464\n");
}

static void test_settings__a_value_has_the_right_shape(void **state)
{
    (void)state;
    assert_refused("worker.group: [a, b]\n", "F:9: worker.group: needs one value, not a list\n");
    assert_refused("worker.group: {a: b}\n", "F:9: worker.group: needs one value, not a section\n");
    assert_refused("worker.group:\n", "F:9: worker.group: has no value; give it one, or leave the key out\n");
    assert_refused("worker.group: ''\n", "F:9: worker.group: is empty; give it a value, or leave the key out\n");
    assert_refused("worker.group: \"a\\0b\"\n", "F:9: worker.group: holds a zero byte\n");
    assert_refused("worker: 5\n", "F:9: worker: is a section; it needs keys below it\n");
    assert_refused("worker.kafka: 5\n", "F:9: worker.kafka: is a section; it needs keys below it\n");
    assert_refused("source.exclude: []\n", "F:9: source.exclude: is an empty list; name something, or leave the key out\n");
}

static void test_settings__what_is_no_yaml_mapping_is_refused(void **state)
{
    (void)state;
    assert_null(load("source:\n\tname: x\n"));
    assert_non_null(strstr(errors, "F:2: this is not YAML: "));
    assert_null(load("- a\n"));
    assert_non_null(strstr(errors, "F:1: must be a mapping of keys to values\n"));
    assert_null(load(""));
    assert_non_null(strstr(errors, "F: holds no settings\n"));
    assert_null(load_bytes("a: \xff\n", 5, SETTINGS_FOR_BOTH));
    assert_non_null(strstr(errors, "this is not YAML: "));
    assert_refused("---\nsource: {}\n", "F:10: a second document begins here; there must be one\n");
    assert_refused("? [a]\n: b\n", "F:9: holds a key that is not a word\n");
}

static void test_settings__a_file_that_is_not_there_or_too_large_is_one_error(void **state)
{
    char *large = calloc(1, 2 << 20);
    struct settings *settings;
    FILE *out;

    (void)state;
    memset(large, ' ', 2 << 20);
    assert_null(load_bytes(large, 2 << 20, SETTINGS_FOR_BOTH));
    assert_string_equal(errors, "F: is larger than 1048576 bytes\n");
    free(large);
    free(errors);
    out = open_memstream(&errors, &errors_size);
    settings = settings_load("/nonexistent/kakehi.yaml", SETTINGS_FOR_BOTH, out);
    (void)fclose(out);
    assert_null(settings);
    assert_string_equal(errors, "/nonexistent/kakehi.yaml: can't be read: No such file or directory\n");
}

/* ---- librdkafka's properties */

static void test_settings__an_unknown_property_is_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_refused("kafka.sasl.usrname: x\n",
                   "F:9: kafka.sasl.usrname: is not a property of librdkafka; did you mean sasl.username?\n");
}

static void test_settings__a_property_that_correctness_fixes_is_refused(void **state)
{
    static const char *const fixed[] = {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "transactional.id",
        "group.id",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "partitioner",
        "delivery.report.only.error",
    };
    static const char *const values[] = {"true", "true", "latest", "read_uncommitted", "x",   "x",
                                         "1",    "1",    "false",  "random",           "true"};
    static const char *const sections[] = {"kafka", "producer.kafka", "worker.kafka"};
    char line[512];
    char expected[128];

    (void)state;
    for (size_t index = 0; index < sizeof fixed / sizeof fixed[0]; index++) {
        for (size_t section = 0; section < 3; section++) {
            (void)snprintf(line, sizeof line, MINIMAL SQLITE "%s.%s: %s\n", sections[section], fixed[index], values[index]);
            (void)snprintf(expected, sizeof expected, "F:9: %s.%s: can't be set: ", sections[section], fixed[index]);
            assert_null(load(line));
            assert_int_equal(strncmp(errors, expected, strlen(expected)), 0);
        }
    }
}

static void test_settings__a_property_above_its_budget_is_refused_by_any_name(void **state)
{
    (void)state;
    assert_refused(
        "producer.kafka.queue.buffering.max.kbytes: 16385\n",
        "F:9: producer.kafka.queue.buffering.max.kbytes: is above its memory ceiling; take at most 16384, or leave it out\n");
    assert_refused("kafka.fetch.max.bytes: 0x400001\n",
                   "F:9: kafka.fetch.max.bytes: is above its memory ceiling; take at most 4194304, or leave it out\n");
    assert_refused(
        "worker.kafka.fetch.message.max.bytes: 524289\n",
        "F:9: worker.kafka.fetch.message.max.bytes: is above its memory ceiling; take at most 524288, or leave it out\n");
    assert_refused(
        "kafka.queue.buffering.max.messages: 0\n", /* 0 means no limit */
        "F:9: kafka.queue.buffering.max.messages: is above its memory ceiling; take at most 50000, or leave it out\n");
}

static void test_settings__a_budget_is_not_broken_by_large_messages(void **state)
{
    struct settings *settings;

    (void)state;
    assert_refused("kafka.message.max.bytes: 8000000\n",
                   "F:9: kafka.message.max.bytes: would raise the worker's fetch.max.bytes above its "
                   "memory ceiling; set producer.kafka.message.max.bytes instead\n");
    settings = load_more("producer.kafka.message.max.bytes: 8000000\n");
    settings_free(settings);
}

static void test_settings__a_property_value_is_checked_by_librdkafka(void **state)
{
    (void)state;
    assert_null(load(MINIMAL SQLITE "kafka.session.timeout.ms: soon\n"));
    assert_non_null(strstr(errors, "F:9: kafka.session.timeout.ms: is refused by librdkafka: "));
    assert_null(load(MINIMAL SQLITE "kafka.compression.type: best\n"));
    assert_non_null(strstr(errors, "F:9: kafka.compression.type: is refused by librdkafka: "));
}

static void test_settings__what_a_small_broker_needs_passes(void **state)
{
    struct settings *settings;

    (void)state;
    settings = load_more("kafka:\n  session.timeout.ms: 6000\n  heartbeat.interval.ms: 1000\n  fetch.wait.max.ms: 10\n"
                         "  partition.assignment.strategy: range\n  compression.type: lz4\n  message.max.bytes: 4194304\n"
                         "  fetch.max.bytes: 1048576\nworker:\n  kafka: {queued.max.messages.kbytes: 1024}\n");
    assert_string_equal(text_pairs_get(&settings->kafka, "session.timeout.ms"), "6000");
    assert_string_equal(text_pairs_get(&settings->kafka, "bootstrap.servers"), "broker:9092");
    assert_string_equal(text_pairs_get(&settings->worker.kafka, "queued.max.messages.kbytes"), "1024");
    settings_free(settings);
}

/* ---- rules between settings */

static void test_settings__host_and_socket_exclude_each_other_and_one_is_needed(void **state)
{
    (void)state;
    assert_refused("source.socket: /run/mysqld.sock\n",
                   "F:9: source.socket: is given beside source.host; leave one of them out\n");
    assert_null(load("kafka.bootstrap.servers: b\nsource: {name: shop, user: k, tables: shop.*}\nsqlite.file: x\n"));
    assert_string_equal(errors, "F: source.host: is missing; give the server's host, or source.socket for a local one\n");
}

static void test_settings__memory_holds_what_it_must(void **state)
{
    (void)state;
    assert_refused("producer.transaction.bytes: 64MiB\n",
                   "F:9: producer.transaction.bytes: is larger than producer.memory; a transaction must fit in\n");
    assert_refused("worker.batch.bytes: 60MiB\n",
                   "F:9: worker.batch.bytes: does not fit into worker.memory beside worker.dedupe.memory; make "
                   "one of them smaller, or the memory larger\n");
}

static void test_settings__a_transaction_is_younger_than_the_brokers_patience(void **state)
{
    (void)state;
    assert_refused(
        "producer: {transaction.age: 10s, kafka.transaction.timeout.ms: 15000}\n",
        "F:9: producer.transaction.age: is more than half of kafka's transaction.timeout.ms; the broker would abort before the "
        "commit\n");
}

/* The producer takes the same constant: without a setting, the oldest transaction that settings allow must fit into it. */
static void test_settings__the_oldest_transaction_fits_into_the_time_out_without_a_setting(void **state)
{
    struct settings *settings = load_more("producer.transaction.age: 10s\n");

    (void)state;
    assert_true(2 * settings->producer.transaction_age_ms <= strtoll(KAFKA_TRANSACTION_TIMEOUT_MS, NULL, 10));
    settings_free(settings);
}

static void test_settings__a_certificate_without_tls_is_refused(void **state)
{
    (void)state;
    assert_refused("source: {tls: off, tls_ca: /ca.pem}\n",
                   "F:9: source.tls_ca: is given although source.tls is off; leave one of them out\n");
}

static void test_settings__a_registry_has_a_plain_url_and_a_whole_sign_in(void **state)
{
    static const char *const bad[] = {"registry:8081", "ftp://example.com", "https://%u:%p@example.com", "https://example.com?x=1", "http://example.com/#a",
                                      "http://a.example,http://b.example"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "registry.url: '%s'\n", bad[i]);
        assert_refused(text, "F:9: registry.url: is no plain URL; give it like https://registry.example:8081, with a base path if there is one, "
                             "several as a list, and the user by registry.user\n");
    }
    assert_refused("registry.url: ['http://a.example', 'b.example']\n",
                   "F:9: registry.url: is no plain URL; give it like https://registry.example:8081, with a base path if there is one, several as a "
                   "list, and the user by registry.user\n");
    assert_refused("registry: {ca_file: /ca.pem}\n", "F: registry.url: is missing, though other settings of the registry are given\n");
    assert_refused("registry: {url: 'http://example.com', user: u}\n",
                   "F: registry.password: and registry.user belong together; give both, or leave both out\n");
    assert_refused("registry: {url: 'http://example.com', key_file: k}\n", "F: registry.certificate_file: is missing beside registry.key_file\n");
    settings_free(load_more("registry: {url: 'http://example.com:8081/apis/ccompat/v7', certificate_file: c}\n"));
    settings_free(load_more("registry: {url: ['https://a.example:8081', 'https://b.example:8081']}\n"));
}

static void test_settings__bigquery_needs_a_project_and_a_view_that_survives_expiry(void **state)
{
    (void)state;
    assert_refused("warehouse: bigquery\n", "F: bigquery.project: is missing; it is the project that holds the datasets\n");
    assert_refused("bigquery: {partition_expiration: 30d, view: {\"shop.*\": base}}\n",
                   "F:9: bigquery.partition_expiration: needs the view base for all tables (bigquery.view: {\"*.*\": base}); a row that "
                   "does not change for that long would leave a plain view\n");
    assert_refused("bigquery: {partition_expiration: 3d, view: {\"*.*\": base}}\n",
                   "F:9: bigquery.partition_expiration: is shorter than 4d; a day's rows are merged into the base until two days "
                   "after it\n");
    assert_refused("bigquery.method: {\"shop.*\": fast}\n", "F:9: bigquery.method.shop.*: is not one of auto, append, load\n");
    assert_refused("freshness: {shop.orders: soon}\n",
                   "F:9: freshness.shop.orders: is not a duration; write it like 250ms, 5s, 10m, 12h, 14d\n");
    assert_refused("freshness: {shop.orders: 1ms}\n", "F:9: freshness.shop.orders: is out of its limits; take 100ms to 7d\n");
}

static void test_settings__the_first_pattern_that_matches_decides_for_a_table(void **state)
{
    struct settings *settings = load_more("freshness: {shop.orders: 15m, \"shop.*\": 6h}\n"
                                                         "bigquery: {method: {shop.orders: load}, view: {\"*.*\": base}}\n");

    (void)state;
    assert_non_null(settings);
    assert_int_equal(settings_freshness_ms(settings, "shop.orders"), 15 * 60 * 1000);
    assert_int_equal(settings_freshness_ms(settings, "shop.items"), 6 * 60 * 60 * 1000);
    assert_int_equal(settings_freshness_ms(settings, "crm.leads"), 1000);
    assert_int_equal(settings_bigquery_method(settings, "shop.orders"), BIGQUERY_LOAD);
    assert_int_equal(settings_bigquery_method(settings, "crm.leads"), BIGQUERY_AUTO);
    assert_int_equal(settings_bigquery_view(settings, "crm.leads"), BIGQUERY_VIEW_BASE);
    settings_free(settings);
}

static void test_settings__one_value_is_that_of_all_tables_and_columns(void **state)
{
    struct settings *settings = load_more("freshness: 5s\nsource.datetime_zone: ${KAKEHI_TEST_ZONE}\nsource: {unrepresentable: text}\n"
                                          "bigquery: {method: load, view: base, require_partition_filter: true}\n");

    (void)state;
    assert_int_equal(settings_freshness_ms(settings, "shop.orders"), 5000);
    assert_string_equal(text_pairs_match(&settings->source.datetime_zone, "shop.orders.placed"), "Asia/Tokyo");
    assert_string_equal(text_pairs_match(&settings->source.unrepresentable, "shop.orders.placed"), "text");
    assert_int_equal(settings_bigquery_method(settings, "crm.leads"), BIGQUERY_LOAD);
    assert_int_equal(settings_bigquery_view(settings, "crm.leads"), BIGQUERY_VIEW_BASE);
    settings_free(settings);
}

static void test_settings__one_value_for_all_is_checked_as_each_is(void **state)
{
    (void)state;
    assert_refused("freshness: 5\n", "F:9: freshness: is not a duration; write it like 250ms, 5s, 10m, 12h, 14d\n");
    assert_refused("bigquery.view: fancy\n", "F:9: bigquery.view: is not one of plain, base\n");
    assert_refused("freshness:\n", "F:9: freshness: has no value; give it one, or leave the key out\n");
    assert_refused("freshness: [1s]\n", "F:9: freshness: needs one value, not a list\n");
}

/* Which of the two were meant nobody knows: the order of patterns decides. */
static void test_settings__one_value_for_all_stands_alone(void **state)
{
    (void)state;
    assert_refused("freshness: 5s\nfreshness: 6s\n", "F:10: freshness: is given twice; the first is in line 9\n");
    assert_refused("freshness: 5s\nfreshness.shop.orders: 1s\n",
                   "F:10: freshness.shop.orders: stands beside a value for all; give that one as the last of the patterns, \"*.*\"\n");
    assert_refused("source.datetime_zone.shop.orders.placed: Asia/Tokyo\nsource.datetime_zone: Europe/Berlin\n",
                   "F:10: source.datetime_zone: stands beside a value for all; give that one as the last of the patterns, \"*\"\n");
}

static void test_settings__topics_have_no_value_for_all_tables_by_pattern(void **state)
{
    (void)state;
    assert_refused("topics.topic: all\n", "F:9: topics.topic: is a section; it needs keys below it\n");
    assert_refused("topics.partitions_by_table: 4\n", "F:9: topics.partitions_by_table: is a section; it needs keys below it\n");
    assert_refused("bigquery.labels: x\n", "F:9: bigquery.labels: is a section; it needs keys below it\n");
}

static void test_settings__tables_keep_names_of_their_own_in_sqlite(void **state)
{
    (void)state;
    assert_refused("sqlite.table: all\n", "F:9: sqlite.table: does not hold {table}: all tables would have one name\n");
}

/* ---- what is right */

static void test_settings__a_first_producer_needs_eight_lines_at_most(void **state)
{
    struct settings *settings = load_bytes(MINIMAL, strlen(MINIMAL), SETTINGS_FOR_PRODUCER);

    (void)state;
    assert_string_equal(errors, "");
    assert_string_equal(settings->prefix, "kakehi");
    assert_int_equal(settings->log.format, LOG_LOGFMT);
    assert_int_equal(settings->log.level, LOG_INFO);
    assert_true(settings->topics.create);
    assert_int_equal(settings->topics.replication, 0);
    assert_int_equal(settings->topics.retention_ms, INT64_C(14) * 86400000);
    assert_string_equal(settings->source.name, "shop");
    assert_int_equal(settings->source.port, 3306);
    assert_int_equal(settings->source.tls, TLS_VERIFY);
    assert_null(settings->source.password);
    assert_string_equal(settings->source.start, "current");
    assert_int_equal(settings->source.heartbeat_ms, 5000);
    assert_string_equal(settings->producer.listen, "127.0.0.1:9464");
    assert_int_equal(settings->producer.memory_bytes, 48 << 20);
    assert_int_equal(settings->producer.transaction_bytes, 16 << 20);
    assert_int_equal(settings->producer.transaction_age_ms, 250);
    assert_int_equal(settings->producer.position_interval_ms, 5000);
    assert_int_equal(settings->source.tables.count, 1);
    settings_free(settings);
}

static void test_settings__a_first_worker_needs_two_lines(void **state)
{
    const char *text = "kafka.bootstrap.servers: broker:9092\nsqlite.file: shop.db\n";
    struct settings *settings = load_bytes(text, strlen(text), SETTINGS_FOR_WORKER);

    (void)state;
    assert_string_equal(errors, "");
    assert_string_equal(settings->worker.listen, "127.0.0.1:9465");
    assert_int_equal(settings->worker.batch_rows, 5000);
    assert_int_equal(settings->worker.batch_bytes, 4 << 20);
    assert_int_equal(settings->worker.batch_age_ms, 1000);
    assert_int_equal(settings->worker.dedupe_window, 20000);
    assert_int_equal(settings->worker.dedupe_bytes, 8 << 20);
    assert_int_equal(settings->worker.stall_ms, 300000);
    assert_int_equal(settings->warehouse, WAREHOUSE_SQLITE);
    assert_string_equal(settings->sqlite_file, "shop.db");
    assert_string_equal(settings->sqlite_table, "{table}");
    settings_free(settings);
}

static void test_settings__paths_may_be_nested_or_written_out(void **state)
{
    struct settings *settings;

    (void)state;
    settings = load_more(
        "topics:\n  partitions_by_table: {\"shop.*\": 3, big.t: 6}\n  topic.shop.orders: other.name\nworker.batch: {rows: 7}\n"
        "worker: {batch.age: 2s, dedupe: {window: 0}}\nsource.exclude: [shop.a, \"shop.b*\"]\n");
    assert_string_equal(text_pairs_get(&settings->topics.partitions_by_table, "shop.*"), "3");
    assert_string_equal(settings->topics.partitions_by_table.pairs[0].key, "shop.*"); /* the order is the file's */
    assert_string_equal(text_pairs_get(&settings->topics.topic, "shop.orders"), "other.name");
    assert_int_equal(settings->worker.batch_rows, 7);
    assert_int_equal(settings->worker.batch_age_ms, 2000);
    assert_int_equal(settings->worker.dedupe_window, 0);
    assert_int_equal(settings->source.exclude.count, 2);
    settings_free(settings);
}

static void test_settings__the_environment_is_put_in_anywhere(void **state)
{
    struct settings *settings;

    (void)state;
    settings = load_more("source: {tls_ca: \"/a/${KAKEHI_TEST_SECRET}/$${b}$c\"}\n");
    assert_string_equal(settings->source.tls_ca, "/a/hunter2/${b}$c");
    settings_free(settings);
}

static void test_settings__a_secret_comes_from_the_environment_or_a_file(void **state)
{
    struct settings *settings;

    (void)state;
    settings = load_more("source.password: ${KAKEHI_TEST_SECRET}\n");
    assert_string_equal(settings->source.password, "hunter2");
    settings_free(settings);
    write_file(secret, "two words ${X}\r\n", strlen("two words ${X}\r\n"));
    settings =
        load_more("source.password_file: ${KAKEHI_TEST_SECRET_FILE}\nkafka.sasl.password_file: ${KAKEHI_TEST_SECRET_FILE}\n");
    assert_string_equal(settings->source.password, "two words ${X}"); /* as it stands there, but for the line's end */
    assert_string_equal(text_pairs_get(&settings->kafka, "sasl.password"), "two words ${X}");
    assert_null(text_pairs_get(&settings->kafka, "sasl.password_file"));
    settings_free(settings);
}

static void test_settings__a_secret_file_that_is_wrong_is_refused(void **state)
{
    const char *with_it = MINIMAL SQLITE "source.password_file: ${KAKEHI_TEST_SECRET_FILE}\n";

    (void)state;
    assert_refused("source.password_file: /nonexistent\n",
                   "F:9: source.password_file: /nonexistent can't be read: No such file or directory\n");
    write_file(secret, "\n", 1);
    assert_null(load(with_it));
    assert_non_null(strstr(errors, " is empty\n"));
    write_file(secret, "a\0b", 3);
    assert_null(load(with_it));
    assert_non_null(strstr(errors, " holds a zero byte: is it the right file?\n"));
}

/* ---- what is printed */

static char *print_settings(const struct settings *settings)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    settings_print(settings, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_settings__printed_hold_no_secret(void **state)
{
    struct settings *settings;
    char *text;

    (void)state;
    settings = load_more("source.password: ${KAKEHI_TEST_SECRET}\nworker.kafka.sasl.password: ${KAKEHI_TEST_SECRET}\n");
    text = print_settings(settings);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\nsource.password: \"(secret)\"\n"));
    assert_non_null(strstr(text, "\n\"worker.kafka.sasl.password\": \"(secret)\"\n"));
    free(text);
    settings_free(settings);
}

static void test_settings__printed_can_be_loaded_again(void **state)
{
    struct settings *settings;
    char *first;
    char *second;

    (void)state;
    settings =
        load_more("source.tls_ca: \"/a \\\" \\\\ b\"\ntopics.topic: {shop.a: b}\ntopics.retention: 36h\nkafka.client.id: x\n");
    first = print_settings(settings);
    settings_free(settings);
    settings = load(first);
    assert_string_equal(errors, "");
    second = print_settings(settings);
    assert_string_equal(first, second);
    free(first);
    free(second);
    settings_free(settings);
}

static void test_settings__patterns_of_columns_have_three_parts_or_a_star(void **state)
{
    struct settings *settings =
        load_more("source.unrepresentable: {shop.orders.placed: \"null\", \"*\": text}\nsource.datetime_zone: {\"shop.*\": Asia/Tokyo}\n"
                  "source.wide_decimals: {shop.orders.price: dead_letter}\n");

    (void)state;
    assert_string_equal(text_pairs_match(&settings->source.unrepresentable, "shop.orders.placed"), "null");
    assert_string_equal(text_pairs_match(&settings->source.unrepresentable, "shop.orders.paid"), "text");
    assert_string_equal(text_pairs_match(&settings->source.datetime_zone, "shop.orders.paid"), "Asia/Tokyo");
    assert_string_equal(text_pairs_match(&settings->source.wide_decimals, "shop.orders.price"), "dead_letter");
    assert_null(text_pairs_match(&settings->source.wide_decimals, "shop.orders.paid"));
    settings_free(settings);
    assert_refused("source.unrepresentable: {shop.orders: \"null\"}\n",
                   "F:9: source.unrepresentable.shop.orders: is not a pattern database.table.column (like shop.orders.placed, \"shop.*\" "
                   "or \"*\")\n");
}

/* YAML's null may be somebody's "not set", so it is not taken for the choice of that name. */
static void test_settings__the_choice_null_must_be_quoted(void **state)
{
    static const char hint[] =
        "has no value; give it one (of the word null YAML makes none: write \"null\" where it is meant), or leave the key out\n";
    char words[256];
    struct settings *settings = load_more("source.unrepresentable: 'null'\n");

    (void)state;
    assert_string_equal(text_pairs_match(&settings->source.unrepresentable, "shop.orders.placed"), "null");
    settings_free(settings);
    (void)snprintf(words, sizeof words, "F:9: source.unrepresentable: %s", hint);
    assert_refused("source.unrepresentable: null\n", words);
    (void)snprintf(words, sizeof words, "F:9: source.unrepresentable.shop.*: %s", hint);
    assert_refused("source.unrepresentable: {\"shop.*\": null}\n", words);
    assert_refused("source.unrepresentable: ~\n", "F:9: source.unrepresentable: has no value; give it one, or leave the key out\n");
}

/* Both come from the table: one that leaves a key out would be found here. */
static void test_settings__help_and_page_name_every_key_of_the_print(void **state)
{
    char *texts[2] = {NULL, NULL};
    size_t size;
    FILE *help = open_memstream(&texts[0], &size);
    FILE *page = open_memstream(&texts[1], &size);

    (void)state;
    settings_print_help(help);
    settings_print_markdown(page);
    (void)fclose(help);
    (void)fclose(page);
    assert_non_null(strstr(texts[0], "  producer.memory  (size, 16MiB to 64GiB; default 48MiB)\n"));
    assert_non_null(strstr(texts[0], "  source.password  (text, secret: as ${NAME}, or by source.password_file)\n"));
    assert_non_null(strstr(texts[0], "  sqlite.file  (text)\n"));
    assert_non_null(strstr(texts[1], "\n| `producer.memory` | size, 16MiB to 64GiB | `48MiB` | "));
    assert_non_null(strstr(texts[1], "\n| `sqlite.file` | text |  | "));
    free(texts[0]);
    free(texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings__an_unknown_key_is_refused_with_the_nearest),
        cmocka_unit_test(test_settings__all_errors_are_told_at_once_with_their_lines),
        cmocka_unit_test(test_settings__a_secret_in_plain_text_is_refused_and_not_repeated),
        cmocka_unit_test(test_settings__a_secret_in_a_wrong_place_is_not_repeated),
        cmocka_unit_test(test_settings__an_unset_variable_is_refused),
        cmocka_unit_test(test_settings__a_key_given_twice_is_refused),
        cmocka_unit_test(test_settings__a_size_has_limits_and_a_known_unit),
        cmocka_unit_test(test_settings__a_duration_has_limits_and_always_a_unit),
        cmocka_unit_test(test_settings__a_choice_is_one_of_its_words),
        cmocka_unit_test(test_settings__a_pattern_names_database_and_table),
        cmocka_unit_test(test_settings__a_listening_address_has_a_port),
        cmocka_unit_test(test_settings__a_value_has_the_right_shape),
        cmocka_unit_test(test_settings__what_is_no_yaml_mapping_is_refused),
        cmocka_unit_test(test_settings__a_file_that_is_not_there_or_too_large_is_one_error),
        cmocka_unit_test(test_settings__an_unknown_property_is_refused_with_the_nearest),
        cmocka_unit_test(test_settings__a_property_that_correctness_fixes_is_refused),
        cmocka_unit_test(test_settings__a_property_above_its_budget_is_refused_by_any_name),
        cmocka_unit_test(test_settings__a_budget_is_not_broken_by_large_messages),
        cmocka_unit_test(test_settings__a_property_value_is_checked_by_librdkafka),
        cmocka_unit_test(test_settings__what_a_small_broker_needs_passes),
        cmocka_unit_test(test_settings__host_and_socket_exclude_each_other_and_one_is_needed),
        cmocka_unit_test(test_settings__memory_holds_what_it_must),
        cmocka_unit_test(test_settings__a_transaction_is_younger_than_the_brokers_patience),
        cmocka_unit_test(test_settings__the_oldest_transaction_fits_into_the_time_out_without_a_setting),
        cmocka_unit_test(test_settings__a_certificate_without_tls_is_refused),
        cmocka_unit_test(test_settings__a_registry_has_a_plain_url_and_a_whole_sign_in),
        cmocka_unit_test(test_settings__one_value_is_that_of_all_tables_and_columns),
        cmocka_unit_test(test_settings__one_value_for_all_is_checked_as_each_is),
        cmocka_unit_test(test_settings__one_value_for_all_stands_alone),
        cmocka_unit_test(test_settings__topics_have_no_value_for_all_tables_by_pattern),
        cmocka_unit_test(test_settings__tables_keep_names_of_their_own_in_sqlite),
        cmocka_unit_test(test_settings__bigquery_needs_a_project_and_a_view_that_survives_expiry),
        cmocka_unit_test(test_settings__the_first_pattern_that_matches_decides_for_a_table),
        cmocka_unit_test(test_settings__a_first_producer_needs_eight_lines_at_most),
        cmocka_unit_test(test_settings__a_first_worker_needs_two_lines),
        cmocka_unit_test(test_settings__paths_may_be_nested_or_written_out),
        cmocka_unit_test(test_settings__the_environment_is_put_in_anywhere),
        cmocka_unit_test(test_settings__a_secret_comes_from_the_environment_or_a_file),
        cmocka_unit_test(test_settings__a_secret_file_that_is_wrong_is_refused),
        cmocka_unit_test(test_settings__printed_hold_no_secret),
        cmocka_unit_test(test_settings__printed_can_be_loaded_again),
        cmocka_unit_test(test_settings__patterns_of_columns_have_three_parts_or_a_star),
        cmocka_unit_test(test_settings__the_choice_null_must_be_quoted),
        cmocka_unit_test(test_settings__help_and_page_name_every_key_of_the_print),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}

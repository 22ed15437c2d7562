/* SPDX-License-Identifier: Apache-2.0 */
/* No broker: what is tested is which configuration librdkafka would get, and how its errors are sorted. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/kafka.h"
#include "common/log.h"
#include "tests/unit/capture.h"

static const char *value_of(const rd_kafka_conf_t *conf, const char *name)
{
    static char value[256];
    size_t size = sizeof value;

    assert_int_equal(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    return value;
}

static void assert_property_refused(const char *name, const char *value, const char *part)
{
    struct err err = {0};

    assert_int_equal(kafka_property_check(name, value, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
    if (strstr(err.text, part) == NULL) {
        fail_msg("%s: no \"%s\" in: %s", name, part, err.text);
    }
}

static void test_kafka__a_property_must_be_known(void **state)
{
    (void)state;
    assert_property_refused("compresion.type", "lz4", "did you mean compression.type?");
    assert_property_refused("no.such.thing.at.all", "1", "is not a property of librdkafka");
}

static void test_kafka__a_fixed_property_is_refused_even_with_the_value_we_use(void **state)
{
    (void)state;
    assert_property_refused("acks", "all", "can't be set");
    assert_property_refused("enable.auto.commit", "false", "can't be set");
    assert_property_refused("isolation.level", "read_committed", "can't be set");
    assert_property_refused("test.mock.num.brokers", "3", "can't be set");
}

static void test_kafka__a_budget_may_be_lowered_only(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(kafka_property_check("queued.max.messages.kbytes", "16384", &err), 0);
    assert_int_equal(kafka_property_check("queued.max.messages.kbytes", "1", &err), 0);
    assert_property_refused("queued.max.messages.kbytes", "16385", "at most 16384");
    assert_property_refused("queued.min.messages", "100000", "at most 30000");
    assert_property_refused("queue.buffering.max.messages", "0", "at most 50000");
}

/* The budgets themselves must pass the rule that they make. */
static void test_kafka__its_own_budgets_are_within_the_budgets(void **state)
{
    const struct text_pairs *lists[] = {&kafka_producer_budget, &kafka_consumer_budget};
    struct err err = {0};

    (void)state;
    for (size_t list = 0; list < 2; list++) {
        assert_true(lists[list]->count > 0);
        for (size_t index = 0; index < lists[list]->count; index++) {
            assert_int_equal(kafka_property_check(lists[list]->pairs[index].key, lists[list]->pairs[index].value, &err), 0);
        }
    }
}

static void test_kafka__an_error_never_holds_a_secret(void **state)
{
    struct text_pairs pairs = {0};
    const struct text_pairs *lists[] = {&pairs, NULL};
    rd_kafka_conf_t *conf;
    struct err err = {0};

    (void)state;
    assert_true(kafka_property_is_secret("sasl.password"));
    assert_true(kafka_property_is_secret("ssl.key.password"));
    assert_true(kafka_property_is_secret("ssl.keystore.password"));
    assert_true(kafka_property_is_secret("sasl.oauthbearer.client.secret"));
    assert_false(kafka_property_is_secret("sasl.username"));
    text_pairs_set(&pairs, "no.such.property", "hunter2");
    assert_int_equal(kafka_conf_new(lists, &conf, &err), -1);
    assert_null(strstr(err.text, "hunter2"));
    text_pairs_deinit(&pairs);
}

static void test_kafka__a_later_list_wins(void **state)
{
    struct text_pairs shared = {0};
    struct text_pairs own = {0};
    const struct text_pairs *lists[] = {&kafka_consumer_budget, &shared, &own, NULL};
    rd_kafka_conf_t *conf = NULL;
    struct err err = {0};

    (void)state;
    text_pairs_set(&shared, "fetch.max.bytes", "2000000");
    text_pairs_set(&shared, "fetch.message.max.bytes", "1000"); /* the other name of max.partition.fetch.bytes */
    text_pairs_set(&own, "fetch.max.bytes", "1000000");
    assert_int_equal(kafka_conf_new(lists, &conf, &err), 0);
    assert_string_equal(value_of(conf, "fetch.max.bytes"), "1000000");
    assert_string_equal(value_of(conf, "fetch.message.max.bytes"), "1000");
    assert_string_equal(value_of(conf, "queued.max.messages.kbytes"), "16384");
    rd_kafka_conf_destroy(conf);
    text_pairs_deinit(&shared);
    text_pairs_deinit(&own);
}

static void test_kafka__a_refused_property_is_named(void **state)
{
    struct text_pairs pairs = {0};
    const struct text_pairs *lists[] = {&pairs, NULL};
    rd_kafka_conf_t *conf = NULL;
    struct err err = {0};

    (void)state;
    text_pairs_set(&pairs, "session.timeout.ms", "soon");
    assert_int_equal(kafka_conf_new(lists, &conf, &err), -1);
    assert_null(conf);
    assert_int_equal(err.class, ERR_FATAL);
    assert_non_null(strstr(err.text, "session.timeout.ms"));
    text_pairs_deinit(&pairs);
}

/* Where the log goes: a handle that nobody answers to says so within a moment. */
static void test_kafka__its_log_comes_as_ours_and_is_never_an_error(void **state)
{
    struct text_pairs pairs = {0};
    const struct text_pairs *lists[] = {&pairs, NULL};
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *handle;
    struct err err = {0};
    char words[256];
    const char *text;

    (void)state;
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    text_pairs_set(&pairs, "acks", "1"); /* a consumer has no use for it: CONFWARN */
    text_pairs_set(&pairs, "client.id", "kakehi");
    assert_int_equal(kafka_conf_new(lists, &conf, &err), 0);
    capture_start(STDERR_FILENO);
    handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
    assert_non_null(handle);
    rd_kafka_destroy(handle);
    text = capture_end(STDERR_FILENO);
    assert_non_null(strstr(text, " debug kafka client=\"kakehi#consumer-1\" facility=\"CONFWARN\" text="));
    assert_null(strstr(text, " error "));
    text_pairs_deinit(&pairs);
}

static void test_kafka__errors_are_sorted(void **state)
{
    (void)state;
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR_NO_ERROR), ERR_NONE);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR__TRANSPORT), ERR_RETRY);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION), ERR_RETRY);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH), ERR_RETRY);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR__FENCED), ERR_RETRY);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), ERR_POISON);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR__AUTHENTICATION), ERR_FATAL);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), ERR_FATAL);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE), ERR_FATAL);
    assert_int_equal(kafka_error_class(RD_KAFKA_RESP_ERR__DESTROY), ERR_CANCELED);
}

static void test_kafka__an_error_says_what_was_done(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(kafka_err_set(&err, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, "committing"), -1);
    assert_int_equal(err.class, ERR_RETRY);
    assert_int_equal(strncmp(err.text, "committing: Broker: ", 20), 0);
}

/* Rule A10: "a" and "bc" must not be the same as "ab" and "c". */
static void test_kafka__joined_names_differ_when_their_parts_do(void **state)
{
    const char *parts[] = {"kakehi", "shop", "election", NULL};
    const char *hostile[] = {"kakehi|shop", "election", NULL};
    char out[250];
    struct err err = {0};

    (void)state;
    assert_int_equal(kafka_join(out, sizeof out, parts, &err), 0);
    assert_string_equal(out, "kakehi|shop|election");
    assert_int_equal(kafka_join(out, sizeof out, hostile, &err), -1);
    assert_int_equal(err.class, ERR_FATAL);
}

static void test_kafka__a_joined_name_fits_or_fails(void **state)
{
    char large[251];
    const char *parts[] = {"a", large, NULL};
    char out[400];
    struct err err = {0};

    (void)state;
    memset(large, 'x', sizeof large);
    large[247] = '\0'; /* 1 + 1 + 247 = 249 */
    assert_int_equal(kafka_join(out, sizeof out, parts, &err), 0);
    assert_int_equal(strlen(out), 249);
    assert_int_equal(kafka_join(out, 250, parts, &err), 0);
    assert_int_equal(kafka_join(out, 249, parts, &err), -1);
    large[247] = 'x';
    large[248] = '\0';
    assert_int_equal(kafka_join(out, sizeof out, parts, &err), -1);
}

static void test_kafka__librdkafka_waits_by_our_wait(void **state)
{
    (void)state;
    assert_ptr_equal(dlsym(RTLD_DEFAULT, "cnd_timedwait"), (void *)(uintptr_t)cnd_timedwait); /* as a library looks for it */
}

static int wait_ms(int64_t ms)
{
    struct timespec until;
    cnd_t condition;
    mtx_t mutex;
    int64_t ns;
    int result;

    assert_int_equal(timespec_get(&until, TIME_UTC), TIME_UTC);
    ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
    until.tv_nsec = (ns + 1000000000) % 1000000000;
    assert_int_equal(cnd_init(&condition), thrd_success);
    assert_int_equal(mtx_init(&mutex, mtx_plain), thrd_success);
    assert_int_equal(mtx_lock(&mutex), thrd_success);
    do {
        result = cnd_timedwait(&condition, &mutex, &until);
    } while (result == thrd_success); /* nobody signals: that woke by itself */
    assert_int_equal(mtx_unlock(&mutex), thrd_success);
    mtx_destroy(&mutex);
    cnd_destroy(&condition);
    return result;
}

static void test_kafka__a_wait_ends_by_time(void **state)
{
    struct timespec before, after;

    (void)state;
    assert_int_equal(wait_ms(INT64_C(-200000000000)), thrd_timedout); /* before the machine started */
    assert_int_equal(wait_ms(-900), thrd_timedout);
    assert_int_equal(wait_ms(0), thrd_timedout);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    assert_int_equal(wait_ms(20), thrd_timedout);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kafka__librdkafka_waits_by_our_wait),
        cmocka_unit_test(test_kafka__a_wait_ends_by_time),
        cmocka_unit_test(test_kafka__a_property_must_be_known),
        cmocka_unit_test(test_kafka__a_fixed_property_is_refused_even_with_the_value_we_use),
        cmocka_unit_test(test_kafka__a_budget_may_be_lowered_only),
        cmocka_unit_test(test_kafka__its_own_budgets_are_within_the_budgets),
        cmocka_unit_test(test_kafka__an_error_never_holds_a_secret),
        cmocka_unit_test(test_kafka__a_later_list_wins),
        cmocka_unit_test(test_kafka__a_refused_property_is_named),
        cmocka_unit_test(test_kafka__its_log_comes_as_ours_and_is_never_an_error),
        cmocka_unit_test(test_kafka__errors_are_sorted),
        cmocka_unit_test(test_kafka__an_error_says_what_was_done),
        cmocka_unit_test(test_kafka__joined_names_differ_when_their_parts_do),
        cmocka_unit_test(test_kafka__a_joined_name_fits_or_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rule 5.2, and what must not happen: a row dropped that is no duplicate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/dedupe.h"
#include "workers/hash.h"

static struct dedupe_pool pool;

static struct dedupe *make(int64_t window)
{
    pool = (struct dedupe_pool){.limit_bytes = 1 << 20};
    return dedupe_new(&pool, window);
}

static bool seen(struct dedupe *dedupe, char op, const char *source, const char *txid, int64_t seq, int64_t idx, const char *key, int64_t offset)
{
    const struct record_meta meta = {.op = op,
                                     .seq = seq,
                                     .idx = idx,
                                     .source = source,
                                     .source_size = strlen(source),
                                     .txid = txid,
                                     .txid_size = strlen(txid)};

    return dedupe_seen(dedupe, &meta, (const uint8_t *)key, key != NULL ? strlen(key) : 0, offset);
}

static void test_dedupe__drops_the_same_identity_within_w_offsets(void **state)
{
    struct dedupe *dedupe = make(10);

    (void)state;
    assert_false(seen(dedupe, 'c', "s", "t1", 1, 0, "k", 100));
    assert_true(seen(dedupe, 'c', "s", "t1", 1, 0, "k", 110));
    dedupe_free(dedupe);
}

static void test_dedupe__counts_offsets_not_messages(void **state)
{
    struct dedupe *dedupe = make(10);

    (void)state;
    assert_false(seen(dedupe, 'c', "s", "t1", 1, 0, "k", 100));
    assert_false(seen(dedupe, 'c', "s", "t1", 1, 0, "k", 111)); /* one message later, but 11 offsets */
    dedupe_free(dedupe);
}

static void test_dedupe__keeps_what_differs_in_any_part_of_the_identity(void **state)
{
    struct dedupe *dedupe = make(1000);

    (void)state;
    assert_false(seen(dedupe, 'c', "a", "bc", 1, 0, "k", 1));
    assert_false(seen(dedupe, 'c', "ab", "c", 1, 0, "k", 2));
    assert_false(seen(dedupe, 'c', "a", "bc", 1, 1, "k", 3)); /* the other half of a key update (O3) */
    assert_false(seen(dedupe, 'c', "a", "bd", 1, 0, "k", 4));
    dedupe_free(dedupe);
}

static void test_dedupe__remembers_a_duplicate_as_well(void **state)
{
    struct dedupe *dedupe = make(10);

    (void)state;
    assert_false(seen(dedupe, 'c', "s", "t", 1, 0, "k", 0));
    assert_true(seen(dedupe, 'c', "s", "t", 1, 0, "k", 8));
    assert_true(seen(dedupe, 'c', "s", "t", 1, 0, "k", 16)); /* within W of the one at 8 */
    dedupe_free(dedupe);
}

static void test_dedupe__drops_a_read_row_behind_a_newer_change_of_its_key_only(void **state)
{
    struct dedupe *dedupe = make(1000);

    (void)state;
    assert_false(seen(dedupe, 'u', "s", "t1", 50, 2, "k", 1));
    assert_true(seen(dedupe, 'r', "s", "run", 50, 1, "k", 2));
    assert_false(seen(dedupe, 'r', "s", "run", 50, 3, "k", 3));
    assert_false(seen(dedupe, 'r', "s", "run", 10, 4, "other", 4));
    assert_false(seen(dedupe, 'c', "s", "t0", 1, 0, "k", 5)); /* only `r` rows are dropped for their order */
    dedupe_free(dedupe);
}

static void test_dedupe__forgets_everything_at_a_reset(void **state)
{
    struct dedupe *dedupe = make(1000);

    (void)state;
    assert_false(seen(dedupe, 'c', "s", "t", 1, 0, "k", 5));
    dedupe_reset(dedupe);
    assert_false(seen(dedupe, 'c', "s", "t", 1, 0, "k", 5)); /* read again: not a duplicate of itself */
    dedupe_free(dedupe);
}

static void test_dedupe__stays_within_its_share_of_the_memory_and_forgets_the_oldest(void **state)
{
    struct dedupe *dedupe = make(1000000);
    struct dedupe *other;
    char txid[24];
    int64_t offset = 0;

    (void)state;
    pool.limit_bytes = 200000;
    for (; offset < 20000; offset++) {
        (void)snprintf(txid, sizeof txid, "t%lld", (long long)offset);
        assert_false(seen(dedupe, 'c', "s", txid, 1, 0, txid, offset));
        assert_true(dedupe_bytes(dedupe) <= 200000);
    }
    assert_true(seen(dedupe, 'c', "s", txid, 1, 0, "k", offset));
    assert_false(seen(dedupe, 'c', "s", "t0", 1, 0, "k", offset + 1));
    other = dedupe_new(&pool, 10); /* a second partition halves the share */
    assert_false(seen(dedupe, 'c', "s", "new", 1, 0, "k", offset + 2));
    assert_true(dedupe_bytes(dedupe) <= 100000);
    assert_true(seen(dedupe, 'c', "s", txid, 1, 0, "k", offset + 3));
    dedupe_free(other);
    dedupe_free(dedupe);
}

/* Against a list that is searched from end to end. */
static void test_dedupe__agrees_with_the_rule_on_random_logs(void **state)
{
    enum { COUNT = 3000, WINDOW = 200 };
    static int64_t identities[COUNT], offsets[COUNT];
    unsigned seed = 7;
    int64_t offset = 0;
    struct dedupe *dedupe = make(WINDOW);

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        bool expected = false;
        char txid[24];

        offset += 1 + rand_r(&seed) % 3;
        identities[i] = rand_r(&seed) % 300;
        offsets[i] = offset;
        for (int j = 0; j < i; j++) {
            expected = expected || (identities[j] == identities[i] && offset - offsets[j] <= WINDOW);
        }
        (void)snprintf(txid, sizeof txid, "%lld", (long long)identities[i]);
        assert_int_equal(seen(dedupe, 'c', "s", txid, i, 0, txid, offset), expected);
    }
    dedupe_free(dedupe);
}

static void test_hash__is_siphash_2_4_128(void **state) /* the first vectors of the reference implementation */
{
    static const uint8_t bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const struct hash key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    struct hash hash = hash_bytes(&key, bytes, 0);

    (void)state;
    assert_true(hash.low == UINT64_C(0xe6a825ba047f81a3) && hash.high == UINT64_C(0x930255c71472f66d));
    hash = hash_bytes(&key, bytes, 1);
    assert_true(hash.low == UINT64_C(0x44af996bd8c187da) && hash.high == UINT64_C(0x45fc229b11597634));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dedupe__drops_the_same_identity_within_w_offsets),
        cmocka_unit_test(test_dedupe__counts_offsets_not_messages),
        cmocka_unit_test(test_dedupe__keeps_what_differs_in_any_part_of_the_identity),
        cmocka_unit_test(test_dedupe__remembers_a_duplicate_as_well),
        cmocka_unit_test(test_dedupe__drops_a_read_row_behind_a_newer_change_of_its_key_only),
        cmocka_unit_test(test_dedupe__forgets_everything_at_a_reset),
        cmocka_unit_test(test_dedupe__stays_within_its_share_of_the_memory_and_forgets_the_oldest),
        cmocka_unit_test(test_dedupe__agrees_with_the_rule_on_random_logs),
        cmocka_unit_test(test_hash__is_siphash_2_4_128),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

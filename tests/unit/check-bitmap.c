/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bitmaps, against bits in an array of bool. */
#include <check.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/thread.h"
#include "unit/run-case.h"

#include <glib.h>

enum { BITS = 1000 };

static vmmig__bitmap_word *bitmap;
static bool model[BITS];
static GRand *rand_source;

static void set_up(void)
{
    bitmap = vmmig__bitmap_new(BITS);
    memset(model, 0, sizeof model);
    rand_source = g_rand_new_with_seed(1);
}

static void tear_down(void)
{
    g_free(bitmap);
    g_rand_free(rand_source);
}

static uint64_t random_below(uint64_t limit)
{
    return (uint64_t)g_rand_int_range(rand_source, 0, (gint32)limit);
}

static void expect_model(void)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < BITS; i++) {
        ck_assert(vmmig__bitmap_test(bitmap, i) == model[i]);
        count += model[i];
    }
    ck_assert_uint_eq(vmmig__bitmap_count(bitmap, BITS), count);
}

static uint64_t model_assign(uint64_t first, uint64_t count, bool value)
{
    uint64_t changed = 0;

    for (uint64_t i = first; i < first + count; i++) {
        changed += model[i] != value;
        model[i] = value;
    }
    return changed;
}

static uint64_t model_find(uint64_t from, uint64_t limit, bool value)
{
    while (from < limit && model[from] != value)
        from++;
    return from;
}

START_TEST(ranges_are_set_and_cleared_exactly)
{
    for (unsigned round = 0; round < 300; round++) {
        uint64_t first = random_below(BITS);
        uint64_t count = random_below(BITS - first + 1);

        if (round % 2 == 0) {
            ck_assert_uint_eq(vmmig__bitmap_set(bitmap, first, count),
                              model_assign(first, count, true));
        } else {
            ck_assert_uint_eq(vmmig__bitmap_clear(bitmap, first, count),
                              model_assign(first, count, false));
        }
        expect_model();
    }
}
END_TEST

START_TEST(words_are_merged_from_any_bit_on)
{
    for (unsigned round = 0; round < 300; round++) {
        uint64_t words[BITS / 64 + 1], expected = 0;
        uint64_t first = random_below(BITS);
        uint64_t count = random_below(BITS - first + 1);

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
            words[i] = (uint64_t)g_rand_int(rand_source) << 32 |
                       g_rand_int(rand_source);
        }
        for (uint64_t i = 0; i < count; i++) {
            if (words[i / 64] >> i % 64 & 1)
                expected += model_assign(first + i, 1, true);
        }
        ck_assert_uint_eq(vmmig__bitmap_or(bitmap, first, words, count),
                          expected);
        expect_model();
        vmmig__bitmap_clear(bitmap, 0, BITS);
        memset(model, 0, sizeof model);
    }
}
END_TEST

START_TEST(find_and_claim_agree_with_the_bits)
{
    for (unsigned round = 0; round < 300; round++) {
        uint64_t first = random_below(BITS);
        uint64_t limit = first + random_below(BITS - first + 1);
        uint64_t end;

        vmmig__bitmap_set(bitmap, first, limit - first);
        model_assign(first, limit - first, true);
        first = random_below(BITS);
        limit = first + random_below(BITS - first + 1);
        ck_assert_uint_eq(vmmig__bitmap_find(bitmap, first, limit),
                          model_find(first, limit, true));
        ck_assert_uint_eq(vmmig__bitmap_find_clear(bitmap, first, limit),
                          model_find(first, limit, false));
        end = model_find(first, limit, false);
        ck_assert_uint_eq(vmmig__bitmap_claim(bitmap, first, limit),
                          end - first);
        model_assign(first, end - first, false);
        expect_model();
    }
}
END_TEST

enum { SHARED_BITS = 1 << 20 };

struct claimer {
    struct vmmig__thread *thread;
    uint64_t claimed;
};

static void run_claimer(void *data)
{
    struct claimer *claimer = data;

    for (uint64_t at = 0;
         (at = vmmig__bitmap_find(bitmap, at, SHARED_BITS)) < SHARED_BITS;)
        claimer->claimed += vmmig__bitmap_claim(bitmap, at, at + 100);
}

START_TEST(each_bit_is_claimed_by_exactly_one_thread)
{
    struct claimer claimers[4] = {0};
    uint64_t claimed = 0;

    g_free(bitmap);
    bitmap = vmmig__bitmap_new(SHARED_BITS + 100);
    vmmig__bitmap_set(bitmap, 0, SHARED_BITS);
    for (size_t i = 0; i < G_N_ELEMENTS(claimers); i++) {
        ck_assert(vmmig__thread_start(&claimers[i].thread, "claimer", NULL,
                                      run_claimer, &claimers[i], NULL));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(claimers); i++) {
        vmmig__thread_join(claimers[i].thread);
        claimed += claimers[i].claimed;
    }
    ck_assert_uint_eq(claimed, SHARED_BITS);
    ck_assert_uint_eq(vmmig__bitmap_count(bitmap, SHARED_BITS), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("bitmap");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, ranges_are_set_and_cleared_exactly);
    tcase_add_test(tcase, words_are_merged_from_any_bit_on);
    tcase_add_test(tcase, find_and_claim_agree_with_the_bits);
    tcase_add_test(tcase, each_bit_is_claimed_by_exactly_one_thread);
    return run_case("bitmap", tcase);
}

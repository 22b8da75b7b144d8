/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rate limit, on a clock that the test turns. */
#include <check.h>
#include <glib.h>

#include "io/rate-limit.h"
#include "unit/run-case.h"

static uint64_t time_us;
static struct vmmig__rate_limit limit;

static uint64_t fake_now(void *data)
{
    return time_us;
}

static void set_up(void)
{
    const struct vmmig__clock clock = {fake_now, NULL};

    time_us = 123456789;
    vmmig__rate_limit_init(&limit, &clock);
}

static void tear_down(void)
{
    vmmig__rate_limit_destroy(&limit);
}

/* Waits as a sender does, each time `late_us` too long; returns how long. */
static uint64_t wait_through(uint64_t late_us)
{
    uint64_t start_us = time_us, wait_us;

    while ((wait_us = vmmig__rate_limit_wait_us(&limit)) != 0) {
        ck_assert_uint_le(wait_us, 50000);
        time_us += wait_us + late_us;
    }
    return time_us - start_us;
}

/* What a sender of such pieces gets through in ten seconds. It says the rate
 * before each one, as a session does, whose limit may change at any time. */
static uint64_t bytes_in_ten_seconds(uint64_t rate, uint64_t piece_bytes,
                                     uint64_t late_us)
{
    uint64_t end_us = time_us + 10 * G_USEC_PER_SEC, sent = 0;

    while (time_us < end_us) {
        vmmig__rate_limit_set_rate(&limit, rate);
        vmmig__rate_limit_charge(&limit, piece_bytes);
        sent += piece_bytes;
        wait_through(late_us);
    }
    return sent;
}

START_TEST(without_a_rate_nobody_waits)
{
    for (unsigned i = 0; i < 100; i++) {
        vmmig__rate_limit_charge(&limit, UINT64_MAX);
        ck_assert_uint_eq(vmmig__rate_limit_wait_us(&limit), 0);
    }
    /* Nor pays for that later. */
    vmmig__rate_limit_set_rate(&limit, 1);
    ck_assert_uint_eq(vmmig__rate_limit_wait_us(&limit), 0);
}
END_TEST

static const struct {
    uint64_t rate, piece_bytes, late_us;
} averages[] = {
    {1000000, 1000, 0},
    {1000000, 7, 0},
    {32 << 20, 1 << 20, 0},
    {UINT64_C(10000000000), 1 << 20, 60},
    {UINT64_C(10000000000), 4096, 60},
    {123456789, 4104, 1000},
    {1000000000, 262144, 10000},
};

START_TEST(average_is_the_rate_within_a_percent)
{
    const uint64_t rate = averages[_i].rate;
    uint64_t sent;

    sent = bytes_in_ten_seconds(rate, averages[_i].piece_bytes,
                                averages[_i].late_us);
    ck_assert_uint_ge(sent, rate * 10 / 100 * 99);
    ck_assert_uint_le(sent, rate * 10 / 100 * 101 + averages[_i].piece_bytes);
}
END_TEST

START_TEST(long_pause_saves_up_no_burst)
{
    const uint64_t rate = 100000000;
    uint64_t sent = 0;

    vmmig__rate_limit_set_rate(&limit, rate);
    time_us += UINT64_C(3600) * G_USEC_PER_SEC;
    while (vmmig__rate_limit_wait_us(&limit) == 0) {
        vmmig__rate_limit_charge(&limit, 4096);
        sent += 4096;
    }
    ck_assert_uint_le(sent, rate / 10);
}
END_TEST

START_TEST(large_piece_is_paid_for_in_full)
{
    vmmig__rate_limit_set_rate(&limit, 1000000);
    vmmig__rate_limit_charge(&limit, 5000000);
    ck_assert_uint_ge(wait_through(0), 5000000);
    ck_assert_uint_le(wait_through(0), 1);
}
END_TEST

START_TEST(new_rate_takes_effect_at_once)
{
    vmmig__rate_limit_set_rate(&limit, 1000);
    vmmig__rate_limit_charge(&limit, 1000000);
    ck_assert_uint_eq(vmmig__rate_limit_wait_us(&limit), 50000);
    /* A thousand seconds of debt are one second now. */
    vmmig__rate_limit_set_rate(&limit, 1000000);
    ck_assert_uint_le(wait_through(0), 1000010);
    vmmig__rate_limit_charge(&limit, 1000000000);
    vmmig__rate_limit_set_rate(&limit, 0);
    ck_assert_uint_eq(vmmig__rate_limit_wait_us(&limit), 0);
}
END_TEST

START_TEST(extreme_numbers_do_not_overflow)
{
    vmmig__rate_limit_set_rate(&limit, UINT64_MAX);
    for (unsigned i = 0; i < 10; i++)
        vmmig__rate_limit_charge(&limit, UINT64_MAX);
    ck_assert_uint_eq(vmmig__rate_limit_wait_us(&limit), 50000);
    time_us += UINT64_MAX / 4;
    ck_assert_uint_eq(vmmig__rate_limit_wait_us(&limit), 0);

    vmmig__rate_limit_set_rate(&limit, 1);
    vmmig__rate_limit_charge(&limit, 1);
    ck_assert_uint_gt(wait_through(0), 900000);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("rate-limit");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, without_a_rate_nobody_waits);
    tcase_add_loop_test(tcase, average_is_the_rate_within_a_percent, 0,
                        G_N_ELEMENTS(averages));
    tcase_add_test(tcase, long_pause_saves_up_no_burst);
    tcase_add_test(tcase, large_piece_is_paid_for_in_full);
    tcase_add_test(tcase, new_rate_takes_effect_at_once);
    tcase_add_test(tcase, extreme_numbers_do_not_overflow);
    return run_case("rate-limit", tcase);
}

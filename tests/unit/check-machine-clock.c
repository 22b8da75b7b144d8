/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock of the mini-VMM's machines without hardware. */
#include "config.h"

#include <check.h>

#include "machine-clock.h"
#include "unit/run-case.h"

#define NS_PER_S UINT64_C(1000000000)

START_TEST(it_begins_at_zero_and_runs)
{
    struct machine_clock clock;
    uint64_t first, second;

    machine_clock_init(&clock);
    first = machine_clock_now_ns(&clock);
    second = machine_clock_now_ns(&clock);
    ck_assert_uint_lt(first, 60 * NS_PER_S);
    ck_assert_uint_le(first, second);
}
END_TEST

START_TEST(the_time_of_the_move_counts)
{
    struct machine_clock here, there;
    struct machine_clock_state state;
    uint64_t now_ns;

    machine_clock_init(&here);
    machine_clock_init(&there);
    machine_clock_save(&here, &state);
    state.clock_ns = 1000 * NS_PER_S;
    state.realtime_ns -= 5 * NS_PER_S;
    machine_clock_load(&there, &state);
    now_ns = machine_clock_now_ns(&there);
    ck_assert_uint_ge(now_ns, 1005 * NS_PER_S);
    ck_assert_uint_lt(now_ns, 1065 * NS_PER_S);
}
END_TEST

START_TEST(a_wall_clock_that_is_behind_does_not_turn_it_back)
{
    struct machine_clock clock;
    struct machine_clock_state state;

    machine_clock_init(&clock);
    machine_clock_save(&clock, &state);
    state.clock_ns = 1000 * NS_PER_S;
    state.realtime_ns += 3600 * NS_PER_S;
    machine_clock_load(&clock, &state);
    ck_assert_uint_ge(machine_clock_now_ns(&clock), 1000 * NS_PER_S);
    ck_assert_uint_lt(machine_clock_now_ns(&clock), 1060 * NS_PER_S);
}
END_TEST

/* Whatever a peer sends, time goes on from there. */
START_TEST(made_up_numbers_do_not_overflow)
{
    static const uint64_t numbers[] = {0, 1, INT64_MAX, UINT64_MAX};
    struct machine_clock clock;
    struct machine_clock_state state;
    uint64_t first;
    int i;

    for (i = 0; i < 16; i++) {
        state.clock_ns = numbers[i / 4];
        state.realtime_ns = numbers[i % 4];
        machine_clock_init(&clock);
        machine_clock_load(&clock, &state);
        first = machine_clock_now_ns(&clock);
        ck_assert_uint_le(first, INT64_MAX);
        ck_assert_uint_le(first, machine_clock_now_ns(&clock));
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("machine-clock");

    tcase_add_test(tcase, it_begins_at_zero_and_runs);
    tcase_add_test(tcase, the_time_of_the_move_counts);
    tcase_add_test(tcase, a_wall_clock_that_is_behind_does_not_turn_it_back);
    tcase_add_test(tcase, made_up_numbers_do_not_overflow);
    return run_case("machine-clock", tcase);
}

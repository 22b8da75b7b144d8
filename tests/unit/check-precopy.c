/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rounds of precopy in a simulator: a clock that is turned by hand, a link
 * of a known speed, a guest that writes at a known rate. No threads, no sleeps;
 * hours pass in a moment.
 */
#include <inttypes.h>

#include "run-case.h"
#include "session/precopy.h"

#define MIB (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000)

/* The world. */
struct simulation {
    uint64_t now_us;
    struct vmmig__clock clock;
    struct vmmig__rate_limit limit;

    /* The guest: bytes that are dirty, those written since the last collect,
     * and how fast it writes. */
    uint64_t ram_bytes, dirty_bytes, written_bytes, rate_bytes_per_s;
    uint64_t rest;     /* of a page, in 1/1000000 byte */
    bool is_estimated; /* writes show in the estimate, before the collect */
    uint64_t device_bytes;

    uint64_t link_bytes_per_s;
    uint64_t downtime_ms;
    bool may_switch;

    uint64_t sent_bytes, collects, steps, waits, largest_budget;
    bool fail_query, fail_iterate;
};

static struct simulation sim;
static struct vmmig__precopy precopy;

static uint64_t now_us(void *data)
{
    return sim.now_us;
}

/* The guest writes as long as time passes. */
static void pass(uint64_t duration_us)
{
    uint64_t *bytes = sim.is_estimated ? &sim.dirty_bytes : &sim.written_bytes;
    uint64_t pages;

    sim.now_us += duration_us;
    sim.rest += sim.rate_bytes_per_s * duration_us;
    pages = sim.rest / (4096 * SECOND);
    sim.rest -= pages * 4096 * SECOND;
    *bytes = MIN(sim.ram_bytes, *bytes + pages * 4096);
}

static bool query_pending(void *data, bool exact,
                          struct vmmig_pending *ret_pending,
                          vmmig_error **error)
{
    if (sim.fail_query)
        return vmmig__fail(error, VMMIG_ERROR_HOST, "the log is broken");
    if (exact) {
        sim.collects++;
        pass(500);
        sim.dirty_bytes =
            MIN(sim.ram_bytes, sim.dirty_bytes + sim.written_bytes);
        sim.written_bytes = 0;
    }
    *ret_pending = (struct vmmig_pending){
        .struct_size = sizeof *ret_pending,
        .precopy_bytes = sim.dirty_bytes,
        .stopcopy_bytes = sim.device_bytes,
    };
    return true;
}

static bool iterate(void *data, uint64_t budget_bytes,
                    uint64_t *ret_sent_bytes, vmmig_error **error)
{
    uint64_t length = MIN(budget_bytes, sim.dirty_bytes);

    if (sim.fail_iterate)
        return vmmig__fail(error, VMMIG_ERROR_IO, "the link is broken");
    sim.largest_budget = MAX(sim.largest_budget, budget_bytes);
    sim.dirty_bytes -= length;
    sim.sent_bytes += length;
    *ret_sent_bytes = length;
    pass(length * SECOND / sim.link_bytes_per_s + 1);
    return true;
}

static uint64_t downtime_limit_ms(void *data)
{
    return sim.downtime_ms;
}

static bool may_switch(void *data)
{
    return sim.may_switch;
}

static const struct vmmig__precopy_ops ops = {
    .query_pending = query_pending,
    .iterate = iterate,
    .downtime_limit_ms = downtime_limit_ms,
    .may_switch = may_switch,
};

/* A guest of 1 GiB that writes 10 MiB/s, over 100 MiB/s. */
static void setup(void)
{
    sim = (struct simulation){
        .now_us = 1000 * SECOND,
        .clock = {now_us, NULL},
        .ram_bytes = 1024 * MIB,
        .dirty_bytes = 1024 * MIB,
        .rate_bytes_per_s = 10 * MIB,
        .link_bytes_per_s = 100 * MIB,
        .downtime_ms = 300,
        .may_switch = true,
    };
    vmmig__rate_limit_init(&sim.limit, &sim.clock);
    vmmig__precopy_init(&precopy, &sim.clock, &sim.limit, &ops, NULL);
}

static void teardown(void)
{
    vmmig__rate_limit_destroy(&sim.limit);
}

static enum vmmig__precopy_action step(void)
{
    enum vmmig__precopy_action action;
    uint64_t wait_us = 0;

    ck_assert(vmmig__precopy_step(&precopy, &action, &wait_us, NULL));
    sim.steps++;
    if (action == VMMIG__PRECOPY_WAIT) {
        ck_assert_uint_gt(wait_us, 0);
        sim.waits++;
        pass(wait_us);
    }
    return action;
}

/* Until it wants to switch; false when it still does not after that long. */
static bool run_for(uint64_t seconds)
{
    uint64_t end_us = sim.now_us + seconds * SECOND;

    while (sim.now_us < end_us) {
        if (step() == VMMIG__PRECOPY_SWITCH)
            return true;
        ck_assert_uint_lt(sim.steps, 10000000);
    }
    return false;
}

START_TEST(a_guest_that_writes_slower_than_the_link_converges)
{
    sim.is_estimated = _i == 1;
    ck_assert(run_for(60));
    /* What is left fits into the downtime allowed, at the link's true speed. */
    ck_assert_uint_le(sim.dirty_bytes, 30 * MIB);
    ck_assert_uint_ge(sim.sent_bytes, sim.ram_bytes - 30 * MIB);
    ck_assert_uint_le(sim.sent_bytes, 2 * sim.ram_bytes);
    ck_assert_uint_ge(precopy.rounds, 1);
    ck_assert_uint_le(precopy.rounds, 10);
    ck_assert_uint_ge(precopy.bandwidth_bytes_per_s, 95 * MIB);
    ck_assert_uint_le(precopy.bandwidth_bytes_per_s, 105 * MIB);
    ck_assert_uint_le(precopy.expected_downtime_us, 300000);
}
END_TEST

START_TEST(a_guest_that_writes_faster_does_not_until_it_rests)
{
    sim.is_estimated = _i == 1;
    sim.rate_bytes_per_s = 200 * MIB;
    ck_assert(!run_for(600));
    if (!sim.is_estimated)
        ck_assert_uint_gt(precopy.rounds, 5);
    sim.rate_bytes_per_s = 10 * MIB;
    ck_assert(run_for(60));
}
END_TEST

START_TEST(a_change_of_the_downtime_limit_takes_effect_at_once)
{
    /* There are always some MiB left after a round. */
    sim.rate_bytes_per_s = 90 * MIB;
    sim.downtime_ms = 1;
    ck_assert(!run_for(300));
    sim.downtime_ms = 20000;
    ck_assert(run_for(2));
}
END_TEST

START_TEST(an_idle_guest_switches_after_one_round)
{
    sim.rate_bytes_per_s = 0;
    sim.downtime_ms = 0;
    ck_assert(run_for(60));
    ck_assert_uint_eq(sim.sent_bytes, sim.ram_bytes);
    ck_assert_uint_eq(precopy.rounds, 1);
    ck_assert_uint_eq(sim.collects, 1);
    ck_assert_uint_eq(precopy.expected_downtime_us, 0);
}
END_TEST

START_TEST(nothing_at_all_is_sent_in_no_time)
{
    sim.rate_bytes_per_s = 0;
    sim.ram_bytes = sim.dirty_bytes = 0;
    ck_assert_int_eq(step(), VMMIG__PRECOPY_SWITCH);
    ck_assert_uint_eq(sim.collects, 1);
}
END_TEST

/* It is no use to send what needs the guest stopped. */
START_TEST(state_that_needs_the_stop_counts_for_the_downtime)
{
    sim.rate_bytes_per_s = 0;
    sim.device_bytes = 20 * MIB;
    ck_assert(run_for(60));
    ck_assert_uint_ge(precopy.expected_downtime_us, 190000);
    ck_assert_uint_le(precopy.expected_downtime_us, 300000);
}
END_TEST

START_TEST(a_limit_is_respected_over_time)
{
    uint64_t start_us = sim.now_us, expected;

    sim.rate_bytes_per_s = 0;
    vmmig__rate_limit_set_rate(&sim.limit, 20 * MIB);
    for (int i = 0; i < 40; i++) {
        ck_assert(!run_for(1));
        /* A switch counts on that. */
        ck_assert_uint_ge(precopy.bandwidth_bytes_per_s, 19 * MIB);
        ck_assert_uint_le(precopy.bandwidth_bytes_per_s, 21 * MIB);
    }
    expected = 20 * MIB * (sim.now_us - start_us) / SECOND;
    ck_assert_uint_ge(sim.sent_bytes, expected - expected / 50);
    ck_assert_uint_le(sim.sent_bytes, expected + expected / 50);
    ck_assert_uint_gt(sim.waits, 0);
    vmmig__rate_limit_set_rate(&sim.limit, 0);
    ck_assert(run_for(10));
}
END_TEST

START_TEST(it_waits_for_consent_and_goes_on_meanwhile)
{
    sim.may_switch = false;
    sim.is_estimated = _i == 1;
    ck_assert(!run_for(30));
    ck_assert_uint_gt(sim.sent_bytes, sim.ram_bytes);
    sim.may_switch = true;
    ck_assert(run_for(1));
    ck_assert_uint_le(sim.dirty_bytes, 30 * MIB);
}
END_TEST

START_TEST(an_idle_guest_waits_for_consent_without_work)
{
    uint64_t before;

    sim.rate_bytes_per_s = 0;
    sim.may_switch = false;
    ck_assert(!run_for(20));
    before = sim.steps;
    ck_assert_uint_eq(sim.sent_bytes, sim.ram_bytes);
    ck_assert(!run_for(10));
    ck_assert_uint_le(sim.steps - before, 1001); /* every 10 ms */
    sim.may_switch = true;
    ck_assert(run_for(1));
}
END_TEST

/* The link is as fast as it was when there was more to send. */
START_TEST(waiting_does_not_make_the_link_slow)
{
    sim.rate_bytes_per_s = 0;
    sim.may_switch = false;
    ck_assert(!run_for(20));
    sim.dirty_bytes = 90 * MIB;
    ck_assert(!run_for(5));
    ck_assert_uint_ge(precopy.bandwidth_bytes_per_s, 90 * MIB);
    ck_assert_uint_le(precopy.bandwidth_bytes_per_s, 110 * MIB);
}
END_TEST

/* A step is short, whatever the link can do: somebody may want to cancel. */
START_TEST(a_step_lasts_a_fraction_of_a_second)
{
    static const uint64_t speeds[] = {20 * MIB, 1000 * MIB, 100000 * MIB};

    sim.link_bytes_per_s = speeds[_i];
    sim.rate_bytes_per_s = 0;
    sim.ram_bytes = sim.dirty_bytes = 64 * sim.link_bytes_per_s;
    while (true) {
        uint64_t before_us = sim.now_us;
        enum vmmig__precopy_action action = step();

        ck_assert_uint_le(sim.now_us - before_us, 150000);
        if (action == VMMIG__PRECOPY_SWITCH)
            break;
    }
    ck_assert_uint_ge(sim.largest_budget, MIB);
}
END_TEST

/* A device that cannot count says UINT64_MAX: a lot, and not, with what the
 * others have, next to nothing. */
START_TEST(more_than_can_be_counted_does_not_fit)
{
    uint64_t before;

    sim.rate_bytes_per_s = 0;
    sim.device_bytes = UINT64_MAX;
    ck_assert(!run_for(20));
    before = sim.steps;
    ck_assert(!run_for(10));
    ck_assert_uint_le(sim.steps - before, 1001); /* and without work */
    sim.device_bytes = 0;
    ck_assert(run_for(60));
}
END_TEST

START_TEST(errors_end_it)
{
    enum vmmig__precopy_action action;
    vmmig_error *error = NULL;
    uint64_t wait_us;

    sim.fail_iterate = _i == 0;
    sim.fail_query = _i == 1;
    ck_assert(!vmmig__precopy_step(&precopy, &action, &wait_us, &error));
    ck_assert_str_eq(vmmig_error_message(error),
                     _i == 0 ? "the link is broken" : "the log is broken");
    vmmig_error_free(error);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("precopy");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase,
                        a_guest_that_writes_slower_than_the_link_converges, 0,
                        2);
    tcase_add_loop_test(tcase,
                        a_guest_that_writes_faster_does_not_until_it_rests, 0,
                        2);
    tcase_add_test(tcase, a_change_of_the_downtime_limit_takes_effect_at_once);
    tcase_add_test(tcase, an_idle_guest_switches_after_one_round);
    tcase_add_test(tcase, nothing_at_all_is_sent_in_no_time);
    tcase_add_test(tcase, state_that_needs_the_stop_counts_for_the_downtime);
    tcase_add_test(tcase, a_limit_is_respected_over_time);
    tcase_add_loop_test(tcase, it_waits_for_consent_and_goes_on_meanwhile, 0,
                        2);
    tcase_add_test(tcase, an_idle_guest_waits_for_consent_without_work);
    tcase_add_test(tcase, waiting_does_not_make_the_link_slow);
    tcase_add_loop_test(tcase, a_step_lasts_a_fraction_of_a_second, 0, 3);
    tcase_add_test(tcase, more_than_can_be_counted_does_not_fit);
    tcase_add_loop_test(tcase, errors_end_it, 0, 2);
    return run_case("precopy", tcase);
}

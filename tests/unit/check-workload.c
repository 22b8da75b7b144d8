/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's work, run by the test's own thread on plain memory: time stands
 * still unless a hook moves it, and a worker stops after so many steps.
 */
#include "config.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define PAGES 96
#define RAM_BYTES ((uint64_t)PAGES * WORKLOAD_PAGE_BYTES)

struct fixture {
    struct workload workload;
    struct workload_config config;
    uint64_t now_ns;
    uint64_t step_ns;   /* what each look at the clock costs */
    uint64_t waited_ns; /* by workers, in wait() */
    uint64_t steps_left;
    char serial[8192];
    size_t serial_bytes;
    uint8_t ram_marks[PAGES];
    uint8_t *ledger_marks; /* for each byte */
};

static uint64_t fixture_now(void *data, uint32_t worker)
{
    struct fixture *f = data;

    return f->now_ns += f->step_ns;
}

static void fixture_emit(void *data, const char *text, size_t length_bytes)
{
    struct fixture *f = data;

    ck_assert_uint_lt(f->serial_bytes + length_bytes, sizeof f->serial);
    memcpy(f->serial + f->serial_bytes, text, length_bytes);
    f->serial_bytes += length_bytes;
}

static void fixture_wait(void *data, uint32_t worker, uint64_t duration_ns)
{
    struct fixture *f = data;

    f->now_ns += duration_ns;
    f->waited_ns += duration_ns;
}

static void fixture_mark(void *data, uint32_t area, uint64_t offset_bytes,
                         uint64_t length_bytes)
{
    struct fixture *f = data;
    uint64_t page = offset_bytes / WORKLOAD_PAGE_BYTES;

    if (area == WORKLOAD_RAM)
        for (; page * WORKLOAD_PAGE_BYTES < offset_bytes + length_bytes; page++)
            f->ram_marks[page] = 1;
    else
        memset(f->ledger_marks + offset_bytes, 1, length_bytes);
}

static bool fixture_should_stop(void *data, uint32_t worker)
{
    struct fixture *f = data;

    return !f->steps_left || !f->steps_left--;
}

static const struct workload_hooks hooks = {
    .now_ns = fixture_now,
    .emit = fixture_emit,
    .wait = fixture_wait,
    .mark_written = fixture_mark,
    .should_stop = fixture_should_stop,
};

static struct fixture *fixture_new(uint32_t kind)
{
    struct fixture *f = calloc(1, sizeof *f);
    uint64_t ledger_bytes = workload_ledger_bytes(RAM_BYTES);

    f->workload = (struct workload){
        .ram = aligned_alloc(WORKLOAD_PAGE_BYTES, RAM_BYTES),
        .ledger = aligned_alloc(WORKLOAD_PAGE_BYTES, ledger_bytes),
        .ram_bytes = RAM_BYTES,
        .ledger_bytes = ledger_bytes,
        .hooks = &hooks,
        .data = f,
    };
    memset(f->workload.ram, 0, RAM_BYTES);
    memset(f->workload.ledger, 0, ledger_bytes);
    f->ledger_marks = calloc(1, ledger_bytes);
    f->now_ns = 1000000000;
    f->step_ns = 500;
    workload_config_init(&f->config, RAM_BYTES);
    f->config.kind = kind;
    return f;
}

static void fixture_free(struct fixture *f)
{
    free(f->workload.ram);
    free(f->workload.ledger);
    free(f->ledger_marks);
    free(f);
}

static void prepare(struct fixture *f)
{
    ck_assert_ptr_null(workload_config_check(&f->config));
    workload_prepare(&f->workload, &f->config);
}

static void run_steps(struct fixture *f, uint32_t worker, uint64_t steps)
{
    f->steps_left = steps;
    ck_assert(workload_run(&f->workload, worker));
}

static struct workload_counters counters_of(const struct fixture *f)
{
    struct workload_counters counters;

    workload_get_counters(&f->workload, &counters);
    return counters;
}

static uint8_t *page_of(struct fixture *f, uint64_t page)
{
    return (uint8_t *)f->workload.ram + page * WORKLOAD_PAGE_BYTES;
}

static bool is_zero_page(struct fixture *f, uint64_t page)
{
    static const uint8_t zeros[WORKLOAD_PAGE_BYTES];

    return !memcmp(page_of(f, page), zeros, sizeof zeros);
}

/* After its fill, `passes` rounds of a single worker. */
static void fill_and_run(struct fixture *f, uint64_t passes)
{
    prepare(f);
    run_steps(f, 0, PAGES + passes * PAGES);
    ck_assert_uint_eq(counters_of(f).passes, passes);
    ck_assert_uint_eq(counters_of(f).errors, 0);
}

START_TEST(every_workload_verifies_what_it_wrote)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP + (uint32_t)_i / 3);

    f->config.fill = (uint32_t)_i % 3;
    f->config.zero_percent = 30;
    f->config.write_percent = 70;
    fill_and_run(f, 40);
    /* In turn and, but in a sweep, by chance. */
    ck_assert_uint_eq(counters_of(f).pages_checked,
                      (f->config.kind == WORKLOAD_SWEEP ? 40 : 80) * PAGES);
    ck_assert_uint_eq(workload_audit(&f->workload, NULL), 0);
    ck_assert_uint_eq(f->serial_bytes, strlen(WORKLOAD_READY_LINE));
    ck_assert_int_eq(memcmp(f->serial, WORKLOAD_READY_LINE, f->serial_bytes),
                     0);
    fixture_free(f);
}
END_TEST

START_TEST(a_wrong_byte_is_found)
{
    static const uint32_t offsets[] = {0, 3, 8, 10, 4095, 64, 2048};
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint32_t page = 7 + (uint32_t)_i;
    char expected[64];

    fill_and_run(f, 2);
    page_of(f, page)[offsets[_i]] ^= 0x10;
    ck_assert_uint_eq(workload_audit(&f->workload, NULL), 1);

    /* Number and pass at once; of the rest one word in eight each pass. */
    f->config.write_percent = 0;
    f->serial_bytes = 0;
    run_steps(f, 0, PAGES);
    if (offsets[_i] < 16)
        ck_assert_uint_eq(counters_of(f).errors, 1);
    if (counters_of(f).errors) {
        snprintf(expected, sizeof expected, "%s%x ", WORKLOAD_CORRUPT_PREFIX,
                 page * WORKLOAD_PAGE_BYTES);
        ck_assert_int_eq(memcmp(f->serial, expected, strlen(expected)), 0);
        ck_assert_int_eq(f->serial[f->serial_bytes - 1], '\n');
    }
    fixture_free(f);
}
END_TEST

START_TEST(a_page_that_lost_one_write_is_found)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint8_t old[WORKLOAD_PAGE_BYTES];

    f->config.fill = (uint32_t)_i;
    fill_and_run(f, 3);
    memcpy(old, page_of(f, 20), sizeof old);
    run_steps(f, 0, PAGES);
    memcpy(page_of(f, 20), old, sizeof old);
    run_steps(f, 0, PAGES);
    ck_assert_uint_eq(counters_of(f).errors, 1);
    /* It was rewritten, and is right again. */
    run_steps(f, 0, 10 * PAGES);
    ck_assert_uint_eq(counters_of(f).errors, 1);
    fixture_free(f);
}
END_TEST

/* Wherever a round begins. */
START_TEST(one_round_finds_any_page)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP + (uint32_t)_i);
    uint32_t page;

    f->config.write_percent = 0;
    fill_and_run(f, 0);
    run_steps(f, 0, 31);
    for (page = 0; page < PAGES; page++) {
        page_of(f, page)[0] ^= 0x10;
        run_steps(f, 0, PAGES);
        ck_assert_uint_eq(counters_of(f).errors, page + 1);
    }
    fixture_free(f);
}
END_TEST

START_TEST(every_word_is_looked_at_within_eight_passes)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t word;

    f->config.span_bytes = WORKLOAD_PAGE_BYTES;
    prepare(f);
    run_steps(f, 0, 1);
    for (word = 2; word < WORKLOAD_PAGE_BYTES / 8; word += 37) {
        uint64_t errors = counters_of(f).errors, pass;

        for (pass = 0; pass < 8; pass++) {
            page_of(f, 0)[word * 8 + pass] ^= 1;
            run_steps(f, 0, 1);
        }
        ck_assert_uint_eq(counters_of(f).errors, errors + 1);
    }
    fixture_free(f);
}
END_TEST

START_TEST(any_byte_of_a_zero_page_is_found)
{
    static const uint32_t offsets[] = {0, 8, 77, 2047, 4095};
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);

    f->config.zero_percent = 100;
    fill_and_run(f, 1);
    ck_assert(is_zero_page(f, 50));
    page_of(f, 50)[offsets[_i]] = 0x80;
    run_steps(f, 0, PAGES);
    ck_assert_uint_eq(counters_of(f).errors, 1);
    fixture_free(f);
}
END_TEST

START_TEST(pages_become_zero_and_filled_again)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t page, pass, changes = 0, zeros = 0;
    bool was_zero[PAGES];

    f->config.zero_percent = 40;
    fill_and_run(f, 1);
    for (page = 0; page < PAGES; page++)
        was_zero[page] = is_zero_page(f, page);
    for (pass = 0; pass < 20; pass++) {
        run_steps(f, 0, PAGES);
        for (page = 0; page < PAGES; page++) {
            changes += was_zero[page] != is_zero_page(f, page);
            was_zero[page] = is_zero_page(f, page);
            zeros += was_zero[page];
        }
    }
    ck_assert_uint_gt(zeros, 20 * PAGES * 30 / 100);
    ck_assert_uint_lt(zeros, 20 * PAGES * 50 / 100);
    ck_assert_uint_gt(changes, 20 * PAGES * 30 / 100);
    ck_assert_uint_eq(counters_of(f).errors, 0);
    fixture_free(f);
}
END_TEST

START_TEST(only_the_first_lines_are_printed_but_all_errors_count)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t lines = 0, i;

    fill_and_run(f, 1);
    f->serial_bytes = 0;
    memset(f->workload.ram, 0xff, RAM_BYTES);
    run_steps(f, 0, PAGES);
    for (i = 0; i < f->serial_bytes; i++)
        lines += f->serial[i] == '\n';
    ck_assert_uint_eq(counters_of(f).errors, PAGES);
    ck_assert_uint_eq(lines, 16);
    fixture_free(f);
}
END_TEST

START_TEST(addresses_above_the_hole_are_printed_as_the_guest_knows_them)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);

    f->config.hole_offset = 10 * WORKLOAD_PAGE_BYTES;
    f->config.hole_bytes = UINT64_C(1) << 30;
    fill_and_run(f, 1);
    f->serial_bytes = 0;
    page_of(f, 9)[0] ^= 1;
    page_of(f, 10)[0] ^= 1;
    run_steps(f, 0, PAGES);
    ck_assert_ptr_nonnull(
        memmem(f->serial, f->serial_bytes, "CORRUPT gpa=0x9000 ", 19));
    ck_assert_ptr_nonnull(
        memmem(f->serial, f->serial_bytes, "CORRUPT gpa=0x4000a000 ", 23));
    fixture_free(f);
}
END_TEST

START_TEST(a_write_that_was_under_way_is_no_corruption)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t entries = workload_ledger_bytes(0);
    uint32_t *entry = (uint32_t *)((uint8_t *)f->workload.ledger + entries);

    fill_and_run(f, 1);
    ck_assert_uint_eq(entry[5], 2);
    entry[5] = 3 | 0x80000000;
    page_of(f, 5)[1000] ^= 1;
    ck_assert_uint_eq(workload_audit(&f->workload, NULL), 0);
    run_steps(f, 0, 3 * PAGES);
    ck_assert_uint_eq(counters_of(f).errors, 0);
    ck_assert_uint_eq(entry[5], 6);
    fixture_free(f);
}
END_TEST

START_TEST(work_goes_on_from_a_copy_at_any_step)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP + (uint32_t)_i);
    uint64_t leg, steps = 0;

    f->config.worker_count = 2;
    f->config.zero_percent = 20;
    prepare(f);
    for (leg = 0; leg < 60; leg++) {
        struct fixture *next = fixture_new(f->config.kind);

        run_steps(f, 0, leg % 23);
        run_steps(f, 1, leg % 17);
        steps += leg % 23 + leg % 17;
        memcpy(next->workload.ram, f->workload.ram, RAM_BYTES);
        memcpy(next->workload.ledger, f->workload.ledger,
               f->workload.ledger_bytes);
        next->config = f->config;
        next->now_ns = f->now_ns + 1000;
        ck_assert_ptr_null(workload_check_ledger(&next->workload, 2));
        memset(f->workload.ram, 0xee, RAM_BYTES);
        fixture_free(f);
        f = next;
    }
    ck_assert_uint_eq(counters_of(f).errors, 0);
    steps -= PAGES; /* that filled */
    ck_assert_uint_eq(counters_of(f).pages_checked,
                      f->config.kind == WORKLOAD_SWEEP ? steps : 2 * steps);
    ck_assert_uint_eq(workload_audit(&f->workload, NULL), 0);
    fixture_free(f);
}
END_TEST

START_TEST(all_that_was_written_was_marked)
{
    struct fixture *f = fixture_new(WORKLOAD_RANDOM);
    uint64_t ledger_bytes = f->workload.ledger_bytes, round, i, unmarked = 0;
    uint8_t *ram = malloc(RAM_BYTES), *ledger = malloc(ledger_bytes);

    f->config.zero_percent = 20;
    f->config.write_percent = 60;
    prepare(f);
    run_steps(f, 0, PAGES / 2);
    for (round = 0; round < 100; round++) {
        f->now_ns += round % 10 * 30000;
        if (round > 50 && round % 7 == 0)
            page_of(f, round % PAGES)[0] ^= 1;
        memset(f->ram_marks, 0, sizeof f->ram_marks);
        memset(f->ledger_marks, 0, ledger_bytes);
        memcpy(ram, f->workload.ram, RAM_BYTES);
        memcpy(ledger, f->workload.ledger, ledger_bytes);
        run_steps(f, 0, 3);
        for (i = 0; i < RAM_BYTES; i++)
            unmarked += ram[i] != ((uint8_t *)f->workload.ram)[i] &&
                        !f->ram_marks[i / WORKLOAD_PAGE_BYTES];
        for (i = 0; i < ledger_bytes; i++)
            unmarked += ledger[i] != ((uint8_t *)f->workload.ledger)[i] &&
                        !f->ledger_marks[i];
    }
    ck_assert_uint_eq(unmarked, 0);
    ck_assert_uint_gt(counters_of(f).errors, 0);
    free(ram);
    free(ledger);
    fixture_free(f);
}
END_TEST

START_TEST(a_rate_is_kept)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    struct workload_counters counters;
    uint64_t start, visits;

    f->config.rate_bytes_per_s = 100 << 20; /* 25600 pages a second */
    prepare(f);
    run_steps(f, 0, PAGES);
    start = f->now_ns;
    while (f->now_ns - start < 2000000000)
        run_steps(f, 0, 1000);
    counters = counters_of(f);
    visits = (f->now_ns - start) / 1000000 * 256 / 10;
    ck_assert_uint_gt(counters.pages_checked, visits * 98 / 100);
    ck_assert_uint_lt(counters.pages_checked, visits * 103 / 100);
    ck_assert_uint_gt(f->waited_ns, 1500000000);
    fixture_free(f);
}
END_TEST

START_TEST(lost_time_is_not_made_up_for_in_a_burst)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t before;

    f->config.rate_bytes_per_s = 100 << 20;
    prepare(f);
    run_steps(f, 0, PAGES + 1000);
    before = counters_of(f).pages_checked;
    f->now_ns += 10000000000;
    f->waited_ns = 0;
    while (!f->waited_ns)
        run_steps(f, 0, 1);
    /* 20 ms worth of it, and what the clock moved meanwhile. */
    ck_assert_uint_lt(counters_of(f).pages_checked - before, 600);
    fixture_free(f);
}
END_TEST

START_TEST(a_clock_that_was_set_back_does_not_stop_the_work)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t before;

    f->config.rate_bytes_per_s = 100 << 20;
    prepare(f);
    f->now_ns = UINT64_C(1) << 50;
    run_steps(f, 0, PAGES + 1000);
    f->now_ns = 1;
    before = counters_of(f).pages_checked;
    run_steps(f, 0, 1000);
    ck_assert_uint_gt(counters_of(f).pages_checked, before + 100);
    fixture_free(f);
}
END_TEST

START_TEST(the_longest_gap_is_remembered)
{
    struct fixture *f = fixture_new(_i ? WORKLOAD_IDLE : WORKLOAD_SWEEP);

    prepare(f);
    f->now_ns += 70000000;
    run_steps(f, 0, PAGES / 2);
    f->now_ns += 70000000; /* in the fill: its own affair */
    run_steps(f, 0, PAGES);
    ck_assert_uint_lt(counters_of(f).blackout_ns, 2000000);
    f->now_ns += 37000000;
    run_steps(f, 0, PAGES);
    f->now_ns += 5000000;
    run_steps(f, 0, PAGES);
    ck_assert_uint_ge(counters_of(f).blackout_ns, 37000000);
    ck_assert_uint_lt(counters_of(f).blackout_ns, 39000000);
    fixture_free(f);
}
END_TEST

START_TEST(idle_touches_nothing_after_its_fill)
{
    struct fixture *f = fixture_new(WORKLOAD_IDLE);

    prepare(f);
    run_steps(f, 0, PAGES);
    ck_assert(counters_of(f).filled);
    memset(f->ram_marks, 0, sizeof f->ram_marks);
    run_steps(f, 0, 1000);
    ck_assert_ptr_null(memchr(f->ram_marks, 1, sizeof f->ram_marks));
    ck_assert_uint_ge(f->waited_ns, 1000 * 1000000 - 1000000);
    fixture_free(f);
}
END_TEST

START_TEST(the_span_bounds_and_is_split_among_workers)
{
    struct fixture *f = fixture_new(WORKLOAD_ZIPF);
    uint32_t worker;
    uint64_t page;

    f->config.span_bytes = 10 * WORKLOAD_PAGE_BYTES;
    f->config.worker_count = 3;
    prepare(f);
    for (worker = 0; worker < 3; worker++) {
        ck_assert(!counters_of(f).filled);
        run_steps(f, worker, 4);
    }
    ck_assert(counters_of(f).filled);
    ck_assert_uint_eq(counters_of(f).filled_pages, 10);
    run_steps(f, 0, 300);
    ck_assert_uint_eq(counters_of(f).passes, 0);
    run_steps(f, 1, 300);
    run_steps(f, 2, 300);
    ck_assert_uint_ge(counters_of(f).passes, 75);
    for (page = 0; page < PAGES; page++)
        ck_assert_int_eq(is_zero_page(f, page), page >= 10);
    ck_assert_uint_eq(workload_audit(&f->workload, NULL), 0);
    page_of(f, 60)[1] = 1;
    ck_assert_uint_eq(workload_audit(&f->workload, &page), 1);
    ck_assert_uint_eq(page, 60 * WORKLOAD_PAGE_BYTES);
    fixture_free(f);
}
END_TEST

START_TEST(more_workers_than_pages_is_no_trouble)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint32_t worker;

    f->config.span_bytes = 2 * WORKLOAD_PAGE_BYTES;
    f->config.worker_count = WORKLOAD_MAX_WORKERS;
    prepare(f);
    for (worker = 0; worker < WORKLOAD_MAX_WORKERS; worker++)
        run_steps(f, worker, 20);
    ck_assert(counters_of(f).filled);
    ck_assert_uint_ge(counters_of(f).passes, 18);
    ck_assert_uint_eq(counters_of(f).errors, 0);
    fixture_free(f);
}
END_TEST

START_TEST(zipf_prefers_few_and_random_prefers_none)
{
    struct fixture *f = fixture_new(_i ? WORKLOAD_RANDOM : WORKLOAD_ZIPF);
    uint32_t *entry =
        (uint32_t *)((uint8_t *)f->workload.ledger + workload_ledger_bytes(0));
    uint64_t page, hottest = 0, total = 0;
    const uint64_t visits = 24000;

    prepare(f);
    run_steps(f, 0, PAGES + visits);
    for (page = 0; page < PAGES; page++) {
        ck_assert_uint_gt(entry[page], 1);
        total += entry[page] - 1;
        hottest = entry[page] > hottest ? entry[page] : hottest;
    }
    ck_assert_uint_eq(total, visits);
    /* 1/H(96) = 0.194 of the visits, or 1/96. */
    if (_i) {
        ck_assert_uint_lt(hottest, visits / PAGES * 15 / 10);
    } else {
        ck_assert_uint_gt(hottest, visits * 17 / 100);
        ck_assert_uint_lt(hottest, visits * 22 / 100);
    }
    fixture_free(f);
}
END_TEST

START_TEST(a_fill_at_once_is_the_same_fill)
{
    struct fixture *steps = fixture_new(WORKLOAD_SWEEP);
    struct fixture *once = fixture_new(WORKLOAD_SWEEP);
    uint32_t worker;

    steps->config.worker_count = once->config.worker_count = 3;
    steps->config.zero_percent = once->config.zero_percent = 20;
    prepare(steps);
    prepare(once);
    for (worker = 0; worker < 3; worker++)
        run_steps(steps, worker, PAGES / 3);
    for (worker = 3; worker-- > 0;)
        ck_assert(workload_fill(&once->workload, worker));
    ck_assert(!workload_fill(&once->workload, 3));
    ck_assert(counters_of(once).filled);
    ck_assert_uint_eq(once->serial_bytes, strlen(WORKLOAD_READY_LINE));
    ck_assert_int_eq(memcmp(steps->workload.ram, once->workload.ram, RAM_BYTES),
                     0);
    ck_assert_int_eq(memcmp(steps->workload.ledger, once->workload.ledger,
                            once->workload.ledger_bytes),
                     0);
    ck_assert(workload_fill(&once->workload, 0));
    ck_assert_uint_eq(once->serial_bytes, strlen(WORKLOAD_READY_LINE));
    fixture_free(steps);
    fixture_free(once);
}
END_TEST

START_TEST(content_that_was_there_is_kept)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint64_t page;

    f->config.flags = WORKLOAD_KEEP;
    f->config.write_percent = 50;
    memset(f->workload.ram, 0x5a, RAM_BYTES);
    prepare(f);
    ck_assert(counters_of(f).filled);
    run_steps(f, 0, PAGES);
    for (page = 0; page < PAGES; page++)
        if (!f->ram_marks[page])
            ck_assert_uint_eq(page_of(f, page)[9], 0x5a);
    run_steps(f, 0, 10 * PAGES);
    ck_assert_uint_eq(counters_of(f).errors, 0);
    ck_assert_uint_eq(workload_audit(&f->workload, NULL), 0);
    page_of(f, 3)[0] ^= 1;
    run_steps(f, 0, PAGES);
    ck_assert_uint_eq(counters_of(f).errors, 1);
    fixture_free(f);
}
END_TEST

START_TEST(stalls_are_counted_by_their_length)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    struct workload_counters counters;
    uint32_t i;

    fill_and_run(f, 1);
    ck_assert_uint_eq(counters_of(f).stalls, 0);
    f->step_ns = 60000;
    run_steps(f, 0, 98);
    f->step_ns = 4000000;
    run_steps(f, 0, 2);
    f->step_ns = 500;
    for (i = 0; i < 5; i++)
        run_steps(f, 0, PAGES);
    counters = counters_of(f);
    ck_assert_uint_eq(counters.stalls, 100);
    ck_assert_uint_ge(counters.stall_p50_ns, 60000 * 8 / 10);
    ck_assert_uint_le(counters.stall_p50_ns, 60000 * 12 / 10);
    ck_assert_uint_ge(counters.stall_p99_ns, 4000000 * 8 / 10);
    ck_assert_uint_eq(counters.stall_max_ns, 4000000);
    fixture_free(f);
}
END_TEST

START_TEST(an_impossible_ledger_is_refused)
{
    struct fixture *f = fixture_new(WORKLOAD_SWEEP);
    uint8_t *ledger = f->workload.ledger, byte;
    struct workload_config config;
    uint32_t i;

    ck_assert_ptr_nonnull(workload_check_ledger(&f->workload, 1));
    ck_assert(!workload_run(&f->workload, 0));
    prepare(f);
    ck_assert_ptr_null(workload_check_ledger(&f->workload, 1));
    ck_assert_ptr_nonnull(workload_check_ledger(&f->workload, 2));
    ck_assert(!workload_run(&f->workload, 1));
    f->workload.ram_bytes -= WORKLOAD_PAGE_BYTES;
    ck_assert_ptr_nonnull(workload_check_ledger(&f->workload, 1));
    f->workload.ram_bytes += WORKLOAD_PAGE_BYTES;
    f->workload.ledger_bytes -= WORKLOAD_PAGE_BYTES;
    ck_assert_ptr_nonnull(workload_check_ledger(&f->workload, 1));
    f->workload.ledger_bytes += WORKLOAD_PAGE_BYTES;

    /* Whatever a peer writes there, a worker stays in its areas (which the
     * sanitizers and the guard of malloc() watch). */
    for (i = 0; i < 4096 + 1024; i++) {
        byte = ledger[i];
        ledger[i] = (uint8_t)~byte;
        if (!workload_check_ledger(&f->workload, 1)) {
            f->serial_bytes = 0;
            run_steps(f, 0, 2);
        }
        ledger[i] = byte;
    }
    ck_assert(workload_get_config(&f->workload, &config));
    ck_assert_int_eq(memcmp(&config, &f->config, sizeof config), 0);
    fixture_free(f);
}
END_TEST

START_TEST(impossible_configurations_are_refused)
{
    struct workload_config good, bad;

    workload_config_init(&good, RAM_BYTES);
    ck_assert_ptr_null(workload_config_check(&good));
#define REFUSED(member, value) \
    bad = good;                \
    bad.member = (value);      \
    ck_assert_ptr_nonnull(workload_config_check(&bad))
    REFUSED(kind, WORKLOAD_ZIPF + 1);
    REFUSED(fill, WORKLOAD_FILL_TEXT + 1);
    REFUSED(write_percent, 101);
    REFUSED(zero_percent, 101);
    REFUSED(worker_count, 0);
    REFUSED(worker_count, WORKLOAD_MAX_WORKERS + 1);
    REFUSED(flags, 2);
    REFUSED(ram_bytes, 0);
    REFUSED(ram_bytes, RAM_BYTES + 1);
    REFUSED(ram_bytes, UINT64_C(1) << 41);
    REFUSED(span_bytes, RAM_BYTES + WORKLOAD_PAGE_BYTES);
    REFUSED(span_bytes, WORKLOAD_PAGE_BYTES / 2);
    fixture_free(fixture_new(WORKLOAD_IDLE));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("workload");
    TCase *pages = tcase_create("pages"), *time = tcase_create("time");
    TCase *ledger = tcase_create("ledger");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(pages, every_workload_verifies_what_it_wrote, 0, 9);
    tcase_add_loop_test(pages, a_wrong_byte_is_found, 0, 7);
    tcase_add_loop_test(pages, a_page_that_lost_one_write_is_found, 0, 3);
    tcase_add_loop_test(pages, one_round_finds_any_page, 0, 3);
    tcase_add_test(pages, every_word_is_looked_at_within_eight_passes);
    tcase_add_loop_test(pages, any_byte_of_a_zero_page_is_found, 0, 5);
    tcase_add_test(pages, pages_become_zero_and_filled_again);
    tcase_add_test(pages,
                   only_the_first_lines_are_printed_but_all_errors_count);
    tcase_add_test(
        pages, addresses_above_the_hole_are_printed_as_the_guest_knows_them);
    tcase_add_test(pages, a_write_that_was_under_way_is_no_corruption);
    tcase_add_test(pages, the_span_bounds_and_is_split_among_workers);
    tcase_add_test(pages, more_workers_than_pages_is_no_trouble);
    tcase_add_loop_test(pages, zipf_prefers_few_and_random_prefers_none, 0, 2);
    tcase_add_test(pages, a_fill_at_once_is_the_same_fill);
    tcase_add_test(pages, content_that_was_there_is_kept);
    suite_add_tcase(suite, pages);

    tcase_add_test(time, a_rate_is_kept);
    tcase_add_test(time, lost_time_is_not_made_up_for_in_a_burst);
    tcase_add_test(time, a_clock_that_was_set_back_does_not_stop_the_work);
    tcase_add_loop_test(time, the_longest_gap_is_remembered, 0, 2);
    tcase_add_test(time, idle_touches_nothing_after_its_fill);
    tcase_add_test(time, stalls_are_counted_by_their_length);
    suite_add_tcase(suite, time);

    tcase_add_loop_test(ledger, work_goes_on_from_a_copy_at_any_step, 0, 3);
    tcase_add_test(ledger, all_that_was_written_was_marked);
    tcase_add_test(ledger, an_impossible_ledger_is_refused);
    tcase_add_test(ledger, impossible_configurations_are_refused);
    suite_add_tcase(suite, ledger);

    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

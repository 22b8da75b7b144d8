/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is claimed, in which order, by how many at once. */
#include "guest-memory.h"

#include <pthread.h>

#include "ram/page-search.h"

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block *ram, *rom;
static struct vmmig__page_search search;

static void setup(void)
{
    blocks = vmmig__ram_blocks_new(4096);
    ram = add_block(blocks, "ram", 200);
    rom = add_block(blocks, "rom", 70);
    ram->pending = vmmig__bitmap_new(200);
    rom->pending = vmmig__bitmap_new(70);
    search = (struct vmmig__page_search){ .blocks = blocks };
}

static void teardown(void)
{
    g_clear_pointer(&ram->pending, g_free);
    g_clear_pointer(&rom->pending, g_free);
    free_memory(blocks);
}

static void mark(struct vmmig_block *block, uint64_t first, uint64_t count)
{
    vmmig__bitmap_set(block->pending, first, count);
}

/* Claims until nothing is left: "ram:3+2 rom:0+1" */
static void expect_runs(uint64_t maximum, const char *expected)
{
    GString *found = g_string_new(NULL);
    struct vmmig__page_run run;

    while (vmmig__page_search_claim(&search, maximum, &run)) {
        g_string_append_printf(found, "%s%s:%u+%u", found->len ? " " : "",
                               run.block->name, (unsigned)run.first_page,
                               (unsigned)run.page_count);
        ck_assert_uint_lt(found->len, 10000);
    }
    ck_assert_str_eq(found->str, expected);
    g_string_free(found, TRUE);
}

START_TEST(dirty_pages_come_in_runs_and_in_order)
{
    mark(ram, 3, 2);
    mark(ram, 60, 80);
    mark(rom, 0, 1);
    mark(rom, 69, 1);
    ck_assert_uint_eq(vmmig__page_search_pending(&search), 84);
    expect_runs(1000, "ram:3+2 ram:60+80 rom:0+1 rom:69+1");
    ck_assert_uint_eq(vmmig__page_search_pending(&search), 0);
}
END_TEST

START_TEST(a_run_is_no_longer_than_asked_for)
{
    mark(ram, 60, 80);
    expect_runs(32, "ram:60+32 ram:92+32 ram:124+16");
}
END_TEST

START_TEST(the_search_goes_on_where_it_was_and_round_once)
{
    struct vmmig__page_run run;

    mark(ram, 100, 1);
    ck_assert(vmmig__page_search_claim(&search, 8, &run));
    mark(ram, 99, 3);
    mark(rom, 5, 1);
    expect_runs(8, "ram:101+1 rom:5+1 ram:99+2");
}
END_TEST

START_TEST(unused_pages_are_passed_over_and_stay_pending)
{
    mark(ram, 0, 10);
    vmmig_block_mark_unused(ram, 0, PAGE_BYTES, true);
    vmmig_block_mark_unused(ram, 4 * PAGE_BYTES, 2 * PAGE_BYTES, true);
    ck_assert_uint_eq(vmmig__page_search_pending(&search), 7);
    expect_runs(100, "ram:1+3 ram:6+4");
    ck_assert_uint_eq(vmmig__page_search_pending(&search), 0);
    vmmig_block_mark_unused(ram, 4 * PAGE_BYTES, PAGE_BYTES, false);
    expect_runs(100, "ram:4+1");
    ck_assert(vmmig__bitmap_test(ram->dirty, 4)); /* and in the next round */
    ck_assert_uint_eq(vmmig__bitmap_count(ram->pending, 200), 2);
}
END_TEST

START_TEST(shared_files_are_passed_over_only_when_ignored)
{
    rom->flags = VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED;
    mark(ram, 1, 1);
    mark(rom, 1, 1);
    search.ignore_shared = true;
    ck_assert_uint_eq(vmmig__page_search_pending(&search), 1);
    expect_runs(8, "ram:1+1");
    search.ignore_shared = false;
    expect_runs(8, "rom:1+1");
    ck_assert(vmmig__block_is_ignorable(rom));
    rom->flags = VMMIG_BLOCK_SHARED;
    ck_assert(!vmmig__block_is_ignorable(rom));
    rom->flags = VMMIG_BLOCK_FD;
    ck_assert(!vmmig__block_is_ignorable(rom));
}
END_TEST

START_TEST(what_is_claimed_is_noted_where_the_block_wants_it)
{
    ram->claimed = vmmig__bitmap_new(200);
    mark(ram, 3, 2);
    mark(rom, 3, 2);
    expect_runs(8, "ram:3+2 rom:3+2");
    ck_assert_uint_eq(vmmig__bitmap_count(ram->claimed, 200), 2);
    ck_assert(vmmig__bitmap_test(ram->claimed, 3));
}
END_TEST

START_TEST(without_blocks_there_is_nothing)
{
    struct vmmig__page_run run;

    search.blocks = vmmig__ram_blocks_new(4096);
    ck_assert(!vmmig__page_search_claim(&search, 1, &run));
    ck_assert_uint_eq(vmmig__page_search_pending(&search), 0);
    vmmig__ram_blocks_free(search.blocks);
}
END_TEST

#define ROUNDS 300

struct sender {
    pthread_t thread;
    pthread_barrier_t *barrier;
    struct vmmig__page_search search;
    uint64_t maximum_pages;
    uint32_t sent[200];
};

/* In each round: everything is dirty, and both take what they get. */
static void *send_rounds(void *data)
{
    struct sender *sender = data;
    struct vmmig__page_run run;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(sender->barrier);
        while (vmmig__page_search_claim(&sender->search, sender->maximum_pages,
                                        &run)) {
            for (uint64_t j = 0; j < run.page_count; j++)
                sender->sent[run.first_page + j]++;
        }
        pthread_barrier_wait(sender->barrier);
    }
    return NULL;
}

START_TEST(of_two_senders_each_page_goes_to_exactly_one)
{
    struct sender senders[2];
    pthread_barrier_t barrier;

    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++) {
        senders[i] = (struct sender){ .barrier = &barrier,
                                      .search = { .blocks = blocks },
                                      .maximum_pages = i ? 5 : 64 };
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_rounds,
                                        &senders[i]),
                         0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        mark(ram, 0, 200);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(senders[i].thread, NULL);
    for (int page = 0; page < 200; page++)
        ck_assert_uint_eq(senders[0].sent[page] + senders[1].sent[page],
                          ROUNDS);
    pthread_barrier_destroy(&barrier);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page-search");
    TCase *tests = tcase_create("page-search");
    SRunner *runner;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, dirty_pages_come_in_runs_and_in_order);
    tcase_add_test(tests, a_run_is_no_longer_than_asked_for);
    tcase_add_test(tests, the_search_goes_on_where_it_was_and_round_once);
    tcase_add_test(tests, unused_pages_are_passed_over_and_stay_pending);
    tcase_add_test(tests, shared_files_are_passed_over_only_when_ignored);
    tcase_add_test(tests, what_is_claimed_is_noted_where_the_block_wants_it);
    tcase_add_test(tests, without_blocks_there_is_nothing);
    tcase_add_test(tests, of_two_senders_each_page_goes_to_exactly_one);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    srunner_free(runner);
    return 0;
}

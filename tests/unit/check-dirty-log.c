/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Marks end up in the bitmaps, and sources get back what an attempt took. */
#include "guest-memory.h"

#include <pthread.h>

#include "ram/dirty-log.h"

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block *ram, *rom;
static struct vmmig__dirty_sources *sources;
static char *calls; /* of the recording sources, in order */

static void note(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void note(const char *format, ...)
{
    va_list arguments;
    char *call, *all;

    va_start(arguments, format);
    call = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    all = g_strconcat(calls, *calls ? " " : "", call, NULL);
    g_free(call);
    g_free(calls);
    calls = all;
}

static void setup(void)
{
    blocks = vmmig__ram_blocks_new(4096);
    ram = add_block(blocks, "ram", 200);
    rom = add_block(blocks, "rom", 70);
    sources = vmmig__dirty_sources_new();
    calls = g_strdup("");
}

static void teardown(void)
{
    vmmig__dirty_sources_free(sources);
    free_memory(blocks);
    g_free(calls);
}

/* "3 7-9": the set bits */
static char *describe(const vmmig__bitmap_word *bitmap, uint64_t bits)
{
    GString *text = g_string_new(NULL);
    uint64_t at = 0;

    while ((at = vmmig__bitmap_find(bitmap, at, bits)) < bits) {
        uint64_t end = vmmig__bitmap_find_clear(bitmap, at, bits);

        g_string_append_printf(text, "%s%u", text->len ? " " : "",
                               (unsigned)at);
        if (end > at + 1)
            g_string_append_printf(text, "-%u", (unsigned)end - 1);
        at = end;
    }
    return g_string_free(text, FALSE);
}

static void expect_bits(const vmmig__bitmap_word *bitmap, uint64_t bits,
                        const char *expected)
{
    char *found = describe(bitmap, bits);

    ck_assert_str_eq(found, expected);
    g_free(found);
}

START_TEST(a_mark_covers_every_page_it_touches)
{
    vmmig_block_mark_dirty(ram, 0, 1);
    vmmig_block_mark_dirty(ram, 2 * PAGE_BYTES, PAGE_BYTES);
    vmmig_block_mark_dirty(ram, 5 * PAGE_BYTES - 1, 2);
    vmmig_block_mark_dirty(ram, 63 * PAGE_BYTES + 5, 65 * PAGE_BYTES);
    vmmig_block_mark_dirty(ram, 150 * PAGE_BYTES, 0);
    expect_bits(ram->dirty, 200, "0 2 4-5 63-128");
    expect_bits(rom->dirty, 70, "");
}
END_TEST

START_TEST(what_lies_outside_the_block_is_ignored)
{
    vmmig_block_mark_dirty(rom, 70 * PAGE_BYTES, 1);
    vmmig_block_mark_dirty(rom, UINT64_MAX, UINT64_MAX);
    expect_bits(rom->dirty, 70, "");
    vmmig_block_mark_dirty(rom, 69 * PAGE_BYTES, UINT64_MAX);
    expect_bits(rom->dirty, 70, "69");
}
END_TEST

START_TEST(a_bitmap_is_ored_in_from_any_page_and_clipped)
{
    const uint64_t words[] = { UINT64_C(0x8000000000000001), 3, UINT64_MAX };

    vmmig_block_mark_dirty(ram, 0, 1);
    vmmig_block_mark_dirty_bitmap(ram, 3, words, 66);
    expect_bits(ram->dirty, 200, "0 3 66-68");
    vmmig_block_mark_dirty_bitmap(rom, 64, words, 192);
    expect_bits(rom->dirty, 70, "64");
    vmmig_block_mark_dirty_bitmap(rom, 70, words, 192);
    vmmig_block_mark_dirty_bitmap(rom, UINT64_MAX, words, 192);
    expect_bits(rom->dirty, 70, "64");
}
END_TEST

START_TEST(unused_pages_are_whole_pages_and_come_back_dirty)
{
    vmmig_block_mark_unused(ram, PAGE_BYTES + 1, 3 * PAGE_BYTES, true);
    expect_bits(ram->unused, 200, "2-3");
    vmmig_block_mark_unused(ram, 10 * PAGE_BYTES + 1, PAGE_BYTES, true);
    vmmig_block_mark_unused(ram, 199 * PAGE_BYTES, UINT64_MAX, true);
    vmmig_block_mark_unused(ram, 200 * PAGE_BYTES, PAGE_BYTES, true);
    expect_bits(ram->unused, 200, "2-3 199");
    expect_bits(ram->dirty, 200, "");
    vmmig_block_mark_unused(ram, 3 * PAGE_BYTES, PAGE_BYTES, false);
    expect_bits(ram->unused, 200, "2 199");
    expect_bits(ram->dirty, 200, "3");
}
END_TEST

START_TEST(a_pointer_finds_its_blocks_and_what_is_in_none_is_ignored)
{
    struct vmmig_block *low = ram->host < rom->host ? ram : rom;
    struct vmmig_block *high = low == ram ? rom : ram;
    uint64_t everything =
        (uint64_t)(high->host - low->host) + high->length_bytes;

    vmmig__ram_mark_dirty(blocks, rom->host + 2 * PAGE_BYTES + 5, PAGE_BYTES);
    expect_bits(rom->dirty, 70, "2-3");
    expect_bits(ram->dirty, 200, "");
    vmmig__ram_mark_dirty(blocks, low->host - 100, 100);
    vmmig__ram_mark_dirty(blocks, NULL, 4096);
    vmmig__ram_mark_dirty(blocks, high->host + high->length_bytes, UINT64_MAX);
    vmmig__ram_mark_dirty(blocks, ram->host, 0);
    expect_bits(rom->dirty, 70, "2-3");
    expect_bits(ram->dirty, 200, "");
    vmmig__ram_mark_dirty(blocks, low->host - 100, everything + 200);
    expect_bits(rom->dirty, 70, "0-69");
    expect_bits(ram->dirty, 200, "0-199");
}
END_TEST

#define MARKERS 4
#define MARKS 20000

static void *mark_at_random(void *data)
{
    GRand *random = g_rand_new_with_seed((guint32)(uintptr_t)data);
    uint64_t *own = g_new0(uint64_t, 200);

    for (int i = 0; i < MARKS; i++) {
        uint64_t page = (uint64_t)g_rand_int_range(random, 0, 200);

        own[page]++;
        vmmig_block_mark_dirty(ram, page * PAGE_BYTES, 1);
    }
    g_rand_free(random);
    return own;
}

START_TEST(marks_of_several_threads_at_once_are_all_there)
{
    pthread_t threads[MARKERS];
    bool was_claimed[200] = { false };

    for (uintptr_t i = 0; i < MARKERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, mark_at_random,
                                        (void *)(i + 1)),
                         0);
    /* Meanwhile bits are taken, so that sets and claims meet in one word. */
    for (int i = 0; i < 1000; i++) {
        for (uint64_t page = 0; page < 200; page += 3) {
            if (vmmig__bitmap_claim(ram->dirty, page, page + 1))
                was_claimed[page] = true;
        }
    }
    for (int i = 0; i < MARKERS; i++) {
        uint64_t *own;

        pthread_join(threads[i], (void **)&own);
        for (uint64_t page = 0; page < 200; page++)
            ck_assert_msg(!own[page] || was_claimed[page] ||
                              vmmig__bitmap_test(ram->dirty, page),
                          "page %d is lost", (int)page);
        g_free(own);
    }
}
END_TEST

/* -- sources */

struct recorder {
    const char *name;
    uint64_t pages[8]; /* of `ram`, that collect() marks; 0 ends */
    bool fails;
    vmmig__bitmap_word *returned; /* of ram */
};

static bool recorder_start(void *source, vmmig_error **error)
{
    struct recorder *r = source;

    note("%s:start", r->name);
    return !r->fails || vmmig_error_set(error, VMMIG_ERROR_HOST, "no log");
}

static bool recorder_collect(void *source, vmmig_error **error)
{
    struct recorder *r = source;

    note("%s:collect", r->name);
    for (int i = 0; r->pages[i]; i++)
        vmmig_block_mark_dirty(ram, r->pages[i] * PAGE_BYTES, 1);
    return !r->fails || vmmig_error_set(error, VMMIG_ERROR_HOST, "log is lost");
}

static void recorder_stop(void *source)
{
    note("%s:stop", ((struct recorder *)source)->name);
}

static bool recorder_protect(void *source, struct vmmig_block *block,
                             uint64_t first_page, uint64_t page_count,
                             vmmig_error **error)
{
    note("%s:protect(%s,%u,%u)", ((struct recorder *)source)->name,
         block->name, (unsigned)first_page, (unsigned)page_count);
    return true;
}

static void recorder_give_back(void *source, struct vmmig_block *block,
                               uint64_t first_page, const uint64_t *words,
                               uint64_t page_count)
{
    struct recorder *r = source;

    ck_assert_ptr_eq(block, ram);
    ck_assert_uint_le(first_page + page_count, 200);
    vmmig__bitmap_or(r->returned, first_page, words, page_count);
}

static const struct vmmig_dirty_source full_ops = {
    .struct_size = sizeof full_ops,
    .start = recorder_start,
    .collect = recorder_collect,
    .stop = recorder_stop,
    .protect = recorder_protect,
    .give_back = recorder_give_back,
};

static const struct vmmig_dirty_source minimal_ops = {
    .struct_size = sizeof minimal_ops,
    .collect = recorder_collect,
};

static void forget_recorder(void *source)
{
    struct recorder *r = source;

    note("%s:free", r->name);
    g_clear_pointer(&r->returned, g_free);
}

static void add_recorder(struct recorder *r,
                         const struct vmmig_dirty_source *ops)
{
    vmmig_error *error = NULL;

    r->returned = vmmig__bitmap_new(200);
    ck_assert(
        vmmig__dirty_sources_add(sources, ops, r, forget_recorder, &error));
}

START_TEST(sources_are_called_in_their_order)
{
    static struct recorder a = { "a", { 3, 4 }, false, NULL };
    static struct recorder b = { "b", { 7 }, false, NULL };
    vmmig_error *error = NULL;

    add_recorder(&a, &full_ops);
    add_recorder(&b, &minimal_ops);
    ck_assert_uint_eq(vmmig__dirty_sources_count(sources), 2);
    ck_assert(vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert(vmmig__dirty_sources_collect(sources, &error));
    ck_assert(vmmig__dirty_sources_protect(sources, ram, 70, 10, &error));
    ck_assert(vmmig__dirty_sources_protect(sources, ram, 190, 10, &error));
    ck_assert(vmmig__dirty_sources_protect(sources, rom, 0, 1, &error));
    vmmig__dirty_sources_stop(sources);
    vmmig__dirty_sources_stop(sources);
    vmmig__dirty_sources_free(sources);
    sources = NULL;
    ck_assert_str_eq(calls, "a:start a:collect b:collect a:protect(ram,64,64) "
                            "a:protect(ram,128,72) a:protect(rom,0,64) a:stop "
                            "a:free b:free");
    expect_bits(ram->dirty, 200, "3-4 7");
}
END_TEST

START_TEST(a_source_that_fails_to_start_stops_those_before_it)
{
    static struct recorder a = { "a", { 0 }, false, NULL };
    static struct recorder b = { "b", { 0 }, true, NULL };
    vmmig_error *error = NULL;

    add_recorder(&a, &full_ops);
    add_recorder(&b, &full_ops);
    ck_assert(!vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert_str_eq(vmmig_error_message(error),
                     "start of the dirty log: no log");
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_HOST);
    vmmig_error_free(error);
    ck_assert_str_eq(calls, "a:start b:start a:stop");
}
END_TEST

START_TEST(a_failed_collect_keeps_what_was_marked_before)
{
    static struct recorder a = { "a", { 5 }, true, NULL };
    vmmig_error *error = NULL;

    add_recorder(&a, &minimal_ops);
    ck_assert(vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert(!vmmig__dirty_sources_collect(sources, &error));
    ck_assert_str_eq(vmmig_error_message(error), "dirty log: log is lost");
    vmmig_error_free(error);
    expect_bits(ram->dirty, 200, "5");
}
END_TEST

static bool silent_failure(void *source, vmmig_error **error)
{
    return false;
}

START_TEST(a_callback_that_fails_without_a_reason_is_an_error_all_the_same)
{
    const struct vmmig_dirty_source ops = { .struct_size = sizeof ops,
                                            .collect = silent_failure };
    vmmig_error *error = NULL;

    ck_assert(vmmig__dirty_sources_add(sources, &ops, NULL, NULL, &error));
    ck_assert(vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert(!vmmig__dirty_sources_collect(sources, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_HOST);
    vmmig_error_free(error);
}
END_TEST

START_TEST(a_source_without_collect_is_refused)
{
    const struct vmmig_dirty_source ops = { .struct_size = sizeof ops };
    static struct recorder a = { "a", { 0 }, false, NULL };
    vmmig_error *error = NULL;

    ck_assert(
        !vmmig__dirty_sources_add(sources, &ops, &a, forget_recorder, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    vmmig_error_free(error);
    ck_assert_str_eq(calls, ""); /* it stays the caller's */
    ck_assert_uint_eq(vmmig__dirty_sources_count(sources), 0);
}
END_TEST

START_TEST(each_source_gets_back_what_it_marked_and_nothing_else)
{
    static struct recorder a = { "a", { 3, 64, 199 }, false, NULL };
    static struct recorder b = { "b", { 4, 64 }, false, NULL };
    vmmig_error *error = NULL;

    add_recorder(&a, &full_ops);
    add_recorder(&b, &full_ops);
    vmmig_block_mark_dirty(ram, 9 * PAGE_BYTES, 1);
    ck_assert(vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert(vmmig__dirty_sources_collect(sources, &error));
    vmmig_block_mark_dirty(ram, 10 * PAGE_BYTES, 1);
    a.pages[0] = 20;
    ck_assert(vmmig__dirty_sources_collect(sources, &error));
    vmmig__dirty_sources_give_back(sources);
    expect_bits(a.returned, 200, "3 20 64 199");
    expect_bits(b.returned, 200, "4 64");
    expect_bits(ram->dirty, 200, "3-4 9-10 20 64 199");

    /* A second time there is nothing left to give. */
    vmmig__bitmap_clear(a.returned, 0, 200);
    vmmig__dirty_sources_give_back(sources);
    expect_bits(a.returned, 200, "");
    vmmig__dirty_sources_stop(sources);
}
END_TEST

START_TEST(what_a_success_has_consumed_is_not_given_back)
{
    static struct recorder a = { "a", { 3 }, false, NULL };
    vmmig_error *error = NULL;

    add_recorder(&a, &full_ops);
    ck_assert(vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert(vmmig__dirty_sources_collect(sources, &error));
    vmmig__dirty_sources_forget(sources);
    a.pages[0] = 5;
    ck_assert(vmmig__dirty_sources_collect(sources, &error));
    vmmig__dirty_sources_give_back(sources);
    expect_bits(a.returned, 200, "5");
    vmmig__dirty_sources_stop(sources);
    vmmig__dirty_sources_give_back(sources);
    expect_bits(a.returned, 200, "5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dirty-log");
    TCase *tests = tcase_create("dirty-log");
    SRunner *runner;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_mark_covers_every_page_it_touches);
    tcase_add_test(tests, what_lies_outside_the_block_is_ignored);
    tcase_add_test(tests, a_bitmap_is_ored_in_from_any_page_and_clipped);
    tcase_add_test(tests, unused_pages_are_whole_pages_and_come_back_dirty);
    tcase_add_test(tests,
                   a_pointer_finds_its_blocks_and_what_is_in_none_is_ignored);
    tcase_add_test(tests, marks_of_several_threads_at_once_are_all_there);
    tcase_add_test(tests, sources_are_called_in_their_order);
    tcase_add_test(tests, a_source_that_fails_to_start_stops_those_before_it);
    tcase_add_test(tests, a_failed_collect_keeps_what_was_marked_before);
    tcase_add_test(
        tests, a_callback_that_fails_without_a_reason_is_an_error_all_the_same);
    tcase_add_test(tests, a_source_without_collect_is_refused);
    tcase_add_test(tests,
                   each_source_gets_back_what_it_marked_and_nothing_else);
    tcase_add_test(tests, what_a_success_has_consumed_is_not_given_back);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    srunner_free(runner);
    return 0;
}

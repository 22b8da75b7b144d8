/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a source sends, when it stops, and that an attempt that fails loses no
 * dirty bit: neither its own nor those of somebody who reads the same log.
 */
#include "ram-stream.h"

#include <pthread.h>

#include "io/channel-memory.h"
#include "ram/ram-save.h"
#include "run-case.h"

#define RAM_PAGES 700
#define ROM_PAGES 3

static struct vmmig__ram_blocks *blocks, *there;
static struct vmmig_block *block_ram, *block_rom, *ram_there, *rom_there;
static struct vmmig__dirty_sources *sources;
static struct vmmig__ram ram, copy; /* the two sides */
static struct vmmig_writer *out;
static GString *calls; /* of the source and the sink, in order */

static uint64_t now_us, us_per_look;

static uint64_t look_at_clock(void *data)
{
    return now_us += us_per_look;
}

static const struct vmmig__clock clock_of_tests = { look_at_clock, NULL };

/* A log with two readers: what a collect consumes, the other one misses. */
static struct log {
    vmmig__bitmap_word *written; /* pages of "ram" */
    bool fails;
} dirty_log;

static bool log_collect(void *source, vmmig_error **error)
{
    struct log *log = source;

    if (log->fails)
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "the log is gone");
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        if (vmmig__bitmap_claim(log->written, page, page + 1))
            vmmig_block_mark_dirty(block_ram, page * PAGE_BYTES, 1);
    }
    return true;
}

static bool log_protect(void *source, struct vmmig_block *block,
                        uint64_t first_page, uint64_t page_count,
                        vmmig_error **error)
{
    g_string_append_printf(calls, "protect(%s,%u,%u) ", block->name,
                           (unsigned)first_page, (unsigned)page_count);
    return true;
}

static void log_give_back(void *source, struct vmmig_block *block,
                          uint64_t first_page, const uint64_t *words,
                          uint64_t page_count)
{
    struct log *log = source;

    ck_assert_ptr_eq(block, block_ram);
    vmmig__bitmap_or(log->written, first_page, words, page_count);
}

static void log_stop(void *source)
{
    g_string_append(calls, "stop ");
}

static const struct vmmig_dirty_source log_ops = {
    .struct_size = sizeof log_ops,
    .collect = log_collect,
    .protect = log_protect,
    .give_back = log_give_back,
    .stop = log_stop,
};

static void setup(void)
{
    vmmig_error *error = NULL;

    blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    block_ram = add_block(blocks, "ram", RAM_PAGES);
    block_rom = add_block(blocks, "rom", ROM_PAGES);
    there = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    rom_there = add_block(there, "rom", ROM_PAGES);
    ram_there = add_block(there, "ram", RAM_PAGES);
    sources = vmmig__dirty_sources_new();
    dirty_log =
        (struct log){ .written = vmmig__bitmap_new(RAM_PAGES), .fails = false };
    ck_assert(vmmig__dirty_sources_add(sources, &log_ops, &dirty_log, NULL,
                                       &error));
    now_us = 1000;
    us_per_look = 0;
    vmmig__ram_init(&ram, blocks, sources, &clock_of_tests);
    vmmig__ram_init(&copy, there, NULL, &clock_of_tests);
    out = vmmig__writer_new_memory();
    calls = g_string_new(NULL);
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        if (page % 10)
            fill_page(block_ram, page, 1);
    }
    fill_page(block_rom, 1, 1);
}

static void teardown(void)
{
    vmmig__ram_ops.save_cleanup(&ram);
    vmmig__dirty_sources_free(sources);
    g_free(dirty_log.written);
    vmmig__writer_free(out);
    g_string_free(calls, TRUE);
    free_memory(blocks);
    free_memory(there);
}

/* Of a call that is not expected to fail. */
static vmmig_error *problem;

#define ck_ok(call) \
    ck_assert_msg(call, "%s", problem ? vmmig_error_message(problem) : "")

static void begin(void)
{
    ck_ok(vmmig__ram_ops.save_prepare(&ram, &problem));
    ck_ok(vmmig__ram_ops.save_setup(&ram, out, &problem));
}

static bool iterate(uint64_t budget_bytes)
{
    bool done = false;

    ck_ok(vmmig__ram_ops.save_iterate(&ram, out, budget_bytes, &done,
                                      &problem));
    return done;
}

static struct vmmig_pending query(bool exact)
{
    struct vmmig_pending pending = { .struct_size = sizeof pending };

    ck_ok(vmmig__ram_ops.save_query_pending(&ram, exact, &pending, &problem));
    return pending;
}

static void complete(void)
{
    ck_ok(vmmig__ram_ops.save_complete(&ram, out, &problem));
}

static uint64_t written_bytes(void)
{
    uint64_t length;

    vmmig__writer_get_bytes(out, &length);
    return length;
}

/* The guest writes a page; the log notices. */
static void guest_writes(uint64_t page, uint64_t seed)
{
    fill_page(block_ram, page, seed);
    vmmig__bitmap_set(dirty_log.written, page, 1);
}

/* Loads everything that was written on the other side. */
static void load_there(void)
{
    uint32_t phase = VMMIG_PHASE_SETUP;
    struct vmmig_reader *in;
    struct piecewise from = { .piece_bytes = UINT64_MAX };

    from.bytes = vmmig__writer_get_bytes(out, &from.length);
    in = piecewise_reader(&from);
    ck_ok(vmmig__ram_ops.load_setup(&copy, &problem));
    while (vmmig__reader_get_offset(in) < from.length) {
        ck_ok(load_body(&copy, in, phase, &problem));
        phase = VMMIG_PHASE_ITERATE;
    }
    vmmig__reader_free(in);
    vmmig__ram_ops.load_cleanup(&copy);
}

static void expect_equal_memory(void)
{
    ck_assert(!memcmp(block_ram->host, ram_there->host,
                      block_ram->length_bytes));
    ck_assert(!memcmp(block_rom->host, rom_there->host,
                      block_rom->length_bytes));
}

static uint64_t dirty_count(void)
{
    return vmmig__bitmap_count(block_ram->dirty, RAM_PAGES) +
           vmmig__bitmap_count(block_rom->dirty, ROM_PAGES);
}

static uint64_t pending_count(void)
{
    return vmmig__bitmap_count(block_ram->pending, RAM_PAGES) +
           vmmig__bitmap_count(block_rom->pending, ROM_PAGES);
}

static void expect_bits(const vmmig__bitmap_word *bitmap, const char *expected)
{
    GString *text = g_string_new(NULL);

    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        if (vmmig__bitmap_test(bitmap, page))
            g_string_append_printf(text, "%s%u", text->len ? " " : "",
                                   (unsigned)page);
    }
    ck_assert_str_eq(text->str, expected);
    g_string_free(text, TRUE);
}

/* -- what is sent */

START_TEST(the_start_lists_the_blocks)
{
    /* One block "mem" of 8 MiB, as in chapter 2.1. */
    static const uint8_t expected[] = {
        0,   0,   0,   0, 0, 0x80, 0, 4, 3, 'm', 'e', 'm', 0,
        0,   0,   0,   0, 0x80, 0, 0, 0, 0, 0,   0,   0,   0,
        0,   0x10
    };
    struct vmmig__ram_blocks *own = vmmig__ram_blocks_new(4096);
    const uint8_t *bytes;
    uint64_t length;

    add_block(own, "mem", 2048);
    vmmig__ram_init(&copy, own, NULL, &clock_of_tests);
    ck_ok(vmmig__ram_ops.save_prepare(&copy, &problem));
    ck_ok(vmmig__ram_ops.save_setup(&copy, out, &problem));
    bytes = vmmig__writer_get_bytes(out, &length);
    ck_assert_uint_eq(length, sizeof expected);
    ck_assert_mem_eq(bytes, expected, sizeof expected);
    vmmig__ram_ops.save_cleanup(&copy);
    free_memory(own);
}
END_TEST

START_TEST(the_first_round_sends_every_page_once)
{
    uint64_t zero_pages = RAM_PAGES / 10 + 2;
    uint64_t pages = RAM_PAGES + ROM_PAGES, before;

    begin();
    before = written_bytes();
    ck_assert(iterate(UINT64_MAX));
    /* A word for each page, two names with their lengths, and EOS. */
    ck_assert_uint_eq(written_bytes() - before,
                      9 * zero_pages + (8 + PAGE_BYTES) * (pages - zero_pages) +
                          2 * 4 + 8);
    ck_assert_uint_eq(dirty_count(), 0);
    ck_assert_uint_eq(atomic_load(&ram.counters.zero_pages), zero_pages);
    ck_assert_uint_eq(atomic_load(&ram.counters.normal_pages),
                      pages - zero_pages);
    ck_assert_uint_eq(atomic_load(&ram.counters.bytes),
                      written_bytes() - before - 8);
    complete();
    load_there();
    expect_equal_memory();
}
END_TEST

START_TEST(later_rounds_send_what_was_written_and_continue_the_block)
{
    uint64_t before;

    begin();
    ck_assert(iterate(UINT64_MAX));
    guest_writes(8, 2);
    guest_writes(400, 2);
    query(true);
    before = written_bytes();
    ck_assert(iterate(UINT64_MAX));
    /* Both "ram", while the last page of the first round was "rom"'s. */
    ck_assert_uint_eq(written_bytes() - before,
                      2 * (8 + PAGE_BYTES) + 4 + 8);
    guest_writes(8, 3);
    query(true);
    before = written_bytes();
    complete();
    ck_assert_uint_eq(written_bytes() - before, 8 + PAGE_BYTES + 8);
    load_there();
    expect_equal_memory();
}
END_TEST

START_TEST(unused_pages_are_neither_read_nor_sent)
{
    uint64_t zero_pages;

    vmmig_block_mark_unused(block_ram, 5 * PAGE_BYTES, 10 * PAGE_BYTES, true);
    begin();
    ck_assert(iterate(UINT64_MAX));
    zero_pages = atomic_load(&ram.counters.zero_pages);
    ck_assert_uint_eq(atomic_load(&ram.counters.normal_pages) + zero_pages,
                      RAM_PAGES + ROM_PAGES - 10);
    ck_assert_uint_eq(query(true).precopy_bytes, 0);
    vmmig_block_mark_unused(block_ram, 5 * PAGE_BYTES, 10 * PAGE_BYTES, false);
    ck_assert_uint_eq(query(true).precopy_bytes, 10 * PAGE_BYTES);
    complete();
    load_there();
    expect_equal_memory();
}
END_TEST

START_TEST(shared_files_are_listed_and_not_sent_when_ignored)
{
    ram.settings.ignore_shared = copy.settings.ignore_shared = true;
    block_rom->flags = VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED;
    rom_there->flags = block_rom->flags;
    block_rom->guest_address = rom_there->guest_address = 0xf0000;
    begin();
    ck_assert_uint_eq(query(false).precopy_bytes, RAM_PAGES * PAGE_BYTES);
    ck_assert(iterate(UINT64_MAX));
    complete();
    load_there();
    ck_assert(!memcmp(block_ram->host, ram_there->host,
                      block_ram->length_bytes));
    ck_assert(page_is_zero(rom_there, 1));
}
END_TEST

START_TEST(without_blocks_there_is_an_empty_list)
{
    struct vmmig__ram_blocks *none = vmmig__ram_blocks_new(4096);

    vmmig__ram_init(&copy, none, NULL, &clock_of_tests);
    ck_ok(vmmig__ram_ops.save_prepare(&copy, &problem));
    ck_ok(vmmig__ram_ops.save_setup(&copy, out, &problem));
    ck_assert_uint_eq(written_bytes(), 16);
    ck_ok(vmmig__ram_ops.save_complete(&copy, out, &problem));
    vmmig__ram_ops.save_cleanup(&copy);
    load_there();
    vmmig__ram_blocks_free(none);
}
END_TEST

/* -- when it stops */

START_TEST(a_part_ends_when_its_budget_is_used)
{
    uint64_t budget = 100 * PAGE_BYTES, before;
    int parts = 0;

    begin();
    for (bool done = false; !done; parts++) {
        before = atomic_load(&ram.counters.bytes);
        done = iterate(budget);
        ck_assert_uint_le(atomic_load(&ram.counters.bytes) - before,
                          budget + 2 * PAGE_BYTES);
    }
    ck_assert_int_ge(parts, 6);
    ck_assert_int_le(parts, 9);
    complete();
    load_there();
    expect_equal_memory();
}
END_TEST

START_TEST(a_budget_of_nothing_still_makes_progress)
{
    begin();
    ck_assert(!iterate(0));
    ck_assert_uint_eq(pending_count(), RAM_PAGES + ROM_PAGES - 1);
}
END_TEST

START_TEST(a_part_ends_after_fifty_milliseconds)
{
    begin();
    us_per_look = 30 * 1000;
    ck_assert(!iterate(UINT64_MAX));
    ck_assert_uint_eq(pending_count(), RAM_PAGES + ROM_PAGES - 2 * 256);
}
END_TEST

START_TEST(what_is_pending_is_known_in_between_and_exactly)
{
    struct vmmig_pending pending;

    begin();
    pending = query(false);
    ck_assert_uint_eq(pending.precopy_bytes,
                      (RAM_PAGES + ROM_PAGES) * PAGE_BYTES);
    ck_assert_uint_eq(pending.postcopy_bytes, 0);
    ck_assert_uint_eq(pending.stopcopy_bytes, 0);
    ck_assert(iterate(UINT64_MAX));
    guest_writes(3, 2);
    ck_assert_uint_eq(query(false).precopy_bytes, 0);
    ck_assert_uint_eq(query(true).precopy_bytes, PAGE_BYTES);
    ck_assert_uint_eq(query(false).precopy_bytes, PAGE_BYTES);
    ck_assert_uint_eq(atomic_load(&ram.counters.remaining_bytes), PAGE_BYTES);
    ck_assert_uint_eq(atomic_load(&ram.counters.dirty_sync_count), 1);
    ram.settings.postcopy = true;
    ck_assert_uint_eq(query(false).postcopy_bytes, PAGE_BYTES);
    ck_assert_uint_eq(query(false).precopy_bytes, 0);
}
END_TEST

START_TEST(the_dirty_rate_counts_what_was_written_between_two_syncs)
{
    begin();
    now_us += 1000 * 1000;
    query(true);
    ck_assert_uint_eq(atomic_load(&ram.counters.dirty_pages_per_s), 0);
    ck_assert(iterate(UINT64_MAX));
    for (uint64_t page = 0; page < 60; page++)
        guest_writes(page, 2);
    now_us += 500 * 1000;
    query(true);
    ck_assert_uint_eq(atomic_load(&ram.counters.dirty_pages_per_s), 120);
    /* Half of them are sent, and ten others written. */
    ck_assert(!iterate(30 * PAGE_BYTES));
    for (uint64_t page = 100; page < 110; page++)
        guest_writes(page, 2);
    now_us += 2000 * 1000;
    query(true);
    ck_assert_uint_eq(atomic_load(&ram.counters.dirty_pages_per_s), 5);
}
END_TEST

/* -- another sink */

static struct recording_sink {
    uint8_t sent[RAM_PAGES]; /* of "ram": submitted since the last sync */
    uint64_t pages;
    uint64_t fail_at; /* from this page of "ram" on */
} recorded;

static bool record_submit(void *sink, struct vmmig_block *block,
                          uint64_t first_page, uint64_t page_count,
                          vmmig_error **error)
{
    g_string_append_printf(calls, "submit(%s,%u,%u) ", block->name,
                           (unsigned)first_page, (unsigned)page_count);
    for (uint64_t i = first_page;
         block == block_ram && i < first_page + page_count; i++) {
        if (i >= recorded.fail_at)
            return vmmig_error_set(error, VMMIG_ERROR_IO, "channel lost");
        ck_assert_msg(!recorded.sent[i]++, "page %u twice", (unsigned)i);
        ck_assert(!vmmig__bitmap_test(block->dirty, i));
    }
    recorded.pages += page_count;
    atomic_fetch_add_explicit(&ram.counters.bytes, page_count * PAGE_BYTES,
                              memory_order_relaxed);
    return true;
}

static bool record_sync(void *sink, vmmig_error **error)
{
    g_string_append(calls, "sync ");
    memset(recorded.sent, 0, sizeof recorded.sent);
    return true;
}

static const struct vmmig__page_sink recording_sink = { record_submit,
                                                        record_sync, NULL };

static void use_recording_sink(uint64_t fail_at)
{
    memset(&recorded, 0, sizeof recorded);
    recorded.fail_at = fail_at;
    ram.sink = &recording_sink;
}

START_TEST(another_sink_gets_runs_that_have_been_protected)
{
    use_recording_sink(UINT64_MAX);
    begin();
    ck_assert(iterate(UINT64_MAX));
    ck_assert_str_eq(
        calls->str,
        "protect(ram,0,256) submit(ram,0,256) "
        "protect(ram,256,256) submit(ram,256,256) "
        "protect(ram,512,188) submit(ram,512,188) "
        "protect(rom,0,3) submit(rom,0,3) sync ");
    ck_assert_uint_eq(recorded.pages, RAM_PAGES + ROM_PAGES);
    g_string_truncate(calls, 0);
    guest_writes(100, 2);
    guest_writes(101, 2);
    guest_writes(699, 2);
    query(true);
    complete();
    ck_assert_str_eq(calls->str, "protect(ram,64,64) submit(ram,100,2) "
                                 "protect(ram,640,60) submit(ram,699,1) "
                                 "sync ");
}
END_TEST

START_TEST(a_page_marked_again_in_a_round_waits_for_a_sync)
{
    use_recording_sink(UINT64_MAX);
    begin();
    ck_assert(!iterate(10 * PAGE_BYTES));
    ck_assert_uint_gt(recorded.pages, 0);
    g_string_truncate(calls, 0);
    vmmig_block_mark_dirty(block_ram, 0, 1);
    query(true);
    ck_assert(iterate(UINT64_MAX));
    ck_assert_ptr_nonnull(
        strstr(calls->str, "sync protect(ram,0,64) submit(ram,0,1) sync "));
    expect_bits(block_ram->claimed, "");
}
END_TEST

/* -- how it ends */

START_TEST(an_aborted_round_puts_back_what_was_not_synced)
{
    begin();
    ck_assert(iterate(UINT64_MAX));
    vmmig_block_mark_dirty(block_ram, 7 * PAGE_BYTES, 2 * PAGE_BYTES);
    vmmig_block_mark_dirty(block_ram, 300 * PAGE_BYTES, 1);
    vmmig_block_mark_dirty(block_ram, 301 * PAGE_BYTES, 1);
    query(true);
    ck_assert(!iterate(2 * PAGE_BYTES));
    expect_bits(block_ram->pending, "300 301");
    expect_bits(block_ram->claimed, "7 8");
    vmmig_block_mark_dirty(block_ram, 9 * PAGE_BYTES, 1);
    vmmig__ram_save_abort_round(&ram);
    expect_bits(block_ram->dirty, "7 8 9");
    expect_bits(block_ram->pending, "300 301");
    expect_bits(block_ram->claimed, "");
    vmmig__ram_save_abort_round(&ram);
    expect_bits(block_ram->dirty, "7 8 9");
    query(true);
    expect_bits(block_ram->pending, "7 8 9 300 301");
}
END_TEST

START_TEST(a_committed_round_is_not_put_back)
{
    begin();
    ck_assert(iterate(UINT64_MAX));
    vmmig_block_mark_dirty(block_ram, 7 * PAGE_BYTES, 1);
    vmmig_block_mark_dirty(block_ram, 9 * PAGE_BYTES, 1);
    query(true);
    ck_assert(!iterate(PAGE_BYTES));
    vmmig__ram_save_commit_round(&ram);
    expect_bits(block_ram->claimed, "");
    vmmig__ram_save_abort_round(&ram);
    expect_bits(block_ram->dirty, "");
    expect_bits(block_ram->pending, "9");
}
END_TEST

/* Else a guest that writes faster than the channel sends would never see the
 * end of the first round. */
START_TEST(what_is_marked_in_a_round_is_sent_in_the_next)
{
    begin();
    for (unsigned i = 0; i < 5; i++) {
        vmmig_block_mark_dirty(block_ram, 0, 10 * PAGE_BYTES);
        if (iterate(UINT64_MAX))
            break;
        ck_assert_uint_lt(i, 4);
    }
    ck_assert_uint_eq(query(false).precopy_bytes, 0);
    ck_assert_uint_eq(query(true).precopy_bytes, 10 * PAGE_BYTES);
}
END_TEST

START_TEST(a_sink_that_fails_loses_no_page_and_no_mark_of_the_log)
{
    vmmig_error *error = NULL;
    bool done;

    use_recording_sink(UINT64_MAX);
    begin();
    ck_assert(iterate(UINT64_MAX));
    guest_writes(3, 2);
    query(true);
    ck_assert(iterate(UINT64_MAX)); /* synced, and yet the attempt fails */
    guest_writes(50, 2);
    guest_writes(51, 2);
    guest_writes(690, 2);
    query(true);
    expect_bits(dirty_log.written, "");
    recorded.fail_at = 100;
    ck_assert(!vmmig__ram_ops.save_iterate(&ram, out, UINT64_MAX, &done,
                                           &error));
    expect_error(&error, VMMIG_ERROR_IO, "channel lost");
    guest_writes(60, 2);
    g_string_truncate(calls, 0);
    vmmig__ram_save_end(&ram);
    ck_assert_str_eq(calls->str, "stop ");
    expect_bits(block_ram->dirty, "50 51 690");
    expect_bits(dirty_log.written, "3 50 51 60 690");
    vmmig__ram_ops.save_cleanup(&ram);
    ck_assert_str_eq(calls->str, "stop ");
    ck_assert_ptr_null(block_ram->claimed);
}
END_TEST

START_TEST(a_cleanup_alone_gives_everything_back_too)
{
    begin();
    ck_assert(iterate(UINT64_MAX));
    guest_writes(3, 2);
    query(true);
    ck_assert(!iterate(0));
    vmmig__ram_ops.save_cleanup(&ram);
    expect_bits(block_ram->dirty, "3");
    expect_bits(dirty_log.written, "3");
    ck_assert_ptr_nonnull(strstr(calls->str, "stop "));
}
END_TEST

START_TEST(a_success_gives_nothing_back)
{
    begin();
    ck_assert(iterate(UINT64_MAX));
    guest_writes(3, 2);
    query(true);
    complete();
    vmmig__ram_save_set_committed(&ram);
    vmmig__ram_save_end(&ram);
    expect_bits(dirty_log.written, "");
    expect_bits(block_ram->dirty, "");
    load_there();
    expect_equal_memory();
}
END_TEST

START_TEST(a_second_attempt_makes_a_perfect_copy)
{
    vmmig_error *error = NULL;
    bool done;

    use_recording_sink(400);
    begin();
    ck_assert(!vmmig__ram_ops.save_iterate(&ram, out, UINT64_MAX, &done,
                                           &error));
    expect_error(&error, VMMIG_ERROR_IO, "channel lost");
    vmmig__ram_ops.save_cleanup(&ram);
    guest_writes(5, 7);

    vmmig__writer_clear(out);
    vmmig__ram_init(&ram, blocks, sources, &clock_of_tests);
    begin();
    ck_assert(!iterate(50 * PAGE_BYTES));
    guest_writes(6, 7);
    query(true);
    ck_assert(iterate(UINT64_MAX));
    guest_writes(7, 7);
    query(true);
    complete();
    vmmig__ram_save_set_committed(&ram);
    load_there();
    expect_equal_memory();
}
END_TEST

START_TEST(a_log_that_fails_fails_the_query)
{
    struct vmmig_pending pending = { .struct_size = sizeof pending };
    vmmig_error *error = NULL;

    begin();
    dirty_log.fails = true;
    ck_assert(!vmmig__ram_ops.save_query_pending(&ram, true, &pending,
                                                 &error));
    expect_error(&error, VMMIG_ERROR_HOST, "dirty log: the log is gone");
}
END_TEST

/* Reads until the link is cut. */
static void *drain(void *data)
{
    uint8_t bytes[4096];
    struct iovec part = { bytes, sizeof bytes };
    uint64_t length = 1;

    while (length > 0 && vmmig__channel_read(data, &part, 1, &length, NULL))
        ;
    return NULL;
}

START_TEST(a_lost_channel_loses_no_page)
{
    const struct vmmig__memory_link forth = { .cut_after_bytes = 1000 * 1000 };
    struct vmmig_channel *ends[2];
    struct vmmig_writer *writer;
    vmmig_error *error = NULL;
    pthread_t reader;
    bool done;

    vmmig__channel_new_pair(&forth, NULL, ends);
    vmmig__channel_set_name(ends[0], "main");
    ck_assert_int_eq(pthread_create(&reader, NULL, drain, ends[1]), 0);
    writer = vmmig__writer_new(ends[0]);
    ck_ok(vmmig__ram_ops.save_prepare(&ram, &problem));
    ck_ok(vmmig__ram_ops.save_setup(&ram, writer, &problem));
    ck_assert(!vmmig__ram_ops.save_iterate(&ram, writer, UINT64_MAX, &done,
                                           &error));
    expect_error(&error, VMMIG_ERROR_IO, "channel main");
    vmmig__ram_ops.save_cleanup(&ram);
    ck_assert_uint_eq(dirty_count(), RAM_PAGES + ROM_PAGES);
    vmmig__writer_free(writer);
    pthread_join(reader, NULL);
    vmmig_channel_unref(ends[0]);
    vmmig_channel_unref(ends[1]);
}
END_TEST

/* -- a running guest */

#define WRITES 3000

static void *write_and_mark(void *unused)
{
    GRand *random = g_rand_new_with_seed(7);

    for (uint32_t i = 0; i < WRITES; i++) {
        uint64_t page = (uint64_t)g_rand_int_range(random, 0, RAM_PAGES);
        _Atomic(uint32_t) *word =
            (void *)(block_ram->host + page * PAGE_BYTES + 128);

        atomic_store_explicit(word, i + 1, memory_order_relaxed);
        vmmig_block_mark_dirty(block_ram, page * PAGE_BYTES + 128, 4);
    }
    g_rand_free(random);
    return NULL;
}

START_TEST(marks_made_while_pages_are_sent_are_not_lost)
{
    pthread_t guest;

    begin();
    ck_assert_int_eq(pthread_create(&guest, NULL, write_and_mark, NULL), 0);
    for (int i = 0; i < 200; i++)
        iterate(20 * PAGE_BYTES);
    pthread_join(guest, NULL);
    query(true);
    complete();
    load_there();
    expect_equal_memory();
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("ram-save");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_start_lists_the_blocks);
    tcase_add_test(tests, the_first_round_sends_every_page_once);
    tcase_add_test(tests,
                   later_rounds_send_what_was_written_and_continue_the_block);
    tcase_add_test(tests, unused_pages_are_neither_read_nor_sent);
    tcase_add_test(tests, shared_files_are_listed_and_not_sent_when_ignored);
    tcase_add_test(tests, without_blocks_there_is_an_empty_list);
    tcase_add_test(tests, a_part_ends_when_its_budget_is_used);
    tcase_add_test(tests, a_budget_of_nothing_still_makes_progress);
    tcase_add_test(tests, a_part_ends_after_fifty_milliseconds);
    tcase_add_test(tests, what_is_pending_is_known_in_between_and_exactly);
    tcase_add_test(tests,
                   the_dirty_rate_counts_what_was_written_between_two_syncs);
    tcase_add_test(tests, another_sink_gets_runs_that_have_been_protected);
    tcase_add_test(tests, a_page_marked_again_in_a_round_waits_for_a_sync);
    tcase_add_test(tests, what_is_marked_in_a_round_is_sent_in_the_next);
    tcase_add_test(tests, an_aborted_round_puts_back_what_was_not_synced);
    tcase_add_test(tests, a_committed_round_is_not_put_back);
    tcase_add_test(tests,
                   a_sink_that_fails_loses_no_page_and_no_mark_of_the_log);
    tcase_add_test(tests, a_cleanup_alone_gives_everything_back_too);
    tcase_add_test(tests, a_success_gives_nothing_back);
    tcase_add_test(tests, a_second_attempt_makes_a_perfect_copy);
    tcase_add_test(tests, a_log_that_fails_fails_the_query);
    tcase_add_test(tests, a_lost_channel_loses_no_page);
    tcase_add_test(tests, marks_made_while_pages_are_sent_are_not_lost);
    return run_case("ram-save", tests);
}

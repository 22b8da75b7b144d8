/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever comes after a page, and in whatever pieces it arrives: memory ends
 * up as if every page had been read by itself.
 */
#include "ram-stream.h"

#include "run-case.h"
#include "ram/received-pages.h"

#define PAGES 600

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block *block_ram, *block_rom;
static struct vmmig__ram ram;
static struct vmmig_writer *out;
static struct piecewise from;

/* What memory shall be: a seed for each page; ABSENT: never written. */
#define ABSENT 0
#define ZERO 1
static uint64_t expected[PAGES];

static void setup(void)
{
    blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    block_ram = add_block(blocks, "ram", PAGES);
    block_rom = add_block(blocks, "rom", 8);
    vmmig__ram_init(&ram, blocks, NULL, &vmmig__monotonic_clock);
    out = vmmig__writer_new_memory();
    memset(expected, 0, sizeof expected);
    put_setup(out, blocks);
}

static void teardown(void)
{
    vmmig__writer_free(out);
    free_memory(blocks);
}

static void put(const char *name, uint64_t page, uint64_t seed)
{
    if (seed == ZERO)
        put_test_zero(out, name, page);
    else
        put_test_page(out, name, page, seed);
    expected[page] = seed;
}

/* Loads all that was written, in pieces of this many bytes. */
static void load_all(uint64_t piece_bytes)
{
    const uint8_t *bytes;
    struct vmmig_reader *in;
    vmmig_error *error = NULL;
    uint64_t length;

    ck_assert(vmmig__ram_ops.load_setup(&ram, &error));
    madvise(block_ram->host, block_ram->length_bytes, MADV_DONTNEED);
    madvise(block_rom->host, block_rom->length_bytes, MADV_DONTNEED);
    bytes = vmmig__writer_get_bytes(out, &length);
    from = (struct piecewise){ bytes, length, 0, piece_bytes, 0 };
    in = piecewise_reader(&from);
    ck_assert(load_body(&ram, in, VMMIG_PHASE_SETUP, &error));
    while (vmmig__reader_get_offset(in) < length)
        ck_assert_msg(load_body(&ram, in, VMMIG_PHASE_ITERATE, &error),
                      "pieces of %u: %s", (unsigned)piece_bytes,
                      error ? vmmig_error_message(error) : "");
    vmmig__reader_free(in);
}

static void expect_memory(void)
{
    for (uint64_t page = 0; page < PAGES; page++) {
        if (expected[page] <= ZERO)
            ck_assert_msg(page_is_zero(block_ram, page), "page %u",
                          (unsigned)page);
        else
            ck_assert_msg(page_has(block_ram, page, expected[page]),
                          "page %u", (unsigned)page);
        ck_assert_int_eq(vmmig__received_pages_has(block_ram, page),
                         expected[page] != ABSENT);
    }
}

/* Sizes that split words, pages and both in every way, and some that do not. */
static const uint64_t pieces[] = {
    1,    7,    8,    9,      4095,   4096,   4097,      4103,
    4104, 4105, 8208, 100000, 262144, 300007, 1000 * 1000, UINT64_MAX,
};

static void expect_right_in_any_pieces(void)
{
    vmmig__put_ram_end(out);
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        uint64_t length;

        vmmig__writer_get_bytes(out, &length);
        if (pieces[i] < 100 && length > 200000)
            continue; /* a read of one byte each: covered by shorter streams */
        load_all(pieces[i]);
        expect_memory();
    }
    vmmig__ram_ops.load_cleanup(&ram);
}

START_TEST(a_whole_block_in_order)
{
    put("ram", 0, 2);
    for (uint64_t page = 1; page < PAGES; page++)
        put(NULL, page, 2);
    expect_right_in_any_pieces();
    /* And this is what it is for: far fewer reads than pages. */
    load_all(UINT64_MAX);
    ck_assert_uint_lt(from.reads, 16);
    ck_assert_uint_eq(atomic_load(&ram.counters.normal_pages) % PAGES, 0);
    vmmig__ram_ops.load_cleanup(&ram);
}
END_TEST

START_TEST(a_few_pages_then_the_end)
{
    put("ram", 3, 2);
    put(NULL, 4, 2);
    put(NULL, 5, 2);
    expect_right_in_any_pieces();
}
END_TEST

START_TEST(several_parts_go_on_where_the_last_one_ended)
{
    put("ram", 3, 2);
    for (uint64_t page = 4; page < 40; page++) {
        put(NULL, page, 2);
        if (page % 5 == 0)
            vmmig__put_ram_end(out);
    }
    expect_right_in_any_pieces();
}
END_TEST

START_TEST(runs_are_broken_by_zero_pages)
{
    put("ram", 0, 2);
    for (uint64_t page = 1; page < 45; page++)
        put(NULL, page, page % 7 == 3 || page % 13 == 5 ? ZERO : 3);
    expect_right_in_any_pieces();
}
END_TEST

START_TEST(runs_are_broken_by_jumps)
{
    put("ram", 500, 2);
    for (uint64_t page = 501; page < 510; page++)
        put(NULL, page, 3);
    for (uint64_t page = 100; page < 140; page += 1 + page % 3)
        put(NULL, page, 4);
    put(NULL, PAGES - 1, 5);
    put(NULL, 0, 5);
    expect_right_in_any_pieces();
}
END_TEST

START_TEST(the_same_page_twice_in_a_row_ends_up_with_the_last_content)
{
    put("ram", 5, 2);
    put(NULL, 5, 3);
    put(NULL, 6, 2);
    put(NULL, 5, 4);
    put(NULL, 6, ZERO);
    put(NULL, 7, 2);
    expect_right_in_any_pieces();
}
END_TEST

START_TEST(pages_that_were_received_are_not_touched)
{
    /* Guesses after page 9 stop before page 12. */
    put("ram", 12, 2);
    put(NULL, 9, 2);
    put(NULL, 300, 2);
    put(NULL, 301, 2);
    put(NULL, 11, 2);
    put(NULL, 20, ZERO);
    put(NULL, 19, 3);
    put(NULL, 40, 3);
    expect_right_in_any_pieces();
}
END_TEST

START_TEST(runs_are_broken_by_another_block)
{
    put("ram", 5, 2);
    put(NULL, 6, 2);
    put_test_page(out, "rom", 6, 9);
    put_test_page(out, NULL, 7, 9); /* the last of its block */
    put("ram", 7, 2);
    put(NULL, 8, 2);
    expect_right_in_any_pieces();
    ck_assert(page_has(block_rom, 6, 9));
    ck_assert(page_has(block_rom, 7, 9));
    ck_assert(page_is_zero(block_rom, 5));
}
END_TEST

START_TEST(content_that_looks_like_words_is_content)
{
    uint64_t words[PAGE_BYTES / 8];

    /* The page after each word is made of the word that would follow it. */
    for (uint64_t page = 0; page < 20; page++) {
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
            words[i] = GUINT64_TO_BE((page + 1) * PAGE_BYTES | VMMIG__RAM_PAGE |
                                     VMMIG__RAM_CONTINUE);
        put_word(out, page * PAGE_BYTES | VMMIG__RAM_PAGE,
                 page == 0 ? "ram" : NULL);
        vmmig_writer_put_bytes(out, words, sizeof words);
    }
    vmmig__put_ram_end(out);
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        load_all(pieces[i]);
        for (uint64_t page = 0; page < 20; page++)
            ck_assert_uint_eq(
                GUINT64_FROM_BE(*(uint64_t *)(block_ram->host +
                                              page * PAGE_BYTES + 4088)),
                (page + 1) * PAGE_BYTES | VMMIG__RAM_PAGE |
                    VMMIG__RAM_CONTINUE);
        ck_assert(page_is_zero(block_ram, 20));
    }
    vmmig__ram_ops.load_cleanup(&ram);
}
END_TEST

START_TEST(any_stream_in_any_pieces)
{
    GRand *random = g_rand_new_with_seed((guint32)_i);

    put("ram", 0, 2);
    for (int i = 0; i < 60; i++) {
        uint64_t page = (uint64_t)g_rand_int_range(random, 0, PAGES);
        uint64_t run = (uint64_t)g_rand_int_range(random, 1, 12);

        for (; run > 0 && page < PAGES; run--, page++)
            put(NULL, page,
                g_rand_int_range(random, 0, 4) ? (uint64_t)i + 2 : ZERO);
        if (g_rand_int_range(random, 0, 8) == 0)
            vmmig__put_ram_end(out);
    }
    vmmig__put_ram_end(out);
    for (int i = 0; i < 8; i++) {
        load_all((uint64_t)g_rand_int_range(random, 1, 20000));
        expect_memory();
    }
    g_rand_free(random);
    vmmig__ram_ops.load_cleanup(&ram);
}
END_TEST

START_TEST(a_stream_that_ends_names_the_page_that_is_missing)
{
    const uint8_t *bytes;
    vmmig_error *error = NULL;
    struct vmmig_reader *in;
    uint64_t length;

    put("ram", 0, 2);
    for (uint64_t page = 1; page < 10; page++)
        put(NULL, page, 2);
    bytes = vmmig__writer_get_bytes(out, &length);
    from = (struct piecewise){ bytes, length - 100, 0, 5000, 0 };
    in = piecewise_reader(&from);
    ck_assert(vmmig__ram_ops.load_setup(&ram, &error));
    ck_assert(load_body(&ram, in, VMMIG_PHASE_SETUP, &error));
    ck_assert(!load_body(&ram, in, VMMIG_PHASE_ITERATE, &error));
    ck_assert_str_eq(vmmig_error_detail(error, "block"), "ram");
    expect_error(&error, VMMIG_ERROR_IO, "page at 0x9000 of block \"ram\": ");
    vmmig__reader_free(in);
    vmmig__ram_ops.load_cleanup(&ram);
}
END_TEST

START_TEST(nothing_is_guessed_while_other_channels_place_pages)
{
    ram.settings.other_channels = true;
    put("ram", 0, 2);
    for (uint64_t page = 1; page < 20; page++)
        put(NULL, page, 2);
    put(NULL, 50, 2);
    vmmig__put_ram_end(out);
    load_all(4104); /* so that no page is buffered */
    expect_memory();
    ck_assert_uint_eq(ram.load.guess_pages, 0);
    vmmig__ram_ops.load_cleanup(&ram);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("guess-ahead");

    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_whole_block_in_order);
    tcase_add_test(tests, a_few_pages_then_the_end);
    tcase_add_test(tests, several_parts_go_on_where_the_last_one_ended);
    tcase_add_test(tests, runs_are_broken_by_zero_pages);
    tcase_add_test(tests, runs_are_broken_by_jumps);
    tcase_add_test(
        tests, the_same_page_twice_in_a_row_ends_up_with_the_last_content);
    tcase_add_test(tests, pages_that_were_received_are_not_touched);
    tcase_add_test(tests, runs_are_broken_by_another_block);
    tcase_add_test(tests, content_that_looks_like_words_is_content);
    tcase_add_loop_test(tests, any_stream_in_any_pieces, 0, 10);
    tcase_add_test(tests, a_stream_that_ends_names_the_page_that_is_missing);
    tcase_add_test(tests, nothing_is_guessed_while_other_channels_place_pages);
    return run_case("guess-ahead", tests);
}

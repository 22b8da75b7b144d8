/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words, block list and page records of the "ram" section. */
#include <stdio.h>
#include <string.h>

#include "unit/wire-kit.h"
#include "wire/ram-record.h"

enum { PAGE = 4096 };

static struct vmmig_reader *reader;
static struct vmmig_writer *writer;
static struct vmmig__block_list list;

static void set_up(void)
{
    writer = vmmig__writer_new_memory();
}

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    vmmig__writer_free(writer);
    vmmig__block_list_clear(&list);
    wire_kit_clear();
}

START_TEST(each_word_has_one_meaning)
{
    static const uint32_t kinds[] = {
        VMMIG__RAM_ZERO,          VMMIG__RAM_MEM_SIZE, VMMIG__RAM_PAGE,
        VMMIG__RAM_EOS,           VMMIG__RAM_XBZRLE,   VMMIG__RAM_COMPRESS_PAGE,
        VMMIG__RAM_MULTIFD_FLUSH,
    };
    struct vmmig__ram_word word = {0};

    /* All combinations of flags of a 4096-byte page. */
    for (uint32_t flags = 0; flags < PAGE; flags++) {
        bool known = false;

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
            known |= (flags & ~0x20u) == kinds[i];
        ck_assert_int_eq(
            vmmig__parse_ram_word(0xfffffffffffff000 | flags, PAGE, &word),
            known);
        if (known) {
            ck_assert_uint_eq(word.kind, flags & ~0x20u);
            ck_assert_int_eq(word.is_continued, (flags & 0x20) != 0);
            ck_assert_uint_eq(word.offset_bytes, 0xfffffffffffff000);
        }
    }
}
END_TEST

START_TEST(pages_larger_than_usual_have_more_flag_bits)
{
    struct vmmig__ram_word word = {0};

    ck_assert(!vmmig__parse_ram_word(0x11008, 0x4000, &word));
    ck_assert(vmmig__parse_ram_word(0x14008, 0x4000, &word));
    ck_assert_uint_eq(word.offset_bytes, 0x14000);
}
END_TEST

START_TEST(word_that_means_nothing_is_refused)
{
    struct vmmig__ram_word word;

    reader = reader_of("0000000000005020 000000000000600a 0000000000000001 "
                       "0000000000000080 8000000000000400");
    expect_failure(vmmig__get_ram_word(reader, PAGE, &word, &error),
                   VMMIG_ERROR_PROTOCOL, 0,
                   "the RAM word 0x5020 has the unknown flags 0x20");
    expect_failure(vmmig__get_ram_word(reader, PAGE, &word, &error),
                   VMMIG_ERROR_PROTOCOL, 8,
                   "the RAM word 0x600a has the unknown flags 0xa");
    expect_failure(vmmig__get_ram_word(reader, PAGE, &word, &error),
                   VMMIG_ERROR_PROTOCOL, 16,
                   "the RAM word 0x1 has the unknown flags 0x1");
    expect_failure(vmmig__get_ram_word(reader, PAGE, &word, &error),
                   VMMIG_ERROR_PROTOCOL, 24,
                   "the RAM word 0x80 has the unknown flags 0x80");
    expect_failure(vmmig__get_ram_word(reader, PAGE, &word, &error),
                   VMMIG_ERROR_PROTOCOL, 32,
                   "the RAM word 0x8000000000000400 has the unknown flags "
                   "0x400");
}
END_TEST

START_TEST(block_is_named_only_when_it_changes)
{
    struct vmmig__last_block last = {NULL};
    char a, b; /* two blocks: only their addresses matter */

    vmmig__put_page(writer, &last, &a, "mem", 0, "page", 4);
    expect_written(writer, "0000000000000008 03 'mem' 'page'");
    vmmig__put_page(writer, &last, &a, "mem", 0x1000, "page", 4);
    expect_written(writer, "0000000000001028 'page'");
    vmmig__put_zero_page(writer, &last, &a, "mem", 0x2000);
    expect_written(writer, "0000000000002022 00");
    vmmig__put_zero_page(writer, &last, &b, "rom", 0x8000000000000000);
    expect_written(writer, "8000000000000002 03 'rom' 00");
    vmmig__put_ram_end(writer);
    expect_written(writer, "0000000000000010");
    vmmig__put_page(writer, &last, &b, "rom", 0x3000, "page", 4);
    expect_written(writer, "0000000000003028 'page'");
    vmmig__put_page(writer, &last, &a, "mem", 0x4000, "page", 4);
    expect_written(writer, "0000000000004008 03 'mem' 'page'");
}
END_TEST

START_TEST(zero_page_is_zero)
{
    reader = reader_of("00 2a");
    expect_ok(vmmig__get_zero_byte(reader, &error));
    expect_failure(vmmig__get_zero_byte(reader, &error), VMMIG_ERROR_PROTOCOL,
                   1, "a zero page is said to be full of 0x2a, not 0x00");
}
END_TEST

/* Reads a whole list; the number of its blocks. */
static bool get_list(const char *stream, uint32_t *ret_count)
{
    struct vmmig__ram_word word;
    char name[VMMIG__NAME_BYTES];

    reader = reader_of(stream);
    expect_ok(vmmig__get_ram_word(reader, PAGE, &word, &error));
    ck_assert_uint_eq(word.kind, VMMIG__RAM_MEM_SIZE);
    vmmig__block_list_init(&list, word.offset_bytes, PAGE);
    while (list.remaining_bytes > 0) {
        uint64_t length;

        if (!vmmig__get_block_entry(reader, &list, name, &length, &error))
            return false;
        ck_assert_uint_gt(length, 0);
    }
    *ret_count = list.count;
    return true;
}

START_TEST(block_list_is_read_as_it_is_written)
{
    struct vmmig__block_entry mem = {.name = "mem", .length_bytes = 0x800000};
    struct vmmig__block_entry rom = {.name = "rom",
                                     .length_bytes = 0x1000,
                                     .has_page_bytes = true,
                                     .page_bytes = 0x200000,
                                     .has_guest_address = true,
                                     .guest_address = 0xfffff000};
    uint32_t count;

    vmmig__put_block_list(writer, 0x801000);
    vmmig__put_block_entry(writer, &mem);
    vmmig__put_block_entry(writer, &rom);
    vmmig__put_ram_end(writer);
    expect_written(writer, "0000000000801004 03 'mem' 0000000000800000 03 'rom'"
                           "0000000000001000 0000000000200000 00000000fffff000"
                           "0000000000000010");
    expect_ok(get_list("0000000000801004 03 'mem' 0000000000800000 03 'rom' "
                       "0000000000001000",
                       &count));
    ck_assert_uint_eq(count, 2);
    expect_end(reader);
}
END_TEST

START_TEST(list_may_be_empty)
{
    uint32_t count;

    expect_ok(get_list("0000000000000004", &count));
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(list_must_add_up)
{
    uint32_t count;

    expect_failure(get_list("0000000000002004 03 'mem' 0000000000001000 03 "
                            "'rom' 0000000000002000",
                            &count),
                   VMMIG_ERROR_PROTOCOL, 24,
                   "block \"rom\" has 0x2000 bytes, but 0x1000 of 0x2000 are "
                   "left in the list");
}
END_TEST

START_TEST(list_that_goes_on_is_an_error)
{
    uint32_t count;

    expect_failure(get_list("0000000000002004 03 'mem' 0000000000001000 "
                            "0000000000000010",
                            &count),
                   VMMIG_ERROR_PROTOCOL, 20,
                   "block name is empty: it has 1 to 255 bytes");
}
END_TEST

START_TEST(lengths_beyond_everything_are_refused)
{
    uint32_t count;

    expect_failure(
        get_list("0000000080000004 03 'mem' 8000000080000000", &count),
        VMMIG_ERROR_PROTOCOL, 12,
        "block \"mem\" has 0x8000000080000000 bytes, but 0x80000000 "
        "of 0x80000000 are left in the list");
}
END_TEST

START_TEST(block_twice_is_refused)
{
    uint32_t count;

    expect_failure(get_list("0000000000002004 03 'mem' 0000000000001000 03 "
                            "'mem' 0000000000001000",
                            &count),
                   VMMIG_ERROR_PROTOCOL, 24, "block \"mem\" is listed twice");
}
END_TEST

START_TEST(block_is_whole_pages)
{
    uint32_t count;

    expect_failure(
        get_list("0000000000002004 03 'mem' 0000000000000000", &count),
        VMMIG_ERROR_PROTOCOL, 12,
        "block \"mem\" has 0x0 bytes, which is not a number of pages "
        "of 0x1000");
    tear_down();
    set_up();
    expect_failure(
        get_list("0000000000002004 03 'mem' 0000000000001004", &count),
        VMMIG_ERROR_PROTOCOL, 12,
        "block \"mem\" has 0x1004 bytes, which is not a number of "
        "pages of 0x1000");
}
END_TEST

START_TEST(blocks_have_a_limit)
{
    GByteArray *bytes = bytes_of("7ffffffffffff004");
    struct vmmig__ram_word word;
    char name[VMMIG__NAME_BYTES];
    uint64_t length;
    bool ok = true;

    for (unsigned i = 0; i < 5000; i++) {
        char entry[24] = "\5";

        snprintf(entry + 1, 6, "b%04u", i);
        vmmig__store_u64(entry + 6, PAGE);
        g_byte_array_append(bytes, (guint8 *)entry, 14);
    }
    reader = reader_of_bytes(bytes->data, bytes->len, UINT64_MAX);
    expect_ok(vmmig__get_ram_word(reader, PAGE, &word, &error));
    vmmig__block_list_init(&list, word.offset_bytes, PAGE);
    while (ok)
        ok = vmmig__get_block_entry(reader, &list, name, &length, &error);
    ck_assert_uint_eq(list.count, 4096);
    expect_failure(ok, VMMIG_ERROR_PROTOCOL, 8 + 4096 * 14 - 8,
                   "the list has more than 4096 blocks");
    g_byte_array_unref(bytes);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("ram-record");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, each_word_has_one_meaning);
    tcase_add_test(tcase, pages_larger_than_usual_have_more_flag_bits);
    tcase_add_test(tcase, word_that_means_nothing_is_refused);
    tcase_add_test(tcase, block_is_named_only_when_it_changes);
    tcase_add_test(tcase, zero_page_is_zero);
    tcase_add_test(tcase, block_list_is_read_as_it_is_written);
    tcase_add_test(tcase, list_may_be_empty);
    tcase_add_test(tcase, list_must_add_up);
    tcase_add_test(tcase, list_that_goes_on_is_an_error);
    tcase_add_test(tcase, lengths_beyond_everything_are_refused);
    tcase_add_test(tcase, block_twice_is_refused);
    tcase_add_test(tcase, block_is_whole_pages);
    tcase_add_test(tcase, blocks_have_a_limit);
    return run_case("ram-record", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream reader: numbers, limits, and where it says it is. */
#include <string.h>

#include "io/channel-memory.h"
#include "unit/wire-kit.h"

static struct vmmig_reader *reader;

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    wire_kit_clear();
}

START_TEST(numbers_are_big_endian_however_they_are_split)
{
    GByteArray *bytes = bytes_of("01 0203 04050607 08090a0b0c0d0e0f 'tail'");
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    uint8_t u8;
    char tail[4];

    reader = reader_of_bytes(bytes->data, bytes->len, (uint64_t)_i + 1);
    expect_ok(vmmig_reader_get_u8(reader, &u8, &error));
    expect_ok(vmmig_reader_get_u16(reader, &u16, &error));
    expect_ok(vmmig_reader_get_u32(reader, &u32, &error));
    expect_ok(vmmig_reader_get_u64(reader, &u64, &error));
    expect_ok(vmmig_reader_get_bytes(reader, tail, sizeof tail, &error));
    ck_assert_uint_eq(u8, 1);
    ck_assert_uint_eq(u16, 0x203);
    ck_assert_uint_eq(u32, 0x4050607);
    ck_assert_uint_eq(u64, 0x8090a0b0c0d0e0f);
    ck_assert_mem_eq(tail, "tail", 4);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 19);
    expect_end(reader);
    g_byte_array_unref(bytes);
}
END_TEST

START_TEST(large_reads_need_no_buffer_as_large)
{
    uint64_t length = 3 * 1024 * 1024 + 77;
    uint8_t *bytes = g_malloc(length), *got = g_malloc0(length);

    for (uint64_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 4096);
    reader = reader_of_bytes(bytes, length, 100003);
    for (uint64_t at = 0; at < length;) {
        uint64_t step = MIN(length - at, 1 + at * 3);

        expect_ok(vmmig_reader_get_bytes(reader, got + at, step, &error));
        at += step;
        ck_assert_uint_eq(vmmig__reader_get_offset(reader), at);
    }
    ck_assert(memcmp(bytes, got, length) == 0);
    expect_end(reader);
    g_free(got);
    g_free(bytes);
}
END_TEST

START_TEST(end_inside_a_number_says_how_much_was_there)
{
    uint64_t value = 17;

    reader = reader_of("00 112233");
    expect_ok(vmmig__reader_skip(reader, 1, &error));
    expect_failure(vmmig_reader_get_u64(reader, &value, &error), VMMIG_ERROR_IO,
                   1, "the stream ended after 3 of 8 bytes");
    ck_assert_uint_eq(value, 17);
}
END_TEST

START_TEST(end_inside_bytes_says_how_much_was_there)
{
    static char bytes[5000];

    reader = reader_of("00 112233");
    expect_ok(vmmig__reader_skip(reader, 1, &error));
    expect_failure(vmmig_reader_get_bytes(reader, bytes, sizeof bytes, &error),
                   VMMIG_ERROR_IO, 1, "the stream ended after 3 of 5000 bytes");
}
END_TEST

START_TEST(end_while_skipping_says_how_much_was_there)
{
    reader = reader_of("00 112233");
    expect_failure(vmmig__reader_skip(reader, UINT64_C(1) << 63, &error),
                   VMMIG_ERROR_IO, 0,
                   "the stream ended after 4 of 9223372036854775808 bytes");
}
END_TEST

START_TEST(failed_channel_is_told_with_the_place)
{
    struct vmmig_channel *channel =
        stepping_channel("\0\0\0", 3, 1, "the cable was pulled");
    uint32_t value;

    reader = vmmig__reader_new(channel);
    vmmig_channel_unref(channel);
    vmmig__reader_enter_section(reader, "ram", 2, VMMIG_PHASE_ITERATE);
    ck_assert(!vmmig_reader_get_u32(reader, &value, &error));
    ck_assert_str_eq(vmmig_error_message(error),
                     "channel main: reading from the test: the cable was "
                     "pulled (offset 0x0, section \"ram\" (id 2))");
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "main");
    ck_assert_str_eq(vmmig_error_detail(error, "offset"), "0x0");
    ck_assert_str_eq(vmmig_error_detail(error, "section"), "ram");
    ck_assert_str_eq(vmmig_error_detail(error, "phase"), "iterate");
}
END_TEST

START_TEST(error_names_the_section_while_in_one)
{
    reader = reader_of("01020304 05");
    expect_ok(vmmig__reader_skip(reader, 4, &error));
    vmmig__reader_enter_section(reader, "virtio-net", 17, VMMIG_PHASE_STATE);
    ck_assert_uint_eq(vmmig_reader_get_phase(reader), VMMIG_PHASE_STATE);
    ck_assert(!vmmig__reader_fail(reader, &error, VMMIG_ERROR_PROTOCOL,
                                  "unknown flags 0x%x", 0x3000));
    ck_assert_str_eq(vmmig_error_message(error),
                     "channel main, offset 0x0, section \"virtio-net\" (id "
                     "17): unknown flags 0x3000");
    ck_assert_str_eq(vmmig_error_detail(error, "section"), "virtio-net");
    ck_assert_str_eq(vmmig_error_detail(error, "phase"), "state");
    g_clear_error(&error);

    vmmig__reader_leave_section(reader);
    ck_assert_uint_eq(vmmig_reader_get_phase(reader), 0);
    ck_assert(!vmmig__reader_fail(reader, &error, VMMIG_ERROR_PROTOCOL, "no"));
    ck_assert_str_eq(vmmig_error_message(error),
                     "channel main, offset 0x0: no");
    ck_assert_ptr_null(vmmig_error_detail(error, "section"));
}
END_TEST

START_TEST(unnamed_channel_is_told_by_its_peer)
{
    struct vmmig_channel *channel = vmmig__channel_new_buffer("a", 1);

    reader = vmmig__reader_new(channel);
    vmmig_channel_unref(channel);
    ck_assert(!vmmig__reader_fail(reader, &error, VMMIG_ERROR_PROTOCOL, "no"));
    ck_assert(g_str_has_prefix(vmmig_error_message(error), "channel to "));
}
END_TEST

START_TEST(words_of_the_peer_become_printable)
{
    reader = reader_of("00");
    ck_assert(!vmmig__reader_fail(reader, &error, VMMIG_ERROR_PROTOCOL,
                                  "\"%s\"", "a\nb\x1b[31m\xff\xc3\xa9"));
    ck_assert(g_str_has_suffix(vmmig_error_message(error),
                               "\"a?b?[31m\xef\xbf\xbd\xc3\xa9\""));
}
END_TEST

START_TEST(nobody_has_to_want_the_error)
{
    uint64_t value;

    reader = reader_of("00");
    ck_assert(!vmmig_reader_get_u64(reader, &value, NULL));
    ck_assert(!vmmig__reader_fail(reader, NULL, VMMIG_ERROR_PROTOCOL, "no"));
}
END_TEST

START_TEST(length_is_compared_with_its_limit)
{
    uint32_t length = 0;

    reader = reader_of("00000100 00000101 80000000");
    expect_ok(
        vmmig__reader_get_length(reader, 256, "some length", &length, &error));
    ck_assert_uint_eq(length, 256);
    expect_failure(
        vmmig__reader_get_length(reader, 256, "some length", &length, &error),
        VMMIG_ERROR_PROTOCOL, 4, "some length is 257, but can be at most 256");
    expect_failure(vmmig_reader_get_u32_up_to(reader, 7, &length, &error),
                   VMMIG_ERROR_PROTOCOL, 8,
                   "number is 2147483648, but can be at most 7");
    ck_assert_uint_eq(length, 256);
}
END_TEST

START_TEST(number_that_must_be_equal_is)
{
    reader = reader_of("00000005 00000006");
    expect_ok(vmmig_reader_expect_u32(reader, 5, "number of chunks", &error));
    expect_failure(
        vmmig_reader_expect_u32(reader, 5, "number of chunks", &error),
        VMMIG_ERROR_INCOMPATIBLE, 4, "number of chunks is 6 there, but 5 here");
}
END_TEST

START_TEST(name_ends_in_a_zero)
{
    char name[VMMIG__NAME_BYTES];
    char longest[256];

    reader = reader_of("03 'mem' 01 'x'");
    expect_ok(vmmig__reader_get_name(reader, name, "block name", &error));
    ck_assert_str_eq(name, "mem");
    expect_ok(vmmig__reader_get_name(reader, name, "block name", &error));
    ck_assert_str_eq(name, "x");
    vmmig__reader_free(reader);

    memset(longest, 'n', sizeof longest);
    longest[0] = (char)0xff;
    reader = reader_of_bytes(longest, sizeof longest, 10);
    expect_ok(vmmig__reader_get_name(reader, name, "block name", &error));
    ck_assert_uint_eq(strlen(name), 255);
    expect_end(reader);
}
END_TEST

START_TEST(empty_name_is_refused)
{
    char name[VMMIG__NAME_BYTES];

    reader = reader_of("00");
    expect_failure(vmmig__reader_get_name(reader, name, "block name", &error),
                   VMMIG_ERROR_PROTOCOL, 0,
                   "block name is empty: it has 1 to 255 bytes");
}
END_TEST

START_TEST(name_with_a_zero_inside_is_refused)
{
    char name[VMMIG__NAME_BYTES];

    reader = reader_of("05 'ab' 00 'cd'");
    expect_failure(vmmig__reader_get_name(reader, name, "block name", &error),
                   VMMIG_ERROR_PROTOCOL, 0,
                   "block name has a zero byte at 2 of 5 bytes");
}
END_TEST

START_TEST(name_cut_short_is_refused)
{
    char name[VMMIG__NAME_BYTES];

    reader = reader_of("ff 'ab'");
    expect_failure(vmmig__reader_get_name(reader, name, "block name", &error),
                   VMMIG_ERROR_IO, 0, "the stream ended after 3 of 256 bytes");
}
END_TEST

START_TEST(peek_takes_nothing)
{
    uint8_t byte = 0, again = 0;
    bool at_end = true;

    reader = reader_of("7e");
    expect_ok(vmmig__reader_peek(reader, &byte, &at_end, &error));
    ck_assert(!at_end);
    ck_assert_uint_eq(byte, 0x7e);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 0);
    expect_ok(vmmig_reader_get_u8(reader, &again, &error));
    ck_assert_uint_eq(again, 0x7e);
    expect_ok(vmmig__reader_peek(reader, &byte, &at_end, &error));
    ck_assert(at_end);
}
END_TEST

START_TEST(read_ahead_takes_the_buffer_first_then_the_channel)
{
    char a[3], b[20];
    struct iovec parts[] = {{a, sizeof a}, {b, sizeof b}};
    uint64_t length;
    uint8_t byte;

    reader = reader_of_bytes("abcdefghijkl", 12, 6);
    expect_ok(vmmig_reader_get_u8(reader, &byte, &error));
    ck_assert_uint_eq(vmmig__reader_buffered(reader), 5);
    expect_ok(vmmig__reader_read_ahead(reader, parts, 2, &length, &error));
    ck_assert_uint_eq(length, 5);
    ck_assert_mem_eq(a, "bcd", 3);
    ck_assert_mem_eq(b, "ef", 2);
    ck_assert_uint_eq(vmmig__reader_buffered(reader), 0);
    expect_ok(vmmig__reader_read_ahead(reader, parts, 2, &length, &error));
    ck_assert_uint_eq(length, 6);
    ck_assert_mem_eq(a, "ghi", 3);
    ck_assert_mem_eq(b, "jkl", 3);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 12);
    expect_failure(vmmig__reader_read_ahead(reader, parts, 2, &length, &error),
                   VMMIG_ERROR_IO, 12, "the stream ended after 0 of 1 bytes");
}
END_TEST

START_TEST(unread_bytes_come_again)
{
    static char large[400000];
    char got[400012];
    uint64_t length = sizeof large;

    memset(large, 'x', sizeof large);
    reader = reader_of_bytes("abcdefghijkl", 12, 4);
    expect_ok(vmmig_reader_get_bytes(reader, got, 3, &error));
    vmmig__reader_unread(reader, "bc", 2);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 1);
    expect_ok(vmmig_reader_get_bytes(reader, got, 11, &error));
    ck_assert_mem_eq(got, "bcdefghijkl", 11);
    expect_end(reader);
    vmmig__reader_free(reader);

    /* More than the buffer holds, in front of what it holds. */
    memcpy(got, large, length);
    memcpy(got + length, "abcdefghijkl", 12);
    reader = reader_of_bytes(got, length + 12, UINT64_MAX);
    expect_ok(vmmig_reader_get_bytes(reader, got, length, &error));
    ck_assert_uint_eq(vmmig__reader_buffered(reader), 12);
    vmmig__reader_unread(reader, large, length);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 0);
    expect_ok(vmmig_reader_get_bytes(reader, got, length + 12, &error));
    ck_assert(memcmp(got, large, length) == 0);
    ck_assert_mem_eq(got + length, "abcdefghijkl", 12);
    expect_end(reader);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("stream-reader");

    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_loop_test(tcase, numbers_are_big_endian_however_they_are_split, 0,
                        20);
    tcase_add_test(tcase, large_reads_need_no_buffer_as_large);
    tcase_add_test(tcase, end_inside_a_number_says_how_much_was_there);
    tcase_add_test(tcase, end_inside_bytes_says_how_much_was_there);
    tcase_add_test(tcase, end_while_skipping_says_how_much_was_there);
    tcase_add_test(tcase, failed_channel_is_told_with_the_place);
    tcase_add_test(tcase, error_names_the_section_while_in_one);
    tcase_add_test(tcase, unnamed_channel_is_told_by_its_peer);
    tcase_add_test(tcase, words_of_the_peer_become_printable);
    tcase_add_test(tcase, nobody_has_to_want_the_error);
    tcase_add_test(tcase, length_is_compared_with_its_limit);
    tcase_add_test(tcase, number_that_must_be_equal_is);
    tcase_add_test(tcase, name_ends_in_a_zero);
    tcase_add_test(tcase, empty_name_is_refused);
    tcase_add_test(tcase, name_with_a_zero_inside_is_refused);
    tcase_add_test(tcase, name_cut_short_is_refused);
    tcase_add_test(tcase, peek_takes_nothing);
    tcase_add_test(tcase, read_ahead_takes_the_buffer_first_then_the_channel);
    tcase_add_test(tcase, unread_bytes_come_again);
    return run_case("stream-reader", tcase);
}

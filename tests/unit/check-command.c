/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands: the table, and what is refused. */
#include <string.h>

#include "unit/wire-kit.h"
#include "wire/command.h"

static struct vmmig_reader *reader;
static struct vmmig_writer *writer;
static struct vmmig__command command;

static void set_up(void)
{
    writer = vmmig__writer_new_memory();
    memset(&command, 0, sizeof command);
}

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    vmmig__writer_free(writer);
    vmmig__command_clear(&command);
    wire_kit_clear();
}

/* The stream without its first byte, 08. */
static bool get(const char *stream)
{
    vmmig__reader_free(reader);
    reader = reader_of(stream);
    vmmig__command_clear(&command);
    return vmmig__get_command(reader, &command, &error);
}

START_TEST(simple_commands_are_read_as_they_are_written)
{
    static const struct {
        uint16_t number;
        const char *name, *bytes;
    } cases[] = {
        {1, "OPEN_RETURN_PATH", "0001 0000"},
        {3, "POSTCOPY_ADVISE", "0003 0000"},
        {4, "POSTCOPY_LISTEN", "0004 0000"},
        {5, "POSTCOPY_RUN", "0005 0000"},
        {8, "ENABLE_COLO", "0008 0000"},
        {9, "POSTCOPY_RESUME", "0009 0000"},
        {11, "SWITCHOVER_START", "000b 0000"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *whole = g_strconcat("08 ", cases[i].bytes, NULL);

        vmmig__put_simple_command(writer, cases[i].number);
        expect_written(writer, whole);
        expect_ok(get(cases[i].bytes));
        ck_assert_uint_eq(command.number, cases[i].number);
        ck_assert_str_eq(vmmig__command_name(command.number), cases[i].name);
        ck_assert(!command.has_page_sizes);
        expect_end(reader);
        g_free(whole);
    }
}
END_TEST

START_TEST(ping_carries_its_value)
{
    vmmig__put_ping(writer, 1);
    expect_written(writer, "08 0002 0004 00000001");
    expect_ok(get("0002 0004 fedcba98"));
    ck_assert_uint_eq(command.value, 0xfedcba98);
}
END_TEST

START_TEST(advise_carries_both_page_sizes)
{
    vmmig__put_command(writer,
                       &(struct vmmig__command){.number = 3,
                                                .has_page_sizes = true,
                                                .page_size_summary = 0x201000,
                                                .page_bytes = 0x1000});
    expect_written(writer, "08 0003 0010 0000000000201000 0000000000001000");
    expect_ok(get("0003 0010 0000000000201000 0000000000001000"));
    ck_assert(command.has_page_sizes);
    ck_assert_uint_eq(command.page_size_summary, 0x201000);
    ck_assert_uint_eq(command.page_bytes, 0x1000);
}
END_TEST

START_TEST(discard_carries_its_ranges)
{
    struct vmmig__range ranges[2] = {{0x160000, 0xa0000}, {0x800000, 0x1000}};
    struct vmmig__command put = {
        .number = 6, .block = "mem", .ranges = ranges, .range_count = 2};

    vmmig__put_command(writer, &put);
    expect_written(writer, "08 0006 0026 00 03 'mem' 00 0000000000160000 "
                           "00000000000a0000 0000000000800000 "
                           "0000000000001000");
    expect_ok(get("0006 0016 00 03 'mem' 00 0000000000160000 "
                  "00000000000a0000"));
    ck_assert_str_eq(command.block, "mem");
    ck_assert_uint_eq(command.range_count, 1);
    ck_assert_uint_eq(command.ranges[0].start_bytes, 0x160000);
    ck_assert_uint_eq(command.ranges[0].length_bytes, 0xa0000);
    expect_end(reader);
}
END_TEST

START_TEST(package_and_bitmap_are_read_as_they_are_written)
{
    vmmig__put_command(writer,
                       &(struct vmmig__command){.number = 7, .value = 210});
    expect_written(writer, "08 0007 0004 000000d2");
    expect_ok(get("0007 0004 000000d2"));
    ck_assert_uint_eq(command.value, 210);
    vmmig__put_command(writer,
                       &(struct vmmig__command){.number = 10, .block = "mem"});
    expect_written(writer, "08 000a 0004 03 'mem'");
    expect_ok(get("000a 0004 03 'mem'"));
    ck_assert_str_eq(command.block, "mem");
}
END_TEST

START_TEST(unknown_numbers_are_refused)
{
    expect_failure(get("0000 0000"), VMMIG_ERROR_PROTOCOL, 0,
                   "command 0 is not known here; the last one is 11");
    expect_failure(get("000c 0000"), VMMIG_ERROR_PROTOCOL, 0,
                   "command 12 is not known here; the last one is 11");
    expect_failure(get("ffff 0000"), VMMIG_ERROR_PROTOCOL, 0,
                   "command 65535 is not known here; the last one is 11");
}
END_TEST

START_TEST(wrong_lengths_are_refused)
{
    static const struct {
        const char *stream;
        uint64_t offset;
        const char *words;
    } cases[] = {
        {"0001 0001 00", 2,
         "command OPEN_RETURN_PATH has 1 bytes of payload, not 0"},
        {"0002 0000", 2, "command PING has 0 bytes of payload, not 4"},
        {"0002 0005 0000000100", 2,
         "command PING has 5 bytes of payload, not 4"},
        {"0003 0008 0000000000001000", 2,
         "command POSTCOPY_ADVISE has 8 bytes of payload, not 16"},
        {"0003 ffff", 2,
         "command POSTCOPY_ADVISE has 65535 bytes of payload, not 16"},
        {"0006 0003 00", 2,
         "command POSTCOPY_RAM_DISCARD has 3 bytes of payload, not 20"},
        {"0006 0015 00 03 'mem' 00 00000000000000000000000000001000", 9,
         "command POSTCOPY_RAM_DISCARD has 21 bytes of payload, not 22"},
        {"0006 0017 00 03 'mem' 00 0000000000000000000000000000100000", 9,
         "command POSTCOPY_RAM_DISCARD has 23 bytes of payload, not 22"},
        {"000a 0003 03 'mem'", 4,
         "command RECV_BITMAP has 3 bytes of payload, not 4"},
        {"000a 0009 03 'mem' 00", 4,
         "command RECV_BITMAP has 9 bytes of payload, not 4"},
        {"000b 0004 00000000", 2,
         "command SWITCHOVER_START has 4 bytes of payload, not 0"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        expect_failure(get(cases[i].stream), VMMIG_ERROR_PROTOCOL,
                       cases[i].offset, cases[i].words);
}
END_TEST

START_TEST(package_has_a_limit)
{
    expect_failure(get("0007 0004 80000000"), VMMIG_ERROR_PROTOCOL, 4,
                   "length of the package is 2147483648, but can be at most "
                   "268435456");
}
END_TEST

START_TEST(malformed_discard_is_refused)
{
    expect_failure(get("0006 0016 01 03 'mem' 00 0000000000000000 "
                       "0000000000001000"),
                   VMMIG_ERROR_INCOMPATIBLE, 4,
                   "command POSTCOPY_RAM_DISCARD has version 1, but only 0 is "
                   "known here");
    expect_failure(get("0006 0016 00 03 'mem' 41 0000000000000000 "
                       "0000000000001000"),
                   VMMIG_ERROR_PROTOCOL, 9,
                   "block name \"mem\" ends in 0x41, not in 0x00");
    expect_failure(get("0006 0016 00 03 'mem' 00 0000000000001000 "
                       "0000000000000000"),
                   VMMIG_ERROR_PROTOCOL, 18,
                   "a range of block \"mem\" begins at 0x1000 and has 0x0 "
                   "bytes");
    expect_failure(get("0006 0016 00 03 'mem' 00 8000000000001000 "
                       "8000000000000000"),
                   VMMIG_ERROR_PROTOCOL, 18,
                   "a range of block \"mem\" begins at 0x8000000000001000 and "
                   "has 0x8000000000000000 bytes");
}
END_TEST

START_TEST(too_many_ranges_are_not_written)
{
    struct vmmig__range *ranges = g_new0(struct vmmig__range, 5000);
    struct vmmig__command put = {
        .number = 6, .block = "mem", .ranges = ranges, .range_count = 5000};

    vmmig__put_command(writer, &put);
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_INVALID,
                   "command POSTCOPY_RAM_DISCARD would have 80006 bytes of "
                   "payload, more than 65535");
    g_free(ranges);
}
END_TEST

START_TEST(command_cut_anywhere_is_an_error)
{
    GByteArray *bytes = bytes_of("0006 0016 00 03 'mem' 00 0000000000160000 "
                                 "00000000000a0000");

    for (guint length = 0; length < bytes->len; length++) {
        reader = reader_of_bytes(bytes->data, length, UINT64_MAX);
        ck_assert(!vmmig__get_command(reader, &command, &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
        g_clear_error(&error);
        vmmig__reader_free(reader);
    }
    reader = NULL;
    g_byte_array_unref(bytes);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("command");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, simple_commands_are_read_as_they_are_written);
    tcase_add_test(tcase, ping_carries_its_value);
    tcase_add_test(tcase, advise_carries_both_page_sizes);
    tcase_add_test(tcase, discard_carries_its_ranges);
    tcase_add_test(tcase, package_and_bitmap_are_read_as_they_are_written);
    tcase_add_test(tcase, unknown_numbers_are_refused);
    tcase_add_test(tcase, wrong_lengths_are_refused);
    tcase_add_test(tcase, package_has_a_limit);
    tcase_add_test(tcase, malformed_discard_is_refused);
    tcase_add_test(tcase, too_many_ranges_are_not_written);
    tcase_add_test(tcase, command_cut_anywhere_is_an_error);
    return run_case("command", tcase);
}

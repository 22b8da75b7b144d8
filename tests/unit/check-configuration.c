/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CONFIGURATION record: written, read, compared. */
#include <string.h>

#include "unit/wire-kit.h"
#include "wire/configuration.h"

#define NAME_NONE "07 00000004 'none' "
#define CAPABILITIES "05 1a 'configuration/capabilities' 00000001 "
#define IGNORE_SHARED CAPABILITIES "00000001 0f 'x-ignore-shared' "
#define UUID "05 12 'configuration/uuid' 00000001 "
#define PAGE_BITS "05 1e 'configuration/target-page-bits' 00000001 "

static const struct vmmig__configuration plain = {.machine_name = "none"};
static const struct vmmig__configuration shared = {.machine_name = "none",
                                                   .ignore_shared = true};
static const struct vmmig__configuration with_uuid = {
    .machine_name = "none",
    .has_uuid = true,
    .uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

static struct vmmig_reader *reader;

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    wire_kit_clear();
}

static bool expect_record(const char *stream,
                          const struct vmmig__configuration *local)
{
    vmmig__reader_free(reader);
    reader = reader_of(stream);
    return vmmig__expect_configuration(reader, local, NULL, &error);
}

START_TEST(record_is_read_as_it_is_written)
{
    static const struct {
        struct vmmig__configuration configuration;
        const char *bytes;
    } cases[] = {
        {{.machine_name = "none"}, NAME_NONE},
        {{.machine_name = ""}, "07 00000000"},
        {{.machine_name = "none", .page_bits = 12}, NAME_NONE},
        {{.machine_name = "none", .page_bits = 14},
         NAME_NONE PAGE_BITS "0000000e"},
        {{.machine_name = "none", .ignore_shared = true},
         NAME_NONE IGNORE_SHARED},
        {{.machine_name = "none",
          .page_bits = 16,
          .ignore_shared = true,
          .has_uuid = true,
          .uuid = {0x10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
         NAME_NONE PAGE_BITS "00000010" IGNORE_SHARED UUID
                             "100102030405060708090a0b0c0d0e0f"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct vmmig_writer *writer = vmmig__writer_new_memory();

        vmmig__put_configuration(writer, &cases[i].configuration);
        expect_written(writer, cases[i].bytes);
        vmmig__writer_free(writer);
        expect_ok(expect_record(cases[i].bytes, &cases[i].configuration));
        expect_end(reader);
    }
}
END_TEST

START_TEST(what_follows_stays_unread)
{
    uint8_t byte;

    expect_ok(expect_record(NAME_NONE "01 00000002", &plain));
    expect_ok(vmmig_reader_get_u8(reader, &byte, &error));
    ck_assert_uint_eq(byte, 1);
}
END_TEST

START_TEST(something_else_is_refused)
{
    expect_failure(expect_record("01 00000002", &plain), VMMIG_ERROR_PROTOCOL,
                   0, "0x01 stands where the configuration (0x07) begins");
}
END_TEST

START_TEST(machine_name_must_be_equal)
{
    expect_failure(expect_record("07 00000005 'none2'", &plain),
                   VMMIG_ERROR_INCOMPATIBLE, 5,
                   "the machine is \"none2\" there, but \"none\" here");
    expect_failure(expect_record("07 00000002 'no'", &plain),
                   VMMIG_ERROR_INCOMPATIBLE, 5,
                   "the machine is \"no\" there, but \"none\" here");
    expect_failure(expect_record("07 00000000", &plain),
                   VMMIG_ERROR_INCOMPATIBLE, 5,
                   "the machine is \"\" there, but \"none\" here");
    expect_failure(expect_record("07 00000005 'none' 00", &plain),
                   VMMIG_ERROR_INCOMPATIBLE, 5,
                   "the machine is \"none\" there, but \"none\" here");
}
END_TEST

START_TEST(machine_name_has_a_limit)
{
    expect_failure(
        expect_record("07 7fffffff 'none'", &plain), VMMIG_ERROR_PROTOCOL, 1,
        "length of the machine name is 2147483647, but can be at most 255");
    expect_failure(expect_record("07 00000100 'none'", &plain),
                   VMMIG_ERROR_PROTOCOL, 1,
                   "length of the machine name is 256, but can be at most 255");
}
END_TEST

START_TEST(machine_name_that_does_not_fit_is_not_written)
{
    struct vmmig_writer *writer = vmmig__writer_new_memory();
    char name[257];

    memset(name, 'm', sizeof name);
    name[256] = 0;
    vmmig__put_configuration(
        writer, &(struct vmmig__configuration){.machine_name = name});
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_INVALID,
                   "a machine name of 256 bytes cannot be sent: it has at most "
                   "255");
    vmmig__writer_free(writer);
}
END_TEST

START_TEST(ignore_shared_must_be_alike)
{
    expect_failure(expect_record(NAME_NONE IGNORE_SHARED, &plain),
                   VMMIG_ERROR_INCOMPATIBLE, 61,
                   "x-ignore-shared is on there, but off here");
    expect_failure(expect_record(NAME_NONE "00", &shared),
                   VMMIG_ERROR_INCOMPATIBLE, 9,
                   "x-ignore-shared is off there, but on here");
    expect_failure(expect_record(NAME_NONE CAPABILITIES "00000000 00", &shared),
                   VMMIG_ERROR_INCOMPATIBLE, 45,
                   "x-ignore-shared is off there, but on here");
}
END_TEST

START_TEST(capabilities_that_say_nothing_are_read_over)
{
    expect_ok(
        expect_record(NAME_NONE CAPABILITIES
                      "00000003 07 'multifd' 0f 'x-ignore-shared' 06 'xbzrle'",
                      &shared));
    expect_end(reader);
}
END_TEST

START_TEST(unknown_capability_is_refused)
{
    expect_failure(
        expect_record(NAME_NONE CAPABILITIES "00000001 03 'foo'", &plain),
        VMMIG_ERROR_INCOMPATIBLE, 45, "capability \"foo\" is not known here");
}
END_TEST

START_TEST(mapped_ram_is_refused)
{
    expect_failure(
        expect_record(NAME_NONE CAPABILITIES "00000001 0a 'mapped-ram' 00",
                      &plain),
        VMMIG_ERROR_INCOMPATIBLE, 56, "mapped-ram is on there, but off here");
}
END_TEST

START_TEST(capabilities_have_a_limit)
{
    expect_failure(
        expect_record(NAME_NONE CAPABILITIES "ffffffff", &plain),
        VMMIG_ERROR_PROTOCOL, 41,
        "number of capabilities is 4294967295, but can be at most 64");
    expect_failure(expect_record(NAME_NONE CAPABILITIES
                                 "00000002 07 'multifd' 07 'multifd'",
                                 &plain),
                   VMMIG_ERROR_PROTOCOL, 53,
                   "capability \"multifd\" is listed twice");
}
END_TEST

START_TEST(uuid_must_be_equal_where_both_have_one)
{
    bool has_uuid = false;

    expect_ok(expect_record(NAME_NONE UUID "000102030405060708090a0b0c0d0e0f",
                            &with_uuid));
    expect_failure(
        expect_record(NAME_NONE UUID "000102030405060708090a0b0c0d0e10 00",
                      &with_uuid),
        VMMIG_ERROR_INCOMPATIBLE, 49,
        "the machine's uuid is 00010203-0405-0607-0809-0a0b0c0d0e10 there, but "
        "00010203-0405-0607-0809-0a0b0c0d0e0f here");
    expect_ok(expect_record(NAME_NONE "00", &with_uuid));

    vmmig__reader_free(reader);
    reader = reader_of(NAME_NONE UUID "000102030405060708090a0b0c0d0e0f");
    expect_ok(vmmig__expect_configuration(reader, &plain, &has_uuid, &error));
    ck_assert(has_uuid);
}
END_TEST

START_TEST(page_size_must_be_equal)
{
    static const struct vmmig__configuration large = {.machine_name = "none",
                                                      .page_bits = 16};

    expect_ok(expect_record(NAME_NONE PAGE_BITS "0000000c", &plain));
    expect_failure(expect_record(NAME_NONE PAGE_BITS "0000000e 00", &plain),
                   VMMIG_ERROR_INCOMPATIBLE, 49,
                   "a page has 2^14 bytes there, but 2^12 here");
    expect_failure(expect_record(NAME_NONE "00", &large),
                   VMMIG_ERROR_INCOMPATIBLE, 9,
                   "a page has 2^12 bytes there, but 2^16 here");
}
END_TEST

START_TEST(subsections_come_once_and_are_known)
{
    expect_failure(
        expect_record(NAME_NONE IGNORE_SHARED IGNORE_SHARED, &shared),
        VMMIG_ERROR_PROTOCOL, 62,
        "subsection \"configuration/capabilities\" comes twice");
    expect_failure(
        expect_record(NAME_NONE "05 11 'configuration/new' 00000001", &plain),
        VMMIG_ERROR_INCOMPATIBLE, 10,
        "subsection \"configuration/new\" of the configuration is not known "
        "here");
    expect_failure(
        expect_record(NAME_NONE "05 05 'timer' 00000001", &plain),
        VMMIG_ERROR_PROTOCOL, 10,
        "subsection \"timer\" of the configuration is not known here");
    expect_failure(
        expect_record(NAME_NONE "05 12 'configuration/uuid' 00000002", &plain),
        VMMIG_ERROR_INCOMPATIBLE, 29,
        "version of a subsection is 2 there, but 1 here");
}
END_TEST

START_TEST(record_cut_anywhere_is_an_error)
{
    GByteArray *bytes = bytes_of(NAME_NONE IGNORE_SHARED UUID
                                 "000102030405060708090a0b0c0d0e0f");
    struct vmmig__configuration local = with_uuid;

    local.ignore_shared = true;
    for (guint length = 0; length < bytes->len; length++) {
        reader = reader_of_bytes(bytes->data, length, UINT64_MAX);
        /* Before a subsection the record may end. */
        if (length == 61) {
            expect_ok(
                vmmig__expect_configuration(reader, &local, NULL, &error));
        } else {
            ck_assert(
                !vmmig__expect_configuration(reader, &local, NULL, &error));
            ck_assert_uint_eq(vmmig_error_code(error),
                              length == 9 ? VMMIG_ERROR_INCOMPATIBLE
                                          : VMMIG_ERROR_IO);
            g_clear_error(&error);
        }
        vmmig__reader_free(reader);
    }
    reader = NULL;
    g_byte_array_unref(bytes);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("configuration");

    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, record_is_read_as_it_is_written);
    tcase_add_test(tcase, what_follows_stays_unread);
    tcase_add_test(tcase, something_else_is_refused);
    tcase_add_test(tcase, machine_name_must_be_equal);
    tcase_add_test(tcase, machine_name_has_a_limit);
    tcase_add_test(tcase, machine_name_that_does_not_fit_is_not_written);
    tcase_add_test(tcase, ignore_shared_must_be_alike);
    tcase_add_test(tcase, capabilities_that_say_nothing_are_read_over);
    tcase_add_test(tcase, unknown_capability_is_refused);
    tcase_add_test(tcase, mapped_ram_is_refused);
    tcase_add_test(tcase, capabilities_have_a_limit);
    tcase_add_test(tcase, uuid_must_be_equal_where_both_have_one);
    tcase_add_test(tcase, page_size_must_be_equal);
    tcase_add_test(tcase, subsections_come_once_and_are_known);
    tcase_add_test(tcase, record_cut_anywhere_is_an_error);
    return run_case("configuration", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands around bodies. */
#include "unit/wire-kit.h"
#include "wire/section-frame.h"

static struct vmmig_reader *reader;
static struct vmmig_writer *writer;

static void set_up(void)
{
    writer = vmmig__writer_new_memory();
}

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    vmmig__writer_free(writer);
    wire_kit_clear();
}

START_TEST(file_header_is_read_as_it_is_written)
{
    vmmig__put_file_header(writer);
    expect_written(writer, "5145564d 00000003");
    reader = reader_of("5145564d 00000003");
    expect_ok(vmmig__expect_file_header(reader, &error));
    expect_end(reader);
}
END_TEST

START_TEST(other_magic_is_no_stream)
{
    reader = reader_of("11223344 00000003");
    expect_failure(vmmig__expect_file_header(reader, &error),
                   VMMIG_ERROR_PROTOCOL, 0,
                   "this is no migration stream: it begins with 0x11223344, "
                   "not with 0x5145564d");
}
END_TEST

START_TEST(other_version_is_incompatible)
{
    static const char *const streams[] = {"5145564d 00000002",
                                          "5145564d 00000004"};
    static const char *const words[] = {
        "the stream has version 2, but only 3 is known here",
        "the stream has version 4, but only 3 is known here"};

    reader = reader_of(streams[_i]);
    expect_failure(vmmig__expect_file_header(reader, &error),
                   VMMIG_ERROR_INCOMPATIBLE, 4, words[_i]);
}
END_TEST

START_TEST(records_are_read_as_they_are_written)
{
    struct vmmig__record record;

    vmmig__put_start(writer, 2, "ram", 0, 4);
    expect_written(writer, "01 00000002 03 'ram' 00000000 00000004");
    vmmig__put_part(writer, 0xdeadbeef);
    expect_written(writer, "02 deadbeef");
    vmmig__put_end(writer, 2);
    expect_written(writer, "03 00000002");
    vmmig__put_full(writer, 0, "timer", 1, 2);
    expect_written(writer, "04 00000000 05 'timer' 00000001 00000002");
    vmmig__put_footer(writer, 7);
    expect_written(writer, "7e 00000007");
    vmmig__put_eof(writer);
    expect_written(writer, "00");

    reader = reader_of("01 00000002 03 'ram' 00000000 00000004  02 deadbeef"
                       "03 00000002  04 00000000 05 'timer' 00000001 00000002"
                       "08 00");
    expect_ok(vmmig__get_record(reader, &record, &error));
    ck_assert_uint_eq(record.type, VMMIG__RECORD_START);
    ck_assert_uint_eq(record.section_id, 2);
    ck_assert_str_eq(record.idstr, "ram");
    ck_assert_uint_eq(record.instance_id, 0);
    ck_assert_uint_eq(record.version, 4);
    expect_ok(vmmig__get_record(reader, &record, &error));
    ck_assert_uint_eq(record.type, VMMIG__RECORD_PART);
    ck_assert_uint_eq(record.section_id, 0xdeadbeef);
    ck_assert_str_eq(record.idstr, "");
    expect_ok(vmmig__get_record(reader, &record, &error));
    ck_assert_uint_eq(record.type, VMMIG__RECORD_END);
    ck_assert_uint_eq(record.section_id, 2);
    expect_ok(vmmig__get_record(reader, &record, &error));
    ck_assert_uint_eq(record.type, VMMIG__RECORD_FULL);
    ck_assert_uint_eq(record.section_id, 0);
    ck_assert_str_eq(record.idstr, "timer");
    ck_assert_uint_eq(record.instance_id, 1);
    ck_assert_uint_eq(record.version, 2);
    expect_ok(vmmig__get_record(reader, &record, &error));
    ck_assert_uint_eq(record.type, VMMIG__RECORD_COMMAND);
    expect_ok(vmmig__get_record(reader, &record, &error));
    ck_assert_uint_eq(record.type, VMMIG__RECORD_EOF);
    expect_end(reader);
}
END_TEST

START_TEST(other_record_types_are_refused)
{
    static const struct {
        const char *stream, *words;
    } cases[] = {
        {"05", "a record begins with 0x05 (subsection), which cannot stand "
               "here"},
        {"06", "a record begins with 0x06 (VMDESC), which cannot stand here"},
        {"07", "a record begins with 0x07 (CONFIGURATION), which cannot stand "
               "here"},
        {"09", "a record begins with 0x09 (unknown), which cannot stand here"},
        {"7e", "a record begins with 0x7e (footer), which cannot stand here"},
        {"ff", "a record begins with 0xff (unknown), which cannot stand here"},
    };
    struct vmmig__record record = {.type = 0x55};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        reader = reader_of(cases[i].stream);
        expect_failure(vmmig__get_record(reader, &record, &error),
                       VMMIG_ERROR_PROTOCOL, 0, cases[i].words);
        vmmig__reader_free(reader);
    }
    reader = NULL;
    ck_assert_uint_eq(record.type, 0x55);
}
END_TEST

START_TEST(section_without_a_name_is_refused)
{
    struct vmmig__record record;

    reader = reader_of("04 00000001 00 00000000 00000001");
    expect_failure(vmmig__get_record(reader, &record, &error),
                   VMMIG_ERROR_PROTOCOL, 5,
                   "section name is empty: it has 1 to 255 bytes");
}
END_TEST

START_TEST(record_cut_anywhere_is_an_error)
{
    GByteArray *bytes = bytes_of("01 00000002 03 'ram' 00000000 00000004");
    struct vmmig__record record;

    for (guint length = 0; length < bytes->len; length++) {
        reader = reader_of_bytes(bytes->data, length, UINT64_MAX);
        ck_assert(!vmmig__get_record(reader, &record, &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
        g_clear_error(&error);
        vmmig__reader_free(reader);
    }
    reader = NULL;
    g_byte_array_unref(bytes);
}
END_TEST

START_TEST(live_section_does_not_get_the_id_0)
{
    vmmig__put_start(writer, 0, "ram", 0, 4);
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_INVALID,
                   "live section \"ram\" has the id 0");
}
END_TEST

START_TEST(footer_must_have_the_id_of_its_section)
{
    reader = reader_of("7e 00000007 7e 00000008");
    expect_ok(vmmig__expect_footer(reader, 7, &error));
    expect_failure(vmmig__expect_footer(reader, 7, &error),
                   VMMIG_ERROR_PROTOCOL, 6,
                   "the footer has the id 8, but the section 7");
}
END_TEST

START_TEST(missing_footer_is_an_error)
{
    reader = reader_of("00");
    expect_failure(vmmig__expect_footer(reader, 7, &error),
                   VMMIG_ERROR_PROTOCOL, 0,
                   "the section ends with 0x00, not with the footer 0x7e: both "
                   "sides do not agree about its length");
    expect_failure(vmmig__expect_footer(reader, 7, &error), VMMIG_ERROR_IO, 1,
                   "the stream ended after 0 of 1 bytes");
}
END_TEST

START_TEST(unknown_subsection_is_refused_by_name)
{
    reader = reader_of("05 08 'nic/vlan' 00000001");
    expect_failure(vmmig__expect_footer(reader, 7, &error),
                   VMMIG_ERROR_INCOMPATIBLE, 1,
                   "subsection \"nic/vlan\" is not known here");
}
END_TEST

START_TEST(what_only_looks_like_a_subsection_is_not_waited_for)
{
    reader = reader_of("05 ff 'nic'");
    expect_failure(vmmig__expect_footer(reader, 7, &error),
                   VMMIG_ERROR_PROTOCOL, 1,
                   "the section goes on with a subsection");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("section-frame");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, file_header_is_read_as_it_is_written);
    tcase_add_test(tcase, other_magic_is_no_stream);
    tcase_add_loop_test(tcase, other_version_is_incompatible, 0, 2);
    tcase_add_test(tcase, records_are_read_as_they_are_written);
    tcase_add_test(tcase, other_record_types_are_refused);
    tcase_add_test(tcase, section_without_a_name_is_refused);
    tcase_add_test(tcase, record_cut_anywhere_is_an_error);
    tcase_add_test(tcase, live_section_does_not_get_the_id_0);
    tcase_add_test(tcase, footer_must_have_the_id_of_its_section);
    tcase_add_test(tcase, missing_footer_is_an_error);
    tcase_add_test(tcase, unknown_subsection_is_refused_by_name);
    tcase_add_test(tcase, what_only_looks_like_a_subsection_is_not_waited_for);
    return run_case("section-frame", tcase);
}

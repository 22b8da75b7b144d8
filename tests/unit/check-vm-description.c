/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VM description: its text, its record, reading over it. */
#include <string.h>

#include "unit/wire-kit.h"
#include "wire/vm-description.h"

static struct vmmig__vm_description *description;
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
    vmmig__vm_description_free(description);
    description = NULL;
    wire_kit_clear();
}

static void expect_text(const char *expected)
{
    char *text = vmmig__vm_description_get_text(description);

    ck_assert_str_eq(text, expected);
    g_free(text);
}

START_TEST(machine_without_devices_has_a_description)
{
    description = vmmig__vm_description_new(NULL, 4096);
    expect_text("{\"page_size\": 4096, \"devices\": []}");
}
END_TEST

START_TEST(configuration_is_described_as_it_is_sent)
{
    struct vmmig__configuration configuration = {.machine_name = "none"};

    description = vmmig__vm_description_new(&configuration, 4096);
    expect_text(
        "{\"configuration\": {\"vmsd_name\": \"configuration\", \"version\": "
        "1, \"fields\": [{\"name\": \"len\", \"type\": \"uint32\", \"size\": "
        "4}, {\"name\": \"name\", \"type\": \"buffer\", \"size\": 4}]}, "
        "\"page_size\": 4096, \"devices\": []}");
    vmmig__vm_description_free(description);

    configuration.page_bits = 14;
    configuration.ignore_shared = true;
    configuration.has_uuid = true;
    description = vmmig__vm_description_new(&configuration, 16384);
    expect_text(
        "{\"configuration\": {\"vmsd_name\": \"configuration\", \"version\": "
        "1, \"fields\": [{\"name\": \"len\", \"type\": \"uint32\", \"size\": "
        "4}, {\"name\": \"name\", \"type\": \"buffer\", \"size\": 4}], "
        "\"subsections\": [{\"vmsd_name\": \"configuration/target-page-bits\", "
        "\"version\": 1, \"fields\": [{\"name\": \"target_page_bits\", "
        "\"type\": \"uint32\", \"size\": 4}]}, "
        "{\"vmsd_name\": \"configuration/capabilities\", \"version\": 1, "
        "\"fields\": [{\"name\": \"caps_count\", \"type\": \"uint32\", "
        "\"size\": 4}, {\"name\": \"capabilities\", \"type\": \"capability\", "
        "\"size\": 16}]}, "
        "{\"vmsd_name\": \"configuration/uuid\", \"version\": 1, \"fields\": "
        "[{\"name\": \"uuid.data\", \"array_len\": 16, \"type\": \"uint8\", "
        "\"size\": 1}]}]}, \"page_size\": 16384, \"devices\": []}");
}
END_TEST

START_TEST(opaque_device_is_one_buffer)
{
    description = vmmig__vm_description_new(NULL, 4096);
    vmmig__vm_description_add_opaque(description, "a", 0, 5);
    vmmig__vm_description_add_opaque(description, "b", 4294967295, 0);
    expect_text("{\"page_size\": 4096, \"devices\": [{\"name\": \"a\", "
                "\"instance_id\": 0, \"size\": 5, \"fields\": [{\"name\": "
                "\"data\", \"type\": \"buffer\", \"size\": 5}]}, {\"name\": "
                "\"b\", \"instance_id\": 4294967295, \"size\": 0, \"fields\": "
                "[{\"name\": \"data\", \"type\": \"buffer\", \"size\": 0}]}]}");
}
END_TEST

START_TEST(layout_without_fields_can_have_subsections)
{
    description = vmmig__vm_description_new(NULL, 4096);
    vmmig__vm_description_begin_device(description, "d", "d", 0, 1);
    vmmig__vm_description_begin_subsection(description, "d/x", 1);
    vmmig__vm_description_end_subsection(description);
    vmmig__vm_description_begin_subsection(description, "d/y", 1);
    vmmig__vm_description_end_subsection(description);
    vmmig__vm_description_end_device(description);
    expect_text("{\"page_size\": 4096, \"devices\": [{\"name\": \"d\", "
                "\"instance_id\": 0, \"vmsd_name\": \"d\", \"version\": 1, "
                "\"fields\": [], \"subsections\": [{\"vmsd_name\": \"d/x\", "
                "\"version\": 1, \"fields\": []}, {\"vmsd_name\": \"d/y\", "
                "\"version\": 1, \"fields\": []}]}]}");
}
END_TEST

START_TEST(names_are_escaped)
{
    description = vmmig__vm_description_new(NULL, 4096);
    vmmig__vm_description_add_opaque(description, "a\"b\\c\n\xff", 0, 1);
    expect_text("{\"page_size\": 4096, \"devices\": [{\"name\": "
                "\"a\\\"b\\\\c\\u000a\xef\xbf\xbd\", \"instance_id\": 0, "
                "\"size\": 1, \"fields\": [{\"name\": \"data\", \"type\": "
                "\"buffer\", \"size\": 1}]}]}");
}
END_TEST

START_TEST(record_has_the_length_of_the_text)
{
    description = vmmig__vm_description_new(NULL, 4096);
    vmmig__put_vm_description(writer, description);
    expect_written(writer,
                   "06 00000022 '{\"page_size\": 4096, \"devices\": []}'");
    vmmig__put_vm_description(writer, NULL);
    expect_written(writer, "06 00000000");
}
END_TEST

/* A described machine whose text is so long. */
static void describe_in(size_t length)
{
    char *text, *name;
    size_t more;

    vmmig__vm_description_free(description);
    description = vmmig__vm_description_new(NULL, 4096);
    vmmig__vm_description_add_opaque(description, "", 0, 1);
    text = vmmig__vm_description_get_text(description);
    more = length - strlen(text);
    g_free(text);
    vmmig__vm_description_free(description);

    name = g_strnfill(more, 'n');
    description = vmmig__vm_description_new(NULL, 4096);
    vmmig__vm_description_add_opaque(description, name, 0, 1);
    g_free(name);
    text = vmmig__vm_description_get_text(description);
    ck_assert_uint_eq(strlen(text), length);
    g_free(text);
}

/* Where a tool that has only the file looks for the text. */
static size_t first_brace(const uint8_t *data, size_t length)
{
    const uint8_t *zero = memrchr(data, 0, length);
    const uint8_t *from = zero ? zero : data;

    return (size_t)((const uint8_t *)memchr(
                        from, '{', length - (size_t)(from - data)) -
                    data);
}

START_TEST(length_has_no_brace_where_a_tool_would_see_it)
{
    static const struct {
        size_t text, sent;
    } cases[] = {
        {0x17a, 0x17a},     {0x17b, 0x17c},     {0x17c, 0x17c},
        {0x7b00, 0x7b00},   {0x7b01, 0x7c00},   {0x7bff, 0x7c00},
        {0x7b7b, 0x7c00},   {0x1017b, 0x1017c}, {0x17a7b, 0x17a7c},
        {0x17b01, 0x17c00}, {0x17b00, 0x17b00},
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        const uint8_t *data;
        uint64_t length;

        describe_in(cases[i].text);
        vmmig_writer_put_u8(writer, VMMIG__RECORD_EOF);
        vmmig__put_vm_description(writer, description);
        data = vmmig__writer_get_bytes(writer, &length);
        ck_assert_uint_eq(length, 6 + cases[i].sent);
        ck_assert_uint_eq(first_brace(data, length), 6);
        ck_assert_int_eq(data[1], VMMIG__RECORD_DESCRIPTION);
        ck_assert_uint_eq((size_t)data[2] << 24 | (size_t)data[3] << 16 |
                              (size_t)data[4] << 8 | data[5],
                          cases[i].sent);
        vmmig__writer_clear(writer);
    }
}
END_TEST

START_TEST(record_is_read_over)
{
    bool present = false;

    reader = reader_of("06 00000005 'hello' 06 00000000 'rest'");
    expect_ok(vmmig__skip_vm_description(reader, &present, &error));
    ck_assert(present);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 10);
    present = false;
    expect_ok(vmmig__skip_vm_description(reader, &present, &error));
    ck_assert(present);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 15);
    expect_ok(vmmig__skip_vm_description(reader, &present, &error));
    ck_assert(!present);
    ck_assert_uint_eq(vmmig__reader_get_offset(reader), 15);
}
END_TEST

START_TEST(stream_may_end_without_it)
{
    bool present = true;

    reader = reader_of("");
    expect_ok(vmmig__skip_vm_description(reader, &present, &error));
    ck_assert(!present);
}
END_TEST

START_TEST(record_has_a_limit)
{
    bool present;

    reader = reader_of("06 04000001 00");
    expect_failure(vmmig__skip_vm_description(reader, &present, &error),
                   VMMIG_ERROR_PROTOCOL, 1,
                   "length of the VM description is 67108865, but can be at "
                   "most 67108864");
    vmmig__reader_free(reader);
    reader = reader_of("06 04000000 00");
    expect_failure(vmmig__skip_vm_description(reader, &present, &error),
                   VMMIG_ERROR_IO, 5,
                   "the stream ended after 1 of 67108864 bytes");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("vm-description");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, machine_without_devices_has_a_description);
    tcase_add_test(tcase, configuration_is_described_as_it_is_sent);
    tcase_add_test(tcase, opaque_device_is_one_buffer);
    tcase_add_test(tcase, layout_without_fields_can_have_subsections);
    tcase_add_test(tcase, names_are_escaped);
    tcase_add_test(tcase, record_has_the_length_of_the_text);
    tcase_add_test(tcase, length_has_no_brace_where_a_tool_would_see_it);
    tcase_add_test(tcase, record_is_read_over);
    tcase_add_test(tcase, stream_may_end_without_it);
    tcase_add_test(tcase, record_has_a_limit);
    return run_case("vm-description", tcase);
}

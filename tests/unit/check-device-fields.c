/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices by layout: saved, loaded, applied, refused. */
#include <string.h>

#include "unit/wire-kit.h"
#include "wire/device-fields.h"
#include "wire/section-frame.h"

#define FULL_LAYOUT(version, minimum, fields, subsections, name, is_needed) \
    {                                                                       \
        (uint32_t)sizeof(struct vmmig_layout),                              \
            (uint32_t)sizeof(struct vmmig_field), version, minimum,         \
            (uint32_t)G_N_ELEMENTS(fields),                                 \
            (uint32_t)G_N_ELEMENTS(subsections), fields, subsections, name, \
            is_needed                                                       \
    }

/* -- a device with everything */

struct queue {
    uint16_t index, size;
    bool late;
    uint32_t flags;
};

struct nic {
    uint8_t u8, mac[6];
    uint16_t u16;
    uint32_t u32, table[3];
    uint64_t u64;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    bool up, modes[2];
    struct queue rx;
    uint16_t added;     /* since version 3 */
    uint16_t vlan;      /* in the subsection nic/vlan */
    uint32_t vlan_mode; /* in nic/vlan/mode */
    uint32_t speed;     /* in nic/speed */
    uint8_t untouched;  /* not in the stream */
};

static const struct vmmig_field queue_late_fields[] = {
    VMMIG_FIELD(VMMIG_BOOL, struct queue, late),
};

static bool queue_is_late(const void *device)
{
    return ((const struct queue *)device)->late;
}

static const struct vmmig_layout queue_late =
    VMMIG_SUBSECTION("queue/late", 1, 1, queue_late_fields, queue_is_late);
static const struct vmmig_layout *const queue_subsections[] = {&queue_late};

static const struct vmmig_field queue_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct queue, index),
    VMMIG_FIELD(VMMIG_U16, struct queue, size),
};

static const struct vmmig_layout queue_layout =
    FULL_LAYOUT(4, 4, queue_fields, queue_subsections, "queue", NULL);

static bool has_vlan(const void *device)
{
    return ((const struct nic *)device)->vlan != 0;
}

static bool has_vlan_mode(const void *device)
{
    return ((const struct nic *)device)->vlan_mode != 0;
}

static bool has_speed(const void *device)
{
    return ((const struct nic *)device)->speed != 0;
}

static const struct vmmig_field mode_fields[] = {
    VMMIG_FIELD(VMMIG_U32, struct nic, vlan_mode),
};
static const struct vmmig_layout mode =
    VMMIG_SUBSECTION("nic/vlan/mode", 1, 1, mode_fields, has_vlan_mode);
static const struct vmmig_layout *const vlan_subsections[] = {&mode};
static const struct vmmig_field vlan_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct nic, vlan),
};
static const struct vmmig_layout vlan =
    FULL_LAYOUT(2, 1, vlan_fields, vlan_subsections, "nic/vlan", has_vlan);
static const struct vmmig_field speed_fields[] = {
    VMMIG_FIELD(VMMIG_U32, struct nic, speed),
};
static const struct vmmig_layout speed =
    VMMIG_SUBSECTION("nic/speed", 1, 1, speed_fields, has_speed);
static const struct vmmig_layout *const nic_subsections[] = {&vlan, &speed};

static const struct vmmig_field nic_fields[] = {
    VMMIG_FIELD(VMMIG_U8, struct nic, u8),
    VMMIG_FIELD(VMMIG_U8, struct nic, mac),
    VMMIG_FIELD(VMMIG_U16, struct nic, u16),
    VMMIG_FIELD(VMMIG_U32, struct nic, u32),
    VMMIG_FIELD_UNUSED(3),
    VMMIG_FIELD(VMMIG_U32, struct nic, table),
    VMMIG_FIELD(VMMIG_U64, struct nic, u64),
    VMMIG_FIELD(VMMIG_I8, struct nic, i8),
    VMMIG_FIELD(VMMIG_I16, struct nic, i16),
    VMMIG_FIELD(VMMIG_I32, struct nic, i32),
    VMMIG_FIELD(VMMIG_I64, struct nic, i64),
    VMMIG_FIELD(VMMIG_BOOL, struct nic, up),
    VMMIG_FIELD(VMMIG_BOOL, struct nic, modes),
    VMMIG_FIELD_UNUSED(1),
    VMMIG_FIELD_STRUCT(struct nic, rx, &queue_layout),
    VMMIG_FIELD_SINCE(3, VMMIG_U16, struct nic, added),
};
static const struct vmmig_layout nic_layout =
    VMMIG_LAYOUT_EXTENDED(3, 2, nic_fields, nic_subsections);

static const struct nic example = {
    .u8 = 1,
    .mac = {2, 3, 4, 5, 6, 7},
    .u16 = 0x0809,
    .u32 = 0x0a0b0c0d,
    .table = {1, 2, 0xfffffffe},
    .u64 = 0x1122334455667788,
    .i8 = -2,
    .i16 = -3,
    .i32 = -4,
    .i64 = -5,
    .up = true,
    .modes = {false, true},
    .rx = {.index = 0x1234, .size = 0x100, .flags = 99},
    .added = 0xabcd,
    .untouched = 7,
};

#define COMMON                                                         \
    "01 020304050607 0809 0a0b0c0d 000000 00000001 00000002 fffffffe " \
    "1122334455667788 fe fffd fffffffc fffffffffffffffb 01 0001 00 "
#define RX "1234 0100 "
#define BODY COMMON RX "abcd "
#define LATE "05 0a 'queue/late' 00000001 01 "
#define VLAN "05 08 'nic/vlan' 00000002 0064 "
#define MODE "05 0d 'nic/vlan/mode' 00000001 00000003 "
#define SPEED "05 09 'nic/speed' 00000001 000003e8 "

static struct vmmig_reader *reader;
static struct vmmig_writer *writer;
static struct vmmig__field_image *image;

static void set_up(void)
{
    writer = vmmig__writer_new_memory();
}

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    vmmig__writer_free(writer);
    vmmig__field_image_free(image);
    image = NULL;
    wire_kit_clear();
}

static bool load(const char *stream, uint32_t version)
{
    vmmig__reader_free(reader);
    vmmig__field_image_free(image);
    image = NULL;
    reader = reader_of(stream);
    return vmmig__load_fields(reader, &nic_layout, "nic", version, &image,
                              &error);
}

static void expect_nic(const struct nic *expected)
{
    struct nic nic;

    memset(&nic, 0, sizeof nic);
    nic.rx.flags = expected->rx.flags;
    nic.untouched = expected->untouched;
    vmmig__apply_fields(image, &nic);
    ck_assert_uint_eq(nic.u8, expected->u8);
    ck_assert_mem_eq(nic.mac, expected->mac, sizeof nic.mac);
    ck_assert_uint_eq(nic.u16, expected->u16);
    ck_assert_uint_eq(nic.u32, expected->u32);
    ck_assert_mem_eq(nic.table, expected->table, sizeof nic.table);
    ck_assert_uint_eq(nic.u64, expected->u64);
    ck_assert_int_eq(nic.i8, expected->i8);
    ck_assert_int_eq(nic.i16, expected->i16);
    ck_assert_int_eq(nic.i32, expected->i32);
    ck_assert_int_eq(nic.i64, expected->i64);
    ck_assert_int_eq(nic.up, expected->up);
    ck_assert_int_eq(nic.modes[0], expected->modes[0]);
    ck_assert_int_eq(nic.modes[1], expected->modes[1]);
    ck_assert_uint_eq(nic.rx.index, expected->rx.index);
    ck_assert_uint_eq(nic.rx.size, expected->rx.size);
    ck_assert_int_eq(nic.rx.late, expected->rx.late);
    ck_assert_uint_eq(nic.rx.flags, expected->rx.flags);
    ck_assert_uint_eq(nic.added, expected->added);
    ck_assert_uint_eq(nic.vlan, expected->vlan);
    ck_assert_uint_eq(nic.vlan_mode, expected->vlan_mode);
    ck_assert_uint_eq(nic.speed, expected->speed);
    ck_assert_uint_eq(nic.untouched, expected->untouched);
}

/* -- there and back */

START_TEST(fields_are_loaded_as_they_are_saved)
{
    expect_ok(vmmig__layout_check(&nic_layout, "nic", &error));
    vmmig__save_fields(&nic_layout, "nic", 0, &example, writer, NULL);
    expect_written(writer, BODY);
    expect_ok(load(BODY, 3));
    expect_nic(&example);
    expect_end(reader);
}
END_TEST

START_TEST(needed_subsections_go_along)
{
    struct nic nic = example;

    nic.rx.late = true;
    nic.vlan = 100;
    nic.vlan_mode = 3;
    nic.speed = 1000;
    vmmig__save_fields(&nic_layout, "nic", 0, &nic, writer, NULL);
    expect_written(writer, COMMON RX LATE "abcd" VLAN MODE SPEED);
    expect_ok(load(COMMON RX LATE "abcd" VLAN MODE SPEED, 3));
    expect_nic(&nic);
    expect_end(reader);

    nic.vlan_mode = 0;
    vmmig__save_fields(&nic_layout, "nic", 0, &nic, writer, NULL);
    expect_written(writer, COMMON RX LATE "abcd" VLAN SPEED);
    expect_ok(load(COMMON RX LATE "abcd" VLAN SPEED, 3));
    expect_nic(&nic);
    expect_end(reader);
}
END_TEST

START_TEST(subsections_may_come_in_any_order)
{
    struct nic nic = example;

    nic.vlan = 100;
    nic.speed = 1000;
    expect_ok(load(BODY SPEED VLAN "7e 00000000", 3));
    expect_nic(&nic);
    expect_ok(vmmig__expect_footer(reader, 0, &error));
}
END_TEST

START_TEST(older_version_lacks_newer_fields)
{
    struct nic nic = example;

    nic.added = 0;
    expect_ok(load(COMMON RX, 2));
    expect_nic(&nic);
    expect_end(reader);
}
END_TEST

START_TEST(device_stays_as_it_is_until_applied)
{
    ck_assert(!load(COMMON RX "ab", 3));
    ck_assert_ptr_null(image);
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
}
END_TEST

START_TEST(what_is_not_there_stays_as_it_is)
{
    struct nic nic;

    expect_ok(load(COMMON RX, 2));
    memset(&nic, 0x5a, sizeof nic);
    vmmig__apply_fields(image, &nic);
    ck_assert_uint_eq(nic.added, 0x5a5a);
    ck_assert_uint_eq(nic.vlan, 0x5a5a);
    ck_assert_uint_eq(nic.rx.flags, 0x5a5a5a5a);
    ck_assert_uint_eq(nic.rx.index, 0x1234);
}
END_TEST

/* -- what the peer may not do */

START_TEST(versions_outside_the_range_are_refused)
{
    expect_failure(load("", 1), VMMIG_ERROR_INCOMPATIBLE, 0,
                   "\"nic\" has version 1, but here versions 2 to 3 are known");
    expect_failure(load("", 4), VMMIG_ERROR_INCOMPATIBLE, 0,
                   "\"nic\" has version 4, but here versions 2 to 3 are known");
    expect_failure(
        load(BODY "05 08 'nic/vlan' 00000003 0064", 3),
        VMMIG_ERROR_INCOMPATIBLE, 71,
        "\"nic/vlan\" has version 3, but here versions 1 to 2 are known");
}
END_TEST

START_TEST(boolean_is_0_or_1)
{
    GByteArray *bytes = bytes_of(BODY);

    bytes->data[51] = 2;
    reader = reader_of_bytes(bytes->data, bytes->len, UINT64_MAX);
    expect_failure(
        vmmig__load_fields(reader, &nic_layout, "nic", 3, &image, &error),
        VMMIG_ERROR_PROTOCOL, 51, "field \"up\" is 0x02, neither 0 nor 1");
    g_byte_array_unref(bytes);
}
END_TEST

START_TEST(subsection_twice_is_refused)
{
    expect_failure(load(BODY SPEED SPEED, 3), VMMIG_ERROR_PROTOCOL, 90,
                   "subsection \"nic/speed\" comes twice");
}
END_TEST

START_TEST(unknown_subsection_is_refused_at_the_footer)
{
    expect_ok(load(BODY "05 08 'nic/vlam' 00000001", 3));
    expect_failure(vmmig__expect_footer(reader, 0, &error),
                   VMMIG_ERROR_INCOMPATIBLE, 62,
                   "subsection \"nic/vlam\" is not known here");
}
END_TEST

/* A device with a layout may write more: whatever that begins with, exactly the
 * layout's bytes are read, and none that are not there are waited for. */
START_TEST(own_bytes_after_the_layout_stay_unread)
{
    static const char *const own[] = {
        "05",
        "05 00",
        "05 08",
        "05 ff",
        "05 08 'nic/'",
        "05 09 'n'",
        "05 08 'nic/vlax'",
        "05 0d 'nic/vlan'",
        "05 07 'nic/vla'",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(own); i++) {
        GByteArray *bytes = bytes_of(BODY);
        GByteArray *more = bytes_of(own[i]);
        uint8_t got[32];

        /* The footer that follows any body. */
        g_byte_array_append(more, (const guint8 *)"\x7e\0\0\0\1", 5);
        g_byte_array_append(bytes, more->data, more->len);
        reader = reader_of_bytes(bytes->data, bytes->len, 1);
        expect_ok(
            vmmig__load_fields(reader, &nic_layout, "nic", 3, &image, &error));
        ck_assert_uint_eq(vmmig__reader_get_offset(reader),
                          bytes->len - more->len);
        expect_ok(vmmig_reader_get_bytes(reader, got, more->len, &error));
        ck_assert_mem_eq(got, more->data, more->len);
        vmmig__reader_free(reader);
        reader = NULL;
        vmmig__field_image_free(image);
        image = NULL;
        g_byte_array_unref(more);
        g_byte_array_unref(bytes);
    }
}
END_TEST

START_TEST(member_after_a_struct_may_look_like_a_mark)
{
    struct nic nic = example;

    nic.added = 0x050a;
    vmmig__save_fields(&nic_layout, "nic", 0, &nic, writer, NULL);
    expect_written(writer, COMMON RX "050a");
    expect_ok(load(COMMON RX "050a" SPEED, 3));
    nic.speed = 1000;
    expect_nic(&nic);
}
END_TEST

START_TEST(body_cut_anywhere_is_an_error)
{
    GByteArray *bytes = bytes_of(BODY VLAN MODE);
    GByteArray *body = bytes_of(BODY), *with_vlan = bytes_of(BODY VLAN);

    for (guint length = 0; length < bytes->len; length++) {
        reader = reader_of_bytes(bytes->data, length, UINT64_MAX);
        if (length == body->len || length == with_vlan->len) {
            expect_ok(vmmig__load_fields(reader, &nic_layout, "nic", 3, &image,
                                         &error));
            vmmig__field_image_free(image);
            image = NULL;
        } else {
            ck_assert(!vmmig__load_fields(reader, &nic_layout, "nic", 3, &image,
                                          &error));
            ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
            g_clear_error(&error);
        }
        vmmig__reader_free(reader);
    }
    reader = NULL;
    g_byte_array_unref(bytes);
    g_byte_array_unref(body);
    g_byte_array_unref(with_vlan);
}
END_TEST

/* -- layouts that are not accepted */

static void expect_bad(const struct vmmig_layout *layout, const char *words)
{
    expect_refusal(vmmig__layout_check(layout, "nic", &error),
                   VMMIG_ERROR_INVALID, words);
}

START_TEST(bad_fields_are_refused)
{
    static const struct {
        struct vmmig_field field;
        const char *words;
    } cases[] = {
        {{NULL, VMMIG_U8, 0, 0, 1, NULL},
         "layout \"nic\": field 0 has no name"},
        {{"x", 0, 0, 0, 1, NULL},
         "layout \"nic\": field \"x\" is of the unknown kind 0"},
        {{"x", 12, 0, 0, 1, NULL},
         "layout \"nic\": field \"x\" is of the unknown kind 12"},
        {{"x", VMMIG_U32, 0, 0, 6, NULL},
         "layout \"nic\": field \"x\" has 6 bytes, but its kind 4"},
        {{"x", VMMIG_U64, 0, 0, 0, NULL},
         "layout \"nic\": field \"x\" has 0 bytes, but its kind 8"},
        {{"x", VMMIG_U8, 4, 0, 1, NULL},
         "layout \"nic\": field \"x\" comes with version 4, but the layout has "
         "3"},
        {{"x", VMMIG_U8, 0, 0, 0x10000001, NULL},
         "layout \"nic\": more than 65536 fields or 268435456 bytes"},
        {{"x", VMMIG_STRUCT, 0, 0, 8, NULL},
         "layout \"nic\": field \"x\" is a struct without a layout"},
        {{"x", VMMIG_STRUCT, 0, 0, 3, &queue_layout},
         "layout \"nic\": field \"size\" lies outside of the 3 bytes of its "
         "struct \"x\""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct vmmig_layout layout = VMMIG_LAYOUT(3, 1, nic_fields);

        layout.fields = &cases[i].field;
        layout.field_count = 1;
        expect_bad(&layout, cases[i].words);
    }
}
END_TEST

START_TEST(bad_layouts_are_refused)
{
    struct vmmig_layout layout = nic_layout;

    expect_bad(NULL, "layout \"nic\" is NULL");
    layout.struct_size = 0;
    expect_bad(&layout, "layout \"nic\": struct_size is 0; set it to sizeof");
    layout = nic_layout;
    layout.field_bytes = 8;
    expect_bad(&layout, "layout \"nic\": field_bytes is 8; set it to sizeof");
    layout = nic_layout;
    layout.minimum_version = 4;
    expect_bad(&layout,
               "layout \"nic\": its oldest version is 4, but its newest 3");
    layout = nic_layout;
    layout.fields = NULL;
    expect_bad(&layout, "layout \"nic\": rows are counted, but NULL");
    layout = nic_layout;
    layout.subsection_count = 257;
    expect_bad(&layout, "layout \"nic\": 257 subsections, more than 256");
}
END_TEST

START_TEST(bad_subsections_are_refused)
{
    const struct vmmig_layout *subsections[2] = {NULL, NULL};
    struct vmmig_layout subsection = speed;
    struct vmmig_layout layout = nic_layout;

    layout.subsections = subsections;
    layout.subsection_count = 1;
    expect_bad(&layout, "layout \"nic\": subsection 0 is NULL");
    subsections[0] = &subsection;
    subsection.name = NULL;
    expect_bad(&layout, "layout \"nic\": its subsection is called \"\", not "
                        "\"nic/...\" with at most 255 bytes");
    subsection.name = "nicer/speed";
    expect_bad(&layout,
               "layout \"nic\": its subsection is called \"nicer/speed\", not "
               "\"nic/...\" with at most 255 bytes");
    subsection.name = "nic/";
    expect_bad(&layout, "layout \"nic\": its subsection is called \"nic/\", "
                        "not \"nic/...\" with at most 255 bytes");
    subsection.name = "nic/speed";
    subsections[1] = &speed;
    layout.subsection_count = 2;
    expect_bad(&layout, "layout \"nic\": two subsections \"nic/speed\"");
    layout = queue_layout;
    layout.name = NULL;
    expect_bad(
        &(struct vmmig_layout)VMMIG_LAYOUT(
            1, 1,
            ((struct vmmig_field[]){
                {"rx", VMMIG_STRUCT, 0, 0, sizeof(struct queue), &layout}})),
        "layout \"nic\": the struct of field \"rx\" has subsections, but no "
        "name that theirs could begin with");
}
END_TEST

START_TEST(layout_within_itself_is_refused)
{
    struct vmmig_field field = {"again", VMMIG_STRUCT, 0, 0, 8, NULL};
    struct vmmig_layout layout = VMMIG_LAYOUT(1, 1, nic_fields);

    layout.fields = &field;
    layout.field_count = 1;
    field.nested = &layout;
    expect_bad(&layout, "layout \"again\": layouts in layouts, more than 16 "
                        "deep");
}
END_TEST

START_TEST(fields_of_all_structs_count)
{
    struct vmmig_field *fields = g_new0(struct vmmig_field, 300);
    struct vmmig_field *inner = g_new0(struct vmmig_field, 300);
    struct vmmig_layout nested = VMMIG_LAYOUT(1, 1, nic_fields);
    struct vmmig_layout layout = nested;

    for (unsigned i = 0; i < 300; i++) {
        inner[i] = (struct vmmig_field){"x", VMMIG_U8, 0, 0, 1, NULL};
        fields[i] = (struct vmmig_field){"y", VMMIG_STRUCT, 0, 0, 1, &nested};
    }
    nested.fields = inner;
    nested.field_count = 300;
    layout.fields = fields;
    layout.field_count = 300;
    expect_bad(&layout,
               "layout \"y\": more than 65536 fields or 268435456 bytes");
    g_free(inner);
    g_free(fields);
}
END_TEST

/* A host that was built against a later header: longer rows, a longer table. */
struct later_field {
    struct vmmig_field field;
    uint64_t later;
};
struct later_layout {
    struct vmmig_layout layout;
    uint64_t later;
};

START_TEST(later_layouts_work_unless_they_use_what_is_new)
{
    struct later_field fields[2] = {
        {VMMIG_FIELD(VMMIG_U8, struct nic, u8), 0},
        {VMMIG_FIELD(VMMIG_U16, struct nic, u16), 0},
    };
    struct later_layout later = {
        {sizeof(struct later_layout), sizeof(struct later_field), 1, 1, 2, 0,
         &fields[0].field, NULL, NULL, NULL},
        0,
    };

    expect_ok(vmmig__layout_check(&later.layout, "nic", &error));
    vmmig__save_fields(&later.layout, "nic", 0, &example, writer, NULL);
    expect_written(writer, "01 0809");
    fields[1].later = 1;
    expect_bad(&later.layout, "layout \"nic\": field \"u16\" uses a member "
                              "that this library is too old to know");
    fields[1].later = 0;
    later.later = 1;
    ck_assert(!vmmig__layout_check(&later.layout, "nic", &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
}
END_TEST

/* -- its description */

START_TEST(description_tells_what_was_saved)
{
    struct vmmig__vm_description *description =
        vmmig__vm_description_new(NULL, 4096);
    struct nic nic = example;
    char *text;

    nic.rx.late = true;
    nic.vlan = 100;
    nic.vlan_mode = 3;
    nic.speed = 1000;
    vmmig__save_fields(&nic_layout, "0000:00:03.0/nic", 2, &nic, writer,
                       description);
    text = vmmig__vm_description_get_text(description);
    ck_assert_str_eq(
        text,
        "{\"page_size\": 4096, \"devices\": [{\"name\": \"0000:00:03.0/nic\", "
        "\"instance_id\": 2, \"vmsd_name\": \"0000:00:03.0/nic\", \"version\": "
        "3, \"fields\": ["
        "{\"name\": \"u8\", \"type\": \"uint8\", \"size\": 1}, "
        "{\"name\": \"mac\", \"type\": \"buffer\", \"size\": 6}, "
        "{\"name\": \"u16\", \"type\": \"uint16\", \"size\": 2}, "
        "{\"name\": \"u32\", \"type\": \"uint32\", \"size\": 4}, "
        "{\"name\": \"unused[0]\", \"type\": \"unused_buffer\", \"size\": 3}, "
        "{\"name\": \"table\", \"array_len\": 3, \"type\": \"uint32\", "
        "\"size\": 4}, "
        "{\"name\": \"u64\", \"type\": \"uint64\", \"size\": 8}, "
        "{\"name\": \"i8\", \"type\": \"int8\", \"size\": 1}, "
        "{\"name\": \"i16\", \"type\": \"int16\", \"size\": 2}, "
        "{\"name\": \"i32\", \"type\": \"int32\", \"size\": 4}, "
        "{\"name\": \"i64\", \"type\": \"int64\", \"size\": 8}, "
        "{\"name\": \"up\", \"type\": \"bool\", \"size\": 1}, "
        "{\"name\": \"modes\", \"array_len\": 2, \"type\": \"bool\", "
        "\"size\": 1}, "
        "{\"name\": \"unused[1]\", \"type\": \"unused_buffer\", \"size\": 1}, "
        "{\"name\": \"rx\", \"type\": \"struct\", \"struct\": {\"vmsd_name\": "
        "\"queue\", \"version\": 4, \"fields\": ["
        "{\"name\": \"index\", \"type\": \"uint16\", \"size\": 2}, "
        "{\"name\": \"size\", \"type\": \"uint16\", \"size\": 2}], "
        "\"subsections\": [{\"vmsd_name\": \"queue/late\", \"version\": 1, "
        "\"fields\": [{\"name\": \"late\", \"type\": \"bool\", \"size\": "
        "1}]}]}, \"size\": 21}, "
        "{\"name\": \"added\", \"type\": \"uint16\", \"size\": 2}], "
        "\"subsections\": ["
        "{\"vmsd_name\": \"nic/vlan\", \"version\": 2, \"fields\": "
        "[{\"name\": \"vlan\", \"type\": \"uint16\", \"size\": 2}], "
        "\"subsections\": [{\"vmsd_name\": \"nic/vlan/mode\", \"version\": 1, "
        "\"fields\": [{\"name\": \"vlan_mode\", \"type\": \"uint32\", "
        "\"size\": 4}]}]}, "
        "{\"vmsd_name\": \"nic/speed\", \"version\": 1, \"fields\": "
        "[{\"name\": \"speed\", \"type\": \"uint32\", \"size\": 4}]}]}]}");
    g_free(text);
    vmmig__vm_description_free(description);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("device-fields");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, fields_are_loaded_as_they_are_saved);
    tcase_add_test(tcase, needed_subsections_go_along);
    tcase_add_test(tcase, subsections_may_come_in_any_order);
    tcase_add_test(tcase, older_version_lacks_newer_fields);
    tcase_add_test(tcase, device_stays_as_it_is_until_applied);
    tcase_add_test(tcase, what_is_not_there_stays_as_it_is);
    tcase_add_test(tcase, versions_outside_the_range_are_refused);
    tcase_add_test(tcase, boolean_is_0_or_1);
    tcase_add_test(tcase, subsection_twice_is_refused);
    tcase_add_test(tcase, unknown_subsection_is_refused_at_the_footer);
    tcase_add_test(tcase, own_bytes_after_the_layout_stay_unread);
    tcase_add_test(tcase, member_after_a_struct_may_look_like_a_mark);
    tcase_add_test(tcase, body_cut_anywhere_is_an_error);
    tcase_add_test(tcase, bad_fields_are_refused);
    tcase_add_test(tcase, bad_layouts_are_refused);
    tcase_add_test(tcase, bad_subsections_are_refused);
    tcase_add_test(tcase, layout_within_itself_is_refused);
    tcase_add_test(tcase, fields_of_all_structs_count);
    tcase_add_test(tcase, later_layouts_work_unless_they_use_what_is_new);
    tcase_add_test(tcase, description_tells_what_was_saved);
    return run_case("device-fields", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The section of a device with a layout. The first byte of the input is the
 * version. What was loaded is saved; that loads into what is saved alike.
 */
#include "fuzz/fuzz.h"
#include "wire/device-fields.h"
#include "wire/section-frame.h"

const char fuzz_corpus[] = "fields";

struct queue {
    uint16_t index;
    bool late;
};

struct device {
    uint8_t bytes[5];
    uint16_t u16;
    int32_t numbers[3];
    uint64_t u64;
    bool flags[2];
    struct queue queue;
    uint32_t added;
    uint16_t vlan, mode;
    uint32_t speed;
};

static bool is_late(const void *data)
{
    return ((const struct queue *)data)->late;
}

static bool has_vlan(const void *data)
{
    return ((const struct device *)data)->vlan != 0;
}

static bool has_mode(const void *data)
{
    return ((const struct device *)data)->mode != 0;
}

static bool has_speed(const void *data)
{
    return ((const struct device *)data)->speed != 0;
}

static const struct vmmig_field late_fields[] = {
    VMMIG_FIELD(VMMIG_BOOL, struct queue, late)};
static const struct vmmig_layout late =
    VMMIG_SUBSECTION("queue/late", 1, 1, late_fields, is_late);
static const struct vmmig_layout *const queue_subsections[] = {&late};
static const struct vmmig_field queue_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct queue, index)};
static const struct vmmig_layout queue = {sizeof(struct vmmig_layout),
                                          sizeof(struct vmmig_field),
                                          1,
                                          1,
                                          1,
                                          1,
                                          queue_fields,
                                          queue_subsections,
                                          "queue",
                                          NULL};

static const struct vmmig_field mode_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct device, mode)};
static const struct vmmig_layout mode =
    VMMIG_SUBSECTION("device/vlan/mode", 1, 1, mode_fields, has_mode);
static const struct vmmig_layout *const vlan_subsections[] = {&mode};
static const struct vmmig_field vlan_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct device, vlan)};
static const struct vmmig_layout vlan = {sizeof(struct vmmig_layout),
                                         sizeof(struct vmmig_field),
                                         2,
                                         1,
                                         1,
                                         1,
                                         vlan_fields,
                                         vlan_subsections,
                                         "device/vlan",
                                         has_vlan};
static const struct vmmig_field speed_fields[] = {
    VMMIG_FIELD(VMMIG_U32, struct device, speed)};
static const struct vmmig_layout speed =
    VMMIG_SUBSECTION("device/speed", 1, 1, speed_fields, has_speed);
static const struct vmmig_layout *const device_subsections[] = {&vlan, &speed};

static const struct vmmig_field device_fields[] = {
    VMMIG_FIELD(VMMIG_U8, struct device, bytes),
    VMMIG_FIELD(VMMIG_U16, struct device, u16),
    VMMIG_FIELD(VMMIG_I32, struct device, numbers),
    VMMIG_FIELD_UNUSED(3),
    VMMIG_FIELD(VMMIG_U64, struct device, u64),
    VMMIG_FIELD(VMMIG_BOOL, struct device, flags),
    VMMIG_FIELD_STRUCT(struct device, queue, &queue),
    VMMIG_FIELD_SINCE(3, VMMIG_U32, struct device, added),
};
static const struct vmmig_layout layout =
    VMMIG_LAYOUT_EXTENDED(3, 2, device_fields, device_subsections);

static bool load(const uint8_t *data, size_t size, uint32_t version,
                 struct device *device)
{
    struct vmmig_reader *reader = fuzz_reader(data, size);
    struct vmmig__field_image *image;
    vmmig_error *error = NULL;
    bool ok;

    memset(device, 0, sizeof *device);
    vmmig__reader_enter_section(reader, "device", 1, VMMIG_PHASE_STATE);
    ok = vmmig__load_fields(reader, &layout, "device", version, &image, &error);
    if (ok) {
        vmmig__apply_fields(image, device);
        vmmig__field_image_free(image);
        ok = vmmig__expect_footer(reader, 1, &error);
    }
    fuzz_verdict(ok, error);
    vmmig__reader_free(reader);
    return ok;
}

static void save(const struct device *device, struct vmmig_writer *writer)
{
    struct vmmig__vm_description *description =
        vmmig__vm_description_new(NULL, 4096);

    vmmig__save_fields(&layout, "device", 0, device, writer, description);
    vmmig__put_footer(writer, 1);
    vmmig__vm_description_free(description);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmmig_writer *writer = vmmig__writer_new_memory();
    struct vmmig_writer *once_more = vmmig__writer_new_memory();
    struct device device, again;

    if (size > 0 && load(data + 1, size - 1, data[0], &device)) {
        const uint8_t *bytes;
        uint64_t length;

        save(&device, writer);
        bytes = vmmig__writer_get_bytes(writer, &length);
        FUZZ_REQUIRE(load(bytes, length, 3, &again));
        save(&again, once_more);
        fuzz_written(once_more, bytes, length);
    }
    vmmig__writer_free(once_more);
    vmmig__writer_free(writer);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fields of devices by layout. Saving and applying run under the host's lock,
 * loading does not: it touches nothing of the device.
 */
#include "wire/device-fields.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/struct-copy.h"

G_STATIC_ASSERT(sizeof(bool) == 1);

/* -- layouts, whatever header they were built with */

/* The layout as we know it: members that it is too old for are 0. */
static struct vmmig_layout view(const struct vmmig_layout *layout)
{
    struct vmmig_layout ours = {0};

    memcpy(&ours, layout, MIN(layout->struct_size, sizeof ours));
    return ours;
}

static const uint8_t *row(const struct vmmig_layout *view, uint32_t index)
{
    return (const uint8_t *)view->fields + (size_t)index * view->field_bytes;
}

static struct vmmig_field field_at(const struct vmmig_layout *view,
                                   uint32_t index)
{
    struct vmmig_field field = {0};

    memcpy(&field, row(view, index), MIN(view->field_bytes, sizeof field));
    return field;
}

/* clang-format off */
static const struct {
    const char *type; /* in the VM description */
    uint32_t size_bytes;
} kinds[] = {
    [VMMIG_U8]     = {"uint8", 1},
    [VMMIG_U16]    = {"uint16", 2},
    [VMMIG_U32]    = {"uint32", 4},
    [VMMIG_U64]    = {"uint64", 8},
    [VMMIG_I8]     = {"int8", 1},
    [VMMIG_I16]    = {"int16", 2},
    [VMMIG_I32]    = {"int32", 4},
    [VMMIG_I64]    = {"int64", 8},
    [VMMIG_BOOL]   = {"bool", 1},
    [VMMIG_STRUCT] = {"struct", 1},
    [VMMIG_UNUSED] = {"unused_buffer", 1},
};
/* clang-format on */

/* -- checking */

/* What a whole layout may not exceed, however it is nested. */
struct budget {
    uint64_t fields_left, bytes_left;
};

static bool check_layout(const struct vmmig_layout *layout, const char *name,
                         uint32_t depth, struct budget *budget,
                         vmmig_error **error);

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static bool check_field(const struct vmmig_layout *layout, uint32_t index,
                        const char *name, uint32_t depth, struct budget *budget,
                        vmmig_error **error)
{
    struct vmmig_field field = field_at(layout, index);
    struct vmmig_layout nested;

    if (!field.name || !*field.name)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field %" PRIu32 " has no name", name,
                           index);
    if (layout->field_bytes > sizeof field &&
        !is_zero(row(layout, index) + sizeof field,
                 layout->field_bytes - sizeof field))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field \"%s\" uses a member that "
                           "this library is too old to know",
                           name, field.name);
    if (field.kind < VMMIG_U8 || field.kind > VMMIG_UNUSED)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field \"%s\" is of the unknown kind "
                           "%" PRIu32,
                           name, field.name, field.kind);
    if (field.member_bytes == 0 ||
        field.member_bytes % kinds[field.kind].size_bytes != 0)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field \"%s\" has %" PRIu32
                           " bytes, but its kind %" PRIu32,
                           name, field.name, field.member_bytes,
                           kinds[field.kind].size_bytes);
    if (field.since_version > layout->version)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field \"%s\" comes with version "
                           "%" PRIu32 ", but the layout has %" PRIu32,
                           name, field.name, field.since_version,
                           layout->version);
    if (budget->fields_left == 0 || budget->bytes_left < field.member_bytes)
        return vmmig__fail(
            error, VMMIG_ERROR_INVALID,
            "layout \"%s\": more than %d fields or %" PRIu32 " bytes", name,
            VMMIG__MAX_LAYOUT_FIELDS, VMMIG__MAX_DEVICE_BYTES);
    budget->fields_left--;
    if (field.kind != VMMIG_STRUCT) {
        budget->bytes_left -= field.member_bytes;
        return true;
    }
    if (!field.nested)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field \"%s\" is a struct without a "
                           "layout",
                           name, field.name);
    nested = view(field.nested);
    if (nested.subsection_count > 0 && !nested.name)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": the struct of field \"%s\" has "
                           "subsections, but no name that theirs could begin "
                           "with",
                           name, field.name);
    return check_layout(field.nested, nested.name ? nested.name : field.name,
                        depth + 1, budget, error);
}

/* A nested struct has no size of its own: its members say whether it fits. */
static bool check_extent(const struct vmmig_layout *layout, uint32_t index,
                         const char *name, vmmig_error **error)
{
    struct vmmig_field outer = field_at(layout, index);
    struct vmmig_layout inner;

    if (outer.kind != VMMIG_STRUCT)
        return true;
    inner = view(outer.nested);
    for (uint32_t i = 0; i < inner.field_count; i++) {
        struct vmmig_field field = field_at(&inner, i);

        if (field.kind != VMMIG_UNUSED &&
            !vmmig__range_fits(field.offset_bytes, field.member_bytes,
                               outer.member_bytes))
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "layout \"%s\": field \"%s\" lies outside of "
                               "the %" PRIu32 " bytes of its struct \"%s\"",
                               name, field.name, outer.member_bytes,
                               outer.name);
    }
    return true;
}

static bool check_subsection(const struct vmmig_layout *parent,
                             const char *parent_name, uint32_t index,
                             uint32_t depth, struct budget *budget,
                             vmmig_error **error)
{
    const struct vmmig_layout *subsection = parent->subsections[index];
    size_t length = strlen(parent_name);
    struct vmmig_layout ours;

    if (!subsection)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": subsection %" PRIu32 " is NULL",
                           parent_name, index);
    ours = view(subsection);
    if (!ours.name || strncmp(ours.name, parent_name, length) != 0 ||
        ours.name[length] != '/' || !ours.name[length + 1] ||
        strlen(ours.name) >= VMMIG__NAME_BYTES)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": its subsection is called \"%s\", "
                           "not \"%s/...\" with at most %d bytes",
                           parent_name, ours.name ? ours.name : "", parent_name,
                           VMMIG__NAME_BYTES - 1);
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(view(parent->subsections[i]).name, ours.name) == 0)
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "layout \"%s\": two subsections \"%s\"",
                               parent_name, ours.name);
    }
    return check_layout(subsection, ours.name, depth + 1, budget, error);
}

static bool check_layout(const struct vmmig_layout *layout, const char *name,
                         uint32_t depth, struct budget *budget,
                         vmmig_error **error)
{
    struct vmmig_layout ours;
    char *what;
    bool ok;

    if (depth > VMMIG__MAX_LAYOUT_DEPTH)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": layouts in layouts, more than %d "
                           "deep",
                           name, VMMIG__MAX_LAYOUT_DEPTH);
    what = g_strdup_printf("layout \"%s\"", name);
    ok = vmmig__copy_struct(&ours, sizeof ours, layout, what, error);
    g_free(what);
    if (!ok)
        return false;
    if (ours.field_bytes < sizeof(struct vmmig_field) ||
        ours.field_bytes > VMMIG__MAX_FIELD_BYTES)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": field_bytes is %" PRIu32
                           "; set it to sizeof",
                           name, ours.field_bytes);
    if (ours.minimum_version > ours.version)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": its oldest version is %" PRIu32
                           ", but its newest %" PRIu32,
                           name, ours.minimum_version, ours.version);
    if ((ours.field_count > 0 && !ours.fields) ||
        (ours.subsection_count > 0 && !ours.subsections))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": rows are counted, but NULL", name);
    if (ours.subsection_count > VMMIG__MAX_SUBSECTIONS)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "layout \"%s\": %" PRIu32
                           " subsections, more than %d",
                           name, ours.subsection_count, VMMIG__MAX_SUBSECTIONS);
    for (uint32_t i = 0; i < ours.field_count; i++) {
        if (!check_field(&ours, i, name, depth, budget, error) ||
            !check_extent(&ours, i, name, error))
            return false;
    }
    for (uint32_t i = 0; i < ours.subsection_count; i++) {
        if (!check_subsection(&ours, name, i, depth, budget, error))
            return false;
    }
    return true;
}

bool vmmig__layout_check(const struct vmmig_layout *layout, const char *name,
                         vmmig_error **error)
{
    struct budget budget = {VMMIG__MAX_LAYOUT_FIELDS, VMMIG__MAX_DEVICE_BYTES};

    return check_layout(layout, name, 1, &budget, error);
}

/* -- saving */

struct save {
    struct vmmig_writer *writer;
    struct vmmig__vm_description *description; /* nullable */
};

/* Fields of one name in one layout are told apart by an index in the
 * description, as QEMU does. */
struct names {
    GHashTable *counts, *used;
};

static void names_init(struct names *names, const struct vmmig_layout *layout)
{
    names->counts = g_hash_table_new(g_str_hash, g_str_equal);
    names->used = g_hash_table_new(g_str_hash, g_str_equal);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        char *name = (char *)field_at(layout, i).name;
        guint count =
            GPOINTER_TO_UINT(g_hash_table_lookup(names->counts, name));

        g_hash_table_insert(names->counts, name, GUINT_TO_POINTER(count + 1));
    }
}

static void names_clear(struct names *names)
{
    g_clear_pointer(&names->counts, g_hash_table_destroy);
    g_clear_pointer(&names->used, g_hash_table_destroy);
}

/* (transfer full) */
static char *names_next(struct names *names, const char *name)
{
    guint index;

    if (GPOINTER_TO_UINT(g_hash_table_lookup(names->counts, name)) < 2)
        return g_strdup(name);
    index = GPOINTER_TO_UINT(g_hash_table_lookup(names->used, name));
    g_hash_table_insert(names->used, (char *)name, GUINT_TO_POINTER(index + 1));
    return g_strdup_printf("%s[%u]", name, index);
}

static void put_numbers(struct vmmig_writer *writer, const uint8_t *member,
                        uint32_t size, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, member += size) {
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;

        switch (size) {
        case 2:
            memcpy(&u16, member, size);
            vmmig_writer_put_u16(writer, u16);
            break;
        case 4:
            memcpy(&u32, member, size);
            vmmig_writer_put_u32(writer, u32);
            break;
        case 8:
            memcpy(&u64, member, size);
            vmmig_writer_put_u64(writer, u64);
            break;
        }
    }
}

static void put_zeros(struct vmmig_writer *writer, uint32_t length)
{
    static const uint8_t zeros[256];

    while (length > 0) {
        uint32_t step = MIN(length, (uint32_t)sizeof zeros);

        vmmig_writer_put_bytes(writer, zeros, step);
        length -= step;
    }
}

static void put_booleans(struct vmmig_writer *writer, const uint8_t *member,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        vmmig_writer_put_u8(writer, member[i] != 0);
}

static void describe_numbers(struct vmmig__vm_description *description,
                             const struct vmmig_field *field, const char *name)
{
    uint32_t size = kinds[field->kind].size_bytes;

    if (field->kind == VMMIG_UNUSED)
        vmmig__vm_description_add_field(description, name, "unused_buffer", 0,
                                        field->member_bytes);
    else if (field->kind == VMMIG_U8 && field->member_bytes > 1)
        vmmig__vm_description_add_field(description, name, "buffer", 0,
                                        field->member_bytes);
    else
        vmmig__vm_description_add_field(
            description, name, kinds[field->kind].type,
            field->member_bytes > size ? field->member_bytes / size : 0, size);
}

static void save_layout(const struct save *save,
                        const struct vmmig_layout *layout,
                        const uint8_t *device);

static void save_struct(const struct save *save,
                        const struct vmmig_field *field, const char *name,
                        const uint8_t *member)
{
    struct vmmig_layout nested = view(field->nested);
    uint64_t before = vmmig__writer_get_offset(save->writer);

    if (save->description)
        vmmig__vm_description_begin_struct(
            save->description, name, nested.name ? nested.name : field->name,
            nested.version);
    save_layout(save, &nested, member);
    if (save->description)
        vmmig__vm_description_end_struct(
            save->description, vmmig__writer_get_offset(save->writer) - before);
}

static void save_field(const struct save *save, const struct vmmig_field *field,
                       const char *name, const uint8_t *device)
{
    const uint8_t *member = device + field->offset_bytes;
    uint32_t size = kinds[field->kind].size_bytes;

    if (field->kind == VMMIG_STRUCT) {
        save_struct(save, field, name, member);
        return;
    }
    if (field->kind == VMMIG_UNUSED)
        put_zeros(save->writer, field->member_bytes);
    else if (field->kind == VMMIG_BOOL)
        put_booleans(save->writer, member, field->member_bytes);
    else if (size == 1)
        vmmig_writer_put_bytes(save->writer, member, field->member_bytes);
    else
        put_numbers(save->writer, member, size, field->member_bytes / size);
    if (save->description)
        describe_numbers(save->description, field, name);
}

static void save_subsection(const struct save *save,
                            const struct vmmig_layout *subsection,
                            const uint8_t *device)
{
    vmmig_writer_put_u8(save->writer, VMMIG__RECORD_SUBSECTION);
    vmmig__writer_put_name(save->writer, subsection->name);
    vmmig_writer_put_u32(save->writer, subsection->version);
    if (save->description)
        vmmig__vm_description_begin_subsection(
            save->description, subsection->name, subsection->version);
    save_layout(save, subsection, device);
    if (save->description)
        vmmig__vm_description_end_subsection(save->description);
}

/* @layout is a view. */
static void save_layout(const struct save *save,
                        const struct vmmig_layout *layout,
                        const uint8_t *device)
{
    struct names names = {NULL, NULL};

    if (save->description)
        names_init(&names, layout);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        struct vmmig_field field = field_at(layout, i);
        char *name = save->description ? names_next(&names, field.name) : NULL;

        save_field(save, &field, name, device);
        g_free(name);
    }
    names_clear(&names);
    for (uint32_t i = 0; i < layout->subsection_count; i++) {
        struct vmmig_layout subsection = view(layout->subsections[i]);

        if (!subsection.is_needed || subsection.is_needed(device))
            save_subsection(save, &subsection, device);
    }
}

void vmmig__save_fields(const struct vmmig_layout *layout, const char *name,
                        uint32_t instance_id, const void *device,
                        struct vmmig_writer *writer,
                        struct vmmig__vm_description *description)
{
    struct vmmig_layout ours = view(layout);
    struct save save = {writer, description};

    if (description)
        vmmig__vm_description_begin_device(description, name,
                                           ours.name ? ours.name : name,
                                           instance_id, ours.version);
    save_layout(&save, &ours, device);
    if (description)
        vmmig__vm_description_end_device(description);
}

/* -- loading */

/* Bytes of the image that belong to a stretch of the device. */
struct span {
    uint64_t device_offset, image_offset, length;
};

struct vmmig__field_image {
    GByteArray *bytes; /* members as they will be, one after the other */
    GArray *spans;     /* in the order of the stream */
};

struct load {
    struct vmmig_reader *reader;
    struct vmmig__field_image *image;
};

/* Room for a member in the image; its address is valid until the next. */
static uint8_t *add_member(struct vmmig__field_image *image,
                           uint64_t device_offset, uint32_t length)
{
    guint before = image->bytes->len;
    struct span *last =
        image->spans->len > 0
            ? &g_array_index(image->spans, struct span, image->spans->len - 1)
            : NULL;

    g_byte_array_set_size(image->bytes, before + length);
    if (last && last->device_offset + last->length == device_offset) {
        last->length += length;
    } else {
        struct span span = {device_offset, before, length};

        g_array_append_val(image->spans, span);
    }
    return image->bytes->data + before;
}

static void numbers_to_host(uint8_t *member, uint32_t size, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, member += size) {
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;

        switch (size) {
        case 2:
            u16 = vmmig__load_u16(member);
            memcpy(member, &u16, size);
            break;
        case 4:
            u32 = vmmig__load_u32(member);
            memcpy(member, &u32, size);
            break;
        case 8:
            u64 = vmmig__load_u64(member);
            memcpy(member, &u64, size);
            break;
        }
    }
}

static bool load_layout(const struct load *load,
                        const struct vmmig_layout *layout, uint32_t version,
                        uint64_t device_offset, vmmig_error **error);

static bool load_field(const struct load *load, const struct vmmig_field *field,
                       uint64_t device_offset, vmmig_error **error)
{
    uint32_t size = kinds[field->kind].size_bytes;
    uint8_t *member;

    device_offset += field->offset_bytes;
    if (field->kind == VMMIG_UNUSED)
        return vmmig__reader_skip(load->reader, field->member_bytes, error);
    if (field->kind == VMMIG_STRUCT) {
        struct vmmig_layout nested = view(field->nested);

        return load_layout(load, &nested, nested.version, device_offset, error);
    }
    member = add_member(load->image, device_offset, field->member_bytes);
    if (!vmmig_reader_get_bytes(load->reader, member, field->member_bytes,
                                error))
        return false;
    numbers_to_host(member, size, field->member_bytes / size);
    if (field->kind != VMMIG_BOOL)
        return true;
    for (uint32_t i = 0; i < field->member_bytes; i++) {
        if (member[i] > 1)
            return vmmig__reader_fail(load->reader, error, VMMIG_ERROR_PROTOCOL,
                                      "field \"%s\" is 0x%02x, neither 0 nor 1",
                                      field->name, member[i]);
    }
    return true;
}

/* Whether the first `length` bytes of a name of `whole` bytes can be those of a
 * subsection of this layout; which one, when they are all there. */
static bool can_be_subsection(const struct vmmig_layout *layout,
                              const char *bytes, size_t length, size_t whole,
                              uint32_t *ret_index)
{
    for (uint32_t i = 0; i < layout->subsection_count; i++) {
        const char *name = view(layout->subsections[i]).name;

        if (strlen(name) == whole && memcmp(name, bytes, length) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/*
 * Reads the mark and name of the next subsection, if one of this layout comes:
 * *ret_index; else *ret_found is false and nothing was read. What follows may
 * also be an outer layout's subsection, the next member, bytes that a device
 * wrote by itself, or the footer: so this waits for no byte that would not
 * belong to a name of this layout.
 */
static bool next_subsection(struct vmmig_reader *reader,
                            const struct vmmig_layout *layout, bool *ret_found,
                            uint32_t *ret_index, vmmig_error **error)
{
    char bytes[2 + VMMIG__NAME_BYTES]; /* mark, length, name */
    uint8_t first, whole, length = 0;
    bool at_end;

    *ret_found = false;
    if (!vmmig__reader_peek(reader, &first, &at_end, error))
        return false;
    if (at_end || first != VMMIG__RECORD_SUBSECTION)
        return true;
    if (!vmmig_reader_get_bytes(reader, bytes, 2, error))
        return false;
    whole = (uint8_t)bytes[1];
    while (can_be_subsection(layout, bytes + 2, length, whole, ret_index)) {
        if (length == whole) {
            *ret_found = true;
            return true;
        }
        if (!vmmig_reader_get_bytes(reader, bytes + 2 + length, 1, error))
            return false;
        length++;
    }
    vmmig__reader_unread(reader, bytes, 2 + (uint64_t)length);
    return true;
}

static bool check_version(struct vmmig_reader *reader,
                          const struct vmmig_layout *layout, const char *name,
                          uint32_t version, vmmig_error **error)
{
    if (version < layout->minimum_version || version > layout->version)
        return vmmig__reader_fail(
            reader, error, VMMIG_ERROR_INCOMPATIBLE,
            "\"%s\" has version %" PRIu32 ", but here versions %" PRIu32
            " to %" PRIu32 " are known",
            name, version, layout->minimum_version, layout->version);
    return true;
}

static bool load_subsections(const struct load *load,
                             const struct vmmig_layout *layout,
                             uint64_t device_offset, vmmig_error **error)
{
    bool loaded[VMMIG__MAX_SUBSECTIONS] = {false};

    for (;;) {
        struct vmmig_layout subsection;
        uint32_t index, version;
        bool found;

        if (!next_subsection(load->reader, layout, &found, &index, error))
            return false;
        if (!found)
            return true;
        subsection = view(layout->subsections[index]);
        if (loaded[index])
            return vmmig__reader_fail(load->reader, error, VMMIG_ERROR_PROTOCOL,
                                      "subsection \"%s\" comes twice",
                                      subsection.name);
        loaded[index] = true;
        if (!vmmig_reader_get_u32(load->reader, &version, error) ||
            !check_version(load->reader, &subsection, subsection.name, version,
                           error) ||
            !load_layout(load, &subsection, version, device_offset, error))
            return false;
    }
}

/* @layout is a view. */
static bool load_layout(const struct load *load,
                        const struct vmmig_layout *layout, uint32_t version,
                        uint64_t device_offset, vmmig_error **error)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        struct vmmig_field field = field_at(layout, i);

        if (field.since_version <= version &&
            !load_field(load, &field, device_offset, error))
            return false;
    }
    return layout->subsection_count == 0 ||
           load_subsections(load, layout, device_offset, error);
}

bool vmmig__load_fields(struct vmmig_reader *reader,
                        const struct vmmig_layout *layout, const char *name,
                        uint32_t version, struct vmmig__field_image **ret_image,
                        vmmig_error **error)
{
    struct vmmig_layout ours = view(layout);
    struct vmmig__field_image *image;
    struct load load;

    if (!check_version(reader, &ours, name, version, error))
        return false;
    image = g_new0(struct vmmig__field_image, 1);
    image->bytes = g_byte_array_new();
    image->spans = g_array_new(FALSE, FALSE, sizeof(struct span));
    load = (struct load){reader, image};
    if (!load_layout(&load, &ours, version, 0, error)) {
        vmmig__field_image_free(image);
        return false;
    }
    *ret_image = image;
    return true;
}

void vmmig__apply_fields(const struct vmmig__field_image *image, void *device)
{
    for (guint i = 0; i < image->spans->len; i++) {
        const struct span *span = &g_array_index(image->spans, struct span, i);

        memcpy((uint8_t *)device + span->device_offset,
               image->bytes->data + span->image_offset, span->length);
    }
}

void vmmig__field_image_free(struct vmmig__field_image *image)
{
    if (!image)
        return;
    g_byte_array_free(image->bytes, TRUE);
    g_array_free(image->spans, TRUE);
    g_free(image);
}

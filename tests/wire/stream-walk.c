/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A destination reduced to its parsers; see the header. */
#include "wire/stream-walk.h"

#include <string.h>

#include "wire/command.h"
#include "wire/section-frame.h"

enum { PAGE_BYTES = 4096 };

/* -- what the devices of `-M none` are */

struct timer {
    int64_t ticks, clock;
    int64_t bias, count; /* with -icount */
    int64_t warp_start, warp_timer;
};

#define FIELD(kind, owner, member, text)                  \
    {                                                     \
        text, kind, 0, (uint32_t)offsetof(owner, member), \
            (uint32_t)sizeof(((owner *)0)->member), NULL  \
    }

#define LAYOUT(version, fields, subsections, count, name, is_needed)          \
    {                                                                         \
        (uint32_t)sizeof(struct vmmig_layout),                                \
            (uint32_t)sizeof(struct vmmig_field), version, 1,                 \
            (uint32_t)G_N_ELEMENTS(fields), count, fields, subsections, name, \
            is_needed                                                         \
    }

/* A timer that is not armed reads -1: only a stream with this subsection can
 * have made it anything but 0. */
static bool counts_instructions(const void *device)
{
    return ((const struct timer *)device)->warp_timer != 0;
}

static const struct vmmig_field warp_fields[] = {
    FIELD(VMMIG_I64, struct timer, warp_start, "vm_clock_warp_start"),
    FIELD(VMMIG_I64, struct timer, warp_timer, "icount_warp_timer"),
};
static const struct vmmig_layout warp = LAYOUT(
    1, warp_fields, NULL, 0, "timer/icount/warp_timer", counts_instructions);
static const struct vmmig_layout *const icount_subsections[] = {&warp};

static const struct vmmig_field icount_fields[] = {
    FIELD(VMMIG_I64, struct timer, bias, "qemu_icount_bias"),
    FIELD(VMMIG_I64, struct timer, count, "qemu_icount"),
};
static const struct vmmig_layout icount =
    LAYOUT(1, icount_fields, icount_subsections, 1, "timer/icount",
           counts_instructions);
static const struct vmmig_layout *const timer_subsections[] = {&icount};

static const struct vmmig_field timer_fields[] = {
    FIELD(VMMIG_I64, struct timer, ticks, "cpu_ticks_offset"),
    VMMIG_FIELD_UNUSED(8),
    {"cpu_clock_offset", VMMIG_I64, 2, (uint32_t)offsetof(struct timer, clock),
     8, NULL},
};
static const struct vmmig_layout timer =
    LAYOUT(2, timer_fields, timer_subsections, 1, NULL, NULL);

/* The same 104 bytes, described twice. */
struct old_state {
    uint32_t size;
    uint8_t runstate[100];
};
static const struct vmmig_field old_state_fields[] = {
    FIELD(VMMIG_U32, struct old_state, size, "size"),
    FIELD(VMMIG_U8, struct old_state, runstate, "runstate"),
};
static const struct vmmig_layout old_state =
    LAYOUT(1, old_state_fields, NULL, 0, NULL, NULL);

struct new_state {
    uint32_t size;
    uint8_t runstate[32];
    uint8_t has_suspended, suspended;
    uint8_t unused[66];
};
static const struct vmmig_field new_state_fields[] = {
    FIELD(VMMIG_U32, struct new_state, size, "size"),
    FIELD(VMMIG_U8, struct new_state, runstate, "runstate"),
    FIELD(VMMIG_U8, struct new_state, has_suspended, "has_vm_was_suspended"),
    FIELD(VMMIG_U8, struct new_state, suspended, "vm_was_suspended"),
    FIELD(VMMIG_U8, struct new_state, unused, "unused"),
};
static const struct vmmig_layout new_state =
    LAYOUT(1, new_state_fields, NULL, 0, NULL, NULL);

static const struct walk_device old_devices[] = {
    {"timer", 2, &timer, sizeof(struct timer), 0},
    {"globalstate", 1, &old_state, sizeof(struct old_state), 0},
};
static const struct walk_device new_devices[] = {
    {"timer", 2, &timer, sizeof(struct timer), 0},
    {"globalstate", 1, &new_state, sizeof(struct new_state), 0},
};

static void block_free(void *data)
{
    struct walk_block *block = data;

    g_free(block->name);
    g_free(block->bytes);
    g_free(block);
}

void walk_init(struct walk *walk, bool is_newest)
{
    memset(walk, 0, sizeof *walk);
    walk->local.machine_name = "none";
    walk->devices = is_newest ? new_devices : old_devices;
    walk->device_count = 2;
    walk->maximum_ram_bytes = 16 << 20;
    walk->blocks = g_ptr_array_new_with_free_func(block_free);
    walk->commands = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    walk->sections = g_ptr_array_new_with_free_func(g_free);
}

void walk_clear(struct walk *walk)
{
    g_ptr_array_unref(walk->blocks);
    g_array_unref(walk->commands);
    g_ptr_array_unref(walk->sections);
}

/* -- RAM */

static struct walk_block *find_block(struct walk *walk, const char *name)
{
    for (guint i = 0; i < walk->blocks->len; i++) {
        struct walk_block *block = g_ptr_array_index(walk->blocks, i);

        if (strcmp(block->name, name) == 0)
            return block;
    }
    return NULL;
}

static bool get_list_entries(struct walk *walk, struct vmmig_reader *reader,
                             struct vmmig__block_list *list,
                             vmmig_error **error)
{
    while (list->remaining_bytes > 0) {
        struct vmmig__block_entry entry = {.has_guest_address =
                                               walk->local.ignore_shared};
        char name[VMMIG__NAME_BYTES];
        struct walk_block *block;

        if (!vmmig__get_block_entry(reader, list, name, &entry.length_bytes,
                                    error) ||
            (entry.has_guest_address &&
             !vmmig_reader_get_u64(reader, &entry.guest_address, error)))
            return false;
        block = g_new0(struct walk_block, 1);
        block->name = g_strdup(name);
        block->length_bytes = entry.length_bytes;
        block->bytes = g_malloc0(entry.length_bytes);
        g_ptr_array_add(walk->blocks, block);
        entry.name = block->name;
        if (walk->again)
            vmmig__put_block_entry(walk->again, &entry);
    }
    return true;
}

static bool get_list(struct walk *walk, struct vmmig_reader *reader,
                     uint64_t total_bytes, uint32_t phase, vmmig_error **error)
{
    struct vmmig__block_list list;
    bool ok;

    if (phase != VMMIG_PHASE_SETUP || walk->blocks->len > 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "a second list of blocks");
    if (total_bytes > walk->maximum_ram_bytes)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "too much RAM");
    if (walk->again)
        vmmig__put_block_list(walk->again, total_bytes);
    vmmig__block_list_init(&list, total_bytes, PAGE_BYTES);
    ok = get_list_entries(walk, reader, &list, error);
    vmmig__block_list_clear(&list);
    return ok;
}

static bool get_page_block(struct walk *walk, struct vmmig_reader *reader,
                           const struct vmmig__ram_word *word,
                           struct vmmig__last_block *last, vmmig_error **error)
{
    char name[VMMIG__NAME_BYTES];
    struct walk_block *block;

    if (!word->is_continued) {
        if (!vmmig__get_block_name(reader, name, error))
            return false;
        last->block = find_block(walk, name);
    } else {
        walk->continued_pages++;
    }
    block = last->block;
    if (!block ||
        !vmmig__range_fits(word->offset_bytes, PAGE_BYTES, block->length_bytes))
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "a page that does not exist");
    return true;
}

static bool get_page(struct walk *walk, struct vmmig_reader *reader,
                     const struct vmmig__ram_word *word,
                     struct vmmig__last_block *last, vmmig_error **error)
{
    struct vmmig__last_block before = *last;
    struct walk_block *block;
    uint8_t *page;

    if (!get_page_block(walk, reader, word, last, error))
        return false;
    block = last->block;
    page = block->bytes + word->offset_bytes;
    if (word->kind == VMMIG__RAM_ZERO) {
        if (!vmmig__get_zero_byte(reader, error))
            return false;
        memset(page, 0, PAGE_BYTES);
        walk->zero_pages++;
        if (walk->again)
            vmmig__put_zero_page(walk->again, &before, block, block->name,
                                 word->offset_bytes);
        return true;
    }
    if (!vmmig_reader_get_bytes(reader, page, PAGE_BYTES, error))
        return false;
    walk->pages++;
    if (walk->again)
        vmmig__put_page(walk->again, &before, block, block->name,
                        word->offset_bytes, page, PAGE_BYTES);
    return true;
}

bool walk_ram_body(struct walk *walk, struct vmmig_reader *reader,
                   struct vmmig__last_block *last, uint32_t phase,
                   vmmig_error **error)
{
    for (;;) {
        struct vmmig__ram_word word;

        if (!vmmig__get_ram_word(reader, PAGE_BYTES, &word, error))
            return false;
        switch (word.kind) {
        case VMMIG__RAM_EOS:
            if (walk->again)
                vmmig__put_ram_end(walk->again);
            return true;
        case VMMIG__RAM_MEM_SIZE:
            if (!get_list(walk, reader, word.offset_bytes, phase, error))
                return false;
            break;
        case VMMIG__RAM_ZERO:
        case VMMIG__RAM_PAGE:
            if (!get_page(walk, reader, &word, last, error))
                return false;
            break;
        default:
            return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                      "a word of another mode: 0x%x",
                                      word.kind);
        }
    }
}

/* -- devices */

static bool skip_device(struct walk *walk, struct vmmig_reader *reader,
                        const struct walk_device *device, uint32_t instance_id,
                        vmmig_error **error)
{
    uint8_t *bytes = g_malloc(device->length_bytes);
    bool ok =
        vmmig_reader_get_bytes(reader, bytes, device->length_bytes, error);

    if (ok && walk->again)
        vmmig_writer_put_bytes(walk->again, bytes, device->length_bytes);
    if (ok && walk->description)
        vmmig__vm_description_add_opaque(walk->description, device->name,
                                         instance_id, device->length_bytes);
    g_free(bytes);
    return ok;
}

static bool load_device(struct walk *walk, struct vmmig_reader *reader,
                        const struct walk_device *device,
                        const struct vmmig__record *record, vmmig_error **error)
{
    struct vmmig__field_image *image;
    uint8_t *state;

    if (!device->layout)
        return skip_device(walk, reader, device, record->instance_id, error);
    if (!vmmig__load_fields(reader, device->layout, device->name,
                            record->version, &image, error))
        return false;
    state = g_malloc0(device->struct_bytes);
    vmmig__apply_fields(image, state);
    vmmig__field_image_free(image);
    if (walk->again)
        vmmig__save_fields(device->layout, device->name, record->instance_id,
                           state, walk->again, walk->description);
    g_free(state);
    return true;
}

static bool get_full(struct walk *walk, struct vmmig_reader *reader,
                     const struct vmmig__record *record, vmmig_error **error)
{
    const struct walk_device *device = NULL;

    for (uint32_t i = 0; i < walk->device_count && !device; i++) {
        if (strcmp(walk->devices[i].name, record->idstr) == 0)
            device = &walk->devices[i];
    }
    if (!device)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "no device \"%s\"", record->idstr);
    if (walk->again)
        vmmig__put_full(
            walk->again, record->section_id, record->idstr, record->instance_id,
            device->layout ? device->layout->version : record->version);
    vmmig__reader_enter_section(reader, record->idstr, record->section_id,
                                VMMIG_PHASE_STATE);
    if (!load_device(walk, reader, device, record, error) ||
        !vmmig__expect_footer(reader, record->section_id, error))
        return false;
    vmmig__reader_leave_section(reader);
    if (walk->again)
        vmmig__put_footer(walk->again, record->section_id);
    g_ptr_array_add(walk->sections, g_strdup(record->idstr));
    return true;
}

/* -- records */

struct ram_section {
    bool started;
    uint32_t id;
    struct vmmig__last_block last;
};

static void put_ram_header(struct vmmig_writer *writer,
                           const struct vmmig__record *record)
{
    if (record->type == VMMIG__RECORD_START)
        vmmig__put_start(writer, record->section_id, record->idstr,
                         record->instance_id, record->version);
    else if (record->type == VMMIG__RECORD_PART)
        vmmig__put_part(writer, record->section_id);
    else
        vmmig__put_end(writer, record->section_id);
}

static bool get_ram(struct walk *walk, struct vmmig_reader *reader,
                    const struct vmmig__record *record, struct ram_section *ram,
                    vmmig_error **error)
{
    uint32_t phase = record->type == VMMIG__RECORD_START ? VMMIG_PHASE_SETUP
                     : record->type == VMMIG__RECORD_PART
                         ? VMMIG_PHASE_ITERATE
                         : VMMIG_PHASE_COMPLETE;

    if (phase == VMMIG_PHASE_SETUP) {
        if (ram->started || strcmp(record->idstr, VMMIG__RAM_SECTION_NAME) ||
            record->instance_id != 0 ||
            record->version != VMMIG__RAM_SECTION_VERSION)
            return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                      "no live device \"%s\"", record->idstr);
        ram->started = true;
        ram->id = record->section_id;
    }
    if (!ram->started || record->section_id != ram->id)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "no live section %u", record->section_id);
    walk->parts += phase == VMMIG_PHASE_ITERATE;
    walk->ends += phase == VMMIG_PHASE_COMPLETE;
    if (walk->again)
        put_ram_header(walk->again, record);
    vmmig__reader_enter_section(reader, VMMIG__RAM_SECTION_NAME, ram->id,
                                phase);
    if (!walk_ram_body(walk, reader, &ram->last, phase, error) ||
        !vmmig__expect_footer(reader, ram->id, error))
        return false;
    vmmig__reader_leave_section(reader);
    if (walk->again)
        vmmig__put_footer(walk->again, ram->id);
    return true;
}

static bool get_command(struct walk *walk, struct vmmig_reader *reader,
                        vmmig_error **error)
{
    struct vmmig__command command;

    if (!vmmig__get_command(reader, &command, error))
        return false;
    g_array_append_val(walk->commands, command.number);
    if (walk->again)
        vmmig__put_command(walk->again, &command);
    vmmig__command_clear(&command);
    return true;
}

bool walk_stream(struct walk *walk, struct vmmig_reader *reader,
                 vmmig_error **error)
{
    struct ram_section ram = {0};
    bool has_uuid;

    if (!vmmig__expect_file_header(reader, error) ||
        !vmmig__expect_configuration(reader, &walk->local, &has_uuid, error))
        return false;
    if (walk->again) {
        vmmig__put_file_header(walk->again);
        vmmig__put_configuration(walk->again, &walk->local);
    }
    for (;;) {
        struct vmmig__record record;
        bool ok = false;

        if (!vmmig__get_record(reader, &record, error))
            return false;
        switch (record.type) {
        case VMMIG__RECORD_EOF:
            if (walk->again)
                vmmig__put_eof(walk->again);
            return vmmig__skip_vm_description(reader, &walk->described, error);
        case VMMIG__RECORD_COMMAND:
            ok = get_command(walk, reader, error);
            break;
        case VMMIG__RECORD_FULL:
            ok = get_full(walk, reader, &record, error);
            break;
        default:
            ok = get_ram(walk, reader, &record, &ram, error);
        }
        if (!ok)
            return false;
    }
}

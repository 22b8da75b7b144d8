/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole stream, read as a destination reads it: the loaders of devices and of
 * RAM, with devices of every kind. Nothing outside of the blocks is written,
 * and nothing is applied unless all of the stream was good.
 */
#include <sys/mman.h>

#include "device/device-load.h"
#include "fuzz/fuzz.h"
#include "ram/ram.h"
#include "session/globalstate.h"
#include "wire/command.h"
#include "wire/configuration.h"
#include "wire/vm-description.h"

const char fuzz_corpus[] = "load";

/* Small pages, so that short inputs have some. */
enum {
    PAGE_BYTES = 1024,
    RAM_PAGES = 64,
    ROM_PAGES = 4,
    MAPPING_BYTES = (RAM_PAGES + ROM_PAGES) * PAGE_BYTES,
    GUARD_BYTES = 65536,
};

/* A device of fields, one that reads by itself, and a live one. */
static struct timer {
    uint64_t ticks;
    uint32_t dummy;
    uint16_t late;
} timer;
static unsigned applied;

static const struct vmmig_field timer_fields[] = {
    VMMIG_FIELD(VMMIG_U64, struct timer, ticks),
    VMMIG_FIELD_SINCE(2, VMMIG_U32, struct timer, dummy),
};
static const struct vmmig_field late_fields[] = {
    VMMIG_FIELD(VMMIG_U16, struct timer, late)};
static const struct vmmig_layout late =
    VMMIG_SUBSECTION("timer/late", 1, 1, late_fields, NULL);
static const struct vmmig_layout *const subsections[] = {&late};
static const struct vmmig_layout timer_layout =
    VMMIG_LAYOUT_EXTENDED(2, 1, timer_fields, subsections);

static bool note_applied(void *device, uint32_t version, vmmig_error **error)
{
    applied++;
    return true;
}

static const struct vmmig_device_ops timer_ops = {
    .struct_size = sizeof timer_ops, .post_load = note_applied};

/* A counted string, as a careful device reads it. */
static bool load_string(void *device, struct vmmig_reader *in, uint32_t version,
                        vmmig_error **error)
{
    char bytes[64];
    uint32_t length;

    return vmmig_reader_get_u32_up_to(in, sizeof bytes, &length, error) &&
           vmmig_reader_get_bytes(in, bytes, length, error);
}

static bool save_nothing(void *device, struct vmmig_writer *out,
                         vmmig_error **error)
{
    return true;
}

static bool iterate_nothing(void *device, struct vmmig_writer *out,
                            uint64_t budget_bytes, bool *ret_done,
                            vmmig_error **error)
{
    *ret_done = true;
    return true;
}

static const struct vmmig_device_ops string_ops = {
    .struct_size = sizeof string_ops,
    .save_state = save_nothing,
    .load = load_string,
    .post_load = note_applied,
};

static const struct vmmig_device_ops live_ops = {
    .struct_size = sizeof live_ops,
    .save_iterate = iterate_nothing,
    .save_complete = save_nothing,
    .load = load_string,
    .post_load = note_applied,
};

/* The machine, made once. */

static void lock(void *data)
{
}

static bool stand_still(void *data, uint32_t why, vmmig_error **error)
{
    return true;
}

static struct vmmig__host host;
static struct vmmig__devices *devices;
static struct vmmig__ram_blocks *blocks;
static struct vmmig__ram ram;
static struct vmmig__globalstate globalstate;
static uint8_t *memory;

static void add(struct vmmig_device_config config)
{
    config.struct_size = sizeof config;
    FUZZ_REQUIRE(vmmig__devices_add(devices, &config, NULL));
}

static void add_block(const char *name, uint8_t *address, uint64_t pages)
{
    const struct vmmig_block_config config = {
        .struct_size = sizeof config,
        .name = name,
        .host_address = address,
        .length_bytes = pages * PAGE_BYTES,
    };

    FUZZ_REQUIRE(vmmig__ram_blocks_add(blocks, &config, NULL));
}

static void make_machine(void)
{
    static const struct vmmig_host table = {
        .struct_size = sizeof table,
        .lock = lock,
        .unlock = lock,
        .stop_guest = stand_still,
        .start_guest = stand_still,
    };
    uint8_t *mapping = mmap(NULL, MAPPING_BYTES + 2 * GUARD_BYTES, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    FUZZ_REQUIRE(mapping != MAP_FAILED);
    memory = mapping + GUARD_BYTES;
    FUZZ_REQUIRE(mprotect(memory, MAPPING_BYTES, PROT_READ | PROT_WRITE) == 0);
    FUZZ_REQUIRE(vmmig__host_init(&host, &table, NULL, NULL, NULL));
    blocks = vmmig__ram_blocks_new(PAGE_BYTES);
    add_block("rom", memory, ROM_PAGES);
    add_block("ram", memory + ROM_PAGES * PAGE_BYTES, RAM_PAGES);
    devices = vmmig__devices_new();
    add((struct vmmig_device_config){.name = "ram",
                                     .version = VMMIG__RAM_SECTION_VERSION,
                                     .minimum_version =
                                         VMMIG__RAM_SECTION_VERSION,
                                     .ops = &vmmig__ram_ops,
                                     .data = &ram});
    add((struct vmmig_device_config){.name = "timer",
                                     .ops = &timer_ops,
                                     .layout = &timer_layout,
                                     .data = &timer});
    add((struct vmmig_device_config){
        .name = "string", .instance_id = 1, .ops = &string_ops});
    add((struct vmmig_device_config){.name = "live", .ops = &live_ops});
    add(vmmig__globalstate_config(&globalstate));
}

/* A channel that gives little at a time, so that the rest of a page goes
 * straight to its place, and pages are guessed ahead. */

struct pieces {
    const uint8_t *data;
    size_t left;
};

enum { PIECE_BYTES = 3000 };

static bool read_piece(void *channel, const struct iovec *parts, uint32_t count,
                       uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct pieces *pieces = channel;
    size_t left = MIN(pieces->left, (size_t)PIECE_BYTES), done = 0;

    for (uint32_t i = 0; i < count && done < left; i++) {
        size_t step = MIN(parts[i].iov_len, left - done);

        memcpy(parts[i].iov_base, pieces->data + done, step);
        done += step;
    }
    pieces->data += done;
    pieces->left -= done;
    *ret_length_bytes = done;
    return true;
}

static void shut_down(void *channel)
{
}

/* (transfer full) */
static struct vmmig_reader *piece_reader(struct pieces *pieces)
{
    static const struct vmmig_channel_ops ops = {
        .struct_size = sizeof ops, .readv = read_piece, .shutdown = shut_down};
    struct vmmig_channel *channel = vmmig_channel_new(&ops, pieces, NULL, NULL);
    struct vmmig_reader *reader = vmmig__reader_new(channel);

    vmmig_channel_unref(channel);
    return reader;
}

/* One stream. */

static bool take_command(void *data, struct vmmig_reader *in,
                         vmmig_error **error)
{
    struct vmmig__command command = {0};

    if (!vmmig__get_command(in, &command, error))
        return false;
    vmmig__command_clear(&command);
    return true;
}

static bool load(struct vmmig__loader *loader, vmmig_error **error)
{
    const struct vmmig__configuration ours = {.machine_name = "none"};
    bool end = false;

    if (!vmmig__load_setup(loader, error) ||
        !vmmig__expect_file_header(loader->in, error) ||
        !vmmig__expect_configuration(loader->in, &ours, NULL, error))
        return false;
    while (!end) {
        if (!vmmig__load_record(loader, &end, error))
            return false;
    }
    FUZZ_REQUIRE(applied == 0);
    return vmmig__load_apply(loader, error);
}

/* Takes @in. */
static bool load_from(struct vmmig_reader *in)
{
    struct vmmig__loader loader = {
        .host = &host, .devices = devices, .in = in, .command = take_command};
    vmmig_error *error = NULL;
    bool ok;

    vmmig__devices_reset(devices);
    vmmig__globalstate_reset(&globalstate);
    vmmig__ram_init(&ram, blocks, NULL, &vmmig__monotonic_clock);
    memset(memory, 0, MAPPING_BYTES);
    timer.ticks = 42;
    applied = 0;
    ok = load(&loader, &error);
    fuzz_verdict(ok, error);
    FUZZ_REQUIRE(!ok || applied == 3);
    FUZZ_REQUIRE(applied > 0 || timer.ticks == 42);
    vmmig__load_cleanup(&loader);
    vmmig__reader_free(in);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pieces pieces = {data, size};
    bool at_once, in_pieces;
    uint8_t *loaded;

    if (!devices)
        make_machine();
    at_once = load_from(fuzz_reader(data, size));
    loaded = g_memdup2(memory, MAPPING_BYTES);
    in_pieces = load_from(piece_reader(&pieces));
    FUZZ_REQUIRE(at_once == in_pieces);
    FUZZ_REQUIRE(!at_once || memcmp(memory, loaded, MAPPING_BYTES) == 0);
    g_free(loaded);
    return 0;
}

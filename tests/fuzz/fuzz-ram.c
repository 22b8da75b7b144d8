/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The body of a "ram" section, of a machine with two blocks. */
#include "fuzz/fuzz.h"
#include "wire/stream-walk.h"

const char fuzz_corpus[] = "ram";

static void add_block(struct walk *walk, const char *name, uint64_t length)
{
    struct walk_block *block = g_new0(struct walk_block, 1);

    block->name = g_strdup(name);
    block->length_bytes = length;
    block->bytes = g_malloc0(length);
    g_ptr_array_add(walk->blocks, block);
}

static void walk_body(const uint8_t *data, size_t size, uint32_t phase)
{
    struct vmmig_reader *reader = fuzz_reader(data, size);
    struct vmmig_writer *writer = vmmig__writer_new_memory();
    struct vmmig__last_block last = {NULL};
    vmmig_error *error = NULL;
    struct walk walk;
    bool ok;

    walk_init(&walk, true);
    walk.maximum_ram_bytes = 1 << 20;
    walk.again = writer;
    if (phase != VMMIG_PHASE_SETUP) {
        add_block(&walk, "mem", 16 * 4096);
        add_block(&walk, "rom", 4096);
    }
    vmmig__reader_enter_section(reader, "ram", 1, phase);
    ok = walk_ram_body(&walk, reader, &last, phase, &error);
    fuzz_verdict(ok, error);
    /* Nothing but EOS ends it, whose unused bits need not come back. */
    if (ok)
        FUZZ_REQUIRE(vmmig__writer_get_offset(writer) <=
                     vmmig__reader_get_offset(reader));
    walk_clear(&walk);
    vmmig__writer_free(writer);
    vmmig__reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk_body(data, size, VMMIG_PHASE_SETUP);
    walk_body(data, size, VMMIG_PHASE_ITERATE);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole stream: header, configuration, records. What was understood is
 * written again; that is a stream which means the same.
 */
#include "fuzz/fuzz.h"
#include "wire/stream-walk.h"

const char fuzz_corpus[] = "stream";

enum { MAXIMUM_RAM_BYTES = 1 << 20 };

/* Whether the stream is good; @writer receives it again. */
static bool walk_once(const uint8_t *data, size_t size, bool is_shared,
                      struct vmmig_writer *writer)
{
    struct vmmig_reader *reader = fuzz_reader(data, size);
    vmmig_error *error = NULL;
    struct walk walk;
    char *text;
    bool ok;

    walk_init(&walk, true);
    walk.maximum_ram_bytes = MAXIMUM_RAM_BYTES;
    walk.local.ignore_shared = is_shared;
    walk.again = writer;
    walk.description = vmmig__vm_description_new(&walk.local, 4096);
    ok = walk_stream(&walk, reader, &error);
    fuzz_verdict(ok, error);
    if (ok) {
        text = vmmig__vm_description_get_text(walk.description);
        FUZZ_REQUIRE(g_utf8_validate(text, -1, NULL));
        g_free(text);
    }
    vmmig__vm_description_free(walk.description);
    walk_clear(&walk);
    vmmig__reader_free(reader);
    /* A live section with the id 0 is read, but not written. */
    return ok && vmmig__writer_check(writer, NULL);
}

static void walk_both_ways(const uint8_t *data, size_t size, bool is_shared)
{
    struct vmmig_writer *again = vmmig__writer_new_memory();
    struct vmmig_writer *once_more = vmmig__writer_new_memory();

    if (walk_once(data, size, is_shared, again)) {
        const uint8_t *bytes;
        uint64_t length;

        bytes = vmmig__writer_get_bytes(again, &length);
        FUZZ_REQUIRE(walk_once(bytes, length, is_shared, once_more));
        fuzz_written(once_more, bytes, length);
    }
    vmmig__writer_free(once_more);
    vmmig__writer_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk_both_ways(data, size, false);
    walk_both_ways(data, size, true);
    return 0;
}

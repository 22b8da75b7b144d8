/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands, one after the other; each has one form only. */
#include "fuzz/fuzz.h"
#include "wire/command.h"

const char fuzz_corpus[] = "command";

/* The command that was read from these bytes is written as them, with the byte
 * 08 in front. */
static void expect_same(const struct vmmig__command *command,
                        const uint8_t *data, uint64_t length)
{
    struct vmmig_writer *writer = vmmig__writer_new_memory();
    uint8_t *expected = g_malloc(length + 1);

    expected[0] = VMMIG__RECORD_COMMAND;
    memcpy(expected + 1, data, length);
    vmmig__put_command(writer, command);
    fuzz_written(writer, expected, length + 1);
    g_free(expected);
    vmmig__writer_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmmig_reader *reader = fuzz_reader(data, size);

    for (;;) {
        uint64_t before = vmmig__reader_get_offset(reader);
        struct vmmig__command command;
        vmmig_error *error = NULL;
        bool ok = vmmig__get_command(reader, &command, &error);

        fuzz_verdict(ok, error);
        if (!ok)
            break;
        FUZZ_REQUIRE(vmmig__command_name(command.number));
        expect_same(&command, data + before,
                    vmmig__reader_get_offset(reader) - before);
        vmmig__command_clear(&command);
    }
    vmmig__reader_free(reader);
    return 0;
}

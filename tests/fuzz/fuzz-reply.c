/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replies, one after the other, with the bitmaps behind RECV_BITMAP; each has
 * one form only. */
#include "fuzz/fuzz.h"
#include "wire/reply.h"

const char fuzz_corpus[] = "reply";

enum { PAGES = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmmig_reader *reader = fuzz_reader(data, size);
    struct vmmig_writer *writer = vmmig__writer_new_memory();

    for (;;) {
        uint64_t words[PAGES / 64 + 1];
        vmmig_error *error = NULL;
        struct vmmig__reply reply;
        bool at_end, ok;

        ok = vmmig__get_reply(reader, &reply, &at_end, &error);
        if (ok && !at_end) {
            vmmig__put_reply(writer, &reply);
            if (reply.type == VMMIG__REPLY_RECV_BITMAP) {
                ok = vmmig__get_received_bitmap(reader, PAGES, words, &error);
                if (ok)
                    vmmig__put_received_bitmap(writer, words, PAGES);
            }
        }
        fuzz_verdict(ok, error);
        if (!ok || at_end)
            break;
        fuzz_written(writer, data, vmmig__reader_get_offset(reader));
    }
    vmmig__writer_free(writer);
    vmmig__reader_free(reader);
    return 0;
}

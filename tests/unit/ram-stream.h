/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bodies of the RAM section for unit tests: written record by record, and
 * loaded through a channel that hands out at most so many bytes at a time.
 */
#ifndef VMMIG_TESTS_RAM_STREAM_H
#define VMMIG_TESTS_RAM_STREAM_H

#include <sys/uio.h>

#include <vmmigrate/channel.h>

#include "guest-memory.h"
#include "ram/ram-load.h"
#include "wire/ram-record.h"

/* A channel over bytes in memory. */
struct piecewise {
    const uint8_t *bytes;
    uint64_t length, at;
    uint64_t piece_bytes; /* of one read, at most */
    uint64_t reads;
};

static inline bool piecewise_readv(void *data, const struct iovec *parts,
                                   uint32_t count, uint64_t *ret_length,
                                   vmmig_error **error)
{
    struct piecewise *from = data;
    uint64_t left = MIN(from->piece_bytes, from->length - from->at);

    *ret_length = left;
    from->reads++;
    for (uint32_t i = 0; i < count && left > 0; i++) {
        uint64_t step = MIN(left, parts[i].iov_len);

        memcpy(parts[i].iov_base, from->bytes + from->at, step);
        from->at += step;
        left -= step;
    }
    *ret_length -= left;
    return true;
}

/* No read waits. */
static inline void piecewise_shutdown(void *data)
{
}

/* (transfer full): a reader of @from, which is lent */
static inline struct vmmig_reader *piecewise_reader(struct piecewise *from)
{
    const struct vmmig_channel_ops ops = { .struct_size = sizeof ops,
                                           .readv = piecewise_readv,
                                           .shutdown = piecewise_shutdown };
    vmmig_error *error = NULL;
    struct vmmig_channel *channel = vmmig_channel_new(&ops, from, NULL, &error);
    struct vmmig_reader *reader;

    ck_assert_msg(channel != NULL, "%s",
                  error ? vmmig_error_message(error) : "");
    reader = vmmig__reader_new(channel);
    vmmig_channel_unref(channel);
    return reader;
}

/* Loads one body as the section "ram" in this phase. */
static inline bool load_body(struct vmmig__ram *ram,
                             struct vmmig_reader *reader, uint32_t phase,
                             vmmig_error **error)
{
    bool ok;

    vmmig__reader_enter_section(reader, "ram", 2, phase);
    ok = vmmig__ram_ops.load(ram, reader, 4, error);
    vmmig__reader_leave_section(reader);
    return ok;
}

/* A word with a name, or with CONTINUE if @name is NULL. */
static inline void put_word(struct vmmig_writer *out, uint64_t word,
                            const char *name)
{
    vmmig_writer_put_u64(out, name ? word : word | VMMIG__RAM_CONTINUE);
    if (name)
        vmmig__writer_put_name(out, name);
}

/* A page of content @seed: what fill_page() makes of it. */
static inline void put_test_page(struct vmmig_writer *out, const char *name,
                                 uint64_t page, uint64_t seed)
{
    uint64_t words[PAGE_BYTES / 8];

    fill_words(words, page, seed);
    put_word(out, page * PAGE_BYTES | VMMIG__RAM_PAGE, name);
    vmmig_writer_put_bytes(out, words, sizeof words);
}

static inline void put_test_zero(struct vmmig_writer *out, const char *name,
                                 uint64_t page)
{
    put_word(out, page * PAGE_BYTES | VMMIG__RAM_ZERO, name);
    vmmig_writer_put_u8(out, 0);
}

/* The list of all blocks, with EOS. */
static inline void put_setup(struct vmmig_writer *out,
                             const struct vmmig__ram_blocks *blocks)
{
    struct vmmig_block *const *all;
    uint32_t count;

    all = vmmig__ram_blocks_get(blocks, &count);
    vmmig__put_block_list(out, vmmig__ram_blocks_bytes(blocks));
    for (uint32_t i = 0; i < count; i++) {
        const struct vmmig__block_entry entry = {
            .name = all[i]->name, .length_bytes = all[i]->length_bytes
        };

        vmmig__put_block_entry(out, &entry);
    }
    vmmig__put_ram_end(out);
}

/* Fails the test unless there is such an error; frees it. */
static inline void expect_error(vmmig_error **error, uint32_t code,
                                const char *words)
{
    ck_assert_msg(*error != NULL, "no error, expected \"%s\"", words);
    ck_assert_msg(vmmig_error_code(*error) == code &&
                      strstr(vmmig_error_message(*error), words) != NULL,
                  "\"%s\" (code %u) is not \"%s\" (code %u)",
                  vmmig_error_message(*error), vmmig_error_code(*error), words,
                  code);
    vmmig_error_free(*error);
    *error = NULL;
}

#endif

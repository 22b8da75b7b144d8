/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory for unit tests of RAM: anonymous blocks of 4096 byte pages.
 */
#ifndef VMMIG_TESTS_GUEST_MEMORY_H
#define VMMIG_TESTS_GUEST_MEMORY_H

#include <check.h>
#include <string.h>
#include <sys/mman.h>

#include "ram/ram-blocks.h"

#define PAGE_BYTES UINT64_C(4096)

static inline void *map_memory(uint64_t page_count)
{
    void *memory = mmap(NULL, page_count * PAGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* Adds a block of fresh memory. */
static inline struct vmmig_block *
add_block(struct vmmig__ram_blocks *blocks, const char *name,
          uint64_t page_count)
{
    struct vmmig_block_config config = {
        .struct_size = sizeof config,
        .name = name,
        .host_address = map_memory(page_count),
        .length_bytes = page_count * PAGE_BYTES,
    };
    vmmig_error *error = NULL;
    struct vmmig_block *block = vmmig__ram_blocks_add(blocks, &config, &error);

    ck_assert_msg(block != NULL, "%s", error ? vmmig_error_message(error) : "");
    return block;
}

/* Frees the blocks and their memory. */
static inline void free_memory(struct vmmig__ram_blocks *blocks)
{
    struct vmmig_block *const *all;
    uint32_t count;

    all = vmmig__ram_blocks_get(blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        munmap(all[i]->host, all[i]->length_bytes);
    vmmig__ram_blocks_free(blocks);
}

/* The words of a page of content: never zero, different for each page and
 * seed. */
static inline void fill_words(uint64_t words[PAGE_BYTES / 8], uint64_t page,
                              uint64_t seed)
{
    for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
        words[i] = (page + 1) << 40 | (seed + 1) << 16 | (i + 1);
}

static inline void fill_page(struct vmmig_block *block, uint64_t page,
                             uint64_t seed)
{
    fill_words((uint64_t *)(block->host + page * PAGE_BYTES), page, seed);
}

static inline bool page_has(const struct vmmig_block *block, uint64_t page,
                            uint64_t seed)
{
    uint64_t words[PAGE_BYTES / 8];

    fill_words(words, page, seed);
    return !memcmp(words, block->host + page * PAGE_BYTES, PAGE_BYTES);
}

static inline bool page_is_zero(const struct vmmig_block *block, uint64_t page)
{
    static const uint8_t zeros[PAGE_BYTES];

    return !memcmp(zeros, block->host + page * PAGE_BYTES, PAGE_BYTES);
}

#endif

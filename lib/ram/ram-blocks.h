/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The blocks of guest memory of one machine, with their bitmaps.
 *
 * Blocks are added and removed on the machine's terms: one thread at a time,
 * and never while a session runs. Everything else here is read by any thread;
 * the lookup by address takes no lock.
 */
#ifndef VMMIG_RAM_RAM_BLOCKS_H
#define VMMIG_RAM_RAM_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include <vmmigrate/memory.h>

#include "base/bitmap.h"
#include "base/error.h"

struct vmmig__ram_blocks;

/*
 * Pages are pages of the machine (page_bytes of the host's table). All members
 * but `index` are set once when the block is added; the bitmaps have one bit
 * for each page and are atomic.
 */
struct vmmig_block {
    struct vmmig__ram_blocks *owner;
    char *name;
    uint8_t *host;
    uint64_t length_bytes, page_count;
    uint64_t guest_address;
    uint64_t fd_offset_bytes;
    int fd;         /* -1: none; lent */
    int holes_fd;   /* -1: none; see memory-holes.h */
    uint32_t flags; /* VMMIG_BLOCK_... */
    uint32_t index; /* its place in vmmig__ram_blocks_get() */

    vmmig__bitmap_word *dirty;  /* marked as written since the last sync */
    vmmig__bitmap_word *unused; /* have no content: neither read nor sent */

    /* Of a session; NULL outside of one. */
    vmmig__bitmap_word *pending;  /* source: to be sent in this round */
    vmmig__bitmap_word *claimed;  /* source: taken since the last commit */
    vmmig__bitmap_word *received; /* destination: landed */
};

/* @page_bytes: a power of two, at least 1024 (the flags of the stream's page
 * words have to fit below it). */
struct vmmig__ram_blocks *vmmig__ram_blocks_new(uint32_t page_bytes);
void vmmig__ram_blocks_free(struct vmmig__ram_blocks *blocks);

/*
 * vmmig__ram_blocks_add:
 * @config: all members this library knows; what a shorter struct lacks is zero
 *
 * NULL with INVALID, by the block's name, for a name that is missing, too long
 * or taken, for an address or a length that will not do, for memory that
 * another block has; SYSTEM without memory for the bitmaps.
 */
struct vmmig_block *
vmmig__ram_blocks_add(struct vmmig__ram_blocks *blocks,
                      const struct vmmig_block_config *config,
                      vmmig_error **error)
    __attribute__((warn_unused_result));

/* Removes and frees @block. Renumbers the others. */
void vmmig__ram_blocks_remove(struct vmmig__ram_blocks *blocks,
                              struct vmmig_block *block);

/* In the order in which they were added; valid until one is added or
 * removed. */
struct vmmig_block *const *
vmmig__ram_blocks_get(const struct vmmig__ram_blocks *blocks,
                      uint32_t *ret_count);

uint32_t vmmig__ram_blocks_page_bytes(const struct vmmig__ram_blocks *blocks);
/* page_bytes == 1 << page_shift */
uint32_t vmmig__ram_blocks_page_shift(const struct vmmig__ram_blocks *blocks);
/* The sum of all lengths. */
uint64_t vmmig__ram_blocks_bytes(const struct vmmig__ram_blocks *blocks);

/* (nullable) */
struct vmmig_block *
vmmig__ram_blocks_find(const struct vmmig__ram_blocks *blocks,
                       const char *name);

/*
 * vmmig__ram_blocks_find_host:
 *
 * The lowest block that has a byte of [@address, @address + @length_bytes), or
 * NULL. Any thread, lock-free, also while other blocks are added or removed.
 */
struct vmmig_block *
vmmig__ram_blocks_find_host(const struct vmmig__ram_blocks *blocks,
                            const void *address, uint64_t length_bytes);

#endif

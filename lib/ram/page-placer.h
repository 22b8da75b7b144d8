/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where pages go on the destination: in place, into a cache, by userfaultfd,
 * into a file.
 *
 * For each run of pages either target(), the bytes, landed(); or zero(). A
 * placer may be used by several threads for different pages at once.
 */
#ifndef VMMIG_RAM_PAGE_PLACER_H
#define VMMIG_RAM_PAGE_PLACER_H

#include <stdbool.h>
#include <stdint.h>

#include <vmmigrate/error.h>

struct vmmig_block;

struct vmmig__page_placer {
    /* Where to put the bytes of these pages, in one piece. */
    uint8_t *(*target)(void *placer, struct vmmig_block *block,
                       uint64_t first_page, uint64_t page_count);
    /* The bytes are in target(). Notes the pages as received. */
    bool (*landed)(void *placer, struct vmmig_block *block,
                   uint64_t first_page, uint64_t page_count,
                   vmmig_error **error);
    /* The pages are all zeros. Notes them as received. */
    bool (*zero)(void *placer, struct vmmig_block *block, uint64_t first_page,
                 uint64_t page_count, vmmig_error **error);
    void *data; /* their first argument */

    /* target() is the block's own memory, and while @this placer is in use
     * nobody else touches pages that were not received: a reader may let bytes
     * land there that turn out to be something else, if it zeroes the pages
     * afterwards. */
    bool in_place;
};

/* Into the memory of the block; needs no data. A page of zeros is written only
 * where memory is not zero yet, so untouched memory stays untouched. */
extern const struct vmmig__page_placer vmmig__place_in_place;

#endif

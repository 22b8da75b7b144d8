/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of guest memory have landed on the destination: one bitmap for
 * each block, from load_setup to load_cleanup. Any thread that places pages
 * sets bits, any thread reads them.
 */
#ifndef VMMIG_RAM_RECEIVED_PAGES_H
#define VMMIG_RAM_RECEIVED_PAGES_H

#include "ram/ram-blocks.h"

/* All clear. SYSTEM without memory. */
bool vmmig__received_pages_start(struct vmmig__ram_blocks *blocks,
                                 vmmig_error **error)
    __attribute__((warn_unused_result));
void vmmig__received_pages_stop(struct vmmig__ram_blocks *blocks);

/* Both do nothing, or say false, for a block without a bitmap. */
void vmmig__received_pages_add(struct vmmig_block *block, uint64_t first_page,
                               uint64_t page_count);
bool vmmig__received_pages_has(const struct vmmig_block *block, uint64_t page);

/* How many of the pages from @first_page on have not been received: up to
 * @page_count, 0 when the first one has. */
uint64_t vmmig__received_pages_missing(const struct vmmig_block *block,
                                       uint64_t first_page,
                                       uint64_t page_count);

#endif

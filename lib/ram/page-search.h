/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The next pages to send, in address order, block after block: those that are
 * pending in this round. What is marked meanwhile belongs to the next one.
 *
 * Each thread that sends has its own search (its place in memory); the bitmaps
 * are shared, and a claim gives every page to exactly one of them.
 */
#ifndef VMMIG_RAM_PAGE_SEARCH_H
#define VMMIG_RAM_PAGE_SEARCH_H

#include "ram/ram-blocks.h"

struct vmmig__page_search {
    struct vmmig__ram_blocks *blocks;
    bool ignore_shared;   /* pass over blocks that the other side shares */
    uint32_t block_index; /* where the search goes on */
    uint64_t page;
};

struct vmmig__page_run {
    struct vmmig_block *block;
    uint64_t first_page, page_count;
    bool is_repeated; /* some of it was claimed before and is not committed */
};

/*
 * vmmig__page_search_claim:
 * @maximum_pages: at most this many, not 0
 *
 * Claims the next run of pending pages that have content, and notes it in the
 * block's `claimed` if there is one. Goes round once. False when nothing is
 * pending.
 */
bool vmmig__page_search_claim(struct vmmig__page_search *search,
                              uint64_t maximum_pages,
                              struct vmmig__page_run *ret_run);

/* Whether x-ignore-shared leaves this block out: it is a shared mapping of a
 * descriptor. */
bool vmmig__block_is_ignorable(const struct vmmig_block *block);

/* How many pages a search would still find. */
uint64_t vmmig__page_search_pending(const struct vmmig__page_search *search);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/page-search.h"

bool vmmig__block_is_ignorable(const struct vmmig_block *block)
{
    const uint32_t both = VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED;

    return (block->flags & both) == both;
}

static bool passes_over(const struct vmmig__page_search *search,
                        const struct vmmig_block *block)
{
    return search->ignore_shared && vmmig__block_is_ignorable(block);
}

/* The first page in [from, limit) that is pending and has content, or limit. */
static uint64_t find_page(const struct vmmig_block *block, uint64_t from,
                          uint64_t limit)
{
    while (from < limit) {
        uint64_t page = vmmig__bitmap_find(block->pending, from, limit);

        if (page == limit)
            return limit;
        from = vmmig__bitmap_find_clear(block->unused, page, limit);
        if (from == page)
            return page;
    }
    return limit;
}

/* Claims the first run in [from, limit) of the block, if there is one. */
static bool claim_in(struct vmmig_block *block, uint64_t from, uint64_t limit,
                     uint64_t maximum, struct vmmig__page_run *ret_run)
{
    uint64_t first = from, count = 0;

    while ((first = find_page(block, first, limit)) < limit) {
        uint64_t end = MIN(limit, first + MIN(maximum, limit - first));

        end = vmmig__bitmap_find(block->unused, first, end);
        count = vmmig__bitmap_claim(block->pending, first, end);
        if (count > 0)
            break;
        /* Another thread was faster, or the page became unused. */
        first++;
    }
    if (count == 0)
        return false;
    *ret_run = (struct vmmig__page_run){ block, first, count, false };
    if (block->claimed)
        ret_run->is_repeated =
            vmmig__bitmap_set(block->claimed, first, count) < count;
    return true;
}

bool vmmig__page_search_claim(struct vmmig__page_search *search,
                              uint64_t maximum_pages,
                              struct vmmig__page_run *ret_run)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(search->blocks, &count);
    /* Once round: the block where the search stands comes first, from there on,
     * and last, from its start. */
    for (uint32_t i = 0; i <= count && count > 0; i++) {
        struct vmmig_block *block = blocks[search->block_index];

        if (!passes_over(search, block) &&
            claim_in(block, search->page, block->page_count, maximum_pages,
                     ret_run)) {
            search->page = ret_run->first_page + ret_run->page_count;
            return true;
        }
        search->page = 0;
        search->block_index = (search->block_index + 1) % count;
    }
    return false;
}

uint64_t vmmig__page_search_pending(const struct vmmig__page_search *search)
{
    struct vmmig_block *const *blocks;
    uint64_t pages = 0;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(search->blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct vmmig_block *block = blocks[i];

        if (passes_over(search, block))
            continue;
        for (uint64_t w = 0; w < vmmig__bitmap_words(block->page_count); w++) {
            uint64_t pending =
                atomic_load_explicit(&block->pending[w], memory_order_relaxed);
            uint64_t unused =
                atomic_load_explicit(&block->unused[w], memory_order_relaxed);

            pages += (uint64_t)__builtin_popcountll(pending & ~unused);
        }
    }
    return pages;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/received-pages.h"

bool vmmig__received_pages_start(struct vmmig__ram_blocks *blocks,
                                 vmmig_error **error)
{
    struct vmmig_block *const *all;
    uint32_t count;

    vmmig__received_pages_stop(blocks);
    all = vmmig__ram_blocks_get(blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        all[i]->received = vmmig__bitmap_new(all[i]->page_count);
        if (!all[i]->received) {
            vmmig__received_pages_stop(blocks);
            return vmmig__fail(error, VMMIG_ERROR_SYSTEM,
                               "block \"%s\": no memory for the bitmap of "
                               "received pages",
                               all[i]->name);
        }
    }
    return true;
}

void vmmig__received_pages_stop(struct vmmig__ram_blocks *blocks)
{
    struct vmmig_block *const *all;
    uint32_t count;

    all = vmmig__ram_blocks_get(blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        g_clear_pointer(&all[i]->received, g_free);
}

void vmmig__received_pages_add(struct vmmig_block *block, uint64_t first_page,
                               uint64_t page_count)
{
    if (block->received)
        vmmig__bitmap_set(block->received, first_page, page_count);
}

bool vmmig__received_pages_has(const struct vmmig_block *block, uint64_t page)
{
    return block->received && vmmig__bitmap_test(block->received, page);
}

uint64_t vmmig__received_pages_missing(const struct vmmig_block *block,
                                       uint64_t first_page,
                                       uint64_t page_count)
{
    if (!block->received)
        return 0;
    return vmmig__bitmap_find(block->received, first_page,
                              first_page + page_count) -
           first_page;
}

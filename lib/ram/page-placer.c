/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/page-placer.h"

#include <string.h>

#include "ram/memory-holes.h"
#include "ram/ram-blocks.h"
#include "ram/received-pages.h"
#include "ram/zero-page.h"

static uint8_t *in_place_target(void *placer, struct vmmig_block *block,
                                uint64_t first_page, uint64_t page_count)
{
    return block->host +
           (first_page << vmmig__ram_blocks_page_shift(block->owner));
}

static bool in_place_landed(void *placer, struct vmmig_block *block,
                            uint64_t first_page, uint64_t page_count,
                            vmmig_error **error)
{
    vmmig__received_pages_add(block, first_page, page_count);
    return true;
}

static void zero_memory(uint8_t *memory, uint64_t page_count,
                        uint32_t page_bytes)
{
    for (uint64_t i = 0; i < page_count; i++, memory += page_bytes) {
        if (!vmmig__page_is_zero(memory, page_bytes))
            memset(memory, 0, page_bytes);
    }
}

static bool in_place_zero(void *placer, struct vmmig_block *block,
                          uint64_t first_page, uint64_t page_count,
                          vmmig_error **error)
{
    uint32_t page_bytes = vmmig__ram_blocks_page_bytes(block->owner);
    uint64_t page = first_page, limit = first_page + page_count;

    while (page < limit) {
        uint64_t untouched = vmmig__count_untouched(block, page, limit - page);
        uint64_t end =
            untouched > 0 ? page + untouched
                          : MIN(limit, page + VMMIG__PAGES_PER_LOOK);

        if (untouched == 0)
            zero_memory(block->host + page * page_bytes, end - page,
                        page_bytes);
        page = end;
    }
    vmmig__received_pages_add(block, first_page, page_count);
    return true;
}

const struct vmmig__page_placer vmmig__place_in_place = {
    .target = in_place_target,
    .landed = in_place_landed,
    .zero = in_place_zero,
    .in_place = true,
};

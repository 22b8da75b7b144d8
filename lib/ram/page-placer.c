/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/page-placer.h"

#include <string.h>

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

static bool in_place_zero(void *placer, struct vmmig_block *block,
                          uint64_t first_page, uint64_t page_count,
                          vmmig_error **error)
{
    uint32_t page_bytes = vmmig__ram_blocks_page_bytes(block->owner);
    uint8_t *page = in_place_target(placer, block, first_page, page_count);

    for (uint64_t i = 0; i < page_count; i++, page += page_bytes) {
        if (!vmmig__page_is_zero(page, page_bytes))
            memset(page, 0, page_bytes);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/ram.h"

#include <string.h>

#include "ram/ram-load.h"
#include "ram/ram-save.h"

void vmmig__ram_init(struct vmmig__ram *ram, struct vmmig__ram_blocks *blocks,
                     struct vmmig__dirty_sources *sources,
                     const struct vmmig__clock *clock)
{
    memset(ram, 0, sizeof *ram);
    ram->blocks = blocks;
    ram->sources = sources;
    ram->clock = clock;
    ram->placer = &vmmig__place_in_place;
}

const struct vmmig_device_ops vmmig__ram_ops = {
    .struct_size = sizeof vmmig__ram_ops,
    .flags = VMMIG_DEVICE_POSTCOPY,
    .save_prepare = vmmig__ram_save_prepare,
    .save_setup = vmmig__ram_save_setup,
    .save_query_pending = vmmig__ram_save_query_pending,
    .save_iterate = vmmig__ram_save_iterate,
    .save_complete = vmmig__ram_save_complete,
    .save_cleanup = vmmig__ram_save_cleanup,
    .load_setup = vmmig__ram_load_setup,
    .load = vmmig__ram_load,
    .load_cleanup = vmmig__ram_load_cleanup,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page sink that writes page records into a stream: one record for each
 * page, zero pages by their flag, the others by reference, so that a run leaves
 * in few large writes. On the thread that owns the writer.
 */
#ifndef VMMIG_RAM_MAIN_SINK_H
#define VMMIG_RAM_MAIN_SINK_H

#include "ram/ram.h"

struct vmmig__main_sink {
    struct vmmig__page_sink sink; /* of this struct */
    struct vmmig_writer *out;
    struct vmmig__last_block *last_block; /* CONTINUE, of this stream */
    struct vmmig__ram_counters *counters;
    uint32_t page_bytes;
    uint64_t unflushed_bytes; /* of memory, whose records may still wait */
};

/* Everything is lent for the life of the sink; nothing to be freed. */
void vmmig__main_sink_init(struct vmmig__main_sink *sink,
                           struct vmmig_writer *out,
                           struct vmmig__last_block *last_block,
                           struct vmmig__ram_counters *counters,
                           uint32_t page_bytes);

#endif

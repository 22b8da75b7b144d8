/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where pages go on the source: the main channel, multifd channels, the preempt
 * channel, a file.
 *
 * Pages are submitted when they have been claimed (their dirty bits are clear)
 * and protected. A sink may read them until flush_and_sync() has returned. It
 * adds what it writes to the counters of the RAM it was made for.
 */
#ifndef VMMIG_RAM_PAGE_SINK_H
#define VMMIG_RAM_PAGE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include <vmmigrate/error.h>

struct vmmig_block;

struct vmmig__page_sink {
    /* Takes pages [first_page, first_page + page_count) of @block; may wait for
     * its channel. Between two syncs no page comes twice. */
    bool (*submit)(void *sink, struct vmmig_block *block, uint64_t first_page,
                   uint64_t page_count, vmmig_error **error);
    /* True when all that was submitted has left, in an order that the other
     * side can rely on: what is submitted later arrives later. Pages count as
     * sent only then. */
    bool (*flush_and_sync)(void *sink, vmmig_error **error);
    void *data; /* their first argument */
};

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAM as a live device: a row of callbacks like any other's, whose data is a
 * struct vmmig__ram. The device layer writes section headers and footers; a
 * body begins and ends here, with EOS.
 *
 * One struct serves one session, as source or as destination. All of it
 * belongs to the session's thread, or to the thread to which the stream has
 * been handed over, except for what is said to be atomic.
 */
#ifndef VMMIG_RAM_RAM_H
#define VMMIG_RAM_RAM_H

#include <stdatomic.h>

#include <vmmigrate/device.h>

#include "base/clock.h"
#include "ram/dirty-log.h"
#include "ram/page-placer.h"
#include "ram/page-search.h"
#include "ram/page-sink.h"
#include "ram/ram-blocks.h"
#include "wire/ram-record.h"

/* Any thread reads them. */
struct vmmig__ram_counters {
    _Atomic(uint64_t) normal_pages; /* sent, or placed on the destination */
    _Atomic(uint64_t) zero_pages;
    _Atomic(uint64_t) bytes; /* of page records, on whichever channel */
    _Atomic(uint64_t) dirty_sync_count;
    _Atomic(uint64_t) dirty_pages_per_s; /* between the last two syncs */
    _Atomic(uint64_t) remaining_bytes;   /* see note_claim() */
};

/* Set before save_setup or load_setup, then constant. */
struct vmmig__ram_settings {
    bool ignore_shared; /* x-ignore-shared */
    bool postcopy; /* postcopy-ram: what is dirty may come after the switch */
    /* A destination whose pages come on other channels too: no page of this
     * one may be guessed ahead. */
    bool other_channels;
};

struct vmmig__ram_save {
    bool is_started;   /* the sources run */
    bool is_committed; /* the guest lives over there: nothing is given back */
    struct vmmig__page_search search;
    struct vmmig__last_block last_block; /* CONTINUE, of the main channel */
    uint64_t synced_us;                  /* when this round began */
};

struct vmmig__ram_load {
    bool has_block_list;
    struct vmmig__last_block last_block; /* CONTINUE, of the main channel */
    /* Pages of zeros that were read and not placed yet. */
    struct vmmig__page_run zeros;
    /* How many pages to guess ahead, and how often not to, since the last
     * guesses were wrong. */
    uint32_t guess_pages, guess_pause, guess_backoff;
};

struct vmmig__ram {
    struct vmmig__ram_blocks *blocks;     /* the machine's */
    struct vmmig__dirty_sources *sources; /* the machine's; source only */
    const struct vmmig__clock *clock;
    struct vmmig__ram_settings settings;
    struct vmmig__ram_counters counters; /* atomic */

    /* Where pages go; NULL: into the writer that save_iterate() is given. */
    const struct vmmig__page_sink *sink;
    /* Where pages are put; vmmig__ram_init() sets the in-place one. */
    const struct vmmig__page_placer *placer;

    struct vmmig__ram_save save;
    struct vmmig__ram_load load;
};

/* @sources may be NULL on a destination. Nothing to be freed: what a session
 * allocates, save_cleanup() and load_cleanup() free. */
void vmmig__ram_init(struct vmmig__ram *ram, struct vmmig__ram_blocks *blocks,
                     struct vmmig__dirty_sources *sources,
                     const struct vmmig__clock *clock);

/* name "ram", instance 0, version VMMIG__RAM_SECTION_VERSION; data: a
 * struct vmmig__ram */
extern const struct vmmig_device_ops vmmig__ram_ops;

#endif

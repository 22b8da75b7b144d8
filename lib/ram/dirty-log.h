/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages were written: marks, and the sources that are asked for them.
 *
 * Marks come from any thread at any time, also when no session runs, and take
 * no lock (vmmig_block_mark_dirty() and its sisters of <vmmigrate/memory.h> are
 * here). A mark is made after the store that it reports: setting a bit
 * releases, claiming it acquires, so whoever claims the page reads the store.
 *
 * Sources are added on the machine's terms; all else about them is done by the
 * thread of the one outgoing session, but for protect(), which any thread that
 * sends pages may call. What a source marks while it collects is remembered
 * for it as consumed, until the attempt has succeeded (forget) or its log gets
 * it back (give_back): the log may have another reader, who would miss it.
 */
#ifndef VMMIG_RAM_DIRTY_LOG_H
#define VMMIG_RAM_DIRTY_LOG_H

#include "ram/ram-blocks.h"

/*
 * vmmig__ram_mark_dirty:
 *
 * vmmig_machine_mark_dirty() of the machine's blocks: marks what of
 * [@host_address, @host_address + @length_bytes) lies in blocks. Any thread,
 * lock-free.
 */
void vmmig__ram_mark_dirty(struct vmmig__ram_blocks *blocks,
                           const void *host_address, uint64_t length_bytes);

struct vmmig__dirty_sources;

struct vmmig__dirty_sources *vmmig__dirty_sources_new(void);
/* Frees the sources' data too. Takes NULL. */
void vmmig__dirty_sources_free(struct vmmig__dirty_sources *sources);

/*
 * vmmig__dirty_sources_add:
 * @ops: all members this library knows; copied
 * @free_source: (nullable): called once with @source, unless this fails
 *
 * INVALID without collect().
 */
bool vmmig__dirty_sources_add(struct vmmig__dirty_sources *sources,
                              const struct vmmig_dirty_source *ops,
                              void *source, vmmig_free_fn free_source,
                              vmmig_error **error)
    __attribute__((warn_unused_result));

uint32_t vmmig__dirty_sources_count(const struct vmmig__dirty_sources *sources);

/*
 * vmmig__dirty_sources_start:
 *
 * Starts all sources, under the host's lock. If one fails, those before it are
 * stopped. The blocks stay as they are until vmmig__dirty_sources_stop().
 */
bool vmmig__dirty_sources_start(struct vmmig__dirty_sources *sources,
                                struct vmmig__ram_blocks *blocks,
                                vmmig_error **error)
    __attribute__((warn_unused_result));

/* Asks every source, once; a failure's error says that it was the dirty log. */
bool vmmig__dirty_sources_collect(struct vmmig__dirty_sources *sources,
                                  vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__dirty_sources_protect:
 *
 * Before pages are read: lets every source that clears in chunks protect them.
 * Widens the range to multiples of 64 pages. Several threads at once.
 */
bool vmmig__dirty_sources_protect(struct vmmig__dirty_sources *sources,
                                  struct vmmig_block *block,
                                  uint64_t first_page, uint64_t page_count,
                                  vmmig_error **error)
    __attribute__((warn_unused_result));

/* The attempt has succeeded: what was consumed stays consumed. */
void vmmig__dirty_sources_forget(struct vmmig__dirty_sources *sources);

/* The attempt has not: hands every source what it marked since start() or the
 * last forget. */
void vmmig__dirty_sources_give_back(struct vmmig__dirty_sources *sources);

/* Stops what was started; nothing otherwise. */
void vmmig__dirty_sources_stop(struct vmmig__dirty_sources *sources);

#endif

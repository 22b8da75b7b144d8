/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory: its blocks, and who says which of their pages were written.
 *
 * A block is a name and a range of host memory. It is not a memory slot: RAM
 * below and above a hole may be one block. Both sides register the same names
 * with the same lengths; the order and the addresses may differ.
 *
 * Written pages come from three directions, which are OR-ed: marks that the
 * host sets itself, dirty sources that the library asks once a round, and the
 * source that is built in (vmmig_machine_track_writes). A page marked twice is
 * sent once; a page written and never marked is lost.
 */
#ifndef VMMIGRATE_MEMORY_H
#define VMMIGRATE_MEMORY_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* `fd` and `fd_offset_bytes` say which file the memory is a mapping of. */
    VMMIG_BLOCK_FD = 1,
    /* The memory is mapped shared: other processes may see or write it. */
    VMMIG_BLOCK_SHARED = 2,
    /* The guest cannot write it; its content is migrated all the same. */
    VMMIG_BLOCK_READONLY = 4
};

/**
 * struct vmmig_block_config:
 * @struct_size: sizeof(struct vmmig_block_config)
 * @flags: VMMIG_BLOCK_..., OR-ed
 * @name: 1 to 255 bytes, unique in the machine, equal on both sides; copied
 * @host_address: where the memory is mapped, aligned to the machine's pages;
 *   mapped and, on the destination, writable until the block is removed or the
 *   machine is closed
 * @length_bytes: a multiple of the machine's page size, not 0
 * @guest_address: where the guest sees the first byte; for messages and tools,
 *   0 if that says nothing
 * @fd_offset_bytes: with VMMIG_BLOCK_FD: where in the file the block begins
 * @fd: with VMMIG_BLOCK_FD: the file; lent, open as long as the block
 * @reserved: 0
 *
 * A block of guest memory.
 */
struct vmmig_block_config {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    void *host_address;
    uint64_t length_bytes;
    uint64_t guest_address;
    uint64_t fd_offset_bytes;
    int32_t fd;
    int32_t reserved;
};

/**
 * vmmig_machine_add_block:
 * @machine: the machine
 * @config: the block; copied, with its strings
 * @error: (nullable): return location
 *
 * Registers a block of guest memory. Blocks may not overlap.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: (nullable): the block, valid until it is removed or the machine is
 *   gone; NULL with INVALID for a name, address or length that will not do,
 *   SYSTEM when there is no memory for its bitmaps
 * Since:    0.1
 */
VMMIG_API struct vmmig_block *
vmmig_machine_add_block(struct vmmig_machine *machine,
                        const struct vmmig_block_config *config,
                        vmmig_error **error);

/**
 * vmmig_machine_remove_block:
 * @machine: the machine
 * @block: (transfer full): one of its blocks
 * @error: (nullable): return location
 *
 * Removes a block. Nobody may mark it while this runs or afterwards. When the
 * call fails the block stays.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: true if the block is gone
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_remove_block(struct vmmig_machine *machine,
                                          struct vmmig_block *block,
                                          vmmig_error **error);

/**
 * vmmig_block_mark_dirty:
 * @block: the block
 * @block_offset: in bytes from the start of the block
 * @length_bytes: 0 does nothing; whatever lies outside the block is ignored
 *
 * Says that guest memory was written. The order is: write the memory, mark it,
 * then tell the guest (move the used index, inject the interrupt). Lock-free,
 * and safe in a signal handler.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_block_mark_dirty(struct vmmig_block *block,
                                      uint64_t block_offset,
                                      uint64_t length_bytes);

/**
 * vmmig_machine_mark_dirty:
 * @machine: the machine
 * @host_address: where the host wrote
 * @length_bytes: 0 does nothing; the range may cross blocks
 *
 * As vmmig_block_mark_dirty(), for a host that has only a pointer. What lies in
 * no block is ignored. Lock-free; finds the block by binary search.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_machine_mark_dirty(struct vmmig_machine *machine,
                                        const void *host_address,
                                        uint64_t length_bytes);

/**
 * vmmig_block_mark_dirty_bitmap:
 * @block: the block
 * @first_page: where the bitmap begins, in pages of the machine
 * @words: bit i of word w is page @first_page + 64 * w + i, as KVM has them on
 *   little-endian machines
 * @page_count: how many bits to read; pages past the end of the block are
 *   ignored
 *
 * Marks every page whose bit is set. Lock-free.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_block_mark_dirty_bitmap(struct vmmig_block *block,
                                             uint64_t first_page,
                                             const uint64_t *words,
                                             uint64_t page_count);

/**
 * vmmig_block_mark_unused:
 * @block: the block
 * @block_offset: in bytes from the start of the block
 * @length_bytes: only pages that lie wholly inside the range change
 * @unused: true when the guest gave the pages away, false when it has them back
 *
 * Says whether pages have content: those that a balloon or an unplugged device
 * holds are neither read nor sent. Pages that come back count as written.
 * Lock-free.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_block_mark_unused(struct vmmig_block *block,
                                       uint64_t block_offset,
                                       uint64_t length_bytes, bool unused);

/**
 * struct vmmig_dirty_source:
 * @struct_size: sizeof(struct vmmig_dirty_source)
 * @flags: 0
 *
 * Somebody who knows which pages were written: a log of KVM, of a device, of
 * another process. Every member but @collect may be NULL.
 */
struct vmmig_dirty_source {
    uint32_t struct_size;
    uint32_t flags;

    /**
     * start:
     * @source: as given to vmmig_machine_add_dirty_source()
     * @error: return location
     *
     * Begins to log. What was written before counts for nothing: the first
     * round sends every page.
     *
     * Thread:   the session's thread, mig/src/main; the host thread where the
     *           host has no lock()
     * Locks:    the host's
     * May:      run its ioctls, call the mark functions
     * Must not: wait for another thread of the library or for the peer
     * Order:    once per outgoing session, before the first save_setup(); when
     *           it returned true, stop() follows, however the session ends
     * Since:    0.1
     */
    bool (*start)(void *source, vmmig_error **error);

    /**
     * collect:
     * @source: as given to vmmig_machine_add_dirty_source()
     * @error: return location
     *
     * Marks, with vmmig_block_mark_dirty() and its sisters, every page written
     * since the last call. Reading the log and clearing it must be one step, or
     * the page must be protected again before its mark is passed on.
     *
     * Thread:   the session's thread, mig/src/main
     * Locks:    none
     * May:      run its ioctls, call the mark functions
     * Must not: clear a mark that it has not passed on; read guest pages
     * Order:    after start(); once a round while the guest runs, once more
     *           after the stop; never twice at a time
     * Since:    0.1
     */
    bool (*collect)(void *source, vmmig_error **error);

    /**
     * stop:
     * @source: as given to vmmig_machine_add_dirty_source()
     *
     * Ends the log. May be slow: it is called when the guest runs again, here
     * or over there.
     *
     * Thread:   the session's thread, mig/src/main
     * Locks:    none
     * May:      run its ioctls, block
     * Must not: wait for the peer
     * Order:    once after each start() that returned true, after the last
     *           collect()
     * Since:    0.1
     */
    void (*stop)(void *source);

    /**
     * protect:
     * @source: as given to vmmig_machine_add_dirty_source()
     * @block: the block
     * @first_page: a multiple of 64, in pages of the machine
     * @page_count: a multiple of 64, or up to the end of the block
     * @error: return location
     *
     * Makes writes to these pages be seen again. For logs that collect() reads
     * without clearing; NULL for all others.
     *
     * Thread:   any thread of the library that sends pages, several at once
     * Locks:    none
     * May:      run its ioctls
     * Must not: wait; take a lock that anybody holds while touching guest
     *           memory
     * Order:    after a collect() and just before the pages are read
     * Since:    0.1
     */
    bool (*protect)(void *source, struct vmmig_block *block,
                    uint64_t first_page, uint64_t page_count,
                    vmmig_error **error);

    /**
     * give_back:
     * @source: as given to vmmig_machine_add_dirty_source()
     * @block: the block
     * @first_page: where the bitmap begins, in pages of the machine
     * @words: bit i of word w is page @first_page + 64 * w + i
     * @page_count: how many bits @words has
     *
     * Returns the marks of an attempt that failed or was cancelled, for a log
     * that has another reader, who would miss them. The library keeps its own
     * copy for the next attempt.
     *
     * Thread:   the session's thread, mig/src/main
     * Locks:    none
     * May:      take its own locks
     * Must not: wait for the peer; call the mark functions for these pages
     * Order:    after the last collect() of such an attempt, before stop()
     * Since:    0.1
     */
    void (*give_back)(void *source, struct vmmig_block *block,
                      uint64_t first_page, const uint64_t *words,
                      uint64_t page_count);
};

/**
 * vmmig_machine_add_dirty_source:
 * @machine: the machine
 * @ops: the table; copied
 * @source: (nullable): first argument of each of its functions
 * @free_source: (nullable): called exactly once with @source, when the machine
 *   is gone or when this call fails
 * @error: (nullable): return location
 *
 * Adds a source of dirty pages. A machine with guest memory and neither a
 * source nor vmmig_machine_track_writes() cannot be a migration's source: the
 * start is refused, for its pages would be lost. A host that marks everything
 * itself adds a source whose collect() just returns true.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: true if the source was added
 * Since:    0.1
 */
VMMIG_API bool
vmmig_machine_add_dirty_source(struct vmmig_machine *machine,
                               const struct vmmig_dirty_source *ops,
                               void *source, vmmig_free_fn free_source,
                               vmmig_error **error);

/**
 * vmmig_machine_track_writes:
 * @machine: the machine
 * @error: (nullable): return location
 *
 * Lets the kernel say which pages this process wrote, by whichever thread: the
 * asynchronous write protection of userfaultfd and PAGEMAP_SCAN. Covers all
 * blocks, also those added later. Not seen are writes by devices (DMA) and by
 * other processes that share the memory, and memory that is discarded
 * (MADV_DONTNEED, a hole punched) or mapped anew: mark those.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: true if writes will be tracked, also when they already were; false
 *   with SYSTEM where the kernel (6.7 or newer is needed) or the process's
 *   privileges will not do
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_track_writes(struct vmmig_machine *machine,
                                          vmmig_error **error);

#ifdef __cplusplus
}
#endif

#endif

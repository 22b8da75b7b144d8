/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM's dirty log as a source of dirty pages for libvmmigrate.
 *
 *   dirty = kvm_dirty_new(vm_fd, 0, &error);
 *   kvm_dirty_add_slot(dirty, 0, 0, host, length, block, 0, &error);
 *   vmmig_machine_add_dirty_source(machine, kvm_dirty_get_ops(dirty), dirty,
 *                                  kvm_dirty_free, &error);
 *
 * Where the kernel can leave clearing to us, collect() only reads the log, and
 * protect() clears chunks of it just before their pages are read: the kernel's
 * memory lock is then held for short times only. Otherwise collect() reads and
 * clears in one step and there is no protect().
 *
 * The log knows what vCPUs wrote and what KVM itself wrote (kvmclock). What the
 * VMM writes through its own mapping it must mark itself.
 *
 * Threads: add_slot() before a migration, or between two. The functions of the
 * table as libvmmigrate calls them: start, collect, stop and give_back one at a
 * time, protect from several threads at once. vCPUs may run all the while.
 */
#ifndef KVM_DIRTY_H
#define KVM_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include <vmmigrate/memory.h>

#define KVM_DIRTY_PAGE_BYTES 4096
/* The log works in words of 64 pages; slots and protect() are aligned to it. */
#define KVM_DIRTY_ALIGN_BYTES (64 * KVM_DIRTY_PAGE_BYTES)

struct kvm_dirty;

enum {
    KVM_DIRTY_NO_MANUAL_CLEAR = 1, /* though the kernel could */
};

/* Before the first slot of the VM logs. Borrows vm_fd. */
struct kvm_dirty *kvm_dirty_new(int vm_fd, uint32_t flags, vmmig_error **error);
void kvm_dirty_free(void *dirty); /* takes NULL */

/*
 * Tells of a memory slot that was made without KVM_MEM_LOG_DIRTY_PAGES: where
 * it is in the guest, in this process, and in a block. `block_offset` is a
 * multiple of KVM_DIRTY_ALIGN_BYTES. A block may have many slots.
 */
bool kvm_dirty_add_slot(struct kvm_dirty *dirty, uint32_t slot,
                        uint64_t guest_address, void *host_address,
                        uint64_t length_bytes, struct vmmig_block *block,
                        uint64_t block_offset, vmmig_error **error);

/* Whether this log is cleared by protect(). */
bool kvm_dirty_clears_manually(const struct kvm_dirty *dirty);

/* The table to hand to vmmig_machine_add_dirty_source(). */
const struct vmmig_dirty_source *
kvm_dirty_get_ops(const struct kvm_dirty *dirty);

#endif

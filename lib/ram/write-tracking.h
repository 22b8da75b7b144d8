/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dirty source of vmmig_machine_track_writes(): the kernel notes which
 * pages this process writes (userfaultfd's asynchronous write protection) and
 * PAGEMAP_SCAN reads the notes and protects the pages again in one step.
 *
 * It needs no privileges, sees every thread of the process, KVM's vCPUs and
 * system calls among them, and costs a writer one short fault for the first
 * write to a page in a round. It does not see writes by devices (DMA) and by
 * other processes, nor that the host dropped the pages of shared memory from
 * its own mapping.
 */
#ifndef VMMIG_RAM_WRITE_TRACKING_H
#define VMMIG_RAM_WRITE_TRACKING_H

#include "ram/ram-blocks.h"

struct vmmig__write_tracking;

/* Whether kernel and process can do it; SYSTEM with the reason if not. */
bool vmmig__write_tracking_probe(vmmig_error **error)
    __attribute__((warn_unused_result));

/* NULL with SYSTEM where the probe fails. Covers all blocks that @blocks has
 * when the source starts. */
struct vmmig__write_tracking *
vmmig__write_tracking_new(struct vmmig__ram_blocks *blocks,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

/* A vmmig_free_fn. */
void vmmig__write_tracking_free(void *tracking);

/* For vmmig__dirty_sources_add(), with a struct vmmig__write_tracking. */
extern const struct vmmig_dirty_source vmmig__write_tracking_ops;

#endif

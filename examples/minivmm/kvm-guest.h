/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest of the kvm machine: loads the freestanding guest (guest/) with its
 * workload into a virtual machine, or prepares one to be loaded by a migration.
 *
 * Memory is the caller's, in two areas which become two blocks: RAM, and the
 * system area, which has the guest's code, tables, stacks and the ledger. RAM
 * holds nothing but the workload's pages.
 *
 * Threads: as kvm-machine.h. The callbacks run on vCPU threads; those of one
 * guest one at a time.
 */
#ifndef MINIVMM_KVM_GUEST_H
#define MINIVMM_KVM_GUEST_H

#include "kvm-dirty.h"
#include "kvm-machine.h"
#include "workload.h"

/* RAM is a multiple of it: the guest maps it in large pages. */
#define KVM_GUEST_RAM_ALIGN_BYTES (UINT64_C(2) << 20)
#define KVM_GUEST_MAX_RAM_BYTES (UINT64_C(251) << 30)

struct kvm_guest_config {
    void *ram; /* all zero, but with WORKLOAD_KEEP */
    uint64_t ram_bytes;
    void *system;          /* all zero */
    uint64_t system_bytes; /* kvm_guest_system_bytes() */
    uint32_t vcpu_count;
    uint32_t machine_flags; /* KVM_MACHINE_... */
    /* worker_count, ram_bytes and hole are filled in here. NULL: a migration
     * brings the guest; nothing is written. */
    const struct workload_config *workload;
    /* The guest fills its memory when it runs. Else kvm_guest_new() does it,
     * with a thread for each vCPU: a first touch by the guest costs several
     * times as much. */
    bool guest_fills;
    /* Whole lines of the serial port; while kvm_guest_new() fills memory, on
     * its threads. */
    void (*serial)(void *data, const char *text, size_t length_bytes);
    /* A vCPU runs no more: what happened, once for each. */
    void (*died)(void *data, uint32_t vcpu, const char *reason);
    void *data;
};

struct kvm_guest;

/* How long the system area must be (page aligned); the same on both sides. */
uint64_t kvm_guest_system_bytes(uint64_t ram_bytes, uint32_t vcpu_count);

/* Stopped; start and stop kvm_guest_get_machine(). */
struct kvm_guest *kvm_guest_new(const struct kvm_guest_config *config,
                                vmmig_error **error);
void kvm_guest_free(struct kvm_guest *guest); /* takes NULL */

struct kvm_machine *kvm_guest_get_machine(const struct kvm_guest *guest);

/* The two areas as this process sees them: for workload_get_counters(),
 * workload_check_ledger() after a load, and workload_audit() after a stop. */
const struct workload *kvm_guest_get_workload(const struct kvm_guest *guest);

/* Tells a dirty log of the guest's memory slots. */
bool kvm_guest_add_slots(const struct kvm_guest *guest, struct kvm_dirty *dirty,
                         struct vmmig_block *ram, struct vmmig_block *system,
                         vmmig_error **error);

#endif

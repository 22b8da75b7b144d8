/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtual machine of KVM that can be stopped, saved, loaded and started: its
 * memory slots, interrupt controllers, clock, and a thread for each vCPU.
 *
 * Threads: one thread at a time calls the functions below ("the owner"), but
 * for those that say otherwise. The callbacks of struct kvm_machine_ops run on
 * vCPU threads, several at once; no lock of this file is held. They may not
 * stop, start or free the machine, and a stop waits for them to return.
 *
 * The clock of the guest (kvmclock) runs on while the machine is stopped, so
 * that the guest sees how long it stood; where it should not, start with
 * KVM_MACHINE_CLOCK_STOOD.
 */
#ifndef KVM_MACHINE_H
#define KVM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmmigrate/error.h>

#include "kvm-vcpu.h"

struct kvm_machine;

struct kvm_machine_ops {
    /* A write to an I/O port. */
    void (*port_out)(void *data, uint32_t vcpu, uint16_t port, uint32_t value,
                     uint32_t width_bytes);
    /* NULL: all ones, as where nothing listens. */
    uint32_t (*port_in)(void *data, uint32_t vcpu, uint16_t port,
                        uint32_t width_bytes);
    /* Guest memory without a slot: `bytes` is what is written, or to be filled
     * in. NULL: as where nothing listens. */
    void (*mmio)(void *data, uint32_t vcpu, uint64_t guest_address,
                 uint8_t *bytes, uint32_t length_bytes, bool is_write);
    /* This vCPU will not run again; the others do until they are stopped. */
    void (*failed)(void *data, uint32_t vcpu, const char *reason);
};

enum {
    KVM_MACHINE_NO_IRQCHIP = 1, /* though the kernel could */
};

struct kvm_machine_config {
    uint32_t vcpu_count;
    uint32_t flags;
    /* Sent to vCPU threads to get them out of the guest; an empty handler is
     * installed for it. 0: SIGRTMIN. */
    int32_t kick_signal;
    const struct kvm_machine_ops *ops;
    void *data;
};

/* Whether machines can be made here; `error` says why not. */
bool kvm_machine_probe(vmmig_error **error);

/* Makes the VM and its vCPUs, which have KVM's reset state and every CPUID bit
 * that KVM supports. Stopped. */
struct kvm_machine *kvm_machine_new(const struct kvm_machine_config *config,
                                    vmmig_error **error);

/* Stops, ends the threads, closes; memory stays mapped. Takes NULL. */
void kvm_machine_free(struct kvm_machine *machine);

bool kvm_machine_add_slot(struct kvm_machine *machine, uint32_t slot,
                          uint64_t guest_address, void *host_address,
                          uint64_t length_bytes, vmmig_error **error);

/* Any thread. */
int kvm_machine_get_vm_fd(const struct kvm_machine *machine);
int kvm_machine_get_vcpu_fd(const struct kvm_machine *machine, uint32_t vcpu);
bool kvm_machine_has_irqchip(const struct kvm_machine *machine);
const struct kvm_vcpu_facts *
kvm_machine_get_facts(const struct kvm_machine *machine);

/* What the guest's clock shows now. */
bool kvm_machine_get_clock(struct kvm_machine *machine, uint64_t *ret_clock_ns,
                           vmmig_error **error);

enum {
    /* The time the guest stood, here or on its way, counts for it. */
    KVM_MACHINE_CLOCK_RAN = 1,
    /* The guest's clock goes on from where it was at the stop. */
    KVM_MACHINE_CLOCK_STOOD = 2,
};

/*
 * Lets the vCPUs run. The time on the way is known from the wall clocks of the
 * two hosts; if they disagree the guest's clock is off by as much, but never
 * goes back. STATE if it runs already.
 */
bool kvm_machine_start(struct kvm_machine *machine, uint32_t clock,
                       vmmig_error **error);

/*
 * Stops the vCPUs. True when each is out of KVM_RUN with its last exit
 * complete, so that its state may be saved; true as well if it did not run.
 * TIMEOUT, naming the vCPUs that did not answer: they will still park, and a
 * start or another stop is fine.
 */
bool kvm_machine_stop(struct kvm_machine *machine, int64_t timeout_ms,
                      vmmig_error **error);

/* For a callback, on its vCPU's thread: lets the vCPU rest until the time is
 * over or the machine is being stopped. */
void kvm_machine_sleep(struct kvm_machine *machine, uint32_t vcpu,
                       uint64_t duration_ns);

/* The interrupt controllers, the timer and the clock; stopped machines only.
 * Load them before the vCPUs. Freed with free(). */
bool kvm_machine_save(struct kvm_machine *machine, uint8_t **ret_bytes,
                      size_t *ret_length_bytes, vmmig_error **error);
bool kvm_machine_load(struct kvm_machine *machine, const uint8_t *bytes,
                      size_t length_bytes, vmmig_error **error);

/* One vCPU of a stopped machine; any thread, different vCPUs at once. */
bool kvm_machine_save_vcpu(struct kvm_machine *machine, uint32_t vcpu,
                           uint8_t **ret_bytes, size_t *ret_length_bytes,
                           vmmig_error **error);
bool kvm_machine_load_vcpu(struct kvm_machine *machine, uint32_t vcpu,
                           const uint8_t *bytes, size_t length_bytes,
                           vmmig_error **error);

#endif

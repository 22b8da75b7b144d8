/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole state of an x86 vCPU, as a byte string: everything that KVM gives,
 * read and written in the one right order.
 *
 * Threads: struct kvm_vcpu_facts is constant once made. Any thread may save or
 * load a vCPU while it is out of KVM_RUN and its last exit is complete (a
 * KVM_RUN with immediate_exit has returned EINTR); different vCPUs at the same
 * time.
 *
 * A load writes the vCPU only: guest memory is touched where the kernel does
 * so itself, for kvmclock and steal time. A thread that answers page faults
 * must therefore not be the one that loads.
 */
#ifndef KVM_VCPU_H
#define KVM_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmmigrate/error.h>

/* What this kernel can do for the vCPUs of one VM: asked once. */
struct kvm_vcpu_facts;

/* After the interrupt controllers were made. Borrows the descriptors; `error`
 * says which ability that cannot be done without is missing. */
struct kvm_vcpu_facts *kvm_vcpu_facts_new(int kvm_fd, int vm_fd,
                                          bool has_irqchip,
                                          vmmig_error **error);
void kvm_vcpu_facts_free(struct kvm_vcpu_facts *facts); /* takes NULL */

/* Gives a new vCPU every CPUID bit that KVM supports. */
bool kvm_vcpu_set_cpuid(const struct kvm_vcpu_facts *facts, int vcpu_fd,
                        uint32_t index, vmmig_error **error);

/* One register of the CPUID that KVM supports here; 0 for an unknown leaf.
 * `reg`: 0 to 3, eax ebx ecx edx. */
uint32_t kvm_vcpu_get_supported(const struct kvm_vcpu_facts *facts,
                                uint32_t leaf, uint32_t subleaf, uint32_t reg);

/* `index` is for messages. Frees with free(). */
bool kvm_vcpu_save(const struct kvm_vcpu_facts *facts, int vcpu_fd,
                   uint32_t index, uint8_t **ret_bytes,
                   size_t *ret_length_bytes, vmmig_error **error);

/*
 * `bytes` may come from a peer. INCOMPATIBLE, with the name, for a CPUID bit
 * that is missing here, an MSR that is refused, a record that is missing or
 * unknown, and a frequency of the TSC that cannot be had. When it fails the
 * vCPU's state is undefined; nothing was run.
 */
bool kvm_vcpu_load(const struct kvm_vcpu_facts *facts, int vcpu_fd,
                   uint32_t index, const uint8_t *bytes, size_t length_bytes,
                   vmmig_error **error);

/*
 * Compares two saved states but for what runs by itself (the TSC, the current
 * count of the LAPIC's timer). True if equal; else false with what differs.
 */
bool kvm_vcpu_compare(const uint8_t *a, size_t a_bytes, const uint8_t *b,
                      size_t b_bytes, vmmig_error **error);

#endif

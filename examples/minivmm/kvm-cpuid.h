/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPUID: what the guest was promised, compared with what is there. Constant
 * tables and pure functions: any thread.
 */
#ifndef KVM_CPUID_H
#define KVM_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* KVM's own limit on a vCPU. */
#define KVM_CPUID_MAX_ENTRIES 256

/* One register, 0 to 3 for eax ebx ecx edx; 0 for a leaf that is not there. */
uint32_t kvm_cpuid_get(const struct kvm_cpuid2 *cpuid, uint32_t leaf,
                       uint32_t subleaf, uint32_t reg);

/*
 * True if one of the `have` offers each feature of `want`. Else false, and
 * `ret_names` lists what is missing: "avx512f (CPUID 0x7.0 ebx bit 16), ...".
 * Bits that follow from the guest's own settings or from the topology do not
 * count.
 */
bool kvm_cpuid_covers(const struct kvm_cpuid2 *const *have, size_t have_count,
                      const struct kvm_cpuid2 *want, char *ret_names,
                      size_t names_bytes);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tests of KVM's machines share: a guest with all that belongs to it, its
 * move within the process, and a main() that skips, aloud, where there is no
 * KVM. A test uses it on one thread; vCPUs report on theirs.
 */
#ifndef TESTS_UNIT_KVM_KIT_H
#define TESTS_UNIT_KVM_KIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm-guest.h"
#include "unit/run-case.h"

#define MIB (UINT64_C(1) << 20)
#define MS UINT64_C(1000000)
#define PATIENCE_NS (20000 * MS)
#define MAX_VCPUS 4

uint64_t now_ns(void);
void rest(uint64_t duration_ns);

/* For conditions that only guest memory tells. */
#define WAIT_FOR(condition)                                  \
    do {                                                     \
        uint64_t limit = now_ns() + PATIENCE_NS;             \
                                                             \
        while (!(condition) && now_ns() < limit)             \
            rest(MS / 4);                                    \
        ck_assert_msg(condition, "in vain: %s", #condition); \
    } while (0)

#define MUST(call)                                                      \
    do {                                                                \
        vmmig_error *error_ = NULL;                                     \
                                                                        \
        if (!(call(&error_)))                                           \
            ck_abort_msg("%s: %s", #call, vmmig_error_message(error_)); \
    } while (0)

struct vm {
    struct kvm_guest_config config;
    struct kvm_guest *guest;
    struct kvm_machine *machine;
    pthread_mutex_t lock; /* what follows */
    char serial[4096];
    size_t serial_bytes;
    char death[256];
    uint32_t deaths;
};

/* Shared and of zeros; for munmap(). */
void *memory_new(uint64_t length_bytes);

/* Without a workload: a machine that waits to be loaded. @guest_fills: memory
 * is filled by the guest, when it runs. */
struct vm *vm_new_filled(uint64_t ram_bytes, uint32_t vcpu_count,
                         uint32_t flags, const struct workload_config *workload,
                         bool guest_fills);
struct vm *vm_new(uint64_t ram_bytes, uint32_t vcpu_count, uint32_t flags,
                  const struct workload_config *workload);
void vm_free(struct vm *vm);
void vm_start(struct vm *vm);
void vm_stop(struct vm *vm);

struct workload_config sweep(void);
struct workload_counters counters_of(const struct vm *vm);
bool has_said(struct vm *vm, const char *text);
uint32_t deaths_of(struct vm *vm);
/* How many pages are wrong, of all. The guest stands still. */
uint64_t vm_audit(const struct vm *vm);
/* It has run well until here. */
void assert_well(struct vm *vm);

struct bytes {
    uint8_t *data;
    size_t length;
};

struct vm_state {
    struct bytes machine;
    struct bytes vcpus[MAX_VCPUS];
};

struct vm_state vm_save(struct vm *vm);
void vm_load(struct vm *vm, const struct vm_state *state);
void vm_state_free(struct vm_state *state, uint32_t vcpu_count);
void assert_vcpus_equal(const struct vm_state *a, const struct vm_state *b,
                        uint32_t vcpu_count);
/* To another machine in this process, with a copy of all memory. Frees @vm. */
struct vm *vm_move(struct vm *vm);

int run_kvm_case(const char *name, TCase *tcase);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "kvm-kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

void rest(uint64_t duration_ns)
{
    struct timespec time = {.tv_sec = (time_t)(duration_ns / (1000 * MS)),
                            .tv_nsec = (long)(duration_ns % (1000 * MS))};

    nanosleep(&time, NULL);
}

/* -- a guest ------------------------------------------------------------- */

static void on_serial(void *data, const char *text, size_t length_bytes)
{
    struct vm *vm = data;

    pthread_mutex_lock(&vm->lock);
    if (vm->serial_bytes + length_bytes < sizeof vm->serial) {
        memcpy(vm->serial + vm->serial_bytes, text, length_bytes);
        vm->serial_bytes += length_bytes;
    }
    pthread_mutex_unlock(&vm->lock);
}

static void on_death(void *data, uint32_t vcpu, const char *reason)
{
    struct vm *vm = data;

    pthread_mutex_lock(&vm->lock);
    snprintf(vm->death, sizeof vm->death, "vCPU %u: %s", vcpu, reason);
    vm->deaths++;
    pthread_mutex_unlock(&vm->lock);
}

bool has_said(struct vm *vm, const char *text)
{
    bool has;

    pthread_mutex_lock(&vm->lock);
    has = memmem(vm->serial, vm->serial_bytes, text, strlen(text)) != NULL;
    pthread_mutex_unlock(&vm->lock);
    return has;
}

uint32_t deaths_of(struct vm *vm)
{
    uint32_t deaths;

    pthread_mutex_lock(&vm->lock);
    deaths = vm->deaths;
    pthread_mutex_unlock(&vm->lock);
    return deaths;
}

void *memory_new(uint64_t length_bytes)
{
    void *memory = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* Without a workload: a machine that waits to be loaded. */
struct vm *vm_new_filled(uint64_t ram_bytes, uint32_t vcpu_count,
                         uint32_t flags, const struct workload_config *workload,
                         bool guest_fills)
{
    struct vm *vm = calloc(1, sizeof *vm);
    vmmig_error *error = NULL;

    pthread_mutex_init(&vm->lock, NULL);
    vm->config = (struct kvm_guest_config){
        .ram = memory_new(ram_bytes),
        .ram_bytes = ram_bytes,
        .system = memory_new(kvm_guest_system_bytes(ram_bytes, vcpu_count)),
        .system_bytes = kvm_guest_system_bytes(ram_bytes, vcpu_count),
        .vcpu_count = vcpu_count,
        .machine_flags = flags,
        .workload = workload,
        .guest_fills = guest_fills,
        .serial = on_serial,
        .died = on_death,
        .data = vm,
    };
    vm->guest = kvm_guest_new(&vm->config, &error);
    ck_assert_msg(vm->guest, "%s", vmmig_error_message(error));
    vm->machine = kvm_guest_get_machine(vm->guest);
    return vm;
}

struct vm *vm_new(uint64_t ram_bytes, uint32_t vcpu_count, uint32_t flags,
                  const struct workload_config *workload)
{
    return vm_new_filled(ram_bytes, vcpu_count, flags, workload, false);
}

void vm_free(struct vm *vm)
{
    kvm_guest_free(vm->guest);
    munmap(vm->config.ram, vm->config.ram_bytes);
    munmap(vm->config.system, vm->config.system_bytes);
    pthread_mutex_destroy(&vm->lock);
    free(vm);
}

void vm_start(struct vm *vm)
{
#define START(error) \
    kvm_machine_start(vm->machine, KVM_MACHINE_CLOCK_RAN, error)
    MUST(START);
}

void vm_stop(struct vm *vm)
{
#define STOP(error) kvm_machine_stop(vm->machine, 10000, error)
    MUST(STOP);
}

struct workload_counters counters_of(const struct vm *vm)
{
    struct workload_counters counters;

    workload_get_counters(kvm_guest_get_workload(vm->guest), &counters);
    return counters;
}

uint64_t vm_audit(const struct vm *vm)
{
    return workload_audit(kvm_guest_get_workload(vm->guest), NULL);
}

struct workload_config sweep(void)
{
    struct workload_config config;

    workload_config_init(&config, 0);
    config.kind = WORKLOAD_SWEEP;
    config.zero_percent = 10;
    return config;
}

/* Runs well until here. */
void assert_well(struct vm *vm)
{
    ck_assert_msg(!deaths_of(vm), "%s", vm->death);
    ck_assert_uint_eq(counters_of(vm).errors, 0);
    ck_assert(!has_said(vm, "CORRUPT"));
}

/* -- moving -------------------------------------------------------------- */

struct vm_state vm_save(struct vm *vm)
{
    struct vm_state state;
    uint32_t i;

#define SAVE(error)                                                           \
    kvm_machine_save(vm->machine, &state.machine.data, &state.machine.length, \
                     error)
    MUST(SAVE);
    for (i = 0; i < vm->config.vcpu_count; i++) {
#define SAVE_VCPU(error)                                        \
    kvm_machine_save_vcpu(vm->machine, i, &state.vcpus[i].data, \
                          &state.vcpus[i].length, error)
        MUST(SAVE_VCPU);
    }
    return state;
}

void vm_load(struct vm *vm, const struct vm_state *state)
{
    uint32_t i;

#define LOAD(error)                                                           \
    kvm_machine_load(vm->machine, state->machine.data, state->machine.length, \
                     error)
    MUST(LOAD);
    for (i = 0; i < vm->config.vcpu_count; i++) {
#define LOAD_VCPU(error)                                        \
    kvm_machine_load_vcpu(vm->machine, i, state->vcpus[i].data, \
                          state->vcpus[i].length, error)
        MUST(LOAD_VCPU);
    }
}

void vm_state_free(struct vm_state *state, uint32_t vcpu_count)
{
    uint32_t i;

    free(state->machine.data);
    for (i = 0; i < vcpu_count; i++)
        free(state->vcpus[i].data);
}

void assert_vcpus_equal(const struct vm_state *a, const struct vm_state *b,
                        uint32_t vcpu_count)
{
    uint32_t i;

    for (i = 0; i < vcpu_count; i++) {
#define EQUAL(error)                                                         \
    kvm_vcpu_compare(a->vcpus[i].data, a->vcpus[i].length, b->vcpus[i].data, \
                     b->vcpus[i].length, error)
        MUST(EQUAL);
    }
}

/* To another machine in this process, with a copy of all memory. */
struct vm *vm_move(struct vm *vm)
{
    struct vm *next = vm_new(vm->config.ram_bytes, vm->config.vcpu_count,
                             vm->config.machine_flags, NULL);
    struct vm_state state = vm_save(vm), again;

    memcpy(next->config.ram, vm->config.ram, vm->config.ram_bytes);
    memcpy(next->config.system, vm->config.system, vm->config.system_bytes);
    vm_load(next, &state);
    again = vm_save(next);
    assert_vcpus_equal(&state, &again, vm->config.vcpu_count);
    ck_assert_ptr_null(workload_check_ledger(
        kvm_guest_get_workload(next->guest), vm->config.vcpu_count));
    assert_well(vm);
    vm_state_free(&state, vm->config.vcpu_count);
    vm_state_free(&again, vm->config.vcpu_count);
    vm_free(vm);
    return next;
}

int run_kvm_case(const char *name, TCase *tcase)
{
    vmmig_error *error = NULL;

    if (!kvm_machine_probe(&error)) {
        printf("1..0 # SKIP no KVM: %s\n", vmmig_error_message(error));
        vmmig_error_free(error);
        return EXIT_SUCCESS;
    }
    tcase_set_timeout(tcase, 60);
    return run_case(name, tcase);
}

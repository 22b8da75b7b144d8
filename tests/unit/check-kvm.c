/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtual machines of KVM: that they stop whole, that their state moves whole,
 * that the dirty log loses nothing. Skipped, aloud, where there is no KVM.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "kvm-guest.h"
#include "kvm-record.h"
#include "ram/ram-blocks.h"

#define MIB (UINT64_C(1) << 20)
#define MS UINT64_C(1000000)
#define PATIENCE_NS (20000 * MS)
#define MAX_VCPUS 4

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void rest(uint64_t duration_ns)
{
    struct timespec time = {.tv_sec = (time_t)(duration_ns / (1000 * MS)),
                            .tv_nsec = (long)(duration_ns % (1000 * MS))};

    nanosleep(&time, NULL);
}

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

/* -- a guest ------------------------------------------------------------- */

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

static bool has_said(struct vm *vm, const char *text)
{
    bool has;

    pthread_mutex_lock(&vm->lock);
    has = memmem(vm->serial, vm->serial_bytes, text, strlen(text)) != NULL;
    pthread_mutex_unlock(&vm->lock);
    return has;
}

static uint32_t deaths_of(struct vm *vm)
{
    uint32_t deaths;

    pthread_mutex_lock(&vm->lock);
    deaths = vm->deaths;
    pthread_mutex_unlock(&vm->lock);
    return deaths;
}

static void *memory_new(uint64_t length_bytes)
{
    void *memory = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* Without a workload: a machine that waits to be loaded. */
static struct vm *vm_new_filled(uint64_t ram_bytes, uint32_t vcpu_count,
                                uint32_t flags,
                                const struct workload_config *workload,
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

static struct vm *vm_new(uint64_t ram_bytes, uint32_t vcpu_count,
                         uint32_t flags, const struct workload_config *workload)
{
    return vm_new_filled(ram_bytes, vcpu_count, flags, workload, false);
}

static void vm_free(struct vm *vm)
{
    kvm_guest_free(vm->guest);
    munmap(vm->config.ram, vm->config.ram_bytes);
    munmap(vm->config.system, vm->config.system_bytes);
    pthread_mutex_destroy(&vm->lock);
    free(vm);
}

static void start(struct vm *vm)
{
#define START(error) \
    kvm_machine_start(vm->machine, KVM_MACHINE_CLOCK_RAN, error)
    MUST(START);
}

static void stop(struct vm *vm)
{
#define STOP(error) kvm_machine_stop(vm->machine, 10000, error)
    MUST(STOP);
}

static struct workload_counters counters_of(const struct vm *vm)
{
    struct workload_counters counters;

    workload_get_counters(kvm_guest_get_workload(vm->guest), &counters);
    return counters;
}

static uint64_t audit(const struct vm *vm)
{
    return workload_audit(kvm_guest_get_workload(vm->guest), NULL);
}

static struct workload_config sweep(void)
{
    struct workload_config config;

    workload_config_init(&config, 0);
    config.kind = WORKLOAD_SWEEP;
    config.zero_percent = 10;
    return config;
}

/* Runs well until here. */
static void assert_well(struct vm *vm)
{
    ck_assert_msg(!deaths_of(vm), "%s", vm->death);
    ck_assert_uint_eq(counters_of(vm).errors, 0);
    ck_assert(!has_said(vm, "CORRUPT"));
}

/* -- the guest's work ---------------------------------------------------- */

START_TEST(the_guest_runs_and_verifies_its_memory)
{
    struct workload_config config = sweep();
    struct vm *vm =
        vm_new_filled(16 * MIB, 1 + (uint32_t)_i / 2, 0, &config, _i % 2);

    ck_assert_int_eq(counters_of(vm).filled, _i % 2 == 0);
    start(vm);
    WAIT_FOR(counters_of(vm).passes >= 3 || deaths_of(vm));
    stop(vm);
    assert_well(vm);
    ck_assert(has_said(vm, WORKLOAD_READY_LINE));
    ck_assert_uint_ge(counters_of(vm).pages_checked, 3 * 16 * MIB / 4096);
    ck_assert_uint_eq(audit(vm), 0);
    vm_free(vm);
}
END_TEST

START_TEST(the_guest_finds_a_wrong_page)
{
    struct workload_config config = sweep();
    struct vm *vm;

    config.zero_percent = 0;
    vm = vm_new(4 * MIB, 2, 0, &config);
    start(vm);
    WAIT_FOR(counters_of(vm).passes >= 1);
    stop(vm);
    ((uint8_t *)vm->config.ram)[0x123000] ^= 1;
    start(vm);
    WAIT_FOR(counters_of(vm).errors);
    stop(vm);
    ck_assert(has_said(vm, "CORRUPT gpa=0x123000 "));
    ck_assert_uint_eq(counters_of(vm).errors, 1);
    vm_free(vm);
}
END_TEST

START_TEST(the_guest_finds_wrong_registers)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(4 * MIB, 2, 0, &config);
    struct kvm_xsave area;
    int fd;

    start(vm);
    WAIT_FOR(counters_of(vm).passes >= 1);
    stop(vm);
    fd = kvm_machine_get_vcpu_fd(vm->machine, 1);
    ck_assert_int_eq(ioctl(fd, KVM_GET_XSAVE, &area), 0);
    area.region[40 + 9 * 4] ^= 1; /* xmm9 */
    ck_assert_int_eq(ioctl(fd, KVM_SET_XSAVE, &area), 0);
    start(vm);
    WAIT_FOR(counters_of(vm).errors);
    stop(vm);
    ck_assert(has_said(vm, "registers of worker 1\n"));
    ck_assert_uint_eq(counters_of(vm).errors, 1);
    vm_free(vm);
}
END_TEST

START_TEST(memory_above_the_hole_is_worked_on)
{
    const uint64_t hole_page = (UINT64_C(3) << 30) / 4096;
    struct workload_config config = sweep();
    uint64_t above = 0, page;
    struct vm *vm;

    config.kind = WORKLOAD_RANDOM;
    config.flags = WORKLOAD_KEEP;
    config.zero_percent = 0;
    config.rate_bytes_per_s = 64 * MIB;
    vm = vm_new(UINT64_C(4) << 30, 1, 0, &config);
    start(vm);
    for (page = hole_page; !above; page++) {
        const uint64_t *words = (const uint64_t *)vm->config.ram + page * 512;

        if (page == 2 * hole_page / 3 * 2)
            page = hole_page;
        above += __atomic_load_n(words, __ATOMIC_RELAXED) != 0;
        ck_assert_msg(!deaths_of(vm), "%s", vm->death);
    }
    stop(vm);
    assert_well(vm);
    ck_assert_uint_eq(audit(vm), 0);
    vm_free(vm);
}
END_TEST

START_TEST(a_rate_is_kept)
{
    struct workload_config config = sweep();
    uint64_t checked, expected, began;
    struct vm *vm;

    config.rate_bytes_per_s = 32 * MIB;
    vm = vm_new(4 * MIB, 2, 0, &config);
    start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > 100);
    checked = counters_of(vm).pages_checked;
    began = now_ns();
    rest(400 * MS);
    checked = counters_of(vm).pages_checked - checked;
    expected = (now_ns() - began) / 1000 * 8192 / 1000000;
    stop(vm);
    ck_assert_uint_gt(checked, expected / 2);
    ck_assert_uint_lt(checked, expected * 3 / 2);
    assert_well(vm);
    vm_free(vm);
}
END_TEST

START_TEST(a_guest_that_dies_says_how)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(4 * MIB, 2, 0, &config);
    struct kvm_regs regs;
    int fd = kvm_machine_get_vcpu_fd(vm->machine, 1);

    ck_assert_int_eq(ioctl(fd, KVM_GET_REGS, &regs), 0);
    regs.rip = 0x123456789000;
    ck_assert_int_eq(ioctl(fd, KVM_SET_REGS, &regs), 0);
    start(vm);
    WAIT_FOR(deaths_of(vm));
    stop(vm);
    ck_assert_uint_eq(vm->deaths, 1);
    ck_assert_ptr_nonnull(strstr(vm->death, "vCPU 1: exception 14 "));
    ck_assert_ptr_nonnull(strstr(vm->death, "rip 0x123456789000"));
    vm_free(vm);
}
END_TEST

START_TEST(memory_that_is_gone_stops_one_vcpu_and_says_so)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(4 * MIB, 1, 0, &config);

    start(vm);
    WAIT_FOR(counters_of(vm).passes >= 1);
    ck_assert_int_eq(mprotect(vm->config.ram, 4 * MIB, PROT_NONE), 0);
    WAIT_FOR(deaths_of(vm));
    stop(vm);
    ck_assert_ptr_nonnull(strstr(vm->death, "cannot be reached"));
    vm_free(vm);
}
END_TEST

/* -- moving -------------------------------------------------------------- */

struct bytes {
    uint8_t *data;
    size_t length;
};

struct state {
    struct bytes machine;
    struct bytes vcpus[MAX_VCPUS];
};

static struct state save(struct vm *vm)
{
    struct state state;
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

static void load(struct vm *vm, const struct state *state)
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

static void state_free(struct state *state, uint32_t vcpu_count)
{
    uint32_t i;

    free(state->machine.data);
    for (i = 0; i < vcpu_count; i++)
        free(state->vcpus[i].data);
}

static void assert_vcpus_equal(const struct state *a, const struct state *b,
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
static struct vm *move(struct vm *vm)
{
    struct vm *next = vm_new(vm->config.ram_bytes, vm->config.vcpu_count,
                             vm->config.machine_flags, NULL);
    struct state state = save(vm), again;

    memcpy(next->config.ram, vm->config.ram, vm->config.ram_bytes);
    memcpy(next->config.system, vm->config.system, vm->config.system_bytes);
    load(next, &state);
    again = save(next);
    assert_vcpus_equal(&state, &again, vm->config.vcpu_count);
    ck_assert_ptr_null(workload_check_ledger(
        kvm_guest_get_workload(next->guest), vm->config.vcpu_count));
    assert_well(vm);
    state_free(&state, vm->config.vcpu_count);
    state_free(&again, vm->config.vcpu_count);
    vm_free(vm);
    return next;
}

START_TEST(the_guest_goes_on_elsewhere_leg_after_leg)
{
    static const struct {
        uint32_t vcpus, flags;
        uint64_t rate;
    } cases[] = {
        {1, 0, 0},
        {2, 0, 0},
        {2, KVM_MACHINE_NO_IRQCHIP, 0},
        {3, 0, 64 * MIB},
    };
    struct workload_config config = sweep();
    uint64_t checked = 0;
    struct vm *vm;
    int leg;

    config.rate_bytes_per_s = cases[_i].rate;
    vm = vm_new(2 * MIB, cases[_i].vcpus, cases[_i].flags, &config);
    start(vm);
    for (leg = 0; leg < 50; leg++) {
        WAIT_FOR(counters_of(vm).pages_checked > checked || deaths_of(vm));
        rest((uint64_t)leg % 4 * MS);
        stop(vm);
        vm = move(vm);
        checked = counters_of(vm).pages_checked;
        start(vm);
    }
    WAIT_FOR(counters_of(vm).pages_checked > checked + 1000);
    stop(vm);
    assert_well(vm);
    ck_assert_uint_eq(audit(vm), 0);
    vm_free(vm);
}
END_TEST

START_TEST(a_guest_moves_in_the_middle_of_its_fill)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new_filled(64 * MIB, 2, 0, &config, true);

    start(vm);
    WAIT_FOR(counters_of(vm).filled_pages > 100);
    stop(vm);
    vm = move(vm);
    start(vm);
    WAIT_FOR(counters_of(vm).passes);
    stop(vm);
    assert_well(vm);
    vm_free(vm);
}
END_TEST

START_TEST(a_state_loads_again_into_a_machine_that_has_run)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 2, 0, &config);
    uint8_t *ram = malloc(2 * MIB), *system = malloc(vm->config.system_bytes);
    struct state state, again;
    uint64_t checked;

    start(vm);
    WAIT_FOR(counters_of(vm).passes);
    stop(vm);
    state = save(vm);
    checked = counters_of(vm).pages_checked;
    memcpy(ram, vm->config.ram, 2 * MIB);
    memcpy(system, vm->config.system, vm->config.system_bytes);
    start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > checked + 5000);
    stop(vm);

    memcpy(vm->config.ram, ram, 2 * MIB);
    memcpy(vm->config.system, system, vm->config.system_bytes);
    load(vm, &state);
    again = save(vm);
    assert_vcpus_equal(&state, &again, 2);
    start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > checked + 5000);
    stop(vm);
    assert_well(vm);
    state_free(&state, 2);
    state_free(&again, 2);
    free(ram);
    free(system);
    vm_free(vm);
}
END_TEST

START_TEST(the_blackout_is_seen)
{
    struct workload_config config = sweep();
    struct vm *vm;
    uint64_t before;

    config.kind = _i ? WORKLOAD_IDLE : WORKLOAD_SWEEP;
    vm = vm_new(2 * MIB, 1, 0, &config);
    start(vm);
    WAIT_FOR(counters_of(vm).filled);
    rest(10 * MS);
    stop(vm);
    before = counters_of(vm).blackout_ns;
    rest(200 * MS);
    vm = move(vm);
    ck_assert_uint_eq(counters_of(vm).blackout_ns, before);
    start(vm);
    WAIT_FOR(counters_of(vm).blackout_ns > before);
    WAIT_FOR(counters_of(vm).blackout_ns >= 200 * MS);
    ck_assert_uint_lt(counters_of(vm).blackout_ns, 1200 * MS);
    stop(vm);
    assert_well(vm);
    vm_free(vm);
}
END_TEST

START_TEST(a_clock_may_stand_still_in_a_stop)
{
    struct workload_config config = sweep();
    struct vm *vm;
    uint64_t clock_ns = 0, later_ns = 0, checked;

    config.kind = WORKLOAD_IDLE;
    vm = vm_new(2 * MIB, 1, 0, &config);
    start(vm);
    WAIT_FOR(counters_of(vm).filled);
    rest(10 * MS);
    stop(vm);
#define CLOCK(error) kvm_machine_get_clock(vm->machine, &clock_ns, error)
    MUST(CLOCK);
    rest(600 * MS);
#define START_STOOD(error) \
    kvm_machine_start(vm->machine, KVM_MACHINE_CLOCK_STOOD, error)
    MUST(START_STOOD);
    checked = now_ns();
#define LATER(error) kvm_machine_get_clock(vm->machine, &later_ns, error)
    MUST(LATER);
    ck_assert_uint_lt(later_ns, clock_ns + 300 * MS + now_ns() - checked);
    rest(20 * MS);
    stop(vm);
    ck_assert_uint_lt(counters_of(vm).blackout_ns, 600 * MS);
    assert_well(vm);
    vm_free(vm);
}
END_TEST

/* -- what a peer may send ------------------------------------------------ */

static void assert_refused(struct vm *vm, const uint8_t *bytes, size_t length,
                           const char *words)
{
    vmmig_error *error = NULL;

    ck_assert(!kvm_machine_load_vcpu(vm->machine, 0, bytes, length, &error));
    ck_assert_msg(strstr(vmmig_error_message(error), words),
                  "\"%s\" lacks \"%s\"", vmmig_error_message(error), words);
    vmmig_error_free(error);
}

/* Where a record's payload begins. */
static uint8_t *find_record(struct bytes *bytes, const char *tag)
{
    uint8_t *at = memmem(bytes->data, bytes->length, tag, 4);

    ck_assert_ptr_nonnull(at);
    return at + 8;
}

START_TEST(a_missing_cpuid_bit_is_refused_by_name)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct state state = save(vm);
    struct kvm_cpuid_entry2 entry;
    uint8_t *at = find_record(&state.vcpus[0], "CPID");

    for (;; at += sizeof entry) {
        memcpy(&entry, at, sizeof entry);
        if (entry.function == 1)
            break;
    }
    entry.edx |= UINT32_C(1) << 30; /* Itanium */
    entry.edx |= UINT32_C(1) << 10; /* has no name */
    memcpy(at, &entry, sizeof entry);
    assert_refused(vm, state.vcpus[0].data, state.vcpus[0].length,
                   "CPUID 0x1.0 edx bit 10, ia64 (CPUID 0x1.0 edx bit 30)");
    state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(a_refused_msr_is_named)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct state state = save(vm);
    struct kvm_msr_entry entry;
    uint8_t *at = find_record(&state.vcpus[0], "MSRS");

    memcpy(&entry, at, sizeof entry);
    entry.index = 0x12345678;
    entry.data = 0;
    memcpy(at, &entry, sizeof entry);
#define LOAD_FIRST(error)                                      \
    kvm_machine_load_vcpu(vm->machine, 0, state.vcpus[0].data, \
                          state.vcpus[0].length, error)
    MUST(LOAD_FIRST); /* nobody uses it */
    entry.data = 7;
    memcpy(at, &entry, sizeof entry);
    assert_refused(vm, state.vcpus[0].data, state.vcpus[0].length,
                   "MSR 0x12345678 = 0x7 is refused");
    state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(another_tsc_frequency_is_had_or_refused)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct state state = save(vm);
    uint8_t *at = find_record(&state.vcpus[0], "TSCK");
    int fd = kvm_machine_get_vcpu_fd(vm->machine, 0);
    vmmig_error *error = NULL;
    uint32_t khz;
    int here;

    memcpy(&khz, at, sizeof khz);
    ck_assert_int_eq(ioctl(fd, KVM_GET_TSC_KHZ), khz);
    khz = khz / 2;
    memcpy(at, &khz, sizeof khz);
    if (!kvm_machine_load_vcpu(vm->machine, 0, state.vcpus[0].data,
                               state.vcpus[0].length, &error)) {
        ck_assert_ptr_nonnull(strstr(vmmig_error_message(error), "TSC"));
        vmmig_error_free(error);
        here = ioctl(fd, KVM_GET_TSC_KHZ);
        ck_assert_int_ge(here, (int)khz * 2);
    } else {
        ck_assert_int_eq(ioctl(fd, KVM_GET_TSC_KHZ), khz);
    }
    state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(missing_and_unknown_records_are_named)
{
    static const char *const tags[] = {"CPID", "REGS", "XSAV", "MSRS",
                                       "EVNT", "LAPC", "MPST"};
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct state state = save(vm);
    struct bytes *whole = &state.vcpus[0];
    uint8_t *cut = malloc(whole->length + 8);
    size_t i;

    for (i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        uint8_t *at = find_record(whole, tags[i]);
        size_t start_at = (size_t)(at - whole->data) - 8, length;
        uint32_t payload;

        memcpy(&payload, at - 4, sizeof payload);
        length = start_at;
        memcpy(cut, whole->data, start_at);
        memcpy(cut + start_at, at + payload,
               whole->length - start_at - 8 - payload);
        length = whole->length - 8 - payload;
        assert_refused(vm, cut, length, tags[i]);
    }
    memcpy(cut, whole->data, whole->length);
    memcpy(cut + whole->length, "QQ\001Q\0\0\0\0", 8);
    assert_refused(vm, cut, whole->length + 8, "record QQ?Q is unknown");
    memcpy(cut + whole->length, "REGS\0\0\0\0", 8);
    assert_refused(vm, cut, whole->length + 8, "record REGS comes twice");
    free(cut);
    state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(a_state_cut_anywhere_is_refused)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct state state = save(vm);
    vmmig_error *error = NULL;
    size_t length;

    for (length = 0; length < state.vcpus[0].length; length += 7) {
        uint8_t *cut = malloc(length ? length : 1);

        memcpy(cut, state.vcpus[0].data, length);
        ck_assert(!kvm_machine_load_vcpu(vm->machine, 0, cut, length, &error));
        vmmig_error_free(error);
        error = NULL;
        free(cut);
    }
    for (length = 0; length < state.machine.length; length += 7) {
        uint8_t *cut = malloc(length ? length : 1);

        memcpy(cut, state.machine.data, length);
        ck_assert(!kvm_machine_load(vm->machine, cut, length, &error));
        vmmig_error_free(error);
        error = NULL;
        free(cut);
    }
    state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(interrupt_controllers_must_be_on_both_sides_or_none)
{
    struct workload_config config = sweep();
    struct vm *with = vm_new(2 * MIB, 1, 0, &config);
    struct vm *without = vm_new(2 * MIB, 1, KVM_MACHINE_NO_IRQCHIP, &config);
    struct state state = save(with);
    vmmig_error *error = NULL;

    if (kvm_machine_has_irqchip(with->machine)) {
        ck_assert(!kvm_machine_load(without->machine, state.machine.data,
                                    state.machine.length, &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INCOMPATIBLE);
        vmmig_error_free(error);
        assert_refused(without, state.vcpus[0].data, state.vcpus[0].length,
                       "the kernel here has no ");
    }
    state_free(&state, 1);
    state = save(without);
    if (kvm_machine_has_irqchip(with->machine)) {
        error = NULL;
        ck_assert(!kvm_machine_load(with->machine, state.machine.data,
                                    state.machine.length, &error));
        ck_assert_ptr_nonnull(strstr(vmmig_error_message(error), "PIC1"));
        vmmig_error_free(error);
    }
    state_free(&state, 1);
    vm_free(with);
    vm_free(without);
}
END_TEST

START_TEST(nothing_is_saved_from_a_running_machine)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    vmmig_error *error = NULL;
    uint8_t *bytes;
    size_t length;

    start(vm);
    ck_assert(!kvm_machine_save_vcpu(vm->machine, 0, &bytes, &length, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);
    vmmig_error_free(error);
    error = NULL;
    ck_assert(!kvm_machine_start(vm->machine, KVM_MACHINE_CLOCK_RAN, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);
    vmmig_error_free(error);
    stop(vm);
    stop(vm);
    vm_free(vm);
}
END_TEST

/* -- stopping ------------------------------------------------------------ */

START_TEST(a_busy_machine_stops_in_time)
{
    struct workload_config config = sweep();
    uint32_t in_time = 0, i;
    struct vm *vm;

    config.rate_bytes_per_s = _i ? 64 * MIB : 0;
    vm = vm_new(4 * MIB, 2, 0, &config);
    for (i = 0; i < 100; i++) {
        uint64_t began;

        start(vm);
        rest(i % 5 * MS);
        began = now_ns();
        stop(vm);
        in_time += now_ns() - began < 50 * MS;
    }
    /* The rest is for a machine that has other work to do. */
    ck_assert_uint_ge(in_time, 95);
    assert_well(vm);
    vm_free(vm);
}
END_TEST

/*
 * A vCPU in real mode that does nothing but I/O, and checks that each number
 * it reads is the one after the last:
 *
 *   again: in ax, 0x10      ; from the host: 1, 2, 3, ...
 *          inc bx
 *          cmp ax, bx
 *          jne lost
 *          out 0x12, ax     ; to the host, which expects the same
 *          mov [0x8000], ax ; and once more to where no memory is
 *          mov cx, [0x8002] ; which counts as well
 *          inc si
 *          cmp cx, si
 *          je again
 *   lost:  out 0x14, ax
 *          hlt
 */
static const uint8_t io_code[] = {
    0xe5, 0x10, 0x43, 0x39, 0xd8, 0x75, 0x0e, 0xe7, 0x12, 0xa3, 0x00, 0x80,
    0x8b, 0x0e, 0x02, 0x80, 0x46, 0x39, 0xf1, 0x74, 0xeb, 0xe7, 0x14, 0xf4,
};

struct io {
    struct kvm_machine *machine;
    uint8_t *memory;
    uint16_t read, written, stored, loaded;
    uint64_t rounds; /* atomic */
    uint32_t wrong;  /* atomic */
};

static void io_expect(struct io *io, bool is_right)
{
    if (!is_right)
        __atomic_add_fetch(&io->wrong, 1, __ATOMIC_RELAXED);
}

static uint32_t io_in(void *data, uint32_t vcpu, uint16_t port,
                      uint32_t width_bytes)
{
    struct io *io = data;

    io_expect(io, port == 0x10 && width_bytes == 2);
    return ++io->read;
}

static void io_out(void *data, uint32_t vcpu, uint16_t port, uint32_t value,
                   uint32_t width_bytes)
{
    struct io *io = data;

    io_expect(io, port == 0x12 && value == ++io->written);
}

static void io_mmio(void *data, uint32_t vcpu, uint64_t guest_address,
                    uint8_t *bytes, uint32_t length_bytes, bool is_write)
{
    struct io *io = data;
    uint16_t value;

    if (is_write) {
        memcpy(&value, bytes, sizeof value);
        io_expect(io, guest_address == 0x8000 && value == ++io->stored);
    } else {
        value = ++io->loaded;
        memcpy(bytes, &value, sizeof value);
        io_expect(io, guest_address == 0x8002);
        __atomic_add_fetch(&io->rounds, 1, __ATOMIC_RELAXED);
    }
}

static void io_failed(void *data, uint32_t vcpu, const char *reason)
{
    io_expect(data, false);
}

static const struct kvm_machine_ops io_ops = {
    .port_out = io_out,
    .port_in = io_in,
    .mmio = io_mmio,
    .failed = io_failed,
};

static void io_machine(struct io *io)
{
    struct kvm_machine_config config = {
        .vcpu_count = 1,
        .ops = &io_ops,
        .data = io,
    };
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rflags = 2, .rip = 0x100};
    vmmig_error *error = NULL;
    int fd;

    io->machine = kvm_machine_new(&config, &error);
    ck_assert_msg(io->machine, "%s", vmmig_error_message(error));
#define ADD_SLOT(error_) \
    kvm_machine_add_slot(io->machine, 0, 0, io->memory, 0x8000, error_)
    MUST(ADD_SLOT);
    fd = kvm_machine_get_vcpu_fd(io->machine, 0);
    ck_assert_int_eq(ioctl(fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    ck_assert_int_eq(ioctl(fd, KVM_SET_SREGS, &sregs), 0);
    ck_assert_int_eq(ioctl(fd, KVM_SET_REGS, &regs), 0);
}

START_TEST(no_io_is_lost_or_done_twice_by_a_stop)
{
    struct io io = {.memory = memory_new(0x8000)};
    uint64_t rounds;
    int leg;

    memcpy(io.memory + 0x100, io_code, sizeof io_code);
    io_machine(&io);
    for (leg = 0; leg < 300; leg++) {
#define START_IO(error) \
    kvm_machine_start(io.machine, KVM_MACHINE_CLOCK_RAN, error)
#define STOP_IO(error) kvm_machine_stop(io.machine, 10000, error)
        rounds = __atomic_load_n(&io.rounds, __ATOMIC_RELAXED);
        MUST(START_IO);
        if (leg % 3)
            WAIT_FOR(__atomic_load_n(&io.rounds, __ATOMIC_RELAXED) > rounds);
        MUST(STOP_IO);
        ck_assert_uint_eq(__atomic_load_n(&io.wrong, __ATOMIC_RELAXED), 0);
        if (leg % 5 == 0) {
            struct kvm_machine *before = io.machine;
            uint8_t *bytes;
            size_t length;

#define SAVE_IO(error) kvm_machine_save_vcpu(before, 0, &bytes, &length, error)
#define LOAD_IO(error) \
    kvm_machine_load_vcpu(io.machine, 0, bytes, length, error)
            MUST(SAVE_IO);
            io_machine(&io);
            kvm_machine_free(before);
            MUST(LOAD_IO);
            free(bytes);
        }
    }
    ck_assert_uint_gt(io.rounds, 200);
    kvm_machine_free(io.machine);
    munmap(io.memory, 0x8000);
}
END_TEST

struct stuck {
    struct kvm_machine *machine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_in, may_leave;
};

static uint32_t stuck_in(void *data, uint32_t vcpu, uint16_t port,
                         uint32_t width_bytes)
{
    struct stuck *stuck = data;

    pthread_mutex_lock(&stuck->lock);
    stuck->is_in = true;
    pthread_cond_broadcast(&stuck->changed);
    while (!stuck->may_leave)
        pthread_cond_wait(&stuck->changed, &stuck->lock);
    pthread_mutex_unlock(&stuck->lock);
    return 1;
}

START_TEST(a_callback_that_hangs_makes_the_stop_name_its_vcpu)
{
    static const struct kvm_machine_ops ops = {
        .port_out = io_out,
        .port_in = stuck_in,
        .mmio = io_mmio,
        .failed = io_failed,
    };
    struct stuck stuck = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER};
    struct io io = {.memory = memory_new(0x8000)};
    struct kvm_machine_config config = {
        .vcpu_count = 1, .ops = &ops, .data = &stuck};
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rflags = 2, .rip = 0x100};
    vmmig_error *error = NULL;
    int fd;

    /* in ax, 0x10; jmp back */
    memcpy(io.memory + 0x100, "\xe5\x10\xeb\xfc", 4);
    io.machine = kvm_machine_new(&config, &error);
    ck_assert_ptr_nonnull(io.machine);
    MUST(START_IO);
    kvm_machine_free(io.machine); /* also one that never entered its guest */

    io.machine = kvm_machine_new(&config, &error);
    ck_assert_ptr_nonnull(io.machine);
    fd = kvm_machine_get_vcpu_fd(io.machine, 0);
#define ADD_STUCK(error_) \
    kvm_machine_add_slot(io.machine, 0, 0, io.memory, 0x8000, error_)
    MUST(ADD_STUCK);
    ck_assert_int_eq(ioctl(fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    ck_assert_int_eq(ioctl(fd, KVM_SET_SREGS, &sregs), 0);
    ck_assert_int_eq(ioctl(fd, KVM_SET_REGS, &regs), 0);
    MUST(START_IO);
    pthread_mutex_lock(&stuck.lock);
    while (!stuck.is_in)
        pthread_cond_wait(&stuck.changed, &stuck.lock);
    pthread_mutex_unlock(&stuck.lock);
    ck_assert(!kvm_machine_stop(io.machine, 20, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(vmmig_error_message(error), "vCPU 0 "));
    vmmig_error_free(error);
    pthread_mutex_lock(&stuck.lock);
    stuck.may_leave = true;
    pthread_cond_broadcast(&stuck.changed);
    pthread_mutex_unlock(&stuck.lock);
    MUST(STOP_IO);
    kvm_machine_free(io.machine);
    munmap(io.memory, 0x8000);
}
END_TEST

/* -- the dirty log ------------------------------------------------------- */

struct log {
    struct vm *vm;
    struct vmmig__ram_blocks *blocks;
    struct vmmig_block *ram, *system;
    struct kvm_dirty *dirty;
    const struct vmmig_dirty_source *ops;
    uint8_t *ram_copy, *system_copy;
};

static struct vmmig_block *add_block(struct log *log, const char *name,
                                     void *memory, uint64_t length_bytes)
{
    struct vmmig_block_config config = {
        .struct_size = sizeof config,
        .name = name,
        .host_address = memory,
        .length_bytes = length_bytes,
    };
    vmmig_error *error = NULL;
    struct vmmig_block *block =
        vmmig__ram_blocks_add(log->blocks, &config, &error);

    ck_assert_msg(block, "%s", vmmig_error_message(error));
    return block;
}

static void log_begin(struct log *log, struct vm *vm, uint32_t flags)
{
    const struct kvm_guest_config *config = &vm->config;
    vmmig_error *error = NULL;

    log->vm = vm;
    log->blocks = vmmig__ram_blocks_new(4096);
    log->ram = add_block(log, "ram", config->ram, config->ram_bytes);
    log->system =
        add_block(log, "system", config->system, config->system_bytes);
    log->dirty =
        kvm_dirty_new(kvm_machine_get_vm_fd(vm->machine), flags, &error);
    ck_assert_ptr_nonnull(log->dirty);
#define ADD_SLOTS(error_) \
    kvm_guest_add_slots(vm->guest, log->dirty, log->ram, log->system, error_)
    MUST(ADD_SLOTS);
    log->ops = kvm_dirty_get_ops(log->dirty);
    log->ram_copy = calloc(1, config->ram_bytes);
    log->system_copy = calloc(1, config->system_bytes);
}

static void log_end(struct log *log)
{
    kvm_dirty_free(log->dirty);
    vmmig__ram_blocks_free(log->blocks);
    free(log->ram_copy);
    free(log->system_copy);
}

static void collect(struct log *log)
{
#define COLLECT(error) log->ops->collect(log->dirty, error)
    MUST(COLLECT);
}

static uint64_t dirty_count(const struct vmmig_block *block)
{
    uint64_t count = 0, page;

    for (page = 0; page < block->page_count; page++)
        count += vmmig__bitmap_test(block->dirty, page);
    return count;
}

/* What a migration does in a round: takes what is dirty, protects, reads. */
static uint64_t copy_dirty(struct log *log, struct vmmig_block *block,
                           uint8_t *copy, bool everything)
{
    uint64_t page, count = 0;

    for (page = 0; page < block->page_count; page++) {
        uint64_t first = page & ~UINT64_C(63);
        uint64_t pages = block->page_count - first;

        if (!vmmig__bitmap_clear(block->dirty, page, 1) && !everything)
            continue;
#define PROTECT(error) \
    log->ops->protect(log->dirty, block, first, pages < 64 ? pages : 64, error)
        if (log->ops->protect)
            MUST(PROTECT);
        memcpy(copy + page * 4096, block->host + page * 4096, 4096);
        count++;
    }
    return count;
}

static uint64_t copy_round(struct log *log, bool everything)
{
    return copy_dirty(log, log->ram, log->ram_copy, everything) +
           copy_dirty(log, log->system, log->system_copy, everything);
}

START_TEST(the_dirty_log_loses_nothing)
{
    static const uint32_t flags[] = {0, KVM_DIRTY_NO_MANUAL_CLEAR};
    struct workload_config config = sweep();
    struct vm *vm;
    uint64_t again = 0;
    struct log log;
    int attempt, round;

    config.kind = _i / 2 ? WORKLOAD_ZIPF : WORKLOAD_SWEEP;
    vm = vm_new(34 * MIB, 2, 0, &config);
    log_begin(&log, vm, flags[_i % 2]);
    ck_assert_int_eq(log.ops->protect != NULL,
                     kvm_dirty_clears_manually(log.dirty));
    start(vm);
    WAIT_FOR(counters_of(vm).filled);
    for (attempt = 0; attempt < 3; attempt++) {
#define START_LOG(error) log.ops->start(log.dirty, error)
        MUST(START_LOG);
        if (attempt)
            collect(&log);
        copy_round(&log, true);
        for (round = 0; round < 6; round++) {
            rest(2 * MS);
            collect(&log);
            again += copy_round(&log, false);
        }
        stop(vm);
        collect(&log);
        copy_round(&log, false);
        ck_assert_int_eq(
            memcmp(log.ram_copy, vm->config.ram, vm->config.ram_bytes), 0);
        ck_assert_int_eq(
            memcmp(log.system_copy, vm->config.system, vm->config.system_bytes),
            0);
        log.ops->stop(log.dirty);
        start(vm);
    }
    stop(vm);
    ck_assert_uint_gt(again, 100);
    assert_well(vm);
    log_end(&log);
    vm_free(vm);
}
END_TEST

START_TEST(the_dirty_log_is_exact)
{
    struct workload_config config = sweep();
    struct vm *vm;
    struct log log;
    uint64_t page;

    config.span_bytes = MIB;
    vm = vm_new(34 * MIB, 1, 0, &config);
    log_begin(&log, vm, _i ? KVM_DIRTY_NO_MANUAL_CLEAR : 0);
    MUST(START_LOG);
    collect(&log);
    copy_round(&log, true);
    collect(&log);
    copy_round(&log, false);
    start(vm);
    WAIT_FOR(counters_of(vm).passes >= 2);
    stop(vm);
    collect(&log);
    ck_assert_uint_eq(dirty_count(log.ram), MIB / 4096);
    for (page = 0; page < MIB / 4096; page++)
        ck_assert(vmmig__bitmap_test(log.ram->dirty, page));
    /* Counters, entries, clock, stack. */
    ck_assert_uint_lt(dirty_count(log.system), 12);
    log.ops->stop(log.dirty);
    log_end(&log);
    vm_free(vm);
}
END_TEST

START_TEST(the_first_round_is_not_repeated)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(34 * MIB, 1, 0, &config);
    struct log log;
    int attempt;

    log_begin(&log, vm, _i ? KVM_DIRTY_NO_MANUAL_CLEAR : 0);
    for (attempt = 0; attempt < 2; attempt++) {
        MUST(START_LOG);
        copy_round(&log, true); /* as a migration does, without a collect() */
        collect(&log);
        ck_assert_uint_eq(dirty_count(log.ram), 0);
        ck_assert_uint_eq(dirty_count(log.system), 0);
        log.ops->stop(log.dirty);
    }
    log_end(&log);
    vm_free(vm);
}
END_TEST

START_TEST(what_is_given_back_is_reported_again)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(34 * MIB, 1, 0, &config);
    uint64_t words[3] = {1, 0, UINT64_C(1) << 63};
    struct log log;

    log_begin(&log, vm, _i ? KVM_DIRTY_NO_MANUAL_CLEAR : 0);
    MUST(START_LOG);
    collect(&log);
    copy_round(&log, true);
    collect(&log);
    ck_assert_uint_eq(dirty_count(log.ram), 0);
    log.ops->give_back(log.dirty, log.ram, 70, words, 192);
    log.ops->stop(log.dirty);
    ck_assert_uint_eq(dirty_count(log.ram), 0);

    MUST(START_LOG);
    collect(&log);
    ck_assert(vmmig__bitmap_test(log.ram->dirty, 70));
    ck_assert(vmmig__bitmap_test(log.ram->dirty, 70 + 191));
    copy_round(&log, true);
    collect(&log);
    ck_assert_uint_eq(dirty_count(log.ram), 0);
    log.ops->stop(log.dirty);
    log_end(&log);
    vm_free(vm);
}
END_TEST

START_TEST(a_write_between_report_and_protect_is_reported_again)
{
    struct workload_config config = sweep();
    struct vm *vm;
    struct log log;
    uint64_t checked;

    config.span_bytes = MIB;
    vm = vm_new(4 * MIB, 1, 0, &config);
    log_begin(&log, vm, 0);
    MUST(START_LOG);
    collect(&log);
    copy_round(&log, true);
    collect(&log);
    start(vm);
    WAIT_FOR(counters_of(vm).passes);
    stop(vm);
    copy_round(&log, true); /* protects, but these writes are unreported */
    collect(&log);
    ck_assert_uint_eq(dirty_count(log.ram), MIB / 4096);

    /* Reported, and written once more before it is protected. */
    checked = counters_of(vm).pages_checked;
    start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > checked + MIB / 4096);
    stop(vm);
    copy_round(&log, false);
    ck_assert_int_eq(memcmp(log.ram_copy, vm->config.ram, 4 * MIB), 0);
    log.ops->stop(log.dirty);
    log_end(&log);
    vm_free(vm);
}
END_TEST

START_TEST(impossible_guests_and_slots_are_refused)
{
    struct kvm_guest_config config = {
        .ram_bytes = 3 * MIB,
        .vcpu_count = 1,
        .serial = on_serial,
        .died = on_death,
    };
    struct workload_config workload = sweep();
    struct vm *vm;
    struct kvm_dirty *dirty;
    vmmig_error *error = NULL;

    ck_assert_ptr_null(kvm_guest_new(&config, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    vmmig_error_free(error);
    error = NULL;
    config.ram_bytes = 2 * MIB;
    ck_assert_ptr_null(kvm_guest_new(&config, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    vmmig_error_free(error);

    vm = vm_new(2 * MIB, 1, 0, &workload);
    error = NULL;
    dirty = kvm_dirty_new(kvm_machine_get_vm_fd(vm->machine), 0, &error);
    ck_assert(!kvm_dirty_add_slot(dirty, 0, 0, vm->config.ram, 4095, NULL, 0,
                                  &error));
    vmmig_error_free(error);
    error = NULL;
    ck_assert(!kvm_dirty_add_slot(dirty, 0, 0, vm->config.ram, 4096, NULL, 4096,
                                  &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    vmmig_error_free(error);
    error = NULL;
    /* A slot that KVM has at another place. */
#define ADD_WRONG(error_) \
    kvm_dirty_add_slot(dirty, 0, 0, vm->config.ram, 4 * MIB, NULL, 0, error_)
    MUST(ADD_WRONG);
    ck_assert(!kvm_dirty_get_ops(dirty)->start(dirty, &error));
    vmmig_error_free(error);
    kvm_dirty_free(dirty);
    vm_free(vm);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kvm");
    TCase *work = tcase_create("work"), *moves = tcase_create("moves");
    TCase *peer = tcase_create("peer"), *stops = tcase_create("stops");
    TCase *dirty = tcase_create("dirty");
    vmmig_error *error = NULL;
    SRunner *runner;
    int failed;

    if (!kvm_machine_probe(&error)) {
        printf("1..0 # SKIP no KVM: %s\n", vmmig_error_message(error));
        vmmig_error_free(error);
        return EXIT_SUCCESS;
    }

    tcase_set_timeout(work, 60);
    tcase_add_loop_test(work, the_guest_runs_and_verifies_its_memory, 0, 6);
    tcase_add_test(work, the_guest_finds_a_wrong_page);
    tcase_add_test(work, the_guest_finds_wrong_registers);
    tcase_add_test(work, memory_above_the_hole_is_worked_on);
    tcase_add_test(work, a_rate_is_kept);
    tcase_add_test(work, a_guest_that_dies_says_how);
    tcase_add_test(work, memory_that_is_gone_stops_one_vcpu_and_says_so);
    suite_add_tcase(suite, work);

    tcase_set_timeout(moves, 60);
    tcase_add_loop_test(moves, the_guest_goes_on_elsewhere_leg_after_leg, 0, 4);
    tcase_add_test(moves, a_guest_moves_in_the_middle_of_its_fill);
    tcase_add_test(moves, a_state_loads_again_into_a_machine_that_has_run);
    tcase_add_loop_test(moves, the_blackout_is_seen, 0, 2);
    tcase_add_test(moves, a_clock_may_stand_still_in_a_stop);
    suite_add_tcase(suite, moves);

    tcase_set_timeout(peer, 60);
    tcase_add_test(peer, a_missing_cpuid_bit_is_refused_by_name);
    tcase_add_test(peer, a_refused_msr_is_named);
    tcase_add_test(peer, another_tsc_frequency_is_had_or_refused);
    tcase_add_test(peer, missing_and_unknown_records_are_named);
    tcase_add_test(peer, a_state_cut_anywhere_is_refused);
    tcase_add_test(peer, interrupt_controllers_must_be_on_both_sides_or_none);
    tcase_add_test(peer, nothing_is_saved_from_a_running_machine);
    suite_add_tcase(suite, peer);

    tcase_set_timeout(stops, 60);
    tcase_add_loop_test(stops, a_busy_machine_stops_in_time, 0, 2);
    tcase_add_test(stops, no_io_is_lost_or_done_twice_by_a_stop);
    tcase_add_test(stops, a_callback_that_hangs_makes_the_stop_name_its_vcpu);
    suite_add_tcase(suite, stops);

    tcase_set_timeout(dirty, 60);
    tcase_add_loop_test(dirty, the_dirty_log_loses_nothing, 0, 4);
    tcase_add_loop_test(dirty, the_dirty_log_is_exact, 0, 2);
    tcase_add_loop_test(dirty, the_first_round_is_not_repeated, 0, 2);
    tcase_add_loop_test(dirty, what_is_given_back_is_reported_again, 0, 2);
    tcase_add_test(dirty, a_write_between_report_and_protect_is_reported_again);
    tcase_add_test(dirty, impossible_guests_and_slots_are_refused);
    suite_add_tcase(suite, dirty);

    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

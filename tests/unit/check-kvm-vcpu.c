/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a machine of KVM: it moves whole, and what a peer may send. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm-kit.h"

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
    vm_start(vm);
    for (leg = 0; leg < 50; leg++) {
        WAIT_FOR(counters_of(vm).pages_checked > checked || deaths_of(vm));
        rest((uint64_t)leg % 4 * MS);
        vm_stop(vm);
        vm = vm_move(vm);
        checked = counters_of(vm).pages_checked;
        vm_start(vm);
    }
    WAIT_FOR(counters_of(vm).pages_checked > checked + 1000);
    vm_stop(vm);
    assert_well(vm);
    ck_assert_uint_eq(vm_audit(vm), 0);
    vm_free(vm);
}
END_TEST

START_TEST(a_guest_moves_in_the_middle_of_its_fill)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new_filled(64 * MIB, 2, 0, &config, true);

    vm_start(vm);
    WAIT_FOR(counters_of(vm).filled_pages > 100);
    vm_stop(vm);
    vm = vm_move(vm);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes);
    vm_stop(vm);
    assert_well(vm);
    vm_free(vm);
}
END_TEST

START_TEST(a_state_loads_again_into_a_machine_that_has_run)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 2, 0, &config);
    uint8_t *ram = malloc(2 * MIB), *system = malloc(vm->config.system_bytes);
    struct vm_state state, again;
    uint64_t checked;

    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes);
    vm_stop(vm);
    state = vm_save(vm);
    checked = counters_of(vm).pages_checked;
    memcpy(ram, vm->config.ram, 2 * MIB);
    memcpy(system, vm->config.system, vm->config.system_bytes);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > checked + 5000);
    vm_stop(vm);

    memcpy(vm->config.ram, ram, 2 * MIB);
    memcpy(vm->config.system, system, vm->config.system_bytes);
    vm_load(vm, &state);
    again = vm_save(vm);
    assert_vcpus_equal(&state, &again, 2);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > checked + 5000);
    vm_stop(vm);
    assert_well(vm);
    vm_state_free(&state, 2);
    vm_state_free(&again, 2);
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
    vm_start(vm);
    WAIT_FOR(counters_of(vm).filled);
    rest(10 * MS);
    vm_stop(vm);
    before = counters_of(vm).blackout_ns;
    rest(200 * MS);
    vm = vm_move(vm);
    ck_assert_uint_eq(counters_of(vm).blackout_ns, before);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).blackout_ns > before);
    WAIT_FOR(counters_of(vm).blackout_ns >= 200 * MS);
    ck_assert_uint_lt(counters_of(vm).blackout_ns, 1200 * MS);
    vm_stop(vm);
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
    vm_start(vm);
    WAIT_FOR(counters_of(vm).filled);
    rest(10 * MS);
    vm_stop(vm);
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
    vm_stop(vm);
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
    struct vm_state state = vm_save(vm);
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
    vm_state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(a_refused_msr_is_named)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct vm_state state = vm_save(vm);
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
    vm_state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(another_tsc_frequency_is_had_or_refused)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct vm_state state = vm_save(vm);
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
    vm_state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(missing_and_unknown_records_are_named)
{
    static const char *const tags[] = {"CPID", "REGS", "XSAV", "MSRS",
                                       "EVNT", "LAPC", "MPST"};
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct vm_state state = vm_save(vm);
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
    vm_state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(a_state_cut_anywhere_is_refused)
{
    struct workload_config config = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &config);
    struct vm_state state = vm_save(vm);
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
    vm_state_free(&state, 1);
    vm_free(vm);
}
END_TEST

START_TEST(interrupt_controllers_must_be_on_both_sides_or_none)
{
    struct workload_config config = sweep();
    struct vm *with = vm_new(2 * MIB, 1, 0, &config);
    struct vm *without = vm_new(2 * MIB, 1, KVM_MACHINE_NO_IRQCHIP, &config);
    struct vm_state state = vm_save(with);
    vmmig_error *error = NULL;

    if (kvm_machine_has_irqchip(with->machine)) {
        ck_assert(!kvm_machine_load(without->machine, state.machine.data,
                                    state.machine.length, &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INCOMPATIBLE);
        vmmig_error_free(error);
        assert_refused(without, state.vcpus[0].data, state.vcpus[0].length,
                       "the kernel here has no ");
    }
    vm_state_free(&state, 1);
    state = vm_save(without);
    if (kvm_machine_has_irqchip(with->machine)) {
        error = NULL;
        ck_assert(!kvm_machine_load(with->machine, state.machine.data,
                                    state.machine.length, &error));
        ck_assert_ptr_nonnull(strstr(vmmig_error_message(error), "PIC1"));
        vmmig_error_free(error);
    }
    vm_state_free(&state, 1);
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

    vm_start(vm);
    ck_assert(!kvm_machine_save_vcpu(vm->machine, 0, &bytes, &length, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);
    vmmig_error_free(error);
    error = NULL;
    ck_assert(!kvm_machine_start(vm->machine, KVM_MACHINE_CLOCK_RAN, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);
    vmmig_error_free(error);
    vm_stop(vm);
    vm_stop(vm);
    vm_free(vm);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("kvm-vcpu");

    tcase_add_loop_test(tcase, the_guest_goes_on_elsewhere_leg_after_leg, 0, 4);
    tcase_add_test(tcase, a_guest_moves_in_the_middle_of_its_fill);
    tcase_add_test(tcase, a_state_loads_again_into_a_machine_that_has_run);
    tcase_add_loop_test(tcase, the_blackout_is_seen, 0, 2);
    tcase_add_test(tcase, a_clock_may_stand_still_in_a_stop);
    tcase_add_test(tcase, a_missing_cpuid_bit_is_refused_by_name);
    tcase_add_test(tcase, a_refused_msr_is_named);
    tcase_add_test(tcase, another_tsc_frequency_is_had_or_refused);
    tcase_add_test(tcase, missing_and_unknown_records_are_named);
    tcase_add_test(tcase, a_state_cut_anywhere_is_refused);
    tcase_add_test(tcase, interrupt_controllers_must_be_on_both_sides_or_none);
    tcase_add_test(tcase, nothing_is_saved_from_a_running_machine);
    return run_kvm_case("kvm-vcpu", tcase);
}

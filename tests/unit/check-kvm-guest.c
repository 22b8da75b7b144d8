/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest on vCPUs of KVM: it works, finds what is wrong, and says so. */
#include "config.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm-kit.h"

START_TEST(the_guest_runs_and_verifies_its_memory)
{
    struct workload_config config = sweep();
    struct vm *vm =
        vm_new_filled(16 * MIB, 1 + (uint32_t)_i / 2, 0, &config, _i % 2);

    ck_assert_int_eq(counters_of(vm).filled, _i % 2 == 0);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes >= 3 || deaths_of(vm));
    vm_stop(vm);
    assert_well(vm);
    ck_assert(has_said(vm, WORKLOAD_READY_LINE));
    ck_assert_uint_ge(counters_of(vm).pages_checked, 3 * 16 * MIB / 4096);
    ck_assert_uint_eq(vm_audit(vm), 0);
    vm_free(vm);
}
END_TEST

START_TEST(the_guest_finds_a_wrong_page)
{
    struct workload_config config = sweep();
    struct vm *vm;

    config.zero_percent = 0;
    vm = vm_new(4 * MIB, 2, 0, &config);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes >= 1);
    vm_stop(vm);
    ((uint8_t *)vm->config.ram)[0x123000] ^= 1;
    vm_start(vm);
    WAIT_FOR(counters_of(vm).errors);
    vm_stop(vm);
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

    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes >= 1);
    vm_stop(vm);
    fd = kvm_machine_get_vcpu_fd(vm->machine, 1);
    ck_assert_int_eq(ioctl(fd, KVM_GET_XSAVE, &area), 0);
    area.region[40 + 9 * 4] ^= 1; /* xmm9 */
    ck_assert_int_eq(ioctl(fd, KVM_SET_XSAVE, &area), 0);
    vm_start(vm);
    WAIT_FOR(counters_of(vm).errors);
    vm_stop(vm);
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
    vm_start(vm);
    for (page = hole_page; !above; page++) {
        const uint64_t *words = (const uint64_t *)vm->config.ram + page * 512;

        if (page == 2 * hole_page / 3 * 2)
            page = hole_page;
        above += __atomic_load_n(words, __ATOMIC_RELAXED) != 0;
        ck_assert_msg(!deaths_of(vm), "%s", vm->death);
    }
    vm_stop(vm);
    assert_well(vm);
    ck_assert_uint_eq(vm_audit(vm), 0);
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
    vm_start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > 100);
    checked = counters_of(vm).pages_checked;
    began = now_ns();
    rest(400 * MS);
    checked = counters_of(vm).pages_checked - checked;
    expected = (now_ns() - began) / 1000 * 8192 / 1000000;
    vm_stop(vm);
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
    vm_start(vm);
    WAIT_FOR(deaths_of(vm));
    vm_stop(vm);
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

    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes >= 1);
    ck_assert_int_eq(mprotect(vm->config.ram, 4 * MIB, PROT_NONE), 0);
    WAIT_FOR(deaths_of(vm));
    vm_stop(vm);
    ck_assert_ptr_nonnull(strstr(vm->death, "cannot be reached"));
    vm_free(vm);
}
END_TEST

START_TEST(impossible_guests_are_refused)
{
    static const uint64_t sizes[] = {3 * MIB, 2 * MIB};
    struct kvm_guest_config config = {.vcpu_count = 1};

    /* No number of large pages; no system area. */
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        vmmig_error *error = NULL;

        config.ram_bytes = sizes[i];
        ck_assert_ptr_null(kvm_guest_new(&config, &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
        vmmig_error_free(error);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("kvm-guest");

    tcase_add_loop_test(tcase, the_guest_runs_and_verifies_its_memory, 0, 6);
    tcase_add_test(tcase, the_guest_finds_a_wrong_page);
    tcase_add_test(tcase, the_guest_finds_wrong_registers);
    tcase_add_test(tcase, memory_above_the_hole_is_worked_on);
    tcase_add_test(tcase, a_rate_is_kept);
    tcase_add_test(tcase, a_guest_that_dies_says_how);
    tcase_add_test(tcase, memory_that_is_gone_stops_one_vcpu_and_says_so);
    tcase_add_test(tcase, impossible_guests_are_refused);
    return run_kvm_case("kvm-guest", tcase);
}

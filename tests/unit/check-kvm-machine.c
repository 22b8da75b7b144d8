/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine of KVM stops: whole, in time, and with no I/O half done. */
#include "config.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm-kit.h"

START_TEST(a_busy_machine_stops_in_time)
{
    struct workload_config config = sweep();
    uint32_t in_time = 0, i;
    struct vm *vm;

    config.rate_bytes_per_s = _i ? 64 * MIB : 0;
    vm = vm_new(4 * MIB, 2, 0, &config);
    for (i = 0; i < 100; i++) {
        uint64_t began;

        vm_start(vm);
        rest(i % 5 * MS);
        began = now_ns();
        vm_stop(vm);
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

int main(void)
{
    TCase *tcase = tcase_create("kvm-machine");

    tcase_add_loop_test(tcase, a_busy_machine_stops_in_time, 0, 2);
    tcase_add_test(tcase, no_io_is_lost_or_done_twice_by_a_stop);
    tcase_add_test(tcase, a_callback_that_hangs_makes_the_stop_name_its_vcpu);
    return run_kvm_case("kvm-machine", tcase);
}

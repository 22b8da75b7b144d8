/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* KVM's dirty log: it loses nothing, and says nothing twice. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "kvm-kit.h"
#include "ram/ram-blocks.h"

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
    vm_start(vm);
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
        vm_stop(vm);
        collect(&log);
        copy_round(&log, false);
        ck_assert_int_eq(
            memcmp(log.ram_copy, vm->config.ram, vm->config.ram_bytes), 0);
        ck_assert_int_eq(
            memcmp(log.system_copy, vm->config.system, vm->config.system_bytes),
            0);
        log.ops->stop(log.dirty);
        vm_start(vm);
    }
    vm_stop(vm);
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
    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes >= 2);
    vm_stop(vm);
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
    vm_start(vm);
    WAIT_FOR(counters_of(vm).passes);
    vm_stop(vm);
    copy_round(&log, true); /* protects, but these writes are unreported */
    collect(&log);
    ck_assert_uint_eq(dirty_count(log.ram), MIB / 4096);

    /* Reported, and written once more before it is protected. */
    checked = counters_of(vm).pages_checked;
    vm_start(vm);
    WAIT_FOR(counters_of(vm).pages_checked > checked + MIB / 4096);
    vm_stop(vm);
    copy_round(&log, false);
    ck_assert_int_eq(memcmp(log.ram_copy, vm->config.ram, 4 * MIB), 0);
    log.ops->stop(log.dirty);
    log_end(&log);
    vm_free(vm);
}
END_TEST

START_TEST(impossible_slots_are_refused)
{
    struct workload_config workload = sweep();
    struct vm *vm = vm_new(2 * MIB, 1, 0, &workload);
    vmmig_error *error = NULL;
    struct kvm_dirty *dirty =
        kvm_dirty_new(kvm_machine_get_vm_fd(vm->machine), 0, &error);

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
    TCase *tcase = tcase_create("kvm-dirty");

    tcase_add_loop_test(tcase, the_dirty_log_loses_nothing, 0, 4);
    tcase_add_loop_test(tcase, the_dirty_log_is_exact, 0, 2);
    tcase_add_loop_test(tcase, the_first_round_is_not_repeated, 0, 2);
    tcase_add_loop_test(tcase, what_is_given_back_is_reported_again, 0, 2);
    tcase_add_test(tcase, a_write_between_report_and_protect_is_reported_again);
    tcase_add_test(tcase, impossible_slots_are_refused);
    return run_kvm_case("kvm-dirty", tcase);
}

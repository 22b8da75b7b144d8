/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine `kvm`: the guest runs on vCPUs of the kernel, which also says
 * what they wrote. This file joins kvm-guest.c, which knows nothing of minivmm,
 * with the library.
 *
 * It moves as two blocks, RAM and the system area; a device with the interrupt
 * controllers, the timer and the clock; and the vCPUs.
 */
#include "machine.h"

#include <stdlib.h>

#include "failure.h"
#include "kvm-dirty.h"
#include "kvm-guest.h"
#include "kvm-machine.h"
#include "kvm-record.h"

#define SYSTEM_ID "system"
#define STATE_VERSION 1
/* Before the library's vCPUs: a local interrupt controller needs the others. */
#define STATE_PRIORITY 2000
#define STOP_TIMEOUT_MS 10000

/* Bytes that were read and are still to be applied. */
struct state {
    uint8_t *bytes;
    uint32_t length_bytes;
};

struct kvm_board {
    const struct guest_memory *ram;
    struct guest_memory system;
    char *ram_id;
    uint32_t vcpu_count;
    struct kvm_guest *guest;
    struct state loaded;
    struct serial *serial;
    void (*vcpu_failed)(void *data, const char *reason);
    void *data;
};

static struct kvm_machine *get_machine(const struct kvm_board *board)
{
    return kvm_guest_get_machine(board->guest);
}

/* On vCPU threads. */

static void emit(void *data, const char *text, size_t length_bytes)
{
    struct kvm_board *board = data;

    serial_write(board->serial, text, length_bytes);
}

static void died(void *data, uint32_t vcpu, const char *reason)
{
    struct kvm_board *board = data;
    char *words = g_strdup_printf("vCPU %u: %s", vcpu, reason);

    board->vcpu_failed(board->data, words);
    g_free(words);
}

/* Life */

static void kvm_free(void *data)
{
    struct kvm_board *board = data;

    if (!board)
        return;
    kvm_guest_free(board->guest);
    guest_memory_unmap(&board->system);
    g_free(board->loaded.bytes);
    g_free(board->ram_id);
    g_free(board);
}

static bool make_guest(struct kvm_board *board,
                       const struct machine_config *config, GError **error)
{
    struct workload_config work = *config->workload;
    struct kvm_guest_config guest = {
        .ram = config->ram->address,
        .ram_bytes = config->ram->length_bytes,
        .system = board->system.address,
        .system_bytes = board->system.length_bytes,
        .vcpu_count = config->vcpu_count,
        .workload = config->is_incoming ? NULL : &work,
        .serial = emit,
        .died = died,
        .data = board,
    };

    if (config->ram->has_content)
        work.flags |= WORKLOAD_KEEP;
    board->guest = kvm_guest_new(&guest, error);
    return board->guest != NULL;
}

static void *kvm_new(const struct machine_config *config, GError **error)
{
    uint64_t ram_bytes = config->ram->length_bytes;
    struct kvm_board *board;

    if (ram_bytes % KVM_GUEST_RAM_ALIGN_BYTES != 0 ||
        ram_bytes > KVM_GUEST_MAX_RAM_BYTES) {
        fail(error,
             "memory of the machine kvm is a multiple of 2 MiB and at most "
             "%" G_GUINT64_FORMAT " GiB, which %" G_GUINT64_FORMAT
             " bytes are not",
             KVM_GUEST_MAX_RAM_BYTES >> 30, ram_bytes);
        return NULL;
    }
    board = g_new0(struct kvm_board, 1);
    board->ram = config->ram;
    board->ram_id = g_strdup(config->ram_id);
    board->vcpu_count = config->vcpu_count;
    board->serial = config->serial;
    board->vcpu_failed = config->vcpu_failed;
    board->data = config->data;
    board->system = (struct guest_memory)GUEST_MEMORY_INIT;
    if (!guest_memory_map(&board->system, GUEST_MEMORY_MEMFD, SYSTEM_ID, NULL,
                          kvm_guest_system_bytes(ram_bytes, config->vcpu_count),
                          error) ||
        !make_guest(board, config, error)) {
        kvm_free(board);
        return NULL;
    }
    return board;
}

static bool kvm_start(void *data, GError **error)
{
    return kvm_machine_start(get_machine(data), KVM_MACHINE_CLOCK_RAN, error);
}

/* If one vCPU does not stop the others are let go on. */
static bool kvm_stop(void *data, GError **error)
{
    if (kvm_machine_stop(get_machine(data), STOP_TIMEOUT_MS, error))
        return true;
    kvm_machine_start(get_machine(data), KVM_MACHINE_CLOCK_RAN, NULL);
    return false;
}

static void kvm_get_counters(void *data, struct workload_counters *ret)
{
    struct kvm_board *board = data;

    workload_get_counters(kvm_guest_get_workload(board->guest), ret);
}

/* What moves. The strings of kvm-machine.c do not say how long they are, so
 * their length goes before them. */

static void put_state(struct vmmig_writer *out, const uint8_t *bytes,
                      size_t length_bytes)
{
    vmmig_writer_put_u32(out, (uint32_t)length_bytes);
    vmmig_writer_put_bytes(out, bytes, length_bytes);
}

static bool get_state(struct vmmig_reader *in, struct state *state,
                      GError **error)
{
    uint32_t length_bytes;
    uint8_t *bytes;

    if (!vmmig_reader_get_u32_up_to(in, KVM_RECORD_MAX_BYTES, &length_bytes,
                                    error))
        return false;
    bytes = g_malloc(length_bytes);
    if (!vmmig_reader_get_bytes(in, bytes, length_bytes, error)) {
        g_free(bytes);
        return false;
    }
    g_free(state->bytes);
    state->bytes = bytes;
    state->length_bytes = length_bytes;
    return true;
}

static bool save_state(void *data, struct vmmig_writer *out,
                       vmmig_error **error)
{
    uint8_t *bytes;
    size_t length_bytes;

    if (!kvm_machine_save(get_machine(data), &bytes, &length_bytes, error))
        return false;
    put_state(out, bytes, length_bytes);
    free(bytes);
    return true;
}

static bool load_state(void *data, struct vmmig_reader *in, uint32_t version,
                       vmmig_error **error)
{
    struct kvm_board *board = data;

    return get_state(in, &board->loaded, error);
}

static bool apply_state(void *data, uint32_t version, vmmig_error **error)
{
    struct kvm_board *board = data;
    const char *wrong = workload_check_ledger(
        kvm_guest_get_workload(board->guest), board->vcpu_count);

    if (wrong)
        return fail(error, "the guest's ledger: %s", wrong);
    return kvm_machine_load(get_machine(board), board->loaded.bytes,
                            board->loaded.length_bytes, error);
}

static const struct vmmig_device_ops state_ops = {
    .struct_size = sizeof state_ops,
    .save_state = save_state,
    .load = load_state,
    .post_load = apply_state,
};

static bool kvm_save_vcpu(void *data, uint32_t vcpu, struct vmmig_writer *out,
                          GError **error)
{
    uint8_t *bytes;
    size_t length_bytes;

    if (!kvm_machine_save_vcpu(get_machine(data), vcpu, &bytes, &length_bytes,
                               error))
        return false;
    put_state(out, bytes, length_bytes);
    free(bytes);
    return true;
}

static bool kvm_load_vcpu(void *data, uint32_t vcpu, struct vmmig_reader *in,
                          uint32_t version, GError **error)
{
    struct state state = {NULL, 0};
    bool good;

    if (version != STATE_VERSION)
        return fail(error, "vCPU %u: its state has version %u, not %d", vcpu,
                    version, STATE_VERSION);
    good = get_state(in, &state, error) &&
           kvm_machine_load_vcpu(get_machine(data), vcpu, state.bytes,
                                 state.length_bytes, error);
    g_free(state.bytes);
    return good;
}

static bool kvm_attach(void *data, struct vmmig_machine *vmmig, GError **error)
{
    struct kvm_board *board = data;
    struct vmmig_block_config ram = guest_memory_describe(board->ram);
    struct vmmig_block_config system = guest_memory_describe(&board->system);
    struct vmmig_device_config device = {
        .struct_size = sizeof device,
        .name = "minivmm-kvm",
        .version = STATE_VERSION,
        .minimum_version = STATE_VERSION,
        .priority = STATE_PRIORITY,
        .ops = &state_ops,
        .data = board,
    };
    struct vmmig_block *ram_block, *system_block = NULL;
    struct kvm_dirty *dirty;

    ram.name = board->ram_id;
    system.name = SYSTEM_ID;
    ram_block = vmmig_machine_add_block(vmmig, &ram, error);
    if (ram_block)
        system_block = vmmig_machine_add_block(vmmig, &system, error);
    if (!system_block || !vmmig_machine_add_device(vmmig, &device, error))
        return false;
    dirty = kvm_dirty_new(kvm_machine_get_vm_fd(get_machine(board)), 0, error);
    if (!dirty)
        return false;
    if (!kvm_guest_add_slots(board->guest, dirty, ram_block, system_block,
                             error)) {
        kvm_dirty_free(dirty);
        return false;
    }
    return vmmig_machine_add_dirty_source(vmmig, kvm_dirty_get_ops(dirty),
                                          dirty, kvm_dirty_free, error);
}

static const struct machine_ops machine_kvm = {
    .name = "minivmm-kvm",
    .vcpu_version = STATE_VERSION,
    .new = kvm_new,
    .free = kvm_free,
    .attach = kvm_attach,
    .start = kvm_start,
    .stop = kvm_stop,
    .get_counters = kvm_get_counters,
    .save_vcpu = kvm_save_vcpu,
    .load_vcpu = kvm_load_vcpu,
};

const struct machine_ops *machine_find_kvm(GError **error)
{
    return kvm_machine_probe(error) ? &machine_kvm : NULL;
}

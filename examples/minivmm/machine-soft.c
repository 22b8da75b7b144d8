/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine `soft`: vCPUs are threads that work on plain memory and mark what
 * they write, so it needs no privileges and no hardware.
 *
 * It moves as two blocks, RAM and the ledger that has everything the workers
 * know, and one device with the number of workers and the clock.
 */
#include "machine.h"

#include "failure.h"
#include "machine-clock.h"
#include "workers.h"

#define LEDGER_ID "ledger"

/* What the device's layout describes; filled at each stop. */
struct soft_state {
    uint32_t worker_count;
    struct machine_clock_state clock;
};

struct soft_machine {
    const struct guest_memory *ram;
    struct guest_memory ledger;
    uint32_t worker_count;
    char *ram_id;
    struct machine_clock clock;
    struct workers *workers;
    struct soft_state state;
    struct vmmig_block *ram_block, *ledger_block; /* set once, by attach */
};

static void mark_written(void *data, uint32_t area, uint64_t offset_bytes,
                         uint64_t length_bytes)
{
    struct soft_machine *machine = data;
    struct vmmig_block *block =
        area == WORKLOAD_RAM ? machine->ram_block : machine->ledger_block;

    /* What is prepared before there is a block counts as written anyway. */
    if (block)
        vmmig_block_mark_dirty(block, offset_bytes, length_bytes);
}

static void prepare_work(struct soft_machine *machine,
                         const struct machine_config *config)
{
    struct workload_config work = *config->workload;

    if (config->ram->has_content)
        work.flags |= WORKLOAD_KEEP;
    workload_prepare(workers_get_workload(machine->workers), &work);
}

static void soft_free(void *data)
{
    struct soft_machine *machine = data;

    if (!machine)
        return;
    workers_free(machine->workers);
    guest_memory_unmap(&machine->ledger);
    g_free(machine->ram_id);
    g_free(machine);
}

static void *soft_new(const struct machine_config *config, GError **error)
{
    struct soft_machine *machine = g_new0(struct soft_machine, 1);
    struct workers_config workers;

    machine->ram = config->ram;
    machine->ledger = (struct guest_memory)GUEST_MEMORY_INIT;
    machine->ram_id = g_strdup(config->ram_id);
    machine->worker_count = config->vcpu_count;
    machine_clock_init(&machine->clock);
    if (!guest_memory_map(&machine->ledger, GUEST_MEMORY_MEMFD, LEDGER_ID, NULL,
                          workload_ledger_bytes(config->ram->length_bytes),
                          error)) {
        soft_free(machine);
        return NULL;
    }
    workers = (struct workers_config){
        .ram = config->ram->address,
        .ram_bytes = config->ram->length_bytes,
        .ledger = machine->ledger.address,
        .ledger_bytes = machine->ledger.length_bytes,
        .count = config->vcpu_count,
        .serial = config->serial,
        .clock = &machine->clock,
        .mark_written = mark_written,
        .data = machine,
    };
    machine->workers = workers_new(&workers);
    if (!config->is_incoming)
        prepare_work(machine, config);
    return machine;
}

static bool soft_start(void *data, GError **error)
{
    struct soft_machine *machine = data;

    return workers_start(machine->workers, error);
}

static bool soft_stop(void *data, GError **error)
{
    struct soft_machine *machine = data;

    workers_stop(machine->workers);
    machine->state.worker_count = machine->worker_count;
    machine_clock_save(&machine->clock, &machine->state.clock);
    return true;
}

static void soft_get_counters(void *data, struct workload_counters *ret)
{
    struct soft_machine *machine = data;

    workload_get_counters(workers_get_workload(machine->workers), ret);
}

/* Workers mark by themselves what they write. */
static bool collect(void *source, vmmig_error **error)
{
    return true;
}

static const struct vmmig_dirty_source marked_by_workers = {
    .struct_size = sizeof marked_by_workers,
    .collect = collect,
};

static bool soft_post_load(void *data, uint32_t version, vmmig_error **error)
{
    struct soft_state *state = data;
    struct soft_machine *machine =
        (struct soft_machine *)((char *)state -
                                offsetof(struct soft_machine, state));
    const char *wrong;

    if (state->worker_count != machine->worker_count)
        return fail(error, "the guest has %u vCPUs and this machine %u",
                    state->worker_count, machine->worker_count);
    wrong = workload_check_ledger(workers_get_workload(machine->workers),
                                  machine->worker_count);
    if (wrong)
        return fail(error, "the guest's ledger: %s", wrong);
    machine_clock_load(&machine->clock, &state->clock);
    return true;
}

static const struct vmmig_device_ops soft_device_ops = {
    .struct_size = sizeof soft_device_ops,
    .post_load = soft_post_load,
};

static const struct vmmig_field clock_fields[] = {
    VMMIG_FIELD(VMMIG_U64, struct machine_clock_state, clock_ns),
    VMMIG_FIELD(VMMIG_U64, struct machine_clock_state, realtime_ns),
};
static const struct vmmig_layout clock_layout =
    VMMIG_LAYOUT(1, 1, clock_fields);

static const struct vmmig_field state_fields[] = {
    VMMIG_FIELD(VMMIG_U32, struct soft_state, worker_count),
    VMMIG_FIELD_STRUCT(struct soft_state, clock, &clock_layout),
};
static const struct vmmig_layout state_layout =
    VMMIG_LAYOUT(1, 1, state_fields);

static bool soft_attach(void *data, struct vmmig_machine *vmmig, GError **error)
{
    struct soft_machine *machine = data;
    struct vmmig_block_config ram = guest_memory_describe(machine->ram);
    struct vmmig_block_config ledger = guest_memory_describe(&machine->ledger);
    struct vmmig_device_config device = {
        .struct_size = sizeof device,
        .name = "minivmm-soft",
        .ops = &soft_device_ops,
        .layout = &state_layout,
        .data = &machine->state,
    };

    ram.name = machine->ram_id;
    ledger.name = LEDGER_ID;
    machine->ram_block = vmmig_machine_add_block(vmmig, &ram, error);
    if (!machine->ram_block)
        return false;
    machine->ledger_block = vmmig_machine_add_block(vmmig, &ledger, error);
    return machine->ledger_block &&
           vmmig_machine_add_device(vmmig, &device, error) &&
           vmmig_machine_add_dirty_source(vmmig, &marked_by_workers, NULL, NULL,
                                          error);
}

const struct machine_ops machine_soft = {
    .name = "minivmm-soft",
    .new = soft_new,
    .free = soft_free,
    .attach = soft_attach,
    .start = soft_start,
    .stop = soft_stop,
    .get_counters = soft_get_counters,
};

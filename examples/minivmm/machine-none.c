/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine `none`: it sends and expects exactly the sections of QEMU's
 * `-M none`, so that it can be the other side of a QEMU. RAM is one block; of
 * the sections the library knows `ram` and `globalstate`, and this file the
 * rest: `timer`, and those that --opaque names.
 *
 * It has no vCPUs. Given a workload, threads write the memory all the same, and
 * stand still when the guest does. Their ledger stays here: a QEMU would not
 * know the block.
 */
#include "machine.h"

#include <string.h>

#include "command-line.h"
#include "machine-clock.h"
#include "workers.h"

/* QEMU's clocks of a machine, zero if it never ran: the tick counter and the
 * virtual clock, both as of the stop. */
struct timer_state {
    int64_t ticks;
    int64_t clock_offset_ns;
};

struct none_machine;

/* A section whose bytes mean nothing to us. */
struct opaque_device {
    const struct opaque_section *section;
    uint8_t *bytes; /* zeros until some arrive */
};

struct none_machine {
    const struct guest_memory *ram;
    struct guest_memory ledger;
    char *ram_id;
    struct machine_clock clock;
    struct workers *workers; /* NULL: nobody writes */
    struct timer_state timer;
    struct opaque_device *opaque;
    unsigned int opaque_count;
    struct vmmig_block *ram_block; /* set once, by attach */
};

static void mark_written(void *data, uint32_t area, uint64_t offset_bytes,
                         uint64_t length_bytes)
{
    struct none_machine *machine = data;

    /* What is prepared before there is a block counts as written anyway. */
    if (area == WORKLOAD_RAM && machine->ram_block)
        vmmig_block_mark_dirty(machine->ram_block, offset_bytes, length_bytes);
}

static bool make_workers(struct none_machine *machine,
                         const struct machine_config *config, GError **error)
{
    struct workload_config work = *config->workload;
    struct workers_config workers;

    if (!guest_memory_map(&machine->ledger, GUEST_MEMORY_ANON, "ledger", NULL,
                          workload_ledger_bytes(config->ram->length_bytes),
                          error))
        return false;
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
    /* What arrives is content as well. */
    if (config->is_incoming || config->ram->has_content)
        work.flags |= WORKLOAD_KEEP;
    workload_prepare(workers_get_workload(machine->workers), &work);
    return true;
}

static void none_free(void *data)
{
    struct none_machine *machine = data;
    unsigned int i;

    if (!machine)
        return;
    workers_free(machine->workers);
    guest_memory_unmap(&machine->ledger);
    for (i = 0; i < machine->opaque_count; i++)
        g_free(machine->opaque[i].bytes);
    g_free(machine->opaque);
    g_free(machine->ram_id);
    g_free(machine);
}

static void *none_new(const struct machine_config *config, GError **error)
{
    struct none_machine *machine = g_new0(struct none_machine, 1);
    unsigned int i;

    machine->ram = config->ram;
    machine->ledger = (struct guest_memory)GUEST_MEMORY_INIT;
    machine->ram_id = g_strdup(config->ram_id);
    machine_clock_init(&machine->clock);
    machine->opaque_count = config->opaque->len;
    machine->opaque = g_new0(struct opaque_device, config->opaque->len);
    for (i = 0; i < machine->opaque_count; i++) {
        const struct opaque_section *section =
            g_ptr_array_index(config->opaque, i);

        machine->opaque[i].section = section;
        machine->opaque[i].bytes = g_malloc0(section->length_bytes);
    }
    if (config->workload && !make_workers(machine, config, error)) {
        none_free(machine);
        return NULL;
    }
    return machine;
}

static bool none_start(void *data, GError **error)
{
    struct none_machine *machine = data;

    return !machine->workers || workers_start(machine->workers, error);
}

static bool none_stop(void *data, GError **error)
{
    struct none_machine *machine = data;

    if (machine->workers)
        workers_stop(machine->workers);
    machine->timer.clock_offset_ns =
        (int64_t)machine_clock_now_ns(&machine->clock);
    machine->timer.ticks = machine->timer.clock_offset_ns;
    return true;
}

static void none_get_counters(void *data, struct workload_counters *ret)
{
    struct none_machine *machine = data;

    memset(ret, 0, sizeof *ret);
    if (machine->workers)
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

static bool opaque_save(void *data, struct vmmig_writer *out,
                        vmmig_error **error)
{
    struct opaque_device *device = data;

    vmmig_writer_put_bytes(out, device->bytes, device->section->length_bytes);
    return true;
}

static bool opaque_load(void *data, struct vmmig_reader *in, uint32_t version,
                        vmmig_error **error)
{
    struct opaque_device *device = data;

    return vmmig_reader_get_bytes(in, device->bytes,
                                  device->section->length_bytes, error);
}

static const struct vmmig_device_ops opaque_ops = {
    .struct_size = sizeof opaque_ops,
    .save_state = opaque_save,
    .load = opaque_load,
};

static bool attach_opaque(struct none_machine *machine,
                          struct vmmig_machine *vmmig, GError **error)
{
    unsigned int i;

    for (i = 0; i < machine->opaque_count; i++) {
        const struct opaque_section *section = machine->opaque[i].section;
        struct vmmig_device_config device = {
            .struct_size = sizeof device,
            .name = section->name,
            .instance_id = section->instance_id,
            .version = section->version,
            .minimum_version = section->version,
            .ops = &opaque_ops,
            .data = &machine->opaque[i],
        };

        if (!vmmig_machine_add_device(vmmig, &device, error))
            return false;
    }
    return true;
}

static const struct vmmig_field timer_fields[] = {
    VMMIG_FIELD(VMMIG_I64, struct timer_state, ticks),
    VMMIG_FIELD_UNUSED(8),
    VMMIG_FIELD_SINCE(2, VMMIG_I64, struct timer_state, clock_offset_ns),
};
static const struct vmmig_layout timer_layout =
    VMMIG_LAYOUT(2, 1, timer_fields);

static bool none_attach(void *data, struct vmmig_machine *vmmig, GError **error)
{
    struct none_machine *machine = data;
    struct vmmig_block_config ram = guest_memory_describe(machine->ram);
    struct vmmig_device_config timer = {
        .struct_size = sizeof timer,
        .name = "timer",
        .layout = &timer_layout,
        .data = &machine->timer,
    };

    ram.name = machine->ram_id;
    machine->ram_block = vmmig_machine_add_block(vmmig, &ram, error);
    return machine->ram_block &&
           vmmig_machine_add_device(vmmig, &timer, error) &&
           attach_opaque(machine, vmmig, error) &&
           vmmig_machine_add_dirty_source(vmmig, &marked_by_workers, NULL, NULL,
                                          error);
}

const struct machine_ops machine_none = {
    .name = "none",
    .new = none_new,
    .free = none_free,
    .attach = none_attach,
    .start = none_start,
    .stop = none_stop,
    .get_counters = none_get_counters,
};

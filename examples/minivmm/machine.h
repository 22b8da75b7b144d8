/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kinds of machine behind one interface. A machine has the guest's vCPUs,
 * or what stands for them, and registers with the library what is to be moved.
 *
 * Whose thread: vm.c calls these functions one at a time, but for get_counters,
 * which may be called by any thread while there is a guest, and save_vcpu and
 * load_vcpu, which are called for several vCPUs at once while it stands still.
 * What a machine registers with the library is called by the library's threads.
 */
#ifndef MINIVMM_MACHINE_H
#define MINIVMM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <vmmigrate/vmmigrate.h>

#include "guest-memory.h"
#include "serial.h"
#include "workload.h"

struct machine_config {
    const struct guest_memory *ram;
    const char *ram_id;
    uint32_t vcpu_count;
    /* A guest arrives: there is nothing to prepare. */
    bool is_incoming;
    /* What a new guest does; NULL: the machine's own idea. */
    const struct workload_config *workload;
    const GPtrArray *opaque; /* of struct opaque_section */
    struct serial *serial;
    /* A vCPU will not run any more; on its thread. */
    void (*vcpu_failed)(void *data, const char *reason);
    void *data;
};

struct machine_ops {
    /* Of the machine, as both sides of a migration must have it. */
    const char *name;
    uint32_t vcpu_version;
    /* `config` is valid during the call, what it points to longer. */
    void *(*new)(const struct machine_config *config, GError **error);
    /* Not while the library can still call. NULL is fine. */
    void (*free)(void *machine);
    /* Registers memory, devices and where dirty pages come from. */
    bool (*attach)(void *machine, struct vmmig_machine *vmmig, GError **error);
    bool (*start)(void *machine, GError **error);
    /* Once this returned true nothing writes guest memory. */
    bool (*stop)(void *machine, GError **error);
    void (*get_counters)(void *machine, struct workload_counters *ret);
    /* NULL: vCPUs are devices like others, or there are none. */
    bool (*save_vcpu)(void *machine, uint32_t vcpu, struct vmmig_writer *out,
                      GError **error);
    bool (*load_vcpu)(void *machine, uint32_t vcpu, struct vmmig_reader *in,
                      uint32_t version, GError **error);
};

extern const struct machine_ops machine_soft;
extern const struct machine_ops machine_none;

/* NULL where there is none, and *error says why. */
const struct machine_ops *machine_find_kvm(GError **error);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtual machine as a whole: a machine, the library's view of it, and the
 * state it runs in. Here alone the guest is stopped and started, whoever asks:
 * the library on its host thread, commands on the QMP thread.
 */
#ifndef MINIVMM_VM_H
#define MINIVMM_VM_H

#include <stdbool.h>

#include <glib.h>
#include <vmmigrate/vmmigrate.h>

#include "machine.h"

struct vm;

/* QEMU's run states. */
enum run_state {
    RUN_STATE_PRELAUNCH, /* made, and never started */
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,
    RUN_STATE_INMIGRATE,      /* the guest has not arrived yet */
    RUN_STATE_FINISH_MIGRATE, /* stopped by a migration that goes on */
    RUN_STATE_POSTMIGRATE,    /* it has left */
};

struct vm_config {
    const struct machine_ops *ops;
    struct machine_config machine;
    const char *uuid;     /* NULL: none */
    const char *settings; /* NULL, or as for vmmig_options_parse() */
    bool paused;          /* a guest that arrives waits for vm_cont() */
    /* A QMP event; `json` is an object or NULL. Any thread; must not call the
     * vm. */
    void (*emit)(void *data, const char *event, const char *json);
    void *data;
};

/* With an error of code VMMIG_ERROR_INVALID the settings were wrong. */
struct vm *vm_new(const struct vm_config *config, GError **error);

/*
 * Ends the migration that runs. Once this returned true the library calls
 * nobody any more; false if one of its threads would not end: then nothing of
 * the vm may be freed, and the process should exit.
 */
bool vm_close(struct vm *vm, GError **error);

/* After vm_close(): stops the guest and frees everything. NULL is fine. */
void vm_free(struct vm *vm);

/* The library's machine, valid as long as the vm. */
struct vmmig_machine *vm_get_vmmig(struct vm *vm);

/* Any thread; never waits. */
enum run_state vm_get_run_state(struct vm *vm);
const char *vm_run_state_name(enum run_state state);

/* What kind of machine it is, in one word. */
const char *vm_get_machine_name(struct vm *vm);

/* Zeros until there is a guest. Any thread; never waits. */
void vm_get_counters(struct vm *vm, struct workload_counters *ret_counters);

/*
 * QMP's stop and cont. Any thread but callbacks of the library; wait for no
 * more than a stop or start of vCPUs that is under way. Before a guest has
 * arrived they say whether it is to be started then.
 */
bool vm_stop(struct vm *vm, GError **error);
bool vm_cont(struct vm *vm, GError **error);

/* Whether a migration may start: the guest is here, and this is its place. */
bool vm_check_outgoing(struct vm *vm, GError **error);
bool vm_check_incoming(struct vm *vm, GError **error);

#endif

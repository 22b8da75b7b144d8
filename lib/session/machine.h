/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine: what can be moved. Memory, devices and options are registered with
 * it, and its sessions move it one at a time.
 */
#ifndef VMMIG_SESSION_MACHINE_H
#define VMMIG_SESSION_MACHINE_H

#include <vmmigrate/events.h>

#include "device/device-registry.h"
#include "host/host-call.h"
#include "ram/dirty-log.h"
#include "ram/ram-blocks.h"
#include "session/globalstate.h"
#include "session/options.h"

struct vmmig_machine {
    gatomicrefcount references;
    struct vmmig__host host;
    struct vmmig_options *options;

    /* Registered while no session runs, read by the session that runs. */
    struct vmmig__ram_blocks *blocks;
    struct vmmig__dirty_sources *sources;
    struct vmmig__devices *devices;
    struct vmmig_device *ram_device; /* its data is set by each session */
    struct vmmig__globalstate globalstate;

    struct vmmig__mutex lock;
    struct vmmig__cond idle;       /* lock; a session has ended, or closed */
    struct vmmig_session *session; /* lock; the running or the last one */
    bool running;                  /* lock; `session` has not ended */
    uint32_t threads;              /* lock; sessions whose thread goes on */
    bool closed;                   /* lock */
    bool tracks_writes;            /* lock */
    GPtrArray *listeners;          /* lock; of struct listener (events.c) */
    GPtrArray *blockers;           /* lock; of struct blocker (machine.c) */
    uint64_t last_id;              /* lock; of a listener or a blocker */
    uint64_t last_event;           /* number; the lock of the session that runs,
                                      which the next one takes over under `lock` */
};

/*
 * vmmig__machine_take_session:
 *
 * Makes @session the machine's running session, unless the machine is closed, a
 * blocker forbids it or another session runs.
 */
bool vmmig__machine_take_session(struct vmmig_machine *machine,
                                 struct vmmig_session *session,
                                 vmmig_error **error)
    __attribute__((warn_unused_result));

/* Its thread has been joined: the machine may be closed. */
void vmmig__machine_thread_ended(struct vmmig_machine *machine);

/* False with STATE, naming @what, inside a callback and on the host thread. */
bool vmmig__machine_may_wait(struct vmmig_machine *machine, const char *what,
                             vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__machine_wait:
 * @is_done: called under @lock
 *
 * Waits on @cond until @is_done; on a host thread of the host's own it serves
 * the queue meanwhile, so @is_done must become true by a queued call. Whether it
 * did before @deadline_us.
 */
bool vmmig__machine_wait(struct vmmig_machine *machine,
                         struct vmmig__mutex *lock, struct vmmig__cond *cond,
                         bool (*is_done)(void *data), void *data,
                         uint64_t deadline_us)
    __attribute__((warn_unused_result));

#endif

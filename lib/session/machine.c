/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machines: registration, blockers, life and end. Any thread; what is registered
 * changes under the machine's lock and only while no session runs.
 */
#include "session/machine.h"

#include <string.h>

#include <vmmigrate/glib.h>

#include "base/clock.h"
#include "base/struct-copy.h"
#include "ram/ram.h"
#include "ram/write-tracking.h"
#include "session/events.h"
#include "session/session.h"
#include "session/vcpus.h"
#include "wire/format.h"

struct blocker {
    uint64_t id;
    char *reason;
};

static void blocker_free(gpointer data)
{
    struct blocker *blocker = data;

    g_free(blocker->reason);
    g_free(blocker);
}

/* RAM, vCPUs and globalstate: rows of the registry like any other. */
static bool add_own_devices(struct vmmig_machine *machine, vmmig_error **error)
{
    struct vmmig_device_config ram = {
        .struct_size = sizeof ram,
        .name = "ram",
        .version = VMMIG__RAM_SECTION_VERSION,
        .minimum_version = VMMIG__RAM_SECTION_VERSION,
        .ops = &vmmig__ram_ops,
    };
    struct vmmig_device_config state =
        vmmig__globalstate_config(&machine->globalstate);

    machine->ram_device = vmmig__devices_add(machine->devices, &ram, error);
    return machine->ram_device &&
           vmmig__vcpus_add(machine->devices, &machine->host, error) &&
           vmmig__devices_add(machine->devices, &state, error);
}

struct vmmig_machine *vmmig_machine_new(const struct vmmig_host *host,
                                        void *data, vmmig_free_fn free_data,
                                        vmmig_error **error)
{
    struct vmmig_machine *machine = g_new0(struct vmmig_machine, 1);

    if (!vmmig__host_init(&machine->host, host, data, free_data, error)) {
        g_free(machine);
        return NULL;
    }
    g_atomic_ref_count_init(&machine->references);
    vmmig__mutex_init(&machine->lock, VMMIG__RANK_MACHINE, "machine");
    vmmig__cond_init(&machine->idle);
    machine->options = vmmig__options_new();
    machine->blocks = vmmig__ram_blocks_new(machine->host.table.page_bytes);
    machine->sources = vmmig__dirty_sources_new();
    machine->devices = vmmig__devices_new();
    machine->listeners = g_ptr_array_new();
    machine->blockers = g_ptr_array_new_with_free_func(blocker_free);
    if (add_own_devices(machine, error))
        return machine;
    return vmmig_machine_unref(machine);
}

bool vmmig_machine_attach_poll(struct vmmig_machine *machine, int32_t *ret_fd,
                               vmmig_error **error)
{
    int fd;

    if (!vmmig__host_queue_attach(machine->host.queue, NULL, 0, &fd, error))
        return false;
    *ret_fd = fd;
    return true;
}

bool vmmig_machine_dispatch(struct vmmig_machine *machine, vmmig_error **error)
{
    return vmmig__host_queue_dispatch(machine->host.queue, error);
}

bool vmmig_machine_attach_context(struct vmmig_machine *machine,
                                  struct _GMainContext *context,
                                  int32_t priority, vmmig_error **error)
{
    return vmmig__host_queue_attach(machine->host.queue,
                                    context ? context
                                            : g_main_context_default(),
                                    priority, NULL, error);
}

struct vmmig_machine *vmmig_machine_ref(struct vmmig_machine *machine)
{
    if (machine)
        g_atomic_ref_count_inc(&machine->references);
    return machine;
}

struct vmmig_machine *vmmig_machine_unref(struct vmmig_machine *machine)
{
    if (!machine || !g_atomic_ref_count_dec(&machine->references))
        return NULL;
    /* No session has a reference to the machine, so nobody has one to a
     * session: the last one is ours to free. */
    if (machine->session)
        vmmig__session_destroy(machine->session);
    vmmig__listeners_free(machine);
    g_ptr_array_free(machine->blockers, TRUE);
    vmmig__devices_free(machine->devices);
    vmmig__dirty_sources_free(machine->sources);
    vmmig__ram_blocks_free(machine->blocks);
    vmmig__options_free(machine->options);
    vmmig__cond_destroy(&machine->idle);
    vmmig__mutex_destroy(&machine->lock);
    vmmig__host_destroy(&machine->host);
    g_free(machine);
    return NULL;
}

/* Whether registrations may change: not while a session uses them. */
static bool check_idle(struct vmmig_machine *machine, vmmig_error **error)
    VMMIG_REQUIRES(machine->lock)
{
    if (!machine->running)
        return true;
    return vmmig__fail(
        error, VMMIG_ERROR_BLOCKED,
        "not while a migration runs (status %s)",
        vmmig_status_name(vmmig_session_get_status(machine->session)));
}

struct vmmig_block *
vmmig_machine_add_block(struct vmmig_machine *machine,
                        const struct vmmig_block_config *theirs,
                        vmmig_error **error)
{
    struct vmmig_block *block = NULL;
    struct vmmig_block_config config;

    if (!vmmig__copy_struct(&config, sizeof config, theirs,
                            "vmmig_block_config", error))
        return NULL;
    vmmig__mutex_lock(&machine->lock);
    if (check_idle(machine, error))
        block = vmmig__ram_blocks_add(machine->blocks, &config, error);
    vmmig__mutex_unlock(&machine->lock);
    return block;
}

bool vmmig_machine_remove_block(struct vmmig_machine *machine,
                                struct vmmig_block *block, vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&machine->lock);
    ok = check_idle(machine, error);
    if (ok)
        vmmig__ram_blocks_remove(machine->blocks, block);
    vmmig__mutex_unlock(&machine->lock);
    return ok;
}

void vmmig_machine_mark_dirty(struct vmmig_machine *machine,
                              const void *host_address, uint64_t length_bytes)
{
    vmmig__ram_mark_dirty(machine->blocks, host_address, length_bytes);
}

bool vmmig_machine_add_dirty_source(struct vmmig_machine *machine,
                                    const struct vmmig_dirty_source *theirs,
                                    void *source, vmmig_free_fn free_source,
                                    vmmig_error **error)
{
    struct vmmig_dirty_source ops;
    bool ok;

    if (!vmmig__copy_struct(&ops, sizeof ops, theirs, "vmmig_dirty_source",
                            error)) {
        if (free_source)
            free_source(source);
        return false;
    }
    vmmig__mutex_lock(&machine->lock);
    ok = check_idle(machine, error) &&
         vmmig__dirty_sources_add(machine->sources, &ops, source, free_source,
                                  error);
    vmmig__mutex_unlock(&machine->lock);
    /* Not under our lock: it is the host's code. */
    if (!ok && free_source)
        free_source(source);
    return ok;
}

bool vmmig_machine_track_writes(struct vmmig_machine *machine,
                                vmmig_error **error)
{
    struct vmmig__write_tracking *tracking;
    bool ok;

    vmmig__mutex_lock(&machine->lock);
    ok = machine->tracks_writes || check_idle(machine, error);
    if (ok && !machine->tracks_writes) {
        tracking = vmmig__write_tracking_new(machine->blocks, error);
        ok = tracking && vmmig__dirty_sources_add(
                             machine->sources, &vmmig__write_tracking_ops,
                             tracking, vmmig__write_tracking_free, error);
        machine->tracks_writes = ok;
    }
    vmmig__mutex_unlock(&machine->lock);
    return ok;
}

struct vmmig_device *
vmmig_machine_add_device(struct vmmig_machine *machine,
                         const struct vmmig_device_config *config,
                         vmmig_error **error)
{
    struct vmmig_device_config copy;
    struct vmmig_device *device = NULL;

    if (!vmmig__copy_struct(&copy, sizeof copy, config, "vmmig_device_config",
                            error))
        return NULL;
    vmmig__mutex_lock(&machine->lock);
    if (copy.flags != 0)
        vmmig__fail(error, VMMIG_ERROR_INVALID,
                    "device \"%s\": flags must be 0",
                    copy.name ? copy.name : "");
    else if (check_idle(machine, error))
        device = vmmig__devices_add(machine->devices, &copy, error);
    vmmig__mutex_unlock(&machine->lock);
    /* Not under our lock: it is the host's code. */
    if (!device && copy.free_data)
        copy.free_data(copy.data);
    return device;
}

bool vmmig_machine_remove_device(struct vmmig_machine *machine,
                                 struct vmmig_device *device,
                                 vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&machine->lock);
    ok = check_idle(machine, error) &&
         vmmig__devices_take(machine->devices, device, error);
    vmmig__mutex_unlock(&machine->lock);
    if (ok)
        vmmig__device_free(device);
    return ok;
}

bool vmmig_machine_add_blocker(struct vmmig_machine *machine,
                               const char *reason, uint64_t *ret_id,
                               vmmig_error **error)
{
    struct blocker *blocker;
    bool ok;

    vmmig__mutex_lock(&machine->lock);
    ok = check_idle(machine, error);
    if (ok) {
        blocker = g_new0(struct blocker, 1);
        blocker->id = ++machine->last_id;
        blocker->reason = g_strdup(reason ? reason : "no reason given");
        g_ptr_array_add(machine->blockers, blocker);
        if (ret_id)
            *ret_id = blocker->id;
    }
    vmmig__mutex_unlock(&machine->lock);
    return ok;
}

void vmmig_machine_remove_blocker(struct vmmig_machine *machine, uint64_t id)
{
    vmmig__mutex_lock(&machine->lock);
    for (guint i = 0; i < machine->blockers->len; i++) {
        struct blocker *blocker = g_ptr_array_index(machine->blockers, i);

        if (blocker->id == id) {
            g_ptr_array_remove_index(machine->blockers, i);
            break;
        }
    }
    vmmig__mutex_unlock(&machine->lock);
}

struct vmmig_options *vmmig_machine_get_options(struct vmmig_machine *machine)
{
    return machine->options;
}

struct vmmig_session *vmmig_machine_get_session(struct vmmig_machine *machine)
{
    struct vmmig_session *session;

    vmmig__mutex_lock(&machine->lock);
    session = machine->session;
    if (session)
        vmmig__session_ref_locked(session);
    vmmig__mutex_unlock(&machine->lock);
    return session;
}

/* Whether @session may run now. */
static bool check_start(struct vmmig_machine *machine,
                        struct vmmig_session *session, vmmig_error **error)
    VMMIG_REQUIRES(machine->lock)
{
    struct blocker *blocker;

    if (machine->closed)
        return vmmig__fail(error, VMMIG_ERROR_STATE, "the machine is closed");
    if (machine->running)
        return vmmig__fail(
            error, VMMIG_ERROR_BLOCKED,
            "another migration of this machine runs (status %s)",
            vmmig_status_name(vmmig_session_get_status(machine->session)));
    if (session->role != VMMIG_SOURCE)
        return true;
    if (machine->blockers->len > 0) {
        blocker = g_ptr_array_index(machine->blockers, 0);
        return vmmig__fail(error, VMMIG_ERROR_BLOCKED,
                           "this machine cannot be migrated: %s",
                           blocker->reason);
    }
    if (vmmig__ram_blocks_bytes(machine->blocks) > 0 &&
        vmmig__dirty_sources_count(machine->sources) == 0)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "nobody says which memory the guest writes: add a "
                           "dirty source or track writes");
    return true;
}

bool vmmig__machine_take_session(struct vmmig_machine *machine,
                                 struct vmmig_session *session,
                                 vmmig_error **error)
{
    struct vmmig_session *old = NULL;
    bool ok;

    vmmig__mutex_lock(&machine->lock);
    ok = check_start(machine, session, error);
    if (ok) {
        /* The last session is the machine's alone if nobody else has it. */
        if (machine->session && machine->session->references == 0)
            old = machine->session;
        machine->session = session;
        machine->running = true;
        machine->threads++;
        vmmig__session_ref_locked(session); /* the thread's */
        /* At once, so that whoever closes the machine now can cancel it. */
        vmmig__session_begin_locked(session);
    }
    vmmig__mutex_unlock(&machine->lock);
    if (old)
        vmmig__session_destroy(old);
    return ok;
}

void vmmig__machine_thread_ended(struct vmmig_machine *machine)
{
    vmmig__mutex_lock(&machine->lock);
    machine->threads--;
    vmmig__cond_broadcast(&machine->idle);
    vmmig__mutex_unlock(&machine->lock);
}

/* Refuses to wait where that could only wait for itself. */
bool vmmig__machine_may_wait(struct vmmig_machine *machine, const char *what,
                             vmmig_error **error)
{
    const char *callback = vmmig__callback_name();

    if (callback)
        return vmmig__fail(error, VMMIG_ERROR_STATE,
                           "%s inside the callback %s would wait for itself",
                           what, callback);
    if (vmmig__host_queue_is_own_thread(machine->host.queue))
        return vmmig__fail(error, VMMIG_ERROR_STATE,
                           "%s on the host thread would wait for itself", what);
    return true;
}

bool vmmig__machine_wait(struct vmmig_machine *machine,
                         struct vmmig__mutex *lock, struct vmmig__cond *cond,
                         bool (*is_done)(void *data), void *data,
                         uint64_t deadline_us)
{
    struct vmmig__host_queue *queue = machine->host.queue;
    bool serving = vmmig__host_queue_begin_wait(queue);
    bool in_time = true, done;

    vmmig__mutex_lock(lock);
    while (!(done = is_done(data)) && in_time) {
        if (!serving) {
            in_time = vmmig__cond_wait_until(cond, lock, deadline_us);
            continue;
        }
        vmmig__mutex_unlock(lock);
        in_time = vmmig__host_queue_serve(queue, deadline_us);
        vmmig__mutex_lock(lock);
    }
    vmmig__mutex_unlock(lock);
    if (serving)
        vmmig__host_queue_end_wait(queue);
    return done;
}

/* Under the machine's lock. */
static bool has_no_threads(void *data)
{
    struct vmmig_machine *machine = data;

    return machine->threads == 0;
}

bool vmmig_machine_close(struct vmmig_machine *machine, int64_t timeout_ms,
                         vmmig_error **error)
{
    uint64_t deadline_us = vmmig__deadline_us(timeout_ms);
    struct vmmig_session *session;

    if (!vmmig__machine_may_wait(machine, "vmmig_machine_close()", error))
        return false;
    vmmig__mutex_lock(&machine->lock);
    machine->closed = true;
    vmmig__cond_broadcast(&machine->idle);
    vmmig__mutex_unlock(&machine->lock);
    session = vmmig_machine_get_session(machine);
    if (session) {
        /* Too late to cancel is as well: then it ends by itself. */
        vmmig_session_cancel(session, NULL);
        vmmig_session_unref(session);
    }
    if (!vmmig__machine_wait(machine, &machine->lock, &machine->idle,
                             has_no_threads, machine, deadline_us))
        return vmmig__fail(error, VMMIG_ERROR_TIMEOUT,
                           "a migration of the machine still runs");
    if (!vmmig__host_queue_close(machine->host.queue, deadline_us))
        return vmmig__fail(error, VMMIG_ERROR_TIMEOUT,
                           "a callback on the host thread still runs");
    return true;
}

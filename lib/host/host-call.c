/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How callbacks of the host are run. A call that is queued carries its own
 * arguments and result in memory that lives until the host thread is through
 * with it, also when the caller has given up waiting.
 */
#include "host/host-call.h"

static __thread const char *current_callback;

const char *vmmig__callback_enter(const char *name)
{
    const char *previous = current_callback;

    current_callback = name;
    return previous;
}

void vmmig__callback_leave(const char *previous)
{
    current_callback = previous;
}

const char *vmmig__callback_name(void)
{
    return current_callback;
}

bool vmmig__callback_result(bool ok, const char *name, vmmig_error **error)
{
    if (ok)
        return true;
    if (!error)
        return false;
    if (!*error)
        return vmmig__fail(error, VMMIG_ERROR_HOST,
                           "%s failed and did not say why", name);
    *error = vmmig__error_adopt(*error);
    return vmmig__prefix(error, "%s: ", name);
}

/* A call of a function that can fail, with its result. */
struct fallible {
    bool (*run)(void *data, vmmig_error **error);
    void *data;
    bool ok;
    vmmig_error *error;
};

static void run_fallible(void *data)
{
    struct fallible *call = data;

    call->ok = call->run(call->data, &call->error);
}

bool vmmig__host_on_thread(struct vmmig__host *host, const char *what,
                           bool (*run)(void *data, vmmig_error **error),
                           void *data, vmmig_error **error)
{
    struct fallible call = {.run = run, .data = data};

    if (!vmmig__host_queue_call(host->queue, what, run_fallible, &call, NULL, 0,
                                error))
        return false;
    if (!call.ok)
        g_propagate_error(error, call.error);
    return call.ok;
}

bool vmmig__host_locked(struct vmmig__host *host, const char *what,
                        bool (*run)(void *data, vmmig_error **error),
                        void *data, vmmig_error **error)
{
    bool ok;

    if (!host->table.lock)
        return vmmig__host_on_thread(host, what, run, data, error);
    host->table.lock(host->data);
    ok = run(data, error);
    host->table.unlock(host->data);
    return ok;
}

bool vmmig__host_is_running(struct vmmig__host *host)
{
    const char *previous;
    bool running;

    if (!host->table.is_running)
        return !atomic_load_explicit(&host->stopped, memory_order_acquire);
    previous = vmmig__callback_enter("is_running");
    running = host->table.is_running(host->data);
    vmmig__callback_leave(previous);
    return running;
}

/* stop_guest() in memory of its own, since it may outlive the wait for it. */
struct stop_call {
    struct vmmig__host *host;
    uint32_t why;
    bool ok;
    vmmig_error *error;
};

static void run_stop(void *data)
{
    struct stop_call *call = data;
    const char *previous = vmmig__callback_enter("stop_guest");

    call->ok =
        call->host->table.stop_guest(call->host->data, call->why, &call->error);
    if (call->ok)
        atomic_store_explicit(&call->host->stopped, true, memory_order_release);
    vmmig__callback_leave(previous);
}

static void free_stop(void *data)
{
    struct stop_call *call = data;

    g_clear_error(&call->error);
    g_free(call);
}

/* The stop came too late for the one who waited for it: takes it back, on the
 * host thread. */
static void undo_late_stop(void *data)
{
    struct stop_call *call = data;
    struct vmmig__host *host = call->host;
    vmmig_error *error = NULL;
    const char *previous;

    if (call->ok) {
        previous = vmmig__callback_enter("start_guest");
        if (host->table.start_guest(host->data, VMMIG_START_UNDO, &error))
            atomic_store_explicit(&host->stopped, false, memory_order_release);
        else
            vmmig__log(&host->log, VMMIG_LOG_ERROR,
                       "the guest stays stopped: start_guest: %s",
                       error ? vmmig_error_message(error) : "no reason given");
        vmmig__callback_leave(previous);
        g_clear_error(&error);
    }
    free_stop(call);
}

bool vmmig__host_stop_guest(struct vmmig__host *host, uint32_t why,
                            uint64_t timeout_ms, vmmig_error **error)
{
    struct stop_call *call = g_new0(struct stop_call, 1);
    vmmig_error *timed_out = NULL;
    bool ok;

    call->host = host;
    call->why = why;
    if (!vmmig__host_queue_call(host->queue, "stop_guest", run_stop, call,
                                undo_late_stop, timeout_ms, &timed_out)) {
        if (vmmig_error_code(timed_out) != VMMIG_ERROR_TIMEOUT)
            free_stop(call);
        g_propagate_error(error, timed_out);
        return false;
    }
    ok = call->ok;
    if (!ok) {
        if (call->error)
            g_propagate_error(error, g_steal_pointer(&call->error));
        vmmig__callback_result(false, "stop_guest", error);
    }
    free_stop(call);
    return ok;
}

/* The other callbacks on the host thread: all have a reason, and no limit. */
struct host_call {
    struct vmmig__host *host;
    uint32_t argument;
};

static bool run_start(void *data, vmmig_error **error)
{
    struct host_call *call = data;
    const char *previous = vmmig__callback_enter("start_guest");
    bool ok = call->host->table.start_guest(call->host->data, call->argument,
                                            error);

    if (ok)
        atomic_store_explicit(&call->host->stopped, false,
                              memory_order_release);
    vmmig__callback_leave(previous);
    return vmmig__callback_result(ok, "start_guest", error);
}

bool vmmig__host_start_guest(struct vmmig__host *host, uint32_t why,
                             vmmig_error **error)
{
    struct host_call call = {host, why};

    return vmmig__host_on_thread(host, "start_guest", run_start, &call, error);
}

static bool run_acquire(void *data, vmmig_error **error)
{
    struct host_call *call = data;
    const char *previous = vmmig__callback_enter("acquire_ownership");
    bool ok = call->host->table.acquire_ownership(call->host->data,
                                                  call->argument, error);

    vmmig__callback_leave(previous);
    return vmmig__callback_result(ok, "acquire_ownership", error);
}

bool vmmig__host_acquire_ownership(struct vmmig__host *host, uint32_t why,
                                   vmmig_error **error)
{
    struct host_call call = {host, why};

    return !host->table.acquire_ownership ||
           vmmig__host_on_thread(host, "acquire_ownership", run_acquire, &call,
                                 error);
}

static bool run_release(void *data, vmmig_error **error)
{
    struct host_call *call = data;
    const char *previous = vmmig__callback_enter("release_ownership");
    bool ok = call->host->table.release_ownership(call->host->data, error);

    vmmig__callback_leave(previous);
    return vmmig__callback_result(ok, "release_ownership", error);
}

bool vmmig__host_release_ownership(struct vmmig__host *host,
                                   vmmig_error **error)
{
    struct host_call call = {host, 0};

    return !host->table.release_ownership ||
           vmmig__host_on_thread(host, "release_ownership", run_release, &call,
                                 error);
}

static bool run_announce(void *data, vmmig_error **error)
{
    struct host_call *call = data;
    const char *previous = vmmig__callback_enter("announce");

    call->host->table.announce(call->host->data, call->argument);
    vmmig__callback_leave(previous);
    return true;
}

void vmmig__host_announce(struct vmmig__host *host, uint32_t round)
{
    struct host_call call = {host, round};

    if (host->table.announce && !vmmig__host_on_thread(
                                    host, "announce", run_announce, &call, NULL))
        vmmig__log(&host->log, VMMIG_LOG_DEBUG, "round %u was not announced",
                   (unsigned)round);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The virtual machine as a whole; see vm.h. */
#include "vm.h"

#include <pthread.h>
#include <stdatomic.h>

#include "failure.h"

#define CLOSE_TIMEOUT_MS 10000

struct vm {
    const struct machine_ops *ops;
    void *machine;
    struct vmmig_machine *vmmig;
    void (*emit)(void *data, const char *event, const char *json);
    void *data;
    /* Held while the guest is being stopped or started. */
    pthread_mutex_t mutex;
    atomic_int state; /* written under mutex */
    /* lock: mutex; what an undone stop goes back to */
    enum run_state before_stop;
    bool autostart; /* lock: mutex; a guest that arrives is to run */
};

static enum run_state load_state(struct vm *vm)
{
    return (enum run_state)atomic_load_explicit(&vm->state,
                                                memory_order_acquire);
}

/* Under mutex. */
static void set_state(struct vm *vm, enum run_state state)
{
    atomic_store_explicit(&vm->state, (int)state, memory_order_release);
}

/*
 * A migration's end is not told to us by a call: whoever asks after it must see
 * the state that goes with it, so it is derived from the session.
 */
enum run_state vm_get_run_state(struct vm *vm)
{
    enum run_state state = load_state(vm);
    struct vmmig_session *session;
    uint32_t status = VMMIG_STATUS_NONE, owner = VMMIG_OWNER_PEER;

    if (state != RUN_STATE_FINISH_MIGRATE && state != RUN_STATE_INMIGRATE)
        return state;
    session = vmmig_machine_get_session(vm->vmmig);
    if (session) {
        status = vmmig_session_get_status(session);
        owner = vmmig_session_get_owner(session);
    }
    vmmig_session_unref(session);
    /* It may have been started, or taken back, in between. */
    state = load_state(vm);
    if (state == RUN_STATE_FINISH_MIGRATE && vmmig_status_is_final(status))
        return status == VMMIG_STATUS_COMPLETED ? RUN_STATE_POSTMIGRATE
                                                : RUN_STATE_PAUSED;
    /* It is here, also when starting it failed. */
    if (state == RUN_STATE_INMIGRATE && vmmig_status_is_final(status) &&
        owner == VMMIG_OWNER_HERE)
        return RUN_STATE_PAUSED;
    return state;
}

const char *vm_run_state_name(enum run_state state)
{
    static const char *const names[] = {
        [RUN_STATE_PRELAUNCH] = "prelaunch",
        [RUN_STATE_RUNNING] = "running",
        [RUN_STATE_PAUSED] = "paused",
        [RUN_STATE_INMIGRATE] = "inmigrate",
        [RUN_STATE_FINISH_MIGRATE] = "finish-migrate",
        [RUN_STATE_POSTMIGRATE] = "postmigrate",
    };

    return names[state];
}

/* Under mutex: the state from here on does not depend on an old session. */
static enum run_state settle(struct vm *vm)
{
    set_state(vm, vm_get_run_state(vm));
    return load_state(vm);
}

const char *vm_get_machine_name(struct vm *vm)
{
    return vm->ops->name;
}

/* Under mutex. */
static bool start_machine(struct vm *vm, GError **error)
{
    if (!vm->ops->start(vm->machine, error))
        return false;
    set_state(vm, RUN_STATE_RUNNING);
    vm->emit(vm->data, "RESUME", NULL);
    return true;
}

/* Under mutex, in RUN_STATE_RUNNING. */
static bool stop_machine(struct vm *vm, enum run_state state, GError **error)
{
    if (!vm->ops->stop(vm->machine, error))
        return false;
    set_state(vm, state);
    vm->emit(vm->data, "STOP", NULL);
    return true;
}

/* The host table */

static bool host_stop_guest(void *host, uint32_t why, vmmig_error **error)
{
    struct vm *vm = host;
    bool good = true;

    pthread_mutex_lock(&vm->mutex);
    vm->before_stop = load_state(vm);
    if (vm->before_stop == RUN_STATE_RUNNING)
        good = stop_machine(vm, RUN_STATE_FINISH_MIGRATE, error);
    else
        set_state(vm, RUN_STATE_FINISH_MIGRATE);
    pthread_mutex_unlock(&vm->mutex);
    return good;
}

static bool host_start_guest(void *host, uint32_t why, vmmig_error **error)
{
    struct vm *vm = host;
    bool runs, good = true;

    pthread_mutex_lock(&vm->mutex);
    if (why == VMMIG_START_UNDO)
        runs = vm->before_stop == RUN_STATE_RUNNING;
    else
        runs = vm->autostart;
    if (runs)
        good = start_machine(vm, error);
    else
        set_state(vm,
                  why == VMMIG_START_UNDO ? vm->before_stop : RUN_STATE_PAUSED);
    pthread_mutex_unlock(&vm->mutex);
    return good;
}

static bool host_is_running(void *host)
{
    return load_state(host) == RUN_STATE_RUNNING;
}

static bool host_save_vcpu(void *host, uint32_t vcpu, struct vmmig_writer *out,
                           vmmig_error **error)
{
    struct vm *vm = host;

    return vm->ops->save_vcpu(vm->machine, vcpu, out, error);
}

static bool host_load_vcpu(void *host, uint32_t vcpu, struct vmmig_reader *in,
                           uint32_t version, vmmig_error **error)
{
    struct vm *vm = host;

    return vm->ops->load_vcpu(vm->machine, vcpu, in, version, error);
}

static struct vmmig_machine *
make_vmmig(struct vm *vm, const struct vm_config *config, GError **error)
{
    struct vmmig_host host = {
        .struct_size = sizeof host,
        .machine_name = vm->ops->name,
        .uuid = config->uuid,
        .stop_guest = host_stop_guest,
        .start_guest = host_start_guest,
        .is_running = host_is_running,
    };

    if (vm->ops->save_vcpu) {
        host.vcpu_count = config->machine.vcpu_count;
        host.vcpu_version = vm->ops->vcpu_version;
        host.save_vcpu = host_save_vcpu;
        host.load_vcpu = host_load_vcpu;
    }
    return vmmig_machine_new(&host, vm, NULL, error);
}

/* Life */

struct vm *vm_new(const struct vm_config *config, GError **error)
{
    struct vm *vm = g_new0(struct vm, 1);

    vm->ops = config->ops;
    vm->emit = config->emit;
    vm->data = config->data;
    vm->autostart = !config->paused;
    pthread_mutex_init(&vm->mutex, NULL);
    atomic_init(&vm->state,
                (int)(config->machine.is_incoming ? RUN_STATE_INMIGRATE
                                                  : RUN_STATE_PRELAUNCH));
    vm->vmmig = make_vmmig(vm, config, error);
    if (vm->vmmig && (!config->settings ||
                      vmmig_options_parse(vmmig_machine_get_options(vm->vmmig),
                                          config->settings, error))) {
        vm->machine = vm->ops->new (&config->machine, error);
        if (vm->machine && vm->ops->attach(vm->machine, vm->vmmig, error))
            return vm;
    }
    /* No session was made, so there is nothing that a close could wait for. */
    if (vm->vmmig)
        vm_close(vm, NULL);
    vm_free(vm);
    return NULL;
}

bool vm_close(struct vm *vm, GError **error)
{
    return vmmig_machine_close(vm->vmmig, CLOSE_TIMEOUT_MS, error);
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    /* Blocks, which vCPUs mark, go with the library's machine. */
    if (load_state(vm) == RUN_STATE_RUNNING)
        vm->ops->stop(vm->machine, NULL);
    vmmig_machine_unref(vm->vmmig);
    vm->ops->free(vm->machine);
    pthread_mutex_destroy(&vm->mutex);
    g_free(vm);
}

struct vmmig_machine *vm_get_vmmig(struct vm *vm)
{
    return vm->vmmig;
}

void vm_get_counters(struct vm *vm, struct workload_counters *ret_counters)
{
    /* While it arrives, its ledger is being written. */
    if (vm_get_run_state(vm) == RUN_STATE_INMIGRATE)
        *ret_counters = (struct workload_counters){0};
    else
        vm->ops->get_counters(vm->machine, ret_counters);
}

/* Commands */

bool vm_stop(struct vm *vm, GError **error)
{
    bool good = true;

    pthread_mutex_lock(&vm->mutex);
    switch (settle(vm)) {
    case RUN_STATE_RUNNING:
        good = stop_machine(vm, RUN_STATE_PAUSED, error);
        break;
    case RUN_STATE_INMIGRATE:
        vm->autostart = false;
        break;
    case RUN_STATE_FINISH_MIGRATE:
        vm->before_stop = RUN_STATE_PAUSED;
        break;
    case RUN_STATE_PRELAUNCH:
    case RUN_STATE_PAUSED:
    case RUN_STATE_POSTMIGRATE:
        break;
    }
    pthread_mutex_unlock(&vm->mutex);
    return good;
}

/* A guest that was saved may go on here; one that moved lives elsewhere. What a
 * descriptor leads to is not known, so it counts as a move. */
static bool check_is_ours(struct vm *vm, GError **error)
{
    struct vmmig_session *session = vmmig_machine_get_session(vm->vmmig);
    char *address = vmmig_session_get_address(session);
    bool saved = g_str_has_prefix(address, "file:") ||
                 g_str_has_prefix(address, "exec:");
    bool good = true;

    if (!saved && vmmig_session_get_owner(session) == VMMIG_OWNER_PEER)
        good = fail(error, "The guest has moved to %s and runs there", address);
    vmmig_free(address);
    vmmig_session_unref(session);
    return good;
}

bool vm_cont(struct vm *vm, GError **error)
{
    bool good = true;

    pthread_mutex_lock(&vm->mutex);
    switch (settle(vm)) {
    case RUN_STATE_POSTMIGRATE:
        good = check_is_ours(vm, error) && start_machine(vm, error);
        break;
    case RUN_STATE_PRELAUNCH:
    case RUN_STATE_PAUSED:
        good = start_machine(vm, error);
        break;
    case RUN_STATE_INMIGRATE:
        vm->autostart = true;
        break;
    case RUN_STATE_FINISH_MIGRATE:
        good = fail(error, "Migration is not finalized yet");
        break;
    case RUN_STATE_RUNNING:
        break;
    }
    pthread_mutex_unlock(&vm->mutex);
    return good;
}

bool vm_check_outgoing(struct vm *vm, GError **error)
{
    enum run_state state;

    pthread_mutex_lock(&vm->mutex);
    state = settle(vm);
    pthread_mutex_unlock(&vm->mutex);
    if (state == RUN_STATE_INMIGRATE)
        return fail(error, "Guest is waiting for an incoming migration");
    if (state == RUN_STATE_POSTMIGRATE)
        return fail(error, "Can't migrate the vm that was paused due to "
                           "previous migration");
    return true;
}

bool vm_check_incoming(struct vm *vm, GError **error)
{
    return vm_get_run_state(vm) == RUN_STATE_INMIGRATE ||
           fail(error, "'-incoming' was not specified on the command line, or "
                       "the guest has arrived");
}

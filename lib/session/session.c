/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions: references, the calls of the host, and what both sides' threads use
 * to change state, to fail and to wait.
 */
#include "session/session.h"

#include "base/clock.h"
#include "session/events.h"

struct vmmig_session *vmmig_session_new(struct vmmig_machine *machine,
                                        uint32_t role, vmmig_error **error)
{
    struct vmmig_session *session;
    bool closed;

    if (role != VMMIG_SOURCE && role != VMMIG_DESTINATION) {
        vmmig__fail(error, VMMIG_ERROR_INVALID,
                    "%u is neither VMMIG_SOURCE nor VMMIG_DESTINATION",
                    (unsigned)role);
        return NULL;
    }
    vmmig__mutex_lock(&machine->lock);
    closed = machine->closed;
    vmmig__mutex_unlock(&machine->lock);
    if (closed) {
        vmmig__fail(error, VMMIG_ERROR_STATE, "the machine is closed");
        return NULL;
    }
    session = g_new0(struct vmmig_session, 1);
    if (!vmmig__stop_flag_init(&session->stop, error)) {
        g_free(session);
        return NULL;
    }
    session->machine = vmmig_machine_ref(machine);
    session->references = 1;
    session->role = role;
    session->options = vmmig__options_copy(machine->options);
    vmmig__mutex_init(&session->lock, VMMIG__RANK_SESSION, "session");
    vmmig__cond_init(&session->changed);
    session->state = VMMIG__NONE;
    session->status = VMMIG_STATUS_NONE;
    session->owner = role == VMMIG_SOURCE ? VMMIG_OWNER_HERE : VMMIG_OWNER_PEER;
    vmmig__rate_limit_init(&session->rate_limit, &vmmig__monotonic_clock);
    vmmig__ram_init(&session->ram, machine->blocks, machine->sources,
                    &vmmig__monotonic_clock);
    return session;
}

void vmmig__session_destroy(struct vmmig_session *session)
{
    vmmig_error *error = atomic_load_explicit(&session->error,
                                              memory_order_acquire);

    g_clear_error(&error);
    vmmig_channel_unref(session->channel);
    vmmig_channel_unref(session->given);
    vmmig__listener_free(session->listener);
    vmmig__address_free(session->address);
    g_free(session->where);
    vmmig__rate_limit_destroy(&session->rate_limit);
    vmmig__options_free(session->options);
    vmmig__stop_flag_destroy(&session->stop);
    vmmig__cond_destroy(&session->changed);
    vmmig__mutex_destroy(&session->lock);
    g_free(session);
}

void vmmig__session_ref_locked(struct vmmig_session *session)
{
    if (session->references++ == 0)
        vmmig_machine_ref(session->machine);
}

struct vmmig_session *vmmig_session_ref(struct vmmig_session *session)
{
    if (!session)
        return NULL;
    vmmig__mutex_lock(&session->machine->lock);
    vmmig__session_ref_locked(session);
    vmmig__mutex_unlock(&session->machine->lock);
    return session;
}

struct vmmig_session *vmmig_session_unref(struct vmmig_session *session)
{
    struct vmmig_machine *machine;
    bool last, kept;

    if (!session)
        return NULL;
    machine = session->machine;
    vmmig__mutex_lock(&machine->lock);
    last = --session->references == 0;
    kept = machine->session == session;
    vmmig__mutex_unlock(&machine->lock);
    if (last && !kept)
        vmmig__session_destroy(session);
    if (last)
        vmmig_machine_unref(machine);
    return NULL;
}

/* -- what the threads use -------------------------------------------------- */

static bool move(struct vmmig_session *session, enum vmmig__state_event event,
                 vmmig_error **error) VMMIG_REQUIRES(session->lock)
{
    struct vmmig_event news = {.type = VMMIG_EVENT_STATUS};
    uint32_t before = vmmig__state_status(session->state);
    uint32_t now;

    if (!vmmig__next_state(session->role, session->state, event,
                           &session->state, error))
        return false;
    now = vmmig__state_status(session->state);
    atomic_store_explicit(&session->status, now, memory_order_release);
    if (now != before)
        vmmig__event_post(session, &news);
    vmmig__cond_broadcast(&session->changed);
    return true;
}

bool vmmig__session_move(struct vmmig_session *session,
                         enum vmmig__state_event event, vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&session->lock);
    ok = move(session, event, error);
    vmmig__mutex_unlock(&session->lock);
    return ok;
}

/* Keeps @error (transfer full) if it is the first one; false if it is not. */
static bool keep_error(struct vmmig_session *session, vmmig_error *error)
{
    vmmig_error *none = NULL;

    return atomic_compare_exchange_strong_explicit(
        &session->error, &none, error, memory_order_acq_rel,
        memory_order_acquire);
}

static void note_place(struct vmmig_session *session, vmmig_error *error)
{
    const char *side = session->role == VMMIG_SOURCE ? "source" : "destination";

    vmmig__error_note(error, "side", "%s", side);
    vmmig__error_note(error, "phase", "%s",
                      vmmig_status_name(vmmig_session_get_status(session)));
}

void vmmig__session_begin_failing(struct vmmig_session *session,
                                  vmmig_error *error)
{
    note_place(session, error);
    /* Refused while a cancel is under way, whose outcome this is. */
    if (!vmmig__session_move(session, VMMIG__BROKEN, NULL))
        vmmig__session_wake(session);
}

void vmmig__session_break(struct vmmig_session *session, vmmig_error *error)
{
    bool kept;

    note_place(session, error);
    vmmig__mutex_lock(&session->lock);
    kept = keep_error(session, error);
    /* Refused while a cancel is under way, whose outcome this is. */
    if (!move(session, VMMIG__BROKEN, NULL))
        vmmig__cond_broadcast(&session->changed);
    vmmig__mutex_unlock(&session->lock);
    if (kept)
        return;
    vmmig__log(&session->machine->host.log, VMMIG_LOG_INFO, "later error: %s",
               vmmig_error_message(error));
    vmmig_error_free(error);
}

void vmmig__session_set_owner(struct vmmig_session *session, uint32_t owner)
{
    struct vmmig_event news = {.type = VMMIG_EVENT_OWNER};

    vmmig__mutex_lock(&session->lock);
    if (atomic_exchange_explicit(&session->owner, owner,
                                 memory_order_acq_rel) != owner)
        vmmig__event_post(session, &news);
    vmmig__mutex_unlock(&session->lock);
}

void vmmig__session_post(struct vmmig_session *session, uint32_t type,
                         uint32_t reason, uint64_t pass)
{
    struct vmmig_event news = {.type = type, .reason = reason, .pass = pass};

    vmmig__mutex_lock(&session->lock);
    vmmig__event_post(session, &news);
    vmmig__mutex_unlock(&session->lock);
}

static bool fail_cancelled(vmmig_error **error)
{
    return vmmig__fail(error, VMMIG_ERROR_CANCELLED,
                       "the migration was cancelled");
}

bool vmmig__session_check(struct vmmig_session *session, vmmig_error **error)
{
    return !vmmig__stop_flag_is_requested(&session->stop) ||
           fail_cancelled(error);
}

bool vmmig__session_set_channel(struct vmmig_session *session,
                                struct vmmig_channel *channel,
                                vmmig_error **error)
{
    struct vmmig_channel *old;

    vmmig__mutex_lock(&session->lock);
    old = session->channel;
    session->channel = vmmig_channel_ref(channel);
    vmmig__mutex_unlock(&session->lock);
    vmmig_channel_unref(old);
    return vmmig__session_check(session, error);
}

void vmmig__session_sleep(struct vmmig_session *session, uint64_t duration_us)
{
    uint64_t deadline_us = vmmig__now_us() + duration_us;

    vmmig__mutex_lock(&session->lock);
    if (!vmmig__stop_flag_is_requested(&session->stop))
        vmmig__cond_wait_until(&session->changed, &session->lock, deadline_us);
    vmmig__mutex_unlock(&session->lock);
}

void vmmig__session_wake(struct vmmig_session *session)
{
    vmmig__mutex_lock(&session->lock);
    vmmig__cond_broadcast(&session->changed);
    vmmig__mutex_unlock(&session->lock);
}

/* Queued behind the last event of the session. */
static void note_delivered(void *data)
{
    struct vmmig_session *session = data;

    vmmig__mutex_lock(&session->lock);
    session->delivered = true;
    vmmig__cond_broadcast(&session->changed);
    vmmig__mutex_unlock(&session->lock);
}

void vmmig__session_finish(struct vmmig_session *session,
                           enum vmmig__state_event last)
{
    struct vmmig_machine *machine = session->machine;
    struct vmmig_channel *given;
    vmmig_error *error = NULL;

    atomic_store_explicit(&session->stats.end_us, vmmig__now_us(),
                          memory_order_relaxed);
    /* Under the machine's lock both happen at once: a listener that hears of
     * the end may start the next session, whose events come after these. */
    vmmig__mutex_lock(&machine->lock);
    vmmig__mutex_lock(&session->lock);
    if (!move(session, last, &error))
        g_error("%s", vmmig_error_message(error));
    given = g_steal_pointer(&session->given);
    vmmig__mutex_unlock(&session->lock);
    machine->running = false;
    vmmig__mutex_unlock(&machine->lock);
    /* Also when it was never used: the peer waits for it. */
    if (given)
        vmmig__channel_shutdown(given);
    vmmig_channel_unref(given);
    vmmig__host_queue_post(machine->host.queue, note_delivered, session, NULL);
}

/* -- the host's calls ------------------------------------------------------ */

/* The thread has nothing left to do but return. On the host thread. */
static void reap(void *data)
{
    struct vmmig_session *session = data;
    struct vmmig_machine *machine = vmmig_machine_ref(session->machine);

    vmmig__thread_join(session->thread);
    session->thread = NULL;
    vmmig_session_unref(session);
    vmmig__machine_thread_ended(machine);
    vmmig_machine_unref(machine);
}

static void run(void *data)
{
    struct vmmig_session *session = data;

    if (session->role == VMMIG_SOURCE)
        vmmig__source_main(session);
    else
        vmmig__destination_main(session);
    vmmig__host_queue_post(session->machine->host.queue, reap, session, NULL);
}

/* Whether what is asked for can work on this kind of channel. */
static bool check_address(struct vmmig_session *session, vmmig_error **error)
{
    bool by_name = vmmig__options_is_set_by_name(session->options,
                                                 VMMIG__OPTION_RETURN_PATH) &&
                   vmmig__options_get_bool(session->options,
                                           VMMIG__OPTION_RETURN_PATH);

    if (session->address->kind == VMMIG__ADDRESS_HOST && !session->given)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "host: needs a channel: call "
                           "vmmig_session_add_channel() first");
    if (session->address->kind == VMMIG__ADDRESS_FILE && by_name &&
        session->role == VMMIG_SOURCE)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "return-path does not work with file:, from which "
                           "nobody answers");
    session->address->exec_two_way = by_name;
    return true;
}

static bool check_options(struct vmmig_session *session, vmmig_error **error)
{
    if (vmmig__options_get_bool(session->options,
                                VMMIG__OPTION_VALIDATE_UUID) &&
        !session->machine->host.has_uuid)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "validate-uuid: this machine has no uuid");
    return vmmig__options_check(session->options, error);
}

bool vmmig__session_listens(const struct vmmig_session *session)
{
    return session->role == VMMIG_DESTINATION &&
           (session->address->kind == VMMIG__ADDRESS_TCP ||
            session->address->kind == VMMIG__ADDRESS_UNIX);
}

/* Of several that call start at once one goes on; it may fail and come again. */
static bool claim_start(struct vmmig_session *session, vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&session->lock);
    ok = session->state == VMMIG__NONE && !session->starting;
    if (ok)
        session->starting = true;
    vmmig__mutex_unlock(&session->lock);
    return ok || vmmig__fail(error, VMMIG_ERROR_STATE,
                             "this session was started before");
}

static void unclaim_start(struct vmmig_session *session)
{
    vmmig__listener_free(g_steal_pointer(&session->listener));
    g_clear_pointer(&session->where, g_free);
    vmmig__mutex_lock(&session->lock);
    session->starting = false;
    vmmig__mutex_unlock(&session->lock);
}

static bool prepare_start(struct vmmig_session *session, const char *uri,
                          vmmig_error **error)
{
    struct vmmig_machine *machine = session->machine;

    vmmig__address_free(session->address);
    session->address = NULL;
    if (!vmmig__address_parse(uri, &session->address, error) ||
        !check_address(session, error) || !check_options(session, error))
        return false;
    if (vmmig__session_listens(session) &&
        !vmmig__listen(session->address, &machine->host.log, &session->listener,
                       error))
        return false;
    session->where = session->listener
                         ? vmmig__listener_get_address(session->listener)
                         : vmmig__address_print(session->address);
    return true;
}

void vmmig__session_begin_locked(struct vmmig_session *session)
{
    vmmig__options_fix(session->options);
    atomic_store_explicit(&session->stats.start_us, vmmig__now_us(),
                          memory_order_relaxed);
    atomic_store_explicit(&session->stats.ram_total_bytes,
                          vmmig__ram_blocks_bytes(session->machine->blocks),
                          memory_order_relaxed);
    if (!vmmig__session_move(session, VMMIG__STARTED, NULL))
        g_error("a new session could not be started");
}

bool vmmig_session_start(struct vmmig_session *session, const char *uri,
                         vmmig_error **error)
{
    struct vmmig_machine *machine = session->machine;
    bool source = session->role == VMMIG_SOURCE;
    vmmig_error *failure = NULL;

    if (!claim_start(session, error))
        return false;
    if (!prepare_start(session, uri, error) ||
        !vmmig__host_queue_open(machine->host.queue, error) ||
        !vmmig__machine_take_session(machine, session, error)) {
        unclaim_start(session);
        return false;
    }
    if (vmmig__thread_start(&session->thread,
                            source ? "mig/src/main" : "mig/dst/main",
                            &machine->host.hook, run, session, &failure))
        return true;
    /* It has begun, for those who listen; so it fails like any other. */
    if (error)
        *error = g_error_copy(failure);
    vmmig__session_break(session, failure);
    vmmig__session_finish(session, VMMIG__UNDONE);
    vmmig__host_queue_post(machine->host.queue, reap, session, NULL);
    return false;
}

bool vmmig_session_continue(struct vmmig_session *session, vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&session->lock);
    ok = session->state == VMMIG__PRE_SWITCHOVER ||
         vmmig__fail(error, VMMIG_ERROR_STATE,
                     "cannot continue: the status is %s, not pre-switchover",
                     vmmig_status_name(vmmig_session_get_status(session)));
    if (ok) {
        session->may_continue = true;
        vmmig__cond_broadcast(&session->changed);
    }
    vmmig__mutex_unlock(&session->lock);
    return ok;
}

bool vmmig_session_cancel(struct vmmig_session *session, vmmig_error **error)
{
    struct vmmig_channel *channel = NULL;
    vmmig_error *cancelled = NULL;
    bool ok = true;

    fail_cancelled(&cancelled);
    vmmig__mutex_lock(&session->lock);
    if (!vmmig__stop_flag_is_requested(&session->stop) &&
        session->state != VMMIG__FAILING) {
        ok = move(session, VMMIG__USER_CANCEL, error);
        if (ok && keep_error(session, cancelled))
            cancelled = NULL;
    }
    if (ok) {
        channel = vmmig_channel_ref(session->channel);
        vmmig__stop_flag_request(&session->stop);
    }
    vmmig__cond_broadcast(&session->changed);
    vmmig__mutex_unlock(&session->lock);
    g_clear_error(&cancelled);
    if (channel)
        vmmig__channel_shutdown(channel);
    vmmig_channel_unref(channel);
    return ok;
}

/* Under the session's lock. */
static bool is_delivered(void *data)
{
    struct vmmig_session *session = data;

    return session->delivered;
}

bool vmmig_session_wait(struct vmmig_session *session, int64_t timeout_ms,
                        vmmig_error **error)
{
    const vmmig_error *first;
    bool delivered;

    if (vmmig_session_get_status(session) == VMMIG_STATUS_NONE)
        return vmmig__fail(error, VMMIG_ERROR_STATE,
                           "the session was never started");
    if (timeout_ms != 0 && !vmmig__machine_may_wait(
                               session->machine, "vmmig_session_wait()", error))
        return false;
    if (timeout_ms != 0) {
        delivered = vmmig__machine_wait(session->machine, &session->lock,
                                        &session->changed, is_delivered,
                                        session, vmmig__deadline_us(timeout_ms));
    } else {
        vmmig__mutex_lock(&session->lock);
        delivered = session->delivered;
        vmmig__mutex_unlock(&session->lock);
    }
    if (!delivered)
        return vmmig__fail(error, VMMIG_ERROR_TIMEOUT,
                           "the migration still runs (status %s)",
                           vmmig_status_name(vmmig_session_get_status(session)));
    if (vmmig_session_get_status(session) == VMMIG_STATUS_COMPLETED)
        return true;
    first = vmmig_session_get_error(session);
    if (error)
        *error = g_error_copy(first);
    return false;
}

uint32_t vmmig_session_get_status(const struct vmmig_session *session)
{
    return atomic_load_explicit(&session->status, memory_order_acquire);
}

uint32_t vmmig_session_get_owner(const struct vmmig_session *session)
{
    return atomic_load_explicit(&session->owner, memory_order_acquire);
}

const vmmig_error *vmmig_session_get_error(const struct vmmig_session *session)
{
    return atomic_load_explicit(&session->error, memory_order_acquire);
}

char *vmmig_session_get_address(const struct vmmig_session *session)
{
    if (vmmig_session_get_status(session) == VMMIG_STATUS_NONE)
        return NULL;
    return g_strdup(session->where);
}

struct vmmig_machine *vmmig_session_get_machine(struct vmmig_session *session)
{
    return session->machine;
}

struct vmmig_options *vmmig_session_get_options(struct vmmig_session *session)
{
    return session->options;
}

bool vmmig_session_add_channel(struct vmmig_session *session,
                               struct vmmig_channel *channel,
                               vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&session->lock);
    ok = session->state == VMMIG__NONE && !session->given;
    if (ok)
        session->given = vmmig_channel_ref(channel);
    vmmig__mutex_unlock(&session->lock);
    return ok || vmmig__fail(error, VMMIG_ERROR_STATE,
                             "the session has a channel or was started");
}

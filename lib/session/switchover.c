/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The switch: stops the guest, sends the rest, hands over, waits for the
 * destination's word; or takes all of it back. On mig/src/main.
 *
 * The one rule: never two owners. Until the write that carries the EOF byte
 * begins, the destination cannot have started the guest, so any failure is
 * undone. From then on only the destination's word counts.
 */
#include "session/source.h"

#include "base/clock.h"
#include "base/fault-points.h"
#include "wire/command.h"
#include "wire/section-frame.h"
#include "wire/vm-description.h"

/* How long the destination's word may take to arrive when the link is already
 * known to be broken. */
enum { LAST_WORD_US = 500000 };

static bool stop_guest(struct vmmig__source *source, vmmig_error **error)
{
    struct vmmig_session *session = source->session;
    struct vmmig__stats *stats = &session->stats;
    struct vmmig__host *host = &source->machine->host;

    vmmig__globalstate_set(&source->machine->globalstate,
                           vmmig__host_is_running(host));
    if (!VMMIG_FAULT("source-stop-guest", error))
        return false;
    atomic_store_explicit(&stats->bytes_at_stop,
                          atomic_load_explicit(&session->ram.counters.bytes,
                                               memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&stats->stop_us, vmmig__now_us(),
                          memory_order_relaxed);
    if (!vmmig__host_stop_guest(
            host, VMMIG_STOP_SWITCHOVER,
            vmmig__options_get_uint(session->options,
                                    VMMIG__OPTION_STOP_TIMEOUT),
            error))
        return false;
    source->guest_stopped = true;
    vmmig__session_post(session, VMMIG_EVENT_STOPPED, VMMIG_STOP_SWITCHOVER, 0);
    return vmmig__save_quiesce(&source->saver, error);
}

/* pause-before-switchover: until somebody says continue, or cancels. */
static bool wait_to_continue(struct vmmig__source *source, vmmig_error **error)
{
    struct vmmig_session *session = source->session;
    bool may_continue = false;

    if (!vmmig__options_get_bool(session->options,
                                 VMMIG__OPTION_PAUSE_BEFORE_SWITCHOVER))
        return true;
    if (!vmmig__session_move(session, VMMIG__STOPPED_TO_WAIT, error))
        return false;
    vmmig__mutex_lock(&session->lock);
    while (!session->may_continue &&
           !vmmig__stop_flag_is_requested(&session->stop) &&
           !(source->return_path &&
             vmmig__return_path_last_word(source->return_path, NULL) !=
                 VMMIG__NOTHING_YET))
        vmmig__cond_wait(&session->changed, &session->lock);
    may_continue = session->may_continue;
    vmmig__mutex_unlock(&session->lock);
    return may_continue || (vmmig__session_check(session, error) &&
                            vmmig__source_check_peer(source, error));
}

/* Everything up to, but not with, the EOF byte. Device state is collected
 * first and sent last: saving it may still write guest memory. */
static bool send_rest(struct vmmig__source *source,
                      struct vmmig__vm_description *description,
                      vmmig_error **error)
{
    struct vmmig_writer *states = vmmig__writer_new_memory();
    struct vmmig_pending pending;
    const uint8_t *bytes;
    uint64_t length;
    bool ok = VMMIG_FAULT("source-device-state", error) &&
              vmmig__save_states(&source->saver, states, description, error) &&
              VMMIG_FAULT("source-dirty-sync", error) &&
              vmmig__save_query_pending(&source->saver, true, &pending, error);

    if (ok && vmmig__options_get_bool(source->session->options,
                                      VMMIG__OPTION_SEND_SWITCHOVER_START))
        vmmig__put_simple_command(source->out,
                                  VMMIG__COMMAND_SWITCHOVER_START);
    ok = ok && VMMIG_FAULT("source-ram-complete", error) &&
         vmmig__save_complete(&source->saver, error);
    if (ok) {
        bytes = vmmig__writer_get_bytes(states, &length);
        vmmig_writer_put_bytes(source->out, bytes, length);
        ok = vmmig__writer_flush(source->out, error);
    }
    vmmig__writer_free(states);
    return ok;
}

static bool release_ownership(struct vmmig__source *source,
                              vmmig_error **error)
{
    if (!VMMIG_FAULT("source-release-ownership", error) ||
        !vmmig__host_release_ownership(&source->machine->host, error))
        return false;
    source->ownership_released = true;
    return VMMIG_FAULT("source-before-eof", error);
}

/* The last bytes. From here on the destination may start the guest. */
static bool send_end(struct vmmig__source *source,
                     const struct vmmig__vm_description *description,
                     vmmig_error **error)
{
    vmmig__put_eof(source->out);
    vmmig__put_vm_description(source->out, description);
    return vmmig__writer_flush(source->out, error) &&
           VMMIG_FAULT("source-after-eof", error) &&
           (source->return_path ||
            vmmig__channel_finish(source->channel, error));
}

/*
 * What became of the guest, once the EOF byte may have left. @sent: the last
 * bytes went out without an error. Without a return path that is all there is to
 * know; a file that is incomplete starts no guest.
 */
static enum vmmig__last_word hear(struct vmmig__source *source, bool sent,
                                  vmmig_error **error)
{
    uint64_t deadline_us = sent ? UINT64_MAX : vmmig__now_us() + LAST_WORD_US;
    enum vmmig__last_word last_word;
    vmmig_error *words = NULL;

    if (!source->return_path && sent)
        return VMMIG__SUCCESS;
    if (!source->return_path)
        return source->session->address->kind == VMMIG__ADDRESS_FILE
                   ? VMMIG__FAILURE
                   : VMMIG__LOST;
    last_word =
        vmmig__return_path_wait(source->return_path, deadline_us, &words);
    if (last_word == VMMIG__NOTHING_YET)
        return VMMIG__LOST;
    /* What the destination says counts for more than how sending ended. */
    if (words) {
        g_clear_error(error);
        g_propagate_error(error, words);
    }
    return last_word;
}

/* Whether the guest is handed over, and what became of it. */
static bool hand_over(struct vmmig__source *source,
                      const struct vmmig__vm_description *description,
                      enum vmmig__last_word *ret_last_word,
                      vmmig_error **error)
{
    struct vmmig_session *session = source->session;
    vmmig_error *failure = NULL;
    bool sent;

    /* A last word that came before the end must not be taken for the answer
     * to it. */
    if (!vmmig__source_check_peer(source, error) ||
        !vmmig__session_move(session, VMMIG__HAND_OVER, error))
        return false;
    vmmig__session_set_owner(session, VMMIG_OWNER_UNKNOWN);
    sent = send_end(source, description, &failure);
    *ret_last_word = hear(source, sent, &failure);
    if (failure && *ret_last_word != VMMIG__SUCCESS)
        g_propagate_error(error, failure);
    else
        g_clear_error(&failure);
    return true;
}

bool vmmig__switch_over(struct vmmig__source *source,
                        enum vmmig__last_word *ret_last_word,
                        vmmig_error **error)
{
    struct vmmig__vm_description *description;
    bool ok;

    if (!stop_guest(source, error) || !wait_to_continue(source, error) ||
        !vmmig__session_move(source->session, VMMIG__SWITCHED, error))
        return false;
    description = vmmig__vm_description_new(
        &source->configuration, source->machine->host.table.page_bytes);
    ok = send_rest(source, description, error) &&
         release_ownership(source, error) &&
         hand_over(source, description, ret_last_word, error);
    vmmig__vm_description_free(description);
    return ok;
}

bool vmmig__switch_back(struct vmmig__source *source, vmmig_error **error)
{
    struct vmmig__host *host = &source->machine->host;
    struct vmmig_session *session = source->session;

    if (source->ownership_released &&
        !vmmig__host_acquire_ownership(host, VMMIG_START_UNDO, error)) {
        vmmig__session_set_owner(session, VMMIG_OWNER_UNKNOWN);
        return vmmig__prefix(error, "the guest stays stopped: ");
    }
    source->ownership_released = false;
    vmmig__session_set_owner(session, VMMIG_OWNER_HERE);
    if (!source->guest_stopped)
        return true;
    source->guest_stopped = false;
    if (!vmmig__save_unquiesce(&source->saver, error) ||
        !vmmig__host_start_guest(host, VMMIG_START_UNDO, error))
        return vmmig__prefix(error, "the guest stays stopped: ");
    atomic_store_explicit(&session->stats.run_us, vmmig__now_us(),
                          memory_order_relaxed);
    vmmig__session_post(session, VMMIG_EVENT_STARTED, VMMIG_START_UNDO, 0);
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's thread, mig/src/main, from the connection to the end.
 */
#include "session/source.h"

#include <string.h>

#include "base/clock.h"
#include "base/fault-points.h"
#include "io/connect.h"
#include "ram/ram-save.h"
#include "wire/command.h"
#include "wire/section-frame.h"

/* The value of the first PING; it has no meaning. */
enum { FIRST_PING = 1 };

/* How long to wait for the destination's own words when sending failed. */
enum { LAST_WORD_US = 500000 };

static bool use_return_path(const struct vmmig__source *source)
{
    return vmmig__channel_is_two_way(source->channel) &&
           vmmig__options_get_bool(source->session->options,
                                   VMMIG__OPTION_RETURN_PATH);
}

static bool connect(struct vmmig__source *source, vmmig_error **error)
{
    struct vmmig_session *session = source->session;

    if (!VMMIG_FAULT("source-connect", error))
        return false;
    if (session->address->kind == VMMIG__ADDRESS_HOST)
        source->channel = vmmig_channel_ref(session->given);
    else if (!vmmig__connect(
                 session->address, &session->stop,
                 (int64_t)vmmig__options_get_uint(
                     session->options, VMMIG__OPTION_CONNECT_TIMEOUT),
                 &source->channel, error))
        return false;
    vmmig__channel_set_name(source->channel, "main");
    source->out = vmmig__writer_new(source->channel);
    source->saver.out = source->out;
    return vmmig__session_set_channel(session, source->channel, error);
}

static void fill_configuration(struct vmmig__source *source)
{
    struct vmmig_options *options = source->session->options;
    struct vmmig__host *host = &source->machine->host;

    source->configuration = (struct vmmig__configuration){
        .machine_name = host->machine_name,
        .ignore_shared =
            vmmig__options_get_bool(options, VMMIG__OPTION_IGNORE_SHARED),
        .has_uuid =
            vmmig__options_get_bool(options, VMMIG__OPTION_VALIDATE_UUID),
    };
    memcpy(source->configuration.uuid, host->uuid, sizeof host->uuid);
}

/* Under the host's lock, the header included: the stream may be the host's own
 * (design rule 5). */
static bool put_setup(void *data, vmmig_error **error)
{
    struct vmmig__source *source = data;

    if (!VMMIG_FAULT("source-header", error))
        return false;
    vmmig__put_file_header(source->out);
    vmmig__put_configuration(source->out, &source->configuration);
    if (use_return_path(source)) {
        vmmig__put_simple_command(source->out,
                                  VMMIG__COMMAND_OPEN_RETURN_PATH);
        vmmig__put_ping(source->out, FIRST_PING);
    }
    return VMMIG_FAULT("source-save-setup", error) &&
           vmmig__save_setup(&source->saver, error);
}

static void return_path_changed(void *data)
{
    vmmig__session_wake(data);
}

static bool set_up(struct vmmig__source *source, vmmig_error **error)
{
    struct vmmig_session *session = source->session;
    struct vmmig__host *host = &source->machine->host;

    fill_configuration(source);
    if (use_return_path(source) &&
        !vmmig__return_path_start(source->channel, &host->hook,
                                  return_path_changed, session,
                                  &source->return_path, error))
        return false;
    return vmmig__save_prepare(&source->saver, error) &&
           vmmig__host_locked(host, "save_setup", put_setup, source, error) &&
           vmmig__writer_flush(source->out, error) &&
           vmmig__session_move(session, VMMIG__SET_UP, error);
}

/* -- rounds: what the step function of precopy.c asks for ------------------- */

static bool query_pending(void *data, bool exact,
                          struct vmmig_pending *ret_pending,
                          vmmig_error **error)
{
    struct vmmig__source *source = data;

    if (exact && !VMMIG_FAULT("source-dirty-sync", error))
        return false;
    return vmmig__save_query_pending(&source->saver, exact, ret_pending, error);
}

static bool iterate(void *data, uint64_t budget_bytes,
                    uint64_t *ret_sent_bytes, vmmig_error **error)
{
    struct vmmig__source *source = data;
    uint64_t before = vmmig__writer_get_offset(source->out);

    if (!VMMIG_FAULT("source-round", error) ||
        !vmmig__save_iterate(&source->saver, budget_bytes, error))
        return false;
    *ret_sent_bytes = vmmig__writer_get_offset(source->out) - before;
    return true;
}

static uint64_t downtime_limit_ms(void *data)
{
    struct vmmig__source *source = data;

    return vmmig__options_get_uint(source->session->options,
                                   VMMIG__OPTION_DOWNTIME_LIMIT);
}

/* switchover-ack: in the older protocol the destination always says when; in
 * the newer one only if a device asked, and none of ours does. A guest that is
 * stopped need not wait. */
static bool may_switch(void *data)
{
    struct vmmig__source *source = data;
    struct vmmig_options *options = source->session->options;

    return !vmmig__options_get_bool(options, VMMIG__OPTION_SWITCHOVER_ACK) ||
           !vmmig__options_get_bool(options,
                                    VMMIG__OPTION_SWITCHOVER_ACK_LEGACY) ||
           vmmig__return_path_acks(source->return_path) > 0 ||
           !vmmig__host_is_running(&source->machine->host);
}

static const struct vmmig__precopy_ops precopy_ops = {
    .query_pending = query_pending,
    .iterate = iterate,
    .downtime_limit_ms = downtime_limit_ms,
    .may_switch = may_switch,
};

bool vmmig__source_check_peer(struct vmmig__source *source,
                              vmmig_error **error)
{
    vmmig_error *words = NULL;

    if (!source->return_path)
        return true;
    switch (vmmig__return_path_last_word(source->return_path, &words)) {
    case VMMIG__NOTHING_YET:
        return true;
    case VMMIG__SUCCESS:
        return vmmig__fail(error, VMMIG_ERROR_PROTOCOL,
                           "return path: SHUT 0 before the guest was sent");
    default:
        g_propagate_error(error, words);
        return false;
    }
}

static bool send_rounds(struct vmmig__source *source, vmmig_error **error)
{
    struct vmmig_session *session = source->session;
    struct vmmig__precopy *precopy = &source->precopy;
    enum vmmig__precopy_action action = VMMIG__PRECOPY_GO_ON;
    uint64_t wait_us = 0;

    vmmig__precopy_init(precopy, &vmmig__monotonic_clock, &session->rate_limit,
                        &precopy_ops, source);
    /* The first round is that of all pages, which needs no collecting. */
    vmmig__session_post(session, VMMIG_EVENT_PASS, 0, 1);
    while (action != VMMIG__PRECOPY_SWITCH) {
        vmmig__rate_limit_set_rate(
            &session->rate_limit,
            vmmig__options_get_uint(session->options,
                                    VMMIG__OPTION_MAX_BANDWIDTH));
        if (!vmmig__session_check(session, error) ||
            !vmmig__source_check_peer(source, error) ||
            !vmmig__precopy_step(precopy, &action, &wait_us, error))
            return false;
        atomic_store_explicit(&session->stats.bandwidth_bytes_per_s,
                              precopy->bandwidth_bytes_per_s,
                              memory_order_relaxed);
        atomic_store_explicit(&session->stats.expected_downtime_us,
                              precopy->expected_downtime_us,
                              memory_order_relaxed);
        if (action == VMMIG__PRECOPY_ROUND)
            vmmig__session_post(session, VMMIG_EVENT_PASS, 0,
                                precopy->rounds + 1);
        if (action == VMMIG__PRECOPY_WAIT)
            vmmig__session_sleep(session, wait_us);
    }
    return true;
}

/* -- the end ---------------------------------------------------------------- */

/* The channel failed; if the destination said why, that is the error to show. */
static void prefer_peers_words(struct vmmig__source *source,
                               vmmig_error **error)
{
    vmmig_error *words = NULL;

    if (!source->return_path || vmmig_error_code(*error) != VMMIG_ERROR_IO ||
        !vmmig_error_detail(*error, "channel"))
        return;
    if (vmmig__return_path_wait(source->return_path,
                                vmmig__now_us() + LAST_WORD_US,
                                &words) == VMMIG__FAILURE) {
        g_clear_error(error);
        *error = g_steal_pointer(&words);
    }
    g_clear_error(&words);
}

static void disconnect(struct vmmig__source *source)
{
    if (source->channel)
        vmmig__channel_shutdown(source->channel);
    vmmig__return_path_free(g_steal_pointer(&source->return_path));
}

static void clean_up(struct vmmig__source *source)
{
    vmmig__ram_save_end(&source->session->ram);
    vmmig__save_cleanup(&source->saver);
    vmmig__writer_free(source->out);
    source->channel = vmmig_channel_unref(source->channel);
    vmmig__session_set_channel(source->session, NULL, NULL);
}

/* The attempt failed while the guest could not be anywhere else. */
static void give_up(struct vmmig__source *source, vmmig_error *error)
{
    struct vmmig_session *session = source->session;
    vmmig_error *lost = NULL;

    vmmig__prefix(&error, "send: ");
    vmmig__session_begin_failing(session, error);
    disconnect(source);
    if (!vmmig__switch_back(source, &lost)) {
        /* A cancelled session has its error already, hence the log as well. */
        vmmig__log(&source->machine->host.log, VMMIG_LOG_ERROR, "%s",
                   vmmig_error_message(lost));
        vmmig__suffix(&error, "; and %s", vmmig_error_message(lost));
    }
    g_clear_error(&lost);
    vmmig__session_break(session, error);
    clean_up(source);
    vmmig__session_finish(session, VMMIG__UNDONE);
}

static void complete(struct vmmig__source *source)
{
    struct vmmig_session *session = source->session;

    atomic_store_explicit(&session->stats.run_us, vmmig__now_us(),
                          memory_order_relaxed);
    disconnect(source);
    vmmig__ram_save_set_committed(&session->ram);
    clean_up(source);
    vmmig__session_set_owner(session, VMMIG_OWNER_PEER);
    vmmig__session_finish(session, VMMIG__DONE);
}

/* Nobody here knows who has the guest. It is held, and owner stays UNKNOWN. */
static void hold(struct vmmig__source *source, vmmig_error *error)
{
    vmmig__prefix(&error,
                  "the destination has everything and did not answer: ask it "
                  "whether the guest runs there before running it here: ");
    vmmig__session_break(source->session, error);
    disconnect(source);
    vmmig__ram_save_set_committed(&source->session->ram);
    clean_up(source);
    vmmig__session_finish(source->session, VMMIG__ACK_LOST);
}

static bool resume_on_lost_ack(struct vmmig__source *source)
{
    return vmmig__options_text_is(source->session->options,
                                  VMMIG__OPTION_ON_LOST_ACK, "resume");
}

static void conclude(struct vmmig__source *source,
                     enum vmmig__last_word last_word, vmmig_error *error)
{
    if (last_word == VMMIG__SUCCESS) {
        complete(source);
    } else if (last_word == VMMIG__FAILURE || resume_on_lost_ack(source)) {
        if (!vmmig__session_move(source->session, VMMIG__REFUSED, NULL))
            g_error("a hand-over could not be taken back");
        give_up(source, error);
    } else {
        hold(source, error);
    }
}

void vmmig__source_main(void *data)
{
    struct vmmig_session *session = data;
    struct vmmig_machine *machine = session->machine;
    struct vmmig__source source = {
        .session = session,
        .machine = machine,
        .saver = {.host = &machine->host, .devices = machine->devices},
    };
    enum vmmig__last_word last_word = VMMIG__NOTHING_YET;
    vmmig_error *error = NULL;

    vmmig__devices_reset(machine->devices);
    machine->ram_device->data = &session->ram;
    session->ram.settings.ignore_shared = vmmig__options_get_bool(
        session->options, VMMIG__OPTION_IGNORE_SHARED);
    if (connect(&source, &error) && set_up(&source, &error)) {
        atomic_store_explicit(&session->stats.set_up_us, vmmig__now_us(),
                              memory_order_relaxed);
        if (send_rounds(&source, &error) &&
            vmmig__switch_over(&source, &last_word, &error)) {
            conclude(&source, last_word, error);
            return;
        }
    }
    prefer_peers_words(&source, &error);
    give_up(&source, error);
}

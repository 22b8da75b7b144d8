/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's thread, mig/dst/main, from the connection to the running
 * guest. It reads without any lock of the host (design rule 2); the host's lock
 * is taken to apply what was read.
 */
#include <string.h>

#include "base/clock.h"
#include "base/fault-points.h"
#include "device/device-load.h"
#include "io/open.h"
#include "returnpath/returnpath-send.h"
#include "session/session.h"
#include "wire/command.h"
#include "wire/configuration.h"
#include "wire/vm-description.h"

/* How long a source may take to read the word that its destination failed. */
enum { FAREWELL_MS = 500 };

struct destination {
    struct vmmig_session *session;
    struct vmmig_machine *machine;
    struct vmmig_channel *channel;
    struct vmmig_reader *in;
    struct vmmig__replies *replies; /* NULL: no return path was opened */
    bool path_opened;               /* ... or it was, on a one-way channel */
    bool all_read;                  /* nothing more comes from the source */
    struct vmmig__loader loader;
};

/* -- the connection --------------------------------------------------------- */

/* The first connection that begins like a migration stream. Others are closed:
 * nobody who merely connects can end a migration. */
static bool accept_main(struct destination *destination, vmmig_error **error)
{
    struct vmmig_session *session = destination->session;
    static const uint8_t magic[4] = {'Q', 'E', 'V', 'M'};
    struct vmmig__accepted accepted;

    for (;;) {
        if (!vmmig__listener_next(session->listener, &session->stop, &accepted,
                                  error))
            return false;
        if (memcmp(accepted.first, magic, sizeof magic) == 0)
            break;
        vmmig__log(&destination->machine->host.log, VMMIG_LOG_WARNING,
                   "a connection from %s is no migration stream (it begins "
                   "with 0x%02x%02x%02x%02x): closed",
                   accepted.peer, accepted.first[0], accepted.first[1],
                   accepted.first[2], accepted.first[3]);
        vmmig_channel_unref(accepted.channel);
    }
    destination->channel = accepted.channel;
    vmmig__listener_free(g_steal_pointer(&session->listener));
    return true;
}

static bool connect(struct destination *destination, vmmig_error **error)
{
    struct vmmig_session *session = destination->session;
    bool ok = true;

    if (vmmig__session_listens(session))
        ok = accept_main(destination, error);
    else if (session->address->kind == VMMIG__ADDRESS_HOST)
        destination->channel = vmmig_channel_ref(session->given);
    else
        ok = vmmig__open_incoming(session->address, &session->stop,
                                  &destination->channel, error);
    if (!ok)
        return false;
    vmmig__channel_set_name(destination->channel, "main");
    destination->in = vmmig__reader_new(destination->channel);
    destination->loader.in = destination->in;
    return vmmig__session_set_channel(session, destination->channel, error);
}

static bool read_header(struct destination *destination, vmmig_error **error)
{
    struct vmmig_options *options = destination->session->options;
    struct vmmig__host *host = &destination->machine->host;
    struct vmmig__configuration ours = {
        .machine_name = host->machine_name,
        .ignore_shared =
            vmmig__options_get_bool(options, VMMIG__OPTION_IGNORE_SHARED),
        .has_uuid = host->has_uuid,
    };

    memcpy(ours.uuid, host->uuid, sizeof host->uuid);
    return VMMIG_FAULT("destination-header", error) &&
           vmmig__expect_file_header(destination->in, error) &&
           vmmig__expect_configuration(destination->in, &ours, NULL, error);
}

/* -- commands --------------------------------------------------------------- */

static bool open_return_path(struct destination *destination,
                             vmmig_error **error)
{
    struct vmmig_options *options = destination->session->options;

    if (destination->path_opened)
        return vmmig__reader_fail(destination->in, error, VMMIG_ERROR_PROTOCOL,
                                  "OPEN_RETURN_PATH came twice");
    destination->path_opened = true;
    /* A stream that was recorded is read back with nobody to answer. */
    if (!vmmig__channel_is_two_way(destination->channel))
        return true;
    destination->replies = vmmig__replies_new(destination->channel);
    /* In the older protocol the destination says when it is ready, and none of
     * our devices needs time for that. */
    return !vmmig__options_get_bool(options, VMMIG__OPTION_SWITCHOVER_ACK) ||
           !vmmig__options_get_bool(options,
                                    VMMIG__OPTION_SWITCHOVER_ACK_LEGACY) ||
           vmmig__replies_switchover_ack(destination->replies, error);
}

static bool answer_ping(struct destination *destination, uint32_t value,
                        vmmig_error **error)
{
    if (!destination->path_opened)
        return vmmig__reader_fail(destination->in, error, VMMIG_ERROR_PROTOCOL,
                                  "PING without a return path");
    return !destination->replies ||
           vmmig__replies_pong(destination->replies, value, error);
}

static bool obey(struct destination *destination,
                 const struct vmmig__command *command, vmmig_error **error)
{
    switch (command->number) {
    case VMMIG__COMMAND_OPEN_RETURN_PATH:
        return open_return_path(destination, error);
    case VMMIG__COMMAND_PING:
        return answer_ping(destination, command->value, error);
    case VMMIG__COMMAND_SWITCHOVER_START:
        return vmmig__load_switchover_start(&destination->loader, error);
    case VMMIG__COMMAND_POSTCOPY_ADVISE:
        /* The short form comes with dirty bitmaps and asks for nothing. */
        if (!command->has_page_sizes)
            return true;
        return vmmig__reader_fail(destination->in, error,
                                  VMMIG_ERROR_INCOMPATIBLE,
                                  "the source wants to go postcopy: switch "
                                  "postcopy-ram off there");
    default:
        return vmmig__reader_fail(destination->in, error, VMMIG_ERROR_PROTOCOL,
                                  "command %s is not welcome in precopy",
                                  vmmig__command_name(command->number));
    }
}

static bool take_command(void *data, struct vmmig_reader *in,
                         vmmig_error **error)
{
    struct destination *destination = data;
    struct vmmig__command command = {0};
    bool ok;

    if (!vmmig__get_command(in, &command, error))
        return false;
    ok = obey(destination, &command, error);
    vmmig__command_clear(&command);
    return ok;
}

/* -- loading ---------------------------------------------------------------- */

/* Behind EOF nothing is left that the guest needs: a description that is cut, or
 * nonsense, is worth a line in the log. */
static void read_description(struct destination *destination)
{
    vmmig_error *error = NULL;
    bool present;

    if (vmmig__skip_vm_description(destination->in, &present, &error))
        return;
    vmmig__log(&destination->machine->host.log, VMMIG_LOG_INFO,
               "all of the guest is there, but its description is not: %s",
               vmmig_error_message(error));
    vmmig_error_free(error);
}

static bool read_stream(struct destination *destination, vmmig_error **error)
{
    bool end = false;

    while (!end) {
        if (!vmmig__session_check(destination->session, error) ||
            !vmmig__load_record(&destination->loader, &end, error))
            return false;
    }
    read_description(destination);
    return vmmig__session_check(destination->session, error);
}

/* From here on nobody waits for the channel, so a cancel leaves it alone: the
 * source waits for a word, and will be told to keep the guest. */
static bool keep_channel(struct destination *destination, vmmig_error **error)
{
    destination->all_read = true;
    return vmmig__session_set_channel(destination->session, NULL, error);
}

/* All state is in place when this returns true, and it is too late to cancel. */
static bool load(struct destination *destination, vmmig_error **error)
{
    struct vmmig_session *session = destination->session;

    return vmmig__load_setup(&destination->loader, error) &&
           read_header(destination, error) &&
           vmmig__session_move(session, VMMIG__SET_UP, error) &&
           VMMIG_FAULT("destination-load", error) &&
           read_stream(destination, error) &&
           keep_channel(destination, error) &&
           vmmig__load_apply(&destination->loader, error) &&
           vmmig__session_move(session, VMMIG__HAND_OVER, error);
}

/* -- taking over ------------------------------------------------------------ */

/* Only a source that has been told can be sure, so the guest starts only when
 * telling it succeeded. */
static bool tell_source(struct destination *destination, vmmig_error **error)
{
    if (!VMMIG_FAULT("destination-shut", error))
        return false;
    if (!destination->replies ||
        vmmig__replies_shut(destination->replies, 0, error))
        return true;
    return vmmig__prefix(error, "the source could not be told that all is "
                                "well, so the guest stays stopped here: ");
}

static bool start_guest(struct destination *destination, vmmig_error **error)
{
    struct vmmig_session *session = destination->session;
    struct vmmig__host *host = &destination->machine->host;

    if (!destination->machine->globalstate.guest_ran ||
        !vmmig__options_get_bool(session->options, VMMIG__OPTION_AUTOSTART))
        return true;
    if (!VMMIG_FAULT("destination-start-guest", error) ||
        !vmmig__host_start_guest(host, VMMIG_START_RUN, error))
        return false;
    vmmig__session_post(session, VMMIG_EVENT_STARTED, VMMIG_START_RUN, 0);
    return true;
}

/* What fails from here on leaves the guest stopped, and whether the source has
 * it is not for this side to say. */
static bool take_over(struct destination *destination, vmmig_error **error)
{
    struct vmmig_session *session = destination->session;
    struct vmmig__host *host = &destination->machine->host;

    if (!tell_source(destination, error))
        return false;
    vmmig__session_set_owner(session, VMMIG_OWNER_UNKNOWN);
    if (!VMMIG_FAULT("destination-acquire", error) ||
        !vmmig__host_acquire_ownership(host, VMMIG_START_RUN, error))
        return vmmig__prefix(error, "the guest is complete here, but stays "
                                    "stopped: ");
    vmmig__session_set_owner(session, VMMIG_OWNER_HERE);
    if (!vmmig__load_activate(&destination->loader, error) ||
        !start_guest(destination, error))
        return vmmig__prefix(error, "the guest is complete here, but stays "
                                    "stopped: ");
    atomic_store_explicit(&session->stats.run_us, vmmig__now_us(),
                          memory_order_relaxed);
    return true;
}

/* -- the end ---------------------------------------------------------------- */

/* Tells the source that it keeps the guest, and why. Closing a connection with unread
 * bytes would destroy the message, so what the source still sends is read, for a
 * moment; not on a host's transport that could keep us for ever. */
static void say_farewell(struct destination *destination)
{
    uint64_t deadline_us = vmmig__now_us() + FAREWELL_MS * 1000;
    uint8_t waste[65536];
    struct iovec part = {waste, sizeof waste};
    uint64_t length = 1;

    if (!destination->replies ||
        !vmmig__replies_reason(
            destination->replies,
            vmmig_error_message(vmmig_session_get_error(destination->session)),
            NULL) ||
        !vmmig__replies_shut(destination->replies, 1, NULL) ||
        destination->all_read ||
        !vmmig__channel_has_deadlines(destination->channel))
        return;
    while (length > 0 && vmmig__now_us() < deadline_us) {
        if (!vmmig__channel_wait(destination->channel, false, FAREWELL_MS,
                                 NULL) ||
            !vmmig__channel_read(destination->channel, &part, 1, &length, NULL))
            return;
    }
}

static void clean_up(struct destination *destination)
{
    vmmig__load_cleanup(&destination->loader);
    if (destination->channel)
        vmmig__channel_shutdown(destination->channel);
    vmmig__replies_free(destination->replies);
    vmmig__reader_free(destination->in);
    vmmig_channel_unref(destination->channel);
    vmmig__session_set_channel(destination->session, NULL, NULL);
    vmmig__listener_free(g_steal_pointer(&destination->session->listener));
}

/* Whether this is still the guest's place: the machine is not being closed, and
 * no later session of it has taken the guest elsewhere. */
static bool is_at_home(struct vmmig_machine *machine)
    VMMIG_REQUIRES(machine->lock)
{
    return !machine->closed &&
           vmmig_session_get_owner(machine->session) == VMMIG_OWNER_HERE;
}

/* Waits; false when there is nothing to announce any more. */
static bool wait_at_home(struct vmmig_machine *machine, uint64_t until_us)
{
    bool in_time = true, at_home;

    vmmig__mutex_lock(&machine->lock);
    while (is_at_home(machine) && in_time)
        in_time =
            vmmig__cond_wait_until(&machine->idle, &machine->lock, until_us);
    at_home = is_at_home(machine);
    vmmig__mutex_unlock(&machine->lock);
    return at_home;
}

/* Rounds of telling the network, at growing distances; cut short by the
 * machine's end, and when the guest moves on: what is said then would draw its
 * traffic to where it was. */
static void announce(struct destination *destination)
{
    struct vmmig_options *options = destination->session->options;
    uint64_t step_ms =
        vmmig__options_get_uint(options, VMMIG__OPTION_ANNOUNCE_STEP);
    uint64_t maximum_ms =
        vmmig__options_get_uint(options, VMMIG__OPTION_ANNOUNCE_MAX);
    uint64_t rounds =
        vmmig__options_get_uint(options, VMMIG__OPTION_ANNOUNCE_ROUNDS);
    uint64_t wait_ms =
        vmmig__options_get_uint(options, VMMIG__OPTION_ANNOUNCE_INITIAL);

    if (!destination->machine->host.table.announce)
        return;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t next_us = vmmig__now_us() + wait_ms * 1000;

        vmmig__host_announce(&destination->machine->host, (uint32_t)round);
        if (round + 1 < rounds && !wait_at_home(destination->machine, next_us))
            return;
        wait_ms = MIN(wait_ms + step_ms, maximum_ms);
    }
}

void vmmig__destination_main(void *data)
{
    struct vmmig_session *session = data;
    struct vmmig_machine *machine = session->machine;
    struct destination destination = {.session = session, .machine = machine};
    vmmig_error *error = NULL;
    bool loaded, ok;

    vmmig__devices_reset(machine->devices);
    vmmig__globalstate_reset(&machine->globalstate);
    machine->ram_device->data = &session->ram;
    session->ram.settings.ignore_shared = vmmig__options_get_bool(
        session->options, VMMIG__OPTION_IGNORE_SHARED);
    destination.loader = (struct vmmig__loader){
        .host = &machine->host,
        .devices = machine->devices,
        .command = take_command,
        .data = &destination,
    };
    loaded = connect(&destination, &error) && load(&destination, &error);
    ok = loaded && take_over(&destination, &error);
    atomic_store_explicit(&session->stats.stop_us, destination.loader.state_us,
                          memory_order_relaxed);
    if (!ok) {
        vmmig__prefix(&error, "receive: ");
        vmmig__session_break(session, error);
        /* After SHUT 0 there is nothing to take back. */
        if (!loaded)
            say_farewell(&destination);
    }
    clean_up(&destination);
    vmmig__session_finish(session, ok ? VMMIG__DONE : VMMIG__UNDONE);
    if (ok)
        announce(&destination);
}

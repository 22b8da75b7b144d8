/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions. A session is one migration of a machine, out (VMMIG_SOURCE) or in
 * (VMMIG_DESTINATION). It is made, started once, and ends by itself in one of
 * three final statuses: completed, failed, cancelled. Of one machine's sessions
 * one runs at a time; after it has ended another may be started.
 *
 * A session that runs keeps itself alive: dropping the last reference forgets
 * it, and does not end it.
 */
#ifndef VMMIGRATE_SESSION_H
#define VMMIGRATE_SESSION_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    VMMIG_SOURCE = 1,
    VMMIG_DESTINATION = 2
};

/* Who has the guest. It may be run here exactly when the answer is HERE. */
enum {
    VMMIG_OWNER_HERE = 1,
    VMMIG_OWNER_PEER = 2,
    /* The link was lost between the hand-over and the peer's word: ask the
     * other side, or fence it. The guest is held. */
    VMMIG_OWNER_UNKNOWN = 3
};

/* QEMU's statuses; vmmig_status_name() gives QEMU's words for them. */
enum {
    /* Not started. */
    VMMIG_STATUS_NONE = 1,
    /* Connects, or waits for a connection; sets up. */
    VMMIG_STATUS_SETUP = 2,
    /* Memory is on its way while the guest runs. */
    VMMIG_STATUS_ACTIVE = 3,
    /* Waits for vmmig_session_continue(); the guest stands still. */
    VMMIG_STATUS_PRE_SWITCHOVER = 4,
    /* The guest stands still; the rest is on its way. */
    VMMIG_STATUS_DEVICE = 5,
    /* The three ways to end have begun or are over. */
    VMMIG_STATUS_CANCELLING = 12,
    VMMIG_STATUS_FAILING = 13,
    VMMIG_STATUS_COMPLETED = 14,
    VMMIG_STATUS_FAILED = 15,
    VMMIG_STATUS_CANCELLED = 16
};

/* A time-out that never passes. */
#define VMMIG_FOREVER INT64_C(-1)

/**
 * vmmig_status_name:
 * @status: VMMIG_STATUS_...
 *
 * QEMU's name of a status: "pre-switchover".
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: the name, which lives as long as the program; "unknown" for a number
 *   that this library does not know
 * Since:    0.1
 */
VMMIG_API const char *vmmig_status_name(uint32_t status);

/**
 * vmmig_status_is_final:
 * @status: VMMIG_STATUS_...
 *
 * Whether a session with this status has ended.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true for COMPLETED, FAILED and CANCELLED
 * Since:    0.1
 */
VMMIG_API bool vmmig_status_is_final(uint32_t status);

/**
 * vmmig_session_new:
 * @machine: the machine to move; the session keeps a reference
 * @role: VMMIG_SOURCE or VMMIG_DESTINATION
 * @error: (nullable): return location
 *
 * Makes a session, with a copy of the machine's options. Nothing happens yet.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the session; NULL with INVALID for an
 *   unknown role, STATE after vmmig_machine_close()
 * Since:    0.1
 */
VMMIG_API struct vmmig_session *
vmmig_session_new(struct vmmig_machine *machine, uint32_t role,
                  vmmig_error **error);

/**
 * vmmig_session_ref:
 * @session: (nullable): a session
 *
 * Takes a reference.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): @session
 * Since:    0.1
 */
VMMIG_API struct vmmig_session *
vmmig_session_ref(struct vmmig_session *session);

/**
 * vmmig_session_unref:
 * @session: (transfer full) (nullable): a session
 *
 * Drops a reference. A migration that runs goes on.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: NULL, always
 * Since:    0.1
 */
VMMIG_API struct vmmig_session *
vmmig_session_unref(struct vmmig_session *session);

/**
 * vmmig_session_start:
 * @session: a session that has not been started
 * @uri: where to go, or where to wait; copied:
 *
 *   - tcp:HOST:PORT, an IPv6 address in brackets. A destination listens; port 0
 *     lets the kernel choose (see vmmig_session_get_address())
 *   - unix:PATH, a socket; a destination makes it
 *   - fd:N, a descriptor of this process: a socket, a pipe, a file. The session
 *     has it from the moment this call succeeds, and closes it
 *   - file:PATH, or file:PATH,offset=N: into the file, or out of it, N bytes
 *     from its start
 *   - exec:COMMAND, run by /bin/sh: a source writes to its standard input, a
 *     destination reads its standard output
 *   - host: is the channel given to vmmig_session_add_channel()
 *
 * @error: (nullable): return location
 *
 * Starts the migration, on threads of the library. What the session is not able
 * to do is refused here as far as that can be known; a connection that fails is
 * reported as the session's error. A destination listens when this returns.
 *
 * A file, a pipe and exec: have no way back: there the source is done when all
 * has been written, flushed and closed.
 *
 * Thread:   any, inside callbacks only in a listener; waits for neither peer
 *   nor host
 * Returns: true if it is under way; false with STATE when it was started
 *   before, BLOCKED when another session of the machine runs or a blocker is
 *   set (with its reason), INVALID for an address or options that make no
 *   sense, SYSTEM or IO when it cannot listen there
 * Since:    0.1
 */
VMMIG_API bool vmmig_session_start(struct vmmig_session *session,
                                   const char *uri, vmmig_error **error);

/**
 * vmmig_session_continue:
 * @session: a session in VMMIG_STATUS_PRE_SWITCHOVER
 * @error: (nullable): return location
 *
 * Lets a source go on that stopped the guest and waits, because the option
 * pause-before-switchover is on.
 *
 * Thread:   any, inside callbacks only in a listener; waits for neither peer
 *   nor host
 * Returns: true if it goes on; false with STATE in every other status
 * Since:    0.1
 */
VMMIG_API bool vmmig_session_continue(struct vmmig_session *session,
                                      vmmig_error **error);

/**
 * vmmig_session_cancel:
 * @session: the session
 * @error: (nullable): return location
 *
 * Asks the session to end. True is a promise: it will not complete, but end as
 * CANCELLED (or as FAILED, if it was failing already), with the guest on the
 * side where it was; every blocked call of the session is woken. False with
 * STATE means that it is too late, or that there is nothing to cancel; the
 * message says which. Repeated calls agree.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if the session will not complete
 * Since:    0.1
 */
VMMIG_API bool vmmig_session_cancel(struct vmmig_session *session,
                                    vmmig_error **error);

/**
 * vmmig_session_wait:
 * @session: a session that was started
 * @timeout_ms: how long at most: 0 just asks, VMMIG_FOREVER waits for the end
 * @error: (nullable): return location; a copy of the session's first error
 *
 * Waits until the session has ended and its events have been delivered.
 *
 * Thread:   any that may block; never inside a callback or under the host's
 *   lock; on a host thread that was attached it serves the queue meanwhile
 * Returns: true if it has completed; false with its error, with TIMEOUT if it
 *   still runs, or with STATE if it was never started
 * Since:    0.1
 */
VMMIG_API bool vmmig_session_wait(struct vmmig_session *session,
                                  int64_t timeout_ms, vmmig_error **error);

/**
 * vmmig_session_get_status:
 * @session: the session
 *
 * How far the session is.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: VMMIG_STATUS_...
 * Since:    0.1
 */
VMMIG_API uint32_t
vmmig_session_get_status(const struct vmmig_session *session);

/**
 * vmmig_session_get_owner:
 * @session: the session
 *
 * Who has the guest, as far as this session knows.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: VMMIG_OWNER_...
 * Since:    0.1
 */
VMMIG_API uint32_t
vmmig_session_get_owner(const struct vmmig_session *session);

/**
 * vmmig_session_get_error:
 * @session: the session
 *
 * The first error of the session, which is why it failed; of a cancelled one it
 * has the code VMMIG_ERROR_CANCELLED. Later errors go to the log.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (nullable): the error, valid as long as @session; NULL while there
 *   is none
 * Since:    0.1
 */
VMMIG_API const vmmig_error *
vmmig_session_get_error(const struct vmmig_session *session);

/**
 * vmmig_session_get_address:
 * @session: the session
 *
 * Where the session listens or what it talks to, in the form that
 * vmmig_session_start() takes: after tcp:0.0.0.0:0 with the real port.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the address, for vmmig_free(); NULL
 *   before the start
 * Since:    0.1
 */
VMMIG_API char *
vmmig_session_get_address(const struct vmmig_session *session);

/**
 * vmmig_session_get_machine:
 * @session: the session
 *
 * The machine that the session moves.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: the machine, valid as long as @session
 * Since:    0.1
 */
VMMIG_API struct vmmig_machine *
vmmig_session_get_machine(struct vmmig_session *session);

/**
 * vmmig_session_get_options:
 * @session: the session
 *
 * The session's own options (options.h).
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: the options, valid as long as @session
 * Since:    0.1
 */
VMMIG_API struct vmmig_options *
vmmig_session_get_options(struct vmmig_session *session);

#ifdef __cplusplus
}
#endif

#endif

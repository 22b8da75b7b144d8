/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session: one migration of a machine. Its thread, mig/src/main or
 * mig/dst/main, runs source.c or destination.c from start to end; here is what
 * both sides and the callers share.
 *
 * References are counted under the machine's lock. While somebody has one the
 * session has a reference to the machine; a session that nobody has is kept by
 * its machine as long as it is the last one (vmmig_machine_get_session()).
 */
#ifndef VMMIG_SESSION_SESSION_H
#define VMMIG_SESSION_SESSION_H

#include <stdatomic.h>

#include <vmmigrate/events.h>
#include <vmmigrate/session.h>

#include "base/stop-flag.h"
#include "io/address.h"
#include "io/listen.h"
#include "io/rate-limit.h"
#include "ram/ram.h"
#include "session/machine.h"
#include "session/states.h"
#include "session/stats.h"

struct vmmig_session {
    struct vmmig_machine *machine;
    uint32_t references; /* machine's lock */
    uint32_t role;
    struct vmmig_options *options;
    struct vmmig__stop_flag stop; /* cancelled */

    /* Set by start, before threads. */
    struct vmmig__address *address;
    char *where;                      /* the address, with its real port */
    struct vmmig__listener *listener; /* destination: TCP, UNIX; then its
                                         thread's */
    struct vmmig__thread *thread;

    struct vmmig__mutex lock;
    struct vmmig__cond changed;    /* whoever waits for anything below */
    enum vmmig__state state;       /* lock */
    struct vmmig_channel *channel; /* lock; what a cancel shuts down */
    struct vmmig_channel *given;   /* lock; for the address host: */
    bool starting;                 /* lock; somebody is in its start */
    bool may_continue;             /* lock; pre-switchover is over */
    bool delivered;                /* lock; ended, and all events were heard */

    _Atomic(uint32_t) status; /* VMMIG_STATUS_ of `state` */
    _Atomic(uint32_t) owner;
    _Atomic(vmmig_error *) error; /* the first one; set once */

    struct vmmig__ram ram; /* the session's thread; counters are atomic */
    struct vmmig__rate_limit rate_limit;
    struct vmmig__stats stats;
};

/* Under the machine's lock. */
void vmmig__session_ref_locked(struct vmmig_session *session);

/* Under the machine's lock, which made it the machine's running session: from
 * here on it can be cancelled, and ends by vmmig__session_finish(). */
void vmmig__session_begin_locked(struct vmmig_session *session);

/* Frees a session that nobody has a reference to. */
void vmmig__session_destroy(struct vmmig_session *session);

/*
 * vmmig__session_move:
 *
 * Makes a step in the table of states; false with STATE when it has none.
 * Whoever waits is woken, and the STATUS event is posted.
 */
bool vmmig__session_move(struct vmmig_session *session,
                         enum vmmig__state_event event, vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__session_break:
 * @error: (transfer full)
 *
 * Something failed: the first error is kept, later ones go to the log, and the
 * state becomes FAILING unless the session is being cancelled.
 */
void vmmig__session_break(struct vmmig_session *session, vmmig_error *error);

/* The first half of it: the place is noted in @error and the state becomes
 * FAILING. Until the second half more may be said in @error. */
void vmmig__session_begin_failing(struct vmmig_session *session,
                                  vmmig_error *error);

void vmmig__session_set_owner(struct vmmig_session *session, uint32_t owner);

/* PASS, STOPPED, STARTED. */
void vmmig__session_post(struct vmmig_session *session, uint32_t type,
                         uint32_t reason, uint64_t pass);

/* Lets a cancel shut @channel down from now on; keeps a reference until the next
 * call. NULL: none. False with CANCELLED if it is too late. */
bool vmmig__session_set_channel(struct vmmig_session *session,
                                struct vmmig_channel *channel,
                                vmmig_error **error);

/* False with CANCELLED once a cancel was asked for. */
bool vmmig__session_check(struct vmmig_session *session, vmmig_error **error)
    __attribute__((warn_unused_result));

/* A destination that waits for a connection. */
bool vmmig__session_listens(const struct vmmig_session *session);

/* Waits @duration_us, or until something changes. Then look again. */
void vmmig__session_sleep(struct vmmig_session *session, uint64_t duration_us);

/* Wakes whoever sleeps. Any thread. */
void vmmig__session_wake(struct vmmig_session *session);

/* The session's thread has come to its end: the final status is set, and the
 * machine may have another session. */
void vmmig__session_finish(struct vmmig_session *session,
                           enum vmmig__state_event last);

/* What the threads run. @data: the session. */
void vmmig__source_main(void *data);
void vmmig__destination_main(void *data);

#endif

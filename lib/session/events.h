/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: numbered when they happen, delivered on the host thread in that order.
 */
#ifndef VMMIG_SESSION_EVENTS_H
#define VMMIG_SESSION_EVENTS_H

#include "session/machine.h"

/*
 * vmmig__event_post:
 * @event: type and what belongs to it; number, time, session, status, owner and
 *     error are filled in here
 *
 * Any thread, under the session's lock, so that the order of events is the order
 * in which things happened. Only for a session that runs. Waits for nothing.
 */
void vmmig__event_post(struct vmmig_session *session,
                       const struct vmmig_event *event);

/* Frees all listeners of a machine that is going away. */
void vmmig__listeners_free(struct vmmig_machine *machine);

#endif

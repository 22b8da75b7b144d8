/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The states of a session, one table per side (states.c). What is not a row of
 * the table is refused.
 */
#ifndef VMMIG_SESSION_STATES_H
#define VMMIG_SESSION_STATES_H

#include <vmmigrate/session.h>

#include "base/error.h"

/* One more state than there are public statuses: the guest has been handed
 * over, or taken, and nobody can go back by himself. */
enum vmmig__state {
    VMMIG__NONE,
    VMMIG__SETUP,
    VMMIG__ACTIVE,
    VMMIG__PRE_SWITCHOVER,
    VMMIG__DEVICE,
    VMMIG__HANDED_OVER, /* source: the EOF byte may have left */
    VMMIG__TAKING,      /* destination: the source may know that all is well */
    VMMIG__CANCELLING,
    VMMIG__FAILING,
    VMMIG__COMPLETED,
    VMMIG__FAILED,
    VMMIG__CANCELLED,
    VMMIG__STATE_COUNT
};

enum vmmig__state_event {
    VMMIG__STARTED,          /* somebody called start */
    VMMIG__SET_UP,           /* connected, first bytes exchanged */
    VMMIG__STOPPED_TO_WAIT,  /* guest stopped, pause-before-switchover */
    VMMIG__SWITCHED,         /* guest stopped, or told to go on */
    VMMIG__HAND_OVER,        /* point of no return */
    VMMIG__DONE,             /* source: the destination has it; destination:
                                the guest is here */
    VMMIG__REFUSED,          /* source: the destination said that it failed */
    VMMIG__ACK_LOST,         /* source: the link broke without a word */
    VMMIG__BROKEN,           /* anything failed */
    VMMIG__USER_CANCEL,
    VMMIG__UNDONE,           /* the guest is as it was before */
    VMMIG__STATE_EVENT_COUNT
};

/*
 * vmmig__next_state:
 * @role: VMMIG_SOURCE or VMMIG_DESTINATION
 *
 * The state that @event leads to. False with STATE, and a sentence that names
 * both, when the table has no such row.
 */
bool vmmig__next_state(uint32_t role, enum vmmig__state state,
                       enum vmmig__state_event event,
                       enum vmmig__state *ret_next, vmmig_error **error)
    __attribute__((warn_unused_result));

/* VMMIG_STATUS_... */
uint32_t vmmig__state_status(enum vmmig__state state);

#endif

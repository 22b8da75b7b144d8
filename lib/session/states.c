/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of states. The safety rule is what is not there: no row leads from
 * HANDED_OVER or TAKING to CANCELLING, because the guest may already live on
 * the other side.
 */
#include "session/states.h"

#include <glib.h>

#define IN(state) (1u << VMMIG__##state)

struct row {
    unsigned from; /* a set of states */
    enum vmmig__state_event event;
    enum vmmig__state to;
};

enum {
    BEFORE_HAND_OVER =
        IN(SETUP) | IN(ACTIVE) | IN(PRE_SWITCHOVER) | IN(DEVICE),
    BEFORE_TAKING = IN(SETUP) | IN(ACTIVE),
};

/* clang-format off */
static const struct row source[] = {
    { IN(NONE),                       VMMIG__STARTED,         VMMIG__SETUP },
    { IN(SETUP),                      VMMIG__SET_UP,          VMMIG__ACTIVE },
    { IN(ACTIVE),                     VMMIG__STOPPED_TO_WAIT, VMMIG__PRE_SWITCHOVER },
    { IN(ACTIVE) | IN(PRE_SWITCHOVER), VMMIG__SWITCHED,       VMMIG__DEVICE },
    { IN(DEVICE),                     VMMIG__HAND_OVER,       VMMIG__HANDED_OVER },
    { IN(HANDED_OVER),                VMMIG__DONE,            VMMIG__COMPLETED },
    { IN(HANDED_OVER),                VMMIG__REFUSED,         VMMIG__FAILING },
    { IN(HANDED_OVER),                VMMIG__ACK_LOST,        VMMIG__FAILED },
    { BEFORE_HAND_OVER,               VMMIG__BROKEN,          VMMIG__FAILING },
    { BEFORE_HAND_OVER,               VMMIG__USER_CANCEL,     VMMIG__CANCELLING },
    { IN(CANCELLING),                 VMMIG__UNDONE,          VMMIG__CANCELLED },
    { IN(FAILING),                    VMMIG__UNDONE,          VMMIG__FAILED },
};

static const struct row destination[] = {
    { IN(NONE),       VMMIG__STARTED,     VMMIG__SETUP },
    { IN(SETUP),      VMMIG__SET_UP,      VMMIG__ACTIVE },
    { IN(ACTIVE),     VMMIG__HAND_OVER,   VMMIG__TAKING },
    { IN(TAKING),     VMMIG__DONE,        VMMIG__COMPLETED },
    { IN(TAKING),     VMMIG__BROKEN,      VMMIG__FAILING },
    { BEFORE_TAKING,  VMMIG__BROKEN,      VMMIG__FAILING },
    { BEFORE_TAKING,  VMMIG__USER_CANCEL, VMMIG__CANCELLING },
    { IN(CANCELLING), VMMIG__UNDONE,      VMMIG__CANCELLED },
    { IN(FAILING),    VMMIG__UNDONE,      VMMIG__FAILED },
};

static const struct { const char *name; uint32_t status; } states[] = {
    [VMMIG__NONE]           = { "not started",     VMMIG_STATUS_NONE },
    [VMMIG__SETUP]          = { "setup",           VMMIG_STATUS_SETUP },
    [VMMIG__ACTIVE]         = { "active",          VMMIG_STATUS_ACTIVE },
    [VMMIG__PRE_SWITCHOVER] = { "pre-switchover",  VMMIG_STATUS_PRE_SWITCHOVER },
    [VMMIG__DEVICE]         = { "device",          VMMIG_STATUS_DEVICE },
    [VMMIG__HANDED_OVER]    = { "the hand-over: the destination may have the guest",
                                                   VMMIG_STATUS_DEVICE },
    [VMMIG__TAKING]         = { "the hand-over: the source was told that all is well",
                                                   VMMIG_STATUS_ACTIVE },
    [VMMIG__CANCELLING]     = { "cancelling",      VMMIG_STATUS_CANCELLING },
    [VMMIG__FAILING]        = { "failing",         VMMIG_STATUS_FAILING },
    [VMMIG__COMPLETED]      = { "completed",       VMMIG_STATUS_COMPLETED },
    [VMMIG__FAILED]         = { "failed",          VMMIG_STATUS_FAILED },
    [VMMIG__CANCELLED]      = { "cancelled",       VMMIG_STATUS_CANCELLED },
};

static const char *const event_verbs[] = {
    [VMMIG__STARTED]         = "start",
    [VMMIG__SET_UP]          = "begin to send",
    [VMMIG__STOPPED_TO_WAIT] = "wait before the switch",
    [VMMIG__SWITCHED]        = "switch over",
    [VMMIG__HAND_OVER]       = "hand over",
    [VMMIG__DONE]            = "complete",
    [VMMIG__REFUSED]         = "take a refusal",
    [VMMIG__ACK_LOST]        = "lose the acknowledgement",
    [VMMIG__BROKEN]          = "fail",
    [VMMIG__USER_CANCEL]     = "cancel",
    [VMMIG__UNDONE]          = "finish undoing",
};
/* clang-format on */

bool vmmig__next_state(uint32_t role, enum vmmig__state state,
                       enum vmmig__state_event event,
                       enum vmmig__state *ret_next, vmmig_error **error)
{
    const struct row *rows = role == VMMIG_SOURCE ? source : destination;
    size_t count = role == VMMIG_SOURCE ? G_N_ELEMENTS(source)
                                        : G_N_ELEMENTS(destination);

    for (size_t i = 0; i < count; i++) {
        if (rows[i].event == event && rows[i].from & 1u << state) {
            *ret_next = rows[i].to;
            return true;
        }
    }
    return vmmig__fail(error, VMMIG_ERROR_STATE, "cannot %s: the status is %s",
                       event_verbs[event], states[state].name);
}

uint32_t vmmig__state_status(enum vmmig__state state)
{
    return states[state].status;
}

const char *vmmig_status_name(uint32_t status)
{
    /* QEMU's words. */
    switch (status) {
    case VMMIG_STATUS_NONE:
        return "none";
    case VMMIG_STATUS_SETUP:
        return "setup";
    case VMMIG_STATUS_ACTIVE:
        return "active";
    case VMMIG_STATUS_PRE_SWITCHOVER:
        return "pre-switchover";
    case VMMIG_STATUS_DEVICE:
        return "device";
    case VMMIG_STATUS_CANCELLING:
        return "cancelling";
    case VMMIG_STATUS_FAILING:
        return "failing";
    case VMMIG_STATUS_COMPLETED:
        return "completed";
    case VMMIG_STATUS_FAILED:
        return "failed";
    case VMMIG_STATUS_CANCELLED:
        return "cancelled";
    default:
        return "unknown";
    }
}

bool vmmig_status_is_final(uint32_t status)
{
    return status == VMMIG_STATUS_COMPLETED || status == VMMIG_STATUS_FAILED ||
           status == VMMIG_STATUS_CANCELLED;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events wake, getters tell: whatever an event says can also be asked, from any
 * thread, until the last reference to its session is gone.
 */
#ifndef VMMIGRATE_EVENTS_H
#define VMMIGRATE_EVENTS_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* `status` is new; with FAILED and CANCELLED, `error` says why. */
    VMMIG_EVENT_STATUS = 1,
    /* `owner` is new. */
    VMMIG_EVENT_OWNER = 2,
    /* The source begins the round `pass`. May merge into a later one. */
    VMMIG_EVENT_PASS = 3,
    /* The library stopped the guest; `reason` is VMMIG_STOP_... */
    VMMIG_EVENT_STOPPED = 4,
    /* The library started the guest; `reason` is VMMIG_START_... */
    VMMIG_EVENT_STARTED = 5
};

/**
 * struct vmmig_event:
 * @struct_size: how much of the struct the library has filled
 * @type: VMMIG_EVENT_...; ignore what you do not know
 * @number: counts the events of the machine from 1; merged events leave gaps
 * @time_us: CLOCK_MONOTONIC, when it happened
 * @session: the session it is about, lent; take a reference to keep it
 * @error: (nullable): the session's first error, lent
 * @status: VMMIG_STATUS_..., when it happened
 * @owner: VMMIG_OWNER_..., when it happened
 * @pass: the round, from 1; 0 before the first
 * @reason: of VMMIG_EVENT_STOPPED and VMMIG_EVENT_STARTED, else 0
 * @reserved: 0
 *
 * Something that happened.
 */
struct vmmig_event {
    uint32_t struct_size;
    uint32_t type;
    uint64_t number;
    uint64_t time_us;
    struct vmmig_session *session;
    const vmmig_error *error;
    uint32_t status;
    uint32_t owner;
    uint64_t pass;
    uint32_t reason;
    uint32_t reserved;
};

/**
 * vmmig_event_fn:
 * @data: as given to vmmig_machine_add_listener()
 * @event: what happened; valid until the listener returns
 *
 * A listener.
 *
 * Thread:   the machine's host thread
 * Locks:    none
 * May:      call every function that does not wait, drop its own references,
 *           add and remove listeners, itself included; start a new session
 * Must not: wait: nothing else runs on the host thread meanwhile
 * Order:    by number; STATUS and OWNER events without a gap
 * Since:    0.1
 */
typedef void (*vmmig_event_fn)(void *data, const struct vmmig_event *event);

/**
 * vmmig_machine_add_listener:
 * @machine: the machine
 * @listener: called for every event of every session of @machine from now on
 * @data: (nullable): its first argument
 * @free_data: (nullable): called exactly once with @data: when the listener
 *   will never be called again, or when this call fails
 * @ret_id: (nullable): for vmmig_machine_remove_listener(); never 0
 * @error: (nullable): return location
 *
 * Adds a listener. Listeners are called in the order in which they were added.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if it was added
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_add_listener(struct vmmig_machine *machine,
                                          vmmig_event_fn listener, void *data,
                                          vmmig_free_fn free_data,
                                          uint64_t *ret_id,
                                          vmmig_error **error);

/**
 * vmmig_machine_remove_listener:
 * @machine: the machine
 * @id: of the listener; an unknown one does nothing
 *
 * Removes a listener. It may just be running on the host thread; its free_data
 * says that it is over.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_machine_remove_listener(struct vmmig_machine *machine,
                                             uint64_t id);

#ifdef __cplusplus
}
#endif

#endif

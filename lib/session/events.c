/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/events.h"

#include "base/clock.h"
#include "session/session.h"

/* Counted: one that is removed while it runs lives until it returns. */
struct listener {
    gatomicrefcount references;
    uint64_t id;
    vmmig_event_fn call;
    void *data;
    vmmig_free_fn free_data;
    atomic_bool removed;
};

static void listener_unref(gpointer data)
{
    struct listener *listener = data;

    if (!g_atomic_ref_count_dec(&listener->references))
        return;
    if (listener->free_data)
        listener->free_data(listener->data);
    g_free(listener);
}

void vmmig__listeners_free(struct vmmig_machine *machine)
{
    g_ptr_array_set_free_func(machine->listeners, listener_unref);
    g_ptr_array_free(machine->listeners, TRUE);
}

bool vmmig_machine_add_listener(struct vmmig_machine *machine,
                                vmmig_event_fn call, void *data,
                                vmmig_free_fn free_data, uint64_t *ret_id,
                                vmmig_error **error)
{
    struct listener *listener;

    if (!call) {
        if (free_data)
            free_data(data);
        return vmmig__fail(error, VMMIG_ERROR_INVALID, "the listener is NULL");
    }
    listener = g_new0(struct listener, 1);
    g_atomic_ref_count_init(&listener->references);
    listener->call = call;
    listener->data = data;
    listener->free_data = free_data;
    vmmig__mutex_lock(&machine->lock);
    listener->id = ++machine->last_id;
    if (ret_id)
        *ret_id = listener->id;
    g_ptr_array_add(machine->listeners, listener);
    vmmig__mutex_unlock(&machine->lock);
    return true;
}

void vmmig_machine_remove_listener(struct vmmig_machine *machine, uint64_t id)
{
    struct listener *found = NULL;

    vmmig__mutex_lock(&machine->lock);
    for (guint i = 0; i < machine->listeners->len && !found; i++) {
        struct listener *listener = g_ptr_array_index(machine->listeners, i);

        if (listener->id == id) {
            found = listener;
            g_ptr_array_remove_index(machine->listeners, i);
        }
    }
    vmmig__mutex_unlock(&machine->lock);
    if (!found)
        return;
    atomic_store_explicit(&found->removed, true, memory_order_release);
    listener_unref(found);
}

/* On the host thread. The session lives: its thread's reference is dropped by a
 * call that is queued behind its last event. */
static void deliver(void *data)
{
    const struct vmmig_event *event = data;
    struct vmmig_machine *machine = event->session->machine;
    GPtrArray *listeners = g_ptr_array_new_with_free_func(listener_unref);
    const char *previous;

    vmmig__mutex_lock(&machine->lock);
    for (guint i = 0; i < machine->listeners->len; i++) {
        struct listener *listener = g_ptr_array_index(machine->listeners, i);

        g_atomic_ref_count_inc(&listener->references);
        g_ptr_array_add(listeners, listener);
    }
    vmmig__mutex_unlock(&machine->lock);
    previous = vmmig__callback_enter("listener");
    for (guint i = 0; i < listeners->len; i++) {
        struct listener *listener = g_ptr_array_index(listeners, i);

        if (!atomic_load_explicit(&listener->removed, memory_order_acquire))
            listener->call(listener->data, event);
    }
    vmmig__callback_leave(previous);
    g_ptr_array_free(listeners, TRUE);
}

void vmmig__event_post(struct vmmig_session *session,
                       const struct vmmig_event *event)
{
    struct vmmig_event *copy = g_new(struct vmmig_event, 1);

    *copy = *event;
    copy->struct_size = sizeof *copy;
    copy->number = ++session->machine->last_event;
    copy->time_us = vmmig__now_us();
    copy->session = session;
    copy->error = vmmig_session_get_error(session);
    copy->status = vmmig_session_get_status(session);
    copy->owner = vmmig_session_get_owner(session);
    vmmig__host_queue_post(session->machine->host.queue, deliver, copy,
                           g_free);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of calls to the host thread.
 *
 * A machine has one host thread: the guest is stopped and started there and
 * events arrive there, in the order in which they were queued. The library
 * starts a thread of its own for it, mig/host, with the first call.
 */
#ifndef VMMIG_HOST_HOST_QUEUE_H
#define VMMIG_HOST_HOST_QUEUE_H

#include "base/thread.h"

struct vmmig__host_queue;

/* (transfer full). @hook is copied. */
struct vmmig__host_queue *
vmmig__host_queue_new(const struct vmmig__thread_hook *hook);

/*
 * vmmig__host_queue_open:
 *
 * Starts the thread, if it does not run. From then on posting cannot fail before
 * close(). False with STATE after close(), with SYSTEM when there is no thread
 * to be had.
 */
bool vmmig__host_queue_open(struct vmmig__host_queue *queue,
                            vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__host_queue_close:
 * @deadline_us: vmmig__now_us() time, or UINT64_MAX
 *
 * Runs what is queued, then ends and joins the thread. Later calls are refused.
 * Not on the host thread. False when the deadline passed first; the queue then
 * goes on closing, and this may be called again.
 */
bool vmmig__host_queue_close(struct vmmig__host_queue *queue,
                             uint64_t deadline_us);

/* Takes NULL. Closes what is not closed; may be called on the host thread, which
 * then ends by itself after the call that did it. */
void vmmig__host_queue_free(struct vmmig__host_queue *queue);

bool vmmig__host_queue_is_current(struct vmmig__host_queue *queue);

/*
 * vmmig__host_queue_post:
 * @run: called on the host thread
 * @free_data: (nullable): called with @data after that, or if it never runs
 *
 * Queues a call and does not wait for it. Any thread. A closed queue drops it.
 */
void vmmig__host_queue_post(struct vmmig__host_queue *queue,
                            void (*run)(void *data), void *data,
                            void (*free_data)(void *data));

/*
 * vmmig__host_queue_call:
 * @what: the callback's name, for the error
 * @free_abandoned: (nullable without a time-out): see below
 * @timeout_ms: how long to wait; 0: for ever
 *
 * Queues a call and waits until it has run; on the host thread itself runs it at
 * once. False with STATE when the queue is closed, with TIMEOUT when the host
 * thread did not get through it in time. After a TIMEOUT, and only then, @data
 * is no longer the caller's: the call still runs, later, and then
 * @free_abandoned gets it.
 */
bool vmmig__host_queue_call(struct vmmig__host_queue *queue, const char *what,
                            void (*run)(void *data), void *data,
                            void (*free_abandoned)(void *data),
                            uint64_t timeout_ms, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

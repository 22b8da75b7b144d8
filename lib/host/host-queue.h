/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of calls to the host thread.
 *
 * A machine has one host thread: the guest is stopped and started there and
 * events arrive there, in the order in which they were queued. It is a thread
 * that the library starts with the first call, mig/host; or the host's own, who
 * is told by a descriptor that something is queued, and then dispatches it. A
 * host thread that waits for something in the library serves the queue meanwhile.
 */
#ifndef VMMIG_HOST_HOST_QUEUE_H
#define VMMIG_HOST_HOST_QUEUE_H

#include <glib.h>

#include "base/thread.h"

struct vmmig__host_queue;

/* (transfer full). @hook is copied. */
struct vmmig__host_queue *
vmmig__host_queue_new(const struct vmmig__thread_hook *hook);

/*
 * vmmig__host_queue_attach:
 * @context: (nullable): the host thread is whoever iterates it, and nobody
 *     else dispatches; NULL: whoever dispatches, at first the caller
 * @priority: of the source that is added to @context
 * @ret_fd: (nullable): readable while something is queued; the queue's
 *
 * A thread of the host serves instead of mig/host. False with STATE once there
 * is a host thread.
 */
bool vmmig__host_queue_attach(struct vmmig__host_queue *queue,
                              GMainContext *context, int priority, int *ret_fd,
                              vmmig_error **error)
    __attribute__((warn_unused_result));

/* On the host's thread: runs what is queued; inside of a call that the queue runs
 * it leaves that to the outer one. False with STATE where no descriptor was
 * asked for. */
bool vmmig__host_queue_dispatch(struct vmmig__host_queue *queue,
                                vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__host_queue_begin_wait:
 *
 * For a call of the host that waits for what only the host thread can bring
 * about. True if the caller is (or, with a context that nobody iterates,
 * becomes) a host thread of the host's own: then it has to serve until it has
 * what it waits for, and to call vmmig__host_queue_end_wait().
 */
bool vmmig__host_queue_begin_wait(struct vmmig__host_queue *queue)
    __attribute__((warn_unused_result));
void vmmig__host_queue_end_wait(struct vmmig__host_queue *queue);

/* Runs the next call, for which it waits until @deadline_us. False when there was
 * none by then. */
bool vmmig__host_queue_serve(struct vmmig__host_queue *queue,
                             uint64_t deadline_us)
    __attribute__((warn_unused_result));

/*
 * vmmig__host_queue_open:
 *
 * Makes sure that somebody serves: starts mig/host where nothing was attached.
 * From then on posting cannot fail before close(). False with STATE after
 * close(), with SYSTEM when there is no thread to be had.
 */
bool vmmig__host_queue_open(struct vmmig__host_queue *queue,
                            vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__host_queue_close:
 * @deadline_us: vmmig__now_us() time, or UINT64_MAX
 *
 * Lets what is queued run, then ends and joins mig/host. Later calls are
 * refused. Not inside of a call that the queue runs; a host thread that is the
 * host's own runs here what is left. False when the deadline passed first; the queue then
 * goes on closing, and this may be called again.
 */
bool vmmig__host_queue_close(struct vmmig__host_queue *queue,
                             uint64_t deadline_us);

/* Takes NULL. Closes what is not closed; may be called inside of a call that the
 * queue runs, which then is the last one. What a host's own thread has not
 * dispatched by now is dropped. */
void vmmig__host_queue_free(struct vmmig__host_queue *queue);

/* Whether the caller is the host thread, as far as that can be known. */
bool vmmig__host_queue_is_current(struct vmmig__host_queue *queue);

/* Whether the caller is mig/host, which cannot wait for itself. */
bool vmmig__host_queue_is_own_thread(struct vmmig__host_queue *queue);

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

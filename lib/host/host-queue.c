/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of calls to the host thread. Any thread queues; mig/host runs what
 * is queued, without the queue's lock, and frees it. The thread is joined by
 * close(); a queue that is freed by one of its own calls lets it go instead.
 */
#include "host/host-queue.h"

#include <inttypes.h>

#include "base/clock.h"

struct call {
    void (*run)(void *data);
    void *data;
    void (*free_data)(void *data);
    bool waited_for; /* lock: the queue's */
    bool done;       /* lock: the queue's */
};

struct vmmig__host_queue {
    struct vmmig__mutex lock;
    struct vmmig__cond changed;
    struct vmmig__thread_hook hook; /* set once */
    GQueue calls;                   /* lock: lock; of struct call */
    struct vmmig__thread *thread;   /* lock: lock */
    bool closing;                   /* lock: lock */
    bool ended;                     /* lock: lock: the thread runs no more */
    bool orphaned;                  /* lock: lock: the thread frees the queue */
};

struct vmmig__host_queue *
vmmig__host_queue_new(const struct vmmig__thread_hook *hook)
{
    struct vmmig__host_queue *queue = g_new0(struct vmmig__host_queue, 1);

    vmmig__mutex_init(&queue->lock, VMMIG__RANK_HOST_QUEUE, "host queue");
    vmmig__cond_init(&queue->changed);
    g_queue_init(&queue->calls);
    queue->hook = *hook;
    return queue;
}

static void call_free(struct call *call)
{
    if (call->free_data)
        call->free_data(call->data);
    g_free(call);
}

static void destroy(struct vmmig__host_queue *queue)
{
    vmmig__cond_destroy(&queue->changed);
    vmmig__mutex_destroy(&queue->lock);
    g_free(queue);
}

/* Runs one call with the lock dropped. A call that somebody waits for is theirs
 * to free; one that was posted, or given up, is freed here. */
static void run_one(struct vmmig__host_queue *queue, struct call *call)
    VMMIG_REQUIRES(queue->lock)
{
    bool waited_for;

    vmmig__mutex_unlock(&queue->lock);
    call->run(call->data);
    vmmig__mutex_lock(&queue->lock);
    call->done = true;
    waited_for = call->waited_for;
    vmmig__cond_broadcast(&queue->changed);
    if (!waited_for) {
        vmmig__mutex_unlock(&queue->lock);
        call_free(call);
        vmmig__mutex_lock(&queue->lock);
    }
}

static void host_thread(void *data)
{
    struct vmmig__host_queue *queue = data;
    bool orphaned;

    vmmig__mutex_lock(&queue->lock);
    for (;;) {
        struct call *call = g_queue_pop_head(&queue->calls);

        if (call)
            run_one(queue, call);
        else if (queue->closing)
            break;
        else
            vmmig__cond_wait(&queue->changed, &queue->lock);
    }
    queue->ended = true;
    orphaned = queue->orphaned;
    vmmig__cond_broadcast(&queue->changed);
    vmmig__mutex_unlock(&queue->lock);
    if (orphaned)
        destroy(queue);
}

static bool ensure_open(struct vmmig__host_queue *queue, vmmig_error **error)
    VMMIG_REQUIRES(queue->lock)
{
    if (queue->closing)
        return vmmig__fail(error, VMMIG_ERROR_STATE, "the machine is closed");
    return queue->thread ||
           vmmig__thread_start(&queue->thread, "mig/host", &queue->hook,
                               host_thread, queue, error);
}

bool vmmig__host_queue_open(struct vmmig__host_queue *queue,
                            vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&queue->lock);
    ok = ensure_open(queue, error);
    vmmig__mutex_unlock(&queue->lock);
    return ok;
}

/* Queues a call; false when the queue is closing or has no thread. */
static bool enqueue(struct vmmig__host_queue *queue, struct call *call,
                    vmmig_error **error) VMMIG_REQUIRES(queue->lock)
{
    if (!ensure_open(queue, error))
        return false;
    g_queue_push_tail(&queue->calls, call);
    vmmig__cond_broadcast(&queue->changed);
    return true;
}

static struct call *call_new(void (*run)(void *data), void *data,
                             void (*free_data)(void *data), bool waited_for)
{
    struct call *call = g_new0(struct call, 1);

    call->run = run;
    call->data = data;
    call->free_data = free_data;
    call->waited_for = waited_for;
    return call;
}

void vmmig__host_queue_post(struct vmmig__host_queue *queue,
                            void (*run)(void *data), void *data,
                            void (*free_data)(void *data))
{
    struct call *call = call_new(run, data, free_data, false);
    bool queued;

    vmmig__mutex_lock(&queue->lock);
    queued = enqueue(queue, call, NULL);
    vmmig__mutex_unlock(&queue->lock);
    if (!queued)
        call_free(call);
}

bool vmmig__host_queue_call(struct vmmig__host_queue *queue, const char *what,
                            void (*run)(void *data), void *data,
                            void (*free_abandoned)(void *data),
                            uint64_t timeout_ms, vmmig_error **error)
{
    uint64_t deadline_us =
        timeout_ms ? vmmig__now_us() + timeout_ms * 1000 : UINT64_MAX;
    struct call *call = call_new(run, data, free_abandoned, true);
    bool ok, in_time = true;

    if (vmmig__host_queue_is_current(queue)) {
        g_free(call);
        run(data);
        return true;
    }
    vmmig__mutex_lock(&queue->lock);
    ok = enqueue(queue, call, error);
    while (ok && !call->done && in_time) {
        if (deadline_us == UINT64_MAX)
            vmmig__cond_wait(&queue->changed, &queue->lock);
        else
            in_time = vmmig__cond_wait_until(&queue->changed, &queue->lock,
                                             deadline_us);
    }
    if (ok && !call->done) {
        call->waited_for = false;
        call = NULL; /* the host thread's now */
        ok = vmmig__fail(error, VMMIG_ERROR_TIMEOUT,
                         "%s: the host did not answer within %" PRIu64 " ms",
                         what, timeout_ms);
    }
    vmmig__mutex_unlock(&queue->lock);
    g_free(call);
    return ok;
}

bool vmmig__host_queue_is_current(struct vmmig__host_queue *queue)
{
    bool current;

    vmmig__mutex_lock(&queue->lock);
    current = vmmig__thread_is_current(queue->thread);
    vmmig__mutex_unlock(&queue->lock);
    return current;
}

bool vmmig__host_queue_close(struct vmmig__host_queue *queue,
                             uint64_t deadline_us)
{
    struct vmmig__thread *thread = NULL;
    bool in_time = true;

    vmmig__mutex_lock(&queue->lock);
    queue->closing = true;
    vmmig__cond_broadcast(&queue->changed);
    while (queue->thread && !queue->ended && in_time) {
        if (deadline_us == UINT64_MAX)
            vmmig__cond_wait(&queue->changed, &queue->lock);
        else
            in_time = vmmig__cond_wait_until(&queue->changed, &queue->lock,
                                             deadline_us);
    }
    if (!queue->thread || queue->ended) {
        thread = queue->thread;
        queue->thread = NULL;
        in_time = true;
    }
    vmmig__mutex_unlock(&queue->lock);
    vmmig__thread_join(thread);
    return in_time;
}

void vmmig__host_queue_free(struct vmmig__host_queue *queue)
{
    if (!queue)
        return;
    if (!vmmig__host_queue_is_current(queue)) {
        vmmig__host_queue_close(queue, UINT64_MAX);
        destroy(queue);
        return;
    }
    vmmig__mutex_lock(&queue->lock);
    vmmig__thread_detach(queue->thread);
    queue->thread = NULL;
    queue->closing = true;
    queue->orphaned = true;
    vmmig__mutex_unlock(&queue->lock);
}

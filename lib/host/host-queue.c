/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of calls to the host thread. Any thread queues; the one that serves
 * runs what is queued, without the queue's lock.
 *
 * mig/host is joined by close(). The queue is counted: by its owner, by mig/host
 * and by whoever serves, since a call may free the owner.
 */
#include "host/host-queue.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

struct call {
    void (*run)(void *data);
    void *data;
    void (*free_data)(void *data);
    bool waited_for; /* lock: the queue's */
    bool done;       /* lock: the queue's */
};

struct vmmig__host_queue {
    gatomicrefcount references;
    struct vmmig__mutex lock;
    struct vmmig__cond changed;
    struct vmmig__thread_hook hook; /* set once */
    GQueue calls;                   /* lock; of struct call */
    struct vmmig__thread *thread;   /* lock; mig/host */
    int event_fd;                   /* lock; >= 0: the host's thread serves */
    pthread_t server;               /* lock; ... this one, lately */
    GMainContext *context;          /* lock; ... or whoever iterates this */
    GSource *source;                /* lock; of `context` */
    unsigned running;               /* lock; calls under way, nested */
    bool closing;                   /* lock */
    bool ended;                     /* lock; mig/host runs no more */
};

struct vmmig__host_queue *
vmmig__host_queue_new(const struct vmmig__thread_hook *hook)
{
    struct vmmig__host_queue *queue = g_new0(struct vmmig__host_queue, 1);

    g_atomic_ref_count_init(&queue->references);
    vmmig__mutex_init(&queue->lock, VMMIG__RANK_HOST_QUEUE, "host queue");
    vmmig__cond_init(&queue->changed);
    g_queue_init(&queue->calls);
    queue->hook = *hook;
    queue->event_fd = -1;
    return queue;
}

static void call_free(struct call *call)
{
    if (call->free_data)
        call->free_data(call->data);
    g_free(call);
}

static void unref(struct vmmig__host_queue *queue)
{
    if (!g_atomic_ref_count_dec(&queue->references))
        return;
    g_clear_pointer(&queue->source, g_source_unref);
    g_clear_pointer(&queue->context, g_main_context_unref);
    if (queue->event_fd >= 0)
        close(queue->event_fd);
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

    queue->running++;
    vmmig__mutex_unlock(&queue->lock);
    call->run(call->data);
    vmmig__mutex_lock(&queue->lock);
    queue->running--;
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
    vmmig__cond_broadcast(&queue->changed);
    vmmig__mutex_unlock(&queue->lock);
    unref(queue);
}

/* -- a thread of the host serves -------------------------------------------- */

static bool is_attached(const struct vmmig__host_queue *queue)
    VMMIG_REQUIRES(queue->lock)
{
    return queue->event_fd >= 0;
}

/* Whether the caller is that thread. */
static bool is_server(const struct vmmig__host_queue *queue)
    VMMIG_REQUIRES(queue->lock)
{
    if (!is_attached(queue))
        return false;
    return queue->context ? g_main_context_is_owner(queue->context)
                          : pthread_equal(queue->server, pthread_self());
}

static void signal_host(struct vmmig__host_queue *queue)
    VMMIG_REQUIRES(queue->lock)
{
    uint64_t one = 1;

    /* A full counter is readable too. */
    while (write(queue->event_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void take_signals(struct vmmig__host_queue *queue)
    VMMIG_REQUIRES(queue->lock)
{
    uint64_t count;

    while (read(queue->event_fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

/* Runs what is queued. A call may come here again, through a nested loop of the
 * host; the outer one goes on after it. */
static void dispatch(struct vmmig__host_queue *queue)
{
    struct call *call;

    vmmig__mutex_lock(&queue->lock);
    g_atomic_ref_count_inc(&queue->references);
    queue->server = pthread_self();
    take_signals(queue);
    while (queue->running == 0 && (call = g_queue_pop_head(&queue->calls)))
        run_one(queue, call);
    vmmig__mutex_unlock(&queue->lock);
    unref(queue);
}

/* Not before the source's last dispatch has returned. */
static void source_is_gone(gpointer data)
{
    unref(data);
}

static gboolean dispatch_source(gint fd, GIOCondition condition, gpointer data)
{
    dispatch(data);
    return G_SOURCE_CONTINUE;
}

bool vmmig__host_queue_attach(struct vmmig__host_queue *queue,
                              GMainContext *context, int priority, int *ret_fd,
                              vmmig_error **error)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool ok;

    if (fd < 0)
        return vmmig__fail_errno(error, errno, "creating an eventfd");
    vmmig__mutex_lock(&queue->lock);
    ok = !queue->thread && !is_attached(queue) && !queue->closing;
    if (ok) {
        queue->event_fd = fd;
        queue->server = pthread_self();
        if (ret_fd)
            *ret_fd = fd;
    }
    if (ok && context) {
        queue->context = g_main_context_ref(context);
        queue->source = g_unix_fd_source_new(fd, G_IO_IN);
        g_source_set_priority(queue->source, priority);
        g_atomic_ref_count_inc(&queue->references);
        g_source_set_callback(queue->source, G_SOURCE_FUNC(dispatch_source),
                              queue, source_is_gone);
        g_source_attach(queue->source, context);
    }
    vmmig__mutex_unlock(&queue->lock);
    if (ok)
        return true;
    close(fd);
    return vmmig__fail(error, VMMIG_ERROR_STATE,
                       "the machine has a host thread already: attach yours "
                       "before its first migration, and once");
}

bool vmmig__host_queue_dispatch(struct vmmig__host_queue *queue,
                                vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&queue->lock);
    ok = is_attached(queue) && !queue->context;
    vmmig__mutex_unlock(&queue->lock);
    if (!ok)
        return vmmig__fail(error, VMMIG_ERROR_STATE,
                           "dispatch: vmmig_machine_attach_poll() was not "
                           "called");
    dispatch(queue);
    return true;
}

bool vmmig__host_queue_begin_wait(struct vmmig__host_queue *queue)
{
    bool here;

    vmmig__mutex_lock(&queue->lock);
    here = queue->context ? g_main_context_acquire(queue->context)
                          : is_server(queue);
    vmmig__mutex_unlock(&queue->lock);
    return here;
}

void vmmig__host_queue_end_wait(struct vmmig__host_queue *queue)
{
    if (queue->context)
        g_main_context_release(queue->context);
}

bool vmmig__host_queue_serve(struct vmmig__host_queue *queue,
                             uint64_t deadline_us)
{
    struct call *call;
    bool in_time = true;

    vmmig__mutex_lock(&queue->lock);
    while (!(call = g_queue_pop_head(&queue->calls)) && in_time)
        in_time = vmmig__cond_wait_until(&queue->changed, &queue->lock,
                                         deadline_us);
    if (call)
        run_one(queue, call);
    vmmig__mutex_unlock(&queue->lock);
    return call != NULL;
}

/* -- calls ------------------------------------------------------------------ */

static bool ensure_open(struct vmmig__host_queue *queue, vmmig_error **error)
    VMMIG_REQUIRES(queue->lock)
{
    if (queue->closing)
        return vmmig__fail(error, VMMIG_ERROR_STATE, "the machine is closed");
    if (queue->thread || is_attached(queue))
        return true;
    g_atomic_ref_count_inc(&queue->references);
    if (vmmig__thread_start(&queue->thread, "mig/host", &queue->hook,
                            host_thread, queue, error))
        return true;
    /* Not the last one: the caller's owner has its own. */
    (void)g_atomic_ref_count_dec(&queue->references);
    return false;
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
    if (is_attached(queue))
        signal_host(queue);
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
    while (ok && !call->done && in_time)
        in_time = vmmig__cond_wait_until(&queue->changed, &queue->lock,
                                         deadline_us);
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
    current = is_server(queue) || vmmig__thread_is_current(queue->thread);
    vmmig__mutex_unlock(&queue->lock);
    return current;
}

bool vmmig__host_queue_is_own_thread(struct vmmig__host_queue *queue)
{
    bool own;

    vmmig__mutex_lock(&queue->lock);
    own = vmmig__thread_is_current(queue->thread);
    vmmig__mutex_unlock(&queue->lock);
    return own;
}

/* -- the end ---------------------------------------------------------------- */

/* Whether nothing is left for @queue to run. */
static bool is_through(struct vmmig__host_queue *queue)
    VMMIG_REQUIRES(queue->lock)
{
    if (is_attached(queue))
        return g_queue_is_empty(&queue->calls) && queue->running == 0;
    return !queue->thread || queue->ended;
}

bool vmmig__host_queue_close(struct vmmig__host_queue *queue,
                             uint64_t deadline_us)
{
    struct vmmig__thread *thread = NULL;
    bool here = vmmig__host_queue_begin_wait(queue);
    bool in_time = true, through;
    struct call *call;

    vmmig__mutex_lock(&queue->lock);
    queue->closing = true;
    vmmig__cond_broadcast(&queue->changed);
    while (!is_through(queue) && in_time) {
        if (here && (call = g_queue_pop_head(&queue->calls)))
            run_one(queue, call);
        else
            in_time = vmmig__cond_wait_until(&queue->changed, &queue->lock,
                                             deadline_us);
    }
    through = is_through(queue);
    if (through)
        thread = g_steal_pointer(&queue->thread);
    vmmig__mutex_unlock(&queue->lock);
    if (here)
        vmmig__host_queue_end_wait(queue);
    vmmig__thread_join(thread);
    return through;
}

/* What nobody will dispatch any more. */
static void drop_calls(struct vmmig__host_queue *queue)
{
    struct call *call;

    vmmig__mutex_lock(&queue->lock);
    queue->closing = true;
    while ((call = g_queue_pop_head(&queue->calls))) {
        vmmig__mutex_unlock(&queue->lock);
        call_free(call);
        vmmig__mutex_lock(&queue->lock);
    }
    vmmig__mutex_unlock(&queue->lock);
}

void vmmig__host_queue_free(struct vmmig__host_queue *queue)
{
    struct vmmig__thread *thread = NULL;
    bool attached, current;

    if (!queue)
        return;
    current = vmmig__host_queue_is_current(queue);
    vmmig__mutex_lock(&queue->lock);
    attached = is_attached(queue);
    queue->closing = true;
    if (current && !attached)
        thread = g_steal_pointer(&queue->thread);
    vmmig__mutex_unlock(&queue->lock);
    if (attached && queue->source)
        g_source_destroy(queue->source);
    if (attached)
        drop_calls(queue);
    else if (thread)
        vmmig__thread_detach(thread);
    else
        vmmig__host_queue_close(queue, UINT64_MAX);
    unref(queue);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads, mutexes and conditions over pthreads, with the lock order checked
 * in testing builds.
 */
#include "base/thread.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if VMMIG_TESTING
enum { MAX_HELD = 16 };

static __thread const struct vmmig__mutex *held[MAX_HELD];
static __thread unsigned held_count;

static void check_order(const struct vmmig__mutex *mutex)
{
    for (unsigned i = 0; i < held_count; i++) {
        if (held[i]->rank >= mutex->rank) {
            fprintf(stderr, "lock order: %s (%u) taken under %s (%u)\n",
                    mutex->name, mutex->rank, held[i]->name, held[i]->rank);
            abort();
        }
    }
    if (held_count == MAX_HELD)
        abort();
}

static void note_held(const struct vmmig__mutex *mutex)
{
    held[held_count++] = mutex;
}

static void note_released(const struct vmmig__mutex *mutex)
{
    for (unsigned i = held_count; i-- > 0;) {
        if (held[i] == mutex) {
            for (held_count--; i < held_count; i++)
                held[i] = held[i + 1];
            return;
        }
    }
    fprintf(stderr, "lock order: %s released, not held\n", mutex->name);
    abort();
}
#else
static void check_order(const struct vmmig__mutex *mutex)
{
}

static void note_held(const struct vmmig__mutex *mutex)
{
}

static void note_released(const struct vmmig__mutex *mutex)
{
}
#endif

/* These pthread calls fail only when the caller broke their rules. */
static void must(int result, const char *what)
{
    if (G_UNLIKELY(result != 0))
        g_error("%s: %s", what, g_strerror(result));
}

void vmmig__mutex_init(struct vmmig__mutex *mutex, enum vmmig__lock_rank rank,
                       const char *name)
{
    must(pthread_mutex_init(&mutex->mutex, NULL), "pthread_mutex_init");
    mutex->rank = rank;
    mutex->name = name;
}

void vmmig__mutex_destroy(struct vmmig__mutex *mutex)
{
    must(pthread_mutex_destroy(&mutex->mutex), "pthread_mutex_destroy");
}

VMMIG_UNCHECKED void vmmig__mutex_lock(struct vmmig__mutex *mutex)
{
    check_order(mutex);
    must(pthread_mutex_lock(&mutex->mutex), "pthread_mutex_lock");
    note_held(mutex);
}

VMMIG_UNCHECKED void vmmig__mutex_unlock(struct vmmig__mutex *mutex)
{
    note_released(mutex);
    must(pthread_mutex_unlock(&mutex->mutex), "pthread_mutex_unlock");
}

void vmmig__cond_init(struct vmmig__cond *cond)
{
    pthread_condattr_t attributes;

    must(pthread_condattr_init(&attributes), "pthread_condattr_init");
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC),
         "pthread_condattr_setclock");
    must(pthread_cond_init(&cond->cond, &attributes), "pthread_cond_init");
    pthread_condattr_destroy(&attributes);
}

void vmmig__cond_destroy(struct vmmig__cond *cond)
{
    must(pthread_cond_destroy(&cond->cond), "pthread_cond_destroy");
}

VMMIG_UNCHECKED void vmmig__cond_wait(struct vmmig__cond *cond,
                                      struct vmmig__mutex *mutex)
{
    note_released(mutex);
    must(pthread_cond_wait(&cond->cond, &mutex->mutex), "pthread_cond_wait");
    note_held(mutex);
}

VMMIG_UNCHECKED bool vmmig__cond_wait_until(struct vmmig__cond *cond,
                                            struct vmmig__mutex *mutex,
                                            uint64_t deadline_us)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_us / G_USEC_PER_SEC),
        .tv_nsec = (long)(deadline_us % G_USEC_PER_SEC) * 1000,
    };
    int result;

    if (deadline_us == UINT64_MAX) {
        vmmig__cond_wait(cond, mutex);
        return true;
    }
    note_released(mutex);
    result = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &deadline);
    note_held(mutex);
    if (result == ETIMEDOUT)
        return false;
    must(result, "pthread_cond_timedwait");
    return true;
}

void vmmig__cond_broadcast(struct vmmig__cond *cond)
{
    must(pthread_cond_broadcast(&cond->cond), "pthread_cond_broadcast");
}

struct vmmig__thread {
    pthread_t thread;
    char name[16];
    struct vmmig__thread_hook hook;
    void (*run)(void *data);
    void *data;
};

/* Of a thread of ours, while it runs: what is left to do at its end. A copy,
 * since detach() frees the original earlier. */
static __thread struct vmmig__thread *ending;

static void call_hook(const struct vmmig__thread *thread, bool starts)
{
    if (thread->hook.hook)
        thread->hook.hook(thread->hook.data, thread->name, starts);
}

static void *thread_main(void *data)
{
    struct vmmig__thread self = *(struct vmmig__thread *)data;

    ending = &self;
    pthread_setname_np(pthread_self(), self.name);
    call_hook(&self, true);
    self.run(self.data);
    call_hook(&self, false);
    return NULL;
}

/* All but those that a thread raises by what it does: a host that serves faults
 * of guest memory by a handler serves those of our threads too. Blocked, they
 * would end the process instead. */
static void block_for_host(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

    sigfillset(set);
    for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
        sigdelset(set, own[i]);
}

bool vmmig__thread_start(struct vmmig__thread **ret_thread, const char *name,
                         const struct vmmig__thread_hook *hook,
                         void (*run)(void *data), void *data,
                         vmmig_error **error)
{
    struct vmmig__thread *thread = g_new0(struct vmmig__thread, 1);
    sigset_t others, before;
    int result;

    g_strlcpy(thread->name, name, sizeof thread->name);
    if (hook)
        thread->hook = *hook;
    thread->run = run;
    thread->data = data;
    *ret_thread = thread; /* the new thread may look at it at once */
    block_for_host(&others);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    result = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == 0)
        return true;
    *ret_thread = NULL;
    g_free(thread);
    return vmmig__fail_errno(error, result, "starting the thread %s", name);
}

void vmmig__thread_join(struct vmmig__thread *thread)
{
    if (!thread)
        return;
    must(pthread_join(thread->thread, NULL), "pthread_join");
    g_free(thread);
}

void vmmig__thread_detach(struct vmmig__thread *thread)
{
    call_hook(thread, false);
    ending->hook.hook = NULL;
    must(pthread_detach(thread->thread), "pthread_detach");
    g_free(thread);
}

bool vmmig__thread_is_current(const struct vmmig__thread *thread)
{
    return thread && pthread_equal(thread->thread, pthread_self());
}

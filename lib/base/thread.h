/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads, mutexes and conditions: thin wrappers over pthreads.
 *
 * Every mutex has a rank. A thread takes mutexes in ascending rank only; builds
 * with VMMIG_TESTING abort, with both names, on a wrong order. The ranks below
 * are the one lock order of the library (docs/threads.md).
 */
#ifndef VMMIG_BASE_THREAD_H
#define VMMIG_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#if defined(__clang__)
#define VMMIG__ANNOTATE(x) __attribute__((x))
#else
#define VMMIG__ANNOTATE(x)
#endif
#define VMMIG_CAPABILITY VMMIG__ANNOTATE(capability("mutex"))
#define VMMIG_REQUIRES(lock) VMMIG__ANNOTATE(requires_capability(lock))
#define VMMIG_ACQUIRES(lock) VMMIG__ANNOTATE(acquire_capability(lock))
#define VMMIG_RELEASES(lock) VMMIG__ANNOTATE(release_capability(lock))
#define VMMIG_UNCHECKED VMMIG__ANNOTATE(no_thread_safety_analysis)

enum vmmig__lock_rank {
    VMMIG__RANK_MACHINE = 10, /* struct vmmig_machine: registrations */
    VMMIG__RANK_SESSION = 20, /* struct vmmig_session: state, error, waiters */
    VMMIG__RANK_OPTIONS = 30,
    VMMIG__RANK_HOST_QUEUE = 40,
    VMMIG__RANK_REPLY = 50, /* destination's replies, source's view of them */
    VMMIG__RANK_RATE_LIMIT = 60,
    VMMIG__RANK_LEAF = 90, /* taken last, held for a few instructions */
};

struct VMMIG_CAPABILITY vmmig__mutex {
    pthread_mutex_t mutex;
    const char *name;
    unsigned rank;
};

void vmmig__mutex_init(struct vmmig__mutex *mutex, enum vmmig__lock_rank rank,
                       const char *name);
void vmmig__mutex_destroy(struct vmmig__mutex *mutex);
void vmmig__mutex_lock(struct vmmig__mutex *mutex) VMMIG_ACQUIRES(*mutex);
void vmmig__mutex_unlock(struct vmmig__mutex *mutex) VMMIG_RELEASES(*mutex);

/* A condition on the monotonic clock. */
struct vmmig__cond {
    pthread_cond_t cond;
};

void vmmig__cond_init(struct vmmig__cond *cond);
void vmmig__cond_destroy(struct vmmig__cond *cond);
void vmmig__cond_wait(struct vmmig__cond *cond, struct vmmig__mutex *mutex)
    VMMIG_REQUIRES(*mutex);
/* False when @deadline_us (vmmig__now_us() time; UINT64_MAX: never) passed before
 * a signal. */
bool vmmig__cond_wait_until(struct vmmig__cond *cond,
                            struct vmmig__mutex *mutex, uint64_t deadline_us)
    VMMIG_REQUIRES(*mutex);
void vmmig__cond_broadcast(struct vmmig__cond *cond);

/*
 * What a host asked to be told about threads: called on the new thread as its
 * first and its last act. @hook may be NULL.
 */
struct vmmig__thread_hook {
    void (*hook)(void *data, const char *name, bool starts);
    void *data;
};

struct vmmig__thread;

/*
 * vmmig__thread_start:
 * @name: at most 15 characters; what ps and the thread hook show
 * @hook: (nullable): copied
 *
 * Starts a thread with all signals blocked but those that it may raise itself:
 * SIGSEGV, SIGBUS and their like. It must be joined.
 */
bool vmmig__thread_start(struct vmmig__thread **ret_thread, const char *name,
                         const struct vmmig__thread_hook *hook,
                         void (*run)(void *data), void *data,
                         vmmig_error **error)
    __attribute__((warn_unused_result));

/* Waits for the thread to return and frees it. Takes NULL. */
void vmmig__thread_join(struct vmmig__thread *thread);

/* Called on the thread itself: it will end without being joined, and its hook,
 * whose host may be gone by then, is told now. */
void vmmig__thread_detach(struct vmmig__thread *thread);

/* Whether the caller is this thread. Takes NULL. */
bool vmmig__thread_is_current(const struct vmmig__thread *thread);

#endif

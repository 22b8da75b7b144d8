/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support/session-kit.h"

#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "io/channel-memory.h"
#include "support/toy-vm.h"

enum { PATIENCE_US = 20 * 1000 * 1000 };

/* -- gates ------------------------------------------------------------------ */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned came;
    bool is_open;
};

struct gate *gate_new(void)
{
    struct gate *gate = g_new0(struct gate, 1);

    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    return gate;
}

void gate_free(struct gate *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    g_free(gate);
}

void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->came++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

bool gate_hook(void *gate, vmmig_error **error)
{
    gate_pass(gate);
    return true;
}

void gate_await(struct gate *gate)
{
    /* Check's own time-out ends a wait for nobody. */
    pthread_mutex_lock(&gate->lock);
    while (gate->came == 0)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* -- what is left ----------------------------------------------------------- */

static unsigned entries_of(const char *path)
{
    DIR *folder = opendir(path);
    unsigned count = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void *do_nothing(void *data)
{
    return NULL;
}

struct leftovers leftovers_now(void)
{
    static bool warmed_up;
    pthread_t thread;

    /* With the first thread a sanitizer starts one of its own, which stays. */
    if (!warmed_up && pthread_create(&thread, NULL, do_nothing, NULL) == 0)
        pthread_join(thread, NULL);
    warmed_up = true;
    return (struct leftovers){.threads = entries_of("/proc/self/task"),
                              .descriptors = entries_of("/proc/self/fd")};
}

static bool no_more_threads(void *data)
{
    const struct leftovers *then = data;

    return leftovers_now().threads <= then->threads;
}

void leftovers_assert(struct leftovers then)
{
    wait_for(no_more_threads, &then);
    ck_assert_uint_eq(leftovers_now().descriptors, then.descriptors);
}

/* -- waiting ---------------------------------------------------------------- */

void wait_for(bool (*condition)(void *data), void *data)
{
    uint64_t deadline_us = vmmig__now_us() + PATIENCE_US;

    while (!condition(data)) {
        ck_assert_msg(vmmig__now_us() < deadline_us, "it never came true");
        g_usleep(200);
    }
}

struct expectation {
    struct vmmig_session *session;
    uint32_t status;
};

static bool has_status(void *data)
{
    const struct expectation *expectation = data;

    return vmmig_session_get_status(expectation->session) ==
           expectation->status;
}

void wait_for_status(struct vmmig_session *session, uint32_t status)
{
    struct expectation expectation = {session, status};

    wait_for(has_status, &expectation);
}

/* -- stuck channels --------------------------------------------------------- */

struct stuck {
    struct vmmig_channel *inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool reads, writes; /* stuck in that direction */
    unsigned waiting;
    bool is_shut_down;
};

/* Waits for the shutdown, and fails. */
static bool be_stuck(struct stuck *stuck, vmmig_error **error)
{
    pthread_mutex_lock(&stuck->lock);
    stuck->waiting++;
    pthread_cond_broadcast(&stuck->changed);
    while (!stuck->is_shut_down)
        pthread_cond_wait(&stuck->changed, &stuck->lock);
    pthread_mutex_unlock(&stuck->lock);
    return vmmig_error_set(error, VMMIG_ERROR_IO, "it was shut down");
}

static bool stuck_readv(void *data, const struct iovec *parts, uint32_t count,
                        uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct stuck *stuck = data;

    return stuck->reads ? be_stuck(stuck, error)
                        : vmmig__channel_read(stuck->inner, parts, count,
                                              ret_length_bytes, error);
}

static bool write_through(struct vmmig_channel *inner,
                          const struct iovec *parts, uint32_t count,
                          uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct iovec *copy = g_memdup2(parts, count * sizeof *parts);
    bool ok;

    *ret_length_bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        *ret_length_bytes += parts[i].iov_len;
    ok = vmmig__channel_write_all(inner, copy, count, error);
    g_free(copy);
    return ok;
}

static bool stuck_writev(void *data, const struct iovec *parts, uint32_t count,
                         uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct stuck *stuck = data;

    return stuck->writes ? be_stuck(stuck, error)
                         : write_through(stuck->inner, parts, count,
                                         ret_length_bytes, error);
}

static void stuck_shutdown(void *data)
{
    struct stuck *stuck = data;

    pthread_mutex_lock(&stuck->lock);
    stuck->is_shut_down = true;
    pthread_cond_broadcast(&stuck->changed);
    pthread_mutex_unlock(&stuck->lock);
    vmmig__channel_shutdown(stuck->inner);
}

static void stuck_close(void *data)
{
    struct stuck *stuck = data;

    vmmig_channel_unref(stuck->inner);
    pthread_cond_destroy(&stuck->changed);
    pthread_mutex_destroy(&stuck->lock);
    g_free(stuck);
}

struct vmmig_channel *stuck_channel_new(struct vmmig_channel *inner,
                                        bool reads, bool writes,
                                        struct stuck **ret_stuck)
{
    static const struct vmmig_channel_ops ops = {
        .struct_size = sizeof ops,
        .readv = stuck_readv,
        .writev = stuck_writev,
        .shutdown = stuck_shutdown,
    };
    struct stuck *stuck = g_new0(struct stuck, 1);
    struct vmmig_channel *channel;

    stuck->inner = inner;
    stuck->reads = reads;
    stuck->writes = writes;
    pthread_mutex_init(&stuck->lock, NULL);
    pthread_cond_init(&stuck->changed, NULL);
    channel = vmmig_channel_new(&ops, stuck, stuck_close, NULL);
    ck_assert_ptr_nonnull(channel);
    *ret_stuck = stuck;
    return channel;
}

void stuck_await(struct stuck *stuck)
{
    pthread_mutex_lock(&stuck->lock);
    while (stuck->waiting == 0)
        pthread_cond_wait(&stuck->changed, &stuck->lock);
    pthread_mutex_unlock(&stuck->lock);
}

/* -- taps ------------------------------------------------------------------- */

struct tap {
    struct vmmig_channel *inner;
    GByteArray *bytes;
};

static bool tap_readv(void *data, const struct iovec *parts, uint32_t count,
                      uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct tap *tap = data;

    return vmmig__channel_read(tap->inner, parts, count, ret_length_bytes,
                               error);
}

static bool tap_writev(void *data, const struct iovec *parts, uint32_t count,
                       uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct tap *tap = data;

    for (uint32_t i = 0; i < count; i++)
        g_byte_array_append(tap->bytes, parts[i].iov_base,
                            (guint)parts[i].iov_len);
    return write_through(tap->inner, parts, count, ret_length_bytes, error);
}

static void tap_shutdown(void *data)
{
    struct tap *tap = data;

    vmmig__channel_shutdown(tap->inner);
}

static void tap_close(void *data)
{
    struct tap *tap = data;

    vmmig_channel_unref(tap->inner);
    g_free(tap);
}

struct vmmig_channel *tap_channel_new(struct vmmig_channel *inner,
                                      GByteArray *bytes)
{
    static const struct vmmig_channel_ops ops = {
        .struct_size = sizeof ops,
        .readv = tap_readv,
        .writev = tap_writev,
        .shutdown = tap_shutdown,
    };
    struct tap *tap = g_new0(struct tap, 1);
    struct vmmig_channel *channel;

    tap->inner = inner;
    tap->bytes = bytes;
    channel = vmmig_channel_new(&ops, tap, tap_close, NULL);
    ck_assert_ptr_nonnull(channel);
    return channel;
}

/* -- streams ---------------------------------------------------------------- */

GByteArray *record_stream(uint32_t pages, const char *options)
{
    struct toy_vm *from = toy_vm_new(pages, true, true);
    struct toy_vm *to = toy_vm_new(pages, false, true);
    GByteArray *bytes = g_byte_array_new();
    struct vmmig_session *source, *destination;
    struct vmmig_channel *ends[2];

    vmmig__channel_new_pair(NULL, NULL, ends);
    source = toy_session(from, VMMIG_SOURCE, tap_channel_new(ends[0], bytes),
                         options);
    destination = toy_session(to, VMMIG_DESTINATION, ends[1], NULL);
    toy_start(source, destination);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    toy_vm_free(from);
    toy_vm_free(to);
    return bytes;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue to the host thread: order, waiting, giving up, and its end. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "host/host-queue.h"
#include "run-case.h"
#include "support/session-kit.h"

static struct vmmig__host_queue *queue;
static struct leftovers before;
static atomic_uint starts, ends, frees;

static void count_threads(void *data, const char *name, bool is_start)
{
    if (strcmp(name, "mig/host") == 0)
        atomic_fetch_add(is_start ? &starts : &ends, 1);
}

static const struct vmmig__thread_hook hook = {count_threads, NULL};

static void setup(void)
{
    before = leftovers_now();
    queue = vmmig__host_queue_new(&hook);
}

static void teardown(void)
{
    vmmig__host_queue_free(queue);
    leftovers_assert(before);
    ck_assert_uint_eq(starts, ends);
}

static void count_free(void *data)
{
    atomic_fetch_add(&frees, 1);
}

static void assert_error(vmmig_error *error, uint32_t code, const char *words)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_eq(vmmig_error_code(error), code);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
    vmmig_error_free(error);
}

static bool call(void (*run)(void *data), void *data)
{
    return vmmig__host_queue_call(queue, "test", run, data, NULL, 0, NULL);
}

static void do_nothing(void *data)
{
}

/* -- order -------------------------------------------------------------------- */

enum { POSTERS = 4, POSTS = 500 };

static struct record {
    unsigned poster, number;
} records[POSTERS * POSTS];
static unsigned record_count; /* the host thread's */

static void keep(void *data)
{
    records[record_count++] = *(struct record *)data;
    if (!vmmig__host_queue_is_current(queue))
        g_error("not on the host thread");
}

static void *post_many(void *data)
{
    for (unsigned i = 0; i < POSTS; i++) {
        struct record *record = g_new(struct record, 1);

        *record = (struct record){GPOINTER_TO_UINT(data), i};
        vmmig__host_queue_post(queue, keep, record, g_free);
    }
    return NULL;
}

START_TEST(calls_run_on_one_thread_in_their_order)
{
    pthread_t threads[POSTERS];
    unsigned next[POSTERS] = {0};

    for (unsigned i = 0; i < POSTERS; i++)
        pthread_create(&threads[i], NULL, post_many, GUINT_TO_POINTER(i));
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert(call(do_nothing, NULL));
    ck_assert_uint_eq(record_count, POSTERS * POSTS);
    for (unsigned i = 0; i < record_count; i++)
        ck_assert_uint_eq(records[i].number, next[records[i].poster]++);
    ck_assert_uint_eq(starts, 1);
    ck_assert(!vmmig__host_queue_is_current(queue));
}
END_TEST

/* -- waiting ------------------------------------------------------------------- */

static void add_one(void *data)
{
    ++*(unsigned *)data;
}

static void call_again(void *data)
{
    if (!call(add_one, data) || *(unsigned *)data != 1)
        g_error("a call on the thread itself did not run at once");
    ++*(unsigned *)data;
}

START_TEST(a_call_waits_until_it_has_run_also_on_the_thread_itself)
{
    unsigned sum = 0;

    ck_assert(call(call_again, &sum));
    ck_assert_uint_eq(sum, 2);
}
END_TEST

static void pass_gate(void *data)
{
    gate_pass(data);
}

START_TEST(who_gives_up_leaves_the_call_to_the_thread)
{
    struct gate *gate = gate_new();
    vmmig_error *error = NULL;

    atomic_store(&frees, 0);
    /* One that runs already, and one that does not yet. */
    ck_assert(!vmmig__host_queue_call(queue, "slow", pass_gate, gate,
                                      count_free, 20, &error));
    assert_error(error, VMMIG_ERROR_TIMEOUT,
                 "slow: the host did not answer within 20 ms");
    error = NULL;
    ck_assert(!vmmig__host_queue_call(queue, "late", pass_gate, gate,
                                      count_free, 1, &error));
    assert_error(error, VMMIG_ERROR_TIMEOUT, "late: ");
    ck_assert_uint_eq(frees, 0);
    gate_open(gate);
    ck_assert(call(do_nothing, NULL));
    ck_assert_uint_eq(frees, 2);
    gate_free(gate);
}
END_TEST

/* In time it stays the caller's. */
START_TEST(who_does_not_give_up_keeps_the_call)
{
    unsigned sum = 0;

    atomic_store(&frees, 0);
    ck_assert(vmmig__host_queue_call(queue, "fast", add_one, &sum, count_free,
                                     20000, NULL));
    ck_assert_uint_eq(sum, 1);
    ck_assert_uint_eq(frees, 0);
}
END_TEST

/* -- the end -------------------------------------------------------------------- */

START_TEST(closing_runs_what_is_queued_and_refuses_the_rest)
{
    struct gate *gate = gate_new();
    vmmig_error *error = NULL;
    unsigned sum = 0;

    atomic_store(&frees, 0);
    vmmig__host_queue_post(queue, pass_gate, gate, NULL);
    vmmig__host_queue_post(queue, add_one, &sum, count_free);
    gate_await(gate);
    ck_assert(!vmmig__host_queue_close(queue, vmmig__now_us() + 10000));
    ck_assert(!vmmig__host_queue_call(queue, "late", add_one, &sum, count_free,
                                      0, &error));
    assert_error(error, VMMIG_ERROR_STATE, "closed");
    ck_assert_uint_eq(frees, 0);
    vmmig__host_queue_post(queue, add_one, &sum, count_free);
    ck_assert_uint_eq(frees, 1);
    error = NULL;
    ck_assert(!vmmig__host_queue_open(queue, &error));
    assert_error(error, VMMIG_ERROR_STATE, "closed");
    gate_open(gate);
    ck_assert(vmmig__host_queue_close(queue, UINT64_MAX));
    ck_assert_uint_eq(sum, 1);
    ck_assert_uint_eq(frees, 2);
    ck_assert(vmmig__host_queue_close(queue, 0));
    gate_free(gate);
}
END_TEST

START_TEST(a_queue_that_was_never_used_has_no_thread)
{
    ck_assert_uint_eq(leftovers_now().threads, before.threads);
    ck_assert(vmmig__host_queue_close(queue, UINT64_MAX));
    ck_assert_uint_eq(starts, 0);
}
END_TEST

static void free_own_queue(void *data)
{
    vmmig__host_queue_free(data);
}

static void note_call(void *data)
{
    atomic_fetch_add((atomic_uint *)data, 1);
}

/* What is queued behind it still runs. */
START_TEST(a_call_may_free_its_queue)
{
    struct gate *gate = gate_new();
    static atomic_uint sum;

    vmmig__host_queue_post(queue, pass_gate, gate, NULL);
    vmmig__host_queue_post(queue, free_own_queue, queue, NULL);
    vmmig__host_queue_post(queue, note_call, &sum, NULL);
    queue = NULL;
    gate_open(gate);
    leftovers_assert(before);
    ck_assert_uint_eq(sum, 1);
    ck_assert_uint_eq(ends, 1);
    gate_free(gate);
}
END_TEST

/* -- a thread of the host's ------------------------------------------------------ */

static bool is_readable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    return poll(&entry, 1, 0) == 1;
}

START_TEST(a_host_that_polls_is_told_and_dispatches)
{
    unsigned sum = 0;
    int fd = -1;

    ck_assert(vmmig__host_queue_attach(queue, NULL, 0, &fd, NULL));
    ck_assert(!is_readable(fd));
    vmmig__host_queue_post(queue, add_one, &sum, NULL);
    vmmig__host_queue_post(queue, add_one, &sum, NULL);
    ck_assert(is_readable(fd));
    ck_assert_uint_eq(sum, 0);
    ck_assert(vmmig__host_queue_dispatch(queue, NULL));
    ck_assert_uint_eq(sum, 2);
    ck_assert(!is_readable(fd));
    ck_assert_uint_eq(starts, 0);
}
END_TEST

START_TEST(a_queue_is_attached_once_and_before_its_first_call)
{
    vmmig_error *error = NULL;
    int fd;

    ck_assert(!vmmig__host_queue_dispatch(queue, &error));
    assert_error(error, VMMIG_ERROR_STATE, "vmmig_machine_attach_poll()");
    ck_assert(vmmig__host_queue_attach(queue, NULL, 0, &fd, NULL));
    error = NULL;
    ck_assert(!vmmig__host_queue_attach(queue, NULL, 0, &fd, &error));
    assert_error(error, VMMIG_ERROR_STATE, "has a host thread already");
    vmmig__host_queue_free(queue);

    queue = vmmig__host_queue_new(&hook);
    ck_assert(call(do_nothing, NULL));
    error = NULL;
    ck_assert(!vmmig__host_queue_attach(queue, NULL, 0, &fd, &error));
    assert_error(error, VMMIG_ERROR_STATE, "has a host thread already");
}
END_TEST

START_TEST(what_the_host_never_dispatches_is_freed)
{
    unsigned sum = 0;
    int fd;

    atomic_store(&frees, 0);
    ck_assert(vmmig__host_queue_attach(queue, NULL, 0, &fd, NULL));
    vmmig__host_queue_post(queue, add_one, &sum, count_free);
    vmmig__host_queue_free(g_steal_pointer(&queue));
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(frees, 1);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("host-queue");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, calls_run_on_one_thread_in_their_order);
    tcase_add_test(tcase,
                   a_call_waits_until_it_has_run_also_on_the_thread_itself);
    tcase_add_test(tcase, who_gives_up_leaves_the_call_to_the_thread);
    tcase_add_test(tcase, who_does_not_give_up_keeps_the_call);
    tcase_add_test(tcase, closing_runs_what_is_queued_and_refuses_the_rest);
    tcase_add_test(tcase, a_queue_that_was_never_used_has_no_thread);
    tcase_add_test(tcase, a_call_may_free_its_queue);
    tcase_add_test(tcase, a_host_that_polls_is_told_and_dispatches);
    tcase_add_test(tcase, a_queue_is_attached_once_and_before_its_first_call);
    tcase_add_test(tcase, what_the_host_never_dispatches_is_freed);
    return run_case("host-queue", tcase);
}

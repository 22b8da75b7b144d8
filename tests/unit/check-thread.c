/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads, the order of locks, conditions and the stop flag. */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/stop-flag.h"
#include "base/thread.h"
#include "unit/run-case.h"

#include <glib.h>

static vmmig_error *error;

struct told {
    GString *text; /* of one thread at a time */
    bool is_self, blocks_signals, takes_faults;
    char name[16];
    struct vmmig__thread *thread;
};

static void hook(void *data, const char *name, bool starts)
{
    struct told *told = data;

    g_string_append_printf(told->text, "%s%s ", starts ? "+" : "-", name);
}

static void run(void *data)
{
    struct told *told = data;
    sigset_t mask;

    g_string_append(told->text, "run ");
    told->is_self = vmmig__thread_is_current(told->thread);
    pthread_getname_np(pthread_self(), told->name, sizeof told->name);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    told->blocks_signals = sigismember(&mask, SIGTERM) == 1 &&
                           sigismember(&mask, SIGPIPE) == 1 &&
                           sigismember(&mask, SIGCHLD) == 1;
    told->takes_faults = sigismember(&mask, SIGSEGV) == 0 &&
                         sigismember(&mask, SIGBUS) == 0;
}

START_TEST(thread_has_its_name_its_hook_and_no_signals)
{
    struct told told = {.text = g_string_new(NULL)};
    const struct vmmig__thread_hook thread_hook = {hook, &told};
    sigset_t mask;

    ck_assert(vmmig__thread_start(&told.thread, "mig/test", &thread_hook, run,
                                  &told, &error));
    ck_assert(!vmmig__thread_is_current(told.thread));
    vmmig__thread_join(told.thread);
    ck_assert_str_eq(told.text->str, "+mig/test run -mig/test ");
    ck_assert(told.is_self);
    ck_assert_str_eq(told.name, "mig/test");
    ck_assert(told.blocks_signals);
    ck_assert(told.takes_faults);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    ck_assert(!sigismember(&mask, SIGTERM));
    g_string_free(told.text, TRUE);
    vmmig__thread_join(NULL);
    ck_assert(!vmmig__thread_is_current(NULL));
}
END_TEST

START_TEST(locks_are_taken_in_ascending_rank)
{
    struct vmmig__mutex low, high;

    vmmig__mutex_init(&low, VMMIG__RANK_MACHINE, "low");
    vmmig__mutex_init(&high, VMMIG__RANK_LEAF, "high");
    for (unsigned i = 0; i < 100; i++) {
        vmmig__mutex_lock(&low);
        vmmig__mutex_lock(&high);
        vmmig__mutex_unlock(&low); /* in any order */
        vmmig__mutex_unlock(&high);
    }
    vmmig__mutex_destroy(&low);
    vmmig__mutex_destroy(&high);
}
END_TEST

/* Each of these aborts. */
START_TEST(wrong_order_of_locks_aborts)
{
    struct vmmig__mutex low, high;

    vmmig__mutex_init(&low, VMMIG__RANK_MACHINE, "low");
    vmmig__mutex_init(&high, VMMIG__RANK_LEAF, "high");
    fclose(stderr); /* what it says is expected */
    vmmig__mutex_lock(&high);
    vmmig__mutex_lock(&low);
}
END_TEST

START_TEST(lock_that_is_not_held_cannot_be_released)
{
    struct vmmig__mutex lock;

    vmmig__mutex_init(&lock, VMMIG__RANK_LEAF, "lock");
    fclose(stderr);
    vmmig__mutex_unlock(&lock);
}
END_TEST

struct box {
    struct vmmig__mutex lock;
    struct vmmig__cond changed;
    unsigned value; /* lock */
};

static void run_counter(void *data)
{
    struct box *box = data;

    vmmig__mutex_lock(&box->lock);
    while (box->value != 1)
        vmmig__cond_wait(&box->changed, &box->lock);
    box->value = 2;
    vmmig__cond_broadcast(&box->changed);
    vmmig__mutex_unlock(&box->lock);
}

START_TEST(condition_wakes_and_has_a_deadline)
{
    struct vmmig__thread *thread;
    struct box box = {.value = 0};
    uint64_t deadline_us;

    vmmig__mutex_init(&box.lock, VMMIG__RANK_LEAF, "box");
    vmmig__cond_init(&box.changed);
    ck_assert(vmmig__thread_start(&thread, "counter", NULL, run_counter, &box,
                                  &error));
    vmmig__mutex_lock(&box.lock);
    deadline_us = vmmig__now_us() + 5000;
    while (vmmig__cond_wait_until(&box.changed, &box.lock, deadline_us))
        ;
    ck_assert_uint_ge(vmmig__now_us(), deadline_us);
    ck_assert_uint_eq(box.value, 0);
    box.value = 1;
    vmmig__cond_broadcast(&box.changed);
    while (box.value != 2)
        vmmig__cond_wait(&box.changed, &box.lock);
    vmmig__mutex_unlock(&box.lock);
    vmmig__thread_join(thread);
    vmmig__cond_destroy(&box.changed);
    vmmig__mutex_destroy(&box.lock);
}
END_TEST

START_TEST(stop_flag_stays_up_and_is_readable)
{
    struct vmmig__stop_flag flag;
    struct pollfd polled;

    ck_assert(vmmig__stop_flag_init(&flag, &error));
    polled = (struct pollfd){.fd = flag.event_fd, .events = POLLIN};
    ck_assert(!vmmig__stop_flag_is_requested(&flag));
    ck_assert_int_eq(poll(&polled, 1, 0), 0);
    vmmig__stop_flag_request(&flag);
    vmmig__stop_flag_request(&flag);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(vmmig__stop_flag_is_requested(&flag));
        ck_assert_int_eq(poll(&polled, 1, 0), 1);
    }
    vmmig__stop_flag_destroy(&flag);
    vmmig__stop_flag_destroy(&flag);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("thread");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, thread_has_its_name_its_hook_and_no_signals);
    tcase_add_test(tcase, locks_are_taken_in_ascending_rank);
    tcase_add_test_raise_signal(tcase, wrong_order_of_locks_aborts, SIGABRT);
    tcase_add_test_raise_signal(tcase, lock_that_is_not_held_cannot_be_released,
                                SIGABRT);
    tcase_add_test(tcase, condition_wakes_and_has_a_deadline);
    tcase_add_test(tcase, stop_flag_stays_up_and_is_readable);
    return run_case("thread", tcase);
}

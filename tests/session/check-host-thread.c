/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which thread is the host's: one of the library, one that polls, one that
 * iterates a GMainContext. The toy fails the test where a callback comes on
 * another one; here the test's own thread is it.
 */
#include "run-case.h"

#include <glib.h>
#include <poll.h>

#include <vmmigrate/glib.h>

#include "support/toy-vm.h"

static struct toy_vm *from, *to;
static struct vmmig_session *source, *destination;

static void setup(void)
{
    toy_be_host_thread();
    from = toy_vm_new(200, true, false);
    to = toy_vm_new(200, false, true);
    toy_vm_pair(from, to);
}

static void teardown(void)
{
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    toy_vm_free(from);
    toy_vm_free(to);
}

static int attach(struct toy_vm *vm)
{
    int32_t fd = -1;

    ck_assert(vmmig_machine_attach_poll(vm->machine, &fd, NULL));
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void start(void)
{
    toy_vm_run(from);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
}

static bool is_over(const struct vmmig_session *session)
{
    return vmmig_status_is_final(vmmig_session_get_status(session));
}

static void assert_moved(void)
{
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_COMPLETED);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_COMPLETED);
    ck_assert(to->running);
    toy_vm_assert_equal(from, to);
}

START_TEST(a_poll_loop_is_the_host_thread)
{
    struct pollfd fds[2] = {{.fd = attach(from), .events = POLLIN},
                            {.fd = attach(to), .events = POLLIN}};

    start();
    while (!is_over(source) || !is_over(destination)) {
        ck_assert_int_gt(poll(fds, 2, 20000), 0);
        if (fds[0].revents)
            ck_assert(vmmig_machine_dispatch(from->machine, NULL));
        if (fds[1].revents)
            ck_assert(vmmig_machine_dispatch(to->machine, NULL));
    }
    assert_moved();
}
END_TEST

static void quit_when_over(void *loop, const struct vmmig_event *event)
{
    if (is_over(source) && is_over(destination))
        g_main_loop_quit(loop);
}

START_TEST(whoever_iterates_the_context_is_the_host_thread)
{
    GMainContext *context = g_main_context_new();
    GMainLoop *loop = g_main_loop_new(context, FALSE);
    struct toy_vm *const vms[2] = {from, to};

    for (size_t i = 0; i < 2; i++) {
        ck_assert(vmmig_machine_attach_context(vms[i]->machine, context,
                                               G_PRIORITY_DEFAULT, NULL));
        ck_assert(vmmig_machine_add_listener(vms[i]->machine, quit_when_over,
                                             loop, NULL, NULL, NULL));
    }
    start();
    g_main_loop_run(loop);
    /* Of one of them the last event may not have come yet. */
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    assert_moved();
    g_main_loop_unref(loop);
    g_main_context_unref(context);
}
END_TEST

/* Nobody else could run stop_guest(), which the migration waits for. */
START_TEST(who_waits_on_the_host_thread_serves_it)
{
    GMainContext *context = g_main_context_new();
    int attached = _i == 0 ? attach(from) : -1;

    if (attached < 0)
        ck_assert(vmmig_machine_attach_context(from->machine, context, 0,
                                               NULL));
    g_main_context_unref(context);
    start();
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    assert_moved();
}
END_TEST

START_TEST(close_on_the_host_thread_runs_what_is_left)
{
    GArray *events;

    attach(from);
    start();
    while (!is_over(destination)) {
        ck_assert(vmmig_machine_dispatch(from->machine, NULL));
        g_usleep(1000);
    }
    ck_assert(vmmig_machine_close(from->machine, 20000, NULL));
    events = toy_vm_events(from);
    ck_assert_uint_eq(
        g_array_index(events, struct toy_event, events->len - 1).status,
        VMMIG_STATUS_COMPLETED);
    g_array_unref(events);
}
END_TEST

static void dispatch_inside(struct toy_vm *vm, const char *callback, void *data)
{
    if (strcmp(callback, "stop_guest") != 0)
        return;
    ck_assert(vmmig_machine_dispatch(vm->machine, NULL));
    ck_assert(!vmmig_session_wait(source, 1000, NULL));
    *(bool *)data = true;
}

START_TEST(a_nested_dispatch_leaves_the_queue_to_the_outer_one)
{
    bool was_inside = false;

    attach(from);
    from->spy_data = &was_inside;
    from->spy = dispatch_inside;
    start();
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    ck_assert(was_inside);
    assert_moved();
}
END_TEST

#define assert_refused(call)                                                   \
    do {                                                                       \
        vmmig_error *error = NULL;                                             \
                                                                               \
        ck_assert(!(call));                                                    \
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);         \
        vmmig_error_free(error);                                               \
    } while (0)

START_TEST(there_is_one_host_thread)
{
    int32_t fd;

    assert_refused(vmmig_machine_dispatch(from->machine, &error));
    attach(from);
    assert_refused(vmmig_machine_attach_poll(from->machine, &fd, &error));
    assert_refused(
        vmmig_machine_attach_context(from->machine, NULL, 0, &error));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("host-thread");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_poll_loop_is_the_host_thread);
    tcase_add_test(tcase, whoever_iterates_the_context_is_the_host_thread);
    tcase_add_loop_test(tcase, who_waits_on_the_host_thread_serves_it, 0, 2);
    tcase_add_test(tcase, close_on_the_host_thread_runs_what_is_left);
    tcase_add_test(tcase, a_nested_dispatch_leaves_the_queue_to_the_outer_one);
    tcase_add_test(tcase, there_is_one_host_thread);
    return run_case("host-thread", tcase);
}

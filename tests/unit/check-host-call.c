/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How callbacks of the host are run, and what becomes of their errors. */
#include <pthread.h>
#include <string.h>

#include "host/host-call.h"
#include "run-case.h"
#include "support/session-kit.h"

static struct vmmig__host host;
static struct leftovers before;

/* The host. */
static unsigned stops, starts, locks, unlocks, freed, acquired, announced;
static uint32_t start_reason;
static bool refuse, refuse_silently;
static struct gate *stop_gate;
static pthread_t callback_thread;
static char *callback_name;

static void note_callback(void)
{
    callback_thread = pthread_self();
    g_free(callback_name);
    callback_name = g_strdup(vmmig__callback_name());
}

static bool answer(vmmig_error **error)
{
    note_callback();
    if (refuse_silently)
        return false;
    if (refuse)
        return vmmig_error_set(error, VMMIG_ERROR_BLOCKED, "not now");
    return true;
}

static bool stop_guest(void *data, uint32_t why, vmmig_error **error)
{
    stops++;
    if (stop_gate)
        gate_pass(stop_gate);
    return answer(error);
}

static bool start_guest(void *data, uint32_t why, vmmig_error **error)
{
    starts++;
    start_reason = why;
    return answer(error);
}

static bool acquire(void *data, uint32_t why, vmmig_error **error)
{
    acquired++;
    return answer(error);
}

static bool release(void *data, vmmig_error **error)
{
    return answer(error);
}

static void announce(void *data, uint32_t round)
{
    announced += round;
    note_callback();
}

static void lock(void *data)
{
    locks++;
}

static void unlock(void *data)
{
    unlocks++;
}

static bool is_running(void *data)
{
    return !refuse;
}

static void count_free(void *data)
{
    freed++;
}

static const struct vmmig_host whole = {
    .struct_size = sizeof whole,
    .machine_name = "pc",
    .uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f",
    .lock = lock,
    .unlock = unlock,
    .stop_guest = stop_guest,
    .start_guest = start_guest,
    .is_running = is_running,
    .acquire_ownership = acquire,
    .release_ownership = release,
    .announce = announce,
};

static void start_host(bool has_all)
{
    static const struct vmmig_host least = {
        .struct_size = sizeof least,
        .stop_guest = stop_guest,
        .start_guest = start_guest,
    };

    before = leftovers_now();
    ck_assert(vmmig__host_init(&host, has_all ? &whole : &least, NULL,
                               count_free, NULL));
}

static void end_host(void)
{
    vmmig__host_destroy(&host);
    ck_assert_uint_eq(freed, 1);
    leftovers_assert(before);
}

static void assert_error(vmmig_error *error, uint32_t code, const char *text)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_eq(vmmig_error_code(error), code);
    ck_assert_str_eq(error->message, text);
    vmmig_error_free(error);
}

/* -- the table ------------------------------------------------------------------ */

START_TEST(what_is_not_said_has_defaults)
{
    start_host(false);
    ck_assert_str_eq(host.machine_name, "none");
    ck_assert_uint_eq(host.table.page_bytes, 4096);
    ck_assert(!host.has_uuid);
    ck_assert(vmmig__host_is_running(&host));
    ck_assert(vmmig__host_acquire_ownership(&host, VMMIG_START_RUN, NULL));
    ck_assert(vmmig__host_release_ownership(&host, NULL));
    vmmig__host_announce(&host, 1);
    end_host();
}
END_TEST

START_TEST(a_uuid_is_read_as_it_is_written)
{
    static const uint8_t expected[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                         8, 9, 10, 11, 12, 13, 14, 15};

    start_host(true);
    ck_assert_mem_eq(host.uuid, expected, sizeof expected);
    ck_assert_str_eq(host.machine_name, "pc");
    end_host();
}
END_TEST

static struct vmmig_host bad_tables[12];
static const char *const bad_words[] = {
    "stop_guest and start_guest must be there",
    "stop_guest and start_guest must be there",
    "lock and unlock come together",
    "release_ownership needs acquire_ownership",
    "2 vCPUs, but not both save_vcpu and load_vcpu",
    "page_bytes is 4097",
    "page_bytes is 2048",
    "page_bytes is 2147483648",
    "machine_name must have 1 to 255 bytes",
    "\"00010203-0405-0607-0809-0a0b0c0d0e0\" is not a uuid",
    "\"00010203040506070809-0a0b0c0d0e0f----\" is not a uuid",
    "vmmig_host",
};

START_TEST(a_table_that_will_not_do_is_refused_by_name)
{
    vmmig_error *error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(bad_tables); i++)
        bad_tables[i] = whole;
    bad_tables[0].stop_guest = NULL;
    bad_tables[1].start_guest = NULL;
    bad_tables[2].unlock = NULL;
    bad_tables[3].acquire_ownership = NULL;
    bad_tables[4].vcpu_count = 2;
    bad_tables[5].page_bytes = 4097;
    bad_tables[6].page_bytes = 2048;
    bad_tables[7].page_bytes = 1u << 31;
    bad_tables[8].machine_name = "";
    bad_tables[9].uuid = "00010203-0405-0607-0809-0a0b0c0d0e0";
    bad_tables[10].uuid = "00010203040506070809-0a0b0c0d0e0f----";
    bad_tables[11].struct_size = 3;
    ck_assert(!vmmig__host_init(&host, &bad_tables[_i], NULL, count_free,
                                &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    ck_assert_msg(strstr(error->message, bad_words[_i]), "%s", error->message);
    ck_assert_uint_eq(freed, 1);
    vmmig_error_free(error);
}
END_TEST

/* -- where they run --------------------------------------------------------------- */

static bool note_run(void *data, vmmig_error **error)
{
    note_callback();
    *(bool *)data = true;
    return !refuse || vmmig__fail(error, VMMIG_ERROR_IO, "it broke");
}

START_TEST(a_lock_is_held_around_what_is_locked)
{
    vmmig_error *error = NULL;
    bool ran = false;

    start_host(true);
    ck_assert(vmmig__host_locked(&host, "test", note_run, &ran, NULL));
    ck_assert(ran);
    ck_assert(pthread_equal(callback_thread, pthread_self()));
    ck_assert_uint_eq(locks, 1);
    ck_assert_uint_eq(unlocks, 1);
    refuse = true;
    ck_assert(!vmmig__host_locked(&host, "test", note_run, &ran, &error));
    assert_error(error, VMMIG_ERROR_IO, "it broke");
    ck_assert_uint_eq(unlocks, 2);
    end_host();
}
END_TEST

START_TEST(without_a_lock_the_host_thread_is_it)
{
    vmmig_error *error = NULL;
    bool ran = false;

    start_host(false);
    ck_assert(vmmig__host_locked(&host, "test", note_run, &ran, NULL));
    ck_assert(ran);
    ck_assert(!pthread_equal(callback_thread, pthread_self()));
    refuse = true;
    ck_assert(!vmmig__host_locked(&host, "test", note_run, &ran, &error));
    assert_error(error, VMMIG_ERROR_IO, "it broke");
    end_host();
}
END_TEST

START_TEST(the_guest_stops_and_starts_on_one_other_thread)
{
    pthread_t first;

    start_host(true);
    ck_assert(vmmig__host_stop_guest(&host, VMMIG_STOP_SWITCHOVER, 20000,
                                     NULL));
    ck_assert_str_eq(callback_name, "stop_guest");
    first = callback_thread;
    ck_assert(!pthread_equal(first, pthread_self()));
    ck_assert(vmmig__host_release_ownership(&host, NULL));
    ck_assert_str_eq(callback_name, "release_ownership");
    ck_assert(pthread_equal(first, callback_thread));
    ck_assert(vmmig__host_acquire_ownership(&host, VMMIG_START_UNDO, NULL));
    ck_assert_str_eq(callback_name, "acquire_ownership");
    ck_assert(pthread_equal(first, callback_thread));
    ck_assert(vmmig__host_start_guest(&host, VMMIG_START_UNDO, NULL));
    ck_assert_str_eq(callback_name, "start_guest");
    ck_assert(pthread_equal(first, callback_thread));
    vmmig__host_announce(&host, 7);
    ck_assert_uint_eq(announced, 7);
    ck_assert_str_eq(callback_name, "announce");
    ck_assert_ptr_null(vmmig__callback_name());
    end_host();
}
END_TEST

/* -- errors ------------------------------------------------------------------------ */

/* Else a guest that has left would be sent a second time as one that runs. */
START_TEST(a_guest_that_was_stopped_does_not_run)
{
    start_host(false);
    ck_assert(vmmig__host_is_running(&host));
    ck_assert(vmmig__host_stop_guest(&host, VMMIG_STOP_SWITCHOVER, 20000,
                                     NULL));
    ck_assert(!vmmig__host_is_running(&host));
    ck_assert(vmmig__host_start_guest(&host, VMMIG_START_UNDO, NULL));
    ck_assert(vmmig__host_is_running(&host));
    end_host();
}
END_TEST

START_TEST(a_refusal_has_the_hosts_words_behind_the_callbacks_name)
{
    vmmig_error *error = NULL;

    start_host(true);
    refuse = true;
    ck_assert(!vmmig__host_stop_guest(&host, VMMIG_STOP_SWITCHOVER, 20000,
                                      &error));
    assert_error(error, VMMIG_ERROR_BLOCKED, "stop_guest: not now");
    error = NULL;
    ck_assert(!vmmig__host_start_guest(&host, VMMIG_START_RUN, &error));
    assert_error(error, VMMIG_ERROR_BLOCKED, "start_guest: not now");
    error = NULL;
    ck_assert(!vmmig__host_acquire_ownership(&host, VMMIG_START_RUN, &error));
    assert_error(error, VMMIG_ERROR_BLOCKED, "acquire_ownership: not now");
    error = NULL;
    ck_assert(!vmmig__host_release_ownership(&host, &error));
    assert_error(error, VMMIG_ERROR_BLOCKED, "release_ownership: not now");
    ck_assert(!vmmig__host_is_running(&host));
    refuse_silently = true;
    error = NULL;
    ck_assert(!vmmig__host_stop_guest(&host, VMMIG_STOP_SWITCHOVER, 20000,
                                      &error));
    assert_error(error, VMMIG_ERROR_HOST,
                 "stop_guest failed and did not say why");
    error = NULL;
    ck_assert(!vmmig__host_start_guest(&host, VMMIG_START_RUN, &error));
    assert_error(error, VMMIG_ERROR_HOST,
                 "start_guest failed and did not say why");
    ck_assert(!vmmig__host_start_guest(&host, VMMIG_START_RUN, NULL));
    end_host();
}
END_TEST

/* A GLib host uses the errors it has. */
START_TEST(an_error_of_another_domain_becomes_ours)
{
    vmmig_error *error =
        g_error_new(g_quark_from_static_string("theirs"), 3, "disk full");

    ck_assert(!vmmig__callback_result(false, "save_state", &error));
    assert_error(error, VMMIG_ERROR_HOST, "save_state: disk full");
    ck_assert(vmmig__callback_result(true, "save_state", NULL));
    ck_assert(!vmmig__callback_result(false, "save_state", NULL));
}
END_TEST

/* -- a stop that takes too long ----------------------------------------------------- */

static void give_up_on_a_stop(void)
{
    vmmig_error *error = NULL;

    stop_gate = gate_new();
    ck_assert(!vmmig__host_stop_guest(&host, VMMIG_STOP_SWITCHOVER, 10,
                                      &error));
    assert_error(error, VMMIG_ERROR_TIMEOUT,
                 "stop_guest: the host did not answer within 10 ms");
}

START_TEST(a_late_stop_is_taken_back)
{
    start_host(true);
    give_up_on_a_stop();
    ck_assert_uint_eq(starts, 0);
    gate_open(stop_gate);
    vmmig__host_announce(&host, 0); /* behind it in the queue */
    ck_assert_uint_eq(stops, 1);
    ck_assert_uint_eq(starts, 1);
    ck_assert_uint_eq(start_reason, VMMIG_START_UNDO);
    gate_free(stop_gate);
    end_host();
}
END_TEST

START_TEST(a_late_stop_that_failed_is_not)
{
    start_host(true);
    refuse = _i == 0;
    refuse_silently = _i == 1;
    give_up_on_a_stop();
    gate_open(stop_gate);
    vmmig__host_announce(&host, 0);
    ck_assert_uint_eq(stops, 1);
    ck_assert_uint_eq(starts, 0);
    gate_free(stop_gate);
    end_host();
}
END_TEST

/* The machine goes while the host still thinks. */
START_TEST(a_late_stop_is_taken_back_before_the_end)
{
    start_host(true);
    give_up_on_a_stop();
    gate_open(stop_gate);
    end_host();
    ck_assert_uint_eq(starts, 1);
    gate_free(stop_gate);
}
END_TEST

START_TEST(names_of_callbacks_nest)
{
    const char *outer = vmmig__callback_enter("outer"), *inner;

    ck_assert_ptr_null(outer);
    inner = vmmig__callback_enter("inner");
    ck_assert_str_eq(inner, "outer");
    ck_assert_str_eq(vmmig__callback_name(), "inner");
    vmmig__callback_leave(inner);
    ck_assert_str_eq(vmmig__callback_name(), "outer");
    vmmig__callback_leave(outer);
    ck_assert_ptr_null(vmmig__callback_name());
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("host-call");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_is_not_said_has_defaults);
    tcase_add_test(tcase, a_uuid_is_read_as_it_is_written);
    tcase_add_loop_test(tcase, a_table_that_will_not_do_is_refused_by_name, 0,
                        G_N_ELEMENTS(bad_tables));
    tcase_add_test(tcase, a_lock_is_held_around_what_is_locked);
    tcase_add_test(tcase, without_a_lock_the_host_thread_is_it);
    tcase_add_test(tcase, the_guest_stops_and_starts_on_one_other_thread);
    tcase_add_test(tcase, a_guest_that_was_stopped_does_not_run);
    tcase_add_test(tcase,
                   a_refusal_has_the_hosts_words_behind_the_callbacks_name);
    tcase_add_test(tcase, an_error_of_another_domain_becomes_ours);
    tcase_add_test(tcase, a_late_stop_is_taken_back);
    tcase_add_loop_test(tcase, a_late_stop_that_failed_is_not, 0, 2);
    tcase_add_test(tcase, a_late_stop_is_taken_back_before_the_end);
    tcase_add_test(tcase, names_of_callbacks_nest);
    return run_case("host-call", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cancel in every phase, on both sides: whoever is blocked returns at once, the
 * guest runs on where it was, and the next migration is perfect. After the
 * hand-over it is refused, and says why.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault-points.h"
#include "io/channel-memory.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "support/toy-vm.h"

enum {
    /* More than a pipe can be made to hold. */
    PAGES = 600,
    AT_ONCE_US = 100 * 1000 * KIT_SLOW,
};

static struct toy_vm *from, *to;
static struct vmmig_session *source, *destination;
static struct gate *gate;
static struct leftovers before;

static void setup(void)
{
    before = leftovers_now();
    from = toy_vm_new(PAGES, true, true);
    to = toy_vm_new(PAGES, false, true);
    toy_vm_pair(from, to);
    from->guest_writes = true;
    toy_vm_run(from);
    gate = gate_new();
}

static void teardown(void)
{
    vmmig__fault_disarm_all();
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    toy_vm_free(from);
    toy_vm_free(to);
    gate_free(gate);
    leftovers_assert(before);
}

/* The session ends in time, as cancelled, and says so however often. */
static void assert_ends(struct vmmig_session *session, uint64_t since_us)
{
    vmmig_error *error = NULL;
    uint64_t took_us;

    ck_assert(!vmmig_session_wait(session, 20000, &error));
    took_us = vmmig__now_us() - since_us;
    ck_assert_msg(took_us < AT_ONCE_US, "it took %u us", (unsigned)took_us);
    ck_assert_uint_eq(vmmig_session_get_status(session),
                      VMMIG_STATUS_CANCELLED);
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_CANCELLED);
    ck_assert(vmmig_session_cancel(session, NULL));
    vmmig_error_free(error);
}

static void cancel(struct vmmig_session *session)
{
    ck_assert(vmmig_session_cancel(session, NULL));
    ck_assert(vmmig_session_cancel(session, NULL));
    ck_assert_uint_eq(vmmig_session_get_status(session),
                      VMMIG_STATUS_CANCELLING);
}

static void cancel_and_wait(struct vmmig_session *session)
{
    uint64_t now_us = vmmig__now_us();

    /* It may have ended between two calls. */
    ck_assert(vmmig_session_cancel(session, NULL));
    ck_assert(vmmig_session_cancel(session, NULL));
    assert_ends(session, now_us);
}

/* The guest has not left, and can. */
static void assert_stayed(void)
{
    ck_assert(from->running);
    ck_assert(from->owner);
    ck_assert(!from->net.quiet);
    ck_assert(!to->running);
    ck_assert(!to->owner);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_HERE);
    source = vmmig_session_unref(source);
    destination = vmmig_session_unref(destination);
    vmmig__fault_disarm_all();
    toy_migrate(from, to);
}

/* -- the source, held somewhere --------------------------------------------- */

static const char *const source_points[] = {
    "source-connect",      "source-header",       "source-save-setup",
    "source-round",        "source-dirty-sync",   "source-stop-guest",
    "source-device-state", "source-ram-complete", "source-release-ownership",
    "source-before-eof",
};

START_TEST(a_source_is_cancelled_wherever_it_is)
{
    uint64_t now_us;

    vmmig__fault_arm(source_points[_i], 1, gate_hook, gate);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    cancel(source);
    now_us = vmmig__now_us();
    gate_open(gate);
    assert_ends(source, now_us);
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
}
END_TEST

static const char *const source_callbacks[] = {
    "save_prepare", "save_setup",   "save_query_pending", "collect",
    "save_iterate", "stop_guest",   "quiesce",            "save_state",
    "save_complete", "release_ownership",
};

static void hold_in(struct toy_vm *vm, const char *callback, void *data)
{
    if (strcmp(callback, data) == 0)
        gate_pass(gate);
}

START_TEST(a_source_is_cancelled_in_whatever_callback)
{
    uint64_t now_us;

    from->spy = hold_in;
    from->spy_data = (void *)source_callbacks[_i];
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    cancel(source);
    now_us = vmmig__now_us();
    gate_open(gate);
    assert_ends(source, now_us);
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
}
END_TEST

/* -- the source, blocked ----------------------------------------------------- */

START_TEST(a_source_that_writes_to_nobody_is_cancelled)
{
    struct vmmig__memory_link narrow = {.capacity_bytes = 8192};
    struct vmmig_channel *ends[2];

    vmmig__channel_new_pair(&narrow, NULL, ends);
    source = toy_session(from, VMMIG_SOURCE, ends[0], NULL);
    toy_start_one(source, "host:");
    wait_for_status(source, VMMIG_STATUS_ACTIVE);
    cancel_and_wait(source);
    vmmig_channel_unref(ends[1]);
    assert_stayed();
}
END_TEST

START_TEST(a_source_stuck_in_its_header_is_cancelled)
{
    struct vmmig_channel *ends[2];
    struct stuck *stuck;

    vmmig__channel_new_pair(NULL, NULL, ends);
    source = toy_session(from, VMMIG_SOURCE,
                         stuck_channel_new(ends[0], true, true, &stuck), NULL);
    toy_start_one(source, "host:");
    stuck_await(stuck);
    cancel_and_wait(source);
    vmmig_channel_unref(ends[1]);
    assert_stayed();
}
END_TEST

START_TEST(a_source_that_waits_for_bandwidth_is_cancelled)
{
    toy_connect(from, to, &source, &destination);
    ck_assert(vmmig_options_parse(vmmig_session_get_options(source),
                                  "max-bandwidth=1", NULL));
    toy_start(source, destination);
    wait_for_status(source, VMMIG_STATUS_ACTIVE);
    cancel_and_wait(source);
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
}
END_TEST

/* The destination has been told the newer protocol, and says nothing. */
START_TEST(a_source_that_waits_for_consent_is_cancelled)
{
    toy_connect(from, to, &source, &destination);
    from->guest_writes = false;
    ck_assert(vmmig_options_parse(vmmig_session_get_options(source),
                                  "switchover-ack=on,switchover-ack-legacy=on",
                                  NULL));
    toy_start(source, destination);
    wait_for_status(source, VMMIG_STATUS_ACTIVE);
    cancel_and_wait(source);
    ck_assert_uint_eq(from->stops, 0);
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
}
END_TEST

START_TEST(a_source_that_waits_before_the_switch_is_cancelled)
{
    toy_connect(from, to, &source, &destination);
    ck_assert(vmmig_options_parse(vmmig_session_get_options(source),
                                  "pause-before-switchover=on", NULL));
    toy_start(source, destination);
    wait_for_status(source, VMMIG_STATUS_PRE_SWITCHOVER);
    ck_assert(!from->running);
    cancel_and_wait(source);
    ck_assert_uint_eq(from->start_reason, VMMIG_START_UNDO);
    ck_assert(!vmmig_session_continue(source, NULL));
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
}
END_TEST

/* A listening socket whose queue is full: (transfer full) its path. */
static char *busy_socket(int sockets[2], char **ret_folder)
{
    char folder[] = "/tmp/vmmigrate-test-XXXXXX";
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char *path;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = g_build_filename(folder, "socket", NULL);
    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    for (int i = 0; i < 2; i++) {
        sockets[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(sockets[i], 0);
    }
    ck_assert_int_eq(
        bind(sockets[0], (struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(listen(sockets[0], 0), 0);
    ck_assert_int_eq(
        connect(sockets[1], (struct sockaddr *)&name, sizeof name), 0);
    *ret_folder = g_strdup(folder);
    return path;
}

START_TEST(a_source_that_connects_is_cancelled)
{
    int sockets[2];
    char *folder, *path = busy_socket(sockets, &folder);
    char *uri = g_strconcat("unix:", path, NULL);

    source = toy_session(from, VMMIG_SOURCE, NULL, NULL);
    toy_start_one(source, uri);
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_SETUP);
    cancel_and_wait(source);
    close(sockets[0]);
    close(sockets[1]);
    unlink(path);
    rmdir(folder);
    g_free(folder);
    g_free(path);
    g_free(uri);
    assert_stayed();
}
END_TEST

/* The command reads nothing. */
START_TEST(a_source_whose_command_does_not_read_is_cancelled)
{
    source = toy_session(from, VMMIG_SOURCE, NULL, NULL);
    toy_start_one(source, "exec:exec sleep 60");
    wait_for_status(source, VMMIG_STATUS_ACTIVE);
    cancel_and_wait(source);
    assert_stayed();
}
END_TEST

/* -- too late, or nothing to cancel ------------------------------------------ */

static void assert_refused(struct vmmig_session *session, const char *words)
{
    vmmig_error *error = NULL;

    ck_assert(!vmmig_session_cancel(session, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
    vmmig_error_free(error);
}

static const char *const late_points[] = {
    "source-after-eof", "destination-shut", "destination-acquire",
    "destination-start-guest",
};

START_TEST(after_the_hand_over_it_is_too_late)
{
    bool both = g_str_has_prefix(late_points[_i], "destination-");

    from->guest_writes = false;
    vmmig__fault_arm(late_points[_i], 1, gate_hook, gate);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    if (both)
        assert_refused(destination, "cannot cancel: the status is the "
                                    "hand-over: the source was told");
    if (_i < 2)
        assert_refused(source, "cannot cancel: the status is the hand-over: "
                               "the destination may have the guest");
    gate_open(gate);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    ck_assert(to->running);
    assert_refused(source, "completed");
    assert_refused(destination, "completed");
}
END_TEST

START_TEST(what_was_not_started_cannot_be_cancelled)
{
    source = toy_session(from, VMMIG_SOURCE, NULL, NULL);
    assert_refused(source, "not started");
}
END_TEST

START_TEST(what_has_failed_cannot_be_cancelled)
{
    vmmig__fault_arm("source-round", 1, NULL, NULL);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    ck_assert(!toy_wait(source, NULL));
    assert_refused(source, "failed");
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
}
END_TEST

/* True was a promise that it does not complete, and stays one. */
START_TEST(a_cancel_while_it_fails_agrees_with_later_ones)
{
    from->refuse_release = true;
    from->spy = hold_in;
    from->spy_data = (void *)"unquiesce";
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILING);
    ck_assert(vmmig_session_cancel(source, NULL));
    gate_open(gate);
    ck_assert(!toy_wait(source, NULL));
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILED);
    ck_assert(vmmig_session_cancel(source, NULL));
    ck_assert(!toy_wait(destination, NULL));
    from->refuse_release = false;
    assert_stayed();
}
END_TEST

/* -- the destination ---------------------------------------------------------- */

/* Nothing has a session of the source; the guest can still leave. */
static void assert_still_empty(void)
{
    ck_assert(!to->running);
    ck_assert(!to->owner);
    ck_assert_uint_eq(vmmig_session_get_owner(destination), VMMIG_OWNER_PEER);
    ck_assert_uint_eq(to->locked, 0);
    destination = vmmig_session_unref(destination);
    toy_migrate(from, to);
}

/* With the number of this process in it. */
static const char *const waiting_uris[] = {
    "tcp:127.0.0.1:0",
    "unix:/tmp/vmmigrate-test-cancel-%d",
    "exec:exec sleep 60",
};

START_TEST(a_destination_that_waits_is_cancelled)
{
    GString *uri = g_string_new(waiting_uris[_i]);
    char *number = g_strdup_printf("%d", (int)getpid());

    g_string_replace(uri, "%d", number, 0);
    destination = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
    toy_start_one(destination, uri->str);
    g_free(number);
    g_string_free(uri, TRUE);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_SETUP);
    cancel_and_wait(destination);
    assert_still_empty();
}
END_TEST

START_TEST(a_destination_whose_pipe_is_silent_is_cancelled)
{
    int pipe_ends[2];
    char *uri;

    ck_assert_int_eq(pipe(pipe_ends), 0);
    uri = g_strdup_printf("fd:%d", pipe_ends[0]);
    destination = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
    toy_start_one(destination, uri);
    cancel_and_wait(destination);
    close(pipe_ends[1]);
    g_free(uri);
    assert_still_empty();
}
END_TEST

START_TEST(a_destination_that_reads_nothing_is_cancelled)
{
    struct vmmig_channel *ends[2];
    struct stuck *stuck;

    vmmig__channel_new_pair(NULL, NULL, ends);
    destination =
        toy_session(to, VMMIG_DESTINATION,
                    stuck_channel_new(ends[0], true, false, &stuck), NULL);
    toy_start_one(destination, "host:");
    stuck_await(stuck);
    cancel_and_wait(destination);
    vmmig_channel_unref(ends[1]);
    assert_still_empty();
}
END_TEST

/* The source stands still between two rounds. */
START_TEST(a_destination_in_the_middle_is_cancelled)
{
    vmmig__fault_arm("source-dirty-sync", 1, gate_hook, gate);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    wait_for_status(destination, VMMIG_STATUS_ACTIVE);
    cancel_and_wait(destination);
    gate_open(gate);
    ck_assert(!toy_wait(source, NULL));
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILED);
    assert_stayed();
}
END_TEST

/* All has been read, and the source waits for its word: it gets it. */
START_TEST(a_destination_that_applies_state_is_cancelled_and_says_so)
{
    vmmig_error *error = NULL;
    uint64_t now_us;

    to->spy = hold_in;
    to->spy_data = (void *)"post_load";
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    cancel(destination);
    now_us = vmmig__now_us();
    gate_open(gate);
    assert_ends(destination, now_us);
    ck_assert(!toy_wait(source, &error));
    ck_assert_msg(strstr(error->message, "SHUT 1"), "%s", error->message);
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILED);
    vmmig_error_free(error);
    to->spy = NULL;
    assert_stayed();
}
END_TEST

/* -- the dirty log ------------------------------------------------------------ */

/* A log that another one reads too: bits of the first 64 pages. */
struct shared_log {
    struct vmmig_block *block;
    _Atomic(uint64_t) bits;
};

static bool collect_shared(void *data, vmmig_error **error)
{
    struct shared_log *log = data;
    uint64_t taken = atomic_exchange(&log->bits, 0);

    vmmig_block_mark_dirty_bitmap(log->block, 0, &taken, 64);
    return true;
}

static void give_back_shared(void *data, struct vmmig_block *block,
                             uint64_t first_page, const uint64_t *words,
                             uint64_t page_count)
{
    struct shared_log *log = data;

    if (block == log->block && first_page == 0)
        atomic_fetch_or(&log->bits, words[0]);
}

static void add_shared_log(struct shared_log *log)
{
    static const struct vmmig_dirty_source ops = {
        .struct_size = sizeof ops,
        .collect = collect_shared,
        .give_back = give_back_shared,
    };

    log->block = from->block;
    atomic_store(&log->bits, 0x8001000100010001);
    ck_assert(vmmig_machine_add_dirty_source(from->machine, &ops, log, NULL,
                                             NULL));
}

/* After the last collect, so that all of it was consumed. */
START_TEST(a_second_reader_of_the_log_misses_nothing)
{
    static struct shared_log log;
    uint64_t now_us;

    add_shared_log(&log);
    vmmig__fault_arm("source-before-eof", 1, _i == 0 ? gate_hook : NULL, gate);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    if (_i == 0) {
        gate_await(gate);
        ck_assert_uint_eq(log.bits, 0);
        cancel(source);
        now_us = vmmig__now_us();
        gate_open(gate);
        assert_ends(source, now_us);
    } else {
        ck_assert(!toy_wait(source, NULL));
    }
    ck_assert_uint_eq(log.bits, 0x8001000100010001);
    ck_assert(!toy_wait(destination, NULL));
    assert_stayed();
    ck_assert_uint_eq(log.bits, 0); /* it has gone with the guest */
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("cancel");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_source_is_cancelled_wherever_it_is, 0,
                        G_N_ELEMENTS(source_points));
    tcase_add_loop_test(tcase, a_source_is_cancelled_in_whatever_callback, 0,
                        G_N_ELEMENTS(source_callbacks));
    tcase_add_test(tcase, a_source_that_writes_to_nobody_is_cancelled);
    tcase_add_test(tcase, a_source_stuck_in_its_header_is_cancelled);
    tcase_add_test(tcase, a_source_that_waits_for_bandwidth_is_cancelled);
    tcase_add_test(tcase, a_source_that_waits_for_consent_is_cancelled);
    tcase_add_test(tcase, a_source_that_waits_before_the_switch_is_cancelled);
    tcase_add_test(tcase, a_source_that_connects_is_cancelled);
    tcase_add_test(tcase, a_source_whose_command_does_not_read_is_cancelled);
    tcase_add_loop_test(tcase, after_the_hand_over_it_is_too_late, 0,
                        G_N_ELEMENTS(late_points));
    tcase_add_test(tcase, what_was_not_started_cannot_be_cancelled);
    tcase_add_test(tcase, what_has_failed_cannot_be_cancelled);
    tcase_add_test(tcase, a_cancel_while_it_fails_agrees_with_later_ones);
    tcase_add_loop_test(tcase, a_destination_that_waits_is_cancelled, 0,
                        G_N_ELEMENTS(waiting_uris));
    tcase_add_test(tcase, a_destination_whose_pipe_is_silent_is_cancelled);
    tcase_add_test(tcase, a_destination_that_reads_nothing_is_cancelled);
    tcase_add_test(tcase, a_destination_in_the_middle_is_cancelled);
    tcase_add_test(tcase,
                   a_destination_that_applies_state_is_cancelled_and_says_so);
    tcase_add_loop_test(tcase, a_second_reader_of_the_log_misses_nothing, 0, 2);
    return run_case("cancel", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owns the guest when something goes wrong around the hand-over. The toy
 * itself ends the test when two machines run one guest or hold its lease.
 */
#include <string.h>

#include "base/fault-points.h"
#include "io/channel-memory.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "support/toy-vm.h"

enum { PAGES = 5 };

static struct toy_vm *from, *to;
static struct vmmig_session *source, *destination;
static vmmig_error *source_error, *destination_error;
static uint64_t stream_length; /* of what the source sends */

static void setup(void)
{
    GByteArray *stream = record_stream(PAGES, NULL);

    stream_length = stream->len;
    g_byte_array_unref(stream);
    from = toy_vm_new(PAGES, true, true);
    to = toy_vm_new(PAGES, false, true);
    toy_vm_pair(from, to);
    toy_vm_run(from);
}

static void forget_sessions(void)
{
    source = vmmig_session_unref(source);
    destination = vmmig_session_unref(destination);
    g_clear_error(&source_error);
    g_clear_error(&destination_error);
}

static void teardown(void)
{
    vmmig__fault_disarm_all();
    forget_sessions();
    toy_vm_free(from);
    toy_vm_free(to);
}

static void connect(void)
{
    toy_connect(from, to, &source, &destination);
}

static void set_option(struct vmmig_session *session, const char *option)
{
    ck_assert(vmmig_options_parse(vmmig_session_get_options(session), option,
                                  NULL));
}

static void run_both(void)
{
    toy_start(source, destination);
    toy_wait(source, &source_error);
    toy_wait(destination, &destination_error);
}

static void assert_words(const vmmig_error *error, const char *words)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
}

/* The guest never left: everything is as before. */
static void assert_stayed(void)
{
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILED);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_HERE);
    ck_assert(from->running);
    ck_assert(from->owner);
    ck_assert(!from->net.quiet);
    if (from->stops > 0)
        ck_assert_uint_eq(from->start_reason, VMMIG_START_UNDO);
    ck_assert(!to->running);
    ck_assert(!to->owner);
}

static void assert_held(void)
{
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILED);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_UNKNOWN);
    ck_assert(!from->running);
    ck_assert(!from->owner);
    assert_words(source_error, "ask it whether the guest runs there");
}

/* -- the host refuses ------------------------------------------------------- */

START_TEST(a_lease_that_is_not_released_keeps_the_guest)
{
    from->refuse_release = true;
    connect();
    run_both();
    assert_stayed();
    assert_words(source_error, "release_ownership: the disk is busy");
    ck_assert_uint_eq(from->acquired, 0);
    forget_sessions();
    from->refuse_release = false;
    toy_migrate(from, to);
}
END_TEST

START_TEST(a_guest_that_does_not_stop_runs_on)
{
    from->refuse_stop = true;
    connect();
    run_both();
    assert_stayed();
    assert_words(source_error, "stop_guest: the toy will not");
    ck_assert_uint_eq(from->starts, 0);
}
END_TEST

START_TEST(a_device_that_does_not_rest_lets_the_guest_go_on)
{
    from->refuse_quiesce = true;
    connect();
    run_both();
    assert_stayed();
    assert_words(source_error, "device \"toy-net\" (instance 0): quiesce: "
                               "a packet is stuck");
}
END_TEST

START_TEST(a_device_that_refuses_to_load_leaves_the_guest_there)
{
    to->refuse_post_load = true;
    connect();
    run_both();
    assert_stayed();
    assert_words(destination_error, "device \"toy-net\" (instance 0): "
                                    "post_load: this cable does not fit");
    /* The side that was asked has the words of the side that failed. */
    assert_words(source_error, "SHUT 1");
    assert_words(source_error, destination_error->message);
    ck_assert_uint_eq(from->acquired, 1);
}
END_TEST

START_TEST(a_lease_refused_over_there_stops_the_guest_and_says_so)
{
    to->refuse_acquire = true;
    connect();
    run_both();
    ck_assert_uint_eq(vmmig_session_get_status(source),
                      VMMIG_STATUS_COMPLETED);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_PEER);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_FAILED);
    ck_assert_uint_eq(vmmig_session_get_owner(destination),
                      VMMIG_OWNER_UNKNOWN);
    assert_words(destination_error, "the guest is complete here, but stays "
                                    "stopped: acquire_ownership: somebody");
    ck_assert(!from->running && !to->running);
}
END_TEST

START_TEST(a_guest_that_does_not_start_over_there_is_owned_there)
{
    to->refuse_start = true;
    connect();
    run_both();
    ck_assert_uint_eq(vmmig_session_get_status(source),
                      VMMIG_STATUS_COMPLETED);
    ck_assert_uint_eq(vmmig_session_get_owner(destination), VMMIG_OWNER_HERE);
    assert_words(destination_error, "stays stopped: start_guest: out of vCPUs");
    ck_assert(!from->running && !to->running);
}
END_TEST

/* Undoing fails too: nobody runs it, and only its lease says whose it is. */
START_TEST(a_guest_that_cannot_be_resumed_is_still_here)
{
    from->refuse_release = true;
    from->refuse_start = true;
    connect();
    run_both();
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_HERE);
    ck_assert(!from->running && !to->running);
    ck_assert(from->owner);
    assert_words(source_error, "the disk is busy; and the guest stays stopped: "
                               "start_guest: out of vCPUs");
    ck_assert_str_eq(vmmig_error_detail(source_error, "phase"), "device");
}
END_TEST

START_TEST(a_lease_that_is_lost_on_the_way_back_is_unknown)
{
    vmmig__fault_arm("source-before-eof", 1, NULL, NULL);
    from->refuse_acquire = true;
    connect();
    run_both();
    ck_assert_uint_eq(vmmig_session_get_status(source), VMMIG_STATUS_FAILED);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_UNKNOWN);
    ck_assert(!from->running && !to->running);
    ck_assert_uint_eq(from->starts, 0);
    assert_words(source_error, "; and the guest stays stopped: "
                               "acquire_ownership: somebody else holds");
}
END_TEST

START_TEST(a_paused_guest_arrives_paused_and_stays_so_when_it_does_not)
{
    toy_vm_stop(from);
    from->paused = true;
    from->refuse_release = true;
    connect();
    run_both();
    ck_assert(!from->running);
    ck_assert_uint_eq(from->start_reason, VMMIG_START_UNDO);
    forget_sessions();
    from->refuse_release = false;
    connect();
    run_both();
    ck_assert_uint_eq(vmmig_session_get_status(source),
                      VMMIG_STATUS_COMPLETED);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_COMPLETED);
    ck_assert(!to->running);
    ck_assert(to->owner);
    ck_assert_uint_eq(to->starts, 0);
    toy_vm_assert_equal(from, to);
}
END_TEST

START_TEST(a_guest_need_not_be_started)
{
    connect();
    set_option(destination, "autostart=off");
    run_both();
    ck_assert(!to->running);
    ck_assert(to->owner);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_COMPLETED);
}
END_TEST

/* -- the link --------------------------------------------------------------- */

static struct vmmig_channel *link_ends[2];

static bool cut_link(void *data, vmmig_error **error)
{
    vmmig__channel_pair_cut(link_ends[0]);
    return true;
}

/* Like connect(), with the ends at hand. */
static void connect_link(const struct vmmig__memory_link *forth,
                         const char *options)
{
    vmmig__channel_new_pair(forth, NULL, link_ends);
    source = toy_session(from, VMMIG_SOURCE, vmmig_channel_ref(link_ends[0]),
                         options);
    destination = toy_session(to, VMMIG_DESTINATION,
                              vmmig_channel_ref(link_ends[1]), NULL);
}

static void close_link(void)
{
    vmmig_channel_unref(link_ends[0]);
    vmmig_channel_unref(link_ends[1]);
}

START_TEST(a_link_lost_after_eof_holds_the_guest)
{
    connect_link(NULL, NULL);
    vmmig__fault_arm("destination-shut", 1, cut_link, NULL);
    run_both();
    assert_held();
    ck_assert(!to->running);
    ck_assert(!to->owner);
    ck_assert_uint_eq(vmmig_session_get_owner(destination), VMMIG_OWNER_PEER);
    assert_words(destination_error,
                 "could not be told that all is well, so the guest stays "
                 "stopped here");
    close_link();
}
END_TEST

START_TEST(a_lost_link_may_resume_the_guest_if_told_so)
{
    connect_link(NULL, "on-lost-ack=resume");
    vmmig__fault_arm("destination-shut", 1, cut_link, NULL);
    run_both();
    assert_stayed();
    ck_assert_uint_eq(from->acquired, 1);
    close_link();
    forget_sessions();
    toy_migrate(from, to);
}
END_TEST

/* The destination has started it when the link goes: SHUT has arrived. */
START_TEST(a_link_lost_after_shut_matters_no_more)
{
    connect_link(NULL, NULL);
    vmmig__fault_arm("destination-start-guest", 1, cut_link, NULL);
    run_both();
    ck_assert(to->running);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_COMPLETED);
    /* What was under way back to the source may have been cut as well. */
    if (vmmig_session_get_status(source) != VMMIG_STATUS_COMPLETED)
        assert_held();
    close_link();
}
END_TEST

START_TEST(without_a_return_path_done_means_sent)
{
    connect();
    set_option(source, "return-path=off");
    run_both();
    ck_assert_uint_eq(vmmig_session_get_status(source),
                      VMMIG_STATUS_COMPLETED);
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_COMPLETED);
    ck_assert(to->running);
    toy_vm_assert_equal(from, to);
}
END_TEST

/* The cut falls into the last write. */
START_TEST(without_a_return_path_a_cut_end_holds_the_guest)
{
    GByteArray *stream = record_stream(PAGES, "return-path=off");
    struct vmmig__memory_link forth = {.cut_after_bytes = stream->len - 10};

    g_byte_array_unref(stream);
    connect_link(&forth, "return-path=off");
    run_both();
    assert_held();
    close_link();
}
END_TEST

/* -- the destination's word, played by the test ------------------------------ */

#define PONG "\0\2\0\4\0\0\0\1"
#define SHUT(n) "\0\1\0\4\0\0\0" n

static struct vmmig_channel *peer;

static void start_alone(const char *options)
{
    struct vmmig_channel *ends[2];

    vmmig__channel_new_pair(NULL, NULL, ends);
    source = toy_session(from, VMMIG_SOURCE, ends[0], options);
    peer = ends[1];
}

static void read_all_of_it(void)
{
    static uint8_t waste[65536];
    uint64_t left = stream_length, got = 1;

    while (left > 0) {
        struct iovec part = {waste, MIN(left, sizeof waste)};

        ck_assert(vmmig__channel_read(peer, &part, 1, &got, NULL));
        ck_assert_uint_gt(got, 0);
        left -= got;
    }
}

static void say(const char *bytes, size_t length)
{
    struct iovec part = {(void *)bytes, length};

    ck_assert(length == 0 || vmmig__channel_write_all(peer, &part, 1, NULL));
}

static void hang_up(void)
{
    peer = vmmig_channel_unref(peer);
}

START_TEST(a_refusal_after_everything_resumes_the_guest)
{
    start_alone(NULL);
    toy_start_one(source, "host:");
    read_all_of_it();
    say(PONG SHUT("\1"), 16);
    ck_assert(!toy_wait(source, &source_error));
    assert_stayed();
    assert_words(source_error, "SHUT 1");
    ck_assert_str_eq(vmmig_error_detail(source_error, "side"), "destination");
    hang_up();
}
END_TEST

/* However the words are cut or damaged: nobody runs the guest here unless the
 * destination refused it. */
static void hear(const char *words, size_t length)
{
    uint32_t owner;

    start_alone(NULL);
    toy_start_one(source, "host:");
    read_all_of_it();
    say(words, length);
    hang_up();
    if (toy_wait(source, &source_error)) {
        ck_assert(!from->running);
        ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_PEER);
    } else {
        owner = vmmig_session_get_owner(source);
        ck_assert_uint_ne(owner, VMMIG_OWNER_PEER);
        ck_assert(from->running == (owner == VMMIG_OWNER_HERE));
        if (owner == VMMIG_OWNER_UNKNOWN)
            assert_held();
        else
            assert_words(source_error, "SHUT");
    }
}

static void have_it_back(void)
{
    forget_sessions();
    from->owner = true;
    from->net.quiet = false;
    if (!from->running)
        toy_vm_run(from);
}

START_TEST(words_that_end_anywhere_hold_the_guest)
{
    static const char words[] = PONG SHUT("\0");

    for (size_t length = 0; length < 16; length++) {
        hear(words, length);
        ck_assert(!from->running);
        ck_assert_uint_eq(vmmig_session_get_owner(source),
                          VMMIG_OWNER_UNKNOWN);
        have_it_back();
    }
    hear(words, 16);
    ck_assert_uint_eq(vmmig_session_get_status(source),
                      VMMIG_STATUS_COMPLETED);
}
END_TEST

START_TEST(damaged_words_never_run_the_guest_twice)
{
    for (unsigned bit = 0; bit < 16 * 8; bit++) {
        char words[] = PONG SHUT("\0");

        words[bit / 8] ^= (char)(1 << bit % 8);
        hear(words, 16);
        /* The value of SHUT is the last of all. */
        ck_assert(from->running == (bit >= 12 * 8));
        have_it_back();
    }
}
END_TEST

static const struct {
    const char *words;
    size_t length;
    uint32_t code;
    const char *expected;
} early_words[] = {
    {SHUT("\0"), 8, VMMIG_ERROR_PROTOCOL, "SHUT 0 before the guest was sent"},
    {SHUT("\1"), 8, VMMIG_ERROR_IO, "SHUT 1"},
    {"\0\4\0\0", 4, VMMIG_ERROR_PROTOCOL, "return path"},    /* REQ_PAGES */
    {"\0\1\x80\0", 4, VMMIG_ERROR_PROTOCOL, "return path"},  /* too long */
    {"\xff\xff\0\0", 4, VMMIG_ERROR_PROTOCOL, "65535"},      /* unknown */
};

/* Before the first round, while the guest runs. */
START_TEST(words_before_the_end_are_an_error)
{
    struct gate *gate = gate_new();
    unsigned threads;

    vmmig__fault_arm("source-round", 1, gate_hook, gate);
    start_alone(NULL);
    toy_start_one(source, "host:");
    gate_await(gate);
    threads = leftovers_now().threads;
    say(early_words[_i].words, early_words[_i].length);
    /* The thread that hears them ends with them. */
    while (leftovers_now().threads == threads)
        g_usleep(100);
    gate_open(gate);
    ck_assert(!toy_wait(source, &source_error));
    assert_stayed();
    ck_assert_uint_eq(vmmig_error_code(source_error), early_words[_i].code);
    assert_words(source_error, early_words[_i].expected);
    ck_assert_uint_eq(from->stops, 0);
    hang_up();
    gate_free(gate);
}
END_TEST

/* After the rounds, with the guest stopped. */
START_TEST(words_before_the_eof_byte_are_an_error)
{
    struct gate *gate = gate_new();
    unsigned threads;

    vmmig__fault_arm("source-before-eof", 1, gate_hook, gate);
    start_alone(NULL);
    toy_start_one(source, "host:");
    gate_await(gate);
    threads = leftovers_now().threads;
    say(early_words[_i].words, early_words[_i].length);
    while (leftovers_now().threads == threads)
        g_usleep(100);
    gate_open(gate);
    ck_assert(!toy_wait(source, &source_error));
    assert_stayed();
    ck_assert_uint_eq(vmmig_error_code(source_error), early_words[_i].code);
    assert_words(source_error, early_words[_i].expected);
    ck_assert_uint_eq(from->stops, 1);
    hang_up();
    gate_free(gate);
}
END_TEST

START_TEST(words_while_it_waits_before_the_switch_are_an_error)
{
    start_alone("pause-before-switchover=on");
    toy_start_one(source, "host:");
    wait_for_status(source, VMMIG_STATUS_PRE_SWITCHOVER);
    say(early_words[_i].words, early_words[_i].length);
    ck_assert(!toy_wait(source, &source_error));
    assert_stayed();
    ck_assert_uint_eq(vmmig_error_code(source_error), early_words[_i].code);
    assert_words(source_error, early_words[_i].expected);
    hang_up();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("ownership");
    int early = G_N_ELEMENTS(early_words);

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_lease_that_is_not_released_keeps_the_guest);
    tcase_add_test(tcase, a_guest_that_does_not_stop_runs_on);
    tcase_add_test(tcase, a_device_that_does_not_rest_lets_the_guest_go_on);
    tcase_add_test(tcase, a_device_that_refuses_to_load_leaves_the_guest_there);
    tcase_add_test(tcase,
                   a_lease_refused_over_there_stops_the_guest_and_says_so);
    tcase_add_test(tcase,
                   a_guest_that_does_not_start_over_there_is_owned_there);
    tcase_add_test(tcase, a_guest_that_cannot_be_resumed_is_still_here);
    tcase_add_test(tcase, a_lease_that_is_lost_on_the_way_back_is_unknown);
    tcase_add_test(
        tcase, a_paused_guest_arrives_paused_and_stays_so_when_it_does_not);
    tcase_add_test(tcase, a_guest_need_not_be_started);
    tcase_add_test(tcase, a_link_lost_after_eof_holds_the_guest);
    tcase_add_test(tcase, a_lost_link_may_resume_the_guest_if_told_so);
    tcase_add_test(tcase, a_link_lost_after_shut_matters_no_more);
    tcase_add_test(tcase, without_a_return_path_done_means_sent);
    tcase_add_test(tcase, without_a_return_path_a_cut_end_holds_the_guest);
    tcase_add_test(tcase, a_refusal_after_everything_resumes_the_guest);
    tcase_add_test(tcase, words_that_end_anywhere_hold_the_guest);
    tcase_add_test(tcase, damaged_words_never_run_the_guest_twice);
    tcase_add_loop_test(tcase, words_before_the_end_are_an_error, 0, early);
    tcase_add_loop_test(tcase, words_before_the_eof_byte_are_an_error, 0,
                        early);
    tcase_add_loop_test(tcase,
                        words_while_it_waits_before_the_switch_are_an_error, 0,
                        early);
    return run_case("ownership", tcase);
}

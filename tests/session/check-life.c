/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machines and sessions: who may start what and when, what is heard about it in
 * which order, and that all of it ends whoever lets go first.
 */
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/fault-points.h"
#include "io/channel-memory.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "support/toy-vm.h"

enum { PAGES = 100 };

static struct toy_vm *from, *to;
static struct vmmig_session *source, *destination;
static struct gate *gate;
static struct leftovers before;

static void setup(void)
{
    before = leftovers_now();
    from = toy_vm_new(PAGES, true, true);
    to = toy_vm_new(PAGES, false, false);
    toy_vm_pair(from, to);
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

static void forget_sessions(void)
{
    source = vmmig_session_unref(source);
    destination = vmmig_session_unref(destination);
}

static void assert_error(vmmig_error *error, uint32_t code, const char *words)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(vmmig_error_code(error) == code, "%u: %s",
                  (unsigned)vmmig_error_code(error), error->message);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
    vmmig_error_free(error);
}

/* Both are started; the source is held at a point. */
static void start_held(const char *point)
{
    vmmig__fault_arm(point, 1, gate_hook, gate);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
}

static void finish_both(void)
{
    gate_open(gate);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
}

/* -- letting go -------------------------------------------------------------- */

static bool has_arrived(void *data)
{
    return to->running;
}

START_TEST(a_session_that_is_let_go_goes_on)
{
    start_held("source-round");
    forget_sessions();
    gate_open(gate);
    wait_for(has_arrived, NULL);
    source = vmmig_machine_get_session(from->machine);
    destination = vmmig_machine_get_session(to->machine);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    toy_vm_assert_equal(from, to);
}
END_TEST

static bool refuse_start(void *host, uint32_t why, vmmig_error **error)
{
    return vmmig_error_set(error, VMMIG_ERROR_HOST, "no guest here");
}

static void note_freed(void *data)
{
    atomic_store((atomic_bool *)data, true);
}

/* Its own reference is the last one. */
static void let_machine_go(void *data, const struct vmmig_event *event)
{
    struct vmmig_machine **machine = data;

    if (vmmig_status_is_final(event->status))
        *machine = vmmig_machine_unref(*machine);
}

static bool is_true(void *data)
{
    return atomic_load((atomic_bool *)data);
}

START_TEST(the_last_listener_may_let_the_machine_go)
{
    static const struct vmmig_host host = {
        .struct_size = sizeof host,
        .stop_guest = refuse_start,
        .start_guest = refuse_start,
    };
    static atomic_bool freed;
    struct vmmig_machine *machine =
        vmmig_machine_new(&host, &freed, note_freed, NULL);
    struct vmmig_session *session =
        vmmig_session_new(machine, VMMIG_DESTINATION, NULL);
    struct vmmig_channel *channel = vmmig__channel_new_buffer("no stream", 9);

    ck_assert(vmmig_machine_add_listener(machine, let_machine_go, &machine,
                                         NULL, NULL, NULL));
    ck_assert(vmmig_session_add_channel(session, channel, NULL));
    vmmig_channel_unref(channel);
    toy_start_one(session, "host:");
    vmmig_session_unref(session);
    wait_for(is_true, &freed);
}
END_TEST

START_TEST(closing_ends_what_runs)
{
    vmmig_error *error = NULL;

    start_held("source-round");
    gate_open(gate);
    ck_assert(vmmig_machine_close(from->machine, 10000, &error));
    ck_assert(
        vmmig_status_is_final(vmmig_session_get_status(source)));
    ck_assert(vmmig_machine_close(from->machine, 0, &error));
    ck_assert(!vmmig_session_new(from->machine, VMMIG_SOURCE, &error));
    assert_error(error, VMMIG_ERROR_STATE, "the machine is closed");
}
END_TEST

START_TEST(closing_wakes_what_is_blocked)
{
    destination = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
    toy_start_one(destination, "tcp:127.0.0.1:0");
    ck_assert(vmmig_machine_close(to->machine, 10000, NULL));
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_CANCELLED);
}
END_TEST

static void hold_in(struct toy_vm *vm, const char *callback, void *data)
{
    if (strcmp(callback, data) == 0)
        gate_pass(gate);
}

START_TEST(closing_gives_up_in_time_and_can_be_repeated)
{
    vmmig_error *error = NULL;

    from->spy = hold_in;
    from->spy_data = (void *)"stop_guest";
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    gate_await(gate);
    ck_assert(!vmmig_machine_close(from->machine, 20, &error));
    assert_error(error, VMMIG_ERROR_TIMEOUT, "still runs");
    gate_open(gate);
    ck_assert(vmmig_machine_close(from->machine, 10000, NULL));
    ck_assert(from->running);
}
END_TEST

/* The first of them would wait for days. */
START_TEST(closing_does_not_wait_for_announcements)
{
    uint64_t now_us = vmmig__now_us();

    toy_connect(from, to, &source, &destination);
    ck_assert(vmmig_options_parse(
        vmmig_session_get_options(destination),
        "announce-initial=100000,announce-max=100000,announce-rounds=1000",
        NULL));
    toy_start(source, destination);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    toy_migrate(to, from); /* another session is the machine's last one */
    ck_assert(vmmig_machine_close(to->machine, 10000, NULL));
    ck_assert(vmmig__now_us() - now_us < 10000000);
    ck_assert_uint_eq(to->announced, 1);
}
END_TEST

/* A transport of the host's that cannot wait with a deadline, and a source that
 * neither goes on nor goes away. */
START_TEST(a_refusal_does_not_wait_for_the_source_for_ever)
{
    GByteArray *stream = record_stream(4, NULL);
    struct vmmig_channel *ends[2];
    struct iovec part = {stream->data, stream->len - 1};
    struct stuck *stuck;

    stream->data[60] ^= 0xff; /* behind OPEN_RETURN_PATH */
    vmmig__channel_new_pair(NULL, NULL, ends);
    destination =
        toy_session(to, VMMIG_DESTINATION,
                    stuck_channel_new(ends[0], false, false, &stuck), NULL);
    toy_start_one(destination, "host:");
    ck_assert(vmmig__channel_write_all(ends[1], &part, 1, NULL));
    ck_assert(!vmmig_session_wait(destination, 2000 * KIT_SLOW, NULL));
    ck_assert_uint_eq(vmmig_session_get_status(destination),
                      VMMIG_STATUS_FAILED);
    vmmig_channel_unref(ends[1]);
    g_byte_array_unref(stream);
}
END_TEST

/* -- waiting ------------------------------------------------------------------ */

/* In the callback that is asked for, on whatever thread that is. */
static void try_to_wait(struct toy_vm *vm, const char *callback, void *data)
{
    struct vmmig_session *session;
    vmmig_error *error = NULL;

    if (strcmp(callback, data) != 0)
        return;
    vm->spy_data = (void *)"done";
    session = vmmig_machine_get_session(vm->machine);
    if (vmmig_session_wait(session, 5000, &error))
        g_error("%s: it waited", callback);
    if (vmmig_error_code(error) != VMMIG_ERROR_STATE ||
        !strstr(error->message, strcmp(callback, "event") == 0
                                    ? "the callback listener"
                                    : callback))
        g_error("%s: %s", callback, error->message);
    g_clear_error(&error);
    if (vmmig_machine_close(vm->machine, 5000, &error))
        g_error("%s: it closed the machine", callback);
    if (!strstr(error->message, "vmmig_machine_close()"))
        g_error("%s: %s", callback, error->message);
    g_clear_error(&error);
    /* Asking is not waiting. */
    vmmig_session_wait(session, 0, NULL);
    vmmig_session_unref(session);
}

static const struct {
    bool at_source;
    const char *name;
} callbacks[] = {
    {true, "save_prepare"},       {true, "save_setup"},
    {true, "save_query_pending"}, {true, "save_iterate"},
    {true, "collect"},            {true, "stop_guest"},
    {true, "quiesce"},            {true, "save_state"},
    {true, "save_complete"},      {true, "release_ownership"},
    {true, "save_cleanup"},       {true, "event"},
    {false, "load_setup"},        {false, "load"},
    {false, "post_load"},         {false, "acquire_ownership"},
    {false, "activate"},          {false, "start_guest"},
    {false, "announce"},          {false, "load_cleanup"},
};

START_TEST(a_wait_inside_a_callback_is_refused_by_name)
{
    struct toy_vm *vm = callbacks[_i].at_source ? from : to;

    vm->spy = try_to_wait;
    vm->spy_data = (void *)callbacks[_i].name;
    toy_migrate(from, to);
    /* announce() comes after the end. */
    ck_assert(vmmig_machine_close(vm->machine, 20000, NULL));
    ck_assert_str_eq(vm->spy_data, "done");
}
END_TEST

START_TEST(waiting_has_its_limits)
{
    vmmig_error *error = NULL;

    source = toy_session(from, VMMIG_SOURCE, NULL, NULL);
    ck_assert(!vmmig_session_wait(source, 1000, &error));
    assert_error(error, VMMIG_ERROR_STATE, "never started");
    source = vmmig_session_unref(source);
    start_held("source-round");
    error = NULL;
    ck_assert(!vmmig_session_wait(source, 0, &error));
    assert_error(error, VMMIG_ERROR_TIMEOUT, "still runs (status active)");
    error = NULL;
    ck_assert(!vmmig_session_wait(source, 10, &error));
    assert_error(error, VMMIG_ERROR_TIMEOUT, "still runs");
    gate_open(gate);
    ck_assert(vmmig_session_wait(source, INT64_MAX, NULL));
    ck_assert(vmmig_session_wait(source, VMMIG_FOREVER, NULL));
    ck_assert(toy_wait(destination, NULL));
    ck_assert(vmmig_session_wait(source, 0, NULL));
}
END_TEST

/* -- starting ------------------------------------------------------------------ */

START_TEST(a_second_session_is_refused_while_one_runs)
{
    struct vmmig_session *second;
    vmmig_error *error = NULL;

    start_held("source-round");
    ck_assert(!vmmig_session_start(source, "host:", &error));
    assert_error(error, VMMIG_ERROR_STATE, "was started before");
    second = toy_session(from, VMMIG_DESTINATION, NULL, NULL);
    error = NULL;
    ck_assert(!vmmig_session_start(second, "tcp:127.0.0.1:0", &error));
    assert_error(error, VMMIG_ERROR_BLOCKED,
                 "another migration of this machine runs (status active)");
    finish_both();
    /* It was not used up. */
    toy_start_one(second, "tcp:127.0.0.1:0");
    ck_assert(vmmig_session_cancel(second, NULL));
    ck_assert(!toy_wait(second, NULL));
    vmmig_session_unref(second);
}
END_TEST

START_TEST(nothing_is_registered_while_a_session_runs)
{
    static uint8_t memory[TOY_PAGE] __attribute__((aligned(TOY_PAGE)));
    static const struct vmmig_dirty_source dirty = {
        .struct_size = sizeof dirty};
    struct vmmig_block_config block = {.struct_size = sizeof block,
                                       .name = "more",
                                       .host_address = memory,
                                       .length_bytes = sizeof memory};
    struct vmmig_device_config device = {.struct_size = sizeof device,
                                         .name = "more"};
    vmmig_error *errors[6] = {NULL};

    start_held("source-round");
    ck_assert(!vmmig_machine_add_block(from->machine, &block, &errors[0]));
    ck_assert(!vmmig_machine_remove_block(from->machine, from->block,
                                          &errors[1]));
    ck_assert(!vmmig_machine_add_device(from->machine, &device, &errors[2]));
    ck_assert(!vmmig_machine_add_dirty_source(from->machine, &dirty, NULL,
                                              NULL, &errors[3]));
    ck_assert(!vmmig_machine_track_writes(from->machine, &errors[4]));
    ck_assert(!vmmig_machine_add_blocker(from->machine, "why", NULL,
                                         &errors[5]));
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++)
        assert_error(errors[i], VMMIG_ERROR_BLOCKED,
                     "not while a migration runs (status active)");
    finish_both();
    ck_assert(vmmig_machine_add_block(from->machine, &block, NULL));
}
END_TEST

START_TEST(a_blocker_refuses_with_its_reason_until_it_is_gone)
{
    vmmig_error *error = NULL;
    uint64_t id = 0;

    ck_assert(vmmig_machine_add_blocker(from->machine, "a GPU is passed through",
                                        &id, NULL));
    toy_connect(from, to, &source, &destination);
    ck_assert(!vmmig_session_start(source, "host:", &error));
    assert_error(error, VMMIG_ERROR_BLOCKED, "a GPU is passed through");
    vmmig_machine_remove_blocker(from->machine, id);
    toy_start(source, destination);
    finish_both();
}
END_TEST

/* Several threads at once; one of them is the one that started it. */
static void *start_it(void *data)
{
    return GINT_TO_POINTER(vmmig_session_start(data, "tcp:127.0.0.1:0", NULL));
}

START_TEST(a_session_starts_once)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[4];
        int started = 0;
        void *result;

        destination = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, start_it, destination);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], &result);
            started += GPOINTER_TO_INT(result);
        }
        ck_assert_int_eq(started, 1);
        ck_assert(vmmig_session_cancel(destination, NULL));
        ck_assert(!toy_wait(destination, NULL));
        destination = vmmig_session_unref(destination);
    }
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static uint64_t address_space_bytes(void)
{
    unsigned long pages = 0;
    char *text;

    ck_assert(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    pages = strtoul(text, NULL, 10);
    g_free(text);
    return (uint64_t)pages * 4096;
}

/* No room for another stack. */
START_TEST(without_threads_nothing_begins)
{
    struct rlimit limit, all;
    vmmig_error *error = NULL;

    destination = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &all), 0);
    limit = all;
    limit.rlim_cur = address_space_bytes() + (1 << 20);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ck_assert(!vmmig_session_start(destination, "tcp:127.0.0.1:0", &error));
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &all), 0);
    assert_error(error, VMMIG_ERROR_SYSTEM, "mig/");
    if (vmmig_session_get_status(destination) == VMMIG_STATUS_NONE)
        toy_start_one(destination, "tcp:127.0.0.1:0");
    ck_assert(vmmig_machine_close(to->machine, 10000, NULL));
}
END_TEST
#endif

/* -- events -------------------------------------------------------------------- */

/* "setup active owner=2 device ..." of one session. */
static char *story_of(struct toy_vm *vm, struct vmmig_session *session)
{
    GArray *events = toy_vm_events(vm);
    GString *story = g_string_new(NULL);
    uint64_t last = 0;

    for (guint i = 0; i < events->len; i++) {
        struct toy_event *event =
            &g_array_index(events, struct toy_event, i);

        ck_assert_uint_eq(event->number, last + 1);
        last = event->number;
        if (event->session != session)
            continue;
        if (event->type == VMMIG_EVENT_STATUS)
            g_string_append_printf(story, "%s ",
                                   vmmig_status_name(event->status));
        else if (event->type == VMMIG_EVENT_OWNER)
            g_string_append_printf(story, "owner=%u ", event->owner);
        else if (event->type == VMMIG_EVENT_STOPPED)
            g_string_append(story, "stopped ");
        else if (event->type == VMMIG_EVENT_STARTED)
            g_string_append_printf(story, "started=%u ", event->reason);
        if (event->type == VMMIG_EVENT_STATUS &&
            vmmig_status_is_final(event->status))
            ck_assert(event->has_error ==
                      (event->status != VMMIG_STATUS_COMPLETED));
    }
    g_array_unref(events);
    return g_string_free(story, FALSE);
}

static void assert_story(struct toy_vm *vm, struct vmmig_session *session,
                         const char *expected)
{
    char *story = story_of(vm, session);

    ck_assert_str_eq(story, expected);
    g_free(story);
}

START_TEST(events_tell_the_whole_story_in_order)
{
    start_held("source-round");
    finish_both();
    assert_story(from, source,
                 "setup active stopped device owner=3 owner=2 completed ");
    assert_story(to, destination,
                 "setup active owner=3 owner=1 started=1 completed ");
}
END_TEST

START_TEST(events_tell_of_a_failure)
{
    to->refuse_post_load = true;
    start_held("source-round");
    gate_open(gate);
    ck_assert(!toy_wait(source, NULL));
    ck_assert(!toy_wait(destination, NULL));
    assert_story(from, source,
                 "setup active stopped device owner=3 failing owner=1 "
                 "started=2 failed ");
    assert_story(to, destination, "setup active failing failed ");
}
END_TEST

START_TEST(events_tell_of_a_cancel)
{
    start_held("source-round");
    ck_assert(vmmig_session_cancel(source, NULL));
    gate_open(gate);
    ck_assert(!toy_wait(source, NULL));
    ck_assert(!toy_wait(destination, NULL));
    assert_story(from, source, "setup active cancelling cancelled ");
}
END_TEST

/* One that removes itself, and another, the first time. */
struct quitter {
    struct vmmig_machine *machine;
    uint64_t id, other;
    unsigned calls, frees;
};

static void quit_listening(void *data, const struct vmmig_event *event)
{
    struct quitter *quitter = data;

    quitter->calls++;
    vmmig_machine_remove_listener(quitter->machine, quitter->id);
    vmmig_machine_remove_listener(quitter->machine, quitter->other);
}

static void count_frees(void *data)
{
    ((struct quitter *)data)->frees++;
}

START_TEST(a_listener_may_remove_itself_and_others)
{
    struct quitter first = {.machine = from->machine}, second = first;

    ck_assert(vmmig_machine_add_listener(from->machine, quit_listening, &first,
                                         count_frees, &first.id, NULL));
    ck_assert(vmmig_machine_add_listener(from->machine, quit_listening,
                                         &second, count_frees, &second.id,
                                         NULL));
    ck_assert_uint_ne(first.id, second.id);
    first.other = second.id;
    toy_migrate(from, to);
    ck_assert_uint_eq(first.calls, 1);
    ck_assert_uint_eq(first.frees, 1);
    ck_assert_uint_eq(second.calls, 0);
    ck_assert_uint_eq(second.frees, 1);
    vmmig_machine_remove_listener(from->machine, first.id);
}
END_TEST

/* Tries again as soon as it hears that it failed. */
struct retry {
    struct toy_vm *vm;
    uint32_t role;
    struct vmmig_channel *channel;
    struct vmmig_session *session; /* the second one */
};

static void try_again(void *data, const struct vmmig_event *event)
{
    struct retry *retry = data;

    if (event->type != VMMIG_EVENT_STATUS ||
        !vmmig_status_is_final(event->status) || retry->session)
        return;
    retry->session = toy_session(retry->vm, retry->role,
                                 g_steal_pointer(&retry->channel), NULL);
    toy_start_one(retry->session, "host:");
}

START_TEST(the_next_session_starts_where_the_end_of_the_last_is_heard)
{
    struct vmmig_channel *ends[2];
    struct retry retries[2] = {{.vm = from, .role = VMMIG_SOURCE},
                               {.vm = to, .role = VMMIG_DESTINATION}};

    vmmig__channel_new_pair(NULL, NULL, ends);
    for (int i = 0; i < 2; i++) {
        retries[i].channel = ends[i];
        ck_assert(vmmig_machine_add_listener(retries[i].vm->machine, try_again,
                                             &retries[i], NULL, NULL, NULL));
    }
    vmmig__fault_arm("source-device-state", 1, NULL, NULL);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    ck_assert(!toy_wait(source, NULL));
    ck_assert(!toy_wait(destination, NULL));
    for (int i = 0; i < 2; i++)
        ck_assert(toy_wait(retries[i].session, NULL));
    ck_assert(to->running);
    toy_vm_assert_equal(from, to);
    assert_story(from, retries[0].session,
                 "setup active stopped device owner=3 owner=2 completed ");
    for (int i = 0; i < 2; i++)
        vmmig_session_unref(retries[i].session);
}
END_TEST

/* -- a host that takes its time ------------------------------------------------ */

static bool runs_again(void *data)
{
    return from->running && from->starts == 1;
}

START_TEST(a_stop_that_comes_too_late_is_taken_back)
{
    const vmmig_error *error;

    from->spy = hold_in;
    from->spy_data = (void *)"stop_guest";
    toy_connect(from, to, &source, &destination);
    ck_assert(vmmig_options_parse(vmmig_session_get_options(source),
                                  "stop-timeout-ms=20", NULL));
    toy_start(source, destination);
    wait_for_status(source, VMMIG_STATUS_FAILED);
    error = vmmig_session_get_error(source);
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(
        error->message, "stop_guest: the host did not answer within 20 ms"));
    ck_assert(from->running);
    gate_open(gate);
    wait_for(runs_again, NULL);
    ck_assert_uint_eq(from->stops, 1);
    ck_assert_uint_eq(from->start_reason, VMMIG_START_UNDO);
    ck_assert(!toy_wait(source, NULL));
    ck_assert(!toy_wait(destination, NULL));
    forget_sessions();
    from->spy = NULL;
    toy_migrate(from, to);
}
END_TEST

/* -- many at once --------------------------------------------------------------- */

enum { GUESTS = 8, QUERIES = 8, ROUNDS = 3 };

struct crowd {
    struct toy_vm *from[GUESTS], *to[GUESTS];
    atomic_bool quit;
};

static void ask(struct vmmig_machine *machine)
{
    struct vmmig_session *session = vmmig_machine_get_session(machine);
    struct vmmig_stats stats = {.struct_size = sizeof stats};
    const vmmig_error *error;

    if (!session)
        return;
    vmmig_session_get_stats(session, &stats);
    if (vmmig_session_get_owner(session) == 0 || stats.status == 0)
        g_error("a session knows nothing");
    error = vmmig_session_get_error(session);
    if (error && !*vmmig_error_message(error))
        g_error("an error without words");
    vmmig_free(vmmig_session_get_address(session));
    vmmig_free(vmmig_options_get_text(vmmig_session_get_options(session), NULL,
                                      NULL));
    vmmig_session_unref(session);
}

static void *keep_asking(void *data)
{
    struct crowd *crowd = data;

    for (unsigned i = 0; !atomic_load(&crowd->quit); i++) {
        ask(crowd->from[i % GUESTS]->machine);
        ask(crowd->to[i % GUESTS]->machine);
        if (i % GUESTS == 0)
            g_usleep(500);
    }
    return NULL;
}

/* Of eight, one is cancelled at the source, one at the destination, and the
 * fourth cannot load. True if it has arrived. */
static bool end_of(struct toy_vm *one, struct toy_vm *other,
                   struct vmmig_session *out, struct vmmig_session *in)
{
    bool sent = toy_wait(out, NULL), arrived = toy_wait(in, NULL);

    /* A cancel of the destination can come when all has been sent. */
    if (vmmig_session_get_owner(out) == VMMIG_OWNER_UNKNOWN) {
        ck_assert(!one->running && !other->running);
        one->owner = true;
        one->net.quiet = false;
        toy_vm_run(one);
    }
    ck_assert(sent == arrived);
    ck_assert(one->running == !arrived);
    ck_assert(other->running == arrived);
    return arrived;
}

static void move_all(struct crowd *crowd)
{
    struct vmmig_session *out[GUESTS], *in[GUESTS];

    for (int i = 0; i < GUESTS; i++) {
        toy_connect(crowd->from[i], crowd->to[i], &out[i], &in[i]);
        toy_start(out[i], in[i]);
    }
    vmmig_session_cancel(out[1], NULL);
    vmmig_session_cancel(in[2], NULL);
    for (int i = 0; i < GUESTS; i++) {
        bool arrived =
            end_of(crowd->from[i], crowd->to[i], out[i], in[i]);

        ck_assert(!(i == 3 && arrived));
        vmmig_session_unref(out[i]);
        vmmig_session_unref(in[i]);
        if (arrived)
            toy_vm_assert_equal(crowd->from[i], crowd->to[i]);
        if (arrived)
            toy_migrate(crowd->to[i], crowd->from[i]);
    }
}

START_TEST(eight_leave_and_eight_come_while_others_ask)
{
    static struct crowd crowd;
    pthread_t threads[QUERIES];

    for (int i = 0; i < GUESTS; i++) {
        crowd.from[i] = toy_vm_new(PAGES, true, i % 2 == 0);
        crowd.to[i] = toy_vm_new(PAGES, false, i % 4 < 2);
        toy_vm_pair(crowd.from[i], crowd.to[i]);
        crowd.from[i]->guest_writes = true;
        toy_vm_run(crowd.from[i]);
    }
    crowd.to[3]->refuse_post_load = true;
    for (int i = 0; i < QUERIES; i++)
        pthread_create(&threads[i], NULL, keep_asking, &crowd);
    for (int i = 0; i < ROUNDS; i++)
        move_all(&crowd);
    atomic_store(&crowd.quit, true);
    for (int i = 0; i < QUERIES; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < GUESTS; i++) {
        toy_vm_free(crowd.from[i]);
        toy_vm_free(crowd.to[i]);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("life");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_session_that_is_let_go_goes_on);
    tcase_add_test(tcase, the_last_listener_may_let_the_machine_go);
    tcase_add_test(tcase, closing_ends_what_runs);
    tcase_add_test(tcase, closing_wakes_what_is_blocked);
    tcase_add_test(tcase, closing_gives_up_in_time_and_can_be_repeated);
    tcase_add_test(tcase, closing_does_not_wait_for_announcements);
    tcase_add_test(tcase, a_refusal_does_not_wait_for_the_source_for_ever);
    tcase_add_loop_test(tcase, a_wait_inside_a_callback_is_refused_by_name, 0,
                        G_N_ELEMENTS(callbacks));
    tcase_add_test(tcase, waiting_has_its_limits);
    tcase_add_test(tcase, a_second_session_is_refused_while_one_runs);
    tcase_add_test(tcase, nothing_is_registered_while_a_session_runs);
    tcase_add_test(tcase, a_blocker_refuses_with_its_reason_until_it_is_gone);
    tcase_add_test(tcase, a_session_starts_once);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    tcase_add_test(tcase, without_threads_nothing_begins);
#endif
    tcase_add_test(tcase, events_tell_the_whole_story_in_order);
    tcase_add_test(tcase, events_tell_of_a_failure);
    tcase_add_test(tcase, events_tell_of_a_cancel);
    tcase_add_test(tcase, a_listener_may_remove_itself_and_others);
    tcase_add_test(tcase,
                   the_next_session_starts_where_the_end_of_the_last_is_heard);
    tcase_add_test(tcase, a_stop_that_comes_too_late_is_taken_back);
    tcase_add_test(tcase, eight_leave_and_eight_come_while_others_ask);
    return run_case("life", tcase);
}

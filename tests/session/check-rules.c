/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules that this library exists for, as far as precopy reaches, each by
 * its name.
 */
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault-points.h"
#include "io/channel-memory.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "support/toy-vm.h"

enum {
    PAGES = 50,
    AT_ONCE_US = 100 * 1000 * KIT_SLOW,
};

static struct toy_vm *from, *to;
static struct vmmig_session *source, *destination;

/* The test is a loop: with a lock of the host's own, and without. */
static void start_machines(bool has_lock)
{
    from = toy_vm_new(PAGES, true, has_lock);
    to = toy_vm_new(PAGES, false, has_lock);
    toy_vm_pair(from, to);
    from->guest_writes = true;
    toy_vm_run(from);
}

static void end_machines(void)
{
    vmmig__fault_disarm_all();
    source = vmmig_session_unref(source);
    destination = vmmig_session_unref(destination);
    toy_vm_free(from);
    toy_vm_free(to);
}

/* -- save_setup runs under the host's lock, the header included ---------------- */

/* One hold of the lock, or one call on the host thread: what happened in it. */
static struct hold {
    struct toy_vm *vm;
    bool has_lock;
    unsigned header_in, setup_in; /* number of the hold; 0: in none */
    pthread_t thread;
} hold;

/* Which hold it is; the toy has checked thread and lock for save_setup(). */
static unsigned current_hold(void)
{
    if (hold.has_lock)
        return hold.vm->locked == 1 ? hold.vm->lock_count : 0;
    return 1;
}

static bool note_header(void *data, vmmig_error **error)
{
    hold.header_in = current_hold();
    hold.thread = pthread_self();
    return true;
}

static void note_setup(struct toy_vm *vm, const char *callback, void *data)
{
    if (strcmp(callback, "save_setup") != 0)
        return;
    hold.setup_in = current_hold();
    if (!pthread_equal(hold.thread, pthread_self()))
        g_error("the header and save_setup() on different threads");
}

START_TEST(setup_runs_under_host_lock)
{
    start_machines(_i == 1);
    hold = (struct hold){.vm = from, .has_lock = _i == 1};
    from->spy = note_setup;
    vmmig__fault_arm("source-header", 1, note_header, NULL);
    toy_migrate(from, to);
    ck_assert_uint_gt(hold.setup_in, 0);
    ck_assert_uint_eq(hold.header_in, hold.setup_in);
    end_machines();
}
END_TEST

/* -- the incoming side reads without the host's lock --------------------------- */

/* A transport that looks around whenever it is read. */
struct witness {
    struct vmmig_channel *inner;
    unsigned reads;
};

static bool witness_readv(void *data, const struct iovec *parts,
                          uint32_t count, uint64_t *ret_length_bytes,
                          vmmig_error **error)
{
    struct witness *witness = data;
    /* Slowly, so that there are many. */
    struct iovec part = {parts[0].iov_base, MIN(parts[0].iov_len, 512)};

    witness->reads++;
    if (atomic_load(&to->locked) != 0 || toy_is_host_thread())
        g_error("a read under the host's lock");
    return vmmig__channel_read(witness->inner, &part, 1, ret_length_bytes,
                               error);
}

static bool witness_writev(void *data, const struct iovec *parts,
                           uint32_t count, uint64_t *ret_length_bytes,
                           vmmig_error **error)
{
    struct witness *witness = data;
    struct iovec part = parts[0];

    *ret_length_bytes = part.iov_len;
    return vmmig__channel_write_all(witness->inner, &part, 1, error);
}

static void witness_shutdown(void *data)
{
    struct witness *witness = data;

    vmmig__channel_shutdown(witness->inner);
}

static void witness_close(void *data)
{
    struct witness *witness = data;

    vmmig_channel_unref(witness->inner);
}

START_TEST(load_never_holds_the_lock_while_reading)
{
    static const struct vmmig_channel_ops ops = {
        .struct_size = sizeof ops,
        .readv = witness_readv,
        .writev = witness_writev,
        .shutdown = witness_shutdown,
    };
    struct vmmig_channel *ends[2];
    static struct witness witness;

    start_machines(_i == 1);
    vmmig__channel_new_pair(NULL, NULL, ends);
    witness = (struct witness){.inner = ends[1]};
    source = toy_session(from, VMMIG_SOURCE, ends[0], NULL);
    destination = toy_session(
        to, VMMIG_DESTINATION,
        vmmig_channel_new(&ops, &witness, witness_close, NULL), NULL);
    toy_start(source, destination);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    ck_assert_uint_gt(witness.reads, 100);
    toy_vm_assert_equal(from, to);
    end_machines();
}
END_TEST

/* -- the incoming side is a thread ---------------------------------------------- */

static void ask(struct vmmig_session *session)
{
    struct vmmig_options *options = vmmig_session_get_options(session);
    struct vmmig_stats stats = {.struct_size = sizeof stats};
    uint64_t now_us = vmmig__now_us();

    vmmig_session_get_stats(session, &stats);
    vmmig_free(vmmig_session_get_address(session));
    vmmig_session_get_error(session);
    vmmig_free(vmmig_options_get_text(options, NULL, NULL));
    if (vmmig_session_get_owner(session) != VMMIG_OWNER_PEER ||
        !vmmig_options_set_uint(options, "announce-rounds", 3, NULL) ||
        vmmig_session_wait(session, 0, NULL))
        g_error("wrong answers");
    if (vmmig__now_us() - now_us > AT_ONCE_US)
        g_error("late answers");
}

/* Nobody sends anything, and all is answered at once, from here and from the
 * host thread. */
static void ask_on_host_thread(void *data, const struct vmmig_event *event)
{
    struct gate *gate = data;

    if (event->type == VMMIG_EVENT_STATUS &&
        !vmmig_status_is_final(event->status)) {
        ask(event->session);
        gate_pass(gate);
    }
}

START_TEST(incoming_is_a_thread)
{
    struct gate *gate = gate_new();
    struct vmmig_channel *ends[2];
    uint64_t now_us;

    start_machines(_i == 1);
    gate_open(gate);
    ck_assert(vmmig_machine_add_listener(to->machine, ask_on_host_thread, gate,
                                         NULL, NULL, NULL));
    vmmig__channel_new_pair(NULL, NULL, ends);
    destination = toy_session(to, VMMIG_DESTINATION, ends[1], NULL);
    toy_start_one(destination, "host:");
    ask(destination);
    gate_await(gate);
    ask(destination);
    now_us = vmmig__now_us();
    ck_assert(vmmig_session_cancel(destination, NULL));
    ck_assert(!toy_wait(destination, NULL));
    ck_assert(vmmig__now_us() - now_us < AT_ONCE_US);
    vmmig_channel_unref(ends[0]);
    end_machines();
    gate_free(gate);
}
END_TEST

static atomic_bool torn_down;

static void *keep_asking(void *data)
{
    while (!atomic_load(&torn_down)) {
        struct vmmig_session *session =
            vmmig_machine_get_session(to->machine);
        struct vmmig_stats stats = {.struct_size = sizeof stats};
        uint64_t now_us = vmmig__now_us();

        if (!session)
            continue;
        vmmig_session_get_stats(session, &stats);
        vmmig_session_get_status(session);
        vmmig_free(vmmig_session_get_address(session));
        if (vmmig__now_us() - now_us > AT_ONCE_US)
            g_error("an answer took %u us",
                    (unsigned)(vmmig__now_us() - now_us));
        vmmig_session_cancel(session, NULL);
        vmmig_session_unref(session);
        g_usleep(100);
    }
    return NULL;
}

/* Those who ask also cancel, and often have the last reference. */
START_TEST(incoming_answers_while_it_is_torn_down)
{
    pthread_t threads[4];

    start_machines(_i == 1);
    atomic_store(&torn_down, false);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, keep_asking, NULL);
    for (int i = 0; i < 100; i++) {
        struct vmmig_channel *ends[2];

        vmmig__channel_new_pair(NULL, NULL, ends);
        destination = toy_session(to, VMMIG_DESTINATION, ends[1], NULL);
        toy_start_one(destination, "host:");
        if (i % 2 == 0)
            ck_assert(!toy_wait(destination, NULL));
        while (!vmmig_status_is_final(vmmig_session_get_status(destination)))
            g_usleep(50);
        destination = vmmig_session_unref(destination);
        vmmig_channel_unref(ends[0]);
    }
    atomic_store(&torn_down, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    end_machines();
}
END_TEST

/* -- options are blocked by name ------------------------------------------------ */

/* To what it is already. */
static bool set_again(struct vmmig_options *options, const char *name,
                      vmmig_error **error)
{
    char *value = vmmig_options_get_text(options, name, NULL);
    char *text = g_strdup_printf("%s=%s", name, value);
    bool ok = vmmig_options_parse(options, text, error);

    vmmig_free(value);
    g_free(text);
    return ok;
}

START_TEST(options_are_blocked_by_name_after_start)
{
    struct vmmig_option_info info = {.struct_size = sizeof info};
    unsigned blocked = 0, open = 0;

    start_machines(_i == 1);
    destination = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
    toy_start_one(destination, "tcp:127.0.0.1:0");
    for (uint32_t i = 0; vmmig_option_describe(i, &info); i++) {
        vmmig_error *error = NULL;
        bool ok = set_again(vmmig_session_get_options(destination), info.name,
                            &error);

        if (*info.fixed_from) {
            ck_assert_msg(!ok, "%s", info.name);
            ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_BLOCKED);
            ck_assert_ptr_nonnull(strstr(error->message, info.name));
            ck_assert_ptr_nonnull(strstr(error->message, info.fixed_from));
            vmmig_error_free(error);
            blocked++;
        } else {
            ck_assert_msg(ok, "%s", info.name);
            open++;
        }
        /* For the next session they are free. */
        ck_assert(set_again(vmmig_machine_get_options(to->machine), info.name,
                            NULL));
    }
    ck_assert_uint_gt(blocked, 5);
    ck_assert_uint_gt(open, 5);
    end_machines();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("rules");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, setup_runs_under_host_lock, 0, 2);
    tcase_add_loop_test(tcase, load_never_holds_the_lock_while_reading, 0, 2);
    tcase_add_loop_test(tcase, incoming_is_a_thread, 0, 2);
    tcase_add_loop_test(tcase, incoming_answers_while_it_is_torn_down, 0, 2);
    tcase_add_loop_test(tcase, options_are_blocked_by_name_after_start, 0, 2);
    return run_case("rules", tcase);
}

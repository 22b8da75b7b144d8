/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every named fault point fails the first time it is reached, then the second,
 * and so on until a migration gets past it. Each time: at most one side runs the
 * guest, and if none does one of them says so; the error is named on both sides;
 * another migration of the same machines succeeds.
 */
#include <string.h>

#include "base/fault-points.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "support/toy-vm.h"

enum {
    PAGES = 40,
    /* Rounds repeat for as long as the guest writes. */
    MOST_FAILURES = 60,
};

struct outcome {
    bool source_ok, destination_ok;
    uint32_t source_owner, destination_owner;
    vmmig_error *source_error, *destination_error;
};

static struct outcome run_once(struct toy_vm *from, struct toy_vm *to,
                               const char *options)
{
    struct vmmig_session *source, *destination;
    struct outcome outcome = {0};

    toy_connect(from, to, &source, &destination);
    ck_assert(vmmig_options_parse(vmmig_session_get_options(source), options,
                                  NULL));
    toy_start(source, destination);
    outcome.source_ok = toy_wait(source, &outcome.source_error);
    outcome.destination_ok = toy_wait(destination, &outcome.destination_error);
    outcome.source_owner = vmmig_session_get_owner(source);
    outcome.destination_owner = vmmig_session_get_owner(destination);
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    return outcome;
}

static void outcome_clear(struct outcome *outcome)
{
    g_clear_error(&outcome->source_error);
    g_clear_error(&outcome->destination_error);
}

static void assert_named(const char *name, const struct outcome *outcome)
{
    bool at_source = g_str_has_prefix(name, "source-");
    const vmmig_error *error =
        at_source ? outcome->source_error : outcome->destination_error;
    const vmmig_error *other =
        at_source ? outcome->destination_error : outcome->source_error;

    if (error)
        ck_assert_msg(strstr(error->message, name), "%s: %s", name,
                      error->message);
    if (other)
        ck_assert_msg(strstr(other->message, "channel main") ||
                          strstr(other->message, "SHUT 1"),
                      "%s: the other side: %s", name, other->message);
}

/* Who has the guest after all; resumes it there if it was held. */
static bool assert_verdict(const char *name, const struct outcome *outcome,
                           struct toy_vm *from, struct toy_vm *to)
{
    ck_assert_msg(!(from->running && to->running), "%s: it runs twice", name);
    ck_assert_msg(outcome->source_ok || outcome->source_error, "%s", name);
    ck_assert_uint_eq(from->locked, 0);
    ck_assert_uint_eq(to->locked, 0);
    assert_named(name, outcome);
    if (outcome->source_ok) {
        ck_assert(!from->running);
        ck_assert_uint_eq(outcome->source_owner, VMMIG_OWNER_PEER);
        if (!outcome->destination_ok) {
            /* After the source was told: says so, and stays stopped. */
            ck_assert_ptr_nonnull(strstr(outcome->destination_error->message,
                                         "stays stopped"));
            ck_assert_uint_ne(outcome->destination_owner, VMMIG_OWNER_PEER);
            to->owner = true;
            to->net.quiet = false;
            toy_vm_run(to);
        }
        ck_assert(to->running);
        return true;
    }
    if (outcome->source_owner == VMMIG_OWNER_UNKNOWN) {
        ck_assert(!from->running);
        ck_assert_ptr_nonnull(
            strstr(outcome->source_error->message, "ask it whether"));
        if (to->running)
            return true;
        from->owner = true;
        from->net.quiet = false;
        toy_vm_run(from);
        return false;
    }
    ck_assert_msg(from->running, "%s: nobody runs the guest", name);
    ck_assert_uint_eq(outcome->source_owner, VMMIG_OWNER_HERE);
    ck_assert(!outcome->destination_ok);
    ck_assert(!to->running);
    ck_assert(!to->owner);
    ck_assert_uint_eq(outcome->destination_owner, VMMIG_OWNER_PEER);
    return false;
}

/* Without downtime there are rounds until the guest stands still, which it does
 * in the third. */
static void calm_down(struct toy_vm *vm, const char *callback, void *data)
{
    unsigned *rounds = data;

    if (strcmp(callback, "collect") == 0 && ++*rounds == 3)
        vm->guest_writes = false;
}

/* One failure, the nth, and a second migration; false when @name was not
 * reached that often. */
static bool fail_nth(const char *name, unsigned nth, bool has_lock)
{
    struct leftovers before = leftovers_now();
    struct toy_vm *from = toy_vm_new(PAGES, true, has_lock);
    struct toy_vm *to = toy_vm_new(PAGES, false, has_lock);
    unsigned rounds = 0;
    struct outcome outcome;
    bool reached, moved;

    toy_vm_pair(from, to);
    from->guest_writes = true;
    from->spy = calm_down;
    from->spy_data = &rounds;
    toy_vm_run(from);
    vmmig__fault_disarm_all();
    vmmig__fault_arm(name, nth, NULL, NULL);
    outcome = run_once(from, to, "send-switchover-start=on,downtime-limit=0");
    reached = vmmig__fault_reached(name) >= nth;
    vmmig__fault_disarm_all();
    if (!reached)
        ck_assert_msg(outcome.source_ok && outcome.destination_ok, "%s: %s",
                      name,
                      outcome.source_error ? outcome.source_error->message
                                           : "the destination failed");
    moved = assert_verdict(name, &outcome, from, to);
    outcome_clear(&outcome);
    rounds = 0;
    from->guest_writes = !moved;
    if (moved)
        toy_migrate(to, from);
    else
        toy_migrate(from, to);
    toy_vm_free(from);
    toy_vm_free(to);
    leftovers_assert(before);
    return reached;
}

static unsigned count_names(void)
{
    unsigned count = 0;

    while (vmmig__fault_names[count])
        count++;
    return count;
}

START_TEST(any_step_may_fail_any_time)
{
    const char *name = vmmig__fault_names[_i / 2];
    unsigned nth = 1;

    while (nth < MOST_FAILURES && fail_nth(name, nth, _i % 2 == 0))
        nth++;
    ck_assert_msg(nth > 1, "%s is never reached", name);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("fault points");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, any_step_may_fail_any_time, 0,
                        (int)(2 * count_names()));
    return run_case("fault points", tcase);
}

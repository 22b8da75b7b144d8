/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both tables of states, walked: every state with every event. */
#include <string.h>

#include <vmmigrate/session.h>

#include "run-case.h"
#include "session/states.h"

#define ROW(from, event, to) {VMMIG__##from, VMMIG__##event, VMMIG__##to}

struct move {
    enum vmmig__state from;
    enum vmmig__state_event event;
    enum vmmig__state to;
};

/* Written out once more, state by state, as one would explain it. */
static const struct move source[] = {
    ROW(NONE, STARTED, SETUP),
    ROW(SETUP, SET_UP, ACTIVE),
    ROW(SETUP, BROKEN, FAILING),
    ROW(SETUP, USER_CANCEL, CANCELLING),
    ROW(ACTIVE, STOPPED_TO_WAIT, PRE_SWITCHOVER),
    ROW(ACTIVE, SWITCHED, DEVICE),
    ROW(ACTIVE, BROKEN, FAILING),
    ROW(ACTIVE, USER_CANCEL, CANCELLING),
    ROW(PRE_SWITCHOVER, SWITCHED, DEVICE),
    ROW(PRE_SWITCHOVER, BROKEN, FAILING),
    ROW(PRE_SWITCHOVER, USER_CANCEL, CANCELLING),
    ROW(DEVICE, HAND_OVER, HANDED_OVER),
    ROW(DEVICE, BROKEN, FAILING),
    ROW(DEVICE, USER_CANCEL, CANCELLING),
    ROW(HANDED_OVER, DONE, COMPLETED),
    ROW(HANDED_OVER, REFUSED, FAILING),
    ROW(HANDED_OVER, ACK_LOST, FAILED),
    ROW(CANCELLING, UNDONE, CANCELLED),
    ROW(FAILING, UNDONE, FAILED),
};

static const struct move destination[] = {
    ROW(NONE, STARTED, SETUP),
    ROW(SETUP, SET_UP, ACTIVE),
    ROW(SETUP, BROKEN, FAILING),
    ROW(SETUP, USER_CANCEL, CANCELLING),
    ROW(ACTIVE, HAND_OVER, TAKING),
    ROW(ACTIVE, BROKEN, FAILING),
    ROW(ACTIVE, USER_CANCEL, CANCELLING),
    ROW(TAKING, DONE, COMPLETED),
    ROW(TAKING, BROKEN, FAILING),
    ROW(CANCELLING, UNDONE, CANCELLED),
    ROW(FAILING, UNDONE, FAILED),
};

static const struct side {
    uint32_t role;
    const struct move *moves;
    size_t count;
} sides[] = {
    {VMMIG_SOURCE, source, G_N_ELEMENTS(source)},
    {VMMIG_DESTINATION, destination, G_N_ELEMENTS(destination)},
};

static const struct move *find(const struct side *side, enum vmmig__state from,
                               enum vmmig__state_event event)
{
    for (size_t i = 0; i < side->count; i++) {
        if (side->moves[i].from == from && side->moves[i].event == event)
            return &side->moves[i];
    }
    return NULL;
}

static void try_move(const struct side *side, enum vmmig__state from,
                     enum vmmig__state_event event)
{
    const struct move *move = find(side, from, event);
    enum vmmig__state next = VMMIG__STATE_COUNT;
    vmmig_error *error = NULL;

    if (vmmig__next_state(side->role, from, event, &next, &error)) {
        ck_assert_msg(move, "state %d, event %d: leads to %d", from, event,
                      next);
        ck_assert_int_eq(next, move->to);
        ck_assert_ptr_null(error);
        return;
    }
    ck_assert_msg(!move, "state %d, event %d: refused", from, event);
    ck_assert_int_eq(next, VMMIG__STATE_COUNT);
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_STATE);
    ck_assert(g_str_has_prefix(error->message, "cannot "));
    ck_assert_ptr_nonnull(strstr(error->message, ": the status is "));
    vmmig_error_free(error);
}

START_TEST(every_state_takes_its_events_and_no_others)
{
    for (int from = 0; from < VMMIG__STATE_COUNT; from++) {
        for (int event = 0; event < VMMIG__STATE_EVENT_COUNT; event++)
            try_move(&sides[_i], (enum vmmig__state)from,
                     (enum vmmig__state_event)event);
    }
}
END_TEST

static bool is_final(enum vmmig__state state)
{
    return vmmig_status_is_final(vmmig__state_status(state));
}

/* From the beginning, by any row. */
static unsigned reachable(const struct side *side)
{
    unsigned reached = 1u << VMMIG__NONE, before;

    do {
        before = reached;
        for (size_t i = 0; i < side->count; i++) {
            if (reached & 1u << side->moves[i].from)
                reached |= 1u << side->moves[i].to;
        }
    } while (reached != before);
    return reached;
}

START_TEST(every_way_leads_to_an_end_and_no_further)
{
    unsigned reached = reachable(&sides[_i]);

    for (int state = 0; state < VMMIG__STATE_COUNT; state++) {
        bool leads_on = false;

        for (size_t i = 0; i < sides[_i].count; i++)
            leads_on |= (int)sides[_i].moves[i].from == state;
        if (reached & 1u << state)
            ck_assert_msg(leads_on != is_final((enum vmmig__state)state),
                          "state %d", state);
    }
    ck_assert(reached & 1u << VMMIG__COMPLETED);
    ck_assert(reached & 1u << VMMIG__FAILED);
    ck_assert(reached & 1u << VMMIG__CANCELLED);
}
END_TEST

/* The safety rule: by whatever way the guest was handed over or taken, nobody
 * ends as cancelled. */
START_TEST(nobody_cancels_after_the_hand_over)
{
    enum vmmig__state late = _i == 0 ? VMMIG__HANDED_OVER : VMMIG__TAKING;
    unsigned reached = 1u << late, before;

    do {
        before = reached;
        for (size_t i = 0; i < sides[_i].count; i++) {
            if (reached & 1u << sides[_i].moves[i].from)
                reached |= 1u << sides[_i].moves[i].to;
        }
    } while (reached != before);
    ck_assert(!(reached & 1u << VMMIG__CANCELLING));
    ck_assert(!(reached & 1u << VMMIG__CANCELLED));
}
END_TEST

START_TEST(statuses_have_the_names_that_managers_know)
{
    static const struct {
        uint32_t status;
        const char *name;
        bool is_final;
    } known[] = {
        {VMMIG_STATUS_NONE, "none", false},
        {VMMIG_STATUS_SETUP, "setup", false},
        {VMMIG_STATUS_ACTIVE, "active", false},
        {VMMIG_STATUS_PRE_SWITCHOVER, "pre-switchover", false},
        {VMMIG_STATUS_DEVICE, "device", false},
        {VMMIG_STATUS_CANCELLING, "cancelling", false},
        {VMMIG_STATUS_FAILING, "failing", false},
        {VMMIG_STATUS_COMPLETED, "completed", true},
        {VMMIG_STATUS_FAILED, "failed", true},
        {VMMIG_STATUS_CANCELLED, "cancelled", true},
        {0, "unknown", false},
        {99, "unknown", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        ck_assert_str_eq(vmmig_status_name(known[i].status), known[i].name);
        ck_assert(vmmig_status_is_final(known[i].status) ==
                  known[i].is_final);
    }
    for (int state = 0; state < VMMIG__STATE_COUNT; state++)
        ck_assert_str_ne(
            vmmig_status_name(vmmig__state_status((enum vmmig__state)state)),
            "unknown");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("states");

    tcase_add_loop_test(tcase, every_state_takes_its_events_and_no_others, 0,
                        2);
    tcase_add_loop_test(tcase, every_way_leads_to_an_end_and_no_further, 0, 2);
    tcase_add_loop_test(tcase, nobody_cancels_after_the_hand_over, 0, 2);
    tcase_add_test(tcase, statuses_have_the_names_that_managers_know);
    return run_case("states", tcase);
}

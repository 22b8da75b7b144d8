/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions from end to end, both sides in this process. */
#include <check.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault-points.h"
#include "support/toy-vm.h"

static void assert_moved(struct toy_vm *from, struct toy_vm *to,
                         struct vmmig_session *source,
                         struct vmmig_session *destination)
{
    vmmig_error *error = NULL;

    ck_assert_msg(toy_wait(destination, &error), "destination: %s",
                  error ? vmmig_error_message(error) : "");
    ck_assert_msg(toy_wait(source, &error), "source: %s",
                  error ? vmmig_error_message(error) : "");
    ck_assert(!from->running);
    ck_assert(to->running);
    ck_assert(!from->owner);
    ck_assert(to->owner);
    ck_assert_uint_eq(to->start_reason, VMMIG_START_RUN);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_PEER);
    ck_assert_uint_eq(vmmig_session_get_owner(destination), VMMIG_OWNER_HERE);
    ck_assert_uint_eq(to->cpu.flags, 0x5a5a5a5a);
}

START_TEST(an_idle_guest_arrives_with_all_its_memory)
{
    struct toy_vm *from = toy_vm_new(300, true, _i == 1);
    struct toy_vm *to = toy_vm_new(300, false, _i == 1);
    struct vmmig_session *source, *destination;

    toy_vm_run(from);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    assert_moved(from, to, source, destination);
    ck_assert_mem_eq(from->ram, to->ram, from->ram_bytes);
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    toy_vm_free(from);
    toy_vm_free(to);
}
END_TEST

/* The guest stands still on the destination, so that memory can be compared. */
START_TEST(a_writing_guest_arrives_as_it_stopped)
{
    struct toy_vm *from = toy_vm_new(3000, true, true);
    struct toy_vm *to = toy_vm_new(3000, false, true);
    struct vmmig_session *source, *destination;

    from->guest_writes = true;
    toy_vm_run(from);
    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    assert_moved(from, to, source, destination);
    ck_assert_mem_eq(from->ram, to->ram, from->ram_bytes);
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    toy_vm_free(from);
    toy_vm_free(to);
}
END_TEST

Suite *suite(void);

Suite *suite(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("moves");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, an_idle_guest_arrives_with_all_its_memory, 0, 2);
    tcase_add_test(t, a_writing_guest_arrives_as_it_stopped);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions from end to end, both sides in this process. */
#include "run-case.h"
#include "support/toy-vm.h"

START_TEST(an_idle_guest_arrives_with_all_its_memory)
{
    struct toy_vm *from = toy_vm_new(300, true, _i == 1);
    struct toy_vm *to = toy_vm_new(300, false, _i == 1);

    toy_vm_pair(from, to);
    toy_vm_run(from);
    toy_migrate(from, to);
    toy_vm_free(from);
    toy_vm_free(to);
}
END_TEST

/* The guest stands still on the destination, so that memory can be compared. */
START_TEST(a_writing_guest_arrives_as_it_stopped)
{
    struct toy_vm *from = toy_vm_new(3000, true, true);
    struct toy_vm *to = toy_vm_new(3000, false, true);

    toy_vm_pair(from, to);
    from->guest_writes = true;
    toy_vm_run(from);
    toy_migrate(from, to);
    ck_assert_uint_gt(from->writes, 0);
    toy_vm_free(from);
    toy_vm_free(to);
}
END_TEST

/* The other way with a lock on one side only. */
START_TEST(a_guest_goes_there_and_back_again)
{
    struct toy_vm *here = toy_vm_new(200, true, true);
    struct toy_vm *there = toy_vm_new(200, false, false);

    toy_vm_pair(here, there);
    toy_vm_run(here);
    for (int i = 0; i < 5; i++) {
        toy_migrate(here, there);
        toy_migrate(there, here);
    }
    toy_vm_free(here);
    toy_vm_free(there);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("session");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, an_idle_guest_arrives_with_all_its_memory, 0, 2);
    tcase_add_test(tcase, a_writing_guest_arrives_as_it_stopped);
    tcase_add_test(tcase, a_guest_goes_there_and_back_again);
    return run_case("session", tcase);
}

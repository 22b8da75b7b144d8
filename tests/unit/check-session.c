/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions from end to end, both sides in this process. */
#include <string.h>

#include "run-case.h"
#include "support/session-kit.h"
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

/* mig/dst/main, and of the next session mig/src/main and mig/src/rp. */
enum { THREADS_OF_TWO_SESSIONS = 3 };

static void count_ended_threads(struct toy_vm *vm, const char *callback,
                                void *data)
{
    atomic_uint *ended = data;

    if (strcmp(callback, "thread_hook ends") == 0)
        atomic_fetch_add(ended, 1);
}

static bool both_sessions_have_ended(void *data)
{
    atomic_uint *ended = data;

    return atomic_load(ended) == THREADS_OF_TWO_SESSIONS;
}

START_TEST(a_guest_that_moved_on_is_announced_no_more)
{
    struct toy_vm *here = toy_vm_new(20, true, true);
    struct toy_vm *there = toy_vm_new(20, false, true);
    struct vmmig_session *source, *destination;
    atomic_uint ended = 0;

    there->spy_data = &ended;
    there->spy = count_ended_threads;
    toy_vm_pair(here, there);
    toy_vm_run(here);
    toy_connect(here, there, &source, &destination);
    ck_assert(vmmig_options_parse(vmmig_session_get_options(destination),
                                  "announce-initial=100000", NULL));
    toy_start(source, destination);
    ck_assert(toy_wait(source, NULL));
    ck_assert(toy_wait(destination, NULL));
    toy_migrate(there, here);
    wait_for(both_sessions_have_ended, &ended);
    ck_assert_uint_eq(there->announced, 1);
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
    toy_vm_free(here);
    toy_vm_free(there);
}
END_TEST

/* Calls back into the machine, which a held lock would turn into a deadlock. */
static void free_and_call(void *data)
{
    vmmig_machine_remove_blocker(data, 1);
}

START_TEST(a_free_function_may_call_the_machine)
{
    struct toy_vm *vm = toy_vm_new(1, true, false);
    const struct vmmig_field none[] = {VMMIG_FIELD_UNUSED(1)};
    const struct vmmig_layout layout = VMMIG_LAYOUT(1, 1, none);
    struct vmmig_device_config config = {
        .struct_size = sizeof config,
        .name = "toy-cpu", /* there is one */
        .layout = &layout,
        .data = vm->machine,
        .free_data = free_and_call,
    };
    struct vmmig_dirty_source source = {.struct_size = sizeof source};
    struct vmmig_device *device;

    ck_assert_ptr_null(vmmig_machine_add_device(vm->machine, &config, NULL));
    ck_assert(!vmmig_machine_add_dirty_source(vm->machine, &source,
                                              vm->machine, free_and_call,
                                              NULL));
    config.name = "other";
    device = vmmig_machine_add_device(vm->machine, &config, NULL);
    ck_assert_ptr_nonnull(device);
    ck_assert(vmmig_machine_remove_device(vm->machine, device, NULL));
    toy_vm_free(vm);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("session");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, an_idle_guest_arrives_with_all_its_memory, 0, 2);
    tcase_add_test(tcase, a_writing_guest_arrives_as_it_stopped);
    tcase_add_test(tcase, a_guest_goes_there_and_back_again);
    tcase_add_test(tcase, a_guest_that_moved_on_is_announced_no_more);
    tcase_add_test(tcase, a_free_function_may_call_the_machine);
    return run_case("session", tcase);
}

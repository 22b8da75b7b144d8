/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source's side of devices: their order, their frames, and what is undone. */
#include "device-kit.h"

#include "device/device-save.h"

static struct vmmig__saver saver;
static struct vmmig_writer *out;

/* What the live ones claim to have left. */
static struct vmmig_pending pending;
static bool is_active_now, is_done;

static bool is_active(void *device)
{
    return is_active_now;
}

static bool save_query_pending(void *device, bool exact,
                               struct vmmig_pending *ret_pending,
                               vmmig_error **error)
{
    ck_assert_uint_eq(ret_pending->struct_size, sizeof *ret_pending);
    *ret_pending = pending;
    return note(device, exact ? "exact" : "estimate", error);
}

static bool save_iterate(void *device, struct vmmig_writer *to,
                         uint64_t budget_bytes, bool *ret_done,
                         vmmig_error **error)
{
    vmmig_writer_put_u64(to, budget_bytes);
    *ret_done = is_done;
    return note(device, "save_iterate", error);
}

static bool load(void *device, struct vmmig_reader *in, uint32_t version,
                 vmmig_error **error)
{
    return true;
}

static const struct vmmig_device_ops live = {
    .struct_size = sizeof live,
    .is_active = is_active,
    .save_prepare = save_prepare,
    .save_setup = save_setup,
    .save_query_pending = save_query_pending,
    .save_iterate = save_iterate,
    .save_complete = save_complete,
    .save_cleanup = save_cleanup,
    .quiesce = quiesce,
    .unquiesce = unquiesce,
    .load = load,
};
static const struct vmmig_device_ops silent_live = {
    .struct_size = sizeof live,
    .save_iterate = save_iterate,
    .save_complete = save_complete,
    .load = load,
};
static const struct vmmig_device_ops simple = {
    .struct_size = sizeof simple,
    .save_prepare = save_prepare,
    .save_cleanup = save_cleanup,
    .quiesce = quiesce,
    .unquiesce = unquiesce,
    .save_state = save_state,
    .load = load,
};

static void setup(void)
{
    start_devices();
    out = vmmig__writer_new_memory();
    saver = (struct vmmig__saver){
        .host = &host, .devices = devices, .out = out};
    pending = (struct vmmig_pending){0};
    is_active_now = true;
    is_done = false;
}

static void teardown(void)
{
    vmmig__writer_free(out);
    end_devices();
}

static void expect_bytes(const char *expected, size_t length)
{
    uint64_t written;
    const uint8_t *bytes = vmmig__writer_get_bytes(out, &written);

    ck_assert_uint_eq(written, length);
    if (length > 0)
        ck_assert_mem_eq(bytes, expected, length);
    vmmig__writer_clear(out);
}

#define BYTES(text) text, sizeof(text) - 1

START_TEST(devices_are_visited_by_priority_then_registration)
{
    add("a", 0, &simple);
    add("b", 5, &simple);
    add("c", -5, &simple);
    add("d", 0, &simple);
    ck_assert(vmmig__save_prepare(&saver, NULL));
    expect_story("b:save_prepare a:save_prepare d:save_prepare "
                 "c:save_prepare");
}
END_TEST

START_TEST(a_live_device_is_framed_by_its_number)
{
    add("a", 0, &simple);
    add("b", 0, &live);
    ck_assert(vmmig__save_prepare(&saver, NULL));
    ck_assert(vmmig__save_setup(&saver, NULL));
    expect_bytes(BYTES("\1\0\0\0\2\1b\0\0\0\0\0\0\0\3save_setup~\0\0\0\2"));
    ck_assert(vmmig__save_iterate(&saver, 0x1234, NULL));
    expect_bytes(BYTES("\2\0\0\0\2\0\0\0\0\0\0\x12\x34~\0\0\0\2"));
    ck_assert(vmmig__save_complete(&saver, NULL));
    expect_bytes(BYTES("\3\0\0\0\2save_complete~\0\0\0\2"));
}
END_TEST

START_TEST(an_inactive_device_takes_no_part)
{
    is_active_now = false;
    add("b", 0, &live);
    ck_assert(vmmig__save_prepare(&saver, NULL));
    ck_assert(vmmig__save_setup(&saver, NULL));
    ck_assert(vmmig__save_iterate(&saver, 1, NULL));
    ck_assert(vmmig__save_complete(&saver, NULL));
    expect_bytes(BYTES(""));
    /* But it was prepared. */
    vmmig__save_cleanup(&saver);
    expect_story("b:save_prepare b:save_cleanup");
}
END_TEST

START_TEST(states_are_whole_sections_and_described)
{
    struct vmmig__vm_description *description =
        vmmig__vm_description_new(NULL, 4096);
    char *text;

    add("a", 0, &simple);
    add("b", 0, &live);
    ck_assert(vmmig__save_prepare(&saver, NULL));
    ck_assert(vmmig__save_states(&saver, out, description, NULL));
    expect_bytes(BYTES("\4\0\0\0\1\1a\0\0\0\0\0\0\0\3save_state~\0\0\0\1"));
    expect_story("a:save_prepare b:save_prepare a:save_state");
    text = vmmig__vm_description_get_text(description);
    ck_assert_ptr_nonnull(strstr(text, "\"name\": \"a\""));
    ck_assert_ptr_nonnull(strstr(text, "\"size\": 10"));
    ck_assert_ptr_null(strstr(text, "\"name\": \"b\""));
    g_free(text);
    vmmig__vm_description_free(description);
}
END_TEST

/* -- how much is left ----------------------------------------------------------- */

START_TEST(what_is_pending_is_the_sum)
{
    struct vmmig_pending sum;

    pending.precopy_bytes = 100;
    pending.stopcopy_bytes = 7;
    add("a", 0, &live);
    add("b", 0, &live);
    add("c", 0, &simple);
    ck_assert(vmmig__save_prepare(&saver, NULL));
    expect_story("a:save_prepare b:save_prepare c:save_prepare");
    ck_assert(vmmig__save_query_pending(&saver, true, &sum, NULL));
    ck_assert_uint_eq(sum.precopy_bytes, 200);
    ck_assert_uint_eq(sum.stopcopy_bytes, 14);
    expect_story("a:exact b:exact");
    pending.precopy_bytes = UINT64_MAX;
    pending.stopcopy_bytes = UINT64_MAX - 1;
    ck_assert(vmmig__save_query_pending(&saver, false, &sum, NULL));
    ck_assert_uint_eq(sum.precopy_bytes, UINT64_MAX);
    ck_assert_uint_eq(sum.stopcopy_bytes, UINT64_MAX);
    expect_story("a:estimate b:estimate");
}
END_TEST

START_TEST(a_device_that_says_nothing_is_asked_until_it_was_done)
{
    struct vmmig_pending sum;

    add("a", 0, &silent_live);
    ck_assert(vmmig__save_prepare(&saver, NULL));
    for (int i = 0; i < 3; i++) {
        ck_assert(vmmig__save_query_pending(&saver, false, &sum, NULL));
        ck_assert_uint_gt(sum.precopy_bytes, UINT64_C(1) << 40);
        is_done = i == 2;
        ck_assert(vmmig__save_iterate(&saver, 1, NULL));
    }
    ck_assert(vmmig__save_query_pending(&saver, false, &sum, NULL));
    ck_assert_uint_eq(sum.precopy_bytes, 0);
}
END_TEST

/* -- failures --------------------------------------------------------------------- */

START_TEST(who_was_prepared_is_cleaned_up_once)
{
    vmmig_error *error = NULL;

    add("a", 0, &simple);
    add("b", 0, &live);
    add("c", 0, &simple);
    bad = "b:save_prepare";
    ck_assert(!vmmig__save_prepare(&saver, &error));
    expect_error(error, VMMIG_ERROR_BLOCKED,
                 "device \"b\" (instance 0): save_prepare: out of order");
    vmmig__save_cleanup(&saver);
    vmmig__save_cleanup(&saver);
    expect_story("a:save_prepare b:save_prepare a:save_cleanup");
}
END_TEST

/* save_cleanup() follows save_setup(), however that ended. */
START_TEST(who_failed_to_set_up_is_cleaned_up)
{
    static const struct vmmig_device_ops unprepared = {
        .struct_size = sizeof unprepared,
        .save_setup = save_setup,
        .save_iterate = save_iterate,
        .save_complete = save_complete,
        .save_cleanup = save_cleanup,
        .load = load,
    };
    vmmig_error *error = NULL;

    add("a", 0, &unprepared);
    add("b", 0, &unprepared);
    bad = "a:save_setup";
    ck_assert(vmmig__save_prepare(&saver, NULL));
    ck_assert(!vmmig__save_setup(&saver, &error));
    expect_error(error, VMMIG_ERROR_BLOCKED, "device \"a\"");
    vmmig__save_cleanup(&saver);
    expect_story("a:save_setup a:save_cleanup");
}
END_TEST

START_TEST(who_was_quiesced_is_let_go_again)
{
    vmmig_error *error = NULL;

    add("a", 0, &simple);
    add("b", 0, &simple);
    add("c", 0, &simple);
    bad = "b:quiesce";
    ck_assert(!vmmig__save_quiesce(&saver, &error));
    expect_error(error, VMMIG_ERROR_BLOCKED, "device \"b\"");
    ck_assert(vmmig__save_unquiesce(&saver, NULL));
    ck_assert(vmmig__save_unquiesce(&saver, NULL));
    expect_story("a:quiesce b:quiesce a:unquiesce");
}
END_TEST

START_TEST(one_that_does_not_wake_keeps_no_other_asleep)
{
    vmmig_error *error = NULL;

    add("a", 0, &simple);
    add("b", 0, &simple);
    bad = "a:unquiesce";
    ck_assert(vmmig__save_quiesce(&saver, NULL));
    ck_assert(!vmmig__save_unquiesce(&saver, &error));
    expect_error(error, VMMIG_ERROR_BLOCKED,
                 "device \"a\" (instance 0): unquiesce: out of order");
    expect_story("a:quiesce b:quiesce a:unquiesce b:unquiesce");
}
END_TEST

START_TEST(a_failure_while_it_sends_has_the_devices_name)
{
    static const char *const steps[] = {"b:estimate", "b:save_iterate",
                                        "b:save_complete", "a:save_state"};
    struct vmmig__vm_description *description =
        vmmig__vm_description_new(NULL, 4096);
    vmmig_error *error = NULL;
    struct vmmig_pending sum;
    bool ok = true;

    add("a", 0, &simple);
    add("b", 0, &live);
    bad = steps[_i];
    ck_assert(vmmig__save_prepare(&saver, NULL));
    switch (_i) {
    case 0:
        ok = vmmig__save_query_pending(&saver, false, &sum, &error);
        break;
    case 1:
        ok = vmmig__save_iterate(&saver, 1, &error);
        break;
    case 2:
        ok = vmmig__save_complete(&saver, &error);
        break;
    case 3:
        ok = vmmig__save_states(&saver, out, description, &error);
        break;
    }
    ck_assert(!ok);
    ck_assert_str_eq(vmmig_error_detail(error, "section"),
                     _i == 3 ? "a" : "b");
    expect_error(error, VMMIG_ERROR_BLOCKED,
                 _i == 3 ? "device \"a\"" : "device \"b\"");
    vmmig__vm_description_free(description);
}
END_TEST

/* -- registration -------------------------------------------------------------------- */

static const struct vmmig_field fields[] = {
    {"member", VMMIG_U32, 0, 0, 4, NULL},
};
static const struct vmmig_layout layout = VMMIG_LAYOUT(1, 1, fields);

static struct vmmig_device_config bad_configs[13];
static struct vmmig_device_ops bad_ops[G_N_ELEMENTS(bad_configs)];
static const char *const bad_words[] = {
    "must have 1 to 255 bytes, not 0",
    "must have 1 to 255 bytes, not 256",
    "already",
    "it needs save_complete and load",
    "it needs save_complete and load",
    "functions of a live device, but no save_iterate",
    "has save_state, but no load",
    "has load, but nothing that saves",
    "neither a layout nor functions",
    "is live and has a layout or save_state",
    "is live and has a layout or save_state",
    "its version is 3, its layout's 1",
    "its minimum version is 4, its version 3",
};

static unsigned freed;

static void count_free(void *data)
{
    freed++;
}

START_TEST(a_device_that_will_not_do_is_refused)
{
    static char long_name[257];
    vmmig_error *error = NULL;

    memset(long_name, 'x', 256);
    for (size_t i = 0; i < G_N_ELEMENTS(bad_configs); i++) {
        bad_ops[i] = i < 9 ? simple : live;
        bad_configs[i] = (struct vmmig_device_config){
            .struct_size = sizeof bad_configs[i],
            .name = "new",
            .version = 3,
            .ops = &bad_ops[i],
            .free_data = count_free,
        };
    }
    bad_configs[0].name = NULL;
    bad_configs[1].name = long_name;
    bad_configs[2].name = "a";
    bad_ops[3] = bad_ops[4] = live;
    bad_ops[3].save_complete = NULL;
    bad_ops[4].load = NULL;
    bad_ops[5].save_setup = save_setup;
    bad_ops[6].load = NULL;
    bad_ops[7].save_state = NULL;
    bad_ops[8].save_state = NULL;
    bad_ops[8].load = NULL;
    bad_ops[9].save_state = save_state;
    bad_configs[10].layout = &layout;
    bad_ops[11] = simple;
    bad_configs[11].layout = &layout;
    bad_configs[12].minimum_version = 4;
    add("a", 0, &simple);
    freed = 0;
    ck_assert(!vmmig__devices_add(devices, &bad_configs[_i], &error));
    ck_assert_uint_eq(freed, 0); /* the caller's still */
    expect_error(error, VMMIG_ERROR_INVALID, bad_words[_i]);
}
END_TEST

START_TEST(a_device_can_be_removed)
{
    struct vmmig_device *device;
    struct vmmig_device_config config = {
        .struct_size = sizeof config,
        .name = "a",
        .instance_id = 7,
        .layout = &layout,
        .free_data = count_free,
    };
    vmmig_error *error = NULL;

    freed = 0;
    add("a", 0, &simple);
    device = vmmig__devices_add(devices, &config, NULL);
    ck_assert_ptr_eq(vmmig__devices_find(devices, "a", 7), device);
    ck_assert_uint_eq(device->version, 1);
    ck_assert(vmmig__devices_take(devices, device, NULL));
    ck_assert_ptr_null(vmmig__devices_find(devices, "a", 7));
    ck_assert_uint_eq(freed, 0);
    ck_assert(!vmmig__devices_take(devices, device, &error));
    expect_error(error, VMMIG_ERROR_INVALID, "none of the machine's");
    vmmig__device_free(device);
    ck_assert_uint_eq(freed, 1);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("device-save");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, devices_are_visited_by_priority_then_registration);
    tcase_add_test(tcase, a_live_device_is_framed_by_its_number);
    tcase_add_test(tcase, an_inactive_device_takes_no_part);
    tcase_add_test(tcase, states_are_whole_sections_and_described);
    tcase_add_test(tcase, what_is_pending_is_the_sum);
    tcase_add_test(tcase, a_device_that_says_nothing_is_asked_until_it_was_done);
    tcase_add_test(tcase, who_was_prepared_is_cleaned_up_once);
    tcase_add_test(tcase, who_failed_to_set_up_is_cleaned_up);
    tcase_add_test(tcase, who_was_quiesced_is_let_go_again);
    tcase_add_test(tcase, one_that_does_not_wake_keeps_no_other_asleep);
    tcase_add_loop_test(tcase, a_failure_while_it_sends_has_the_devices_name, 0,
                        4);
    tcase_add_loop_test(tcase, a_device_that_will_not_do_is_refused, 0,
                        G_N_ELEMENTS(bad_configs));
    tcase_add_test(tcase, a_device_can_be_removed);
    return run_case("device-save", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The destination's side of devices: which sections are taken, and when what
 * they say is applied. */
#include "device-kit.h"

#include "device/device-load.h"
#include "io/channel-memory.h"
#include "wire/format.h"

static struct vmmig__loader loader;
static struct vmmig_writer *out; /* what will be read */
static bool is_optional_live;

static bool is_active(void *device)
{
    return true;
}

/* Reads one byte, and says in which phase and version. */
static bool load(void *device, struct vmmig_reader *in, uint32_t version,
                 vmmig_error **error)
{
    char text[40];
    uint8_t byte;

    if (!vmmig_reader_get_u8(in, &byte, error))
        return false;
    g_snprintf(text, sizeof text, "load%u.%u=%u",
               (unsigned)vmmig_reader_get_phase(in), (unsigned)version, byte);
    return note(device, text, error);
}

static bool post_load(void *device, uint32_t version, vmmig_error **error)
{
    return note(device, "post_load", error);
}

static bool save_iterate(void *device, struct vmmig_writer *to,
                         uint64_t budget_bytes, bool *ret_done,
                         vmmig_error **error)
{
    return true;
}

static const struct vmmig_device_ops simple = {
    .struct_size = sizeof simple,
    .save_state = save_state,
    .load_setup = load_setup,
    .switchover_start = switchover_start,
    .load = load,
    .post_load = post_load,
    .activate = activate,
    .load_cleanup = load_cleanup,
};
static const struct vmmig_device_ops live = {
    .struct_size = sizeof live,
    .save_iterate = save_iterate,
    .save_complete = save_complete,
    .load = load,
    .post_load = post_load,
};
static const struct vmmig_device_ops optional_live = {
    .struct_size = sizeof live,
    .is_active = is_active,
    .save_iterate = save_iterate,
    .save_complete = save_complete,
    .load = load,
    .post_load = post_load,
};

static void setup(void)
{
    start_devices();
    out = vmmig__writer_new_memory();
    loader = (struct vmmig__loader){.host = &host, .devices = devices};
}

static void teardown(void)
{
    vmmig__writer_free(out);
    end_devices();
}

/* -- a stream -------------------------------------------------------------------- */

static void put_named(uint8_t type, uint32_t id, const char *name,
                      uint32_t version, uint8_t byte)
{
    if (type == VMMIG__RECORD_START)
        vmmig__put_start(out, id, name, 0, version);
    else
        vmmig__put_full(out, id, name, 0, version);
    vmmig_writer_put_u8(out, byte);
    vmmig__put_footer(out, id);
}

static void put_numbered(uint8_t type, uint32_t id, uint8_t byte)
{
    if (type == VMMIG__RECORD_PART)
        vmmig__put_part(out, id);
    else
        vmmig__put_end(out, id);
    vmmig_writer_put_u8(out, byte);
    vmmig__put_footer(out, id);
}

/* Reads all of it, and applies it where it was fine. */
static bool load_all(vmmig_error **error)
{
    uint64_t length;
    const uint8_t *bytes;
    struct vmmig_channel *channel;
    bool ok = true, end = false;

    vmmig__put_eof(out);
    bytes = vmmig__writer_get_bytes(out, &length);
    channel = vmmig__channel_new_buffer(bytes, length);
    loader.in = vmmig__reader_new(channel);
    while (ok && !end)
        ok = vmmig__load_record(&loader, &end, error);
    ok = ok && vmmig__load_apply(&loader, error);
    vmmig__reader_free(loader.in);
    vmmig_channel_unref(channel);
    return ok;
}

static void expect_failure(uint32_t code, const char *words)
{
    vmmig_error *error = NULL;

    ck_assert(!load_all(&error));
    expect_error(error, code, words);
}

START_TEST(all_is_read_before_anything_is_applied)
{
    add("low", -1, &simple);
    add("high", 1, &simple);
    add("live", 0, &live);
    put_named(VMMIG__RECORD_START, 9, "live", 3, 1);
    put_numbered(VMMIG__RECORD_PART, 9, 2);
    put_numbered(VMMIG__RECORD_PART, 9, 3);
    put_numbered(VMMIG__RECORD_END, 9, 4);
    put_named(VMMIG__RECORD_FULL, 4, "low", 2, 5);
    put_named(VMMIG__RECORD_FULL, 5, "high", 3, 6);
    ck_assert(load_all(NULL));
    expect_story("live:load1.3=1 live:load2.3=2 live:load2.3=3 "
                 "live:load3.3=4 low:load4.2=5 high:load4.3=6 "
                 "high:post_load live:post_load low:post_load");
    ck_assert_uint_gt(loader.state_us, 0);
}
END_TEST

START_TEST(what_nobody_knows_is_refused_by_name)
{
    add("a", 0, &simple);
    put_named(VMMIG__RECORD_FULL, 1, "z", 3, 0);
    expect_failure(VMMIG_ERROR_INCOMPATIBLE,
                   "unknown section \"z\" (instance 0)");
}
END_TEST

START_TEST(a_version_out_of_range_is_refused_by_numbers)
{
    add("a", 0, &simple);
    put_named(VMMIG__RECORD_FULL, 1, "a", _i == 0 ? 4 : 1, 0);
    expect_failure(VMMIG_ERROR_INCOMPATIBLE,
                   _i == 0 ? "has version 4; this side reads 2 to 3"
                           : "has version 1; this side reads 2 to 3");
    ck_assert_uint_eq(story->len, 0);
}
END_TEST

START_TEST(the_wrong_kind_of_section_is_refused)
{
    add("a", 0, _i == 0 ? &simple : &live);
    put_named(_i == 0 ? VMMIG__RECORD_START : VMMIG__RECORD_FULL, 1, "a", 3, 0);
    expect_failure(VMMIG_ERROR_PROTOCOL,
                   _i == 0 ? "section \"a\" came as START"
                           : "section \"a\" came as FULL");
}
END_TEST

START_TEST(a_section_comes_once)
{
    uint8_t type = _i == 0 ? VMMIG__RECORD_START : VMMIG__RECORD_FULL;

    add("a", 0, _i == 0 ? &live : &simple);
    put_named(type, 1, "a", 3, 0);
    put_named(type, 2, "a", 3, 0);
    expect_failure(VMMIG_ERROR_PROTOCOL, "section \"a\" (instance 0) came "
                                         "twice");
}
END_TEST

START_TEST(a_part_needs_its_start)
{
    add("a", 0, &live);
    put_named(VMMIG__RECORD_START, 1, "a", 3, 0);
    put_numbered(_i == 0 ? VMMIG__RECORD_PART : VMMIG__RECORD_END, 2, 0);
    expect_failure(VMMIG_ERROR_PROTOCOL,
                   _i == 0 ? "PART of section id 2, which has not been started"
                           : "END of section id 2, which has not been started");
}
END_TEST

START_TEST(nothing_follows_an_end)
{
    add("a", 0, &live);
    put_named(VMMIG__RECORD_START, 1, "a", 3, 0);
    put_numbered(VMMIG__RECORD_END, 1, 0);
    put_numbered(_i == 0 ? VMMIG__RECORD_PART : VMMIG__RECORD_END, 1, 0);
    expect_failure(VMMIG_ERROR_PROTOCOL, "(instance 0) after its END");
}
END_TEST

/* Who reads too little or too much is found at the footer. */
START_TEST(a_section_ends_where_both_sides_say)
{
    add("a", 0, &simple);
    vmmig__put_full(out, 1, "a", 0, 3);
    for (int i = 0; i < 2 * _i; i++)
        vmmig_writer_put_u8(out, 0x11);
    vmmig__put_footer(out, 1);
    expect_failure(VMMIG_ERROR_PROTOCOL,
                   _i == 0 ? "the section ends with 0x00"
                           : "the section ends with 0x11");
}
END_TEST

START_TEST(a_footer_of_another_section_is_refused)
{
    add("a", 0, &simple);
    vmmig__put_full(out, 1, "a", 0, 3);
    vmmig_writer_put_u8(out, 0);
    vmmig__put_footer(out, 2);
    expect_failure(VMMIG_ERROR_PROTOCOL, "the footer has the id 2");
}
END_TEST

/* -- what must come ------------------------------------------------------------------ */

START_TEST(a_device_that_was_not_sent_is_missed_and_nothing_applied)
{
    add("a", 0, &simple);
    add("b", 0, &simple);
    put_named(VMMIG__RECORD_FULL, 1, "a", 3, 0);
    expect_failure(VMMIG_ERROR_INCOMPATIBLE,
                   "no state for device \"b\" (instance 0)");
    expect_story("a:load4.3=0");
}
END_TEST

START_TEST(a_live_device_is_missed_unless_it_can_be_inactive)
{
    is_optional_live = _i == 1;
    add("a", 0, is_optional_live ? &optional_live : &live);
    if (is_optional_live) {
        ck_assert(load_all(NULL));
        expect_story("");
    } else {
        expect_failure(VMMIG_ERROR_INCOMPATIBLE, "no state for device \"a\"");
    }
}
END_TEST

START_TEST(a_live_device_must_come_to_its_end)
{
    add("a", 0, _i == 0 ? &live : &optional_live);
    put_named(VMMIG__RECORD_START, 1, "a", 3, 0);
    put_numbered(VMMIG__RECORD_PART, 1, 0);
    expect_failure(VMMIG_ERROR_PROTOCOL,
                   "without the END of section \"a\" (instance 0)");
}
END_TEST

/* -- callbacks -------------------------------------------------------------------------- */

START_TEST(a_refusal_has_the_devices_name)
{
    static const char *const refusals[] = {"a:load4.3=0", "a:post_load"};

    add("a", 0, &simple);
    put_named(VMMIG__RECORD_FULL, 1, "a", 3, 0);
    bad = refusals[_i];
    expect_failure(VMMIG_ERROR_BLOCKED,
                   _i == 0 ? "device \"a\" (instance 0): load: out of order"
                           : "device \"a\" (instance 0): post_load: out of");
}
END_TEST

START_TEST(who_was_set_up_is_cleaned_up_once)
{
    vmmig_error *error = NULL;

    add("a", 0, &simple);
    add("b", 0, &simple);
    add("c", 0, &simple);
    add("d", 0, &live);
    bad = "b:load_setup";
    ck_assert(!vmmig__load_setup(&loader, &error));
    expect_error(error, VMMIG_ERROR_BLOCKED, "device \"b\"");
    vmmig__load_cleanup(&loader);
    vmmig__load_cleanup(&loader);
    expect_story("a:load_setup b:load_setup a:load_cleanup b:load_cleanup");
}
END_TEST

START_TEST(the_others_are_told_in_their_order)
{
    add("a", 0, &simple);
    add("b", 1, &simple);
    ck_assert(vmmig__load_switchover_start(&loader, NULL));
    ck_assert(vmmig__load_activate(&loader, NULL));
    expect_story("b:switchover_start a:switchover_start b:activate "
                 "a:activate");
}
END_TEST

START_TEST(a_reset_forgets_what_was_read)
{
    add("a", 0, &simple);
    put_named(VMMIG__RECORD_FULL, 1, "a", 3, 7);
    ck_assert(load_all(NULL));
    vmmig__devices_reset(devices);
    vmmig__writer_clear(out);
    put_named(VMMIG__RECORD_FULL, 1, "a", 3, 8);
    ck_assert(load_all(NULL));
    expect_story("a:load4.3=7 a:post_load a:load4.3=8 a:post_load");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("device-load");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, all_is_read_before_anything_is_applied);
    tcase_add_test(tcase, what_nobody_knows_is_refused_by_name);
    tcase_add_loop_test(tcase, a_version_out_of_range_is_refused_by_numbers, 0,
                        2);
    tcase_add_loop_test(tcase, the_wrong_kind_of_section_is_refused, 0, 2);
    tcase_add_loop_test(tcase, a_section_comes_once, 0, 2);
    tcase_add_loop_test(tcase, a_part_needs_its_start, 0, 2);
    tcase_add_loop_test(tcase, nothing_follows_an_end, 0, 2);
    tcase_add_loop_test(tcase, a_section_ends_where_both_sides_say, 0, 2);
    tcase_add_test(tcase, a_footer_of_another_section_is_refused);
    tcase_add_test(tcase,
                   a_device_that_was_not_sent_is_missed_and_nothing_applied);
    tcase_add_loop_test(tcase,
                        a_live_device_is_missed_unless_it_can_be_inactive, 0,
                        2);
    tcase_add_loop_test(tcase, a_live_device_must_come_to_its_end, 0, 2);
    tcase_add_loop_test(tcase, a_refusal_has_the_devices_name, 0, 2);
    tcase_add_test(tcase, who_was_set_up_is_cleaned_up_once);
    tcase_add_test(tcase, the_others_are_told_in_their_order);
    tcase_add_test(tcase, a_reset_forgets_what_was_read);
    return run_case("device-load", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options: their table, their texts, presets, and when they are fixed. */
#include <string.h>

#include "run-case.h"
#include "session/options.h"

static struct vmmig_options *options;

static void setup(void)
{
    options = vmmig__options_new();
}

static void teardown(void)
{
    vmmig__options_free(options);
}

static void assert_text(const char *name, const char *expected)
{
    char *text = vmmig_options_get_text(options, name, NULL);

    ck_assert_str_eq(text, expected);
    vmmig_free(text);
}

static void assert_error(vmmig_error *error, uint32_t code, const char *words)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_eq(vmmig_error_code(error), code);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
    vmmig_error_free(error);
}

/* Fails, and changes nothing at all. */
static void assert_refused(const char *text, const char *words)
{
    char *before = vmmig_options_get_text(options, NULL, NULL), *after;
    vmmig_error *error = NULL;

    ck_assert_msg(!vmmig_options_parse(options, text, &error), "%s", text);
    assert_error(error, VMMIG_ERROR_INVALID, words);
    after = vmmig_options_get_text(options, NULL, NULL);
    ck_assert_str_eq(before, after);
    vmmig_free(before);
    vmmig_free(after);
}

START_TEST(the_table_describes_itself)
{
    struct vmmig_option_info info = {.struct_size = sizeof info};
    uint32_t count = 0;

    for (; vmmig_option_describe(count, &info); count++) {
        ck_assert_uint_eq(info.struct_size, sizeof info);
        assert_text(info.name, info.initially);
        ck_assert_uint_ge(strlen(info.help), 10);
        ck_assert(*info.fixed_from == '\0' ||
                  strcmp(info.fixed_from, "setup") == 0);
        ck_assert_uint_le(info.minimum, info.maximum);
        if (info.type == VMMIG_OPTION_UINT)
            ck_assert_uint_gt(info.maximum, 0);
    }
    ck_assert_uint_eq(count, VMMIG__OPTION_COUNT);
}
END_TEST

/* A host that was built when the struct was shorter, or longer. */
START_TEST(a_description_fills_what_the_host_knows)
{
    struct {
        struct vmmig_option_info info;
        uint64_t more;
    } host;

    memset(&host, 0xaa, sizeof host);
    host.info.struct_size = offsetof(struct vmmig_option_info, unit);
    ck_assert(vmmig_option_describe(0, &host.info));
    ck_assert_ptr_nonnull(host.info.name);
    ck_assert_uint_eq((uintptr_t)host.info.unit, (uintptr_t)0xaaaaaaaaaaaaaaaa);
    host.info.struct_size = sizeof host;
    ck_assert(vmmig_option_describe(0, &host.info));
    ck_assert_uint_eq(host.more, 0);
}
END_TEST

START_TEST(values_can_be_set_by_their_type)
{
    ck_assert(vmmig_options_set_bool(options, "validate-uuid", true, NULL));
    ck_assert(vmmig_options_set_uint(options, "downtime-limit", 12, NULL));
    ck_assert(vmmig_options_set_string(options, "on-lost-ack", "resume", NULL));
    assert_text("validate-uuid", "on");
    assert_text("downtime-limit", "12");
    assert_text("on-lost-ack", "resume");
    ck_assert(vmmig__options_get_bool(options, VMMIG__OPTION_VALIDATE_UUID));
    ck_assert_uint_eq(
        vmmig__options_get_uint(options, VMMIG__OPTION_DOWNTIME_LIMIT), 12);
    ck_assert(vmmig__options_text_is(options, VMMIG__OPTION_ON_LOST_ACK,
                                     "resume"));
}
END_TEST

START_TEST(another_type_is_refused)
{
    vmmig_error *error = NULL;

    ck_assert(!vmmig_options_set_bool(options, "downtime-limit", true, &error));
    assert_error(error, VMMIG_ERROR_INVALID,
                 "downtime-limit is a number, not on or off");
    error = NULL;
    ck_assert(!vmmig_options_set_uint(options, "peer", 7, &error));
    assert_error(error, VMMIG_ERROR_INVALID, "peer is a text, not a number");
    error = NULL;
    ck_assert(!vmmig_options_set_string(options, "return-path", "on", &error));
    assert_error(error, VMMIG_ERROR_INVALID,
                 "return-path is on or off, not a text");
    error = NULL;
    ck_assert(!vmmig_options_set_string(options, "peer", NULL, &error));
    assert_error(error, VMMIG_ERROR_INVALID, "peer: \"\" is none of auto|");
    error = NULL;
    ck_assert(!vmmig_options_set_uint(options, "stop-timeout-ms", 0, &error));
    assert_error(error, VMMIG_ERROR_INVALID, "0 is not from 1 to 3600000 ms");
    error = NULL;
    ck_assert(!vmmig_options_set_bool(options, NULL, true, &error));
    assert_error(error, VMMIG_ERROR_INVALID, "there is no option");
    error = NULL;
    ck_assert(!vmmig_options_get_text(options, "colour", &error));
    assert_error(error, VMMIG_ERROR_INVALID, "there is no option \"colour\"");
}
END_TEST

START_TEST(numbers_are_read_with_their_units)
{
    static const struct {
        const char *text, *value;
    } numbers[] = {
        {"0", "0"},         {"7", "7"},
        {"1K", "1024"},     {"1k", "1024"},
        {"2M", "2097152"},  {"3G", "3221225472"},
        {"1T", "1099511627776"},
        {"0x10", "16"},     {"0XfF", "255"},
        {"0x2K", "2048"},   {"0x7fffffffffffffff", "9223372036854775807"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        char *text = g_strconcat("max-bandwidth=", numbers[i].text, NULL);

        ck_assert_msg(vmmig_options_parse(options, text, NULL), "%s", text);
        assert_text("max-bandwidth", numbers[i].value);
        g_free(text);
    }
}
END_TEST

START_TEST(what_is_no_number_is_refused)
{
    static const char *const wrong[] = {
        "",   " 1", "1 ",  "-1", "+1",  "1KB", "K",  "0x",
        "0x-1", "1.5", "ten", "1e3", "0x1z", "1,2",
    };
    static const char *const large[] = {
        "0xffffffffffffffff", "18446744073709551616", "9223372036854775808",
        "16777216T", "99999999999999999999999999",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        char *text = g_strconcat("max-bandwidth=", wrong[i], NULL);

        assert_refused(text, i == 13 ? "name=value" : "is not a number");
        g_free(text);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(large); i++) {
        char *text = g_strconcat("max-bandwidth=", large[i], NULL);

        assert_refused(text, "max-bandwidth");
        g_free(text);
    }
}
END_TEST

START_TEST(all_are_set_or_none)
{
    assert_refused("downtime-limit=5,return-path=maybe",
                   "return-path: \"maybe\" is neither on nor off");
    assert_refused("downtime-limit=5,colour=red",
                   "there is no option \"colour\"");
    assert_refused("downtime-limit", "\"downtime-limit\" is not of the form");
    assert_refused("downtime-limit=5,", "\"\" is not of the form");
    assert_refused(",", "\"\" is not of the form");
    assert_refused("peer=qemu-6", "peer: \"qemu-6\" is none of auto|");
    ck_assert(vmmig_options_parse(options, "", NULL));
    ck_assert(vmmig_options_parse(options, NULL, NULL));
    ck_assert(vmmig_options_parse(
        options, "downtime-limit=5,return-path=off,peer=qemu-9", NULL));
    assert_text("downtime-limit", "5");
    assert_text("return-path", "off");
    assert_text("peer", "qemu-9");
    /* Of one name the last one counts. */
    ck_assert(vmmig_options_parse(options, "downtime-limit=5,downtime-limit=6",
                                  NULL));
    assert_text("downtime-limit", "6");
    /* A comma that is written twice is one of the value. */
    assert_refused("peer=a,,b", "peer: \"a,b\" is none of");
}
END_TEST

START_TEST(the_text_of_all_can_be_parsed)
{
    struct vmmig_options *copy = vmmig__options_new();
    char *first, *second;

    ck_assert(vmmig_options_parse(
        options, "downtime-limit=77,peer=qemu-8.1,switchover-ack=on", NULL));
    first = vmmig_options_get_text(options, NULL, NULL);
    ck_assert(vmmig_options_parse(copy, first, NULL));
    second = vmmig_options_get_text(copy, NULL, NULL);
    ck_assert_str_eq(first, second);
    ck_assert_ptr_nonnull(strstr(first, "downtime-limit=77,"));
    vmmig_free(first);
    vmmig_free(second);
    vmmig__options_free(copy);
}
END_TEST

static const struct {
    const char *peer;
    bool switchover_start, legacy_ack;
} presets[] = {
    {"auto", false, false},    {"qemu-7.2", false, false},
    {"qemu-8.0", false, false}, {"qemu-8.1", false, true},
    {"qemu-9", false, true},   {"qemu-10", true, true},
    {"qemu-11", true, false},
};

START_TEST(a_peer_presets_what_is_not_set_by_name)
{
    ck_assert(vmmig_options_set_string(options, "peer", presets[_i].peer,
                                       NULL));
    ck_assert(vmmig__options_get_bool(options,
                                      VMMIG__OPTION_SEND_SWITCHOVER_START) ==
              presets[_i].switchover_start);
    ck_assert(vmmig__options_get_bool(options,
                                      VMMIG__OPTION_SWITCHOVER_ACK_LEGACY) ==
              presets[_i].legacy_ack);
    assert_text("send-switchover-start",
                presets[_i].switchover_start ? "on" : "off");

    ck_assert(vmmig_options_set_bool(options, "send-switchover-start",
                                     !presets[_i].switchover_start, NULL));
    ck_assert(vmmig__options_is_set_by_name(
        options, VMMIG__OPTION_SEND_SWITCHOVER_START));
    ck_assert(!vmmig__options_is_set_by_name(
        options, VMMIG__OPTION_SWITCHOVER_ACK_LEGACY));
    ck_assert(vmmig_options_set_string(options, "peer", "auto", NULL));
    ck_assert(vmmig__options_get_bool(options,
                                      VMMIG__OPTION_SEND_SWITCHOVER_START) ==
              !presets[_i].switchover_start);
}
END_TEST

START_TEST(options_that_do_not_work_together_are_refused_by_both_names)
{
    assert_refused("switchover-ack=on,return-path=off",
                   "switchover-ack needs return-path");
    assert_refused("switchover-ack=on,peer=qemu-7.2",
                   "switchover-ack does not work with peer=qemu-7.2");
    ck_assert(vmmig_options_parse(options, "switchover-ack=on", NULL));
    assert_refused("return-path=off", "switchover-ack needs return-path");
    ck_assert(vmmig_options_parse(options, "return-path=off,switchover-ack=off",
                                  NULL));
    ck_assert(vmmig__options_check(options, NULL));
}
END_TEST

START_TEST(what_is_fixed_is_blocked_by_name)
{
    vmmig_error *error = NULL;
    struct vmmig_options *copy;

    vmmig__options_fix(options);
    ck_assert(!vmmig_options_set_bool(options, "return-path", false, &error));
    assert_error(error, VMMIG_ERROR_BLOCKED,
                 "return-path cannot be changed: it is fixed since the "
                 "migration began (setup)");
    error = NULL;
    ck_assert(!vmmig_options_parse(options, "downtime-limit=5,peer=auto",
                                   &error));
    assert_error(error, VMMIG_ERROR_BLOCKED, "peer");
    assert_text("downtime-limit", "300");
    ck_assert(vmmig_options_set_uint(options, "downtime-limit", 6, NULL));

    copy = vmmig__options_copy(options);
    ck_assert_uint_eq(
        vmmig__options_get_uint(copy, VMMIG__OPTION_DOWNTIME_LIMIT), 6);
    ck_assert(vmmig_options_set_bool(copy, "return-path", false, NULL));
    vmmig__options_free(copy);
    assert_text("return-path", "on");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("options");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_table_describes_itself);
    tcase_add_test(tcase, a_description_fills_what_the_host_knows);
    tcase_add_test(tcase, values_can_be_set_by_their_type);
    tcase_add_test(tcase, another_type_is_refused);
    tcase_add_test(tcase, numbers_are_read_with_their_units);
    tcase_add_test(tcase, what_is_no_number_is_refused);
    tcase_add_test(tcase, all_are_set_or_none);
    tcase_add_test(tcase, the_text_of_all_can_be_parsed);
    tcase_add_loop_test(tcase, a_peer_presets_what_is_not_set_by_name, 0,
                        G_N_ELEMENTS(presets));
    tcase_add_test(tcase,
                   options_that_do_not_work_together_are_refused_by_both_names);
    tcase_add_test(tcase, what_is_fixed_is_blocked_by_name);
    return run_case("options", tcase);
}

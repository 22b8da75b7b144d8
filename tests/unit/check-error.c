/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors and the copying of a host's structures, where errors begin. */
#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/struct-copy.h"
#include "unit/run-case.h"

static vmmig_error *error;

static void tear_down(void)
{
    g_clear_error(&error);
}

START_TEST(error_keeps_its_code_and_words)
{
    ck_assert(!vmmig__fail(&error, VMMIG_ERROR_PROTOCOL, "page %d", 7));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_PROTOCOL);
    ck_assert_str_eq(vmmig_error_message(error), "page 7");
    ck_assert(!vmmig__prefix(&error, "block \"%s\": ", "ram"));
    ck_assert_str_eq(vmmig_error_message(error), "block \"ram\": page 7");
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_PROTOCOL);
}
END_TEST

/* They may be a peer's. */
START_TEST(words_can_be_shown_anywhere)
{
    vmmig__fail(&error, VMMIG_ERROR_PROTOCOL, "\"%s\"",
                "a\xfb\x1b[31m\n\xc3\xa9");
    ck_assert_str_eq(vmmig_error_message(error),
                     "\"a\xef\xbf\xbd?[31m?\xc3\xa9\"");
    vmmig__error_note(error, "block", "%s", "\x7f\xff");
    ck_assert_str_eq(vmmig_error_detail(error, "block"), "?\xef\xbf\xbd");
}
END_TEST

START_TEST(nobody_has_to_want_the_error)
{
    ck_assert(!vmmig__fail(NULL, VMMIG_ERROR_IO, "x"));
    ck_assert(!vmmig__fail_errno(NULL, ENOENT, "x"));
    ck_assert(!vmmig__prefix(NULL, "x"));
    ck_assert(!vmmig__prefix(&error, "x"));
    ck_assert_ptr_null(error);
    ck_assert(!vmmig_error_set(NULL, VMMIG_ERROR_IO, "x"));
    vmmig__error_note(NULL, "channel", "x");
    vmmig_error_free(NULL);
}
END_TEST

START_TEST(words_are_put_in_front_and_behind)
{
    vmmig__fail(&error, VMMIG_ERROR_IO, "middle");
    vmmig__error_note(error, "channel", "main");
    vmmig__prefix(&error, "%s: ", "front");
    vmmig__suffix(&error, "; %d", 7);
    ck_assert_str_eq(vmmig_error_message(error), "front: middle; 7");
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "main");
    vmmig_error_free(error);
    error = NULL;
    vmmig__suffix(&error, "nothing");
    vmmig__suffix(NULL, "nothing");
    ck_assert_ptr_null(error);
}
END_TEST

START_TEST(error_number_becomes_words)
{
    ck_assert(vmmig_error_check_errno(&error, 0, "nothing"));
    ck_assert_ptr_null(error);
    ck_assert(!vmmig_error_check_errno(&error, ENOMEM, "starting"));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_SYSTEM);
    ck_assert_str_eq(vmmig_error_message(error),
                     "starting: Cannot allocate memory");
}
END_TEST

START_TEST(first_detail_stays_and_copies_have_it_too)
{
    vmmig_error *copy;

    vmmig__fail(&error, VMMIG_ERROR_IO, "lost");
    ck_assert_ptr_null(vmmig_error_detail(error, "channel"));
    vmmig__error_note(error, "channel", "multifd %d", 3);
    vmmig__error_note(error, "channel", "main");
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "multifd 3");
    ck_assert_ptr_null(vmmig_error_detail(error, "offset"));
    ck_assert_ptr_null(vmmig_error_detail(error, "no such key"));

    copy = g_error_copy(error);
    g_clear_error(&error);
    ck_assert_str_eq(vmmig_error_detail(copy, "channel"), "multifd 3");
    ck_assert_str_eq(vmmig_error_message(copy), "lost");
    vmmig_error_free(copy);
}
END_TEST

START_TEST(error_of_a_glib_host_is_the_host_s)
{
    GError *theirs =
        g_error_new(g_quark_from_static_string("host-disk"), 5, "no lease");

    ck_assert_uint_eq(vmmig_error_code(theirs), VMMIG_ERROR_HOST);
    ck_assert_str_eq(vmmig_error_message(theirs), "no lease");
    ck_assert_ptr_null(vmmig_error_detail(theirs, "channel"));
    vmmig__error_note(theirs, "channel", "main"); /* ignored */
    error = vmmig__error_adopt(theirs);
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_HOST);
    ck_assert_str_eq(vmmig_error_message(error), "no lease");
    vmmig__error_note(error, "channel", "main");
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "main");
    ck_assert_ptr_eq(vmmig__error_adopt(error), error);
}
END_TEST

struct ours {
    uint32_t struct_size;
    uint32_t a;
    uint64_t b;
};

struct newer {
    struct ours known;
    uint64_t c;
};

START_TEST(older_structure_is_filled_up_with_zeros)
{
    const struct ours theirs = {offsetof(struct ours, b), 5, 6};
    struct ours copy;

    memset(&copy, 0xff, sizeof copy);
    ck_assert(vmmig__copy_struct(&copy, sizeof copy, &theirs, "it", &error));
    ck_assert_uint_eq(copy.a, 5);
    ck_assert_uint_eq(copy.b, 0);
}
END_TEST

START_TEST(newer_structure_is_taken_if_it_asks_for_nothing_new)
{
    struct newer theirs = {{sizeof(struct newer), 5, 6}, 0};
    struct ours copy = {0};

    ck_assert(vmmig__copy_struct(&copy, sizeof copy, &theirs, "it", &error));
    ck_assert_uint_eq(copy.b, 6);
    theirs.c = 1;
    ck_assert(!vmmig__copy_struct(&copy, sizeof copy, &theirs, "it", &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(vmmig_error_message(error), "byte 16"));
}
END_TEST

START_TEST(structure_without_a_sensible_size_is_refused)
{
    static const uint32_t sizes[] = {0, 3, UINT32_MAX};
    struct ours theirs = {0}, copy;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        theirs.struct_size = sizes[i];
        ck_assert(
            !vmmig__copy_struct(&copy, sizeof copy, &theirs, "it", &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
        g_clear_error(&error);
    }
    ck_assert(!vmmig__copy_struct(&copy, sizeof copy, NULL, "it", &error));
    ck_assert_str_eq(vmmig_error_message(error), "it is NULL");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("error");

    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, error_keeps_its_code_and_words);
    tcase_add_test(tcase, words_can_be_shown_anywhere);
    tcase_add_test(tcase, nobody_has_to_want_the_error);
    tcase_add_test(tcase, words_are_put_in_front_and_behind);
    tcase_add_test(tcase, error_number_becomes_words);
    tcase_add_test(tcase, first_detail_stays_and_copies_have_it_too);
    tcase_add_test(tcase, error_of_a_glib_host_is_the_host_s);
    tcase_add_test(tcase, older_structure_is_filled_up_with_zeros);
    tcase_add_test(tcase, newer_structure_is_taken_if_it_asks_for_nothing_new);
    tcase_add_test(tcase, structure_without_a_sensible_size_is_refused);
    return run_case("error", tcase);
}

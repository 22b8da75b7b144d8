/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every implementation gives the same answer for every page. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "ram/zero-page.h"

#define LARGEST_PAGE 65536

static uint8_t page[LARGEST_PAGE] __attribute__((aligned(4096)));

START_TEST(a_page_of_zeros_is_zero)
{
    for (size_t length = 256; length <= LARGEST_PAGE; length *= 2) {
        for (int i = 0; vmmig__zero_page_variants[i].name; i++) {
            if (vmmig__zero_page_variants[i].is_supported())
                ck_assert_msg(
                    vmmig__zero_page_variants[i].is_zero(page, length),
                    "%s, %zu bytes", vmmig__zero_page_variants[i].name,
                    length);
        }
        ck_assert(vmmig__page_is_zero(page, length));
    }
}
END_TEST

START_TEST(a_single_bit_anywhere_is_seen_by_every_variant)
{
    for (size_t at = 0; at < 4096; at++) {
        page[at] = (uint8_t)(1 << (at % 8));
        for (int i = 0; vmmig__zero_page_variants[i].name; i++) {
            if (vmmig__zero_page_variants[i].is_supported())
                ck_assert_msg(
                    !vmmig__zero_page_variants[i].is_zero(page, 4096),
                    "%s, byte %zu", vmmig__zero_page_variants[i].name, at);
        }
        ck_assert(!vmmig__page_is_zero(page, 4096));
        page[at] = 0;
    }
}
END_TEST

START_TEST(bytes_behind_the_page_do_not_count)
{
    memset(page + 4096, 0xff, 4096);
    for (int i = 0; vmmig__zero_page_variants[i].name; i++) {
        if (vmmig__zero_page_variants[i].is_supported())
            ck_assert_msg(vmmig__zero_page_variants[i].is_zero(page, 4096),
                          "%s", vmmig__zero_page_variants[i].name);
    }
    memset(page + 4096, 0, 4096);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zero-page");
    TCase *tests = tcase_create("zero-page");
    SRunner *runner;

    tcase_add_test(tests, a_page_of_zeros_is_zero);
    tcase_add_test(tests, a_single_bit_anywhere_is_seen_by_every_variant);
    tcase_add_test(tests, bytes_behind_the_page_do_not_count);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    srunner_free(runner);
    return 0;
}

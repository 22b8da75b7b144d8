/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages have landed. */
#include "guest-memory.h"

#include "ram/received-pages.h"
#include "run-case.h"

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block *block;

static void setup(void)
{
    blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    block = add_block(blocks, "ram", 300);
}

static void teardown(void)
{
    free_memory(blocks);
}

START_TEST(pages_are_missing_until_they_are_added)
{
    vmmig_error *error = NULL;

    ck_assert(vmmig__received_pages_start(blocks, &error));
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, 300), 300);
    vmmig__received_pages_add(block, 64, 1);
    vmmig__received_pages_add(block, 66, 100);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, 300), 64);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, 10), 10);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 64, 10), 0);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 65, 10), 1);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 166, 134), 134);
    ck_assert(vmmig__received_pages_has(block, 66));
    ck_assert(vmmig__received_pages_has(block, 165));
    ck_assert(!vmmig__received_pages_has(block, 166));
    vmmig__received_pages_stop(blocks);
}
END_TEST

START_TEST(a_new_start_forgets)
{
    vmmig_error *error = NULL;

    ck_assert(vmmig__received_pages_start(blocks, &error));
    vmmig__received_pages_add(block, 0, 300);
    ck_assert(vmmig__received_pages_start(blocks, &error));
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, 300), 300);
    vmmig__received_pages_stop(blocks);
}
END_TEST

START_TEST(without_a_destination_nothing_is_known)
{
    vmmig__received_pages_add(block, 3, 4);
    ck_assert(!vmmig__received_pages_has(block, 3));
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, 300), 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("received-pages");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pages_are_missing_until_they_are_added);
    tcase_add_test(tests, a_new_start_forgets);
    tcase_add_test(tests, without_a_destination_nothing_is_known);
    return run_case("received-pages", tests);
}

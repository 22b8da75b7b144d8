/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The placer that puts pages into guest memory itself. */
#include "guest-memory.h"

#include <stdio.h>

#include "ram/page-placer.h"
#include "ram/received-pages.h"
#include "run-case.h"

#define PAGES 200

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block *block;
static const struct vmmig__page_placer *const placer = &vmmig__place_in_place;

static void setup(void)
{
    vmmig_error *error = NULL;

    blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    block = add_block(blocks, "ram", PAGES);
    ck_assert(vmmig__received_pages_start(blocks, &error));
}

static void teardown(void)
{
    free_memory(blocks);
}

START_TEST(the_target_is_guest_memory)
{
    vmmig_error *error = NULL;

    ck_assert(placer->in_place);
    ck_assert_ptr_eq(placer->target(placer->data, block, 7, 3),
                     block->host + 7 * PAGE_BYTES);
    ck_assert(!vmmig__received_pages_has(block, 7));
    ck_assert(placer->landed(placer->data, block, 7, 3, &error));
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, PAGES), 7);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 10, PAGES - 10),
                      PAGES - 10);
}
END_TEST

START_TEST(zeros_replace_content_anywhere_in_a_page)
{
    vmmig_error *error = NULL;

    fill_page(block, 10, 1);
    block->host[11 * PAGE_BYTES] = 1;
    block->host[13 * PAGE_BYTES - 1] = 1;
    block->host[13 * PAGE_BYTES + 1234] = 1;
    fill_page(block, 9, 1);
    fill_page(block, 14, 1);
    ck_assert(placer->zero(placer->data, block, 10, 4, &error));
    for (uint64_t page = 10; page < 14; page++) {
        ck_assert(page_is_zero(block, page));
        ck_assert(vmmig__received_pages_has(block, page));
    }
    ck_assert(page_has(block, 9, 1));
    ck_assert(page_has(block, 14, 1));
    ck_assert(!vmmig__received_pages_has(block, 14));
}
END_TEST

/* The kernel maps its one page of zeros for a read; a write would show up as
 * memory of the process's own. */
START_TEST(zeros_do_not_allocate_private_memory)
{
    vmmig_error *error = NULL;
    char line[256];
    long own_kib = -1;
    FILE *smaps;
    bool is_ours = false;

    ck_assert(placer->zero(placer->data, block, 0, PAGES, &error));
    smaps = fopen("/proc/self/smaps", "r");
    ck_assert_ptr_nonnull(smaps);
    while (own_kib < 0 && fgets(line, sizeof line, smaps)) {
        unsigned long first, last;

        if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
            is_ours = first <= (uintptr_t)block->host &&
                      (uintptr_t)block->host < last;
        else if (is_ours)
            sscanf(line, "Anonymous: %ld kB", &own_kib);
    }
    fclose(smaps);
    /* A mapping that the kernel has merged with it may hold some. */
    ck_assert_int_ge(own_kib, 0);
    ck_assert_int_lt(own_kib, PAGES * 4 / 2);
    ck_assert_uint_eq(vmmig__received_pages_missing(block, 0, PAGES), 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("page-placer");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_target_is_guest_memory);
    tcase_add_test(tests, zeros_replace_content_anywhere_in_a_page);
    tcase_add_test(tests, zeros_do_not_allocate_private_memory);
    return run_case("page-placer", tests);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that nobody touched is neither read nor allocated by a migration, on
 * either side; memory that was touched is what it is.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ram-stream.h"
#include "ram/memory-holes.h"
#include "ram/ram-save.h"
#include "ram/received-pages.h"
#include "run-case.h"

#define PAGES 1000

/* A block in a file of its own. */
struct side {
    struct vmmig__ram_blocks *blocks;
    struct vmmig_block *block;
    struct vmmig__ram ram;
    int fd;
};

static struct side here, there;

static struct vmmig_block *add_file(struct side *side, const char *name,
                                    int map_flags, uint32_t flags,
                                    uint64_t offset)
{
    struct vmmig_block_config config = {
        .struct_size = sizeof config,
        .flags = flags,
        .name = name,
        .length_bytes = PAGES * PAGE_BYTES,
        .fd = side->fd,
        .fd_offset_bytes = offset,
    };
    vmmig_error *error = NULL;
    struct vmmig_block *block;

    config.host_address =
        mmap(NULL, config.length_bytes, PROT_READ | PROT_WRITE, map_flags,
             side->fd, (off_t)offset);
    ck_assert_ptr_ne(config.host_address, MAP_FAILED);
    block = vmmig__ram_blocks_add(side->blocks, &config, &error);
    ck_assert_msg(block != NULL, "%s", error ? vmmig_error_message(error) : "");
    return block;
}

static void open_side(struct side *side)
{
    side->fd = memfd_create("ram", MFD_CLOEXEC);
    ck_assert_int_ge(side->fd, 0);
    ck_assert_int_eq(ftruncate(side->fd, 2 * PAGES * PAGE_BYTES), 0);
    side->blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    side->block = add_file(side, "ram", MAP_SHARED,
                           VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED, 0);
    vmmig__ram_init(&side->ram, side->blocks, NULL, &vmmig__monotonic_clock);
}

static void setup(void)
{
    open_side(&here);
    open_side(&there);
}

static void close_side(struct side *side)
{
    free_memory(side->blocks);
    close(side->fd);
}

static void teardown(void)
{
    close_side(&here);
    close_side(&there);
}

static uint64_t allocated_pages(const struct side *side)
{
    struct stat status;

    ck_assert_int_eq(fstat(side->fd, &status), 0);
    return (uint64_t)status.st_blocks * 512 / PAGE_BYTES;
}

START_TEST(holes_end_where_something_was_written)
{
    fill_page(here.block, 100, 1);
    fill_page(here.block, 102, 1);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 0, 50), 50);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 0, PAGES), 100);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 99, PAGES - 99), 1);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 100, 1), 0);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 101, 5), 1);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 103, PAGES - 103),
                      PAGES - 103);
    /* Written is written, also when it is zeros. */
    here.block->host[200 * PAGE_BYTES] = 0;
    memset(here.block->host + 200 * PAGE_BYTES, 0, PAGE_BYTES);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 199, 5), 1);
}
END_TEST

START_TEST(a_block_may_begin_anywhere_in_its_file)
{
    struct vmmig_block *second =
        add_file(&here, "second", MAP_SHARED,
                 VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED, PAGES * PAGE_BYTES);

    fill_page(second, 7, 1);
    ck_assert_uint_eq(vmmig__count_untouched(second, 0, PAGES), 7);
    ck_assert_uint_eq(vmmig__count_untouched(second, 8, PAGES - 8), PAGES - 8);
}
END_TEST

START_TEST(nothing_is_known_of_private_mappings)
{
    struct vmmig_block *private =
        add_file(&here, "private", MAP_PRIVATE, VMMIG_BLOCK_FD, 0);

    ck_assert_uint_eq(vmmig__count_untouched(private, 0, PAGES), 0);
}
END_TEST

START_TEST(a_look_does_not_move_the_position_in_the_file)
{
    ck_assert_int_eq(lseek(here.fd, 12345, SEEK_SET), 12345);
    fill_page(here.block, 100, 1);
    ck_assert_uint_eq(vmmig__count_untouched(here.block, 0, PAGES), 100);
    ck_assert_int_eq(lseek(here.fd, 0, SEEK_CUR), 12345);
}
END_TEST

/* Sends everything from here to there. */
static void migrate(void)
{
    struct vmmig_writer *out = vmmig__writer_new_memory();
    struct piecewise from = { .piece_bytes = 100000 };
    struct vmmig_reader *in;
    vmmig_error *error = NULL;

    ck_assert(vmmig__ram_ops.save_prepare(&here.ram, &error));
    ck_assert(vmmig__ram_ops.save_setup(&here.ram, out, &error));
    ck_assert(vmmig__ram_ops.save_complete(&here.ram, out, &error));
    vmmig__ram_save_set_committed(&here.ram);
    vmmig__ram_ops.save_cleanup(&here.ram);
    from.bytes = vmmig__writer_get_bytes(out, &from.length);
    in = piecewise_reader(&from);
    ck_assert(vmmig__ram_ops.load_setup(&there.ram, &error));
    ck_assert(load_body(&there.ram, in, VMMIG_PHASE_SETUP, &error));
    ck_assert_msg(load_body(&there.ram, in, VMMIG_PHASE_COMPLETE, &error),
                  "%s", error ? vmmig_error_message(error) : "");
    ck_assert_uint_eq(
        vmmig__received_pages_missing(there.block, 0, PAGES), 0);
    for (uint64_t page = 0; page < PAGES; page++)
        ck_assert(vmmig__received_pages_has(there.block, page));
    vmmig__ram_ops.load_cleanup(&there.ram);
    vmmig__reader_free(in);
    vmmig__writer_free(out);
}

START_TEST(an_untouched_guest_costs_nothing_on_either_side)
{
    migrate();
    ck_assert_uint_eq(allocated_pages(&here), 0);
    ck_assert_uint_eq(allocated_pages(&there), 0);
    ck_assert_uint_eq(atomic_load(&here.ram.counters.zero_pages), PAGES);
    ck_assert_uint_eq(atomic_load(&there.ram.counters.zero_pages), PAGES);
}
END_TEST

START_TEST(a_guest_costs_about_what_it_uses_and_is_equal)
{
    for (uint64_t page = 300; page < 400; page++)
        fill_page(here.block, page, 1);
    fill_page(here.block, 900, 1);
    memset(here.block->host + 350 * PAGE_BYTES, 0, PAGE_BYTES);
    migrate();
    ck_assert_uint_ge(allocated_pages(&here), 101);
    ck_assert_uint_le(allocated_pages(&here), 101 + 2 * VMMIG__PAGES_PER_LOOK);
    ck_assert_uint_ge(allocated_pages(&there), 100);
    ck_assert_uint_le(allocated_pages(&there), 101 + 2 * VMMIG__PAGES_PER_LOOK);
    for (uint64_t page = 0; page < PAGES; page++) {
        if ((page >= 300 && page < 400 && page != 350) || page == 900)
            ck_assert(page_has(there.block, page, 1));
        else
            ck_assert(page_is_zero(there.block, page));
    }
}
END_TEST

START_TEST(memory_that_was_used_before_is_zeroed)
{
    for (uint64_t page = 100; page < 700; page += 1 + page % 3)
        fill_page(there.block, page, 5);
    fill_page(here.block, 400, 1);
    migrate();
    for (uint64_t page = 0; page < PAGES; page++) {
        if (page == 400)
            ck_assert(page_has(there.block, page, 1));
        else
            ck_assert_msg(page_is_zero(there.block, page), "page %u",
                          (unsigned)page);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("memory-holes");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, holes_end_where_something_was_written);
    tcase_add_test(tests, a_block_may_begin_anywhere_in_its_file);
    tcase_add_test(tests, nothing_is_known_of_private_mappings);
    tcase_add_test(tests, a_look_does_not_move_the_position_in_the_file);
    tcase_add_test(tests, an_untouched_guest_costs_nothing_on_either_side);
    tcase_add_test(tests, a_guest_costs_about_what_it_uses_and_is_equal);
    tcase_add_test(tests, memory_that_was_used_before_is_zeroed);
    return run_case("memory-holes", tests);
}

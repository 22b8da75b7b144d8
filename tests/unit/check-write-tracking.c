/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's write tracking finds the pages that were written, all of them
 * and in a quiet memory no others. Skipped, aloud, where the kernel has none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "guest-memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "ram/dirty-log.h"
#include "ram/write-tracking.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4U
#endif

#define PAGES 2048

enum { ANONYMOUS, ANONYMOUS_HUGE, SHARED_ANONYMOUS, MEMFD, HUGETLB, KINDS };

static struct vmmig__ram_blocks *blocks;
static struct vmmig__dirty_sources *sources;
static struct vmmig_block *ram;

/* NULL where there is no such memory, as when no huge pages are set aside. */
static void *map_kind(int kind)
{
    const uint64_t length = PAGES * PAGE_BYTES;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;
    uint64_t reserve = length;
    void *memory;

    if (kind == SHARED_ANONYMOUS)
        flags = MAP_SHARED | MAP_ANONYMOUS;
    if (kind == ANONYMOUS_HUGE)
        reserve = length + (2 << 20);
    if (kind == MEMFD || kind == HUGETLB) {
        fd = memfd_create("ram", kind == HUGETLB ? MFD_HUGETLB : 0);
        if (fd < 0 || ftruncate(fd, (off_t)length) < 0)
            return NULL;
        flags = MAP_SHARED;
    }
    memory = mmap(NULL, reserve, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (fd >= 0)
        close(fd);
    if (memory == MAP_FAILED)
        return NULL;
    if (kind == ANONYMOUS_HUGE) {
        memory = (void *)(((uintptr_t)memory + (2 << 20) - 1) &
                          ~(uintptr_t)((2 << 20) - 1));
        madvise(memory, length, MADV_HUGEPAGE);
    }
    return memory;
}

static void begin(int kind)
{
    struct vmmig_block_config config = {
        .struct_size = sizeof config,
        .name = "ram",
        .host_address = map_kind(kind),
        .length_bytes = PAGES * PAGE_BYTES,
    };
    struct vmmig__write_tracking *tracking;
    vmmig_error *error = NULL;

    ck_assert_ptr_nonnull(config.host_address);
    blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    ram = vmmig__ram_blocks_add(blocks, &config, &error);
    ck_assert_ptr_nonnull(ram);
    tracking = vmmig__write_tracking_new(blocks, &error);
    ck_assert_ptr_nonnull(tracking);
    sources = vmmig__dirty_sources_new();
    ck_assert(vmmig__dirty_sources_add(sources, &vmmig__write_tracking_ops,
                                       tracking, vmmig__write_tracking_free,
                                       &error));
}

static void end(void)
{
    vmmig__dirty_sources_free(sources);
    munmap(ram->host, ram->length_bytes);
    vmmig__ram_blocks_free(blocks);
}

static void start(void)
{
    vmmig_error *error = NULL;

    ck_assert_msg(vmmig__dirty_sources_start(sources, blocks, &error), "%s",
                  error ? vmmig_error_message(error) : "");
}

static void collect(void)
{
    vmmig_error *error = NULL;

    ck_assert_msg(vmmig__dirty_sources_collect(sources, &error), "%s",
                  error ? vmmig_error_message(error) : "");
}

static uint64_t count_dirty(void)
{
    return vmmig__bitmap_count(ram->dirty, PAGES);
}

static void forget_marks(void)
{
    vmmig__bitmap_clear(ram->dirty, 0, PAGES);
}

static void write_page(uint64_t page)
{
    ram->host[page * PAGE_BYTES + page % PAGE_BYTES]++;
}

START_TEST(exactly_the_written_pages_are_found)
{
    /* How many pages one write makes dirty. */
    uint64_t granule = _i == HUGETLB ? 512 : 1;

    begin(_i);
    memset(ram->host, 1, ram->length_bytes);
    start();
    collect();
    ck_assert_uint_eq(count_dirty(), 0);
    for (int round = 0; round < 3; round++) {
        uint64_t step = UINT64_C(7) + 6 * (uint64_t)round, expected = 0;

        for (uint64_t page = 1; page < PAGES; page += step)
            write_page(page);
        forget_marks();
        collect();
        for (uint64_t page = 0; page < PAGES; page++) {
            bool written =
                granule > 1 || (page >= 1 && (page - 1) % step == 0);

            expected += written;
            ck_assert_msg(vmmig__bitmap_test(ram->dirty, page) == written,
                          "page %d, round %d", (int)page, round);
        }
        ck_assert_uint_eq(count_dirty(), expected);
    }
    /* Reading is not writing. */
    forget_marks();
    for (uint64_t page = 0; page < PAGES; page++)
        ck_assert_int_ne(*(volatile uint8_t *)(ram->host + page * PAGE_BYTES),
                         0);
    collect();
    ck_assert_uint_eq(count_dirty(), 0);
    end();
}
END_TEST

START_TEST(a_first_touch_after_the_start_is_found)
{
    begin(_i);
    write_page(3);
    start();
    collect();
    forget_marks();
    write_page(5);
    write_page(PAGES - 1);
    collect();
    ck_assert(vmmig__bitmap_test(ram->dirty, 5));
    ck_assert(vmmig__bitmap_test(ram->dirty, PAGES - 1));
    end();
}
END_TEST

START_TEST(system_calls_that_write_are_found)
{
    int ends[2];

    begin(_i);
    memset(ram->host, 1, ram->length_bytes);
    start();
    collect();
    forget_marks();
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "guest", 5), 5);
    ck_assert_int_eq(read(ends[0], ram->host + 100 * PAGE_BYTES, 5), 5);
    close(ends[0]);
    close(ends[1]);
    collect();
    ck_assert(vmmig__bitmap_test(ram->dirty, 100));
    if (_i != HUGETLB)
        ck_assert_uint_eq(count_dirty(), 1);
    end();
}
END_TEST

/* Shared memory that lost its mapping, as when it is swapped out, still has
 * its content, and whether it was written must not be lost either. */
START_TEST(a_written_page_that_is_not_mapped_any_more_is_found)
{
    begin(_i);
    memset(ram->host, 1, ram->length_bytes);
    start();
    collect();
    forget_marks();
    write_page(100);
    ck_assert_int_eq(madvise(ram->host + 90 * PAGE_BYTES, 20 * PAGE_BYTES,
                             MADV_DONTNEED),
                     0);
    collect();
    ck_assert(vmmig__bitmap_test(ram->dirty, 100));
    ck_assert_uint_eq(count_dirty(), 1);
    ck_assert_int_ne(ram->host[101 * PAGE_BYTES], 0);
    end();
}
END_TEST

#define WRITERS 3

/* Each writer has its own counters: writer w's at byte 8 * w of each page. */
struct writer {
    pthread_t thread;
    atomic_bool *stop;
    uint64_t index;
    _Atomic(uint64_t) writes;
};

static void *write_at_random(void *data)
{
    struct writer *writer = data;
    GRand *random = g_rand_new_with_seed((guint32)writer->index);

    while (!atomic_load_explicit(writer->stop, memory_order_relaxed)) {
        uint64_t page = (uint64_t)g_rand_int_range(random, 0, PAGES);
        _Atomic(uint64_t) *counter =
            (void *)(ram->host + page * PAGE_BYTES + 8 * writer->index);

        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&writer->writes, 1, memory_order_relaxed);
    }
    g_rand_free(random);
    return NULL;
}

static bool all_have_written(struct writer *writers, uint64_t writes)
{
    for (int i = 0; i < WRITERS; i++) {
        if (atomic_load_explicit(&writers[i].writes, memory_order_relaxed) <
            writes)
            return false;
    }
    return true;
}

/* A page whose mark is taken is copied; when all is still and the last marks
 * have been taken, the copy must be equal. */
START_TEST(no_write_of_a_running_guest_is_lost)
{
    struct writer writers[WRITERS];
    atomic_bool quit = false;
    uint64_t *copy;
    uint64_t copied = 0;
    bool is_last = false;

    begin(_i);
    memset(ram->host, 0, ram->length_bytes);
    copy = g_malloc0(ram->length_bytes);
    start();
    for (uint64_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .stop = &quit, .index = i };
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL,
                                        write_at_random, &writers[i]),
                         0);
    }
    for (int round = 0; !is_last; round++) {
        uint64_t page = 0;

        if (round >= 200 && all_have_written(writers, 1000)) {
            atomic_store_explicit(&quit, true, memory_order_relaxed);
            for (int i = 0; i < WRITERS; i++)
                pthread_join(writers[i].thread, NULL);
            is_last = true;
        }
        collect();
        while ((page = vmmig__bitmap_find(ram->dirty, page, PAGES)) < PAGES) {
            const _Atomic(uint64_t) *from =
                (void *)(ram->host + page * PAGE_BYTES);

            ck_assert_uint_eq(vmmig__bitmap_claim(ram->dirty, page, page + 1),
                              1);
            for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
                copy[page * (PAGE_BYTES / 8) + i] =
                    atomic_load_explicit(&from[i], memory_order_relaxed);
            copied++;
        }
    }
    ck_assert_uint_gt(copied, 0);
    for (uint64_t page = 0; page < PAGES; page++)
        ck_assert_msg(!memcmp(ram->host + page * PAGE_BYTES,
                              copy + page * (PAGE_BYTES / 8), PAGE_BYTES),
                      "page %d differs", (int)page);
    g_free(copy);
    end();
}
END_TEST

START_TEST(tracking_starts_again_after_a_stop_and_covers_new_blocks)
{
    struct vmmig_block *late;

    begin(_i);
    start();
    vmmig__dirty_sources_stop(sources);
    write_page(7);
    late = add_block(blocks, "late", 64);
    memset(late->host, 1, late->length_bytes);
    start();
    collect();
    forget_marks();
    vmmig__bitmap_clear(late->dirty, 0, 64);
    late->host[9 * PAGE_BYTES] = 2;
    write_page(8);
    collect();
    ck_assert(vmmig__bitmap_test(ram->dirty, 8));
    ck_assert_uint_eq(vmmig__bitmap_count(late->dirty, 64), 1);
    ck_assert(vmmig__bitmap_test(late->dirty, 9));
    vmmig__dirty_sources_stop(sources);
    munmap(late->host, late->length_bytes);
    end();
}
END_TEST

START_TEST(memory_that_cannot_be_tracked_is_named)
{
    vmmig_error *error = NULL;

    begin(ANONYMOUS);
    munmap(ram->host, ram->length_bytes);
    ck_assert(!vmmig__dirty_sources_start(sources, blocks, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_SYSTEM);
    ck_assert_ptr_nonnull(
        strstr(vmmig_error_message(error), "block \"ram\""));
    vmmig_error_free(error);
    end();
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tests;
    SRunner *runner;
    vmmig_error *error = NULL;
    void *huge;
    int kinds = KINDS;

    if (!vmmig__write_tracking_probe(&error)) {
        printf("1..0 # SKIP %s\n", vmmig_error_message(error));
        vmmig_error_free(error);
        return 0;
    }
    huge = map_kind(HUGETLB);
    if (huge) {
        munmap(huge, PAGES * PAGE_BYTES);
    } else {
        printf("# no huge pages are set aside: hugetlb memory is not tested\n");
        kinds = HUGETLB;
    }
    suite = suite_create("write-tracking");
    tests = tcase_create("write-tracking");
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, exactly_the_written_pages_are_found, 0, kinds);
    tcase_add_loop_test(tests, a_first_touch_after_the_start_is_found, 0,
                        kinds);
    tcase_add_loop_test(tests, system_calls_that_write_are_found, 0, kinds);
    tcase_add_loop_test(tests,
                        a_written_page_that_is_not_mapped_any_more_is_found,
                        SHARED_ANONYMOUS, MEMFD + 1);
    tcase_add_loop_test(tests, no_write_of_a_running_guest_is_lost, 0, kinds);
    tcase_add_loop_test(
        tests, tracking_starts_again_after_a_stop_and_covers_new_blocks, 0,
        kinds);
    tcase_add_test(tests, memory_that_cannot_be_tracked_is_named);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    srunner_free(runner);
    return 0;
}

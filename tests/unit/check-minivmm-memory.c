/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the mini-VMM's guest memory comes from, and that a file is kept. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "examples/minivmm/guest-memory.h"
#include "unit/run-case.h"

#define BYTES ((uint64_t)64 << 10)

static char folder[64];
static char *path;

static void set_up(void)
{
    g_strlcpy(folder, "/tmp/check-minivmm-memory-XXXXXX", sizeof folder);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = g_build_filename(folder, "ram", NULL);
}

static void tear_down(void)
{
    g_unlink(path);
    g_rmdir(folder);
    g_free(path);
}

static void write_file(size_t length_bytes)
{
    char *bytes = g_strnfill(length_bytes, 'x');

    ck_assert(g_file_set_contents(path, bytes, (gssize)length_bytes, NULL));
    g_free(bytes);
}

static void expect_zeros(const struct guest_memory *memory)
{
    const char *bytes = memory->address;
    uint64_t i;

    ck_assert_uint_eq(memory->length_bytes, BYTES);
    for (i = 0; i < BYTES; i++)
        ck_assert_int_eq(bytes[i], 0);
}

START_TEST(new_memory_is_zero)
{
    static const enum guest_memory_kind kinds[] = {
        GUEST_MEMORY_ANON, GUEST_MEMORY_MEMFD, GUEST_MEMORY_FILE};
    struct guest_memory memory = GUEST_MEMORY_INIT;

    ck_assert(guest_memory_map(&memory, kinds[_i], "ram", path, BYTES, NULL));
    expect_zeros(&memory);
    ck_assert(!memory.has_content);
    ck_assert_int_eq(memory.shared, kinds[_i] == GUEST_MEMORY_FILE);
    ck_assert_int_eq(memory.fd >= 0, kinds[_i] != GUEST_MEMORY_ANON);
    guest_memory_unmap(&memory);
    ck_assert_ptr_null(memory.address);
}
END_TEST

START_TEST(the_content_of_a_file_is_the_memory)
{
    struct guest_memory memory = GUEST_MEMORY_INIT;
    char *bytes;
    gsize length_bytes;

    write_file(BYTES);
    ck_assert(
        guest_memory_map(&memory, GUEST_MEMORY_FILE, "ram", path, BYTES, NULL));
    ck_assert(memory.has_content);
    bytes = memory.address;
    ck_assert_int_eq(bytes[0], 'x');
    ck_assert_int_eq(bytes[BYTES - 1], 'x');
    bytes[0] = 'y';
    guest_memory_unmap(&memory);

    ck_assert(g_file_get_contents(path, &bytes, &length_bytes, NULL));
    ck_assert_uint_eq(length_bytes, BYTES);
    ck_assert_int_eq(bytes[0], 'y');
    ck_assert_int_eq(bytes[1], 'x');
    g_free(bytes);
}
END_TEST

START_TEST(a_file_of_another_size_is_refused_with_both_numbers)
{
    static const size_t sizes[] = {0, 1, BYTES - 1, BYTES + 4096};
    struct guest_memory memory = GUEST_MEMORY_INIT;
    GError *error = NULL;
    char *number = g_strdup_printf("%zu bytes", sizes[_i]);
    struct stat status;

    write_file(sizes[_i]);
    ck_assert(!guest_memory_map(&memory, GUEST_MEMORY_FILE, "ram", path, BYTES,
                                &error));
    ck_assert_ptr_nonnull(strstr(error->message, number));
    ck_assert_ptr_nonnull(strstr(error->message, "65536 bytes"));
    ck_assert_ptr_null(memory.address);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq((uint64_t)status.st_size, sizes[_i]);
    g_error_free(error);
    g_free(number);
}
END_TEST

START_TEST(a_folder_is_no_memory)
{
    struct guest_memory memory = GUEST_MEMORY_INIT;
    GError *error = NULL;

    ck_assert(!guest_memory_map(&memory, GUEST_MEMORY_FILE, "ram", folder,
                                BYTES, &error));
    ck_assert_ptr_nonnull(strstr(error->message, folder));
    g_error_free(error);
}
END_TEST

START_TEST(the_library_is_told_what_is_behind_it)
{
    struct guest_memory memory = GUEST_MEMORY_INIT;
    struct vmmig_block_config config;

    ck_assert(
        guest_memory_map(&memory, GUEST_MEMORY_FILE, "ram", path, BYTES, NULL));
    config = guest_memory_describe(&memory);
    ck_assert_ptr_eq(config.host_address, memory.address);
    ck_assert_uint_eq(config.length_bytes, BYTES);
    ck_assert_uint_eq(config.flags, VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED);
    ck_assert_int_eq(config.fd, memory.fd);
    guest_memory_unmap(&memory);

    ck_assert(
        guest_memory_map(&memory, GUEST_MEMORY_ANON, "ram", NULL, BYTES, NULL));
    ck_assert_uint_eq(guest_memory_describe(&memory).flags, 0);
    guest_memory_unmap(&memory);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("minivmm-memory");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, new_memory_is_zero, 0, 3);
    tcase_add_test(tcase, the_content_of_a_file_is_the_memory);
    tcase_add_loop_test(
        tcase, a_file_of_another_size_is_refused_with_both_numbers, 0, 4);
    tcase_add_test(tcase, a_folder_is_no_memory);
    tcase_add_test(tcase, the_library_is_told_what_is_behind_it);
    return run_case("minivmm-memory", tcase);
}

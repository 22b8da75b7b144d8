/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which blocks are refused, and finding those that are not. */
#include "guest-memory.h"

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block_config config;

static void setup(void)
{
    blocks = vmmig__ram_blocks_new(4096);
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.name = "ram";
    config.host_address = (void *)0x10000000;
    config.length_bytes = 0x10000;
}

static void teardown(void)
{
    vmmig__ram_blocks_free(blocks);
}

static struct vmmig_block *add(void)
{
    vmmig_error *error = NULL;
    struct vmmig_block *block = vmmig__ram_blocks_add(blocks, &config, &error);

    ck_assert_msg(block != NULL, "%s", error ? vmmig_error_message(error) : "");
    return block;
}

/* Refused as INVALID, with these words. */
static void expect_refusal(const char *words)
{
    vmmig_error *error = NULL;
    uint32_t before, after;

    vmmig__ram_blocks_get(blocks, &before);
    ck_assert_ptr_null(vmmig__ram_blocks_add(blocks, &config, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    ck_assert_msg(strstr(vmmig_error_message(error), words) != NULL,
                  "\"%s\" is not in \"%s\"", words, vmmig_error_message(error));
    vmmig_error_free(error);
    vmmig__ram_blocks_get(blocks, &after);
    ck_assert_uint_eq(before, after);
}

START_TEST(a_block_keeps_what_it_was_given)
{
    struct vmmig_block *block;

    config.flags = VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED;
    config.fd = 7;
    config.fd_offset_bytes = 0x2000;
    config.guest_address = 0x100000000;
    block = add();
    ck_assert_str_eq(block->name, "ram");
    ck_assert_uint_eq(block->page_count, 16);
    ck_assert_uint_eq(block->length_bytes, 0x10000);
    ck_assert_uint_eq(block->guest_address, 0x100000000);
    ck_assert_uint_eq(block->fd_offset_bytes, 0x2000);
    ck_assert_int_eq(block->fd, 7);
    ck_assert_uint_eq(block->flags, VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED);
    ck_assert_uint_eq(vmmig__ram_blocks_bytes(blocks), 0x10000);
}
END_TEST

START_TEST(without_the_flag_there_is_no_descriptor)
{
    config.fd = 0;
    ck_assert_int_eq(add()->fd, -1);
}
END_TEST

START_TEST(names_that_will_not_do_are_refused)
{
    char name[257];

    config.name = NULL;
    expect_refusal("needs a name");
    config.name = "";
    expect_refusal("needs a name");
    memset(name, 'x', 256);
    name[256] = 0;
    config.name = name;
    expect_refusal("has 256 bytes, the stream allows 255");
    name[255] = 0;
    add();
    config.host_address = (void *)0x20000000;
    expect_refusal("there is a block \"xxx");
}
END_TEST

START_TEST(addresses_and_lengths_that_will_not_do_are_refused_by_name)
{
    config.host_address = NULL;
    expect_refusal("block \"ram\" has no host address");
    config.host_address = (void *)0x10000800;
    expect_refusal("block \"ram\": its host address is not a multiple of the "
                   "page size of 4096 bytes");
    config.host_address = (void *)0x10000000;
    config.length_bytes = 0;
    expect_refusal("block \"ram\" has no bytes");
    config.length_bytes = 0x10001;
    expect_refusal("block \"ram\": its length of 0x10001 bytes is not a "
                   "multiple of the page size of 4096 bytes");
    config.length_bytes = UINT64_MAX - 4095;
    expect_refusal("block \"ram\": 0xfffffffffffff000 bytes go beyond the end");
    config.host_address = (void *)0x1000;
    config.length_bytes = UINT64_C(1) << 61;
    expect_refusal("guest memory has more than 0x1000000000000000");
}
END_TEST

START_TEST(flags_that_will_not_do_are_refused_by_name)
{
    config.flags = 0x80;
    expect_refusal("block \"ram\": unknown flags 0x80");
    config.flags = VMMIG_BLOCK_FD;
    config.fd = -1;
    expect_refusal("block \"ram\": VMMIG_BLOCK_FD with the descriptor -1");
    config.flags = 0;
    config.reserved = 1;
    expect_refusal("block \"ram\": reserved is 1, not 0");
}
END_TEST

START_TEST(overlapping_blocks_are_refused_with_both_names)
{
    static const struct {
        uintptr_t address;
        uint64_t length_bytes;
        bool overlaps;
    } rows[] = {
        { 0x10000000, 0x10000, true }, { 0x1000f000, 0x1000, true },
        { 0xffff000, 0x2000, true },   { 0xfff0000, 0x30000, true },
        { 0x10004000, 0x1000, true },  { 0xffff000, 0x1000, false },
        { 0x10010000, 0x1000, false },
    };

    add();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        config.name = i % 2 ? "odd" : "even";
        config.host_address = (void *)rows[i].address;
        config.length_bytes = rows[i].length_bytes;
        if (rows[i].overlaps) {
            char *words = g_strdup_printf(
                "block \"%s\" overlaps block \"ram\"", config.name);

            expect_refusal(words);
            g_free(words);
        } else {
            add();
        }
    }
}
END_TEST

START_TEST(there_is_a_limit_to_how_many_there_are)
{
    char name[16];

    config.name = name;
    config.length_bytes = 0x1000;
    for (unsigned i = 0; i < 4096; i++) {
        g_snprintf(name, sizeof name, "%u", i);
        config.host_address = (void *)(uintptr_t)(0x10000000 + i * 0x1000);
        add();
    }
    strcpy(name, "last");
    config.host_address = (void *)0x1000;
    expect_refusal("block \"last\" would be one more than 4096");
}
END_TEST

START_TEST(blocks_are_found_by_name)
{
    struct vmmig_block *ram = add(), *rom;

    config.name = "rom";
    config.host_address = (void *)0x20000000;
    rom = add();
    ck_assert_ptr_eq(vmmig__ram_blocks_find(blocks, "ram"), ram);
    ck_assert_ptr_eq(vmmig__ram_blocks_find(blocks, "rom"), rom);
    ck_assert_ptr_null(vmmig__ram_blocks_find(blocks, "ro"));
}
END_TEST

static const char *name_at(uintptr_t address, uint64_t length)
{
    struct vmmig_block *block =
        vmmig__ram_blocks_find_host(blocks, (const void *)address, length);

    return block ? block->name : "none";
}

START_TEST(blocks_are_found_by_address_whatever_their_order)
{
    static const struct {
        const char *name;
        uintptr_t address;
    } rows[] = {
        { "c", 0x30000000 }, { "a", 0x10000000 }, { "b", 0x20000000 }
    };

    ck_assert_str_eq(name_at(0x1000, 0x1000), "none");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        config.name = rows[i].name;
        config.host_address = (void *)rows[i].address;
        add();
    }
    ck_assert_str_eq(name_at(0x10000000, 1), "a");
    ck_assert_str_eq(name_at(0x1000ffff, 1), "a");
    ck_assert_str_eq(name_at(0x10010000, 1), "none");
    ck_assert_str_eq(name_at(0x10010000, 0xffff000), "b");
    ck_assert_str_eq(name_at(0x10010000, 0xfff0000), "none");
    ck_assert_str_eq(name_at(0x1fffffff, 2), "b");
    ck_assert_str_eq(name_at(0x3000ffff, 0x1000), "c");
    ck_assert_str_eq(name_at(0x30010000, UINT64_MAX - 0x30010000), "none");
}
END_TEST

START_TEST(a_removed_block_is_gone_and_its_memory_free_again)
{
    struct vmmig_block *ram = add(), *rom;
    struct vmmig_block *const *all;
    uint32_t count;

    config.name = "rom";
    config.host_address = (void *)0x20000000;
    rom = add();
    ck_assert_uint_eq(rom->index, 1);
    vmmig__ram_blocks_remove(blocks, ram);
    ck_assert_ptr_null(vmmig__ram_blocks_find(blocks, "ram"));
    ck_assert_str_eq(name_at(0x10000000, 0x10000), "none");
    all = vmmig__ram_blocks_get(blocks, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_eq(all[0], rom);
    ck_assert_uint_eq(rom->index, 0);
    ck_assert_uint_eq(vmmig__ram_blocks_bytes(blocks), 0x10000);
    config.name = "ram";
    config.host_address = (void *)0x10000000;
    ck_assert_str_eq(add()->name, "ram");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ram-blocks");
    TCase *tests = tcase_create("ram-blocks");
    SRunner *runner;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_block_keeps_what_it_was_given);
    tcase_add_test(tests, without_the_flag_there_is_no_descriptor);
    tcase_add_test(tests, names_that_will_not_do_are_refused);
    tcase_add_test(tests,
                   addresses_and_lengths_that_will_not_do_are_refused_by_name);
    tcase_add_test(tests, flags_that_will_not_do_are_refused_by_name);
    tcase_add_test(tests, overlapping_blocks_are_refused_with_both_names);
    tcase_add_test(tests, there_is_a_limit_to_how_many_there_are);
    tcase_add_test(tests, blocks_are_found_by_name);
    tcase_add_test(tests, blocks_are_found_by_address_whatever_their_order);
    tcase_add_test(tests, a_removed_block_is_gone_and_its_memory_free_again);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    srunner_free(runner);
    return 0;
}

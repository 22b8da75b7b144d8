/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is accepted in the RAM section, what is refused and in which words.
 */
#include "ram-stream.h"

#include <pthread.h>

#include "run-case.h"
#include "ram/received-pages.h"

#define RAM_PAGES 32
#define ROM_PAGES 4

static struct vmmig__ram_blocks *blocks;
static struct vmmig_block *block_ram, *block_rom;
static struct vmmig__ram ram;
static struct vmmig_writer *out; /* where a test writes its stream */
static struct vmmig_reader *in;
static struct piecewise from;

static void setup(void)
{
    vmmig_error *error = NULL;

    blocks = vmmig__ram_blocks_new((uint32_t)PAGE_BYTES);
    block_ram = add_block(blocks, "ram", RAM_PAGES);
    block_rom = add_block(blocks, "rom", ROM_PAGES);
    vmmig__ram_init(&ram, blocks, NULL, &vmmig__monotonic_clock);
    ck_assert(vmmig__ram_ops.load_setup(&ram, &error));
    out = vmmig__writer_new_memory();
    in = NULL;
}

static void teardown(void)
{
    vmmig__ram_ops.load_cleanup(&ram);
    vmmig__reader_free(in);
    vmmig__writer_free(out);
    free_memory(blocks);
}

/* Makes `in` read what was written. */
static void open_stream(void)
{
    uint64_t length;
    const uint8_t *bytes = vmmig__writer_get_bytes(out, &length);

    vmmig__reader_free(in);
    from = (struct piecewise){ bytes, length, 0, UINT64_MAX, 0 };
    in = piecewise_reader(&from);
}

static void load(uint32_t phase)
{
    vmmig_error *error = NULL;

    ck_assert_msg(load_body(&ram, in, phase, &error), "%s",
                  error ? vmmig_error_message(error) : "");
}

/* The start is loaded; what the test writes now is a PART that is refused. */
static void refuse(uint32_t code, const char *words)
{
    vmmig_error *error = NULL;

    open_stream();
    load(VMMIG_PHASE_SETUP);
    ck_assert(!load_body(&ram, in, VMMIG_PHASE_ITERATE, &error));
    ck_assert_str_eq(vmmig_error_detail(error, "section"), "ram");
    ck_assert_ptr_nonnull(vmmig_error_detail(error, "offset"));
    expect_error(&error, code, words);
}

static void refuse_start(uint32_t code, const char *words)
{
    vmmig_error *error = NULL;

    open_stream();
    ck_assert(!load_body(&ram, in, VMMIG_PHASE_SETUP, &error));
    expect_error(&error, code, words);
}

START_TEST(pages_and_zeros_land_where_they_belong)
{
    fill_page(block_ram, 7, 9); /* memory that is not fresh */
    put_setup(out, blocks);
    put_test_page(out, "ram", 3, 1);
    put_test_page(out, NULL, RAM_PAGES - 1, 1);
    put_test_zero(out, NULL, 7);
    put_test_page(out, "rom", 0, 1);
    vmmig__put_ram_end(out);
    put_test_zero(out, NULL, 1); /* CONTINUE goes on in the next section */
    put_test_page(out, "ram", 3, 2);
    vmmig__put_ram_end(out);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    load(VMMIG_PHASE_ITERATE);
    ck_assert(page_has(block_ram, 3, 1));
    load(VMMIG_PHASE_COMPLETE);
    ck_assert(page_has(block_ram, 3, 2));
    ck_assert(page_has(block_ram, RAM_PAGES - 1, 1));
    ck_assert(page_has(block_rom, 0, 1));
    ck_assert(page_is_zero(block_ram, 7));
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        bool received = page == 3 || page == 7 || page == RAM_PAGES - 1;

        ck_assert_int_eq(vmmig__received_pages_has(block_ram, page), received);
        ck_assert(page == 3 || page == RAM_PAGES - 1 ||
                  page_is_zero(block_ram, page));
    }
    ck_assert(vmmig__received_pages_has(block_rom, 1));
    ck_assert_uint_eq(atomic_load(&ram.counters.normal_pages), 4);
    ck_assert_uint_eq(atomic_load(&ram.counters.zero_pages), 2);
    ck_assert_uint_eq(atomic_load(&ram.counters.bytes), from.length);
}
END_TEST

START_TEST(bodies_end_at_their_eos)
{
    put_setup(out, blocks);
    vmmig__put_ram_end(out);
    vmmig_writer_put_u64(out, 0x1000 | VMMIG__RAM_EOS | VMMIG__RAM_CONTINUE);
    vmmig_writer_put_u8(out, 0x7e);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    load(VMMIG_PHASE_ITERATE);
    load(VMMIG_PHASE_COMPLETE);
    ck_assert_uint_eq(vmmig__reader_get_offset(in), from.length - 1);
}
END_TEST

START_TEST(pages_may_come_in_the_start)
{
    vmmig__put_block_list(out, (RAM_PAGES + ROM_PAGES) * PAGE_BYTES);
    vmmig__writer_put_name(out, "rom");
    vmmig_writer_put_u64(out, ROM_PAGES * PAGE_BYTES);
    vmmig__writer_put_name(out, "ram");
    vmmig_writer_put_u64(out, RAM_PAGES * PAGE_BYTES);
    put_test_page(out, "ram", 1, 1);
    vmmig__put_ram_end(out);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    ck_assert(page_has(block_ram, 1, 1));
}
END_TEST

static void *load_on_thread(void *unused)
{
    return load_body(&ram, in, VMMIG_PHASE_ITERATE, NULL) ? &ram : NULL;
}

START_TEST(the_stream_may_move_to_another_thread)
{
    pthread_t thread;
    void *result;

    put_setup(out, blocks);
    put_test_page(out, "rom", 0, 1);
    put_test_page(out, NULL, 1, 1);
    vmmig__put_ram_end(out);
    put_test_page(out, NULL, 2, 1);
    put_test_zero(out, NULL, 3);
    vmmig__put_ram_end(out);
    put_test_page(out, NULL, 3, 2);
    vmmig__put_ram_end(out);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    load(VMMIG_PHASE_ITERATE);
    ck_assert_int_eq(pthread_create(&thread, NULL, load_on_thread, NULL), 0);
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    load(VMMIG_PHASE_COMPLETE);
    ck_assert(page_has(block_rom, 0, 1));
    ck_assert(page_has(block_rom, 2, 1));
    ck_assert(page_has(block_rom, 3, 2));
}
END_TEST

/* -- another placer */

/* Takes pages into a buffer of its own, and writes down the calls. */
struct buffer_placer {
    uint8_t *bytes; /* for all of "ram" */
    GString *calls;
};

static uint8_t *buffer_target(void *data, struct vmmig_block *block,
                              uint64_t first_page, uint64_t page_count)
{
    struct buffer_placer *placer = data;

    g_string_append_printf(placer->calls, "target(%s,%u,%u) ", block->name,
                           (unsigned)first_page, (unsigned)page_count);
    return placer->bytes + first_page * PAGE_BYTES;
}

static bool buffer_landed(void *data, struct vmmig_block *block,
                          uint64_t first_page, uint64_t page_count,
                          vmmig_error **error)
{
    struct buffer_placer *placer = data;

    g_string_append_printf(placer->calls, "landed(%s,%u,%u) ", block->name,
                           (unsigned)first_page, (unsigned)page_count);
    return first_page != 30 || vmmig_error_set(error, VMMIG_ERROR_SYSTEM,
                                               "no room in the cache");
}

static bool buffer_zero(void *data, struct vmmig_block *block,
                        uint64_t first_page, uint64_t page_count,
                        vmmig_error **error)
{
    struct buffer_placer *placer = data;

    g_string_append_printf(placer->calls, "zero(%s,%u,%u) ", block->name,
                           (unsigned)first_page, (unsigned)page_count);
    memset(placer->bytes + first_page * PAGE_BYTES, 0,
           page_count * PAGE_BYTES);
    return true;
}

START_TEST(another_placer_gets_every_page_and_guest_memory_none)
{
    struct buffer_placer buffer = { g_malloc0(RAM_PAGES * PAGE_BYTES),
                                    g_string_new(NULL) };
    const struct vmmig__page_placer placer = {
        .target = buffer_target,
        .landed = buffer_landed,
        .zero = buffer_zero,
        .data = &buffer,
    };
    uint64_t words[PAGE_BYTES / 8];
    vmmig_error *error = NULL;

    ram.placer = &placer;
    put_setup(out, blocks);
    put_test_page(out, "ram", 4, 1);
    put_test_page(out, NULL, 5, 1);
    put_test_zero(out, NULL, 6);
    vmmig__put_ram_end(out);
    put_test_page(out, NULL, 30, 1);
    vmmig__put_ram_end(out);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    load(VMMIG_PHASE_ITERATE);
    ck_assert_str_eq(buffer.calls->str,
                     "target(ram,4,1) landed(ram,4,1) target(ram,5,1) "
                     "landed(ram,5,1) zero(ram,6,1) ");
    fill_words(words, 5, 1);
    ck_assert_mem_eq(buffer.bytes + 5 * PAGE_BYTES, words, PAGE_BYTES);
    for (uint64_t page = 0; page < RAM_PAGES; page++)
        ck_assert(page_is_zero(block_ram, page));
    ck_assert(!load_body(&ram, in, VMMIG_PHASE_COMPLETE, &error));
    ck_assert_str_eq(vmmig_error_detail(error, "block"), "ram");
    expect_error(&error, VMMIG_ERROR_SYSTEM,
                 "page at 0x1e000 of block \"ram\": no room in the cache");
    g_free(buffer.bytes);
    g_string_free(buffer.calls, TRUE);
}
END_TEST

/* -- refusals */

START_TEST(other_versions_are_refused)
{
    vmmig_error *error = NULL;

    put_setup(out, blocks);
    open_stream();
    vmmig__reader_enter_section(in, "ram", 2, VMMIG_PHASE_SETUP);
    ck_assert(!vmmig__ram_ops.load(&ram, in, 3, &error));
    expect_error(&error, VMMIG_ERROR_INCOMPATIBLE,
                 "the RAM section has version 3, known is 4");
    ck_assert(!vmmig__ram_ops.load(&ram, in, 5, &error));
    expect_error(&error, VMMIG_ERROR_INCOMPATIBLE, "has version 5");
}
END_TEST

START_TEST(words_without_a_meaning_are_refused)
{
    static const struct {
        uint64_t word;
        uint32_t code;
        const char *words;
    } rows[] = {
        { 0x1000, VMMIG_ERROR_PROTOCOL, "unknown flags 0x0" },
        { 0x00a, VMMIG_ERROR_PROTOCOL, "unknown flags 0xa" },
        { 0x210, VMMIG_ERROR_PROTOCOL, "unknown flags 0x210" },
        { 0x400, VMMIG_ERROR_PROTOCOL, "unknown flags 0x400" },
        { 0x001, VMMIG_ERROR_PROTOCOL, "unknown flags 0x1" },
        { 0x800, VMMIG_ERROR_PROTOCOL, "unknown flags 0x800" },
        { 0x020, VMMIG_ERROR_PROTOCOL, "unknown flags 0x20" },
        { 0x5009 | 0x20, VMMIG_ERROR_PROTOCOL,
          "the RAM word 0x5029 has the unknown flags 0x29" },
        { 0x040, VMMIG_ERROR_INCOMPATIBLE, "capability xbzrle" },
        { 0x060, VMMIG_ERROR_INCOMPATIBLE, "capability xbzrle" },
        { 0x080, VMMIG_ERROR_INCOMPATIBLE, "RDMA" },
        { 0x100, VMMIG_ERROR_INCOMPATIBLE, "capability compress" },
        { 0x200, VMMIG_ERROR_INCOMPATIBLE, "capability multifd" },
    };

    put_setup(out, blocks);
    vmmig_writer_put_u64(out, rows[_i].word);
    refuse(rows[_i].code, rows[_i].words);
}
END_TEST

START_TEST(a_page_outside_its_block_is_refused)
{
    vmmig_error *error = NULL;

    put_setup(out, blocks);
    put_test_page(out, "rom", ROM_PAGES, 1);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    ck_assert(!load_body(&ram, in, VMMIG_PHASE_ITERATE, &error));
    ck_assert_str_eq(vmmig_error_detail(error, "block"), "rom");
    expect_error(&error, VMMIG_ERROR_PROTOCOL,
                 "section \"ram\" (id 2): a page at 0x4000 of block \"rom\", "
                 "which has 0x4000 bytes");
}
END_TEST

START_TEST(a_continued_page_outside_its_block_is_refused)
{
    put_setup(out, blocks);
    put_test_page(out, "rom", ROM_PAGES - 1, 1);
    put_test_zero(out, NULL, UINT64_MAX / PAGE_BYTES);
    refuse(VMMIG_ERROR_PROTOCOL, "a page at 0xfffffffffffff000 of block");
}
END_TEST

START_TEST(an_unknown_block_is_refused)
{
    put_setup(out, blocks);
    put_test_page(out, "vga", 0, 1);
    refuse(VMMIG_ERROR_PROTOCOL, "a page of block \"vga\", which is not");
}
END_TEST

START_TEST(continue_needs_a_page_before_it)
{
    put_setup(out, blocks);
    put_test_page(out, NULL, 0, 1);
    refuse(VMMIG_ERROR_PROTOCOL, "but it is the first one");
}
END_TEST

START_TEST(a_block_without_a_name_is_refused)
{
    put_setup(out, blocks);
    vmmig_writer_put_u64(out, VMMIG__RAM_PAGE);
    vmmig_writer_put_u8(out, 0);
    refuse(VMMIG_ERROR_PROTOCOL, "block name is empty");
}
END_TEST

START_TEST(a_zero_page_that_is_not_zero_is_refused)
{
    put_setup(out, blocks);
    put_word(out, 0x2000 | VMMIG__RAM_ZERO, "ram");
    vmmig_writer_put_u8(out, 7);
    refuse(VMMIG_ERROR_PROTOCOL, "page at 0x2000 of block \"ram\": ");
}
END_TEST

START_TEST(a_block_list_after_the_start_is_refused)
{
    put_setup(out, blocks);
    put_setup(out, blocks);
    refuse(VMMIG_ERROR_PROTOCOL, "a list of blocks after the start");
}
END_TEST

static void put_list(uint64_t total, ...)
{
    va_list entries;
    const char *name;

    vmmig__put_block_list(out, total);
    va_start(entries, total);
    while ((name = va_arg(entries, const char *))) {
        vmmig__writer_put_name(out, name);
        vmmig_writer_put_u64(out, va_arg(entries, uint64_t));
    }
    va_end(entries);
}

#define RAM_BYTES (RAM_PAGES * PAGE_BYTES)
#define ROM_BYTES (ROM_PAGES * PAGE_BYTES)

START_TEST(a_second_block_list_is_refused)
{
    put_list(RAM_BYTES + ROM_BYTES, "ram", RAM_BYTES, "rom", ROM_BYTES, NULL);
    put_list(RAM_BYTES + ROM_BYTES, "ram", RAM_BYTES, "rom", ROM_BYTES, NULL);
    refuse_start(VMMIG_ERROR_PROTOCOL, "a second list of blocks");
}
END_TEST

START_TEST(a_start_without_a_block_list_is_refused)
{
    vmmig__put_ram_end(out);
    refuse_start(VMMIG_ERROR_PROTOCOL, "has no list of blocks");
}
END_TEST

START_TEST(a_page_before_the_block_list_is_refused)
{
    put_test_page(out, "ram", 0, 1);
    refuse_start(VMMIG_ERROR_PROTOCOL, "a page before the list of blocks");
}
END_TEST

START_TEST(a_block_that_is_not_here_is_refused)
{
    put_list(RAM_BYTES, "pc.ram", RAM_BYTES, NULL);
    refuse_start(VMMIG_ERROR_INCOMPATIBLE, "there is no block \"pc.ram\" here");
}
END_TEST

START_TEST(a_block_of_another_length_is_refused_with_both)
{
    put_list(RAM_BYTES, "ram", RAM_BYTES - PAGE_BYTES, "rom", ROM_BYTES, NULL);
    refuse_start(VMMIG_ERROR_INCOMPATIBLE,
                 "block \"ram\" has 0x1f000 bytes there and 0x20000 here");
}
END_TEST

START_TEST(a_block_that_the_source_has_not_is_refused)
{
    vmmig_error *error = NULL;

    put_list(RAM_BYTES, "ram", RAM_BYTES, NULL);
    open_stream();
    ck_assert(!load_body(&ram, in, VMMIG_PHASE_SETUP, &error));
    ck_assert_str_eq(vmmig_error_detail(error, "block"), "rom");
    expect_error(&error, VMMIG_ERROR_INCOMPATIBLE,
                 "block \"rom\" is not among the blocks of 0x20000 bytes "
                 "there; here they have 0x24000");
}
END_TEST

START_TEST(a_block_listed_twice_is_refused)
{
    put_list(2 * RAM_BYTES + ROM_BYTES, "ram", RAM_BYTES, "ram", RAM_BYTES,
             NULL);
    refuse_start(VMMIG_ERROR_PROTOCOL, "block \"ram\" is listed twice");
}
END_TEST

START_TEST(more_bytes_than_the_total_are_refused)
{
    put_list(RAM_BYTES, "rom", ROM_BYTES, "ram", RAM_BYTES, NULL);
    refuse_start(VMMIG_ERROR_PROTOCOL, "are left in the list");
}
END_TEST

/* -- x-ignore-shared */

static void put_shared_list(uint64_t rom_address)
{
    vmmig__put_block_list(out, RAM_BYTES + ROM_BYTES);
    vmmig__writer_put_name(out, "ram");
    vmmig_writer_put_u64(out, RAM_BYTES);
    vmmig_writer_put_u64(out, 0x1234000); /* not shared: not compared */
    vmmig__writer_put_name(out, "rom");
    vmmig_writer_put_u64(out, ROM_BYTES);
    vmmig_writer_put_u64(out, rom_address);
    vmmig__put_ram_end(out);
}

START_TEST(a_shared_block_must_be_at_the_same_guest_address)
{
    ram.settings.ignore_shared = true;
    block_rom->flags = VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED;
    block_rom->guest_address = 0xf0000;
    put_shared_list(0xf0000);
    open_stream();
    load(VMMIG_PHASE_SETUP);
    vmmig__writer_clear(out);
    ram.load.has_block_list = false;
    put_shared_list(0xe0000);
    refuse_start(VMMIG_ERROR_INCOMPATIBLE,
                 "the shared block \"rom\" is at the guest address 0xe0000 "
                 "there and at 0xf0000 here");
}
END_TEST

START_TEST(a_page_of_an_ignored_block_is_refused)
{
    ram.settings.ignore_shared = true;
    block_rom->flags = VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED;
    put_shared_list(0);
    put_test_page(out, "rom", 0, 1);
    refuse(VMMIG_ERROR_PROTOCOL, "which x-ignore-shared leaves out");
}
END_TEST

/* -- damage */

static void put_everything(void)
{
    put_setup(out, blocks);
    put_test_page(out, "rom", 1, 1);
    put_test_page(out, NULL, 2, 1);
    put_test_zero(out, "ram", 5);
    vmmig__put_ram_end(out);
    put_test_page(out, NULL, 7, 1);
    vmmig__put_ram_end(out);
}

static bool load_everything(vmmig_error **error)
{
    static const uint32_t phases[] = { VMMIG_PHASE_SETUP, VMMIG_PHASE_ITERATE,
                                       VMMIG_PHASE_COMPLETE };

    for (size_t i = 0; i < G_N_ELEMENTS(phases); i++) {
        if (!load_body(&ram, in, phases[i], error))
            return false;
    }
    return true;
}

static void start_again(void)
{
    vmmig_error *error = NULL;

    vmmig__ram_ops.load_cleanup(&ram);
    ck_assert(vmmig__ram_ops.load_setup(&ram, &error));
}

START_TEST(a_stream_that_ends_anywhere_is_an_error)
{
    put_everything();
    open_stream();
    for (uint64_t length = from.length; length-- > 0;) {
        vmmig_error *error = NULL;

        start_again();
        open_stream();
        from.length = length;
        ck_assert_msg(!load_everything(&error), "%u bytes",
                      (unsigned)length);
        expect_error(&error, VMMIG_ERROR_IO, "the stream ended");
    }
}
END_TEST

/* Every bit of every byte that is not page content: an error or a stream that
 * means something else, and nothing outside the blocks. */
START_TEST(a_flipped_control_bit_does_no_harm)
{
    GByteArray *stream = g_byte_array_new();
    uint64_t length, refused = 0, tried = 0;
    const uint8_t *bytes;

    put_everything();
    bytes = vmmig__writer_get_bytes(out, &length);
    g_byte_array_append(stream, bytes, (guint)length);
    for (uint64_t bit = 0; bit < 8 * length; bit++) {
        vmmig_error *error = NULL;

        /* In the middle of a page: not control. */
        if (bit / 8 % PAGE_BYTES > 256 && bit / 8 % PAGE_BYTES < 4000)
            continue;
        stream->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        start_again();
        vmmig__reader_free(in);
        from = (struct piecewise){ stream->data, length, 0, UINT64_MAX, 0 };
        in = piecewise_reader(&from);
        tried++;
        if (!load_everything(&error)) {
            refused++;
            ck_assert_ptr_nonnull(error);
            vmmig_error_free(error);
        }
        stream->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_lt(refused, tried);
    g_byte_array_unref(stream);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("ram-load");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pages_and_zeros_land_where_they_belong);
    tcase_add_test(tests, bodies_end_at_their_eos);
    tcase_add_test(tests, pages_may_come_in_the_start);
    tcase_add_test(tests, the_stream_may_move_to_another_thread);
    tcase_add_test(tests, another_placer_gets_every_page_and_guest_memory_none);
    tcase_add_test(tests, other_versions_are_refused);
    tcase_add_loop_test(tests, words_without_a_meaning_are_refused, 0, 13);
    tcase_add_test(tests, a_page_outside_its_block_is_refused);
    tcase_add_test(tests, a_continued_page_outside_its_block_is_refused);
    tcase_add_test(tests, an_unknown_block_is_refused);
    tcase_add_test(tests, continue_needs_a_page_before_it);
    tcase_add_test(tests, a_block_without_a_name_is_refused);
    tcase_add_test(tests, a_zero_page_that_is_not_zero_is_refused);
    tcase_add_test(tests, a_block_list_after_the_start_is_refused);
    tcase_add_test(tests, a_second_block_list_is_refused);
    tcase_add_test(tests, a_start_without_a_block_list_is_refused);
    tcase_add_test(tests, a_page_before_the_block_list_is_refused);
    tcase_add_test(tests, a_block_that_is_not_here_is_refused);
    tcase_add_test(tests, a_block_of_another_length_is_refused_with_both);
    tcase_add_test(tests, a_block_that_the_source_has_not_is_refused);
    tcase_add_test(tests, a_block_listed_twice_is_refused);
    tcase_add_test(tests, more_bytes_than_the_total_are_refused);
    tcase_add_test(tests, a_shared_block_must_be_at_the_same_guest_address);
    tcase_add_test(tests, a_page_of_an_ignored_block_is_refused);
    tcase_add_test(tests, a_stream_that_ends_anywhere_is_an_error);
    tcase_add_test(tests, a_flipped_control_bit_does_no_harm);
    return run_case("ram-load", tests);
}

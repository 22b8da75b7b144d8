/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream writer: what it puts, when it goes out, what happens to errors. */
#include <string.h>

#include "io/channel-memory.h"
#include "unit/wire-kit.h"

/* A channel that counts writes, keeps the bytes and can fail. */
static struct {
    GByteArray *bytes;
    uint64_t writes, most_parts;
    uint64_t fail_after; /* writes; 0: never */
} sink;

static struct vmmig_writer *writer;

static bool sink_writev(void *channel, const struct iovec *parts,
                        uint32_t count, uint64_t *ret_length_bytes,
                        vmmig_error **ret_error)
{
    *ret_length_bytes = 0;
    sink.writes++;
    sink.most_parts = MAX(sink.most_parts, count);
    if (sink.fail_after && sink.writes > sink.fail_after)
        return vmmig__fail(ret_error, VMMIG_ERROR_IO, "write %u is too many",
                           (unsigned)sink.writes);
    for (uint32_t i = 0; i < count; i++) {
        g_byte_array_append(sink.bytes, parts[i].iov_base,
                            (guint)parts[i].iov_len);
        *ret_length_bytes += parts[i].iov_len;
    }
    return true;
}

static void sink_shutdown(void *channel)
{
}

static void make_writer(void)
{
    static const struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .writev = sink_writev,
                .shutdown = sink_shutdown},
    };
    struct vmmig_channel *channel =
        vmmig__channel_new(&ops, NULL, NULL, "the test");

    vmmig__channel_set_name(channel, "main");
    sink.bytes = g_byte_array_new();
    writer = vmmig__writer_new(channel);
    vmmig_channel_unref(channel);
}

static void tear_down(void)
{
    vmmig__writer_free(writer);
    writer = NULL;
    if (sink.bytes)
        g_byte_array_unref(sink.bytes);
    memset(&sink, 0, sizeof sink);
    wire_kit_clear();
}

static void put_some(void)
{
    vmmig_writer_put_u8(writer, 0x01);
    vmmig_writer_put_u16(writer, 0x0203);
    vmmig_writer_put_u32(writer, 0x04050607);
    vmmig_writer_put_u64(writer, 0x08090a0b0c0d0e0f);
    vmmig_writer_put_bytes(writer, "tail", 4);
    vmmig__writer_put_name(writer, "mem");
}

static const char some[] = "01 0203 04050607 08090a0b0c0d0e0f 'tail' 03 'mem'";

START_TEST(numbers_are_big_endian)
{
    writer = vmmig__writer_new_memory();
    put_some();
    expect_written(writer, some);
    put_some();
    expect_written(writer, some);
}
END_TEST

START_TEST(nothing_goes_out_before_a_flush)
{
    GByteArray *expected = bytes_of(some);

    make_writer();
    put_some();
    ck_assert_uint_eq(sink.writes, 0);
    ck_assert_uint_eq(vmmig__writer_get_offset(writer), expected->len);
    ck_assert_uint_eq(vmmig__writer_get_pending(writer), expected->len);
    expect_ok(vmmig__writer_flush(writer, &error));
    ck_assert_uint_eq(sink.writes, 1);
    ck_assert_uint_eq(sink.most_parts, 1);
    ck_assert_uint_eq(vmmig__writer_get_pending(writer), 0);
    ck_assert_uint_eq(sink.bytes->len, expected->len);
    ck_assert_mem_eq(sink.bytes->data, expected->data, expected->len);
    expect_ok(vmmig__writer_flush(writer, &error));
    ck_assert_uint_eq(sink.writes, 1);
    g_byte_array_unref(expected);
}
END_TEST

START_TEST(references_are_not_copied)
{
    char page[4096];

    make_writer();
    memset(page, 'a', sizeof page);
    vmmig_writer_put_u8(writer, '<');
    vmmig__writer_put_reference(writer, page, sizeof page);
    vmmig_writer_put_u8(writer, '>');
    memset(page, 'b', sizeof page);
    expect_ok(vmmig__writer_flush(writer, &error));
    ck_assert_uint_eq(sink.most_parts, 3);
    ck_assert_uint_eq(sink.bytes->len, sizeof page + 2);
    ck_assert_int_eq(sink.bytes->data[0], '<');
    ck_assert_int_eq(sink.bytes->data[1], 'b');
    ck_assert_int_eq(sink.bytes->data[sizeof page], 'b');
    ck_assert_int_eq(sink.bytes->data[sizeof page + 1], '>');
}
END_TEST

START_TEST(memory_writer_copies_references)
{
    char page[4] = "aaaa";

    writer = vmmig__writer_new_memory();
    vmmig__writer_put_reference(writer, page, sizeof page);
    memset(page, 'b', sizeof page);
    expect_written(writer, "'aaaa'");
}
END_TEST

START_TEST(much_goes_out_by_itself_in_large_writes)
{
    static uint8_t memory[64][4096];
    uint64_t pages = 10000;

    make_writer();
    for (uint64_t i = 0; i < pages; i++) {
        memory[i % 64][0] = (uint8_t)(i % 64);
        vmmig_writer_put_u64(writer, i);
        vmmig__writer_put_reference(writer, memory[i % 64], 4096);
        ck_assert_uint_le(vmmig__writer_get_pending(writer), 2 << 20);
    }
    expect_ok(vmmig__writer_flush(writer, &error));
    ck_assert_uint_eq(sink.bytes->len, pages * (8 + 4096));
    /* About 1 MiB each. */
    ck_assert_uint_le(sink.writes, pages * 4104 / (1 << 20) + 2);
    for (uint64_t i = 0; i < pages; i++) {
        const uint8_t *record = sink.bytes->data + i * (8 + 4096);

        ck_assert_uint_eq(record[6] * 256u + record[7], i);
        ck_assert_uint_eq(record[8], i % 64);
    }
}
END_TEST

START_TEST(many_parts_go_out_by_themselves)
{
    make_writer();
    for (uint32_t i = 0; i < 5000; i++) {
        vmmig_writer_put_u8(writer, 'a');
        vmmig__writer_put_reference(writer, "bc", 2);
    }
    expect_ok(vmmig__writer_flush(writer, &error));
    ck_assert_uint_eq(sink.bytes->len, 15000);
    ck_assert_uint_le(sink.most_parts, 1000);
    ck_assert_uint_le(sink.writes, 11);
    for (uint32_t i = 0; i < 15000; i++)
        ck_assert_int_eq(sink.bytes->data[i], "abc"[i % 3]);
}
END_TEST

START_TEST(bytes_of_any_length_come_in_order)
{
    GByteArray *expected = g_byte_array_new();
    static const uint64_t lengths[] = {1,      10,     16383,   16384, 130000,
                                       131072, 200000, 3000000, 7,     131071};

    make_writer();
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        uint8_t *bytes = g_malloc(lengths[i]);

        memset(bytes, (int)i + 1, lengths[i]);
        g_byte_array_append(expected, bytes, (guint)lengths[i]);
        vmmig_writer_put_bytes(writer, bytes, lengths[i]);
        /* Lent for the call only. */
        memset(bytes, 0xee, lengths[i]);
        g_free(bytes);
    }
    vmmig_writer_put_bytes(writer, NULL, 0);
    expect_ok(vmmig__writer_flush(writer, &error));
    ck_assert_uint_eq(vmmig__writer_get_offset(writer), expected->len);
    ck_assert_uint_eq(sink.bytes->len, expected->len);
    ck_assert(memcmp(sink.bytes->data, expected->data, expected->len) == 0);
    g_byte_array_unref(expected);
}
END_TEST

START_TEST(first_error_is_kept_and_told_every_time)
{
    make_writer();
    sink.fail_after = 1;
    vmmig_writer_put_u8(writer, 1);
    expect_ok(vmmig__writer_flush(writer, &error));
    for (int i = 0; i < 3; i++) {
        vmmig_writer_put_u8(writer, 2);
        expect_refusal(vmmig__writer_flush(writer, &error), VMMIG_ERROR_IO,
                       "channel main: writing to the test: write 2 is too "
                       "many");
    }
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_IO,
                   "channel main: writing to the test: write 2 is too many");
    vmmig__writer_fail(writer, VMMIG_ERROR_INVALID, "later");
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_IO,
                   "channel main: writing to the test: write 2 is too many");
    ck_assert(!vmmig__writer_check(writer, NULL));
    ck_assert_uint_eq(sink.writes, 2);
    ck_assert_uint_eq(sink.bytes->len, 1);
}
END_TEST

START_TEST(error_keeps_its_details)
{
    make_writer();
    sink.fail_after = 1;
    vmmig_writer_put_u8(writer, 1);
    expect_ok(vmmig__writer_flush(writer, &error));
    vmmig_writer_put_u8(writer, 1);
    ck_assert(!vmmig__writer_flush(writer, &error));
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "main");
    ck_assert_str_eq(vmmig_error_detail(error, "peer"), "the test");
}
END_TEST

START_TEST(name_that_does_not_fit_is_an_error)
{
    char name[257];

    writer = vmmig__writer_new_memory();
    memset(name, 'n', sizeof name);
    name[255] = 0;
    vmmig__writer_put_name(writer, name);
    expect_ok(vmmig__writer_check(writer, &error));
    name[255] = 'n';
    name[256] = 0;
    vmmig__writer_put_name(writer, name);
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_INVALID,
                   "a name of 256 bytes cannot be sent: it has 1 to 255");
    vmmig__writer_clear(writer);
    expect_ok(vmmig__writer_check(writer, &error));
    vmmig__writer_put_name(writer, "");
    expect_refusal(vmmig__writer_check(writer, &error), VMMIG_ERROR_INVALID,
                   "a name of 0 bytes cannot be sent: it has 1 to 255");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("stream-writer");

    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, numbers_are_big_endian);
    tcase_add_test(tcase, nothing_goes_out_before_a_flush);
    tcase_add_test(tcase, references_are_not_copied);
    tcase_add_test(tcase, memory_writer_copies_references);
    tcase_add_test(tcase, much_goes_out_by_itself_in_large_writes);
    tcase_add_test(tcase, many_parts_go_out_by_themselves);
    tcase_add_test(tcase, bytes_of_any_length_come_in_order);
    tcase_add_test(tcase, first_error_is_kept_and_told_every_time);
    tcase_add_test(tcase, error_keeps_its_details);
    tcase_add_test(tcase, name_that_does_not_fit_is_an_error);
    return run_case("stream-writer", tcase);
}

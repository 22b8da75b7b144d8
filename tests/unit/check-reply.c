/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replies: the table, and what is refused. */
#include <string.h>

#include "unit/wire-kit.h"
#include "wire/reply.h"

static struct vmmig_reader *reader;
static struct vmmig_writer *writer;
static struct vmmig__reply reply;
static bool at_end;

static void set_up(void)
{
    writer = vmmig__writer_new_memory();
    at_end = true;
}

static void tear_down(void)
{
    vmmig__reader_free(reader);
    reader = NULL;
    vmmig__writer_free(writer);
    wire_kit_clear();
}

static bool get(const char *stream)
{
    vmmig__reader_free(reader);
    reader = reader_of(stream);
    return vmmig__get_reply(reader, &reply, &at_end, &error);
}

START_TEST(replies_are_read_as_they_are_written)
{
    static const struct {
        struct vmmig__reply reply;
        const char *name, *bytes;
    } cases[] = {
        {{.type = 1, .value = 0}, "SHUT", "0001 0004 00000000"},
        {{.type = 2, .value = 1}, "PONG", "0002 0004 00000001"},
        {{.type = 3,
          .start_bytes = 0x1f0000,
          .length_bytes = 4096,
          .block = "mem"},
         "REQ_PAGES_ID",
         "0003 0010 00000000001f0000 00001000 03 'mem'"},
        {{.type = 4, .start_bytes = 0x200000, .length_bytes = 0x200000},
         "REQ_PAGES",
         "0004 000c 0000000000200000 00200000"},
        {{.type = 5, .block = "mem"}, "RECV_BITMAP", "0005 0004 03 'mem'"},
        {{.type = 6, .value = 1}, "RESUME_ACK", "0006 0004 00000001"},
        {{.type = 7}, "SWITCHOVER_ACK", "0007 0000"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct vmmig__reply *expected = &cases[i].reply;

        vmmig__put_reply(writer, expected);
        expect_written(writer, cases[i].bytes);
        expect_ok(get(cases[i].bytes));
        ck_assert(!at_end);
        ck_assert_uint_eq(reply.type, expected->type);
        ck_assert_str_eq(vmmig__reply_name(reply.type), cases[i].name);
        ck_assert_uint_eq(reply.value, expected->value);
        ck_assert_uint_eq(reply.start_bytes, expected->start_bytes);
        ck_assert_uint_eq(reply.length_bytes, expected->length_bytes);
        ck_assert_str_eq(reply.block, expected->block);
        expect_end(reader);
    }
}
END_TEST

START_TEST(a_reason_has_words_that_are_fit_to_be_shown)
{
    expect_ok(get("8001 0004 'a' 0a 'b' 1b"));
    ck_assert_uint_eq(reply.type, VMMIG__REPLY_REASON);
    ck_assert_str_eq(reply.words, "a b ");
    vmmig__put_reply(writer, &reply);
    expect_written(writer, "8001 0004 'a b '");
    expect_failure(get("8001 0000"), VMMIG_ERROR_PROTOCOL, 2,
                   "reply REASON has 0 bytes of payload, not 1");
    expect_failure(get("8001 0201"), VMMIG_ERROR_PROTOCOL, 2,
                   "reply REASON has 513 bytes of payload, not 512");
    expect_failure(get("8001 0002 'a' ff"), VMMIG_ERROR_PROTOCOL, 4,
                   "the words of a REASON are not UTF-8");
    expect_failure(get("8001 0002 'a' 00"), VMMIG_ERROR_PROTOCOL, 4,
                   "the words of a REASON are not UTF-8");
}
END_TEST

START_TEST(end_between_replies_is_no_error)
{
    reply.type = 17;
    at_end = false;
    expect_ok(get(""));
    ck_assert(at_end);
    ck_assert_uint_eq(reply.type, 17);
}
END_TEST

START_TEST(end_inside_a_reply_is_an_error)
{
    GByteArray *bytes =
        bytes_of("0003 0010 00000000001f0000 00001000 03 'mem'");

    for (guint length = 1; length < bytes->len; length++) {
        reader = reader_of_bytes(bytes->data, length, UINT64_MAX);
        ck_assert(!vmmig__get_reply(reader, &reply, &at_end, &error));
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
        g_clear_error(&error);
        vmmig__reader_free(reader);
    }
    reader = NULL;
    g_byte_array_unref(bytes);
}
END_TEST

START_TEST(unknown_types_are_refused)
{
    expect_failure(get("0000 0000"), VMMIG_ERROR_PROTOCOL, 0,
                   "reply 0 is not known here; the last one is 7");
    expect_failure(get("0008 0000"), VMMIG_ERROR_PROTOCOL, 0,
                   "reply 8 is not known here; the last one is 7");
    expect_failure(get("fff8 0000"), VMMIG_ERROR_PROTOCOL, 0,
                   "reply 65528 is not known here; the last one is 7");
}
END_TEST

START_TEST(wrong_lengths_are_refused)
{
    static const struct {
        const char *stream;
        uint64_t offset;
        const char *words;
    } cases[] = {
        {"0001 0000", 2, "reply SHUT has 0 bytes of payload, not 4"},
        {"0002 0008 0000000000000001", 2,
         "reply PONG has 8 bytes of payload, not 4"},
        {"0003 000c 0000000000000000 00001000", 2,
         "reply REQ_PAGES_ID has 12 bytes of payload, not 14"},
        {"0003 0011 0000000000000000 00001000 03 'mem' 00", 16,
         "reply REQ_PAGES_ID has 17 bytes of payload, not 16"},
        {"0003 ffff", 2,
         "reply REQ_PAGES_ID has 65535 bytes of payload, not 268"},
        {"0004 000d 0000000000000000 00001000 00", 2,
         "reply REQ_PAGES has 13 bytes of payload, not 12"},
        {"0005 0005 03 'mem' 00", 4,
         "reply RECV_BITMAP has 5 bytes of payload, not 4"},
        {"0007 0001 00", 2,
         "reply SWITCHOVER_ACK has 1 bytes of payload, not 0"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        expect_failure(get(cases[i].stream), VMMIG_ERROR_PROTOCOL,
                       cases[i].offset, cases[i].words);
}
END_TEST

START_TEST(requests_that_make_no_sense_are_refused)
{
    expect_failure(get("0004 000c 0000000000001000 00000000"),
                   VMMIG_ERROR_PROTOCOL, 12,
                   "the requested range begins at 0x1000 and has 0x0 bytes");
    expect_failure(get("0004 000c ffffffffffffff00 00001000"),
                   VMMIG_ERROR_PROTOCOL, 12,
                   "the requested range begins at 0xffffffffffffff00 and has "
                   "0x1000 bytes");
}
END_TEST

START_TEST(bitmap_is_little_endian_in_whole_words)
{
    uint64_t words[2] = {0x8000000000000001, 0x3f};

    vmmig__put_received_bitmap(writer, words, 70);
    expect_written(writer, "0000000000000010 0100000000000080 3f00000000000000 "
                           "0123456789abcdef");
    reader = reader_of("0000000000000010 0100000000000080 3f00000000000000 "
                       "0123456789abcdef");
    memset(words, 0, sizeof words);
    expect_ok(vmmig__get_received_bitmap(reader, 70, words, &error));
    ck_assert_uint_eq(words[0], 0x8000000000000001);
    ck_assert_uint_eq(words[1], 0x3f);
    expect_end(reader);
}
END_TEST

START_TEST(bitmap_must_be_that_of_its_block)
{
    uint64_t words[2];

    reader = reader_of("0000000000000018");
    expect_failure(vmmig__get_received_bitmap(reader, 70, words, &error),
                   VMMIG_ERROR_PROTOCOL, 0,
                   "the bitmap has 24 bytes, but the block needs 16");
    vmmig__reader_free(reader);
    reader = reader_of("0000000000000008 0000000000000040 0123456789abcdef");
    expect_failure(vmmig__get_received_bitmap(reader, 62, words, &error),
                   VMMIG_ERROR_PROTOCOL, 8,
                   "the bitmap has bits beyond the 62 pages of its block");
    vmmig__reader_free(reader);
    reader = reader_of("0000000000000008 0000000000000040 0123456789abcdee");
    expect_failure(vmmig__get_received_bitmap(reader, 63, words, &error),
                   VMMIG_ERROR_PROTOCOL, 16,
                   "the bitmap ends with 0x123456789abcdee, not with "
                   "0x123456789abcdef");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("reply");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, replies_are_read_as_they_are_written);
    tcase_add_test(tcase, end_between_replies_is_no_error);
    tcase_add_test(tcase, end_inside_a_reply_is_an_error);
    tcase_add_test(tcase, a_reason_has_words_that_are_fit_to_be_shown);
    tcase_add_test(tcase, unknown_types_are_refused);
    tcase_add_test(tcase, wrong_lengths_are_refused);
    tcase_add_test(tcase, requests_that_make_no_sense_are_refused);
    tcase_add_test(tcase, bitmap_is_little_endian_in_whole_words);
    tcase_add_test(tcase, bitmap_must_be_that_of_its_block);
    return run_case("reply", tcase);
}

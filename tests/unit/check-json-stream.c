/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON values out of a stream of bytes, whole and broken. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "json-stream.h"
#include "unit/run-case.h"

#define MAX_BYTES 200

/* What came out: values in brackets, mistakes as an exclamation mark. */
static GString *seen;
static struct json_stream *stream;

static void see_value(void *data, const char *text, size_t length_bytes)
{
    ck_assert_uint_eq(strlen(text), length_bytes);
    g_string_append_printf(seen, "<%s>", text);
}

static void see_mistake(void *data, const char *why)
{
    ck_assert_uint_gt(strlen(why), 0);
    g_string_append_c(seen, '!');
}

static void set_up(void)
{
    seen = g_string_new(NULL);
    stream = json_stream_new(MAX_BYTES, see_value, see_mistake, NULL);
}

static void tear_down(void)
{
    json_stream_free(stream);
    g_string_free(seen, TRUE);
}

static void expect(const char *bytes, size_t length_bytes, const char *expected)
{
    size_t i;

    g_string_truncate(seen, 0);
    json_stream_feed(stream, bytes, length_bytes);
    ck_assert_str_eq(seen->str, expected);

    /* The cuts between reads mean nothing. */
    g_string_truncate(seen, 0);
    for (i = 0; i < length_bytes; i++)
        json_stream_feed(stream, bytes + i, 1);
    ck_assert_str_eq(seen->str, expected);
}

static void expect_text(const char *text, const char *expected)
{
    expect(text, strlen(text), expected);
}

START_TEST(a_value_is_complete_with_its_last_byte)
{
    expect_text("{\"a\":1}", "<{\"a\":1}>");
    expect_text("[1,2,{\"b\":[]}]", "<[1,2,{\"b\":[]}]>");
    expect_text("\"text\"", "<\"text\">");
    expect_text("{}{}", "<{}><{}>");
}
END_TEST

START_TEST(a_word_ends_with_what_follows)
{
    expect_text("12 ", "<12>");
    expect_text("true\n", "<true>");
    expect_text("-1.5e+3[]", "<-1.5e+3><[]>");
}
END_TEST

START_TEST(space_between_tokens_is_dropped)
{
    expect_text("{ \"a b\" :\r\n [ 1 ,\t2 ] }\n", "<{\"a b\":[1,2]}>");
}
END_TEST

START_TEST(brackets_in_strings_are_text)
{
    expect_text("{\"}\\\"]\":\"{[\\\\\"}", "<{\"}\\\"]\":\"{[\\\\\"}>");
}
END_TEST

START_TEST(a_mistake_is_noticed_where_it_is_made)
{
    json_stream_feed(stream, "{b", 2);
    ck_assert_str_eq(seen->str, "!");
    json_stream_feed(stream, "\n", 1);
    expect_text("{\"a\"}\n", "!");
    expect_text("{\"a\":}\n", "!");
    expect_text("{\"a\":1,}\n", "!");
    expect_text("[1 2]\n", "!");
    expect_text("[1}\n", "!");
    expect_text("[,]\n", "!");
    expect_text("nul\n", "!");
    expect_text("01\n", "!");
    expect_text("1.\n", "!");
    expect_text("-\n", "!");
    expect_text("}\n", "!");
}
END_TEST

START_TEST(the_line_after_a_mistake_is_understood)
{
    expect_text("{bad} {\"still\":\"skipped\"}\n{\"a\":1}\n", "!<{\"a\":1}>");
    expect_text("[1,\n{\"a\":1}]\n", "<[1,{\"a\":1}]>");
}
END_TEST

START_TEST(a_new_line_with_a_brace_ends_an_unfinished_value)
{
    expect_text("{\"a\":1\n{\"b\":2}\n", "!<{\"b\":2}>");
}
END_TEST

START_TEST(strings_are_checked)
{
    expect_text("\"\\u00e4\\n\\/\"", "<\"\\u00e4\\n\\/\">");
    expect_text("\"\\ud83d\\ude00\"", "<\"\\ud83d\\ude00\">");
    expect_text("\"\\ud83d\"\n", "!");
    expect_text("\"\\ude00\"\n", "!");
    expect_text("\"\\x\"\n", "!");
    expect_text("\"\\u00g0\"\n", "!");
    expect_text("\"a\nb\"\n", "!!");
    expect_text("\"\xc3\xa4\"", "<\"\xc3\xa4\">");
    expect_text("\"\xc3\"\n", "!");
}
END_TEST

START_TEST(binary_is_one_mistake_per_line)
{
    expect("\x00\xff\x01{\x80\n\xfe\n[]", 10, "!!<[]>");
}
END_TEST

START_TEST(what_is_too_long_is_refused_and_forgotten)
{
    char text[MAX_BYTES + 3];

    memset(text, 'x', sizeof text);
    text[0] = '"';
    text[MAX_BYTES - 1] = '"';
    text[MAX_BYTES] = '\0';
    g_string_truncate(seen, 0);
    json_stream_feed(stream, text, MAX_BYTES);
    ck_assert_uint_eq(seen->len, MAX_BYTES + 2);

    text[MAX_BYTES - 1] = 'x';
    text[MAX_BYTES] = '"';
    text[MAX_BYTES + 1] = '\n';
    expect(text, MAX_BYTES + 2, "!");
    expect_text("[]", "<[]>");
}
END_TEST

START_TEST(brackets_are_not_nested_without_end)
{
    char text[128];

    memset(text, '[', sizeof text);
    text[127] = '\n';
    expect(text, sizeof text, "!");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("json-stream");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_value_is_complete_with_its_last_byte);
    tcase_add_test(tcase, a_word_ends_with_what_follows);
    tcase_add_test(tcase, space_between_tokens_is_dropped);
    tcase_add_test(tcase, brackets_in_strings_are_text);
    tcase_add_test(tcase, a_mistake_is_noticed_where_it_is_made);
    tcase_add_test(tcase, the_line_after_a_mistake_is_understood);
    tcase_add_test(tcase, a_new_line_with_a_brace_ends_an_unfinished_value);
    tcase_add_test(tcase, strings_are_checked);
    tcase_add_test(tcase, binary_is_one_mistake_per_line);
    tcase_add_test(tcase, what_is_too_long_is_refused_and_forgotten);
    tcase_add_test(tcase, brackets_are_not_nested_without_end);
    return run_case("json-stream", tcase);
}

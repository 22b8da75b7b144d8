/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both ends of the return path: what is said, heard, and made of it. */
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "io/channel-memory.h"
#include "returnpath/returnpath-receive.h"
#include "returnpath/returnpath-send.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "wire/reply.h"

static struct vmmig_channel *ends[2]; /* 0: the source's */
static struct vmmig__return_path *path;
static struct vmmig__replies *replies;
static struct leftovers before;
static atomic_uint changes;

static void count_change(void *data)
{
    atomic_fetch_add(&changes, 1);
}

static void setup(void)
{
    before = leftovers_now();
    vmmig__channel_new_pair(NULL, NULL, ends);
    for (int i = 0; i < 2; i++)
        vmmig__channel_set_name(ends[i], "main");
    ck_assert(vmmig__return_path_start(ends[0], NULL, count_change, NULL, &path,
                                       NULL));
    replies = vmmig__replies_new(ends[1]);
}

static void teardown(void)
{
    vmmig__channel_shutdown(ends[0]);
    vmmig__return_path_free(path);
    vmmig__replies_free(replies);
    vmmig_channel_unref(ends[0]);
    vmmig_channel_unref(ends[1]);
    leftovers_assert(before);
}

static void say(const void *bytes, size_t length)
{
    struct iovec part = {(void *)bytes, length};

    ck_assert(vmmig__channel_write_all(ends[1], &part, 1, NULL));
}

static void hang_up(void)
{
    vmmig__channel_shutdown(ends[1]);
}

static bool has_changed(void *data)
{
    return atomic_load(&changes) > 0;
}

/* The last word, and what the error about it says. */
static void assert_last_word(enum vmmig__last_word expected, uint32_t code,
                             const char *words)
{
    vmmig_error *error = NULL, *again = NULL;

    ck_assert_int_eq(vmmig__return_path_wait(path, UINT64_MAX, &error),
                     expected);
    ck_assert_int_eq(vmmig__return_path_last_word(path, &again), expected);
    wait_for(has_changed, NULL);
    if (!words) {
        ck_assert_ptr_null(error);
        ck_assert_ptr_null(again);
        return;
    }
    ck_assert_uint_eq(vmmig_error_code(error), code);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
    ck_assert_str_eq(error->message, again->message);
    vmmig_error_free(error);
    vmmig_error_free(again);
}

START_TEST(nothing_is_heard_while_nothing_is_said)
{
    uint64_t now_us = vmmig__now_us();

    ck_assert_int_eq(vmmig__return_path_last_word(path, NULL),
                     VMMIG__NOTHING_YET);
    ck_assert_int_eq(vmmig__return_path_wait(path, now_us + 20000, NULL),
                     VMMIG__NOTHING_YET);
    ck_assert_uint_ge(vmmig__now_us(), now_us + 20000);
    ck_assert_uint_eq(vmmig__return_path_acks(path), 0);
}
END_TEST

START_TEST(shut_0_is_success)
{
    ck_assert(vmmig__replies_pong(replies, 1, NULL));
    ck_assert(vmmig__replies_pong(replies, 0xffffffff, NULL));
    ck_assert(vmmig__replies_shut(replies, 0, NULL));
    assert_last_word(VMMIG__SUCCESS, 0, NULL);
    hang_up();
    assert_last_word(VMMIG__SUCCESS, 0, NULL);
}
END_TEST

START_TEST(any_other_shut_is_failure)
{
    static const uint32_t values[] = {1, 2, 0x80000000, 0xffffffff};
    char *words = g_strdup_printf("SHUT %u", values[_i]);

    ck_assert(vmmig__replies_shut(replies, values[_i], NULL));
    assert_last_word(VMMIG__FAILURE, VMMIG_ERROR_IO, words);
    g_free(words);
}
END_TEST

START_TEST(a_reason_is_told_with_the_failure)
{
    ck_assert(vmmig__replies_reason(replies, "", NULL));
    ck_assert(vmmig__replies_reason(replies, "the first", NULL));
    ck_assert(vmmig__replies_reason(replies, "receive: out of luck", NULL));
    ck_assert(vmmig__replies_shut(replies, 1, NULL));
    assert_last_word(VMMIG__FAILURE, VMMIG_ERROR_IO,
                     "(SHUT 1): receive: out of luck");
}
END_TEST

/* Cut at a character, not in it. */
START_TEST(a_reason_may_be_too_long)
{
    GString *words = g_string_new("x");
    vmmig_error *error = NULL;

    while (words->len < 2 * VMMIG__MAX_REPLY_BYTES)
        g_string_append(words, "\xc3\xa4");
    ck_assert(vmmig__replies_reason(replies, words->str, NULL));
    ck_assert(vmmig__replies_shut(replies, 1, NULL));
    ck_assert_int_eq(vmmig__return_path_wait(path, UINT64_MAX, &error),
                     VMMIG__FAILURE);
    ck_assert(g_utf8_validate(error->message, -1, NULL));
    ck_assert_uint_ge(strlen(error->message), VMMIG__MAX_REPLY_BYTES - 2);
    vmmig_error_free(error);
    g_string_free(words, TRUE);
}
END_TEST

static bool has_ack(void *data)
{
    return vmmig__return_path_acks(path) == 1;
}

START_TEST(consent_is_counted_and_told_at_once)
{
    ck_assert(vmmig__replies_switchover_ack(replies, NULL));
    wait_for(has_ack, NULL);
    ck_assert_int_eq(vmmig__return_path_last_word(path, NULL),
                     VMMIG__NOTHING_YET);
    ck_assert(vmmig__replies_switchover_ack(replies, NULL));
    assert_last_word(VMMIG__LOST, VMMIG_ERROR_PROTOCOL,
                     "SWITCHOVER_ACK came 2 times");
}
END_TEST

START_TEST(an_end_without_a_word_is_a_loss)
{
    ck_assert(vmmig__replies_pong(replies, 1, NULL));
    hang_up();
    assert_last_word(VMMIG__LOST, VMMIG_ERROR_IO,
                     "return path: channel main, offset 0x8: the destination "
                     "closed the return path without a word");
}
END_TEST

START_TEST(an_end_inside_a_word_is_a_loss)
{
    say("\0\1\0\4\0\0\0", 7);
    hang_up();
    assert_last_word(VMMIG__LOST, VMMIG_ERROR_IO, "return path: channel main");
}
END_TEST

START_TEST(a_lost_link_is_a_loss)
{
    vmmig__channel_pair_cut(ends[0]);
    assert_last_word(VMMIG__LOST, VMMIG_ERROR_IO, "return path: channel main");
}
END_TEST

/* What only postcopy knows, what nobody knows, and lengths that are wrong. */
static const struct {
    const char *bytes;
    size_t length;
    const char *words;
} strange[] = {
    {"\0\4\0\14\0\0\0\0\0\0\0\0\0\0\20\0", 16, "not welcome in precopy"},
    {"\0\3\0\20\0\0\0\0\0\0\0\0\0\0\20\0\3ram", 20, "not welcome in precopy"},
    {"\0\0\0\4\0\0\0\0", 8, "reply 0"},
    {"\x7f\xff\0\4\0\0\0\0", 8, "reply 32767"},
    {"\0\1\0\5\0\0\0\0\0", 9, "SHUT"},
    {"\0\2\0\0", 4, "PONG"},
    {"\0\1\xff\xff", 4, "SHUT"},
};

START_TEST(strange_words_end_the_path)
{
    say(strange[_i].bytes, strange[_i].length);
    assert_last_word(VMMIG__LOST, VMMIG_ERROR_PROTOCOL, strange[_i].words);
}
END_TEST

/* Nobody reads after SHUT: the channel is another's then. */
START_TEST(nothing_counts_after_shut)
{
    ck_assert(vmmig__replies_shut(replies, 0, NULL));
    ck_assert(vmmig__replies_shut(replies, 1, NULL));
    ck_assert(vmmig__replies_switchover_ack(replies, NULL));
    assert_last_word(VMMIG__SUCCESS, 0, NULL);
    ck_assert_uint_eq(vmmig__return_path_acks(path), 0);
}
END_TEST

/* -- the destination's end --------------------------------------------------------- */

START_TEST(a_reply_that_cannot_be_sent_says_which)
{
    vmmig_error *error = NULL;

    vmmig__channel_pair_cut(ends[1]);
    ck_assert(!vmmig__replies_shut(replies, 0, &error));
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
    ck_assert(g_str_has_prefix(error->message,
                               "return path: SHUT: channel main: "));
    vmmig_error_free(error);
}
END_TEST

static void *send_pongs(void *data)
{
    for (uint32_t i = 0; i < 1000; i++) {
        if (!vmmig__replies_pong(replies, i, NULL))
            g_error("a pong was not sent");
    }
    return NULL;
}

/* Whole messages, or the source would not understand them. */
START_TEST(replies_of_several_threads_do_not_mix)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, send_pongs, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert(vmmig__replies_shut(replies, 0, NULL));
    assert_last_word(VMMIG__SUCCESS, 0, NULL);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("returnpath");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, nothing_is_heard_while_nothing_is_said);
    tcase_add_test(tcase, shut_0_is_success);
    tcase_add_loop_test(tcase, any_other_shut_is_failure, 0, 4);
    tcase_add_test(tcase, a_reason_is_told_with_the_failure);
    tcase_add_test(tcase, a_reason_may_be_too_long);
    tcase_add_test(tcase, consent_is_counted_and_told_at_once);
    tcase_add_test(tcase, an_end_without_a_word_is_a_loss);
    tcase_add_test(tcase, an_end_inside_a_word_is_a_loss);
    tcase_add_test(tcase, a_lost_link_is_a_loss);
    tcase_add_loop_test(tcase, strange_words_end_the_path, 0,
                        G_N_ELEMENTS(strange));
    tcase_add_test(tcase, nothing_counts_after_shut);
    tcase_add_test(tcase, a_reply_that_cannot_be_sent_says_which);
    tcase_add_test(tcase, replies_of_several_threads_do_not_mix);
    return run_case("returnpath", tcase);
}

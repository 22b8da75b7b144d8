/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels in memory, and the links that tests choose for them. */
#include <check.h>
#include <string.h>

#include "base/clock.h"
#include "io/channel-memory.h"
#include "unit/channel-kit.h"
#include "unit/run-case.h"

static struct vmmig_channel *ends[2];
static vmmig_error *error;

static void make(const struct vmmig__memory_link *forth,
                 const struct vmmig__memory_link *back)
{
    vmmig__channel_new_pair(forth, back, ends);
    vmmig__channel_set_name(ends[0], "zero");
    vmmig__channel_set_name(ends[1], "one");
}

static void tear_down(void)
{
    ends[0] = vmmig_channel_unref(ends[0]);
    ends[1] = vmmig_channel_unref(ends[1]);
}

START_TEST(bytes_go_both_ways_at_once)
{
    struct job *jobs[4];

    make(&(struct vmmig__memory_link){.capacity_bytes = 4099},
         &(struct vmmig__memory_link){.capacity_bytes = 1});
    jobs[0] = job_write(ends[0], 3000000);
    jobs[1] = job_write(ends[1], 3000);
    jobs[2] = job_read(ends[0], 3000);
    jobs[3] = job_read(ends[1], 3000000);
    for (unsigned i = 0; i < 4; i++) {
        job_join(jobs[i]);
        ck_assert_ptr_null(jobs[i]->error);
        ck_assert_uint_eq(jobs[i]->done, jobs[i]->length);
        ck_assert(is_pattern(jobs[i]->bytes));
        job_free(jobs[i]);
    }
    ck_assert(vmmig__channel_is_two_way(ends[0]));
}
END_TEST

START_TEST(parts_are_filled_in_order)
{
    char a[4] = "", b[3] = "", c[10] = "";
    struct iovec parts[] = {{a, 3}, {NULL, 0}, {b, 2}, {c, 9}};
    uint64_t length;

    make(NULL, NULL);
    send_text(ends[0], "abcdefg");
    ck_assert(vmmig__channel_read(ends[1], parts, 4, &length, &error));
    ck_assert_uint_eq(length, 7);
    ck_assert_str_eq(a, "abc");
    ck_assert_str_eq(b, "de");
    ck_assert_str_eq(c, "fg");
}
END_TEST

START_TEST(closing_is_an_end_after_what_is_under_way)
{
    uint8_t byte = 0;
    struct iovec part = {&byte, 1};
    char *text;

    make(&(struct vmmig__memory_link){.delay_us = 20000}, NULL);
    send_text(ends[0], "last words");
    ends[0] = vmmig_channel_unref(ends[0]);
    text = receive_text(ends[1], 100);
    ck_assert_str_eq(text, "last words");
    g_free(text);
    ck_assert(!vmmig__channel_write_all(ends[1], &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO,
                 "channel one: writing to memory: the peer closed the "
                 "connection");
}
END_TEST

START_TEST(shutdown_wakes_a_reader)
{
    make(NULL, NULL);
    expect_shutdown_wakes_reader(ends[0]);
}
END_TEST

START_TEST(shutdown_wakes_a_writer)
{
    make(NULL, NULL);
    expect_shutdown_wakes_writer(ends[0]);
}
END_TEST

START_TEST(shutdown_wakes_the_peer_as_well)
{
    struct job *reader;

    make(NULL, NULL);
    reader = job_read(ends[1], 1);
    job_wait_blocked(reader);
    vmmig__channel_shutdown(ends[0]);
    job_join(reader);
    ck_assert_ptr_null(reader->error);
    ck_assert_uint_eq(reader->done, 0);
    job_free(reader);
}
END_TEST

START_TEST(wait_has_a_deadline)
{
    make(&(struct vmmig__memory_link){.capacity_bytes = 4}, NULL);
    ck_assert(vmmig__channel_wait(ends[0], true, 0, &error));
    ck_assert(!vmmig__channel_wait(ends[1], false, 5, &error));
    expect_error(&error, VMMIG_ERROR_TIMEOUT, "channel one: waiting for");
    send_text(ends[0], "full");
    ck_assert(vmmig__channel_wait(ends[1], false, -1, &error));
    ck_assert(!vmmig__channel_wait(ends[0], true, 0, &error));
    expect_error(&error, VMMIG_ERROR_TIMEOUT, "channel zero: waiting for");
}
END_TEST

/* Times have a lower bound only: a busy machine makes everything later. */
START_TEST(rate_is_not_exceeded)
{
    const uint64_t rate = 10000000, length = 1000000;
    struct job *writer;
    char *text;
    uint64_t start_us;

    make(&(struct vmmig__memory_link){.rate_bytes_per_s = rate}, NULL);
    start_us = vmmig__now_us();
    writer = job_write(ends[0], length);
    text = receive_text(ends[1], length);
    ck_assert_uint_ge(vmmig__now_us() - start_us,
                      length * G_USEC_PER_SEC / rate - 1);
    job_free(writer);
    g_free(text);
}
END_TEST

START_TEST(delay_does_not_cost_throughput)
{
    /* One delay for all of it, not one for each write. */
    const uint64_t delay_us = 30000;
    uint64_t start_us, end_us;
    char *text;

    make(&(struct vmmig__memory_link){.delay_us = delay_us}, NULL);
    start_us = vmmig__now_us();
    for (unsigned i = 0; i < 1000; i++)
        send_text(ends[0], "a");
    ck_assert(!vmmig__channel_wait(ends[1], false, 0, &error) ||
              vmmig__now_us() - start_us >= delay_us);
    g_clear_error(&error);
    text = receive_text(ends[1], 1000);
    end_us = vmmig__now_us();
    ck_assert_uint_ge(end_us - start_us, delay_us);
    ck_assert_uint_lt(end_us - start_us, 1000 * delay_us);
    g_free(text);
}
END_TEST

START_TEST(cut_link_delivers_exactly_what_went_through)
{
    struct job *writer, *reader, *other;

    make(&(struct vmmig__memory_link){.cut_after_bytes = 100001,
                                      .delay_us = 1000},
         NULL);
    other = job_read(ends[0], 1);
    reader = job_read(ends[1], 1000000);
    writer = job_write(ends[0], 1000000);
    job_join(writer);
    job_join(reader);
    job_join(other);
    expect_error(&writer->error, VMMIG_ERROR_IO, "closed the connection");
    expect_error(&reader->error, VMMIG_ERROR_IO, "closed the connection");
    expect_error(&other->error, VMMIG_ERROR_IO, "closed the connection");
    ck_assert_uint_eq(reader->done, 100001);
    ck_assert(is_pattern(reader->bytes));
    job_free(writer);
    job_free(reader);
    job_free(other);
}
END_TEST

START_TEST(cut_wakes_everybody)
{
    struct job *reader, *writer;

    make(NULL, NULL);
    writer = job_write(ends[0], UINT64_C(1) << 30);
    reader = job_read(ends[0], 1);
    job_wait_blocked(writer);
    job_wait_blocked(reader);
    vmmig__channel_pair_cut(ends[1]);
    job_join(reader);
    job_join(writer);
    expect_error(&reader->error, VMMIG_ERROR_IO, "closed the connection");
    expect_error(&writer->error, VMMIG_ERROR_IO, "closed the connection");
    job_free(reader);
    job_free(writer);
}
END_TEST

START_TEST(buffer_is_read_to_its_end)
{
    struct vmmig_channel *buffer = vmmig__channel_new_buffer("abcde", 5);
    char *text = receive_text(buffer, 100);

    ck_assert_str_eq(text, "abcde");
    ck_assert(!vmmig__channel_is_two_way(buffer));
    g_free(text);
    vmmig_channel_unref(buffer);
}
END_TEST

START_TEST(sink_takes_everything)
{
    GByteArray *array = g_byte_array_new();
    struct vmmig_channel *sink = vmmig__channel_new_sink(array);

    send_text(sink, "abc");
    send_text(sink, "de");
    ck_assert(vmmig__channel_finish(sink, &error));
    vmmig_channel_unref(sink);
    ck_assert_uint_eq(array->len, 5);
    ck_assert_mem_eq(array->data, "abcde", 5);
    g_byte_array_unref(array);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("channel-memory");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, bytes_go_both_ways_at_once);
    tcase_add_test(tcase, parts_are_filled_in_order);
    tcase_add_test(tcase, closing_is_an_end_after_what_is_under_way);
    tcase_add_test(tcase, shutdown_wakes_a_reader);
    tcase_add_test(tcase, shutdown_wakes_a_writer);
    tcase_add_test(tcase, shutdown_wakes_the_peer_as_well);
    tcase_add_test(tcase, wait_has_a_deadline);
    tcase_add_test(tcase, rate_is_not_exceeded);
    tcase_add_test(tcase, delay_does_not_cost_throughput);
    tcase_add_test(tcase, cut_link_delivers_exactly_what_went_through);
    tcase_add_test(tcase, cut_wakes_everybody);
    tcase_add_test(tcase, buffer_is_read_to_its_end);
    tcase_add_test(tcase, sink_takes_everything);
    return run_case("channel-memory", tcase);
}

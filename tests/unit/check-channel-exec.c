/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels to commands: what goes through, how they end, and that they do. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/channel-exec.h"
#include "unit/channel-kit.h"
#include "unit/run-case.h"

static vmmig_error *error;
static char *path;

static void set_up(void)
{
    int fd = g_file_open_tmp("check-channel-exec-XXXXXX", &path, NULL);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void tear_down(void)
{
    unlink(path);
    g_free(path);
    /* No child is left, not even a dead one. */
    ck_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static struct vmmig_channel *run_command(unsigned ends, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
static struct vmmig_channel *run_command(unsigned ends, const char *format, ...)
{
    struct vmmig_channel *channel;
    va_list arguments;
    char *command;

    va_start(arguments, format);
    command = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    channel = vmmig__channel_new_exec(command, ends, &error);
    if (!channel)
        ck_abort_msg("%s", error->message);
    vmmig__channel_set_name(channel, "main");
    g_free(command);
    return channel;
}

static void expect_file(const char *text)
{
    char *found;

    ck_assert(g_file_get_contents(path, &found, NULL, NULL));
    ck_assert_str_eq(found, text);
    g_free(found);
}

START_TEST(command_gets_what_is_written)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDIN, "tr a-z A-Z > %s", path);

    ck_assert(!vmmig__channel_is_two_way(channel));
    send_text(channel, "a guest");
    ck_assert(vmmig__channel_finish(channel, &error));
    expect_file("A GUEST"); /* it has ended: all is there */
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(output_of_a_command_is_read_to_its_end)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDOUT, "cat; printf abc; sleep 0.05; echo d");
    char *text = receive_text(channel, 100);

    ck_assert_str_eq(text, "abcd\n"); /* and stdin was empty */
    g_free(text);
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(both_ends_make_a_two_way_channel)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDIN | VMMIG__EXEC_STDOUT, "cat");
    char *text;

    ck_assert(vmmig__channel_is_two_way(channel));
    send_text(channel, "ping");
    text = receive_text(channel, 4);
    ck_assert_str_eq(text, "ping");
    ck_assert(vmmig__channel_finish(channel, &error));
    g_free(text);
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(large_stream_goes_through)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDIN | VMMIG__EXEC_STDOUT, "cat");
    struct job *writer = job_write(channel, 20000003);
    struct job *reader = job_read(channel, 20000003);

    job_join(writer);
    job_join(reader);
    ck_assert_uint_eq(reader->done, 20000003);
    ck_assert(is_pattern(reader->bytes));
    job_free(writer);
    job_free(reader);
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(finish_says_how_a_command_failed)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDIN, "cat > /dev/null; exit 3");

    send_text(channel, "x");
    ck_assert(!vmmig__channel_finish(channel, &error));
    expect_error(&error, VMMIG_ERROR_IO,
                 "channel main: finishing exec:cat > /dev/null; exit 3: the "
                 "command ended with status 3");
    vmmig_channel_unref(channel);

    channel = run_command(VMMIG__EXEC_STDIN, "kill -9 $$");
    ck_assert(!vmmig__channel_finish(channel, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the command was ended by signal 9");
    vmmig_channel_unref(channel);

    channel = run_command(VMMIG__EXEC_STDIN, "/nonexistent 2> /dev/null");
    ck_assert(!vmmig__channel_finish(channel, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the command ended with status 127");
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(end_of_output_of_a_failed_command_is_an_error)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDOUT, "printf half; exit 4");
    char *text = receive_text(channel, 4);
    uint8_t byte;
    struct iovec part = {&byte, 1};
    uint64_t length;

    ck_assert_str_eq(text, "half");
    ck_assert(!vmmig__channel_read(channel, &part, 1, &length, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the command ended with status 4");
    g_free(text);
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(writing_to_a_command_that_has_ended_is_an_error_and_no_signal)
{
    struct vmmig_channel *channel = run_command(VMMIG__EXEC_STDIN, "exit 0");
    struct job *writer = job_write(channel, UINT64_C(1) << 40);

    job_join(writer); /* this thread blocks signals, the next does not */
    expect_error(&writer->error, VMMIG_ERROR_IO,
                 "channel main: writing to exec:exit 0: the command has ended "
                 "without reading all of it");
    job_free(writer);
    job_free(job_write(channel, 1));
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(writing_to_a_command_that_failed_says_how)
{
    struct vmmig_channel *channel = run_command(VMMIG__EXEC_STDIN, "exit 3");
    struct job *writer = job_write(channel, UINT64_C(1) << 40);

    job_join(writer);
    expect_error(&writer->error, VMMIG_ERROR_IO,
                 "channel main: writing to exec:exit 3: the command ended with "
                 "status 3");
    job_free(writer);
    vmmig_channel_unref(channel);

    channel = run_command(VMMIG__EXEC_STDIN, "exec < /dev/null; sleep 1000");
    writer = job_write(channel, UINT64_C(1) << 40);
    job_join(writer);
    expect_error(&writer->error, VMMIG_ERROR_IO,
                 "the peer closed the connection");
    job_free(writer);
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(shutdown_wakes_a_reader_and_ends_the_command)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDOUT, "sleep 1000; echo");

    expect_shutdown_wakes_reader(channel);
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(shutdown_wakes_a_writer_and_ends_the_command)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDIN, "sleep 1000; echo");

    expect_shutdown_wakes_writer(channel);
    vmmig_channel_unref(channel);
}
END_TEST

struct finisher {
    struct vmmig_channel *channel;
    bool ok;
    vmmig_error *error;
};

static void *run_finish(void *data)
{
    struct finisher *finisher = data;

    finisher->ok = vmmig__channel_finish(finisher->channel, &finisher->error);
    return NULL;
}

START_TEST(shutdown_ends_the_wait_for_a_command)
{
    struct finisher finisher = {
        .channel = run_command(VMMIG__EXEC_STDIN, "sleep 1000; echo"),
    };
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, run_finish, &finisher), 0);
    vmmig__channel_shutdown(finisher.channel);
    pthread_join(thread, NULL);
    ck_assert(!finisher.ok);
    expect_error(&finisher.error, VMMIG_ERROR_IO, "the channel was shut down");
    vmmig_channel_unref(finisher.channel);
}
END_TEST

/* The pids of the group are written to the file, so that the test sees that
 * none of them is left. */
START_TEST(closing_ends_even_a_stubborn_command)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDOUT,
                    "trap '' TERM PIPE; echo $$ > %s; echo; "
                    "while :; do sleep 1000; done",
                    path);
    char *text = receive_text(channel, 1), *pid;
    uint64_t start_us = vmmig__now_us();

    vmmig_channel_unref(channel);
    /* Half a second each for itself and for SIGTERM, then SIGKILL. */
    ck_assert_uint_ge(vmmig__now_us() - start_us, 1000000);
    ck_assert(g_file_get_contents(path, &pid, NULL, NULL));
    ck_assert(kill(atoi(pid), 0) < 0 && errno == ESRCH);
    g_free(pid);
    g_free(text);
}
END_TEST

START_TEST(host_that_takes_the_status_is_told_so)
{
    struct vmmig_channel *channel =
        run_command(VMMIG__EXEC_STDIN, "cat > /dev/null");

    signal(SIGCHLD, SIG_IGN);
    ck_assert(!vmmig__channel_finish(channel, &error));
    expect_error(&error, VMMIG_ERROR_IO, "took the exit status");
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(command_has_clean_signals_and_no_descriptors_of_ours)
{
    struct vmmig_channel *channel;
    unsigned long long blocked, ignored;
    sigset_t all;
    int leaked = dup(0); /* not marked close-on-exec */
    char *text;

    ck_assert_int_gt(leaked, 2);
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    channel = run_command(VMMIG__EXEC_STDIN,
                          "grep -E '^Sig(Blk|Ign)' /proc/self/status > %s; "
                          "test -e /proc/$$/fd/%d && echo leaked >> %s; cat",
                          path, leaked, path);
    ck_assert(vmmig__channel_finish(channel, &error));
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_int_eq(
        sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    ck_assert_uint_eq(blocked, 0);
    ck_assert_uint_eq(ignored & (1u << (SIGPIPE - 1)), 0);
    ck_assert_ptr_null(strstr(text, "leaked"));
    g_free(text);
    vmmig_channel_unref(channel);
    close(leaked);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("channel-exec");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, command_gets_what_is_written);
    tcase_add_test(tcase, output_of_a_command_is_read_to_its_end);
    tcase_add_test(tcase, both_ends_make_a_two_way_channel);
    tcase_add_test(tcase, large_stream_goes_through);
    tcase_add_test(tcase, finish_says_how_a_command_failed);
    tcase_add_test(tcase, end_of_output_of_a_failed_command_is_an_error);
    tcase_add_test(
        tcase, writing_to_a_command_that_has_ended_is_an_error_and_no_signal);
    tcase_add_test(tcase, writing_to_a_command_that_failed_says_how);
    tcase_add_test(tcase, shutdown_wakes_a_reader_and_ends_the_command);
    tcase_add_test(tcase, shutdown_wakes_a_writer_and_ends_the_command);
    tcase_add_test(tcase, shutdown_ends_the_wait_for_a_command);
    tcase_add_test(tcase, closing_ends_even_a_stubborn_command);
    tcase_add_test(tcase, host_that_takes_the_status_is_told_so);
    tcase_add_test(tcase, command_has_clean_signals_and_no_descriptors_of_ours);
    return run_case("channel-exec", tcase);
}

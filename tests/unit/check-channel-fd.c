/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels over sockets, pipes and files. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stop-flag.h"
#include "io/channel-fd.h"
#include "io/connect.h"
#include "io/open.h"
#include "unit/channel-kit.h"
#include "unit/run-case.h"

static vmmig_error *error;
static char *directory;

static void set_up(void)
{
    directory = g_dir_make_tmp("check-channel-fd-XXXXXX", NULL);
    ck_assert_ptr_nonnull(directory);
}

static void tear_down(void)
{
    rmdir(directory);
    g_free(directory);
}

static struct vmmig_channel *channel_of(int fd)
{
    struct vmmig_channel *channel = vmmig_channel_new_fd(fd, &error);

    if (!channel)
        ck_abort_msg("%s", error->message);
    vmmig__channel_set_name(channel, "main");
    return channel;
}

/* [0] is read and [1] written; where both go both ways that is a habit. */
static void make_socket_pair(int fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
}

static void make_non_blocking_socket_pair(int fds[2])
{
    ck_assert_int_eq(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
        0);
}

static void make_pipe(int fds[2])
{
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
}

static const struct {
    const char *name;
    void (*make)(int fds[2]);
    bool two_way;
} kinds[] = {
    {"socket", make_socket_pair, true},
    {"non-blocking socket", make_non_blocking_socket_pair, true},
    {"pipe", make_pipe, false},
};

START_TEST(stream_arrives_as_it_was_sent)
{
    struct vmmig_channel *reader, *writer;
    struct job *read_job, *write_job;
    int fds[2];

    kinds[_i].make(fds);
    reader = channel_of(fds[0]);
    writer = channel_of(fds[1]);
    ck_assert(vmmig__channel_is_two_way(reader) == kinds[_i].two_way);
    write_job = job_write(writer, 20000003);
    read_job = job_read(reader, 30000000);
    job_join(write_job);
    ck_assert_ptr_null(write_job->error);
    ck_assert(vmmig__channel_finish(writer, &error));
    vmmig_channel_unref(writer);
    job_join(read_job);
    ck_assert_ptr_null(read_job->error);
    ck_assert_uint_eq(read_job->done, 20000003); /* and then the end */
    ck_assert(is_pattern(read_job->bytes));
    job_free(read_job);
    job_free(write_job);
    vmmig_channel_unref(reader);
}
END_TEST

START_TEST(shutdown_wakes_a_reader)
{
    struct vmmig_channel *channel;
    int fds[2];

    kinds[_i].make(fds);
    channel = channel_of(fds[0]);
    expect_shutdown_wakes_reader(channel);
    vmmig_channel_unref(channel);
    close(fds[1]);
}
END_TEST

START_TEST(shutdown_wakes_a_writer)
{
    struct vmmig_channel *channel;
    int fds[2];

    kinds[_i].make(fds);
    channel = channel_of(fds[1]);
    expect_shutdown_wakes_writer(channel);
    vmmig_channel_unref(channel);
    close(fds[0]);
}
END_TEST

START_TEST(wait_has_a_deadline)
{
    struct vmmig_channel *reader, *writer;
    int fds[2];

    kinds[_i].make(fds);
    reader = channel_of(fds[0]);
    writer = channel_of(fds[1]);
    ck_assert(!vmmig__channel_wait(reader, false, 0, &error));
    expect_error(&error, VMMIG_ERROR_TIMEOUT, "channel main: waiting for fd ");
    ck_assert(!vmmig__channel_wait(reader, false, 5, &error));
    expect_error(&error, VMMIG_ERROR_TIMEOUT, "timed out");
    ck_assert(vmmig__channel_wait(writer, true, 0, &error));
    send_text(writer, "x");
    ck_assert(vmmig__channel_wait(reader, false, 0, &error));
    ck_assert(vmmig__channel_wait(reader, false, -1, &error));
    vmmig_channel_unref(reader);
    vmmig_channel_unref(writer);
}
END_TEST

static int signals;

static void count_signal(int number)
{
    signals++;
}

START_TEST(lost_peer_is_an_error_and_no_signal)
{
    struct vmmig_channel *writer;
    sigset_t pending, mask;
    int fds[2];

    signal(SIGPIPE, count_signal);
    kinds[_i].make(fds);
    writer = channel_of(fds[1]);
    close(fds[0]);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t byte = 0;
        struct iovec part = {&byte, 1};

        ck_assert(!vmmig__channel_write_all(writer, &part, 1, &error));
        ck_assert(
            g_str_has_prefix(error->message, "channel main: writing to fd "));
        expect_error(&error, VMMIG_ERROR_IO, "the peer closed the connection");
    }
    ck_assert_int_eq(signals, 0);
    sigpending(&pending);
    ck_assert(!sigismember(&pending, SIGPIPE));
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    ck_assert(!sigismember(&mask, SIGPIPE));
    vmmig_channel_unref(writer);
}
END_TEST

START_TEST(pending_signal_of_the_host_stays_pending)
{
    struct vmmig_channel *writer;
    uint8_t byte = 0;
    struct iovec part = {&byte, 1};
    sigset_t sigpipe, pending;
    int fds[2];

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, NULL);
    pthread_kill(pthread_self(), SIGPIPE);
    make_pipe(fds);
    writer = channel_of(fds[1]);
    close(fds[0]);
    ck_assert(!vmmig__channel_write_all(writer, &part, 1, &error));
    g_clear_error(&error);
    sigpending(&pending);
    ck_assert(sigismember(&pending, SIGPIPE));
    vmmig_channel_unref(writer);
}
END_TEST

START_TEST(pipe_is_given_back_as_it_came)
{
    struct vmmig_channel *channel;
    int fds[2], other;

    make_pipe(fds);
    other = fcntl(fds[1], F_DUPFD_CLOEXEC, 0); /* as another process has */
    channel = channel_of(fds[1]);
    ck_assert(fcntl(other, F_GETFL) & O_NONBLOCK);
    vmmig_channel_unref(channel);
    ck_assert(!(fcntl(other, F_GETFL) & O_NONBLOCK));
    ck_assert_int_lt(fcntl(fds[1], F_GETFD), 0);
    close(other);
    close(fds[0]);
}
END_TEST

START_TEST(what_carries_no_stream_is_refused_and_closed)
{
    struct {
        int fd;
        const char *words;
    } rows[4];

    rows[0].fd = open("/", O_RDONLY | O_CLOEXEC);
    rows[0].words = "neither a socket nor a pipe nor a file";
    rows[1].fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    rows[1].words = "the socket is not a stream";
    rows[2].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(listen(rows[2].fd, 1), 0);
    rows[2].words = "the socket listens, it is not connected";
    rows[3].fd = eventfd(0, EFD_CLOEXEC);
    rows[3].words = "neither a socket nor a pipe nor a file";
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ck_assert_int_ge(rows[i].fd, 0);
        ck_assert_ptr_null(vmmig_channel_new_fd(rows[i].fd, &error));
        expect_error(&error, VMMIG_ERROR_INVALID, rows[i].words);
        ck_assert_int_lt(fcntl(rows[i].fd, F_GETFD), 0);
    }
    ck_assert_ptr_null(vmmig_channel_new_fd(-1, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "fd -1: it is not open");
    ck_assert_ptr_null(vmmig_channel_new_fd(987654, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "fd 987654: it is not open");
}
END_TEST

static struct vmmig__address *parse(const char *format, ...)
    G_GNUC_PRINTF(1, 2);
static struct vmmig__address *parse(const char *format, ...)
{
    struct vmmig__address *address = NULL;
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (!vmmig__address_parse(text, &address, &error))
        ck_abort_msg("%s", error->message);
    g_free(text);
    return address;
}

static struct vmmig_channel *connect_to(struct vmmig__address *address)
{
    struct vmmig_channel *channel = NULL;

    if (!vmmig__connect(address, NULL, -1, &channel, &error))
        ck_abort_msg("%s", error->message);
    vmmig__address_free(address);
    return channel;
}

static struct vmmig_channel *open_from(struct vmmig__address *address)
{
    struct vmmig_channel *channel = NULL;

    if (!vmmig__open_incoming(address, NULL, &channel, &error))
        ck_abort_msg("%s", error->message);
    vmmig__address_free(address);
    return channel;
}

static void save(struct vmmig_channel *channel, const char *text)
{
    send_text(channel, text);
    if (!vmmig__channel_finish(channel, &error))
        ck_abort_msg("%s", error->message);
    vmmig_channel_unref(channel);
}

static void expect_text(struct vmmig_channel *channel, const char *text)
{
    char *found = receive_text(channel, 1000);

    ck_assert_str_eq(found, text);
    g_free(found);
    vmmig_channel_unref(channel);
}

START_TEST(file_is_made_truncated_or_written_from_an_offset)
{
    char *path = g_build_filename(directory, "stream", NULL);
    struct stat status;

    save(connect_to(parse("file:%s", path)), "0123456789");
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 077, 0);
    expect_text(open_from(parse("file:%s", path)), "0123456789");
    expect_text(open_from(parse("file:%s,offset=4", path)), "456789");
    save(connect_to(parse("file:%s,offset=2", path)), "xy");
    expect_text(open_from(parse("file:%s", path)), "01xy456789");
    save(connect_to(parse("file:%s", path)), "new");
    expect_text(open_from(parse("file:%s", path)), "new");
    unlink(path);
    g_free(path);
}
END_TEST

START_TEST(file_errors_name_the_path)
{
    struct vmmig__address *address;
    struct vmmig_channel *channel;
    struct iovec part;

    address = parse("file:%s/none", directory);
    ck_assert(!vmmig__open_incoming(address, NULL, &channel, &error));
    ck_assert(g_str_has_prefix(error->message, "opening file:"));
    expect_error(&error, VMMIG_ERROR_IO, "/none: no such file or directory");
    vmmig__address_free(address);

    address = parse("file:%s", directory);
    ck_assert(!vmmig__connect(address, NULL, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_IO, "is a directory");
    vmmig__address_free(address);

    channel = connect_to(parse("file:/dev/full"));
    part = (struct iovec){(char *)"x", 1};
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO,
                 "writing to /dev/full: no space left on device");
    vmmig_channel_unref(channel);
}
END_TEST

START_TEST(inherited_file_goes_on_where_it_stands)
{
    char *path = g_build_filename(directory, "stream", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_int_eq(write(fd, "header", 6), 6);
    save(connect_to(parse("fd:%d", fcntl(fd, F_DUPFD, 0))), "body");
    ck_assert_int_eq(lseek(fd, 3, SEEK_SET), 3);
    expect_text(open_from(parse("fd:%d", fd)), "derbody");
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    unlink(path);
    g_free(path);
}
END_TEST

START_TEST(inherited_descriptor_of_the_wrong_direction_is_refused)
{
    struct vmmig__address *address;
    struct vmmig_channel *channel;
    int fds[2];

    make_pipe(fds);
    address = parse("fd:%d", fds[0]);
    ck_assert(!vmmig__connect(address, NULL, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "open only to be read");
    vmmig__address_free(address);
    address = parse("fd:%d", fds[1]);
    ck_assert(!vmmig__open_incoming(address, NULL, &channel, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "open only to be written");
    /* It was taken over, so it is closed. */
    ck_assert(!vmmig__open_incoming(address, NULL, &channel, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "the descriptor is not open");
    vmmig__address_free(address);
}
END_TEST

struct opener {
    struct vmmig__address *address;
    struct vmmig_channel *channel;
    vmmig_error *error;
};

static void *run_opener(void *data)
{
    struct opener *opener = data;

    if (!vmmig__open_incoming(opener->address, NULL, &opener->channel,
                              &opener->error))
        opener->channel = NULL;
    return NULL;
}

START_TEST(fifo_waits_for_its_other_end)
{
    char *path = g_build_filename(directory, "fifo", NULL);
    struct opener opener = {0};
    pthread_t thread;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    opener.address = parse("file:%s", path);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_opener, &opener), 0);
    save(connect_to(parse("file:%s", path)), "through the fifo");
    pthread_join(thread, NULL);
    ck_assert_ptr_null(opener.error);
    expect_text(opener.channel, "through the fifo");
    vmmig__address_free(opener.address);
    unlink(path);
    g_free(path);
}
END_TEST

START_TEST(stop_and_deadline_end_the_wait_for_a_fifo)
{
    char *path = g_build_filename(directory, "fifo", NULL);
    struct vmmig__address *address = parse("file:%s", path);
    struct vmmig__stop_flag stop;
    struct vmmig_channel *channel;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert(!vmmig__connect(address, NULL, 30, &channel, &error));
    expect_error(&error, VMMIG_ERROR_TIMEOUT, "no answer for 30 ms");
    ck_assert(vmmig__stop_flag_init(&stop, &error));
    vmmig__stop_flag_request(&stop);
    ck_assert(!vmmig__connect(address, &stop, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_CANCELLED, "cancelled");
    ck_assert(!vmmig__open_incoming(address, &stop, &channel, &error));
    expect_error(&error, VMMIG_ERROR_CANCELLED, "cancelled");
    vmmig__stop_flag_destroy(&stop);
    vmmig__address_free(address);
    unlink(path);
    g_free(path);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("channel-fd");
    const int all = G_N_ELEMENTS(kinds);

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, stream_arrives_as_it_was_sent, 0, all);
    tcase_add_loop_test(tcase, shutdown_wakes_a_reader, 0, all);
    tcase_add_loop_test(tcase, shutdown_wakes_a_writer, 0, all);
    tcase_add_loop_test(tcase, wait_has_a_deadline, 0, all);
    tcase_add_loop_test(tcase, lost_peer_is_an_error_and_no_signal, 0, all);
    tcase_add_test(tcase, pending_signal_of_the_host_stays_pending);
    tcase_add_test(tcase, pipe_is_given_back_as_it_came);
    tcase_add_test(tcase, what_carries_no_stream_is_refused_and_closed);
    tcase_add_test(tcase, file_is_made_truncated_or_written_from_an_offset);
    tcase_add_test(tcase, file_errors_name_the_path);
    tcase_add_test(tcase, inherited_file_goes_on_where_it_stands);
    tcase_add_test(tcase,
                   inherited_descriptor_of_the_wrong_direction_is_refused);
    tcase_add_test(tcase, fifo_waits_for_its_other_end);
    tcase_add_test(tcase, stop_and_deadline_end_the_wait_for_a_fifo);
    return run_case("channel-fd", tcase);
}

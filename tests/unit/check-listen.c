/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connecting and listening, over TCP and UNIX sockets. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/connect.h"
#include "io/listen.h"
#include "unit/channel-kit.h"
#include "unit/run-case.h"

static vmmig_error *error;
static struct vmmig__stop_flag stop;
static char *directory;

static void set_up(void)
{
    directory = g_dir_make_tmp("check-listen-XXXXXX", NULL);
    ck_assert_ptr_nonnull(directory);
    ck_assert(vmmig__stop_flag_init(&stop, &error));
}

static void tear_down(void)
{
    vmmig__stop_flag_destroy(&stop);
    ck_assert_int_eq(rmdir(directory), 0); /* no socket file is left */
    g_free(directory);
}

static struct vmmig__address *parse(const char *text)
{
    struct vmmig__address *address = NULL;

    if (!vmmig__address_parse(text, &address, &error))
        ck_abort_msg("%s", error->message);
    return address;
}

/* "unix:" is completed to a path in the test's directory. */
static struct vmmig__address *complete(const char *text)
{
    char *whole;
    struct vmmig__address *address;

    if (strcmp(text, "unix:") != 0)
        return parse(text);
    whole = g_strdup_printf("unix:%s/socket", directory);
    address = parse(whole);
    g_free(whole);
    return address;
}

static struct vmmig__listener *listen_on(const char *text,
                                         const struct vmmig__log *log)
{
    struct vmmig__address *address = complete(text);
    struct vmmig__listener *listener = NULL;

    if (!vmmig__listen(address, log, &listener, &error))
        ck_abort_msg("%s", error->message);
    vmmig__address_free(address);
    return listener;
}

/* (transfer full) */
static struct vmmig__address *address_of(struct vmmig__listener *listener)
{
    char *text = vmmig__listener_get_address(listener);
    struct vmmig__address *address = parse(text);

    g_free(text);
    return address;
}

static struct vmmig_channel *connect_to(struct vmmig__listener *listener)
{
    struct vmmig__address *address = address_of(listener);
    struct vmmig_channel *channel = NULL;

    if (!vmmig__connect(address, &stop, 10000, &channel, &error))
        ck_abort_msg("%s", error->message);
    vmmig__address_free(address);
    vmmig__channel_set_name(channel, "main");
    return channel;
}

static struct vmmig__accepted accept_next(struct vmmig__listener *listener)
{
    struct vmmig__accepted accepted;

    if (!vmmig__listener_next(listener, &stop, &accepted, &error))
        ck_abort_msg("%s", error->message);
    vmmig__channel_set_name(accepted.channel, "main");
    return accepted;
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 name = {.sin6_family = AF_INET6,
                                      .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has;

    if (fd < 0)
        return false;
    has = bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    close(fd);
    return has;
}

static const char *const places[] = {"tcp:127.0.0.1:0", "unix:", "tcp:[::1]:0"};
/* main() leaves the last one out where there is no IPv6. */
static int place_count = G_N_ELEMENTS(places);

START_TEST(first_bytes_are_seen_and_still_there)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig_channel *source = connect_to(listener);
    struct vmmig__accepted accepted;
    char *text;

    send_text(source, "QEVM");
    accepted = accept_next(listener);
    ck_assert_mem_eq(accepted.first, "QEVM", 4);
    ck_assert_str_eq(accepted.peer, vmmig__channel_get_peer(accepted.channel));
    send_text(source, "more");
    text = receive_text(accepted.channel, 8);
    ck_assert_str_eq(text, "QEVMmore");
    g_free(text);
    send_text(accepted.channel, "reply");
    text = receive_text(source, 5);
    ck_assert_str_eq(text, "reply");
    g_free(text);
    ck_assert(vmmig__channel_is_two_way(source));
    ck_assert(vmmig__channel_is_two_way(accepted.channel));
    vmmig_channel_unref(source);
    vmmig_channel_unref(accepted.channel);
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(large_stream_arrives_as_it_was_sent)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig_channel *source = connect_to(listener);
    struct job *writer = job_write(source, 20000003), *reader;
    struct vmmig__accepted accepted = accept_next(listener);

    reader = job_read(accepted.channel, 30000000);
    job_join(writer);
    ck_assert_ptr_null(writer->error);
    vmmig_channel_unref(source);
    job_join(reader);
    ck_assert_ptr_null(reader->error);
    ck_assert_uint_eq(reader->done, 20000003);
    ck_assert(is_pattern(reader->bytes));
    job_free(reader);
    job_free(writer);
    vmmig_channel_unref(accepted.channel);
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(shutdown_wakes_a_reader)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig_channel *source = connect_to(listener);

    expect_shutdown_wakes_reader(source);
    vmmig_channel_unref(source);
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(shutdown_wakes_a_writer)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig_channel *source = connect_to(listener);

    expect_shutdown_wakes_writer(source);
    vmmig_channel_unref(source);
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(lost_peer_is_named)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig_channel *source = connect_to(listener);
    struct vmmig__accepted accepted;
    struct job *writer;

    send_text(source, "QEVM");
    accepted = accept_next(listener);
    vmmig_channel_unref(accepted.channel); /* with four bytes unread: reset */
    writer = job_write(source, UINT64_C(1) << 30);
    job_join(writer);
    ck_assert(
        g_str_has_prefix(writer->error->message, "channel main: writing to "));
    expect_error(&writer->error, VMMIG_ERROR_IO,
                 "the peer closed the connection");
    job_free(writer);
    vmmig_channel_unref(source);
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(silent_stranger_holds_nobody_up)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig_channel *silent = connect_to(listener);
    struct vmmig_channel *slow = connect_to(listener);
    struct vmmig_channel *real = connect_to(listener);
    struct vmmig__accepted accepted;
    char *text;

    send_text(slow, "QE");
    send_text(real, "REAL");
    accepted = accept_next(listener);
    ck_assert_mem_eq(accepted.first, "REAL", 4);
    vmmig_channel_unref(accepted.channel);

    /* The slow one is served as soon as it has said enough. */
    send_text(slow, "VM!");
    accepted = accept_next(listener);
    ck_assert_mem_eq(accepted.first, "QEVM", 4);
    text = receive_text(accepted.channel, 5);
    ck_assert_str_eq(text, "QEVM!");
    g_free(text);
    vmmig_channel_unref(accepted.channel);
    vmmig_channel_unref(silent);
    vmmig_channel_unref(slow);
    vmmig_channel_unref(real);
    vmmig__listener_free(listener);
}
END_TEST

static void count_line(void *data, uint32_t level, const char *text)
{
    GPtrArray *lines = data;

    g_ptr_array_add(lines, g_strdup(text));
}

START_TEST(stranger_that_leaves_or_is_one_too_many_is_dropped_and_logged)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    const struct vmmig__log log = {count_line, lines};
    struct vmmig__listener *listener = listen_on(places[_i], &log);
    struct vmmig_channel *silent[65], *real;
    struct vmmig__accepted accepted;

    vmmig_channel_unref(connect_to(listener));
    real = connect_to(listener);
    send_text(real, "REAL");
    accepted = accept_next(listener);
    vmmig_channel_unref(accepted.channel);
    vmmig_channel_unref(real);
    ck_assert_uint_eq(lines->len, 1);
    ck_assert_ptr_nonnull(
        strstr(lines->pdata[0], "it was closed before it said anything"));

    /* The backlog is shorter than this, so some are taken in between. */
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++) {
        silent[i] = connect_to(listener);
        if (i % 30 != 29)
            continue;
        real = connect_to(listener);
        send_text(real, "REAL");
        accepted = accept_next(listener);
        vmmig_channel_unref(accepted.channel);
        vmmig_channel_unref(real);
    }
    real = connect_to(listener);
    send_text(real, "REAL");
    accepted = accept_next(listener);
    ck_assert_uint_ge(lines->len, 2);
    ck_assert_ptr_nonnull(
        strstr(lines->pdata[1], "too many others have come after it"));
    vmmig_channel_unref(accepted.channel);
    vmmig_channel_unref(real);
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++)
        vmmig_channel_unref(silent[i]);
    vmmig__listener_free(listener);
    g_ptr_array_unref(lines);
}
END_TEST

START_TEST(stop_ends_the_wait_for_a_connection)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig__accepted accepted;

    vmmig__stop_flag_request(&stop);
    ck_assert(!vmmig__listener_next(listener, &stop, &accepted, &error));
    ck_assert(g_str_has_prefix(error->message, "listening on "));
    expect_error(&error, VMMIG_ERROR_CANCELLED, "cancelled");
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(address_in_use_is_refused_by_name)
{
    struct vmmig__listener *listener = listen_on(places[_i], NULL);
    struct vmmig__address *address = address_of(listener);
    struct vmmig__listener *second;
    char *text = vmmig__listener_get_address(listener);
    char *expected =
        g_strdup_printf("listening on %s: address already in use", text);

    ck_assert(!vmmig__listen(address, NULL, &second, &error));
    ck_assert_str_eq(error->message, expected);
    expect_error(&error, VMMIG_ERROR_IO, "");
    vmmig__listener_free(listener);
    /* And afterwards it is free again. */
    ck_assert(vmmig__listen(address, NULL, &second, &error));
    vmmig__listener_free(second);
    vmmig__address_free(address);
    g_free(expected);
    g_free(text);
}
END_TEST

/* Bound, so that nobody else can have the address, and nobody listens. */
static int hold_address(const struct vmmig__address *address)
{
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof(struct sockaddr_in);
    int fd;

    if (address->kind == VMMIG__ADDRESS_UNIX) {
        struct sockaddr_un *local = (struct sockaddr_un *)&name;

        local->sun_family = AF_UNIX;
        g_strlcpy(local->sun_path, address->path, sizeof local->sun_path);
        length = sizeof *local;
    } else if (strchr(address->host, ':')) {
        name.ss_family = AF_INET6;
        ((struct sockaddr_in6 *)&name)->sin6_addr = in6addr_loopback;
        length = sizeof(struct sockaddr_in6);
    } else {
        name.ss_family = AF_INET;
        ((struct sockaddr_in *)&name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, length), 0);
    return fd;
}

static unsigned port_of(int fd)
{
    struct sockaddr_in6 name; /* the port is at the same place in both */
    socklen_t length = sizeof name;

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin6_port);
}

START_TEST(refused_connection_names_its_address)
{
    struct vmmig__address *address = complete(places[_i]);
    struct vmmig_channel *channel;
    int held = hold_address(address);
    char *text, *expected;

    if (address->kind == VMMIG__ADDRESS_TCP) {
        g_free(address->port);
        address->port = g_strdup_printf("%u", port_of(held));
    }
    text = vmmig__address_print(address);
    expected = g_strdup_printf("connecting to %s: connection refused", text);
    ck_assert(!vmmig__connect(address, &stop, -1, &channel, &error));
    ck_assert_str_eq(error->message, expected);
    expect_error(&error, VMMIG_ERROR_IO, "");
    close(held);
    if (address->path)
        unlink(address->path);
    vmmig__address_free(address);
    g_free(expected);
    g_free(text);
}
END_TEST

START_TEST(dead_socket_file_is_replaced_and_anything_else_is_not)
{
    struct vmmig__address *address = complete("unix:");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct vmmig__listener *listener;
    struct stat status;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, address->path, sizeof name.sun_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    close(fd);
    ck_assert(vmmig__listen(address, NULL, &listener, &error));
    vmmig__listener_free(listener);
    ck_assert_int_lt(stat(address->path, &status), 0);

    ck_assert(g_file_set_contents(address->path, "precious", -1, NULL));
    ck_assert(!vmmig__listen(address, NULL, &listener, &error));
    expect_error(&error, VMMIG_ERROR_IO, "address already in use");
    ck_assert_int_eq(stat(address->path, &status), 0);
    ck_assert_int_eq(status.st_size, 8);
    unlink(address->path);
    vmmig__address_free(address);
}
END_TEST

START_TEST(listener_removes_only_its_own_socket_file)
{
    struct vmmig__address *address = complete("unix:");
    struct vmmig__listener *listener = listen_on("unix:", NULL);
    struct stat status;

    unlink(address->path);
    ck_assert(g_file_set_contents(address->path, "another's", -1, NULL));
    vmmig__listener_free(listener);
    ck_assert_int_eq(stat(address->path, &status), 0);
    unlink(address->path);
    vmmig__address_free(address);
}
END_TEST

/* A bare system without /etc/hosts does not. */
static bool knows_itself(void)
{
    struct addrinfo *found;

    if (getaddrinfo("localhost", NULL, NULL, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

START_TEST(empty_host_is_every_address_on_one_port)
{
    struct vmmig__listener *listener = listen_on("tcp::0", NULL);
    struct vmmig__address *address = address_of(listener);
    char *rows[] = {
        g_strdup_printf("tcp:127.0.0.1:%s", address->port),
        knows_itself() ? g_strdup_printf("tcp:localhost:%s", address->port)
                       : NULL,
        has_ipv6() ? g_strdup_printf("tcp:[::1]:%s", address->port) : NULL,
    };

    ck_assert_str_ne(address->port, "0");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vmmig__address *to;
        struct vmmig_channel *channel;
        struct vmmig__accepted accepted;

        if (!rows[i])
            continue;
        to = parse(rows[i]);
        if (!vmmig__connect(to, &stop, 10000, &channel, &error))
            ck_abort_msg("%s", error->message);
        send_text(channel, "QEVM");
        accepted = accept_next(listener);
        vmmig_channel_unref(accepted.channel);
        vmmig_channel_unref(channel);
        vmmig__address_free(to);
        g_free(rows[i]);
    }
    vmmig__address_free(address);
    vmmig__listener_free(listener);
}
END_TEST

START_TEST(name_that_means_nothing_is_an_error)
{
    struct vmmig__address *address = parse("tcp:nobody.invalid:1");
    struct vmmig_channel *channel;
    struct vmmig__listener *listener;

    ck_assert(!vmmig__connect(address, &stop, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_IO,
                 "connecting to tcp:nobody.invalid:1: looking up "
                 "\"nobody.invalid\": ");
    ck_assert(!vmmig__listen(address, NULL, &listener, &error));
    expect_error(&error, VMMIG_ERROR_IO,
                 "listening on tcp:nobody.invalid:1: looking up ");
    vmmig__address_free(address);

    address = parse("tcp::1");
    ck_assert(!vmmig__connect(address, &stop, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "the address names no host");
    vmmig__address_free(address);

    address = parse("host:");
    ck_assert(!vmmig__connect(address, &stop, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "the host has to give");
    ck_assert(!vmmig__listen(address, NULL, &listener, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "not an address that listens");
    vmmig__address_free(address);
}
END_TEST

/* A UNIX socket whose queue is full: the only local connect() that waits. */
static int make_deaf_socket(const struct vmmig__address *address, int *ret_fill)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, address->path, sizeof name.sun_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    *ret_fill = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(*ret_fill, (struct sockaddr *)&name, sizeof name),
                     0);
    return fd;
}

START_TEST(connect_ends_at_its_deadline_and_when_told_to_stop)
{
    struct vmmig__address *address = complete("unix:");
    struct vmmig_channel *channel;
    int fill, deaf = make_deaf_socket(address, &fill);

    ck_assert(!vmmig__connect(address, &stop, 30, &channel, &error));
    ck_assert(g_str_has_prefix(error->message, "connecting to unix:"));
    expect_error(&error, VMMIG_ERROR_TIMEOUT, ": no answer for 30 ms");
    vmmig__stop_flag_request(&stop);
    ck_assert(!vmmig__connect(address, &stop, -1, &channel, &error));
    expect_error(&error, VMMIG_ERROR_CANCELLED, "cancelled");
    close(fill);
    close(deaf);
    unlink(address->path);
    vmmig__address_free(address);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("listen");

    if (!has_ipv6()) {
        printf("# SKIP: no IPv6 on the loopback interface\n");
        place_count--;
    }
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, first_bytes_are_seen_and_still_there, 0,
                        place_count);
    tcase_add_loop_test(tcase, large_stream_arrives_as_it_was_sent, 0,
                        place_count);
    tcase_add_loop_test(tcase, shutdown_wakes_a_reader, 0, place_count);
    tcase_add_loop_test(tcase, shutdown_wakes_a_writer, 0, place_count);
    tcase_add_loop_test(tcase, lost_peer_is_named, 0, place_count);
    tcase_add_loop_test(tcase, silent_stranger_holds_nobody_up, 0, place_count);
    tcase_add_loop_test(
        tcase, stranger_that_leaves_or_is_one_too_many_is_dropped_and_logged, 0,
        place_count);
    tcase_add_loop_test(tcase, stop_ends_the_wait_for_a_connection, 0,
                        place_count);
    tcase_add_loop_test(tcase, address_in_use_is_refused_by_name, 0,
                        place_count);
    tcase_add_loop_test(tcase, refused_connection_names_its_address, 0,
                        place_count);
    tcase_add_test(tcase,
                   dead_socket_file_is_replaced_and_anything_else_is_not);
    tcase_add_test(tcase, listener_removes_only_its_own_socket_file);
    tcase_add_test(tcase, empty_host_is_every_address_on_one_port);
    tcase_add_test(tcase, name_that_means_nothing_is_an_error);
    tcase_add_test(tcase, connect_ends_at_its_deadline_and_when_told_to_stop);
    return run_case("listen", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams over descriptors.
 *
 * A socket blocks in recvmsg() and sendmsg(), so that a megabyte is one system
 * call; shutdown(2) wakes both. Anything else is non-blocking and waits in
 * poll() together with an eventfd, because nothing wakes a write() that is
 * stuck in a full pipe.
 */
#include "io/fd-stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop-flag.h"
#include "io/io-error.h"

enum {
    /* As much as an unprivileged process may ask for. */
    PIPE_BYTES = 1024 * 1024,
    UNIX_SEND_BUFFER_BYTES = 512 * 1024,
};

struct vmmig__fd_stream {
    int fd;
    bool is_socket;
    bool was_blocking;            /* not a socket: the flag to put back */
    struct vmmig__stop_flag stop; /* not a socket: wakes those in poll() */
};

/* Whether this socket is connected and a stream; *ret_domain: AF_... */
static bool check_socket(int fd, int *ret_domain, vmmig_error **error)
{
    int type = 0, listens = 0;
    socklen_t length = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return vmmig__fail_errno(error, errno, "asking for a socket's type");
    if (type != SOCK_STREAM) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the socket is not a stream");
    }
    length = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 &&
        listens) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the socket listens, it is not connected");
    }
    length = sizeof *ret_domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, ret_domain, &length) < 0)
        return vmmig__fail_errno(error, errno, "asking for a socket's domain");
    return true;
}

static bool set_up_socket(struct vmmig__fd_stream *stream, vmmig_error **error)
{
    int domain, on = 1, buffer_bytes = UNIX_SEND_BUFFER_BYTES;

    if (!check_socket(stream->fd, &domain, error))
        return false;
    /* Both are for speed only, so a refusal is no failure: without NODELAY a
     * short message waits for the acknowledgement of the one before; a larger
     * buffer saves wake-ups. TCP's buffers are best left to the kernel. */
    if (domain == AF_INET || domain == AF_INET6)
        setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (domain == AF_UNIX) {
        setsockopt(stream->fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes,
                   sizeof buffer_bytes);
    }
    return true;
}

static bool set_up_other(struct vmmig__fd_stream *stream, mode_t mode,
                         vmmig_error **error)
{
    int flags = fcntl(stream->fd, F_GETFL);

    if (!S_ISFIFO(mode) && !S_ISCHR(mode)) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "it is neither a socket nor a pipe nor a file");
    }
    if (flags < 0 || (!(flags & O_NONBLOCK) &&
                      fcntl(stream->fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return vmmig__fail_errno(error, errno, "making it non-blocking");
    stream->was_blocking = !(flags & O_NONBLOCK);
    if (S_ISFIFO(mode))
        fcntl(stream->fd, F_SETPIPE_SZ, PIPE_BYTES); /* for speed only */
    return vmmig__stop_flag_init(&stream->stop, error);
}

struct vmmig__fd_stream *vmmig__fd_stream_new(int fd, vmmig_error **error)
{
    struct vmmig__fd_stream *stream = g_new0(struct vmmig__fd_stream, 1);
    struct stat status;
    bool ok;

    stream->fd = fd;
    stream->stop.event_fd = -1;
    if (fstat(fd, &status) < 0) {
        stream->fd = -1;
        ok = vmmig__fail(error, VMMIG_ERROR_INVALID, "it is not open");
    } else if (S_ISSOCK(status.st_mode)) {
        stream->is_socket = true;
        ok = set_up_socket(stream, error);
    } else {
        ok = set_up_other(stream, status.st_mode, error);
    }
    if (ok)
        return stream;
    vmmig__fd_stream_free(stream);
    return NULL;
}

bool vmmig__fd_stream_is_socket(const struct vmmig__fd_stream *stream)
{
    return stream->is_socket;
}

/* Until the descriptor is ready or the stream is shut down. */
static bool wait_until(struct vmmig__fd_stream *stream, short events,
                       uint64_t deadline_us, vmmig_error **error)
{
    struct pollfd polled[2] = {
        {.fd = stream->fd, .events = events},
        {.fd = stream->stop.event_fd, .events = POLLIN}, /* -1: left out */
    };

    for (;;) {
        struct timespec left = {0};
        uint64_t now_us = vmmig__now_us();
        int ready;

        if (deadline_us > now_us) {
            uint64_t left_us = deadline_us - now_us;

            left.tv_sec = (time_t)(left_us / G_USEC_PER_SEC);
            left.tv_nsec = (long)(left_us % G_USEC_PER_SEC) * 1000;
        }
        ready =
            ppoll(polled, 2, deadline_us == UINT64_MAX ? NULL : &left, NULL);
        if (ready > 0)
            return true;
        if (ready == 0 && vmmig__now_us() >= deadline_us)
            return vmmig__fail(error, VMMIG_ERROR_TIMEOUT, "timed out");
        if (ready < 0 && errno != EINTR)
            return vmmig__fail_io(error, errno);
    }
}

bool vmmig__fd_stream_wait(void *data, bool to_write, int64_t timeout_ms,
                           vmmig_error **error)
{
    uint64_t deadline_us = UINT64_MAX;

    if (timeout_ms >= 0)
        deadline_us = vmmig__now_us() + (uint64_t)timeout_ms * 1000;
    return wait_until(data, to_write ? POLLOUT : POLLIN, deadline_us, error);
}

/* The result of a read or a write that did not work: whether to try again. */
static bool try_again(struct vmmig__fd_stream *stream, short events,
                      vmmig_error **error)
{
    if (errno == EINTR)
        return true;
    /* A socket gets here when the host has made it non-blocking. */
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return wait_until(stream, events, UINT64_MAX, error);
    return vmmig__fail_io(error, errno);
}

/* A socket knows it by itself. */
static bool was_shut_down(const struct vmmig__fd_stream *stream)
{
    return !stream->is_socket && vmmig__stop_flag_is_requested(&stream->stop);
}

bool vmmig__fd_stream_readv(void *data, const struct iovec *parts,
                            uint32_t count, uint64_t *ret_length_bytes,
                            vmmig_error **error)
{
    struct vmmig__fd_stream *stream = data;
    struct msghdr message = {
        .msg_iov = (struct iovec *)parts, /* which recvmsg() does not change */
        .msg_iovlen = count,
    };

    for (;;) {
        ssize_t length;

        if (was_shut_down(stream))
            return vmmig__fail(error, VMMIG_ERROR_IO, "it was shut down");
        length = stream->is_socket ? recvmsg(stream->fd, &message, 0)
                                   : readv(stream->fd, parts, (int)count);
        if (length >= 0) {
            *ret_length_bytes = (uint64_t)length;
            return true;
        }
        if (!try_again(stream, POLLIN, error))
            return false;
    }
}

/* writev() to what has no MSG_NOSIGNAL: the signal is kept from the calling
 * thread, where the host may have a handler for it or none. */
static ssize_t write_without_signal(int fd, const struct iovec *parts,
                                    uint32_t count)
{
    const struct timespec at_once = {0};
    sigset_t sigpipe, before, pending;
    bool was_pending;
    ssize_t length;
    int cause;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    length = writev(fd, parts, (int)count);
    cause = errno;
    if (length < 0 && cause == EPIPE && !was_pending) {
        while (sigtimedwait(&sigpipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return length;
}

bool vmmig__fd_stream_writev(void *data, const struct iovec *parts,
                             uint32_t count, uint64_t *ret_length_bytes,
                             vmmig_error **error)
{
    struct vmmig__fd_stream *stream = data;
    struct msghdr message = {
        .msg_iov = (struct iovec *)parts, /* which sendmsg() does not change */
        .msg_iovlen = count,
    };

    for (;;) {
        ssize_t length;

        if (was_shut_down(stream))
            return vmmig__fail(error, VMMIG_ERROR_IO, "it was shut down");
        length = stream->is_socket
                     ? sendmsg(stream->fd, &message, MSG_NOSIGNAL)
                     : write_without_signal(stream->fd, parts, count);
        if (length >= 0) {
            *ret_length_bytes = (uint64_t)length;
            return true;
        }
        if (!try_again(stream, POLLOUT, error))
            return false;
    }
}

void vmmig__fd_stream_shutdown(void *data)
{
    struct vmmig__fd_stream *stream = data;

    if (stream->is_socket)
        shutdown(stream->fd, SHUT_RDWR);
    else
        vmmig__stop_flag_request(&stream->stop);
}

void vmmig__fd_stream_free(void *data)
{
    struct vmmig__fd_stream *stream = data;

    if (!stream)
        return;
    vmmig__stop_flag_destroy(&stream->stop);
    if (stream->was_blocking) {
        int flags = fcntl(stream->fd, F_GETFL);

        if (flags >= 0)
            fcntl(stream->fd, F_SETFL, flags & ~O_NONBLOCK);
    }
    if (stream->fd >= 0)
        close(stream->fd);
    g_free(stream);
}

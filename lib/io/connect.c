/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connecting, on the session's thread. The socket does not block until it is
 * connected, so that a stop or the deadline ends the wait.
 */
#include "io/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "io/channel-fd.h"
#include "io/io-error.h"
#include "io/open.h"
#include "io/socket.h"
#include "io/wait-limits.h"

/* Waits until the connection under way has been made or refused. */
static bool wait_connected(int fd, const struct vmmig__wait_limits *limits,
                           vmmig_error **error)
{
    int result = 0;
    socklen_t length = sizeof result;

    if (!vmmig__wait_ready(fd, POLLOUT, limits, error))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length) < 0)
        result = errno;
    return result == 0 || vmmig__fail_io(error, result);
}

static bool connect_socket(int fd, const struct sockaddr *name,
                           socklen_t length,
                           const struct vmmig__wait_limits *limits,
                           vmmig_error **error)
{
    /* A UNIX socket whose queue is full says EAGAIN and has to be asked again;
     * everything else is under way once it was asked. */
    for (;;) {
        if (connect(fd, name, length) == 0)
            return true;
        if (errno == EINPROGRESS || errno == EINTR)
            return wait_connected(fd, limits, error);
        if (errno != EAGAIN)
            return vmmig__fail_io(error, errno);
        if (!vmmig__wait_ready(-1, 0, limits, error))
            return false;
    }
}

static bool connect_one(const struct sockaddr *name, socklen_t length,
                        const struct vmmig__wait_limits *limits,
                        const char *peer, struct vmmig_channel **ret_channel,
                        vmmig_error **error)
{
    int fd =
        socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct vmmig_channel *channel;

    if (fd < 0)
        return vmmig__fail_errno(error, errno, "making a socket");
    if (!connect_socket(fd, name, length, limits, error)) {
        close(fd);
        return false;
    }
    if (name->sa_family != AF_UNIX)
        vmmig__socket_keep_alive(fd);
    if (fcntl(fd, F_SETFL, 0) < 0) {
        vmmig__fail_errno(error, errno, "making the socket blocking");
        close(fd);
        return false;
    }
    channel = vmmig__channel_new_stream_fd(fd, peer, error);
    if (!channel)
        return false;
    *ret_channel = channel;
    return true;
}

/* A time-out or a cancel is meant for all addresses of a name. */
static bool is_worth_another(const vmmig_error *cause)
{
    uint32_t code = vmmig_error_code(cause);

    return code != VMMIG_ERROR_CANCELLED && code != VMMIG_ERROR_TIMEOUT;
}

static bool connect_tcp(const struct vmmig__address *address,
                        const struct vmmig__wait_limits *limits,
                        struct vmmig_channel **ret_channel, vmmig_error **error)
{
    struct addrinfo *list;
    vmmig_error *cause = NULL;
    bool connected = false;

    if (!vmmig__socket_look_up(address, false, &list, error))
        return false;
    for (struct addrinfo *info = list; info; info = info->ai_next) {
        char *peer = vmmig__socket_print(info->ai_addr, info->ai_addrlen);

        /* The last one's reason is told. */
        g_clear_error(&cause);
        connected = connect_one(info->ai_addr, info->ai_addrlen, limits, peer,
                                ret_channel, &cause);
        if (!connected && list->ai_next)
            vmmig__prefix(&cause, "%s: ", peer);
        g_free(peer);
        if (connected || !is_worth_another(cause))
            break;
    }
    freeaddrinfo(list);
    if (!connected)
        g_propagate_error(error, cause);
    return connected;
}

static bool connect_unix(const struct vmmig__address *address,
                         const struct vmmig__wait_limits *limits,
                         struct vmmig_channel **ret_channel,
                         vmmig_error **error)
{
    const struct sockaddr_un name = vmmig__socket_unix_name(address->path);

    return connect_one((const struct sockaddr *)&name, sizeof name, limits,
                       address->path, ret_channel, error);
}

bool vmmig__connect(const struct vmmig__address *address,
                    const struct vmmig__stop_flag *stop, int64_t timeout_ms,
                    struct vmmig_channel **ret_channel, vmmig_error **error)
{
    const struct vmmig__wait_limits limits =
        vmmig__wait_limits_new(stop, timeout_ms);
    char *text;
    bool ok = false;

    switch (address->kind) {
    case VMMIG__ADDRESS_TCP:
        ok = connect_tcp(address, &limits, ret_channel, error);
        break;
    case VMMIG__ADDRESS_UNIX:
        ok = connect_unix(address, &limits, ret_channel, error);
        break;
    case VMMIG__ADDRESS_FD:
    case VMMIG__ADDRESS_FILE:
    case VMMIG__ADDRESS_EXEC:
        return vmmig__open_outgoing(address, &limits, ret_channel, error);
    case VMMIG__ADDRESS_HOST:
        vmmig__fail(error, VMMIG_ERROR_INVALID,
                    "the host has to give this channel");
        break;
    }
    if (ok)
        return true;
    text = vmmig__address_print(address);
    vmmig__prefix(error, "connecting to %s: ", text);
    g_free(text);
    return false;
}

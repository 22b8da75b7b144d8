/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and settings of sockets. Any thread; nothing is kept.
 */
#include "io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "io/io-error.h"

enum {
    /* A peer that answers nothing for a minute is gone: an idle one after the
     * first probe and the ones that follow, one that owes an acknowledgement
     * after the user time-out. The latter also ends a connection whose peer is
     * there but has stopped reading, so it must not be short. */
    KEEPALIVE_IDLE_S = 20,
    KEEPALIVE_INTERVAL_S = 10,
    USER_TIMEOUT_MS = 60000,
};

bool vmmig__socket_look_up(const struct vmmig__address *address, bool to_listen,
                           struct addrinfo **ret_list, vmmig_error **error)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0),
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    const char *host = *address->host ? address->host : NULL;
    int result;

    if (!host && !to_listen) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the address names no host");
    }
    result = getaddrinfo(host, address->port, &hints, ret_list);
    if (result == EAI_SYSTEM)
        return vmmig__fail_io(error, errno);
    if (result != 0) {
        return vmmig__fail(error, VMMIG_ERROR_IO, "looking up \"%s\": %s",
                           address->host, gai_strerror(result));
    }
    return true;
}

struct sockaddr_un vmmig__socket_unix_name(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    return name;
}

char *vmmig__socket_print(const struct sockaddr *name, socklen_t length)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getnameinfo(name, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return g_strdup("an unknown address");
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

void vmmig__socket_keep_alive(int fd)
{
    const int on = 1, idle_s = KEEPALIVE_IDLE_S,
              interval_s = KEEPALIVE_INTERVAL_S;
    const unsigned timeout_ms = USER_TIMEOUT_MS;

    /* A kernel that refuses one of these notices a dead peer later. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
               sizeof timeout_ms);
}

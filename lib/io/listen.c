/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening, on the thread that accepts channels.
 *
 * A connection waits among the pending ones until its first bytes are there.
 * All sockets are in one epoll instance: the listening ones by level, the
 * pending ones by edge, because one or two bytes that stay unread must not wake
 * us again and again. The stop flag belongs to the caller, so poll() looks at
 * it and at the epoll descriptor.
 */
#include "io/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/channel-fd.h"
#include "io/io-error.h"
#include "io/socket.h"
#include "io/wait-limits.h"

#include <vmmigrate/host.h>

enum {
    SILENCE_MS = 10000,
    /* Strangers beyond these push the oldest one out. */
    MOST_PENDING = 64,
    MOST_SOCKETS = 16, /* addresses of one name */
    BACKLOG = 64,
    PORT_ATTEMPTS = 32,
};

/* A connection that has not yet said enough. */
struct pending {
    int fd;
    char *peer;
    uint64_t deadline_us;
};

struct vmmig__listener {
    struct vmmig__log log;
    int epoll_fd;
    int sockets[MOST_SOCKETS];
    unsigned socket_count;
    GQueue pending; /* struct pending, the oldest first */
    char *address;  /* set once */

    /* UNIX: the file to remove, if it still is the one that we made. */
    char *path;
    dev_t path_device;
    ino_t path_inode;
};

static void pending_free(struct pending *pending)
{
    if (pending->fd >= 0)
        close(pending->fd);
    g_free(pending->peer);
    g_free(pending);
}

static void drop(struct vmmig__listener *listener, struct pending *pending,
                 const char *why)
{
    vmmig__log(&listener->log, VMMIG_LOG_WARNING,
               "%s: dropped the connection of %s: %s", listener->address,
               pending->peer, why);
    g_queue_remove(&listener->pending, pending);
    pending_free(pending);
}

/* ---- making the sockets ---- */

/* Takes the socket; also when this fails. */
static bool add_socket(struct vmmig__listener *listener, int fd,
                       vmmig_error **error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    listener->sockets[listener->socket_count++] = fd;
    if (listen(fd, BACKLOG) < 0)
        return vmmig__fail_io(error, errno);
    if (epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return vmmig__fail_errno(error, errno, "epoll_ctl");
    return true;
}

static void close_sockets(struct vmmig__listener *listener)
{
    while (listener->socket_count > 0)
        close(listener->sockets[--listener->socket_count]);
}

/* A bound socket, or -1 with errno. */
static int bind_tcp(const struct sockaddr *name, socklen_t length)
{
    const int on = 1;
    int fd =
        socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int cause;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (name->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, name, length) == 0)
        return fd;
    cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static void set_port(struct sockaddr *name, in_port_t port)
{
    if (name->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)name)->sin6_port = port;
    else
        ((struct sockaddr_in *)name)->sin_port = port;
}

/* In network byte order; 0 if it cannot be had. */
static in_port_t get_port(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &length) < 0)
        return 0;
    return name.ss_family == AF_INET6
               ? ((struct sockaddr_in6 *)&name)->sin6_port
               : ((struct sockaddr_in *)&name)->sin_port;
}

/* Whether this machine just does not have this family or address. */
static bool is_absent(int cause)
{
    return cause == EAFNOSUPPORT || cause == EADDRNOTAVAIL;
}

/*
 * One socket for each address. Where the port is ours to choose, the kernel
 * chooses it for the first and the others have to have the same:
 * *ret_port_taken says that one could not.
 */
static bool listen_all(struct vmmig__listener *listener, struct addrinfo *list,
                       bool any_port, bool *ret_port_taken, vmmig_error **error)
{
    in_port_t port = 0;
    int absent = EADDRNOTAVAIL;

    *ret_port_taken = false;
    for (struct addrinfo *info = list;
         info && listener->socket_count < MOST_SOCKETS; info = info->ai_next) {
        int fd;

        if (any_port)
            set_port(info->ai_addr, port);
        fd = bind_tcp(info->ai_addr, info->ai_addrlen);
        if (fd < 0 && is_absent(errno)) {
            absent = errno;
            continue;
        }
        if (fd < 0) {
            *ret_port_taken = any_port && errno == EADDRINUSE;
            return vmmig__fail_io(error, errno);
        }
        if (!add_socket(listener, fd, error))
            return false;
        port = get_port(fd);
    }
    return listener->socket_count > 0 || vmmig__fail_io(error, absent);
}

/* "tcp:HOST:PORT" as given, with what the kernel chose. */
static char *print_tcp(const struct vmmig__listener *listener,
                       const struct vmmig__address *address)
{
    char port[8];
    struct vmmig__address real = *address;
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    char *numeric, *text;

    if (!*address->host) {
        if (getsockname(listener->sockets[0], (struct sockaddr *)&name,
                        &length) < 0)
            return vmmig__address_print(address);
        numeric = vmmig__socket_print((struct sockaddr *)&name, length);
        text = g_strconcat("tcp:", numeric, NULL);
        g_free(numeric);
        return text;
    }
    g_snprintf(port, sizeof port, "%u", ntohs(get_port(listener->sockets[0])));
    real.port = port;
    return vmmig__address_print(&real);
}

static bool listen_tcp(struct vmmig__listener *listener,
                       const struct vmmig__address *address,
                       vmmig_error **error)
{
    bool any_port = g_str_equal(address->port, "0");
    struct addrinfo *list;
    bool ok, port_taken;

    if (!vmmig__socket_look_up(address, true, &list, error))
        return false;
    for (unsigned attempt = 1;; attempt++) {
        vmmig_error *cause = NULL;

        ok = listen_all(listener, list, any_port, &port_taken, &cause);
        if (ok)
            break;
        close_sockets(listener);
        if (!port_taken || attempt == PORT_ATTEMPTS) {
            g_propagate_error(error, cause);
            break;
        }
        g_error_free(cause);
    }
    freeaddrinfo(list);
    if (ok) {
        g_free(listener->address);
        listener->address = print_tcp(listener, address);
    }
    return ok;
}

/* Whether the socket file is a left-over: it is one, and nobody listens. */
static bool is_dead_socket(const struct sockaddr_un *name)
{
    struct stat status;
    int fd;
    bool is_dead;

    if (lstat(name->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    is_dead = connect(fd, (const struct sockaddr *)name, sizeof *name) < 0 &&
              errno == ECONNREFUSED;
    close(fd);
    return is_dead;
}

static bool listen_unix(struct vmmig__listener *listener,
                        const struct vmmig__address *address,
                        vmmig_error **error)
{
    const struct sockaddr_un name = vmmig__socket_unix_name(address->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat status;
    int result;

    if (fd < 0)
        return vmmig__fail_errno(error, errno, "making a socket");
    result = bind(fd, (const struct sockaddr *)&name, sizeof name);
    if (result < 0 && errno == EADDRINUSE && is_dead_socket(&name) &&
        unlink(name.sun_path) == 0)
        result = bind(fd, (const struct sockaddr *)&name, sizeof name);
    if (result < 0) {
        vmmig__fail_io(error, errno);
        close(fd);
        return false;
    }
    if (lstat(address->path, &status) == 0) {
        listener->path = g_strdup(address->path);
        listener->path_device = status.st_dev;
        listener->path_inode = status.st_ino;
    }
    return add_socket(listener, fd, error);
}

bool vmmig__listen(const struct vmmig__address *address,
                   const struct vmmig__log *log,
                   struct vmmig__listener **ret_listener, vmmig_error **error)
{
    struct vmmig__listener *listener = g_new0(struct vmmig__listener, 1);
    bool ok;

    if (log)
        listener->log = *log;
    g_queue_init(&listener->pending);
    listener->address = vmmig__address_print(address);
    listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (listener->epoll_fd < 0) {
        ok = vmmig__fail_errno(error, errno, "epoll_create1");
    } else if (address->kind == VMMIG__ADDRESS_TCP) {
        ok = listen_tcp(listener, address, error);
    } else if (address->kind == VMMIG__ADDRESS_UNIX) {
        ok = listen_unix(listener, address, error);
    } else {
        ok = vmmig__fail(error, VMMIG_ERROR_INVALID,
                         "it is not an address that listens");
    }
    if (ok) {
        *ret_listener = listener;
        return true;
    }
    vmmig__prefix(error, "listening on %s: ", listener->address);
    vmmig__listener_free(listener);
    return false;
}

char *vmmig__listener_get_address(const struct vmmig__listener *listener)
{
    return g_strdup(listener->address);
}

void vmmig__listener_free(struct vmmig__listener *listener)
{
    struct pending *pending;
    struct stat status;

    if (!listener)
        return;
    while ((pending = g_queue_pop_head(&listener->pending)))
        pending_free(pending);
    if (listener->path && lstat(listener->path, &status) == 0 &&
        status.st_dev == listener->path_device &&
        status.st_ino == listener->path_inode)
        unlink(listener->path);
    close_sockets(listener);
    if (listener->epoll_fd >= 0)
        close(listener->epoll_fd);
    g_free(listener->path);
    g_free(listener->address);
    g_free(listener);
}

/* ---- accepting ---- */

static char *name_of(const struct vmmig__listener *listener,
                     const struct sockaddr *name, socklen_t length)
{
    /* The other end of a UNIX socket has no name. */
    return listener->path ? g_strdup(listener->path)
                          : vmmig__socket_print(name, length);
}

/* False: there is none, or none can be had now (*ret_cause). */
static bool accept_one(struct vmmig__listener *listener, int socket_fd,
                       int *ret_cause)
{
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    struct pending *pending;
    int fd;

    do {
        fd =
            accept4(socket_fd, (struct sockaddr *)&name, &length, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    *ret_cause = errno;
    if (fd < 0)
        return false;
    if (g_queue_get_length(&listener->pending) == MOST_PENDING) {
        drop(listener, g_queue_peek_head(&listener->pending),
             "too many others have come after it");
    }
    if (!listener->path)
        vmmig__socket_keep_alive(fd);
    pending = g_new0(struct pending, 1);
    pending->fd = fd;
    pending->peer = name_of(listener, (struct sockaddr *)&name, length);
    pending->deadline_us = vmmig__now_us() + UINT64_C(1000) * SILENCE_MS;
    g_queue_push_tail(&listener->pending, pending);
    event.data.ptr = pending;
    if (epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        drop(listener, pending, g_strerror(errno));
    return true;
}

static bool is_out_of_resources(int cause)
{
    return cause == EMFILE || cause == ENFILE || cause == ENOBUFS ||
           cause == ENOMEM;
}

static bool accept_all(struct vmmig__listener *listener,
                       const struct vmmig__stop_flag *stop, vmmig_error **error)
{
    const struct vmmig__wait_limits limits = vmmig__wait_limits_new(stop, -1);
    int cause = 0;

    for (unsigned i = 0; i < listener->socket_count; i++) {
        while (accept_one(listener, listener->sockets[i], &cause))
            ;
        if (!is_out_of_resources(cause))
            continue;
        /* The connection stays in the queue and would wake us again at once.
         * A silent stranger's descriptor is the one to give up. */
        if (!g_queue_is_empty(&listener->pending)) {
            drop(listener, g_queue_peek_head(&listener->pending),
                 g_strerror(cause));
        } else if (!vmmig__wait_ready(-1, 0, &limits, error)) {
            return false;
        }
    }
    return true;
}

/* Looks at the first bytes: true if all four are there. Drops the connection
 * when they will never be. */
static bool has_spoken(struct vmmig__listener *listener,
                       struct pending *pending, uint8_t first[4])
{
    ssize_t length;

    do {
        length = recv(pending->fd, first, 4, MSG_PEEK | MSG_DONTWAIT);
    } while (length < 0 && errno == EINTR);
    if (length == 4)
        return true;
    if (length == 0)
        drop(listener, pending, "it was closed before it said anything");
    else if (length < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        drop(listener, pending, g_strerror(errno));
    return false;
}

/* Hands the connection over; takes it. */
static bool hand_over(struct vmmig__listener *listener, struct pending *pending,
                      const uint8_t first[4],
                      struct vmmig__accepted *ret_accepted, vmmig_error **error)
{
    struct vmmig_channel *channel;
    int fd = pending->fd;

    pending->fd = -1;
    g_queue_remove(&listener->pending, pending);
    epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    channel = vmmig__channel_new_stream_fd(fd, pending->peer, error);
    pending_free(pending);
    if (!channel)
        return false;
    ret_accepted->channel = channel;
    for (unsigned i = 0; i < 4; i++)
        ret_accepted->first[i] = first[i];
    ret_accepted->peer = vmmig__channel_get_peer(channel);
    return true;
}

/* The one that has said enough, oldest first; drops those whose time is up. */
static struct pending *find_spoken(struct vmmig__listener *listener,
                                   uint8_t first[4])
{
    uint64_t now_us = vmmig__now_us();

    for (GList *at = listener->pending.head; at;) {
        struct pending *pending = at->data;
        guint before = g_queue_get_length(&listener->pending);

        at = at->next;
        if (has_spoken(listener, pending, first))
            return pending;
        if (g_queue_get_length(&listener->pending) == before &&
            pending->deadline_us <= now_us)
            drop(listener, pending, "it sent nothing for 10 seconds");
    }
    return NULL;
}

/* Until a socket has something, a connection's time is up, or stop. */
static bool wait_for_news(struct vmmig__listener *listener,
                          const struct vmmig__stop_flag *stop,
                          vmmig_error **error)
{
    const struct pending *oldest = g_queue_peek_head(&listener->pending);
    struct vmmig__wait_limits limits = vmmig__wait_limits_new(stop, -1);
    struct epoll_event events[MOST_SOCKETS + MOST_PENDING];
    vmmig_error *cause = NULL;

    if (oldest)
        limits.deadline_us = oldest->deadline_us;
    if (!vmmig__wait_ready(listener->epoll_fd, POLLIN, &limits, &cause)) {
        if (vmmig_error_code(cause) != VMMIG_ERROR_TIMEOUT) {
            g_propagate_error(error, cause);
            return false;
        }
        g_error_free(cause);
    }
    /* Takes the edges. Whose they are does not matter: they are few, and all
     * are looked at. */
    while (epoll_wait(listener->epoll_fd, events, G_N_ELEMENTS(events), 0) <
               0 &&
           errno == EINTR)
        ;
    return true;
}

bool vmmig__listener_next(struct vmmig__listener *listener,
                          const struct vmmig__stop_flag *stop,
                          struct vmmig__accepted *ret_accepted,
                          vmmig_error **error)
{
    for (;;) {
        struct pending *pending;
        uint8_t first[4];

        if (!accept_all(listener, stop, error))
            break;
        pending = find_spoken(listener, first);
        if (pending && hand_over(listener, pending, first, ret_accepted, error))
            return true;
        if (pending || !wait_for_news(listener, stop, error))
            break;
    }
    vmmig__prefix(error, "listening on %s: ", listener->address);
    return false;
}

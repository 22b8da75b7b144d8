/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening what is opened by name, on the session's thread.
 *
 * A path may be that of a FIFO, which opens only together with its other end:
 * so nothing is opened in a way that blocks.
 */
#include "io/open.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/channel-exec.h"
#include "io/channel-fd.h"
#include "io/io-error.h"

enum { FILE_MODE = 0600 }; /* it holds a guest's memory */

/* To where the stream begins, and back to blocking: only open() was not to
 * wait, and what else must not, the channel sees to. */
static bool go_to(int fd, uint64_t offset_bytes, vmmig_error **error)
{
    if (fcntl(fd, F_SETFL, 0) < 0)
        return vmmig__fail_errno(error, errno, "making it blocking");
    if (offset_bytes != 0 && lseek(fd, (off_t)offset_bytes, SEEK_SET) < 0) {
        if (errno == ESPIPE) {
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "it has no offsets, it is no file");
        }
        return vmmig__fail_io(error, errno);
    }
    return true;
}

static bool is_fifo(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

static int open_to_read(const char *path,
                        const struct vmmig__wait_limits *limits,
                        vmmig_error **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        vmmig__fail_io(error, errno);
        return -1;
    }
    /* Before the first writer a read says "end". */
    if (is_fifo(fd) && !vmmig__wait_ready(fd, POLLIN, limits, error)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int open_to_write(const struct vmmig__address *address,
                         const struct vmmig__wait_limits *limits,
                         vmmig_error **error)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

    if (address->offset_bytes == 0)
        flags |= O_TRUNC;
    for (;;) {
        struct stat status;
        int fd = open(address->path, flags, FILE_MODE);

        if (fd >= 0)
            return fd;
        /* A FIFO that nobody reads yet. */
        if (errno != ENXIO || stat(address->path, &status) < 0 ||
            !S_ISFIFO(status.st_mode)) {
            vmmig__fail_io(error, errno);
            return -1;
        }
        if (!vmmig__wait_ready(-1, 0, limits, error))
            return -1;
    }
}

static struct vmmig_channel *open_file(const struct vmmig__address *address,
                                       bool to_write,
                                       const struct vmmig__wait_limits *limits,
                                       vmmig_error **error)
{
    int fd = to_write ? open_to_write(address, limits, error)
                      : open_to_read(address->path, limits, error);

    if (fd < 0)
        return NULL;
    if (!go_to(fd, address->offset_bytes, error)) {
        close(fd);
        return NULL;
    }
    return vmmig__channel_new_any_fd(fd, address->path, error);
}

/* An inherited descriptor: now it is ours alone. */
static struct vmmig_channel *take_fd(int fd, bool to_write, vmmig_error **error)
{
    int flags = fcntl(fd, F_GETFL);
    char *peer;
    struct vmmig_channel *channel;

    if (flags < 0) {
        vmmig__fail(error, VMMIG_ERROR_INVALID, "the descriptor is not open");
        return NULL;
    }
    if ((flags & O_ACCMODE) == (to_write ? O_RDONLY : O_WRONLY)) {
        vmmig__fail(error, VMMIG_ERROR_INVALID,
                    "the descriptor is open only to be %s",
                    to_write ? "read" : "written");
        close(fd);
        return NULL;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    peer = g_strdup_printf("fd %d", fd);
    channel = vmmig__channel_new_any_fd(fd, peer, error);
    g_free(peer);
    return channel;
}

static bool open_any(const struct vmmig__address *address, bool to_write,
                     const struct vmmig__wait_limits *limits,
                     struct vmmig_channel **ret_channel, vmmig_error **error)
{
    struct vmmig_channel *channel = NULL;
    char *text;

    switch (address->kind) {
    case VMMIG__ADDRESS_FD:
        channel = take_fd(address->fd, to_write, error);
        break;
    case VMMIG__ADDRESS_FILE:
        channel = open_file(address, to_write, limits, error);
        break;
    case VMMIG__ADDRESS_EXEC:
        channel = vmmig__channel_new_exec(
            address->command,
            address->exec_two_way
                ? (VMMIG__EXEC_STDIN | VMMIG__EXEC_STDOUT)
                : (to_write ? VMMIG__EXEC_STDIN : VMMIG__EXEC_STDOUT),
            error);
        break;
    case VMMIG__ADDRESS_TCP:
    case VMMIG__ADDRESS_UNIX:
    case VMMIG__ADDRESS_HOST:
        vmmig__fail(error, VMMIG_ERROR_INVALID,
                    "it is not an address that is opened");
        break;
    }
    if (channel) {
        *ret_channel = channel;
        return true;
    }
    text = vmmig__address_print(address);
    vmmig__prefix(error, "opening %s: ", text);
    g_free(text);
    return false;
}

bool vmmig__open_incoming(const struct vmmig__address *address,
                          const struct vmmig__stop_flag *stop,
                          struct vmmig_channel **ret_channel,
                          vmmig_error **error)
{
    const struct vmmig__wait_limits limits = vmmig__wait_limits_new(stop, -1);

    return open_any(address, false, &limits, ret_channel, error);
}

bool vmmig__open_outgoing(const struct vmmig__address *address,
                          const struct vmmig__wait_limits *limits,
                          struct vmmig_channel **ret_channel,
                          vmmig_error **error)
{
    return open_any(address, true, limits, ret_channel, error);
}

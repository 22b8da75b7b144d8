/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels over descriptors; what a descriptor is decides which channel.
 */
#include "io/channel-fd.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/channel-file.h"
#include "io/fd-stream.h"

struct vmmig_channel *vmmig__channel_new_stream_fd(int fd, const char *peer,
                                                   vmmig_error **error)
{
    struct vmmig__fd_stream *stream = vmmig__fd_stream_new(fd, error);
    struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .readv = vmmig__fd_stream_readv,
                .writev = vmmig__fd_stream_writev,
                .wait = vmmig__fd_stream_wait,
                .shutdown = vmmig__fd_stream_shutdown},
    };

    if (!stream)
        return NULL;
    ops.two_way = vmmig__fd_stream_is_socket(stream);
    return vmmig__channel_new(&ops, stream, vmmig__fd_stream_free, peer);
}

struct vmmig_channel *vmmig__channel_new_any_fd(int fd, const char *peer,
                                                vmmig_error **error)
{
    struct stat status;

    if (fstat(fd, &status) == 0 &&
        (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
        return vmmig__channel_new_file(fd, peer);
    return vmmig__channel_new_stream_fd(fd, peer, error);
}

struct vmmig_channel *vmmig_channel_new_fd(int32_t fd, vmmig_error **error)
{
    struct vmmig_channel *channel;
    char peer[32];

    snprintf(peer, sizeof peer, "fd %d", (int)fd);
    channel = vmmig__channel_new_any_fd(fd, peer, error);
    if (!channel)
        vmmig__prefix(error, "%s: ", peer);
    return channel;
}

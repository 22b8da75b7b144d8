/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels over descriptors that wait: stream sockets, pipes, terminals.
 */
#ifndef VMMIG_IO_CHANNEL_FD_H
#define VMMIG_IO_CHANNEL_FD_H

#include "io/channel.h"

/*
 * vmmig__channel_new_stream_fd: (transfer full)
 * @fd: (transfer full): a connected stream socket, a pipe, a FIFO or a
 *   terminal; also closed when this fails
 * @peer: for messages
 *
 * A pipe is non-blocking as long as the channel lives; its flag is put back
 * when the channel is closed, since other processes may share it.
 */
struct vmmig_channel *vmmig__channel_new_stream_fd(int fd, const char *peer,
                                                   vmmig_error **error);

/*
 * vmmig__channel_new_any_fd: (transfer full)
 * @fd: (transfer full): whatever it is; also closed when this fails
 *
 * Looks at what kind of descriptor it is: a stream as above or a regular file
 * or block device from its current position on. INVALID for what can carry no
 * stream (a directory, a listening or datagram socket) or is not open.
 */
struct vmmig_channel *vmmig__channel_new_any_fd(int fd, const char *peer,
                                                vmmig_error **error);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that wait: stream sockets, pipes, FIFOs, terminals. What a
 * channel over one of them does, and a command does with two of them.
 *
 * Threads as for a channel: one reads, one writes, anybody shuts down. A stream
 * owns its descriptor. Errors are IO and name nothing.
 */
#ifndef VMMIG_IO_FD_STREAM_H
#define VMMIG_IO_FD_STREAM_H

#include <sys/uio.h>

#include "base/error.h"

struct vmmig__fd_stream;

/*
 * vmmig__fd_stream_new: (transfer full)
 * @fd: (transfer full): also closed when this fails
 *
 * A descriptor that is not a socket is non-blocking as long as the stream
 * lives; the flag is put back at the end, since others may share it. INVALID
 * for what carries no stream.
 */
struct vmmig__fd_stream *vmmig__fd_stream_new(int fd, vmmig_error **error);

bool vmmig__fd_stream_is_socket(const struct vmmig__fd_stream *stream);

/* The functions of a channel, which are documented there. A stream comes as
 * void * so that they fit into its table. */
bool vmmig__fd_stream_readv(void *stream, const struct iovec *parts,
                            uint32_t count, uint64_t *ret_length_bytes,
                            vmmig_error **error);
bool vmmig__fd_stream_writev(void *stream, const struct iovec *parts,
                             uint32_t count, uint64_t *ret_length_bytes,
                             vmmig_error **error);
bool vmmig__fd_stream_wait(void *stream, bool to_write, int64_t timeout_ms,
                           vmmig_error **error);
void vmmig__fd_stream_shutdown(void *stream);

/* Closes it. Takes NULL. */
void vmmig__fd_stream_free(void *stream);

#endif

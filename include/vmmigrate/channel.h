/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels: byte streams to the peer. The addresses of vmmig_session_start()
 * need none of this; it is for a host that brings a connection of its own.
 *
 * Such a channel is given to a session with vmmig_session_add_channel(), and
 * the session is started with the address "host:".
 */
#ifndef VMMIGRATE_CHANNEL_H
#define VMMIGRATE_CHANNEL_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vmmig_channel_ops:
 * @struct_size: sizeof(struct vmmig_channel_ops)
 * @flags: 0
 *
 * A transport. readv() or writev() may be NULL for a stream of one direction;
 * a session that wants the other one then says so. One thread reads and one
 * writes, at the same time. `struct iovec` is that of <sys/uio.h>.
 */
struct vmmig_channel_ops {
    uint32_t struct_size;
    uint32_t flags;

    /**
     * readv:
     * @channel: as given to vmmig_channel_new()
     * @parts: where to put the bytes, in this order; not written itself
     * @count: how many parts, 1 to 1024
     * @ret_length_bytes: how much was read; 0 is the end of the stream
     * @error: return location
     *
     * Reads at least one byte, waiting for it, and as much as is there.
     *
     * Thread:   a thread of the session, one at a time
     * Locks:    none
     * May:      block until there is something to read, or shutdown()
     * Must not: block after shutdown(); raise SIGPIPE; take a lock that
     *           anybody holds while touching guest memory
     * Order:    until it returned an end, an error, or the channel is closed
     * Since:    0.1
     */
    bool (*readv)(void *channel, const struct iovec *parts, uint32_t count,
                  uint64_t *ret_length_bytes, vmmig_error **error);

    /**
     * writev:
     * @channel: as given to vmmig_channel_new()
     * @parts: the bytes, in this order; may point into guest memory, which may
     *   change while it is read
     * @count: how many parts, 1 to 1024
     * @ret_length_bytes: how much was taken, at least 1 byte
     * @error: return location
     *
     * Sends bytes. What it says was taken must need the parts no more.
     *
     * Thread:   a thread of the session, one at a time
     * Locks:    none, but the host's around save_setup()
     * May:      block until there is room, or shutdown(); take only a part
     * Must not: block after shutdown(); raise SIGPIPE; take a lock that
     *           anybody holds while touching guest memory
     * Order:    until it returned an error or the channel is closed
     * Since:    0.1
     */
    bool (*writev)(void *channel, const struct iovec *parts, uint32_t count,
                   uint64_t *ret_length_bytes, vmmig_error **error);

    /**
     * wait:
     * @channel: as given to vmmig_channel_new()
     * @to_write: what to wait for: room to write, or something to read
     * @timeout_ms: how long at most; VMMIG_FOREVER for no limit
     * @error: return location
     *
     * Waits until readv() or writev() would not block; VMMIG_ERROR_TIMEOUT
     * when the time has passed. An end or a lost connection counts as
     * something to read. NULL: the stream has no deadlines.
     *
     * Thread:   a thread of the session, one for each direction
     * Locks:    none, but the host's around save_setup()
     * May:      block
     * Must not: block after shutdown()
     * Order:    any
     * Since:    0.1
     */
    bool (*wait)(void *channel, bool to_write, int64_t timeout_ms,
                 vmmig_error **error);

    /**
     * shutdown:
     * @channel: as given to vmmig_channel_new()
     *
     * Ends the stream in both directions: whoever blocks in readv(), writev()
     * or wait() returns at once, and so does whoever comes later. This is how
     * a cancel reaches a thread that is stuck. May not be NULL.
     *
     * Thread:   any, while others are in readv(), writev() or wait()
     * Locks:    none
     * May:      be called more than once
     * Must not: block; free what the others use
     * Order:    any time before the close function of vmmig_channel_new()
     * Since:    0.1
     */
    void (*shutdown)(void *channel);
};

/**
 * vmmig_channel_new:
 * @ops: the transport; copied
 * @channel: (nullable): first argument of each of its functions
 * @close: (nullable): called exactly once with @channel, when nobody uses it
 *   any more or when this call fails
 * @error: (nullable): return location
 *
 * Makes a channel of a stream of the host's own.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the channel; NULL with INVALID when the
 *   table will not do
 * Since:    0.1
 */
VMMIG_API struct vmmig_channel *
vmmig_channel_new(const struct vmmig_channel_ops *ops, void *channel,
                  vmmig_free_fn close, vmmig_error **error);

/**
 * vmmig_channel_new_fd:
 * @fd: (transfer full): a connected socket, a pipe or a file; closed with the
 *   channel, or when this call fails. The library may make it non-blocking
 * @error: (nullable): return location
 *
 * Makes a channel of a descriptor.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the channel; NULL with INVALID for a
 *   descriptor that is not open
 * Since:    0.1
 */
VMMIG_API struct vmmig_channel *vmmig_channel_new_fd(int32_t fd,
                                                     vmmig_error **error);

/**
 * vmmig_channel_ref:
 * @channel: (nullable): a channel
 *
 * Takes a reference.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): @channel
 * Since:    0.1
 */
VMMIG_API struct vmmig_channel *
vmmig_channel_ref(struct vmmig_channel *channel);

/**
 * vmmig_channel_unref:
 * @channel: (transfer full) (nullable): a channel
 *
 * Drops a reference. The last one closes the channel, without waiting.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: NULL, always
 * Since:    0.1
 */
VMMIG_API struct vmmig_channel *
vmmig_channel_unref(struct vmmig_channel *channel);

/**
 * vmmig_session_add_channel:
 * @session: a session that has not been started
 * @channel: a connected channel; the session takes a reference of its own
 * @error: (nullable): return location
 *
 * Gives the session the connection that it will use when it is started with
 * the address "host:", as source or as destination.
 *
 * Thread:   any, inside callbacks only in a listener; waits for neither peer
 *   nor host
 * Returns: true if the session has taken the channel; false with STATE when it
 *   has one already or was started
 * Since:    0.1
 */
VMMIG_API bool vmmig_session_add_channel(struct vmmig_session *session,
                                         struct vmmig_channel *channel,
                                         vmmig_error **error);

#ifdef __cplusplus
}
#endif

#endif

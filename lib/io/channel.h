/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel: one byte stream to the peer, whatever carries it.
 *
 * One thread reads and one writes, at the same time; shutdown and the getters
 * are for any thread. A channel is counted; its last reference closes it. It
 * takes no lock of its own: what the two directions share is set before they
 * start or is atomic.
 *
 * Every error names the channel and its peer ("channel main: reading from
 * 10.0.0.1:1234: the peer closed the connection"), carries the details
 * "channel" and "peer", and has the code IO unless a host's own transport or a
 * time-out said otherwise. No function here raises SIGPIPE.
 */
#ifndef VMMIG_IO_CHANNEL_H
#define VMMIG_IO_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vmmigrate/channel.h>

#include "base/error.h"

/* How many parts readv and writev of a transport are given at most. */
enum { VMMIG__CHANNEL_MAX_PARTS = 1024 };

/*
 * A transport. `ops` is the table that a host fills for vmmig_channel_new();
 * what follows is only for the ones built in. Errors of its functions name
 * neither the channel nor its peer: what calls them does.
 */
struct vmmig__channel_ops {
    struct vmmig_channel_ops ops;

    /*
     * Nothing will be written any more: flushes, and reports a failure that
     * only shows now (a full disk, the exit status of a command). Called at
     * most once, by the writing thread; may wait, until shutdown(). NULL:
     * nothing to do.
     */
    bool (*finish)(void *channel, vmmig_error **error);

    /* A reply can come back on it. */
    bool two_way;
};

/*
 * vmmig__channel_new: (transfer full)
 * @ops: copied
 * @data: first argument of each function
 * @close: (nullable): called once, with the last reference
 * @peer: the other end in an error message: "10.0.0.1:1234", "/path", "fd 7"
 *
 * Never fails; @ops is trusted.
 */
struct vmmig_channel *vmmig__channel_new(const struct vmmig__channel_ops *ops,
                                         void *data, vmmig_free_fn close,
                                         const char *peer);

/*
 * vmmig__channel_set_name:
 * @name: "main", "preempt": errors say "channel main"
 *
 * To be called before other threads use the channel. Until then errors begin
 * with "channel: ".
 */
void vmmig__channel_set_name(struct vmmig_channel *channel, const char *name);

/* (nullable), valid as long as the channel. */
const char *vmmig__channel_get_name(const struct vmmig_channel *channel);
/* Valid as long as the channel; never NULL. */
const char *vmmig__channel_get_peer(const struct vmmig_channel *channel);
bool vmmig__channel_is_two_way(const struct vmmig_channel *channel);
/* What vmmig__channel_new() was given; for the file that made the channel. */
void *vmmig__channel_get_data(const struct vmmig_channel *channel);

/*
 * vmmig__channel_read:
 * @parts: where to put the bytes, in this order; at least one byte of room. Of
 *   more than VMMIG__CHANNEL_MAX_PARTS parts only the first are used
 * @ret_length_bytes: how much was read; 0 is the end of the stream
 *
 * Waits for at least one byte and returns what is there. It may return less
 * than there is room for at any time.
 */
bool vmmig__channel_read(struct vmmig_channel *channel,
                         const struct iovec *parts, uint32_t count,
                         uint64_t *ret_length_bytes, vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__channel_write_all:
 * @parts: the bytes, in this order; changed on the way. Any number
 *
 * Waits until all of it was taken; the parts are not needed any more then.
 */
bool vmmig__channel_write_all(struct vmmig_channel *channel,
                              struct iovec *parts, uint32_t count,
                              vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__channel_wait:
 * @to_write: what to wait for: room to write, or something to read
 * @timeout_ms: VMMIG_FOREVER (-1): no limit
 *
 * Waits until a read (or a small write) would not block; an end and a loss
 * count. TIMEOUT when the time has passed. A transport that knows no deadlines
 * returns true at once.
 */
bool vmmig__channel_wait(struct vmmig_channel *channel, bool to_write,
                         int64_t timeout_ms, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Whether vmmig__channel_wait() really waits. */
bool vmmig__channel_has_deadlines(const struct vmmig_channel *channel);

/*
 * vmmig__channel_finish:
 *
 * Nothing will be written any more. True means that all that was written has
 * left this process and that whatever the channel ends in took it: for a file
 * it is on the disk, for a command its exit status was 0. For a connection it
 * says nothing about the peer; only a reply does.
 */
bool vmmig__channel_finish(struct vmmig_channel *channel, vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__channel_shutdown:
 *
 * Any thread, any number of times, never blocks. Whoever waits in one of the
 * functions above returns at once with the error "was shut down", and so does
 * whoever comes later. A peer sees an end of the stream.
 */
void vmmig__channel_shutdown(struct vmmig_channel *channel);

#endif

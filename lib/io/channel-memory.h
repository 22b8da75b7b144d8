/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels without a kernel behind them: a duplex pair over a link that one
 * chooses, for tests and experiments; a reader of bytes in memory and a writer
 * into memory, for packages and fuzzing.
 */
#ifndef VMMIG_IO_CHANNEL_MEMORY_H
#define VMMIG_IO_CHANNEL_MEMORY_H

#include "io/channel.h"

/* One direction of a pair. Zero of each member means what is said there. */
struct vmmig__memory_link {
    /* What is under way and not yet read; a writer waits when it is full. Has
     * to cover rate * delay to reach the rate. 0: 256 KiB. */
    uint64_t capacity_bytes;
    /* 0: as fast as it goes. */
    uint64_t rate_bytes_per_s;
    /* From a write to the read that sees it. */
    uint64_t delay_us;
    /* The link is lost, both ways, when this many bytes have gone through this
     * direction: they still arrive, then each side's reads and writes fail as
     * on a reset connection. 0: never. */
    uint64_t cut_after_bytes;
};

/*
 * vmmig__channel_new_pair:
 * @forth: (nullable): from end 0 to end 1; NULL is all zeros
 * @back: (nullable): from end 1 to end 0
 * @ret_ends: (transfer full): the two ends
 *
 * Closing or shutting down an end is to the other what a closed connection is:
 * it reads what is under way, then an end; its writes fail.
 */
void vmmig__channel_new_pair(const struct vmmig__memory_link *forth,
                             const struct vmmig__memory_link *back,
                             struct vmmig_channel *ret_ends[2]);

/* Any thread: loses the link of a pair now. What has not arrived is lost. */
void vmmig__channel_pair_cut(struct vmmig_channel *end);

/*
 * vmmig__channel_new_buffer: (transfer full)
 * @bytes: lent, for as long as the channel lives
 *
 * A channel that reads @bytes, then its end. It cannot be written.
 */
struct vmmig_channel *vmmig__channel_new_buffer(const void *bytes,
                                                uint64_t length_bytes);

/*
 * vmmig__channel_new_sink: (transfer full)
 * @array: the channel takes a reference of its own
 *
 * A channel that appends to @array what is written. It cannot be read.
 */
struct vmmig_channel *vmmig__channel_new_sink(GByteArray *array);

#endif

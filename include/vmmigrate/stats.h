/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics: numbers to poll. Their names are QEMU's with the unit written
 * out.
 */
#ifndef VMMIGRATE_STATS_H
#define VMMIGRATE_STATS_H

#include <vmmigrate/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vmmig_stats:
 * @struct_size: sizeof(struct vmmig_stats)
 * @status: VMMIG_STATUS_...
 * @total_time_ms: since the start; stands still when the session has ended
 * @setup_time_ms: from the start until the first round
 * @downtime_us: how long the guest stood still: source, from the call of
 *   stop_guest() until the destination's word or the undo; destination, from
 *   the first byte of device state until start_guest() has returned; 0 before
 * @expected_downtime_us: what a switch now would take, by recent bandwidth
 * @dirty_sync_count: how often the dirty pages were collected
 * @ram_total_bytes: the length of all blocks
 * @ram_remaining_bytes: pages that are still to be sent, as bytes
 * @ram_transferred_bytes: what RAM took in the stream, headers included
 * @ram_normal_pages: pages sent with their content
 * @ram_zero_pages: pages sent as zero; QEMU calls them duplicate
 * @ram_page_bytes: the page size that all pages here are counted in
 * @precopy_bytes: the part of @ram_transferred_bytes sent while the guest ran
 * @downtime_bytes: the part sent while it stood still
 * @dirty_pages_per_s: how fast the guest wrote new pages in the last round
 * @bandwidth_bytes_per_s: how fast the stream went lately
 *
 * The numbers of a session. On the destination the RAM figures are what was
 * received, and those about rounds and rates are 0.
 */
struct vmmig_stats {
    uint32_t struct_size;
    uint32_t status;
    uint64_t total_time_ms;
    uint64_t setup_time_ms;
    uint64_t downtime_us;
    uint64_t expected_downtime_us;
    uint64_t dirty_sync_count;
    uint64_t ram_total_bytes;
    uint64_t ram_remaining_bytes;
    uint64_t ram_transferred_bytes;
    uint64_t ram_normal_pages;
    uint64_t ram_zero_pages;
    uint64_t ram_page_bytes;
    uint64_t precopy_bytes;
    uint64_t downtime_bytes;
    uint64_t dirty_pages_per_s;
    uint64_t bandwidth_bytes_per_s;
};

/**
 * vmmig_session_get_stats:
 * @session: the session, in any state
 * @stats: filled up to its struct_size, which the caller has set; what this
 *   library does not know becomes 0
 *
 * Copies the statistics out. Lock-free: numbers that change together may be
 * seen a moment apart.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_session_get_stats(const struct vmmig_session *session,
                                       struct vmmig_stats *stats);

#ifdef __cplusplus
}
#endif

#endif

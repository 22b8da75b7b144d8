/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The numbers of a session: written by its thread, read by any.
 */
#ifndef VMMIG_SESSION_STATS_H
#define VMMIG_SESSION_STATS_H

#include <stdatomic.h>

#include <vmmigrate/stats.h>

/* Times are of the monotonic clock; 0: not yet. */
struct vmmig__stats {
    _Atomic(uint64_t) ram_total_bytes; /* at the start */
    _Atomic(uint64_t) start_us;
    _Atomic(uint64_t) set_up_us; /* the first round could begin */
    _Atomic(uint64_t) stop_us;   /* the guest was told to stop */
    _Atomic(uint64_t) run_us;    /* it runs again, here or over there */
    _Atomic(uint64_t) end_us;
    _Atomic(uint64_t) expected_downtime_us;
    _Atomic(uint64_t) bandwidth_bytes_per_s;
    _Atomic(uint64_t) bytes_at_stop; /* of RAM, sent while the guest ran */
};

#endif

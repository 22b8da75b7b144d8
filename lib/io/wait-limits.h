/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for a descriptor until somebody says stop or a time has passed.
 */
#ifndef VMMIG_IO_WAIT_LIMITS_H
#define VMMIG_IO_WAIT_LIMITS_H

#include <stdint.h>

#include "base/stop-flag.h"

struct vmmig__wait_limits {
    const struct vmmig__stop_flag *stop; /* (nullable) */
    uint64_t deadline_us;                /* vmmig__now_us() time */
    int64_t timeout_ms;                  /* what it was made from */
};

/* From now on; a negative time-out is none. */
struct vmmig__wait_limits
vmmig__wait_limits_new(const struct vmmig__stop_flag *stop, int64_t timeout_ms);

/*
 * vmmig__wait_ready:
 * @fd: -1: just a nap of 20 ms, for what cannot be polled
 * @events: POLLIN or POLLOUT
 *
 * True when the descriptor is ready or in error; else CANCELLED or TIMEOUT.
 */
bool vmmig__wait_ready(int fd, short events,
                       const struct vmmig__wait_limits *limits,
                       vmmig_error **error) __attribute__((warn_unused_result));

#endif

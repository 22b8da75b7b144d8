/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rounds of precopy, as a step function: what to do next, decided from a
 * clock, a bandwidth limit, and something that can be asked how much is pending
 * and told to send. No threads and no sleeps, so that a simulator can drive it.
 */
#ifndef VMMIG_SESSION_PRECOPY_H
#define VMMIG_SESSION_PRECOPY_H

#include <vmmigrate/device.h>

#include "base/clock.h"
#include "io/rate-limit.h"

/* What is sent. In the library: all live devices (device/device-save.h). */
struct vmmig__precopy_ops {
    /* @exact: collect the dirty pages first, which begins a round. */
    bool (*query_pending)(void *data, bool exact,
                          struct vmmig_pending *ret_pending,
                          vmmig_error **error);
    /* Sends about @budget_bytes; *ret_sent_bytes is what went out. */
    bool (*iterate)(void *data, uint64_t budget_bytes,
                    uint64_t *ret_sent_bytes, vmmig_error **error);
    /* The downtime allowed, now, in milliseconds. */
    uint64_t (*downtime_limit_ms)(void *data);
    /* Whether the other side lets the guest stop (switchover-ack). */
    bool (*may_switch)(void *data);
};

struct vmmig__precopy {
    const struct vmmig__clock *clock;
    struct vmmig__rate_limit *limit;
    const struct vmmig__precopy_ops *ops;
    void *data;

    uint64_t rounds;                /* begun so far */
    uint64_t bandwidth_bytes_per_s; /* lately; 0: not known yet */
    uint64_t expected_downtime_us;  /* of a switch after the last sync */

    /* The measurement under way. */
    uint64_t window_start_us;
    uint64_t window_bytes;
    bool is_idle; /* there was nothing to send when last asked */
};

enum vmmig__precopy_action {
    VMMIG__PRECOPY_GO_ON,  /* something was sent: step again */
    VMMIG__PRECOPY_ROUND,  /* a round has begun: step again */
    VMMIG__PRECOPY_WAIT,   /* step again after *ret_wait_us, or when may_switch
                              changes */
    VMMIG__PRECOPY_SWITCH, /* what is left fits into the downtime */
};

void vmmig__precopy_init(struct vmmig__precopy *precopy,
                         const struct vmmig__clock *clock,
                         struct vmmig__rate_limit *limit,
                         const struct vmmig__precopy_ops *ops, void *data);

bool vmmig__precopy_step(struct vmmig__precopy *precopy,
                         enum vmmig__precopy_action *ret_action,
                         uint64_t *ret_wait_us, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

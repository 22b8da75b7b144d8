/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting with a stop flag and a deadline, on whatever thread waits.
 */
#include "io/wait-limits.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"

enum {
    NAP_MS = 20,
    LONGEST_POLL_MS = 60000, /* the deadline may be further than an int */
};

struct vmmig__wait_limits
vmmig__wait_limits_new(const struct vmmig__stop_flag *stop, int64_t timeout_ms)
{
    struct vmmig__wait_limits limits = {
        .stop = stop,
        .deadline_us = UINT64_MAX,
        .timeout_ms = timeout_ms,
    };

    if (timeout_ms >= 0 && timeout_ms < INT64_MAX / 2000)
        limits.deadline_us = vmmig__now_us() + (uint64_t)timeout_ms * 1000;
    return limits;
}

bool vmmig__wait_ready(int fd, short events,
                       const struct vmmig__wait_limits *limits,
                       vmmig_error **error)
{
    struct pollfd polled[2] = {
        {.fd = fd, .events = events},
        {.fd = limits->stop ? limits->stop->event_fd : -1, .events = POLLIN},
    };

    for (;;) {
        uint64_t now_us = vmmig__now_us();
        uint64_t left_us = limits->deadline_us - now_us;
        int left_ms = LONGEST_POLL_MS;
        int ready;

        if (limits->stop && vmmig__stop_flag_is_requested(limits->stop))
            return vmmig__fail(error, VMMIG_ERROR_CANCELLED, "cancelled");
        if (now_us >= limits->deadline_us) {
            return vmmig__fail(error, VMMIG_ERROR_TIMEOUT,
                               "no answer for %" G_GINT64_FORMAT " ms",
                               limits->timeout_ms);
        }
        if (left_us < (uint64_t)LONGEST_POLL_MS * 1000)
            left_ms = (int)((left_us + 999) / 1000);
        if (fd < 0)
            left_ms = MIN(left_ms, NAP_MS);
        ready = poll(polled, 2, left_ms);
        if (ready < 0 && errno != EINTR)
            return vmmig__fail_errno(error, errno, "poll");
        if (fd < 0 ? ready == 0 : ready > 0 && polled[0].revents != 0)
            return true;
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time. What decides by time takes a clock, so that a simulator can turn it.
 */
#ifndef VMMIG_BASE_CLOCK_H
#define VMMIG_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds on CLOCK_MONOTONIC. */
uint64_t vmmig__now_us(void);

/* That time @timeout_ms from now, or UINT64_MAX, for ever, if it is negative or
 * further away than time can be told. */
uint64_t vmmig__deadline_us(int64_t timeout_ms);

struct vmmig__clock {
    uint64_t (*now_us)(void *data);
    void *data;
};

/* The real one. */
extern const struct vmmig__clock vmmig__monotonic_clock;

static inline uint64_t vmmig__clock_now_us(const struct vmmig__clock *clock)
{
    return clock->now_us(clock->data);
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

uint64_t vmmig__now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t vmmig__deadline_us(int64_t timeout_ms)
{
    if (timeout_ms < 0 || timeout_ms > INT64_MAX / 2000)
        return UINT64_MAX;
    return vmmig__now_us() + (uint64_t)timeout_ms * 1000;
}

static uint64_t monotonic_now_us(void *data)
{
    return vmmig__now_us();
}

const struct vmmig__clock vmmig__monotonic_clock = {monotonic_now_us, NULL};

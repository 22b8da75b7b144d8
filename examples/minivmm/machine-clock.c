/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock of machines without hardware; see machine-clock.h. */
#include "machine-clock.h"

#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define MAX_MOVE_NS (UINT64_C(24) * 3600 * NS_PER_S)
/* Three hundred years; what is more is no clock. */
#define MAX_CLOCK_NS (INT64_MAX / 2)

static int64_t host_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void machine_clock_init(struct machine_clock *clock)
{
    atomic_init(&clock->offset_ns, -host_ns(CLOCK_MONOTONIC));
}

uint64_t machine_clock_now_ns(const struct machine_clock *clock)
{
    return (uint64_t)(host_ns(CLOCK_MONOTONIC) +
                      atomic_load_explicit(&clock->offset_ns,
                                           memory_order_relaxed));
}

void machine_clock_save(const struct machine_clock *clock,
                        struct machine_clock_state *ret_state)
{
    ret_state->clock_ns = machine_clock_now_ns(clock);
    ret_state->realtime_ns = (uint64_t)host_ns(CLOCK_REALTIME);
}

void machine_clock_load(struct machine_clock *clock,
                        const struct machine_clock_state *state)
{
    uint64_t now_ns = (uint64_t)host_ns(CLOCK_REALTIME);
    uint64_t moved_ns = 0, clock_ns = state->clock_ns;

    if (clock_ns > MAX_CLOCK_NS)
        clock_ns = MAX_CLOCK_NS;
    if (now_ns > state->realtime_ns)
        moved_ns = now_ns - state->realtime_ns;
    if (moved_ns > MAX_MOVE_NS)
        moved_ns = 0;
    atomic_store_explicit(&clock->offset_ns,
                          (int64_t)(clock_ns + moved_ns) -
                              host_ns(CLOCK_MONOTONIC),
                          memory_order_relaxed);
}

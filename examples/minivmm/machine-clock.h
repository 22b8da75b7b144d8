/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monotonic clock of a machine without hardware: it shows how long the
 * guest has existed, on whichever hosts, and the time of a move counts.
 *
 * Read from any thread. Saved and loaded while no worker runs.
 */
#ifndef MINIVMM_MACHINE_CLOCK_H
#define MINIVMM_MACHINE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct machine_clock {
    atomic_int_least64_t offset_ns; /* to CLOCK_MONOTONIC of this host */
};

/* What travels. The wall clock is what two hosts have in common. */
struct machine_clock_state {
    uint64_t clock_ns;
    uint64_t realtime_ns;
};

/* It shows 0 now. */
void machine_clock_init(struct machine_clock *clock);

uint64_t machine_clock_now_ns(const struct machine_clock *clock);

void machine_clock_save(const struct machine_clock *clock,
                        struct machine_clock_state *ret_state);

/* Goes on from `state`, which a peer may have made up: it never shows less
 * than the clock showed there, and skips no more than a day. */
void machine_clock_load(struct machine_clock *clock,
                        const struct machine_clock_state *state);

#endif

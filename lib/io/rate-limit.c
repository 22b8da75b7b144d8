/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bucket. Amounts are kept in millionths of a byte, so that a microsecond
 * at one byte per second still counts and the average is exact.
 */
#include "io/rate-limit.h"

#include <glib.h>

enum {
    /* What may be saved up: short pauses of the sender are made up for, long
     * ones do not become bursts. */
    SAVED_US = 50000,
    LONGEST_WAIT_US = 50000,
};

/* 1 TiB/s, and a debt of as many bytes: their products stay in 63 bits. */
#define LARGEST_RATE (UINT64_C(1) << 40)
#define DEEPEST_DEBT (-(INT64_C(1) << 60))

void vmmig__rate_limit_init(struct vmmig__rate_limit *limit,
                            const struct vmmig__clock *clock)
{
    limit->clock = *clock;
    vmmig__mutex_init(&limit->lock, VMMIG__RANK_RATE_LIMIT, "rate limit");
    limit->rate_bytes_per_s = 0;
    limit->filled_until_us = vmmig__clock_now_us(clock);
    limit->balance = 0;
}

void vmmig__rate_limit_destroy(struct vmmig__rate_limit *limit)
{
    vmmig__mutex_destroy(&limit->lock);
}

/* Under the lock: adds what has come in since the last time. */
static void fill(struct vmmig__rate_limit *limit)
{
    uint64_t now_us = vmmig__clock_now_us(&limit->clock);
    uint64_t rate = limit->rate_bytes_per_s;
    uint64_t passed_us = now_us - limit->filled_until_us;
    int64_t most = (int64_t)(rate * SAVED_US);
    /* How long it takes to fill up; more time than that is worth no more. */
    uint64_t needed_us;

    limit->filled_until_us = now_us;
    if (rate == 0 || limit->balance >= most)
        return;
    needed_us = (uint64_t)(most - limit->balance) / rate + 1;
    if (passed_us >= needed_us)
        limit->balance = most;
    else
        limit->balance += (int64_t)(passed_us * rate);
    limit->balance = MIN(limit->balance, most);
}

void vmmig__rate_limit_set_rate(struct vmmig__rate_limit *limit,
                                uint64_t rate_bytes_per_s)
{
    rate_bytes_per_s = MIN(rate_bytes_per_s, LARGEST_RATE);
    vmmig__mutex_lock(&limit->lock);
    /* Whoever asks for the present rate, again and again, changes nothing. */
    if (rate_bytes_per_s == limit->rate_bytes_per_s) {
        vmmig__mutex_unlock(&limit->lock);
        return;
    }
    fill(limit);
    /* Nobody owes anything for what was sent without a limit, and what was
     * saved at a high rate is no credit at a low one. */
    if (limit->rate_bytes_per_s == 0 || limit->balance > 0)
        limit->balance = 0;
    limit->rate_bytes_per_s = rate_bytes_per_s;
    vmmig__mutex_unlock(&limit->lock);
}

void vmmig__rate_limit_charge(struct vmmig__rate_limit *limit,
                              uint64_t length_bytes)
{
    vmmig__mutex_lock(&limit->lock);
    if (limit->rate_bytes_per_s != 0) {
        uint64_t room;

        fill(limit);
        room = (uint64_t)(limit->balance - DEEPEST_DEBT) / G_USEC_PER_SEC;
        limit->balance -= (int64_t)(MIN(length_bytes, room) * G_USEC_PER_SEC);
    }
    vmmig__mutex_unlock(&limit->lock);
}

uint64_t vmmig__rate_limit_wait_us(struct vmmig__rate_limit *limit)
{
    uint64_t wait_us = 0;

    vmmig__mutex_lock(&limit->lock);
    if (limit->rate_bytes_per_s != 0) {
        fill(limit);
        if (limit->balance < 0) {
            wait_us = (uint64_t)-limit->balance / limit->rate_bytes_per_s + 1;
            wait_us = MIN(wait_us, LONGEST_WAIT_US);
        }
    }
    vmmig__mutex_unlock(&limit->lock);
    return wait_us;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bandwidth limit: a bucket that fills at the rate and pays for what is sent.
 *
 * Sending is never refused, it is paid for later: a caller charges what it has
 * sent and waits while it owes. So one large write needs no splitting, and an
 * urgent one charges and does not wait. Any thread; takes a lock of its own.
 */
#ifndef VMMIG_IO_RATE_LIMIT_H
#define VMMIG_IO_RATE_LIMIT_H

#include <stdint.h>

#include "base/clock.h"
#include "base/thread.h"

struct vmmig__rate_limit {
    struct vmmig__clock clock; /* set once */
    struct vmmig__mutex lock;
    uint64_t rate_bytes_per_s; /* lock; 0: no limit */
    uint64_t filled_until_us;  /* lock */
    int64_t balance;           /* lock; in 1/1000000 byte */
};

/* No limit at first. @clock is copied. */
void vmmig__rate_limit_init(struct vmmig__rate_limit *limit,
                            const struct vmmig__clock *clock);
void vmmig__rate_limit_destroy(struct vmmig__rate_limit *limit);

/* 0: no limit. What is still owed is paid at the new rate. */
void vmmig__rate_limit_set_rate(struct vmmig__rate_limit *limit,
                                uint64_t rate_bytes_per_s);

void vmmig__rate_limit_charge(struct vmmig__rate_limit *limit,
                              uint64_t length_bytes);

/*
 * vmmig__rate_limit_wait_us:
 *
 * Returns: 0: go on; else wait this long and ask again. Never more than 50 ms,
 * so that a new rate takes effect at once.
 */
uint64_t vmmig__rate_limit_wait_us(struct vmmig__rate_limit *limit);

#endif

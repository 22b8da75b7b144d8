/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A step asks for an estimate of what is pending. While that is more than can be
 * sent within the downtime limit, pages are sent. Once it is not, the dirty
 * pages are collected, and the same question is asked of the exact number: it
 * either ends precopy or begins another round.
 */
#include "session/precopy.h"

#include <glib.h>

#include "base/bytes.h"

enum {
    /* How much is sent between two looks at the clock and at who waits. */
    BUDGET_US = 50000,
    MINIMUM_BUDGET_BYTES = 1 << 20,
    MAXIMUM_BUDGET_BYTES = 256 << 20,
    /* Bandwidth is what went out in at least this long. */
    WINDOW_US = 100000,
    /* How long to wait, with nothing to send, for what the switch needs: the
     * other side's consent, or more downtime. */
    PATIENCE_US = 10000,
};

void vmmig__precopy_init(struct vmmig__precopy *precopy,
                         const struct vmmig__clock *clock,
                         struct vmmig__rate_limit *limit,
                         const struct vmmig__precopy_ops *ops, void *data)
{
    *precopy = (struct vmmig__precopy){
        .clock = clock,
        .limit = limit,
        .ops = ops,
        .data = data,
        .window_start_us = vmmig__clock_now_us(clock),
    };
}

/* a * b / c without overflow; c is not 0. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 result = (unsigned __int128)a * b / c;

    return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

/* Time in which there was nothing to send says nothing about the link. */
static void start_window(struct vmmig__precopy *precopy)
{
    precopy->is_idle = false;
    precopy->window_start_us = vmmig__clock_now_us(precopy->clock);
    precopy->window_bytes = 0;
}

/* Before more is sent: a window is over when what went out in it is paid for,
 * else it would count one payment more or less each time. */
static void measure(struct vmmig__precopy *precopy)
{
    uint64_t now_us = vmmig__clock_now_us(precopy->clock);
    uint64_t elapsed_us = now_us - precopy->window_start_us;

    if (elapsed_us < WINDOW_US)
        return;
    precopy->bandwidth_bytes_per_s =
        scale(precopy->window_bytes, 1000000, elapsed_us);
    precopy->window_start_us = now_us;
    precopy->window_bytes = 0;
}

/* The bandwidth that a switch can count on: as long as no window is complete,
 * that of the whole first round. Less than that says nothing: what goes out
 * first fills buffers, and the limit has not held anything back yet. */
static uint64_t bandwidth(const struct vmmig__precopy *precopy)
{
    uint64_t elapsed_us =
        vmmig__clock_now_us(precopy->clock) - precopy->window_start_us;

    if (precopy->bandwidth_bytes_per_s > 0 || precopy->rounds == 0 ||
        elapsed_us == 0)
        return precopy->bandwidth_bytes_per_s;
    return scale(precopy->window_bytes, 1000000, elapsed_us);
}

/* Whether @bytes can be sent within the downtime limit. */
static bool fits(const struct vmmig__precopy *precopy, uint64_t bytes)
{
    uint64_t limit_ms = precopy->ops->downtime_limit_ms(precopy->data);

    return bytes <= scale(bandwidth(precopy), limit_ms, 1000);
}

/* What can be sent while the guest runs. */
static uint64_t bytes_to_send(const struct vmmig_pending *pending)
{
    return vmmig__add_saturated(pending->precopy_bytes,
                                pending->postcopy_bytes);
}

static uint64_t bytes_of(const struct vmmig_pending *pending)
{
    return vmmig__add_saturated(bytes_to_send(pending),
                                pending->stopcopy_bytes);
}

static uint64_t budget(const struct vmmig__precopy *precopy)
{
    return CLAMP(scale(precopy->bandwidth_bytes_per_s, BUDGET_US, 1000000),
                 (uint64_t)MINIMUM_BUDGET_BYTES,
                 (uint64_t)MAXIMUM_BUDGET_BYTES);
}

/* Little is left: collects, and decides. */
static bool begin_round(struct vmmig__precopy *precopy,
                        enum vmmig__precopy_action *ret_action,
                        uint64_t *ret_wait_us, vmmig_error **error)
{
    struct vmmig_pending pending;
    uint64_t rate;

    if (!precopy->ops->query_pending(precopy->data, true, &pending, error))
        return false;
    precopy->rounds++;
    rate = bandwidth(precopy);
    precopy->expected_downtime_us =
        rate > 0 ? scale(bytes_of(&pending), 1000000, rate) : 0;
    if (fits(precopy, bytes_of(&pending)) &&
        precopy->ops->may_switch(precopy->data)) {
        *ret_action = VMMIG__PRECOPY_SWITCH;
    } else if (bytes_to_send(&pending) == 0) {
        *ret_action = VMMIG__PRECOPY_WAIT;
        *ret_wait_us = PATIENCE_US;
        precopy->is_idle = true;
    } else {
        *ret_action = VMMIG__PRECOPY_ROUND;
    }
    return true;
}

bool vmmig__precopy_step(struct vmmig__precopy *precopy,
                         enum vmmig__precopy_action *ret_action,
                         uint64_t *ret_wait_us, vmmig_error **error)
{
    struct vmmig_pending pending;
    uint64_t wait_us, sent_bytes;

    if (!precopy->ops->query_pending(precopy->data, false, &pending, error))
        return false;
    if (bytes_to_send(&pending) == 0 ||
        (fits(precopy, bytes_of(&pending)) &&
         precopy->ops->may_switch(precopy->data)))
        return begin_round(precopy, ret_action, ret_wait_us, error);
    wait_us = vmmig__rate_limit_wait_us(precopy->limit);
    if (wait_us > 0) {
        *ret_action = VMMIG__PRECOPY_WAIT;
        *ret_wait_us = wait_us;
        return true;
    }
    if (precopy->is_idle)
        start_window(precopy);
    measure(precopy);
    if (!precopy->ops->iterate(precopy->data, budget(precopy), &sent_bytes,
                               error))
        return false;
    vmmig__rate_limit_charge(precopy->limit, sent_bytes);
    precopy->window_bytes += sent_bytes;
    *ret_action = VMMIG__PRECOPY_GO_ON;
    return true;
}

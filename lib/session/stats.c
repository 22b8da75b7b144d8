/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/stats.h"

#include <string.h>

#include "base/clock.h"
#include "session/session.h"

static uint64_t get(const _Atomic(uint64_t) *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

/* From @start_us to @end_us, or to now while the end is not known. */
static uint64_t span_us(uint64_t start_us, uint64_t end_us)
{
    if (start_us == 0)
        return 0;
    return (end_us ? end_us : vmmig__now_us()) - start_us;
}

void vmmig_session_get_stats(const struct vmmig_session *session,
                             struct vmmig_stats *stats)
{
    const struct vmmig__stats *own = &session->stats;
    const struct vmmig__ram_counters *ram = &session->ram.counters;
    uint64_t bytes = get(&ram->bytes);
    uint64_t stop_us = get(&own->stop_us);
    uint64_t precopy_bytes = stop_us ? get(&own->bytes_at_stop) : bytes;
    uint32_t size = stats->struct_size;
    struct vmmig_stats all = {
        .struct_size = size,
        .status = vmmig_session_get_status(session),
        .total_time_ms =
            span_us(get(&own->start_us), get(&own->end_us)) / 1000,
        .setup_time_ms =
            span_us(get(&own->start_us),
                    get(&own->set_up_us) ? get(&own->set_up_us)
                                         : get(&own->end_us)) /
            1000,
        .downtime_us = span_us(stop_us, get(&own->run_us)),
        .expected_downtime_us = get(&own->expected_downtime_us),
        .dirty_sync_count = get(&ram->dirty_sync_count),
        .ram_total_bytes = get(&own->ram_total_bytes),
        .ram_remaining_bytes = get(&ram->remaining_bytes),
        .ram_transferred_bytes = bytes,
        .ram_normal_pages = get(&ram->normal_pages),
        .ram_zero_pages = get(&ram->zero_pages),
        .ram_page_bytes = session->machine->host.table.page_bytes,
        .precopy_bytes = precopy_bytes,
        .downtime_bytes = bytes > precopy_bytes ? bytes - precopy_bytes : 0,
        .dirty_pages_per_s = get(&ram->dirty_pages_per_s),
        .bandwidth_bytes_per_s = get(&own->bandwidth_bytes_per_s),
    };

    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/main-sink.h"

#include "ram/memory-holes.h"
#include "ram/zero-page.h"

/* Zero pages take nine bytes each: the writer would gather half a GiB of them,
 * while the other side, which has to look at as much memory, waits. */
enum { UNFLUSHED_BYTES = 16 << 20 };

static void add_to(_Atomic(uint64_t) *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

/* Writes one page; whether it was one of zeros. */
static bool put_page(struct vmmig__main_sink *sink, struct vmmig_block *block,
                     uint64_t page, bool is_untouched)
{
    uint64_t offset = page * sink->page_bytes;
    const uint8_t *memory = block->host + offset;

    if (is_untouched || vmmig__page_is_zero(memory, sink->page_bytes)) {
        vmmig__put_zero_page(sink->out, sink->last_block, block, block->name,
                             offset);
        return true;
    }
    vmmig__put_page(sink->out, sink->last_block, block, block->name, offset,
                    memory, sink->page_bytes);
    return false;
}

static bool submit(void *data, struct vmmig_block *block, uint64_t first_page,
                   uint64_t page_count, vmmig_error **error)
{
    struct vmmig__main_sink *sink = data;
    uint64_t before = vmmig__writer_get_offset(sink->out);
    uint64_t page = first_page, limit = first_page + page_count;
    uint64_t zero_pages = 0;

    while (page < limit) {
        uint64_t untouched = vmmig__count_untouched(block, page, limit - page);
        uint64_t end =
            untouched > 0 ? page + untouched
                          : MIN(limit, page + VMMIG__PAGES_PER_LOOK);

        for (; page < end; page++)
            zero_pages += put_page(sink, block, page, untouched > 0);
    }
    if (!vmmig__writer_check(sink->out, error))
        return false;
    add_to(&sink->counters->zero_pages, zero_pages);
    add_to(&sink->counters->normal_pages, page_count - zero_pages);
    add_to(&sink->counters->bytes,
           vmmig__writer_get_offset(sink->out) - before);
    sink->unflushed_bytes += page_count * sink->page_bytes;
    if (sink->unflushed_bytes < UNFLUSHED_BYTES)
        return true;
    sink->unflushed_bytes = 0;
    return vmmig__writer_flush(sink->out, error);
}

/* One channel keeps its order: what has been written needs no more sync. */
static bool flush_and_sync(void *data, vmmig_error **error)
{
    struct vmmig__main_sink *sink = data;

    return vmmig__writer_flush(sink->out, error);
}

void vmmig__main_sink_init(struct vmmig__main_sink *sink,
                           struct vmmig_writer *out,
                           struct vmmig__last_block *last_block,
                           struct vmmig__ram_counters *counters,
                           uint32_t page_bytes)
{
    sink->sink = (struct vmmig__page_sink){ submit, flush_and_sync, sink };
    sink->out = out;
    sink->last_block = last_block;
    sink->counters = counters;
    sink->page_bytes = page_bytes;
    sink->unflushed_bytes = 0;
}

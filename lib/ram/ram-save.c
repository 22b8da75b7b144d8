/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/ram-save.h"

#include "ram/main-sink.h"

enum {
    /* Claimed and submitted in one go: as much as one write takes. */
    RUN_BYTES = 1024 * 1024,
    /* A PART that takes longer would delay whoever waits for the section's
     * end: other live devices, a cancel, the switchover. */
    PART_US = 50 * 1000,
};

static uint64_t load_counter(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void store_counter(_Atomic(uint64_t) *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* -- setup */

bool vmmig__ram_save_prepare(void *data, vmmig_error **error)
{
    struct vmmig__ram *ram = data;

    if (ram->sources &&
        !vmmig__dirty_sources_start(ram->sources, ram->blocks, error))
        return false;
    ram->save.is_started = true;
    return true;
}

/* What was dirty before says nothing about a new destination: it has no page
 * yet. */
static bool make_all_dirty(struct vmmig_block *block, vmmig_error **error)
{
    g_free(block->claimed);
    block->claimed = vmmig__bitmap_new(block->page_count);
    if (!block->claimed)
        return vmmig__fail(error, VMMIG_ERROR_SYSTEM,
                           "block \"%s\": no memory for the bitmap of pages "
                           "under way",
                           block->name);
    vmmig__bitmap_set(block->dirty, 0, block->page_count);
    return true;
}

/* From here on written pages count for the dirty rate. */
static void note_sync(struct vmmig__ram_save *save, uint64_t dirty_pages,
                      uint64_t now_us)
{
    save->dirty_at_sync = dirty_pages;
    save->claimed_at_sync = save->claimed;
    save->synced_us = now_us;
}

bool vmmig__ram_save_setup(void *data, struct vmmig_writer *out,
                           vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (!make_all_dirty(blocks[i], error))
            return false;
    }
    ram->save.last_block.block = NULL;
    ram->save.search = (struct vmmig__page_search){
        .blocks = ram->blocks,
        .ignore_shared = ram->settings.ignore_shared,
    };
    note_sync(&ram->save, vmmig__page_search_pending(&ram->save.search),
              vmmig__clock_now_us(ram->clock));

    vmmig__put_block_list(out, vmmig__ram_blocks_bytes(ram->blocks));
    for (uint32_t i = 0; i < count; i++) {
        const struct vmmig__block_entry entry = {
            .name = blocks[i]->name,
            .length_bytes = blocks[i]->length_bytes,
            .has_guest_address = ram->settings.ignore_shared,
            .guest_address = blocks[i]->guest_address,
        };

        vmmig__put_block_entry(out, &entry);
    }
    vmmig__put_ram_end(out);
    return vmmig__writer_check(out, error);
}

/* -- how much is left */

/* Pages written between the last sync and this one: those dirty now, but for
 * those that were dirty then and have not been claimed since. */
static void measure_dirty_rate(struct vmmig__ram *ram, uint64_t dirty_pages)
{
    struct vmmig__ram_save *save = &ram->save;
    uint64_t now_us = vmmig__clock_now_us(ram->clock);
    uint64_t elapsed_us = now_us - save->synced_us;
    uint64_t total = dirty_pages + (save->claimed - save->claimed_at_sync);
    /* Pages that became unused make it less than nothing. */
    uint64_t written =
        total > save->dirty_at_sync ? total - save->dirty_at_sync : 0;

    if (elapsed_us > 0)
        store_counter(&ram->counters.dirty_pages_per_s,
                      (uint64_t)((double)written * 1e6 / (double)elapsed_us));
    note_sync(save, dirty_pages, now_us);
}

bool vmmig__ram_save_query_pending(void *data, bool exact,
                                   struct vmmig_pending *ret_pending,
                                   vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    uint64_t pages, bytes;

    if (exact && ram->sources &&
        !vmmig__dirty_sources_collect(ram->sources, error))
        return false;
    pages = vmmig__page_search_pending(&ram->save.search);
    if (exact) {
        atomic_fetch_add_explicit(&ram->counters.dirty_sync_count, 1,
                                  memory_order_relaxed);
        measure_dirty_rate(ram, pages);
    }
    bytes = pages << vmmig__ram_blocks_page_shift(ram->blocks);
    store_counter(&ram->counters.remaining_bytes, bytes);
    ret_pending->precopy_bytes = ram->settings.postcopy ? 0 : bytes;
    ret_pending->postcopy_bytes = ram->settings.postcopy ? bytes : 0;
    ret_pending->stopcopy_bytes = 0;
    return true;
}

/* -- pages */

/* What was claimed has been sent when the sink says so. */
static bool sync_and_commit(struct vmmig__ram *ram,
                            const struct vmmig__page_sink *sink,
                            vmmig_error **error)
{
    if (!sink->flush_and_sync(sink->data, error))
        return false;
    vmmig__ram_save_commit_round(ram);
    return true;
}

/* What is remaining is exact at each query, and goes down in between. Pages
 * that were written since do not count yet. */
static void note_claim(struct vmmig__ram *ram, uint64_t page_count)
{
    uint64_t bytes = page_count << vmmig__ram_blocks_page_shift(ram->blocks);
    uint64_t remaining = load_counter(&ram->counters.remaining_bytes);

    store_counter(&ram->counters.remaining_bytes,
                  remaining - MIN(remaining, bytes));
}

/* Claims and submits one run; *ret_found is false when nothing is dirty. */
static bool send_run(struct vmmig__ram *ram,
                     const struct vmmig__page_sink *sink,
                     uint64_t maximum_pages, bool *ret_found,
                     vmmig_error **error)
{
    struct vmmig__page_run run;

    *ret_found =
        vmmig__page_search_claim(&ram->save.search, maximum_pages, &run);
    if (!*ret_found)
        return true;
    ram->save.claimed += run.page_count;
    note_claim(ram, run.page_count);
    if (run.is_repeated) {
        /* Marked by the host while the round goes on. On channels that are not
         * ordered against each other the older content could come last. */
        if (!sync_and_commit(ram, sink, error))
            return false;
        vmmig__bitmap_set(run.block->claimed, run.first_page, run.page_count);
    }
    if (ram->sources &&
        !vmmig__dirty_sources_protect(ram->sources, run.block, run.first_page,
                                      run.page_count, error))
        return false;
    return sink->submit(sink->data, run.block, run.first_page, run.page_count,
                        error);
}

/* The sink of the session or, if it has none, @main_sink into @out. */
static const struct vmmig__page_sink *
get_sink(struct vmmig__ram *ram, struct vmmig_writer *out,
         struct vmmig__main_sink *main_sink)
{
    if (ram->sink)
        return ram->sink;
    vmmig__main_sink_init(main_sink, out, &ram->save.last_block,
                          &ram->counters,
                          vmmig__ram_blocks_page_bytes(ram->blocks));
    return &main_sink->sink;
}

/* Sends until nothing is dirty, or until @budget_bytes or @deadline_us have
 * been used up. */
static bool send_pages(struct vmmig__ram *ram,
                       const struct vmmig__page_sink *sink,
                       uint64_t budget_bytes, uint64_t deadline_us,
                       bool *ret_done, vmmig_error **error)
{
    uint32_t page_bytes = vmmig__ram_blocks_page_bytes(ram->blocks);
    uint64_t start = load_counter(&ram->counters.bytes), used = 0;

    do {
        uint64_t bytes = MIN(budget_bytes - used, RUN_BYTES);
        bool found;

        if (!send_run(ram, sink, MAX(bytes / page_bytes, 1), &found, error))
            return false;
        if (!found) {
            store_counter(&ram->counters.remaining_bytes, 0);
            *ret_done = true;
            return true;
        }
        used = load_counter(&ram->counters.bytes) - start;
    } while (used < budget_bytes &&
             vmmig__clock_now_us(ram->clock) < deadline_us);
    *ret_done = false;
    return true;
}

bool vmmig__ram_save_iterate(void *data, struct vmmig_writer *out,
                             uint64_t budget_bytes, bool *ret_done,
                             vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    struct vmmig__main_sink main_sink;
    const struct vmmig__page_sink *sink = get_sink(ram, out, &main_sink);
    uint64_t deadline_us = vmmig__clock_now_us(ram->clock) + PART_US;
    bool done;

    if (!send_pages(ram, sink, budget_bytes, deadline_us, &done, error) ||
        (done && !sync_and_commit(ram, sink, error)))
        return false;
    vmmig__put_ram_end(out);
    if (!vmmig__writer_check(out, error))
        return false;
    *ret_done = done;
    return true;
}

bool vmmig__ram_save_complete(void *data, struct vmmig_writer *out,
                              vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    struct vmmig__main_sink main_sink;
    const struct vmmig__page_sink *sink = get_sink(ram, out, &main_sink);
    bool done;

    if (!send_pages(ram, sink, UINT64_MAX, UINT64_MAX, &done, error) ||
        !sync_and_commit(ram, sink, error))
        return false;
    vmmig__put_ram_end(out);
    return vmmig__writer_check(out, error);
}

/* -- how it ends */

/* Empties `claimed`, into `dirty` where @put_back says so. */
static void empty_claimed(struct vmmig_block *block, bool put_back)
{
    uint64_t words = vmmig__bitmap_words(block->page_count);

    for (uint64_t i = 0; block->claimed && i < words; i++) {
        vmmig__bitmap_word *word = &block->claimed[i];
        uint64_t bits;

        if (!atomic_load_explicit(word, memory_order_relaxed))
            continue;
        bits = atomic_exchange_explicit(word, 0, memory_order_acq_rel);
        if (put_back)
            atomic_fetch_or_explicit(&block->dirty[i], bits,
                                     memory_order_release);
    }
}

static void empty_all_claimed(struct vmmig__ram *ram, bool put_back)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        empty_claimed(blocks[i], put_back);
}

void vmmig__ram_save_commit_round(struct vmmig__ram *ram)
{
    empty_all_claimed(ram, false);
}

void vmmig__ram_save_abort_round(struct vmmig__ram *ram)
{
    empty_all_claimed(ram, true);
}

void vmmig__ram_save_set_committed(struct vmmig__ram *ram)
{
    ram->save.is_committed = true;
}

void vmmig__ram_save_end(struct vmmig__ram *ram)
{
    if (!ram->save.is_started)
        return;
    ram->save.is_started = false;
    if (!ram->save.is_committed)
        vmmig__ram_save_abort_round(ram);
    if (!ram->sources)
        return;
    if (ram->save.is_committed)
        vmmig__dirty_sources_forget(ram->sources);
    else
        vmmig__dirty_sources_give_back(ram->sources);
    vmmig__dirty_sources_stop(ram->sources);
}

void vmmig__ram_save_cleanup(void *data)
{
    struct vmmig__ram *ram = data;
    struct vmmig_block *const *blocks;
    uint32_t count;

    vmmig__ram_save_end(ram);
    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        g_clear_pointer(&blocks[i]->claimed, g_free);
}

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

/* Everything is pending: what was marked before says nothing about a new
 * destination, which has no page yet. */
static bool begin_with_all(struct vmmig_block *block, vmmig_error **error)
{
    g_free(block->pending);
    g_free(block->claimed);
    block->pending = vmmig__bitmap_new(block->page_count);
    block->claimed = vmmig__bitmap_new(block->page_count);
    if (!block->pending || !block->claimed)
        return vmmig__fail(error, VMMIG_ERROR_SYSTEM,
                           "block \"%s\": no memory for the bitmaps of pages "
                           "under way",
                           block->name);
    /* A mark that this clears was made after its store, and the page is read
     * after this. */
    vmmig__bitmap_clear(block->dirty, 0, block->page_count);
    vmmig__bitmap_set(block->pending, 0, block->page_count);
    return true;
}

bool vmmig__ram_save_setup(void *data, struct vmmig_writer *out,
                           vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (!begin_with_all(blocks[i], error))
            return false;
    }
    ram->save.last_block.block = NULL;
    ram->save.search = (struct vmmig__page_search){
        .blocks = ram->blocks,
        .ignore_shared = ram->settings.ignore_shared,
    };
    ram->save.synced_us = vmmig__clock_now_us(ram->clock);

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

/* Moves the marks of a block into the round that begins; how many there were. */
static uint64_t take_marks(struct vmmig_block *block)
{
    uint64_t words = vmmig__bitmap_words(block->page_count), pages = 0;

    for (uint64_t i = 0; i < words; i++) {
        uint64_t bits;

        if (!atomic_load_explicit(&block->dirty[i], memory_order_relaxed))
            continue;
        bits = atomic_exchange_explicit(&block->dirty[i], 0,
                                        memory_order_acq_rel);
        atomic_fetch_or_explicit(&block->pending[i], bits,
                                 memory_order_release);
        pages += (uint64_t)__builtin_popcountll(bits);
    }
    return pages;
}

/* A dirty sync: asks the sources, and begins a round with what was written. */
static bool synchronize(struct vmmig__ram *ram, vmmig_error **error)
{
    struct vmmig_block *const *blocks;
    uint64_t now_us, elapsed_us, written = 0;
    uint32_t count;

    if (ram->sources && !vmmig__dirty_sources_collect(ram->sources, error))
        return false;
    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        written += take_marks(blocks[i]);
    now_us = vmmig__clock_now_us(ram->clock);
    elapsed_us = now_us - ram->save.synced_us;
    ram->save.synced_us = now_us;
    if (elapsed_us > 0)
        store_counter(&ram->counters.dirty_pages_per_s,
                      (uint64_t)((double)written * 1e6 / (double)elapsed_us));
    atomic_fetch_add_explicit(&ram->counters.dirty_sync_count, 1,
                              memory_order_relaxed);
    return true;
}

bool vmmig__ram_save_query_pending(void *data, bool exact,
                                   struct vmmig_pending *ret_pending,
                                   vmmig_error **error)
{
    struct vmmig__ram *ram = data;
    uint64_t pages, bytes;

    if (exact && !synchronize(ram, error))
        return false;
    pages = vmmig__page_search_pending(&ram->save.search);
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

/* Claims and submits one run; *ret_found is false when nothing is pending. */
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
    note_claim(ram, run.page_count);
    if (run.is_repeated) {
        /* A sync fell into the round. On channels that are not ordered against
         * each other the older content could come last. */
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

/* Sends until nothing is pending, or until @budget_bytes or @deadline_us have
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

/* Empties a bitmap of pages that were not sent: they are dirty again. */
static void put_back(struct vmmig_block *block, vmmig__bitmap_word *bitmap)
{
    uint64_t words = vmmig__bitmap_words(block->page_count);

    for (uint64_t i = 0; bitmap && i < words; i++) {
        uint64_t bits =
            atomic_exchange_explicit(&bitmap[i], 0, memory_order_acq_rel);

        atomic_fetch_or_explicit(&block->dirty[i], bits, memory_order_release);
    }
}

void vmmig__ram_save_commit_round(struct vmmig__ram *ram)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (blocks[i]->claimed)
            vmmig__bitmap_clear(blocks[i]->claimed, 0, blocks[i]->page_count);
    }
}

void vmmig__ram_save_abort_round(struct vmmig__ram *ram)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        put_back(blocks[i], blocks[i]->claimed);
}

void vmmig__ram_save_set_committed(struct vmmig__ram *ram)
{
    ram->save.is_committed = true;
}

/* What the attempt never came to send. */
static void put_back_pending(struct vmmig__ram *ram)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(ram->blocks, &count);
    for (uint32_t i = 0; i < count; i++)
        put_back(blocks[i], blocks[i]->pending);
}

void vmmig__ram_save_end(struct vmmig__ram *ram)
{
    if (!ram->save.is_started)
        return;
    ram->save.is_started = false;
    if (!ram->save.is_committed) {
        vmmig__ram_save_abort_round(ram);
        put_back_pending(ram);
    }
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
    for (uint32_t i = 0; i < count; i++) {
        g_clear_pointer(&blocks[i]->pending, g_free);
        g_clear_pointer(&blocks[i]->claimed, g_free);
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/dirty-log.h"

#include "host/host-call.h"

/* One source. `consumed` belongs to the session's thread. */
struct dirty_source {
    struct vmmig_dirty_source ops;
    void *data;
    vmmig_free_fn free_data;
    bool started;
    /* What it marked since start or forget, by block->index; NULL when its log
     * wants nothing back. */
    vmmig__bitmap_word **consumed;
};

struct vmmig__dirty_sources {
    GPtrArray *sources; /* struct dirty_source */
    struct vmmig__ram_blocks *blocks; /* between start and stop */
};

/*
 * The source that collects on this thread. In the static part of thread local
 * storage, also when the library was opened at run time: the first access to
 * any other kind may allocate, and marks are made in signal handlers too.
 */
static __attribute__((tls_model("initial-exec"))) _Thread_local
    struct dirty_source *collecting;

/* -- marks */

static vmmig__bitmap_word *consumed_of(const struct vmmig_block *block)
{
    if (!collecting || !collecting->consumed)
        return NULL;
    return collecting->consumed[block->index];
}

static void mark_pages(struct vmmig_block *block, uint64_t first,
                       uint64_t count)
{
    vmmig__bitmap_word *consumed = consumed_of(block);

    if (consumed)
        vmmig__bitmap_set(consumed, first, count);
    vmmig__bitmap_set(block->dirty, first, count);
}

/* [offset, offset + length), as far as it lies inside the block. */
static uint64_t clip(const struct vmmig_block *block, uint64_t offset,
                     uint64_t length)
{
    if (offset >= block->length_bytes)
        return 0;
    return MIN(length, block->length_bytes - offset);
}

void vmmig_block_mark_dirty(struct vmmig_block *block, uint64_t block_offset,
                            uint64_t length_bytes)
{
    uint32_t shift = vmmig__ram_blocks_page_shift(block->owner);
    uint64_t length = clip(block, block_offset, length_bytes);
    uint64_t first = block_offset >> shift;

    if (length > 0)
        mark_pages(block, first,
                   ((block_offset + length - 1) >> shift) - first + 1);
}

void vmmig_block_mark_dirty_bitmap(struct vmmig_block *block,
                                   uint64_t first_page, const uint64_t *words,
                                   uint64_t page_count)
{
    vmmig__bitmap_word *consumed = consumed_of(block);
    uint64_t count;

    if (first_page >= block->page_count)
        return;
    count = MIN(page_count, block->page_count - first_page);
    if (consumed)
        vmmig__bitmap_or(consumed, first_page, words, count);
    vmmig__bitmap_or(block->dirty, first_page, words, count);
}

void vmmig_block_mark_unused(struct vmmig_block *block, uint64_t block_offset,
                             uint64_t length_bytes, bool unused)
{
    uint32_t shift = vmmig__ram_blocks_page_shift(block->owner);
    uint64_t length = clip(block, block_offset, length_bytes);
    uint64_t page_bytes = UINT64_C(1) << shift;
    uint64_t first = (block_offset + page_bytes - 1) >> shift;
    uint64_t limit = (block_offset + length) >> shift;

    if (length == 0 || first >= limit)
        return;
    if (unused) {
        vmmig__bitmap_set(block->unused, first, limit - first);
        return;
    }
    /* In this order: a page that is found dirty must not be passed over because
     * it still seems unused. */
    vmmig__bitmap_clear(block->unused, first, limit - first);
    mark_pages(block, first, limit - first);
}

void vmmig__ram_mark_dirty(struct vmmig__ram_blocks *blocks,
                           const void *host_address, uint64_t length_bytes)
{
    uintptr_t at = (uintptr_t)host_address;
    uint64_t left = MIN(length_bytes, UINTPTR_MAX - at);

    while (left > 0) {
        struct vmmig_block *block =
            vmmig__ram_blocks_find_host(blocks, (const void *)at, left);
        uintptr_t first;
        uint64_t step;

        if (!block)
            return;
        first = (uintptr_t)block->host;
        if (first > at) {
            left -= first - at;
            at = first;
        }
        step = MIN(left, block->length_bytes - (at - first));
        vmmig_block_mark_dirty(block, at - first, step);
        at += step;
        left -= step;
    }
}

/* -- sources */

struct vmmig__dirty_sources *vmmig__dirty_sources_new(void)
{
    struct vmmig__dirty_sources *sources =
        g_new0(struct vmmig__dirty_sources, 1);

    sources->sources = g_ptr_array_new();
    return sources;
}

static void free_consumed(struct dirty_source *source, uint32_t count)
{
    for (uint32_t i = 0; source->consumed && i < count; i++)
        g_free(source->consumed[i]);
    g_clear_pointer(&source->consumed, g_free);
}

void vmmig__dirty_sources_free(struct vmmig__dirty_sources *sources)
{
    if (!sources)
        return;
    vmmig__dirty_sources_stop(sources);
    for (uint32_t i = 0; i < sources->sources->len; i++) {
        struct dirty_source *source = g_ptr_array_index(sources->sources, i);

        if (source->free_data)
            source->free_data(source->data);
        g_free(source);
    }
    g_ptr_array_free(sources->sources, TRUE);
    g_free(sources);
}

bool vmmig__dirty_sources_add(struct vmmig__dirty_sources *sources,
                              const struct vmmig_dirty_source *ops,
                              void *data, vmmig_free_fn free_source,
                              vmmig_error **error)
{
    struct dirty_source *source;

    if (ops->flags)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "a dirty source has unknown flags 0x%x", ops->flags);
    if (!ops->collect)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "a dirty source needs collect()");
    source = g_new0(struct dirty_source, 1);
    source->ops = *ops;
    source->data = data;
    source->free_data = free_source;
    g_ptr_array_add(sources->sources, source);
    return true;
}

uint32_t vmmig__dirty_sources_count(const struct vmmig__dirty_sources *sources)
{
    return sources->sources->len;
}

/* Only a log that takes marks back needs them remembered. */
static bool make_consumed(struct dirty_source *source,
                          const struct vmmig__ram_blocks *blocks,
                          vmmig_error **error)
{
    struct vmmig_block *const *all;
    uint32_t count;

    if (!source->ops.give_back)
        return true;
    all = vmmig__ram_blocks_get(blocks, &count);
    source->consumed = g_new0(vmmig__bitmap_word *, count);
    for (uint32_t i = 0; i < count; i++) {
        source->consumed[i] = vmmig__bitmap_new(all[i]->page_count);
        if (!source->consumed[i])
            return vmmig__fail(error, VMMIG_ERROR_SYSTEM,
                               "block \"%s\": no memory for a dirty bitmap",
                               all[i]->name);
    }
    return true;
}

/* A callback of the host said false: @theirs (transfer full) says why, or is
 * NULL although it should not be. Always false. */
static bool host_failed(vmmig_error **error, vmmig_error *theirs,
                        const char *what)
{
    if (!theirs)
        return vmmig__fail(error, VMMIG_ERROR_HOST,
                           "%s: the host's callback failed without a reason",
                           what);
    g_propagate_error(error, vmmig__error_adopt(theirs));
    return vmmig__prefix(error, "%s: ", what);
}

static bool start_source(struct dirty_source *source,
                         const struct vmmig__ram_blocks *blocks,
                         vmmig_error **error)
{
    vmmig_error *theirs = NULL;
    const char *previous;
    bool ok = true;

    if (!make_consumed(source, blocks, error))
        return false;
    if (source->ops.start) {
        previous = vmmig__callback_enter("start");
        ok = source->ops.start(source->data, &theirs);
        vmmig__callback_leave(previous);
    }
    if (!ok)
        return host_failed(error, theirs, "start of the dirty log");
    source->started = true;
    return true;
}

bool vmmig__dirty_sources_start(struct vmmig__dirty_sources *sources,
                                struct vmmig__ram_blocks *blocks,
                                vmmig_error **error)
{
    sources->blocks = blocks;
    for (uint32_t i = 0; i < sources->sources->len; i++) {
        struct dirty_source *source = g_ptr_array_index(sources->sources, i);

        if (!start_source(source, blocks, error)) {
            vmmig__dirty_sources_stop(sources);
            return false;
        }
    }
    return true;
}

bool vmmig__dirty_sources_collect(struct vmmig__dirty_sources *sources,
                                  vmmig_error **error)
{
    for (uint32_t i = 0; i < sources->sources->len; i++) {
        struct dirty_source *source = g_ptr_array_index(sources->sources, i);
        vmmig_error *theirs = NULL;
        const char *previous;
        bool ok;

        collecting = source;
        previous = vmmig__callback_enter("collect");
        ok = source->ops.collect(source->data, &theirs);
        vmmig__callback_leave(previous);
        collecting = NULL;
        if (!ok)
            return host_failed(error, theirs, "dirty log");
    }
    return true;
}

bool vmmig__dirty_sources_protect(struct vmmig__dirty_sources *sources,
                                  struct vmmig_block *block,
                                  uint64_t first_page, uint64_t page_count,
                                  vmmig_error **error)
{
    uint64_t first = first_page & ~UINT64_C(63);
    uint64_t limit = MIN((first_page + page_count + 63) & ~UINT64_C(63),
                         block->page_count);

    for (uint32_t i = 0; i < sources->sources->len; i++) {
        const struct dirty_source *source =
            g_ptr_array_index(sources->sources, i);
        vmmig_error *theirs = NULL;
        const char *previous;
        bool ok;

        if (!source->ops.protect)
            continue;
        previous = vmmig__callback_enter("protect");
        ok = source->ops.protect(source->data, block, first, limit - first,
                                 &theirs);
        vmmig__callback_leave(previous);
        if (!ok)
            return host_failed(error, theirs, "protection of pages to send");
    }
    return true;
}

void vmmig__dirty_sources_forget(struct vmmig__dirty_sources *sources)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    if (!sources->blocks)
        return;
    blocks = vmmig__ram_blocks_get(sources->blocks, &count);
    for (uint32_t i = 0; i < sources->sources->len; i++) {
        const struct dirty_source *source =
            g_ptr_array_index(sources->sources, i);

        for (uint32_t j = 0; source->consumed && j < count; j++)
            vmmig__bitmap_clear(source->consumed[j], 0, blocks[j]->page_count);
    }
}

/* How much is handed back in one call: a copy in plain words, on the stack. */
#define GIVE_BACK_WORDS 512

static void give_back_block(const struct dirty_source *source,
                            struct vmmig_block *block)
{
    vmmig__bitmap_word *consumed = source->consumed[block->index];
    const uint64_t step = GIVE_BACK_WORDS * 64;
    uint64_t words[GIVE_BACK_WORDS];
    const char *previous;

    for (uint64_t first = 0; first < block->page_count; first += step) {
        uint64_t count = MIN(step, block->page_count - first);

        if (vmmig__bitmap_find(consumed, first, first + count) ==
            first + count)
            continue;
        for (uint64_t i = 0; i < vmmig__bitmap_words(count); i++)
            words[i] = atomic_exchange_explicit(&consumed[first / 64 + i], 0,
                                                memory_order_relaxed);
        previous = vmmig__callback_enter("give_back");
        source->ops.give_back(source->data, block, first, words, count);
        vmmig__callback_leave(previous);
    }
}

void vmmig__dirty_sources_give_back(struct vmmig__dirty_sources *sources)
{
    struct vmmig_block *const *blocks;
    uint32_t count;

    if (!sources->blocks)
        return;
    blocks = vmmig__ram_blocks_get(sources->blocks, &count);
    for (uint32_t i = 0; i < sources->sources->len; i++) {
        const struct dirty_source *source =
            g_ptr_array_index(sources->sources, i);

        for (uint32_t j = 0; source->consumed && j < count; j++)
            give_back_block(source, blocks[j]);
    }
}

void vmmig__dirty_sources_stop(struct vmmig__dirty_sources *sources)
{
    const char *previous;
    uint32_t count;

    if (!sources->blocks)
        return;
    vmmig__ram_blocks_get(sources->blocks, &count);
    for (uint32_t i = 0; i < sources->sources->len; i++) {
        struct dirty_source *source = g_ptr_array_index(sources->sources, i);

        if (source->started && source->ops.stop) {
            previous = vmmig__callback_enter("stop");
            source->ops.stop(source->data);
            vmmig__callback_leave(previous);
        }
        source->started = false;
        free_consumed(source, count);
    }
    sources->blocks = NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/ram-blocks.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "ram/memory-holes.h"
#include "wire/format.h"

#define MAX_NAME_BYTES (VMMIG__NAME_BYTES - 1)

/* Sums of lengths stay far from where arithmetic wraps. */
#define MAX_TOTAL_BYTES (UINT64_C(1) << 60)

/*
 * The blocks in the order of their addresses. A table is never changed: a new
 * one takes its place, and old ones stay until the end, since a lookup may
 * still be reading them. Ends are inclusive, so that none wraps to zero.
 */
struct address_table {
    struct address_table *older;
    uint32_t count;
    struct {
        uintptr_t first, last;
        struct vmmig_block *block;
    } rows[];
};

struct vmmig__ram_blocks {
    uint32_t page_bytes, page_shift;
    GPtrArray *blocks; /* struct vmmig_block, in order of registration */
    uint64_t total_bytes;
    _Atomic(struct address_table *) by_address;
};

static void free_block(struct vmmig_block *block)
{
    if (block->holes_fd >= 0)
        close(block->holes_fd);
    g_free(block->name);
    g_free(block->dirty);
    g_free(block->unused);
    g_free(block->pending);
    g_free(block->claimed);
    g_free(block->received);
    g_free(block);
}

struct vmmig__ram_blocks *vmmig__ram_blocks_new(uint32_t page_bytes)
{
    struct vmmig__ram_blocks *blocks = g_new0(struct vmmig__ram_blocks, 1);

    blocks->page_bytes = page_bytes;
    blocks->page_shift = (uint32_t)__builtin_ctz(page_bytes);
    blocks->blocks = g_ptr_array_new();
    atomic_init(&blocks->by_address, g_new0(struct address_table, 1));
    return blocks;
}

void vmmig__ram_blocks_free(struct vmmig__ram_blocks *blocks)
{
    struct address_table *table;

    if (!blocks)
        return;
    for (uint32_t i = 0; i < blocks->blocks->len; i++)
        free_block(g_ptr_array_index(blocks->blocks, i));
    g_ptr_array_free(blocks->blocks, TRUE);
    table = atomic_load_explicit(&blocks->by_address, memory_order_relaxed);
    while (table) {
        struct address_table *older = table->older;

        g_free(table);
        table = older;
    }
    g_free(blocks);
}

/* Publishes a table of what `blocks` holds now. */
static void replace_address_table(struct vmmig__ram_blocks *blocks)
{
    uint32_t count = blocks->blocks->len;
    struct address_table *table =
        g_malloc0(sizeof *table + count * sizeof table->rows[0]);

    for (uint32_t i = 0; i < count; i++) {
        struct vmmig_block *block = g_ptr_array_index(blocks->blocks, i);
        uintptr_t first = (uintptr_t)block->host;
        uint32_t at = table->count++;

        for (; at > 0 && table->rows[at - 1].first > first; at--)
            table->rows[at] = table->rows[at - 1];
        table->rows[at].first = first;
        table->rows[at].last = first + block->length_bytes - 1;
        table->rows[at].block = block;
        block->index = i;
    }
    table->older =
        atomic_load_explicit(&blocks->by_address, memory_order_relaxed);
    atomic_store_explicit(&blocks->by_address, table, memory_order_release);
}

static bool check_name(const struct vmmig__ram_blocks *blocks,
                       const char *name, vmmig_error **error)
{
    size_t length;

    if (!name || !*name)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "a block of guest memory needs a name");
    length = strlen(name);
    if (length > MAX_NAME_BYTES)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the block name \"%.32s...\" has %zu bytes, the "
                           "stream allows %d",
                           name, length, MAX_NAME_BYTES);
    if (vmmig__ram_blocks_find(blocks, name))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "there is a block \"%s\" already", name);
    return true;
}

static bool check_count(const struct vmmig__ram_blocks *blocks,
                        const char *name, vmmig_error **error)
{
    if (blocks->blocks->len >= VMMIG__MAX_BLOCKS)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\" would be one more than %d", name,
                           VMMIG__MAX_BLOCKS);
    return true;
}

static bool check_flags(const struct vmmig_block_config *config,
                        vmmig_error **error)
{
    const uint32_t known =
        VMMIG_BLOCK_FD | VMMIG_BLOCK_SHARED | VMMIG_BLOCK_READONLY;

    if (config->flags & ~known)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": unknown flags 0x%x", config->name,
                           config->flags & ~known);
    if (config->flags & VMMIG_BLOCK_FD && config->fd < 0)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": VMMIG_BLOCK_FD with the descriptor "
                           "%d",
                           config->name, config->fd);
    if (config->reserved)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": reserved is %d, not 0", config->name,
                           config->reserved);
    return true;
}

static bool check_range(const struct vmmig__ram_blocks *blocks,
                        const struct vmmig_block_config *config,
                        vmmig_error **error)
{
    const char *name = config->name;
    uintptr_t first = (uintptr_t)config->host_address;
    uint64_t length = config->length_bytes;
    uint32_t page_bytes = blocks->page_bytes;

    if (!first)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\" has no host address", name);
    if (first % page_bytes)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": its host address is not a multiple "
                           "of the page size of %u bytes",
                           name, page_bytes);
    if (length == 0)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\" has no bytes", name);
    if (length % page_bytes)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": its length of 0x%" PRIx64
                           " bytes is not a multiple of the page size of %u "
                           "bytes",
                           name, length, page_bytes);
    if (length - 1 > UINTPTR_MAX - first)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": 0x%" PRIx64
                           " bytes go beyond the end of the address space",
                           name, length);
    if (length > MAX_TOTAL_BYTES - blocks->total_bytes)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "block \"%s\": with its 0x%" PRIx64
                           " bytes guest memory has more than 0x%" PRIx64,
                           name, length, MAX_TOTAL_BYTES);
    for (uint32_t i = 0; i < blocks->blocks->len; i++) {
        const struct vmmig_block *other = g_ptr_array_index(blocks->blocks, i);
        uintptr_t other_first = (uintptr_t)other->host;

        if (first <= other_first + (other->length_bytes - 1) &&
            other_first <= first + (length - 1))
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "block \"%s\" overlaps block \"%s\" in host "
                               "memory",
                               name, other->name);
    }
    return true;
}

struct vmmig_block *
vmmig__ram_blocks_add(struct vmmig__ram_blocks *blocks,
                      const struct vmmig_block_config *config,
                      vmmig_error **error)
{
    struct vmmig_block *block;

    if (!check_name(blocks, config->name, error) ||
        !check_count(blocks, config->name, error) ||
        !check_flags(config, error) || !check_range(blocks, config, error))
        return NULL;
    block = g_new0(struct vmmig_block, 1);
    block->owner = blocks;
    block->name = g_strdup(config->name);
    block->host = config->host_address;
    block->length_bytes = config->length_bytes;
    block->page_count = config->length_bytes >> blocks->page_shift;
    block->guest_address = config->guest_address;
    block->flags = config->flags;
    block->fd = config->flags & VMMIG_BLOCK_FD ? config->fd : -1;
    block->fd_offset_bytes = config->fd_offset_bytes;
    block->holes_fd = config->flags & VMMIG_BLOCK_SHARED && block->fd >= 0
                          ? vmmig__open_holes(block->fd)
                          : -1;
    block->dirty = vmmig__bitmap_new(block->page_count);
    block->unused = vmmig__bitmap_new(block->page_count);
    if (!block->dirty || !block->unused) {
        free_block(block);
        vmmig__fail(error, VMMIG_ERROR_SYSTEM,
                    "block \"%s\": no memory for the bitmaps of 0x%" PRIx64
                    " bytes",
                    config->name, config->length_bytes);
        return NULL;
    }
    blocks->total_bytes += block->length_bytes;
    g_ptr_array_add(blocks->blocks, block);
    replace_address_table(blocks);
    return block;
}

void vmmig__ram_blocks_remove(struct vmmig__ram_blocks *blocks,
                              struct vmmig_block *block)
{
    g_ptr_array_remove_index(blocks->blocks, block->index);
    blocks->total_bytes -= block->length_bytes;
    replace_address_table(blocks);
    free_block(block);
}

struct vmmig_block *const *
vmmig__ram_blocks_get(const struct vmmig__ram_blocks *blocks,
                      uint32_t *ret_count)
{
    *ret_count = blocks->blocks->len;
    return (struct vmmig_block *const *)blocks->blocks->pdata;
}

uint32_t vmmig__ram_blocks_page_bytes(const struct vmmig__ram_blocks *blocks)
{
    return blocks->page_bytes;
}

uint32_t vmmig__ram_blocks_page_shift(const struct vmmig__ram_blocks *blocks)
{
    return blocks->page_shift;
}

uint64_t vmmig__ram_blocks_bytes(const struct vmmig__ram_blocks *blocks)
{
    return blocks->total_bytes;
}

struct vmmig_block *
vmmig__ram_blocks_find(const struct vmmig__ram_blocks *blocks,
                       const char *name)
{
    for (uint32_t i = 0; i < blocks->blocks->len; i++) {
        struct vmmig_block *block = g_ptr_array_index(blocks->blocks, i);

        if (!strcmp(block->name, name))
            return block;
    }
    return NULL;
}

struct vmmig_block *
vmmig__ram_blocks_find_host(const struct vmmig__ram_blocks *blocks,
                            const void *address, uint64_t length_bytes)
{
    const struct address_table *table =
        atomic_load_explicit(&blocks->by_address, memory_order_acquire);
    uintptr_t first = (uintptr_t)address;
    uint32_t low = 0, high = table->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (table->rows[middle].last < first)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == table->count)
        return NULL;
    if (table->rows[low].first > first &&
        table->rows[low].first - first >= length_bytes)
        return NULL;
    return table->rows[low].block;
}

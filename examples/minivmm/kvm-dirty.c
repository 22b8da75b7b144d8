/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM's dirty log as a source of dirty pages; see kvm-dirty.h, which also has
 * the thread rules.
 *
 * With manual clearing, a bit of KVM's log stays set until KVM_CLEAR_DIRTY_LOG
 * names it. `reported` has the bits that a collect() (or the start) passed on
 * and nobody has cleared yet; only these may be cleared. A bit that was set
 * since the last collect() is not among them: cleared without a report its page
 * would be lost.
 *
 * protect() clears a whole chunk when the first of its pages is about to be
 * read. Clearing early is right: a write afterwards is logged again. Clearing
 * late would not be.
 */
#include "config.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm-dirty.h"
#include "kvm-record.h"

#define CHUNK_PAGES 4096 /* 16 MiB for one KVM_CLEAR_DIRTY_LOG */
#define MAX_SLOTS 512

struct slot {
    struct kvm_userspace_memory_region region; /* flags as KVM has them */
    struct vmmig_block *block;
    uint64_t block_first_page;
    uint64_t page_count;
    uint64_t *log;      /* what KVM_GET_DIRTY_LOG fills; collect() only */
    uint64_t *reported; /* lock: see above */
    uint64_t *returned; /* by give_back(): for the next collect() */
};

struct kvm_dirty {
    int vm_fd;
    bool clears_manually;
    bool is_logging;
    uint32_t slot_count;
    struct slot *slots[MAX_SLOTS];
    /* Protects `reported` and `returned`, and lets no thread read pages of a
     * chunk that another one is just clearing. Held for ioctls on the log,
     * none of which touches guest memory. */
    pthread_mutex_t lock;
};

static uint64_t word_count(uint64_t page_count)
{
    return (page_count + 63) / 64;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool set_logging(struct kvm_dirty *dirty, struct slot *slot, bool on,
                        vmmig_error **error)
{
    slot->region.flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0;
    if (ioctl(dirty->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot->region) < 0)
        return kvm_fail_errno(error, "turning the dirty log of slot %u %s",
                              slot->region.slot, on ? "on" : "off");
    return true;
}

static void stop(void *source)
{
    struct kvm_dirty *dirty = source;
    uint32_t i;

    for (i = 0; i < dirty->slot_count; i++)
        set_logging(dirty, dirty->slots[i], false, NULL);
    dirty->is_logging = false;
}

/* The first round sends every page without having been told, so each counts
 * as reported: its protect() must clear it, or the second round would be all
 * of memory once more. */
static void report_all(struct slot *slot)
{
    uint64_t last = slot->page_count % 64;

    memset(slot->reported, 0xff,
           word_count(slot->page_count) * sizeof *slot->reported);
    if (last)
        slot->reported[slot->page_count / 64] = (UINT64_C(1) << last) - 1;
}

static bool start(void *source, vmmig_error **error)
{
    struct kvm_dirty *dirty = source;
    uint32_t i;

    for (i = 0; i < dirty->slot_count; i++) {
        struct slot *slot = dirty->slots[i];

        report_all(slot);
        if (!set_logging(dirty, slot, true, error)) {
            stop(dirty);
            return false;
        }
    }
    dirty->is_logging = true;
    return true;
}

static bool collect(void *source, vmmig_error **error)
{
    struct kvm_dirty *dirty = source;
    uint64_t word;
    uint32_t i;

    for (i = 0; i < dirty->slot_count; i++) {
        struct slot *slot = dirty->slots[i];
        struct kvm_dirty_log log = {
            .slot = slot->region.slot,
            .dirty_bitmap = slot->log,
        };

        pthread_mutex_lock(&dirty->lock);
        if (ioctl(dirty->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0) {
            pthread_mutex_unlock(&dirty->lock);
            return kvm_fail_errno(error, "reading the dirty log of slot %u",
                                  slot->region.slot);
        }
        for (word = 0; word < word_count(slot->page_count); word++) {
            if (dirty->clears_manually)
                slot->reported[word] |= slot->log[word];
            slot->log[word] |= slot->returned[word];
            slot->returned[word] = 0;
        }
        pthread_mutex_unlock(&dirty->lock);
        vmmig_block_mark_dirty_bitmap(slot->block, slot->block_first_page,
                                      slot->log, slot->page_count);
    }
    return true;
}

/* `first` is a multiple of 64; what is reported within `count` pages. */
static bool clear_chunk(struct kvm_dirty *dirty, struct slot *slot,
                        uint64_t first, uint64_t count, vmmig_error **error)
{
    uint64_t *words = slot->reported + first / 64, any = 0, word;
    struct kvm_clear_dirty_log clear = {
        .slot = slot->region.slot,
        .first_page = first,
        .num_pages = (uint32_t)count,
        .dirty_bitmap = words,
    };

    for (word = 0; word < word_count(count); word++)
        any |= words[word];
    if (!any)
        return true;
    if (ioctl(dirty->vm_fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0)
        return kvm_fail_errno(error, "clearing the dirty log of slot %u",
                              slot->region.slot);
    memset(words, 0, word_count(count) * sizeof *words);
    return true;
}

static bool protect(void *source, struct vmmig_block *block,
                    uint64_t first_page, uint64_t page_count,
                    vmmig_error **error)
{
    struct kvm_dirty *dirty = source;
    bool ok = true;
    uint32_t i;

    pthread_mutex_lock(&dirty->lock);
    for (i = 0; ok && i < dirty->slot_count; i++) {
        struct slot *slot = dirty->slots[i];
        uint64_t start_page = slot->block_first_page, page, end;

        if (slot->block != block || first_page + page_count <= start_page ||
            first_page >= start_page + slot->page_count)
            continue;
        page = max(first_page, start_page) - start_page;
        end = min(first_page + page_count - start_page, slot->page_count);
        for (page -= page % CHUNK_PAGES; ok && page < end; page += CHUNK_PAGES)
            ok = clear_chunk(dirty, slot, page,
                             min(CHUNK_PAGES, slot->page_count - page), error);
    }
    pthread_mutex_unlock(&dirty->lock);
    return ok;
}

static void give_back(void *source, struct vmmig_block *block,
                      uint64_t first_page, const uint64_t *words,
                      uint64_t page_count)
{
    struct kvm_dirty *dirty = source;
    uint64_t page;
    uint32_t i;

    pthread_mutex_lock(&dirty->lock);
    for (i = 0; i < dirty->slot_count; i++) {
        struct slot *slot = dirty->slots[i];
        uint64_t start_page = slot->block_first_page;

        if (slot->block != block)
            continue;
        for (page = max(first_page, start_page);
             page < min(first_page + page_count, start_page + slot->page_count);
             page++) {
            uint64_t bit = page - first_page, own = page - start_page;

            if (bit % 64 == 0 && !words[bit / 64])
                page += 63;
            else if (words[bit / 64] >> bit % 64 & 1)
                slot->returned[own / 64] |= UINT64_C(1) << own % 64;
        }
    }
    pthread_mutex_unlock(&dirty->lock);
}

struct kvm_dirty *kvm_dirty_new(int vm_fd, uint32_t flags, vmmig_error **error)
{
    struct kvm_dirty *dirty = calloc(1, sizeof *dirty);
    int possible =
        ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

    if (!dirty) {
        kvm_fail_errno(error, "a dirty log");
        return NULL;
    }
    dirty->vm_fd = vm_fd;
    pthread_mutex_init(&dirty->lock, NULL);
    if (possible > 0 && !(flags & KVM_DIRTY_NO_MANUAL_CLEAR)) {
        struct kvm_enable_cap enable = {
            .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
            /* Without write-protecting all of memory when the log begins:
             * every page is dirty until it is cleared for the first round. */
            .args[0] =
                (uint64_t)possible & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
                                      KVM_DIRTY_LOG_INITIALLY_SET),
        };

        dirty->clears_manually = !ioctl(vm_fd, KVM_ENABLE_CAP, &enable);
    }
    return dirty;
}

void kvm_dirty_free(void *source)
{
    struct kvm_dirty *dirty = source;
    uint32_t i;

    if (!dirty)
        return;
    if (dirty->is_logging)
        stop(dirty);
    for (i = 0; i < dirty->slot_count; i++) {
        free(dirty->slots[i]->log);
        free(dirty->slots[i]->reported);
        free(dirty->slots[i]->returned);
        free(dirty->slots[i]);
    }
    pthread_mutex_destroy(&dirty->lock);
    free(dirty);
}

bool kvm_dirty_add_slot(struct kvm_dirty *dirty, uint32_t slot,
                        uint64_t guest_address, void *host_address,
                        uint64_t length_bytes, struct vmmig_block *block,
                        uint64_t block_offset, vmmig_error **error)
{
    uint64_t page_count = length_bytes / KVM_DIRTY_PAGE_BYTES;
    uint64_t words = word_count(page_count);
    struct slot *added;

    if (dirty->is_logging || dirty->slot_count == MAX_SLOTS)
        return kvm_fail(error, VMMIG_ERROR_STATE, "memory slot %u: %s", slot,
                        dirty->is_logging ? "the dirty log is on"
                                          : "there are too many");
    if (!page_count || length_bytes % KVM_DIRTY_PAGE_BYTES ||
        block_offset % KVM_DIRTY_ALIGN_BYTES)
        return kvm_fail(error, VMMIG_ERROR_INVALID,
                        "memory slot %u: its length is no number of pages, or "
                        "it does not begin at a multiple of %d in its block",
                        slot, KVM_DIRTY_ALIGN_BYTES);
    added = calloc(1, sizeof *added);
    if (!added)
        return kvm_fail_errno(error, "memory slot %u", slot);
    added->region = (struct kvm_userspace_memory_region){
        .slot = slot,
        .guest_phys_addr = guest_address,
        .memory_size = length_bytes,
        .userspace_addr = (uint64_t)(uintptr_t)host_address,
    };
    added->block = block;
    added->block_first_page = block_offset / KVM_DIRTY_PAGE_BYTES;
    added->page_count = page_count;
    added->log = calloc(words, sizeof *added->log);
    added->reported = calloc(words, sizeof *added->reported);
    added->returned = calloc(words, sizeof *added->returned);
    dirty->slots[dirty->slot_count++] = added;
    if (added->log && added->reported && added->returned)
        return true;
    dirty->slot_count--;
    kvm_fail_errno(error, "memory slot %u", slot);
    free(added->log);
    free(added->reported);
    free(added->returned);
    free(added);
    return false;
}

bool kvm_dirty_clears_manually(const struct kvm_dirty *dirty)
{
    return dirty->clears_manually;
}

const struct vmmig_dirty_source *
kvm_dirty_get_ops(const struct kvm_dirty *dirty)
{
    static const struct vmmig_dirty_source manual = {
        .struct_size = sizeof manual,
        .start = start,
        .collect = collect,
        .stop = stop,
        .protect = protect,
        .give_back = give_back,
    };
    static const struct vmmig_dirty_source automatic = {
        .struct_size = sizeof automatic,
        .start = start,
        .collect = collect,
        .stop = stop,
        .give_back = give_back,
    };

    return dirty->clears_manually ? &manual : &automatic;
}

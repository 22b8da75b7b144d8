/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs on the session's thread only. The kernel's interface is declared here:
 * its headers may be older than the kernel.
 *
 * Why PAGE_IS_WRITTEN is asked for with exactly these masks: for this question
 * alone the kernel also counts a page as written that is not mapped any more
 * (shared memory that was swapped out, say) unless a marker says that it was
 * protected when it went. Memory that was never touched has no page table, is
 * not reported, and needs no protection either: the first touch maps it
 * unprotected, that is, as written.
 */
#include "ram/write-tracking.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct uffd_api {
    uint64_t api, features, ioctls;
};

struct uffd_range {
    uint64_t start, length;
};

struct uffd_register {
    struct uffd_range range;
    uint64_t mode, ioctls;
};

#define UFFD_MAGIC 0xaa
#define UFFD_VERSION UINT64_C(0xaa)
#define UFFD_IOCTL_API _IOWR(UFFD_MAGIC, 0x3f, struct uffd_api)
#define UFFD_IOCTL_REGISTER _IOWR(UFFD_MAGIC, 0x00, struct uffd_register)
#define UFFD_IOCTL_UNREGISTER _IOR(UFFD_MAGIC, 0x01, struct uffd_range)
#define UFFD_MODE_WRITE_PROTECT (UINT64_C(1) << 1)
#define UFFD_USER_FAULTS_ONLY 1
#define UFFD_WP (UINT64_C(1) << 0)
#define UFFD_WP_HUGETLB_AND_SHARED (UINT64_C(1) << 12)
#define UFFD_WP_UNPOPULATED (UINT64_C(1) << 13)
#define UFFD_WP_ASYNC (UINT64_C(1) << 15)

struct page_region {
    uint64_t start, end, categories;
};

struct scan_arguments {
    uint64_t size, flags, start, end, walk_end, regions, region_count,
        maximum_pages, category_inverted, category_mask, category_anyof_mask,
        return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arguments)
#define SCAN_WRITTEN (UINT64_C(1) << 1)
#define SCAN_PROTECT (UINT64_C(1) << 0)
#define SCAN_CHECK_ASYNC (UINT64_C(1) << 1)
#define SCAN_REGIONS 1024

struct vmmig__write_tracking {
    struct vmmig__ram_blocks *blocks;
    int userfault_fd, pagemap_fd; /* -1 unless started */
    bool *is_registered;          /* by block->index */
    struct page_region *regions;
};

static bool open_userfault(int *ret_fd, vmmig_error **error)
{
    struct uffd_api api = {
        .api = UFFD_VERSION,
        .features = UFFD_WP | UFFD_WP_HUGETLB_AND_SHARED |
                    UFFD_WP_UNPOPULATED | UFFD_WP_ASYNC,
    };
    /* Asynchronous protection is resolved inside the kernel, whoever faults:
     * the flag that needs no privileges excludes nothing. */
    int fd = (int)syscall(SYS_userfaultfd,
                          O_CLOEXEC | O_NONBLOCK | UFFD_USER_FAULTS_ONLY);

    if (fd < 0)
        return vmmig__fail_errno(error, errno,
                                 "write tracking: userfaultfd");
    if (ioctl(fd, UFFD_IOCTL_API, &api) < 0) {
        int failure = errno;

        close(fd);
        if (failure == EINVAL)
            return vmmig__fail(error, VMMIG_ERROR_SYSTEM,
                               "write tracking: this kernel has no "
                               "asynchronous write protection (Linux 6.7 or "
                               "newer has)");
        return vmmig__fail_errno(error, failure,
                                 "write tracking: userfaultfd");
    }
    *ret_fd = fd;
    return true;
}

static bool open_pagemap(int *ret_fd, vmmig_error **error)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return vmmig__fail_errno(error, errno,
                                 "write tracking: /proc/self/pagemap");
    *ret_fd = fd;
    return true;
}

static bool register_range(int userfault_fd, void *start, uint64_t length)
{
    struct uffd_register range = {
        .range = { (uintptr_t)start, length },
        .mode = UFFD_MODE_WRITE_PROTECT,
    };

    return ioctl(userfault_fd, UFFD_IOCTL_REGISTER, &range) == 0;
}

/* Protects everything mapped in the range, without asking what was written. */
static bool protect_range(int pagemap_fd, void *start, uint64_t length)
{
    struct scan_arguments scan = {
        .size = sizeof scan,
        .flags = SCAN_PROTECT | SCAN_CHECK_ASYNC,
        .start = (uintptr_t)start,
        .end = (uintptr_t)start + length,
        .category_mask = SCAN_WRITTEN,
        .return_mask = SCAN_WRITTEN,
    };

    return ioctl(pagemap_fd, SCAN_IOCTL, &scan) >= 0;
}

/* On one page of its own: both halves of the interface, in the order of use. */
bool vmmig__write_tracking_probe(vmmig_error **error)
{
    size_t length = (size_t)sysconf(_SC_PAGESIZE);
    int userfault_fd = -1, pagemap_fd = -1;
    void *page = mmap(NULL, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool ok = false;

    if (page == MAP_FAILED)
        return vmmig__fail_errno(error, errno, "write tracking: mmap");
    if (!open_userfault(&userfault_fd, error) ||
        !open_pagemap(&pagemap_fd, error))
        goto out;
    if (!register_range(userfault_fd, page, length))
        vmmig__fail_errno(error, errno, "write tracking: userfaultfd");
    else if (!protect_range(pagemap_fd, page, length))
        vmmig__fail_errno(error, errno, "write tracking: PAGEMAP_SCAN");
    else
        ok = true;
out:
    if (pagemap_fd >= 0)
        close(pagemap_fd);
    if (userfault_fd >= 0)
        close(userfault_fd);
    munmap(page, length);
    return ok;
}

struct vmmig__write_tracking *
vmmig__write_tracking_new(struct vmmig__ram_blocks *blocks,
                          vmmig_error **error)
{
    struct vmmig__write_tracking *tracking;

    if (!vmmig__write_tracking_probe(error))
        return NULL;
    tracking = g_new0(struct vmmig__write_tracking, 1);
    tracking->blocks = blocks;
    tracking->userfault_fd = -1;
    tracking->pagemap_fd = -1;
    return tracking;
}

static void stop(void *source)
{
    struct vmmig__write_tracking *tracking = source;
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(tracking->blocks, &count);
    for (uint32_t i = 0; tracking->is_registered && i < count; i++) {
        struct uffd_range range = { (uintptr_t)blocks[i]->host,
                                    blocks[i]->length_bytes };

        /* Closing would do it too, but not while a child of a fork holds the
         * descriptor. */
        if (tracking->is_registered[i])
            ioctl(tracking->userfault_fd, UFFD_IOCTL_UNREGISTER, &range);
    }
    if (tracking->userfault_fd >= 0)
        close(tracking->userfault_fd);
    if (tracking->pagemap_fd >= 0)
        close(tracking->pagemap_fd);
    tracking->userfault_fd = -1;
    tracking->pagemap_fd = -1;
    g_clear_pointer(&tracking->is_registered, g_free);
    g_clear_pointer(&tracking->regions, g_free);
}

static bool track_block(struct vmmig__write_tracking *tracking,
                        const struct vmmig_block *block, vmmig_error **error)
{
    if (!register_range(tracking->userfault_fd, block->host,
                        block->length_bytes)) {
        /* EPERM: a mapping that can never be made writable. */
        if (errno == EPERM && block->flags & VMMIG_BLOCK_READONLY)
            return true;
        return vmmig__fail_errno(error, errno,
                                 "write tracking of block \"%s\": "
                                 "userfaultfd", block->name);
    }
    tracking->is_registered[block->index] = true;
    if (!protect_range(tracking->pagemap_fd, block->host, block->length_bytes))
        return vmmig__fail_errno(error, errno,
                                 "write tracking of block \"%s\": "
                                 "PAGEMAP_SCAN", block->name);
    return true;
}

static bool start(void *source, vmmig_error **error)
{
    struct vmmig__write_tracking *tracking = source;
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(tracking->blocks, &count);
    tracking->is_registered = g_new0(bool, count);
    tracking->regions = g_new(struct page_region, SCAN_REGIONS);
    if (!open_userfault(&tracking->userfault_fd, error) ||
        !open_pagemap(&tracking->pagemap_fd, error)) {
        stop(tracking);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!track_block(tracking, blocks[i], error)) {
            stop(tracking);
            return false;
        }
    }
    return true;
}

/* Finds, protects and marks what was written in one block. */
static bool collect_block(struct vmmig__write_tracking *tracking,
                          struct vmmig_block *block, vmmig_error **error)
{
    uintptr_t host = (uintptr_t)block->host;
    struct scan_arguments scan = {
        .size = sizeof scan,
        .flags = SCAN_PROTECT | SCAN_CHECK_ASYNC,
        .start = host,
        .end = host + block->length_bytes,
        .regions = (uintptr_t)tracking->regions,
        .region_count = SCAN_REGIONS,
        .category_mask = SCAN_WRITTEN,
        .return_mask = SCAN_WRITTEN,
    };

    while (scan.start < scan.end) {
        int found = ioctl(tracking->pagemap_fd, SCAN_IOCTL, &scan);

        if (found < 0)
            return vmmig__fail_errno(error, errno,
                                     "write tracking of block \"%s\": "
                                     "PAGEMAP_SCAN", block->name);
        for (int i = 0; i < found; i++) {
            const struct page_region *region = &tracking->regions[i];

            vmmig_block_mark_dirty(block, region->start - host,
                                   region->end - region->start);
        }
        scan.start = scan.walk_end;
    }
    return true;
}

static bool collect(void *source, vmmig_error **error)
{
    struct vmmig__write_tracking *tracking = source;
    struct vmmig_block *const *blocks;
    uint32_t count;

    blocks = vmmig__ram_blocks_get(tracking->blocks, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (tracking->is_registered[i] &&
            !collect_block(tracking, blocks[i], error))
            return false;
    }
    return true;
}

const struct vmmig_dirty_source vmmig__write_tracking_ops = {
    .struct_size = sizeof vmmig__write_tracking_ops,
    .start = start,
    .collect = collect,
    .stop = stop,
};

void vmmig__write_tracking_free(void *tracking)
{
    g_free(tracking);
}

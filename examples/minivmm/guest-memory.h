/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings of guest memory: where RAM comes from. One thread maps and unmaps;
 * who writes into it meanwhile is somebody else's business.
 */
#ifndef MINIVMM_GUEST_MEMORY_H
#define MINIVMM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <vmmigrate/memory.h>

#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)

enum guest_memory_kind {
    GUEST_MEMORY_MEMFD,
    GUEST_MEMORY_ANON,
    GUEST_MEMORY_HUGETLB, /* a memfd of huge pages */
    GUEST_MEMORY_FILE,
};

struct guest_memory {
    void *address;
    uint64_t length_bytes;
    int fd;           /* -1: no file behind it */
    bool has_content; /* it was there before us, and is to be kept */
    bool shared;      /* other processes can map the same file */
};

/* Starts from here, so that guest_memory_unmap() takes one never mapped. */
#define GUEST_MEMORY_INIT \
    {                     \
        .fd = -1          \
    }

/*
 * Maps `length_bytes` of zeros, for huge pages a multiple of theirs. `name`
 * shows up in /proc. GUEST_MEMORY_FILE is the file at `path`, other kinds
 * ignore it: one that exists must have exactly `length_bytes`, and its content
 * is the guest's memory; one that does not is made.
 */
bool guest_memory_map(struct guest_memory *memory, enum guest_memory_kind kind,
                      const char *name, const char *path, uint64_t length_bytes,
                      GError **error);

void guest_memory_unmap(struct guest_memory *memory);

/* What the library is to know of it; only the block's name is missing. */
struct vmmig_block_config
guest_memory_describe(const struct guest_memory *memory);

/* Whether there is a file at `path`, and how long it is. */
bool guest_memory_find_file(const char *path, uint64_t *ret_length_bytes);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ram/memory-holes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <unistd.h>

int vmmig__open_holes(int fd)
{
    struct statfs status;
    char path[64];

    /* What is written through a mapping is a hole no more at that moment: of
     * tmpfs (and so of memfd) this is known. */
    if (fstatfs(fd, &status) < 0 || status.f_type != TMPFS_MAGIC)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

uint64_t vmmig__count_untouched(const struct vmmig_block *block,
                                uint64_t first_page, uint64_t page_count)
{
    uint32_t shift = vmmig__ram_blocks_page_shift(block->owner);
    uint64_t offset = block->fd_offset_bytes + (first_page << shift);
    off_t data;

    if (block->holes_fd < 0)
        return 0;
    data = lseek(block->holes_fd, (off_t)offset, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? page_count : 0;
    return MIN(page_count, ((uint64_t)data - offset) >> shift);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which parts of a block were never written. They are zero, and to read them
 * through a shared mapping would make the kernel allocate them: a guest that
 * uses a quarter of its memory would cost all of it on both sides.
 */
#ifndef VMMIG_RAM_MEMORY_HOLES_H
#define VMMIG_RAM_MEMORY_HOLES_H

#include "ram/ram-blocks.h"

/*
 * vmmig__open_holes:
 * @fd: what the memory is a shared mapping of
 *
 * (transfer full): a descriptor of its own for block->holes_fd, since looking
 * for holes moves the position in a file; -1 where holes cannot be told.
 */
int vmmig__open_holes(int fd);

/* How many pages from @first_page on, up to @page_count, were never written; 0
 * also where that is not known. Any thread. */
uint64_t vmmig__count_untouched(const struct vmmig_block *block,
                                uint64_t first_page, uint64_t page_count);

/* A look costs a system call, so it is for this many pages: as many may be
 * read, or allocated in vain, until the next look. */
enum { VMMIG__PAGES_PER_LOOK = 64 };

#endif

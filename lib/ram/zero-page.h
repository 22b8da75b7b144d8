/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a page all zeros? Detection only; what to do about it is decided where
 * pages are sent and placed.
 */
#ifndef VMMIG_RAM_ZERO_PAGE_H
#define VMMIG_RAM_ZERO_PAGE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * vmmig__page_is_zero:
 * @page: aligned to 64 bytes
 * @length_bytes: a multiple of 256
 *
 * Any thread. The page may be written meanwhile: the answer then belongs to
 * some moment during the call, and dirty tracking sends the page again.
 */
bool vmmig__page_is_zero(const void *page, size_t length_bytes);

/* The implementations, for tests that compare them: the last row has no name.
 * vmmig__page_is_zero() uses the first one that is supported. */
struct vmmig__zero_page_variant {
    const char *name;
    bool (*is_supported)(void);
    bool (*is_zero)(const void *page, size_t length_bytes);
};

extern const struct vmmig__zero_page_variant vmmig__zero_page_variants[];

#endif

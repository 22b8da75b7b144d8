/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structures that a host fills: each begins with its size, so that hosts built
 * against older and newer headers work alike.
 */
#ifndef VMMIG_BASE_STRUCT_COPY_H
#define VMMIG_BASE_STRUCT_COPY_H

#include <stddef.h>

#include "base/error.h"

/*
 * vmmig__copy_struct:
 * @ours: receives the copy; what the host's structure lacks becomes zero
 * @our_size: bytes of the structure as we know it
 * @theirs: the host's structure; its first member is `uint32_t struct_size`
 * @what: its name, for the error
 *
 * Refuses a NULL pointer, a size that cannot be one, and a structure that is
 * longer than ours and not zero behind what we know: a callback that we do not
 * know must not be ignored in silence.
 */
bool vmmig__copy_struct(void *ours, size_t our_size, const void *theirs,
                        const char *what, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/struct-copy.h"

#include <string.h>

/* Far above any structure of ours; a larger size is not a size. */
enum { LARGEST_STRUCT = 65536 };

bool vmmig__copy_struct(void *ours, size_t our_size, const void *theirs,
                        const char *what, vmmig_error **error)
{
    uint32_t their_size;

    if (!theirs)
        return vmmig__fail(error, VMMIG_ERROR_INVALID, "%s is NULL", what);
    memcpy(&their_size, theirs, sizeof their_size);
    if (their_size < sizeof their_size || their_size > LARGEST_STRUCT)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "%s: struct_size is %u; set it to sizeof", what,
                           (unsigned)their_size);
    for (size_t at = our_size; at < their_size; at++) {
        if (((const char *)theirs)[at] != 0)
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "%s: the member at byte %zu is set, and this "
                               "library is too old to know it",
                               what, at);
    }
    memset(ours, 0, our_size);
    memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that are about the library itself.
 */
#include <glib.h>
#include <string.h>

#include <vmmigrate/version.h>

#include "ram/write-tracking.h"

uint32_t vmmig_version(void)
{
    return VMMIG_VERSION;
}

bool vmmig_supports(const char *feature)
{
    return feature && strcmp(feature, "track-writes") == 0 &&
           vmmig__write_tracking_probe(NULL);
}

void vmmig_free(void *memory)
{
    g_free(memory);
}

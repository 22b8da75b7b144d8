/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library says of itself, for test programs in Python: a line for each
 * option and feature, its parts divided by tabs.
 */
#include <inttypes.h>
#include <stdio.h>

#include <vmmigrate/vmmigrate.h>

static const char *type_name(uint32_t type)
{
    switch (type) {
    case VMMIG_OPTION_BOOL:
        return "bool";
    case VMMIG_OPTION_UINT:
        return "number";
    case VMMIG_OPTION_STRING:
        return "text";
    default:
        return "unknown";
    }
}

int main(void)
{
    struct vmmig_option_info info = {.struct_size = sizeof info};

    for (uint32_t i = 0; vmmig_option_describe(i, &info); i++)
        printf("option\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s\n",
               info.name, type_name(info.type), info.minimum, info.maximum,
               info.unit, info.initially, info.fixed_from, info.help);
    printf("feature\ttrack-writes\t%s\n",
           vmmig_supports("track-writes") ? "yes" : "no");
    return 0;
}

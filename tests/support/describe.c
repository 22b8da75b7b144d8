/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library says of itself, for test programs in Python: a line for each
 * option, feature and preset of `peer`, its parts divided by tabs.
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

static bool change_guest(void *host, uint32_t why, vmmig_error **error)
{
    return true;
}

/* What one value of `peer` makes of the options that it presets. */
static bool print_preset(struct vmmig_options *options, const char *peer)
{
    static const char *const names[] = {"send-switchover-start",
                                        "switchover-ack-legacy"};

    if (!vmmig_options_set_string(options, "peer", peer, NULL))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text = vmmig_options_get_text(options, names[i], NULL);

        printf("preset\t%s\t%s\t%s\n", peer, names[i], text);
        vmmig_free(text);
    }
    return true;
}

static bool print_presets(void)
{
    static const struct vmmig_host host = {.struct_size = sizeof host,
                                           .stop_guest = change_guest,
                                           .start_guest = change_guest};
    static const char *const peers[] = {"auto",     "qemu-7.2", "qemu-8.0",
                                        "qemu-8.1", "qemu-9",   "qemu-10",
                                        "qemu-11"};
    struct vmmig_machine *machine = vmmig_machine_new(&host, NULL, NULL, NULL);
    bool ok = machine != NULL;

    for (size_t i = 0; ok && i < sizeof peers / sizeof *peers; i++)
        ok = print_preset(vmmig_machine_get_options(machine), peers[i]);
    vmmig_machine_unref(machine);
    return ok;
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
    return print_presets() ? 0 : 1;
}

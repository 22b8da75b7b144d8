/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/globalstate.h"

#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "device/device-registry.h"

static const struct vmmig_field fields[] = {
    VMMIG_FIELD(VMMIG_U32, struct vmmig__globalstate, size),
    VMMIG_FIELD(VMMIG_U8, struct vmmig__globalstate, runstate),
    VMMIG_FIELD(VMMIG_U8, struct vmmig__globalstate, has_vm_was_suspended),
    VMMIG_FIELD(VMMIG_U8, struct vmmig__globalstate, vm_was_suspended),
    VMMIG_FIELD_UNUSED(66),
};

static const struct vmmig_layout layout = VMMIG_LAYOUT(1, 1, fields);

/* QEMU's names of states; a guest in any but the first arrives stopped. */
static const char *const known_states[] = {
    "running",  "paused",         "prelaunch",     "postmigrate",
    "suspended", "inmigrate",     "finish-migrate", "shutdown",
    "io-error", "internal-error", "debug",         "watchdog",
    "guest-panicked", "restore-vm", "save-vm",     "colo",
    NULL,
};

void vmmig__globalstate_set(struct vmmig__globalstate *state, bool guest_ran)
{
    const char *name = guest_ran ? "running" : "paused";

    memset(state, 0, sizeof *state);
    state->size = (uint32_t)strlen(name) + 1;
    memcpy(state->runstate, name, strlen(name));
    state->has_vm_was_suspended = 1;
    state->guest_ran = guest_ran;
}

void vmmig__globalstate_reset(struct vmmig__globalstate *state)
{
    memset(state, 0, sizeof *state);
    state->guest_ran = true;
}

static bool post_load(void *data, uint32_t version, vmmig_error **error)
{
    struct vmmig__globalstate *state = data;
    const char *name = (const char *)state->runstate;

    if (!memchr(name, '\0', sizeof state->runstate))
        return vmmig__fail(error, VMMIG_ERROR_PROTOCOL,
                           "the name of the guest's state has no end");
    if (!g_strv_contains(known_states, name))
        return vmmig__fail(error, VMMIG_ERROR_INCOMPATIBLE,
                           "the guest's state \"%s\" is unknown", name);
    state->guest_ran = strcmp(name, "running") == 0 && !state->vm_was_suspended;
    return true;
}

struct vmmig_device_config
vmmig__globalstate_config(struct vmmig__globalstate *state)
{
    static const struct vmmig_device_ops ops = {.struct_size = sizeof ops,
                                                .post_load = post_load};

    /* The last one, as QEMU has it: whether the guest runs is decided when all
     * else is known. */
    return (struct vmmig_device_config){
        .struct_size = sizeof(struct vmmig_device_config),
        .name = "globalstate",
        .ops = &ops,
        .layout = &layout,
        .data = state,
        .priority = INT32_MIN,
        .flags = VMMIG__DEVICE_OPTIONAL,
    };
}

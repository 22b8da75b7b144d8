/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The section "globalstate": whether the guest ran on the source. A device of
 * the library's own, sent by every machine. docs/wire-format.md, chapter 3.2.
 */
#ifndef VMMIG_SESSION_GLOBALSTATE_H
#define VMMIG_SESSION_GLOBALSTATE_H

#include <vmmigrate/device.h>

struct vmmig__globalstate {
    /* As it is in the stream. */
    uint32_t size;
    uint8_t runstate[32];
    uint8_t has_vm_was_suspended;
    uint8_t vm_was_suspended;

    /* Source: set before the guest is stopped. Destination: what was read; a
     * stream without the section comes from a guest that ran. */
    bool guest_ran;
};

/* Source: what will be sent. */
void vmmig__globalstate_set(struct vmmig__globalstate *state, bool guest_ran);

/* Destination: nothing has been read. */
void vmmig__globalstate_reset(struct vmmig__globalstate *state);

/* Its registration; data is a struct vmmig__globalstate. */
struct vmmig_device_config
vmmig__globalstate_config(struct vmmig__globalstate *state);

#endif

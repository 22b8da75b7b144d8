/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For hosts that have a GLib main loop. Not part of vmmigrate.h, and needs no
 * header of GLib.
 */
#ifndef VMMIGRATE_GLIB_H
#define VMMIGRATE_GLIB_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct _GMainContext;

/**
 * vmmig_machine_attach_context:
 * @machine: the machine
 * @context: (nullable): a GMainContext; NULL is the default one
 * @priority: of the GSource that is added to it; G_PRIORITY_DEFAULT is 0
 * @error: (nullable): return location
 *
 * Makes whoever iterates @context the machine's host thread: the guest is
 * stopped and started there, and events arrive there. A call that waits
 * (vmmig_session_wait(), vmmig_machine_close()) on a thread that iterates
 * @context, or while nobody does, runs these calls itself.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_STATE once the machine has a host thread, which its first
 *   session gives it
 * Returns: true if it is attached, for the rest of the machine's life
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_attach_context(struct vmmig_machine *machine,
                                            struct _GMainContext *context,
                                            int32_t priority,
                                            vmmig_error **error);

#ifdef __cplusplus
}
#endif

#endif

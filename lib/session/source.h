/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the source's thread, mig/src/main, keeps from one step to the next.
 * source.c runs the steps; switchover.c has the one that must not go wrong.
 */
#ifndef VMMIG_SESSION_SOURCE_H
#define VMMIG_SESSION_SOURCE_H

#include "device/device-save.h"
#include "returnpath/returnpath-receive.h"
#include "session/precopy.h"
#include "session/session.h"
#include "wire/configuration.h"

struct vmmig__source {
    struct vmmig_session *session;
    struct vmmig_machine *machine;
    struct vmmig_channel *channel;
    struct vmmig_writer *out;
    struct vmmig__return_path *return_path; /* NULL: none was opened */
    struct vmmig__saver saver;
    struct vmmig__precopy precopy;
    struct vmmig__configuration configuration;

    /* What has to be undone if the attempt fails. */
    bool guest_stopped;
    bool ownership_released;
};

/* Until the guest is handed over: a destination that has spoken its last word
 * already has failed, in its own words if it had any. */
bool vmmig__source_check_peer(struct vmmig__source *source,
                              vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__switch_over:
 *
 * From the running guest to the destination's word. The point of no return is
 * in here, and is the move to HANDED_OVER: while that has not happened a failure
 * may be undone. *ret_last_word is set when this returned true, and then says
 * what became of the guest.
 */
bool vmmig__switch_over(struct vmmig__source *source,
                        enum vmmig__last_word *ret_last_word,
                        vmmig_error **error)
    __attribute__((warn_unused_result));

/* The guest stays: ownership, devices, vCPUs as before the stop. False when it
 * could not be started again; then nobody runs it, and the error says so. The
 * session's owner is HERE unless the host could not get ownership back. */
bool vmmig__switch_back(struct vmmig__source *source, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

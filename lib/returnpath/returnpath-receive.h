/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's side of the return path: a thread, mig/src/rp, that reads what
 * the destination says and remembers what matters.
 */
#ifndef VMMIG_RETURNPATH_RETURNPATH_RECEIVE_H
#define VMMIG_RETURNPATH_RETURNPATH_RECEIVE_H

#include "base/thread.h"
#include "io/channel.h"

struct vmmig__return_path;

/*
 * vmmig__return_path_start:
 * @changed: called on mig/src/rp, without locks, whenever there is news: an
 *     acknowledgement, the destination's last word, the end
 *
 * (transfer full): reads from @channel until its end, an error or SHUT.
 */
bool vmmig__return_path_start(struct vmmig_channel *channel,
                              const struct vmmig__thread_hook *hook,
                              void (*changed)(void *data), void *data,
                              struct vmmig__return_path **ret_path,
                              vmmig_error **error)
    __attribute__((warn_unused_result));

/* Joins the thread and frees; the channel has been shut down or is at its end.
 * Takes NULL. */
void vmmig__return_path_free(struct vmmig__return_path *path);

enum vmmig__last_word {
    VMMIG__NOTHING_YET,
    VMMIG__SUCCESS, /* SHUT 0 */
    VMMIG__FAILURE, /* SHUT with another value */
    VMMIG__LOST,    /* the path ended or broke without SHUT */
};

/* Any thread. @error is set for FAILURE and LOST. */
enum vmmig__last_word
vmmig__return_path_last_word(struct vmmig__return_path *path,
                             vmmig_error **error);

/* Waits for the last word until @deadline_us (UINT64_MAX: for ever). */
enum vmmig__last_word
vmmig__return_path_wait(struct vmmig__return_path *path, uint64_t deadline_us,
                        vmmig_error **error);

/* How many SWITCHOVER_ACKs have come. */
uint32_t vmmig__return_path_acks(struct vmmig__return_path *path);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Please stop": a flag that any thread sets once and any thread reads, with a
 * descriptor that becomes readable so that a poll() wakes.
 */
#ifndef VMMIG_BASE_STOP_FLAG_H
#define VMMIG_BASE_STOP_FLAG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

struct vmmig__stop_flag {
    atomic_bool requested;
    int event_fd; /* set once before threads start */
};

bool vmmig__stop_flag_init(struct vmmig__stop_flag *flag, vmmig_error **error)
    __attribute__((warn_unused_result));
void vmmig__stop_flag_destroy(struct vmmig__stop_flag *flag);

/* Any thread, any number of times. */
void vmmig__stop_flag_request(struct vmmig__stop_flag *flag);
bool vmmig__stop_flag_is_requested(const struct vmmig__stop_flag *flag);

#endif

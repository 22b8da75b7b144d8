/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's replies: whole messages, one after the other, from whatever
 * thread has something to say. docs/wire-format.md, chapter 5.
 */
#ifndef VMMIG_RETURNPATH_RETURNPATH_SEND_H
#define VMMIG_RETURNPATH_RETURNPATH_SEND_H

#include "base/thread.h"
#include "io/channel.h"
#include "wire/stream-writer.h"

struct vmmig__replies;

/* (transfer full): keeps a reference to @channel. */
struct vmmig__replies *vmmig__replies_new(struct vmmig_channel *channel);
/* Takes NULL. */
void vmmig__replies_free(struct vmmig__replies *replies);

/* Each returns when the kernel has the whole message. */
bool vmmig__replies_pong(struct vmmig__replies *replies, uint32_t value,
                         vmmig_error **error)
    __attribute__((warn_unused_result));
bool vmmig__replies_shut(struct vmmig__replies *replies, uint32_t value,
                         vmmig_error **error)
    __attribute__((warn_unused_result));
/* @words: UTF-8; what does not fit the message is cut off. */
bool vmmig__replies_reason(struct vmmig__replies *replies, const char *words,
                           vmmig_error **error)
    __attribute__((warn_unused_result));
bool vmmig__replies_switchover_ack(struct vmmig__replies *replies,
                                   vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "returnpath/returnpath-send.h"

#include <string.h>

#include "wire/reply.h"

struct vmmig__replies {
    struct vmmig__mutex lock; /* held while a message is written */
    struct vmmig_writer *out; /* lock: lock */
};

struct vmmig__replies *vmmig__replies_new(struct vmmig_channel *channel)
{
    struct vmmig__replies *replies = g_new0(struct vmmig__replies, 1);

    vmmig__mutex_init(&replies->lock, VMMIG__RANK_REPLY, "replies");
    replies->out = vmmig__writer_new(channel);
    return replies;
}

void vmmig__replies_free(struct vmmig__replies *replies)
{
    if (!replies)
        return;
    vmmig__writer_free(replies->out);
    vmmig__mutex_destroy(&replies->lock);
    g_free(replies);
}

static bool send_reply(struct vmmig__replies *replies,
                       const struct vmmig__reply *reply, vmmig_error **error)
{
    bool ok;

    vmmig__mutex_lock(&replies->lock);
    vmmig__put_reply(replies->out, reply);
    ok = vmmig__writer_flush(replies->out, error);
    vmmig__mutex_unlock(&replies->lock);
    return ok || vmmig__prefix(error, "return path: %s: ",
                               vmmig__reply_name(reply->type));
}

bool vmmig__replies_pong(struct vmmig__replies *replies, uint32_t value,
                         vmmig_error **error)
{
    struct vmmig__reply reply = {.type = VMMIG__REPLY_PONG, .value = value};

    return send_reply(replies, &reply, error);
}

bool vmmig__replies_shut(struct vmmig__replies *replies, uint32_t value,
                         vmmig_error **error)
{
    struct vmmig__reply reply = {.type = VMMIG__REPLY_SHUT, .value = value};

    return send_reply(replies, &reply, error);
}

bool vmmig__replies_reason(struct vmmig__replies *replies, const char *words,
                           vmmig_error **error)
{
    struct vmmig__reply reply = {.type = VMMIG__REPLY_REASON};
    const char *end = words + MIN(strlen(words), VMMIG__MAX_REPLY_BYTES);

    /* Not in the middle of a character. */
    g_utf8_validate(words, end - words, &end);
    memcpy(reply.words, words, (size_t)(end - words));
    return end == words || send_reply(replies, &reply, error);
}

bool vmmig__replies_switchover_ack(struct vmmig__replies *replies,
                                   vmmig_error **error)
{
    struct vmmig__reply reply = {.type = VMMIG__REPLY_SWITCHOVER_ACK};

    return send_reply(replies, &reply, error);
}

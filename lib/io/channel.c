/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all channels have in common: counting, names, the sticky shutdown, and
 * errors that say which channel it was. Runs on whatever thread reads or
 * writes; a channel owns the transport's data.
 */
#include "io/channel.h"

#include <stdatomic.h>
#include <string.h>

#include "base/struct-copy.h"

struct vmmig_channel {
    atomic_uint references;
    atomic_bool is_shut_down;
    struct vmmig__channel_ops ops; /* set once */
    void *data;                    /* set once */
    vmmig_free_fn close;           /* set once */
    char *peer;                    /* set once */
    char *name;                    /* set once before threads start */
};

struct vmmig_channel *vmmig__channel_new(const struct vmmig__channel_ops *ops,
                                         void *data, vmmig_free_fn close,
                                         const char *peer)
{
    struct vmmig_channel *channel = g_new0(struct vmmig_channel, 1);

    atomic_init(&channel->references, 1);
    atomic_init(&channel->is_shut_down, false);
    channel->ops = *ops;
    channel->data = data;
    channel->close = close;
    channel->peer = g_strdup(peer);
    return channel;
}

static bool check_ops(const struct vmmig_channel_ops *ops,
                      struct vmmig_channel_ops *ret_ops, vmmig_error **error)
{
    if (!vmmig__copy_struct(ret_ops, sizeof *ret_ops, ops, "vmmig_channel_ops",
                            error))
        return false;
    if (ret_ops->flags != 0) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_channel_ops: unknown flags 0x%x",
                           ret_ops->flags);
    }
    if (!ret_ops->shutdown) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_channel_ops: shutdown is missing");
    }
    if (!ret_ops->readv && !ret_ops->writev) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "vmmig_channel_ops: readv and writev are missing");
    }
    return true;
}

struct vmmig_channel *vmmig_channel_new(const struct vmmig_channel_ops *ops,
                                        void *data, vmmig_free_fn close,
                                        vmmig_error **error)
{
    struct vmmig__channel_ops ours = {0};

    if (!check_ops(ops, &ours.ops, error)) {
        if (close)
            close(data);
        return NULL;
    }
    ours.two_way = ours.ops.readv && ours.ops.writev;
    return vmmig__channel_new(&ours, data, close, "the host's channel");
}

struct vmmig_channel *vmmig_channel_ref(struct vmmig_channel *channel)
{
    if (channel) {
        atomic_fetch_add_explicit(&channel->references, 1,
                                  memory_order_relaxed);
    }
    return channel;
}

struct vmmig_channel *vmmig_channel_unref(struct vmmig_channel *channel)
{
    if (!channel || atomic_fetch_sub_explicit(&channel->references, 1,
                                              memory_order_acq_rel) != 1)
        return NULL;
    if (channel->close)
        channel->close(channel->data);
    g_free(channel->peer);
    g_free(channel->name);
    g_free(channel);
    return NULL;
}

void vmmig__channel_set_name(struct vmmig_channel *channel, const char *name)
{
    char *copy = g_strdup(name);

    g_free(channel->name);
    channel->name = copy;
}

const char *vmmig__channel_get_name(const struct vmmig_channel *channel)
{
    return channel->name;
}

const char *vmmig__channel_get_peer(const struct vmmig_channel *channel)
{
    return channel->peer;
}

bool vmmig__channel_is_two_way(const struct vmmig_channel *channel)
{
    return channel->ops.two_way;
}

void *vmmig__channel_get_data(const struct vmmig_channel *channel)
{
    return channel->data;
}

static bool is_shut_down(const struct vmmig_channel *channel)
{
    return atomic_load_explicit(&channel->is_shut_down, memory_order_acquire);
}

/*
 * Hands `cause` on with the place in front of it; takes it. After a shutdown
 * whatever the transport said is only how it noticed.
 */
static bool fail(const struct vmmig_channel *channel, const char *doing,
                 vmmig_error *cause, vmmig_error **error)
{
    if (is_shut_down(channel) || !cause) {
        const char *words = is_shut_down(channel) ? "the channel was shut down"
                                                  : "no reason was given";

        g_clear_error(&cause);
        vmmig__fail(&cause, VMMIG_ERROR_IO, "%s", words);
    } else if (vmmig_error_code(cause) == VMMIG_ERROR_HOST) {
        /* A host's transport failed, maybe in the words of its own domain: to
         * a session it is a lost connection like any other. */
        vmmig_error *ours = NULL;

        vmmig__fail(&ours, VMMIG_ERROR_IO, "%s", cause->message);
        g_error_free(cause);
        cause = ours;
    }
    vmmig__prefix(&cause, "channel%s%s: %s %s: ", channel->name ? " " : "",
                  channel->name ? channel->name : "", doing, channel->peer);
    if (channel->name)
        vmmig__error_note(cause, "channel", "%s", channel->name);
    vmmig__error_note(cause, "peer", "%s", channel->peer);
    g_propagate_error(error, cause);
    return false;
}

static bool fail_with(const struct vmmig_channel *channel, const char *doing,
                      vmmig_error **error, const char *words)
{
    vmmig_error *cause = NULL;

    vmmig__fail(&cause, VMMIG_ERROR_IO, "%s", words);
    return fail(channel, doing, cause, error);
}

/* A host's transport is believed in everything but this. */
static uint64_t room_in(const struct iovec *parts, uint32_t count)
{
    uint64_t length = 0;

    for (uint32_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    return length;
}

bool vmmig__channel_read(struct vmmig_channel *channel,
                         const struct iovec *parts, uint32_t count,
                         uint64_t *ret_length_bytes, vmmig_error **error)
{
    static const char doing[] = "reading from";
    vmmig_error *cause = NULL;
    uint64_t length = 0;

    if (!channel->ops.ops.readv)
        return fail_with(channel, doing, error, "it can only be written");
    if (is_shut_down(channel))
        return fail(channel, doing, NULL, error);
    count = MIN(count, (uint32_t)VMMIG__CHANNEL_MAX_PARTS);
    if (!channel->ops.ops.readv(channel->data, parts, count, &length, &cause))
        return fail(channel, doing, cause, error);
    if (length == 0 && is_shut_down(channel))
        return fail(channel, doing, NULL, error);
    if (length > room_in(parts, count)) {
        return fail_with(channel, doing, error,
                         "it claims to have read more than there was room for");
    }
    *ret_length_bytes = length;
    return true;
}

/* Drops `length` bytes from the front; false when there are not that many. */
static bool advance(struct iovec **parts, uint32_t *count, uint64_t length)
{
    while (*count > 0 && length >= (*parts)->iov_len) {
        length -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (length == 0)
        return true;
    if (*count == 0)
        return false;
    (*parts)->iov_base = (char *)(*parts)->iov_base + length;
    (*parts)->iov_len -= length;
    return true;
}

bool vmmig__channel_write_all(struct vmmig_channel *channel,
                              struct iovec *parts, uint32_t count,
                              vmmig_error **error)
{
    static const char doing[] = "writing to";
    vmmig_error *cause = NULL;

    if (!channel->ops.ops.writev)
        return fail_with(channel, doing, error, "it can only be read");
    advance(&parts, &count, 0);
    while (count > 0) {
        uint64_t length = 0;

        if (is_shut_down(channel))
            return fail(channel, doing, NULL, error);
        if (!channel->ops.ops.writev(
                channel->data, parts,
                MIN(count, (uint32_t)VMMIG__CHANNEL_MAX_PARTS), &length,
                &cause))
            return fail(channel, doing, cause, error);
        if (length == 0)
            return fail_with(channel, doing, error, "it took nothing");
        if (!advance(&parts, &count, length)) {
            return fail_with(channel, doing, error,
                             "it claims to have taken more than it was given");
        }
    }
    return true;
}

bool vmmig__channel_wait(struct vmmig_channel *channel, bool to_write,
                         int64_t timeout_ms, vmmig_error **error)
{
    vmmig_error *cause = NULL;

    if (is_shut_down(channel))
        return fail(channel, "waiting for", NULL, error);
    if (channel->ops.ops.wait &&
        !channel->ops.ops.wait(channel->data, to_write, timeout_ms, &cause))
        return fail(channel, "waiting for", cause, error);
    return true;
}

bool vmmig__channel_has_deadlines(const struct vmmig_channel *channel)
{
    return channel->ops.ops.wait != NULL;
}

bool vmmig__channel_finish(struct vmmig_channel *channel, vmmig_error **error)
{
    vmmig_error *cause = NULL;

    if (is_shut_down(channel))
        return fail(channel, "finishing", NULL, error);
    if (channel->ops.finish && !channel->ops.finish(channel->data, &cause))
        return fail(channel, "finishing", cause, error);
    return true;
}

void vmmig__channel_shutdown(struct vmmig_channel *channel)
{
    if (!atomic_exchange_explicit(&channel->is_shut_down, true,
                                  memory_order_acq_rel))
        channel->ops.ops.shutdown(channel->data);
}

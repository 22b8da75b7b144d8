/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mig/src/rp owns the reader; what others ask for is under the lock. The
 * destination's words are hostile like any other bytes: a message that makes no
 * sense in precopy ends the path.
 */
#include "returnpath/returnpath-receive.h"

#include "wire/reply.h"

struct vmmig__return_path {
    struct vmmig__mutex lock;
    struct vmmig__cond cond;
    struct vmmig_reader *in; /* mig/src/rp */
    char *reason;            /* mig/src/rp; (nullable): the peer's words */
    struct vmmig__thread *thread;
    void (*changed)(void *data); /* set once */
    void *data;

    enum vmmig__last_word last_word; /* lock: lock */
    vmmig_error *error;              /* lock: lock */
    uint32_t acks;                   /* lock: lock */
};

/* Notes the destination's last word; takes @error. */
static void conclude(struct vmmig__return_path *path,
                     enum vmmig__last_word last_word, vmmig_error *error)
{
    vmmig__mutex_lock(&path->lock);
    path->last_word = last_word;
    path->error = error;
    vmmig__cond_broadcast(&path->cond);
    vmmig__mutex_unlock(&path->lock);
}

/* A destination sends at most one, whichever protocol it speaks. */
static bool count_ack(struct vmmig__return_path *path, vmmig_error **error)
{
    uint32_t acks;

    vmmig__mutex_lock(&path->lock);
    acks = ++path->acks;
    vmmig__mutex_unlock(&path->lock);
    if (acks > 1)
        return vmmig__reader_fail(path->in, error, VMMIG_ERROR_PROTOCOL,
                                  "SWITCHOVER_ACK came %u times",
                                  (unsigned)acks);
    path->changed(path->data);
    return true;
}

/* One message; *ret_over after the last one. */
static bool take(struct vmmig__return_path *path,
                 const struct vmmig__reply *reply, bool *ret_over,
                 vmmig_error **error)
{
    vmmig_error *refusal = NULL;

    *ret_over = false;
    switch (reply->type) {
    case VMMIG__REPLY_PONG:
        return true;
    case VMMIG__REPLY_SWITCHOVER_ACK:
        return count_ack(path, error);
    case VMMIG__REPLY_REASON:
        g_free(path->reason);
        path->reason = g_strdup(reply->words);
        return true;
    case VMMIG__REPLY_SHUT:
        *ret_over = true;
        if (reply->value == 0) {
            conclude(path, VMMIG__SUCCESS, NULL);
            return true;
        }
        vmmig__fail(&refusal, VMMIG_ERROR_IO,
                    "the destination failed and keeps nothing (SHUT %u)%s%s",
                    (unsigned)reply->value,
                    path->reason ? ": " : "; its own error says why",
                    path->reason ? path->reason : "");
        vmmig__error_note(refusal, "side", "destination");
        conclude(path, VMMIG__FAILURE, refusal);
        return true;
    default:
        return vmmig__reader_fail(path->in, error, VMMIG_ERROR_PROTOCOL,
                                  "%s is not welcome in precopy",
                                  vmmig__reply_name(reply->type));
    }
}

static void read_replies(void *data)
{
    struct vmmig__return_path *path = data;
    struct vmmig__reply reply;
    vmmig_error *error = NULL;
    bool over = false, end = false;

    while (!over) {
        if (!vmmig__get_reply(path->in, &reply, &end, &error))
            break;
        if (end) {
            vmmig__reader_fail(path->in, &error, VMMIG_ERROR_IO,
                               "the destination closed the return path "
                               "without a word");
            break;
        }
        if (!take(path, &reply, &over, &error))
            break;
    }
    if (error) {
        vmmig__prefix(&error, "return path: ");
        conclude(path, VMMIG__LOST, error);
    }
    path->changed(path->data);
}

bool vmmig__return_path_start(struct vmmig_channel *channel,
                              const struct vmmig__thread_hook *hook,
                              void (*changed)(void *data), void *data,
                              struct vmmig__return_path **ret_path,
                              vmmig_error **error)
{
    struct vmmig__return_path *path = g_new0(struct vmmig__return_path, 1);

    vmmig__mutex_init(&path->lock, VMMIG__RANK_REPLY, "return path");
    vmmig__cond_init(&path->cond);
    path->in = vmmig__reader_new(channel);
    path->changed = changed;
    path->data = data;
    path->last_word = VMMIG__NOTHING_YET;
    *ret_path = path;
    if (vmmig__thread_start(&path->thread, "mig/src/rp", hook, read_replies,
                            path, error))
        return true;
    *ret_path = NULL;
    vmmig__return_path_free(path);
    return false;
}

void vmmig__return_path_free(struct vmmig__return_path *path)
{
    if (!path)
        return;
    vmmig__thread_join(path->thread);
    vmmig__reader_free(path->in);
    g_clear_error(&path->error);
    g_free(path->reason);
    vmmig__cond_destroy(&path->cond);
    vmmig__mutex_destroy(&path->lock);
    g_free(path);
}

static enum vmmig__last_word report(struct vmmig__return_path *path,
                                    vmmig_error **error)
    VMMIG_REQUIRES(path->lock)
{
    if (path->error && error)
        *error = g_error_copy(path->error);
    return path->last_word;
}

enum vmmig__last_word
vmmig__return_path_last_word(struct vmmig__return_path *path,
                             vmmig_error **error)
{
    enum vmmig__last_word last_word;

    vmmig__mutex_lock(&path->lock);
    last_word = report(path, error);
    vmmig__mutex_unlock(&path->lock);
    return last_word;
}

enum vmmig__last_word
vmmig__return_path_wait(struct vmmig__return_path *path, uint64_t deadline_us,
                        vmmig_error **error)
{
    enum vmmig__last_word last_word;
    bool in_time = true;

    vmmig__mutex_lock(&path->lock);
    while (path->last_word == VMMIG__NOTHING_YET && in_time) {
        if (deadline_us == UINT64_MAX)
            vmmig__cond_wait(&path->cond, &path->lock);
        else
            in_time =
                vmmig__cond_wait_until(&path->cond, &path->lock, deadline_us);
    }
    last_word = report(path, error);
    vmmig__mutex_unlock(&path->lock);
    return last_word;
}

uint32_t vmmig__return_path_acks(struct vmmig__return_path *path)
{
    uint32_t acks;

    vmmig__mutex_lock(&path->lock);
    acks = path->acks;
    vmmig__mutex_unlock(&path->lock);
    return acks;
}

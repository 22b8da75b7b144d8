/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels over files. Nothing here waits for a peer, so a shutdown has nobody
 * to wake; the channel itself refuses what comes after it.
 *
 * What is written is handed to the disk as it goes and finish() waits for the
 * rest: the stream may be the only copy of a guest, and without the former the
 * latter would take long, with the guest stopped.
 */
#include "io/channel-file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/io-error.h"

enum { WRITE_BEHIND_BYTES = 32 * 1024 * 1024 };

struct file {
    int fd;
    uint64_t not_started_bytes; /* writing thread: of the last ones written */
};

static bool file_readv(void *data, const struct iovec *parts, uint32_t count,
                       uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct file *file = data;
    ssize_t length;

    do {
        length = readv(file->fd, parts, (int)count);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return vmmig__fail_io(error, errno);
    *ret_length_bytes = (uint64_t)length;
    return true;
}

/* Has the disk begin with what was written last. Only the end counts, and
 * finish() sees to that, so that a failure here says nothing. */
static void start_writing(struct file *file)
{
    off_t position = lseek(file->fd, 0, SEEK_CUR);

    if (position >= 0 && (uint64_t)position >= file->not_started_bytes) {
        sync_file_range(file->fd, position - (off_t)file->not_started_bytes,
                        (off_t)file->not_started_bytes, SYNC_FILE_RANGE_WRITE);
    }
    file->not_started_bytes = 0;
}

static bool file_writev(void *data, const struct iovec *parts, uint32_t count,
                        uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct file *file = data;
    ssize_t length;

    do {
        length = writev(file->fd, parts, (int)count);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return vmmig__fail_io(error, errno);
    *ret_length_bytes = (uint64_t)length;
    file->not_started_bytes += (uint64_t)length;
    if (file->not_started_bytes >= WRITE_BEHIND_BYTES)
        start_writing(file);
    return true;
}

static bool file_finish(void *data, vmmig_error **error)
{
    struct file *file = data;

    while (fdatasync(file->fd) < 0) {
        if (errno == EINVAL || errno == EROFS)
            return true; /* it cannot be synchronised, so it need not be */
        if (errno != EINTR)
            return vmmig__fail_io(error, errno);
    }
    return true;
}

static void file_shutdown(void *data)
{
}

static void file_close(void *data)
{
    struct file *file = data;

    close(file->fd);
    g_free(file);
}

struct vmmig_channel *vmmig__channel_new_file(int fd, const char *peer)
{
    static const struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .readv = file_readv,
                .writev = file_writev,
                .shutdown = file_shutdown},
        .finish = file_finish,
    };
    struct file *file = g_new0(struct file, 1);

    file->fd = fd;
    return vmmig__channel_new(&ops, file, file_close, peer);
}

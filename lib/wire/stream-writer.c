/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream writer: copies small things into a buffer, remembers where large
 * ones are, and hands the channel a list of both. One thread at a time. It owns
 * a reference to its channel.
 */
#include "wire/stream-writer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "io/channel.h"

/* A flush is due when this much is pending: about what one system call takes
 * without the peer running dry meanwhile. */
enum {
    BUFFER_BYTES = 128 * 1024,
    FLUSH_BYTES = 1024 * 1024,
    FLUSH_PARTS = 1000,
    /* Larger bytes are not copied if that would need a flush anyway. */
    LARGE_BYTES = 16 * 1024,
};

struct vmmig_writer {
    struct vmmig_channel *channel; /* NULL: into memory */

    uint8_t *buffer;
    uint64_t used, capacity;

    /* What is pending, in order: pieces of the buffer and references. */
    struct iovec parts[FLUSH_PARTS];
    uint32_t part_count;
    uint64_t pending;

    uint64_t offset;
    vmmig_error *error; /* the first one */
};

struct vmmig_writer *vmmig__writer_new(struct vmmig_channel *channel)
{
    struct vmmig_writer *writer = g_new0(struct vmmig_writer, 1);

    writer->channel = vmmig_channel_ref(channel);
    writer->capacity = BUFFER_BYTES;
    writer->buffer = g_malloc(writer->capacity);
    return writer;
}

struct vmmig_writer *vmmig__writer_new_memory(void)
{
    return g_new0(struct vmmig_writer, 1);
}

void vmmig__writer_free(struct vmmig_writer *writer)
{
    if (!writer)
        return;
    vmmig_channel_unref(writer->channel);
    g_clear_error(&writer->error);
    g_free(writer->buffer);
    g_free(writer);
}

const uint8_t *vmmig__writer_get_bytes(const struct vmmig_writer *writer,
                                       uint64_t *ret_length_bytes)
{
    *ret_length_bytes = writer->used;
    return writer->buffer;
}

void vmmig__writer_clear(struct vmmig_writer *writer)
{
    g_return_if_fail(!writer->channel);
    g_clear_error(&writer->error);
    writer->used = 0;
    writer->offset = 0;
}

void vmmig__writer_fail(struct vmmig_writer *writer, uint32_t code,
                        const char *format, ...)
{
    va_list arguments;
    char *message;

    if (writer->error)
        return;
    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    vmmig__fail(&writer->error, code, "%s", message);
    g_free(message);
}

/* -- into memory */

static bool grow(struct vmmig_writer *writer, uint64_t length)
{
    uint64_t capacity = MAX(writer->capacity, 4096);
    uint8_t *buffer;

    while (capacity - writer->used < length && capacity <= UINT64_MAX / 2)
        capacity *= 2;
    buffer = capacity - writer->used < length
                 ? NULL
                 : g_try_realloc(writer->buffer, capacity);
    if (!buffer) {
        vmmig__writer_fail(writer, VMMIG_ERROR_SYSTEM,
                           "no memory for %" PRIu64 " bytes of state after "
                           "%" PRIu64,
                           length, writer->used);
        return false;
    }
    writer->buffer = buffer;
    writer->capacity = capacity;
    return true;
}

/* -- to a channel */

static void flush(struct vmmig_writer *writer)
{
    vmmig_error *error = NULL;

    if (!writer->error && writer->part_count > 0 &&
        !vmmig__channel_write_all(writer->channel, writer->parts,
                                  writer->part_count, &error))
        writer->error = error;
    writer->used = 0;
    writer->part_count = 0;
    writer->pending = 0;
}

static void add_part(struct vmmig_writer *writer, const void *bytes,
                     uint64_t length)
{
    struct iovec *last = &writer->parts[writer->part_count];

    writer->pending += length;
    if (writer->part_count > 0 &&
        (const uint8_t *)last[-1].iov_base + last[-1].iov_len == bytes) {
        last[-1].iov_len += length;
        return;
    }
    last->iov_base = (void *)bytes;
    last->iov_len = length;
    writer->part_count++;
}

static void flush_if_due(struct vmmig_writer *writer)
{
    if (writer->pending >= FLUSH_BYTES || writer->part_count >= FLUSH_PARTS)
        flush(writer);
}

void vmmig_writer_put_bytes(struct vmmig_writer *out, const void *bytes,
                            uint64_t length_bytes)
{
    if (out->error || length_bytes == 0)
        return;
    out->offset += length_bytes;
    if (out->channel && length_bytes > out->capacity - out->used) {
        if (length_bytes >= LARGE_BYTES) {
            add_part(out, bytes, length_bytes);
            flush(out); /* `bytes` is lent for this call only */
            return;
        }
        flush(out);
        if (out->error)
            return;
    }
    if (length_bytes > out->capacity - out->used && !grow(out, length_bytes))
        return;
    memcpy(out->buffer + out->used, bytes, length_bytes);
    if (out->channel)
        add_part(out, out->buffer + out->used, length_bytes);
    out->used += length_bytes;
    if (out->channel)
        flush_if_due(out);
}

void vmmig__writer_put_reference(struct vmmig_writer *writer, const void *bytes,
                                 uint64_t length_bytes)
{
    if (!writer->channel) {
        vmmig_writer_put_bytes(writer, bytes, length_bytes);
        return;
    }
    if (writer->error || length_bytes == 0)
        return;
    writer->offset += length_bytes;
    add_part(writer, bytes, length_bytes);
    flush_if_due(writer);
}

void vmmig_writer_put_u8(struct vmmig_writer *out, uint8_t value)
{
    vmmig_writer_put_bytes(out, &value, sizeof value);
}

void vmmig_writer_put_u16(struct vmmig_writer *out, uint16_t value)
{
    uint8_t bytes[sizeof value];

    vmmig__store_u16(bytes, value);
    vmmig_writer_put_bytes(out, bytes, sizeof bytes);
}

void vmmig_writer_put_u32(struct vmmig_writer *out, uint32_t value)
{
    uint8_t bytes[sizeof value];

    vmmig__store_u32(bytes, value);
    vmmig_writer_put_bytes(out, bytes, sizeof bytes);
}

void vmmig_writer_put_u64(struct vmmig_writer *out, uint64_t value)
{
    uint8_t bytes[sizeof value];

    vmmig__store_u64(bytes, value);
    vmmig_writer_put_bytes(out, bytes, sizeof bytes);
}

void vmmig__writer_put_name(struct vmmig_writer *writer, const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= VMMIG__NAME_BYTES) {
        vmmig__writer_fail(writer, VMMIG_ERROR_INVALID,
                           "a name of %zu bytes cannot be sent: it has 1 to %d",
                           length, VMMIG__NAME_BYTES - 1);
        return;
    }
    vmmig_writer_put_u8(writer, (uint8_t)length);
    vmmig_writer_put_bytes(writer, name, length);
}

bool vmmig__writer_flush(struct vmmig_writer *writer, vmmig_error **error)
{
    if (writer->channel)
        flush(writer);
    return vmmig__writer_check(writer, error);
}

bool vmmig__writer_check(const struct vmmig_writer *writer, vmmig_error **error)
{
    if (!writer->error)
        return true;
    if (error)
        *error = g_error_copy(writer->error);
    return false;
}

uint64_t vmmig__writer_get_offset(const struct vmmig_writer *writer)
{
    return writer->offset;
}

uint64_t vmmig__writer_get_pending(const struct vmmig_writer *writer)
{
    return writer->pending;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream reader: a buffer in front of a channel, and a memory of where it
 * is. One thread at a time. It owns a reference to its channel.
 */
#include "wire/stream-reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/bytes.h"
#include "io/channel.h"

/* Large enough that a system call costs little beside the copy, small enough
 * to stay in the second level cache. */
enum { BUFFER_BYTES = 256 * 1024 };

struct vmmig_reader {
    struct vmmig_channel *channel;

    uint8_t *buffer;
    uint64_t capacity;
    uint64_t start, end; /* what is buffered: buffer[start, end) */

    uint64_t offset;      /* of buffer[start] in the stream */
    uint64_t item_offset; /* of what was asked for last */

    bool in_section;
    char section[VMMIG__NAME_BYTES];
    uint32_t section_id;
    uint32_t phase;
};

struct vmmig_reader *vmmig__reader_new(struct vmmig_channel *channel)
{
    struct vmmig_reader *reader = g_new0(struct vmmig_reader, 1);

    reader->channel = vmmig_channel_ref(channel);
    reader->capacity = BUFFER_BYTES;
    reader->buffer = g_malloc(reader->capacity);
    return reader;
}

void vmmig__reader_free(struct vmmig_reader *reader)
{
    if (!reader)
        return;
    vmmig_channel_unref(reader->channel);
    g_free(reader->buffer);
    g_free(reader);
}

/* -- errors */

static const char *phase_name(uint32_t phase)
{
    switch (phase) {
    case VMMIG_PHASE_SETUP:
        return "setup";
    case VMMIG_PHASE_ITERATE:
        return "iterate";
    case VMMIG_PHASE_COMPLETE:
        return "complete";
    case VMMIG_PHASE_STATE:
        return "state";
    default:
        return "unknown";
    }
}

/* (transfer full): "offset 0x1f4a20, section "ram" (id 2)". */
static char *place(const struct vmmig_reader *reader)
{
    if (!reader->in_section)
        return g_strdup_printf("offset 0x%" PRIx64, reader->item_offset);
    return g_strdup_printf(
        "offset 0x%" PRIx64 ", section \"%s\" (id %" PRIu32 ")",
        reader->item_offset, reader->section, reader->section_id);
}

static void note_place(const struct vmmig_reader *reader, vmmig_error *error)
{
    const char *name = vmmig__channel_get_name(reader->channel);

    if (name)
        vmmig__error_note(error, "channel", "%s", name);
    vmmig__error_note(error, "peer", "%s",
                      vmmig__channel_get_peer(reader->channel));
    vmmig__error_note(error, "offset", "0x%" PRIx64, reader->item_offset);
    if (reader->in_section) {
        vmmig__error_note(error, "section", "%s", reader->section);
        vmmig__error_note(error, "phase", "%s", phase_name(reader->phase));
    }
}

bool vmmig__reader_fail(const struct vmmig_reader *reader, vmmig_error **error,
                        uint32_t code, const char *format, ...)
{
    const char *name = vmmig__channel_get_name(reader->channel);
    char *words, *where;
    va_list arguments;

    if (!error)
        return false;
    va_start(arguments, format);
    words = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    where = place(reader);
    vmmig__fail(error, code, "channel %s%s, %s: %s", name ? "" : "to ",
                name ? name : vmmig__channel_get_peer(reader->channel), where,
                words);
    note_place(reader, *error);
    g_free(where);
    g_free(words);
    return false;
}

/* Adds the place to an error of the channel, which has named itself. */
static bool fail_read(const struct vmmig_reader *reader, vmmig_error **error,
                      vmmig_error *cause)
{
    char *where, *message;

    if (error) {
        where = place(reader);
        message = g_strdup_printf("%s (%s)", cause->message, where);
        g_free(cause->message);
        cause->message = vmmig__make_printable(message);
        note_place(reader, cause);
        g_free(message);
        g_free(where);
    }
    g_propagate_error(error, cause);
    return false;
}

static bool fail_end(const struct vmmig_reader *reader, vmmig_error **error,
                     uint64_t wanted_bytes)
{
    return vmmig__reader_fail(
        reader, error, VMMIG_ERROR_IO,
        "the stream ended after %" PRIu64 " of %" PRIu64 " bytes",
        reader->offset - reader->item_offset, wanted_bytes);
}

/* -- the buffer */

static bool read_channel(struct vmmig_reader *reader, const struct iovec *parts,
                         uint32_t count, uint64_t *ret_length,
                         vmmig_error **error)
{
    vmmig_error *cause = NULL;

    if (vmmig__channel_read(reader->channel, parts, count, ret_length, &cause))
        return true;
    return fail_read(reader, error, cause);
}

/* Makes `wanted` bytes be buffered, or everything up to the end of the stream;
 * `wanted` is small. */
static bool fill(struct vmmig_reader *reader, uint64_t wanted,
                 vmmig_error **error)
{
    if (reader->start == reader->end) {
        reader->start = reader->end = 0;
    } else if (reader->capacity - reader->start < wanted) {
        memmove(reader->buffer, reader->buffer + reader->start,
                reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    while (reader->end - reader->start < wanted) {
        struct iovec part = {reader->buffer + reader->end,
                             reader->capacity - reader->end};
        uint64_t length;

        if (!read_channel(reader, &part, 1, &length, error))
            return false;
        if (length == 0)
            return true;
        reader->end += length;
    }
    return true;
}

static void take(struct vmmig_reader *reader, uint64_t length)
{
    reader->start += length;
    reader->offset += length;
}

/* Copies what is buffered, up to `length`; how much that was. */
static uint64_t take_buffered(struct vmmig_reader *reader, void *bytes,
                              uint64_t length)
{
    length = MIN(length, reader->end - reader->start);
    memcpy(bytes, reader->buffer + reader->start, length);
    take(reader, length);
    return length;
}

/* Whether `length` (small) bytes are there: then they are at the result; NULL
 * with an error. */
static const uint8_t *get_small(struct vmmig_reader *reader, uint64_t length,
                                vmmig_error **error)
{
    const uint8_t *bytes;

    reader->item_offset = reader->offset;
    if (G_UNLIKELY(reader->end - reader->start < length)) {
        if (!fill(reader, length, error))
            return NULL;
        if (reader->end - reader->start < length) {
            take(reader, reader->end - reader->start);
            fail_end(reader, error, length);
            return NULL;
        }
    }
    bytes = reader->buffer + reader->start;
    take(reader, length);
    return bytes;
}

/* get_bytes() for a part of an item: leaves item_offset alone. */
static bool get_rest(struct vmmig_reader *reader, void *ret_bytes,
                     uint64_t length, vmmig_error **error)
{
    uint64_t done = take_buffered(reader, ret_bytes, length);

    while (done < length) {
        /* Nothing is buffered: the rest goes straight to its place, and what
         * the channel has beyond it into the buffer. */
        struct iovec parts[2] = {
            {(uint8_t *)ret_bytes + done, length - done},
            {reader->buffer, reader->capacity},
        };
        uint64_t got;

        if (!read_channel(reader, parts, 2, &got, error))
            return false;
        if (got == 0)
            return fail_end(reader, error,
                            reader->offset - reader->item_offset + length -
                                done);
        reader->start = 0;
        reader->end = got > length - done ? got - (length - done) : 0;
        got -= reader->end;
        reader->offset += got;
        done += got;
    }
    return true;
}

/* -- numbers and bytes */

bool vmmig_reader_get_u8(struct vmmig_reader *in, uint8_t *ret_value,
                         vmmig_error **error)
{
    const uint8_t *bytes = get_small(in, 1, error);

    if (!bytes)
        return false;
    *ret_value = bytes[0];
    return true;
}

bool vmmig_reader_get_u16(struct vmmig_reader *in, uint16_t *ret_value,
                          vmmig_error **error)
{
    const uint8_t *bytes = get_small(in, 2, error);

    if (!bytes)
        return false;
    *ret_value = vmmig__load_u16(bytes);
    return true;
}

bool vmmig_reader_get_u32(struct vmmig_reader *in, uint32_t *ret_value,
                          vmmig_error **error)
{
    const uint8_t *bytes = get_small(in, 4, error);

    if (!bytes)
        return false;
    *ret_value = vmmig__load_u32(bytes);
    return true;
}

bool vmmig_reader_get_u64(struct vmmig_reader *in, uint64_t *ret_value,
                          vmmig_error **error)
{
    const uint8_t *bytes = get_small(in, 8, error);

    if (!bytes)
        return false;
    *ret_value = vmmig__load_u64(bytes);
    return true;
}

bool vmmig_reader_get_bytes(struct vmmig_reader *in, void *ret_bytes,
                            uint64_t length_bytes, vmmig_error **error)
{
    in->item_offset = in->offset;
    return get_rest(in, ret_bytes, length_bytes, error);
}

bool vmmig__reader_get_length(struct vmmig_reader *reader, uint32_t maximum,
                              const char *what, uint32_t *ret_length,
                              vmmig_error **error)
{
    uint32_t value;

    if (!vmmig_reader_get_u32(reader, &value, error))
        return false;
    if (value > maximum)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "%s is %" PRIu32
                                  ", but can be at most %" PRIu32,
                                  what, value, maximum);
    *ret_length = value;
    return true;
}

bool vmmig_reader_get_u32_up_to(struct vmmig_reader *in, uint32_t maximum,
                                uint32_t *ret_value, vmmig_error **error)
{
    return vmmig__reader_get_length(in, maximum, "number", ret_value, error);
}

bool vmmig_reader_expect_u32(struct vmmig_reader *in, uint32_t expected,
                             const char *what, vmmig_error **error)
{
    uint32_t value;

    if (!vmmig_reader_get_u32(in, &value, error))
        return false;
    if (value != expected)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "%s is %" PRIu32 " there, but %" PRIu32
                                  " here",
                                  what, value, expected);
    return true;
}

bool vmmig__reader_get_name(struct vmmig_reader *reader,
                            char name[VMMIG__NAME_BYTES], const char *what,
                            vmmig_error **error)
{
    uint8_t length;

    if (!vmmig_reader_get_u8(reader, &length, error))
        return false;
    if (length == 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "%s is empty: it has 1 to %d bytes", what,
                                  VMMIG__NAME_BYTES - 1);
    if (!get_rest(reader, name, length, error))
        return false;
    name[length] = 0;
    if (strlen(name) != length)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "%s has a zero byte at %zu of %u bytes", what,
                                  strlen(name), length);
    return true;
}

bool vmmig__reader_skip(struct vmmig_reader *reader, uint64_t length_bytes,
                        vmmig_error **error)
{
    uint64_t done = MIN(length_bytes, reader->end - reader->start);

    reader->item_offset = reader->offset;
    take(reader, done);
    while (done < length_bytes) {
        uint64_t step;

        if (!fill(reader, 1, error))
            return false;
        step = MIN(length_bytes - done, reader->end - reader->start);
        if (step == 0)
            return fail_end(reader, error, length_bytes);
        take(reader, step);
        done += step;
    }
    return true;
}

bool vmmig__reader_peek(struct vmmig_reader *reader, uint8_t *ret_byte,
                        bool *ret_end, vmmig_error **error)
{
    reader->item_offset = reader->offset;
    if (reader->start == reader->end && !fill(reader, 1, error))
        return false;
    *ret_end = reader->start == reader->end;
    if (!*ret_end)
        *ret_byte = reader->buffer[reader->start];
    return true;
}

/* -- guesses */

uint64_t vmmig__reader_buffered(const struct vmmig_reader *reader)
{
    return reader->end - reader->start;
}

bool vmmig__reader_read_ahead(struct vmmig_reader *reader,
                              const struct iovec *parts, uint32_t count,
                              uint64_t *ret_length_bytes, vmmig_error **error)
{
    uint64_t length = 0;

    reader->item_offset = reader->offset;
    if (reader->start == reader->end) {
        if (!read_channel(reader, parts, count, &length, error))
            return false;
        if (length == 0)
            return fail_end(reader, error, 1);
        reader->offset += length;
    } else {
        for (uint32_t i = 0; i < count && reader->start < reader->end; i++)
            length +=
                take_buffered(reader, parts[i].iov_base, parts[i].iov_len);
    }
    *ret_length_bytes = length;
    return true;
}

void vmmig__reader_unread(struct vmmig_reader *reader, const void *bytes,
                          uint64_t length_bytes)
{
    uint64_t buffered = reader->end - reader->start;

    g_return_if_fail(length_bytes <= reader->offset);
    if (length_bytes > reader->start) {
        uint64_t needed = length_bytes + buffered;

        /* The new bytes must not move under a caller's pointer: `bytes` is
         * never inside the buffer. */
        if (needed > reader->capacity) {
            reader->buffer = g_realloc(reader->buffer, needed);
            reader->capacity = needed;
        }
        memmove(reader->buffer + length_bytes, reader->buffer + reader->start,
                buffered);
        reader->start = length_bytes;
        reader->end = needed;
    }
    reader->start -= length_bytes;
    reader->offset -= length_bytes;
    reader->item_offset = reader->offset;
    memcpy(reader->buffer + reader->start, bytes, length_bytes);
}

/* -- where it is */

void vmmig__reader_enter_section(struct vmmig_reader *reader, const char *name,
                                 uint32_t id, uint32_t phase)
{
    g_strlcpy(reader->section, name, sizeof reader->section);
    reader->section_id = id;
    reader->phase = phase;
    reader->in_section = true;
}

void vmmig__reader_leave_section(struct vmmig_reader *reader)
{
    reader->in_section = false;
    reader->phase = 0;
}

uint64_t vmmig__reader_get_offset(const struct vmmig_reader *reader)
{
    return reader->offset;
}

uint32_t vmmig_reader_get_phase(const struct vmmig_reader *in)
{
    return in->phase;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels in memory.
 *
 * A pair is two rings, one for each direction. A write puts its bytes into the
 * ring together with the time at which they arrive: what the rate lets through
 * by then, plus the delay. Bytes are copied without the lock, which is safe
 * because each ring has one writer and one reader and only they move its two
 * positions: guest memory may be slow to touch, and whoever makes it fast may
 * need the other direction.
 */
#include "io/channel-memory.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "io/io-error.h"

enum { DEFAULT_CAPACITY_BYTES = 256 * 1024 };

/* Bytes of a ring that arrive together. */
struct segment {
    uint64_t end; /* position in the stream */
    uint64_t arrives_us;
};

/* One direction; all but the bytes of `ring` under the lock of the pair. */
struct ring {
    struct vmmig__memory_link link;
    uint8_t *bytes;
    uint64_t written, arrived, read; /* positions in the stream */
    GQueue segments;                 /* written, not arrived */
    uint64_t link_free_ns; /* when the last byte has left the sender */
    bool writer_gone, reader_gone;
};

struct pair {
    struct vmmig__mutex lock;
    struct vmmig__cond changed;
    unsigned ends;       /* not yet closed */
    bool lost;           /* no write from now on, no read past what arrives */
    struct ring ring[2]; /* [i] is written by end i */
};

struct end {
    struct pair *pair;
    unsigned index;
};

static struct ring *ring_to_write(const struct end *end)
{
    return &end->pair->ring[end->index];
}

static struct ring *ring_to_read(const struct end *end)
{
    return &end->pair->ring[!end->index];
}

static void drop_segments(struct ring *ring)
{
    g_queue_clear_full(&ring->segments, g_free);
}

/* Takes in what has arrived; returns when something next does, or 0. */
static uint64_t let_arrive(struct ring *ring)
{
    uint64_t now_us = vmmig__now_us();
    struct segment *segment;

    while ((segment = g_queue_peek_head(&ring->segments))) {
        if (segment->arrives_us > now_us)
            return segment->arrives_us;
        ring->arrived = segment->end;
        g_free(g_queue_pop_head(&ring->segments));
    }
    return 0;
}

/* Waits for a change, a time of arrival or the deadline (0: none of these). */
static bool wait_until(struct pair *pair, uint64_t arrival_us,
                       uint64_t deadline_us, vmmig_error **error)
    VMMIG_REQUIRES(pair->lock)
{
    if (deadline_us != 0 && vmmig__now_us() >= deadline_us)
        return vmmig__fail(error, VMMIG_ERROR_TIMEOUT, "timed out");
    if (arrival_us == 0 || (deadline_us != 0 && deadline_us < arrival_us))
        arrival_us = deadline_us;
    if (arrival_us == 0)
        vmmig__cond_wait(&pair->changed, &pair->lock);
    else
        vmmig__cond_wait_until(&pair->changed, &pair->lock, arrival_us);
    return true;
}

/* Waits until a read would not block. */
static bool wait_readable(struct end *end, uint64_t deadline_us,
                          vmmig_error **error) VMMIG_REQUIRES(end->pair->lock)
{
    struct ring *ring = ring_to_read(end);

    for (;;) {
        uint64_t arrival_us = let_arrive(ring);

        if (ring->arrived > ring->read || ring->reader_gone)
            return true;
        if (arrival_us == 0 && (ring->writer_gone || end->pair->lost))
            return true;
        if (!wait_until(end->pair, arrival_us, deadline_us, error))
            return false;
    }
}

/* Waits until a write would not block. */
static bool wait_writable(struct end *end, uint64_t deadline_us,
                          vmmig_error **error) VMMIG_REQUIRES(end->pair->lock)
{
    struct ring *ring = ring_to_write(end);

    while (ring->written - ring->read == ring->link.capacity_bytes &&
           !ring->writer_gone && !ring->reader_gone && !end->pair->lost) {
        if (!wait_until(end->pair, 0, deadline_us, error))
            return false;
    }
    return true;
}

static bool pair_wait(void *data, bool to_write, int64_t timeout_ms,
                      vmmig_error **error)
{
    struct end *end = data;
    uint64_t deadline_us =
        timeout_ms < 0 ? 0 : vmmig__now_us() + (uint64_t)timeout_ms * 1000;
    bool ok;

    vmmig__mutex_lock(&end->pair->lock);
    ok = to_write ? wait_writable(end, deadline_us, error)
                  : wait_readable(end, deadline_us, error);
    vmmig__mutex_unlock(&end->pair->lock);
    return ok;
}

/* Moves bytes between parts and a ring, from this position of it on. */
static void copy(struct ring *ring, uint64_t position, uint64_t length,
                 const struct iovec *parts, bool into_ring)
{
    uint64_t capacity = ring->link.capacity_bytes;

    for (uint64_t done_of_part = 0; length > 0;) {
        uint64_t at = position % capacity;
        uint64_t chunk = MIN(length, parts->iov_len - done_of_part);
        char *outside = (char *)parts->iov_base + done_of_part;

        chunk = MIN(chunk, capacity - at);
        if (chunk == 0)
            ; /* an empty part may be anywhere, also at NULL */
        else if (into_ring)
            memcpy(ring->bytes + at, outside, chunk);
        else
            memcpy(outside, ring->bytes + at, chunk);
        position += chunk;
        length -= chunk;
        done_of_part += chunk;
        if (done_of_part == parts->iov_len) {
            parts++;
            done_of_part = 0;
        }
    }
}

static uint64_t total(const struct iovec *parts, uint32_t count)
{
    uint64_t length = 0;

    for (uint32_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    return length;
}

static bool pair_readv(void *data, const struct iovec *parts, uint32_t count,
                       uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct end *end = data;
    struct ring *ring = ring_to_read(end);
    uint64_t length;
    bool lost;

    vmmig__mutex_lock(&end->pair->lock);
    if (!wait_readable(end, 0, error))
        g_assert_not_reached(); /* it has no deadline */
    length = MIN(ring->arrived - ring->read, total(parts, count));
    lost = end->pair->lost;
    vmmig__mutex_unlock(&end->pair->lock);

    if (length == 0 && lost)
        return vmmig__fail_io(error, ECONNRESET);
    copy(ring, ring->read, length, parts, false);

    vmmig__mutex_lock(&end->pair->lock);
    ring->read += length;
    vmmig__cond_broadcast(&end->pair->changed);
    vmmig__mutex_unlock(&end->pair->lock);
    *ret_length_bytes = length;
    return true;
}

/* At a rate, what one write brings arrives in slices of a millisecond. */
static uint64_t slice_of(const struct ring *ring, uint64_t length)
{
    uint64_t rate = ring->link.rate_bytes_per_s;

    return rate == 0 ? length : MIN(length, MAX(rate / 1000, 1));
}

/* Under the lock: `length` more bytes are in the ring. */
static void send_off(struct ring *ring, uint64_t length)
{
    uint64_t rate = ring->link.rate_bytes_per_s;

    ring->link_free_ns = MAX(ring->link_free_ns, vmmig__now_us() * 1000);
    while (length > 0) {
        uint64_t slice = slice_of(ring, length);
        struct segment *segment;

        ring->written += slice;
        length -= slice;
        if (rate != 0)
            ring->link_free_ns += slice * UINT64_C(1000000000) / rate;
        segment = g_new(struct segment, 1);
        segment->end = ring->written;
        segment->arrives_us = ring->link_free_ns / 1000 + ring->link.delay_us;
        g_queue_push_tail(&ring->segments, segment);
    }
}

static bool pair_writev(void *data, const struct iovec *parts, uint32_t count,
                        uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct end *end = data;
    struct ring *ring = ring_to_write(end);
    uint64_t cut = ring->link.cut_after_bytes;
    uint64_t length;
    bool broken;

    vmmig__mutex_lock(&end->pair->lock);
    if (!wait_writable(end, 0, error))
        g_assert_not_reached(); /* it has no deadline */
    length = MIN(ring->link.capacity_bytes - (ring->written - ring->read),
                 total(parts, count));
    if (cut != 0)
        length = MIN(length, cut - ring->written);
    broken = end->pair->lost || ring->writer_gone || ring->reader_gone;
    vmmig__mutex_unlock(&end->pair->lock);

    if (broken)
        return vmmig__fail_io(error, ECONNRESET);
    copy(ring, ring->written, length, parts, true);

    vmmig__mutex_lock(&end->pair->lock);
    send_off(ring, length);
    if (cut != 0 && ring->written == cut)
        end->pair->lost = true;
    vmmig__cond_broadcast(&end->pair->changed);
    vmmig__mutex_unlock(&end->pair->lock);
    *ret_length_bytes = length;
    return true;
}

static void pair_shutdown(void *data)
{
    struct end *end = data;

    vmmig__mutex_lock(&end->pair->lock);
    ring_to_write(end)->writer_gone = true;
    ring_to_read(end)->reader_gone = true;
    vmmig__cond_broadcast(&end->pair->changed);
    vmmig__mutex_unlock(&end->pair->lock);
}

static void pair_close(void *data)
{
    struct end *end = data;
    struct pair *pair = end->pair;
    bool is_last;

    pair_shutdown(end);
    g_free(end);
    vmmig__mutex_lock(&pair->lock);
    is_last = --pair->ends == 0;
    vmmig__mutex_unlock(&pair->lock);
    if (!is_last)
        return;
    for (unsigned i = 0; i < 2; i++) {
        drop_segments(&pair->ring[i]);
        g_free(pair->ring[i].bytes);
    }
    vmmig__cond_destroy(&pair->changed);
    vmmig__mutex_destroy(&pair->lock);
    g_free(pair);
}

static const struct vmmig__channel_ops pair_ops = {
    .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
            .readv = pair_readv,
            .writev = pair_writev,
            .wait = pair_wait,
            .shutdown = pair_shutdown},
    .two_way = true,
};

static void ring_init(struct ring *ring, const struct vmmig__memory_link *link)
{
    if (link)
        ring->link = *link;
    if (ring->link.capacity_bytes == 0)
        ring->link.capacity_bytes = DEFAULT_CAPACITY_BYTES;
    ring->bytes = g_malloc(ring->link.capacity_bytes);
    g_queue_init(&ring->segments);
}

void vmmig__channel_new_pair(const struct vmmig__memory_link *forth,
                             const struct vmmig__memory_link *back,
                             struct vmmig_channel *ret_ends[2])
{
    struct pair *pair = g_new0(struct pair, 1);

    vmmig__mutex_init(&pair->lock, VMMIG__RANK_LEAF, "memory pair");
    vmmig__cond_init(&pair->changed);
    ring_init(&pair->ring[0], forth);
    ring_init(&pair->ring[1], back);
    pair->ends = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct end *end = g_new0(struct end, 1);

        end->pair = pair;
        end->index = i;
        ret_ends[i] = vmmig__channel_new(&pair_ops, end, pair_close, "memory");
    }
}

void vmmig__channel_pair_cut(struct vmmig_channel *channel)
{
    struct end *end = vmmig__channel_get_data(channel);
    struct pair *pair = end->pair;

    vmmig__mutex_lock(&pair->lock);
    pair->lost = true;
    for (unsigned i = 0; i < 2; i++) {
        let_arrive(&pair->ring[i]);
        drop_segments(&pair->ring[i]);
    }
    vmmig__cond_broadcast(&pair->changed);
    vmmig__mutex_unlock(&pair->lock);
}

/* Bytes that are there already. */
struct buffer {
    const uint8_t *next;
    uint64_t length_bytes;
};

static bool buffer_readv(void *data, const struct iovec *parts, uint32_t count,
                         uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct buffer *buffer = data;
    uint64_t done = 0;

    for (uint32_t i = 0; i < count && buffer->length_bytes > 0; i++) {
        uint64_t chunk = MIN(buffer->length_bytes, parts[i].iov_len);

        if (chunk > 0)
            memcpy(parts[i].iov_base, buffer->next, chunk);
        buffer->next += chunk;
        buffer->length_bytes -= chunk;
        done += chunk;
    }
    *ret_length_bytes = done;
    return true;
}

static bool sink_writev(void *data, const struct iovec *parts, uint32_t count,
                        uint64_t *ret_length_bytes, vmmig_error **error)
{
    GByteArray *array = data;
    uint64_t length = total(parts, count);

    if (length > (uint64_t)G_MAXUINT32 / 2 - array->len)
        return vmmig__fail_io(error, EFBIG);
    for (uint32_t i = 0; i < count; i++)
        g_byte_array_append(array, parts[i].iov_base, (guint)parts[i].iov_len);
    *ret_length_bytes = length;
    return true;
}

static void sink_close(void *data)
{
    g_byte_array_unref(data);
}

/* Nothing blocks in memory, so nobody has to be woken. */
static void memory_shutdown(void *data)
{
}

struct vmmig_channel *vmmig__channel_new_buffer(const void *bytes,
                                                uint64_t length_bytes)
{
    static const struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .readv = buffer_readv,
                .shutdown = memory_shutdown},
    };
    struct buffer *buffer = g_new0(struct buffer, 1);

    buffer->next = bytes;
    buffer->length_bytes = length_bytes;
    return vmmig__channel_new(&ops, buffer, g_free, "memory");
}

struct vmmig_channel *vmmig__channel_new_sink(GByteArray *array)
{
    static const struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .writev = sink_writev,
                .shutdown = memory_shutdown},
    };

    return vmmig__channel_new(&ops, g_byte_array_ref(array), sink_close,
                              "memory");
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a stream: big-endian numbers and bytes, gathered and handed to a
 * channel in few large writes, or collected in memory.
 *
 * One thread at a time uses a writer. Puts cannot fail: the first error is
 * kept, later puts do nothing, and vmmig__writer_check() or _flush() tell. The
 * plain puts are in <vmmigrate/device.h>.
 */
#ifndef VMMIG_WIRE_STREAM_WRITER_H
#define VMMIG_WIRE_STREAM_WRITER_H

#include <stdint.h>

#include <vmmigrate/device.h>

#include "base/error.h"
#include "wire/format.h"

struct vmmig_channel;

/* (transfer full): a reference to @channel is kept until _free(). */
struct vmmig_writer *vmmig__writer_new(struct vmmig_channel *channel);

/* (transfer full): collects everything in memory. */
struct vmmig_writer *vmmig__writer_new_memory(void);

/* What was not flushed is lost. Takes NULL. */
void vmmig__writer_free(struct vmmig_writer *writer);

/*
 * vmmig__writer_get_bytes:
 *
 * (transfer none): what a memory writer holds, until the next put. Ask
 * vmmig__writer_check() first: after an error some are missing.
 */
const uint8_t *vmmig__writer_get_bytes(const struct vmmig_writer *writer,
                                       uint64_t *ret_length_bytes);

/* Empties a memory writer, its error included; the offset starts at 0 again. */
void vmmig__writer_clear(struct vmmig_writer *writer);

/*
 * vmmig__writer_put_reference:
 *
 * Puts bytes without copying them: they are read when they go out, which is at
 * the latest in vmmig__writer_flush(), and must stay mapped until then. What
 * changes before may go out either way. A memory writer copies.
 */
void vmmig__writer_put_reference(struct vmmig_writer *writer, const void *bytes,
                                 uint64_t length_bytes);

/* A length byte and the name, which has 1..255 bytes. */
void vmmig__writer_put_name(struct vmmig_writer *writer, const char *name);

/* Hands everything pending to the channel; waits. False with the first error
 * of this writer, also of an earlier put. Puts do this by themselves whenever
 * much is pending. */
bool vmmig__writer_flush(struct vmmig_writer *writer, vmmig_error **error)
    __attribute__((warn_unused_result));

/* False with (a copy of) the first error. Waits for nothing. */
bool vmmig__writer_check(const struct vmmig_writer *writer, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Makes this the writer's error, unless it has one: a put that cannot be done
 * as asked. */
void vmmig__writer_fail(struct vmmig_writer *writer, uint32_t code,
                        const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Bytes put so far, pending ones included. */
uint64_t vmmig__writer_get_offset(const struct vmmig_writer *writer);

/* Bytes put that the channel has not taken yet. */
uint64_t vmmig__writer_get_pending(const struct vmmig_writer *writer);

#endif

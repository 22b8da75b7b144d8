/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a stream: checked numbers, names and lengths from a channel, through a
 * buffer. It knows where it is (channel, offset, section, phase), so that every
 * error it makes says where it happened.
 *
 * One thread at a time uses a reader; it may move to another thread between two
 * calls. Numbers are big-endian. The plain getters are in
 * <vmmigrate/device.h>. After a failure the position is undefined: the stream
 * is over.
 */
#ifndef VMMIG_WIRE_STREAM_READER_H
#define VMMIG_WIRE_STREAM_READER_H

#include <stdint.h>
#include <sys/uio.h>

#include <vmmigrate/device.h>

#include "base/error.h"
#include "wire/format.h"

struct vmmig_channel;

/*
 * vmmig__reader_new:
 * @channel: a reference is kept until vmmig__reader_free()
 *
 * (transfer full)
 */
struct vmmig_reader *vmmig__reader_new(struct vmmig_channel *channel);
void vmmig__reader_free(struct vmmig_reader *reader); /* takes NULL */

/* A length byte and that many bytes; @name then ends in a zero. A name that is
 * empty or holds a zero byte is refused. @what names it in errors. */
bool vmmig__reader_get_name(struct vmmig_reader *reader,
                            char name[VMMIG__NAME_BYTES], const char *what,
                            vmmig_error **error)
    __attribute__((warn_unused_result));

/* A 32-bit length or count together with its limit. */
bool vmmig__reader_get_length(struct vmmig_reader *reader, uint32_t maximum,
                              const char *what, uint32_t *ret_length,
                              vmmig_error **error)
    __attribute__((warn_unused_result));

bool vmmig__reader_skip(struct vmmig_reader *reader, uint64_t length_bytes,
                        vmmig_error **error)
    __attribute__((warn_unused_result));

/* The next byte, which stays unread; *ret_end at the end of the stream, which
 * is no error here. Waits. */
bool vmmig__reader_peek(struct vmmig_reader *reader, uint8_t *ret_byte,
                        bool *ret_end, vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__reader_fail:
 *
 * Sets an error with the place in front of the words:
 * `channel main, offset 0x1f4a20, section "ram" (id 2): words`. The offset is
 * where the thing that was read last begins. Always false.
 */
bool vmmig__reader_fail(const struct vmmig_reader *reader, vmmig_error **error,
                        uint32_t code, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/*
 * vmmig__reader_enter_section:
 * @name: copied
 * @phase: a VMMIG_PHASE_
 *
 * What vmmig_reader_get_phase() tells and errors name, until
 * vmmig__reader_leave_section(). Sections do not nest.
 */
void vmmig__reader_enter_section(struct vmmig_reader *reader, const char *name,
                                 uint32_t id, uint32_t phase);
void vmmig__reader_leave_section(struct vmmig_reader *reader);

/* Bytes of the stream that were read (not: buffered) so far. */
uint64_t vmmig__reader_get_offset(const struct vmmig_reader *reader);

/* Bytes that can be read without waiting for the channel. */
uint64_t vmmig__reader_buffered(const struct vmmig_reader *reader);

/*
 * vmmig__reader_read_ahead:
 *
 * Reads into @parts whatever is there, waiting for at least one byte: first
 * what is buffered, then, when nothing is, straight from the channel. For
 * guesses about what comes next; what was guessed wrong goes back with
 * vmmig__reader_unread(). The end of the stream is an error.
 */
bool vmmig__reader_read_ahead(struct vmmig_reader *reader,
                              const struct iovec *parts, uint32_t count,
                              uint64_t *ret_length_bytes, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Puts bytes that were just read back in front; at most as many as were read
 * since the reader was made. They are copied. */
void vmmig__reader_unread(struct vmmig_reader *reader, const void *bytes,
                          uint64_t length_bytes);

#endif

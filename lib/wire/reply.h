/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replies of the destination to the source: the return path. Chapter 5. One
 * table says what exists; what is welcome when is for the session to know.
 */
#ifndef VMMIG_WIRE_REPLY_H
#define VMMIG_WIRE_REPLY_H

#include "base/bitmap.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

struct vmmig__reply {
    uint16_t type;         /* enum vmmig__reply_type */
    uint32_t value;        /* SHUT, PONG, RESUME_ACK */
    uint64_t start_bytes;  /* REQ_PAGES, REQ_PAGES_ID */
    uint32_t length_bytes; /* ...: not 0; start + length does not overflow */
    char block[VMMIG__NAME_BYTES]; /* REQ_PAGES_ID, RECV_BITMAP; else empty */
    char words[VMMIG__MAX_REPLY_BYTES + 1]; /* REASON: UTF-8, not empty */
};

/* "SHUT" for messages; NULL for a type that is none. */
const char *vmmig__reply_name(uint16_t type);

/*
 * vmmig__get_reply:
 * @ret_end: the stream ended, cleanly, before a reply; @ret_reply is untouched
 *
 * The bitmap behind a RECV_BITMAP is read with vmmig__get_received_bitmap().
 */
bool vmmig__get_reply(struct vmmig_reader *reader,
                      struct vmmig__reply *ret_reply, bool *ret_end,
                      vmmig_error **error) __attribute__((warn_unused_result));

/* Of RECV_BITMAP only the message: vmmig__put_received_bitmap() is next. */
void vmmig__put_reply(struct vmmig_writer *writer,
                      const struct vmmig__reply *reply);

/*
 * vmmig__get_received_bitmap:
 * @page_count: of the block; the peer's bitmap must be exactly as long
 * @words: room for vmmig__bitmap_words(page_count); bit i of word w is page
 *     64 * w + i
 *
 * What follows a RECV_BITMAP.
 */
bool vmmig__get_received_bitmap(struct vmmig_reader *reader,
                                uint64_t page_count, uint64_t *words,
                                vmmig_error **error)
    __attribute__((warn_unused_result));
void vmmig__put_received_bitmap(struct vmmig_writer *writer,
                                const uint64_t *words, uint64_t page_count);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of the return path. The thread of the reader or writer.
 */
#include "wire/reply.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

enum payload { NOTHING, VALUE, RANGE, RANGE_AND_BLOCK, BLOCK, WORDS };

enum { RANGE_BYTES = 12 };

struct row {
    uint16_t type;
    const char *name;
    enum payload payload;
    uint16_t minimum_bytes, maximum_bytes; /* of the payload */
};

/* clang-format off */
static const struct row rows[] = {
    {VMMIG__REPLY_SHUT,           "SHUT", VALUE, 4, 4},
    {VMMIG__REPLY_PONG,           "PONG", VALUE, 4, 4},
    {VMMIG__REPLY_REQ_PAGES_ID,   "REQ_PAGES_ID", RANGE_AND_BLOCK, RANGE_BYTES + 2, RANGE_BYTES + VMMIG__NAME_BYTES},
    {VMMIG__REPLY_REQ_PAGES,      "REQ_PAGES", RANGE, RANGE_BYTES, RANGE_BYTES},
    {VMMIG__REPLY_RECV_BITMAP,    "RECV_BITMAP", BLOCK, 2, VMMIG__NAME_BYTES},
    {VMMIG__REPLY_RESUME_ACK,     "RESUME_ACK", VALUE, 4, 4},
    {VMMIG__REPLY_SWITCHOVER_ACK, "SWITCHOVER_ACK", NOTHING, 0, 0},
    {VMMIG__REPLY_REASON,         "REASON", WORDS, 1, VMMIG__MAX_REPLY_BYTES},
};
/* clang-format on */

/* The longest message fits what a QEMU takes. */
G_STATIC_ASSERT(RANGE_BYTES + VMMIG__NAME_BYTES <= VMMIG__MAX_REPLY_BYTES);

static const struct row *find_row(uint16_t type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].type == type)
            return &rows[i];
    }
    return NULL;
}

const char *vmmig__reply_name(uint16_t type)
{
    const struct row *row = find_row(type);

    return row ? row->name : NULL;
}

/* -- reading */

static bool fail_length(struct vmmig_reader *reader, const struct row *row,
                        uint32_t length, uint32_t expected, vmmig_error **error)
{
    return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                              "reply %s has %" PRIu32
                              " bytes of payload, not %" PRIu32,
                              row->name, length, expected);
}

static bool get_range(struct vmmig_reader *reader, struct vmmig__reply *reply,
                      vmmig_error **error)
{
    if (!vmmig_reader_get_u64(reader, &reply->start_bytes, error) ||
        !vmmig_reader_get_u32(reader, &reply->length_bytes, error))
        return false;
    if (reply->length_bytes == 0 ||
        reply->length_bytes > UINT64_MAX - reply->start_bytes)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the requested range begins at 0x%" PRIx64
                                  " and has 0x%" PRIx32 " bytes",
                                  reply->start_bytes, reply->length_bytes);
    return true;
}

/* A name that ends the payload, of which `before` bytes came before it. */
static bool get_block(struct vmmig_reader *reader, const struct row *row,
                      uint16_t length, uint32_t before,
                      struct vmmig__reply *reply, vmmig_error **error)
{
    uint32_t used;

    if (!vmmig__reader_get_name(reader, reply->block, "block name", error))
        return false;
    used = before + 1 + (uint32_t)strlen(reply->block);
    return used == length ||
           fail_length(reader, row, length, used, error);
}

/* Words for a person, who is shown no control characters of a peer. */
static bool get_words(struct vmmig_reader *reader, uint16_t length,
                      struct vmmig__reply *reply, vmmig_error **error)
{
    if (!vmmig_reader_get_bytes(reader, reply->words, length, error))
        return false;
    reply->words[length] = '\0';
    if (!g_utf8_validate(reply->words, length, NULL))
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the words of a REASON are not UTF-8");
    for (char *c = reply->words; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = ' ';
    }
    return true;
}

static bool get_payload(struct vmmig_reader *reader, const struct row *row,
                        uint16_t length, struct vmmig__reply *reply,
                        vmmig_error **error)
{
    switch (row->payload) {
    case NOTHING:
        return true;
    case VALUE:
        return vmmig_reader_get_u32(reader, &reply->value, error);
    case RANGE:
        return get_range(reader, reply, error);
    case RANGE_AND_BLOCK:
        return get_range(reader, reply, error) &&
               get_block(reader, row, length, RANGE_BYTES, reply, error);
    case BLOCK:
        return get_block(reader, row, length, 0, reply, error);
    case WORDS:
        return get_words(reader, length, reply, error);
    }
    g_return_val_if_reached(false);
}

bool vmmig__get_reply(struct vmmig_reader *reader,
                      struct vmmig__reply *ret_reply, bool *ret_end,
                      vmmig_error **error)
{
    struct vmmig__reply reply = {0};
    const struct row *row;
    uint16_t length;
    uint8_t first;
    bool at_end;

    if (!vmmig__reader_peek(reader, &first, &at_end, error))
        return false;
    if (at_end) {
        *ret_end = true;
        return true;
    }
    if (!vmmig_reader_get_u16(reader, &reply.type, error))
        return false;
    row = find_row(reply.type);
    if (!row)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "reply %u is not known here; the last one is "
                                  "%u",
                                  reply.type, VMMIG__REPLY_SWITCHOVER_ACK);
    if (!vmmig_reader_get_u16(reader, &length, error))
        return false;
    if (length < row->minimum_bytes)
        return fail_length(reader, row, length, row->minimum_bytes, error);
    if (length > row->maximum_bytes)
        return fail_length(reader, row, length, row->maximum_bytes, error);
    if (!get_payload(reader, row, length, &reply, error))
        return false;
    *ret_reply = reply;
    *ret_end = false;
    return true;
}

/* -- writing */

void vmmig__put_reply(struct vmmig_writer *writer,
                      const struct vmmig__reply *reply)
{
    const struct row *row = find_row(reply->type);
    enum payload payload;
    size_t length;

    g_return_if_fail(row);
    payload = row->payload;
    length = payload == NOTHING ? 0
             : payload == VALUE ? 4
             : payload == RANGE ? RANGE_BYTES
             : payload == BLOCK ? 1 + strlen(reply->block)
             : payload == WORDS ? strlen(reply->words)
                                : RANGE_BYTES + 1 + strlen(reply->block);
    vmmig_writer_put_u16(writer, reply->type);
    vmmig_writer_put_u16(writer, (uint16_t)length);
    if (payload == VALUE)
        vmmig_writer_put_u32(writer, reply->value);
    if (payload == RANGE || payload == RANGE_AND_BLOCK) {
        vmmig_writer_put_u64(writer, reply->start_bytes);
        vmmig_writer_put_u32(writer, reply->length_bytes);
    }
    if (payload == BLOCK || payload == RANGE_AND_BLOCK)
        vmmig__writer_put_name(writer, reply->block);
    if (payload == WORDS)
        vmmig_writer_put_bytes(writer, reply->words, length);
}

/* -- the bitmap behind RECV_BITMAP */

bool vmmig__get_received_bitmap(struct vmmig_reader *reader,
                                uint64_t page_count, uint64_t *words,
                                vmmig_error **error)
{
    uint64_t word_count = vmmig__bitmap_words(page_count);
    uint64_t value;

    if (!vmmig_reader_get_u64(reader, &value, error))
        return false;
    if (value != word_count * 8)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the bitmap has %" PRIu64
                                  " bytes, but the block needs %" PRIu64,
                                  value, word_count * 8);
    if (!vmmig_reader_get_bytes(reader, words, word_count * 8, error))
        return false;
    for (uint64_t i = 0; i < word_count; i++)
        words[i] = le64toh(words[i]);
    if (page_count % 64 != 0 && words[word_count - 1] >> page_count % 64 != 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the bitmap has bits beyond the %" PRIu64
                                  " pages of its block",
                                  page_count);
    if (!vmmig_reader_get_u64(reader, &value, error))
        return false;
    if (value != VMMIG__RECV_BITMAP_END)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the bitmap ends with 0x%" PRIx64
                                  ", not with 0x%" PRIx64,
                                  value, VMMIG__RECV_BITMAP_END);
    return true;
}

void vmmig__put_received_bitmap(struct vmmig_writer *writer,
                                const uint64_t *words, uint64_t page_count)
{
    uint64_t word_count = vmmig__bitmap_words(page_count);

    vmmig_writer_put_u64(writer, word_count * 8);
    for (uint64_t i = 0; i < word_count; i++) {
        uint64_t word = htole64(words[i]);

        vmmig_writer_put_bytes(writer, &word, sizeof word);
    }
    vmmig_writer_put_u64(writer, VMMIG__RECV_BITMAP_END);
}

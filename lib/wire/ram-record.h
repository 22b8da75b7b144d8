/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words that the body of the "ram" section is made of, the block list and
 * the page records. Chapter 2. Whoever calls holds the memory of the last
 * block, one for each channel and direction; nothing else has state.
 */
#ifndef VMMIG_WIRE_RAM_RECORD_H
#define VMMIG_WIRE_RAM_RECORD_H

#include "base/bytes.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

/*
 * "The block of the last page record on this channel", for CONTINUE. It lives
 * as long as the channel, across sections; NULL before the first page. The
 * pointer is the caller's own idea of a block and is only compared.
 */
struct vmmig__last_block {
    void *block;
};

/* -- writing */

/* What opens the block list: the sum of all lengths. Follow it with an entry
 * for each block and then put_ram_end(). */
void vmmig__put_block_list(struct vmmig_writer *writer, uint64_t total_bytes);

struct vmmig__block_entry {
    const char *name;
    uint64_t length_bytes;
    /* Written when the settings of both ends say so; nothing announces them. */
    bool has_page_bytes, has_guest_address;
    uint64_t page_bytes, guest_address;
};
void vmmig__put_block_entry(struct vmmig_writer *writer,
                            const struct vmmig__block_entry *entry);

/* The page goes out by reference: vmmig__writer_put_reference(). @name is
 * written only when @block is not the last one. */
void vmmig__put_page(struct vmmig_writer *writer,
                     struct vmmig__last_block *last, void *block,
                     const char *name, uint64_t offset_bytes, const void *page,
                     uint32_t page_bytes);
void vmmig__put_zero_page(struct vmmig_writer *writer,
                          struct vmmig__last_block *last, void *block,
                          const char *name, uint64_t offset_bytes);

/* Ends a body. */
void vmmig__put_ram_end(struct vmmig_writer *writer);

/* -- reading */

struct vmmig__ram_word {
    uint32_t kind;     /* exactly one VMMIG__RAM_ flag */
    bool is_continued; /* CONTINUE: no block name follows */
    /* A multiple of the page size: ZERO, PAGE, XBZRLE, COMPRESS_PAGE: offset in
     * the block. MEM_SIZE: the sum. Else meaningless. */
    uint64_t offset_bytes;
};

/*
 * vmmig__parse_ram_word:
 *
 * For a word that was read already. False for one that means nothing: not
 * exactly one flag, an obsolete or unknown one, HOOK. @page_bytes: a power of
 * two, at least 1024.
 */
static inline bool vmmig__parse_ram_word(uint64_t word, uint32_t page_bytes,
                                         struct vmmig__ram_word *ret_word)
{
    uint32_t flags = (uint32_t)(word & (page_bytes - 1));
    uint32_t kind = flags & ~(uint32_t)VMMIG__RAM_CONTINUE;
    uint32_t known = VMMIG__RAM_ZERO | VMMIG__RAM_MEM_SIZE | VMMIG__RAM_PAGE |
                     VMMIG__RAM_EOS | VMMIG__RAM_XBZRLE |
                     VMMIG__RAM_COMPRESS_PAGE | VMMIG__RAM_MULTIFD_FLUSH;

    if (kind & ~known || kind == 0 || kind & (kind - 1))
        return false;
    ret_word->kind = kind;
    ret_word->is_continued = flags & VMMIG__RAM_CONTINUE;
    ret_word->offset_bytes = word - flags;
    return true;
}

/* Reads a word; PROTOCOL where vmmig__parse_ram_word() is false. */
bool vmmig__get_ram_word(struct vmmig_reader *reader, uint32_t page_bytes,
                         struct vmmig__ram_word *ret_word, vmmig_error **error)
    __attribute__((warn_unused_result));

/* The name that follows a page's word without CONTINUE. */
bool vmmig__get_block_name(struct vmmig_reader *reader,
                           char name[VMMIG__NAME_BYTES], vmmig_error **error)
    __attribute__((warn_unused_result));

/* The byte after a ZERO word, which must be 00. */
bool vmmig__get_zero_byte(struct vmmig_reader *reader, vmmig_error **error)
    __attribute__((warn_unused_result));

/* A block list being read: init, entries while remaining_bytes is not 0, clear
 * (however it ended). */
struct vmmig__block_list {
    uint64_t total_bytes, remaining_bytes;
    uint32_t page_bytes, count;
    GHashTable *names; /* of the entries so far */
};
void vmmig__block_list_init(struct vmmig__block_list *list,
                            uint64_t total_bytes, uint32_t page_bytes);
void vmmig__block_list_clear(struct vmmig__block_list *list);

/*
 * vmmig__get_block_entry:
 *
 * The next name and length. Stricter than QEMU: a block twice, an empty one, a
 * length that is not whole pages or goes beyond the total is an error. The
 * page size and the guest address, if settings say that they follow, are read
 * by the caller with vmmig_reader_get_u64(), in this order.
 */
bool vmmig__get_block_entry(struct vmmig_reader *reader,
                            struct vmmig__block_list *list,
                            char name[VMMIG__NAME_BYTES],
                            uint64_t *ret_length_bytes, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words, block list and page records of the "ram" section. The thread of the
 * reader or writer.
 */
#include "wire/ram-record.h"

#include <inttypes.h>

/* -- writing */

void vmmig__put_block_list(struct vmmig_writer *writer, uint64_t total_bytes)
{
    vmmig_writer_put_u64(writer, total_bytes | VMMIG__RAM_MEM_SIZE);
}

void vmmig__put_block_entry(struct vmmig_writer *writer,
                            const struct vmmig__block_entry *entry)
{
    vmmig__writer_put_name(writer, entry->name);
    vmmig_writer_put_u64(writer, entry->length_bytes);
    if (entry->has_page_bytes)
        vmmig_writer_put_u64(writer, entry->page_bytes);
    if (entry->has_guest_address)
        vmmig_writer_put_u64(writer, entry->guest_address);
}

static void put_page_word(struct vmmig_writer *writer,
                          struct vmmig__last_block *last, void *block,
                          const char *name, uint64_t word)
{
    if (block == last->block) {
        vmmig_writer_put_u64(writer, word | VMMIG__RAM_CONTINUE);
        return;
    }
    vmmig_writer_put_u64(writer, word);
    vmmig__writer_put_name(writer, name);
    last->block = block;
}

void vmmig__put_page(struct vmmig_writer *writer,
                     struct vmmig__last_block *last, void *block,
                     const char *name, uint64_t offset_bytes, const void *page,
                     uint32_t page_bytes)
{
    put_page_word(writer, last, block, name, offset_bytes | VMMIG__RAM_PAGE);
    vmmig__writer_put_reference(writer, page, page_bytes);
}

void vmmig__put_zero_page(struct vmmig_writer *writer,
                          struct vmmig__last_block *last, void *block,
                          const char *name, uint64_t offset_bytes)
{
    put_page_word(writer, last, block, name, offset_bytes | VMMIG__RAM_ZERO);
    vmmig_writer_put_u8(writer, 0);
}

void vmmig__put_ram_end(struct vmmig_writer *writer)
{
    vmmig_writer_put_u64(writer, VMMIG__RAM_EOS);
}

/* -- reading */

bool vmmig__get_ram_word(struct vmmig_reader *reader, uint32_t page_bytes,
                         struct vmmig__ram_word *ret_word, vmmig_error **error)
{
    uint64_t word;

    if (!vmmig_reader_get_u64(reader, &word, error))
        return false;
    if (!vmmig__parse_ram_word(word, page_bytes, ret_word))
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the RAM word 0x%" PRIx64
                                  " has the unknown flags 0x%" PRIx64,
                                  word, word & (page_bytes - 1));
    return true;
}

bool vmmig__get_block_name(struct vmmig_reader *reader,
                           char name[VMMIG__NAME_BYTES], vmmig_error **error)
{
    return vmmig__reader_get_name(reader, name, "block name", error);
}

bool vmmig__get_zero_byte(struct vmmig_reader *reader, vmmig_error **error)
{
    uint8_t byte;

    if (!vmmig_reader_get_u8(reader, &byte, error))
        return false;
    if (byte != 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "a zero page is said to be full of 0x%02x, "
                                  "not 0x00",
                                  byte);
    return true;
}

void vmmig__block_list_init(struct vmmig__block_list *list,
                            uint64_t total_bytes, uint32_t page_bytes)
{
    list->total_bytes = total_bytes;
    list->remaining_bytes = total_bytes;
    list->page_bytes = page_bytes;
    list->count = 0;
    list->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void vmmig__block_list_clear(struct vmmig__block_list *list)
{
    g_clear_pointer(&list->names, g_hash_table_destroy);
}

bool vmmig__get_block_entry(struct vmmig_reader *reader,
                            struct vmmig__block_list *list,
                            char name[VMMIG__NAME_BYTES],
                            uint64_t *ret_length_bytes, vmmig_error **error)
{
    uint64_t length;

    if (list->count == VMMIG__MAX_BLOCKS)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the list has more than %d blocks",
                                  VMMIG__MAX_BLOCKS);
    if (!vmmig__get_block_name(reader, name, error) ||
        !vmmig_reader_get_u64(reader, &length, error))
        return false;
    if (length == 0 || length % list->page_bytes != 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "block \"%s\" has 0x%" PRIx64
                                  " bytes, which is not a number of pages of "
                                  "0x%" PRIx32,
                                  name, length, list->page_bytes);
    if (length > list->remaining_bytes)
        return vmmig__reader_fail(
            reader, error, VMMIG_ERROR_PROTOCOL,
            "block \"%s\" has 0x%" PRIx64 " bytes, but 0x%" PRIx64
            " of 0x%" PRIx64 " are left in the list",
            name, length, list->remaining_bytes, list->total_bytes);
    if (!g_hash_table_add(list->names, g_strdup(name)))
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "block \"%s\" is listed twice", name);
    list->remaining_bytes -= length;
    list->count++;
    *ret_length_bytes = length;
    return true;
}

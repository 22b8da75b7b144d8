/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands of the source to the destination, inside the stream. Chapter 4. One
 * table says what exists; what is welcome when is for the session to know.
 */
#ifndef VMMIG_WIRE_COMMAND_H
#define VMMIG_WIRE_COMMAND_H

#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

struct vmmig__range {
    uint64_t start_bytes, length_bytes;
};

struct vmmig__command {
    uint16_t number;     /* enum vmmig__command_number */
    uint32_t value;      /* PING; PACKAGED: bytes of records that follow */
    bool has_page_sizes; /* POSTCOPY_ADVISE: its long form */
    uint64_t page_size_summary, page_bytes; /* ... */
    char block[VMMIG__NAME_BYTES]; /* POSTCOPY_RAM_DISCARD, RECV_BITMAP */
    struct vmmig__range *ranges;   /* owned; POSTCOPY_RAM_DISCARD: not empty, no
                                      range is empty or overflows */
    uint32_t range_count;
};

void vmmig__command_clear(struct vmmig__command *command);

/* "PING" for messages; NULL for a number that is none. */
const char *vmmig__command_name(uint16_t number);

/*
 * vmmig__get_command:
 * @ret_command: to be cleared with vmmig__command_clear() after success
 *
 * What follows the COMMAND byte that vmmig__get_record() has taken.
 */
bool vmmig__get_command(struct vmmig_reader *reader,
                        struct vmmig__command *ret_command, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Writes the whole record. The bytes behind a PACKAGED are the caller's. */
void vmmig__put_command(struct vmmig_writer *writer,
                        const struct vmmig__command *command);

/* The same for commands that are nothing but a number, and for PING. */
void vmmig__put_simple_command(struct vmmig_writer *writer, uint16_t number);
void vmmig__put_ping(struct vmmig_writer *writer, uint32_t value);

#endif

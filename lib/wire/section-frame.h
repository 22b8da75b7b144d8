/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands around bodies: the file header, the first bytes of records, the
 * footers. Chapters 1.1 to 1.3. No state; the thread of the reader or writer.
 */
#ifndef VMMIG_WIRE_SECTION_FRAME_H
#define VMMIG_WIRE_SECTION_FRAME_H

#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

void vmmig__put_file_header(struct vmmig_writer *writer);
bool vmmig__expect_file_header(struct vmmig_reader *reader, vmmig_error **error)
    __attribute__((warn_unused_result));

/* A live section's id is not 0 (chapter 1.3). */
void vmmig__put_start(struct vmmig_writer *writer, uint32_t section_id,
                      const char *idstr, uint32_t instance_id,
                      uint32_t version);
void vmmig__put_part(struct vmmig_writer *writer, uint32_t section_id);
void vmmig__put_end(struct vmmig_writer *writer, uint32_t section_id);
void vmmig__put_full(struct vmmig_writer *writer, uint32_t section_id,
                     const char *idstr, uint32_t instance_id, uint32_t version);
void vmmig__put_footer(struct vmmig_writer *writer, uint32_t section_id);
void vmmig__put_eof(struct vmmig_writer *writer);

struct vmmig__record {
    uint8_t type;                  /* EOF, START, PART, END, FULL or COMMAND */
    uint32_t section_id;           /* START, PART, END, FULL */
    uint32_t instance_id, version; /* START, FULL */
    char idstr[VMMIG__NAME_BYTES]; /* START, FULL; else empty */
};

/*
 * vmmig__get_record:
 *
 * The next record up to where its body begins; of a COMMAND only the first
 * byte, vmmig__get_command() reads the rest. Any other type is an error.
 */
bool vmmig__get_record(struct vmmig_reader *reader,
                       struct vmmig__record *ret_record, vmmig_error **error)
    __attribute__((warn_unused_result));

bool vmmig__expect_footer(struct vmmig_reader *reader, uint32_t section_id,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

/* "START" for messages; "unknown" for what is none. */
const char *vmmig__record_type_name(uint8_t type);

#endif

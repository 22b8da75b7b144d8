/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File header, record headers and footers. The thread of the reader or writer.
 */
#include "wire/section-frame.h"

#include <inttypes.h>

void vmmig__put_file_header(struct vmmig_writer *writer)
{
    vmmig_writer_put_u32(writer, VMMIG__FILE_MAGIC);
    vmmig_writer_put_u32(writer, VMMIG__FILE_VERSION);
}

bool vmmig__expect_file_header(struct vmmig_reader *reader, vmmig_error **error)
{
    uint32_t value;

    if (!vmmig_reader_get_u32(reader, &value, error))
        return false;
    if (value != VMMIG__FILE_MAGIC)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "this is no migration stream: it begins with "
                                  "0x%08" PRIx32 ", not with 0x%08" PRIx32,
                                  value, VMMIG__FILE_MAGIC);
    if (!vmmig_reader_get_u32(reader, &value, error))
        return false;
    if (value != VMMIG__FILE_VERSION)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "the stream has version %" PRIu32
                                  ", but only %" PRIu32 " is known here",
                                  value, VMMIG__FILE_VERSION);
    return true;
}

static void put_long_header(struct vmmig_writer *writer, uint8_t type,
                            uint32_t section_id, const char *idstr,
                            uint32_t instance_id, uint32_t version)
{
    vmmig_writer_put_u8(writer, type);
    vmmig_writer_put_u32(writer, section_id);
    vmmig__writer_put_name(writer, idstr);
    vmmig_writer_put_u32(writer, instance_id);
    vmmig_writer_put_u32(writer, version);
}

static void put_short_header(struct vmmig_writer *writer, uint8_t type,
                             uint32_t section_id)
{
    vmmig_writer_put_u8(writer, type);
    vmmig_writer_put_u32(writer, section_id);
}

void vmmig__put_start(struct vmmig_writer *writer, uint32_t section_id,
                      const char *idstr, uint32_t instance_id, uint32_t version)
{
    /* QEMU would take its parts for those of another device. */
    if (section_id == 0)
        vmmig__writer_fail(writer, VMMIG_ERROR_INVALID,
                           "live section \"%s\" has the id 0", idstr);
    put_long_header(writer, VMMIG__RECORD_START, section_id, idstr, instance_id,
                    version);
}

void vmmig__put_part(struct vmmig_writer *writer, uint32_t section_id)
{
    put_short_header(writer, VMMIG__RECORD_PART, section_id);
}

void vmmig__put_end(struct vmmig_writer *writer, uint32_t section_id)
{
    put_short_header(writer, VMMIG__RECORD_END, section_id);
}

void vmmig__put_full(struct vmmig_writer *writer, uint32_t section_id,
                     const char *idstr, uint32_t instance_id, uint32_t version)
{
    put_long_header(writer, VMMIG__RECORD_FULL, section_id, idstr, instance_id,
                    version);
}

void vmmig__put_footer(struct vmmig_writer *writer, uint32_t section_id)
{
    vmmig_writer_put_u8(writer, VMMIG__RECORD_FOOTER);
    vmmig_writer_put_u32(writer, section_id);
}

void vmmig__put_eof(struct vmmig_writer *writer)
{
    vmmig_writer_put_u8(writer, VMMIG__RECORD_EOF);
}

const char *vmmig__record_type_name(uint8_t type)
{
    switch (type) {
    case VMMIG__RECORD_EOF:
        return "EOF";
    case VMMIG__RECORD_START:
        return "START";
    case VMMIG__RECORD_PART:
        return "PART";
    case VMMIG__RECORD_END:
        return "END";
    case VMMIG__RECORD_FULL:
        return "FULL";
    case VMMIG__RECORD_SUBSECTION:
        return "subsection";
    case VMMIG__RECORD_DESCRIPTION:
        return "VMDESC";
    case VMMIG__RECORD_CONFIGURATION:
        return "CONFIGURATION";
    case VMMIG__RECORD_COMMAND:
        return "COMMAND";
    case VMMIG__RECORD_FOOTER:
        return "footer";
    default:
        return "unknown";
    }
}

bool vmmig__get_record(struct vmmig_reader *reader,
                       struct vmmig__record *ret_record, vmmig_error **error)
{
    struct vmmig__record record = {0};

    if (!vmmig_reader_get_u8(reader, &record.type, error))
        return false;
    switch (record.type) {
    case VMMIG__RECORD_EOF:
    case VMMIG__RECORD_COMMAND:
        break;
    case VMMIG__RECORD_START:
    case VMMIG__RECORD_FULL:
        if (!vmmig_reader_get_u32(reader, &record.section_id, error) ||
            !vmmig__reader_get_name(reader, record.idstr, "section name",
                                    error) ||
            !vmmig_reader_get_u32(reader, &record.instance_id, error) ||
            !vmmig_reader_get_u32(reader, &record.version, error))
            return false;
        break;
    case VMMIG__RECORD_PART:
    case VMMIG__RECORD_END:
        if (!vmmig_reader_get_u32(reader, &record.section_id, error))
            return false;
        break;
    default:
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "a record begins with 0x%02x (%s), which "
                                  "cannot stand here",
                                  record.type,
                                  vmmig__record_type_name(record.type));
    }
    *ret_record = record;
    return true;
}

/* The body went on with a subsection that nobody took, or so it seems: waits
 * for no more bytes to find out its name. */
static bool fail_subsection(struct vmmig_reader *reader, vmmig_error **error)
{
    char name[VMMIG__NAME_BYTES];
    uint8_t length;
    bool at_end;

    if (vmmig__reader_buffered(reader) == 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the section goes on with a subsection");
    if (!vmmig__reader_peek(reader, &length, &at_end, error))
        return false;
    if (vmmig__reader_buffered(reader) <= length)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the section goes on with a subsection");
    if (!vmmig__reader_get_name(reader, name, "subsection name", error))
        return false;
    return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                              "subsection \"%s\" is not known here", name);
}

bool vmmig__expect_footer(struct vmmig_reader *reader, uint32_t section_id,
                          vmmig_error **error)
{
    uint32_t id;
    uint8_t mark;

    if (!vmmig_reader_get_u8(reader, &mark, error))
        return false;
    if (mark == VMMIG__RECORD_SUBSECTION)
        return fail_subsection(reader, error);
    if (mark != VMMIG__RECORD_FOOTER)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the section ends with 0x%02x, not with the "
                                  "footer 0x%02x: both sides do not agree "
                                  "about its length",
                                  mark, VMMIG__RECORD_FOOTER);
    if (!vmmig_reader_get_u32(reader, &id, error))
        return false;
    if (id != section_id)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "the footer has the id %" PRIu32
                                  ", but the section %" PRIu32,
                                  id, section_id);
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands inside the stream. The thread of the reader or writer.
 */
#include "wire/command.h"

#include <inttypes.h>
#include <string.h>

/* What the payload is made of. */
enum payload { NOTHING, VALUE, PAGE_SIZES, DISCARD, BLOCK };

/* clang-format off */
static const struct {
    const char *name;
    enum payload payload;
    uint16_t minimum_bytes, maximum_bytes; /* of the payload; PAGE_SIZES: only
                                              these two */
} commands[] = {
    [VMMIG__COMMAND_OPEN_RETURN_PATH]     = {"OPEN_RETURN_PATH", NOTHING, 0, 0},
    [VMMIG__COMMAND_PING]                 = {"PING", VALUE, 4, 4},
    [VMMIG__COMMAND_POSTCOPY_ADVISE]      = {"POSTCOPY_ADVISE", PAGE_SIZES, 0, 16},
    [VMMIG__COMMAND_POSTCOPY_LISTEN]      = {"POSTCOPY_LISTEN", NOTHING, 0, 0},
    [VMMIG__COMMAND_POSTCOPY_RUN]         = {"POSTCOPY_RUN", NOTHING, 0, 0},
    [VMMIG__COMMAND_POSTCOPY_RAM_DISCARD] = {"POSTCOPY_RAM_DISCARD", DISCARD, 20, UINT16_MAX},
    [VMMIG__COMMAND_PACKAGED]             = {"PACKAGED", VALUE, 4, 4},
    [VMMIG__COMMAND_ENABLE_COLO]          = {"ENABLE_COLO", NOTHING, 0, 0},
    [VMMIG__COMMAND_POSTCOPY_RESUME]      = {"POSTCOPY_RESUME", NOTHING, 0, 0},
    [VMMIG__COMMAND_RECV_BITMAP]          = {"RECV_BITMAP", BLOCK, 2, VMMIG__NAME_BYTES},
    [VMMIG__COMMAND_SWITCHOVER_START]     = {"SWITCHOVER_START", NOTHING, 0, 0},
};
/* clang-format on */

void vmmig__command_clear(struct vmmig__command *command)
{
    g_clear_pointer(&command->ranges, g_free);
    command->range_count = 0;
}

const char *vmmig__command_name(uint16_t number)
{
    return number < G_N_ELEMENTS(commands) ? commands[number].name : NULL;
}

/* -- reading */

static bool fail_length(struct vmmig_reader *reader, uint16_t number,
                        uint32_t length, uint32_t expected, vmmig_error **error)
{
    return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                              "command %s has %" PRIu32
                              " bytes of payload, not %" PRIu32,
                              commands[number].name, length, expected);
}

static bool get_block(struct vmmig_reader *reader, uint16_t length,
                      struct vmmig__command *command, vmmig_error **error)
{
    uint32_t used;

    if (!vmmig__reader_get_name(reader, command->block, "block name", error))
        return false;
    used = 1 + (uint32_t)strlen(command->block);
    return used == length ||
           fail_length(reader, command->number, length, used, error);
}

/* The ranges of a DISCARD, which fill the rest of its payload. */
static bool get_ranges(struct vmmig_reader *reader,
                       struct vmmig__command *command, vmmig_error **error)
{
    for (uint32_t i = 0; i < command->range_count; i++) {
        struct vmmig__range *range = &command->ranges[i];

        if (!vmmig_reader_get_u64(reader, &range->start_bytes, error) ||
            !vmmig_reader_get_u64(reader, &range->length_bytes, error))
            return false;
        if (range->length_bytes == 0 ||
            range->length_bytes > UINT64_MAX - range->start_bytes)
            return vmmig__reader_fail(
                reader, error, VMMIG_ERROR_PROTOCOL,
                "a range of block \"%s\" begins at "
                "0x%" PRIx64 " and has 0x%" PRIx64 " bytes",
                command->block, range->start_bytes, range->length_bytes);
    }
    return true;
}

static bool get_discard(struct vmmig_reader *reader, uint16_t length,
                        struct vmmig__command *command, vmmig_error **error)
{
    uint32_t before_ranges, count;
    uint8_t byte;

    if (!vmmig_reader_get_u8(reader, &byte, error))
        return false;
    if (byte != VMMIG__DISCARD_VERSION)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "command %s has version %u, but only %d is "
                                  "known here",
                                  commands[command->number].name, byte,
                                  VMMIG__DISCARD_VERSION);
    if (!vmmig__reader_get_name(reader, command->block, "block name", error) ||
        !vmmig_reader_get_u8(reader, &byte, error))
        return false;
    if (byte != 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "block name \"%s\" ends in 0x%02x, not in "
                                  "0x00",
                                  command->block, byte);
    before_ranges = 3 + (uint32_t)strlen(command->block);
    count = length > before_ranges ? (length - before_ranges) / 16 : 0;
    if (count == 0 || before_ranges + count * 16 != length)
        return fail_length(reader, command->number, length,
                           before_ranges + MAX(count, 1) * 16, error);
    command->ranges = g_new(struct vmmig__range, count);
    command->range_count = count;
    return get_ranges(reader, command, error);
}

static bool get_payload(struct vmmig_reader *reader, uint16_t length,
                        struct vmmig__command *command, vmmig_error **error)
{
    switch (commands[command->number].payload) {
    case NOTHING:
        return true;
    case VALUE:
        if (command->number != VMMIG__COMMAND_PACKAGED)
            return vmmig_reader_get_u32(reader, &command->value, error);
        return vmmig__reader_get_length(reader, VMMIG__MAX_PACKAGE_BYTES,
                                        "length of the package",
                                        &command->value, error);
    case PAGE_SIZES:
        command->has_page_sizes = length != 0;
        return length == 0 ||
               (vmmig_reader_get_u64(reader, &command->page_size_summary,
                                     error) &&
                vmmig_reader_get_u64(reader, &command->page_bytes, error));
    case DISCARD:
        return get_discard(reader, length, command, error);
    case BLOCK:
        return get_block(reader, length, command, error);
    }
    g_return_val_if_reached(false);
}

bool vmmig__get_command(struct vmmig_reader *reader,
                        struct vmmig__command *ret_command, vmmig_error **error)
{
    struct vmmig__command command = {0};
    uint16_t length, minimum, maximum;

    if (!vmmig_reader_get_u16(reader, &command.number, error))
        return false;
    if (!vmmig__command_name(command.number))
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "command %u is not known here; the last one "
                                  "is %zu",
                                  command.number, G_N_ELEMENTS(commands) - 1);
    if (!vmmig_reader_get_u16(reader, &length, error))
        return false;
    minimum = commands[command.number].minimum_bytes;
    maximum = commands[command.number].maximum_bytes;
    if (length < minimum || length > maximum ||
        (commands[command.number].payload == PAGE_SIZES && length != minimum &&
         length != maximum))
        return fail_length(reader, command.number, length,
                           length < minimum ? minimum : maximum, error);
    if (!get_payload(reader, length, &command, error)) {
        vmmig__command_clear(&command);
        return false;
    }
    *ret_command = command;
    return true;
}

/* -- writing */

static uint64_t payload_bytes(const struct vmmig__command *command)
{
    switch (commands[command->number].payload) {
    case NOTHING:
        return 0;
    case VALUE:
        return 4;
    case PAGE_SIZES:
        return command->has_page_sizes ? 16 : 0;
    case DISCARD:
        return 3 + strlen(command->block) + UINT64_C(16) * command->range_count;
    case BLOCK:
        return 1 + strlen(command->block);
    }
    g_return_val_if_reached(0);
}

static void put_payload(struct vmmig_writer *writer,
                        const struct vmmig__command *command)
{
    switch (commands[command->number].payload) {
    case NOTHING:
        break;
    case VALUE:
        vmmig_writer_put_u32(writer, command->value);
        break;
    case PAGE_SIZES:
        if (command->has_page_sizes) {
            vmmig_writer_put_u64(writer, command->page_size_summary);
            vmmig_writer_put_u64(writer, command->page_bytes);
        }
        break;
    case DISCARD:
        vmmig_writer_put_u8(writer, VMMIG__DISCARD_VERSION);
        vmmig__writer_put_name(writer, command->block);
        vmmig_writer_put_u8(writer, 0);
        for (uint32_t i = 0; i < command->range_count; i++) {
            vmmig_writer_put_u64(writer, command->ranges[i].start_bytes);
            vmmig_writer_put_u64(writer, command->ranges[i].length_bytes);
        }
        break;
    case BLOCK:
        vmmig__writer_put_name(writer, command->block);
        break;
    }
}

void vmmig__put_command(struct vmmig_writer *writer,
                        const struct vmmig__command *command)
{
    uint64_t length;

    g_return_if_fail(vmmig__command_name(command->number));
    length = payload_bytes(command);
    if (length > commands[command->number].maximum_bytes) {
        vmmig__writer_fail(writer, VMMIG_ERROR_INVALID,
                           "command %s would have %" PRIu64
                           " bytes of payload, more than %u",
                           commands[command->number].name, length,
                           commands[command->number].maximum_bytes);
        return;
    }
    vmmig_writer_put_u8(writer, VMMIG__RECORD_COMMAND);
    vmmig_writer_put_u16(writer, command->number);
    vmmig_writer_put_u16(writer, (uint16_t)length);
    put_payload(writer, command);
}

void vmmig__put_simple_command(struct vmmig_writer *writer, uint16_t number)
{
    vmmig__put_command(writer, &(struct vmmig__command){.number = number});
}

void vmmig__put_ping(struct vmmig_writer *writer, uint32_t value)
{
    vmmig__put_command(writer,
                       &(struct vmmig__command){.number = VMMIG__COMMAND_PING,
                                                .value = value});
}

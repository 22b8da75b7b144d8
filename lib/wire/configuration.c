/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CONFIGURATION record. No state; the thread of the reader or writer.
 */
#include "wire/configuration.h"

#include <inttypes.h>
#include <string.h>

static const char prefix[] = "configuration";

/* All capability names that exist: a list may hold them, and but for two they
 * mean nothing there. */
enum { IGNORE_SHARED, MAPPED_RAM };
static const char *const capabilities[] = {
    [IGNORE_SHARED] = VMMIG__CAPABILITY_IGNORE_SHARED,
    [MAPPED_RAM] = VMMIG__CAPABILITY_MAPPED_RAM,
    "auto-converge",
    "background-snapshot",
    "block",
    "compress",
    "dirty-bitmaps",
    "dirty-limit",
    "events",
    "late-block-activate",
    "multifd",
    "pause-before-switchover",
    "postcopy-blocktime",
    "postcopy-preempt",
    "postcopy-ram",
    "rdma-pin-all",
    "release-ram",
    "return-path",
    "switchover-ack",
    "validate-uuid",
    "x-colo",
    "xbzrle",
    "zero-blocks",
    "zero-copy-send",
};

/* -- writing */

static void put_subsection(struct vmmig_writer *writer, const char *name)
{
    vmmig_writer_put_u8(writer, VMMIG__RECORD_SUBSECTION);
    vmmig__writer_put_name(writer, name);
    vmmig_writer_put_u32(writer, VMMIG__CONFIGURATION_SUBSECTION_VERSION);
}

static uint32_t page_bits(const struct vmmig__configuration *configuration)
{
    return configuration->page_bits ? configuration->page_bits
                                    : VMMIG__LEGACY_PAGE_BITS;
}

void vmmig__put_configuration(struct vmmig_writer *writer,
                              const struct vmmig__configuration *configuration)
{
    size_t length = strlen(configuration->machine_name);

    if (length > VMMIG__MAX_MACHINE_NAME_BYTES) {
        vmmig__writer_fail(writer, VMMIG_ERROR_INVALID,
                           "a machine name of %zu bytes cannot be sent: it has "
                           "at most %d",
                           length, VMMIG__MAX_MACHINE_NAME_BYTES);
        return;
    }
    vmmig_writer_put_u8(writer, VMMIG__RECORD_CONFIGURATION);
    vmmig_writer_put_u32(writer, (uint32_t)length);
    vmmig_writer_put_bytes(writer, configuration->machine_name, length);

    if (page_bits(configuration) != VMMIG__LEGACY_PAGE_BITS) {
        put_subsection(writer, VMMIG__CONFIGURATION_PAGE_BITS);
        vmmig_writer_put_u32(writer, page_bits(configuration));
    }
    if (configuration->ignore_shared) {
        put_subsection(writer, VMMIG__CONFIGURATION_CAPABILITIES);
        vmmig_writer_put_u32(writer, 1);
        vmmig__writer_put_name(writer, VMMIG__CAPABILITY_IGNORE_SHARED);
    }
    if (configuration->has_uuid) {
        put_subsection(writer, VMMIG__CONFIGURATION_UUID);
        vmmig_writer_put_bytes(writer, configuration->uuid, VMMIG__UUID_BYTES);
    }
}

/* -- reading */

/* What the peer said in its subsections. */
struct received {
    bool has_page_bits, has_capabilities, has_uuid;
    uint32_t page_bits;
    bool capability_listed[G_N_ELEMENTS(capabilities)];
    uint8_t uuid[VMMIG__UUID_BYTES];
};

static bool expect_machine_name(struct vmmig_reader *reader, const char *local,
                                vmmig_error **error)
{
    char name[VMMIG__MAX_MACHINE_NAME_BYTES + 1];
    uint32_t length;

    if (!vmmig__reader_get_length(reader, VMMIG__MAX_MACHINE_NAME_BYTES,
                                  "length of the machine name", &length,
                                  error) ||
        !vmmig_reader_get_bytes(reader, name, length, error))
        return false;
    name[length] = 0;
    if (strlen(name) != length || strcmp(name, local) != 0)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "the machine is \"%s\" there, but \"%s\" "
                                  "here",
                                  name, local);
    return true;
}

static bool get_capabilities(struct vmmig_reader *reader,
                             struct received *received, vmmig_error **error)
{
    uint32_t count;

    if (!vmmig__reader_get_length(reader, VMMIG__MAX_CAPABILITIES,
                                  "number of capabilities", &count, error))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        char name[VMMIG__NAME_BYTES];
        size_t known = 0;

        if (!vmmig__reader_get_name(reader, name, "capability name", error))
            return false;
        while (known < G_N_ELEMENTS(capabilities) &&
               strcmp(capabilities[known], name) != 0)
            known++;
        if (known == G_N_ELEMENTS(capabilities))
            return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                      "capability \"%s\" is not known here",
                                      name);
        if (received->capability_listed[known])
            return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                      "capability \"%s\" is listed twice",
                                      name);
        received->capability_listed[known] = true;
    }
    return true;
}

static bool get_subsection(struct vmmig_reader *reader, const char *name,
                           struct received *received, vmmig_error **error)
{
    bool *has = strcmp(name, VMMIG__CONFIGURATION_PAGE_BITS) == 0
                    ? &received->has_page_bits
                : strcmp(name, VMMIG__CONFIGURATION_CAPABILITIES) == 0
                    ? &received->has_capabilities
                : strcmp(name, VMMIG__CONFIGURATION_UUID) == 0
                    ? &received->has_uuid
                    : NULL;

    if (!has)
        return vmmig__reader_fail(
            reader, error,
            g_str_has_prefix(name, prefix) ? VMMIG_ERROR_INCOMPATIBLE
                                           : VMMIG_ERROR_PROTOCOL,
            "subsection \"%s\" of the configuration is not known here", name);
    if (*has)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "subsection \"%s\" comes twice", name);
    *has = true;
    if (!vmmig_reader_expect_u32(reader,
                                 VMMIG__CONFIGURATION_SUBSECTION_VERSION,
                                 "version of a subsection", error))
        return false;
    if (has == &received->has_page_bits)
        return vmmig_reader_get_u32(reader, &received->page_bits, error);
    if (has == &received->has_capabilities)
        return get_capabilities(reader, received, error);
    return vmmig_reader_get_bytes(reader, received->uuid, sizeof received->uuid,
                                  error);
}

static void print_uuid(const uint8_t uuid[VMMIG__UUID_BYTES], char text[37])
{
    for (int i = 0, at = 0; i < VMMIG__UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        at += g_snprintf(text + at, 3, "%02x", uuid[i]);
    }
}

static bool compare(struct vmmig_reader *reader,
                    const struct vmmig__configuration *local,
                    const struct received *received, vmmig_error **error)
{
    uint32_t bits =
        received->has_page_bits ? received->page_bits : VMMIG__LEGACY_PAGE_BITS;
    static const char *const words[] = {"off", "on"};

    if (bits != page_bits(local))
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "a page has 2^%" PRIu32
                                  " bytes there, but 2^%" PRIu32 " here",
                                  bits, page_bits(local));
    if (received->capability_listed[IGNORE_SHARED] != local->ignore_shared)
        return vmmig__reader_fail(
            reader, error, VMMIG_ERROR_INCOMPATIBLE,
            "%s is %s there, but %s here", VMMIG__CAPABILITY_IGNORE_SHARED,
            words[received->capability_listed[IGNORE_SHARED]],
            words[local->ignore_shared]);
    if (received->capability_listed[MAPPED_RAM])
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "%s is on there, but off here",
                                  VMMIG__CAPABILITY_MAPPED_RAM);
    if (received->has_uuid && local->has_uuid &&
        memcmp(received->uuid, local->uuid, VMMIG__UUID_BYTES) != 0) {
        char theirs[37], ours[37];

        print_uuid(received->uuid, theirs);
        print_uuid(local->uuid, ours);
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_INCOMPATIBLE,
                                  "the machine's uuid is %s there, but %s here",
                                  theirs, ours);
    }
    return true;
}

bool vmmig__expect_configuration(struct vmmig_reader *reader,
                                 const struct vmmig__configuration *local,
                                 bool *ret_has_uuid, vmmig_error **error)
{
    struct received received = {0};
    uint8_t type;

    if (!vmmig_reader_get_u8(reader, &type, error))
        return false;
    if (type != VMMIG__RECORD_CONFIGURATION)
        return vmmig__reader_fail(reader, error, VMMIG_ERROR_PROTOCOL,
                                  "0x%02x stands where the configuration "
                                  "(0x%02x) begins",
                                  type, VMMIG__RECORD_CONFIGURATION);
    if (!expect_machine_name(reader, local->machine_name, error))
        return false;
    for (;;) {
        char name[VMMIG__NAME_BYTES];
        bool at_end;

        if (!vmmig__reader_peek(reader, &type, &at_end, error))
            return false;
        if (at_end || type != VMMIG__RECORD_SUBSECTION)
            break;
        if (!vmmig_reader_get_u8(reader, &type, error) ||
            !vmmig__reader_get_name(reader, name, "subsection name", error) ||
            !get_subsection(reader, name, &received, error))
            return false;
    }
    if (!compare(reader, local, &received, error))
        return false;
    if (ret_has_uuid)
        *ret_has_uuid = received.has_uuid;
    return true;
}

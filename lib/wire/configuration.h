/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CONFIGURATION record: what both machines must agree on before anything
 * else is read. Chapter 1.4. No state.
 */
#ifndef VMMIG_WIRE_CONFIGURATION_H
#define VMMIG_WIRE_CONFIGURATION_H

#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

struct vmmig__configuration {
    const char *machine_name;
    uint32_t page_bits; /* 0: 12, which is never written */
    bool ignore_shared; /* x-ignore-shared is on */
    bool has_uuid;      /* writing: validate-uuid is on as well */
    uint8_t uuid[VMMIG__UUID_BYTES];
};

void vmmig__put_configuration(struct vmmig_writer *writer,
                              const struct vmmig__configuration *configuration);

/*
 * vmmig__expect_configuration:
 * @local: ours
 * @ret_has_uuid: (nullable): whether the peer sent a uuid; one that we have
 *     nothing to compare with (local->has_uuid false) is accepted
 *
 * Reads the record and compares. INCOMPATIBLE, with both values, where the two
 * machines differ. Unlike QEMU (which accepts a prefix) the names must be
 * equal.
 */
bool vmmig__expect_configuration(struct vmmig_reader *reader,
                                 const struct vmmig__configuration *local,
                                 bool *ret_has_uuid, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

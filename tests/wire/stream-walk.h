/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A destination reduced to its parsers: reads a whole precopy stream of a
 * `-M none` machine with lib/wire, keeps the RAM it describes, and (if asked
 * to) writes everything that it has understood once more.
 */
#ifndef VMMIG_TESTS_STREAM_WALK_H
#define VMMIG_TESTS_STREAM_WALK_H

#include "wire/configuration.h"
#include "wire/device-fields.h"
#include "wire/ram-record.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"
#include "wire/vm-description.h"

struct walk_block {
    char *name;
    uint8_t *bytes;
    uint64_t length_bytes;
};

/* A device section that is known: by its layout, or only by its length. */
struct walk_device {
    const char *name;
    uint32_t version;
    const struct vmmig_layout *layout; /* NULL: length_bytes of anything */
    uint64_t struct_bytes;             /* of what the layout describes */
    uint64_t length_bytes;
};

struct walk {
    /* What the machine is; x-ignore-shared says what the block list holds. */
    struct vmmig__configuration local;
    const struct walk_device *devices;
    uint32_t device_count;
    uint64_t maximum_ram_bytes; /* a longer list is refused */

    /* Nullable: receive all of the stream, up to EOF; the sections. */
    struct vmmig_writer *again;
    struct vmmig__vm_description *description;

    /* Results. */
    GPtrArray *blocks; /* of struct walk_block, in the order of the list */
    uint64_t pages, zero_pages, continued_pages, parts, ends;
    GArray *commands;    /* of uint16_t */
    GPtrArray *sections; /* names of the FULL sections */
    bool described;      /* a VM description ended it */
};

/* Sets the machine that `-M none` is, at its newest if @is_newest, else as 7.2
 * has it. Follow with walk_clear(). */
void walk_init(struct walk *walk, bool is_newest);
void walk_clear(struct walk *walk);

/* From the file header to EOF and the record behind it. */
bool walk_stream(struct walk *walk, struct vmmig_reader *reader,
                 vmmig_error **error) __attribute__((warn_unused_result));

/* Only the body of a "ram" section, up to its end. */
bool walk_ram_body(struct walk *walk, struct vmmig_reader *reader,
                   struct vmmig__last_block *last, uint32_t phase,
                   vmmig_error **error) __attribute__((warn_unused_result));

#endif

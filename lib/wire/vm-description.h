/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM description: JSON at the end of the stream with which a tool (QEMU's
 * scripts/analyze-migration.py) can split a stored stream. Nobody reads it
 * while a guest migrates. Chapters 1.5 and 3.3.
 *
 * One thread builds it while it writes the device sections.
 */
#ifndef VMMIG_WIRE_VM_DESCRIPTION_H
#define VMMIG_WIRE_VM_DESCRIPTION_H

#include "wire/configuration.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

struct vmmig__vm_description;

/*
 * vmmig__vm_description_new:
 * @configuration: (nullable): what was sent; NULL leaves it out, as QEMU 7.2
 *     does
 *
 * (transfer full)
 */
struct vmmig__vm_description *
vmmig__vm_description_new(const struct vmmig__configuration *configuration,
                          uint32_t page_bytes);
void vmmig__vm_description_free(struct vmmig__vm_description *description);

/* A FULL section about whose inside nothing is known but its length. Sections
 * are added in the order of the stream; live ones are not described. */
void vmmig__vm_description_add_opaque(struct vmmig__vm_description *description,
                                      const char *name, uint32_t instance_id,
                                      uint64_t length_bytes);

/*
 * A described section: begin_device, fields, subsections, end_device.
 * vmmig__save_fields() does this. At most VMMIG__MAX_LAYOUT_DEPTH layouts are
 * open at a time.
 */
void vmmig__vm_description_begin_device(
    struct vmmig__vm_description *description, const char *name,
    const char *layout_name, uint32_t instance_id, uint32_t version);
void vmmig__vm_description_end_device(
    struct vmmig__vm_description *description);
/* @array_length: 0: not an array. @size_bytes: of one element. */
void vmmig__vm_description_add_field(struct vmmig__vm_description *description,
                                     const char *name, const char *type,
                                     uint64_t array_length,
                                     uint64_t size_bytes);
void vmmig__vm_description_begin_struct(
    struct vmmig__vm_description *description, const char *name,
    const char *layout_name, uint32_t version);
void vmmig__vm_description_end_struct(struct vmmig__vm_description *description,
                                      uint64_t size_bytes);
/* Subsections follow all fields of their parent. */
void vmmig__vm_description_begin_subsection(
    struct vmmig__vm_description *description, const char *name,
    uint32_t version);
void vmmig__vm_description_end_subsection(
    struct vmmig__vm_description *description);

/* (transfer full): the JSON text. */
char *
vmmig__vm_description_get_text(const struct vmmig__vm_description *description);

/* The record: 06, length, text, and where tools need it spaces behind the text.
 * It follows EOF. @description NULL: length 0. */
void vmmig__put_vm_description(struct vmmig_writer *writer,
                               const struct vmmig__vm_description *description);

/*
 * vmmig__skip_vm_description:
 * @ret_present: false when the stream ended instead, or went on with something
 *     else, which is then unread: QEMU takes both for success
 *
 * Reads over what follows EOF.
 */
bool vmmig__skip_vm_description(struct vmmig_reader *reader, bool *ret_present,
                                vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

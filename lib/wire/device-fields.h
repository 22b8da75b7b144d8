/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that are described by a layout: their fields to and from the stream.
 * Chapter 3.1.
 *
 * Loading reads into an image beside the device (no lock needed, it waits for
 * bytes), applying copies from there into the device (under the host lock,
 * waits for nothing, cannot fail).
 *
 * The version of a section chooses among the fields of the outermost layout; a
 * subsection has a version of its own; a nested struct is always as its layout
 * says now, since nothing in the stream tells its version.
 */
#ifndef VMMIG_WIRE_DEVICE_FIELDS_H
#define VMMIG_WIRE_DEVICE_FIELDS_H

#include "wire/stream-reader.h"
#include "wire/stream-writer.h"
#include "wire/vm-description.h"

/*
 * vmmig__layout_check:
 * @name: of the device
 *
 * INVALID, with the field's name, for a layout that cannot work: an unknown
 * kind, a member that is no multiple of its kind, a subsection whose name does
 * not begin with its parent's, too deep a nesting, a tail that this library
 * does not know, ... The other functions take only layouts that passed.
 */
bool vmmig__layout_check(const struct vmmig_layout *layout, const char *name,
                         vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__save_fields:
 * @name: of the device; what its subsections' names begin with
 * @description: (nullable): the same fields are described there, as a device
 *     of this name and instance
 *
 * Writes the body of the section: all fields of the newest version, then the
 * subsections that are needed. is_needed() runs once for each.
 *
 * A device that also writes bytes of its own, which come after all this, cannot
 * be described: give no @description and describe the whole section with
 * vmmig__vm_description_add_opaque().
 */
void vmmig__save_fields(const struct vmmig_layout *layout, const char *name,
                        uint32_t instance_id, const void *device,
                        struct vmmig_writer *writer,
                        struct vmmig__vm_description *description);

/* What was read for one device: opaque. */
struct vmmig__field_image;

/*
 * vmmig__load_fields:
 * @version: of the section
 * @ret_image: (transfer full)
 *
 * INCOMPATIBLE for a version that the layout does not cover. A subsection that
 * the layout does not have is left unread: vmmig__expect_footer() refuses it by
 * its name.
 */
bool vmmig__load_fields(struct vmmig_reader *reader,
                        const struct vmmig_layout *layout, const char *name,
                        uint32_t version, struct vmmig__field_image **ret_image,
                        vmmig_error **error)
    __attribute__((warn_unused_result));

/* Changes the members that were in the stream; those that were absent (newer
 * than the version, in a subsection that was not sent) stay as they are. */
void vmmig__apply_fields(const struct vmmig__field_image *image, void *device);

/* Takes NULL. */
void vmmig__field_image_free(struct vmmig__field_image *image);

#endif

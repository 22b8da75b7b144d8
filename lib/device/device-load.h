/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's side of devices: matches sections to devices, lets them
 * read, and applies what they read when all of it is there.
 *
 * All that is remembered between two records is in struct vmmig__loader and in
 * the devices, so the next record may be read by another thread.
 */
#ifndef VMMIG_DEVICE_DEVICE_LOAD_H
#define VMMIG_DEVICE_DEVICE_LOAD_H

#include "device/device-registry.h"
#include "host/host-call.h"
#include "wire/section-frame.h"
#include "wire/stream-reader.h"

struct vmmig__loader {
    struct vmmig__host *host;
    struct vmmig__devices *devices;
    struct vmmig_reader *in;

    /* Called for a COMMAND record, whose first byte has been read. */
    bool (*command)(void *data, struct vmmig_reader *in, vmmig_error **error);
    void *data;

    uint64_t state_us; /* when the first device state came; 0: none yet */
};

/* load_setup() of all, under one hold of the host's lock. */
bool vmmig__load_setup(struct vmmig__loader *loader, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Reads one record. *ret_end: it was EOF. */
bool vmmig__load_record(struct vmmig__loader *loader, bool *ret_end,
                        vmmig_error **error)
    __attribute__((warn_unused_result));

/* switchover_start() of all, under one hold of the host's lock. */
bool vmmig__load_switchover_start(struct vmmig__loader *loader,
                                  vmmig_error **error)
    __attribute__((warn_unused_result));

/* After EOF: whether every device got its state; then fields are applied and
 * post_load() is called, by priority, under one hold of the host's lock. */
bool vmmig__load_apply(struct vmmig__loader *loader, vmmig_error **error)
    __attribute__((warn_unused_result));

/* activate() of all, by priority, under one hold of the host's lock. */
bool vmmig__load_activate(struct vmmig__loader *loader, vmmig_error **error)
    __attribute__((warn_unused_result));

/* load_cleanup() of every device that was set up, however it ended. */
void vmmig__load_cleanup(struct vmmig__loader *loader);

#endif

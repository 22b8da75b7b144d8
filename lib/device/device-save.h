/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's side of devices: their callbacks in order, and the frames around
 * what they write. Everything runs on mig/src/main, which goes to the host's
 * lock or thread where a callback's contract says so.
 */
#ifndef VMMIG_DEVICE_DEVICE_SAVE_H
#define VMMIG_DEVICE_DEVICE_SAVE_H

#include "device/device-registry.h"
#include "host/host-call.h"
#include "wire/stream-writer.h"
#include "wire/vm-description.h"

struct vmmig__saver {
    struct vmmig__host *host;
    struct vmmig__devices *devices;
    struct vmmig_writer *out;
};

/* save_prepare(), is_active() of all, under one hold of the host's lock. */
bool vmmig__save_prepare(struct vmmig__saver *saver, vmmig_error **error)
    __attribute__((warn_unused_result));

/* A START section for every live device. The caller holds the host's lock (is
 * inside vmmig__host_locked()), as it did while it wrote the stream's header. */
bool vmmig__save_setup(struct vmmig__saver *saver, vmmig_error **error)
    __attribute__((warn_unused_result));

/* The sum over all live devices. */
bool vmmig__save_query_pending(struct vmmig__saver *saver, bool exact,
                               struct vmmig_pending *ret_pending,
                               vmmig_error **error)
    __attribute__((warn_unused_result));

/* A PART section for every live device, flushed. */
bool vmmig__save_iterate(struct vmmig__saver *saver, uint64_t budget_bytes,
                         vmmig_error **error)
    __attribute__((warn_unused_result));

/* Guest stopped: quiesce() of all devices, on the host thread. */
bool vmmig__save_quiesce(struct vmmig__saver *saver, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Undoes it, for those that were quiesced. */
bool vmmig__save_unquiesce(struct vmmig__saver *saver, vmmig_error **error)
    __attribute__((warn_unused_result));

/* An END section for every live device. */
bool vmmig__save_complete(struct vmmig__saver *saver, vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__save_states:
 * @memory: a writer into memory
 *
 * A FULL section for every simple device, described in @description: vCPUs
 * first, then the others under one hold of the host's lock. Into memory, because
 * a device may still write guest memory here: the last collect() comes after it,
 * and so does what of RAM is left, which precedes these sections in the stream.
 */
bool vmmig__save_states(struct vmmig__saver *saver,
                        struct vmmig_writer *memory,
                        struct vmmig__vm_description *description,
                        vmmig_error **error)
    __attribute__((warn_unused_result));

/* save_cleanup() of every device that was prepared, however it ended. */
void vmmig__save_cleanup(struct vmmig__saver *saver);

#endif

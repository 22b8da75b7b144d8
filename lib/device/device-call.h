/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calling devices: one of them, or all in their order, under the host's lock or
 * on the host thread.
 */
#ifndef VMMIG_DEVICE_DEVICE_CALL_H
#define VMMIG_DEVICE_DEVICE_CALL_H

#include "device/device-registry.h"
#include "host/host-call.h"

/*
 * vmmig__device_result:
 * @callback: its name
 * @ok: what it returned
 *
 * @ok; a failure's error gets the device and the callback in front of the host's
 * words: `device "uart" (instance 1): post_load: words`.
 */
bool vmmig__device_result(const struct vmmig_device *device,
                          const char *callback, bool ok, vmmig_error **error);

/* Runs a callback of @device, on this thread. A NULL @callback succeeds. */
bool vmmig__device_call(struct vmmig_device *device, const char *name,
                        bool (*callback)(void *data, vmmig_error **error),
                        vmmig_error **error) __attribute__((warn_unused_result));

typedef bool vmmig__device_visit(struct vmmig_device *device, void *data,
                                 vmmig_error **error);

/* Visits all devices in their order, up to the first that fails. */
bool vmmig__devices_visit(struct vmmig__devices *devices,
                          vmmig__device_visit *visit, void *data,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

/* The same under one hold of the host's lock. @what: for the error, if the host
 * thread does not answer. */
bool vmmig__devices_visit_locked(struct vmmig__host *host,
                                 struct vmmig__devices *devices,
                                 const char *what, vmmig__device_visit *visit,
                                 void *data, vmmig_error **error)
    __attribute__((warn_unused_result));

/* The same on the host thread, without the lock. */
bool vmmig__devices_visit_on_thread(struct vmmig__host *host,
                                    struct vmmig__devices *devices,
                                    const char *what,
                                    vmmig__device_visit *visit, void *data,
                                    vmmig_error **error)
    __attribute__((warn_unused_result));

/* The same, locked, for a visit that cannot fail; logs when the host thread
 * cannot be reached. */
void vmmig__devices_clean_up(struct vmmig__host *host,
                             struct vmmig__devices *devices, const char *what,
                             vmmig__device_visit *visit);

#endif

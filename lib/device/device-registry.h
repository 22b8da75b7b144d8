/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of a machine, RAM and vCPUs among them, in the order in which
 * they are saved: by priority, then by registration.
 *
 * Devices are added and removed on the machine's terms: one thread at a time,
 * and never while a session runs. Everything else belongs to the session's
 * thread.
 */
#ifndef VMMIG_DEVICE_DEVICE_REGISTRY_H
#define VMMIG_DEVICE_DEVICE_REGISTRY_H

#include <vmmigrate/device.h>

#include "base/error.h"
#include "wire/device-fields.h"
#include "wire/format.h"

/* Flags of a device that only the library sets. */
enum {
    /* save_state() and post_load() run without the host's lock. */
    VMMIG__DEVICE_UNLOCKED = 1u << 30,
    /* A source need not send it. */
    VMMIG__DEVICE_OPTIONAL = 1u << 31,
};

struct vmmig_device {
    /* Set once when the device is added. */
    char *name;
    uint32_t instance_id;
    uint32_t version, minimum_version;
    int32_t priority;
    uint32_t flags;
    struct vmmig_device_ops ops; /* what it lacks is NULL */
    const struct vmmig_layout *layout;
    void *data;
    vmmig_free_fn free_data;

    /* Of a session; vmmig__devices_reset() clears them. */
    bool active;                       /* live, and takes part */
    bool prepared;                     /* save_prepare() or save_setup() ran */
    bool load_prepared;                /* load_setup() ran */
    bool quiesced;                     /* quiesce() ran */
    bool caught_up;                    /* save_iterate() was done once */
    uint32_t section_id;               /* of its sections in the stream */
    bool started;                      /* its START has been read */
    bool loaded;                       /* its state has been read */
    uint32_t loaded_version;           /* ... of this version */
    struct vmmig__field_image *image;  /* ... by its layout */
};

struct vmmig__devices;

struct vmmig__devices *vmmig__devices_new(void);
/* Calls free_data of every device. Takes NULL. */
void vmmig__devices_free(struct vmmig__devices *devices);

/*
 * vmmig__devices_add:
 * @config: copied; takes its data, unless this fails
 *
 * NULL with INVALID, by the device's name, for a config that will not do.
 */
struct vmmig_device *
vmmig__devices_add(struct vmmig__devices *devices,
                   const struct vmmig_device_config *config,
                   vmmig_error **error)
    __attribute__((warn_unused_result));

/* Takes @device out; it is the caller's then. False with INVALID when it is none
 * of them. */
bool vmmig__devices_take(struct vmmig__devices *devices,
                         struct vmmig_device *device, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Calls its free_data. */
void vmmig__device_free(struct vmmig_device *device);

/* In the order of saving. */
struct vmmig_device *const *
vmmig__devices_get(const struct vmmig__devices *devices, uint32_t *ret_count);

/* (nullable) */
struct vmmig_device *vmmig__devices_find(const struct vmmig__devices *devices,
                                         const char *name,
                                         uint32_t instance_id);

bool vmmig__device_is_live(const struct vmmig_device *device);

/* Forgets the last session. */
void vmmig__devices_reset(struct vmmig__devices *devices);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/device-registry.h"

#include <string.h>

#include "base/struct-copy.h"

struct vmmig__devices {
    GPtrArray *sorted; /* of struct vmmig_device */
};

void vmmig__device_free(struct vmmig_device *device)
{
    vmmig__field_image_free(device->image);
    if (device->free_data)
        device->free_data(device->data);
    g_free(device->name);
    g_free(device);
}

struct vmmig__devices *vmmig__devices_new(void)
{
    struct vmmig__devices *devices = g_new0(struct vmmig__devices, 1);

    devices->sorted = g_ptr_array_new();
    return devices;
}

void vmmig__devices_free(struct vmmig__devices *devices)
{
    if (!devices)
        return;
    for (guint i = 0; i < devices->sorted->len; i++)
        vmmig__device_free(g_ptr_array_index(devices->sorted, i));
    g_ptr_array_free(devices->sorted, TRUE);
    g_free(devices);
}

bool vmmig__device_is_live(const struct vmmig_device *device)
{
    return device->ops.save_iterate != NULL;
}

static bool check_ops(const struct vmmig_device *device, vmmig_error **error)
{
    const struct vmmig_device_ops *ops = &device->ops;
    const char *name = device->name;

    if (vmmig__device_is_live(device) && (!ops->save_complete || !ops->load))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" has save_iterate, so it needs "
                           "save_complete and load",
                           name);
    if (vmmig__device_is_live(device) && (device->layout || ops->save_state))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" is live and has a layout or "
                           "save_state: these belong to a device of their own",
                           name);
    if (!vmmig__device_is_live(device) &&
        (ops->save_setup || ops->save_complete || ops->save_query_pending))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" has functions of a live device, but "
                           "no save_iterate",
                           name);
    if (ops->save_state && !ops->load)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" has save_state, but no load", name);
    if (!ops->save_state && !vmmig__device_is_live(device) && ops->load)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" has load, but nothing that saves",
                           name);
    if (!device->layout && !ops->save_state && !vmmig__device_is_live(device))
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" has neither a layout nor functions "
                           "that save it",
                           name);
    if (device->layout && device->layout->subsection_count > 0 &&
        ops->save_state)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\" has subsections and save_state: "
                           "where its bytes begin could not be told",
                           name);
    return true;
}

static bool check_versions(struct vmmig_device *device, vmmig_error **error)
{
    if (device->layout) {
        if (device->version == 0)
            device->version = device->layout->version;
        if (device->minimum_version == 0)
            device->minimum_version = device->layout->minimum_version;
        if (device->version != device->layout->version)
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "device \"%s\": its version is %u, its "
                               "layout's %u",
                               device->name, (unsigned)device->version,
                               (unsigned)device->layout->version);
    }
    if (device->minimum_version > device->version)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "device \"%s\": its minimum version is %u, its "
                           "version %u",
                           device->name, (unsigned)device->minimum_version,
                           (unsigned)device->version);
    return true;
}

/* Fills @device, which is all zero, from a copied config. */
static bool fill(struct vmmig_device *device,
                 const struct vmmig_device_config *config, vmmig_error **error)
{
    size_t length = config->name ? strlen(config->name) : 0;

    if (length == 0 || length > 255)
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the name of a device must have 1 to 255 bytes, "
                           "not %zu",
                           length);
    device->name = g_strdup(config->name);
    device->instance_id = config->instance_id;
    device->version = config->version;
    device->minimum_version = config->minimum_version;
    device->priority = config->priority;
    device->flags = config->flags;
    device->layout = config->layout;
    if (config->ops &&
        !vmmig__copy_struct(&device->ops, sizeof device->ops, config->ops,
                            "vmmig_device_ops", error))
        return vmmig__prefix(error, "device \"%s\": ", device->name);
    if (device->layout &&
        !vmmig__layout_check(device->layout, device->name, error))
        return false;
    return check_ops(device, error) && check_versions(device, error);
}

static gint compare(gconstpointer a, gconstpointer b)
{
    int32_t left = (*(struct vmmig_device *const *)a)->priority;
    int32_t right = (*(struct vmmig_device *const *)b)->priority;

    return left < right ? 1 : left > right ? -1 : 0;
}

struct vmmig_device *
vmmig__devices_add(struct vmmig__devices *devices,
                   const struct vmmig_device_config *theirs,
                   vmmig_error **error)
{
    struct vmmig_device *device = g_new0(struct vmmig_device, 1);
    struct vmmig_device_config config;
    bool ok = vmmig__copy_struct(&config, sizeof config, theirs,
                                 "vmmig_device_config", error);

    if (ok) {
        device->data = config.data;
        device->free_data = config.free_data;
        ok = fill(device, &config, error);
    }
    if (ok &&
        vmmig__devices_find(devices, device->name, device->instance_id))
        ok = vmmig__fail(error, VMMIG_ERROR_INVALID,
                         "there is a device \"%s\" (instance %u) already",
                         device->name, (unsigned)device->instance_id);
    if (!ok) {
        device->free_data = NULL; /* it stays the caller's */
        vmmig__device_free(device);
        return NULL;
    }
    g_ptr_array_add(devices->sorted, device);
    /* GLib's sort is stable, so equal priorities stay in their order. */
    g_ptr_array_sort(devices->sorted, compare);
    return device;
}

bool vmmig__devices_take(struct vmmig__devices *devices,
                         struct vmmig_device *device, vmmig_error **error)
{
    return g_ptr_array_remove(devices->sorted, device) ||
           vmmig__fail(error, VMMIG_ERROR_INVALID,
                       "this device is none of the machine's");
}

struct vmmig_device *const *
vmmig__devices_get(const struct vmmig__devices *devices, uint32_t *ret_count)
{
    *ret_count = devices->sorted->len;
    return (struct vmmig_device *const *)devices->sorted->pdata;
}

struct vmmig_device *vmmig__devices_find(const struct vmmig__devices *devices,
                                         const char *name,
                                         uint32_t instance_id)
{
    for (guint i = 0; i < devices->sorted->len; i++) {
        struct vmmig_device *device = g_ptr_array_index(devices->sorted, i);

        if (device->instance_id == instance_id &&
            strcmp(device->name, name) == 0)
            return device;
    }
    return NULL;
}

void vmmig__devices_reset(struct vmmig__devices *devices)
{
    for (guint i = 0; i < devices->sorted->len; i++) {
        struct vmmig_device *device = g_ptr_array_index(devices->sorted, i);

        vmmig__field_image_free(device->image);
        device->image = NULL;
        device->active = false;
        device->prepared = false;
        device->load_prepared = false;
        device->quiesced = false;
        device->caught_up = false;
        device->section_id = 0;
        device->started = false;
        device->loaded = false;
        device->loaded_version = 0;
    }
}

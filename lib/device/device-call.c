/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/device-call.h"

bool vmmig__device_result(const struct vmmig_device *device,
                          const char *callback, bool ok, vmmig_error **error)
{
    if (ok)
        return true;
    vmmig__callback_result(false, callback, error);
    if (error)
        vmmig__error_note(*error, "section", "%s", device->name);
    return vmmig__prefix(error, "device \"%s\" (instance %u): ", device->name,
                         (unsigned)device->instance_id);
}

bool vmmig__device_call(struct vmmig_device *device, const char *name,
                        bool (*callback)(void *data, vmmig_error **error),
                        vmmig_error **error)
{
    const char *previous;
    bool ok;

    if (!callback)
        return true;
    previous = vmmig__callback_enter(name);
    ok = callback(device->data, error);
    vmmig__callback_leave(previous);
    return vmmig__device_result(device, name, ok, error);
}

bool vmmig__devices_visit(struct vmmig__devices *devices,
                          vmmig__device_visit *visit, void *data,
                          vmmig_error **error)
{
    uint32_t count;
    struct vmmig_device *const *all = vmmig__devices_get(devices, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (!visit(all[i], data, error))
            return false;
    }
    return true;
}

/* The arguments of a visit, for the calls of the host layer. */
struct arguments {
    struct vmmig__devices *devices;
    vmmig__device_visit *visit;
    void *data;
};

static bool visit_all(void *data, vmmig_error **error)
{
    struct arguments *arguments = data;

    return vmmig__devices_visit(arguments->devices, arguments->visit,
                                arguments->data, error);
}

bool vmmig__devices_visit_locked(struct vmmig__host *host,
                                 struct vmmig__devices *devices,
                                 const char *what, vmmig__device_visit *visit,
                                 void *data, vmmig_error **error)
{
    struct arguments arguments = {devices, visit, data};

    return vmmig__host_locked(host, what, visit_all, &arguments, error);
}

bool vmmig__devices_visit_on_thread(struct vmmig__host *host,
                                    struct vmmig__devices *devices,
                                    const char *what,
                                    vmmig__device_visit *visit, void *data,
                                    vmmig_error **error)
{
    struct arguments arguments = {devices, visit, data};

    return vmmig__host_on_thread(host, what, visit_all, &arguments, error);
}

void vmmig__devices_clean_up(struct vmmig__host *host,
                             struct vmmig__devices *devices, const char *what,
                             vmmig__device_visit *visit)
{
    vmmig_error *error = NULL;

    if (vmmig__devices_visit_locked(host, devices, what, visit, NULL, &error))
        return;
    vmmig__log(&host->log, VMMIG_LOG_WARNING, "%s: %s", what,
               vmmig_error_message(error));
    vmmig_error_free(error);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/device-load.h"

#include "base/clock.h"
#include "base/fault-points.h"
#include "device/device-call.h"

/* Which function wrote a section of this type. */
static uint32_t phase_of(uint8_t type)
{
    switch (type) {
    case VMMIG__RECORD_START:
        return VMMIG_PHASE_SETUP;
    case VMMIG__RECORD_PART:
        return VMMIG_PHASE_ITERATE;
    case VMMIG__RECORD_END:
        return VMMIG_PHASE_COMPLETE;
    default:
        return VMMIG_PHASE_STATE;
    }
}

static bool set_up(struct vmmig_device *device, void *data,
                   vmmig_error **error)
{
    device->load_prepared = device->ops.load_setup != NULL;
    return vmmig__device_call(device, "load_setup", device->ops.load_setup,
                              error);
}

bool vmmig__load_setup(struct vmmig__loader *loader, vmmig_error **error)
{
    return vmmig__devices_visit_locked(loader->host, loader->devices,
                                       "load_setup", set_up, NULL, error);
}

/* START and FULL name their device; its version must be one that it reads. */
static struct vmmig_device *find_named(struct vmmig__loader *loader,
                                       const struct vmmig__record *record,
                                       vmmig_error **error)
{
    struct vmmig_device *device = vmmig__devices_find(
        loader->devices, record->idstr, record->instance_id);
    bool live = record->type == VMMIG__RECORD_START;

    if (!device) {
        vmmig__reader_fail(loader->in, error, VMMIG_ERROR_INCOMPATIBLE,
                           "unknown section \"%s\" (instance %u)",
                           record->idstr, (unsigned)record->instance_id);
        return NULL;
    }
    if (record->version > device->version ||
        record->version < device->minimum_version) {
        vmmig__reader_fail(loader->in, error, VMMIG_ERROR_INCOMPATIBLE,
                           "section \"%s\" (instance %u) has version %u; this "
                           "side reads %u to %u",
                           device->name, (unsigned)device->instance_id,
                           (unsigned)record->version,
                           (unsigned)device->minimum_version,
                           (unsigned)device->version);
        return NULL;
    }
    /* QEMU takes START for FULL and the reverse; nobody writes it. */
    if (live != vmmig__device_is_live(device)) {
        vmmig__reader_fail(loader->in, error, VMMIG_ERROR_PROTOCOL,
                           "section \"%s\" came as %s", device->name,
                           vmmig__record_type_name(record->type));
        return NULL;
    }
    if (device->started || device->loaded) {
        vmmig__reader_fail(loader->in, error, VMMIG_ERROR_PROTOCOL,
                           "section \"%s\" (instance %u) came twice",
                           device->name, (unsigned)device->instance_id);
        return NULL;
    }
    device->section_id = record->section_id;
    device->loaded_version = record->version;
    return device;
}

/* PART and END name it by the number that its START had. */
static struct vmmig_device *find_started(struct vmmig__loader *loader,
                                         const struct vmmig__record *record,
                                         vmmig_error **error)
{
    uint32_t count;
    struct vmmig_device *const *devices =
        vmmig__devices_get(loader->devices, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (!devices[i]->started ||
            devices[i]->section_id != record->section_id)
            continue;
        if (!devices[i]->loaded)
            return devices[i];
        vmmig__reader_fail(loader->in, error, VMMIG_ERROR_PROTOCOL,
                           "%s of section \"%s\" (instance %u) after its END",
                           vmmig__record_type_name(record->type),
                           devices[i]->name,
                           (unsigned)devices[i]->instance_id);
        return NULL;
    }
    vmmig__reader_fail(loader->in, error, VMMIG_ERROR_PROTOCOL,
                       "%s of section id %u, which has not been started",
                       vmmig__record_type_name(record->type),
                       (unsigned)record->section_id);
    return NULL;
}

static bool read_body(struct vmmig__loader *loader, struct vmmig_device *device,
                      vmmig_error **error)
{
    const char *previous;
    bool ok;

    if (device->layout && !vmmig__device_is_live(device) &&
        !vmmig__load_fields(loader->in, device->layout, device->name,
                            device->loaded_version, &device->image, error))
        return false;
    if (!device->ops.load)
        return true;
    previous = vmmig__callback_enter("load");
    ok = device->ops.load(device->data, loader->in, device->loaded_version,
                          error);
    vmmig__callback_leave(previous);
    /* What the reader refuses it has named well already. */
    if (!ok && error && *error &&
        (vmmig_error_code(*error) == VMMIG_ERROR_PROTOCOL ||
         vmmig_error_detail(*error, "offset")))
        return false;
    return vmmig__device_result(device, "load", ok, error);
}

static bool load_section(struct vmmig__loader *loader,
                         const struct vmmig__record *record,
                         vmmig_error **error)
{
    bool named = record->type == VMMIG__RECORD_START ||
                 record->type == VMMIG__RECORD_FULL;
    struct vmmig_device *device = named
                                      ? find_named(loader, record, error)
                                      : find_started(loader, record, error);
    bool ok;

    if (!device || !VMMIG_FAULT("destination-section", error))
        return false;
    if (record->type == VMMIG__RECORD_FULL && loader->state_us == 0)
        loader->state_us = vmmig__now_us();
    vmmig__reader_enter_section(loader->in, device->name, record->section_id,
                                phase_of(record->type));
    ok = read_body(loader, device, error) &&
         vmmig__expect_footer(loader->in, record->section_id, error);
    vmmig__reader_leave_section(loader->in);
    if (!ok)
        return false;
    if (record->type == VMMIG__RECORD_START)
        device->started = true;
    if (record->type == VMMIG__RECORD_FULL || record->type == VMMIG__RECORD_END)
        device->loaded = true;
    return true;
}

bool vmmig__load_record(struct vmmig__loader *loader, bool *ret_end,
                        vmmig_error **error)
{
    struct vmmig__record record;
    bool ok;

    if (!vmmig__get_record(loader->in, &record, error))
        return false;
    if (record.type == VMMIG__RECORD_EOF) {
        *ret_end = true;
        return true;
    }
    if (record.type == VMMIG__RECORD_COMMAND)
        ok = loader->command(loader->data, loader->in, error);
    else
        ok = load_section(loader, &record, error);
    if (ok)
        *ret_end = false;
    return ok;
}

static bool switchover_start(struct vmmig_device *device, void *data,
                             vmmig_error **error)
{
    return vmmig__device_call(device, "switchover_start",
                              device->ops.switchover_start, error);
}

bool vmmig__load_switchover_start(struct vmmig__loader *loader,
                                  vmmig_error **error)
{
    return vmmig__devices_visit_locked(loader->host, loader->devices,
                                       "switchover_start", switchover_start,
                                       NULL, error);
}

/* A device that both sides have was sent, and to its end. A live one that can be
 * inactive may be so over there. */
static bool check_loaded(struct vmmig_device *device, void *data,
                         vmmig_error **error)
{
    struct vmmig__loader *loader = data;

    if (device->loaded || device->flags & VMMIG__DEVICE_OPTIONAL ||
        (!device->started && device->ops.is_active))
        return true;
    if (device->started)
        return vmmig__reader_fail(loader->in, error, VMMIG_ERROR_PROTOCOL,
                                  "the stream ended without the END of "
                                  "section \"%s\" (instance %u)",
                                  device->name, (unsigned)device->instance_id);
    return vmmig__reader_fail(loader->in, error, VMMIG_ERROR_INCOMPATIBLE,
                              "the stream has no state for device \"%s\" "
                              "(instance %u)",
                              device->name, (unsigned)device->instance_id);
}

static bool apply(struct vmmig_device *device, vmmig_error **error)
{
    const char *previous;
    bool ok;

    if (!device->loaded && !device->started)
        return true;
    if (device->image)
        vmmig__apply_fields(device->image, device->data);
    if (!device->ops.post_load)
        return true;
    previous = vmmig__callback_enter("post_load");
    ok = device->ops.post_load(device->data, device->loaded_version, error);
    vmmig__callback_leave(previous);
    return vmmig__device_result(device, "post_load", ok, error) &&
           VMMIG_FAULT("destination-post-load", error);
}

/* How far applying has come. */
struct progress {
    struct vmmig__loader *loader;
    uint32_t next; /* index of a device */
};

/* From progress->next on, as long as devices want the lock, or do not want it,
 * as the first one does. */
static bool apply_alike(void *data, vmmig_error **error)
{
    struct progress *progress = data;
    uint32_t count;
    struct vmmig_device *const *devices =
        vmmig__devices_get(progress->loader->devices, &count);
    uint32_t kind = devices[progress->next]->flags & VMMIG__DEVICE_UNLOCKED;

    while (progress->next < count &&
           (devices[progress->next]->flags & VMMIG__DEVICE_UNLOCKED) == kind) {
        if (!apply(devices[progress->next++], error))
            return false;
    }
    return true;
}

bool vmmig__load_apply(struct vmmig__loader *loader, vmmig_error **error)
{
    struct progress progress = {.loader = loader};
    uint32_t count;
    struct vmmig_device *const *devices =
        vmmig__devices_get(loader->devices, &count);
    bool ok = vmmig__devices_visit(loader->devices, check_loaded, loader,
                                   error);

    while (ok && progress.next < count) {
        if (devices[progress.next]->flags & VMMIG__DEVICE_UNLOCKED)
            ok = apply_alike(&progress, error);
        else
            ok = vmmig__host_locked(loader->host, "post_load", apply_alike,
                                    &progress, error);
    }
    return ok;
}

static bool activate(struct vmmig_device *device, void *data,
                     vmmig_error **error)
{
    return vmmig__device_call(device, "activate", device->ops.activate, error);
}

bool vmmig__load_activate(struct vmmig__loader *loader, vmmig_error **error)
{
    return vmmig__devices_visit_locked(loader->host, loader->devices,
                                       "activate", activate, NULL, error);
}

static bool clean_up(struct vmmig_device *device, void *data,
                     vmmig_error **error)
{
    const char *previous;

    if (!device->load_prepared)
        return true;
    device->load_prepared = false;
    if (!device->ops.load_cleanup)
        return true;
    previous = vmmig__callback_enter("load_cleanup");
    device->ops.load_cleanup(device->data);
    vmmig__callback_leave(previous);
    return true;
}

void vmmig__load_cleanup(struct vmmig__loader *loader)
{
    vmmig__devices_clean_up(loader->host, loader->devices, "load_cleanup",
                            clean_up);
}

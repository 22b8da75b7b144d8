/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/device-save.h"

#include "base/bytes.h"
#include "device/device-call.h"
#include "wire/section-frame.h"

static bool prepare(struct vmmig_device *device, void *data,
                    vmmig_error **error)
{
    uint32_t *section_id = data;
    const char *previous;

    device->section_id = (*section_id)++;
    if (!vmmig__device_call(device, "save_prepare", device->ops.save_prepare,
                            error))
        return false;
    device->prepared = device->ops.save_prepare != NULL;
    if (!vmmig__device_is_live(device))
        return true;
    previous = vmmig__callback_enter("is_active");
    device->active =
        !device->ops.is_active || device->ops.is_active(device->data);
    vmmig__callback_leave(previous);
    return true;
}

bool vmmig__save_prepare(struct vmmig__saver *saver, vmmig_error **error)
{
    /* 0 is no id for a live section: docs/wire-format.md, chapter 1.3. */
    uint32_t section_id = 1;

    return vmmig__devices_visit_locked(saver->host, saver->devices,
                                       "save_prepare", prepare, &section_id,
                                       error);
}

/* A callback that writes to the stream, as vmmig__device_call(). */
static bool call_writer(struct vmmig_device *device, const char *name,
                        bool (*callback)(void *data, struct vmmig_writer *out,
                                         vmmig_error **error),
                        struct vmmig_writer *out, vmmig_error **error)
{
    const char *previous;
    bool ok;

    if (!callback)
        return true;
    previous = vmmig__callback_enter(name);
    ok = callback(device->data, out, error);
    vmmig__callback_leave(previous);
    return vmmig__device_result(device, name, ok, error);
}

static bool set_up(struct vmmig_device *device, void *data,
                   vmmig_error **error)
{
    struct vmmig_writer *out = data;

    if (!device->active)
        return true;
    device->prepared = true;
    vmmig__put_start(out, device->section_id, device->name,
                     device->instance_id, device->version);
    if (!call_writer(device, "save_setup", device->ops.save_setup, out, error))
        return false;
    vmmig__put_footer(out, device->section_id);
    return true;
}

bool vmmig__save_setup(struct vmmig__saver *saver, vmmig_error **error)
{
    return vmmig__devices_visit(saver->devices, set_up, saver->out, error);
}

/* What a device counts for that says nothing and has never been done: more
 * than any downtime allows. */
#define UNKNOWN_BYTES (UINT64_C(1) << 50)

struct query {
    bool exact;
    struct vmmig_pending sum;
};

/* A device may say UINT64_MAX for "a lot"; the sum must not become little. */
static void add_to(uint64_t *sum, uint64_t bytes)
{
    *sum = vmmig__add_saturated(*sum, bytes);
}

static bool query(struct vmmig_device *device, void *data, vmmig_error **error)
{
    struct query *query = data;
    struct vmmig_pending pending = {.struct_size = sizeof pending};
    const char *previous;
    bool ok;

    if (!device->active)
        return true;
    if (!device->ops.save_query_pending) {
        if (!device->caught_up)
            add_to(&query->sum.precopy_bytes, UNKNOWN_BYTES);
        return true;
    }
    previous = vmmig__callback_enter("save_query_pending");
    ok = device->ops.save_query_pending(device->data, query->exact, &pending,
                                        error);
    vmmig__callback_leave(previous);
    add_to(&query->sum.precopy_bytes, pending.precopy_bytes);
    add_to(&query->sum.postcopy_bytes, pending.postcopy_bytes);
    add_to(&query->sum.stopcopy_bytes, pending.stopcopy_bytes);
    return vmmig__device_result(device, "save_query_pending", ok, error);
}

bool vmmig__save_query_pending(struct vmmig__saver *saver, bool exact,
                               struct vmmig_pending *ret_pending,
                               vmmig_error **error)
{
    struct query all = {exact, {.struct_size = sizeof *ret_pending}};

    if (!vmmig__devices_visit(saver->devices, query, &all, error))
        return false;
    *ret_pending = all.sum;
    return true;
}

struct iteration {
    struct vmmig_writer *out;
    uint64_t budget_bytes;
};

static bool iterate(struct vmmig_device *device, void *data,
                    vmmig_error **error)
{
    struct iteration *iteration = data;
    const char *previous;
    bool ok, done = false;

    if (!device->active)
        return true;
    vmmig__put_part(iteration->out, device->section_id);
    previous = vmmig__callback_enter("save_iterate");
    ok = device->ops.save_iterate(device->data, iteration->out,
                                  iteration->budget_bytes, &done, error);
    vmmig__callback_leave(previous);
    vmmig__put_footer(iteration->out, device->section_id);
    device->caught_up = device->caught_up || done;
    return vmmig__device_result(device, "save_iterate", ok, error);
}

bool vmmig__save_iterate(struct vmmig__saver *saver, uint64_t budget_bytes,
                         vmmig_error **error)
{
    struct iteration iteration = {saver->out, budget_bytes};

    return vmmig__devices_visit(saver->devices, iterate, &iteration, error) &&
           vmmig__writer_flush(saver->out, error);
}

static bool quiesce(struct vmmig_device *device, void *data,
                    vmmig_error **error)
{
    if (!vmmig__device_call(device, "quiesce", device->ops.quiesce, error))
        return false;
    device->quiesced = true;
    return true;
}

bool vmmig__save_quiesce(struct vmmig__saver *saver, vmmig_error **error)
{
    return vmmig__devices_visit_on_thread(saver->host, saver->devices,
                                          "quiesce", quiesce, NULL, error);
}

/* One that fails must not keep the others still; the first error counts. */
static bool unquiesce(struct vmmig_device *device, void *data,
                      vmmig_error **error)
{
    vmmig_error **first = data;
    vmmig_error *failure = NULL;

    if (!device->quiesced)
        return true;
    device->quiesced = false;
    if (vmmig__device_call(device, "unquiesce", device->ops.unquiesce,
                           &failure))
        return true;
    if (*first)
        vmmig_error_free(failure);
    else
        *first = failure;
    return true;
}

bool vmmig__save_unquiesce(struct vmmig__saver *saver, vmmig_error **error)
{
    vmmig_error *first = NULL;

    if (!vmmig__devices_visit_on_thread(saver->host, saver->devices,
                                        "unquiesce", unquiesce, &first, error))
        return false;
    if (first)
        g_propagate_error(error, first);
    return !first;
}

static bool complete(struct vmmig_device *device, void *data,
                     vmmig_error **error)
{
    struct vmmig_writer *out = data;

    if (!device->active)
        return true;
    vmmig__put_end(out, device->section_id);
    if (!call_writer(device, "save_complete", device->ops.save_complete, out,
                     error))
        return false;
    vmmig__put_footer(out, device->section_id);
    return true;
}

bool vmmig__save_complete(struct vmmig__saver *saver, vmmig_error **error)
{
    return vmmig__devices_visit(saver->devices, complete, saver->out, error) &&
           vmmig__writer_flush(saver->out, error);
}

/* The states of one kind: of devices that want the host's lock, or of those
 * that do not. */
struct states {
    bool unlocked;
    struct vmmig_writer *memory;
    struct vmmig__vm_description *description;
};

static bool save_state(struct vmmig_device *device, void *data,
                       vmmig_error **error)
{
    struct states *states = data;
    struct vmmig_writer *out = states->memory;
    bool unlocked = (device->flags & VMMIG__DEVICE_UNLOCKED) != 0;
    uint64_t start;

    if (vmmig__device_is_live(device) || unlocked != states->unlocked)
        return true;
    vmmig__put_full(out, device->section_id, device->name, device->instance_id,
                    device->version);
    start = vmmig__writer_get_offset(out);
    /* With bytes of its own behind them the fields cannot be described: a
     * description has no word for bytes that follow a layout. */
    if (device->layout)
        vmmig__save_fields(device->layout, device->name, device->instance_id,
                           device->data, out,
                           device->ops.save_state ? NULL
                                                  : states->description);
    if (device->ops.save_state) {
        if (!call_writer(device, "save_state", device->ops.save_state, out,
                         error))
            return false;
        vmmig__vm_description_add_opaque(states->description, device->name,
                                         device->instance_id,
                                         vmmig__writer_get_offset(out) - start);
    }
    vmmig__put_footer(out, device->section_id);
    return vmmig__writer_check(out, error);
}

bool vmmig__save_states(struct vmmig__saver *saver,
                        struct vmmig_writer *memory,
                        struct vmmig__vm_description *description,
                        vmmig_error **error)
{
    struct states unlocked = {true, memory, description};
    struct states locked = {false, memory, description};

    return vmmig__devices_visit(saver->devices, save_state, &unlocked, error) &&
           vmmig__devices_visit_locked(saver->host, saver->devices,
                                       "save_state", save_state, &locked,
                                       error);
}

static bool clean_up(struct vmmig_device *device, void *data,
                     vmmig_error **error)
{
    const char *previous;

    if (!device->prepared)
        return true;
    device->prepared = false;
    if (!device->ops.save_cleanup)
        return true;
    previous = vmmig__callback_enter("save_cleanup");
    device->ops.save_cleanup(device->data);
    vmmig__callback_leave(previous);
    return true;
}

void vmmig__save_cleanup(struct vmmig__saver *saver)
{
    vmmig__devices_clean_up(saver->host, saver->devices, "save_cleanup",
                            clean_up);
}

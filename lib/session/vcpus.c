/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/vcpus.h"

#include "host/host-call.h"
#include "io/channel-memory.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

enum {
    /* vCPUs come before other devices, which may look at them; what must be
     * there before a vCPU (interrupt controllers, clock) takes a higher one. */
    VCPU_PRIORITY = 1000,
    /* KVM's state of a vCPU is some 10 KiB. */
    MAXIMUM_STATE_BYTES = 16 << 20,
};

struct vcpu {
    struct vmmig__host *host;
    uint32_t index;
    uint8_t *state; /* read, to be loaded */
    uint32_t state_bytes;
};

static bool save_state(void *data, struct vmmig_writer *out,
                       vmmig_error **error)
{
    struct vcpu *vcpu = data;
    struct vmmig_writer *memory = vmmig__writer_new_memory();
    const char *previous = vmmig__callback_enter("save_vcpu");
    const uint8_t *bytes;
    uint64_t length = 0;
    bool ok = vcpu->host->table.save_vcpu(vcpu->host->data, vcpu->index, memory,
                                          error);

    vmmig__callback_leave(previous);
    ok = vmmig__callback_result(ok, "save_vcpu", error) &&
         vmmig__writer_check(memory, error);
    if (ok) {
        bytes = vmmig__writer_get_bytes(memory, &length);
        ok = length <= MAXIMUM_STATE_BYTES ||
             vmmig__fail(error, VMMIG_ERROR_HOST,
                         "save_vcpu wrote more than %d bytes",
                         MAXIMUM_STATE_BYTES);
        if (ok) {
            vmmig_writer_put_u32(out, (uint32_t)length);
            vmmig_writer_put_bytes(out, bytes, length);
        }
    }
    vmmig__writer_free(memory);
    return ok;
}

static bool load(void *data, struct vmmig_reader *in, uint32_t version,
                 vmmig_error **error)
{
    struct vcpu *vcpu = data;
    uint32_t length;
    uint8_t *state;

    if (!vmmig__reader_get_length(in, MAXIMUM_STATE_BYTES,
                                  "length of a vCPU's state", &length, error))
        return false;
    state = g_try_malloc(length > 0 ? length : 1);
    if (!state)
        return vmmig__reader_fail(in, error, VMMIG_ERROR_SYSTEM,
                                  "no memory for the %u bytes of a vCPU",
                                  (unsigned)length);
    if (!vmmig_reader_get_bytes(in, state, length, error)) {
        g_free(state);
        return false;
    }
    g_free(vcpu->state);
    vcpu->state = state;
    vcpu->state_bytes = length;
    return true;
}

static bool post_load(void *data, uint32_t version, vmmig_error **error)
{
    struct vcpu *vcpu = data;
    struct vmmig_channel *channel =
        vmmig__channel_new_buffer(vcpu->state, vcpu->state_bytes);
    struct vmmig_reader *in = vmmig__reader_new(channel);
    const char *previous = vmmig__callback_enter("load_vcpu");
    bool ok;

    vmmig__reader_enter_section(in, "vmmigrate/vcpu", vcpu->index,
                                VMMIG_PHASE_STATE);
    ok = vcpu->host->table.load_vcpu(vcpu->host->data, vcpu->index, in, version,
                                     error);
    vmmig__callback_leave(previous);
    ok = vmmig__callback_result(ok, "load_vcpu", error);
    if (ok && vmmig__reader_get_offset(in) != vcpu->state_bytes)
        ok = vmmig__fail(error, VMMIG_ERROR_HOST,
                         "load_vcpu read %" G_GUINT64_FORMAT " of %u bytes",
                         vmmig__reader_get_offset(in),
                         (unsigned)vcpu->state_bytes);
    vmmig__reader_free(in);
    vmmig_channel_unref(channel);
    return ok;
}

static void load_cleanup(void *data)
{
    struct vcpu *vcpu = data;

    g_clear_pointer(&vcpu->state, g_free);
}

static bool load_setup(void *data, vmmig_error **error)
{
    return true;
}

static void vcpu_free(void *data)
{
    struct vcpu *vcpu = data;

    g_free(vcpu->state);
    g_free(vcpu);
}

bool vmmig__vcpus_add(struct vmmig__devices *devices, struct vmmig__host *host,
                      vmmig_error **error)
{
    static const struct vmmig_device_ops ops = {
        .struct_size = sizeof ops,
        .save_state = save_state,
        .load_setup = load_setup,
        .load = load,
        .post_load = post_load,
        .load_cleanup = load_cleanup,
    };

    for (uint32_t i = 0; i < host->table.vcpu_count; i++) {
        struct vcpu *vcpu = g_new0(struct vcpu, 1);
        struct vmmig_device_config config = {
            .struct_size = sizeof config,
            .name = "vmmigrate/vcpu",
            .instance_id = i,
            .version = host->table.vcpu_version,
            .minimum_version = 0,
            .priority = VCPU_PRIORITY,
            .flags = VMMIG__DEVICE_UNLOCKED,
            .ops = &ops,
            .data = vcpu,
            .free_data = vcpu_free,
        };

        vcpu->host = host;
        vcpu->index = i;
        if (!vmmig__devices_add(devices, &config, error)) {
            vcpu_free(vcpu);
            return false;
        }
    }
    return true;
}

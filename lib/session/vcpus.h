/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vCPUs as devices: "vmmigrate/vcpu", one instance each. A section has no length
 * in the stream, so the bytes of a vCPU are wrapped with theirs: they are read
 * without the host's help and handed to load_vcpu() when all memory is there.
 */
#ifndef VMMIG_SESSION_VCPUS_H
#define VMMIG_SESSION_VCPUS_H

#include "device/device-registry.h"
#include "host/host-table.h"

/* Registers all vCPUs of @host. */
bool vmmig__vcpus_add(struct vmmig__devices *devices, struct vmmig__host *host,
                      vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

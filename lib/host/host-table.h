/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host as the library sees it: its table of callbacks, copied and checked,
 * and the queue to its thread. Belongs to a machine; read-only after init
 * but for what is atomic.
 */
#ifndef VMMIG_HOST_HOST_TABLE_H
#define VMMIG_HOST_HOST_TABLE_H

#include <stdatomic.h>

#include <vmmigrate/host.h>

#include "base/log.h"
#include "host/host-queue.h"

struct vmmig__host {
    struct vmmig_host table; /* strings point to the members below */
    void *data;
    vmmig_free_fn free_data;
    char *machine_name;
    bool has_uuid;
    uint8_t uuid[16];
    struct vmmig__log log;
    struct vmmig__thread_hook hook;
    struct vmmig__host_queue *queue;
    atomic_bool stopped; /* by us, and not started again */
};

/* Copies and checks. Takes @data: on failure @free_data has been called. */
bool vmmig__host_init(struct vmmig__host *host, const struct vmmig_host *table,
                      void *data, vmmig_free_fn free_data, vmmig_error **error)
    __attribute__((warn_unused_result));
void vmmig__host_destroy(struct vmmig__host *host);

#endif

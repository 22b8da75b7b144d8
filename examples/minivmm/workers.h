/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vCPUs that are threads: each runs a worker of the guest's work on plain
 * memory, and marks what it has written.
 *
 * One thread at a time starts and stops them. Between a stop and the next start
 * no thread of this file exists, and nobody writes the memory.
 */
#ifndef MINIVMM_WORKERS_H
#define MINIVMM_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "machine-clock.h"
#include "serial.h"
#include "workload.h"

struct workers;

struct workers_config {
    void *ram;
    void *ledger;
    uint64_t ram_bytes;
    uint64_t ledger_bytes;
    uint32_t count;
    struct serial *serial;
    const struct machine_clock *clock;
    /* Called by workers after they wrote; see workload.h. */
    void (*mark_written)(void *data, uint32_t area, uint64_t offset_bytes,
                         uint64_t length_bytes);
    void *data;
};

/* Everything in `config` outlives the workers. They do not run yet. */
struct workers *workers_new(const struct workers_config *config);

/* Stops them. NULL is fine. */
void workers_free(struct workers *workers);

bool workers_start(struct workers *workers, GError **error);

/* Returns when all have stopped, which takes them microseconds. */
void workers_stop(struct workers *workers);

/* What the work is, for workload_...(). */
const struct workload *workers_get_workload(const struct workers *workers);

#endif

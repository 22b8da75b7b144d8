/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line on stderr that says how a migration goes. On a terminal it is
 * written over itself. Used by one thread.
 */
#ifndef MINIVMM_PROGRESS_H
#define MINIVMM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <vmmigrate/vmmigrate.h>

#define PROGRESS_INTERVAL_MS 200

struct progress;

struct progress *progress_new(void);
/* NULL is fine. */
void progress_free(struct progress *progress);

/* Shows where `session` (nullable) is now. Called every PROGRESS_INTERVAL_MS,
 * and once after its end. */
void progress_show(struct progress *progress, struct vmmig_session *session,
                   uint32_t role);

#endif

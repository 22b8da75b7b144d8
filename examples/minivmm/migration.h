/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The migrations of the virtual machine, out and in: starts them, tells of
 * them, and keeps the last one to be asked about.
 *
 * All functions may be called from any thread, and none of them waits.
 */
#ifndef MINIVMM_MIGRATION_H
#define MINIVMM_MIGRATION_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <vmmigrate/vmmigrate.h>

#include "vm.h"

struct migration;

struct migration_config {
    struct vm *vm;
    /* A QMP event, as in vm_config. */
    void (*emit)(void *data, const char *event, const char *json);
    /* A migration has ended; on the library's host thread. */
    void (*ended)(void *data);
    void *data;
};

struct migration *migration_new(const struct migration_config *config,
                                GError **error);
/* When the library calls no more. NULL is fine. */
void migration_free(struct migration *migration);

/* VMMIG_SOURCE: to `uri`; VMMIG_DESTINATION: from there. */
bool migration_start(struct migration *migration, uint32_t role,
                     const char *uri, GError **error);

/* The one that runs or ran last (transfer full); NULL if there was none. */
struct vmmig_session *migration_get_session(struct migration *migration,
                                            uint32_t *ret_role);

/* Sets options for this migration and those to come, all or none;
 * `settings` as vmmig_options_parse() takes them. */
bool migration_set_options(struct migration *migration, const char *settings,
                           GError **error);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What minivmm can be told over QMP: QEMU's commands for a migration, with
 * QEMU's arguments, replies and words, so that one script drives both; and
 * x-query-guest. They run on the QMP thread.
 */
#ifndef MINIVMM_QMP_COMMANDS_H
#define MINIVMM_QMP_COMMANDS_H

#include "migration.h"
#include "qmp-server.h"
#include "vm.h"

struct qmp_context {
    struct vm *vm;
    struct migration *migration;
    void (*quit)(void *data);
    void *data;
};

/* For qmp_server_new(), whose `data` is then a struct qmp_context. */
extern const struct qmp_command qmp_commands[];

/* What query-version says (transfer full). */
JsonNode *qmp_version(void);

#endif

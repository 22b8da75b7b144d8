/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of machine-kvm.c where its guest cannot run. */
#include "failure.h"
#include "machine.h"

const struct machine_ops *machine_find_kvm(GError **error)
{
    fail(error,
         "the machine kvm is not in this build: its guest is for x86-64");
    return NULL;
}

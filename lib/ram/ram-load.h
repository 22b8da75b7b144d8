/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's side of RAM: records into memory, with bounds. See ram.h.
 *
 * All that is remembered between two sections is in the struct, so the next
 * section may be loaded by another thread.
 */
#ifndef VMMIG_RAM_RAM_LOAD_H
#define VMMIG_RAM_RAM_LOAD_H

#include "ram/ram.h"

/*
 * The callbacks of vmmig__ram_ops.
 *
 * setup: nothing has been received.
 * load: one body (SETUP, ITERATE or COMPLETE) up to and with its EOS. Errors
 *   name the place in the stream, and the block and offset of a page.
 * cleanup: forgets what was received.
 */
bool vmmig__ram_load_setup(void *ram, vmmig_error **error);
bool vmmig__ram_load(void *ram, struct vmmig_reader *in, uint32_t version,
                     vmmig_error **error);
void vmmig__ram_load_cleanup(void *ram);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's side of RAM: setup, rounds, the rest. See ram.h.
 *
 * What an attempt does to the dirty bits: a sync makes what was marked pending,
 * a page is claimed (pending to `claimed`), submitted to the sink, and forgotten by a commit when the sink
 * has been synced. An abort puts back what has not been committed. What the
 * dirty sources lost to the attempt they get back unless it succeeded.
 */
#ifndef VMMIG_RAM_RAM_SAVE_H
#define VMMIG_RAM_RAM_SAVE_H

#include "ram/ram.h"

/*
 * The callbacks of vmmig__ram_ops, in the order of an attempt.
 *
 * prepare: starts the dirty sources (under the host's lock).
 * setup: makes every page pending and writes the block list.
 * query_pending: with @exact collects from the sources first: a dirty sync,
 *   which begins a round. Bytes count as postcopy_bytes with postcopy on, else
 *   as precopy_bytes.
 * iterate: a PART: pages until nothing is pending, @budget_bytes have been
 *   written or about 50 ms have passed. When nothing is pending any more it syncs
 *   the sink, commits the round, and @ret_done is true.
 * complete: the END: all that is pending. The guest stands, and the last
 *   query_pending was an exact one after the stop.
 * cleanup: however it ended; what vmmig__ram_save_end() has not done yet.
 */
bool vmmig__ram_save_prepare(void *ram, vmmig_error **error);
bool vmmig__ram_save_setup(void *ram, struct vmmig_writer *out,
                           vmmig_error **error);
bool vmmig__ram_save_query_pending(void *ram, bool exact,
                                   struct vmmig_pending *ret_pending,
                                   vmmig_error **error);
bool vmmig__ram_save_iterate(void *ram, struct vmmig_writer *out,
                             uint64_t budget_bytes, bool *ret_done,
                             vmmig_error **error);
bool vmmig__ram_save_complete(void *ram, struct vmmig_writer *out,
                              vmmig_error **error);
void vmmig__ram_save_cleanup(void *ram);

/* The sink has been synced: the pages claimed until now have been sent. */
void vmmig__ram_save_commit_round(struct vmmig__ram *ram);

/* The round is lost: pages claimed since the last commit are dirty again. Not
 * while another thread claims. */
void vmmig__ram_save_abort_round(struct vmmig__ram *ram);

/* The guest lives on the other side (or its file is complete): the sources
 * need nothing back. */
void vmmig__ram_save_set_committed(struct vmmig__ram *ram);

/*
 * vmmig__ram_save_end:
 *
 * Puts back what was not committed, gives the sources theirs back unless the
 * attempt was committed, stops them. On the session's thread, without the
 * host's lock, when the guest runs again, here or over there. A second call
 * does nothing.
 */
void vmmig__ram_save_end(struct vmmig__ram *ram);

#endif

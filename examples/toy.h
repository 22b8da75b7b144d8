/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM of the two smallest examples: one thread that counts is its vCPU, and
 * the count its only register. Each count goes to a page of memory, so that one
 * can tell, wherever the guest arrives, whether a single write was lost.
 */
#ifndef TOY_H
#define TOY_H

#include <pthread.h>
#include <stdatomic.h>

#include <vmmigrate/vmmigrate.h>

enum { TOY_PAGE_BYTES = 4096, TOY_PAGES = 16384 };

struct toy {
    uint64_t *ram;  /* TOY_PAGES pages */
    uint64_t count; /* the vCPU's, while it runs */
    pthread_t vcpu;
    atomic_bool runs;
    struct vmmig_machine *machine;
};

/* A stopped VM, registered with the library. On false `toy` is to be finished
 * all the same. */
bool toy_init(struct toy *toy, vmmig_error **error);

/* Stops the guest, if it runs, and ends whatever the library does with it. */
void toy_finish(struct toy *toy);

/* What the library calls, and what the program calls to begin with. @toy is a
 * struct toy. */
bool toy_start_guest(void *toy, uint32_t why, vmmig_error **error);
bool toy_stop_guest(void *toy, uint32_t why, vmmig_error **error);

/* Whether every page of a stopped guest has what the guest last wrote to it. */
bool toy_is_whole(const struct toy *toy);

#endif

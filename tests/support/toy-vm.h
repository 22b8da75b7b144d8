/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small VM for tests: memory that a thread of its own rewrites, one device
 * with a layout, and a count of every callback. Two of them, in one process,
 * migrate to each other.
 */
#ifndef TESTS_SUPPORT_TOY_VM_H
#define TESTS_SUPPORT_TOY_VM_H

#include <stdatomic.h>

#include <vmmigrate/vmmigrate.h>

enum { TOY_PAGE = 4096 };

struct toy_vm {
    struct vmmig_machine *machine;
    struct vmmig_block *block;
    uint8_t *ram;
    uint64_t ram_bytes;

    /* What the guest does: rewrites pages and marks them. */
    atomic_bool guest_writes; /* else it stands idle while it runs */
    _Atomic(uint64_t) writes;

    /* The device. */
    struct toy_cpu {
        uint64_t counter;
        uint32_t flags;
    } cpu;

    /* What happened, for assertions. Guarded by nothing: read them when the
     * session has ended. */
    atomic_bool running;
    atomic_uint stops, starts, start_reason, acquired, released, announced;
    atomic_uint locked; /* nesting depth of the host's lock */
    atomic_bool refuse_acquire, refuse_release, refuse_stop;
    atomic_bool owner; /* holds the lease */

    void *private;
};

/* A VM with @pages pages; the source's content is a pattern, the destination's
 * zero. @has_lock: the host has a big lock of its own. */
struct toy_vm *toy_vm_new(uint32_t pages, bool source, bool has_lock);
void toy_vm_free(struct toy_vm *vm);

/* Runs the guest for the first time. */
void toy_vm_run(struct toy_vm *vm);

/* Connects a new source session of @from and a new destination session of @to
 * by a pair of memory channels; neither is started. */
void toy_connect(struct toy_vm *from, struct toy_vm *to,
                 struct vmmig_session **ret_source,
                 struct vmmig_session **ret_destination);

/* Starts both; aborts the test if either cannot. */
void toy_start(struct vmmig_session *source, struct vmmig_session *destination);

/* Waits, at most 20 s, and returns whether it completed. */
bool toy_wait(struct vmmig_session *session, vmmig_error **error);

#endif

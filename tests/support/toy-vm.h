/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small VM for tests: memory between two guard pages that a thread of its own
 * rewrites, a device of every kind, and a count of every callback. Two of them,
 * in one process, migrate to each other.
 *
 * The toy checks the host's contract by itself: a callback that comes on the
 * wrong thread, with the wrong lock or out of order, and a guest that two
 * machines run at once, end the test.
 */
#ifndef TESTS_SUPPORT_TOY_VM_H
#define TESTS_SUPPORT_TOY_VM_H

#include <stdatomic.h>

#include <vmmigrate/vmmigrate.h>

enum { TOY_PAGE = 4096 };

/* One event, as it came. */
struct toy_event {
    struct vmmig_session *session; /* only for comparing */
    uint64_t number;
    uint32_t type, status, owner, reason;
    bool has_error;
};

struct toy_vm {
    struct vmmig_machine *machine;
    struct vmmig_block *block;
    uint8_t *ram;
    uint64_t ram_bytes;

    /* What the guest does: rewrites pages and marks them. */
    atomic_bool guest_writes; /* else it stands idle while it runs */
    _Atomic(uint64_t) writes;

    /* A device with a layout: "toy-cpu". */
    struct toy_cpu {
        uint64_t counter;
        uint32_t flags;
    } cpu;
    /* A device with functions: "toy-net". */
    struct toy_net {
        uint32_t mac, loaded_mac;
        bool quiet, active;
    } net;
    /* A live device: "toy-disk", which sends its sectors once. */
    struct toy_disk {
        uint8_t sectors[16], loaded[16];
        uint32_t sent;
        bool complete; /* COMPLETE was sent or read */
    } disk;

    /* What happened. */
    atomic_bool running;
    atomic_uint stops, starts, start_reason, acquired, released, announced;
    atomic_uint save_cleanups, load_cleanups, quiesced, unquiesced;
    atomic_uint give_backs; /* pages that came back to the shared log */
    atomic_uint locked;     /* nesting depth of the host's lock */
    atomic_uint lock_count; /* how often it was taken */
    atomic_bool owner;      /* holds the lease */

    /* What the host or a device refuses. */
    atomic_bool refuse_acquire, refuse_release, refuse_stop, refuse_start;
    atomic_bool refuse_setup, refuse_post_load, refuse_quiesce;
    atomic_bool paused; /* by its host: is_running() is false */

    /* (nullable): called in a callback, with its name, on its thread. */
    void (*_Atomic spy)(struct toy_vm *vm, const char *callback, void *data);
    void *_Atomic spy_data;

    struct toy_vm *peer; /* (nullable): has the same guest */
    void *private;
};

/* A VM with @pages pages; the source's content is a pattern, the destination's
 * zero. @has_lock: the host has a big lock of its own. */
struct toy_vm *toy_vm_new(uint32_t pages, bool source, bool has_lock);
/* Closes the machine too. */
void toy_vm_free(struct toy_vm *vm);

/* This thread is the host thread of toys from now on, and mig/host is none. */
void toy_be_host_thread(void);

/* One guest, two machines: never may both run it. */
void toy_vm_pair(struct toy_vm *one, struct toy_vm *other);

/* Whether the caller is on the host thread of a toy. */
bool toy_is_host_thread(void);

/* Runs the guest for the first time, or by hand where it was held. */
void toy_vm_run(struct toy_vm *vm);
void toy_vm_stop(struct toy_vm *vm);

/* Fails the test where the destination does not have what the source had when
 * it was stopped. */
void toy_vm_assert_equal(const struct toy_vm *from, const struct toy_vm *to);

/* The events so far, of all sessions: (transfer full), to be freed by
 * g_array_unref(). */
struct _GArray *toy_vm_events(struct toy_vm *vm);

/* A session over a channel of its own, which it takes; without a limit of
 * bandwidth, but for what @options (nullable) say. */
struct vmmig_session *toy_session(struct toy_vm *vm, uint32_t role,
                                  struct vmmig_channel *channel,
                                  const char *options);

/* Connects a new source session of @from and a new destination session of @to
 * by a pair of memory channels; neither is started. */
void toy_connect(struct toy_vm *from, struct toy_vm *to,
                 struct vmmig_session **ret_source,
                 struct vmmig_session **ret_destination);

/* Starts; ends the test where that fails. */
void toy_start_one(struct vmmig_session *session, const char *uri);
/* Starts both over their channels. */
void toy_start(struct vmmig_session *source, struct vmmig_session *destination);

/* Waits, at most 20 s, and returns whether it completed. */
bool toy_wait(struct vmmig_session *session, vmmig_error **error);

/* A whole migration that must succeed: the guest runs on @to, and only there,
 * with the memory that it had. */
void toy_migrate(struct toy_vm *from, struct toy_vm *to);

#endif

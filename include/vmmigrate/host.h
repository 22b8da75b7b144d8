/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine, and the table of what a host does for it. A machine lives as
 * long as the VM; memory and devices are registered with it, and each of its
 * migrations is a session.
 *
 * The source calls, in this order: save_prepare of the devices, among which RAM
 * calls dirty_source.start; save_setup; then rounds of dirty_source.collect and
 * save_iterate; then stop_guest, quiesce, save_vcpu and save_state, the last
 * collect, save_complete, release_ownership; then save_cleanup. When an attempt
 * fails before the point of no return: acquire_ownership, unquiesce,
 * start_guest, each with VMMIG_START_UNDO where it takes a reason.
 *
 * The destination calls: load_setup; load, load_vcpu; post_load; and, when it
 * has told the source that all is well: acquire_ownership, activate,
 * start_guest, announce; then load_cleanup.
 */
#ifndef VMMIGRATE_HOST_H
#define VMMIGRATE_HOST_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why the guest is stopped. */
enum {
    /* It moves. */
    VMMIG_STOP_SWITCHOVER = 1,
    /* A person or a manager said so. Sessions never give this reason; it is for
     * hosts that let their own commands use the same two functions. */
    VMMIG_STOP_COMMAND = 4
};

/* Why the guest is started, or taken over. */
enum {
    /* It has arrived. */
    VMMIG_START_RUN = 1,
    /* The attempt failed: as it was before the stop. */
    VMMIG_START_UNDO = 2,
    /* As VMMIG_STOP_COMMAND. */
    VMMIG_START_COMMAND = 5
};

/* How much a line of log() matters. */
enum {
    VMMIG_LOG_ERROR = 1,
    VMMIG_LOG_WARNING = 2,
    VMMIG_LOG_INFO = 3,
    VMMIG_LOG_DEBUG = 4
};

/**
 * struct vmmig_host:
 * @struct_size: sizeof(struct vmmig_host)
 * @page_bytes: the guest's page size, in which memory is tracked and sent: a
 *   power of two, from the kernel's up to 1 GiB; 0: 4096
 * @vcpu_count: how many vCPUs @save_vcpu and @load_vcpu know; 0: vCPUs are
 *   devices like others, or there are none
 * @vcpu_version: of the bytes that @save_vcpu writes
 * @machine_name: (nullable): 1 to 255 bytes, equal on both sides; NULL: "none"
 * @uuid: (nullable): of the VM, in its usual text form; NULL: it has none
 *
 * The host. All functions get the `data` of vmmig_machine_new() as @host. Only
 * stop_guest() and start_guest() must be there; the others may be NULL, and
 * their comments say what that means.
 */
struct vmmig_host {
    uint32_t struct_size;
    uint32_t page_bytes;
    uint32_t vcpu_count;
    uint32_t vcpu_version;
    const char *machine_name;
    const char *uuid;

    /**
     * lock:
     * @host: the host
     *
     * Takes the host's big lock, the one that protects its devices. Callbacks
     * whose "Locks" line names it run between lock() and unlock(). NULL, and
     * unlock() with it: being on the host thread is the lock, and these
     * callbacks run there.
     *
     * Thread:   any thread of the library
     * Locks:    none
     * May:      wait for the lock
     * Must not: need a thread of the library to get it
     * Order:    never nested; unlock() follows on the same thread
     * Since:    0.1
     */
    void (*lock)(void *host);

    /**
     * unlock:
     * @host: the host
     *
     * Releases what lock() took.
     *
     * Thread:   the one that called lock()
     * Locks:    the host's
     * May:      wake others
     * Must not: block
     * Order:    once after each lock()
     * Since:    0.1
     */
    void (*unlock)(void *host);

    /**
     * stop_guest:
     * @host: the host
     * @why: VMMIG_STOP_SWITCHOVER
     * @error: return location
     *
     * Stops every vCPU and whatever else writes guest memory on its own: device
     * workers, vhost. Once this returns true nothing writes guest memory until
     * start_guest(), except the callbacks of the library. An I/O exit that has
     * begun is finished first.
     *
     * Thread:   the machine's host thread, the one that will run start_guest()
     * Locks:    none
     * May:      block (it is downtime), take the host's lock, read statistics
     * Must not: return true while a vCPU, a device worker or vhost can still
     *           write guest memory; wait for a thread of the library
     * Order:    once per attempt, also for a guest that the host had paused;
     *           then quiesce(), the last collect(), device state
     * Since:    0.1
     */
    bool (*stop_guest)(void *host, uint32_t why, vmmig_error **error);

    /**
     * start_guest:
     * @host: the host
     * @why: VMMIG_START_RUN or VMMIG_START_UNDO
     * @error: return location
     *
     * RUN: starts the guest that has arrived. UNDO: takes back stop_guest(); a
     * guest that the host itself had paused before then stays paused.
     *
     * Thread:   the machine's host thread
     * Locks:    none
     * May:      block (it is downtime), take the host's lock
     * Must not: run a guest twice; fail on UNDO without saying what is lost
     * Order:    UNDO: after every stop_guest() that returned true and whose
     *           attempt ended before the point of no return, after
     *           acquire_ownership() and unquiesce(). RUN: once, after the last
     *           activate(), and not for a guest that was paused over there
     * Since:    0.1
     */
    bool (*start_guest)(void *host, uint32_t why, vmmig_error **error);

    /**
     * is_running:
     * @host: the host
     *
     * Whether the guest runs, as opposed to having been paused by the host;
     * it arrives on the other side as it was here. NULL: it runs, unless a
     * session has stopped it and none has started it since.
     *
     * Thread:   any thread of the library
     * Locks:    none
     * May:      take a short lock of its own
     * Must not: wait; take the host's lock
     * Order:    at any time, and just before stop_guest(), whose answer counts
     * Since:    0.1
     */
    bool (*is_running)(void *host);

    /**
     * save_vcpu:
     * @host: the host
     * @vcpu: 0 to vcpu_count - 1
     * @out: where to write the vCPU's state
     * @error: return location
     *
     * Writes the state of one vCPU. NULL if vcpu_count is 0.
     *
     * Thread:   threads of the session, several vCPUs at once
     * Locks:    none
     * May:      run its ioctls, which KVM allows for a stopped vCPU from any
     *           thread; write guest memory, if it marks it dirty
     * Must not: wait for another vCPU, for the host's lock or for the peer
     * Order:    once per vCPU and attempt, guest stopped
     * Since:    0.1
     */
    bool (*save_vcpu)(void *host, uint32_t vcpu, struct vmmig_writer *out,
                      vmmig_error **error);

    /**
     * load_vcpu:
     * @host: the host
     * @vcpu: 0 to vcpu_count - 1
     * @in: the bytes that save_vcpu() wrote, and no more
     * @version: the vcpu_version of the side that wrote them
     * @error: return location
     *
     * Applies the state of one vCPU. It must read all of @in. NULL if
     * vcpu_count is 0.
     *
     * Thread:   threads of the session, several vCPUs at once
     * Locks:    none
     * May:      run its ioctls; touch guest memory
     * Must not: wait for another vCPU, for the host's lock or for the peer; let
     *           the vCPU run
     * Order:    once per vCPU, after all of memory, guest stopped
     * Since:    0.1
     */
    bool (*load_vcpu)(void *host, uint32_t vcpu, struct vmmig_reader *in,
                      uint32_t version, vmmig_error **error);

    /**
     * acquire_ownership:
     * @host: the host
     * @why: VMMIG_START_RUN or VMMIG_START_UNDO
     * @error: return location
     *
     * Takes what only one side may have: leases, disks, taps. A refusal leaves
     * the guest stopped, and the session's error says so. NULL: there is
     * nothing to take.
     *
     * Thread:   the machine's host thread
     * Locks:    none
     * May:      wait: for a lease, a fence, a person; refuse
     * Must not: answer yes while another may hold it
     * Order:    RUN: after every post_load() and after the source was told that
     *           all is well, before activate(). UNDO: after a
     *           release_ownership() whose attempt failed
     * Since:    0.1
     */
    bool (*acquire_ownership)(void *host, uint32_t why, vmmig_error **error);

    /**
     * release_ownership:
     * @host: the host
     * @error: return location
     *
     * Gives up what only one side may have; caches are written back first.
     * NULL: there is nothing to give up. Comes with acquire_ownership(), which
     * undoes it.
     *
     * Thread:   the machine's host thread
     * Locks:    none
     * May:      block (it is downtime); refuse, and so fail the attempt
     * Must not: give up only a part of it when it refuses
     * Order:    source: once per attempt, after all state was saved and before
     *           the point of no return
     * Since:    0.1
     */
    bool (*release_ownership)(void *host, vmmig_error **error);

    /**
     * announce:
     * @host: the host
     * @round: counts from 0
     *
     * Tells the network where the guest is now: one round of gratuitous ARP or
     * RARP, which a network may lose. NULL: nothing is announced.
     *
     * Thread:   the machine's host thread
     * Locks:    none
     * May:      take the host's lock
     * Must not: wait
     * Order:    destination: several times at growing distances, after
     *           start_guest()
     * Since:    0.1
     */
    void (*announce)(void *host, uint32_t round);

    /**
     * thread_hook:
     * @host: the host
     * @name: of the thread: "mig/src/main", "mig/host"
     * @starts: true as its first act, false as its last
     *
     * Lets the host place a thread of the library: control group, affinity,
     * priority, seccomp. Signals are blocked in it already, but for those of
     * its own faults (SIGSEGV, SIGBUS and their like). NULL: threads stay as
     * they are made.
     *
     * Thread:   the new thread itself
     * Locks:    none
     * May:      change the thread it is on
     * Must not: wait for another thread of the library; unblock signals
     * Order:    once with true before anything else happens on the thread,
     *           once with false after everything else
     * Since:    0.1
     */
    void (*thread_hook)(void *host, const char *name, bool starts);

    /**
     * log:
     * @host: the host
     * @level: VMMIG_LOG_...
     * @text: one line without its end
     *
     * Something that a person may want to know; nothing that a program needs.
     * NULL: errors and warnings go to GLib's log, the rest is dropped.
     *
     * Thread:   any, also those of the host
     * Locks:    any the host holds when it calls the library
     * May:      write to a file
     * Must not: call the library; wait; take the host's lock
     * Order:    any, several at once
     * Since:    0.1
     */
    void (*log)(void *host, uint32_t level, const char *text);
};

/**
 * vmmig_machine_new:
 * @host: the table; copied, with its strings
 * @data: (nullable): what its functions get as `host`
 * @free_data: (nullable): called exactly once with @data, when the machine is
 *   gone or when this call fails
 * @error: (nullable): return location
 *
 * Makes a machine, without memory or devices.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the machine; NULL with INVALID for a
 *   table that will not do, SYSTEM when threads or descriptors have run out
 * Since:    0.1
 */
VMMIG_API struct vmmig_machine *vmmig_machine_new(const struct vmmig_host *host,
                                                  void *data,
                                                  vmmig_free_fn free_data,
                                                  vmmig_error **error);

/**
 * vmmig_machine_attach_poll:
 * @machine: the machine
 * @ret_fd: a descriptor to poll for reading; the machine's: neither read nor
 *   close it
 * @error: (nullable): return location
 *
 * Makes the host thread a thread of the host's own: the one that calls
 * vmmig_machine_dispatch() when @ret_fd is readable. Until one does it is the
 * caller. A call that waits (vmmig_session_wait(), vmmig_machine_close()) on
 * that thread dispatches by itself.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_STATE once the machine has a host thread, which its first
 *   session gives it
 * Returns: true if it is attached, for the rest of the machine's life
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_attach_poll(struct vmmig_machine *machine,
                                         int32_t *ret_fd, vmmig_error **error);

/**
 * vmmig_machine_dispatch:
 * @machine: the machine
 * @error: (nullable): return location
 *
 * Runs the callbacks and delivers the events that are queued, and waits for no
 * more. Inside of a callback, in a nested loop of the host, it does nothing:
 * the outer call goes on with what is queued.
 *
 * Thread:   the host thread that was attached, always the same one while a
 *   session runs
 * Returns: true; false with STATE if vmmig_machine_attach_poll() was not called
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_dispatch(struct vmmig_machine *machine,
                                      vmmig_error **error);

/**
 * vmmig_machine_ref:
 * @machine: (nullable): a machine
 *
 * Takes a reference.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): @machine
 * Since:    0.1
 */
VMMIG_API struct vmmig_machine *
vmmig_machine_ref(struct vmmig_machine *machine);

/**
 * vmmig_machine_unref:
 * @machine: (transfer full) (nullable): a machine
 *
 * Drops a reference. Sessions have references of their own: a migration that
 * runs goes on, and free_data is called when the last of them is gone.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: NULL, always
 * Since:    0.1
 */
VMMIG_API struct vmmig_machine *
vmmig_machine_unref(struct vmmig_machine *machine);

/**
 * vmmig_machine_add_blocker:
 * @machine: the machine
 * @reason: why it cannot be migrated, in words for a person; copied
 * @ret_id: (nullable): for vmmig_machine_remove_blocker(); never 0
 * @error: (nullable): return location
 *
 * Refuses migration, with this reason, until the blocker is removed.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: true if migration is refused from now on
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_add_blocker(struct vmmig_machine *machine,
                                         const char *reason, uint64_t *ret_id,
                                         vmmig_error **error);

/**
 * vmmig_machine_remove_blocker:
 * @machine: the machine
 * @id: of the blocker; an unknown one does nothing
 *
 * Removes a blocker.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_machine_remove_blocker(struct vmmig_machine *machine,
                                            uint64_t id);

/**
 * vmmig_machine_get_options:
 * @machine: the machine
 *
 * The options that those of new sessions are copied from (options.h).
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: the options, valid as long as @machine
 * Since:    0.1
 */
VMMIG_API struct vmmig_options *
vmmig_machine_get_options(struct vmmig_machine *machine);

/**
 * vmmig_machine_get_session:
 * @machine: the machine
 *
 * The session that runs, or the last one that did.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the session; NULL if none was started
 * Since:    0.1
 */
VMMIG_API struct vmmig_session *
vmmig_machine_get_session(struct vmmig_machine *machine);

/**
 * vmmig_machine_close:
 * @machine: the machine
 * @timeout_ms: how long to wait at most: VMMIG_FOREVER for no limit
 * @error: (nullable): return location
 *
 * Ends the machine's use: cancels the session that runs, waits until it has
 * ended, delivers the last events, joins all threads. From then on the machine
 * refuses new sessions. The host may unmap its memory when this returned true:
 * no callback runs or ever will, but for the free functions.
 *
 * Thread:   any that may block; never inside a callback or under the host's
 *   lock; on a host thread that was attached it serves the queue meanwhile
 * Returns: true if it is closed, also when it already was; false with TIMEOUT
 *   while something still runs (the message says what), with STATE if called
 *   from where it could only wait for itself
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_close(struct vmmig_machine *machine,
                                   int64_t timeout_ms, vmmig_error **error);

#ifdef __cplusplus
}
#endif

#endif

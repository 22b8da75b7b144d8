/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How callbacks of the host are run: on which thread, under which lock. Nothing
 * else in the library calls through the host's table.
 *
 * No lock of the library may be held around any of these.
 */
#ifndef VMMIG_HOST_HOST_CALL_H
#define VMMIG_HOST_HOST_CALL_H

#include "host/host-table.h"

/*
 * While a callback runs its thread carries the callback's name, so that a call
 * of the library that could only wait for itself can be refused by name.
 */
const char *vmmig__callback_enter(const char *name);
void vmmig__callback_leave(const char *previous);
/* (nullable): the callback that this thread is in. */
const char *vmmig__callback_name(void);

/* Turns a callback's verdict into ours: an error of code HOST that begins with
 * the callback's name, also when it failed without a word. */
bool vmmig__callback_result(bool ok, const char *name, vmmig_error **error);

/*
 * vmmig__host_locked:
 * @what: for the error, if the host thread does not answer
 * @run: may fail, with an error
 *
 * Runs @run under the host's big lock: between lock() and unlock() on this
 * thread or, where the host has no lock, on the host thread. Waits for it.
 */
bool vmmig__host_locked(struct vmmig__host *host, const char *what,
                        bool (*run)(void *data, vmmig_error **error),
                        void *data, vmmig_error **error)
    __attribute__((warn_unused_result));

/* Runs @run on the host thread, without lock, and waits for it. */
bool vmmig__host_on_thread(struct vmmig__host *host, const char *what,
                           bool (*run)(void *data, vmmig_error **error),
                           void *data, vmmig_error **error)
    __attribute__((warn_unused_result));

bool vmmig__host_is_running(struct vmmig__host *host);

/* @timeout_ms: 0: wait for ever. After a TIMEOUT the stop is still under way; it
 * is taken back, on the host thread, as soon as it has succeeded. */
bool vmmig__host_stop_guest(struct vmmig__host *host, uint32_t why,
                            uint64_t timeout_ms, vmmig_error **error)
    __attribute__((warn_unused_result));
bool vmmig__host_start_guest(struct vmmig__host *host, uint32_t why,
                             vmmig_error **error)
    __attribute__((warn_unused_result));
bool vmmig__host_acquire_ownership(struct vmmig__host *host, uint32_t why,
                                   vmmig_error **error)
    __attribute__((warn_unused_result));
bool vmmig__host_release_ownership(struct vmmig__host *host,
                                   vmmig_error **error)
    __attribute__((warn_unused_result));
void vmmig__host_announce(struct vmmig__host *host, uint32_t round);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every other header needs: the opaque types, the marker of exported
 * functions, and what this build of the library is and can do.
 *
 * These rules hold in all headers of libvmmigrate:
 *
 * - A pointer that a function returns is lent, unless it says (transfer full).
 *   Strings are UTF-8 and end in a zero byte.
 * - A function that returns bool and takes `error` returns false exactly when
 *   it failed; then it sets *error, unless `error` is NULL. Parameters named
 *   ret_... are written on success only. Callbacks of the host follow the same
 *   rules, but there `error` is never NULL.
 * - A struct that the host fills begins with struct_size, the sizeof of the
 *   struct as the host was compiled with it. Members are only ever added at the
 *   end; zero means the default; a non-zero tail that the library does not know
 *   is refused with VMMIG_ERROR_INVALID.
 * - Values of enums are part of the ABI and never change. A host ignores values
 *   that it does not know.
 * - Nothing here exits, prints, or raises a signal.
 *
 * Each function says under "Thread:" from where it may be called, each callback
 * from where it is called. The host thread is the one thread of a machine on
 * which its guest is stopped and started and on which listeners run; the
 * library starts it and names it mig/host.
 */
#ifndef VMMIGRATE_VERSION_H
#define VMMIGRATE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__GNUC__)
#define VMMIG_API __attribute__((visibility("default")))
#else
#define VMMIG_API
#endif

/* The version of these headers, as vmmig_version() gives that of the library:
 * major, minor and micro number, from 0xMMmmpp. */
#define VMMIG_VERSION UINT32_C(0x000100)

#ifdef __cplusplus
extern "C" {
#endif

struct vmmig_machine;
struct vmmig_session;
struct vmmig_options;
struct vmmig_block;
struct vmmig_device;
struct vmmig_channel;
struct vmmig_writer;
struct vmmig_reader;
struct iovec;

/**
 * vmmig_free_fn:
 * @data: what was handed over together with this function
 *
 * Frees what the host handed over. Called exactly once: when the library will
 * never use @data again, or when the call that took it fails.
 *
 * Thread:   any
 * Locks:    no lock of the library; the host's lock is not taken for it
 * May:      block shortly, take locks, call functions that never wait
 * Must not: wait for a thread of the library or for the peer
 * Order:    the last call with @data
 * Since:    0.1
 */
typedef void (*vmmig_free_fn)(void *data);

/**
 * vmmig_version:
 *
 * The version of the library that is running, which may be newer than the
 * headers that the host was compiled with.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: the version as 0xMMmmpp; compare with VMMIG_VERSION
 * Since:    0.1
 */
VMMIG_API uint32_t vmmig_version(void);

/**
 * vmmig_supports:
 * @feature: the name of a feature; unknown names are no error
 *
 * Whether a feature works here and now: built in, and offered by this kernel to
 * this process. Known is
 *
 * - "track-writes": vmmig_machine_track_writes() will find what it needs
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if the feature works
 * Since:    0.1
 */
VMMIG_API bool vmmig_supports(const char *feature);

/**
 * vmmig_free:
 * @memory: (transfer full) (nullable): a string that was marked (transfer full)
 *
 * Frees what a function of the library handed over.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif

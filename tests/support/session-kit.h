/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tests of sessions share: a gate to hold a thread of the library where one
 * wants it, counts of what a process has, and transports that misbehave.
 */
#ifndef TESTS_SUPPORT_SESSION_KIT_H
#define TESTS_SUPPORT_SESSION_KIT_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <vmmigrate/vmmigrate.h>

/* How much longer things may take under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KIT_SLOW 10
#else
#define KIT_SLOW 1
#endif

/* -- gates */

struct gate;

struct gate *gate_new(void);
/* Nobody may be in it any more. */
void gate_free(struct gate *gate);

/* What is held: says that it came, waits until the gate is open, returns true.
 * The second has the form of a fault point's hook. */
void gate_pass(struct gate *gate);
bool gate_hook(void *gate, vmmig_error **error);

/* Waits until somebody is at the gate; ends the test if nobody comes. */
void gate_await(struct gate *gate);
/* Lets everybody through, from now on. */
void gate_open(struct gate *gate);

/* -- what is left */

struct leftovers {
    unsigned threads, descriptors;
};

struct leftovers leftovers_now(void);
/* Fails the test unless threads and descriptors are as many as then. A thread
 * that has been joined may still be seen for an instant. */
void leftovers_assert(struct leftovers then);

/* -- waiting for what needs no event */

/* Calls @condition until it is true; ends the test after some seconds. */
void wait_for(bool (*condition)(void *data), void *data);

/* The session's status becomes @status. */
void wait_for_status(struct vmmig_session *session, uint32_t status);

/* -- channels */

/*
 * A wire to a peer that one plays oneself: every read and write of the library
 * waits at its gate first. Shutdown wakes whoever waits, without opening it.
 */
struct stuck;

/* @reads, @writes: whether that direction is stuck; the other one goes to
 * @inner, which is taken. */
struct vmmig_channel *stuck_channel_new(struct vmmig_channel *inner,
                                        bool reads, bool writes,
                                        struct stuck **ret_stuck);
/* Waits until a thread is stuck in it. */
void stuck_await(struct stuck *stuck);

/* Passes everything on to @inner, which is taken, and keeps a copy of what was
 * written; @bytes is lent. No wait(), so: no deadlines. */
struct vmmig_channel *tap_channel_new(struct vmmig_channel *inner,
                                      GByteArray *bytes);

/* -- streams */

/* What a source sends to a destination that answers; the guest is a toy's of
 * @pages pages. (transfer full) */
struct _GByteArray *record_stream(uint32_t pages, const char *options);

#endif

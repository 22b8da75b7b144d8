/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of channels share: reading and writing on another thread, and
 * bytes that can be told from one another.
 */
#ifndef VMMIG_TESTS_CHANNEL_KIT_H
#define VMMIG_TESTS_CHANNEL_KIT_H

#include <glib.h>

#include "io/channel.h"

/* What a thread did, to be looked at after job_join(). */
struct job {
    struct vmmig_channel *channel; /* lent */
    bool is_writer;
    uint64_t length; /* asked for */

    uint64_t done;      /* bytes that went through */
    GByteArray *bytes;  /* read */
    vmmig_error *error; /* NULL: all of it, or the end of the stream */

    struct vmmig__thread *thread;
    int tid; /* atomic */
};

/* Reads until `length` bytes, the end or an error. */
struct job *job_read(struct vmmig_channel *channel, uint64_t length);
/* Writes `length` bytes of the pattern, 1 MiB at a time. */
struct job *job_write(struct vmmig_channel *channel, uint64_t length);
/* Returns when the thread sleeps in the kernel. */
void job_wait_blocked(struct job *job);
void job_join(struct job *job);
void job_free(struct job *job);

uint8_t pattern_at(uint64_t position);
/* Whether these are the pattern from its beginning on. */
bool is_pattern(const GByteArray *bytes);

/* On the caller's thread; each fails the test if it fails. */
void send_text(struct vmmig_channel *channel, const char *text);
/* (transfer full): `length` bytes as text; less at the end of the stream. */
char *receive_text(struct vmmig_channel *channel, uint64_t length);

/* Fails the test unless the error has this code and these words in it; then
 * frees it. */
void expect_error(vmmig_error **error, uint32_t code, const char *words);

/* What happens to a reader and to a writer that wait in vain on these two
 * channels when somebody shuts them down. */
void expect_shutdown_wakes_reader(struct vmmig_channel *channel);
void expect_shutdown_wakes_writer(struct vmmig_channel *channel);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes for tests of lib/wire: written down as the specification writes them,
 * "07 00000004 'none'": hexadecimal digits, spaces for the eye, text in quotes.
 */
#ifndef VMMIG_TESTS_WIRE_KIT_H
#define VMMIG_TESTS_WIRE_KIT_H

#include <check.h>

#include "unit/run-case.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

/* (transfer full) */
GByteArray *bytes_of(const char *text);

/* (transfer full): a reader of these bytes on a channel called "main". What it
 * reads from is freed by wire_kit_clear(). */
struct vmmig_reader *reader_of(const char *text);

/* The same; no read of the channel gives more than @step bytes. */
struct vmmig_reader *reader_of_bytes(const void *bytes, uint64_t length,
                                     uint64_t step);

/* (transfer full): a channel that gives @length bytes, at most @step in one
 * read, and then fails with these words, or ends if they are NULL. */
struct vmmig_channel *stepping_channel(const void *bytes, uint64_t length,
                                       uint64_t step, const char *failure);

/* The error that the code under test sets; the functions below look at it. */
extern vmmig_error *error;

/* There was no error. */
void expect_ok(bool ok);

/*
 * The call failed, with this code, at this offset, and the message ends in
 * exactly these words. Clears the error.
 */
void expect_failure(bool ok, uint32_t code, uint64_t offset, const char *words);

/* The same for an error that is not made by a reader: no place. */
void expect_refusal(bool ok, uint32_t code, const char *words);

/* The reader has nothing left. */
void expect_end(struct vmmig_reader *reader);

/* What a memory writer holds; empties it. */
void expect_written(struct vmmig_writer *writer, const char *text);

/* For a teardown: frees what the functions above still hold. */
void wire_kit_clear(void);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's serial port: what it writes goes into a file or to standard
 * output, and each whole line to a listener. vCPU threads write, several at
 * once. Writing never waits for a reader: a vCPU that waits cannot be stopped,
 * so a pipe that is full loses text.
 */
#ifndef MINIVMM_SERIAL_H
#define MINIVMM_SERIAL_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

struct serial;

/* Called by the writing thread, one call at a time; `line` has no line end. */
typedef void (*serial_line_fn)(void *data, const char *line);

/* `target`: "stdio", "none", or the path of a file to append to. */
struct serial *serial_new(const char *target, serial_line_fn on_line,
                          void *data, GError **error);

/* Nobody may write any more. NULL is fine. */
void serial_free(struct serial *serial);

void serial_write(struct serial *serial, const char *text, size_t length_bytes);

#endif

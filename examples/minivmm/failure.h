/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How minivmm's own code says what went wrong: one sentence in a GError, which
 * is what the library's errors are too. Any thread.
 */
#ifndef MINIVMM_FAILURE_H
#define MINIVMM_FAILURE_H

#include <stdbool.h>

#include <glib.h>

GQuark minivmm_error_quark(void);

/* Sets *error and returns false, so that a function can end in it. */
bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The same, followed by ": " and the meaning of `errno_value`. */
bool fail_errno(GError **error, int errno_value, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif

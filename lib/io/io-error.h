/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for failures of connections, files and pipes.
 */
#ifndef VMMIG_IO_IO_ERROR_H
#define VMMIG_IO_IO_ERROR_H

#include "base/error.h"

/* What an error number means, as the end of a sentence: "connection refused".
 * A connection that was reset or has nobody at its other end reads "the peer
 * closed the connection". */
enum { VMMIG__IO_WORDS_BYTES = 128 };
const char *vmmig__io_words(int errno_value,
                            char buffer[VMMIG__IO_WORDS_BYTES]);

/* Sets an IO error of these words alone; always false. */
bool vmmig__fail_io(vmmig_error **error, int errno_value);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for failures of connections, files and pipes.
 */
#ifndef VMMIG_IO_IO_ERROR_H
#define VMMIG_IO_IO_ERROR_H

#include "base/error.h"

/*
 * vmmig__fail_io:
 *
 * Sets an IO error "message: meaning of errno_value"; a connection that was
 * reset or has nobody at its other end reads "the peer closed the connection".
 * Always false.
 */
bool vmmig__fail_io(vmmig_error **error, int errno_value, const char *format,
                    ...) G_GNUC_PRINTF(3, 4);

/* What vmmig__fail_io() says about an error number: "connection refused". */
const char *vmmig__io_words(int errno_value);

#endif

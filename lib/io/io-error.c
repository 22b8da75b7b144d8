/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Error numbers of connections in words. Any thread. */
#include "io/io-error.h"

#include <errno.h>
#include <string.h>

const char *vmmig__io_words(int errno_value, char buffer[VMMIG__IO_WORDS_BYTES])
{
    if (errno_value == EPIPE || errno_value == ECONNRESET)
        return "the peer closed the connection";
    g_strlcpy(buffer, g_strerror(errno_value), VMMIG__IO_WORDS_BYTES);
    if (g_ascii_isupper(buffer[0]) && g_ascii_islower(buffer[1]))
        buffer[0] = g_ascii_tolower(buffer[0]);
    return buffer;
}

bool vmmig__fail_io(vmmig_error **error, int errno_value)
{
    char buffer[VMMIG__IO_WORDS_BYTES];

    return vmmig__fail(error, VMMIG_ERROR_IO, "%s",
                       vmmig__io_words(errno_value, buffer));
}

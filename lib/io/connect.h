/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's way to its peer.
 */
#ifndef VMMIG_IO_CONNECT_H
#define VMMIG_IO_CONNECT_H

#include "base/stop-flag.h"
#include "io/address.h"
#include "io/channel.h"

/*
 * vmmig__connect:
 * @address: every kind but HOST
 * @stop: (nullable): ends the wait, with the error CANCELLED
 * @timeout_ms: for all of it; VMMIG_FOREVER (-1): until the kernel gives up
 * @ret_channel: (transfer full): a channel to write
 *
 * TCP: tries each address of a name in turn. FILE: creates the file, or
 * truncates it unless there is an offset. FD: takes the descriptor over, also
 * when this fails. EXEC: starts the command and writes its stdin.
 *
 * Waits; a name is looked up by the C library, which neither @stop nor
 * @timeout_ms can interrupt. Errors read "connecting to tcp:10.0.0.1:4444:
 * connection refused".
 */
bool vmmig__connect(const struct vmmig__address *address,
                    const struct vmmig__stop_flag *stop, int64_t timeout_ms,
                    struct vmmig_channel **ret_channel, vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

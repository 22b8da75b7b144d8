/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The addresses that are opened, not called: fd: file: exec:.
 */
#ifndef VMMIG_IO_OPEN_H
#define VMMIG_IO_OPEN_H

#include "base/stop-flag.h"
#include "io/address.h"
#include "io/channel.h"
#include "io/wait-limits.h"

/*
 * vmmig__open_incoming:
 * @address: FD, FILE or EXEC
 * @stop: (nullable): ends the wait for the writer of a FIFO, with CANCELLED
 * @ret_channel: (transfer full): a channel to read
 *
 * FD: takes the descriptor over, also when this fails. EXEC: starts the
 * command and reads its stdout.
 */
bool vmmig__open_incoming(const struct vmmig__address *address,
                          const struct vmmig__stop_flag *stop,
                          struct vmmig_channel **ret_channel,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

/*
 * vmmig__open_outgoing:
 * @address: FD, FILE or EXEC
 * @limits: end the wait for the reader of a FIFO
 * @ret_channel: (transfer full): a channel to write
 *
 * FD: takes the descriptor over, also when this fails. FILE: creates the file,
 * or truncates it unless there is an offset. EXEC: starts the command and
 * writes its stdin. vmmig__connect() is what callers outside use.
 */
bool vmmig__open_outgoing(const struct vmmig__address *address,
                          const struct vmmig__wait_limits *limits,
                          struct vmmig_channel **ret_channel,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening sockets: a destination's way to its peer.
 *
 * A listener belongs to one thread at a time; its address may be asked for by
 * any.
 */
#ifndef VMMIG_IO_LISTEN_H
#define VMMIG_IO_LISTEN_H

#include "base/log.h"
#include "base/stop-flag.h"
#include "io/address.h"
#include "io/channel.h"

struct vmmig__listener;

/*
 * vmmig__listen:
 * @address: TCP or UNIX
 * @log: (nullable): where dropped connections are told; copied
 * @ret_listener: (transfer full)
 *
 * TCP: on every address of the name; port 0 is one free port for all of them.
 * UNIX: a socket file that nobody listens on is replaced; one that is alive is
 * refused, and so is a file that is no socket. The socket file is removed with
 * the listener.
 */
bool vmmig__listen(const struct vmmig__address *address,
                   const struct vmmig__log *log,
                   struct vmmig__listener **ret_listener, vmmig_error **error)
    __attribute__((warn_unused_result));

/* (transfer full): "tcp:0.0.0.0:4444" with the port it really has. */
char *vmmig__listener_get_address(const struct vmmig__listener *listener);

/* A connection whose first bytes are known but have not been read. */
struct vmmig__accepted {
    struct vmmig_channel *channel; /* (transfer full) */
    uint8_t first[4];
    const char *peer; /* lent by the channel */
};

/*
 * vmmig__listener_next:
 * @stop: ends the wait, with the error CANCELLED
 *
 * Waits for the next connection that has sent at least four bytes, and looks
 * at them. Nobody is held up by a connection that sends nothing: it costs a
 * descriptor, and is closed, and logged, after ten seconds.
 */
bool vmmig__listener_next(struct vmmig__listener *listener,
                          const struct vmmig__stop_flag *stop,
                          struct vmmig__accepted *ret_accepted,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

/* Closes it and the connections that it still holds. Takes NULL. */
void vmmig__listener_free(struct vmmig__listener *listener);

#endif

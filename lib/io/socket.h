/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What connecting and listening share: names of sockets, and how long a silent
 * peer is believed in.
 */
#ifndef VMMIG_IO_SOCKET_H
#define VMMIG_IO_SOCKET_H

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "io/address.h"

/*
 * vmmig__socket_look_up:
 * @to_listen: an empty host is every address of this machine; else refused
 * @ret_list: (transfer full): freeaddrinfo() it
 *
 * All addresses of a TCP address' host. May wait for a name server.
 */
bool vmmig__socket_look_up(const struct vmmig__address *address, bool to_listen,
                           struct addrinfo **ret_list, vmmig_error **error)
    __attribute__((warn_unused_result));

/* @path is known to fit. */
struct sockaddr_un vmmig__socket_unix_name(const char *path);

/* (transfer full): "10.0.0.1:1234", "[::1]:1234". */
char *vmmig__socket_print(const struct sockaddr *name, socklen_t length);

/* Makes a TCP socket give a silent peer up after a minute. */
void vmmig__socket_keep_alive(int fd);

#endif

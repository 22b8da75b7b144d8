/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses of a peer, as a user writes them:
 *
 *     tcp:HOST:PORT    HOST is a name, an IPv4 address or an IPv6 address in
 *                      brackets; empty: all addresses of this machine
 *     unix:PATH        a UNIX socket
 *     fd:N             an open descriptor of this process
 *     file:PATH[,offset=N]   N in bytes, or with K, M, G or T; decimal or 0x
 *     exec:COMMAND     for /bin/sh -c
 *     host:            the channel that the host gives to the session
 */
#ifndef VMMIG_IO_ADDRESS_H
#define VMMIG_IO_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum vmmig__address_kind {
    VMMIG__ADDRESS_TCP = 1,
    VMMIG__ADDRESS_UNIX,
    VMMIG__ADDRESS_FD,
    VMMIG__ADDRESS_FILE,
    VMMIG__ADDRESS_EXEC,
    VMMIG__ADDRESS_HOST,
};

/* Members that do not belong to the kind are NULL or 0. */
struct vmmig__address {
    enum vmmig__address_kind kind;
    char *host; /* TCP; without brackets; "" is all addresses */
    char *port; /* TCP; decimal, 0 to 65535 */
    char *path; /* UNIX, FILE */
    char *command;
    int fd;
    uint64_t offset_bytes; /* FILE */

    /* EXEC: hold both ends of the command, for a reply. Not part of the text:
     * set by whoever was asked for a return path by name. */
    bool exec_two_way;
};

/*
 * vmmig__address_parse:
 * @ret_address: (transfer full)
 *
 * INVALID, with the text and what is wrong with it, for what is no address. A
 * UNIX path that no socket can have is refused here.
 */
bool vmmig__address_parse(const char *text, struct vmmig__address **ret_address,
                          vmmig_error **error)
    __attribute__((warn_unused_result));

/* (transfer full): the text that parses into this address; g_free() it. */
char *vmmig__address_print(const struct vmmig__address *address);

/* Takes NULL. */
void vmmig__address_free(struct vmmig__address *address);

#endif

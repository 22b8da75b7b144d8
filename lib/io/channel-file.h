/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels over regular files and block devices.
 */
#ifndef VMMIG_IO_CHANNEL_FILE_H
#define VMMIG_IO_CHANNEL_FILE_H

#include "io/channel.h"

/*
 * vmmig__channel_new_file: (transfer full)
 * @fd: (transfer full): a regular file or a block device, used from its
 *   current position on
 * @peer: its path, or "fd 7", for messages
 *
 * finish() returns when the data is on the disk.
 */
struct vmmig_channel *vmmig__channel_new_file(int fd, const char *peer);

#endif

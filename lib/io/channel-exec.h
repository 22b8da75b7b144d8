/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels to a command that /bin/sh runs.
 */
#ifndef VMMIG_IO_CHANNEL_EXEC_H
#define VMMIG_IO_CHANNEL_EXEC_H

#include "io/channel.h"

/* Which ends of the command the channel holds; the others stay what they are
 * in this process, but for a stdin that nobody writes, which is /dev/null. */
enum vmmig__exec_ends {
    VMMIG__EXEC_STDIN = 1,  /* the channel is written */
    VMMIG__EXEC_STDOUT = 2, /* the channel is read */
};

/*
 * vmmig__channel_new_exec: (transfer full)
 * @command: for /bin/sh -c
 * @ends: one or both of enum vmmig__exec_ends
 *
 * Starts the command in a process group of its own. When it is written,
 * finish() gives it the end of its input, waits for it and fails unless its
 * exit status is 0. When it is read, the end of its output is an error unless
 * its exit status is 0.
 *
 * shutdown() sends SIGTERM to the group. Closing gives a command that still
 * runs a short time to end by itself, then sends SIGTERM and at last SIGKILL;
 * that takes two seconds at most.
 */
struct vmmig_channel *vmmig__channel_new_exec(const char *command,
                                              unsigned ends,
                                              vmmig_error **error);

#endif

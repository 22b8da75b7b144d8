/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels to commands.
 *
 * The command is a child of this process, so a host that reaps every child it
 * finds takes its exit status from us: then nobody knows whether the command
 * worked, and that is an error.
 *
 * Its pipes are streams like any other. Its process group is signalled only
 * while it is certain, under the lock, that the group's first process has not
 * been reaped, since after that its number may be somebody else's.
 */
#include "io/channel-exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop-flag.h"
#include "base/thread.h"
#include "io/fd-stream.h"
#include "io/io-error.h"

#include <vmmigrate/host.h>

enum {
    /* Closing: how long the command has to end by itself, after SIGTERM, and
     * after SIGKILL. */
    GRACE_MS = 500,
    KILLED_MS = 1000,
    /* Without a pidfd one has to look again and again. */
    LOOK_AGAIN_MS = 10,
};

struct exec {
    struct vmmig__fd_stream *to_command;   /* (nullable) */
    struct vmmig__fd_stream *from_command; /* (nullable) */
    struct vmmig__stop_flag stop;
    int pid_fd; /* -1: the kernel has none */

    struct vmmig__mutex lock;
    pid_t pid;      /* set once; also the process group */
    bool is_reaped; /* lock */
    bool is_known;  /* lock; the status is */
    int status;     /* lock; as of waitpid() */
};

/* ---- the command's end ---- */

/* Whether it has ended; remembers how. */
static bool has_ended(struct exec *exec)
{
    bool has_ended;

    vmmig__mutex_lock(&exec->lock);
    if (!exec->is_reaped) {
        pid_t pid;

        do {
            pid = waitpid(exec->pid, &exec->status, WNOHANG);
        } while (pid < 0 && errno == EINTR);
        exec->is_known = pid == exec->pid;
        exec->is_reaped = pid != 0;
    }
    has_ended = exec->is_reaped;
    vmmig__mutex_unlock(&exec->lock);
    return has_ended;
}

static void signal_group(struct exec *exec, int number)
{
    vmmig__mutex_lock(&exec->lock);
    if (!exec->is_reaped && exec->pid > 0)
        kill(-exec->pid, number);
    vmmig__mutex_unlock(&exec->lock);
}

/* Waits until it has ended; false when the time was up first, or (unless
 * `whatever`) when the channel was shut down. */
static bool wait_ended(struct exec *exec, uint64_t deadline_us, bool whatever)
{
    struct pollfd polled[2] = {
        {.fd = exec->pid_fd, .events = POLLIN},
        {.fd = whatever ? -1 : exec->stop.event_fd, .events = POLLIN},
    };

    while (!has_ended(exec)) {
        uint64_t now_us = vmmig__now_us();
        int left_ms = 1000;

        if (now_us >= deadline_us)
            return false;
        if (!whatever && vmmig__stop_flag_is_requested(&exec->stop))
            return false;
        if (exec->pid_fd < 0)
            left_ms = LOOK_AGAIN_MS;
        left_ms =
            (int)MIN((deadline_us - now_us) / 1000 + 1, (uint64_t)left_ms);
        poll(polled, 2, left_ms); /* whatever it says, we look */
    }
    return true;
}

static uint64_t in_ms(unsigned ms)
{
    return vmmig__now_us() + UINT64_C(1000) * ms;
}

/* It has ended: false, with the reason, unless its status is 0. */
static bool check_status(struct exec *exec, vmmig_error **error)
{
    if (!exec->is_known) {
        return vmmig__fail(error, VMMIG_ERROR_IO,
                           "the command has ended, but this program waits for "
                           "all of its children and took the exit status");
    }
    if (WIFSIGNALED(exec->status)) {
        return vmmig__fail(error, VMMIG_ERROR_IO,
                           "the command was ended by signal %d",
                           WTERMSIG(exec->status));
    }
    if (WEXITSTATUS(exec->status) != 0) {
        return vmmig__fail(error, VMMIG_ERROR_IO,
                           "the command ended with status %d",
                           WEXITSTATUS(exec->status));
    }
    return true;
}

/* Waits for the end; false, with the reason, unless the status is 0. */
static bool check_ended(struct exec *exec, vmmig_error **error)
{
    if (!wait_ended(exec, UINT64_MAX, false))
        return vmmig__fail(error, VMMIG_ERROR_IO, "it was shut down");
    return check_status(exec, error);
}

/* ---- the table of a channel ---- */

static bool exec_readv(void *data, const struct iovec *parts, uint32_t count,
                       uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct exec *exec = data;
    uint64_t length;

    if (!vmmig__fd_stream_readv(exec->from_command, parts, count, &length,
                                error))
        return false;
    /* What a command that failed has written may look complete. */
    if (length == 0 && !check_ended(exec, error))
        return false;
    *ret_length_bytes = length;
    return true;
}

static bool exec_writev(void *data, const struct iovec *parts, uint32_t count,
                        uint64_t *ret_length_bytes, vmmig_error **error)
{
    struct exec *exec = data;
    vmmig_error *cause = NULL;

    if (vmmig__fd_stream_writev(exec->to_command, parts, count,
                                ret_length_bytes, &cause))
        return true;
    /* A command that reads no more has mostly ended, and how it did says more
     * than that it does not read. */
    if (!wait_ended(exec, in_ms(GRACE_MS), false)) {
        g_propagate_error(error, cause);
        return false;
    }
    g_error_free(cause);
    if (!check_status(exec, error))
        return false;
    return vmmig__fail(error, VMMIG_ERROR_IO,
                       "the command has ended without reading all of it");
}

static bool exec_wait(void *data, bool to_write, int64_t timeout_ms,
                      vmmig_error **error)
{
    struct exec *exec = data;
    struct vmmig__fd_stream *stream =
        to_write ? exec->to_command : exec->from_command;

    return !stream ||
           vmmig__fd_stream_wait(stream, to_write, timeout_ms, error);
}

static bool exec_finish(void *data, vmmig_error **error)
{
    struct exec *exec = data;

    if (!exec->to_command)
        return true;
    /* No channel is written after finish(), and a shutdown leaves this stream
     * alone once it is NULL; see exec_shutdown(). */
    vmmig__mutex_lock(&exec->lock);
    vmmig__fd_stream_free(exec->to_command);
    exec->to_command = NULL;
    vmmig__mutex_unlock(&exec->lock);
    return check_ended(exec, error);
}

static void exec_shutdown(void *data)
{
    struct exec *exec = data;

    vmmig__stop_flag_request(&exec->stop);
    signal_group(exec, SIGTERM);
    vmmig__mutex_lock(&exec->lock);
    if (exec->to_command)
        vmmig__fd_stream_shutdown(exec->to_command);
    if (exec->from_command)
        vmmig__fd_stream_shutdown(exec->from_command);
    vmmig__mutex_unlock(&exec->lock);
}

/* The command ends, at the latest because it is killed. */
static void end_command(struct exec *exec)
{
    if (!vmmig__stop_flag_is_requested(&exec->stop) &&
        wait_ended(exec, in_ms(GRACE_MS), true))
        return;
    signal_group(exec, SIGTERM);
    if (wait_ended(exec, in_ms(GRACE_MS), true))
        return;
    signal_group(exec, SIGKILL);
    if (!wait_ended(exec, in_ms(KILLED_MS), true)) {
        vmmig__log(NULL, VMMIG_LOG_WARNING,
                   "process %d does not end, even killed; it is left behind",
                   (int)exec->pid);
    }
}

static void exec_close(void *data)
{
    struct exec *exec = data;

    /* First its input ends and its output has no reader: most end by that. */
    vmmig__fd_stream_free(exec->to_command);
    vmmig__fd_stream_free(exec->from_command);
    if (exec->pid > 0)
        end_command(exec);
    if (exec->pid_fd >= 0)
        close(exec->pid_fd);
    vmmig__stop_flag_destroy(&exec->stop);
    vmmig__mutex_destroy(&exec->lock);
    g_free(exec);
}

/* ---- starting it ---- */

/* A pipe whose ends are none of 0, 1 and 2, so that one can be put in place of
 * any of these in the child. */
static bool make_pipe(int ret_ends[2], vmmig_error **error)
{
    int ends[2], moved[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return vmmig__fail_errno(error, errno, "making a pipe");
    for (unsigned i = 0; i < 2; i++) {
        moved[i] = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(ends[i]);
    }
    if (moved[0] < 0 || moved[1] < 0) {
        vmmig__fail_errno(error, EMFILE, "making a pipe");
        for (unsigned i = 0; i < 2; i++) {
            if (moved[i] >= 0)
                close(moved[i]);
        }
        return false;
    }
    memcpy(ret_ends, moved, sizeof moved);
    return true;
}

/* One pipe: our end becomes a stream, *ret_child_end is the command's. */
static struct vmmig__fd_stream *make_stream(bool to_command, int *ret_child_end,
                                            vmmig_error **error)
{
    struct vmmig__fd_stream *stream;
    int ends[2];

    if (!make_pipe(ends, error))
        return NULL;
    stream = vmmig__fd_stream_new(ends[to_command], error);
    if (!stream)
        close(ends[!to_command]);
    else
        *ret_child_end = ends[!to_command];
    return stream;
}

/* @child_stdin, @child_stdout: -1: /dev/null, and ours. */
static bool spawn(struct exec *exec, const char *command, int child_stdin,
                  int child_stdout, vmmig_error **error)
{
    char name[] = "sh", option[] = "-c";
    char *const arguments[] = {name, option, (char *)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int result;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (child_stdin >= 0)
        posix_spawn_file_actions_adddup2(&actions, child_stdin, STDIN_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                         O_RDONLY, 0);
    if (child_stdout >= 0)
        posix_spawn_file_actions_adddup2(&actions, child_stdout, STDOUT_FILENO);
#if __GLIBC_PREREQ(2, 34)
    /* What the host has not marked, a command has no business with. */
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
#endif
    /* This thread blocks all signals, and the host may ignore some. */
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    result = posix_spawn(&exec->pid, "/bin/sh", &actions, &attributes,
                         arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0) {
        exec->pid = 0;
        return vmmig__fail_errno(error, result, "starting /bin/sh");
    }
#ifdef SYS_pidfd_open
    exec->pid_fd = (int)syscall(SYS_pidfd_open, exec->pid, 0);
#endif
    return true;
}

static bool start(struct exec *exec, const char *command, unsigned ends,
                  vmmig_error **error)
{
    int child_stdin = -1, child_stdout = -1;
    bool ok = vmmig__stop_flag_init(&exec->stop, error);

    if (ok && (ends & VMMIG__EXEC_STDIN)) {
        exec->to_command = make_stream(true, &child_stdin, error);
        ok = exec->to_command != NULL;
    }
    if (ok && (ends & VMMIG__EXEC_STDOUT)) {
        exec->from_command = make_stream(false, &child_stdout, error);
        ok = exec->from_command != NULL;
    }
    ok = ok && spawn(exec, command, child_stdin, child_stdout, error);
    if (child_stdin >= 0)
        close(child_stdin);
    if (child_stdout >= 0)
        close(child_stdout);
    return ok;
}

struct vmmig_channel *
vmmig__channel_new_exec(const char *command, unsigned ends, vmmig_error **error)
{
    struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .readv = ends & VMMIG__EXEC_STDOUT ? exec_readv : NULL,
                .writev = ends & VMMIG__EXEC_STDIN ? exec_writev : NULL,
                .wait = exec_wait,
                .shutdown = exec_shutdown},
        .finish = exec_finish,
        .two_way = ends == (VMMIG__EXEC_STDIN | VMMIG__EXEC_STDOUT),
    };
    struct exec *exec = g_new0(struct exec, 1);
    struct vmmig_channel *channel;
    char *peer;

    vmmig__mutex_init(&exec->lock, VMMIG__RANK_LEAF, "exec channel");
    exec->stop.event_fd = -1;
    exec->pid_fd = -1;
    if (!start(exec, command, ends, error)) {
        exec_close(exec);
        return NULL;
    }
    peer = g_strdup_printf("exec:%s", command);
    channel = vmmig__channel_new(&ops, exec, exec_close, peer);
    g_free(peer);
    return channel;
}

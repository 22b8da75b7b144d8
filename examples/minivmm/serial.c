/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's serial port; see serial.h. */
#include "serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"

/* The longest line that a listener gets in one piece. */
#define MAX_LINE_BYTES 1024

struct serial {
    int fd;        /* set once before vCPUs start; -1: nowhere */
    bool close_fd; /* set once before vCPUs start */
    serial_line_fn on_line;
    void *data;
    pthread_mutex_t mutex;
    GString *line; /* lock: mutex */
};

struct serial *serial_new(const char *target, serial_line_fn on_line,
                          void *data, GError **error)
{
    struct serial *serial;
    bool is_file = false;
    int fd = -1;

    if (strcmp(target, "stdio") == 0) {
        fd = STDOUT_FILENO;
    } else if (strcmp(target, "none") != 0) {
        fd = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0) {
            fail_errno(error, errno, "opening %s for the serial port", target);
            return NULL;
        }
        is_file = true;
    }
    serial = g_new0(struct serial, 1);
    serial->fd = fd;
    serial->close_fd = is_file;
    serial->on_line = on_line;
    serial->data = data;
    serial->line = g_string_new(NULL);
    pthread_mutex_init(&serial->mutex, NULL);
    return serial;
}

void serial_free(struct serial *serial)
{
    if (!serial)
        return;
    if (serial->close_fd)
        close(serial->fd);
    pthread_mutex_destroy(&serial->mutex);
    g_string_free(serial->line, TRUE);
    g_free(serial);
}

static void write_out(int fd, const char *text, size_t length_bytes)
{
    while (length_bytes > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        /* What poll() calls writable takes this much without waiting. */
        size_t part = MIN(length_bytes, (size_t)_POSIX_PIPE_BUF);
        ssize_t written;

        if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
            return;
        written = write(fd, text, part);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        length_bytes -= (size_t)written;
    }
}

static void end_line(struct serial *serial)
{
    if (serial->on_line && serial->line->len > 0)
        serial->on_line(serial->data, serial->line->str);
    g_string_truncate(serial->line, 0);
}

void serial_write(struct serial *serial, const char *text, size_t length_bytes)
{
    size_t i;

    pthread_mutex_lock(&serial->mutex);
    if (serial->fd >= 0)
        write_out(serial->fd, text, length_bytes);
    for (i = 0; i < length_bytes; i++) {
        if (text[i] == '\n' || serial->line->len >= MAX_LINE_BYTES)
            end_line(serial);
        if (text[i] != '\n' && text[i] != '\r' && text[i] != '\0')
            g_string_append_c(serial->line, text[i]);
    }
    pthread_mutex_unlock(&serial->mutex);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that read and write channels; see the header. */
#include "unit/channel-kit.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"

enum { PIECE_BYTES = 1024 * 1024 };

uint8_t pattern_at(uint64_t position)
{
    /* No period that divides a buffer's size. */
    return (uint8_t)(position % 251 + position / 65521);
}

bool is_pattern(const GByteArray *bytes)
{
    for (uint64_t i = 0; i < bytes->len; i++) {
        if (bytes->data[i] != pattern_at(i))
            return false;
    }
    return true;
}

static void run_read(struct job *job, uint8_t *piece)
{
    while (job->done < job->length) {
        struct iovec part = {piece, MIN(job->length - job->done, PIECE_BYTES)};
        uint64_t length;

        if (!vmmig__channel_read(job->channel, &part, 1, &length, &job->error))
            return;
        if (length == 0)
            return;
        g_byte_array_append(job->bytes, piece, (guint)length);
        job->done += length;
    }
}

static void run_write(struct job *job, uint8_t *piece)
{
    while (job->done < job->length) {
        struct iovec part = {piece, MIN(job->length - job->done, PIECE_BYTES)};
        uint64_t length = part.iov_len;

        for (uint64_t i = 0; i < length; i++)
            piece[i] = pattern_at(job->done + i);
        if (!vmmig__channel_write_all(job->channel, &part, 1, &job->error))
            return;
        job->done += length;
    }
}

static void run(void *data)
{
    struct job *job = data;
    uint8_t *piece = g_malloc(PIECE_BYTES);

    __atomic_store_n(&job->tid, gettid(), __ATOMIC_RELEASE);
    if (job->is_writer)
        run_write(job, piece);
    else
        run_read(job, piece);
    g_free(piece);
}

static struct job *start(struct vmmig_channel *channel, bool is_writer,
                         uint64_t length)
{
    struct job *job = g_new0(struct job, 1);

    job->channel = channel;
    job->is_writer = is_writer;
    job->length = length;
    job->bytes = g_byte_array_new();
    ck_assert(
        vmmig__thread_start(&job->thread, "test/job", NULL, run, job, NULL));
    return job;
}

struct job *job_read(struct vmmig_channel *channel, uint64_t length)
{
    return start(channel, false, length);
}

struct job *job_write(struct vmmig_channel *channel, uint64_t length)
{
    return start(channel, true, length);
}

/* The state letter of ps. */
static char state_of(int tid)
{
    char path[64], line[512] = "";
    const char *after_name;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    file = fopen(path, "re");
    if (!file)
        return '?';
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    after_name = strrchr(line, ')');
    return after_name && after_name[1] ? after_name[2] : '?';
}

void job_wait_blocked(struct job *job)
{
    int tid;

    while ((tid = __atomic_load_n(&job->tid, __ATOMIC_ACQUIRE)) == 0 ||
           state_of(tid) != 'S')
        sched_yield();
}

void job_join(struct job *job)
{
    vmmig__thread_join(job->thread);
    job->thread = NULL;
}

void job_free(struct job *job)
{
    if (job->thread)
        job_join(job);
    g_clear_error(&job->error);
    g_byte_array_unref(job->bytes);
    g_free(job);
}

void send_text(struct vmmig_channel *channel, const char *text)
{
    struct iovec part = {(char *)text, strlen(text)};
    vmmig_error *error = NULL;

    if (!vmmig__channel_write_all(channel, &part, 1, &error))
        ck_abort_msg("%s", error->message);
}

char *receive_text(struct vmmig_channel *channel, uint64_t length)
{
    char *text = g_malloc0(length + 1);
    uint64_t done = 0;

    while (done < length) {
        struct iovec part = {text + done, length - done};
        vmmig_error *error = NULL;
        uint64_t now;

        if (!vmmig__channel_read(channel, &part, 1, &now, &error))
            ck_abort_msg("%s", error->message);
        if (now == 0)
            break;
        done += now;
    }
    return text;
}

void expect_error(vmmig_error **error, uint32_t code, const char *words)
{
    ck_assert_msg(*error != NULL, "no error; expected \"%s\"", words);
    ck_assert_msg(strstr((*error)->message, words) != NULL,
                  "\"%s\" is not in \"%s\"", words, (*error)->message);
    ck_assert_uint_eq(vmmig_error_code(*error), code);
    g_clear_error(error);
}

static void expect_woken(struct job *job)
{
    uint8_t byte = 0;
    struct iovec part = {&byte, 1};
    vmmig_error *error = NULL;
    uint64_t length;

    job_wait_blocked(job);
    vmmig__channel_shutdown(job->channel);
    job_join(job);
    expect_error(&job->error, VMMIG_ERROR_IO, "the channel was shut down");

    /* And so it stays. */
    ck_assert(!vmmig__channel_read(job->channel, &part, 1, &length, &error));
    expect_error(&error, VMMIG_ERROR_IO, "");
    part = (struct iovec){&byte, 1};
    ck_assert(!vmmig__channel_write_all(job->channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO, "");
    ck_assert(!vmmig__channel_wait(job->channel, false, 0, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the channel was shut down");
    job_free(job);
}

void expect_shutdown_wakes_reader(struct vmmig_channel *channel)
{
    expect_woken(job_read(channel, 1));
}

void expect_shutdown_wakes_writer(struct vmmig_channel *channel)
{
    /* More than any buffer on the way holds. */
    expect_woken(job_write(channel, UINT64_C(1) << 40));
}

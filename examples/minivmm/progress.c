/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The progress line; see progress.h. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#define LINE_BYTES 160

struct progress {
    bool on_terminal;
    uint64_t round, round_bytes; /* what was left when it began */
    char shown[LINE_BYTES]; /* the line that is there now */
};

struct progress *progress_new(void)
{
    struct progress *progress = g_new0(struct progress, 1);

    progress->on_terminal = isatty(STDERR_FILENO);
    return progress;
}

void progress_free(struct progress *progress)
{
    g_free(progress);
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* A percentage of all memory would fall back with every round. */
static void describe(struct progress *progress, char *line,
                     const struct vmmig_stats *stats)
{
    uint64_t left = stats->ram_remaining_bytes;
    double percent = 100;

    if (progress->round != stats->dirty_sync_count + 1)
        progress->round_bytes = 0;
    progress->round = stats->dirty_sync_count + 1;
    progress->round_bytes = MAX(progress->round_bytes, left);
    if (progress->round_bytes > 0)
        percent = 100 - 100.0 * (double)left / (double)progress->round_bytes;
    g_snprintf(line, LINE_BYTES,
               "%s: round %" PRIu64 ", %3.0f %% of %.1f MiB, %.0f MB/s, "
               "dirty %.1f MB/s, %.1f MiB remaining",
               vmmig_status_name(stats->status), progress->round, percent,
               mebibytes(progress->round_bytes),
               (double)stats->bandwidth_bytes_per_s / 1e6,
               (double)(stats->dirty_pages_per_s * stats->ram_page_bytes) / 1e6,
               mebibytes(left));
}

static void describe_arrival(char *line, const struct vmmig_stats *stats)
{
    g_snprintf(line, LINE_BYTES, "%s: %.1f MiB received",
               vmmig_status_name(stats->status),
               mebibytes(stats->ram_transferred_bytes));
}

static void describe_end(char *line, const struct vmmig_stats *stats)
{
    g_snprintf(line, LINE_BYTES,
               "%s: %.1f MiB in %.3f s, %" PRIu64 " rounds, downtime %.3f ms",
               vmmig_status_name(stats->status),
               mebibytes(stats->ram_transferred_bytes),
               (double)stats->total_time_ms / 1000, stats->dirty_sync_count,
               (double)stats->downtime_us / 1000);
}

void progress_show(struct progress *progress, struct vmmig_session *session,
                   uint32_t role)
{
    struct vmmig_stats stats = {.struct_size = sizeof stats};
    bool ended;
    char line[LINE_BYTES];

    if (!session)
        return;
    vmmig_session_get_stats(session, &stats);
    ended = vmmig_status_is_final(stats.status);
    if (ended)
        describe_end(line, &stats);
    else if (role == VMMIG_DESTINATION)
        describe_arrival(line, &stats);
    else
        describe(progress, line, &stats);
    if (strcmp(line, progress->shown) == 0)
        return;
    if (progress->on_terminal)
        fprintf(stderr, "\r%s\033[K%s", line, ended ? "\n" : "");
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    memcpy(progress->shown, line, sizeof line);
}

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

static void describe(char *line, const struct vmmig_stats *stats)
{
    uint64_t total = stats->ram_total_bytes, left = stats->ram_remaining_bytes;
    double percent = 100;

    if (total > 0)
        percent = 100.0 * (double)(total - MIN(left, total)) / (double)total;
    g_snprintf(line, LINE_BYTES,
               "%s: %3.0f %%, round %" PRIu64 ", %.0f MB/s, dirty %.1f MB/s, "
               "%.1f MiB remaining",
               vmmig_status_name(stats->status), percent,
               stats->dirty_sync_count,
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
        describe(line, &stats);
    if (strcmp(line, progress->shown) == 0)
        return;
    if (progress->on_terminal)
        fprintf(stderr, "\r%s\033[K%s", line, ended ? "\n" : "");
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    memcpy(progress->shown, line, sizeof line);
}

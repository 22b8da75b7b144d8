/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <vmmigrate/host.h>

static GLogLevelFlags glib_level(uint32_t level)
{
    switch (level) {
    case VMMIG_LOG_WARNING:
        return G_LOG_LEVEL_WARNING;
    case VMMIG_LOG_INFO:
        return G_LOG_LEVEL_INFO;
    default:
        return G_LOG_LEVEL_DEBUG;
    }
}

void vmmig__log(const struct vmmig__log *log, uint32_t level,
                const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (log && log->write)
        log->write(log->data, level, text);
    else
        g_log("vmmigrate", glib_level(level), "%s", text);
    g_free(text);
}

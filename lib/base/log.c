/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <vmmigrate/host.h>

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
    else if (level <= VMMIG_LOG_WARNING) /* GLib's own levels may be fatal */
        g_log("vmmigrate", G_LOG_LEVEL_WARNING, "%s", text);
    g_free(text);
}

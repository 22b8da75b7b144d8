/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines for whoever debugs: to the host's log callback; without one, errors and
 * warnings to GLib's log under the domain "vmmigrate". What fails returns an
 * error; a log line is for what nobody waits for.
 */
#ifndef VMMIG_BASE_LOG_H
#define VMMIG_BASE_LOG_H

#include <glib.h>
#include <stdint.h>

struct vmmig__log {
    void (*write)(void *data, uint32_t level, const char *text);
    void *data;
};

/*
 * vmmig__log:
 * @log: (nullable): NULL, or one without a callback: GLib's log
 * @level: a VMMIG_LOG_ level of <vmmigrate/host.h>
 *
 * Any thread; no library lock may be held, since the host's callback runs.
 */
void vmmig__log(const struct vmmig__log *log, uint32_t level,
                const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors of minivmm's own; see failure.h. */
#include "failure.h"

#include <stdarg.h>

G_DEFINE_QUARK(minivmm, minivmm_error)

static void set_message(GError **error, char *message)
{
    g_set_error_literal(error, minivmm_error_quark(), 1, message);
    g_free(message);
}

bool fail(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set_message(error, g_strdup_vprintf(format, arguments));
    va_end(arguments);
    return false;
}

bool fail_errno(GError **error, int errno_value, const char *format, ...)
{
    va_list arguments;
    char *doing;

    va_start(arguments, format);
    doing = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    set_message(error,
                g_strdup_printf("%s: %s", doing, g_strerror(errno_value)));
    g_free(doing);
    return false;
}

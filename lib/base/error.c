/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors: construction, details, and the public accessors. Any thread.
 */
#include "base/error.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

static const char *const keys[] = {"side",    "phase", "channel", "offset",
                                   "section", "block", "peer"};

/* What our domain keeps beside the message of a GError. */
struct details {
    char *values[G_N_ELEMENTS(keys)];
};

static pthread_once_t domain_once = PTHREAD_ONCE_INIT;
static GQuark domain_quark; /* set once by register_domain() */
static size_t details_offset; /* bytes from a GError back to its details */

static struct details *details_of(const GError *error)
{
    return (struct details *)((char *)error - details_offset);
}

static void details_init(GError *error)
{
    memset(details_of(error), 0, sizeof(struct details));
}

static void details_copy(const GError *from, GError *to)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        details_of(to)->values[i] = g_strdup(details_of(from)->values[i]);
}

static void details_clear(GError *error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        g_free(details_of(error)->values[i]);
}

static void register_domain(void)
{
    /* The layout that G_DEFINE_EXTENDED_ERROR() spells out: the private part
     * stands in front of the GError, aligned like any allocation. The macro
     * itself is not used because ThreadSanitizer does not see through the
     * g_once_init_enter() in it. */
    details_offset = (sizeof(struct details) + 2 * sizeof(void *) - 1) &
                     ~(2 * sizeof(void *) - 1);
    domain_quark = g_error_domain_register_static(
        "vmmigrate", sizeof(struct details), details_init, details_copy,
        details_clear);
}

static GQuark domain(void)
{
    pthread_once(&domain_once, register_domain);
    return domain_quark;
}

char *vmmig__make_printable(const char *text)
{
    char *valid = g_utf8_make_valid(text, -1);

    for (char *at = valid; *at; at++) {
        if (g_ascii_iscntrl(*at))
            *at = '?';
    }
    return valid;
}

static void set(vmmig_error **error, uint32_t code, const char *message)
{
    char *printable;

    if (!error)
        return;
    printable = vmmig__make_printable(message);
    g_set_error_literal(error, domain(), (gint)code, printable);
    g_free(printable);
}

bool vmmig__fail(vmmig_error **error, uint32_t code, const char *format, ...)
{
    va_list arguments;
    char *message;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    set(error, code, message);
    g_free(message);
    return false;
}

bool vmmig__fail_errno(vmmig_error **error, int errno_value,
                       const char *format, ...)
{
    va_list arguments;
    char *message, *whole;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    whole = g_strdup_printf("%s: %s", message, g_strerror(errno_value));
    set(error, VMMIG_ERROR_SYSTEM, whole);
    g_free(whole);
    g_free(message);
    return false;
}

bool vmmig__prefix(vmmig_error **error, const char *format, ...)
{
    va_list arguments;
    char *prefix;

    if (!error || !*error)
        return false;
    va_start(arguments, format);
    prefix = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_prefix_error(error, "%s", prefix);
    g_free(prefix);
    return false;
}

void vmmig__suffix(vmmig_error **error, const char *format, ...)
{
    va_list arguments;
    char *suffix, *whole;

    if (!error || !*error)
        return;
    va_start(arguments, format);
    suffix = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    whole = g_strconcat((*error)->message, suffix, NULL);
    g_free((*error)->message);
    (*error)->message = whole;
    g_free(suffix);
}

/* The place of @key in the table, or -1. */
static int key_index(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i], key) == 0)
            return (int)i;
    }
    return -1;
}

void vmmig__error_note(vmmig_error *error, const char *key, const char *format,
                       ...)
{
    int index = key_index(key);
    va_list arguments;
    char *value;

    g_return_if_fail(index >= 0);
    if (!error || error->domain != domain() ||
        details_of(error)->values[index])
        return;
    va_start(arguments, format);
    value = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    details_of(error)->values[index] = vmmig__make_printable(value);
    g_free(value);
}

vmmig_error *vmmig__error_adopt(vmmig_error *error)
{
    vmmig_error *ours = NULL;

    if (!error || error->domain == domain())
        return error;
    set(&ours, VMMIG_ERROR_HOST, error->message);
    g_error_free(error);
    return ours;
}

uint32_t vmmig_error_code(const vmmig_error *error)
{
    return error->domain == domain() ? (uint32_t)error->code
                                     : VMMIG_ERROR_HOST;
}

const char *vmmig_error_message(const vmmig_error *error)
{
    return error->message;
}

const char *vmmig_error_detail(const vmmig_error *error, const char *key)
{
    int index = key_index(key);

    if (index < 0 || error->domain != domain())
        return NULL;
    return details_of(error)->values[index];
}

void vmmig_error_free(vmmig_error *error)
{
    g_clear_error(&error);
}

bool vmmig_error_set(vmmig_error **error, uint32_t code, const char *message)
{
    set(error, code, message ? message : "unknown error");
    return false;
}

bool vmmig_error_check_errno(vmmig_error **error, int32_t errno_value,
                             const char *doing)
{
    return errno_value == 0 ||
           vmmig__fail_errno(error, errno_value, "%s", doing);
}

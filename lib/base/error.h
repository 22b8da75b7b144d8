/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors: a vmmig_error is a GError of our domain that also carries details
 * (which channel, which offset, ...) that a program can ask for by key.
 *
 * An error belongs to one thread at a time; nothing here takes a lock.
 */
#ifndef VMMIG_BASE_ERROR_H
#define VMMIG_BASE_ERROR_H

#include <glib.h>
#include <vmmigrate/error.h>

/*
 * vmmig__fail:
 *
 * Sets a new error. Always false, so that a failing function ends in
 * `return vmmig__fail(error, ...)`. Nothing happens to a NULL @error. Words of a
 * peer or a host may be among the arguments: see vmmig__make_printable().
 */
bool vmmig__fail(vmmig_error **error, uint32_t code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The same for a system call: "message: meaning of errno_value", SYSTEM. */
bool vmmig__fail_errno(vmmig_error **error, int errno_value,
                       const char *format, ...) G_GNUC_PRINTF(3, 4);

/* (transfer full): @text as UTF-8 without control characters. All messages and
 * details are, since they end up in logs, on terminals and in JSON. */
char *vmmig__make_printable(const char *text);

/* Puts words in front of an error that a callee has set; always false. */
bool vmmig__prefix(vmmig_error **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* Puts words behind it. */
void vmmig__suffix(vmmig_error **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/*
 * vmmig__error_note:
 * @key: one of the keys of vmmig_error_detail()
 *
 * Remembers a detail, unless the error already has one under this key: the
 * place nearest to the failure knows best. Ignores a NULL @error and errors of
 * other domains.
 */
void vmmig__error_note(vmmig_error *error, const char *key, const char *format,
                       ...) G_GNUC_PRINTF(3, 4);

/* (transfer full): @error or, if it is of another domain (a GLib host's own),
 * an error of ours with code HOST and the same words. Takes @error. */
vmmig_error *vmmig__error_adopt(vmmig_error *error);

#endif

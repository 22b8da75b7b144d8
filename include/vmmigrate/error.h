/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors. A vmmig_error is what GLib calls a GError, so a host that uses GLib
 * treats it as one; for all others it is opaque. Its message is one sentence
 * that says what failed, where (channel, offset, section, block), and gives the
 * host's or the peer's own words; its code says what the caller can do.
 */
#ifndef VMMIGRATE_ERROR_H
#define VMMIGRATE_ERROR_H

#include <vmmigrate/version.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _GError vmmig_error;

enum {
    /* The connection, a file or a pipe: try again. */
    VMMIG_ERROR_IO = 1,
    /* The peer sent what the protocol does not allow. */
    VMMIG_ERROR_PROTOCOL = 2,
    /* Both sides work, but not together: configure them alike. */
    VMMIG_ERROR_INCOMPATIBLE = 3,
    /* A callback of the host failed; the words are the host's. */
    VMMIG_ERROR_HOST = 4,
    /* Not possible in the present state. */
    VMMIG_ERROR_STATE = 5,
    /* An argument or a combination of options makes no sense. */
    VMMIG_ERROR_INVALID = 6,
    /* Refused for now; the message names who or what stands in the way. */
    VMMIG_ERROR_BLOCKED = 7,
    /* Somebody cancelled. */
    VMMIG_ERROR_CANCELLED = 8,
    /* The time given has passed. */
    VMMIG_ERROR_TIMEOUT = 9,
    /* TLS: certificates, keys, the handshake. */
    VMMIG_ERROR_TLS = 10,
    /* The operating system refused: memory, descriptors, privileges, age. */
    VMMIG_ERROR_SYSTEM = 11
};

/**
 * vmmig_error_code:
 * @error: an error
 *
 * What kind of error it is.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: VMMIG_ERROR_...; VMMIG_ERROR_HOST for a GError of another domain
 * Since:    0.1
 */
VMMIG_API uint32_t vmmig_error_code(const vmmig_error *error);

/**
 * vmmig_error_message:
 * @error: (nullable): an error
 *
 * The error in one sentence, without a line end.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: the message, valid as long as @error; "" for NULL
 * Since:    0.1
 */
VMMIG_API const char *vmmig_error_message(const vmmig_error *error);

/**
 * vmmig_error_detail:
 * @error: an error
 * @key: "side", "phase", "channel", "offset", "section", "block" or "peer"
 *
 * One part of the place where the error happened, for programs. "offset" is the
 * number of bytes before the error in its channel, in hexadecimal with 0x;
 * "peer" is the address of the other end of that channel.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (nullable): the text, valid as long as @error; NULL where the error
 *   has no such part, and for a GError of another domain
 * Since:    0.1
 */
VMMIG_API const char *vmmig_error_detail(const vmmig_error *error,
                                         const char *key);

/**
 * vmmig_error_free:
 * @error: (transfer full) (nullable): an error
 *
 * Frees an error.
 *
 * Thread:   any, also inside every callback; never waits
 * Since:    0.1
 */
VMMIG_API void vmmig_error_free(vmmig_error *error);

/**
 * vmmig_error_set:
 * @error: (nullable): where to store the new error; *@error must be NULL
 * @code: VMMIG_ERROR_...; a callback of the host normally uses VMMIG_ERROR_HOST
 * @message: one sentence, copied
 *
 * Makes an error. A callback ends in `return vmmig_error_set(...);`.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: false, always
 * Since:    0.1
 */
VMMIG_API bool vmmig_error_set(vmmig_error **error, uint32_t code,
                               const char *message);

/**
 * vmmig_error_check_errno:
 * @error: (nullable): where to store the new error; *@error must be NULL
 * @errno_value: 0, or an error number of the C library; the sign is ignored, so
 *   that the result of a pthread function or of a kernel-style one will do
 * @doing: what was being done, copied: "starting the vCPU"
 *
 * Makes an error of an error number: "starting the vCPU: Cannot allocate
 * memory", with the code VMMIG_ERROR_SYSTEM.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if @errno_value is 0, else false
 * Since:    0.1
 */
VMMIG_API bool vmmig_error_check_errno(vmmig_error **error,
                                       int32_t errno_value, const char *doing);

#ifdef __cplusplus
}
#endif

#endif

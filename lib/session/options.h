/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The values of a machine's or a session's options. Any thread; a lock of its
 * own. The table is options.def.
 */
#ifndef VMMIG_SESSION_OPTIONS_H
#define VMMIG_SESSION_OPTIONS_H

#include <vmmigrate/options.h>

#include "base/thread.h"

enum vmmig__option {
#define BOOL(identifier, ...) VMMIG__OPTION_##identifier,
#define UINT(identifier, ...) VMMIG__OPTION_##identifier,
#define TEXT(identifier, ...) VMMIG__OPTION_##identifier,
#include "session/options.def"
#undef BOOL
#undef UINT
#undef TEXT
    VMMIG__OPTION_COUNT
};

/* (transfer full): all at their defaults. */
struct vmmig_options *vmmig__options_new(void);
/* (transfer full): the same values, nothing fixed. */
struct vmmig_options *vmmig__options_copy(struct vmmig_options *options);
void vmmig__options_free(struct vmmig_options *options);

/* What the option is worth now: set by name, else by the preset of `peer`,
 * else its default. The option must have the type asked for. */
bool vmmig__options_get_bool(struct vmmig_options *options,
                             enum vmmig__option option);
uint64_t vmmig__options_get_uint(struct vmmig_options *options,
                                 enum vmmig__option option);
bool vmmig__options_text_is(struct vmmig_options *options,
                            enum vmmig__option option, const char *text);
bool vmmig__options_is_set_by_name(struct vmmig_options *options,
                                   enum vmmig__option option);

/* False with INVALID, and both names, where options do not work together. */
bool vmmig__options_check(struct vmmig_options *options, vmmig_error **error)
    __attribute__((warn_unused_result));

/* A migration begins: from now on some may not change. */
void vmmig__options_fix(struct vmmig_options *options);

#endif

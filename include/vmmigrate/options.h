/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options. Their names are QEMU's, those of its migration capabilities and
 * parameters ("multifd", "downtime-limit"), with a few of our own;
 * vmmig_option_describe() lists them all, with unit, range and default.
 *
 * A machine's options are the template from which those of each new session are
 * copied. A session's options can be changed until something depends on them;
 * from then on they are fixed, and a change is refused with
 * VMMIG_ERROR_BLOCKED, the option's name and what fixed it.
 */
#ifndef VMMIGRATE_OPTIONS_H
#define VMMIGRATE_OPTIONS_H

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    VMMIG_OPTION_BOOL = 1,
    VMMIG_OPTION_UINT = 2,
    VMMIG_OPTION_STRING = 3
};

/**
 * struct vmmig_option_info:
 * @struct_size: sizeof(struct vmmig_option_info)
 * @type: VMMIG_OPTION_BOOL, VMMIG_OPTION_UINT or VMMIG_OPTION_STRING
 * @minimum: the smallest number allowed; 0 for the other types
 * @maximum: the largest number allowed; 0 for the other types
 * @name: the name
 * @unit: "ms", "bytes/s", ...; "" where there is none
 * @initially: the default, as vmmig_options_get_text() would give it
 * @fixed_from: the phase from which on it cannot be changed; "" if never
 * @help: one sentence; for strings with a fixed choice it lists them
 *
 * What is to be known about an option. All strings live as long as the program.
 */
struct vmmig_option_info {
    uint32_t struct_size;
    uint32_t type;
    uint64_t minimum;
    uint64_t maximum;
    const char *name;
    const char *unit;
    const char *initially;
    const char *fixed_from;
    const char *help;
};

/**
 * vmmig_options_set_bool:
 * @options: the options of a machine or a session
 * @name: the name of an option of type VMMIG_OPTION_BOOL
 * @value: the new value
 * @error: (nullable): return location
 *
 * Switches an option on or off.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if the option has the new value; false with INVALID for an
 *   unknown name or another type, BLOCKED when the option is fixed
 * Since:    0.1
 */
VMMIG_API bool vmmig_options_set_bool(struct vmmig_options *options,
                                      const char *name, bool value,
                                      vmmig_error **error);

/**
 * vmmig_options_set_uint:
 * @options: the options of a machine or a session
 * @name: the name of an option of type VMMIG_OPTION_UINT
 * @value: the new value, in the unit of the option
 * @error: (nullable): return location
 *
 * Sets a number.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if the option has the new value; false with INVALID for an
 *   unknown name, another type or a value out of range (the message has the
 *   range), BLOCKED when the option is fixed
 * Since:    0.1
 */
VMMIG_API bool vmmig_options_set_uint(struct vmmig_options *options,
                                      const char *name, uint64_t value,
                                      vmmig_error **error);

/**
 * vmmig_options_set_string:
 * @options: the options of a machine or a session
 * @name: the name of an option of type VMMIG_OPTION_STRING
 * @value: the new value, copied
 * @error: (nullable): return location
 *
 * Sets a text.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if the option has the new value; false with INVALID for an
 *   unknown name, another type or a value that is not one of its choices,
 *   BLOCKED when the option is fixed
 * Since:    0.1
 */
VMMIG_API bool vmmig_options_set_string(struct vmmig_options *options,
                                        const char *name, const char *value,
                                        vmmig_error **error);

/**
 * vmmig_options_parse:
 * @options: the options of a machine or a session
 * @text: "name=value,name=value"; truth values are on and off, numbers are
 *   decimal or, with 0x, hexadecimal and may carry K, M, G or T (powers of
 *   1024); a comma inside a value is written twice; "" is nothing
 * @error: (nullable): return location
 *
 * Sets several options of any type, all or none, and checks the result as a
 * whole.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: true if all were set; false with INVALID or BLOCKED and the name of
 *   the first option that cannot be
 * Since:    0.1
 */
VMMIG_API bool vmmig_options_parse(struct vmmig_options *options,
                                   const char *text, vmmig_error **error);

/**
 * vmmig_options_get_text:
 * @options: the options of a machine or a session
 * @name: (nullable): the name of an option of any type; NULL for all of them,
 *   in the form that vmmig_options_parse() takes
 * @error: (nullable): return location
 *
 * The present value, as text without its unit.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: (transfer full) (nullable): the text, for vmmig_free(); NULL with
 *   INVALID for an unknown name
 * Since:    0.1
 */
VMMIG_API char *vmmig_options_get_text(struct vmmig_options *options,
                                       const char *name, vmmig_error **error);

/**
 * vmmig_option_describe:
 * @index: 0, 1, 2 ...
 * @ret_info: filled up to its struct_size, which the caller has set
 *
 * Lists the options that this library knows, in no particular order.
 *
 * Thread:   any, also inside every callback; never waits
 * Returns: false past the last one
 * Since:    0.1
 */
VMMIG_API bool vmmig_option_describe(uint32_t index,
                                     struct vmmig_option_info *ret_info);

#ifdef __cplusplus
}
#endif

#endif

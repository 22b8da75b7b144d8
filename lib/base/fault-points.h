/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named failures: every step that can fail or be interrupted has a name here,
 * and a test makes it fail the Nth time it is reached. In a release build
 * VMMIG_FAULT() is the constant true and nothing of this is compiled.
 *
 *     if (!VMMIG_FAULT("source-setup", error))
 *         return false;
 */
#ifndef VMMIG_BASE_FAULT_POINTS_H
#define VMMIG_BASE_FAULT_POINTS_H

#include <stdbool.h>

#include "base/error.h"

#if VMMIG_TESTING
#define VMMIG_FAULT(name, error) vmmig__fault_point((name), (error))

/* False, with an IO error that says so, when this point was armed. */
bool vmmig__fault_point(const char *name, vmmig_error **error);

/*
 * Makes the @nth time (1: the next) that @name is reached from now on fail.
 * With a @hook nothing fails by itself: the hook runs there, on whatever thread
 * that is, and decides (it may also block, or cut a channel).
 */
void vmmig__fault_arm(const char *name, unsigned nth,
                      bool (*hook)(void *data, vmmig_error **error),
                      void *data);
void vmmig__fault_disarm_all(void);

/* How often @name was reached since the last vmmig__fault_disarm_all(). */
unsigned vmmig__fault_reached(const char *name);

/* The names of all points, NULL at the end: a test fails each in turn. */
extern const char *const vmmig__fault_names[];
#else
#define VMMIG_FAULT(name, error) true
#endif

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named failures for tests. A point that is not in the list below aborts, so
 * that no name is left out of the test that walks the list.
 */
#include "base/fault-points.h"

#if VMMIG_TESTING

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

const char *const vmmig__fault_names[] = {
    "source-connect",       "source-header",       "source-save-setup",
    "source-round",         "source-dirty-sync",   "source-stop-guest",
    "source-ram-complete",  "source-device-state", "source-release-ownership",
    "source-before-eof",    "source-after-eof",    "destination-header",
    "destination-section",  "destination-load",    "destination-post-load",
    "destination-shut",     "destination-acquire", "destination-start-guest",
    NULL,
};

struct armed {
    unsigned reached;
    unsigned fail_at; /* 0: never */
    bool (*hook)(void *data, vmmig_error **error);
    void *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct armed points[G_N_ELEMENTS(vmmig__fault_names)]; /* lock: lock */

static struct armed *point_named(const char *name)
{
    for (size_t i = 0; vmmig__fault_names[i]; i++) {
        if (strcmp(vmmig__fault_names[i], name) == 0)
            return &points[i];
    }
    g_error("fault point \"%s\" is not in the list", name);
    abort();
}

bool vmmig__fault_point(const char *name, vmmig_error **error)
{
    struct armed *point = point_named(name);
    struct armed now;

    pthread_mutex_lock(&lock);
    point->reached++;
    now = *point;
    pthread_mutex_unlock(&lock);
    if (now.fail_at == 0 || now.reached != now.fail_at)
        return true;
    if (now.hook)
        return now.hook(now.data, error);
    return vmmig__fail(error, VMMIG_ERROR_IO, "fault point \"%s\"", name);
}

void vmmig__fault_arm(const char *name, unsigned nth,
                      bool (*hook)(void *data, vmmig_error **error),
                      void *data)
{
    struct armed *point = point_named(name);

    pthread_mutex_lock(&lock);
    point->fail_at = point->reached + nth;
    point->hook = hook;
    point->data = data;
    pthread_mutex_unlock(&lock);
}

void vmmig__fault_disarm_all(void)
{
    pthread_mutex_lock(&lock);
    memset(points, 0, sizeof points);
    pthread_mutex_unlock(&lock);
}

unsigned vmmig__fault_reached(const char *name)
{
    struct armed *point = point_named(name);
    unsigned reached;

    pthread_mutex_lock(&lock);
    reached = point->reached;
    pthread_mutex_unlock(&lock);
    return reached;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest source: runs a guest for a moment, and sends it away while it
 * runs.
 *
 *     minimal-source tcp:HOST:PORT
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "toy.h"

enum { A_MOMENT_US = 100000 };

static bool migrate(struct toy *toy, const char *address, vmmig_error **error)
{
    struct vmmig_session *session =
        vmmig_session_new(toy->machine, VMMIG_SOURCE, error);
    bool ok =
        session &&
        vmmig_options_parse(vmmig_session_get_options(session),
                            "downtime-limit=20,max-bandwidth=1G", error) &&
        vmmig_session_start(session, address, error) &&
        vmmig_session_wait(session, VMMIG_FOREVER, error);

    vmmig_session_unref(session); /* takes NULL */
    return ok;
}

int main(int argc, char **argv)
{
    vmmig_error *error = NULL;
    struct toy toy;
    bool ok = false;

    if (argc != 2) {
        fprintf(stderr, "usage: %s tcp:HOST:PORT\n", argv[0]);
        return 2;
    }
    if (toy_init(&toy, &error) &&
        toy_start_guest(&toy, VMMIG_START_COMMAND, &error)) {
        usleep(A_MOMENT_US);
        ok = migrate(&toy, argv[1], &error);
    }
    if (ok) {
        printf("the guest left at %" PRIu64 "\n", toy.count);
    } else {
        /* It runs on here, as if nothing had been. */
        fprintf(stderr, "%s\n", vmmig_error_message(error));
        vmmig_error_free(error);
    }
    toy_finish(&toy);
    return ok ? 0 : 1;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest destination: waits for a guest, lets it run on for a moment, and
 * looks whether it came whole.
 *
 *     minimal-destination [tcp:HOST:PORT]
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "toy.h"

enum { A_MOMENT_US = 100000 };

static bool receive(struct toy *toy, const char *address, vmmig_error **error)
{
    struct vmmig_session *session =
        vmmig_session_new(toy->machine, VMMIG_DESTINATION, error);
    bool ok = session && vmmig_session_start(session, address, error);

    if (ok) {
        /* Port 0 lets the kernel choose: this is what it chose. */
        char *real = vmmig_session_get_address(session);

        printf("waiting on %s\n", real);
        fflush(stdout);
        vmmig_free(real);
        ok = vmmig_session_wait(session, VMMIG_FOREVER, error);
    }
    vmmig_session_unref(session);
    return ok;
}

int main(int argc, char **argv)
{
    vmmig_error *error = NULL;
    struct toy toy;
    bool ok, whole = false;

    /* The library has called toy_start_guest() when receive() returns true. */
    ok = toy_init(&toy, &error) &&
         receive(&toy, argc > 1 ? argv[1] : "tcp:127.0.0.1:0", &error);
    if (ok) {
        usleep(A_MOMENT_US);
        ok = toy_stop_guest(&toy, VMMIG_STOP_COMMAND, &error);
    }
    if (ok) {
        whole = toy_is_whole(&toy);
        printf("the guest ran here until %" PRIu64 "; its memory is %s\n",
               toy.count, whole ? "whole" : "BROKEN");
    } else {
        fprintf(stderr, "%s\n", vmmig_error_message(error));
        vmmig_error_free(error);
    }
    toy_finish(&toy);
    return whole ? 0 : 1;
}

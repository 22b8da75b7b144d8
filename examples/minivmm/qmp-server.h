/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QMP server on a UNIX socket: clients, their greeting and negotiation,
 * commands out of a table, replies and events. It knows nothing about what the
 * commands do.
 *
 * One thread, named "qmp", talks to all clients and runs the commands, one
 * after the other: a command must not wait for a guest or a peer. Events may be
 * sent from any thread. Whoever cannot keep up with its events is dropped.
 */
#ifndef MINIVMM_QMP_SERVER_H
#define MINIVMM_QMP_SERVER_H

#include <stdbool.h>

#include <glib.h>
#include <json-glib/json-glib.h>

struct qmp_server;

enum qmp_type {
    QMP_STRING,
    QMP_BOOLEAN,
    QMP_ARRAY,
};

struct qmp_argument {
    const char *name; /* NULL ends the list */
    enum qmp_type type;
    bool optional;
};

struct qmp_command {
    const char *name; /* NULL ends the table */
    /*
     * `arguments` is never NULL and has been checked against the list. Returns
     * what "return" is to be (transfer full), or NULL and an error.
     */
    JsonNode *(*run)(void *data, JsonObject *arguments, GError **error);
    const struct qmp_argument *arguments; /* NULL: the command takes any, and
                                             checks them itself */
};

/* The argument list of commands that take none. */
extern const struct qmp_argument qmp_no_arguments[];

/* {}, what a command returns that has nothing to say. */
JsonNode *qmp_empty_return(void);

/* QEMU's words for a value of the wrong type. */
bool qmp_fail_type(GError **error, const char *name, const char *expected);

/*
 * Listens at `path`, where a socket nobody uses any more is replaced. `version`
 * is what query-version says (transfer full). `commands` lives as long as the
 * server. Nobody is answered yet.
 */
struct qmp_server *qmp_server_new(const char *path,
                                  const struct qmp_command *commands,
                                  void *data, JsonNode *version,
                                  GError **error);

/* Starts the thread. */
bool qmp_server_start(struct qmp_server *server, GError **error);

/*
 * Runs no further command, hands out what is still to be said, hangs up and
 * removes the socket. Waits for the thread. Events may still be sent, to
 * nobody. NULL is fine.
 */
void qmp_server_stop(struct qmp_server *server);

/* Stops it. NULL is fine. */
void qmp_server_free(struct qmp_server *server);

/* `data` (nullable): a JSON object. An event sent from within a command goes
 * out before the command's reply. */
void qmp_server_send_event(struct qmp_server *server, const char *name,
                           const char *data);

#endif

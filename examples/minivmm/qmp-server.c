/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QMP server; see qmp-server.h. */
#include "qmp-server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "failure.h"
#include "json-stream.h"

#define MAX_CLIENTS 64
#define MAX_MESSAGE_BYTES (1 << 20)
/* With so much still to be sent a client's commands have to wait ... */
#define BUSY_OUTPUT_BYTES (256 << 10)
/* ... and with so much, which can only be events, it is dropped. */
#define MAX_OUTPUT_BYTES (8 << 20)
#define GOODBYE_MS 1000

struct client {
    struct qmp_server *server;
    int fd;
    struct json_stream *input;
    GString *output;
    bool negotiated;
    bool broken;
};

struct qmp_server {
    const struct qmp_command *commands; /* set once before the thread starts */
    void *data;                         /* set once before the thread starts */
    char *path;                         /* set once before the thread starts */
    char *greeting;                     /* set once before the thread starts */
    int listen_fd; /* not changed while there is a thread */
    int wake_fd;   /* set once before the thread starts */
    pthread_t thread;
    bool has_thread;    /* the owner's */
    GPtrArray *clients; /* the qmp thread's */
    atomic_bool stopping;
    pthread_mutex_t mutex;
    GString *events; /* lock: mutex; lines that clients have not got yet */
};

const struct qmp_argument qmp_no_arguments[] = {{NULL, QMP_STRING, false}};

bool qmp_fail_type(GError **error, const char *name, const char *expected)
{
    return fail(error, "Invalid parameter type for '%s', expected: %s", name,
                expected);
}

JsonNode *qmp_empty_return(void)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, json_object_new());
    return node;
}

/* Replies */

static void send_node(struct client *client, JsonNode *node)
{
    char *text = json_to_string(node, FALSE);

    g_string_append(client->output, text);
    g_string_append(client->output, "\r\n");
    g_free(text);
}

static void send_reply(struct client *client, const char *kind,
                       JsonNode *content, JsonNode *id)
{
    JsonNode *reply = qmp_empty_return();

    json_object_set_member(json_node_get_object(reply), kind, content);
    if (id)
        json_object_set_member(json_node_get_object(reply), "id",
                               json_node_copy(id));
    send_node(client, reply);
    json_node_unref(reply);
}

static void send_error(struct client *client, const char *class,
                       const char *description, JsonNode *id)
{
    JsonNode *content = qmp_empty_return();
    JsonObject *error = json_node_get_object(content);

    json_object_set_string_member(error, "class", class);
    json_object_set_string_member(error, "desc", description);
    send_reply(client, "error", content, id);
}

/* Commands */

static bool has_type(JsonNode *node, enum qmp_type type)
{
    switch (type) {
    case QMP_STRING:
        return JSON_NODE_HOLDS_VALUE(node) &&
               json_node_get_value_type(node) == G_TYPE_STRING;
    case QMP_BOOLEAN:
        return JSON_NODE_HOLDS_VALUE(node) &&
               json_node_get_value_type(node) == G_TYPE_BOOLEAN;
    case QMP_ARRAY:
        return JSON_NODE_HOLDS_ARRAY(node);
    }
    g_return_val_if_reached(false);
}

static bool is_listed(const struct qmp_argument *list, const char *name)
{
    for (; list->name; list++)
        if (strcmp(list->name, name) == 0)
            return true;
    return false;
}

static bool check_arguments(const struct qmp_argument *list,
                            JsonObject *arguments, GError **error)
{
    static const char *const type_names[] = {[QMP_STRING] = "string",
                                             [QMP_BOOLEAN] = "boolean",
                                             [QMP_ARRAY] = "array"};
    const struct qmp_argument *argument;
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    for (argument = list; argument->name; argument++) {
        node = json_object_get_member(arguments, argument->name);
        if (!node && !argument->optional)
            return fail(error, "Parameter '%s' is missing", argument->name);
        if (node && !has_type(node, argument->type))
            return qmp_fail_type(error, argument->name,
                                 type_names[argument->type]);
    }
    json_object_iter_init(&iter, arguments);
    while (json_object_iter_next(&iter, &name, &node))
        if (!is_listed(list, name))
            return fail(error, "Parameter '%s' is unexpected", name);
    return true;
}

static void append_events(struct qmp_server *server);

static void run_command(struct client *client, const char *name,
                        JsonObject *arguments, JsonNode *id)
{
    struct qmp_server *server = client->server;
    const struct qmp_command *command = server->commands;
    JsonNode *result = NULL;
    GError *error = NULL;

    while (command->name && strcmp(command->name, name) != 0)
        command++;
    if (!command->name) {
        char *words =
            g_strdup_printf("The command %s has not been found", name);

        send_error(client, "CommandNotFound", words, id);
        g_free(words);
        return;
    }
    if (!command->arguments ||
        check_arguments(command->arguments, arguments, &error))
        result = command->run(server->data, arguments, &error);
    append_events(server);
    if (result)
        send_reply(client, "return", result, id);
    else
        send_error(client, "GenericError", error->message, id);
    g_clear_error(&error);
}

/* "enable" may name capabilities; we have none to enable. */
static void negotiate(struct client *client, JsonObject *arguments,
                      JsonNode *id)
{
    static const struct qmp_argument list[] = {{"enable", QMP_ARRAY, true},
                                               {NULL, QMP_STRING, false}};
    GError *error = NULL;

    if (client->negotiated) {
        send_error(client, "CommandNotFound",
                   "Capabilities negotiation is already complete, command "
                   "ignored",
                   id);
        return;
    }
    if (check_arguments(list, arguments, &error) &&
        json_object_has_member(arguments, "enable") &&
        json_array_get_length(
            json_object_get_array_member(arguments, "enable")) > 0)
        fail(&error, "There is no capability to enable");
    if (error) {
        send_error(client, "GenericError", error->message, id);
        g_error_free(error);
        return;
    }
    client->negotiated = true;
    send_reply(client, "return", qmp_empty_return(), id);
}

/* One JSON value of a client */

static bool check_members(JsonObject *message, GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    json_object_iter_init(&iter, message);
    while (json_object_iter_next(&iter, &name, &node)) {
        if (strcmp(name, "execute") == 0) {
            if (!has_type(node, QMP_STRING))
                return fail(error,
                            "QMP input member 'execute' must be a string");
        } else if (strcmp(name, "arguments") == 0) {
            if (!JSON_NODE_HOLDS_OBJECT(node))
                return fail(error,
                            "QMP input member 'arguments' must be an object");
        } else if (strcmp(name, "id") != 0) {
            return fail(error, "QMP input member '%s' is unexpected", name);
        }
    }
    if (!json_object_has_member(message, "execute"))
        return fail(error, "QMP input lacks member 'execute'");
    return true;
}

static void handle_message(struct client *client, JsonObject *message)
{
    JsonNode *id = json_object_get_member(message, "id");
    JsonObject *arguments = NULL;
    GError *error = NULL;
    const char *name;

    if (!check_members(message, &error)) {
        send_error(client, "GenericError", error->message, id);
        g_error_free(error);
        return;
    }
    name = json_object_get_string_member(message, "execute");
    if (json_object_has_member(message, "arguments"))
        arguments = json_object_ref(
            json_object_get_object_member(message, "arguments"));
    else
        arguments = json_object_new();
    if (strcmp(name, "qmp_capabilities") == 0)
        negotiate(client, arguments, id);
    else if (!client->negotiated)
        send_error(client, "CommandNotFound",
                   "Expecting capabilities negotiation with "
                   "'qmp_capabilities'",
                   id);
    else
        run_command(client, name, arguments, id);
    json_object_unref(arguments);
}

static void handle_value(void *data, const char *text, size_t length_bytes)
{
    struct client *client = data;
    JsonParser *parser = json_parser_new_immutable();
    GError *error = NULL;
    JsonNode *root;

    if (!json_parser_load_from_data(parser, text, (gssize)length_bytes,
                                    &error)) {
        send_error(client, "GenericError", error->message, NULL);
        g_error_free(error);
    } else {
        root = json_parser_get_root(parser);
        if (root && JSON_NODE_HOLDS_OBJECT(root))
            handle_message(client, json_node_get_object(root));
        else
            send_error(client, "GenericError",
                       "QMP input must be a JSON object", NULL);
    }
    g_object_unref(parser);
}

static void handle_mistake(void *data, const char *why)
{
    struct client *client = data;
    char *words = g_strdup_printf("JSON parse error, %s", why);

    send_error(client, "GenericError", words, NULL);
    g_free(words);
}

/* Clients */

static void free_client(void *data)
{
    struct client *client = data;

    close(client->fd);
    json_stream_free(client->input);
    g_string_free(client->output, TRUE);
    g_free(client);
}

static void accept_client(struct qmp_server *server)
{
    int fd =
        accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client;

    if (fd < 0)
        return;
    client = g_new0(struct client, 1);
    client->server = server;
    client->fd = fd;
    client->input = json_stream_new(MAX_MESSAGE_BYTES, handle_value,
                                    handle_mistake, client);
    client->output = g_string_new(server->greeting);
    g_ptr_array_add(server->clients, client);
}

/* One read at a time, so that a busy client does not keep the others waiting.
 */
static void read_client(struct client *client)
{
    char bytes[4096];
    ssize_t length = recv(client->fd, bytes, sizeof bytes, 0);

    if (length > 0)
        json_stream_feed(client->input, bytes, (size_t)length);
    else if (length == 0 || (errno != EAGAIN && errno != EINTR))
        client->broken = true;
}

static void write_client(struct client *client)
{
    ssize_t length = send(client->fd, client->output->str, client->output->len,
                          MSG_NOSIGNAL);

    if (length >= 0)
        g_string_erase(client->output, 0, length);
    else if (errno != EAGAIN && errno != EINTR)
        client->broken = true;
    if (client->output->len > MAX_OUTPUT_BYTES)
        client->broken = true;
}

static void append_events(struct qmp_server *server)
{
    GString *events;
    unsigned int i;

    pthread_mutex_lock(&server->mutex);
    events = server->events;
    server->events = g_string_new(NULL);
    pthread_mutex_unlock(&server->mutex);
    for (i = 0; i < server->clients->len; i++) {
        struct client *client = g_ptr_array_index(server->clients, i);

        if (client->negotiated)
            g_string_append_len(client->output, events->str,
                                (gssize)events->len);
    }
    g_string_free(events, TRUE);
}

static void drop_broken_clients(struct qmp_server *server)
{
    unsigned int i = server->clients->len;

    while (i-- > 0) {
        struct client *client = g_ptr_array_index(server->clients, i);

        if (client->broken)
            g_ptr_array_remove_index_fast(server->clients, i);
    }
}

static short wanted(const struct client *client)
{
    short events = 0;

    if (client->output->len > 0)
        events |= POLLOUT;
    if (client->output->len < BUSY_OUTPUT_BYTES)
        events |= POLLIN;
    return events;
}

/* Waits until something is to be done, and does it. */
static void serve_once(struct qmp_server *server)
{
    struct pollfd fds[MAX_CLIENTS + 2] = {
        {.fd = server->wake_fd, .events = POLLIN},
        {.fd = server->listen_fd, .events = POLLIN}};
    unsigned int i, count = server->clients->len;

    if (count == MAX_CLIENTS)
        fds[1].fd = -1;
    for (i = 0; i < count; i++) {
        struct client *client = g_ptr_array_index(server->clients, i);

        fds[i + 2] =
            (struct pollfd){.fd = client->fd, .events = wanted(client)};
    }
    if (poll(fds, count + 2, -1) <= 0)
        return;
    if (fds[0].revents) {
        eventfd_t value;

        eventfd_read(server->wake_fd, &value);
    }
    append_events(server);
    for (i = 0; i < count; i++) {
        struct client *client = g_ptr_array_index(server->clients, i);

        if (atomic_load_explicit(&server->stopping, memory_order_acquire))
            return;
        if (fds[i + 2].revents & (POLLIN | POLLHUP | POLLERR))
            read_client(client);
    }
    for (i = 0; i < count; i++) {
        struct client *client = g_ptr_array_index(server->clients, i);

        if (client->output->len > 0)
            write_client(client);
    }
    if (fds[1].revents)
        accept_client(server);
    drop_broken_clients(server);
}

/* What was said last must arrive: the reply to quit, the event SHUTDOWN. */
static void say_goodbye(struct qmp_server *server)
{
    gint64 deadline_us = g_get_monotonic_time() + GOODBYE_MS * 1000;
    unsigned int i;

    append_events(server);
    for (i = 0; i < server->clients->len; i++) {
        struct client *client = g_ptr_array_index(server->clients, i);

        while (client->output->len > 0 && !client->broken) {
            struct pollfd ready = {.fd = client->fd, .events = POLLOUT};
            gint64 left_us = deadline_us - g_get_monotonic_time();

            if (left_us <= 0 || poll(&ready, 1, (int)(left_us / 1000)) == 0)
                break;
            write_client(client);
        }
    }
}

static void *serve(void *data)
{
    struct qmp_server *server = data;

    while (!atomic_load_explicit(&server->stopping, memory_order_acquire))
        serve_once(server);
    say_goodbye(server);
    return NULL;
}

/* The server */

static void remove_stale_socket(const char *path)
{
    struct stat status;

    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(path);
}

static int listen_at(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    remove_stale_socket(path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        listen(fd, MAX_CLIENTS) == 0)
        return fd;
    fail_errno(error, errno, "listening for QMP at %s", path);
    if (fd >= 0)
        close(fd);
    return -1;
}

static char *make_greeting(JsonNode *version)
{
    JsonNode *greeting = qmp_empty_return();
    JsonObject *content = json_object_new();
    char *text, *line;

    json_object_set_member(content, "version", version);
    json_object_set_array_member(content, "capabilities", json_array_new());
    json_object_set_object_member(json_node_get_object(greeting), "QMP",
                                  content);
    text = json_to_string(greeting, FALSE);
    line = g_strconcat(text, "\r\n", NULL);
    g_free(text);
    json_node_unref(greeting);
    return line;
}

struct qmp_server *qmp_server_new(const char *path,
                                  const struct qmp_command *commands,
                                  void *data, JsonNode *version, GError **error)
{
    struct qmp_server *server;
    char *greeting = make_greeting(version);
    int fd = listen_at(path, error);

    if (fd < 0) {
        g_free(greeting);
        return NULL;
    }
    server = g_new0(struct qmp_server, 1);
    server->commands = commands;
    server->data = data;
    server->path = g_strdup(path);
    server->greeting = greeting;
    server->listen_fd = fd;
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->clients = g_ptr_array_new_with_free_func(free_client);
    server->events = g_string_new(NULL);
    pthread_mutex_init(&server->mutex, NULL);
    if (server->wake_fd < 0) {
        fail_errno(error, errno, "making a descriptor for the QMP server");
        qmp_server_free(server);
        return NULL;
    }
    return server;
}

bool qmp_server_start(struct qmp_server *server, GError **error)
{
    int result = pthread_create(&server->thread, NULL, serve, server);

    if (result != 0)
        return fail_errno(error, result, "starting the QMP server");
    server->has_thread = true;
    pthread_setname_np(server->thread, "qmp");
    return true;
}

void qmp_server_stop(struct qmp_server *server)
{
    if (!server)
        return;
    atomic_store_explicit(&server->stopping, true, memory_order_release);
    if (server->has_thread) {
        eventfd_write(server->wake_fd, 1);
        pthread_join(server->thread, NULL);
        server->has_thread = false;
    }
    g_ptr_array_set_size(server->clients, 0);
    if (server->listen_fd >= 0) {
        close(server->listen_fd);
        unlink(server->path);
    }
    server->listen_fd = -1;
}

void qmp_server_free(struct qmp_server *server)
{
    if (!server)
        return;
    qmp_server_stop(server);
    g_ptr_array_unref(server->clients);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    g_free(server->path);
    g_free(server->greeting);
    g_string_free(server->events, TRUE);
    pthread_mutex_destroy(&server->mutex);
    g_free(server);
}

void qmp_server_send_event(struct qmp_server *server, const char *name,
                           const char *data)
{
    gint64 now_us = g_get_real_time();

    pthread_mutex_lock(&server->mutex);
    g_string_append_printf(server->events,
                           "{\"timestamp\": {\"seconds\": %" G_GINT64_FORMAT
                           ", \"microseconds\": %" G_GINT64_FORMAT
                           "}, \"event\": \"%s\"",
                           now_us / 1000000, now_us % 1000000, name);
    if (data)
        g_string_append_printf(server->events, ", \"data\": %s", data);
    g_string_append(server->events, "}\r\n");
    pthread_mutex_unlock(&server->mutex);
    eventfd_write(server->wake_fd, 1);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The QMP commands; see qmp-commands.h. The table is at the end.
 *
 * The library has one kind of option; QMP shows it as two. A capability is a
 * truth value that QEMU calls a capability, all else is a parameter.
 */
#include "qmp-commands.h"

#include <string.h>

#include "failure.h"

/* Those of QEMU that have ever been migration capabilities. Which of them
 * exist here is up to the library. */
static const char *const capability_names[] = {
    "auto-converge",
    "background-snapshot",
    "block",
    "compress",
    "dirty-bitmaps",
    "dirty-limit",
    "events",
    "late-block-activate",
    "mapped-ram",
    "multifd",
    "pause-before-switchover",
    "postcopy-blocktime",
    "postcopy-preempt",
    "postcopy-ram",
    "rdma-pin-all",
    "release-ram",
    "return-path",
    "switchover-ack",
    "validate-uuid",
    "x-colo",
    "x-ignore-shared",
    "xbzrle",
    "zero-blocks",
    "zero-copy-send",
};

static bool is_capability(const struct vmmig_option_info *info)
{
    unsigned int i;

    if (info->type != VMMIG_OPTION_BOOL)
        return false;
    for (i = 0; i < G_N_ELEMENTS(capability_names); i++)
        if (strcmp(info->name, capability_names[i]) == 0)
            return true;
    return false;
}

static bool find_option(const char *name, bool capability,
                        struct vmmig_option_info *ret_info)
{
    uint32_t i;

    ret_info->struct_size = sizeof *ret_info;
    for (i = 0; vmmig_option_describe(i, ret_info); i++)
        if (strcmp(ret_info->name, name) == 0)
            return is_capability(ret_info) == capability;
    return false;
}

static struct vmmig_options *get_options(struct qmp_context *context)
{
    return vmmig_machine_get_options(vm_get_vmmig(context->vm));
}

/* An object to be filled, inside the node that a command returns. */
static JsonNode *new_return(JsonObject **ret_object)
{
    JsonNode *node = qmp_empty_return();

    *ret_object = json_node_get_object(node);
    return node;
}

static void set_uint(JsonObject *object, const char *name, uint64_t value)
{
    json_object_set_int_member(object, name, (gint64)MIN(value, G_MAXINT64));
}

/* About the machine */

JsonNode *qmp_version(void)
{
    JsonObject *version, *numbers = json_object_new();
    JsonNode *node = new_return(&version);
    uint32_t number = vmmig_version();

    json_object_set_int_member(numbers, "micro", number & 0xff);
    json_object_set_int_member(numbers, "minor", number >> 8 & 0xff);
    json_object_set_int_member(numbers, "major", number >> 16);
    json_object_set_object_member(version, "qemu", numbers);
    json_object_set_string_member(version, "package", "libvmmigrate minivmm");
    return node;
}

static JsonNode *query_version(void *data, JsonObject *arguments,
                               GError **error)
{
    return qmp_version();
}

static JsonNode *query_status(void *data, JsonObject *arguments, GError **error)
{
    struct qmp_context *context = data;
    enum run_state state = vm_get_run_state(context->vm);
    JsonObject *status;
    JsonNode *node = new_return(&status);

    json_object_set_string_member(status, "status", vm_run_state_name(state));
    json_object_set_boolean_member(status, "singlestep", false);
    json_object_set_boolean_member(status, "running",
                                   state == RUN_STATE_RUNNING);
    return node;
}

static JsonNode *stop(void *data, JsonObject *arguments, GError **error)
{
    struct qmp_context *context = data;

    return vm_stop(context->vm, error) ? qmp_empty_return() : NULL;
}

static JsonNode *cont(void *data, JsonObject *arguments, GError **error)
{
    struct qmp_context *context = data;

    return vm_cont(context->vm, error) ? qmp_empty_return() : NULL;
}

static JsonNode *quit(void *data, JsonObject *arguments, GError **error)
{
    struct qmp_context *context = data;

    context->quit(context->data);
    return qmp_empty_return();
}

static JsonNode *query_guest(void *data, JsonObject *arguments, GError **error)
{
    struct qmp_context *context = data;
    struct workload_counters counters;
    JsonObject *guest;
    JsonNode *node = new_return(&guest);

    vm_get_counters(context->vm, &counters);
    json_object_set_string_member(guest, "machine",
                                  vm_get_machine_name(context->vm));
    set_uint(guest, "passes", counters.passes);
    set_uint(guest, "pages-checked", counters.pages_checked);
    set_uint(guest, "errors", counters.errors);
    set_uint(guest, "blackout-us", counters.blackout_ns / 1000);
    json_object_set_boolean_member(guest, "filled", counters.filled);
    return node;
}

/* Migrations */

/* Refuses what would ask for another kind of migration. */
static bool check_is_off(JsonObject *arguments, const char *name,
                         GError **error)
{
    return !json_object_get_boolean_member_with_default(arguments, name,
                                                        false) ||
           fail(error, "Parameter '%s' is not supported", name);
}

static JsonNode *migrate(void *data, JsonObject *arguments, GError **error)
{
    struct qmp_context *context = data;

    if (!check_is_off(arguments, "resume", error) ||
        !check_is_off(arguments, "blk", error) ||
        !check_is_off(arguments, "inc", error))
        return NULL;
    return migration_start(context->migration, VMMIG_SOURCE,
                           json_object_get_string_member(arguments, "uri"),
                           error)
               ? qmp_empty_return()
               : NULL;
}

static JsonNode *migrate_incoming(void *data, JsonObject *arguments,
                                  GError **error)
{
    struct qmp_context *context = data;

    return migration_start(context->migration, VMMIG_DESTINATION,
                           json_object_get_string_member(arguments, "uri"),
                           error)
               ? qmp_empty_return()
               : NULL;
}

static JsonNode *migrate_continue(void *data, JsonObject *arguments,
                                  GError **error)
{
    struct qmp_context *context = data;
    const char *wanted = json_object_get_string_member(arguments, "state");
    struct vmmig_session *session;
    uint32_t role, status = VMMIG_STATUS_NONE;
    bool good;

    session = migration_get_session(context->migration, &role);
    if (session)
        status = vmmig_session_get_status(session);
    if (strcmp(wanted, "pre-switchover") != 0)
        good =
            fail(error, "Parameter 'state' does not accept value '%s'", wanted);
    else if (status != VMMIG_STATUS_PRE_SWITCHOVER)
        good = fail(error, "Migration not in expected state: %s",
                    vmmig_status_name(status));
    else
        good = vmmig_session_continue(session, error);
    vmmig_session_unref(session);
    return good ? qmp_empty_return() : NULL;
}

/* As in QEMU, where there is nothing to cancel that is no error; but that it is
 * too late is. */
static JsonNode *migrate_cancel(void *data, JsonObject *arguments,
                                GError **error)
{
    struct qmp_context *context = data;
    struct vmmig_session *session;
    uint32_t role;
    bool good;

    session = migration_get_session(context->migration, &role);
    good = !session ||
           vmmig_status_is_final(vmmig_session_get_status(session)) ||
           vmmig_session_cancel(session, error);
    vmmig_session_unref(session);
    return good ? qmp_empty_return() : NULL;
}

/* As in QEMU: lately, or on the whole once it is over. */
static double get_mbps(const struct vmmig_stats *stats)
{
    if (vmmig_status_is_final(stats->status) && stats->total_time_ms > 0)
        return (double)stats->ram_transferred_bytes * 8 /
               (double)stats->total_time_ms / 1e3;
    return (double)stats->bandwidth_bytes_per_s * 8 / 1e6;
}

static void add_ram(JsonObject *info, const struct vmmig_stats *stats)
{
    JsonObject *ram = json_object_new();

    set_uint(ram, "transferred", stats->ram_transferred_bytes);
    set_uint(ram, "remaining", stats->ram_remaining_bytes);
    set_uint(ram, "total", stats->ram_total_bytes);
    set_uint(ram, "duplicate", stats->ram_zero_pages);
    set_uint(ram, "normal", stats->ram_normal_pages);
    set_uint(ram, "normal-bytes",
             stats->ram_normal_pages * stats->ram_page_bytes);
    set_uint(ram, "dirty-sync-count", stats->dirty_sync_count);
    set_uint(ram, "page-size", stats->ram_page_bytes);
    json_object_set_double_member(ram, "mbps", get_mbps(stats));
    set_uint(ram, "dirty-pages-rate", stats->dirty_pages_per_s);
    set_uint(ram, "precopy-bytes", stats->precopy_bytes);
    set_uint(ram, "downtime-bytes", stats->downtime_bytes);
    json_object_set_object_member(info, "ram", ram);
}

static void add_times(JsonObject *info, const struct vmmig_stats *stats)
{
    set_uint(info, "total-time", stats->total_time_ms);
    if (stats->status == VMMIG_STATUS_SETUP)
        return;
    set_uint(info, "setup-time", stats->setup_time_ms);
    if (vmmig_status_is_final(stats->status)) {
        set_uint(info, "downtime", (stats->downtime_us + 500) / 1000);
        set_uint(info, "x-downtime-us", stats->downtime_us);
    } else {
        set_uint(info, "expected-downtime",
                 (stats->expected_downtime_us + 500) / 1000);
    }
}

/* [{"type": "inet", "host": "127.0.0.1", "port": "4444"}], so that whoever
 * asked for port 0 learns what it became. */
static void add_address(JsonObject *info, struct vmmig_session *session)
{
    char *text = vmmig_session_get_address(session);
    JsonArray *addresses = json_array_new();
    JsonObject *address = json_object_new();

    if (text && g_str_has_prefix(text, "tcp:") &&
        strrchr(text, ':') > text + 4) {
        const char *colon = strrchr(text, ':');
        const char *host = text + 4;
        bool bracketed = *host == '[' && colon[-1] == ']';
        char *name =
            g_strndup(host + bracketed, (gsize)(colon - host) - 2 * bracketed);

        json_object_set_string_member(address, "type", "inet");
        json_object_set_string_member(address, "host", name);
        json_object_set_string_member(address, "port", colon + 1);
        g_free(name);
    } else if (text && g_str_has_prefix(text, "unix:")) {
        json_object_set_string_member(address, "type", "unix");
        json_object_set_string_member(address, "path", text + 5);
    }
    if (json_object_get_size(address) > 0) {
        json_array_add_object_element(addresses, address);
        json_object_set_array_member(info, "socket-address", addresses);
    } else {
        json_object_unref(address);
        json_array_unref(addresses);
    }
    vmmig_free(text);
}

static JsonNode *query_migrate(void *data, JsonObject *arguments,
                               GError **error)
{
    struct qmp_context *context = data;
    struct vmmig_stats stats = {.struct_size = sizeof stats};
    struct vmmig_session *session;
    const vmmig_error *reason;
    uint32_t role;
    JsonObject *info;
    JsonNode *node = new_return(&info);

    session = migration_get_session(context->migration, &role);
    if (!session)
        return node;
    vmmig_session_get_stats(session, &stats);
    json_object_set_string_member(info, "status",
                                  vmmig_status_name(stats.status));
    add_times(info, &stats);
    add_ram(info, &stats);
    if (role == VMMIG_DESTINATION)
        add_address(info, session);
    reason = vmmig_session_get_error(session);
    if (stats.status == VMMIG_STATUS_FAILED && reason)
        json_object_set_string_member(info, "error-desc",
                                      vmmig_error_message(reason));
    vmmig_session_unref(session);
    return node;
}

/* Options */

static JsonNode *query_capabilities(void *data, JsonObject *arguments,
                                    GError **error)
{
    struct qmp_context *context = data;
    struct vmmig_option_info info = {.struct_size = sizeof info};
    JsonArray *list = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    uint32_t i;

    for (i = 0; vmmig_option_describe(i, &info); i++) {
        JsonObject *row;
        char *text;

        if (!is_capability(&info))
            continue;
        text = vmmig_options_get_text(get_options(context), info.name, NULL);
        row = json_object_new();
        json_object_set_boolean_member(row, "state",
                                       g_strcmp0(text, "on") == 0);
        json_object_set_string_member(row, "capability", info.name);
        json_array_add_object_element(list, row);
        vmmig_free(text);
    }
    json_node_take_array(node, list);
    return node;
}

static JsonNode *query_parameters(void *data, JsonObject *arguments,
                                  GError **error)
{
    struct qmp_context *context = data;
    struct vmmig_option_info info = {.struct_size = sizeof info};
    JsonObject *parameters;
    JsonNode *node = new_return(&parameters);
    uint32_t i;

    for (i = 0; vmmig_option_describe(i, &info); i++) {
        char *text;

        if (is_capability(&info))
            continue;
        text = vmmig_options_get_text(get_options(context), info.name, NULL);
        if (info.type == VMMIG_OPTION_BOOL)
            json_object_set_boolean_member(parameters, info.name,
                                           g_strcmp0(text, "on") == 0);
        else if (info.type == VMMIG_OPTION_UINT)
            set_uint(parameters, info.name, g_ascii_strtoull(text, NULL, 0));
        else
            json_object_set_string_member(parameters, info.name, text);
        vmmig_free(text);
    }
    return node;
}

/* Adds "name=value" to what vmmig_options_parse() will get. */
static void add_setting(GString *settings, const char *name, const char *value)
{
    g_string_append_printf(settings, "%s%s=", settings->len ? "," : "", name);
    for (; *value; value++) {
        g_string_append_c(settings, *value);
        if (*value == ',')
            g_string_append_c(settings, ',');
    }
}

static JsonNode *apply(struct qmp_context *context, GString *settings,
                       bool good, GError **error)
{
    good =
        good && migration_set_options(context->migration, settings->str, error);
    g_string_free(settings, TRUE);
    return good ? qmp_empty_return() : NULL;
}

static bool holds(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == type;
}

static bool take_capability(GString *settings, JsonNode *element,
                            unsigned int index, GError **error)
{
    struct vmmig_option_info info;
    JsonNode *name = NULL, *state = NULL;
    JsonObject *row;
    char path[64];

    g_snprintf(path, sizeof path, "capabilities[%u]", index);
    if (!JSON_NODE_HOLDS_OBJECT(element))
        return qmp_fail_type(error, path, "object");
    row = json_node_get_object(element);
    name = json_object_get_member(row, "capability");
    state = json_object_get_member(row, "state");
    if (!name || !state)
        return fail(error, "Parameter '%s.%s' is missing", path,
                    name ? "state" : "capability");
    g_snprintf(path, sizeof path, "capabilities[%u].%s", index,
               holds(name, G_TYPE_STRING) ? "state" : "capability");
    if (!holds(name, G_TYPE_STRING))
        return qmp_fail_type(error, path, "string");
    if (!holds(state, G_TYPE_BOOLEAN))
        return qmp_fail_type(error, path, "boolean");
    if (json_object_get_size(row) > 2)
        return fail(error,
                    "Parameter 'capabilities[%u]' takes no more than "
                    "'capability' and 'state'",
                    index);
    if (!find_option(json_node_get_string(name), true, &info))
        return fail(error, "Parameter 'capability' does not accept value '%s'",
                    json_node_get_string(name));
    add_setting(settings, info.name,
                json_node_get_boolean(state) ? "on" : "off");
    return true;
}

static JsonNode *set_capabilities(void *data, JsonObject *arguments,
                                  GError **error)
{
    GString *settings = g_string_new(NULL);
    JsonArray *list = json_object_get_array_member(arguments, "capabilities");
    unsigned int i, count = json_array_get_length(list);
    bool good = true;

    for (i = 0; good && i < count; i++)
        good = take_capability(settings, json_array_get_element(list, i), i,
                               error);
    return apply(data, settings, good, error);
}

static bool take_parameter(GString *settings, const char *name, JsonNode *value,
                           GError **error)
{
    struct vmmig_option_info info;
    char number[32];

    if (!find_option(name, false, &info))
        return fail(error, "Parameter '%s' is unexpected", name);
    switch (info.type) {
    case VMMIG_OPTION_BOOL:
        if (!holds(value, G_TYPE_BOOLEAN))
            return qmp_fail_type(error, name, "boolean");
        add_setting(settings, name,
                    json_node_get_boolean(value) ? "on" : "off");
        return true;
    case VMMIG_OPTION_UINT:
        if (!holds(value, G_TYPE_INT64) || json_node_get_int(value) < 0)
            return fail(error, "Parameter '%s' expects uint64", name);
        g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT,
                   json_node_get_int(value));
        add_setting(settings, name, number);
        return true;
    default:
        if (!holds(value, G_TYPE_STRING))
            return qmp_fail_type(error, name, "string");
        add_setting(settings, name, json_node_get_string(value));
        return true;
    }
}

static JsonNode *set_parameters(void *data, JsonObject *arguments,
                                GError **error)
{
    GString *settings = g_string_new(NULL);
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;
    bool good = true;

    json_object_iter_init(&iter, arguments);
    while (good && json_object_iter_next(&iter, &name, &value))
        good = take_parameter(settings, name, value, error);
    return apply(data, settings, good, error);
}

/* The table */

static const struct qmp_argument migrate_arguments[] = {
    {"uri", QMP_STRING, false},
    {"detach", QMP_BOOLEAN, true}, /* as in QEMU, it means nothing */
    {"resume", QMP_BOOLEAN, true},
    {"blk", QMP_BOOLEAN, true},
    {"inc", QMP_BOOLEAN, true},
    {NULL, QMP_STRING, false},
};

static const struct qmp_argument incoming_arguments[] = {
    {"uri", QMP_STRING, false},
    {NULL, QMP_STRING, false},
};

static const struct qmp_argument continue_arguments[] = {
    {"state", QMP_STRING, false},
    {NULL, QMP_STRING, false},
};

static const struct qmp_argument capabilities_arguments[] = {
    {"capabilities", QMP_ARRAY, false},
    {NULL, QMP_STRING, false},
};

/* clang-format off */
const struct qmp_command qmp_commands[] = {
    {"cont",                       cont,               qmp_no_arguments},
    {"migrate",                    migrate,            migrate_arguments},
    {"migrate-continue",           migrate_continue,   continue_arguments},
    {"migrate-incoming",           migrate_incoming,   incoming_arguments},
    {"migrate-set-capabilities",   set_capabilities,   capabilities_arguments},
    {"migrate-set-parameters",     set_parameters,     NULL},
    {"migrate_cancel",             migrate_cancel,     qmp_no_arguments},
    {"query-migrate",              query_migrate,      qmp_no_arguments},
    {"query-migrate-capabilities", query_capabilities, qmp_no_arguments},
    {"query-migrate-parameters",   query_parameters,   qmp_no_arguments},
    {"query-status",               query_status,       qmp_no_arguments},
    {"query-version",              query_version,      qmp_no_arguments},
    {"quit",                       quit,               qmp_no_arguments},
    {"stop",                       stop,               qmp_no_arguments},
    {"x-query-guest",              query_guest,        qmp_no_arguments},
    {NULL, NULL, NULL},
};
/* clang-format on */

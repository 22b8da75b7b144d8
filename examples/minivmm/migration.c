/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The migrations of the virtual machine; see migration.h. */
#include "migration.h"

#include <pthread.h>
#include <string.h>

#include "failure.h"

struct migration {
    struct vm *vm;
    void (*emit)(void *data, const char *event, const char *json);
    void (*ended)(void *data);
    void *data;
    pthread_mutex_t mutex;
    struct vmmig_session *session; /* lock: mutex */
    uint32_t role;                 /* lock: mutex; of that session */
};

static bool wants_events(struct migration *migration)
{
    char *text = vmmig_options_get_text(
        vmmig_machine_get_options(vm_get_vmmig(migration->vm)), "events", NULL);
    bool wanted = text && strcmp(text, "on") == 0;

    vmmig_free(text);
    return wanted;
}

static void emit_number(struct migration *migration, const char *event,
                        const char *member, uint64_t value)
{
    char *json =
        g_strdup_printf("{\"%s\": %" G_GUINT64_FORMAT "}", member, value);

    migration->emit(migration->data, event, json);
    g_free(json);
}

static void emit_status(struct migration *migration, uint32_t status)
{
    char *json =
        g_strdup_printf("{\"status\": \"%s\"}", vmmig_status_name(status));

    migration->emit(migration->data, "MIGRATION", json);
    g_free(json);
}

/* On the host thread. */
static void listen_to_events(void *data, const struct vmmig_event *event)
{
    struct migration *migration = data;

    if (event->type == VMMIG_EVENT_STATUS) {
        if (wants_events(migration))
            emit_status(migration, event->status);
        if (event->status == VMMIG_STATUS_FAILED)
            g_printerr("minivmm: migration failed: %s\n",
                       vmmig_error_message(event->error));
        if (vmmig_status_is_final(event->status))
            migration->ended(migration->data);
    } else if (event->type == VMMIG_EVENT_PASS && wants_events(migration)) {
        emit_number(migration, "MIGRATION_PASS", "pass", event->pass);
    }
}

struct migration *migration_new(const struct migration_config *config,
                                GError **error)
{
    struct migration *migration = g_new0(struct migration, 1);

    migration->vm = config->vm;
    migration->emit = config->emit;
    migration->ended = config->ended;
    migration->data = config->data;
    pthread_mutex_init(&migration->mutex, NULL);
    if (!vmmig_machine_add_listener(vm_get_vmmig(config->vm), listen_to_events,
                                    migration, NULL, NULL, error)) {
        migration_free(migration);
        return NULL;
    }
    return migration;
}

void migration_free(struct migration *migration)
{
    if (!migration)
        return;
    vmmig_session_unref(migration->session);
    pthread_mutex_destroy(&migration->mutex);
    g_free(migration);
}

bool migration_start(struct migration *migration, uint32_t role,
                     const char *uri, GError **error)
{
    struct vmmig_session *session;
    bool good = role == VMMIG_SOURCE ? vm_check_outgoing(migration->vm, error)
                                     : vm_check_incoming(migration->vm, error);

    if (!good)
        return false;
    session = vmmig_session_new(vm_get_vmmig(migration->vm), role, error);
    if (!session)
        return false;
    pthread_mutex_lock(&migration->mutex);
    good = vmmig_session_start(session, uri, error);
    if (good) {
        vmmig_session_unref(migration->session);
        migration->session = vmmig_session_ref(session);
        migration->role = role;
    }
    pthread_mutex_unlock(&migration->mutex);
    vmmig_session_unref(session);
    return good;
}

struct vmmig_session *migration_get_session(struct migration *migration,
                                            uint32_t *ret_role)
{
    struct vmmig_session *session;

    pthread_mutex_lock(&migration->mutex);
    session = vmmig_session_ref(migration->session);
    *ret_role = migration->role;
    pthread_mutex_unlock(&migration->mutex);
    return session;
}

bool migration_set_options(struct migration *migration, const char *settings,
                           GError **error)
{
    struct vmmig_session *session;
    uint32_t role;
    bool good;

    session = migration_get_session(migration, &role);
    good = !session ||
           vmmig_status_is_final(vmmig_session_get_status(session)) ||
           vmmig_options_parse(vmmig_session_get_options(session), settings,
                               error);
    vmmig_session_unref(session);
    return good && vmmig_options_parse(
                       vmmig_machine_get_options(vm_get_vmmig(migration->vm)),
                       settings, error);
}

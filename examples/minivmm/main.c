/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * minivmm: a small virtual machine monitor that can be migrated live.
 *
 * This file is its life: read the command line, make the virtual machine, serve
 * until somebody says that it is enough, and take everything down again. The
 * main thread makes and frees everything, and sleeps in between; it wakes for
 * signals, the end of a migration, and the progress line.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <glib.h>
#include <vmmigrate/vmmigrate.h>

#include "command-line.h"
#include "failure.h"
#include "guest-memory.h"
#include "machine.h"
#include "migration.h"
#include "progress.h"
#include "qmp-commands.h"
#include "qmp-server.h"
#include "serial.h"
#include "vm.h"

enum {
    EXIT_FAILED = 1,
    EXIT_COMMAND_LINE = 2,
    EXIT_CORRUPT = 3,
};

struct life {
    struct command_line line;
    struct guest_memory ram;
    struct serial *serial;
    struct vm *vm;
    struct migration *migration;
    struct qmp_context qmp_context;
    struct qmp_server *qmp; /* set once before others can see it; or NULL */
    struct progress *progress;
    int wake_fd, signal_fd;
    gint64 migrate_at_us; /* --migrate is still to be begun; 0: no */
    bool migrate_begun;
    atomic_bool quit;
    atomic_bool corrupt; /* the guest found wrong memory */
    atomic_bool vcpu_failed;
};

static int complain(GError *error)
{
    fprintf(stderr, "minivmm: %s\n", error->message);
    g_error_free(error);
    return EXIT_FAILED;
}

/* What other threads say */

static void wake(struct life *life)
{
    eventfd_write(life->wake_fd, 1);
}

static void emit(void *data, const char *event, const char *json)
{
    struct life *life = data;

    if (life->qmp)
        qmp_server_send_event(life->qmp, event, json);
}

static void migration_ended(void *data)
{
    wake(data);
}

static void begin_shutdown(struct life *life, const char *reason)
{
    char *json;

    if (atomic_exchange_explicit(&life->quit, true, memory_order_acq_rel))
        return;
    json = g_strdup_printf("{\"guest\": false, \"reason\": \"%s\"}", reason);
    emit(life, "SHUTDOWN", json);
    g_free(json);
    wake(life);
}

static void quit_by_command(void *data)
{
    begin_shutdown(data, "host-qmp-quit");
}

static void see_line(void *data, const char *line)
{
    struct life *life = data;
    guint64 gpa;
    char *json;

    if (!g_str_has_prefix(line, WORKLOAD_CORRUPT_PREFIX))
        return;
    gpa = g_ascii_strtoull(line + strlen(WORKLOAD_CORRUPT_PREFIX), NULL, 16);
    json = g_strdup_printf("{\"gpa\": %" G_GUINT64_FORMAT "}",
                           MIN(gpa, (guint64)G_MAXINT64));
    atomic_store_explicit(&life->corrupt, true, memory_order_relaxed);
    emit(life, "GUEST_CORRUPT", json);
    g_free(json);
}

static void see_vcpu_fail(void *data, const char *reason)
{
    struct life *life = data;

    fprintf(stderr, "minivmm: %s\n", reason);
    atomic_store_explicit(&life->vcpu_failed, true, memory_order_relaxed);
}

/* Birth */

static const struct machine_ops *choose_machine(enum machine_kind kind,
                                                GError **error)
{
    const struct machine_ops *kvm;

    switch (kind) {
    case MACHINE_NONE:
        return &machine_none;
    case MACHINE_SOFT:
        return &machine_soft;
    case MACHINE_KVM:
        return machine_find_kvm(error);
    case MACHINE_DEFAULT:
        kvm = machine_find_kvm(NULL);
        return kvm ? kvm : &machine_soft;
    }
    g_return_val_if_reached(NULL);
}

/* Signals arrive in a descriptor, and in no thread. */
static bool prepare_signals(struct life *life, GError **error)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    life->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    life->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (life->signal_fd < 0 || life->wake_fd < 0)
        return fail_errno(error, errno, "making descriptors");
    return true;
}

static bool make_vm(struct life *life, GError **error)
{
    const struct command_line *line = &life->line;
    struct vm_config config = {
        .ops = choose_machine(line->machine, error),
        .machine =
            {
                .ram = &life->ram,
                .ram_id = line->ram_id,
                .vcpu_count = line->vcpu_count,
                .is_incoming = line->incoming != NULL,
                .opaque = line->opaque,
                .serial = life->serial,
                .vcpu_failed = see_vcpu_fail,
                .data = life,
            },
        .uuid = line->uuid,
        .settings = line->settings,
        .paused = line->paused,
        .emit = emit,
        .data = life,
    };

    if (!config.ops)
        return false;
    if (line->has_workload || config.ops != &machine_none)
        config.machine.workload = &line->workload;
    life->vm = vm_new(&config, error);
    return life->vm != NULL;
}

static bool make_migration(struct life *life, GError **error)
{
    struct migration_config config = {
        .vm = life->vm,
        .emit = emit,
        .ended = migration_ended,
        .data = life,
    };

    life->migration = migration_new(&config, error);
    return life->migration != NULL;
}

static bool make_qmp(struct life *life, GError **error)
{
    if (!life->line.qmp_path)
        return true;
    life->qmp_context = (struct qmp_context){.vm = life->vm,
                                             .migration = life->migration,
                                             .quit = quit_by_command,
                                             .data = life};
    life->qmp = qmp_server_new(life->line.qmp_path, qmp_commands,
                               &life->qmp_context, qmp_version(), error);
    return life->qmp != NULL;
}

static bool make(struct life *life, GError **error)
{
    const struct command_line *line = &life->line;

    if (!prepare_signals(life, error) ||
        !guest_memory_map(&life->ram, line->ram_kind, line->ram_id,
                          line->ram_file, line->memory_bytes, error))
        return false;
    life->serial = serial_new(line->serial, see_line, life, error);
    if (!life->serial)
        return false;
    if (line->progress)
        life->progress = progress_new();
    return make_vm(life, error) && make_migration(life, error) &&
           make_qmp(life, error);
}

static void say_where(struct life *life)
{
    uint32_t role;
    struct vmmig_session *session =
        migration_get_session(life->migration, &role);
    char *address = vmmig_session_get_address(session);

    fprintf(stderr, "minivmm: waiting for a guest at %s\n", address);
    vmmig_free(address);
    vmmig_session_unref(session);
}

static bool begin(struct life *life, GError **error)
{
    const struct command_line *line = &life->line;

    if (line->incoming) {
        if (strcmp(line->incoming, "defer") == 0)
            return true;
        if (!migration_start(life->migration, VMMIG_DESTINATION, line->incoming,
                             error))
            return false;
        say_where(life);
        return true;
    }
    if (line->migrate)
        life->migrate_at_us =
            g_get_monotonic_time() + (gint64)line->migrate_after_ms * 1000;
    return line->paused || vm_cont(life->vm, error);
}

/* Days */

/* Until when the main thread may sleep, in ms; -1: until it is woken. */
static int get_pause_ms(const struct life *life)
{
    int pause_ms = life->progress ? PROGRESS_INTERVAL_MS : -1;
    gint64 left_us;

    if (life->migrate_at_us != 0) {
        left_us = MAX(0, life->migrate_at_us - g_get_monotonic_time());
        if (pause_ms < 0 || left_us / 1000 < pause_ms)
            pause_ms = (int)((left_us + 999) / 1000);
    }
    return pause_ms;
}

static void sleep_until_woken(struct life *life)
{
    struct pollfd fds[] = {{.fd = life->wake_fd, .events = POLLIN},
                           {.fd = life->signal_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    eventfd_t value;

    if (poll(fds, G_N_ELEMENTS(fds), get_pause_ms(life)) <= 0)
        return;
    if (fds[0].revents)
        eventfd_read(life->wake_fd, &value);
    if (fds[1].revents && read(life->signal_fd, &info, sizeof info) > 0)
        begin_shutdown(life, "host-signal");
}

static bool begin_migration(struct life *life, GError **error)
{
    if (life->migrate_at_us == 0 ||
        g_get_monotonic_time() < life->migrate_at_us)
        return true;
    life->migrate_at_us = 0;
    life->migrate_begun = migration_start(life->migration, VMMIG_SOURCE,
                                          life->line.migrate, error);
    return life->migrate_begun;
}

/*
 * The end of a migration is the end of the program where that is all it was to
 * do: once the guest has left by --migrate, and when a migration has failed and
 * there is no QMP by which it could be told to try again.
 */
static bool is_done(struct life *life, int *exit_status)
{
    struct vmmig_session *session;
    uint32_t role, status = VMMIG_STATUS_NONE;
    bool done = false;

    session = migration_get_session(life->migration, &role);
    if (session)
        status = vmmig_session_get_status(session);
    if (life->progress)
        progress_show(life->progress, session, role);
    vmmig_session_unref(session);
    if (!vmmig_status_is_final(status))
        return false;
    if (status == VMMIG_STATUS_COMPLETED) {
        done = life->migrate_begun && role == VMMIG_SOURCE;
    } else if (!life->qmp) {
        done = true;
        *exit_status = EXIT_FAILED;
    }
    return done;
}

static int live(struct life *life)
{
    GError *error = NULL;
    int exit_status = EXIT_SUCCESS;

    while (!is_done(life, &exit_status) &&
           !atomic_load_explicit(&life->quit, memory_order_acquire)) {
        if (!begin_migration(life, &error)) {
            exit_status = complain(error);
            error = NULL;
            if (!life->qmp)
                break;
        }
        sleep_until_woken(life);
    }
    begin_shutdown(life, "host-ui");
    return exit_status;
}

/* Death */

static int end(struct life *life, int exit_status)
{
    struct workload_counters counters = {0};
    GError *error = NULL;

    qmp_server_stop(life->qmp);
    if (life->vm && !vm_close(life->vm, &error)) {
        /* Threads still use what would be freed. */
        complain(error);
        fflush(NULL);
        _exit(EXIT_FAILED);
    }
    migration_free(life->migration);
    if (life->vm)
        vm_get_counters(life->vm, &counters);
    vm_free(life->vm);
    qmp_server_free(life->qmp);
    progress_free(life->progress);
    serial_free(life->serial);
    guest_memory_unmap(&life->ram);
    if (life->signal_fd >= 0)
        close(life->signal_fd);
    if (life->wake_fd >= 0)
        close(life->wake_fd);
    if (atomic_load_explicit(&life->corrupt, memory_order_relaxed) ||
        counters.errors > 0)
        return EXIT_CORRUPT;
    if (atomic_load_explicit(&life->vcpu_failed, memory_order_relaxed))
        return EXIT_FAILED;
    return exit_status;
}

int main(int argc, char **argv)
{
    struct life life = {
        .ram = GUEST_MEMORY_INIT, .wake_fd = -1, .signal_fd = -1};
    GError *error = NULL;
    int exit_status = EXIT_SUCCESS;

    switch (command_line_parse(&life.line, argc, argv, &error)) {
    case COMMAND_LINE_RUN:
        if (!make(&life, &error) || !begin(&life, &error) ||
            (life.qmp && !qmp_server_start(life.qmp, &error))) {
            bool is_wrong = vmmig_error_code(error) == VMMIG_ERROR_INVALID;

            complain(error);
            exit_status = is_wrong ? EXIT_COMMAND_LINE : EXIT_FAILED;
        } else {
            exit_status = live(&life);
        }
        exit_status = end(&life, exit_status);
        break;
    case COMMAND_LINE_SHOWN:
        break;
    case COMMAND_LINE_WRONG:
        complain(error);
        exit_status = EXIT_COMMAND_LINE;
        break;
    }
    command_line_clear(&life.line);
    return exit_status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vCPUs that are threads; see workers.h. */
#include "workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "failure.h"

struct worker {
    struct workers *workers;
    pthread_t thread;
    uint32_t number;
};

struct workers {
    struct workers_config config;
    struct workload workload;
    uint32_t running; /* how many threads there are; the owner's */
    atomic_bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* lock: mutex; `stop` was set */
    struct worker members[WORKLOAD_MAX_WORKERS];
};

static uint64_t now_ns(void *data, uint32_t worker)
{
    struct workers *workers = data;

    return machine_clock_now_ns(workers->config.clock);
}

static void emit(void *data, const char *text, size_t length_bytes)
{
    struct workers *workers = data;

    serial_write(workers->config.serial, text, length_bytes);
}

static bool should_stop(void *data, uint32_t worker)
{
    struct workers *workers = data;

    return atomic_load_explicit(&workers->stop, memory_order_relaxed);
}

static void wait_ns(void *data, uint32_t worker, uint64_t duration_ns)
{
    struct workers *workers = data;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    duration_ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(duration_ns / 1000000000);
    until.tv_nsec = (long)(duration_ns % 1000000000);
    pthread_mutex_lock(&workers->mutex);
    while (!should_stop(workers, worker) &&
           pthread_cond_timedwait(&workers->wake, &workers->mutex, &until) == 0)
        continue;
    pthread_mutex_unlock(&workers->mutex);
}

static void mark_written(void *data, uint32_t area, uint64_t offset_bytes,
                         uint64_t length_bytes)
{
    struct workers *workers = data;

    workers->config.mark_written(workers->config.data, area, offset_bytes,
                                 length_bytes);
}

static const struct workload_hooks hooks = {
    .now_ns = now_ns,
    .emit = emit,
    .wait = wait_ns,
    .mark_written = mark_written,
    .should_stop = should_stop,
};

struct workers *workers_new(const struct workers_config *config)
{
    struct workers *workers = g_new0(struct workers, 1);
    pthread_condattr_t attributes;

    workers->config = *config;
    workers->workload = (struct workload){.ram = config->ram,
                                          .ledger = config->ledger,
                                          .ram_bytes = config->ram_bytes,
                                          .ledger_bytes = config->ledger_bytes,
                                          .hooks = &hooks,
                                          .data = workers};
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return workers;
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    workers_stop(workers);
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->mutex);
    g_free(workers);
}

static void *run(void *data)
{
    struct worker *worker = data;

    workload_run(&worker->workers->workload, worker->number);
    return NULL;
}

bool workers_start(struct workers *workers, GError **error)
{
    char name[16];

    atomic_store_explicit(&workers->stop, false, memory_order_relaxed);
    while (workers->running < workers->config.count) {
        struct worker *worker = &workers->members[workers->running];
        int result;

        worker->workers = workers;
        worker->number = workers->running;
        result = pthread_create(&worker->thread, NULL, run, worker);
        if (result != 0) {
            workers_stop(workers);
            return fail_errno(error, result, "starting worker %u",
                              worker->number);
        }
        snprintf(name, sizeof name, "worker-%u", worker->number);
        pthread_setname_np(worker->thread, name);
        workers->running++;
    }
    return true;
}

void workers_stop(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    atomic_store_explicit(&workers->stop, true, memory_order_relaxed);
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->mutex);
    while (workers->running > 0)
        pthread_join(workers->members[--workers->running].thread, NULL);
}

const struct workload *workers_get_workload(const struct workers *workers)
{
    return &workers->workload;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support/toy-vm.h"

#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "io/channel-memory.h"

struct private {
    pthread_t guest;
    atomic_bool quit;
    pthread_mutex_t big_lock;
};

static struct private *private_of(struct toy_vm *vm)
{
    return vm->private;
}

/* The guest: a page at a time, then the mark. */
static void *guest_main(void *data)
{
    struct toy_vm *vm = data;
    uint64_t pages = vm->ram_bytes / TOY_PAGE;

    while (!atomic_load(&private_of(vm)->quit)) {
        if (atomic_load(&vm->guest_writes)) {
            uint64_t page = vm->cpu.counter * 7 % pages;

            memcpy(vm->ram + page * TOY_PAGE, &vm->cpu.counter,
                   sizeof vm->cpu.counter);
            vmmig_block_mark_dirty(vm->block, page * TOY_PAGE, 8);
            atomic_fetch_add(&vm->writes, 1);
        }
        vm->cpu.counter++;
        if (vm->cpu.counter % 64 == 0)
            g_usleep(100);
    }
    return NULL;
}

static void start_thread(struct toy_vm *vm)
{
    atomic_store(&private_of(vm)->quit, false);
    if (pthread_create(&private_of(vm)->guest, NULL, guest_main, vm) != 0)
        g_error("no thread for the guest");
    atomic_store(&vm->running, true);
}

static void stop_thread(struct toy_vm *vm)
{
    atomic_store(&private_of(vm)->quit, true);
    pthread_join(private_of(vm)->guest, NULL);
    atomic_store(&vm->running, false);
}

static void lock(void *host)
{
    struct toy_vm *vm = host;

    pthread_mutex_lock(&private_of(vm)->big_lock);
    atomic_fetch_add(&vm->locked, 1);
}

static void unlock(void *host)
{
    struct toy_vm *vm = host;

    atomic_fetch_sub(&vm->locked, 1);
    pthread_mutex_unlock(&private_of(vm)->big_lock);
}

static bool stop_guest(void *host, uint32_t why, vmmig_error **error)
{
    struct toy_vm *vm = host;

    if (atomic_load(&vm->refuse_stop))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "the toy will not");
    atomic_fetch_add(&vm->stops, 1);
    if (atomic_load(&vm->running))
        stop_thread(vm);
    return true;
}

static bool start_guest(void *host, uint32_t why, vmmig_error **error)
{
    struct toy_vm *vm = host;

    atomic_fetch_add(&vm->starts, 1);
    atomic_store(&vm->start_reason, why);
    if (atomic_load(&vm->running))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "it runs already");
    start_thread(vm);
    return true;
}

static bool acquire(void *host, uint32_t why, vmmig_error **error)
{
    struct toy_vm *vm = host;

    if (atomic_load(&vm->refuse_acquire))
        return vmmig_error_set(error, VMMIG_ERROR_BLOCKED,
                               "somebody else holds the lease");
    atomic_fetch_add(&vm->acquired, 1);
    atomic_store(&vm->owner, true);
    return true;
}

static bool release(void *host, vmmig_error **error)
{
    struct toy_vm *vm = host;

    if (atomic_load(&vm->refuse_release))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "the disk is busy");
    atomic_fetch_add(&vm->released, 1);
    atomic_store(&vm->owner, false);
    return true;
}

static void announce(void *host, uint32_t round)
{
    struct toy_vm *vm = host;

    atomic_fetch_add(&vm->announced, 1);
}

static void log_line(void *host, uint32_t level, const char *text)
{
}

/* The guest marks everything itself. */
static bool collect(void *source, vmmig_error **error)
{
    return true;
}

static const struct vmmig_field cpu_fields[] = {
    VMMIG_FIELD(VMMIG_U64, struct toy_cpu, counter),
    VMMIG_FIELD(VMMIG_U32, struct toy_cpu, flags),
};
static const struct vmmig_layout cpu_layout = VMMIG_LAYOUT(1, 1, cpu_fields);

struct toy_vm *toy_vm_new(uint32_t pages, bool source, bool has_lock)
{
    static const struct vmmig_dirty_source marks = {
        .struct_size = sizeof marks, .collect = collect};
    struct vmmig_host host = {
        .struct_size = sizeof host,
        .machine_name = "toy",
        .lock = has_lock ? lock : NULL,
        .unlock = has_lock ? unlock : NULL,
        .stop_guest = stop_guest,
        .start_guest = start_guest,
        .acquire_ownership = acquire,
        .release_ownership = release,
        .announce = announce,
        .log = log_line,
    };
    struct toy_vm *vm = g_new0(struct toy_vm, 1);
    struct vmmig_block_config block = {.struct_size = sizeof block,
                                       .name = "ram"};
    struct vmmig_device_config cpu = {.struct_size = sizeof cpu,
                                      .name = "toy-cpu",
                                      .layout = &cpu_layout,
                                      .data = &vm->cpu};
    vmmig_error *error = NULL;

    vm->private = g_new0(struct private, 1);
    pthread_mutex_init(&private_of(vm)->big_lock, NULL);
    vm->ram_bytes = (uint64_t)pages * TOY_PAGE;
    vm->ram = mmap(NULL, vm->ram_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm->ram == MAP_FAILED)
        g_error("no memory for the toy");
    for (uint64_t i = 0; source && i < pages; i++) {
        if (i % 3 != 0) /* every third page is zero */
            memset(vm->ram + i * TOY_PAGE, (int)(i % 255 + 1), TOY_PAGE);
    }
    vm->owner = source;
    vm->cpu.flags = source ? 0x5a5a5a5a : 0;
    block.host_address = vm->ram;
    block.length_bytes = vm->ram_bytes;
    vm->machine = vmmig_machine_new(&host, vm, NULL, &error);
    if (!vm->machine ||
        !(vm->block = vmmig_machine_add_block(vm->machine, &block, &error)) ||
        !vmmig_machine_add_device(vm->machine, &cpu, &error) ||
        !vmmig_machine_add_dirty_source(vm->machine, &marks, NULL, NULL,
                                        &error))
        g_error("toy: %s", vmmig_error_message(error));
    return vm;
}

void toy_vm_free(struct toy_vm *vm)
{
    vmmig_error *error = NULL;

    if (!vmmig_machine_close(vm->machine, 20000, &error))
        g_error("toy: %s", vmmig_error_message(error));
    vmmig_machine_unref(vm->machine);
    if (atomic_load(&vm->running))
        stop_thread(vm);
    munmap(vm->ram, vm->ram_bytes);
    pthread_mutex_destroy(&private_of(vm)->big_lock);
    g_free(vm->private);
    g_free(vm);
}

void toy_vm_run(struct toy_vm *vm)
{
    start_thread(vm);
}

static struct vmmig_session *session_over(struct toy_vm *vm, uint32_t role,
                                          struct vmmig_channel *channel)
{
    vmmig_error *error = NULL;
    struct vmmig_session *session =
        vmmig_session_new(vm->machine, role, &error);

    if (!session ||
        !vmmig_options_parse(vmmig_session_get_options(session),
                             "max-bandwidth=0", &error) ||
        !vmmig_session_add_channel(session, channel, &error))
        g_error("toy: %s", vmmig_error_message(error));
    vmmig_channel_unref(channel);
    return session;
}

void toy_connect(struct toy_vm *from, struct toy_vm *to,
                 struct vmmig_session **ret_source,
                 struct vmmig_session **ret_destination)
{
    struct vmmig_channel *ends[2];

    vmmig__channel_new_pair(NULL, NULL, ends);
    *ret_source = session_over(from, VMMIG_SOURCE, ends[0]);
    *ret_destination = session_over(to, VMMIG_DESTINATION, ends[1]);
}

void toy_start(struct vmmig_session *source, struct vmmig_session *destination)
{
    vmmig_error *error = NULL;

    if (!vmmig_session_start(destination, "host:", &error) ||
        !vmmig_session_start(source, "host:", &error))
        g_error("toy: %s", vmmig_error_message(error));
}

bool toy_wait(struct vmmig_session *session, vmmig_error **error)
{
    return vmmig_session_wait(session, 20000, error);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support/toy-vm.h"

#include <check.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "io/channel-memory.h"

struct private {
    pthread_t guest;
    atomic_bool quit;
    pthread_mutex_t big_lock;
    bool has_lock;
    pthread_mutex_t events_lock;
    GArray *events; /* of struct toy_event */
};

/* Of this thread: whether it is mig/host, and whose big lock it holds. */
static __thread bool on_host_thread;
static __thread struct toy_vm *locked_by_me;

static struct private *private_of(const struct toy_vm *vm)
{
    return vm->private;
}

static void spy(struct toy_vm *vm, const char *callback)
{
    void (*call)(struct toy_vm *vm, const char *callback, void *data) =
        atomic_load(&vm->spy);

    if (call)
        call(vm, callback, atomic_load(&vm->spy_data));
}

void toy_be_host_thread(void)
{
    on_host_thread = true;
}

bool toy_is_host_thread(void)
{
    return on_host_thread;
}

static void expect_host_thread(struct toy_vm *vm, const char *callback)
{
    if (!on_host_thread || locked_by_me)
        g_error("%s: not on the host thread, or under a lock", callback);
    spy(vm, callback);
}

static void expect_locked(struct toy_vm *vm, const char *callback)
{
    if (private_of(vm)->has_lock ? locked_by_me != vm : !on_host_thread)
        g_error("%s: without the host's lock", callback);
    spy(vm, callback);
}

static void expect_unlocked(struct toy_vm *vm, const char *callback)
{
    if (locked_by_me || on_host_thread)
        g_error("%s: under the host's lock, or on the host thread", callback);
    spy(vm, callback);
}

/* -- the guest -------------------------------------------------------------- */

/* Guest memory is read while it is written: that is what marks are for, and
 * ThreadSanitizer need not know. */
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize_thread, noinline))
#endif
static void write_memory(uint8_t *place, uint64_t value)
{
    *(volatile uint64_t *)(void *)place = value;
}

/* A page at a time, then the mark. */
static void *guest_main(void *data)
{
    struct toy_vm *vm = data;
    uint64_t pages = vm->ram_bytes / TOY_PAGE;

    while (!atomic_load(&private_of(vm)->quit)) {
        if (atomic_load(&vm->guest_writes)) {
            uint64_t page = vm->cpu.counter * 7 % pages;

            write_memory(vm->ram + page * TOY_PAGE, vm->cpu.counter);
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
    if (vm->peer && atomic_load(&vm->peer->running))
        g_error("two machines run the guest");
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

void toy_vm_run(struct toy_vm *vm)
{
    start_thread(vm);
}

void toy_vm_stop(struct toy_vm *vm)
{
    stop_thread(vm);
}

/* -- the host --------------------------------------------------------------- */

static void lock(void *host)
{
    struct toy_vm *vm = host;

    pthread_mutex_lock(&private_of(vm)->big_lock);
    if (locked_by_me)
        g_error("the host's lock is taken twice");
    locked_by_me = vm;
    atomic_fetch_add(&vm->locked, 1);
    atomic_fetch_add(&vm->lock_count, 1);
}

static void unlock(void *host)
{
    struct toy_vm *vm = host;

    atomic_fetch_sub(&vm->locked, 1);
    locked_by_me = NULL;
    pthread_mutex_unlock(&private_of(vm)->big_lock);
}

static bool stop_guest(void *host, uint32_t why, vmmig_error **error)
{
    struct toy_vm *vm = host;

    expect_host_thread(vm, "stop_guest");
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

    expect_host_thread(vm, "start_guest");
    if (!atomic_load(&vm->owner))
        g_error("start_guest: without the lease");
    if (vm->net.quiet)
        g_error("start_guest: toy-net is still quiet");
    if (atomic_load(&vm->refuse_start))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "out of vCPUs");
    atomic_fetch_add(&vm->starts, 1);
    atomic_store(&vm->start_reason, why);
    if (atomic_load(&vm->running))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "it runs already");
    if (!atomic_load(&vm->paused))
        start_thread(vm);
    return true;
}

static bool is_running(void *host)
{
    struct toy_vm *vm = host;

    return !atomic_load(&vm->paused);
}

static bool acquire(void *host, uint32_t why, vmmig_error **error)
{
    struct toy_vm *vm = host;

    expect_host_thread(vm, "acquire_ownership");
    if (atomic_load(&vm->refuse_acquire))
        return vmmig_error_set(error, VMMIG_ERROR_BLOCKED,
                               "somebody else holds the lease");
    if (vm->peer && atomic_load(&vm->peer->owner))
        g_error("two machines hold the lease");
    atomic_fetch_add(&vm->acquired, 1);
    atomic_store(&vm->owner, true);
    return true;
}

static bool release(void *host, vmmig_error **error)
{
    struct toy_vm *vm = host;

    expect_host_thread(vm, "release_ownership");
    if (atomic_load(&vm->running))
        g_error("release_ownership: the guest runs");
    if (atomic_load(&vm->refuse_release))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "the disk is busy");
    atomic_fetch_add(&vm->released, 1);
    atomic_store(&vm->owner, false);
    return true;
}

static void announce(void *host, uint32_t round)
{
    struct toy_vm *vm = host;

    expect_host_thread(vm, "announce");
    atomic_fetch_add(&vm->announced, 1);
}

static void thread_hook(void *host, const char *name, bool starts)
{
    struct toy_vm *vm = host;

    if (strcmp(name, "mig/host") == 0)
        on_host_thread = starts;
    spy(vm, starts ? "thread_hook starts" : "thread_hook ends");
}

static void log_line(void *host, uint32_t level, const char *text)
{
}

/* -- the dirty log ---------------------------------------------------------- */

/* The guest marks everything itself. */
static bool collect(void *source, vmmig_error **error)
{
    expect_unlocked(source, "collect");
    return true;
}

static void give_back(void *source, struct vmmig_block *block,
                      uint64_t first_page, const uint64_t *words,
                      uint64_t page_count)
{
    struct toy_vm *vm = source;

    for (uint64_t i = 0; i < (page_count + 63) / 64; i++)
        atomic_fetch_add(&vm->give_backs,
                         (unsigned)__builtin_popcountll(words[i]));
}

/* -- toy-cpu: a layout ------------------------------------------------------ */

static const struct vmmig_field cpu_fields[] = {
    VMMIG_FIELD(VMMIG_U64, struct toy_cpu, counter),
    VMMIG_FIELD(VMMIG_U32, struct toy_cpu, flags),
};
static const struct vmmig_layout cpu_layout = VMMIG_LAYOUT(1, 1, cpu_fields);

/* -- toy-net: functions ----------------------------------------------------- */

static bool net_quiesce(void *device, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_host_thread(vm, "quiesce");
    if (atomic_load(&vm->running))
        g_error("quiesce: the guest runs");
    if (atomic_load(&vm->refuse_quiesce))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "a packet is stuck");
    atomic_fetch_add(&vm->quiesced, 1);
    vm->net.quiet = true;
    return true;
}

static bool net_unquiesce(void *device, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_host_thread(vm, "unquiesce");
    if (!vm->net.quiet)
        g_error("unquiesce: it was not quiet");
    atomic_fetch_add(&vm->unquiesced, 1);
    vm->net.quiet = false;
    return true;
}

static bool net_save_state(void *device, struct vmmig_writer *out,
                           vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "save_state");
    if (!vm->net.quiet)
        g_error("save_state: not quiet");
    vmmig_writer_put_u32(out, vm->net.mac);
    return true;
}

static bool net_load(void *device, struct vmmig_reader *in, uint32_t version,
                     vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_unlocked(vm, "load");
    return vmmig_reader_get_u32(in, &vm->net.loaded_mac, error);
}

static bool net_post_load(void *device, uint32_t version, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "post_load");
    if (atomic_load(&vm->refuse_post_load))
        return vmmig_error_set(error, VMMIG_ERROR_INCOMPATIBLE,
                               "this cable does not fit");
    vm->net.mac = vm->net.loaded_mac;
    return true;
}

static bool net_activate(void *device, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "activate");
    if (!atomic_load(&vm->owner))
        g_error("activate: without the lease");
    vm->net.active = true;
    vm->net.quiet = false;
    return true;
}

static const struct vmmig_device_ops net_ops = {
    .struct_size = sizeof net_ops,
    .quiesce = net_quiesce,
    .unquiesce = net_unquiesce,
    .save_state = net_save_state,
    .load = net_load,
    .post_load = net_post_load,
    .activate = net_activate,
};

/* -- toy-disk: live --------------------------------------------------------- */

static bool disk_save_prepare(void *device, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "save_prepare");
    return true;
}

static bool disk_save_setup(void *device, struct vmmig_writer *out,
                            vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "save_setup");
    if (atomic_load(&vm->refuse_setup))
        return vmmig_error_set(error, VMMIG_ERROR_HOST, "the disk is on fire");
    vm->disk.sent = 0;
    vm->disk.complete = false;
    vmmig_writer_put_u32(out, sizeof vm->disk.sectors);
    return true;
}

static bool disk_query(void *device, bool exact,
                       struct vmmig_pending *ret_pending, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_unlocked(vm, "save_query_pending");
    ret_pending->precopy_bytes = sizeof vm->disk.sectors - vm->disk.sent;
    return true;
}

static void disk_put(struct toy_vm *vm, struct vmmig_writer *out,
                     uint32_t count)
{
    vmmig_writer_put_u32(out, count);
    vmmig_writer_put_bytes(out, vm->disk.sectors + vm->disk.sent, count);
    vm->disk.sent += count;
}

static bool disk_save_iterate(void *device, struct vmmig_writer *out,
                              uint64_t budget_bytes, bool *ret_done,
                              vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_unlocked(vm, "save_iterate");
    disk_put(vm, out,
             MIN(4, (uint32_t)sizeof vm->disk.sectors - vm->disk.sent));
    *ret_done = vm->disk.sent == sizeof vm->disk.sectors;
    return true;
}

static bool disk_save_complete(void *device, struct vmmig_writer *out,
                               vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_unlocked(vm, "save_complete");
    if (atomic_load(&vm->running))
        g_error("save_complete: the guest runs");
    disk_put(vm, out, (uint32_t)sizeof vm->disk.sectors - vm->disk.sent);
    vm->disk.complete = true;
    return true;
}

static void disk_save_cleanup(void *device)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "save_cleanup");
    atomic_fetch_add(&vm->save_cleanups, 1);
}

static bool disk_load_setup(void *device, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "load_setup");
    vm->disk.sent = 0;
    vm->disk.complete = false;
    return true;
}

static bool disk_load(void *device, struct vmmig_reader *in, uint32_t version,
                      vmmig_error **error)
{
    struct toy_vm *vm = device;
    uint32_t phase = vmmig_reader_get_phase(in);
    uint32_t room = (uint32_t)sizeof vm->disk.loaded - vm->disk.sent;
    uint32_t count;

    expect_unlocked(vm, "load");
    if (phase == VMMIG_PHASE_SETUP)
        return vmmig_reader_expect_u32(in, sizeof vm->disk.loaded,
                                       "size of the disk", error);
    if (!vmmig_reader_get_u32_up_to(in, room, &count, error) ||
        !vmmig_reader_get_bytes(in, vm->disk.loaded + vm->disk.sent, count,
                                error))
        return false;
    vm->disk.sent += count;
    vm->disk.complete = phase == VMMIG_PHASE_COMPLETE;
    return true;
}

static bool disk_post_load(void *device, uint32_t version, vmmig_error **error)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "post_load");
    memcpy(vm->disk.sectors, vm->disk.loaded, sizeof vm->disk.sectors);
    return true;
}

static void disk_load_cleanup(void *device)
{
    struct toy_vm *vm = device;

    expect_locked(vm, "load_cleanup");
    atomic_fetch_add(&vm->load_cleanups, 1);
}

static const struct vmmig_device_ops disk_ops = {
    .struct_size = sizeof disk_ops,
    .save_prepare = disk_save_prepare,
    .save_setup = disk_save_setup,
    .save_query_pending = disk_query,
    .save_iterate = disk_save_iterate,
    .save_complete = disk_save_complete,
    .save_cleanup = disk_save_cleanup,
    .load_setup = disk_load_setup,
    .load = disk_load,
    .post_load = disk_post_load,
    .load_cleanup = disk_load_cleanup,
};

/* -- life ------------------------------------------------------------------- */

static void listen(void *data, const struct vmmig_event *event)
{
    struct toy_vm *vm = data;
    struct toy_event copy = {
        .session = event->session,
        .number = event->number,
        .type = event->type,
        .status = event->status,
        .owner = event->owner,
        .reason = event->reason,
        .has_error = event->error != NULL,
    };

    if (!on_host_thread || locked_by_me)
        g_error("an event: not on the host thread");
    pthread_mutex_lock(&private_of(vm)->events_lock);
    g_array_append_val(private_of(vm)->events, copy);
    pthread_mutex_unlock(&private_of(vm)->events_lock);
    spy(vm, "event");
}

GArray *toy_vm_events(struct toy_vm *vm)
{
    GArray *copy;

    pthread_mutex_lock(&private_of(vm)->events_lock);
    copy = g_array_copy(private_of(vm)->events);
    pthread_mutex_unlock(&private_of(vm)->events_lock);
    return copy;
}

/* Anonymous memory between two pages that nobody may touch. */
static uint8_t *guarded_new(uint64_t length_bytes)
{
    uint8_t *all = mmap(NULL, length_bytes + 2 * TOY_PAGE, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (all == MAP_FAILED ||
        mprotect(all + TOY_PAGE, length_bytes, PROT_READ | PROT_WRITE) < 0)
        g_error("no memory for the toy");
    return all + TOY_PAGE;
}

static void guarded_free(uint8_t *memory, uint64_t length_bytes)
{
    munmap(memory - TOY_PAGE, length_bytes + 2 * TOY_PAGE);
}

static void fill(struct toy_vm *vm)
{
    for (uint64_t i = 0; i < vm->ram_bytes / TOY_PAGE; i++) {
        if (i % 3 != 0) /* every third page is zero */
            memset(vm->ram + i * TOY_PAGE, (int)(i % 255 + 1), TOY_PAGE);
    }
    for (size_t i = 0; i < sizeof vm->disk.sectors; i++)
        vm->disk.sectors[i] = (uint8_t)(i + 100);
    vm->cpu.flags = 0x5a5a5a5a;
    vm->net.mac = 0x020304ff;
}

static void add_parts(struct toy_vm *vm)
{
    static const struct vmmig_dirty_source marks = {
        .struct_size = sizeof marks,
        .collect = collect,
        .give_back = give_back};
    struct vmmig_block_config block = {
        .struct_size = sizeof block,
        .name = "ram",
        .host_address = vm->ram,
        .length_bytes = vm->ram_bytes,
    };
    const struct vmmig_device_config devices[] = {
        {.struct_size = sizeof devices[0], .name = "toy-cpu",
         .layout = &cpu_layout, .data = &vm->cpu},
        {.struct_size = sizeof devices[0], .name = "toy-net", .version = 1,
         .ops = &net_ops, .data = vm},
        {.struct_size = sizeof devices[0], .name = "toy-disk", .version = 1,
         .ops = &disk_ops, .data = vm},
    };
    vmmig_error *error = NULL;

    vm->block = vmmig_machine_add_block(vm->machine, &block, &error);
    for (size_t i = 0; vm->block && i < G_N_ELEMENTS(devices); i++) {
        if (!vmmig_machine_add_device(vm->machine, &devices[i], &error))
            g_error("toy: %s", vmmig_error_message(error));
    }
    if (!vm->block ||
        !vmmig_machine_add_dirty_source(vm->machine, &marks, vm, NULL,
                                        &error) ||
        !vmmig_machine_add_listener(vm->machine, listen, vm, NULL, NULL,
                                    &error))
        g_error("toy: %s", vmmig_error_message(error));
}

struct toy_vm *toy_vm_new(uint32_t pages, bool source, bool has_lock)
{
    struct vmmig_host host = {
        .struct_size = sizeof host,
        .machine_name = "toy",
        .lock = has_lock ? lock : NULL,
        .unlock = has_lock ? unlock : NULL,
        .stop_guest = stop_guest,
        .start_guest = start_guest,
        .is_running = is_running,
        .acquire_ownership = acquire,
        .release_ownership = release,
        .announce = announce,
        .thread_hook = thread_hook,
        .log = log_line,
    };
    struct toy_vm *vm = g_new0(struct toy_vm, 1);
    vmmig_error *error = NULL;

    vm->private = g_new0(struct private, 1);
    pthread_mutex_init(&private_of(vm)->big_lock, NULL);
    pthread_mutex_init(&private_of(vm)->events_lock, NULL);
    private_of(vm)->events = g_array_new(FALSE, FALSE, sizeof(struct toy_event));
    private_of(vm)->has_lock = has_lock;
    vm->ram_bytes = (uint64_t)pages * TOY_PAGE;
    vm->ram = guarded_new(vm->ram_bytes);
    vm->owner = source;
    if (source)
        fill(vm);
    vm->machine = vmmig_machine_new(&host, vm, NULL, &error);
    if (!vm->machine)
        g_error("toy: %s", vmmig_error_message(error));
    add_parts(vm);
    return vm;
}

void toy_vm_free(struct toy_vm *vm)
{
    vmmig_error *error = NULL;

    if (!vmmig_machine_close(vm->machine, 20000, &error))
        g_error("toy: %s", vmmig_error_message(error));
    if (atomic_load(&vm->running))
        stop_thread(vm);
    vmmig_machine_unref(vm->machine);
    if (vm->peer)
        vm->peer->peer = NULL;
    guarded_free(vm->ram, vm->ram_bytes);
    pthread_mutex_destroy(&private_of(vm)->big_lock);
    pthread_mutex_destroy(&private_of(vm)->events_lock);
    g_array_unref(private_of(vm)->events);
    g_free(vm->private);
    g_free(vm);
}

void toy_vm_pair(struct toy_vm *one, struct toy_vm *other)
{
    one->peer = other;
    other->peer = one;
}

void toy_vm_assert_equal(const struct toy_vm *from, const struct toy_vm *to)
{
    ck_assert_uint_eq(from->ram_bytes, to->ram_bytes);
    ck_assert_mem_eq(from->ram, to->ram, from->ram_bytes);
    ck_assert_uint_eq(from->cpu.flags, to->cpu.flags);
    ck_assert_uint_eq(from->net.mac, to->net.mac);
    ck_assert_mem_eq(from->disk.sectors, to->disk.sectors,
                     sizeof from->disk.sectors);
}

/* -- sessions --------------------------------------------------------------- */

struct vmmig_session *toy_session(struct toy_vm *vm, uint32_t role,
                                  struct vmmig_channel *channel,
                                  const char *options)
{
    vmmig_error *error = NULL;
    struct vmmig_session *session =
        vmmig_session_new(vm->machine, role, &error);

    if (!session ||
        !vmmig_options_parse(vmmig_session_get_options(session),
                             "max-bandwidth=0", &error) ||
        !vmmig_options_parse(vmmig_session_get_options(session),
                             options ? options : "", &error) ||
        (channel && !vmmig_session_add_channel(session, channel, &error)))
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
    *ret_source = toy_session(from, VMMIG_SOURCE, ends[0], NULL);
    *ret_destination = toy_session(to, VMMIG_DESTINATION, ends[1], NULL);
}

void toy_start_one(struct vmmig_session *session, const char *uri)
{
    vmmig_error *error = NULL;

    if (!vmmig_session_start(session, uri, &error))
        g_error("toy: %s", vmmig_error_message(error));
}

void toy_start(struct vmmig_session *source, struct vmmig_session *destination)
{
    toy_start_one(destination, "host:");
    toy_start_one(source, "host:");
}

bool toy_wait(struct vmmig_session *session, vmmig_error **error)
{
    return vmmig_session_wait(session, 20000, error);
}

static void assert_completed(struct vmmig_session *session, const char *side)
{
    vmmig_error *error = NULL;

    ck_assert_msg(toy_wait(session, &error), "%s: %s", side,
                  error ? vmmig_error_message(error) : "");
}

void toy_migrate(struct toy_vm *from, struct toy_vm *to)
{
    struct vmmig_session *source, *destination;

    toy_connect(from, to, &source, &destination);
    toy_start(source, destination);
    assert_completed(destination, "destination");
    assert_completed(source, "source");
    ck_assert(!from->running);
    ck_assert(to->running);
    ck_assert(!from->owner);
    ck_assert(to->owner);
    ck_assert(to->net.active);
    ck_assert_uint_eq(to->start_reason, VMMIG_START_RUN);
    ck_assert_uint_eq(vmmig_session_get_owner(source), VMMIG_OWNER_PEER);
    ck_assert_uint_eq(vmmig_session_get_owner(destination), VMMIG_OWNER_HERE);
    /* A guest that writes over there is on its way to be different. */
    if (!atomic_load(&to->guest_writes))
        toy_vm_assert_equal(from, to);
    vmmig_session_unref(source);
    vmmig_session_unref(destination);
}

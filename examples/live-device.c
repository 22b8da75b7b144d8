/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two devices. A NOR flash has more state than a guest can stand still for, so
 * it is a live device: it sends sectors while they are being programmed, and
 * those again that were. A UART is nothing but fields, which the library writes
 * and reads by itself.
 *
 * Both move from one machine to another, here in one process and over a pair of
 * sockets that the program brings along.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmmigrate/vmmigrate.h>

enum { SECTORS = 1024, SECTOR_BYTES = 4096 };

struct flash {
    pthread_mutex_t lock;
    uint8_t sectors[SECTORS][SECTOR_BYTES]; /* lock */
    bool dirty[SECTORS];                    /* lock: not sent as it is now */
    uint32_t dirty_count;                   /* lock */
    uint32_t next; /* where to look for dirty ones; the migration's */
};

struct uart {
    uint16_t divisor;
    uint8_t line_control;
    bool interrupt; /* since version 2 */
    uint8_t fifo[16];
};

struct vm {
    struct flash flash;
    struct uart uart;
    pthread_t guest;
    atomic_bool runs;
    uint32_t programmed; /* the guest's: how many sectors */
    struct vmmig_machine *machine;
};

/* -- the flash, and how it is saved and loaded ---------------------------- */

static void flash_program(struct flash *flash, uint32_t sector, uint8_t value)
{
    pthread_mutex_lock(&flash->lock);
    memset(flash->sectors[sector], value, SECTOR_BYTES);
    flash->dirty_count += !flash->dirty[sector];
    flash->dirty[sector] = true;
    pthread_mutex_unlock(&flash->lock);
}

/* Copies the next dirty sector, so that nobody waits for the network with the
 * lock held; SECTORS if there is none. */
static uint32_t flash_take_dirty(struct flash *flash, uint8_t *copy)
{
    uint32_t found = SECTORS;

    pthread_mutex_lock(&flash->lock);
    for (uint32_t i = 0; i < SECTORS && found == SECTORS; i++) {
        if (flash->dirty[(flash->next + i) % SECTORS])
            found = (flash->next + i) % SECTORS;
    }
    if (found < SECTORS) {
        memcpy(copy, flash->sectors[found], SECTOR_BYTES);
        flash->dirty[found] = false;
        flash->dirty_count--;
        flash->next = found + 1;
    }
    pthread_mutex_unlock(&flash->lock);
    return found;
}

/* An attempt begins: the other side has nothing yet. */
static bool flash_save_setup(void *data, struct vmmig_writer *out,
                             vmmig_error **error)
{
    struct flash *flash = data;

    pthread_mutex_lock(&flash->lock);
    memset(flash->dirty, true, sizeof flash->dirty);
    flash->dirty_count = SECTORS;
    pthread_mutex_unlock(&flash->lock);
    /* A writer keeps its first error: there is nothing to check. */
    vmmig_writer_put_u32(out, SECTORS);
    return true;
}

static bool flash_query_pending(void *data, bool exact,
                                struct vmmig_pending *ret_pending,
                                vmmig_error **error)
{
    struct flash *flash = data;

    pthread_mutex_lock(&flash->lock);
    ret_pending->precopy_bytes = (uint64_t)flash->dirty_count * SECTOR_BYTES;
    pthread_mutex_unlock(&flash->lock);
    return true;
}

/* Sectors, each behind its number; SECTORS is the end of a section. */
static bool flash_iterate(void *data, struct vmmig_writer *out,
                          uint64_t budget_bytes, bool *ret_done,
                          vmmig_error **error)
{
    struct flash *flash = data;
    uint8_t copy[SECTOR_BYTES];
    uint32_t sector = 0;

    while (budget_bytes >= SECTOR_BYTES && sector < SECTORS) {
        sector = flash_take_dirty(flash, copy);
        if (sector < SECTORS) {
            vmmig_writer_put_u32(out, sector);
            vmmig_writer_put_bytes(out, copy, SECTOR_BYTES);
            budget_bytes -= SECTOR_BYTES;
        }
    }
    vmmig_writer_put_u32(out, SECTORS);
    *ret_done = sector == SECTORS;
    return true;
}

static bool flash_save_complete(void *data, struct vmmig_writer *out,
                                vmmig_error **error)
{
    bool done;

    return flash_iterate(data, out, UINT64_MAX, &done, error);
}

static bool flash_load(void *data, struct vmmig_reader *in, uint32_t version,
                       vmmig_error **error)
{
    struct flash *flash = data;
    uint32_t sector;

    if (vmmig_reader_get_phase(in) == VMMIG_PHASE_SETUP)
        return vmmig_reader_expect_u32(in, SECTORS, "number of sectors", error);
    /* A number from the wire, and its limit beside it. */
    while (vmmig_reader_get_u32_up_to(in, SECTORS, &sector, error)) {
        if (sector == SECTORS)
            return true;
        if (!vmmig_reader_get_bytes(in, flash->sectors[sector], SECTOR_BYTES,
                                    error))
            return false;
    }
    return false;
}

static const struct vmmig_device_ops flash_ops = {
    .struct_size = sizeof flash_ops,
    .save_setup = flash_save_setup,
    .save_query_pending = flash_query_pending,
    .save_iterate = flash_iterate,
    .save_complete = flash_save_complete,
    .load = flash_load,
};

/* -- the UART ------------------------------------------------------------- */

static const struct vmmig_field uart_fields[] = {
    VMMIG_FIELD(VMMIG_U8, struct uart, line_control),
    VMMIG_FIELD(VMMIG_U8, struct uart, fifo), /* an array counts itself */
    VMMIG_FIELD(VMMIG_U16, struct uart, divisor),
    VMMIG_FIELD_SINCE(2, VMMIG_BOOL, struct uart, interrupt),
};
static const struct vmmig_layout uart_layout = VMMIG_LAYOUT(2, 1, uart_fields);

/* -- a guest that programs the flash all the time ------------------------- */

static uint8_t value_of(uint32_t programmed)
{
    return (uint8_t)(programmed % 251);
}

static void *run_guest(void *data)
{
    struct vm *vm = data;

    while (atomic_load(&vm->runs)) {
        uint32_t sector = vm->programmed++ % SECTORS;

        flash_program(&vm->flash, sector, value_of(vm->programmed));
        if (vm->programmed > SECTORS)
            usleep(200);
    }
    return NULL;
}

static bool start_guest(void *data, uint32_t why, vmmig_error **error)
{
    struct vm *vm = data;

    atomic_store(&vm->runs, true);
    return vmmig_error_check_errno(
        error, pthread_create(&vm->guest, NULL, run_guest, vm),
        "starting the guest");
}

static bool stop_guest(void *data, uint32_t why, vmmig_error **error)
{
    struct vm *vm = data;

    atomic_store(&vm->runs, false);
    return vmmig_error_check_errno(error, pthread_join(vm->guest, NULL),
                                   "stopping the guest");
}

static const struct vmmig_field guest_fields[] = {
    VMMIG_FIELD(VMMIG_U32, struct vm, programmed),
};
static const struct vmmig_layout guest_layout =
    VMMIG_LAYOUT(1, 1, guest_fields);

/* -- machines and the move ------------------------------------------------ */

static bool vm_init(struct vm *vm, vmmig_error **error)
{
    static const struct vmmig_host host = {
        .struct_size = sizeof host,
        .machine_name = "flash-board",
        .stop_guest = stop_guest,
        .start_guest = start_guest,
    };
    struct vmmig_device_config guest = {
        .struct_size = sizeof guest,
        .name = "guest",
        .layout = &guest_layout,
        .data = vm,
    };
    struct vmmig_device_config flash = {
        .struct_size = sizeof flash,
        .name = "nor-flash",
        .version = 1,
        .minimum_version = 1,
        .ops = &flash_ops,
        .data = &vm->flash,
    };
    struct vmmig_device_config uart = {
        .struct_size = sizeof uart,
        .name = "uart",
        .layout = &uart_layout,
        .data = &vm->uart,
    };

    pthread_mutex_init(&vm->flash.lock, NULL);
    vm->machine = vmmig_machine_new(&host, vm, NULL, error);
    return vm->machine &&
           vmmig_machine_add_device(vm->machine, &guest, error) &&
           vmmig_machine_add_device(vm->machine, &flash, error) &&
           vmmig_machine_add_device(vm->machine, &uart, error);
}

static void vm_finish(struct vm *vm)
{
    if (vm->machine)
        vmmig_machine_close(vm->machine, VMMIG_FOREVER, NULL);
    vmmig_machine_unref(vm->machine);
    if (atomic_load(&vm->runs))
        stop_guest(vm, VMMIG_STOP_COMMAND, NULL);
    pthread_mutex_destroy(&vm->flash.lock);
}

/* A session over a connection that the program made by itself. */
static struct vmmig_session *start_over(struct vm *vm, uint32_t role, int fd,
                                        vmmig_error **error)
{
    struct vmmig_channel *channel = vmmig_channel_new_fd(fd, error);
    struct vmmig_session *session =
        channel ? vmmig_session_new(vm->machine, role, error) : NULL;
    bool ok = session && vmmig_session_add_channel(session, channel, error) &&
              vmmig_session_start(session, "host:", error);

    vmmig_channel_unref(channel);
    return ok ? session : vmmig_session_unref(session);
}

static bool move(struct vm *from, struct vm *to, vmmig_error **error)
{
    struct vmmig_session *incoming, *outgoing = NULL;
    int ends[2];
    bool ok;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return vmmig_error_check_errno(error, errno, "making the sockets");
    incoming = start_over(to, VMMIG_DESTINATION, ends[0], error);
    if (incoming)
        outgoing = start_over(from, VMMIG_SOURCE, ends[1], error);
    else
        close(ends[1]);
    ok = outgoing && vmmig_session_wait(outgoing, VMMIG_FOREVER, error) &&
         vmmig_session_wait(incoming, VMMIG_FOREVER, error);
    vmmig_session_unref(outgoing);
    vmmig_session_unref(incoming);
    return ok;
}

/* Whether each sector has what the guest last programmed it with. */
static bool is_whole(const struct vm *vm)
{
    for (uint32_t ago = 0; ago < SECTORS && ago < vm->programmed; ago++) {
        uint32_t programmed = vm->programmed - ago;
        const uint8_t *sector = vm->flash.sectors[(programmed - 1) % SECTORS];

        if (sector[0] != value_of(programmed) ||
            memcmp(sector, sector + 1, SECTOR_BYTES - 1) != 0)
            return false;
    }
    return true;
}

int main(void)
{
    static struct vm from, to;
    vmmig_error *error = NULL;
    bool ok, whole = false;

    from.uart =
        (struct uart){.divisor = 12, .fifo = "hello", .interrupt = true};
    ok = vm_init(&from, &error) && vm_init(&to, &error) &&
         start_guest(&from, VMMIG_START_COMMAND, &error) &&
         move(&from, &to, &error) &&
         stop_guest(&to, VMMIG_STOP_COMMAND, &error);
    if (ok) {
        whole = is_whole(&to) && to.programmed >= from.programmed &&
                memcmp(&from.uart, &to.uart, sizeof to.uart) == 0;
        printf("%u sectors were programmed there, then %u here; the devices "
               "are %s\n",
               (unsigned)from.programmed,
               (unsigned)(to.programmed - from.programmed),
               whole ? "whole" : "BROKEN");
    } else {
        fprintf(stderr, "%s\n", vmmig_error_message(error));
        vmmig_error_free(error);
    }
    vm_finish(&from);
    vm_finish(&to);
    return whole ? 0 : 1;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that a VM must do to be migrated: stop and start on demand, and
 * say which memory it has, what state beside that, and who notices its writes.
 */
#include "toy.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    RAM_BYTES = TOY_PAGES * TOY_PAGE_BYTES,
    PAGE_WORDS = TOY_PAGE_BYTES / sizeof(uint64_t),
};

/* Some 7000 pages a second, once all have been filled: memory that changes
 * faster than it can be sent does not converge. */
enum { PAUSE_EVERY = 8, PAUSE_US = 1000 };

static void *run_vcpu(void *data)
{
    struct toy *toy = data;

    while (atomic_load(&toy->runs)) {
        toy->count++;
        toy->ram[toy->count % TOY_PAGES * PAGE_WORDS] = toy->count;
        if (toy->count > TOY_PAGES && toy->count % PAUSE_EVERY == 0)
            usleep(PAUSE_US);
    }
    return NULL;
}

bool toy_start_guest(void *data, uint32_t why, vmmig_error **error)
{
    struct toy *toy = data;
    int result;

    atomic_store(&toy->runs, true);
    result = pthread_create(&toy->vcpu, NULL, run_vcpu, toy);
    if (result != 0)
        atomic_store(&toy->runs, false);
    return vmmig_error_check_errno(error, result, "starting the vCPU");
}

/* Returns when nothing writes guest memory any more. */
bool toy_stop_guest(void *data, uint32_t why, vmmig_error **error)
{
    struct toy *toy = data;

    atomic_store(&toy->runs, false);
    return vmmig_error_check_errno(error, pthread_join(toy->vcpu, NULL),
                                   "stopping the vCPU");
}

static const struct vmmig_host host = {
    .struct_size = sizeof host,
    .machine_name = "toy",
    .stop_guest = toy_stop_guest,
    .start_guest = toy_start_guest,
};

/* The state of the vCPU, as a device that is nothing but fields. */
static const struct vmmig_field vcpu_fields[] = {
    VMMIG_FIELD(VMMIG_U64, struct toy, count),
};
static const struct vmmig_layout vcpu_layout = VMMIG_LAYOUT(1, 1, vcpu_fields);

static bool add_ram(struct toy *toy, vmmig_error **error)
{
    struct vmmig_block_config ram = {
        .struct_size = sizeof ram,
        .name = "ram",
        .host_address = toy->ram,
        .length_bytes = RAM_BYTES,
    };

    return vmmig_machine_add_block(toy->machine, &ram, error) != NULL;
}

static bool add_vcpu(struct toy *toy, vmmig_error **error)
{
    struct vmmig_device_config vcpu = {
        .struct_size = sizeof vcpu,
        .name = "toy-vcpu",
        .layout = &vcpu_layout,
        .data = toy,
    };

    return vmmig_machine_add_device(toy->machine, &vcpu, error) != NULL;
}

bool toy_init(struct toy *toy, vmmig_error **error)
{
    memset(toy, 0, sizeof *toy);
    toy->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (toy->ram == MAP_FAILED) {
        toy->ram = NULL;
        return vmmig_error_check_errno(error, errno, "allocating the memory");
    }
    toy->machine = vmmig_machine_new(&host, toy, NULL, error);
    /* The kernel notices every write, by whichever thread. A VM with a log of
     * its own, such as KVM's, adds that as a dirty source instead. */
    return toy->machine && add_ram(toy, error) && add_vcpu(toy, error) &&
           vmmig_machine_track_writes(toy->machine, error);
}

void toy_finish(struct toy *toy)
{
    if (toy->machine)
        vmmig_machine_close(toy->machine, VMMIG_FOREVER, NULL);
    vmmig_machine_unref(toy->machine);
    if (atomic_load(&toy->runs))
        toy_stop_guest(toy, VMMIG_STOP_COMMAND, NULL);
    if (toy->ram)
        munmap(toy->ram, RAM_BYTES);
}

bool toy_is_whole(const struct toy *toy)
{
    for (uint64_t page = 0; page < TOY_PAGES; page++) {
        /* How many counts ago the guest was at this page. */
        uint64_t ago = (toy->count + TOY_PAGES - page) % TOY_PAGES;
        uint64_t last = ago < toy->count ? toy->count - ago : 0;

        if (toy->ram[page * PAGE_WORDS] != last)
            return false;
    }
    return true;
}

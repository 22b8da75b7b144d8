/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtual machine of KVM with a thread for each vCPU; see kvm-machine.h,
 * which also has the thread rules.
 *
 * How a stop works. `running` becomes false, each vCPU's immediate_exit is set
 * and its thread gets a signal: whichever of the two finds it, KVM_RUN returns.
 * The thread does not park yet. An I/O exit is complete only when KVM_RUN was
 * entered once more (the kernel then writes what was read, and moves on), so it
 * enters with immediate_exit set until EINTR says that nothing is left; what
 * comes out meanwhile, the second half of a wide access, is handled as ever.
 * Only the vCPU's own thread clears immediate_exit, under the lock, when it
 * sees `running`: so no kick is lost between two runs.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kvm-machine.h"
#include "kvm-record.h"

#define NS_PER_S INT64_C(1000000000)
/* Below the LAPIC, above any RAM below 4 GiB that we would make. */
#define TSS_ADDRESS 0xfffbd000ul
#define MAX_VCPUS 255

struct vcpu {
    struct kvm_machine *machine;
    uint32_t index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool has_thread; /* the owner's */
    /* lock: */
    bool is_parked; /* out of KVM_RUN, its exit complete */
    bool has_failed;
};

struct kvm_machine {
    const struct kvm_machine_ops *ops;
    void *data;
    int kvm_fd, vm_fd;
    int kick_signal;
    size_t run_bytes;
    bool has_irqchip;
    struct kvm_vcpu_facts *facts;
    uint32_t vcpu_count;
    struct vcpu *vcpus;

    pthread_mutex_t lock;
    pthread_cond_t resumed; /* running or quit changed: vCPUs wait for it */
    pthread_cond_t parked;  /* some is_parked changed: the owner waits */
    bool quit;
    bool running; /* written under the lock; atomic for those who look */

    /* The owner's: the clock at the last stop, or as loaded. */
    bool has_clock;
    bool was_loaded;
    uint64_t clock_ns, realtime_ns;
};

static uint64_t clock_now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct timespec deadline_in(uint64_t duration_ns)
{
    uint64_t end = clock_now_ns(CLOCK_MONOTONIC) + duration_ns;

    return (struct timespec){.tv_sec = (time_t)(end / NS_PER_S),
                             .tv_nsec = (long)(end % NS_PER_S)};
}

static bool is_running(const struct kvm_machine *machine)
{
    return __atomic_load_n(&machine->running, __ATOMIC_ACQUIRE);
}

/* -- exits, on the vCPU's thread ----------------------------------------- */

__attribute__((format(printf, 2, 3))) static void
fail_vcpu(struct vcpu *vcpu, const char *format, ...)
{
    struct kvm_machine *machine = vcpu->machine;
    char reason[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&machine->lock);
    vcpu->has_failed = true;
    pthread_mutex_unlock(&machine->lock);
    machine->ops->failed(machine->data, vcpu->index, reason);
}

static void handle_io(struct vcpu *vcpu)
{
    const struct kvm_machine *machine = vcpu->machine;
    struct kvm_run *run = vcpu->run;
    uint8_t *at = (uint8_t *)run + run->io.data_offset;
    uint32_t width = run->io.size, i;

    for (i = 0; i < run->io.count; i++, at += width) {
        uint32_t value = UINT32_MAX;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            value = 0;
            memcpy(&value, at, width);
            machine->ops->port_out(machine->data, vcpu->index, run->io.port,
                                   value, width);
        } else {
            if (machine->ops->port_in)
                value = machine->ops->port_in(machine->data, vcpu->index,
                                              run->io.port, width);
            memcpy(at, &value, width);
        }
    }
}

static void handle_mmio(struct vcpu *vcpu)
{
    const struct kvm_machine *machine = vcpu->machine;
    struct kvm_run *run = vcpu->run;

    if (!run->mmio.is_write)
        memset(run->mmio.data, 0xff, sizeof run->mmio.data);
    if (machine->ops->mmio)
        machine->ops->mmio(machine->data, vcpu->index, run->mmio.phys_addr,
                           run->mmio.data, run->mmio.len, run->mmio.is_write);
}

/* False: the vCPU cannot go on. */
static bool handle_exit(struct vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    struct kvm_regs regs = {.rip = 0};

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        handle_io(vcpu);
        return true;
    case KVM_EXIT_MMIO:
        handle_mmio(vcpu);
        return true;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return true;
    case KVM_EXIT_HLT:
        fail_vcpu(vcpu, "halted, and no interrupt controller would wake it");
        return false;
    case KVM_EXIT_SHUTDOWN:
        ioctl(vcpu->fd, KVM_GET_REGS, &regs);
        fail_vcpu(vcpu, "triple fault at rip 0x%" PRIx64, (uint64_t)regs.rip);
        return false;
    case KVM_EXIT_FAIL_ENTRY:
        fail_vcpu(vcpu, "the processor refuses its state, reason 0x%" PRIx64,
                  (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        return false;
    case KVM_EXIT_INTERNAL_ERROR:
        ioctl(vcpu->fd, KVM_GET_REGS, &regs);
        fail_vcpu(vcpu, "internal error %u of KVM at rip 0x%" PRIx64,
                  run->internal.suberror, (uint64_t)regs.rip);
        return false;
    default:
        fail_vcpu(vcpu, "unexpected exit %u of KVM", run->exit_reason);
        return false;
    }
}

static void set_immediate_exit(struct vcpu *vcpu, uint8_t value)
{
    __atomic_store_n(&vcpu->run->immediate_exit, value, __ATOMIC_RELEASE);
}

/* Enters the guest once. False when the vCPU cannot go on; `ret_drained` is
 * set when KVM_RUN had nothing to do and was told to leave. */
static bool run_once(struct vcpu *vcpu, bool *ret_drained)
{
    *ret_drained = false;
    if (!ioctl(vcpu->fd, KVM_RUN, 0))
        return handle_exit(vcpu);
    if (errno == EINTR) {
        *ret_drained = true;
        return true;
    }
    if (errno == EAGAIN)
        return true;
    fail_vcpu(vcpu,
              errno == EFAULT
                  ? "guest memory cannot be reached (%s); with "
                    "userfaultfd: it must serve faults of the kernel"
                  : "KVM_RUN: %s",
              strerror(errno));
    return false;
}

/* Until a stop, and then until nothing of the last exit is left to be done. */
static void run_until_stopped(struct vcpu *vcpu)
{
    bool drained;

    while (is_running(vcpu->machine))
        if (!run_once(vcpu, &drained))
            return;
    set_immediate_exit(vcpu, 1);
    do {
        if (!run_once(vcpu, &drained))
            return;
    } while (!drained);
}

static void *vcpu_main(void *argument)
{
    struct vcpu *vcpu = argument;
    struct kvm_machine *machine = vcpu->machine;

    pthread_mutex_lock(&machine->lock);
    for (;;) {
        vcpu->is_parked = true;
        pthread_cond_broadcast(&machine->parked);
        while (!machine->quit && (!machine->running || vcpu->has_failed))
            pthread_cond_wait(&machine->resumed, &machine->lock);
        if (machine->quit)
            break;
        vcpu->is_parked = false;
        set_immediate_exit(vcpu, 0);
        pthread_mutex_unlock(&machine->lock);
        run_until_stopped(vcpu);
        pthread_mutex_lock(&machine->lock);
    }
    pthread_mutex_unlock(&machine->lock);
    return NULL;
}

void kvm_machine_sleep(struct kvm_machine *machine, uint32_t vcpu,
                       uint64_t duration_ns)
{
    struct timespec deadline = deadline_in(duration_ns);

    pthread_mutex_lock(&machine->lock);
    while (machine->running && !machine->quit &&
           pthread_cond_timedwait(&machine->resumed, &machine->lock,
                                  &deadline) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&machine->lock);
}

/* -- making and ending --------------------------------------------------- */

static int open_kvm(vmmig_error **error)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), version;

    if (fd < 0) {
        kvm_fail_errno(error, "opening /dev/kvm");
        return -1;
    }
    version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version == KVM_API_VERSION &&
        ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0 &&
        ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) > 0)
        return fd;
    kvm_fail(error, VMMIG_ERROR_SYSTEM,
             "this kernel's KVM (API version %d) has no user memory or no "
             "immediate exit",
             version);
    close(fd);
    return -1;
}

bool kvm_machine_probe(vmmig_error **error)
{
    int kvm_fd = open_kvm(error), vm_fd;

    if (kvm_fd < 0)
        return false;
    vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    if (vm_fd < 0)
        kvm_fail_errno(error, "creating a virtual machine");
    else
        close(vm_fd);
    close(kvm_fd);
    return vm_fd >= 0;
}

static void on_kick(int number)
{
}

/* An empty handler, so that the signal interrupts and does nothing else. One
 * that is there already does as well. */
static bool install_kick(struct kvm_machine *machine, vmmig_error **error)
{
    struct sigaction action;

    if (sigaction(machine->kick_signal, NULL, &action) < 0)
        return kvm_fail_errno(error, "signal %d", machine->kick_signal);
    if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
        return true;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_kick;
    sigemptyset(&action.sa_mask);
    if (sigaction(machine->kick_signal, &action, NULL) < 0)
        return kvm_fail_errno(error, "signal %d", machine->kick_signal);
    return true;
}

/* Interrupt controllers and timer, before there are vCPUs. */
static bool create_irqchip(struct kvm_machine *machine, vmmig_error **error)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

    if (ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) <= 0 ||
        ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_PIT2) <= 0)
        return true;
    if (ioctl(machine->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return kvm_fail_errno(error, "creating the interrupt controllers");
    if (ioctl(machine->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
        return kvm_fail_errno(error, "creating the timer");
    machine->has_irqchip = true;
    return true;
}

static bool create_vcpu(struct kvm_machine *machine, uint32_t index,
                        vmmig_error **error)
{
    struct vcpu *vcpu = &machine->vcpus[index];

    vcpu->machine = machine;
    vcpu->index = index;
    vcpu->run = MAP_FAILED;
    vcpu->is_parked = true;
    vcpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
    machine->vcpu_count = index + 1;
    if (vcpu->fd < 0)
        return kvm_fail_errno(error, "creating vCPU %u", index);
    vcpu->run = mmap(NULL, machine->run_bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED, vcpu->fd, 0);
    if (vcpu->run == MAP_FAILED)
        return kvm_fail_errno(error, "mapping vCPU %u", index);
    return kvm_vcpu_set_cpuid(machine->facts, vcpu->fd, index, error);
}

static bool create(struct kvm_machine *machine,
                   const struct kvm_machine_config *config, vmmig_error **error)
{
    uint32_t index;
    int bytes;

    machine->kvm_fd = open_kvm(error);
    if (machine->kvm_fd < 0 || !install_kick(machine, error))
        return false;
    machine->vm_fd = ioctl(machine->kvm_fd, KVM_CREATE_VM, 0);
    if (machine->vm_fd < 0)
        return kvm_fail_errno(error, "creating a virtual machine");
    bytes = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (bytes < (int)sizeof(struct kvm_run))
        return kvm_fail_errno(error, "asking for the size of a vCPU");
    machine->run_bytes = (size_t)bytes;
    if (ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0)
        return kvm_fail_errno(error, "placing the TSS");
    if (!(config->flags & KVM_MACHINE_NO_IRQCHIP) &&
        !create_irqchip(machine, error))
        return false;
    machine->facts = kvm_vcpu_facts_new(machine->kvm_fd, machine->vm_fd,
                                        machine->has_irqchip, error);
    machine->vcpus = calloc(config->vcpu_count, sizeof *machine->vcpus);
    if (!machine->facts)
        return false;
    if (!machine->vcpus)
        return kvm_fail_errno(error, "%u vCPUs", config->vcpu_count);
    for (index = 0; index < config->vcpu_count; index++)
        if (!create_vcpu(machine, index, error))
            return false;
    return true;
}

struct kvm_machine *kvm_machine_new(const struct kvm_machine_config *config,
                                    vmmig_error **error)
{
    struct kvm_machine *machine;
    pthread_condattr_t monotonic;

    if (!config->vcpu_count || config->vcpu_count > MAX_VCPUS) {
        kvm_fail(error, VMMIG_ERROR_INVALID, "%u vCPUs: 1 to %d are possible",
                 config->vcpu_count, MAX_VCPUS);
        return NULL;
    }
    machine = calloc(1, sizeof *machine);
    if (!machine) {
        kvm_fail_errno(error, "a virtual machine");
        return NULL;
    }
    machine->ops = config->ops;
    machine->data = config->data;
    machine->kvm_fd = machine->vm_fd = -1;
    machine->kick_signal = config->kick_signal ? config->kick_signal : SIGRTMIN;
    pthread_mutex_init(&machine->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&machine->resumed, &monotonic);
    pthread_cond_init(&machine->parked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (create(machine, config, error))
        return machine;
    kvm_machine_free(machine);
    return NULL;
}

/* Under the lock. */
static void kick_all(struct kvm_machine *machine)
{
    uint32_t index;

    for (index = 0; index < machine->vcpu_count; index++) {
        struct vcpu *vcpu = &machine->vcpus[index];

        if (vcpu->is_parked)
            continue;
        set_immediate_exit(vcpu, 1);
        pthread_kill(vcpu->thread, machine->kick_signal);
    }
    pthread_cond_broadcast(&machine->resumed);
}

void kvm_machine_free(struct kvm_machine *machine)
{
    uint32_t index;

    if (!machine)
        return;
    pthread_mutex_lock(&machine->lock);
    __atomic_store_n(&machine->running, false, __ATOMIC_RELEASE);
    machine->quit = true;
    kick_all(machine);
    pthread_mutex_unlock(&machine->lock);
    for (index = 0; index < machine->vcpu_count; index++) {
        struct vcpu *vcpu = &machine->vcpus[index];

        if (vcpu->has_thread)
            pthread_join(vcpu->thread, NULL);
        if (vcpu->run != MAP_FAILED)
            munmap(vcpu->run, machine->run_bytes);
        if (vcpu->fd >= 0)
            close(vcpu->fd);
    }
    free(machine->vcpus);
    kvm_vcpu_facts_free(machine->facts);
    if (machine->vm_fd >= 0)
        close(machine->vm_fd);
    if (machine->kvm_fd >= 0)
        close(machine->kvm_fd);
    pthread_cond_destroy(&machine->resumed);
    pthread_cond_destroy(&machine->parked);
    pthread_mutex_destroy(&machine->lock);
    free(machine);
}

bool kvm_machine_add_slot(struct kvm_machine *machine, uint32_t slot,
                          uint64_t guest_address, void *host_address,
                          uint64_t length_bytes, vmmig_error **error)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = guest_address,
        .memory_size = length_bytes,
        .userspace_addr = (uint64_t)(uintptr_t)host_address,
    };

    if (ioctl(machine->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return kvm_fail_errno(error,
                              "memory slot %u (0x%" PRIx64 " bytes at "
                              "0x%" PRIx64 ")",
                              slot, length_bytes, guest_address);
    return true;
}

/* -- what it is ---------------------------------------------------------- */

int kvm_machine_get_vm_fd(const struct kvm_machine *machine)
{
    return machine->vm_fd;
}

int kvm_machine_get_vcpu_fd(const struct kvm_machine *machine, uint32_t vcpu)
{
    return machine->vcpus[vcpu].fd;
}

bool kvm_machine_has_irqchip(const struct kvm_machine *machine)
{
    return machine->has_irqchip;
}

const struct kvm_vcpu_facts *
kvm_machine_get_facts(const struct kvm_machine *machine)
{
    return machine->facts;
}

/* -- the clock ----------------------------------------------------------- */

bool kvm_machine_get_clock(struct kvm_machine *machine, uint64_t *ret_clock_ns,
                           vmmig_error **error)
{
    struct kvm_clock_data clock = {.clock = 0};

    if (ioctl(machine->vm_fd, KVM_GET_CLOCK, &clock) < 0)
        return kvm_fail_errno(error, "reading the guest's clock");
    *ret_clock_ns = clock.clock;
    return true;
}

static bool set_clock(struct kvm_machine *machine, uint64_t clock_ns,
                      vmmig_error **error)
{
    struct kvm_clock_data clock = {.clock = clock_ns};

    if (ioctl(machine->vm_fd, KVM_SET_CLOCK, &clock) < 0)
        return kvm_fail_errno(error, "setting the guest's clock");
    return true;
}

/* All vCPUs are parked. */
static bool note_clock(struct kvm_machine *machine, vmmig_error **error)
{
    if (!kvm_machine_get_clock(machine, &machine->clock_ns, error))
        return false;
    machine->realtime_ns = clock_now_ns(CLOCK_REALTIME);
    machine->has_clock = true;
    machine->was_loaded = false;
    return true;
}

/* Before vCPUs run: with the first entry KVM gives them what was set. */
static bool restore_clock(struct kvm_machine *machine, uint32_t policy,
                          vmmig_error **error)
{
    uint64_t realtime_ns = clock_now_ns(CLOCK_REALTIME), passed_ns = 0;
    uint32_t index;

    if (!machine->has_clock)
        return true;
    if (policy == KVM_MACHINE_CLOCK_RAN && realtime_ns > machine->realtime_ns)
        passed_ns = realtime_ns - machine->realtime_ns;
    /* Where it was not loaded it has simply gone on. */
    if ((machine->was_loaded || policy == KVM_MACHINE_CLOCK_STOOD) &&
        !set_clock(machine, machine->clock_ns + passed_ns, error))
        return false;
    machine->was_loaded = false;
    /* Tells guests that watch for lockups; EINVAL from all others. */
    for (index = 0; index < machine->vcpu_count; index++)
        ioctl(machine->vcpus[index].fd, KVM_KVMCLOCK_CTRL, 0);
    return true;
}

/* -- start and stop ------------------------------------------------------ */

/* New threads block every signal but the kick, whatever the owner blocks. */
static bool start_thread(struct vcpu *vcpu, vmmig_error **error)
{
    struct kvm_machine *machine = vcpu->machine;
    sigset_t mask, before;
    char name[16];
    int result;

    sigfillset(&mask);
    sigdelset(&mask, machine->kick_signal);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    vcpu->is_parked = false;
    result = pthread_create(&vcpu->thread, NULL, vcpu_main, vcpu);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result) {
        vcpu->is_parked = true;
        errno = result;
        return kvm_fail_errno(error, "starting the thread of vCPU %u",
                              vcpu->index);
    }
    vcpu->has_thread = true;
    snprintf(name, sizeof name, "vcpu-%u", vcpu->index);
    pthread_setname_np(vcpu->thread, name);

    pthread_mutex_lock(&machine->lock);
    while (!vcpu->is_parked)
        pthread_cond_wait(&machine->parked, &machine->lock);
    pthread_mutex_unlock(&machine->lock);
    return true;
}

bool kvm_machine_start(struct kvm_machine *machine, uint32_t clock,
                       vmmig_error **error)
{
    uint32_t index;

    if (is_running(machine))
        return vmmig_error_set(error, VMMIG_ERROR_STATE,
                               "the machine is running already");
    for (index = 0; index < machine->vcpu_count; index++)
        if (!machine->vcpus[index].has_thread &&
            !start_thread(&machine->vcpus[index], error))
            return false;
    if (!restore_clock(machine, clock, error))
        return false;
    pthread_mutex_lock(&machine->lock);
    __atomic_store_n(&machine->running, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&machine->resumed);
    pthread_mutex_unlock(&machine->lock);
    return true;
}

/* Under the lock: the names of those who still run; true if there are none. */
static bool all_parked(const struct kvm_machine *machine, char *ret_names,
                       size_t names_bytes)
{
    size_t length = 0;
    uint32_t index;

    ret_names[0] = '\0';
    for (index = 0; index < machine->vcpu_count; index++)
        if (!machine->vcpus[index].is_parked && length + 8 < names_bytes)
            length += (size_t)snprintf(ret_names + length, names_bytes - length,
                                       " %u", index);
    return length == 0;
}

bool kvm_machine_stop(struct kvm_machine *machine, int64_t timeout_ms,
                      vmmig_error **error)
{
    struct timespec deadline = deadline_in((uint64_t)timeout_ms * 1000000);
    bool was_running = is_running(machine), done;
    char names[128];

    pthread_mutex_lock(&machine->lock);
    __atomic_store_n(&machine->running, false, __ATOMIC_RELEASE);
    kick_all(machine);
    do {
        done = all_parked(machine, names, sizeof names);
    } while (!done && pthread_cond_timedwait(&machine->parked, &machine->lock,
                                             &deadline) != ETIMEDOUT);
    done = done || all_parked(machine, names, sizeof names);
    pthread_mutex_unlock(&machine->lock);
    if (!done)
        return kvm_fail(error, VMMIG_ERROR_TIMEOUT,
                        "vCPU%s did not stop within %" PRId64 " ms", names,
                        timeout_ms);
    return !was_running || note_clock(machine, error);
}

/* -- state --------------------------------------------------------------- */

static const char *const irqchip_tags[] = {"PIC1", "PIC2", "IOAP"};
static const char known_tags[] = "CLCKPIC1PIC2IOAPPIT2";
static const char what[] = "machine";

struct clock_record {
    uint64_t clock_ns;
    uint64_t realtime_ns; /* of the host, at the same moment */
};

static bool require_parked(struct kvm_machine *machine, vmmig_error **error)
{
    char names[128];
    bool parked;

    pthread_mutex_lock(&machine->lock);
    parked = !machine->running && all_parked(machine, names, sizeof names);
    pthread_mutex_unlock(&machine->lock);
    return parked || vmmig_error_set(error, VMMIG_ERROR_STATE,
                                     "the machine has not been stopped");
}

static bool put_irqchip(struct kvm_machine *machine,
                        struct kvm_record_writer *writer, vmmig_error **error)
{
    struct kvm_pit_state2 pit;
    struct kvm_irqchip chip;
    uint32_t id;

    for (id = 0; id < 3; id++) {
        memset(&chip, 0, sizeof chip);
        chip.chip_id = id;
        if (ioctl(machine->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
            return kvm_fail_errno(error, "reading interrupt controller %s",
                                  irqchip_tags[id]);
        kvm_record_put(writer, irqchip_tags[id], &chip, sizeof chip);
    }
    memset(&pit, 0, sizeof pit);
    if (ioctl(machine->vm_fd, KVM_GET_PIT2, &pit) < 0)
        return kvm_fail_errno(error, "reading the timer");
    kvm_record_put(writer, "PIT2", &pit, sizeof pit);
    return true;
}

bool kvm_machine_save(struct kvm_machine *machine, uint8_t **ret_bytes,
                      size_t *ret_length_bytes, vmmig_error **error)
{
    struct kvm_record_writer writer;
    struct clock_record clock;

    if (!require_parked(machine, error) ||
        (!machine->has_clock && !note_clock(machine, error)))
        return false;
    clock.clock_ns = machine->clock_ns;
    clock.realtime_ns = machine->realtime_ns;
    kvm_record_begin(&writer);
    kvm_record_put(&writer, "CLCK", &clock, sizeof clock);
    if (machine->has_irqchip && !put_irqchip(machine, &writer, error)) {
        kvm_record_discard(&writer);
        return false;
    }
    return kvm_record_finish(&writer, ret_bytes, ret_length_bytes, error);
}

static bool get_irqchip(struct kvm_machine *machine,
                        const struct kvm_record_table *table,
                        vmmig_error **error)
{
    struct kvm_pit_state2 pit;
    struct kvm_irqchip chip;
    uint32_t id;

    for (id = 0; id < 3; id++) {
        if (!kvm_record_get(table, irqchip_tags[id], what, &chip, sizeof chip,
                            error))
            return false;
        chip.chip_id = id;
        if (ioctl(machine->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
            return kvm_fail_errno(error, "writing interrupt controller %s",
                                  irqchip_tags[id]);
    }
    if (!kvm_record_get(table, "PIT2", what, &pit, sizeof pit, error))
        return false;
    if (ioctl(machine->vm_fd, KVM_SET_PIT2, &pit) < 0)
        return kvm_fail_errno(error, "writing the timer");
    return true;
}

bool kvm_machine_load(struct kvm_machine *machine, const uint8_t *bytes,
                      size_t length_bytes, vmmig_error **error)
{
    struct kvm_record_table table;
    struct clock_record clock;

    if (!require_parked(machine, error) ||
        !kvm_record_parse(bytes, length_bytes, known_tags, what, &table,
                          error) ||
        !kvm_record_get(&table, "CLCK", what, &clock, sizeof clock, error))
        return false;
    if (machine->has_irqchip) {
        if (!get_irqchip(machine, &table, error))
            return false;
    } else if (table.count > 1) {
        return kvm_fail(error, VMMIG_ERROR_INCOMPATIBLE,
                        "%s: it comes with interrupt controllers, and there "
                        "are none in the kernel here",
                        what);
    }
    machine->clock_ns = clock.clock_ns;
    machine->realtime_ns = clock.realtime_ns;
    machine->has_clock = true;
    machine->was_loaded = true;
    return true;
}

bool kvm_machine_save_vcpu(struct kvm_machine *machine, uint32_t vcpu,
                           uint8_t **ret_bytes, size_t *ret_length_bytes,
                           vmmig_error **error)
{
    return require_parked(machine, error) &&
           kvm_vcpu_save(machine->facts, machine->vcpus[vcpu].fd, vcpu,
                         ret_bytes, ret_length_bytes, error);
}

bool kvm_machine_load_vcpu(struct kvm_machine *machine, uint32_t vcpu,
                           const uint8_t *bytes, size_t length_bytes,
                           vmmig_error **error)
{
    if (!require_parked(machine, error) ||
        !kvm_vcpu_load(machine->facts, machine->vcpus[vcpu].fd, vcpu, bytes,
                       length_bytes, error))
        return false;
    pthread_mutex_lock(&machine->lock);
    machine->vcpus[vcpu].has_failed = false;
    pthread_mutex_unlock(&machine->lock);
    return true;
}

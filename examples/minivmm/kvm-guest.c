/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads the freestanding guest and listens to its ports; see kvm-guest.h and
 * guest/abi.h.
 *
 * The guest runs in user mode. Port I/O is allowed by the I/O bitmap of its
 * TSS: IOPL is not kept by every KVM. What the kernel of a guest would set up,
 * tables and control registers, is written here.
 */
#include "config.h"

#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "guest/abi.h"
#include "kvm-guest.h"
#include "kvm-record.h"

#define PAGE 4096
#define LARGE_PAGE (UINT64_C(2) << 20)
#define GIB (UINT64_C(1) << 30)

/* Page table entries; the accessed and dirty bits are set from the start, or
 * the processor would write (and so dirty) the tables. */
#define PTE_TABLE UINT64_C(0x27) /* present, writable, user, accessed */
#define PTE_LARGE UINT64_C(0xe7) /* the same, dirty, large */

#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_USER_DATA 0x1b
#define SELECTOR_USER_CODE 0x23
#define SELECTOR_TSS 0x28 /* of vCPU 0; each takes two entries */
#define TSS_RSP0 4
#define TSS_BITMAP 102
#define TSS_FIXED_BYTES 104
#define TSS_LIMIT (TSS_FIXED_BYTES + 8192)

#define CR0_VALUE 0x80050033 /* PG AM WP NE ET MP PE */
#define EFER_VALUE 0xd01     /* NXE LMA LME SCE */
#define CR4_PAE (1u << 5)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_FSGSBASE (1u << 16)
#define CR4_OSXSAVE (1u << 18)
#define RFLAGS_VALUE 0x3002 /* IOPL 3; interrupts off */
#define MSR_KVMCLOCK 0x4b564d01
#define LAPIC_SPURIOUS 0xf0
#define KVM_FEATURE_LEAF 0x40000001
#define KVM_FEATURE_KVMCLOCK (1u << 3)

enum { SLOT_RAM_LOW, SLOT_RAM_HIGH, SLOT_SYSTEM };

extern const uint8_t minivmm_guest_image[], minivmm_guest_image_end[];

/* Offsets in the system area. */
struct layout {
    uint64_t pml4, system_pdpt, system_pd, ram_pdpt, gdt, idt, ram_pds;
    uint64_t vcpus, ledger, end;
};

struct kvm_guest {
    struct kvm_guest_config config;
    struct layout layout;
    struct workload workload;
    struct kvm_machine *machine;
    bool has_avx;
    pthread_mutex_t lock; /* around the callbacks */
    bool *has_died;       /* lock; for each vCPU */
};

static struct layout layout_of(uint64_t ram_bytes, uint32_t vcpu_count)
{
    struct layout at = {.pml4 = GUEST_TABLES_OFFSET};

    at.system_pdpt = at.pml4 + PAGE;
    at.system_pd = at.system_pdpt + PAGE;
    at.ram_pdpt = at.system_pd + PAGE;
    at.gdt = at.ram_pdpt + PAGE;
    at.idt = at.gdt + PAGE;
    at.ram_pds = at.idt + PAGE;
    at.vcpus = at.ram_pds + (ram_bytes + GIB - 1) / GIB * PAGE;
    at.ledger = at.vcpus + (uint64_t)vcpu_count * GUEST_VCPU_BYTES;
    at.end = at.ledger + workload_ledger_bytes(ram_bytes);
    return at;
}

uint64_t kvm_guest_system_bytes(uint64_t ram_bytes, uint32_t vcpu_count)
{
    return layout_of(ram_bytes, vcpu_count).end;
}

static uint64_t guest_address(uint64_t ram_offset)
{
    return ram_offset < GUEST_HOLE_OFFSET ? ram_offset
                                          : ram_offset + GUEST_HOLE_BYTES;
}

static void *at_offset(const struct kvm_guest *guest, uint64_t offset)
{
    return (uint8_t *)guest->config.system + offset;
}

static uint64_t vcpu_offset(const struct kvm_guest *guest, uint32_t index)
{
    return guest->layout.vcpus + (uint64_t)index * GUEST_VCPU_BYTES;
}

/* -- what the guest says ------------------------------------------------- */

static void report_death(struct kvm_guest *guest, uint32_t vcpu,
                         const char *reason)
{
    pthread_mutex_lock(&guest->lock);
    if (!guest->has_died[vcpu])
        guest->config.died(guest->config.data, vcpu, reason);
    guest->has_died[vcpu] = true;
    pthread_mutex_unlock(&guest->lock);
}

static void emit_line(struct kvm_guest *guest, const struct guest_vcpu *vcpu,
                      uint32_t length)
{
    char line[sizeof vcpu->line];

    /* A copy: the guest may write it meanwhile. */
    if (length > sizeof line)
        length = sizeof line;
    memcpy(line, vcpu->line, length);
    pthread_mutex_lock(&guest->lock);
    guest->config.serial(guest->config.data, line, length);
    pthread_mutex_unlock(&guest->lock);
}

static void port_out(void *data, uint32_t index, uint16_t port, uint32_t value,
                     uint32_t width_bytes)
{
    struct kvm_guest *guest = data;
    const struct guest_vcpu *vcpu = at_offset(guest, vcpu_offset(guest, index));
    char reason[160];

    switch (port) {
    case GUEST_PORT_LINE:
        emit_line(guest, vcpu, value);
        break;
    case GUEST_PORT_IDLE:
        kvm_machine_sleep(guest->machine, index, value * UINT64_C(1000));
        break;
    case GUEST_PORT_DIED:
        snprintf(reason, sizeof reason,
                 "exception %" PRIu64 " error 0x%" PRIx64 " cr2 0x%" PRIx64
                 " rip 0x%" PRIx64 " rsp 0x%" PRIx64,
                 vcpu->died.vector, vcpu->died.error, vcpu->died.cr2,
                 vcpu->died.rip, vcpu->died.rsp);
        report_death(guest, index, reason);
        kvm_machine_sleep(guest->machine, index, UINT64_C(1000000000));
        break;
    }
}

static void failed(void *data, uint32_t vcpu, const char *reason)
{
    report_death(data, vcpu, reason);
}

static const struct kvm_machine_ops machine_ops = {
    .port_out = port_out,
    .failed = failed,
};

/* -- tables -------------------------------------------------------------- */

static void write_page_tables(struct kvm_guest *guest)
{
    const struct layout *at = &guest->layout;
    uint64_t *pml4 = at_offset(guest, at->pml4);
    uint64_t *system_pdpt = at_offset(guest, at->system_pdpt);
    uint64_t *system_pd = at_offset(guest, at->system_pd);
    uint64_t *ram_pdpt = at_offset(guest, at->ram_pdpt);
    uint64_t *ram_pds = at_offset(guest, at->ram_pds);
    uint64_t offset;

    pml4[(uint64_t)GUEST_SYSTEM_VA >> 39] =
        (GUEST_SYSTEM_GPA + at->system_pdpt) | PTE_TABLE;
    pml4[(uint64_t)GUEST_RAM_VA >> 39] =
        (GUEST_SYSTEM_GPA + at->ram_pdpt) | PTE_TABLE;
    system_pdpt[GUEST_SYSTEM_VA >> 30] =
        (GUEST_SYSTEM_GPA + at->system_pd) | PTE_TABLE;
    for (offset = 0; offset < at->end; offset += LARGE_PAGE)
        system_pd[offset / LARGE_PAGE] =
            (GUEST_SYSTEM_GPA + offset) | PTE_LARGE;
    for (offset = 0; offset < guest->config.ram_bytes; offset += GIB)
        ram_pdpt[offset / GIB] =
            (GUEST_SYSTEM_GPA + at->ram_pds + offset / GIB * PAGE) | PTE_TABLE;
    for (offset = 0; offset < guest->config.ram_bytes; offset += LARGE_PAGE)
        ram_pds[offset / LARGE_PAGE] = guest_address(offset) | PTE_LARGE;
}

static void write_idt(struct kvm_guest *guest)
{
    uint64_t *idt = at_offset(guest, guest->layout.idt);
    uint64_t vector;

    for (vector = 0; vector < GUEST_STUB_COUNT; vector++) {
        uint64_t stub =
            GUEST_SYSTEM_VA + GUEST_STUBS_OFFSET + vector * GUEST_STUB_BYTES;

        /* An interrupt gate, present, for the processor only. */
        idt[vector * 2] = (stub & 0xffff) | SELECTOR_KERNEL_CODE << 16 |
                          UINT64_C(0x8e00) << 32 | (stub >> 16 & 0xffff) << 48;
        idt[vector * 2 + 1] = stub >> 32;
    }
}

static void write_gdt(struct kvm_guest *guest)
{
    uint64_t *gdt = at_offset(guest, guest->layout.gdt);
    uint32_t index;

    gdt[1] = UINT64_C(0x00af9b000000ffff); /* kernel code */
    gdt[2] = UINT64_C(0x00cf93000000ffff); /* kernel data */
    gdt[3] = UINT64_C(0x00cff3000000ffff); /* user data */
    gdt[4] = UINT64_C(0x00affb000000ffff); /* user code */
    for (index = 0; index < guest->config.vcpu_count; index++) {
        uint64_t tss =
            GUEST_SYSTEM_VA + vcpu_offset(guest, index) + GUEST_TSS_OFFSET;
        uint64_t *entry = &gdt[SELECTOR_TSS / 8 + 2 * index];

        /* A busy 64-bit TSS. */
        entry[0] = (TSS_LIMIT & 0xffff) | (tss & 0xffffff) << 16 |
                   UINT64_C(0x8b) << 40 | (tss >> 24 & 0xff) << 56;
        entry[1] = tss >> 32;
    }
}

static void write_tss(struct kvm_guest *guest, uint32_t index)
{
    uint64_t vcpu = vcpu_offset(guest, index);
    uint8_t *tss = at_offset(guest, vcpu + GUEST_TSS_OFFSET);
    uint64_t stack = GUEST_SYSTEM_VA + vcpu + PAGE;
    uint16_t bitmap = TSS_FIXED_BYTES;

    memcpy(tss + TSS_RSP0, &stack, sizeof stack);
    memcpy(tss + TSS_BITMAP, &bitmap, sizeof bitmap);
    tss[TSS_LIMIT] = 0xff; /* the byte behind the bitmap, whose bits are 0 */
}

static void write_system(struct kvm_guest *guest)
{
    struct guest_boot *boot = at_offset(guest, GUEST_BOOT_OFFSET);
    uint32_t index;

    memcpy(guest->config.system, minivmm_guest_image,
           (size_t)(minivmm_guest_image_end - minivmm_guest_image));
    *boot = (struct guest_boot){
        .ram_bytes = guest->config.ram_bytes,
        .ledger_offset = guest->layout.ledger,
        .ledger_bytes = guest->workload.ledger_bytes,
        .vcpus_offset = guest->layout.vcpus,
        .has_avx = guest->has_avx,
    };
    write_page_tables(guest);
    write_gdt(guest);
    write_idt(guest);
    for (index = 0; index < guest->config.vcpu_count; index++)
        write_tss(guest, index);
}

/* -- registers ----------------------------------------------------------- */

static struct kvm_segment segment(uint16_t selector, uint8_t type)
{
    return (struct kvm_segment){
        .limit = UINT32_MAX,
        .selector = selector,
        .type = type,
        .present = 1,
        .dpl = 3,
        .s = 1,
        .g = 1,
        .db = selector != SELECTOR_USER_CODE,
        .l = selector == SELECTOR_USER_CODE,
    };
}

static bool set_sregs(struct kvm_guest *guest, uint32_t index, int fd,
                      bool has_xsave, bool has_fsgsbase, vmmig_error **error)
{
    struct kvm_sregs sregs;

    if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
        return kvm_fail_errno(error, "vCPU %u: reading its special registers",
                              index);
    sregs.cr0 = CR0_VALUE;
    sregs.cr3 = GUEST_SYSTEM_GPA + guest->layout.pml4;
    sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT |
                (has_fsgsbase ? CR4_FSGSBASE : 0) |
                (has_xsave ? CR4_OSXSAVE : 0);
    sregs.efer = EFER_VALUE;
    sregs.cs = segment(SELECTOR_USER_CODE, 11);
    sregs.ss = segment(SELECTOR_USER_DATA, 3);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
    sregs.ldt = (struct kvm_segment){.unusable = 1};
    sregs.tr = (struct kvm_segment){
        .base = GUEST_SYSTEM_VA + vcpu_offset(guest, index) + GUEST_TSS_OFFSET,
        .limit = TSS_LIMIT,
        .selector = (uint16_t)(SELECTOR_TSS + 16 * index),
        .type = 11,
        .present = 1,
    };
    sregs.gdt.base = GUEST_SYSTEM_VA + guest->layout.gdt;
    sregs.gdt.limit =
        (uint16_t)(SELECTOR_TSS + 16 * guest->config.vcpu_count - 1);
    sregs.idt.base = GUEST_SYSTEM_VA + guest->layout.idt;
    sregs.idt.limit = GUEST_STUB_COUNT * 16 - 1;
    if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0)
        return kvm_fail_errno(error, "vCPU %u: writing its special registers",
                              index);
    return true;
}

/* What firmware would do: the LAPIC is switched on, no vCPU waits for another
 * one to start it. */
static bool set_lapic(uint32_t index, int fd, vmmig_error **error)
{
    struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
    struct kvm_lapic_state lapic;
    uint32_t spurious = 0x1ff;

    if (ioctl(fd, KVM_GET_LAPIC, &lapic) < 0)
        return kvm_fail_errno(error, "vCPU %u: reading its LAPIC", index);
    memcpy(lapic.regs + LAPIC_SPURIOUS, &spurious, sizeof spurious);
    if (ioctl(fd, KVM_SET_LAPIC, &lapic) < 0 ||
        ioctl(fd, KVM_SET_MP_STATE, &runnable) < 0)
        return kvm_fail_errno(error, "vCPU %u: writing its LAPIC", index);
    return true;
}

/* Tells KVM to write the machine's time to the vCPU's page. */
static bool set_clock(struct kvm_guest *guest, uint32_t index, int fd,
                      vmmig_error **error)
{
    _Alignas(struct kvm_msrs)
        uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] =
            {0};
    struct kvm_msrs *msrs = (struct kvm_msrs *)bytes;

    msrs->nmsrs = 1;
    msrs->entries[0].index = MSR_KVMCLOCK;
    msrs->entries[0].data = (GUEST_SYSTEM_GPA + vcpu_offset(guest, index)) | 1;
    if (ioctl(fd, KVM_SET_MSRS, msrs) != 1)
        return kvm_fail_errno(error, "vCPU %u: placing its clock", index);
    return true;
}

static bool set_registers(struct kvm_guest *guest, uint32_t index,
                          vmmig_error **error)
{
    const struct kvm_vcpu_facts *facts = kvm_machine_get_facts(guest->machine);
    int fd = kvm_machine_get_vcpu_fd(guest->machine, index);
    bool has_xsave = kvm_vcpu_get_supported(facts, 1, 0, 2) >> 26 & 1;
    bool has_fsgsbase = kvm_vcpu_get_supported(facts, 7, 0, 1) & 1;
    uint64_t vcpu = vcpu_offset(guest, index);
    struct kvm_xcrs xcrs = {
        .nr_xcrs = 1,
        .xcrs[0] = {.xcr = 0, .value = guest->has_avx ? 7 : 3},
    };
    struct kvm_regs regs = {
        .rip = GUEST_SYSTEM_VA,
        .rsp = GUEST_SYSTEM_VA + vcpu + GUEST_STACK_OFFSET + GUEST_STACK_BYTES,
        .rdi = index,
        .rflags = RFLAGS_VALUE,
    };

    if (!set_sregs(guest, index, fd, has_xsave, has_fsgsbase, error))
        return false;
    if (has_xsave && ioctl(fd, KVM_SET_XCRS, &xcrs) < 0)
        return kvm_fail_errno(error, "vCPU %u: its extended state", index);
    if (ioctl(fd, KVM_SET_REGS, &regs) < 0)
        return kvm_fail_errno(error, "vCPU %u: writing its registers", index);
    return set_clock(guest, index, fd, error) &&
           (!kvm_machine_has_irqchip(guest->machine) ||
            set_lapic(index, fd, error));
}

/* -- making -------------------------------------------------------------- */

static bool add_ram_slots(struct kvm_guest *guest, vmmig_error **error)
{
    const struct kvm_guest_config *config = &guest->config;
    uint64_t low = config->ram_bytes < GUEST_HOLE_OFFSET ? config->ram_bytes
                                                         : GUEST_HOLE_OFFSET;

    return kvm_machine_add_slot(guest->machine, SLOT_RAM_LOW, 0, config->ram,
                                low, error) &&
           (low == config->ram_bytes ||
            kvm_machine_add_slot(
                guest->machine, SLOT_RAM_HIGH, guest_address(low),
                (uint8_t *)config->ram + low, config->ram_bytes - low, error));
}

/* The ready line of a fill that is done here. */
static void host_emit(void *data, const char *text, size_t length_bytes)
{
    struct kvm_guest *guest = data;

    pthread_mutex_lock(&guest->lock);
    guest->config.serial(guest->config.data, text, length_bytes);
    pthread_mutex_unlock(&guest->lock);
}

static const struct workload_hooks host_hooks = {.emit = host_emit};

struct filler {
    const struct workload *workload;
    uint32_t worker;
    pthread_t thread;
    bool has_thread;
};

static void *fill_main(void *argument)
{
    struct filler *filler = argument;

    workload_fill(filler->workload, filler->worker);
    return NULL;
}

static void fill_memory(struct kvm_guest *guest)
{
    struct filler fillers[WORKLOAD_MAX_WORKERS];
    uint32_t count = guest->config.vcpu_count, i;

    for (i = 0; i < count; i++) {
        fillers[i] = (struct filler){.workload = &guest->workload, .worker = i};
        fillers[i].has_thread =
            i + 1 < count &&
            !pthread_create(&fillers[i].thread, NULL, fill_main, &fillers[i]);
        if (!fillers[i].has_thread)
            fill_main(&fillers[i]);
    }
    for (i = 0; i < count; i++)
        if (fillers[i].has_thread)
            pthread_join(fillers[i].thread, NULL);
}

static bool prepare_workload(struct kvm_guest *guest, vmmig_error **error)
{
    struct workload_config config = *guest->config.workload;
    const char *wrong;

    config.ram_bytes = guest->config.ram_bytes;
    config.worker_count = guest->config.vcpu_count;
    config.hole_offset = GUEST_HOLE_OFFSET;
    config.hole_bytes = GUEST_HOLE_BYTES;
    wrong = workload_config_check(&config);
    if (wrong)
        return kvm_fail(error, VMMIG_ERROR_INVALID, "workload: %s", wrong);
    workload_prepare(&guest->workload, &config);
    if (!guest->config.guest_fills)
        fill_memory(guest);
    return true;
}

static bool create(struct kvm_guest *guest, vmmig_error **error)
{
    const struct kvm_guest_config *config = &guest->config;
    struct kvm_machine_config machine = {
        .vcpu_count = config->vcpu_count,
        .flags = config->machine_flags,
        .ops = &machine_ops,
        .data = guest,
    };
    const struct kvm_vcpu_facts *facts;
    uint32_t index;

    if (!config->ram_bytes || config->ram_bytes % KVM_GUEST_RAM_ALIGN_BYTES ||
        config->ram_bytes > KVM_GUEST_MAX_RAM_BYTES || !config->vcpu_count ||
        config->vcpu_count > WORKLOAD_MAX_WORKERS)
        return kvm_fail(error, VMMIG_ERROR_INVALID,
                        "a machine with %" PRIu64 " bytes of memory and %u "
                        "vCPUs: memory is a multiple of 2 MiB up to 251 GiB, "
                        "and there are 1 to %d vCPUs",
                        config->ram_bytes, config->vcpu_count,
                        WORKLOAD_MAX_WORKERS);
    guest->layout = layout_of(config->ram_bytes, config->vcpu_count);
    if (config->system_bytes < guest->layout.end)
        return kvm_fail(error, VMMIG_ERROR_INVALID,
                        "a system area of %" PRIu64 " bytes, %" PRIu64
                        " are needed",
                        config->system_bytes, guest->layout.end);
    guest->workload = (struct workload){
        .ram = config->ram,
        .ram_bytes = config->ram_bytes,
        .ledger = at_offset(guest, guest->layout.ledger),
        .ledger_bytes = guest->layout.end - guest->layout.ledger,
        .hooks = &host_hooks,
        .data = guest,
    };
    guest->has_died = calloc(config->vcpu_count, sizeof *guest->has_died);
    if (!guest->has_died)
        return kvm_fail_errno(error, "%u vCPUs", config->vcpu_count);
    guest->machine = kvm_machine_new(&machine, error);
    if (!guest->machine)
        return false;
    facts = kvm_machine_get_facts(guest->machine);
    if (!(kvm_vcpu_get_supported(facts, KVM_FEATURE_LEAF, 0, 0) &
          KVM_FEATURE_KVMCLOCK))
        return vmmig_error_set(error, VMMIG_ERROR_SYSTEM,
                               "this kernel's KVM has no clock for guests");
    guest->has_avx = (kvm_vcpu_get_supported(facts, 0xd, 0, 0) & 7) == 7;
    if (!add_ram_slots(guest, error) ||
        !kvm_machine_add_slot(guest->machine, SLOT_SYSTEM, GUEST_SYSTEM_GPA,
                              config->system, guest->layout.end, error))
        return false;
    if (!config->workload)
        return true;
    if (!prepare_workload(guest, error))
        return false;
    write_system(guest);
    for (index = 0; index < config->vcpu_count; index++)
        if (!set_registers(guest, index, error))
            return false;
    return true;
}

struct kvm_guest *kvm_guest_new(const struct kvm_guest_config *config,
                                vmmig_error **error)
{
    struct kvm_guest *guest = calloc(1, sizeof *guest);

    if (!guest) {
        kvm_fail_errno(error, "a guest");
        return NULL;
    }
    guest->config = *config;
    pthread_mutex_init(&guest->lock, NULL);
    if (create(guest, error))
        return guest;
    kvm_guest_free(guest);
    return NULL;
}

void kvm_guest_free(struct kvm_guest *guest)
{
    if (!guest)
        return;
    kvm_machine_free(guest->machine);
    pthread_mutex_destroy(&guest->lock);
    free(guest->has_died);
    free(guest);
}

struct kvm_machine *kvm_guest_get_machine(const struct kvm_guest *guest)
{
    return guest->machine;
}

const struct workload *kvm_guest_get_workload(const struct kvm_guest *guest)
{
    return &guest->workload;
}

bool kvm_guest_add_slots(const struct kvm_guest *guest, struct kvm_dirty *dirty,
                         struct vmmig_block *ram, struct vmmig_block *system,
                         vmmig_error **error)
{
    const struct kvm_guest_config *config = &guest->config;
    uint64_t low = config->ram_bytes < GUEST_HOLE_OFFSET ? config->ram_bytes
                                                         : GUEST_HOLE_OFFSET;

    return kvm_dirty_add_slot(dirty, SLOT_RAM_LOW, 0, config->ram, low, ram, 0,
                              error) &&
           (low == config->ram_bytes ||
            kvm_dirty_add_slot(dirty, SLOT_RAM_HIGH, guest_address(low),
                               (uint8_t *)config->ram + low,
                               config->ram_bytes - low, ram, low, error)) &&
           kvm_dirty_add_slot(dirty, SLOT_SYSTEM, GUEST_SYSTEM_GPA,
                              config->system, guest->layout.end, system, 0,
                              error);
}

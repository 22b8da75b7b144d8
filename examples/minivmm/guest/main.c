/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The freestanding guest: runs one worker of the workload on each vCPU, in user
 * mode, with interrupts off. No C library, no vector registers but those that
 * start.S keeps watch over; built with flags of its own.
 */
#include "../workload.h"
#include "abi.h"

void guest_main(uint32_t index);
void guest_registers_set(uint64_t seed, uint32_t has_avx);
_Bool guest_registers_match(uint64_t seed, uint32_t has_avx);
void *memcpy(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);

static const struct guest_boot *const boot =
    (const struct guest_boot *)(GUEST_SYSTEM_VA + GUEST_BOOT_OFFSET);

/* The compiler may call these for structures, whatever it is told. */
void *memcpy(void *to, const void *from, size_t length)
{
    void *start = to;

    __asm__ volatile("rep movsb"
                     : "+D"(to), "+S"(from), "+c"(length)
                     :
                     : "memory");
    return start;
}

void *memset(void *to, int value, size_t length)
{
    void *start = to;

    __asm__ volatile("rep stosb"
                     : "+D"(to), "+c"(length)
                     : "a"(value)
                     : "memory");
    return start;
}

static struct guest_vcpu *vcpu_of(uint32_t index)
{
    return (struct guest_vcpu *)(GUEST_SYSTEM_VA + boot->vcpus_offset +
                                 (uint64_t)index * GUEST_VCPU_BYTES);
}

static void out(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* The TSC alone would not do: it belongs to the host, and differs after a
 * move. KVM's page says how it becomes the machine's time. */
static uint64_t now_ns(void *data, uint32_t index)
{
    const struct guest_clock *clock = &vcpu_of(index)->clock;
    uint64_t ticks, time;
    uint32_t version;

    do {
        version = __atomic_load_n(&clock->version, __ATOMIC_ACQUIRE);
        ticks = read_tsc() - clock->tsc;
        ticks =
            clock->shift < 0 ? ticks >> -clock->shift : ticks << clock->shift;
        time = clock->time_ns +
               (uint64_t)((unsigned __int128)ticks * clock->scale >> 32);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (version & 1 ||
             __atomic_load_n(&clock->version, __ATOMIC_RELAXED) != version);
    return time;
}

/* A line is one exit, so no move can tear it. */
static void emit_from(uint32_t index, const char *text, size_t length)
{
    struct guest_vcpu *vcpu = vcpu_of(index);

    if (length > sizeof vcpu->line)
        length = sizeof vcpu->line;
    memcpy(vcpu->line, text, length);
    vcpu->line_bytes = (uint32_t)length;
    out(GUEST_PORT_LINE, (uint32_t)length);
}

static void emit(void *data, const char *text, size_t length)
{
    emit_from((uint32_t)(uintptr_t)data, text, length);
}

static void wait(void *data, uint32_t index, uint64_t duration_ns)
{
    out(GUEST_PORT_IDLE, (uint32_t)(duration_ns / 1000) + 1);
}

static uint64_t seed_of(uint32_t index)
{
    return UINT64_C(0x0123456789abcdef) * (index + 1);
}

static bool is_intact(void *data, uint32_t index)
{
    if (guest_registers_match(seed_of(index), boot->has_avx))
        return true;
    guest_registers_set(seed_of(index), boot->has_avx);
    return false;
}

static const struct workload_hooks hooks = {
    .now_ns = now_ns,
    .emit = emit,
    .wait = wait,
    .is_intact = is_intact,
};

void guest_main(uint32_t index)
{
    static const char refused[] = "guest: the ledger fits no work\n";
    struct workload workload = {
        .ram = (void *)GUEST_RAM_VA,
        .ledger = (void *)(GUEST_SYSTEM_VA + boot->ledger_offset),
        .ram_bytes = boot->ram_bytes,
        .ledger_bytes = boot->ledger_bytes,
        .hooks = &hooks,
        .data = (void *)(uintptr_t)index,
    };

    guest_registers_set(seed_of(index), boot->has_avx);
    workload_run(&workload, index);
    emit_from(index, refused, sizeof refused - 1);
    for (;;)
        wait(NULL, index, 1000000000);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the freestanding guest and the code that loads it agree on. Included by
 * C and by assembly.
 *
 * Guest memory is two areas. RAM is nothing but the pages that the workload
 * works on: from guest address 0 on, with a hole from 3 to 4 GiB, which belongs
 * to the interrupt controllers. The system area has the rest: this guest's
 * code, tables and stacks, and the workload's ledger. Page tables show RAM
 * without its hole at GUEST_RAM_VA, and the system area at GUEST_SYSTEM_VA,
 * low enough for code of the small model.
 *
 * The system area, in this order:
 *
 *   image     code and data, entered at its first byte in user mode
 *   boot      struct guest_boot
 *   tables    page tables, GDT, IDT
 *   vCPUs     GUEST_VCPU_BYTES for each: struct guest_vcpu with the stack for
 *             exceptions at its end, the stack, the TSS with its I/O bitmap
 *   ledger    of the workload
 */
#ifndef GUEST_ABI_H
#define GUEST_ABI_H

#define GUEST_SYSTEM_GPA 0x3fc0000000 /* 255 GiB */
#define GUEST_SYSTEM_VA 0x40000000
#define GUEST_RAM_VA 0x8000000000 /* 512 GiB */
#define GUEST_HOLE_OFFSET 0xc0000000
#define GUEST_HOLE_BYTES 0x40000000

#define GUEST_IMAGE_BYTES 0x10000
#define GUEST_BOOT_OFFSET GUEST_IMAGE_BYTES
#define GUEST_TABLES_OFFSET 0x11000

/* Entry points of the exceptions, in the image, this far from each other. */
#define GUEST_STUBS_OFFSET 0x100
#define GUEST_STUB_BYTES 16
#define GUEST_STUB_COUNT 32

#define GUEST_VCPU_BYTES 0x8000
#define GUEST_STACK_OFFSET 0x1000
#define GUEST_STACK_BYTES 0x4000
#define GUEST_TSS_OFFSET 0x5000

/* Written with 32 bits. LINE: the length of a line in struct guest_vcpu. IDLE:
 * microseconds that there is nothing to do. DIED: an exception, described in
 * struct guest_vcpu, that the guest cannot handle; written again and again. */
#define GUEST_PORT_LINE 0x3f8
#define GUEST_PORT_IDLE 0x500
#define GUEST_PORT_DIED 0x504

/* Offsets in struct guest_vcpu. */
#define GUEST_DIED_OFFSET 256

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct guest_boot {
    uint64_t ram_bytes;
    uint64_t ledger_offset; /* in the system area */
    uint64_t ledger_bytes;
    uint64_t vcpus_offset;
    uint32_t has_avx;
    uint32_t reserved;
};

/* KVM's clock page, as the kernel's ABI has it. */
struct guest_clock {
    uint32_t version; /* odd while it is written */
    uint32_t padding;
    uint64_t tsc;
    uint64_t time_ns;
    uint32_t scale;
    int8_t shift;
    uint8_t flags;
    uint8_t reserved[2];
};

struct guest_vcpu {
    struct guest_clock clock;
    uint32_t line_bytes;
    char line[200];
    uint8_t padding[GUEST_DIED_OFFSET - sizeof(struct guest_clock) - 204];
    struct {
        uint64_t vector, error, cr2, rip, rsp;
    } died;
};

_Static_assert(sizeof(struct guest_clock) == 32, "the kernel's ABI");
_Static_assert(offsetof(struct guest_vcpu, died) == GUEST_DIED_OFFSET,
               "start.S writes there");

#endif
#endif

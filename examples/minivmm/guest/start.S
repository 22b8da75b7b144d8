/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entry of the guest, its exceptions, and the registers that it keeps values in
 * only to see whether they survive a move.
 */
#include "abi.h"

    .section .start, "ax"
    .globl start
/* Each vCPU, in user mode: edi its number, rsp the end of its stack. */
start:
    call    guest_main
    ud2

/* Exceptions enter here in kernel mode, on the stack of struct guest_vcpu. */
    .org    GUEST_STUBS_OFFSET
    vector = 0
    .rept   GUEST_STUB_COUNT
    .balign GUEST_STUB_BYTES
    /* 8, 10 to 14, 17, 21, 29, 30 come with an error code. */
    .ifeq   (0x60227d00 >> vector) & 1
    push    $0
    .endif
    push    $vector
    jmp     die
    vector = vector + 1
    .endr

/* rsp: vector, error, rip, cs, rflags, rsp, ss */
die:
    push    %rax
    push    %rcx
    push    %rdx
    mov     %rsp, %rcx
    and     $-4096, %rcx
    mov     24(%rsp), %rax
    mov     %rax, GUEST_DIED_OFFSET(%rcx)
    mov     32(%rsp), %rax
    mov     %rax, GUEST_DIED_OFFSET + 8(%rcx)
    mov     %cr2, %rax
    mov     %rax, GUEST_DIED_OFFSET + 16(%rcx)
    mov     40(%rsp), %rax
    mov     %rax, GUEST_DIED_OFFSET + 24(%rcx)
    mov     64(%rsp), %rax
    mov     %rax, GUEST_DIED_OFFSET + 32(%rcx)
    mov     $GUEST_PORT_DIED, %edx
    mov     $1, %eax
1:  out     %eax, %dx
    jmp     1b

    .text
/*
 * void guest_registers_set(uint64_t seed, bool has_avx): puts numbers that
 * follow from the seed into the vector registers, pi on the x87 stack, and a
 * rounding mode into MXCSR. No other code of the guest uses these.
 */
    .globl guest_registers_set
guest_registers_set:
    fninit
    fldpi
    movl    $0x3f80, -4(%rsp)
    ldmxcsr -4(%rsp)
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    mov     %rdi, -16(%rsp)
    not     %rdi
    mov     %rdi, -8(%rsp)
    not     %rdi
    movups  -16(%rsp), %xmm\n
    test    %esi, %esi
    jz      1f
    vinsertf128 $1, -16(%rsp), %ymm\n, %ymm\n
1:  lea     0x1111(%rdi), %rdi
    .endr
    ret

/* bool guest_registers_match(uint64_t seed, bool has_avx): whether they are
 * all still there. */
    .globl guest_registers_match
guest_registers_match:
    xor     %eax, %eax
    stmxcsr -4(%rsp)
    cmpl    $0x3f80, -4(%rsp)
    jne     2f
    fld     %st(0)
    fstpt   -16(%rsp)
    movabs  $0xc90fdaa22168c235, %rdx
    cmp     %rdx, -16(%rsp)
    jne     2f
    cmpw    $0x4000, -8(%rsp)
    jne     2f
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    mov     %rdi, %rdx
    not     %rdx
    movups  %xmm\n, -16(%rsp)
    cmp     %rdi, -16(%rsp)
    jne     2f
    cmp     %rdx, -8(%rsp)
    jne     2f
    test    %esi, %esi
    jz      1f
    vextractf128 $1, %ymm\n, -16(%rsp)
    cmp     %rdi, -16(%rsp)
    jne     2f
    cmp     %rdx, -8(%rsp)
    jne     2f
1:  lea     0x1111(%rdi), %rdi
    .endr
    mov     $1, %eax
2:  ret

    .section .note.GNU-stack, "", @progbits

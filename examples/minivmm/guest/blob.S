/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest as bytes of the VMM. Assembled in the top build folder. */
    .section .rodata
    .balign 16
    .globl  minivmm_guest_image, minivmm_guest_image_end
    .hidden minivmm_guest_image, minivmm_guest_image_end
minivmm_guest_image:
    .incbin "examples/minivmm/guest/guest.bin"
minivmm_guest_image_end:
    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bitmaps of 64-bit words that several threads set and clear at once.
 *
 * Bit i is bit i % 64 of word i / 64, which is also KVM's order. Setting
 * releases and clearing acquires: who finds a bit set sees what was written
 * before it was set. Callers check ranges; a bitmap does not know its length.
 */
#ifndef VMMIG_BASE_BITMAP_H
#define VMMIG_BASE_BITMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic(uint64_t) vmmig__bitmap_word;

static inline uint64_t vmmig__bitmap_words(uint64_t bits)
{
    return bits / 64 + (bits % 64 != 0);
}

/* (transfer full): all clear; NULL when there is no memory. g_free() it. */
vmmig__bitmap_word *vmmig__bitmap_new(uint64_t bits);

bool vmmig__bitmap_test(const vmmig__bitmap_word *bitmap, uint64_t bit);

/* Each returns how many bits changed. */
uint64_t vmmig__bitmap_set(vmmig__bitmap_word *bitmap, uint64_t first,
                           uint64_t count);
uint64_t vmmig__bitmap_clear(vmmig__bitmap_word *bitmap, uint64_t first,
                             uint64_t count);
/* ORs `count` bits of plain words into the bitmap from bit `first` on. */
uint64_t vmmig__bitmap_or(vmmig__bitmap_word *bitmap, uint64_t first,
                          const uint64_t *words, uint64_t count);

/* How many of the first `bits` bits are set. */
uint64_t vmmig__bitmap_count(const vmmig__bitmap_word *bitmap, uint64_t bits);

/* The first set bit in [from, limit), or limit. */
uint64_t vmmig__bitmap_find(const vmmig__bitmap_word *bitmap, uint64_t from,
                            uint64_t limit);
/* The first clear bit in [from, limit), or limit. */
uint64_t vmmig__bitmap_find_clear(const vmmig__bitmap_word *bitmap,
                                  uint64_t from, uint64_t limit);

/*
 * vmmig__bitmap_claim:
 *
 * Clears the run of set bits that starts at `first`, up to `limit`, and returns
 * its length: 0 when `first` is clear. Of several threads that claim at once
 * each bit goes to exactly one.
 */
uint64_t vmmig__bitmap_claim(vmmig__bitmap_word *bitmap, uint64_t first,
                             uint64_t limit);

#endif

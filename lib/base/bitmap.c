/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bitmap.h"

#include <glib.h>

vmmig__bitmap_word *vmmig__bitmap_new(uint64_t bits)
{
    uint64_t words = vmmig__bitmap_words(bits);

    return g_try_malloc0_n(words ? words : 1, sizeof(vmmig__bitmap_word));
}

/* The bits of word first / 64 that belong to [first, first + count). */
static uint64_t word_mask(uint64_t first, uint64_t count)
{
    uint64_t from = first % 64;
    uint64_t length = MIN(count, 64 - from);

    return (length == 64 ? UINT64_MAX : (UINT64_C(1) << length) - 1) << from;
}

static uint64_t load(const vmmig__bitmap_word *bitmap, uint64_t word)
{
    return atomic_load_explicit(&bitmap[word], memory_order_acquire);
}

bool vmmig__bitmap_test(const vmmig__bitmap_word *bitmap, uint64_t bit)
{
    return load(bitmap, bit / 64) >> (bit % 64) & 1;
}

uint64_t vmmig__bitmap_set(vmmig__bitmap_word *bitmap, uint64_t first,
                           uint64_t count)
{
    uint64_t changed = 0;

    while (count > 0) {
        uint64_t mask = word_mask(first, count);
        uint64_t step = MIN(count, 64 - first % 64);
        uint64_t old = atomic_fetch_or_explicit(&bitmap[first / 64], mask,
                                                memory_order_release);

        changed += (uint64_t)__builtin_popcountll(mask & ~old);
        first += step;
        count -= step;
    }
    return changed;
}

uint64_t vmmig__bitmap_clear(vmmig__bitmap_word *bitmap, uint64_t first,
                             uint64_t count)
{
    uint64_t changed = 0;

    while (count > 0) {
        uint64_t mask = word_mask(first, count);
        uint64_t step = MIN(count, 64 - first % 64);
        uint64_t old = atomic_fetch_and_explicit(&bitmap[first / 64], ~mask,
                                                 memory_order_acq_rel);

        changed += (uint64_t)__builtin_popcountll(mask & old);
        first += step;
        count -= step;
    }
    return changed;
}

/* 64 bits of plain words from bit @bit on; those past @count are zero. */
static uint64_t bits_at(const uint64_t *words, uint64_t bit, uint64_t count)
{
    uint64_t shift = bit % 64;
    uint64_t value = words[bit / 64] >> shift;

    if (shift > 0 && bit / 64 + 1 < vmmig__bitmap_words(count))
        value |= words[bit / 64 + 1] << (64 - shift);
    return value;
}

uint64_t vmmig__bitmap_or(vmmig__bitmap_word *bitmap, uint64_t first,
                          const uint64_t *words, uint64_t count)
{
    uint64_t changed = 0;

    for (uint64_t done = 0; done < count;) {
        uint64_t at = first + done;
        uint64_t mask = word_mask(at, count - done);
        uint64_t bits = bits_at(words, done, count) << (at % 64) & mask;

        if (bits) {
            uint64_t old = atomic_fetch_or_explicit(&bitmap[at / 64], bits,
                                                    memory_order_release);

            changed += (uint64_t)__builtin_popcountll(bits & ~old);
        }
        done += MIN(count - done, 64 - at % 64);
    }
    return changed;
}

uint64_t vmmig__bitmap_count(const vmmig__bitmap_word *bitmap, uint64_t bits)
{
    uint64_t count = 0;

    for (uint64_t at = 0; at < bits; at += 64)
        count += (uint64_t)__builtin_popcountll(load(bitmap, at / 64) &
                                                word_mask(at, bits - at));
    return count;
}

/* The first bit in [from, limit) that is set in word ^ flip, or limit. */
static uint64_t find(const vmmig__bitmap_word *bitmap, uint64_t from,
                     uint64_t limit, uint64_t flip)
{
    while (from < limit) {
        uint64_t bits =
            (load(bitmap, from / 64) ^ flip) & word_mask(from, limit - from);

        if (bits)
            return from - from % 64 + (uint64_t)__builtin_ctzll(bits);
        from += 64 - from % 64;
    }
    return limit;
}

uint64_t vmmig__bitmap_find(const vmmig__bitmap_word *bitmap, uint64_t from,
                            uint64_t limit)
{
    return find(bitmap, from, limit, 0);
}

uint64_t vmmig__bitmap_find_clear(const vmmig__bitmap_word *bitmap,
                                  uint64_t from, uint64_t limit)
{
    return find(bitmap, from, limit, UINT64_MAX);
}

uint64_t vmmig__bitmap_claim(vmmig__bitmap_word *bitmap, uint64_t first,
                             uint64_t limit)
{
    uint64_t claimed = 0;

    while (first < limit) {
        vmmig__bitmap_word *word = &bitmap[first / 64];
        uint64_t mask = word_mask(first, limit - first);
        uint64_t old = atomic_load_explicit(word, memory_order_acquire);
        uint64_t run, length;

        do {
            /* Of the bits from `first` on, those before the first clear one. */
            uint64_t clear = ~old & mask;

            run = clear ? mask & ((clear & -clear) - 1) : mask;
        } while (run && !atomic_compare_exchange_weak_explicit(
                            word, &old, old & ~run, memory_order_acq_rel,
                            memory_order_acquire));
        length = (uint64_t)__builtin_popcountll(run);
        claimed += length;
        first += length;
        if (run != mask)
            break;
    }
    return claimed;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Most pages that are not zero differ from it at their start, in the middle or
 * at their end: three samples decide before anything is scanned. The scan is
 * bound by the L1 cache when the page is there and by memory when it is not, so
 * wider registers than AVX2's gain nothing.
 */
#include "ram/zero-page.h"

#include <stdatomic.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Guest memory has whatever type the guest gave it. */
typedef uint64_t __attribute__((may_alias)) any_u64;

/* The guest may write while its pages are read, which is what dirty tracking is
 * for: no race to report. */
#if defined(__SANITIZE_THREAD__)
#define RACES_WITH_THE_GUEST __attribute__((no_sanitize("thread"), noinline))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACES_WITH_THE_GUEST __attribute__((no_sanitize("thread"), noinline))
#endif
#endif
#ifndef RACES_WITH_THE_GUEST
#define RACES_WITH_THE_GUEST
#endif

/* A macro, because a function would be inlined into no_sanitize code or not, as
 * the compiler likes. */
#define SAMPLES_ARE_ZERO(words, count)                                         \
    ((words)[0] == 0 && (words)[(count) / 2] == 0 && (words)[(count)-1] == 0)

RACES_WITH_THE_GUEST
static bool is_zero_portable(const void *page, size_t length_bytes)
{
    const any_u64 *words = page;
    size_t count = length_bytes / sizeof *words;

    if (!SAMPLES_ARE_ZERO(words, count))
        return false;
    for (size_t i = 0; i < count; i += 8) {
        uint64_t any = words[i] | words[i + 1] | words[i + 2] | words[i + 3] |
                       words[i + 4] | words[i + 5] | words[i + 6] |
                       words[i + 7];

        if (any)
            return false;
    }
    return true;
}

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) RACES_WITH_THE_GUEST
static bool is_zero_avx2(const void *page, size_t length_bytes)
{
    const __m256i *vectors = page;
    size_t count = length_bytes / sizeof *vectors;
    const any_u64 *words = page;

    if (!SAMPLES_ARE_ZERO(words, length_bytes / sizeof *words))
        return false;
    for (size_t i = 0; i < count; i += 8) {
        __m256i a = _mm256_or_si256(vectors[i], vectors[i + 1]);
        __m256i b = _mm256_or_si256(vectors[i + 2], vectors[i + 3]);
        __m256i c = _mm256_or_si256(vectors[i + 4], vectors[i + 5]);
        __m256i d = _mm256_or_si256(vectors[i + 6], vectors[i + 7]);
        __m256i any = _mm256_or_si256(_mm256_or_si256(a, b),
                                      _mm256_or_si256(c, d));

        if (!_mm256_testz_si256(any, any))
            return false;
    }
    return true;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
#endif

const struct vmmig__zero_page_variant vmmig__zero_page_variants[] = {
#if defined(__x86_64__)
    { "avx2", has_avx2, is_zero_avx2 },
#endif
    { "portable", always, is_zero_portable },
    { NULL, NULL, NULL },
};

/* Each thread that comes before the choice is stored makes the same one. */
static _Atomic(bool (*)(const void *, size_t)) chosen;

static bool choose_and_call(const void *page, size_t length_bytes)
{
    const struct vmmig__zero_page_variant *variant = vmmig__zero_page_variants;

    while (!variant->is_supported())
        variant++;
    atomic_store_explicit(&chosen, variant->is_zero, memory_order_relaxed);
    return variant->is_zero(page, length_bytes);
}

bool vmmig__page_is_zero(const void *page, size_t length_bytes)
{
    bool (*is_zero)(const void *, size_t) =
        atomic_load_explicit(&chosen, memory_order_relaxed);

    return (is_zero ? is_zero : choose_and_call)(page, length_bytes);
}

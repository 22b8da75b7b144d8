/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Big-endian numbers in memory, and arithmetic that says when it overflows.
 */
#ifndef VMMIG_BASE_BYTES_H
#define VMMIG_BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t vmmig__load_u16(const void *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof value);
    return be16toh(value);
}

static inline uint32_t vmmig__load_u32(const void *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof value);
    return be32toh(value);
}

static inline uint64_t vmmig__load_u64(const void *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

static inline void vmmig__store_u16(void *bytes, uint16_t value)
{
    value = htobe16(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void vmmig__store_u32(void *bytes, uint32_t value)
{
    value = htobe32(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void vmmig__store_u64(void *bytes, uint64_t value)
{
    value = htobe64(value);
    memcpy(bytes, &value, sizeof value);
}

/* Whether [offset, offset + length) lies in [0, limit); never overflows. */
static inline bool vmmig__range_fits(uint64_t offset, uint64_t length,
                                     uint64_t limit)
{
    return offset <= limit && length <= limit - offset;
}

static inline uint64_t vmmig__add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif

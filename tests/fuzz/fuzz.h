/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entry points for fuzzers, one program for each parser. Linked with replay.c
 * they run their corpus, and simple damages of it, in `make check`; linked with
 * libFuzzer (tests/fuzz/run) they look for more.
 */
#ifndef VMMIG_TESTS_FUZZ_H
#define VMMIG_TESTS_FUZZ_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/channel-memory.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

/* The folder of this parser in tests/fuzz/corpus. */
extern const char fuzz_corpus[];

/* Returns 0; aborts when the parser did what it never may. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REQUIRE(condition)                                     \
    do {                                                            \
        if (!(condition)) {                                         \
            g_printerr("%s:%d: not true: %s\n", __FILE__, __LINE__, \
                       #condition);                                 \
            abort();                                                \
        }                                                           \
    } while (0)

/* (transfer full) */
static inline struct vmmig_reader *fuzz_reader(const uint8_t *data, size_t size)
{
    struct vmmig_channel *channel = vmmig__channel_new_buffer(data, size);
    struct vmmig_reader *reader;

    vmmig__channel_set_name(channel, "main");
    reader = vmmig__reader_new(channel);
    vmmig_channel_unref(channel);
    return reader;
}

/* A function fails exactly when it sets an error, and says why. Frees it. */
static inline void fuzz_verdict(bool ok, vmmig_error *error)
{
    FUZZ_REQUIRE(ok == !error);
    if (!error)
        return;
    FUZZ_REQUIRE(*vmmig_error_message(error));
    FUZZ_REQUIRE(g_utf8_validate(vmmig_error_message(error), -1, NULL));
    FUZZ_REQUIRE(vmmig_error_code(error) >= VMMIG_ERROR_IO &&
                 vmmig_error_code(error) <= VMMIG_ERROR_SYSTEM);
    vmmig_error_free(error);
}

/* What was written is these bytes. */
static inline void fuzz_written(const struct vmmig_writer *writer,
                                const void *expected, uint64_t expected_length)
{
    const uint8_t *bytes;
    uint64_t length;

    FUZZ_REQUIRE(vmmig__writer_check(writer, NULL));
    bytes = vmmig__writer_get_bytes(writer, &length);
    FUZZ_REQUIRE(length == expected_length);
    FUZZ_REQUIRE(length == 0 || memcmp(bytes, expected, length) == 0);
}

#endif

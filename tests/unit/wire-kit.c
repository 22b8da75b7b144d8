/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes for tests of lib/wire; see the header. */
#include "unit/wire-kit.h"

#include <inttypes.h>
#include <string.h>

#include "io/channel-memory.h"

vmmig_error *error;

/* What readers read from. */
static GPtrArray *lent;

static void *lend(const void *bytes, uint64_t length)
{
    /* Exactly as long as it is said to be, for sanitizers. */
    void *copy = g_malloc(length ? length : 1);

    if (length > 0)
        memcpy(copy, bytes, length);
    if (!lent)
        lent = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(lent, copy);
    return copy;
}

void wire_kit_clear(void)
{
    g_clear_pointer(&lent, g_ptr_array_unref);
    g_clear_error(&error);
}

GByteArray *bytes_of(const char *text)
{
    GByteArray *array = g_byte_array_new();

    while (*text) {
        uint8_t byte;

        if (*text == ' ') {
            text++;
            continue;
        }
        if (*text == '\'') {
            const char *end = strchr(text + 1, '\'');

            g_byte_array_append(array, (const guint8 *)text + 1,
                                (guint)(end - text - 1));
            text = end + 1;
            continue;
        }
        ck_assert_msg(g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1]),
                      "not hexadecimal: %s", text);
        byte = (uint8_t)(g_ascii_xdigit_value(text[0]) * 16 +
                         g_ascii_xdigit_value(text[1]));
        g_byte_array_append(array, &byte, 1);
        text += 2;
    }
    return array;
}

/* -- a channel that gives little at a time */

struct stepping {
    const uint8_t *bytes;
    uint64_t left, step;
    char *failure;
};

static bool stepping_readv(void *channel, const struct iovec *parts,
                           uint32_t count, uint64_t *ret_length_bytes,
                           vmmig_error **ret_error)
{
    struct stepping *stepping = channel;
    uint64_t given = 0;

    if (stepping->left == 0 && stepping->failure)
        return vmmig__fail(ret_error, VMMIG_ERROR_IO, "%s", stepping->failure);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t length = MIN(parts[i].iov_len, stepping->step - given);

        length = MIN(length, stepping->left);
        memcpy(parts[i].iov_base, stepping->bytes, length);
        stepping->bytes += length;
        stepping->left -= length;
        given += length;
    }
    *ret_length_bytes = given;
    return true;
}

static void stepping_shutdown(void *channel)
{
}

static void stepping_close(void *channel)
{
    struct stepping *stepping = channel;

    g_free(stepping->failure);
    g_free(stepping);
}

struct vmmig_channel *stepping_channel(const void *bytes, uint64_t length,
                                       uint64_t step, const char *failure)
{
    static const struct vmmig__channel_ops ops = {
        .ops = {.struct_size = sizeof(struct vmmig_channel_ops),
                .readv = stepping_readv,
                .shutdown = stepping_shutdown},
    };
    struct stepping *stepping = g_new0(struct stepping, 1);
    struct vmmig_channel *channel;

    stepping->bytes = lend(bytes, length);
    stepping->left = length;
    stepping->step = step;
    stepping->failure = g_strdup(failure);
    channel = vmmig__channel_new(&ops, stepping, stepping_close, "the test");
    vmmig__channel_set_name(channel, "main");
    return channel;
}

/* -- readers */

struct vmmig_reader *reader_of_bytes(const void *bytes, uint64_t length,
                                     uint64_t step)
{
    struct vmmig_channel *channel = stepping_channel(bytes, length, step, NULL);
    struct vmmig_reader *reader = vmmig__reader_new(channel);

    vmmig_channel_unref(channel);
    return reader;
}

struct vmmig_reader *reader_of(const char *text)
{
    GByteArray *array = bytes_of(text);
    struct vmmig_reader *reader =
        reader_of_bytes(array->data, array->len, UINT64_MAX);

    g_byte_array_unref(array);
    return reader;
}

/* -- verdicts */

void expect_ok(bool ok)
{
    ck_assert_msg(ok && !error, "failed: %s",
                  error ? vmmig_error_message(error) : "without an error");
}

void expect_failure(bool ok, uint32_t code, uint64_t offset, const char *words)
{
    char *place = g_strdup_printf("channel main, offset 0x%" PRIx64, offset);
    char *number = g_strdup_printf("0x%" PRIx64, offset);
    char *end = g_strdup_printf(": %s", words);
    const char *message;

    ck_assert(!ok);
    ck_assert_ptr_nonnull(error);
    message = vmmig_error_message(error);
    ck_assert_msg(g_str_has_prefix(message, place), "\"%s\" is not at %s",
                  message, place);
    ck_assert_msg(g_str_has_suffix(message, end), "\"%s\", not \"%s\"", message,
                  end);
    ck_assert_uint_eq(vmmig_error_code(error), code);
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "main");
    ck_assert_str_eq(vmmig_error_detail(error, "peer"), "the test");
    ck_assert_str_eq(vmmig_error_detail(error, "offset"), number);
    g_clear_error(&error);
    g_free(end);
    g_free(number);
    g_free(place);
}

void expect_refusal(bool ok, uint32_t code, const char *words)
{
    ck_assert(!ok);
    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(vmmig_error_message(error), words);
    ck_assert_uint_eq(vmmig_error_code(error), code);
    g_clear_error(&error);
}

void expect_end(struct vmmig_reader *reader)
{
    uint8_t byte;
    bool at_end;

    expect_ok(vmmig__reader_peek(reader, &byte, &at_end, &error));
    ck_assert_msg(at_end, "bytes are left at 0x%" PRIx64,
                  vmmig__reader_get_offset(reader));
}

void expect_written(struct vmmig_writer *writer, const char *text)
{
    GByteArray *expected = bytes_of(text);
    const uint8_t *bytes;
    uint64_t length;

    expect_ok(vmmig__writer_check(writer, &error));
    bytes = vmmig__writer_get_bytes(writer, &length);
    ck_assert_uint_eq(length, expected->len);
    ck_assert_uint_eq(vmmig__writer_get_offset(writer), length);
    if (length > 0)
        ck_assert_mem_eq(bytes, expected->data, length);
    g_byte_array_unref(expected);
    vmmig__writer_clear(writer);
}

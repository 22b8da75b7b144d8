/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams that QEMU wrote: read to the last byte, compared with what is known
 * about them, and written once more, byte for byte.
 */
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "unit/wire-kit.h"
#include "wire/command.h"
#include "wire/reply.h"
#include "wire/stream-walk.h"

static JsonParser *parser;
static JsonArray *sets;

static JsonObject *set_at(int index)
{
    return json_array_get_object_element(sets, (guint)index);
}

static const char *name_of(JsonObject *set)
{
    return json_object_get_string_member(set, "name");
}

/* -- files */

static char *vector_path(const char *set, const char *file)
{
    const char *top = g_getenv("top_srcdir");

    return g_build_filename(top ? top : ".", "tests", "wire", "vectors", set,
                            file, NULL);
}

/* (transfer full): the bytes of the file, unpacked, which must be those that
 * the index speaks of. */
static GBytes *read_vector(JsonObject *set, const char *file)
{
    JsonObject *facts = json_object_get_object_member(
        json_object_get_object_member(set, "files"), file);
    char *packed = g_strconcat(file, ".gz", NULL);
    char *path = vector_path(name_of(set), packed), *sum;
    GFile *source = g_file_new_for_path(path);
    GInputStream *in = G_INPUT_STREAM(g_file_read(source, NULL, NULL));
    GConverter *gunzip =
        G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
    GInputStream *unpacked;
    GOutputStream *out = g_memory_output_stream_new_resizable();
    GBytes *bytes;

    ck_assert_msg(in != NULL, "cannot read %s", path);
    unpacked = g_converter_input_stream_new(in, gunzip);
    ck_assert_int_ge(g_output_stream_splice(out, unpacked,
                                            G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
                                            NULL, NULL),
                     0);
    bytes = g_memory_output_stream_steal_as_bytes(G_MEMORY_OUTPUT_STREAM(out));
    ck_assert_uint_eq(g_bytes_get_size(bytes),
                      (guint64)json_object_get_int_member(facts, "bytes"));
    sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
    ck_assert_str_eq(sum, json_object_get_string_member(facts, "sha256"));
    g_free(sum);
    g_object_unref(out);
    g_object_unref(unpacked);
    g_object_unref(gunzip);
    g_object_unref(in);
    g_object_unref(source);
    g_free(path);
    g_free(packed);
    return bytes;
}

static GBytes *read_stream(JsonObject *set)
{
    JsonObject *files = json_object_get_object_member(set, "files");

    return read_vector(set, json_object_has_member(files, "main.bin")
                                ? "main.bin"
                                : "conn0.fwd");
}

/* -- what is known about a set beforehand */

static bool has_capability(JsonObject *set, const char *capability)
{
    static const char *const members[] = {"capabilities", "capabilities_both"};

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        if (json_object_has_member(set, members[i]) &&
            json_object_get_boolean_member_with_default(
                json_object_get_object_member(set, members[i]), capability,
                FALSE))
            return true;
    }
    return false;
}

static bool is_newest(JsonObject *set)
{
    return !g_str_has_prefix(json_object_get_string_member(set, "qemu"), "7.");
}

static void set_uuid(struct vmmig__configuration *local, const char *options)
{
    const char *text = strstr(options, "-uuid ");

    ck_assert_ptr_nonnull(text);
    text += strlen("-uuid ");
    for (int i = 0; i < VMMIG__UUID_BYTES; i++) {
        if (*text == '-')
            text++;
        local->uuid[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) * 16 +
                                   g_ascii_xdigit_value(text[1]));
        text += 2;
    }
    local->has_uuid = true;
}

/* The VM description at the end of a stream: where its record begins, and its
 * text (transfer full). */
static char *find_description(GBytes *bytes, uint64_t *ret_offset)
{
    gsize length;
    const uint8_t *data = g_bytes_get_data(bytes, &length);

    for (uint64_t at = length - 5; at > 0; at--) {
        if (data[at] == VMMIG__RECORD_DESCRIPTION &&
            vmmig__load_u32(data + at + 1) == length - at - 5) {
            *ret_offset = at;
            return g_strndup((const char *)data + at + 5, length - at - 5);
        }
    }
    ck_abort_msg("no VM description");
}

/* How long a described body is (docs/wire-format.md, 3.3). */
static uint64_t described_bytes(JsonObject *description)
{
    JsonArray *fields = json_object_get_array_member(description, "fields");
    uint64_t length = 0;

    for (guint i = 0; i < json_array_get_length(fields); i++) {
        JsonObject *field = json_array_get_object_element(fields, i);

        length += (uint64_t)json_object_get_int_member(field, "size") *
                  (uint64_t)json_object_get_int_member_with_default(
                      field, "array_len", 1);
    }
    if (json_object_has_member(description, "subsections")) {
        JsonArray *subsections =
            json_object_get_array_member(description, "subsections");

        for (guint i = 0; i < json_array_get_length(subsections); i++) {
            JsonObject *one = json_array_get_object_element(subsections, i);

            length += 6 +
                      strlen(json_object_get_string_member(one, "vmsd_name")) +
                      described_bytes(one);
        }
    }
    return length;
}

/* The devices of a machine with a CPU: lengths from the stream's own
 * description, which @parser keeps alive. */
static uint32_t described_devices(JsonParser *description,
                                  const struct walk_device *known,
                                  struct walk_device devices[16])
{
    JsonArray *list = json_object_get_array_member(
        json_node_get_object(json_parser_get_root(description)), "devices");
    guint count = json_array_get_length(list);

    ck_assert_uint_le(count, 16);
    for (guint i = 0; i < count; i++) {
        JsonObject *one = json_array_get_object_element(list, i);

        devices[i] = (struct walk_device){
            .name = json_object_get_string_member(one, "name"),
            .length_bytes = described_bytes(one),
        };
        for (int k = 0; k < 2; k++) {
            if (strcmp(known[k].name, devices[i].name) == 0)
                devices[i] = known[k];
        }
    }
    return count;
}

/* -- one stream */

struct stream {
    JsonObject *set;
    GBytes *bytes;
    uint64_t description_offset;
    char *description; /* as captured */
    JsonParser *described;
    struct walk_device devices[16];
    struct walk walk;
    struct vmmig_reader *reader;
};

static void stream_init(struct stream *stream, int index, uint64_t step)
{
    JsonObject *set = set_at(index);
    struct walk *walk = &stream->walk;

    stream->set = set;
    stream->bytes = read_stream(set);
    stream->description =
        find_description(stream->bytes, &stream->description_offset);
    stream->described = json_parser_new();
    ck_assert(json_parser_load_from_data(stream->described, stream->description,
                                         -1, NULL));
    walk_init(walk, is_newest(set));
    walk->local.ignore_shared = has_capability(set, "x-ignore-shared");
    if (has_capability(set, "validate-uuid"))
        set_uuid(&walk->local, json_object_get_string_member(set, "options"));
    walk->device_count =
        described_devices(stream->described, walk->devices, stream->devices);
    walk->devices = stream->devices;
    stream->reader = reader_of_bytes(g_bytes_get_data(stream->bytes, NULL),
                                     g_bytes_get_size(stream->bytes), step);
}

static void stream_clear(struct stream *stream)
{
    vmmig__reader_free(stream->reader);
    walk_clear(&stream->walk);
    g_object_unref(stream->described);
    g_free(stream->description);
    g_bytes_unref(stream->bytes);
    wire_kit_clear();
}

static void expect_ram(const struct stream *stream)
{
    GChecksum *sum;

    if (!json_object_has_member(stream->set, "final_ram_sha256"))
        return;
    ck_assert_uint_eq(stream->walk.blocks->len, 1);
    sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (guint i = 0; i < stream->walk.blocks->len; i++) {
        const struct walk_block *block =
            g_ptr_array_index(stream->walk.blocks, i);

        ck_assert_uint_eq(
            block->length_bytes,
            (guint64)json_object_get_int_member(stream->set, "ram_bytes"));
        g_checksum_update(sum, block->bytes, (gssize)block->length_bytes);
    }
    ck_assert_str_eq(
        g_checksum_get_string(sum),
        json_object_get_string_member(stream->set, "final_ram_sha256"));
    g_checksum_free(sum);
}

/* -- claims */

START_TEST(stream_is_read_to_its_last_byte)
{
    /* All at once, and in pieces that end everywhere. */
    static const uint64_t steps[] = {UINT64_MAX, 1, 1021};

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        struct stream stream;

        stream_init(&stream, _i, steps[i]);
        expect_ok(walk_stream(&stream.walk, stream.reader, &error));
        ck_assert(stream.walk.described);
        expect_end(stream.reader);
        expect_ram(&stream);
        ck_assert_uint_eq(stream.walk.sections->len, stream.walk.device_count);
        stream_clear(&stream);
    }
}
END_TEST

static void expect_same(const struct vmmig_writer *again, const char *name,
                        const uint8_t *captured, uint64_t captured_length)
{
    const uint8_t *bytes;
    uint64_t length, at = 0;

    expect_ok(vmmig__writer_check(again, &error));
    bytes = vmmig__writer_get_bytes(again, &length);
    while (at < length && at < captured_length && bytes[at] == captured[at])
        at++;
    ck_assert_msg(at == length && at == captured_length,
                  "%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                  " bytes written, which differ from 0x%" G_GINT64_MODIFIER
                  "x on",
                  name, length, captured_length, at);
}

START_TEST(stream_is_written_again_byte_for_byte)
{
    struct stream stream;

    stream_init(&stream, _i, UINT64_MAX);
    stream.walk.again = vmmig__writer_new_memory();
    expect_ok(walk_stream(&stream.walk, stream.reader, &error));
    expect_same(stream.walk.again, name_of(stream.set),
                g_bytes_get_data(stream.bytes, NULL),
                stream.description_offset);
    vmmig__writer_free(stream.walk.again);
    stream_clear(&stream);
}
END_TEST

START_TEST(description_is_written_again_byte_for_byte)
{
    struct vmmig_writer *again = vmmig__writer_new_memory();
    struct stream stream;
    char **pieces, *expected, *text;

    stream_init(&stream, _i, UINT64_MAX);
    /* The registers of a CPU are known to us by their length only. */
    if (stream.walk.device_count == 2) {
        stream.walk.again = again;
        stream.walk.description = vmmig__vm_description_new(
            is_newest(stream.set) ? &stream.walk.local : NULL, 4096);
        expect_ok(walk_stream(&stream.walk, stream.reader, &error));
        /* A timer is a number to us. */
        pieces = g_strsplit(stream.description, "\"type\": \"timer\"", -1);
        expected = g_strjoinv("\"type\": \"int64\"", pieces);
        text = vmmig__vm_description_get_text(stream.walk.description);
        ck_assert_str_eq(text, expected);
        vmmig__writer_clear(again);
        vmmig__put_vm_description(again, stream.walk.description);
        if (strcmp(expected, stream.description) == 0)
            expect_same(again, name_of(stream.set),
                        (const uint8_t *)g_bytes_get_data(stream.bytes, NULL) +
                            stream.description_offset,
                        g_bytes_get_size(stream.bytes) -
                            stream.description_offset);
        g_free(text);
        g_free(expected);
        g_strfreev(pieces);
        vmmig__vm_description_free(stream.walk.description);
    }
    vmmig__writer_free(again);
    stream_clear(&stream);
}
END_TEST

/* No prefix of a stream is taken for a stream, but for those that lack only
 * (part of) the description: at a record's boundary QEMU does not send it
 * either. */
START_TEST(stream_cut_anywhere_is_an_error)
{
    struct stream stream;
    gsize length;
    const uint8_t *data;
    uint64_t step;

    stream_init(&stream, _i, UINT64_MAX);
    data = g_bytes_get_data(stream.bytes, &length);
    step = length > 5000 ? 97 : 1;
    for (uint64_t cut = 0; cut < length; cut += step) {
        struct vmmig_reader *reader = reader_of_bytes(data, cut, UINT64_MAX);
        struct walk walk = stream.walk;
        struct walk fresh;
        bool ok;

        walk_init(&fresh, is_newest(stream.set));
        fresh.local = walk.local;
        fresh.devices = walk.devices;
        fresh.device_count = walk.device_count;
        ok = walk_stream(&fresh, reader, &error);
        ck_assert_int_eq(ok, cut == stream.description_offset);
        if (!ok) {
            /* The configuration may end before a subsection. */
            ck_assert(vmmig_error_code(error) == VMMIG_ERROR_IO ||
                      (vmmig_error_code(error) == VMMIG_ERROR_INCOMPATIBLE &&
                       cut < 100));
            ck_assert_ptr_nonnull(
                strstr(vmmig_error_message(error), "channel main, offset 0x"));
        }
        g_clear_error(&error);
        walk_clear(&fresh);
        vmmig__reader_free(reader);
    }
    stream_clear(&stream);
}
END_TEST

/* What the names of the sets promise is really in them. */
START_TEST(sets_show_what_they_are_for)
{
    struct stream stream;
    const char *name;
    const struct walk *walk = &stream.walk;

    stream_init(&stream, _i, UINT64_MAX);
    name = name_of(stream.set);
    expect_ok(walk_stream(&stream.walk, stream.reader, &error));
    ck_assert_int_eq(walk->ends, g_str_has_prefix(name, "bgsnapshot") ? 0 : 1);
    if (g_str_has_prefix(name, "nomem")) {
        ck_assert_uint_eq(walk->blocks->len, 0);
        ck_assert_uint_eq(walk->parts, 0);
    } else if (g_str_has_prefix(name, "ignore-shared")) {
        ck_assert_uint_eq(walk->blocks->len, 1);
        ck_assert_uint_eq(walk->pages + walk->zero_pages, 0);
    } else {
        const struct walk_block *block = g_ptr_array_index(walk->blocks, 0);
        bool is_default = block->length_bytes == 1 << 20;

        ck_assert_str_eq(block->name, is_default ? "ram" : "mem");
        ck_assert_uint_ge(walk->pages + walk->zero_pages,
                          block->length_bytes / 4096);
        ck_assert_uint_eq(walk->continued_pages,
                          walk->pages + walk->zero_pages - 1);
    }
    if (g_str_has_prefix(name, "dirty"))
        ck_assert_uint_gt(walk->pages + walk->zero_pages, 2048);
    if (g_str_has_prefix(name, "return-path") ||
        g_str_has_prefix(name, "switchover-ack")) {
        ck_assert_uint_ge(walk->commands->len, 2);
        ck_assert_uint_eq(g_array_index(walk->commands, uint16_t, 0),
                          VMMIG__COMMAND_OPEN_RETURN_PATH);
        ck_assert_uint_eq(g_array_index(walk->commands, uint16_t, 1),
                          VMMIG__COMMAND_PING);
    }
    stream_clear(&stream);
}
END_TEST

START_TEST(replies_are_read_and_written_again)
{
    JsonObject *set = set_at(_i);
    struct vmmig_writer *again;
    struct vmmig_reader *reader;
    GString *types;
    GBytes *bytes;

    if (!json_object_has_member(json_object_get_object_member(set, "files"),
                                "conn0.rev"))
        return;
    again = vmmig__writer_new_memory();
    types = g_string_new(NULL);
    bytes = read_vector(set, "conn0.rev");
    reader = reader_of_bytes(g_bytes_get_data(bytes, NULL),
                             g_bytes_get_size(bytes), 3);
    for (;;) {
        struct vmmig__reply reply;
        bool at_end;

        expect_ok(vmmig__get_reply(reader, &reply, &at_end, &error));
        if (at_end)
            break;
        g_string_append_printf(types, "%s(%u) ", vmmig__reply_name(reply.type),
                               reply.value);
        vmmig__put_reply(again, &reply);
    }
    expect_same(again, name_of(set), g_bytes_get_data(bytes, NULL),
                g_bytes_get_size(bytes));
    ck_assert_str_eq(types->str,
                     g_str_has_prefix(name_of(set), "switchover-ack-legacy")
                         ? "SWITCHOVER_ACK(0) PONG(1) SHUT(0) "
                         : "PONG(1) SHUT(0) ");
    g_string_free(types, TRUE);
    vmmig__reader_free(reader);
    vmmig__writer_free(again);
    g_bytes_unref(bytes);
    wire_kit_clear();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("vectors");
    char *path = vector_path("index.json", NULL);
    int count, status;

    parser = json_parser_new();
    if (!json_parser_load_from_file(parser, path, NULL)) {
        g_printerr("cannot read %s\n", path);
        return EXIT_FAILURE;
    }
    sets = json_object_get_array_member(
        json_node_get_object(json_parser_get_root(parser)), "vectors");
    count = (int)json_array_get_length(sets);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, stream_is_read_to_its_last_byte, 0, count);
    tcase_add_loop_test(tcase, stream_is_written_again_byte_for_byte, 0, count);
    tcase_add_loop_test(tcase, description_is_written_again_byte_for_byte, 0,
                        count);
    tcase_add_loop_test(tcase, stream_cut_anywhere_is_an_error, 0, count);
    tcase_add_loop_test(tcase, sets_show_what_they_are_for, 0, count);
    tcase_add_loop_test(tcase, replies_are_read_and_written_again, 0, count);
    status = run_case("vectors", tcase);
    g_free(path);
    g_object_unref(parser);
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a destination makes of streams that end early, lie, or were damaged: an
 * error that says where, or a guest; never a crash, a hang, a write outside of
 * guest memory (the toy's lies between guard pages), a lock that is kept, a
 * thread that stays.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "io/channel-memory.h"
#include "run-case.h"
#include "support/session-kit.h"
#include "support/toy-vm.h"
#include "wire/format.h"

enum { PAGES = 2, NO_HANG_MS = 2000 * KIT_SLOW };

static struct toy_vm *from, *to;
static GByteArray *stream;
static uint64_t eof_offset; /* of the EOF byte */

/* The VM description is the last record, and the byte before it is EOF. */
static uint64_t find_eof(const GByteArray *bytes)
{
    uint64_t at = bytes->len - 6;

    while (bytes->data[at] != VMMIG__RECORD_DESCRIPTION ||
           vmmig__load_u32(bytes->data + at + 1) != bytes->len - at - 5)
        at--;
    ck_assert_uint_eq(bytes->data[at - 1], VMMIG__RECORD_EOF);
    return at - 1;
}

static void setup(void)
{
    from = toy_vm_new(PAGES, true, true);
    to = toy_vm_new(PAGES, false, true);
    stream = record_stream(PAGES, NULL);
    eof_offset = find_eof(stream);
}

static void teardown(void)
{
    g_byte_array_unref(stream);
    toy_vm_free(from);
    toy_vm_free(to);
}

/* Makes the destination what it was. */
static void reset(void)
{
    if (to->running)
        toy_vm_stop(to);
    to->owner = false;
    memset(to->ram, 0, to->ram_bytes);
}

/* How one session that has been started ends. */
static bool conclude(struct vmmig_session *session, vmmig_error **error)
{
    bool ok = vmmig_session_wait(session, NO_HANG_MS, error);

    ck_assert_msg(
        vmmig_status_is_final(vmmig_session_get_status(session)),
        "it hangs");
    ck_assert(ok || !to->running); /* it may arrive paused */
    ck_assert(ok == to->owner);
    ck_assert(ok || *error);
    ck_assert_uint_eq(to->locked, 0);
    ck_assert_uint_eq(vmmig_session_get_owner(session),
                      ok ? VMMIG_OWNER_HERE : VMMIG_OWNER_PEER);
    vmmig_session_unref(session);
    return ok;
}

/* A destination that reads these bytes, and then an end. */
static bool replay(const uint8_t *bytes, uint64_t length, vmmig_error **error)
{
    struct vmmig_session *session =
        toy_session(to, VMMIG_DESTINATION,
                    vmmig__channel_new_buffer(bytes, length), NULL);

    toy_start_one(session, "host:");
    return conclude(session, error);
}

/* -- streams that end early ------------------------------------------------- */

/* The stream ends there like a file. */
static bool end_in_memory(uint64_t length, vmmig_error **error)
{
    return replay(stream->data, length, error);
}

/* The connection is lost there. */
static bool end_by_a_cut(uint64_t length, vmmig_error **error)
{
    struct vmmig_channel *ends[2];
    struct iovec part = {stream->data, length};
    struct vmmig_session *session;
    bool ok;

    vmmig__channel_new_pair(NULL, NULL, ends);
    session = toy_session(to, VMMIG_DESTINATION, ends[1], NULL);
    ck_assert(length == 0 ||
              vmmig__channel_write_all(ends[0], &part, 1, NULL));
    vmmig__channel_pair_cut(ends[0]);
    toy_start_one(session, "host:");
    ok = conclude(session, error);
    vmmig_channel_unref(ends[0]);
    return ok;
}

/* It is a real file. */
static bool end_in_a_file(uint64_t length, vmmig_error **error)
{
    char path[] = "/tmp/vmmigrate-test-XXXXXX";
    int fd = mkstemp(path);
    struct vmmig_session *session;
    char *uri = g_strconcat("file:", path, NULL);
    bool ok;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, stream->data, length), (ssize_t)length);
    close(fd);
    session = toy_session(to, VMMIG_DESTINATION, NULL, NULL);
    toy_start_one(session, uri);
    ok = conclude(session, error);
    unlink(path);
    g_free(uri);
    return ok;
}

static bool (*const endings[])(uint64_t length, vmmig_error **error) = {
    end_in_memory, end_by_a_cut, end_in_a_file};

START_TEST(a_stream_that_ends_anywhere_is_an_error)
{
    for (uint64_t length = 0; length <= eof_offset; length++) {
        vmmig_error *error = NULL;

        ck_assert_msg(!endings[_i](length, &error), "%u bytes are enough",
                      (unsigned)length);
        /* A PONG may be what hits the cut first. */
        ck_assert_msg(strstr(error->message, "channel main") &&
                          vmmig_error_detail(error, "channel") &&
                          (vmmig_error_detail(error, "offset") ||
                           strstr(error->message, "return path: PONG")),
                      "%u bytes: %s", (unsigned)length, error->message);
        ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_IO);
        vmmig_error_free(error);
    }
}
END_TEST

/* From the EOF byte on the guest is there; what follows is for tools. */
START_TEST(a_stream_that_ends_after_eof_may_be_enough)
{
    for (uint64_t length = eof_offset + 1; length <= stream->len; length++) {
        vmmig_error *error = NULL;
        bool ok = endings[_i](length, &error);

        if (ok) {
            ck_assert(to->running);
            toy_vm_assert_equal(from, to);
        } else {
            ck_assert_ptr_nonnull(strstr(error->message, "channel main"));
        }
        ck_assert(ok || length < stream->len || _i == 1);
        g_clear_error(&error);
        reset();
    }
}
END_TEST

/* -- damaged streams -------------------------------------------------------- */

/* Of the toy's pages, which hold one byte all over, all but the edges. */
static bool is_payload(uint64_t at)
{
    const uint8_t *bytes = stream->data;

    if (at < 16 || at + 16 >= stream->len || bytes[at] == 0)
        return false;
    for (int i = -16; i <= 16; i++) {
        if (bytes[(int64_t)at + i] != bytes[at])
            return false;
    }
    return true;
}

START_TEST(a_damaged_byte_is_an_error_or_a_value)
{
    static const uint8_t damages[] = {0x01, 0x08, 0x80, 0xff};
    uint8_t damage = damages[_i];
    unsigned tried = 0, errors = 0;

    for (uint64_t at = 0; at < stream->len; at++) {
        vmmig_error *error = NULL;

        if (is_payload(at))
            continue;
        tried++;
        stream->data[at] ^= damage;
        if (!replay(stream->data, stream->len, &error)) {
            errors++;
            ck_assert_msg(strstr(error->message, "channel main") ||
                              strstr(error->message, "globalstate"),
                          "0x%x: %s", (unsigned)at, error->message);
        }
        stream->data[at] ^= damage;
        g_clear_error(&error);
        reset();
    }
    ck_assert_uint_gt(tried, 500);
    ck_assert_uint_gt(errors, 100);
    ck_assert(replay(stream->data, stream->len, NULL));
    ck_assert(to->running);
    toy_vm_assert_equal(from, to);
}
END_TEST

/* -- lies ------------------------------------------------------------------- */

#define ALL(text) text, sizeof(text) - 1

/* Bytes that occur once, those to put at their place + offset, and what the
 * error says. */
static const struct lie {
    const char *what;
    const char *find;
    size_t find_length, offset;
    const char *put;
    size_t put_length;
    uint32_t code;
    const char *words;
} lies[] = {
    {"unknown section", ALL("\7toy-cpu\0\0\0\0"), 7, ALL("x"),
     VMMIG_ERROR_INCOMPATIBLE, "unknown section \"toy-cpx\""},
    {"unknown instance", ALL("\7toy-cpu\0\0\0\0"), 11, ALL("\3"),
     VMMIG_ERROR_INCOMPATIBLE, "unknown section \"toy-cpu\" (instance 3)"},
    {"newer version", ALL("\7toy-cpu\0\0\0\0"), 15, ALL("\2"),
     VMMIG_ERROR_INCOMPATIBLE, "has version 2; this side reads 1 to 1"},
    {"version 2^31", ALL("\7toy-net\0\0\0\0"), 12, ALL("\x80"),
     VMMIG_ERROR_INCOMPATIBLE, "has version 2147483649"},
    {"RAM of another version", ALL("\3ram\0\0\0\0"), 11, ALL("\3"),
     VMMIG_ERROR_INCOMPATIBLE, "has version 3"},
    {"unknown block", ALL("\3ram\0\0\0\0\0\0\x20\0"), 3, ALL("n"),
     VMMIG_ERROR_INCOMPATIBLE, "there is no block \"ran\" here"},
    {"larger block", ALL("\3ram\0\0\0\0\0\0\x20\0"), 10, ALL("\x30"),
     VMMIG_ERROR_PROTOCOL, "0x3000"},
    {"block of 2^31", ALL("\3ram\0\0\0\0\0\0\x20\0"), 8, ALL("\x80"),
     VMMIG_ERROR_PROTOCOL, "0x80002000"},
    {"block of 2^63", ALL("\3ram\0\0\0\0\0\0\x20\0"), 4, ALL("\x80"),
     VMMIG_ERROR_PROTOCOL, "0x8000000000002000"},
    {"name of 2^31 bytes", ALL("\0\0\0\3toy"), 0, ALL("\x80"),
     VMMIG_ERROR_PROTOCOL, "2147483651"},
    {"other machine", ALL("\0\0\0\3toy"), 6, ALL("x"),
     VMMIG_ERROR_INCOMPATIBLE, "\"tox\""},
    {"no stream", ALL("QEVM"), 3, ALL("X"), VMMIG_ERROR_PROTOCOL,
     "no migration stream"},
    {"old stream", ALL("QEVM\0\0\0\3"), 7, ALL("\2"),
     VMMIG_ERROR_INCOMPATIBLE, "version 2"},
    {"state without end", ALL("running\0"), 7, ALL("xxxxxxxxxxxxxxxxxxxxxxxxx"),
     VMMIG_ERROR_PROTOCOL, "no end"},
    {"unknown state", ALL("running\0"), 0, ALL("jogging"),
     VMMIG_ERROR_INCOMPATIBLE, "\"jogging\""},
};

START_TEST(a_lie_is_found_and_named)
{
    const struct lie *lie = &lies[_i];
    uint8_t *place = memmem(stream->data, stream->len, lie->find,
                            lie->find_length);
    vmmig_error *error = NULL;

    ck_assert_msg(place, "%s: it is not there", lie->what);
    memcpy(place + lie->offset, lie->put, lie->put_length);
    ck_assert_msg(!replay(stream->data, stream->len, &error), "%s: fine",
                  lie->what);
    ck_assert_msg(strstr(error->message, lie->words), "%s: %s", lie->what,
                  error->message);
    ck_assert_msg(vmmig_error_code(error) == lie->code, "%s: %u", lie->what,
                  (unsigned)vmmig_error_code(error));
    vmmig_error_free(error);
}
END_TEST

/* A record's place in the stream: its idstr with the length in front, from
 * which the type is 5 bytes away. */
static uint64_t record_of(const char *find, size_t length)
{
    uint8_t *place = memmem(stream->data, stream->len, find, length);

    ck_assert_ptr_nonnull(place);
    return (uint64_t)(place - stream->data) - 5;
}

static void cut_out(uint64_t first, uint64_t end)
{
    g_byte_array_remove_range(stream, (guint)first, (guint)(end - first));
}

START_TEST(a_device_that_does_not_come_is_missed)
{
    uint64_t net = record_of(ALL("\7toy-net"));
    /* type, id, name, instance, version, mac, footer */
    vmmig_error *error = NULL;

    cut_out(net, net + 5 + 8 + 8 + 4 + 5);
    ck_assert(!replay(stream->data, stream->len, &error));
    ck_assert_ptr_nonnull(
        strstr(error->message, "no state for device \"toy-net\""));
    vmmig_error_free(error);
}
END_TEST

/* A live device has nothing to say only if it can be inactive. */
START_TEST(a_stream_without_memory_is_no_guest)
{
    uint64_t ram = record_of(ALL("\3ram\0\0\0\0"));
    uint64_t cpu = record_of(ALL("\7toy-cpu"));
    vmmig_error *error = NULL;

    cut_out(ram, cpu);
    ck_assert(!replay(stream->data, stream->len, &error));
    ck_assert_msg(strstr(error->message, "\"ram\"") ||
                      strstr(error->message, "\"toy-disk\""),
                  "%s", error->message);
    vmmig_error_free(error);
}
END_TEST

/* START of both live devices, and then device state at once. */
START_TEST(memory_without_its_end_is_no_guest)
{
    uint64_t cpu = record_of(ALL("\7toy-cpu"));
    uint64_t disk = record_of(ALL("\10toy-disk"));
    vmmig_error *error = NULL;

    /* type, id, name, instance, version, size, footer */
    cut_out(disk + 5 + 9 + 8 + 4 + 5, cpu);
    ck_assert(!replay(stream->data, stream->len, &error));
    ck_assert_msg(strstr(error->message, "without the END of section"), "%s",
                  error->message);
    vmmig_error_free(error);
}
END_TEST

START_TEST(a_section_that_comes_twice_is_refused)
{
    uint64_t net = record_of(ALL("\7toy-net"));
    uint64_t length = 5 + 8 + 8 + 4 + 5;
    GByteArray *twice = g_byte_array_new();
    vmmig_error *error = NULL;

    g_byte_array_append(twice, stream->data, (guint)(net + length));
    g_byte_array_append(twice, stream->data + net, (guint)(stream->len - net));
    ck_assert(!replay(twice->data, twice->len, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "came twice"));
    g_byte_array_unref(twice);
    vmmig_error_free(error);
}
END_TEST

/* -- what the source is told ------------------------------------------------ */

/* A source that plays @bytes and then listens: what the destination replied. */
static GByteArray *replies_to(const uint8_t *bytes, uint64_t length)
{
    GByteArray *replies = g_byte_array_new();
    struct vmmig_channel *ends[2];
    struct iovec part = {(void *)bytes, length};
    struct vmmig_session *session;
    uint8_t buffer[256];
    uint64_t got = 1;

    vmmig__channel_new_pair(NULL, NULL, ends);
    session = toy_session(to, VMMIG_DESTINATION, ends[1], NULL);
    toy_start_one(session, "host:");
    ck_assert(vmmig__channel_write_all(ends[0], &part, 1, NULL));
    part = (struct iovec){buffer, sizeof buffer};
    while (got > 0) {
        ck_assert(vmmig__channel_read(ends[0], &part, 1, &got, NULL));
        g_byte_array_append(replies, buffer, (guint)got);
    }
    vmmig_session_wait(session, NO_HANG_MS, NULL);
    vmmig_session_unref(session);
    vmmig_channel_unref(ends[0]);
    return replies;
}

/* PONG, with @reason a REASON that has these words, and SHUT. */
static void assert_replies(GByteArray *replies, const char *reason,
                           uint8_t shut)
{
    static const uint8_t pong[] = {0, 2, 0, 4, 0, 0, 0, 1};
    const uint8_t last[] = {0, 1, 0, 4, 0, 0, 0, shut};
    const uint8_t *at = replies->data + sizeof pong;
    size_t left = replies->len - sizeof pong;

    ck_assert_uint_ge(replies->len, sizeof pong + sizeof last);
    ck_assert_mem_eq(replies->data, pong, sizeof pong);
    if (reason) {
        size_t length = (size_t)at[2] << 8 | at[3];

        ck_assert_mem_eq(at, "\x80\1", 2);
        ck_assert_uint_ge(left, 4 + length);
        ck_assert_ptr_nonnull(memmem(at + 4, length, reason, strlen(reason)));
        at += 4 + length;
        left -= 4 + length;
    }
    ck_assert_uint_eq(left, sizeof last);
    ck_assert_mem_eq(at, last, sizeof last);
    g_byte_array_unref(replies);
}

START_TEST(a_guest_that_arrived_is_confirmed)
{
    assert_replies(replies_to(stream->data, stream->len), NULL, 0);
    ck_assert(to->running);
}
END_TEST

START_TEST(a_stream_that_is_refused_is_refused_in_words)
{
    uint64_t cpu = record_of(ALL("\7toy-cpu"));

    stream->data[cpu] = 0x77;
    assert_replies(replies_to(stream->data, stream->len),
                   "receive: channel main, offset 0x", 1);
    ck_assert(!to->running);
}
END_TEST

START_TEST(a_device_that_refuses_its_state_is_told)
{
    to->refuse_post_load = true;
    assert_replies(replies_to(stream->data, stream->len),
                   "this cable does not fit", 1);
    ck_assert(!to->running);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("hostile streams");

    tcase_set_timeout(tcase, 60 * KIT_SLOW);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_stream_that_ends_anywhere_is_an_error, 0,
                        G_N_ELEMENTS(endings));
    tcase_add_loop_test(tcase, a_stream_that_ends_after_eof_may_be_enough, 0,
                        G_N_ELEMENTS(endings));
    tcase_add_loop_test(tcase, a_damaged_byte_is_an_error_or_a_value, 0, 4);
    tcase_add_loop_test(tcase, a_lie_is_found_and_named, 0,
                        G_N_ELEMENTS(lies));
    tcase_add_test(tcase, a_device_that_does_not_come_is_missed);
    tcase_add_test(tcase, a_stream_without_memory_is_no_guest);
    tcase_add_test(tcase, memory_without_its_end_is_no_guest);
    tcase_add_test(tcase, a_section_that_comes_twice_is_refused);
    tcase_add_test(tcase, a_guest_that_arrived_is_confirmed);
    tcase_add_test(tcase, a_stream_that_is_refused_is_refused_in_words);
    tcase_add_test(tcase, a_device_that_refuses_its_state_is_told);
    return run_case("hostile streams", tcase);
}

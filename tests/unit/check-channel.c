/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all channels have in common, over a transport that misbehaves. */
#include <check.h>
#include <string.h>

#include "io/channel.h"
#include "unit/channel-kit.h"
#include "unit/run-case.h"

/* A host's transport that does as it is told. */
struct fake {
    GByteArray *taken;
    uint64_t at_most; /* bytes per write or read */
    uint64_t claims;  /* not 0: the length it reports */
    vmmig_error *fail_with;
    bool fail;
    uint32_t most_parts;
    unsigned shutdowns, closes;
};

static bool misbehave(struct fake *fake, vmmig_error **cause)
{
    if (fake->fail_with)
        g_propagate_error(cause, fake->fail_with);
    return false;
}

static bool fake_readv(void *data, const struct iovec *parts, uint32_t count,
                       uint64_t *ret_length_bytes, vmmig_error **cause)
{
    struct fake *fake = data;

    if (fake->fail)
        return misbehave(fake, cause);
    *ret_length_bytes = fake->claims;
    return true;
}

static bool fake_writev(void *data, const struct iovec *parts, uint32_t count,
                        uint64_t *ret_length_bytes, vmmig_error **cause)
{
    struct fake *fake = data;
    uint64_t taken = 0;

    if (fake->fail)
        return misbehave(fake, cause);
    fake->most_parts = MAX(fake->most_parts, count);
    for (uint32_t i = 0; i < count && taken < fake->at_most; i++) {
        uint64_t now = MIN(parts[i].iov_len, fake->at_most - taken);

        g_byte_array_append(fake->taken, parts[i].iov_base, (guint)now);
        taken += now;
    }
    *ret_length_bytes = fake->claims ? fake->claims : taken;
    return true;
}

static void fake_shutdown(void *data)
{
    ((struct fake *)data)->shutdowns++;
}

static void fake_close(void *data)
{
    ((struct fake *)data)->closes++;
}

static const struct vmmig_channel_ops fake_ops = {
    .struct_size = sizeof(struct vmmig_channel_ops),
    .readv = fake_readv,
    .writev = fake_writev,
    .shutdown = fake_shutdown,
};

static struct fake fake;
static struct vmmig_channel *channel;
static vmmig_error *error;

static void set_up(void)
{
    fake = (struct fake){.taken = g_byte_array_new(), .at_most = UINT64_MAX};
    channel = vmmig_channel_new(&fake_ops, &fake, fake_close, NULL);
    vmmig__channel_set_name(channel, "main");
}

static void tear_down(void)
{
    vmmig_channel_unref(channel);
    ck_assert_uint_eq(fake.closes, 1);
    g_byte_array_unref(fake.taken);
    ck_assert_ptr_null(error);
}

START_TEST(table_that_will_not_do_is_refused_and_the_data_freed)
{
    static const struct {
        struct vmmig_channel_ops ops;
        const char *words;
    } rows[] = {
        {{.struct_size = sizeof(struct vmmig_channel_ops), .readv = fake_readv},
         "shutdown is missing"},
        {{.struct_size = sizeof(struct vmmig_channel_ops),
          .shutdown = fake_shutdown},
         "readv and writev are missing"},
        {{.struct_size = sizeof(struct vmmig_channel_ops),
          .flags = 4,
          .readv = fake_readv,
          .shutdown = fake_shutdown},
         "unknown flags 0x4"},
        {{.struct_size = 0}, "struct_size"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake other = {0};

        ck_assert_ptr_null(
            vmmig_channel_new(&rows[i].ops, &other, fake_close, &error));
        expect_error(&error, VMMIG_ERROR_INVALID, rows[i].words);
        ck_assert_uint_eq(other.closes, 1);
    }
    ck_assert_ptr_null(vmmig_channel_new(NULL, NULL, NULL, &error));
    expect_error(&error, VMMIG_ERROR_INVALID, "NULL");
}
END_TEST

START_TEST(last_reference_closes)
{
    ck_assert_ptr_eq(vmmig_channel_ref(channel), channel);
    ck_assert_ptr_null(vmmig_channel_unref(channel));
    ck_assert_uint_eq(fake.closes, 0);
    ck_assert_ptr_null(vmmig_channel_unref(NULL));
}
END_TEST

START_TEST(short_writes_are_continued_across_parts)
{
    enum { PARTS = 3000 };
    struct iovec parts[PARTS];
    uint8_t bytes[PARTS * 7];
    uint64_t used = 0;

    for (uint64_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern_at(i);
    for (unsigned i = 0; i < PARTS; i++) {
        parts[i] = (struct iovec){bytes + used, i % 8};
        used += i % 8;
    }
    fake.at_most = 1021;
    ck_assert(vmmig__channel_write_all(channel, parts, PARTS, &error));
    ck_assert_uint_eq(fake.taken->len, used);
    ck_assert(is_pattern(fake.taken));
    ck_assert_uint_eq(fake.most_parts, VMMIG__CHANNEL_MAX_PARTS);
}
END_TEST

START_TEST(transport_that_counts_wrong_is_caught)
{
    uint8_t byte = 0;
    struct iovec part = {&byte, 1};
    uint64_t length;

    fake.claims = 2;
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO, "more than it was given");
    part = (struct iovec){&byte, 1};
    ck_assert(!vmmig__channel_read(channel, &part, 1, &length, &error));
    expect_error(&error, VMMIG_ERROR_IO, "more than there was room for");
    fake.claims = 0;
    fake.at_most = 0;
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO, "it took nothing");
}
END_TEST

START_TEST(errors_name_the_channel_and_its_peer)
{
    uint8_t byte = 0;
    struct iovec part = {&byte, 1};
    uint64_t length;

    fake.fail = true;
    fake.fail_with = g_error_new(g_quark_from_static_string("theirs"), 7,
                                 "the cable is gone");
    ck_assert(!vmmig__channel_read(channel, &part, 1, &length, &error));
    ck_assert_str_eq(error->message, "channel main: reading from the host's "
                                     "channel: the cable is gone");
    ck_assert_str_eq(vmmig_error_detail(error, "channel"), "main");
    ck_assert_str_eq(vmmig_error_detail(error, "peer"), "the host's channel");
    expect_error(&error, VMMIG_ERROR_IO, "");

    fake.fail_with = NULL;
    vmmig_error_set(&fake.fail_with, VMMIG_ERROR_TLS, "bad record");
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_TLS,
                 "channel main: writing to the host's channel: bad record");

    fake.fail_with = NULL;
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO, "no reason was given");
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, NULL));
}
END_TEST

START_TEST(shutdown_is_sticky_and_told_once)
{
    uint8_t byte = 0;
    struct iovec part = {&byte, 1};
    uint64_t length;

    vmmig__channel_shutdown(channel);
    vmmig__channel_shutdown(channel);
    ck_assert_uint_eq(fake.shutdowns, 1);
    ck_assert(!vmmig__channel_write_all(channel, &part, 1, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the channel was shut down");
    ck_assert_uint_eq(fake.taken->len, 0);
    ck_assert(!vmmig__channel_read(channel, &part, 1, &length, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the channel was shut down");
    ck_assert(!vmmig__channel_finish(channel, &error));
    expect_error(&error, VMMIG_ERROR_IO, "the channel was shut down");
}
END_TEST

START_TEST(one_way_channel_refuses_the_other_way)
{
    const struct vmmig_channel_ops write_only = {
        .struct_size = sizeof(struct vmmig_channel_ops),
        .writev = fake_writev,
        .shutdown = fake_shutdown,
    };
    struct vmmig_channel *other =
        vmmig_channel_new(&write_only, NULL, NULL, NULL);
    uint8_t byte;
    struct iovec part = {&byte, 1};
    uint64_t length;

    ck_assert(vmmig__channel_is_two_way(channel));
    ck_assert(!vmmig__channel_is_two_way(other));
    ck_assert(!vmmig__channel_read(other, &part, 1, &length, &error));
    expect_error(&error, VMMIG_ERROR_IO,
                 "channel: reading from the host's "
                 "channel: it can only be written");
    vmmig_channel_unref(other);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("channel");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, table_that_will_not_do_is_refused_and_the_data_freed);
    tcase_add_test(tcase, last_reference_closes);
    tcase_add_test(tcase, short_writes_are_continued_across_parts);
    tcase_add_test(tcase, transport_that_counts_wrong_is_caught);
    tcase_add_test(tcase, errors_name_the_channel_and_its_peer);
    tcase_add_test(tcase, shutdown_is_sticky_and_told_once);
    tcase_add_test(tcase, one_way_channel_refuses_the_other_way);
    return run_case("channel", tcase);
}

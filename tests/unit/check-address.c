/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses: what each text means, and what is said about the ones that mean
 * nothing. */
#include <check.h>
#include <string.h>

#include "io/address.h"
#include "unit/run-case.h"

/* Like struct vmmig__address. */
struct expected {
    enum vmmig__address_kind kind;
    const char *host, *port, *path, *command;
    int fd;
    uint64_t offset_bytes;
};

static const struct {
    const char *text;
    const char *printed; /* NULL: the same */
    struct expected address;
} good[] = {
    {"tcp:10.0.0.1:4444",
     NULL,
     {.kind = VMMIG__ADDRESS_TCP, .host = "10.0.0.1", .port = "4444"}},
    {"tcp:[fe80::1%eth0]:1",
     NULL,
     {.kind = VMMIG__ADDRESS_TCP, .host = "fe80::1%eth0", .port = "1"}},
    {"tcp:host.example.com:65535",
     NULL,
     {.kind = VMMIG__ADDRESS_TCP, .host = "host.example.com", .port = "65535"}},
    {"tcp:[name]:0007",
     "tcp:name:7",
     {.kind = VMMIG__ADDRESS_TCP, .host = "name", .port = "7"}},
    {"tcp::0", NULL, {.kind = VMMIG__ADDRESS_TCP, .host = "", .port = "0"}},
    {"unix:/run/a b,c.sock",
     NULL,
     {.kind = VMMIG__ADDRESS_UNIX, .path = "/run/a b,c.sock"}},
    {"fd:0", NULL, {.kind = VMMIG__ADDRESS_FD, .fd = 0}},
    {"fd:2147483647", NULL, {.kind = VMMIG__ADDRESS_FD, .fd = 2147483647}},
    {"file:/a,b", NULL, {.kind = VMMIG__ADDRESS_FILE, .path = "/a,b"}},
    {"file:/a,offset=0",
     "file:/a",
     {.kind = VMMIG__ADDRESS_FILE, .path = "/a"}},
    {"file:/a,offset=0x1000",
     "file:/a,offset=4096",
     {.kind = VMMIG__ADDRESS_FILE, .path = "/a", .offset_bytes = 4096}},
    {"file:a,offset=1,offset=2M",
     "file:a,offset=1,offset=2097152",
     {.kind = VMMIG__ADDRESS_FILE,
      .path = "a,offset=1",
      .offset_bytes = 2097152}},
    {"file:a,offset=1,offset=0",
     NULL,
     {.kind = VMMIG__ADDRESS_FILE, .path = "a,offset=1"}},
    {"file:/a,offset=010",
     "file:/a,offset=10",
     {.kind = VMMIG__ADDRESS_FILE, .path = "/a", .offset_bytes = 10}},
    {"file:/a,offset=9223372036854775807",
     NULL,
     {.kind = VMMIG__ADDRESS_FILE, .path = "/a", .offset_bytes = INT64_MAX}},
    {"exec:gzip -c > 'a:b'",
     NULL,
     {.kind = VMMIG__ADDRESS_EXEC, .command = "gzip -c > 'a:b'"}},
    {"host:", NULL, {.kind = VMMIG__ADDRESS_HOST}},
};

static const struct {
    const char *text;
    const char *words;
} bad[] = {
    {"", "it has to begin with tcp:, unix:, fd:, file:, exec: or host:"},
    {"/tmp/x", "it has to begin with"},
    {"rdma:10.0.0.1:1", "it has to begin with"},
    {"TCP:10.0.0.1:1", "it has to begin with"},
    {" tcp:10.0.0.1:1", "it has to begin with"},
    {"tcp:", "the port is missing"},
    {"tcp:host", "the port is missing"},
    {"tcp:[::1]", "the port is missing"},
    {"tcp:[::1]4444", "the port is missing"},
    {"tcp:[::1:4444", "\"]\" is missing"},
    {"tcp:::1:4444", "an IPv6 address belongs in brackets"},
    {"tcp:host:", "the port \"\" is no number from 0 to 65535"},
    {"tcp:host:65536", "the port \"65536\" is no number from 0 to 65535"},
    {"tcp:host:-1", "the port \"-1\" is no number from 0 to 65535"},
    {"tcp:host:+1", "the port \"+1\" is no number from 0 to 65535"},
    {"tcp:host: 1", "the port \" 1\" is no number from 0 to 65535"},
    {"tcp:host:1,to=5", "the port \"1,to=5\" is no number from 0 to 65535"},
    {"tcp:host:18446744073709551617", "is no number from 0 to 65535"},
    {"unix:", "the path is missing"},
    {"fd:", "\"\" is not the number of a descriptor"},
    {"fd:name", "\"name\" is not the number of a descriptor"},
    {"fd:-1", "\"-1\" is not the number of a descriptor"},
    {"fd:2147483648", "\"2147483648\" is not the number of a descriptor"},
    {"file:", "the path is missing"},
    {"file:,offset=1", "the path is missing"},
    {"file:/a,offset=", "the offset \"\" is no number of bytes"},
    {"file:/a,offset=-1", "the offset \"-1\" is no number of bytes"},
    {"file:/a,offset=1X", "the offset \"1X\" is no number of bytes"},
    {"file:/a,offset=1KB", "the offset \"1KB\" is no number of bytes"},
    {"file:/a,offset=9223372036854775808", "is no number of bytes"},
    {"file:/a,offset=8388608T", "is no number of bytes"},
    {"file:/a,offset=99999999999999999999", "is no number of bytes"},
    {"exec:", "the command is missing"},
    {"host:x", "nothing may follow \"host:\""},
};

START_TEST(text_becomes_its_address_and_text_again)
{
    const struct expected *expected = &good[_i].address;
    struct vmmig__address *address = NULL;
    vmmig_error *error = NULL;
    char *printed;

    if (!vmmig__address_parse(good[_i].text, &address, &error))
        ck_abort_msg("%s", error->message);
    ck_assert_uint_eq(address->kind, expected->kind);
    ck_assert_pstr_eq(address->host, expected->host);
    ck_assert_pstr_eq(address->port, expected->port);
    ck_assert_pstr_eq(address->path, expected->path);
    ck_assert_pstr_eq(address->command, expected->command);
    ck_assert_int_eq(address->fd, expected->fd);
    ck_assert_uint_eq(address->offset_bytes, expected->offset_bytes);

    printed = vmmig__address_print(address);
    ck_assert_str_eq(printed,
                     good[_i].printed ? good[_i].printed : good[_i].text);
    g_free(printed);
    vmmig__address_free(address);
}
END_TEST

START_TEST(bad_text_is_refused_with_the_text_and_the_reason)
{
    struct vmmig__address *address = NULL;
    vmmig_error *error = NULL;
    char *start = g_strdup_printf("address \"%s\": ", bad[_i].text);

    ck_assert(!vmmig__address_parse(bad[_i].text, &address, &error));
    ck_assert_ptr_null(address);
    ck_assert_uint_eq(vmmig_error_code(error), VMMIG_ERROR_INVALID);
    ck_assert_msg(g_str_has_prefix(error->message, start), "%s",
                  error->message);
    ck_assert_msg(strstr(error->message, bad[_i].words) != NULL, "%s",
                  error->message);
    g_error_free(error);
    g_free(start);
}
END_TEST

START_TEST(path_that_no_socket_can_have_is_refused)
{
    struct vmmig__address *address = NULL;
    vmmig_error *error = NULL;
    char *name = g_strnfill(107, 'x');
    char *fits = g_strconcat("unix:", name, NULL);
    char *too_long = g_strconcat(fits, "x", NULL);

    ck_assert(vmmig__address_parse(fits, &address, &error));
    vmmig__address_free(address);
    ck_assert(!vmmig__address_parse(too_long, &address, &error));
    ck_assert_ptr_nonnull(
        strstr(error->message,
               "the path has 108 bytes, that of a socket can have 107"));
    g_error_free(error);
    g_free(too_long);
    g_free(fits);
    g_free(name);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("address");

    tcase_add_loop_test(tcase, text_becomes_its_address_and_text_again, 0,
                        G_N_ELEMENTS(good));
    tcase_add_loop_test(tcase, bad_text_is_refused_with_the_text_and_the_reason,
                        0, G_N_ELEMENTS(bad));
    tcase_add_test(tcase, path_that_no_socket_can_have_is_refused);
    return run_case("address", tcase);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses from and to text. Any thread; nothing is kept.
 */
#include "io/address.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SCHEMES "tcp:, unix:, fd:, file:, exec: or host:"

/* Digits only, up to `maximum`; no sign, no blanks. */
static bool parse_number(const char *text, uint64_t maximum,
                         uint64_t *ret_number)
{
    uint64_t number = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        uint64_t digit;

        if (!g_ascii_isdigit(*text))
            return false;
        digit = (uint64_t)(*text - '0');
        if (number > (maximum - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

/* HOST:PORT */
static bool parse_tcp(struct vmmig__address *address, const char *rest,
                      vmmig_error **error)
{
    const char *host_end, *port;
    uint64_t number;

    if (*rest == '[') {
        host_end = strchr(++rest, ']');
        if (!host_end)
            return vmmig__fail(error, VMMIG_ERROR_INVALID, "\"]\" is missing");
        if (*rest == '[')
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "a second \"[\" is too many");
        port = host_end + 1;
        if (*port != ':') {
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "the port is missing");
        }
    } else {
        host_end = port = strchr(rest, ':');
        if (!port) {
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "the port is missing");
        }
        if (strchr(port + 1, ':')) {
            return vmmig__fail(error, VMMIG_ERROR_INVALID,
                               "an IPv6 address belongs in brackets");
        }
    }
    port++;
    if (!parse_number(port, UINT16_MAX, &number)) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the port \"%s\" is no number from 0 to 65535",
                           port);
    }
    address->host = g_strndup(rest, (gsize)(host_end - rest));
    address->port = g_strdup_printf("%u", (unsigned)number);
    return true;
}

static bool parse_unix(struct vmmig__address *address, const char *rest,
                       vmmig_error **error)
{
    const size_t limit = sizeof(((struct sockaddr_un *)NULL)->sun_path);

    if (!*rest)
        return vmmig__fail(error, VMMIG_ERROR_INVALID, "the path is missing");
    if (strlen(rest) >= limit) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the path has %zu bytes, that of a socket can have "
                           "%zu",
                           strlen(rest), limit - 1);
    }
    address->path = g_strdup(rest);
    return true;
}

static bool parse_fd(struct vmmig__address *address, const char *rest,
                     vmmig_error **error)
{
    uint64_t number;

    if (!parse_number(rest, INT32_MAX, &number)) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "\"%s\" is not the number of a descriptor", rest);
    }
    address->fd = (int)number;
    return true;
}

/* Decimal or 0x, then K, M, G or T or nothing; fits an off_t. */
static bool parse_offset(const char *text, uint64_t *ret_offset_bytes)
{
    static const char units[] = "KMGT";
    const char *unit;
    char *end;
    guint64 number;
    unsigned shift = 0;

    if (!g_ascii_isdigit(*text))
        return false;
    number = g_ascii_strtoull(
        text, &end,
        g_str_has_prefix(text, "0x") || g_str_has_prefix(text, "0X") ? 16 : 10);
    if (*end) {
        unit = strchr(units, g_ascii_toupper(*end));
        if (!unit || end[1])
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (number > (guint64)INT64_MAX >> shift)
        return false;
    *ret_offset_bytes = number << shift;
    return true;
}

static bool parse_file(struct vmmig__address *address, const char *rest,
                       vmmig_error **error)
{
    static const char key[] = ",offset=";
    const char *option = g_strrstr(rest, key);
    size_t length = option ? (size_t)(option - rest) : strlen(rest);

    if (length == 0)
        return vmmig__fail(error, VMMIG_ERROR_INVALID, "the path is missing");
    if (option && !parse_offset(option + strlen(key), &address->offset_bytes)) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the offset \"%s\" is no number of bytes",
                           option + strlen(key));
    }
    address->path = g_strndup(rest, length);
    return true;
}

static bool parse_exec(struct vmmig__address *address, const char *rest,
                       vmmig_error **error)
{
    if (!*rest) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "the command is missing");
    }
    address->command = g_strdup(rest);
    return true;
}

static bool parse_host(struct vmmig__address *address, const char *rest,
                       vmmig_error **error)
{
    if (*rest) {
        return vmmig__fail(error, VMMIG_ERROR_INVALID,
                           "nothing may follow \"host:\"");
    }
    return true;
}

static const struct {
    const char *scheme;
    enum vmmig__address_kind kind;
    bool (*parse)(struct vmmig__address *address, const char *rest,
                  vmmig_error **error);
} kinds[] = {
    /* clang-format off */
    {"tcp:",  VMMIG__ADDRESS_TCP,  parse_tcp},
    {"unix:", VMMIG__ADDRESS_UNIX, parse_unix},
    {"fd:",   VMMIG__ADDRESS_FD,   parse_fd},
    {"file:", VMMIG__ADDRESS_FILE, parse_file},
    {"exec:", VMMIG__ADDRESS_EXEC, parse_exec},
    {"host:", VMMIG__ADDRESS_HOST, parse_host},
    /* clang-format on */
};

bool vmmig__address_parse(const char *text, struct vmmig__address **ret_address,
                          vmmig_error **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct vmmig__address *address;

        if (!g_str_has_prefix(text, kinds[i].scheme))
            continue;
        address = g_new0(struct vmmig__address, 1);
        address->kind = kinds[i].kind;
        if (kinds[i].parse(address, text + strlen(kinds[i].scheme), error)) {
            *ret_address = address;
            return true;
        }
        vmmig__address_free(address);
        return vmmig__prefix(error, "address \"%s\": ", text);
    }
    return vmmig__fail(error, VMMIG_ERROR_INVALID,
                       "address \"%s\": it has to begin with " SCHEMES, text);
}

char *vmmig__address_print(const struct vmmig__address *address)
{
    switch (address->kind) {
    case VMMIG__ADDRESS_TCP:
        return g_strdup_printf(strchr(address->host, ':') ? "tcp:[%s]:%s"
                                                          : "tcp:%s:%s",
                               address->host, address->port);
    case VMMIG__ADDRESS_UNIX:
        return g_strdup_printf("unix:%s", address->path);
    case VMMIG__ADDRESS_FD:
        return g_strdup_printf("fd:%d", address->fd);
    case VMMIG__ADDRESS_FILE:
        /* An offset of 0 is also printed where the path looks like one. */
        if (address->offset_bytes == 0 && !strstr(address->path, ",offset="))
            return g_strdup_printf("file:%s", address->path);
        return g_strdup_printf("file:%s,offset=%" G_GUINT64_FORMAT,
                               address->path, address->offset_bytes);
    case VMMIG__ADDRESS_EXEC:
        return g_strdup_printf("exec:%s", address->command);
    case VMMIG__ADDRESS_HOST:
        return g_strdup("host:");
    }
    g_return_val_if_reached(NULL);
}

void vmmig__address_free(struct vmmig__address *address)
{
    if (!address)
        return;
    g_free(address->host);
    g_free(address->port);
    g_free(address->path);
    g_free(address->command);
    g_free(address);
}

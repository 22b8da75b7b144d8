/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses: what was parsed is printed, and that parses into the same. */
#include "fuzz/fuzz.h"
#include "io/address.h"

const char fuzz_corpus[] = "address";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = g_strndup((const char *)data, size);
    struct vmmig__address *address, *again;
    vmmig_error *error = NULL;

    if (vmmig__address_parse(text, &address, &error)) {
        char *printed = vmmig__address_print(address), *twice;

        FUZZ_REQUIRE(vmmig__address_parse(printed, &again, NULL));
        twice = vmmig__address_print(again);
        FUZZ_REQUIRE(g_str_equal(printed, twice));
        FUZZ_REQUIRE(address->kind == again->kind && address->fd == again->fd &&
                     address->offset_bytes == again->offset_bytes);
        FUZZ_REQUIRE(g_strcmp0(address->host, again->host) == 0 &&
                     g_strcmp0(address->port, again->port) == 0 &&
                     g_strcmp0(address->path, again->path) == 0 &&
                     g_strcmp0(address->command, again->command) == 0);
        g_free(twice);
        g_free(printed);
        vmmig__address_free(again);
        vmmig__address_free(address);
    } else {
        FUZZ_REQUIRE(error && *vmmig_error_message(error));
        FUZZ_REQUIRE(vmmig_error_code(error) == VMMIG_ERROR_INVALID);
        vmmig_error_free(error);
    }
    g_free(text);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of the device layer: devices that write down what is done to them.
 * Include it in one .c file only.
 */
#ifndef VMMIG_TESTS_DEVICE_KIT_H
#define VMMIG_TESTS_DEVICE_KIT_H

#include <string.h>

#include "device/device-registry.h"
#include "host/host-call.h"
#include "run-case.h"
#include "wire/stream-reader.h"
#include "wire/stream-writer.h"

static struct vmmig__host host;
static struct vmmig__devices *devices;
static GString *story;  /* "a:save_prepare b:save_prepare ..." */
static const char *bad; /* "b:quiesce": what fails; NULL: nothing */

/* A device: its name is its data, and what it says. */
static bool note(const char *name, const char *callback, vmmig_error **error)
{
    char *entry = g_strdup_printf("%s:%s", name, callback);
    bool ok = !bad || strcmp(entry, bad) != 0;

    g_string_append_printf(story, "%s%s", story->len ? " " : "", entry);
    g_free(entry);
    return ok || vmmig_error_set(error, VMMIG_ERROR_BLOCKED, "out of order");
}

#define NOTE(callback)                                                         \
    G_GNUC_UNUSED static bool callback(void *device, vmmig_error **error)      \
    {                                                                          \
        return note(device, #callback, error);                                 \
    }
NOTE(save_prepare)
NOTE(quiesce)
NOTE(unquiesce)
NOTE(load_setup)
NOTE(switchover_start)
NOTE(activate)

#define NOTE_AND_WRITE(callback)                                               \
    G_GNUC_UNUSED static bool callback(                                        \
        void *device, struct vmmig_writer *out, vmmig_error **error)           \
    {                                                                          \
        vmmig_writer_put_bytes(out, #callback, sizeof #callback - 1);          \
        return note(device, #callback, error);                                 \
    }
NOTE_AND_WRITE(save_setup)
NOTE_AND_WRITE(save_complete)
NOTE_AND_WRITE(save_state)

G_GNUC_UNUSED static void save_cleanup(void *device)
{
    note(device, "save_cleanup", NULL);
}

G_GNUC_UNUSED static void load_cleanup(void *device)
{
    note(device, "load_cleanup", NULL);
}

static bool stub(void *data, uint32_t why, vmmig_error **error)
{
    return true;
}

static void start_devices(void)
{
    static const struct vmmig_host table = {
        .struct_size = sizeof table, .stop_guest = stub, .start_guest = stub};

    ck_assert(vmmig__host_init(&host, &table, NULL, NULL, NULL));
    devices = vmmig__devices_new();
    story = g_string_new(NULL);
    bad = NULL;
}

static void end_devices(void)
{
    vmmig__devices_free(devices);
    vmmig__host_destroy(&host);
    g_string_free(story, TRUE);
}

static void add(const char *name, int32_t priority,
                const struct vmmig_device_ops *ops)
{
    const struct vmmig_device_config config = {
        .struct_size = sizeof config,
        .name = name,
        .version = 3,
        .minimum_version = 2,
        .priority = priority,
        .ops = ops,
        .data = (void *)name,
    };
    vmmig_error *error = NULL;

    ck_assert_msg(vmmig__devices_add(devices, &config, &error), "%s",
                  error ? error->message : "");
}

static void expect_story(const char *expected)
{
    ck_assert_str_eq(story->str, expected);
    g_string_truncate(story, 0);
}

static void expect_error(vmmig_error *error, uint32_t code, const char *words)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error->message, words), "%s", error->message);
    ck_assert_uint_eq(vmmig_error_code(error), code);
    vmmig_error_free(error);
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzzer's entry point on its corpus: each file as it is, cut at every
 * byte, and with every byte changed in a few ways. Prints TAP, a line for each
 * file. What goes wrong ends the program.
 *
 *     fuzz-NAME [FILE]...      these files only, as they are
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

/* Longer files are run as they are: their prefixes would take too long. */
enum { DAMAGED_BYTES = 1500, SECONDS_PER_FILE = 120 };

static unsigned long run(const uint8_t *data, size_t size)
{
    /* A copy of exactly this length: a sanitizer sees what is read beyond. */
    uint8_t *copy = g_malloc(size ? size : 1);

    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    g_free(copy);
    return 1;
}

static unsigned long run_damaged(uint8_t *data, size_t size)
{
    static const uint8_t values[] = {0x00, 0x01, 0x05, 0x7f, 0x80, 0xff};
    unsigned long runs = 0;

    for (size_t length = 0; length < size; length++)
        runs += run(data, length);
    for (size_t at = 0; at < size; at++) {
        uint8_t original = data[at];

        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
            data[at] = values[i];
            runs += run(data, size);
        }
        for (unsigned bit = 0; bit < 8; bit += 3) {
            data[at] = (uint8_t)(original ^ (1u << bit));
            runs += run(data, size);
        }
        data[at] = original;
    }
    return runs;
}

static bool run_file(const char *path, bool damage, unsigned long *ret_runs)
{
    GError *error = NULL;
    char *data;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, &error)) {
        printf("Bail out! %s\n", error->message);
        g_error_free(error);
        return false;
    }
    alarm(SECONDS_PER_FILE);
    *ret_runs = run((uint8_t *)data, size);
    if (damage && size <= DAMAGED_BYTES)
        *ret_runs += run_damaged((uint8_t *)data, size);
    g_free(data);
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* (transfer full) (nullable): the names of the files, in order. */
static GPtrArray *list(const char *path)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GDir *folder = g_dir_open(path, 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder)))
        g_ptr_array_add(names, g_strdup(name));
    if (folder)
        g_dir_close(folder);
    g_ptr_array_sort(names, compare_names);
    return names;
}

int main(int argc, char **argv)
{
    const char *top = g_getenv("top_srcdir");
    char *folder = g_build_filename(top ? top : ".", "tests", "fuzz", "corpus",
                                    fuzz_corpus, NULL);
    GPtrArray *names = argc > 1 ? g_ptr_array_new() : list(folder);
    int status = EXIT_SUCCESS;

    for (int i = 1; i < argc; i++)
        g_ptr_array_add(names, argv[i]);
    if (names->len == 0) {
        printf("Bail out! no files in %s\n", folder);
        status = EXIT_FAILURE;
    }
    for (guint i = 0; i < names->len && status == EXIT_SUCCESS; i++) {
        const char *name = g_ptr_array_index(names, i);
        char *path =
            argc > 1 ? g_strdup(name) : g_build_filename(folder, name, NULL);
        unsigned long runs;

        if (run_file(path, argc == 1, &runs))
            printf("ok %u - %s: %lu inputs\n", i + 1, name, runs);
        else
            status = EXIT_FAILURE;
        fflush(stdout);
        g_free(path);
    }
    if (status == EXIT_SUCCESS)
        printf("1..%u\n", names->len);
    g_ptr_array_unref(names);
    g_free(folder);
    return status;
}

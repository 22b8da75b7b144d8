/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The serial port of the mini-VMM: lines, files, and pipes nobody reads. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "serial.h"
#include "unit/run-case.h"

static GString *lines;

static void see_line(void *data, const char *line)
{
    g_string_append_printf(lines, "<%s>", line);
}

static void set_up(void)
{
    lines = g_string_new(NULL);
}

static void tear_down(void)
{
    g_string_free(lines, TRUE);
}

static void write_text(struct serial *serial, const char *text)
{
    serial_write(serial, text, strlen(text));
}

START_TEST(whole_lines_are_told_however_they_are_cut)
{
    struct serial *serial = serial_new("none", see_line, NULL, NULL);

    write_text(serial, "one\ntw");
    ck_assert_str_eq(lines->str, "<one>");
    write_text(serial, "o");
    write_text(serial, "\r\n\nthree");
    ck_assert_str_eq(lines->str, "<one><two>");
    serial_free(serial);
}
END_TEST

START_TEST(a_line_without_end_is_cut)
{
    struct serial *serial = serial_new("none", see_line, NULL, NULL);
    int i;

    for (i = 0; i < 3000; i++)
        write_text(serial, "x");
    ck_assert_uint_gt(lines->len, 1000);
    serial_free(serial);
}
END_TEST

START_TEST(a_file_keeps_what_was_in_it)
{
    char path[] = "/tmp/check-serial-XXXXXX";
    struct serial *serial;
    char *text;
    int fd = mkstemp(path);

    ck_assert_int_eq(write(fd, "before\n", 7), 7);
    close(fd);
    serial = serial_new(path, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(serial);
    write_text(serial, "after\n");
    serial_free(serial);
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_str_eq(text, "before\nafter\n");
    g_free(text);
    g_unlink(path);
}
END_TEST

START_TEST(a_file_that_cannot_be_is_named)
{
    GError *error = NULL;

    ck_assert_ptr_null(serial_new("/nowhere/serial", NULL, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "/nowhere/serial"));
    g_error_free(error);
}
END_TEST

/* A vCPU that waits for whoever reads the port could not be stopped. */
START_TEST(a_pipe_that_nobody_reads_stops_nobody)
{
    struct serial *serial;
    char *path;
    int ends[2], i;

    ck_assert_int_eq(pipe(ends), 0);
    path = g_strdup_printf("/dev/fd/%d", ends[1]);
    serial = serial_new(path, see_line, NULL, NULL);
    ck_assert_ptr_nonnull(serial);
    for (i = 0; i < 5000; i++)
        write_text(serial, "a line of some length that fills the pipe\n");
    serial_free(serial);
    close(ends[0]);
    close(ends[1]);
    g_free(path);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("serial");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, whole_lines_are_told_however_they_are_cut);
    tcase_add_test(tcase, a_line_without_end_is_cut);
    tcase_add_test(tcase, a_file_keeps_what_was_in_it);
    tcase_add_test(tcase, a_file_that_cannot_be_is_named);
    tcase_add_test(tcase, a_pipe_that_nobody_reads_stops_nobody);
    return run_case("serial", tcase);
}

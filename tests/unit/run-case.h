/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a unit test.
 */
#ifndef VMMIG_TESTS_RUN_CASE_H
#define VMMIG_TESTS_RUN_CASE_H

#include <check.h>
#include <glib.h>
#include <stdlib.h>

/* Runs one case, which it takes; returns the status to exit with. */
static inline int run_case(const char *name, TCase *tcase)
{
    Suite *suite = suite_create(name);
    SRunner *runner;
    int failed;

    /* What GLib complains about is a bug. */
    g_log_set_always_fatal((GLogLevelFlags)(G_LOG_LEVEL_CRITICAL |
                                            G_LOG_LEVEL_ERROR));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif

# minivmm as a whole: its words, and guests that check their own memory.

integration_tests = tests/integration/check-minivmm-cli.py \
	tests/integration/check-qmp.py
long_integration_tests = tests/integration/check-life.py \
	tests/integration/check-migrate.py \
	tests/integration/check-ownership.py
TESTS += $(integration_tests)
LONG_TESTS += $(long_integration_tests)
EXTRA_DIST += $(integration_tests) $(long_integration_tests) \
	tests/support/guests.py

# The examples. README prints one more: from its first comment to the first line
# that is not indented.
check_PROGRAMS += tests/integration/readme-example
nodist_tests_integration_readme_example_SOURCES = \
	tests/integration/readme-example.c
tests_integration_readme_example_CPPFLAGS = -I$(top_srcdir)/include
tests_integration_readme_example_CFLAGS = $(guest_thread_cflags)
tests_integration_readme_example_LDADD = libvmmigrate.la
tests/integration/readme-example.c: README
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(AWK) \
	  '/^    .. counter\.c:/ { code = 1 } /^[^ ]/ { code = 0 } \
	   code { sub(/^    /, ""); print }' $(srcdir)/README >$@
CLEANFILES += tests/integration/readme-example.c

TESTS += tests/integration/check-examples.py
EXTRA_DIST += tests/integration/check-examples.py

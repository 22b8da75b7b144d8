# `make check`: every program of TESTS prints TAP. LONG_TESTS are those that
# take minutes or want a QEMU; `make check-all` runs both.

TEST_EXTENSIONS = .py
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
PY_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_COMPILER = $(PYTHON)
# Limits of time are for hangs: a busy machine is no reason to fail.
AM_TESTS_ENVIRONMENT = \
	CK_TIMEOUT_MULTIPLIER="$${CK_TIMEOUT_MULTIPLIER:-5}" \
	CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent PYTHONDONTWRITEBYTECODE=1 \
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' \
	CC='$(CC)' GLIB_CFLAGS='$(GLIB_CFLAGS)'; \
	export CK_TIMEOUT_MULTIPLIER CK_TAP_LOG_FILE_NAME CK_VERBOSITY PYTHONDONTWRITEBYTECODE \
	top_srcdir top_builddir CC GLIB_CFLAGS;

# The library once more, for unit tests: internals visible, fault points and
# lock ranks on.
if HAVE_CHECK
check_LTLIBRARIES += tests/libinternals.la
endif
tests_libinternals_la_SOURCES = $(library_sources)
tests_libinternals_la_CPPFLAGS = $(AM_CPPFLAGS) -DVMMIG_TESTING=1
tests_libinternals_la_CFLAGS = $(AM_CFLAGS) $(GLIB_CFLAGS)
tests_libinternals_la_LIBADD = $(GLIB_LIBS)

unit_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -DVMMIG_TESTING=1
unit_cflags = $(AM_CFLAGS) $(GLIB_CFLAGS) $(CHECK_CFLAGS)
unit_ldadd = tests/libinternals.la $(GLIB_LIBS) $(CHECK_LIBS)

# For each unit test: unit_tests += tests/unit/check-NAME
unit_tests =

include tests/unit/io.mk
include tests/unit/ram.mk
include tests/unit/minivmm.mk
include tests/unit/wire.mk
include tests/unit/session.mk
include tests/wire/local.mk
include tests/fuzz/local.mk

unit_tests += tests/unit/check-workload
tests_unit_check_workload_SOURCES = tests/unit/check-workload.c
tests_unit_check_workload_CPPFLAGS = \
	$(unit_cppflags) -I$(top_srcdir)/examples/minivmm
tests_unit_check_workload_CFLAGS = $(unit_cflags)
tests_unit_check_workload_LDADD = \
	examples/minivmm/libworkload.la $(CHECK_LIBS)

include tests/unit/kvm.mk

if HAVE_CHECK
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

# What the library says of itself, for test programs in Python.
check_PROGRAMS += tests/support/describe
tests_support_describe_SOURCES = tests/support/describe.c
tests_support_describe_CPPFLAGS = -I$(top_srcdir)/include
tests_support_describe_LDADD = libvmmigrate.la
EXTRA_DIST += tests/support/describe.py

# The interface: what the headers promise, and that it stays so.
abi_scripts = tests/abi/compile.py tests/abi/contracts.py \
	tests/abi/exports.py
check_PROGRAMS += tests/abi/layout
tests_abi_layout_SOURCES = tests/abi/layout.c
TESTS += tests/abi/layout $(abi_scripts) tests/layers.py
EXTRA_DIST += $(abi_scripts) tests/abi/headers.py \
	tests/support/tap.py \
	tests/abi/constants.txt tests/abi/layout-x86_64.txt tests/layers.py

# The documents say what the code says.
TESTS += tests/docs.py
EXTRA_DIST += tests/docs.py

include tests/integration/local.mk
include tests/interop/local.mk
include tests/bench/local.mk

check-all: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(TESTS) $(LONG_TESTS)'
.PHONY: check-all

# `make check` once more under sanitizers, each in a build tree of its own.
# Warnings of a sanitizer end the test program.
sanitizer_configure = \
	CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' CFLAGS='-O1 -g' --quiet

check-asan:
	$(MKDIR_P) asan
	test -f asan/config.status || (cd asan && \
	  $(abs_top_srcdir)/configure --with-sanitizer=address,undefined \
	    $(sanitizer_configure))
	cd asan && CK_TIMEOUT_MULTIPLIER=20 ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 \
	  UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) $(AM_MAKEFLAGS) check

# The kernel may place mappings where ThreadSanitizer cannot have them, hence
# setarch; GLib's own allocator hides from it what is freed and used again.
check-tsan:
	$(MKDIR_P) tsan
	test -f tsan/config.status || (cd tsan && \
	  setarch -R $(abs_top_srcdir)/configure --with-sanitizer=thread \
	    $(sanitizer_configure))
	cd tsan && CK_TIMEOUT_MULTIPLIER=20 G_SLICE=always-malloc TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$(abs_top_srcdir)/tests/support/tsan.supp \
	  setarch -R $(MAKE) $(AM_MAKEFLAGS) check

EXTRA_DIST += tests/support/tsan.supp

.PHONY: check-asan check-tsan
clean-local:
	rm -rf asan tsan

# Benchmarks: ratios to a peer and to the machine's limits, never part of
# `make check`. `make bench` runs them all.

EXTRA_PROGRAMS = tests/bench/limits
tests_bench_limits_SOURCES = tests/bench/limits.c
tests_bench_limits_CFLAGS = $(AM_CFLAGS) -O2
EXTRA_DIST += tests/bench/precopy.py
CLEANFILES += tests/bench/limits

bench: all tests/bench/limits
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' \
	  $(PYTHON) $(srcdir)/tests/bench/precopy.py $(BENCH_FLAGS)
.PHONY: bench

# Programs that use the library the way its users do: through <vmmigrate/...>.

# What guests of every machine do, and test themselves by.
noinst_LTLIBRARIES += examples/minivmm/libworkload.la
examples_minivmm_libworkload_la_SOURCES = \
	examples/minivmm/workload.c examples/minivmm/workload.h

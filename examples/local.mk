# Programs that use the library the way its users do: through <vmmigrate/...>.

# What guests of every machine do, and test themselves by.
noinst_LTLIBRARIES += examples/minivmm/libworkload.la
examples_minivmm_libworkload_la_SOURCES = \
	examples/minivmm/workload.c examples/minivmm/workload.h

# All of minivmm but its main(), so that unit tests can have its parts.
minivmm_cflags = $(AM_CFLAGS) $(GLIB_CFLAGS) $(JSON_CFLAGS)
noinst_LTLIBRARIES += examples/minivmm/libminivmm.la
examples_minivmm_libminivmm_la_SOURCES = \
	examples/minivmm/command-line.c examples/minivmm/command-line.h \
	examples/minivmm/failure.c examples/minivmm/failure.h \
	examples/minivmm/guest-memory.c examples/minivmm/guest-memory.h \
	examples/minivmm/json-stream.c examples/minivmm/json-stream.h \
	examples/minivmm/machine-clock.c examples/minivmm/machine-clock.h \
	examples/minivmm/machine-none.c examples/minivmm/machine-soft.c examples/minivmm/machine.h \
	examples/minivmm/migration.c examples/minivmm/migration.h \
	examples/minivmm/progress.c examples/minivmm/progress.h \
	examples/minivmm/qmp-commands.c examples/minivmm/qmp-commands.h \
	examples/minivmm/qmp-server.c examples/minivmm/qmp-server.h \
	examples/minivmm/serial.c examples/minivmm/serial.h \
	examples/minivmm/vm.c examples/minivmm/vm.h \
	examples/minivmm/workers.c examples/minivmm/workers.h
examples_minivmm_libminivmm_la_CFLAGS = $(minivmm_cflags)

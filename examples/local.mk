# Programs that use the library the way its users do: through <vmmigrate/...>.

example_cppflags = -I$(top_srcdir)/include
# Guests write memory while the library reads it, which is none of a sanitizer's
# business: where the guest is a thread of the program, it is not told.
guest_thread_cflags = -std=gnu11 $(WARNING_CFLAGS) -pthread
noinst_PROGRAMS += examples/minimal-source examples/minimal-destination \
	examples/live-device
examples_minimal_source_SOURCES = \
	examples/minimal-source.c examples/toy.c examples/toy.h
examples_minimal_source_CPPFLAGS = $(example_cppflags)
examples_minimal_source_CFLAGS = $(guest_thread_cflags)
examples_minimal_source_LDADD = libvmmigrate.la
examples_minimal_destination_SOURCES = \
	examples/minimal-destination.c examples/toy.c examples/toy.h
examples_minimal_destination_CPPFLAGS = $(example_cppflags)
examples_minimal_destination_CFLAGS = $(guest_thread_cflags)
examples_minimal_destination_LDADD = libvmmigrate.la
examples_live_device_SOURCES = examples/live-device.c
examples_live_device_CPPFLAGS = $(example_cppflags)
examples_live_device_LDADD = libvmmigrate.la

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
	examples/minivmm/machine-none.c examples/minivmm/machine-soft.c \
	examples/minivmm/machine.h \
	examples/minivmm/migration.c examples/minivmm/migration.h \
	examples/minivmm/progress.c examples/minivmm/progress.h \
	examples/minivmm/qmp-commands.c examples/minivmm/qmp-commands.h \
	examples/minivmm/qmp-server.c examples/minivmm/qmp-server.h \
	examples/minivmm/serial.c examples/minivmm/serial.h \
	examples/minivmm/vm.c examples/minivmm/vm.h \
	examples/minivmm/workers.c examples/minivmm/workers.h
if X86_64
examples_minivmm_libminivmm_la_SOURCES += examples/minivmm/machine-kvm.c
else
examples_minivmm_libminivmm_la_SOURCES += examples/minivmm/machine-kvm-missing.c
endif
examples_minivmm_libminivmm_la_CFLAGS = $(minivmm_cflags)

# Virtual machines of KVM: nothing of minivmm in it, but for kvm-guest.c.
if X86_64
noinst_LTLIBRARIES += examples/minivmm/libkvm.la
endif
examples_minivmm_libkvm_la_SOURCES = \
	examples/minivmm/kvm-cpuid.c examples/minivmm/kvm-cpuid.h \
	examples/minivmm/kvm-dirty.c examples/minivmm/kvm-dirty.h \
	examples/minivmm/kvm-guest.c examples/minivmm/kvm-guest.h \
	examples/minivmm/kvm-machine.c examples/minivmm/kvm-machine.h \
	examples/minivmm/kvm-record.c examples/minivmm/kvm-record.h \
	examples/minivmm/kvm-vcpu.c examples/minivmm/kvm-vcpu.h \
	examples/minivmm/guest/abi.h examples/minivmm/guest/blob.S

# The freestanding guest in it. Its flags are its own: none that a user or a
# sanitizer gives to programs makes sense without a C library.
guest_cflags = -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter \
	-ffreestanding -static -fno-pic -fno-pie -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-lto -fno-builtin \
	-ffunction-sections
guest_ldflags = -nostdlib -static -Wl,--gc-sections \
	-Wl,--build-id=none -Wl,-z,max-page-size=4096
guest_objects = examples/minivmm/guest/start.o \
	examples/minivmm/guest/main.o examples/minivmm/guest/workload.o
guest_headers = examples/minivmm/workload.h examples/minivmm/guest/abi.h
guest_compile = $(MKDIR_P) $(@D) && $(CC) $(guest_cflags) -c -o $@

examples/minivmm/guest/start.o: examples/minivmm/guest/start.S $(guest_headers)
	$(AM_V_CC)$(guest_compile) $(srcdir)/examples/minivmm/guest/start.S
examples/minivmm/guest/main.o: examples/minivmm/guest/main.c $(guest_headers)
	$(AM_V_CC)$(guest_compile) $(srcdir)/examples/minivmm/guest/main.c
examples/minivmm/guest/workload.o: examples/minivmm/workload.c $(guest_headers)
	$(AM_V_CC)$(guest_compile) $(srcdir)/examples/minivmm/workload.c
examples/minivmm/guest/guest.elf: $(guest_objects) \
		examples/minivmm/guest/guest.ld
	$(AM_V_CCLD)$(CC) $(guest_cflags) $(guest_ldflags) -o $@ \
		-Wl,-T,$(srcdir)/examples/minivmm/guest/guest.ld \
		$(guest_objects)
examples/minivmm/guest/guest.bin: examples/minivmm/guest/guest.elf
	$(AM_V_GEN)$(OBJCOPY) -O binary $< $@
examples/minivmm/guest/blob.lo: examples/minivmm/guest/guest.bin

EXTRA_DIST += examples/minivmm/guest/start.S examples/minivmm/guest/main.c \
	examples/minivmm/guest/guest.ld
CLEANFILES += $(guest_objects) examples/minivmm/guest/guest.elf \
	examples/minivmm/guest/guest.bin

noinst_PROGRAMS += minivmm
minivmm_SOURCES = examples/minivmm/main.c
minivmm_CFLAGS = $(minivmm_cflags)
minivmm_LDADD = examples/minivmm/libminivmm.la
if X86_64
minivmm_LDADD += examples/minivmm/libkvm.la
endif
minivmm_LDADD += examples/minivmm/libworkload.la libvmmigrate.la \
	$(GLIB_LIBS) $(JSON_LIBS)
